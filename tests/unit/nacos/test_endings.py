"""Subscriptions whose right ends, and comes back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.nacos.service.auth.endings import Endings
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.core.model import ServiceKey


class _World:
    """Two clients' subscriptions, and who may read what."""

    def __init__(self) -> None:
        self.turns: deque[Callable[[], None]] = deque()
        self.allowed = {("ann", "orders"), ("bob", "orders"), ("ann", "bills")}
        self.told: list[tuple[str, Any, str, str]] = []
        self.admission = SimpleNamespace(
            revision=1,
            may=lambda who, _a, _k, _n, name: (who, name) in self.allowed,
            reads_whole=lambda who, namespace, _kind: (who, f"{namespace}/*") in self.allowed,
        )
        self.endings = Endings(
            self.admission,  # type: ignore[arg-type]
            lambda scope: ServiceKey(scope.namespace, scope.name),
            lambda connection, scope, clusters: self.told.append(("begin", connection, scope.name, clusters)),
            lambda connection, scope, clusters: self.told.append(("end", connection, scope.name, clusters)),
            lambda connection: self.told.append(("end all", connection, "", "")),
            Slices(SimpleNamespace(soon=self.turns.append)),  # type: ignore[arg-type]
        )

    def change(self, *allowed: tuple[str, str]) -> list[tuple[str, Any, str, str]]:
        """Other rights; what was done about it."""
        self.allowed = set(allowed)
        self.admission.revision += 1
        self.endings.changed()
        return self.settle()

    def settle(self) -> list[tuple[str, Any, str, str]]:
        while self.turns:
            self.turns.popleft()()
        told, self.told = self.told, []
        return told


def _scope(name: str) -> Scope:
    return Scope("dev", "dev", "DEFAULT_GROUP", name)


ONE: Any = "connection one"
TWO: Any = "connection two"


def test_a_subscription_rests_while_its_right_is_gone() -> None:
    world = _World()
    for connection, who in ((ONE, "ann"), (TWO, "bob")):
        world.endings.subscribed(connection, _scope("orders"), "", who)
    world.endings.subscribed(ONE, _scope("bills"), "a,b", "ann")
    assert world.change(("ann", "orders"), ("bob", "orders"), ("ann", "bills")) == []
    assert world.change(("bob", "orders")) == [("end", ONE, "orders", ""), ("end", ONE, "bills", "a,b")]
    assert world.change(("bob", "orders")) == []
    assert world.change(("ann", "bills")) == [("begin", ONE, "bills", "a,b"), ("end", TWO, "orders", "")]


def test_what_is_over_is_not_taken_up_again() -> None:
    world = _World()
    world.endings.subscribed(ONE, _scope("orders"), "", "ann")
    world.endings.subscribed(ONE, _scope("bills"), "", "ann")
    world.endings.subscribed(TWO, _scope("orders"), "", "bob")
    assert len(world.change()) == 3
    world.endings.unsubscribed(ONE, _scope("orders"), "")
    world.endings.gone(TWO)
    assert world.change(("ann", "orders"), ("ann", "bills"), ("bob", "orders")) == [("begin", ONE, "bills", "")]


def test_the_end_of_all_subscriptions_to_a_service() -> None:
    world = _World()
    for clusters in ("a", "b"):
        world.endings.subscribed(ONE, _scope("orders"), clusters, "ann")
    world.endings.subscribed(ONE, _scope("bills"), "a", "ann")
    world.endings.unsubscribed(ONE, _scope("orders"), "c")
    assert world.change() == [("end", ONE, "bills", "a")]


def test_nobody_in_particular_is_not_looked_at() -> None:
    """With ``auth`` off callers have no principal."""
    world = _World()
    world.endings.subscribed(ONE, _scope("orders"), "", "")
    assert world.change() == []


def test_changes_while_looking_are_seen() -> None:
    world = _World()
    world.endings.subscribed(ONE, _scope("orders"), "", "ann")
    world.allowed = set()
    world.admission.revision += 1
    world.endings.changed()
    world.allowed = {("ann", "orders")}
    world.admission.revision += 1
    world.endings.changed()
    told = world.settle()
    assert told in ([], [("end", ONE, "orders", ""), ("begin", ONE, "orders", "")])


def test_watches_of_patterns_end() -> None:
    world = _World()
    world.endings.watched(ONE, "dev", "ann")
    world.endings.watched(TWO, "dev", "bob")
    world.endings.watched(TWO, "test", "bob")
    assert world.change(("ann", "dev/*"), ("bob", "dev/*"), ("bob", "test/*")) == []
    assert world.change(("ann", "dev/*"), ("bob", "dev/*")) == [("end all", TWO, "", "")]
    world.endings.gone(ONE)
    assert world.change() == []
