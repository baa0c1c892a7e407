"""Parts of long services: made bit by bit, and what happens meanwhile is heard of."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from consul_bottle import STRANGER as SOMEBODY
from consul_bottle import Waiting
from routed_bottle import RoutedBottle, by, route, to

from polaris_bridge.adapters.consul.view import SMALL
from polaris_bridge.core.model import Registration

MANY = 6 * SMALL
CART, OTHER = "10.2.0.1", "10.9.9.9"
HEALTH, CATALOG = "/v1/health/service/shop", "/v1/catalog/service/shop"
SHARES = route(to("v1", 90), to("v2", 10))


def instance(n: int, **fields: Any) -> Registration:
    given = {"host": f"10.1.{n >> 8}.{n & 255}", "port": 80, "metadata": {"version": f"v{n % 2 + 1}"}}
    return Registration(source="nacos", key=f"k{n}", namespace="default", service="shop", **(given | fields))


@pytest.fixture
def bottle() -> RoutedBottle:
    """Every slice is over after its first step, so that everything else has its turn in between."""
    made = RoutedBottle()
    for n in range(MANY):
        made.registry.register(instance(n), SOMEBODY)
    made.register("cart", CART, Port=81)
    made.rule(route(to("v2"), callers=(by("cart"),)), SHARES)
    seconds = itertools.count()
    made.service.slices._elapsed = lambda: float(next(seconds))  # type: ignore[method-assign]
    return made


def seen(waiting: Waiting) -> dict[str, int]:
    """By address: the weight."""
    found = waiting.answer.json
    if "Service" in found[0]:
        return {each["Service"]["Address"]: each["Service"]["Weights"]["Passing"] for each in found}
    return {each["ServiceAddress"]: each["ServiceWeights"]["Passing"] for each in found}


def asked(bottle: RoutedBottle, peer: str, path: str = HEALTH, index: int = 0) -> Waiting:
    return bottle.begin("GET", f"{path}?index={index}" if index else path, peer=peer)


@pytest.mark.parametrize("path", [HEALTH, f"{HEALTH}?passing", CATALOG, f"{CATALOG}?filter=ServicePort==80"])
def test_a_part_is_made_later_and_whole(bottle: RoutedBottle, path: str) -> None:
    ours, theirs = asked(bottle, CART, path), asked(bottle, OTHER, path)
    assert not ours.answered
    assert not theirs.answered
    bottle.timers.settle()
    assert list(seen(ours).values()) == [1] * (MANY // 2)
    assert sorted(seen(theirs).values()) == [1] * (MANY // 2) + [9] * (MANY // 2)
    for peer, before in ((CART, ours), (OTHER, theirs)):
        again = asked(bottle, peer, path)
        assert again.answered, "it was made before"
        assert (again.answer.json, again.answer.index) == (before.answer.json, before.answer.index)


def test_what_changes_meanwhile_is_heard_of(bottle: RoutedBottle) -> None:
    """Whatever step it falls between: the answer has it, or the next blocking read is answered with it."""
    for steps in (0, 1, 3, 5, 8, 13, 40, 200):
        waiting = asked(bottle, OTHER)
        for _ in range(min(steps, len(bottle.timers._soon) or 1)):
            if bottle.timers._soon:
                bottle.timers._soon.popleft()()
        new = instance(1000 + steps)
        bottle.registry.register(new, SOMEBODY)
        bottle.timers.settle()
        later = asked(bottle, OTHER, index=waiting.answer.index)
        bottle.timers.settle()
        assert new.host in (seen(later) if later.answered else seen(waiting)), steps


def test_who_becomes_somebody_else_meanwhile_is_not_given_the_others_part(bottle: RoutedBottle) -> None:
    waiting = asked(bottle, OTHER)
    for _ in range(4):
        bottle.timers._soon.popleft()()
    bottle.register("cart", OTHER, Port=81)
    bottle.timers.settle()
    found = seen(waiting)
    if len(found) == MANY:  # begun as who he was: then the next read is answered at once
        later = asked(bottle, OTHER, index=waiting.answer.index)
        bottle.timers.settle()
        found = seen(later)
    assert len(found) == MANY // 2


def test_names_of_a_long_part(bottle: RoutedBottle) -> None:
    answer = bottle.dig("shop.service.consul", "SRV", OTHER, tcp=True).answer
    assert sorted(rr.weight for rrset in answer for rr in rrset) == [1] * (MANY // 2) + [9] * (MANY // 2)
    assert len(bottle.dig("shop.service.consul", "A", CART, tcp=True).answer) == MANY // 2


def test_a_wake_up_of_a_long_part(bottle: RoutedBottle) -> None:
    asked(bottle, CART)
    bottle.timers.settle()
    index = asked(bottle, CART).answer.index
    waiting = asked(bottle, CART, index=index)
    assert not waiting.answered
    bottle.registry.register(instance(2000), SOMEBODY)  # of the other version
    bottle.timers.settle()
    assert not waiting.answered
    bottle.registry.register(instance(2001), SOMEBODY)
    bottle.timers.settle()
    assert len(seen(waiting)) == MANY // 2 + 1


def test_who_asks_while_a_part_is_made_anew_waits_on(bottle: RoutedBottle) -> None:
    asked(bottle, CART)
    bottle.timers.settle()
    index = asked(bottle, CART).answer.index
    bottle.registry.register(instance(2000), SOMEBODY)  # of the other version
    bottle.timers.settle()
    waiting, gone = asked(bottle, CART, index=index), asked(bottle, CART, index=index)
    gone.hang_up()
    bottle.timers.settle()
    assert not waiting.answered
    bottle.registry.register(instance(2001), SOMEBODY)
    bottle.timers.settle()
    assert len(seen(waiting)) == MANY // 2 + 1
    assert not gone.answered
    assert not bottle.http.blocked
