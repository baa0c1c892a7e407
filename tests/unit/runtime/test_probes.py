"""Probes: what counts as an answer, within which time, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing

import pytest
from msgspec import structs

from polaris_bridge.adapters._shared.checks import GRPC, H2PING, HTTP, MYSQL, TCP, TCP_TALK, UDP, UDP_TALK, WEB
from polaris_bridge.core.health import Check, Outcome
from polaris_bridge.core.model import CRITICAL, PASSING
from polaris_bridge.runtime.probes import Probes
from polaris_bridge.runtime.probes.http import request
from polaris_bridge.runtime.probes.mysql import MysqlProbes

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TIMEOUT_MS = 200


@pytest.fixture
async def probes() -> AsyncIterator[Probes]:
    found = Probes()
    yield found
    found.close()


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[int]:
    """A server of one conversation a connection; its port."""

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(whole, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def saying(answer: bytes, heard: list[bytes] | None = None) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(head)
        writer.write(answer)
        await writer.drain()

    return talk


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def find(probes: Probes, check: Check) -> Outcome:
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    probes.begin(check, answer.set_result)
    return await asyncio.wait_for(answer, 10)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """One that refuses: bound, so that nobody else gets it, and not listening."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """One whose backlog is full: a connection is neither accepted nor refused."""
    with closing(socket.socket()) as listener, closing(socket.socket()) as first, closing(socket.socket()) as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def check(kind: str, port: int, **changes: object) -> Check:
    return Check(kind, "127.0.0.1", port, timeout_ms=TIMEOUT_MS, **changes)  # type: ignore[arg-type]


def test_the_kinds_that_are_performed(probes: Probes) -> None:
    assert set(probes.kinds) == {TCP, HTTP, MYSQL, WEB, UDP, GRPC, H2PING, TCP_TALK, UDP_TALK}
    assert "script" not in probes.kinds


class TestEveryKind:
    @pytest.mark.parametrize("kind", [TCP, TCP_TALK, HTTP, MYSQL])
    async def test_a_refused_connection(self, probes: Probes, kind: str, closed_port: int) -> None:
        found = await find(probes, check(kind, closed_port))
        assert found.state == CRITICAL
        assert "refused" in found.why or "Connect" in found.why

    @pytest.mark.parametrize("kind", [TCP, TCP_TALK, HTTP, MYSQL])
    async def test_a_connection_that_nobody_accepts(self, probes: Probes, kind: str, deaf_port: int) -> None:
        began = time.monotonic()
        assert (await find(probes, check(kind, deaf_port))).state == CRITICAL
        assert time.monotonic() - began < 2

    @pytest.mark.parametrize("kind", [HTTP, MYSQL])
    async def test_somebody_who_accepts_and_says_nothing(self, probes: Probes, kind: str) -> None:
        async with serving(silent) as port:
            found = await find(probes, check(kind, port))
        assert found == Outcome(CRITICAL, f"no answer within {TIMEOUT_MS} ms")

    @pytest.mark.parametrize("kind", [TCP, HTTP, MYSQL])
    async def test_a_host_that_does_not_exist(self, probes: Probes, kind: str) -> None:
        found = await find(probes, Check(kind, "no.such.host.invalid", 80, timeout_ms=3000))
        assert found.state == CRITICAL

    @pytest.mark.parametrize("kind", [HTTP, MYSQL])
    async def test_cancelled_it_says_nothing_more(self, probes: Probes, kind: str) -> None:
        gone = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            began.set()
            await reader.read()
            gone.set()

        began = asyncio.Event()
        answers: list[Outcome] = []
        async with serving(talk) as port:
            slow = Check(kind, "127.0.0.1", port, timeout_ms=60_000)
            cancel = probes.begin(slow, answers.append)
            await asyncio.wait_for(began.wait(), 5)
            cancel()
            await asyncio.wait_for(gone.wait(), 5)
        assert answers == []

    async def test_cancelling_from_within_the_answer_is_harmless(self, probes: Probes) -> None:
        answered = asyncio.Event()
        cancels: list[Callable[[], None]] = []

        def done(_outcome: Outcome) -> None:
            cancels[0]()
            answered.set()

        async with serving(silent) as port:
            cancels.append(probes.begin(check(TCP, port), done))
            await asyncio.wait_for(answered.wait(), 5)


class TestTcp:
    async def test_who_accepts_is_well(self, probes: Probes) -> None:
        async with serving(silent) as port:
            assert (await find(probes, check(TCP, port))).state == PASSING

    async def test_it_hangs_up_at_once(self, probes: Probes) -> None:
        gone = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read()
            gone.set()

        async with serving(talk) as port:
            await find(probes, check(TCP, port))
            await asyncio.wait_for(gone.wait(), 5)


class TestHttp:
    @pytest.mark.parametrize(
        ("answer", "state"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", PASSING),
            (b"HTTP/1.0 200 \r\n\r\n", PASSING),
            (b"HTTP/1.1 200\r\n\r\n", PASSING),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", PASSING),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", PASSING),
            (b"HTTP/1.1 204 No Content\r\n\r\n", CRITICAL),
            (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", CRITICAL),
            (b"HTTP/1.1 503 Busy\r\n\r\n", CRITICAL),
            (b"HTTP/2 200\r\n", CRITICAL),
            (b"SSH-2.0-OpenSSH_9.2\r\n", CRITICAL),
            (b"x" * 100_000, CRITICAL),
            (b"", CRITICAL),
            (b"HTTP/1.1 20", CRITICAL),
        ],
    )
    async def test_the_status_decides(self, probes: Probes, answer: bytes, state: str) -> None:
        async with serving(saying(answer)) as port:
            assert (await find(probes, check(HTTP, port))).state == state

    async def test_which_status_is_said(self, probes: Probes) -> None:
        async with serving(saying(b"HTTP/1.1 418 I'm a teapot\r\n\r\n")) as port:
            assert (await find(probes, check(HTTP, port, expected=(200, 418)))).state == PASSING
            assert await find(probes, check(HTTP, port)) == Outcome(CRITICAL, "status 418", "418")

    async def test_what_is_asked(self, probes: Probes) -> None:
        heard: list[bytes] = []
        async with serving(saying(b"HTTP/1.1 200 OK\r\n\r\n", heard)) as port:
            await find(
                probes, check(HTTP, port, path="/a b?c=d%20e#f", method="HEAD", headers=(("X-A", "1"), ("host", "h")))
            )
        lines = heard[0].decode().split("\r\n")
        assert lines[0] == "HEAD /a%20b?c=d%20e HTTP/1.1"
        assert {"X-A: 1", "host: h", "Connection: close"} <= set(lines)
        assert not any(line.startswith("Host:") for line in lines)

    @pytest.mark.parametrize("path", ["", "health", "/health"])
    def test_a_path_begins_with_a_slash(self, path: str) -> None:
        assert request(check(HTTP, 80, path=path)).startswith(b"GET /")

    @pytest.mark.parametrize("header", [("X", "a\r\nY: b"), ("X\r\nY", "b"), ("", "b"), ("a b", "c")])
    async def test_nothing_is_smuggled_in(self, probes: Probes, header: tuple[str, str]) -> None:
        found = await find(probes, check(HTTP, 1, headers=(header,)))
        assert found.state == CRITICAL
        assert "cannot be sent" in found.why

    def test_an_ipv6_host_has_brackets(self) -> None:
        assert b"Host: [::1]:80\r\n" in request(Check(HTTP, "::1", 80))


def packet(number: int, body: bytes) -> bytes:
    return struct.pack("<I", len(body))[:3] + bytes([number]) + body


GREETING = packet(
    0,
    b"\x0a5.7.0-made-up\0" + b"\x01\0\0\0" + b"12345678\0" + b"\xff\xf7" + b"\x21" + b"\x02\0" + b"\x0f\x80" + b"\x15"
    b"\0\0\0\0\0\0\0\0\0\0" + b"123456789012\0" + b"mysql_native_password\0",
)  # fmt: skip


class TestMysql:
    """What goes wrong before there is a server that means well; that one is asked in tests/live/nacos/mysql."""

    @pytest.mark.parametrize(
        "answer",
        [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 64, packet(0, b"\xff\x15\x04Host is blocked"), GREETING],
    )
    async def test_whatever_is_said_instead(self, probes: Probes, answer: bytes) -> None:
        async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            await writer.drain()

        async with serving(talk) as port:
            found = await find(probes, check(MYSQL, port, user="u", password="hush", query="select 1"))
        assert found.state == CRITICAL
        assert "hush" not in found.why

    async def test_one_that_trickles_is_given_up(self, probes: Probes) -> None:
        """Each byte comes in time; the whole does not."""
        gone = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(GREETING)
            ended = asyncio.ensure_future(reader.read())
            try:
                while not ended.done():
                    writer.write(b"\1")
                    await asyncio.wait([ended], timeout=TIMEOUT_MS / 1000 / 4)
            finally:
                gone.set()

        async with serving(talk) as port:
            found = await find(probes, check(MYSQL, port, query="select 1"))
            await asyncio.wait_for(gone.wait(), 5)
        assert found.state == CRITICAL

    async def test_who_waits_for_a_thread_is_not_held_to_be_late(self) -> None:
        asked = MysqlProbes(threads=1)
        slow = Check(MYSQL, "127.0.0.1", 0, query="select 1", timeout_ms=TIMEOUT_MS)
        began: list[float] = []

        async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            began.append(time.monotonic())
            await reader.read()

        async with serving(talk) as port:
            checks = [asked.perform(structs.replace(slow, port=port)) for _ in range(3)]
            results = await asyncio.gather(*checks, return_exceptions=True)
        assert [type(r) for r in results] == [TimeoutError] * 3
        assert len(began) == 3, "each was really asked"
        assert began[2] - began[0] >= 2 * TIMEOUT_MS / 1000 * 0.9, "one after the other"
        asked.close()

    async def test_threads_end_with_the_probes(self) -> None:
        probes = Probes()
        async with serving(silent) as port:
            await find(probes, check(MYSQL, port))
        probes.close()
        deadline = time.monotonic() + 5
        while any(t.name.startswith("mysql-check") for t in threading.enumerate()):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
