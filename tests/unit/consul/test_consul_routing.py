"""Look-ups that follow rules of routing: who is given what, with which weights, since when, and who is woken."""

from __future__ import annotations

import asyncio
from collections import Counter
from ipaddress import ip_address
from random import Random
from typing import Any

import dns.edns
import pytest
from consul_bottle import Waiting
from httpx import AsyncClient
from hypothesis import given, settings
from hypothesis import strategies as st
from routed_bottle import SHOP, RoutedBottle, addresses, by, route, to

from polaris_bridge.adapters.consul.service.askers import subnet_of
from polaris_bridge.core.model import Location, ServiceKey
from polaris_bridge.core.routing.model import Nearby, Route, Rules
from polaris_bridge.testing import server

OLD, NEW = "10.1.0.1", "10.1.0.2"
CART, GOLD, STRANGER = "10.2.0.1", "10.2.0.2", "10.9.9.9"
HEALTH, CATALOG = "/v1/health/service/shop", "/v1/catalog/service/shop"
CANARY = route(to("v2"), callers=(by("cart"),))
BASE = route(to("v1"))


def settled(**more) -> RoutedBottle:
    bottle = RoutedBottle(**more)
    bottle.stand("v1", OLD)
    bottle.stand("v2", NEW)
    bottle.register("cart", CART, Port=81)
    bottle.register("cart", GOLD, Port=81, Meta={"tier": "gold"})
    return bottle


@pytest.fixture
def bottle() -> RoutedBottle:
    """A shop of two versions, and callers that look for it."""
    return settled()


def wait(bottle: RoutedBottle, peer: str, path: str = HEALTH) -> Waiting:
    index = bottle.get(path, peer).index
    waiting = bottle.begin("GET", f"{path}?index={index}", peer=peer)
    bottle.timers.settle()
    assert not waiting.answered
    return waiting


# ---------------------------------------------------------------------- who is given what


@pytest.mark.parametrize("path", [HEALTH, CATALOG])
def test_a_kind_of_callers_is_given_its_part(bottle: RoutedBottle, path: str) -> None:
    bottle.rule(CANARY, BASE)
    assert bottle.hosts(CART, path) == [NEW]
    assert bottle.hosts(STRANGER, path) == [OLD]
    bottle.rule()
    assert bottle.hosts(CART, path) == bottle.hosts(STRANGER, path) == [OLD, NEW]


def test_choices_are_made_of_the_part(bottle: RoutedBottle) -> None:
    bottle.register("shop", "10.1.0.3", ID="shop-3", Port=80, Meta={"version": "v2"}, Tags=["x"], Check={"TTL": "9s"})
    bottle.rule(CANARY, BASE)
    assert bottle.hosts(CART) == [NEW, "10.1.0.3"]
    assert bottle.hosts(CART, f"{HEALTH}?passing") == [NEW]
    assert bottle.hosts(CART, f"{HEALTH}?tag=x") == ["10.1.0.3"]
    assert bottle.hosts(CART, f"{CATALOG}?tag=X") == ["10.1.0.3"]
    assert bottle.hosts(CART, f"{HEALTH}?filter=Service.Meta.version==v1") == []
    assert bottle.hosts(STRANGER, f"{HEALTH}?filter=Service.Meta.version==v1") == [OLD]


def test_prepared_queries(bottle: RoutedBottle) -> None:
    body = {"Name": "q", "Service": {"Service": "shop"}}
    assert bottle.ask("POST", "/v1/query", body).status == 200
    bottle.rule(CANARY, BASE)
    assert bottle.hosts(CART, "/v1/query/q/execute") == [NEW]
    assert bottle.hosts(STRANGER, "/v1/query/q/execute") == [OLD]
    assert [rr.to_text() for rr in bottle.dig("q.query.consul", "A", CART).answer[0]] == [NEW]


def test_operators_see_everything(bottle: RoutedBottle) -> None:
    bottle.rule(BASE)
    assert set(bottle.get("/v1/agent/services", NEW).json) == {f"shop-{NEW}"}
    assert "shop" in bottle.get("/v1/catalog/services", STRANGER).json
    assert len(bottle.get("/v1/health/state/any", STRANGER).json) == len(bottle.get("/v1/health/state/any", CART).json)
    assert bottle.get(f"/v1/catalog/node/node-{NEW.replace('.', '-')}", STRANGER).json["Services"]


def test_a_caller_is_known_by_its_metadata(bottle: RoutedBottle) -> None:
    bottle.rule(route(to("v2"), callers=(by("cart", tier="gold"),)), BASE)
    assert (bottle.hosts(CART), bottle.hosts(GOLD)) == ([OLD], [NEW])


def test_a_caller_is_known_by_its_node_when_its_service_is_elsewhere(bottle: RoutedBottle) -> None:
    bottle.rule(CANARY, BASE)
    waiting = wait(bottle, STRANGER)
    bottle.register("cart", STRANGER, Address="172.17.0.5", Port=81)
    bottle.timers.settle()
    assert addresses(waiting.answer) == [NEW]
    waiting = wait(bottle, STRANGER)
    bottle.done("/v1/agent/service/deregister/cart", peer=STRANGER)
    bottle.timers.settle()
    assert addresses(waiting.answer) == [OLD]
    assert bottle.named(STRANGER) == [OLD]


# ---------------------------------------------------------------------- switches


def test_it_is_off_unless_switched_on() -> None:
    bottle = settled(everywhere=False)
    bottle.rule(CANARY, BASE)
    assert bottle.hosts(CART) == [OLD, NEW]
    bottle.switch(SHOP, "true")
    assert bottle.hosts(CART) == [NEW]
    bottle.switch(SHOP, "")
    assert bottle.hosts(CART) == [OLD, NEW]


def test_a_service_may_stay_out(bottle: RoutedBottle) -> None:
    bottle.rule(CANARY, BASE)
    bottle.switch(SHOP, "false")
    assert bottle.hosts(CART) == [OLD, NEW]


def test_a_switch_wakes_who_waits() -> None:
    bottle = settled(everywhere=False)
    bottle.rule(BASE)
    waiting = wait(bottle, CART)
    bottle.switch(SHOP, "true")
    assert addresses(waiting.answer) == [OLD]
    waiting = wait(bottle, CART)
    bottle.switch(SHOP, "false")
    assert addresses(waiting.answer) == [OLD, NEW]


# ---------------------------------------------------------------------- weights


def test_weights_keep_the_rules_proportions(bottle: RoutedBottle) -> None:
    bottle.stand("v1", "10.1.0.3", Weights={"Passing": 2, "Warning": 1})
    bottle.rule(route(to("v1", 90), to("v2", 10)))
    assert bottle.weights(CART) == {OLD: (3, 3), "10.1.0.3": (6, 3), NEW: (1, 1)}
    assert srv(bottle) == {"node-10-1-0-1": 3, "node-10-1-0-3": 6, "node-10-1-0-2": 1}


def test_one_group_keeps_its_own_weights(bottle: RoutedBottle) -> None:
    bottle.stand("v1", "10.1.0.3", Weights={"Passing": 7, "Warning": 2})
    bottle.rule(BASE)
    assert bottle.weights(CART) == {OLD: (1, 1), "10.1.0.3": (7, 2)}


def srv(bottle: RoutedBottle, peer: str = CART) -> dict[str, int]:
    """By target: the weight of its SRV record."""
    answer = bottle.dig("shop.service.consul", "SRV", peer).answer
    return {rr.target.to_text().partition(".")[0]: rr.weight for rrset in answer for rr in rrset}


def test_places_weigh_the_same(bottle: RoutedBottle) -> None:
    bottle.stand("v1", "10.1.0.3", Weights={"Passing": 2, "Warning": 1}, Check={"TTL": "9s", "Status": "warning"})
    bottle.rule(route(to("v1", 90), to("v2", 10)))
    assert srv(bottle) == {"node-10-1-0-1": 3, "node-10-1-0-3": 3, "node-10-1-0-2": 1}


@settings(max_examples=30)
@given(st.lists(st.integers(1, 100), min_size=2, max_size=4), st.lists(st.integers(1, 1000), min_size=2, max_size=6))
def test_proportions(shares: list[int], own: list[int]) -> None:
    """Of groups as the rule says, within a group as the instances say."""
    bottle = RoutedBottle()
    for n, weight in enumerate(own):
        version = f"v{n % len(shares)}"
        bottle.stand(version, f"10.1.0.{n}", Weights={"Passing": weight, "Warning": 1})
    bottle.rule(route(*(to(f"v{n}", share) for n, share in enumerate(shares))))
    given_ = {address: passing for address, (passing, _) in bottle.weights(CART).items()}
    used = [n for n in range(len(shares)) if n < len(own)]
    groups = {n: [(own[i], given_[f"10.1.0.{i}"]) for i in range(n, len(own), len(shares))] for n in used}
    total = sum(given_.values())
    everything = sum(shares[n] for n in used)
    room = len(own)
    for n, members in groups.items():
        here = sum(weight for _, weight in members)
        assert abs(here * everything - shares[n] * total) <= room * everything + 0.03 * shares[n] * total
    assert all(1 <= weight <= 65_535 for weight in given_.values())


# ---------------------------------------------------------------------- names


def test_names_follow_who_asks(bottle: RoutedBottle) -> None:
    bottle.rule(CANARY, BASE)
    assert bottle.named(CART) == [NEW]
    assert bottle.named(STRANGER) == [OLD]
    bottle.rule()
    assert bottle.named(CART) == [OLD, NEW]


def test_addresses_come_first_as_often_as_they_weigh(bottle: RoutedBottle) -> None:
    """A records know no weights, and clients take the first one."""
    bottle.rule(route(to("v1", 90), to("v2", 10)))
    bottle.service.names._random = Random(7).random
    first = Counter(next(iter(bottle.dig("shop.service.consul").answer[0])).to_text() for _ in range(500))
    assert set(first) == {OLD, NEW}
    assert 430 <= first[OLD] <= 470


def test_a_whole_subnet_is_who_asks_and_the_answer_is_for_it_alone(bottle: RoutedBottle) -> None:
    bottle.rule(CANARY, BASE)
    assert bottle.named(STRANGER, f"{CART}/32") == [NEW]
    assert bottle.named(CART, f"{STRANGER}/32") == [OLD]
    assert scope(bottle, f"{CART}/32") == 32
    assert scope(bottle, "10.2.0.0/16") == 16


def test_a_resolver_is_not_who_asks(bottle: RoutedBottle) -> None:
    bottle.rule(CANARY, BASE)
    assert bottle.named(CART, "10.7.0.0/16") == [OLD]
    assert bottle.named(CART, "0.0.0.0/0") == [OLD]


@given(st.binary(min_size=4, max_size=20))
def test_any_client_subnet_is_read(option: bytes) -> None:
    address, whole = subnet_of(option)
    assert bool(address) or not whole
    if address:
        assert ip_address(address).version == {1: 4, 2: 6}[int.from_bytes(option[:2], "big")]


def test_answers_for_everybody_say_so() -> None:
    assert scope(settled(everywhere=False), f"{CART}/32") == 0


def scope(bottle: RoutedBottle, subnet: str) -> int:
    (option,) = bottle.dig("shop.service.consul", "A", STRANGER, subnet).options
    assert isinstance(option, dns.edns.ECSOption)
    return option.scopelen


# ---------------------------------------------------------------------- where callers are


def test_near(bottle: RoutedBottle) -> None:
    here, there = Location("r", "z1"), Location("r", "z2")
    bottle.foreign("nacos", "n1", service="far", host="10.3.0.1", location=here)
    bottle.foreign("nacos", "n2", service="far", host="10.3.0.2", location=there)
    far = ServiceKey("default", "far")
    bottle.write(far, Rules(nearby=Nearby("n")))

    def ids(peer: str, query: str = "") -> list[str]:
        found = bottle.get(f"/v1/health/service/far{query}", peer).json
        return sorted(each["Service"]["Address"] for each in found)

    assert ids(STRANGER) == ["10.3.0.1", "10.3.0.2"]
    bottle.located[STRANGER] = there
    assert ids(STRANGER) == ["10.3.0.2"]
    bottle.located[OLD] = here
    assert ids(STRANGER, "?near=node-10-1-0-1") == ["10.3.0.1"]
    assert ids(STRANGER, "?near=_agent") == ["10.3.0.2"]
    bottle.located["10.4.0.0"] = here
    found = bottle.dig("far.service.consul", "A", STRANGER, "10.4.0.0/24").answer
    assert [rr.to_text() for rrset in found for rr in rrset] == ["10.3.0.1"]


# ---------------------------------------------------------------------- blocking reads


@pytest.mark.parametrize("path", [HEALTH, CATALOG])
def test_a_rule_wakes_who_waits(bottle: RoutedBottle, path: str) -> None:
    waiting = wait(bottle, CART, path)
    before = bottle.get(path, CART).index
    bottle.rule(CANARY, BASE)
    assert addresses(waiting.answer) == [NEW]
    assert waiting.answer.index > before
    waiting = wait(bottle, CART, path)
    bottle.rule()
    assert addresses(waiting.answer) == [OLD, NEW]


def test_nobody_is_woken_by_what_others_see(bottle: RoutedBottle) -> None:
    bottle.rule(CANARY, BASE)
    ours, theirs = wait(bottle, CART), wait(bottle, STRANGER)
    bottle.stand("v1", "10.1.0.3")
    bottle.timers.settle()
    assert not ours.answered
    assert addresses(theirs.answer) == [OLD, "10.1.0.3"]


def test_who_becomes_somebody_else_is_answered_at_once(bottle: RoutedBottle) -> None:
    bottle.rule(CANARY, BASE)
    index = bottle.get(HEALTH, STRANGER).index
    bottle.get(HEALTH, CART)  # what the other kind is given is kept since long
    waiting = wait(bottle, STRANGER)
    bottle.register("cart", STRANGER, Port=81)
    bottle.timers.settle()
    assert addresses(waiting.answer) == [NEW]
    assert waiting.answer.index > index
    late = bottle.begin("GET", f"{HEALTH}?index={index}", peer=STRANGER)
    assert addresses(late.answer) == [NEW]
    waiting = wait(bottle, STRANGER)
    bottle.done("/v1/agent/service/deregister/cart", peer=STRANGER)
    bottle.timers.settle()
    assert addresses(waiting.answer) == [OLD]


def test_the_health_of_a_caller_wakes_nobody(bottle: RoutedBottle) -> None:
    bottle.register("cart", STRANGER, Port=81, Check={"TTL": "9s", "Status": "passing"})
    bottle.rule(CANARY, BASE)
    waiting = wait(bottle, STRANGER)
    bottle.done("/v1/agent/check/fail/service:cart", peer=STRANGER)
    bottle.timers.settle()
    assert not waiting.answered


def test_who_hangs_up_leaves_nothing(bottle: RoutedBottle) -> None:
    bottle.rule(CANARY, BASE)
    waiting = wait(bottle, CART)
    waiting.hang_up()
    assert not bottle.service._movers._waiting
    assert not bottle.http.blocked


def test_checks_of_the_part_move_health_and_not_the_catalog(bottle: RoutedBottle) -> None:
    bottle.stand("v2", "10.1.0.3", Check={"TTL": "9s", "Status": "passing"})
    bottle.rule(CANARY, BASE)
    health, catalog = wait(bottle, CART), wait(bottle, CART, CATALOG)
    bottle.done("/v1/agent/check/warn/service:shop-10.1.0.3", peer="10.1.0.3")
    bottle.timers.settle()
    assert health.answered
    assert not catalog.answered


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("stand"), st.integers(0, 3), st.sampled_from(["v1", "v2"])),
        st.tuples(st.just("go"), st.integers(0, 3)),
        st.tuples(st.just("rule"), st.sampled_from(["", "v1", "v2", "canary"])),
        st.tuples(
            st.just("turn"), st.sampled_from(["", "cart", "web"]), st.sampled_from(["", "172.17.0.5", "172.17.0.6"])
        ),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=30)
@given(STEPS)
def test_a_chain_of_blocking_reads_always_ends_with_what_is_so(steps: list[tuple]) -> None:
    """Whatever happens, somebody who reads again and again sees at last what a first read gives, and no index falls."""
    bottle = RoutedBottle()
    bottle.stand("v1", OLD)
    chains = {(peer, path): Chain(bottle, peer, path) for peer in (CART, GOLD) for path in (HEALTH, CATALOG)}
    for word, *more in steps:
        if word == "stand":
            bottle.stand(more[1], f"10.1.0.{more[0]}")
        elif word == "go":
            bottle.put(f"/v1/agent/service/deregister/shop-10.1.0.{more[0]}", peer=f"10.1.0.{more[0]}")
        elif word == "rule":
            bottle.rule(*RULES[more[0]])
        else:
            for name in ("cart", "web"):
                bottle.put(f"/v1/agent/service/deregister/{name}", peer=CART)
            if more[0]:
                bottle.register(more[0], CART, Port=81, Address=more[1])
        bottle.timers.settle()
        for (peer, path), chain in chains.items():
            chain.follow()
            assert chain.seen == bottle.hosts(peer, path), (peer, path)


class Chain:
    """Somebody who reads again whenever he is answered."""

    def __init__(self, bottle: RoutedBottle, peer: str, path: str) -> None:
        self._bottle, self._peer, self._path = bottle, peer, path
        self._index = 0
        self._waiting = self._read()
        self.seen: list[str] = []
        self.follow()

    def follow(self) -> None:
        while self._waiting.answered:
            answer = self._waiting.answer
            assert answer.index > self._index
            self._index, self.seen = answer.index, addresses(answer)
            self._waiting = self._read()

    def _read(self) -> Waiting:
        waiting = self._bottle.begin("GET", f"{self._path}?index={self._index}", peer=self._peer)
        self._bottle.timers.settle()
        return waiting


RULES: dict[str, tuple[Route, ...]] = {
    "": (),
    "v1": (route(to("v1")),),
    "v2": (route(to("v2")),),
    "canary": (CANARY, BASE),
}


# ---------------------------------------------------------------------- all together


async def test_the_consoles_rules_reach_who_a_proxy_calls_for() -> None:
    """A real server: the rule comes by the console's port, the caller's address in a header that a trusted proxy wrote."""
    listener = "apiservers.service-consul.option"
    async with (
        server(sets=[f"{listener}.trustedProxies=127.0.0.1", f"{listener}.routing=true"]) as running,
        AsyncClient() as http,
    ):

        async def ask(method: str, path: str, peer: str, **more: Any) -> Any:
            url = f"http://{running.consul}/v1/{path}"
            return await http.request(method, url, headers={"X-Forwarded-For": peer}, **more)

        async def hosts(peer: str) -> list[str]:
            found = (await ask("GET", "health/service/shop", peer)).json()
            return sorted(each["Node"]["Address"] for each in found)

        for address, version in ((OLD, "v1"), (NEW, "v2")):
            body = {"Name": "shop", "Port": 80, "Meta": {"version": version}}
            assert (await ask("PUT", "agent/service/register", address, json=body)).status_code == 200
        assert (await ask("PUT", "agent/service/register", CART, json={"Name": "cart", "Port": 81})).status_code == 200
        index = (await ask("GET", "health/service/shop", CART)).headers["X-Consul-Index"]
        waiting = asyncio.create_task(ask("GET", f"health/service/shop?index={index}", CART))
        parts = [_part("cart", "v2"), _part("*", "v1")]
        config = {"@type": "type.googleapis.com/v1.RuleRoutingConfig", "rules": parts}
        rule = {"name": "r", "namespace": "default", "enable": True, "routing_policy": "RulePolicy"}
        written = await http.post(f"{running.front}/naming/v2/routings", json=[rule | {"routing_config": config}])
        assert written.json()["code"] == 200000, written.text
        async with asyncio.timeout(5):
            assert [each["Node"]["Address"] for each in (await waiting).json()] == [NEW]
        assert (await hosts(CART), await hosts(STRANGER)) == ([NEW], [OLD])


def _part(caller: str, version: str) -> dict[str, Any]:
    labels = {"version": {"type": "EXACT", "value": version}}
    destination = {"namespace": "default", "service": "shop", "name": version, "labels": labels, "weight": 100}
    return {"name": caller, "sources": [{"namespace": "*", "service": caller}], "destinations": [destination]}
