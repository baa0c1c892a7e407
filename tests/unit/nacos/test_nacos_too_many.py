"""Refusals of the limits that are held back: as late as Nacos', never without end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters._shared.throttle import Excess
from polaris_bridge.adapters.nacos.server.limited import HELD_S, MOST_HELD, TooMany
from polaris_bridge.adapters.nacos.wire.payload import encode

REQUEST = Request("GET", "/nacos/v1/ns/instance/list", "", (), b"", "10.0.0.1")
MESSAGE = encode("ServiceQueryRequest", b"{}")


class Later:
    """A scheduler that runs what is due when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.waiting.append((seconds, call))

    def run(self) -> None:
        due, self.waiting = self.waiting, []
        for _, call in due:
            call()


def world() -> tuple[Later, TooMany]:
    scheduler: Any = Later()
    return scheduler, TooMany(scheduler)


def test_a_refusal_is_held_back_for_a_second():
    scheduler, refusing = world()
    told: list[Any] = []
    refusing.http(REQUEST, Excess.API).then(told.append)  # type: ignore[union-attr]
    refusing.request(MESSAGE, Excess.API).then(told.append)  # type: ignore[union-attr]
    assert [seconds for seconds, _ in scheduler.waiting] == [HELD_S, HELD_S] == [1.0, 1.0]
    assert (told, refusing.held) == ([], 2)
    scheduler.run()
    assert told[0].status == 503
    assert b"over limit of the request" in told[1]
    assert refusing.held == 0


def test_of_a_flood_only_so_many_are_held():
    scheduler, refusing = world()
    told: list[Any] = []
    for _ in range(MOST_HELD):
        refusing.http(REQUEST, Excess.ADDRESS).then(told.append)  # type: ignore[union-attr]
    at_once = refusing.http(REQUEST, Excess.ADDRESS)
    assert isinstance(at_once, Response)
    assert at_once.status == 503
    assert isinstance(refusing.request(MESSAGE, Excess.ADDRESS), bytes)
    scheduler.run()
    assert len(told) == MOST_HELD
    assert not isinstance(refusing.http(REQUEST, Excess.ADDRESS), Response)


def test_who_left_is_not_waited_for():
    scheduler, refusing = world()
    told: list[Any] = []
    for held in (refusing.http(REQUEST, Excess.API), refusing.request(MESSAGE, Excess.API)):
        held.then(told.append)  # type: ignore[union-attr]
        held.abandon()  # type: ignore[union-attr]
        held.abandon()  # type: ignore[union-attr]
    assert refusing.held == 0
    scheduler.run()
    assert (told, refusing.held) == ([], 0)
