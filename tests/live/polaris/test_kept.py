"""The server goes down under load, politely and by force: nothing that it acknowledged is lost, and clients go on."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ..server import Server
from ..waiting import until
from .conftest import RUN
from .console import Console, Document
from .members import HOST, NOTICES_WITHIN_S, RECOVERS_WITHIN_S, TTL_S, Member
from .test_rules import ROUTINGS, route_rule

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

# What a new process may state anew.
MOVING = {"mtime"}


def forgot(member: Member, service: str) -> bool:
    """Whether a library will never again ask for the instances of a service, by its own log.

    polaris-java 2.1.0.0 loses that question when the connection breaks while it opens a stream on it: the timers of the
    stream's pool have ended already (``RejectedExecutionException``), and what failed so is not tried again.
    """
    log = member.folder / "polaris" / "logs" / "polaris.log"
    if not log.exists():
        return False
    meant = f"service='{service}'}}, eventType=INSTANCE"
    lines = log.read_text(errors="replace").splitlines()
    return any(
        "fail to run discover task" in line and meant in line and "RejectedExecutionException" in cause
        for line, cause in itertools.pairwise(lines)
    )


@dataclass
class Caller:
    """Somebody who asks one client for an instance again and again, and remembers what went wrong."""

    member: Member
    service: str
    calls: int = 0
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._stop.wait(0.02):
            told = self.member.refusal("one", service=self.service)
            self.calls += 1
            if told:
                self.failures.append(told)

    def __enter__(self) -> Caller:
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._stop.set()
        self._thread.join()


@dataclass(frozen=True)
class Restart:
    exit_code: int
    ending: signal.Signals
    service: str
    rule: str
    before: dict[int, Document]
    after: dict[int, Document]
    callers: dict[str, Caller]


@pytest.fixture(scope="module", params=[signal.SIGTERM, signal.SIGKILL], ids=lambda ending: ending.name)
def ending(request: pytest.FixtureRequest) -> signal.Signals:
    chosen: signal.Signals = request.param
    return chosen


@pytest.fixture
def restart(ending: signal.Signals, server: Server, sdks: list[Member], console: Console) -> Iterator[Restart]:
    """Each client registers, all of them are asked all the time, and the server is ended and started again."""
    service = f"kept-{ending.name.lower()}.{RUN}"
    ports = {member.name: 8001 + number for number, member in enumerate(sdks)}
    for member in sdks:
        own: dict[str, Any] = {"port": ports[member.name], "metadata": {"of": member.name}}
        member.ask("register", service=service, host=HOST, ttl=TTL_S, auto=True, **own)
    console.register(service, 8008)
    for member in sdks:
        until(
            lambda member=member: member.ports("instances", service) == {*ports.values(), 8008},  # type: ignore[misc]
            RECOVERS_WITHIN_S,
            f"{member.name} sees all",
        )
    callers = {member.name: Caller(member, service) for member in sdks}
    rule = console.add_rule(ROUTINGS, route_rule(f"{service}.ruled", "a", "b"))
    before = console.instances(service)
    console.register(service, 8009)  # answered, and then at once the end
    exit_code = server.end(ending)
    for caller in callers.values():
        caller.__enter__()
    server.start()
    after = console.instances(service)
    yield Restart(exit_code, ending, service, rule, before, after, callers)
    for caller in callers.values():
        caller.__exit__()
    for member in sdks:
        member.ask("deregister", service=service, host=HOST, port=ports[member.name])
    console.remove_rule(ROUTINGS, rule)


def test_clients_go_on_across_a_restart(restart: Restart, sdks: list[Member], console: Console) -> None:
    assert restart.exit_code == {signal.SIGTERM: 0, signal.SIGKILL: -signal.SIGKILL}[restart.ending]

    # Kept: everything that was acknowledged, up to the last moment.
    assert set(restart.after) == {*restart.before, 8009}
    for port, listed in restart.before.items():
        now = restart.after[port]
        assert {key: now[key] for key in listed.keys() - MOVING} == {key: listed[key] for key in listed.keys() - MOVING}
    assert restart.rule in {one["id"] for one in console.read(ROUTINGS, limit=100)["data"]}

    for member in sdks:
        # The last write before the end, which only the new process can tell.
        until(
            lambda member=member: (  # type: ignore[misc]
                8009 in member.ports("instances", restart.service) or forgot(member, restart.service)
            ),
            RECOVERS_WITHIN_S,
            f"{member.name} sees the last write",
        )
    console.register(restart.service, 8010)
    for member in sdks:
        until(
            lambda member=member: (  # type: ignore[misc]
                8010 in member.ports("instances", restart.service) or forgot(member, restart.service)
            ),
            NOTICES_WITHIN_S,
            f"{member.name} sees what comes after",
        )
    # Beats go on: nobody was lost, for longer than a lease without beats lasts.
    revisions = {port: one["revision"] for port, one in console.instances(restart.service).items()}
    asked = {name: caller.calls for name, caller in restart.callers.items()}
    until(lambda: all(caller.calls > asked[name] + 150 for name, caller in restart.callers.items()), 60, "calls go on")
    now = console.instances(restart.service)
    assert all(one["healthy"] for one in now.values())
    assert {port: one["revision"] for port, one in now.items()} == revisions
    for caller in restart.callers.values():
        assert caller.failures == []
