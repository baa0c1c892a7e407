"""All Nacos clients lose their connections at one moment and come back at another: everybody is let in, nobody sees a gap.

1,000 clients; ``SOAK_FACTOR`` makes it 5,000.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from child import Child
from nacos_light import Client, allow_files, leave, until

FACTOR = int(os.environ.get("SOAK_FACTOR", "1"))
CLIENTS = {"native": 1000 if FACTOR == 1 else 5000, "grpcio": 200 if FACTOR == 1 else 5000}
MEMBERS = 50
"""Instances of one service."""
BACK_S = 30.0
"""So long may it take until all are back."""
PER_CLIENT = {"native": 40_000, "grpcio": 150_000}
"""Bytes that a client, its instance and its subscription may cost in a storm: it is double what they cost in peace."""

REF = re.compile(rb'"lastRefTime":(\d+)')

Start = Callable[..., Child]


@pytest.fixture(params=["native", "grpcio"])
def transport(request: pytest.FixtureRequest) -> str:
    """Each of them."""
    return str(request.param)


@pytest.fixture
def start(tmp_path: Path, transport: str) -> Iterator[Start]:
    """Starts children in one folder; none outlives the test, and none of them ever shows a traceback."""
    children: list[Child] = []
    allow_files(2 * max(CLIENTS.values()) + 1000)

    def begin(**options: Any) -> Child:
        children.append(Child(tmp_path / "server", f"apiservers.service-nacos.option.transport={transport}", **options))
        return children[-1]

    yield begin
    for child in children:
        child.end(signal.SIGKILL)
    if children:
        assert "Traceback" not in children[0].output


@pytest.fixture(autouse=True)
async def cut() -> AsyncIterator[None]:
    """No connection outlives its test."""
    yield
    await leave()


def resident(child: Child) -> int:
    """Bytes."""
    fields = Path(f"/proc/{child.process.pid}/statm").read_text("ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def registered(child: Child) -> float:
    """Registrations by Nacos clients."""
    found = child.metrics().items()
    return sum(n for name, n in found if name.startswith("polaris_bridge_instances{") and 'source="nacos"' in name)


class Member:
    """A program: it publishes itself in one service and reads the next one."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        self.fleet = fleet
        self.own = f"storm-{number // MEMBERS}"
        self.wanted = f"storm-{(number // MEMBERS + 1) % (fleet.size // MEMBERS)}"
        self.ip = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        self.shown = 0
        """Instances in the newest list that it has."""
        self.ref = 0
        """And what time that list is of."""
        self.client: Client | None = None

    async def come(self, port: int) -> None:
        """Connect, set up, register, subscribe. Raises whatever is refused."""
        client = self.client = await Client.arrived(port, self.pushed)
        await client.register(self.own, self.ip, 8080)
        info = await client.subscribe(self.wanted)
        self.see(len(info["hosts"]), info["lastRefTime"])

    def pushed(self, body: bytes) -> None:
        found = REF.search(body)
        assert found is not None
        self.see(body.count(b'"instanceId":'), int(found[1]))

    def see(self, count: int, ref: int) -> None:
        """A list, unless it is older than the one that is known: real clients look at the same member."""
        if ref < self.ref:
            return
        self.ref = ref
        if self.fleet.complete and count < self.shown:
            self.fleet.least = min(self.fleet.least, count)
        self.shown = count


class Fleet:
    """All of them, in one process."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.complete = False
        self.least = MEMBERS
        """Instances in the shortest list that anybody was told who had a longer one."""
        self.members = [Member(self, number) for number in range(size)]

    async def come(self, port: int) -> float:
        """All at once; seconds until the last is back and everybody has the whole list."""
        began = time.monotonic()
        await asyncio.gather(*(member.come(port) for member in self.members))
        back = time.monotonic() - began
        await until(lambda: all(m.shown == MEMBERS for m in self.members), BACK_S, "everybody knows everybody")
        self.complete = True
        return back

    async def gone(self) -> None:
        """Everybody knows that the connection is over."""
        await asyncio.gather(*(member.client.over for member in self.members if member.client is not None))


async def listening(port: int) -> None:
    """Until somebody can connect."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


@pytest.mark.timeout(240)
async def test_after_a_kill_all_come_back_at_once(start: Start, transport: str) -> None:
    child = start()
    fleet = Fleet(CLIENTS[transport])
    first_s = await fleet.come(child.nacos + 1000)
    in_peace = resident(child)

    child.send(signal.SIGKILL)
    await fleet.gone()
    child.process.wait()
    child = start(nacos=child.nacos, ready=False)
    await asyncio.wait_for(listening(child.nacos + 1000), 30)
    back_s = await fleet.come(child.nacos + 1000)
    print(
        f"{transport}: {fleet.size} clients came in {first_s:.1f} s, came back in {back_s:.1f} s, the shortest list had "
        f"{fleet.least} of {MEMBERS}; {in_peace / 1e6:.0f} MB before, {resident(child) / 1e6:.0f} MB after"
    )
    assert back_s < BACK_S
    assert fleet.least == MEMBERS, "what was registered before waits for its client"
    assert resident(child) < in_peace + fleet.size * PER_CLIENT[transport] / 2
    assert registered(child) == fleet.size, "nobody is there twice"


@pytest.mark.timeout(240)
async def test_resets_of_all_connections_at_once(start: Start, transport: str) -> None:
    """One instance of each service, and its subscriber, stays."""
    if (FACTOR, transport) == (1, "grpcio"):
        pytest.skip("the adapter does the same on both, which the kill shows; make soak")
    child = start()
    port = child.nacos + 1000
    empty = resident(child)
    fleet = Fleet(CLIENTS[transport])
    await fleet.come(port)
    told: dict[str, list[int]] = {}
    stayed = []
    for member in fleet.members[::MEMBERS]:
        lists = told[member.wanted] = []
        standing = await Client.arrived(port, lambda body, lists=lists: lists.append(body.count(b'"instanceId":')))
        await standing.register(member.own, member.ip, 9090)
        await standing.subscribe(member.wanted)
        stayed.append(standing)
    in_peace = resident(child)
    slowest = 0.0
    for _ in range(1 if FACTOR == 1 else 2):
        fleet.complete = False
        for member in fleet.members:
            assert member.client is not None
            member.client.reset()
            member.shown = 0
        began = time.monotonic()
        await asyncio.gather(*(member.come(port) for member in fleet.members))
        slowest = max(slowest, time.monotonic() - began)
        await until(lambda: all(m.shown == MEMBERS + 1 for m in fleet.members), BACK_S, "everybody knows everybody")
    await until(lambda: all(lists[-1] == MEMBERS + 1 for lists in told.values()), BACK_S, "who stayed knows it too")
    least = min(count for lists in told.values() for count in lists)
    print(
        f"{transport}: {fleet.size} clients came back in {slowest:.1f} s, who stayed was told of {least} at least; "
        f"{empty / 1e6:.0f} MB empty, {in_peace / 1e6:.0f} MB in peace, {resident(child) / 1e6:.0f} MB after all"
    )
    assert slowest < BACK_S
    assert least > 0
    assert not any(client.over.done() for client in stayed)
    assert resident(child) < empty + fleet.size * PER_CLIENT[transport]


async def test_thousands_of_calls_at_once_are_all_answered(start: Start) -> None:
    """As many as come in the first moment of a storm; grpcio would turn away what is more than a thousand."""
    child = start()
    clients = [await Client.arrived(child.nacos + 1000) for _ in range(5)]
    answers = await asyncio.gather(*(client.ask("HealthCheckRequest", {}) for client in clients for _ in range(900)))
    assert {answer["resultCode"] for answer in answers} == {200}
