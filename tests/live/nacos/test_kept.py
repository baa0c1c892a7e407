"""The server goes down, connections break, the network is silent: no registration is lost, nobody is told of an empty list."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ..server import Server
from ..waiting import until
from .conftest import RUN
from .members import NOTICES_WITHIN_S, RECOVERS_WITHIN_S, Member
from .registry import HOST, Document, Registry
from .telling import Watch

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

ANCHOR, PERSISTENT, LAST_MOMENT, LATER = 8009, 8010, 8011, 8012
BATCH = {8001, 8002}
KEPT_S = 45
"""How long the server keeps what a connection of its former process held."""
SILENCE_S = 10


@dataclass(frozen=True)
class Fellowship:
    """Every member is registered for one service and watches it."""

    service: str
    ports: frozenset[int]
    watches: list[Watch]

    def missed(self) -> list[tuple[str, int, set[str]]]:
        """Who was told when (ms of the epoch) that which others are not there, after having been told of all."""
        names = {ANCHOR: "anchor", **{watch.member.port: watch.member.name for watch in self.watches}}
        found = []
        for watch in self.watches:
            changes = watch.all()
            if watch.member.client.told_lists:
                whole = next(at for at, change in enumerate(changes) if self.ports <= ports_of(change))
                lists = [(change["at"], self.ports - ports_of(change)) for change in changes[whole:]]
            else:  # one event for each instance
                lists = [(change["at"], ports_of(change)) for change in changes if change["event"] == "DELETED"]
            found += [(watch.member.name, at, {names[port] for port in less}) for at, less in lists if less]
        return found


def ports_of(change: Document) -> set[int]:
    return {one["port"] for one in change["instances"]}


def hears(watch: Watch, port: int) -> None:
    """Somebody is told of an instance, or at least finds it."""
    until(
        lambda: (
            any(port in ports_of(change) for change in watch.all())
            if watch.member.client.told_for_ever
            else port in watch.member.instances(watch.service)
        ),
        RECOVERS_WITHIN_S,
        f"{watch.member.name} is told of {port}",
    )


def gathered(sdks: list[Member], registry: Registry, service: str) -> Fellowship:
    registry.register(service, ANCHOR)
    for member in sdks:
        member.register(service, metadata={"of": member.name})
    ports = frozenset({ANCHOR, *(member.port for member in sdks)})
    watches = [Watch(member, service) for member in sdks]
    for watch in watches:
        watch.member.sees(service, set(ports))
        if watch.member.client.told_lists:
            until(
                lambda watch=watch: watch.all() and ports <= ports_of(watch.all()[-1]),  # type: ignore[misc]
                NOTICES_WITHIN_S,
                f"{watch.member.name} is told of all",
            )
    return Fellowship(service, ports, watches)


def dissolve(fellowship: Fellowship) -> None:
    for watch in fellowship.watches:
        watch.close()
        until(
            lambda member=watch.member: (
                not member.refusal(  # type: ignore[misc]
                    "deregister", fellowship.service, ip="127.0.0.1", port=member.port
                )
            ),
            RECOVERS_WITHIN_S,
            f"{watch.member.name} deregisters",
        )


@pytest.fixture(scope="module", params=[signal.SIGTERM, signal.SIGKILL], ids=lambda ending: ending.name)
def ending(request: pytest.FixtureRequest) -> signal.Signals:
    chosen: signal.Signals = request.param
    return chosen


@pytest.fixture
def fellowship(request: pytest.FixtureRequest, sdks: list[Member], registry: Registry) -> Iterator[Fellowship]:
    name = request.node.name.removeprefix("test_").replace("_", "-").replace("[", ".").replace("]", "")
    together = gathered(sdks, registry, f"{name}.{RUN}"[:100])
    yield together
    dissolve(together)


def test_clients_go_on_across_a_restart(
    fellowship: Fellowship, ending: signal.Signals, server: Server, registry: Registry
) -> None:
    service = fellowship.service
    persistent = f"{service}.persistent"
    registry.register(persistent, PERSISTENT, ephemeral="false")
    registry.change(service, ANCHOR, weight=0.25, metadata={"override": "yes"})
    before = registry.instances(service)
    registry.register(service, LAST_MOMENT)  # answered, and then at once the end
    ended_ms = round(time.time() * 1000)
    exit_code = server.end(ending)
    server.start()
    restarted, ready_ms = time.monotonic(), round(time.time() * 1000)
    after = registry.instances(service)
    assert exit_code == {signal.SIGTERM: 0, signal.SIGKILL: -signal.SIGKILL}[ending]

    # Kept: everything that was acknowledged, up to the last moment, before any client came back.
    assert set(after) == {*before, LAST_MOMENT}
    assert {port: after[port] for port in before} == before
    assert set(registry.instances(persistent)) == {PERSISTENT}

    for watch in fellowship.watches:
        hears(watch, LAST_MOMENT)
    registry.register(service, LATER)
    for watch in fellowship.watches:
        hears(watch, LATER)
    if ending is signal.SIGKILL:  # both times would take long, and the same clients came back both times
        kept_s = restarted + KEPT_S + 5 - time.monotonic()
        until(lambda: time.monotonic() > restarted + KEPT_S + 5, kept_s + 1, "the former process's time is over")
    assert set(registry.ports(service)) == {*fellowship.ports, LAST_MOMENT, LATER}
    assert all(one["healthy"] for one in registry.instances(service).values())
    assert fellowship.missed() == [], f"the server ended at {ended_ms}, was ready at {ready_ms}"
    registry.deregister(persistent, PERSISTENT, ephemeral="false")


def test_clients_come_back_after_a_reset(fellowship: Fellowship, registry: Registry) -> None:
    """An instance goes with its connection and comes again with the next one, and so do batches; the others stay."""
    batching = [watch.member for watch in fellowship.watches if watch.member.client.batches]
    batches = {member: f"{fellowship.service}.{member.name}" for member in batching}
    for member, service in batches.items():
        member.ask("batch", service, instances=[{"ip": HOST, "port": port, "cluster": "DEFAULT"} for port in BATCH])
    for watch in fellowship.watches:
        watch.member.tunnel.reset()
    by_beats = {watch.member.port for watch in fellowship.watches if not watch.member.client.keeps_connection}
    assert {ANCHOR, *by_beats} <= registry.ports(fellowship.service)
    everybody_hears(fellowship, registry)
    for service in batches.values():
        until(lambda service=service: registry.ports(service) == BATCH, RECOVERS_WITHIN_S, f"{service} is whole")  # type: ignore[misc]
    for member, service in batches.items():
        if member.name == "go-2":  # has no call for the end of a batch
            member.deregister(service, min(BATCH))
        else:
            member.ask("drop", service, instances=[{"ip": HOST, "port": port, "cluster": "DEFAULT"} for port in BATCH])


def test_clients_outlast_a_silence(fellowship: Fellowship, registry: Registry) -> None:
    for watch in fellowship.watches:
        watch.member.tunnel.hold()
    silent_until = time.monotonic() + SILENCE_S
    held: list[set[int]] = []
    until(
        lambda: held.append(registry.ports(fellowship.service)) or time.monotonic() > silent_until,
        SILENCE_S + 5,
        "the silence is over",
    )
    assert all(ports == fellowship.ports for ports in held), "nobody is given up so soon"
    for watch in fellowship.watches:
        watch.member.tunnel.release()
    everybody_hears(fellowship, registry)


def everybody_hears(fellowship: Fellowship, registry: Registry) -> None:
    """Everybody is registered again, and is told of news."""
    until(
        lambda: registry.ports(fellowship.service) == fellowship.ports,
        RECOVERS_WITHIN_S,
        "everybody is registered",
    )
    registry.register(fellowship.service, LATER)
    for watch in fellowship.watches:
        hears(watch, LATER)
        watch.member.sees(fellowship.service, {*fellowship.ports, LATER}, RECOVERS_WITHIN_S)
    assert not any("anchor" in less for _, _, less in fellowship.missed())
