"""One contract for every connector: what is written comes back as it was said to come back, and every outcome is told."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec import structs

from polaris_bridge import testing
from polaris_bridge.core.model import Location, ServiceKey
from polaris_bridge.migration.connectors.here import Here
from polaris_bridge.migration.connectors.kinds import connect
from polaris_bridge.migration.engine.diff import CREATE, DELETE, UPDATE, Copy, Step, differences, export
from polaris_bridge.migration.engine.reduce import expressed
from polaris_bridge.migration.model import (
    CONSUL,
    EUREKA,
    HERE,
    NACOS,
    POLARIS,
    Instance,
    LeaseTerms,
    Origin,
    Record,
    RegistryEntry,
    Task,
)
from polaris_bridge.migration.ports import Connector, Unreachable, Unusable
from polaris_bridge.testing import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = (HERE, EUREKA, NACOS, CONSUL, POLARIS)
NUMBERS = itertools.count()
TASK = Task(id="t", source="far", target="there")
LEASE = LeaseTerms()

INSTANCES = (
    Instance("10.0.0.1", 80),
    Instance("10.0.0.2", 80, weight=200, metadata={"a.b": "1", "zone": "z1"}, location=Location("r", "z1", "c")),
    Instance("10.0.0.3", 80, enabled=False, tags=("blue", "k=v"), cluster="c1", version="2"),
    Instance("10.0.0.4", 443, protocol="https", metadata={"x": "中文"}),
    Instance("10.0.0.5", 80, healthy=False),
    Instance("10.0.0.6", 80, weight=0),
)


def address(kind: str, running: Running) -> str:
    """Where a server answers as a registry of a kind."""
    return {
        EUREKA: running.eureka,
        NACOS: f"http://{running.nacos}",
        CONSUL: f"http://{running.consul}",
        POLARIS: running.front,
    }[kind]


def connector_to(kind: str, running: Running) -> Connector:
    """A connector to a server, as a registry of a kind."""
    if kind == HERE:
        return Here(running.server.registry)
    entry = RegistryEntry(id="there", kind=kind, addresses=(address(kind, running),), poll_s=0.01)
    return connect(entry, "", lambda: time.time_ns() // 1_000_000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def elsewhere() -> AsyncIterator[Running]:
    """One server for all, for each test takes a service of its own."""
    async with testing.server() as running:
        yield running


@pytest_asyncio.fixture(params=KINDS, loop_scope="module")
async def connector(request: pytest.FixtureRequest, elsewhere: Running) -> AsyncIterator[Connector]:
    made = connector_to(request.param, elsewhere)
    yield made
    await made.close()


@pytest.fixture
def service() -> ServiceKey:
    """A service that no other test has; every other one has a group."""
    number = next(NUMBERS)
    return ServiceKey("default", f"g1__a{number}" if number % 2 else f"Orders{number}")


def copies(connector: Connector, service: ServiceKey, instances: tuple[Instance, ...] = INSTANCES) -> tuple[Copy, ...]:
    """What a task would write there."""
    records = [Record(f"id-{i.host}", i) for i in instances]
    return export(records, service, TASK, EUREKA, connector.can).copies


async def write(connector: Connector, service: ServiceKey, wanted: tuple[Copy, ...]) -> list[Step]:
    """Do what is to be done; what was done."""
    held = await connector.held([service], TASK.source)
    steps = differences(wanted, held.get(service, ()), service, TASK, shadows=connector.shadows)
    written = await connector.write(steps, TASK.id, LEASE)
    assert [w.error for w in written] == [None] * len(steps)
    return steps


async def test_it_answers(connector: Connector) -> None:
    assert (await connector.probe()).address


async def test_what_is_written_comes_back_and_needs_no_second_writing(
    connector: Connector, service: ServiceKey
) -> None:
    wanted = copies(connector, service)
    steps = await write(connector, service, wanted)
    assert [s.action for s in steps] == [CREATE] * len(INSTANCES)
    found = (await connector.held([service], TASK.source))[service]
    assert {r.origin: r.instance for r in found} == {c.origin: c.instance for c in wanted}
    assert await write(connector, service, wanted) == []


async def test_readers_see_copies_as_copies(connector: Connector, service: ServiceKey) -> None:
    wanted = copies(connector, service, INSTANCES[:1])
    await write(connector, service, wanted)
    (record,) = (await connector.read())[service]
    assert record.origin == Origin(EUREKA, "far", "id-10.0.0.1", ("far",))
    assert not record.native
    assert expressed(record.instance, connector.can) == wanted[0].instance


async def test_every_field_changes_and_changes_back(connector: Connector, service: ServiceKey) -> None:
    before = Instance("10.0.0.1", 80, metadata={"a": "1", "b": "2"})
    changed = (
        structs.replace(before, metadata={"a": "1"}),
        structs.replace(before, metadata={"a": "9", "b": "2", "c": "3"}),
        structs.replace(before, weight=300),
        structs.replace(before, enabled=False),
        structs.replace(before, tags=("t",)),
    )
    await write(connector, service, copies(connector, service, (before,)))
    for after in changed:
        for instance in (after, before):
            wanted = copies(connector, service, (instance,))
            await write(connector, service, wanted)
            (record,) = (await connector.held([service], TASK.source))[service]
            assert record.instance == wanted[0].instance


async def test_a_copy_that_moves_leaves_nothing_behind(connector: Connector, service: ServiceKey) -> None:
    record = Record("same", Instance("10.0.0.1", 80))
    await write(connector, service, export([record], service, TASK, EUREKA, connector.can).copies)
    moved = structs.replace(record, instance=Instance("10.0.0.2", 80))
    steps = await write(connector, service, export([moved], service, TASK, EUREKA, connector.can).copies)
    assert [s.action for s in steps] == [UPDATE]
    (found,) = (await connector.held([service], TASK.source))[service]
    assert found.instance.host == "10.0.0.2"


async def test_what_is_removed_is_gone_and_may_be_removed_again(connector: Connector, service: ServiceKey) -> None:
    await write(connector, service, copies(connector, service, INSTANCES[:2]))
    first, second = (await connector.held([service], TASK.source))[service]
    step = Step(DELETE, service, record=first)
    for _ in range(2):
        (written,) = await connector.write([step], TASK.id, LEASE)
        assert (written.record, written.error) == (None, None)
    (left,) = (await connector.held([service], TASK.source))[service]
    assert left == second


async def test_signs_of_life_tell_which_copies_are_unknown(connector: Connector, service: ServiceKey) -> None:
    await write(connector, service, copies(connector, service, INSTANCES[:2]))
    held = [(service, r) for r in (await connector.held([service], TASK.source))[service]]
    assert await connector.renew(held) == []
    await connector.write([Step(DELETE, service, record=held[0][1])], TASK.id, LEASE)
    unknown = await connector.renew(held)
    for _ in range(5):  # Polaris takes a few heartbeats before it says that it does not know
        unknown = unknown or await connector.renew(held)
    assert unknown == (held[:1] if connector.renew_s(LEASE) else [])


async def test_changes_are_told_with_the_whole_service(connector: Connector, service: ServiceKey) -> None:
    await write(connector, service, copies(connector, service, INSTANCES[:2]))
    await connector.read()
    other = structs.replace(TASK, id="u", source="farther")
    record = Record("new", Instance("10.0.0.9", 80))
    added = export([record], service, other, EUREKA, connector.can).copies
    await connector.write([Step(CREATE, service, added[0])], "u", LEASE)
    changes = await connector.changes()
    while not changes.services:
        changes = await connector.changes()
    assert {r.instance.host for r in changes.services[service]} == {"10.0.0.1", "10.0.0.2", "10.0.0.9"}
    (gone,) = [r for r in changes.services[service] if r.instance.host == "10.0.0.9"]
    await connector.write([Step(DELETE, service, record=gone)], "u", LEASE)
    changes = await connector.changes()
    while not changes.services:
        changes = await connector.changes()
    assert {r.instance.host for r in changes.services[service]} == {"10.0.0.1", "10.0.0.2"}


@pytest.mark.parametrize("kind", KINDS[1:])
async def test_a_registry_that_is_away_is_unreachable(kind: str, unused_tcp_port: int) -> None:
    entry = RegistryEntry(id="x", kind=kind, addresses=(f"http://127.0.0.1:{unused_tcp_port}",), timeout_s=1)
    connector = connect(entry, "", lambda: 0)
    with pytest.raises(Unreachable, match=str(unused_tcp_port)):
        await connector.read()
    await connector.close()


@pytest.mark.parametrize("kind", KINDS[1:])
async def test_what_is_another_protocol_is_unusable(kind: str, elsewhere: Running) -> None:
    entry = RegistryEntry(id="x", kind=kind, addresses=(f"{elsewhere.front}/livez?",), timeout_s=1)
    connector = connect(entry, "", lambda: 0)
    with pytest.raises((Unusable, Unreachable, Exception)) as raised:
        await connector.read()
    assert type(raised.value).__module__ == "polaris_bridge.migration.ports"
    await connector.close()
