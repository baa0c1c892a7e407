"""Large services and many nodes: lists are made bit by bit, changes meanwhile are in them, and what others see stays the same."""

from __future__ import annotations

import itertools

import dns.message
import dns.reversename
import pytest
from consul_bottle import STRANGER, ConsulBottle

from polaris_bridge.adapters.consul.server.dns import Resolver
from polaris_bridge.adapters.consul.view import SMALL
from polaris_bridge.core.model import Registration

MANY = 3 * SMALL


@pytest.fixture
def bottle() -> ConsulBottle:
    made = ConsulBottle()
    for n in range(MANY):
        made.registry.register(foreign(n), STRANGER)
    made.timers.settle()
    step_by_step(made)
    return made


def step_by_step(bottle: ConsulBottle) -> None:
    """Every slice is over after its first step, so that everything else has its turn in between."""
    seconds = itertools.count()
    bottle.service.slices._elapsed = lambda: float(next(seconds))  # type: ignore[method-assign]


def foreign(n: int, **fields: object) -> Registration:
    given: dict[str, object] = {"service": "orders", "host": f"10.0.{n >> 8}.{n & 255}", "port": 80, "weight": 100}
    return Registration(source="nacos", key=f"k{n}", namespace="default", **(given | fields))


def resolver(bottle: ConsulBottle) -> Resolver:
    return Resolver(bottle.service.names, bottle.settings.dns, prepare=bottle.service.slices.run)


def resolved(bottle: ConsulBottle, name: str, type: str) -> list[str]:
    query = dns.message.make_query(name, type)
    got: list[bytes] = []
    reply = resolver(bottle).resolve(query.to_wire(), "127.0.0.1", True)
    if isinstance(reply, bytes):
        got.append(reply)
    else:
        assert reply is not None
        reply.then(got.append)
        bottle.timers.settle()
    (data,) = got
    return sorted(str(record) for rrset in dns.message.from_wire(data).answer for record in rrset)


@pytest.mark.parametrize(
    "target",
    [
        "/v1/health/service/orders",
        "/v1/health/service/ORDERS?passing",
        "/v1/catalog/service/orders",
        "/v1/health/checks/orders",
        "/v1/health/service/orders?filter=Service.Port==80",
        "/v1/catalog/service/orders?filter=ServicePort==80",
        "/v1/health/node/polaris-bridge",
        "/v1/catalog/node-services/polaris-bridge",
        "/v1/health/state/passing",
    ],
)
def test_a_large_list_is_made_later_and_whole(bottle: ConsulBottle, target: str) -> None:
    waiting = bottle.begin("GET", target)
    assert not waiting.answered, "it would take too long at once"
    bottle.timers.settle()
    found = waiting.answer.json
    listed = found["Services"] if isinstance(found, dict) else found
    own = sum(1 for check in listed if check.get("CheckID") == "serfHealth")
    assert len(listed) - own == MANY
    again = bottle.begin("GET", target)
    bottle.timers.settle()
    assert (again.answer.json, again.answer.index) == (found, waiting.answer.index)


def test_a_list_is_at_once_when_it_was_made_before(bottle: ConsulBottle) -> None:
    bottle.get("/v1/health/service/orders")
    assert bottle.begin("GET", "/v1/health/service/orders").answered
    bottle.registry.register(foreign(7, port=81), STRANGER)
    bottle.timers.settle()
    assert bottle.begin("GET", "/v1/health/service/orders?passing").answered
    assert not bottle.begin("GET", "/v1/catalog/service/orders").answered, "this one was not"


def test_changes_while_a_list_is_made_are_in_it(bottle: ConsulBottle) -> None:
    waiting = bottle.begin("GET", "/v1/health/service/orders")
    other = bottle.begin("GET", "/v1/catalog/service/orders")
    assert not waiting.answered
    bottle.registry.register(foreign(1, port=81), STRANGER)
    bottle.registry.register(foreign(MANY), STRANGER)
    bottle.registry.deregister(foreign(2).id, STRANGER)
    bottle.registry.deregister(foreign(MANY - 1).id, STRANGER)
    bottle.timers.settle()
    expected = {f"10.0.{n >> 8}.{n & 255}": 80 for n in range(MANY + 1) if n not in (1, 2, MANY - 1)} | {"10.0.0.1": 81}
    assert {i["Service"]["Address"]: i["Service"]["Port"] for i in waiting.answer.json} == expected
    assert {i["ServiceAddress"]: i["ServicePort"] for i in other.answer.json} == expected


def test_a_service_that_goes_while_its_list_is_made_is_not_there(bottle: ConsulBottle) -> None:
    waiting = bottle.begin("GET", "/v1/health/service/orders")
    for n in range(MANY):
        bottle.registry.deregister(foreign(n).id, STRANGER)
    bottle.timers.settle()
    assert waiting.answer.json == []
    assert bottle.get("/v1/health/service/orders").json == []


def test_a_large_list_that_was_seen_is_waited_for(bottle: ConsulBottle) -> None:
    for target in ("health/service/orders", "catalog/service/orders", "health/state/any", "health/node/polaris-bridge"):
        index = bottle.get(f"/v1/{target}").index
        bottle.restart()
        waiting = bottle.begin("GET", f"/v1/{target}?index={index + 1_000_000}")
        bottle.timers.settle()
        assert not waiting.answered
        waiting.hang_up()
    assert not bottle.http.blocked


def test_weights_of_a_large_service_follow_their_greatest_common_divisor(bottle: ConsulBottle) -> None:
    def weights() -> set[int]:
        return {i["Service"]["Weights"]["Passing"] for i in bottle.get("/v1/health/service/orders").json}

    assert weights() == {1}
    bottle.registry.register(foreign(3, weight=250), STRANGER)
    bottle.timers.settle()
    assert weights() == {2, 5}
    bottle.registry.register(foreign(3, weight=300), STRANGER)
    bottle.timers.settle()
    assert weights() == {1, 3}
    bottle.registry.register(foreign(3, weight=250), STRANGER)
    bottle.register("orders", Port=1)
    assert 5 not in weights()


def test_names_of_a_large_service_are_answered_when_it_is_built(bottle: ConsulBottle) -> None:
    query = dns.message.make_query("orders.service.consul.", "A").to_wire()
    assert not isinstance(resolver(bottle).resolve(query, "127.0.0.1", True), bytes)
    assert len(resolved(bottle, "orders.service.consul.", "A")) == MANY
    assert isinstance(resolver(bottle).resolve(query, "127.0.0.1", True), bytes)


def test_a_service_of_lost_nodes_does_not_keep_names_waiting(bottle: ConsulBottle) -> None:
    """What has many addresses and nothing to show is built once, not again and again."""
    bottle.get("/v1/health/service/orders")
    view = bottle.service.view
    view._services.clear()
    view._instances = lambda *_: ()  # type: ignore[method-assign]
    assert resolved(bottle, "orders.service.consul.", "A") == []


def test_backwards_names_follow_nodes(bottle: ConsulBottle) -> None:
    def node(name: str, address: str) -> None:
        bottle.done("/v1/catalog/register", {"Node": name, "Address": address})

    node("n1", "10.9.0.1")
    assert resolved(bottle, "1.0.9.10.in-addr.arpa.", "PTR") == ["n1.node.dc1.consul."]
    node("n1", "10.9.0.2")
    node("n2", "10.9.0.2")
    assert resolved(bottle, "1.0.9.10.in-addr.arpa.", "PTR") == []
    both = ["n1.node.dc1.consul.", "n2.node.dc1.consul."]
    assert resolved(bottle, "2.0.9.10.in-addr.arpa.", "PTR") == both
    bottle.done("/v1/catalog/deregister", {"Node": "n1"})
    assert resolved(bottle, "2.0.9.10.in-addr.arpa.", "PTR") == ["n2.node.dc1.consul."]
    node("n3", "2001:DB8::1")
    assert resolved(bottle, dns.reversename.from_address("2001:db8::1").to_text(), "PTR") == ["n3.node.dc1.consul."]


def test_the_node_of_other_protocols_comes_and_goes_with_them() -> None:
    bottle = ConsulBottle()
    before = bottle.get("/v1/catalog/nodes")
    assert [n["Node"] for n in before.json] == ["here"]
    registered = bottle.foreign()
    after = bottle.get("/v1/catalog/nodes")
    assert [n["Node"] for n in after.json] == ["here", "polaris-bridge"]
    assert after.index > before.index
    bottle.foreign(port=8081)
    assert bottle.get("/v1/catalog/nodes").index == after.index
    bottle.registry.deregister(registered.id, STRANGER)
    bottle.timers.settle()
    last = bottle.get("/v1/catalog/nodes")
    assert [n["Node"] for n in last.json] == ["here"]
    assert last.index > after.index


def test_a_check_of_a_node_changes_only_its_instances() -> None:
    bottle = ConsulBottle()
    for n in range(3):
        bottle.done(
            "/v1/catalog/register",
            {"Node": f"n{n}", "Address": f"10.0.0.{n}", "Service": {"ID": f"web{n}", "Service": "web", "Port": 80}},
        )
    bottle.get("/v1/health/service/web")
    first = bottle.service.view.service("default", "web").instances[0]
    check = {"CheckID": "mem", "Name": "mem", "Status": "critical"}
    bottle.done("/v1/catalog/register", {"Node": "n2", "Address": "10.0.0.2", "Check": check})
    assert [i["Service"]["ID"] for i in bottle.get("/v1/health/service/web?passing").json] == ["web0", "web1"]
    assert bottle.service.view.service("default", "web").instances[0] is first


def test_names_of_a_large_service_that_was_listed_before_are_prepared_too(bottle: ConsulBottle) -> None:
    bottle.get("/v1/health/service/orders")
    query = dns.message.make_query("orders.service.consul.", "A").to_wire()
    assert not isinstance(resolver(bottle).resolve(query, "127.0.0.1", True), bytes)
    assert len(resolved(bottle, "orders.service.consul.", "A")) == MANY
    bottle.registry.register(foreign(3, host="10.9.9.9"), STRANGER)
    bottle.timers.settle()
    assert isinstance(resolver(bottle).resolve(query, "127.0.0.1", True), bytes), "one of many is made at once"
    assert "10.9.9.9" in resolved(bottle, "orders.service.consul.", "A")
