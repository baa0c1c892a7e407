"""An answer that may take long is told when nobody waits for it any more."""

from __future__ import annotations

import asyncio
from socket import SO_LINGER, SOL_SOCKET
from struct import pack

from polaris_bridge.adapters._shared.exchange import Response

GET = "GET /parked HTTP/1.1\r\nHost: h\r\n\r\n"


class Parking:
    """An answer that never comes by itself."""

    def __init__(self) -> None:
        self.reply = None
        self.abandoned = 0

    def then(self, reply):
        self.reply = reply

    def abandon(self) -> None:
        self.abandoned += 1


def reset(client) -> None:
    """End the connection so that the other side knows that nobody reads any more."""
    socket = client.writer.get_extra_info("socket")
    socket.setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
    client.writer.transport.abort()


async def test_the_client_hangs_up(bench, hot, until):
    parked = Parking()
    listener = await bench.listen(lambda _request: parked, hot=hot)
    client = await bench.connect(listener)
    await client.send(GET)
    await until(lambda: parked.reply)
    assert not parked.abandoned
    reset(client)
    await until(lambda: parked.abandoned)
    parked.reply(Response(200))
    assert parked.abandoned == 1


async def test_the_client_closes_its_side_and_is_gone(bench, hot, until):
    parked = Parking()
    listener = await bench.listen(lambda _request: parked, hot=hot)
    client = await bench.connect(listener)
    await client.send(GET)
    await until(lambda: parked.reply)
    client.writer.transport.abort()
    while not parked.abandoned:  # it may still read: it has a few seconds
        await bench.pass_time(listener, 1)
        await asyncio.sleep(0)
    assert 3 < bench.clock.now - 1000 < 600


async def test_an_answer_that_came_is_not_abandoned(bench, hot, until):
    parked = [Parking(), Parking()]
    waiting = iter(parked)
    listener = await bench.listen(lambda _request: next(waiting), hot=hot)
    client = await bench.connect(listener)
    for one in parked:
        await client.send(GET)
        await until(lambda one=one: one.reply)
        one.reply(Response(200, b"there"))
        assert (await client.answer()).body == b"there"
    client.writer.transport.abort()
    await until(lambda: listener.counters().connections_open == 0)
    assert [one.abandoned for one in parked] == [0, 0]
