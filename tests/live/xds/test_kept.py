"""The server goes down and comes again under connected clients: calls go on meanwhile, and changes are followed afterwards."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..conftest import build
from ..polaris.console import Console
from ..server import Server
from ..waiting import until
from . import programs
from .backends import GrpcBackend, HttpBackend
from .callers import CONNECTS_WITHIN_S, Caller
from .conftest import muster
from .sidecar import Sidecar

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]
COMES_BACK_WITHIN_S = 40
"""Libraries wait up to some 20 s between two tries."""


@dataclass(frozen=True)
class House:
    """A server of the test's own, with every library and an Envoy of each kind at work."""

    server: Server
    console: Console
    callers: list[Caller]
    sidecars: list[Sidecar]


@pytest.fixture(params=[signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def ending(request: pytest.FixtureRequest) -> signal.Signals:
    """How the server ends."""
    chosen: signal.Signals = request.param
    return chosen


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    for program in (*programs.CALLERS.values(), programs.ENVOY):
        build(program)
    server = Server(tmp_path, "xds-v3")
    server.start()
    console = Console(f"http://127.0.0.1:{server.http_port}")
    sidecars = [Sidecar(f"web-{style}", server.port, tmp_path / style, style=style) for style in ("sotw", "delta")]
    callers: list[Caller] = []
    try:
        callers += muster(list(programs.CALLERS), server.port, tmp_path).values()
        for one in sidecars:
            one.start()
        yield House(server, console, callers, sidecars)
    finally:
        for caller in callers:
            caller.talker.close()
        for one in sidecars:
            one.close()
        console.close()
        server.close()


def test_calls_go_on_and_changes_are_followed(
    house: House,
    ending: signal.Signals,
    grpc_backend: Callable[[str], GrpcBackend],
    http_backend: Callable[[str], HttpBackend],
) -> None:
    console = house.console
    console.register("rpc", grpc_backend("first").port)
    console.register("http", http_backend("first").port)
    for caller in house.callers:
        caller.reaches("xds:///rpc.default", {"first"}, CONNECTS_WITHIN_S)
    for sidecar in house.sidecars:
        sidecar.reaches("http", {"first"}, CONNECTS_WITHIN_S)

    assert house.server.end(ending) == (0 if ending == signal.SIGTERM else -signal.SIGKILL)
    all_are_answered(house, {"first"})
    house.server.start()
    all_are_answered(house, {"first"})

    console.register("rpc", grpc_backend("second").port)
    console.register("http", http_backend("second").port)
    both = {"first", "second"}
    for caller in house.callers:
        until(lambda c=caller: answered(c, both), COMES_BACK_WITHIN_S, f"{caller.name} calls both")  # type: ignore[misc]
    for sidecar in house.sidecars:
        sidecar.reaches("http", both, COMES_BACK_WITHIN_S)
        assert sidecar.complaints() == []


def answered(caller: Caller, names: set[str]) -> bool:
    """Whether these answer; nobody else, and no failure, ever."""
    outcome = caller.call("xds:///rpc.default", 10)
    assert outcome.failures == {}, (caller.name, outcome)
    return outcome.names == names


def all_are_answered(house: House, names: set[str]) -> None:
    for caller in house.callers:
        assert answered(caller, names), caller.name
    for sidecar in house.sidecars:
        assert sidecar.call("http", 10).names == names
