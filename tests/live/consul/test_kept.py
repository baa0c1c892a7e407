"""The server goes down, by SIGTERM or ``kill -9``: nothing is lost, watches go on by themselves, and nobody asks in haste."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest

from ..server import Server
from ..waiting import until
from .conftest import RUN, needed
from .members import CLIENTS, PROMETHEUS, Fleet, Member
from .names import Resolver
from .registry import Document, Registry
from .telling import Watch, of_ports

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]
FIRST, SECOND, LATER = 8001, 8002, 8003
RECOVERS_WITHIN_S = 30
"""Libraries ask again after some time, Prometheus after 15 s."""
QUIET_S = 3.0


@dataclass(frozen=True)
class House:
    """A server of the test's own, with every library at work."""

    server: Server
    registry: Registry
    names: Resolver
    members: list[Member]
    prometheus: Member


@pytest.fixture(params=[signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def ending(request: pytest.FixtureRequest) -> signal.Signals:
    """How the server ends."""
    chosen: signal.Signals = request.param
    return chosen


@pytest.fixture
def house(tmp_path: Path, buildable: dict[str, str]) -> Iterator[House]:
    for client in (*CLIENTS.values(), PROMETHEUS):
        needed(client, buildable)
    server = Server(tmp_path, "service-consul")
    server.start()
    fleet = Fleet("127.0.0.1", server.port, tmp_path)
    registry = Registry(f"http://127.0.0.1:{server.port}")
    try:
        fleet.muster([*CLIENTS.values(), PROMETHEUS])
        residents = [fleet[client] for client in CLIENTS.values()]
        yield House(server, registry, Resolver("127.0.0.1", server.dns_port), residents, fleet[PROMETHEUS])
    finally:
        registry.close()
        fleet.close()
        server.close()


def test_everything_is_kept_and_watches_go_on(house: House, ending: signal.Signals) -> None:
    registry, service, key = house.registry, f"kept-{RUN}", f"live/kept-{RUN}"
    registry.register(service, FIRST, Tags=["a"], Meta={"stage": "live"}, Weights={"Passing": 5, "Warning": 1})
    registry.register(service, SECOND, Check={"TTL": "600s", "Status": "passing", "Notes": "kept"})
    registry.put(key, "before", flags=7)
    session = registry.session(TTL="600s", Name="kept", Behavior="delete")
    assert registry.put(f"{key}/lock", "held", acquire=session)
    query = registry._http.post("/query", json={"Name": f"q-{service}", "Service": {"Service": service}})
    assert query.status_code == 200
    services = [Watch(member, service=service) for member in house.members]
    keys = [Watch(member, key=key) for member in house.members]
    for watch in services:
        watch.hears(of_ports({FIRST, SECOND}), "both are there")
    until(lambda: len(targets(house, service)) == 2, RECOVERS_WITHIN_S, "Prometheus has both")
    before = state(registry, service, key)

    # The last moment: answered, so it is kept.
    registry.put(f"{key}/last", "moment")
    assert house.server.end(ending) == (0 if ending == signal.SIGTERM else -signal.SIGKILL)
    for watch in services + keys:
        watch.skip()
    house.server.start()

    assert registry.entry(f"{key}/last")["Value"] == "moment"  # type: ignore[index]
    assert state(registry, service, key) == before
    assert [one["ID"] for one in registry.read(f"session/info/{session}")] == [session]
    assert registry.entry(f"{key}/lock")["Session"] == session  # type: ignore[index]
    assert house.names.places(service) == {FIRST, SECOND}

    registry.register(service, LATER)
    registry.put(key, "after")
    for watch in services:
        told = watch.hears(of_ports({FIRST, SECOND, LATER}), "a third came", RECOVERS_WITHIN_S)
        lists = [{one["port"] for one in change["instances"]} for change in watch.all()]
        since = lists.index({FIRST, SECOND})
        assert all({FIRST, SECOND} <= ports for ports in lists[since:]), f"{watch.member.name} was told of less"
        assert told["instances"]
    for watch in keys:
        watch.hears(lambda change: (change["entry"] or {}).get("value") == "after", "a new value", RECOVERS_WITHIN_S)
    until(lambda: len(targets(house, service)) == 3, RECOVERS_WITHIN_S, "Prometheus has the third")
    assert_nobody_hurries(house)

    registry._http.put(f"/session/destroy/{session}")
    assert registry.entry(f"{key}/lock") is None
    registry.deregister(service, FIRST)
    for watch in services:
        watch.hears(of_ports({SECOND, LATER}), "the first is gone")
        watch.close()


def targets(house: House, service: str) -> list[Document]:
    found: list[Document] = house.prometheus.ask("targets", service=service)["targets"]
    return found


def state(registry: Registry, service: str, key: str) -> Document:
    """What a restart must not change: everything but the numbers of revisions, which may move with what the start writes."""
    entry = registry.entry(key)
    assert entry is not None
    entries = registry.entries(service)
    for one in entries.values():
        for part in (one["Node"], one["Service"], *one["Checks"]):
            part.pop("ModifyIndex", None)
            part.pop("CreateIndex", None)
    return {
        "key": entry,
        "entries": entries,
        "nodes": sorted(one["Node"] for one in registry.read("catalog/nodes")),
        "query": registry.read(f"query/q-{service}/execute")["Service"],
        "agent": sorted(registry.read("agent/services")),
    }


def assert_nobody_hurries(house: House) -> None:
    """Nothing changes for a while: whoever waits, waits in the server. One answer each may be under way."""
    relays = {member.name: member.relay for member in [*house.members, house.prometheus]}
    until(lambda: quiet(house), RECOVERS_WITHIN_S, "nobody asks for a while")
    before = {name: len(relay.exchanges) for name, relay in relays.items()}
    url = f"http://127.0.0.1:{house.server.port}/v1/kv/live/nothing-{RUN}?index={2**52}&wait={QUIET_S:g}s"
    answer = httpx.get(url, timeout=4 * QUIET_S)
    assert answer.elapsed.total_seconds() >= QUIET_S, (answer.status_code, answer.headers, answer.text)
    for name, relay in relays.items():
        asked = [one.target for one in relay.exchanges[before[name] :]]
        assert len(asked) <= 2, (name, asked)


def quiet(house: House) -> bool:
    relays = [member.relay for member in [*house.members, house.prometheus]]
    counts = [len(relay.exchanges) for relay in relays]
    ended = time.monotonic() + 1
    until(lambda: time.monotonic() > ended, 2, "a second is over")
    return counts == [len(relay.exchanges) for relay in relays]


def test_who_beats_and_who_does_not(house: House, ending: signal.Signals) -> None:
    """Checks go on after the restart: who told in time passes, and turns critical when it does not go on."""
    service = f"beats-{RUN}"
    member = house.members[0]
    instance_id = member.register(service, ttl="4s", status="passing")
    alive = house.server.port
    member.register(service, alive, tcp=f"127.0.0.1:{alive}", interval="1s", status="passing")
    house.server.end(ending)
    house.server.start()
    assert house.registry.statuses(service)[member.port] == "passing"
    member.ask("check", id=f"service:{instance_id}", status="warning")
    assert house.registry.statuses(service)[member.port] == "warning"
    until(
        lambda: house.registry.statuses(service) == {member.port: "critical", alive: "passing"},
        RECOVERS_WITHIN_S,
        "silent: critical; the probed one passes",
    )


@pytest.mark.parametrize("ending", [signal.SIGKILL], ids=["kill"], indirect=True)
def test_sessions_end_after_a_restart_too(house: House, ending: signal.Signals) -> None:
    key = f"live/ends-{RUN}"
    session = house.registry.session(TTL="10s", Behavior="delete", LockDelay="1ms")
    assert house.registry.put(key, "held", acquire=session)
    house.server.end(ending)
    house.server.start()
    assert house.registry.entry(key)["Session"] == session  # type: ignore[index]
    until(partial(is_gone, house.registry, key), 25, "nobody renewed it")


def is_gone(registry: Registry, key: str) -> bool:
    return registry.entry(key) is None
