"""What nodes are sent of the registry, and what they are told of its changes."""

from __future__ import annotations

import tracemalloc

import pytest
from worlds import CALLER, ENVOY_NODE, GRPC_NODE, Bottle, changed_types, decoded, endpoints, node

from polaris_bridge.adapters.polaris.service.governance import governance
from polaris_bridge.adapters.polaris.service.rules.kinds import (
    BLOCK_ALLOW,
    CIRCUIT_BREAKER,
    FAULT_INJECTION,
    KINDS,
    LOSSLESS,
    Kind,
)
from polaris_bridge.adapters.xds.service import dialling
from polaris_bridge.adapters.xds.translate.assignments import assignment
from polaris_bridge.adapters.xds.translate.endpoints import Endpoint
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.adapters.xds.wire.encoding import message_type
from polaris_bridge.core.model import NOWHERE, OUT_OF_SERVICE, ServiceKey, Switch

ECHO = "OUTBOUND|default|echo"


def test_grpc_clients_find_a_service_by_every_form_of_its_name() -> None:
    b = Bottle()
    b.put("echo", "10.0.0.1")
    view = b.world.view(GRPC_NODE)
    for form in ("echo", "echo.default", "echo.default.svc", "echo.default.svc.cluster.local", "echo.default:9"):
        for name in (form, f"xdstp://any/envoy.config.listener.v3.Listener/{form}"):
            listener = decoded(types.LISTENER, view.read(types.LISTENER, name))
            assert listener.name == name
            assert listener.HasField("api_listener")
    table = decoded(types.ROUTES, view.read(types.ROUTES, "polaris-outbound-router|echo.default"))
    assert list(table.virtual_hosts[0].domains) == ["*"]
    assert table.virtual_hosts[0].routes[0].route.cluster == ECHO
    cluster = decoded(types.CLUSTER, view.read(types.CLUSTER, ECHO))
    assert cluster.eds_cluster_config.service_name == ECHO
    assert endpoints(view, ECHO) == [("10.0.0.1", 1, 100, 0)]


def test_names_that_mean_nothing_are_nothing() -> None:
    b = Bottle()
    b.put("echo", "10.0.0.1")
    for view in (b.world.view(GRPC_NODE), b.world.view(ENVOY_NODE)):
        for type_url in (*types.ORDER, "type.googleapis.com/what.is.That"):
            for name in ("", "nobody", "OUTBOUND|default|nobody", "OUTBOUND|", "||", "xdstp://", "xdstp://a/b/c", "*"):
                assert view.read(type_url, name) is None


def test_names_that_were_asked_for_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "MOST_ASKED", 10)
    b = Bottle()
    b.put("echo", "10.0.0.1")
    view = b.world.view(GRPC_NODE)
    view.read(types.LISTENER, "echo")
    tracemalloc.start()
    sizes = []
    for n in range(400):
        view.read(types.LISTENER, f"nobody{n}.default:80")
        view.read(types.LISTENER, f"grpc/server?xds.resource.listening_address=10.0.0.1:{n}")
        if n in (99, 399):
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[1] - sizes[0] < 50_000
    stamp = view.stamp(types.LISTENER)
    b.put("nobody399", "10.0.0.2")
    assert view.changed(types.LISTENER, stamp) == {"nobody399.default:80"}


def test_names_with_dots_and_capitals() -> None:
    b = Bottle()
    b.put("a.b", "10.0.0.1")
    b.put("ORDERS", "10.0.0.2")
    b.put("x", "10.0.0.3", namespace="b")
    view = b.world.view(GRPC_NODE)

    def cluster_of(name: str) -> str:
        listener = decoded(types.LISTENER, view.read(types.LISTENER, name))
        return listener.api_listener.api_listener.value.decode("latin-1")

    assert "|a.b.default" in cluster_of("a.b")
    assert "|a.b.default" in cluster_of("a.b.default")
    assert "|x.b" in cluster_of("x.b")
    assert "|ORDERS.default" in cluster_of("orders.default")


def test_a_wildcard_of_listeners_holds_socket_listeners_only() -> None:
    b = Bottle()
    b.put("echo", "10.0.0.1")
    view = b.world.view(ENVOY_NODE)
    listeners = view.all(types.LISTENER)
    assert set(listeners) == {"OUTBOUND_15001"}
    assert not any(decoded(types.LISTENER, each).HasField("api_listener") for each in listeners.values())
    assert b.world.view(GRPC_NODE).all(types.LISTENER) == {}


def test_weights_are_localities_to_grpc_clients_and_weights_to_envoy() -> None:
    b = Bottle()
    b.put("echo", "10.0.0.1", weight=100)
    b.put("echo", "10.0.0.2", weight=300)
    grpc = decoded(types.ASSIGNMENT, b.world.view(GRPC_NODE).read(types.ASSIGNMENT, ECHO))
    assert sorted(each.load_balancing_weight.value for each in grpc.endpoints) == [100, 300]
    envoy = decoded(types.ASSIGNMENT, b.world.view(ENVOY_NODE).read(types.ASSIGNMENT, ECHO))
    assert [each.load_balancing_weight.value for each in envoy.endpoints] == [400]


def test_localities_of_grpc_clients_differ_whatever_their_priority() -> None:
    """grpc-java keeps the last of several by one name."""
    weights = {"10.0.0.2": 100, "10.0.0.3": 100, "10.0.0.5": 300}
    endpoints = [Endpoint(host, 80, weight, {}, NOWHERE, healthy=True) for host, weight in weights.items()]
    for rich in (False, True):
        packed = assignment("c", endpoints, lambda each: int(each.host[-1]) % 2, rich=rich)
        message = message_type(types.ASSIGNMENT).FromString(packed)
        places = [each.locality.sub_zone for each in message.endpoints]
        assert [each.priority for each in message.endpoints] == ([0, 1] if rich else [0, 1, 1])
        assert len(set(places)) == (1 if rich else 3)


def test_who_is_left_out_and_who_is_told_as_unhealthy() -> None:
    b = Bottle()
    b.put("echo", "10.0.0.1")
    b.put("echo", "10.0.0.2", weight=0)
    b.put("echo", "10.0.0.3", reported=OUT_OF_SERVICE)
    b.put("echo", "not-an-address")
    b.put("echo", "10.0.0.5")
    b.registry.switch(
        ServiceKey("default", "echo"),
        next(p for p in b.registry.snapshot(ServiceKey("default", "echo")).addresses if p.host == "10.0.0.5"),
        Switch("polaris", "", OUT_OF_SERVICE),
        CALLER,
    )
    b.queue.settle()
    assert endpoints(b.world.view(ENVOY_NODE), ECHO) == [("10.0.0.1", 1, 100, 0)]
    assert any("not-an-address" in text for _, _, text in b.reported.problems)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [(BLOCK_ALLOW, {"name": "b", "enable": True}), (LOSSLESS, {}), (FAULT_INJECTION, {"enabled": True})],
)
def test_rules_for_libraries_alone_are_said_not_to_count(kind: Kind, rule: dict[str, object]) -> None:
    b = Bottle(governance)
    b.put("echo", "10.0.0.1")
    view = b.world.view(ENVOY_NODE)
    view.all(types.CLUSTER)
    assert b.reported.problems == []
    b.rule(kind, {**rule, "namespace": "default", "service": "echo"})
    view.all(types.CLUSTER)
    (id,) = (each.id for each in b.registry.documents.all(kind.name))
    assert [(name, kind.name in text) for _, name, text in b.reported.problems] == [(id, True)]


def test_a_rule_for_any_service_is_said_once() -> None:
    b = Bottle(governance)
    for name in ("echo", "other", "third"):
        b.put(name, "10.0.0.1")
    anybody = {"namespace": "*", "service": "*"}
    matcher = {"source": anybody, "destination": {**anybody, "method": {"value": "*"}}}
    b.rule(CIRCUIT_BREAKER, {"name": "b", "enable": True, "level": "SERVICE", "rule_matcher": matcher})
    b.world.view(ENVOY_NODE).all(types.CLUSTER)
    assert len(b.reported.problems) == 3
    assert len(set(b.reported.problems)) == 1


def test_sets_are_said_not_to_count() -> None:
    b = Bottle()
    b.put("echo", "10.0.0.1", metadata={"internal-enable-set": "Y", "internal-set-name": "a.b.c"})
    b.put("other", "10.0.0.2", metadata={"internal-enable-set": "N"})
    assert [each[0] for each in endpoints(b.world.view(ENVOY_NODE), ECHO)] == ["10.0.0.1"]
    assert len(endpoints(b.world.view(ENVOY_NODE), "OUTBOUND|default|other")) == 1
    assert [name for _, name, _ in b.reported.problems] == ["internal-enable-set"]


@pytest.mark.parametrize("kind", [GRPC_NODE, ENVOY_NODE])
def test_a_change_of_an_instance_changes_its_assignment_and_nothing_else(kind: object) -> None:
    b = Bottle()
    b.put("echo", "10.0.0.1")
    b.put("other", "10.0.0.2")
    view = b.world.view(kind)  # type: ignore[arg-type]
    for type_url in types.ORDER:
        view.all(type_url)
    before = view.read(types.ASSIGNMENT, ECHO)
    other = view.read(types.ASSIGNMENT, "OUTBOUND|default|other")
    stamps = {type_url: view.stamp(type_url) for type_url in types.ORDER}
    b.told.clear()
    b.put("echo", "10.0.0.3")
    assert changed_types(b.told, view) == {types.ASSIGNMENT}
    assert view.stamp(types.ASSIGNMENT) > stamps[types.ASSIGNMENT]
    assert view.changed(types.ASSIGNMENT, stamps[types.ASSIGNMENT]) == {ECHO}
    assert view.changed(types.CLUSTER, stamps[types.CLUSTER]) == frozenset()
    after = view.read(types.ASSIGNMENT, ECHO)
    assert before is not None
    assert after is not None
    assert after.version != before.version
    assert view.read(types.ASSIGNMENT, "OUTBOUND|default|other") is other
    b.end("echo", "10.0.0.3")
    assert view.read(types.ASSIGNMENT, ECHO) == before


@pytest.mark.parametrize("kind", [GRPC_NODE, ENVOY_NODE])
def test_an_empty_service_keeps_everything_and_a_deleted_one_nothing(kind: object) -> None:
    b = Bottle()
    b.put("echo", "10.0.0.1")
    view = b.world.view(kind)  # type: ignore[arg-type]
    view.all(types.CLUSTER)
    view.read(types.LISTENER, "echo.default")
    b.end("echo", "10.0.0.1")
    assert endpoints(view, ECHO) == []
    assert view.read(types.CLUSTER, ECHO) is not None
    b.told.clear()
    b.drop("echo")
    assert {types.CLUSTER, types.ASSIGNMENT} <= changed_types(b.told, view)
    assert view.read(types.CLUSTER, ECHO) is None
    assert view.read(types.ASSIGNMENT, ECHO) is None
    assert ECHO not in view.all(types.CLUSTER)
    b.told.clear()
    b.put("echo", "10.0.0.9")
    assert {types.CLUSTER, types.ASSIGNMENT} <= changed_types(b.told, view)
    assert endpoints(view, ECHO) == [("10.0.0.9", 1, 100, 0)]
    if kind is GRPC_NODE:
        assert types.LISTENER in changed_types(b.told, view)
        assert view.read(types.LISTENER, "echo.default") is not None
    else:
        assert ECHO in view.all(types.CLUSTER)
        assert ECHO in str(decoded(types.ROUTES, view.read(types.ROUTES, "polaris-outbound-router")))


def test_a_name_that_was_asked_for_in_vain_is_told_when_it_comes() -> None:
    b = Bottle()
    view = b.world.view(GRPC_NODE)
    assert view.read(types.LISTENER, "late.default") is None
    since = view.stamp(types.LISTENER)
    b.put("late", "10.0.0.1")
    assert view.changed(types.LISTENER, since) == {"late.default"}
    assert view.read(types.LISTENER, "late.default") is not None


def test_aliases_and_exported_services_are_further_hosts() -> None:
    b = Bottle()
    b.put("echo", "10.0.0.1")
    b.put("far", "10.0.0.2", namespace="east")
    b.put("hidden", "10.0.0.3", namespace="east")
    b.record("far", "east", export_to=("default",))
    b.record("nick", reference=ServiceKey("default", "echo"))
    view = b.world.view(ENVOY_NODE)
    table = decoded(types.ROUTES, view.read(types.ROUTES, "polaris-outbound-router"))
    hosts = {domain: host.routes[0].route.cluster for host in table.virtual_hosts for domain in host.domains}
    assert hosts["nick"] == hosts["echo.default"] == ECHO
    assert hosts["far"] == hosts["far.east"] == hosts["far.default.svc"] == "OUTBOUND|east|far"
    assert not any("hidden" in domain for domain in hosts)
    assert set(view.all(types.CLUSTER)) == {"PassthroughCluster", ECHO, "OUTBOUND|east|far"}
    assert view.read(types.CLUSTER, "OUTBOUND|east|hidden") is None
    assert endpoints(view, "OUTBOUND|east|far") == [("10.0.0.2", 1, 100, 0)]


def test_a_service_without_a_host_of_its_own_is_said() -> None:
    b = Bottle()
    for name in ("orders", "Orders", "*"):
        b.put(name, "10.0.0.1")
    b.world.view(ENVOY_NODE).read(types.ROUTES, "polaris-outbound-router")
    said = [(name, text.rpartition(": ")[2]) for _, name, text in b.reported.problems]
    assert sorted(said) == [
        ("OUTBOUND|default|*", "none is legal"),
        ("OUTBOUND|default|Orders", "OUTBOUND|default|orders"),
    ]


def test_hosts_that_two_services_would_share_have_one_owner() -> None:
    b = Bottle()
    b.put("Echo", "10.0.0.1")
    b.put("echo", "10.0.0.2")
    b.put("echo.default", "10.0.0.3")
    b.put("a:80", "10.0.0.4")
    b.put("a", "10.0.0.5", 80)
    table = decoded(types.ROUTES, b.world.view(ENVOY_NODE).read(types.ROUTES, "polaris-outbound-router"))
    domains = [domain.lower() for host in table.virtual_hosts for domain in host.domains]
    assert len(domains) == len(set(domains))
    hosts = {domain: host.routes[0].route.cluster for host in table.virtual_hosts for domain in host.domains}
    assert hosts["echo"] == hosts["echo.default"] == ECHO
    assert hosts["echo.default.default"] == "OUTBOUND|default|echo.default"
    assert hosts["a:80"] == "OUTBOUND|default|a"
    view = b.world.view(ENVOY_NODE)
    assert {"OUTBOUND|default|Echo", ECHO} <= set(view.all(types.CLUSTER))


def test_the_service_beside_an_envoy_has_a_listener_with_its_ports() -> None:
    b = Bottle()
    b.put("echo", "10.0.0.1", 8080)
    said = {"sidecar.polarismesh.cn/serviceName": "echo", "sidecar.polarismesh.cn/serviceNamespace": "default"}
    view = b.world.view(node(metadata=said))
    listener = decoded(types.LISTENER, view.all(types.LISTENER)["echo.default_INBOUND_15006"])
    assert [chain.filter_chain_match.destination_port.value for chain in listener.filter_chains] == [8080]
    assert endpoints(view, "INBOUND|default|echo") == [("127.0.0.1", 1, 100, 0)]
    since = view.stamp(types.LISTENER)
    b.put("echo", "10.0.0.1", 8081)
    assert view.changed(types.LISTENER, since) == {"echo.default_INBOUND_15006"}
    listener = decoded(types.LISTENER, view.all(types.LISTENER)["echo.default_INBOUND_15006"])
    assert [chain.filter_chain_match.destination_port.value for chain in listener.filter_chains] == [8080, 8081]
    table = decoded(types.ROUTES, view.read(types.ROUTES, "polaris-inbound-cluster|echo.default|8081"))
    assert table.virtual_hosts[0].routes[0].route.cluster == "INBOUND|default|echo|8081"


def test_limits_come_with_routes_alone() -> None:
    """A listener that changes leaves the connections that are there as they were, for minutes."""
    b = Bottle(governance)
    b.put("echo", "10.0.0.1", 8080)
    said = {"sidecar.polarismesh.cn/serviceName": "echo", "sidecar.polarismesh.cn/serviceNamespace": "default"}
    view = b.world.view(node(metadata=said))
    listeners, routes = view.all(types.LISTENER), view.stamp(types.ROUTES)
    amounts = [{"maxAmount": 1, "validDuration": "1s"}]
    [kind] = [each for each in KINDS if each.name == "rate_limit"]
    b.rule(kind, {"service": "echo", "namespace": "default", "type": "LOCAL", "amounts": amounts})
    assert view.changed(types.ROUTES, routes) == {"polaris-inbound-cluster|echo.default"}
    assert view.all(types.LISTENER) == listeners


def test_nodes_that_are_sent_the_same_share_it() -> None:
    b = Bottle()
    b.put("echo", "10.0.0.1")
    first, second = b.world.view(ENVOY_NODE), b.world.view(node(metadata={"polarismesh.cn/tls-mode": "strict"}))
    assert first is b.world.view(node())
    assert first is not second
    assert first.read(types.ASSIGNMENT, ECHO) is second.read(types.ASSIGNMENT, ECHO)
    assert first.read(types.CLUSTER, ECHO) != second.read(types.CLUSTER, ECHO)


def test_work_ahead_is_done_once() -> None:
    b = Bottle()
    for i in range(120):
        b.put(f"s{i}", "10.0.0.1")
    for i in range(300):
        b.put("large", f"10.1.{i // 250}.{i % 250}")
    names = [f"OUTBOUND|default|s{i}" for i in range(120)]
    large = ["OUTBOUND|default|large"]
    for kind, first in ((ENVOY_NODE, (types.CLUSTER, names)), (GRPC_NODE, (types.ASSIGNMENT, large))):
        view = b.world.view(kind)
        wanted: list[tuple[str, list[str] | None]] = [(types.CLUSTER, names), (types.ASSIGNMENT, names)]
        wanted += [(types.CLUSTER, None), (types.ASSIGNMENT, None), (types.ROUTES, None)]
        wanted += [(types.ASSIGNMENT, large)]
        for type_url, asked in wanted:
            work = view.ahead(type_url, asked)
            assert work is not None or (type_url, asked) != first
            for _ in work or ():
                pass
            assert view.ahead(type_url, asked) is None
        b.put("large", "10.1.0.1", weight=7)
        assert view.ahead(types.ASSIGNMENT, large) is None
        assert ("10.1.0.1", 1, 7, 0) in endpoints(view, large[0])
