"""Everything that a registry full of services and rules becomes is judged by the rules that are published with the messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..conftest import build
from ..polaris.console import Console
from ..server import Server
from ..talking import Talker
from . import rules
from .ads import CLUSTER, LISTENER
from .programs import JUDGE

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]
Document = dict[str, Any]
KEYS = "sidecar.polarismesh.cn/"
GATEWAY = "gateway.polarismesh.cn/"
SERVICES = (
    "plain",
    "empty",
    "Team.Shop_one",
    "many",
    "ruled",
    "limited",
    "broken",
    "looked-at",
    "near",
    "lanes",
    "edge",
)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this module's own, so that nothing but what is written here is in it."""
    server = Server(tmp_path_factory.mktemp("full"), "xds-v3")
    server.start()
    console = Console(f"http://127.0.0.1:{server.http_port}")
    try:
        fill(console)
        yield server
    finally:
        console.close()
        server.close()


def fill(console: Console) -> None:
    console.write("POST", "/naming/v1/namespaces", {"name": "far"})
    services = [{"name": name, "namespace": "default"} for name in SERVICES]
    console.write("POST", "/naming/v1/services", *services, {"name": "plain", "namespace": "far"})
    console.register("plain", 8001)
    console.register("plain", 8002, namespace="far")
    # The same place by two names, one that is no address, one of IPv6.
    for number, host in enumerate(("127.0.0.1", "::1", "localhost", "host.example", "10.0.0.1", "10.0.0.1")):
        key = {"service": "many", "namespace": "default", "host": host, "port": 8001, "id": f"many-{number}"}
        console.post("/naming/v1/instances", key)
    for number, version in enumerate(("v1", "v2", "v3")):
        place = {"region": f"r{number % 2}", "zone": f"z{number}", "campus": ""}
        for service in SERVICES[4:]:
            metadata = {"version": version, "lane": "blue" if number else "", "sp ace": "ü", "": "no key"}
            console.register(
                service, 8001 + number, metadata=metadata, location=place, weight=100 * number, healthy=number != 2
            )
    console.register("Team.Shop_one", 8001, isolate=True)
    alias(console, "nickname", "plain")
    alias(console, "PLAIN", "many")
    route_rules(console)
    limit_rules(console)
    for level in ("SERVICE", "METHOD", "GROUP", "INSTANCE"):
        console.add_rule(rules.BREAKERS, rules.breaker("broken", 3, level))
    by_share = rules.breaker("broken", 3)
    by_share["block_configs"][0]["trigger_conditions"].append(rules.by_share(30, 10))
    console.add_rule(rules.BREAKERS, by_share | {"name": "share"})
    for protocol in ("HTTP", "TCP", "UDP"):
        console.add_rule(rules.DETECTORS, rules.detector("looked-at", protocol))
    console.add_rule(rules.ROUTINGS, rules.nearby("near"))
    everyone = rules.lanes("team", "edge", "lanes", rules.lane("blue", rules.argument("HEADER", "x-user", "jane")))
    console.add_rule(rules.LANES, everyone)


def alias(console: Console, name: str, service: str) -> None:
    body = {"alias": name, "alias_namespace": "default", "service": service, "namespace": "default"}
    console.post("/naming/v1/service/alias", body)


def route_rules(console: Console) -> None:
    """Every place and operator, groups with and without instances, shares that are nothing, and several rules."""
    kinds = ("EXACT", "REGEX", "NOT_EQUALS", "IN", "NOT_IN", "RANGE")
    places = ("HEADER", "QUERY", "COOKIE", "PATH", "METHOD", "CALLER_IP", "CUSTOM")
    values = {"REGEX": "^a(b|c)+$", "IN": "a,b", "NOT_IN": "a,b", "RANGE": "1~9"}
    some = rules.group("ruled", version="v1")
    for priority, kind in enumerate(kinds):
        routes = [rules.route([rules.argument(place, "x-key", values.get(kind, "/a"), kind)], some) for place in places]
        console.add_rule(rules.ROUTINGS, rules.routing(f"by {kind}", *routes, priority=priority))
    shares = [rules.group("ruled", weight, version=f"v{weight}") for weight in (0, 1, 3)]
    console.add_rule(rules.ROUTINGS, rules.routing("shares", rules.route([], *shares), priority=8))
    preferred = rules.group("ruled", version="v9"), rules.group("ruled", priority=1, version="v2")
    console.add_rule(rules.ROUTINGS, rules.routing("preferred", rules.route([], *preferred), priority=9))
    wrong = rules.argument("HEADER", "no header: name", "x")
    console.post(rules.ROUTINGS, rules.routing("odd", rules.route([wrong], some), priority=7))
    edge = rules.route([rules.argument("PATH", "", "/ruled", "EXACT")], some)
    edge["sources"][0] |= {"service": "edge", "namespace": "default"}
    console.add_rule(rules.ROUTINGS, rules.routing("of the gateway", edge))


def limit_rules(console: Console) -> None:
    places = ("HEADER", "QUERY", "METHOD", "CALLER_IP", "CALLER_SERVICE", "CUSTOM", "CALLER_METADATA")
    for place in places:
        for kind in ("LOCAL", "GLOBAL"):
            rule = rules.limit("limited", 5, "/a", kind, rules.argument(place, "default", "x"), name=f"{place} {kind}")
            console.add_rule(rules.RATE_LIMITS, rule)
    amounts = [{"maxAmount": 5, "validDuration": "1s"}, {"maxAmount": 100, "validDuration": "60s"}]
    console.add_rule(rules.RATE_LIMITS, rules.limit("limited", 5, "/b", name="two windows") | {"amounts": amounts})
    console.add_rule(
        rules.RATE_LIMITS,
        rules.limit("limited", 5, name="7 s") | {"amounts": [{"maxAmount": 3, "validDuration": "7s"}]},
    )
    pattern = rules.limit("limited", 5, name="pattern") | {"method": rules.match("^/c/[0-9]+$", "REGEX")}
    console.add_rule(rules.RATE_LIMITS, pattern)
    console.add_rule(rules.RATE_LIMITS, rules.limit("limited", 0, "/nobody", name="nobody"))
    at_once = rules.limit("limited", 5, "/d", name="at once") | {"resource": "CONCURRENCY", "amounts": []}
    console.add_rule(rules.RATE_LIMITS, at_once | {"concurrency_amount": {"maxAmount": 7}})


@pytest.fixture(scope="module")
def judge(full: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talker]:
    build(JUDGE)
    folder = tmp_path_factory.mktemp("judge")
    command = [*JUDGE.command, "--server", f"127.0.0.1:{full.port}"]
    made = Talker("judge", command, Path(folder), folder / "stderr.log")
    made.launch()
    try:
        made.greet()
        yield made
    finally:
        made.close()


def node(name: str, run_type: str = "sidecar", **metadata: str) -> Document:
    return {"id": f"{run_type}~default/{name}~127.0.0.1", "cluster": name, "metadata": metadata}


NODES = {
    "nobody": {"id": "nobody", "cluster": "nobody", "userAgentName": "envoy"},
    **{
        service: node(service, **{f"{KEYS}serviceName": service, f"{KEYS}serviceNamespace": "default"})
        for service in SERVICES
    },
    **{
        f"limited {mode}": node(
            mode,
            **{f"{KEYS}serviceName": "limited", f"{KEYS}serviceNamespace": "default", "polarismesh.cn/tls-mode": mode},
        )
        for mode in ("none", "permissive", "strict")
    },
    "gateway": node("gw", "gateway", **{f"{GATEWAY}serviceName": "edge", f"{GATEWAY}serviceNamespace": "default"}),
    "on demand": node("od", **{f"{KEYS}openOnDemand": "true", f"{KEYS}serviceName": "plain"}),
    "elsewhere": {"id": "sidecar~far/pod~127.0.0.1", "cluster": "pod", "userAgentName": "envoy"},
    "of no namespace": {"id": "sidecar~never-heard-of/pod~127.0.0.1", "cluster": "pod", "userAgentName": "envoy"},
}
for _described in NODES.values():
    _described.setdefault("userAgentName", "envoy")
"""Envoys of every kind."""


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
@pytest.mark.parametrize("name", list(NODES))
def test_what_an_envoy_is_sent(judge: Talker, name: str, delta: bool) -> None:
    order = {"node": NODES[name], "delta": delta, "grpc": False, "ask": {CLUSTER: ["*"], LISTENER: ["*"]}}
    verdict = judge.say(json.dumps(order))
    assert verdict.get("error", "") == ""
    assert verdict["findings"] == []
    assert len(verdict["received"][CLUSTER]) > len(SERVICES) - 2 or name in ("elsewhere", "of no namespace")
    assert verdict["received"][LISTENER] != []


def test_what_a_grpc_client_is_sent(judge: Talker) -> None:
    plain = {"userAgentName": "gRPC Go", "clientFeatures": ["xds.config.resource-in-sotw"], "id": "grpc"}
    names = [f"{service}.default" for service in SERVICES] + [
        "plain",
        "plain.far",
        "nickname.default",
        "plain.default:80",
    ]
    names += ["plain.default.svc.cluster.local", "xdstp://polaris/envoy.config.listener.v3.Listener/plain.default"]
    verdict = judge.say(json.dumps({"node": plain, "delta": False, "grpc": True, "ask": {LISTENER: names}}))
    assert verdict.get("error", "") == ""
    assert verdict["findings"] == []
    assert verdict["received"][LISTENER] == sorted(names)
