"""Probes that say something: which answers are well, over a connection and in datagrams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from test_probes import check, closed_port, find, probes, serving

from polaris_bridge.adapters._shared.checks import HTTP, TCP_TALK, UDP_TALK
from polaris_bridge.core.model import CRITICAL, PASSING
from polaris_bridge.runtime.probes import Probes

__all__ = ["closed_port", "probes"]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers in two pieces what it was sent, and stays."""
    heard = await reader.read(100)
    writer.write(heard[:1])
    await writer.drain()
    writer.write(heard[1:])
    await reader.read()


async def goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hangs up."""
    await reader.read(100)
    writer.write(b"bye")


class TestTcp:
    @pytest.mark.parametrize(
        ("receive", "state"),
        [((b"hi",), PASSING), ((b"no", b"hi"), PASSING), ((), PASSING), ((b"hi!",), CRITICAL)],
    )
    async def test_what_may_come_back(self, probes: Probes, receive: tuple[bytes, ...], state: str) -> None:
        async with serving(echo) as port:
            assert (await find(probes, check(TCP_TALK, port, send=b"hi", receive=receive))).state == state

    async def test_another_answer(self, probes: Probes) -> None:
        async with serving(goodbye) as port:
            found = await find(probes, check(TCP_TALK, port, send=b"hi", receive=(b"hi",)))
        assert (found.state, found.why) == (CRITICAL, "another answer than wanted: 3 bytes")


class _Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data != b"silence":
            self.transport.sendto(data, addr)


@asynccontextmanager
async def datagrams() -> AsyncIterator[int]:
    """Who echoes datagrams; the port."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(_Echo, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


class TestUdp:
    @pytest.mark.parametrize(
        ("send", "receive", "state"),
        [(b"hi", (b"hi",), PASSING), (b"hi", (), PASSING), (b"hi", (b"ho",), CRITICAL), (b"silence", (), CRITICAL)],
    )
    async def test_what_may_come_back(
        self, probes: Probes, send: bytes, receive: tuple[bytes, ...], state: str
    ) -> None:
        async with datagrams() as port:
            assert (await find(probes, check(UDP_TALK, port, send=send, receive=receive))).state == state

    async def test_a_refusal(self, probes: Probes, closed_port: int) -> None:
        assert (await find(probes, check(UDP_TALK, closed_port, send=b"hi"))).state == CRITICAL


async def test_an_answer_over_http_has_its_status_as_a_code(probes: Probes) -> None:
    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\n\r\n")

    async with serving(busy) as port:
        assert (await find(probes, check(HTTP, port))).code == "503"
