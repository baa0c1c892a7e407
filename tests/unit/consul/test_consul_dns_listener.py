"""The DNS port: UDP and TCP of one number, answers from the address that was asked, clients that misbehave."""

from __future__ import annotations

import asyncio
import socket

import pytest

from polaris_bridge.adapters._shared.settings import ConnLimitSettings, HttpSettings
from polaris_bridge.adapters.consul.server.dns_listener import DnsListener


class Later:
    """An answer from elsewhere."""

    def __init__(self) -> None:
        self.reply = None

    def then(self, reply):
        self.reply = reply


class Port:
    """A listener whose answers a test decides."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, str, bool]] = []
        self.later: dict[bytes, Later] = {}
        self.now = 100.0

    def resolve(self, data: bytes, peer: str, tcp: bool):
        self.asked.append((data, peer, tcp))
        if data.startswith(b"drop"):
            return None
        if data.startswith(b"later"):
            return self.later.setdefault(data, Later())
        return data.upper() * (40 if data.startswith(b"big") else 1)

    async def listen(self, host="127.0.0.1", **options) -> DnsListener:
        settings = HttpSettings(name="dns", host=host, port=options.pop("port", 0), **options)
        self.listener = DnsListener(
            settings, self.resolve, allow=lambda peer: peer != "127.0.0.9", monotonic=lambda: self.now
        )
        await self.listener.start()
        return self.listener


@pytest.fixture
async def port():
    port = Port()
    yield port
    await port.listener.stop(0)


def udp(to: tuple[str, int], source: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((source, 0))
    sock.connect(to)
    return sock


async def ask(sock: socket.socket, message: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(4):
        await loop.sock_sendall(sock, message)
        return await loop.sock_recv(sock, 65536)


async def until(condition) -> None:
    async with asyncio.timeout(4):
        while not condition():  # noqa: ASYNC110  # conditions are of many kinds
            await asyncio.sleep(0.005)


async def test_udp_and_tcp_on_one_port(port):
    listener = await port.listen()
    with udp(("127.0.0.1", listener.port)) as client:
        assert await ask(client, b"abc") == b"ABC"
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"\0\3abc\0\4de")
    assert await reader.readexactly(5) == b"\0\3ABC"
    writer.write(b"fg")
    assert await reader.readexactly(6) == b"\0\4DEFG"
    assert port.asked == [(b"abc", "127.0.0.1", False), (b"abc", "127.0.0.1", True), (b"defg", "127.0.0.1", True)]
    assert listener.counters().requests == 3
    assert len(listener.connected().clients) == 1
    writer.close()
    await until(lambda: not listener.connected().clients)
    assert listener.counters().requests == 3


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_an_answer_leaves_from_the_address_that_was_asked(port, host):
    if host == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    listener = await port.listen(host)
    for address in ("127.0.0.1", "127.0.0.2", "127.7.7.7"):
        with udp((address, listener.port)) as client:  # a connected socket hears no other address
            assert await ask(client, b"abc") == b"ABC"
    assert {peer for _, peer, _ in port.asked} == {"127.0.0.1"}


async def test_answers_from_elsewhere(port):
    listener = await port.listen()
    with udp(("127.0.0.1", listener.port)) as client:
        await asyncio.get_running_loop().sock_sendall(client, b"later1")
        await until(lambda: b"later1" in port.later and port.later[b"later1"].reply)
        assert await ask(client, b"abc") == b"ABC"
        port.later[b"later1"].reply(b"at last")
        assert await asyncio.get_running_loop().sock_recv(client, 100) == b"at last"
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"\0\6later2\0\3abc")
    await until(lambda: b"later2" in port.later and len(port.asked) == 4)
    port.later[b"later2"].reply(b"x")
    assert await reader.readexactly(8) == b"\0\1x\0\3ABC", "in the order of the questions"
    writer.close()


async def test_who_may_not_speak_hears_nothing(port):
    listener = await port.listen()
    with udp(("127.0.0.1", listener.port), "127.0.0.9") as client:
        await asyncio.get_running_loop().sock_sendall(client, b"abc")
        await until(lambda: listener.counters().refusals == {0: 1})
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, local_addr=("127.0.0.9", 0))
    assert await reader.read() == b""
    writer.close()
    assert port.asked == []


async def test_silent_and_unreadable_messages(port):
    listener = await port.listen()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"\0\4drop")
    assert await reader.read() == b"", "a message that is none ends the connection"
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"\0")
    await until(lambda: any(connection._received for connection in listener._tcp))
    port.now += 9
    listener.sweep()
    assert await reader.read() == b""
    writer.close()
    await until(lambda: not listener.connected().clients)


async def test_a_client_that_does_not_read_is_not_read_either(port):
    listener = await port.listen()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", listener.port))
    message = b"\2\0" + b"big".ljust(512, b".")
    sent = 0
    async with asyncio.timeout(4):
        while sent < 16_000_000:
            try:
                sent += sock.send(message * 100)
            except BlockingIOError:
                asked = len(port.asked)
                await asyncio.sleep(0.05)
                if asked == len(port.asked):
                    break
    assert len(port.asked) * 20_000 < 16_000_000
    port.now += 9
    listener.sweep()
    await until(lambda: not listener.connected().clients)
    sock.close()


async def test_no_more_connections_than_allowed(port):
    limit = ConnLimitSettings(open_conn_limit=True, max_conn_per_host=2, max_conn_limit=10)
    listener = await port.listen(conn_limit=limit)
    clients = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(3)]
    assert await clients[2][0].read() == b""
    assert listener.counters().connections_refused == {"max_conn_per_host": 1}
    for _, writer in clients:
        writer.close()


async def test_a_port_that_is_taken(port):
    listener = await port.listen()
    other = Port()
    with pytest.raises(OSError, match="cannot listen"):
        await other.listen(port=listener.port)


async def test_stopping_answers_what_is_under_way(port):
    listener = await port.listen()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"\0\6later1")
    await until(lambda: b"later1" in port.later and port.later[b"later1"].reply)
    stopping = asyncio.ensure_future(listener.stop(3))
    await asyncio.sleep(0)
    port.later[b"later1"].reply(b"ok")
    assert await reader.read() == b"\0\2ok"
    await stopping
    writer.close()
