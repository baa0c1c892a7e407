"""What nobody should send to the DNS port, over UDP and TCP: silence or an answer that is one, never longer than was asked for,
and others are answered meanwhile."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import pytest
from child import Child, ask

FACTOR = int(os.environ.get("SOAK_FACTOR", "1"))
PACKETS = 3000 * FACTOR
MANY = 300
"""Instances of the large service."""
PLAIN = 512
MOST = 4096
MOST_GROWTH = 30_000_000
"""Bytes."""


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """One for all of this. It never shows a traceback, neither here nor in its log."""
    started = Child(tmp_path_factory.mktemp("server"))
    for n in range(MANY):
        body = b'{"ID":"l-%d","Name":"large","Port":80,"Address":"10.3.%d.%d","Tags":["t"]}' % (n, n >> 8, n & 255)
        assert ask(started.consul, "PUT", "/v1/agent/service/register", body)[0] == 200
    assert (
        ask(started.consul, "PUT", "/v1/agent/service/register", b'{"Name":"web","Port":80,"Address":"10.3.9.9"}')[0]
        == 200
    )
    yield started
    started.end(signal.SIGKILL)
    assert "Traceback" not in started.output
    assert not [file for file in started.folder.rglob("*.log") if "Traceback" in file.read_text()]


@pytest.fixture
def udp(child: Child) -> Iterator[socket.socket]:
    """A client."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", child.dns))
        sock.settimeout(10)
        yield sock


def resident(child: Child) -> int:
    """Bytes."""
    fields = Path(f"/proc/{child.process.pid}/statm").read_text("ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def good(number: int) -> bytes:
    """A question that has an answer."""
    message = dns.message.make_query("web.service.consul.", "A", id=number)
    return message.to_wire()


def after(sock: socket.socket, number: int) -> list[bytes]:
    """Everything that was answered until a good question is. That is sent again while nothing comes."""
    found: list[bytes] = []
    sock.settimeout(0.5)
    for _ in range(40):
        sock.send(good(number))
        try:
            while True:
                data = sock.recv(65_535)
                if data[:2] == number.to_bytes(2, "big") and b"\x0a\x03\x09\x09" in data:
                    return found
                found.append(data)
        except TimeoutError:
            continue
    raise AssertionError("it does not answer any more")


def query(name: str, type: str, **options: object) -> bytearray:
    return bytearray(dns.message.make_query(name, type, **options).to_wire())  # type: ignore[arg-type]


def mangled(generator: random.Random) -> bytes:
    """A packet that is nearly one, or not at all."""
    kind = generator.randrange(8)
    if kind == 0:
        return generator.randbytes(generator.randrange(600))
    names = (
        "large.service.consul.",
        "web.service.consul.",
        "_large._t.service.consul.",
        "here.node.consul.",
        "consul.",
    )
    types = ("A", "AAAA", "SRV", "TXT", "ANY", "SOA", "NS", "PTR", "MX", "AXFR")
    edns: dict[str, object] = {}
    if generator.random() < 0.5:
        subnet = dns.edns.ECSOption("10.1.2.0", 24)
        edns = {
            "use_edns": 0,
            "payload": generator.choice((0, 1, 511, 512, 513, 1232, 4096, 65_535)),
            "options": [subnet],
        }
    data = query(generator.choice(names), generator.choice(types), **edns)
    if kind == 1:  # some bytes are others
        for _ in range(generator.randrange(1, 8)):
            data[generator.randrange(2, len(data))] = generator.randrange(256)
    elif kind == 2:  # it ends too early
        del data[generator.randrange(len(data)) :]
    elif kind == 3:  # numbers that lie
        struct.pack_into("!4H", data, 4, *(generator.choice((0, 1, 2, 65_535)) for _ in range(4)))
    elif kind == 4:  # a name that points at itself, or around
        data[12:13] = generator.choice((b"\xc0\x0c", b"\xc0\x0e\xc0\x0c", b"\xff\xff", b"\x80", b"\x40"))
    elif kind == 5:  # more behind it
        data += generator.randbytes(generator.randrange(3000))
    elif kind == 6:  # another class or opcode
        data[2] = generator.randrange(128)
        place = data.index(0, 12) + 3
        data[place : place + 2] = generator.choice((0, 2, 3, 4, 254, 255, 65_535)).to_bytes(2, "big")
    return bytes(data)


def room(data: bytes) -> int:
    """How long an answer may be at most."""
    try:
        asked = dns.message.from_wire(data, ignore_trailing=True)
    except dns.exception.DNSException:
        return MOST  # what it says of itself cannot be told; the bound of this server holds
    return min(max(PLAIN, asked.payload), MOST) if asked.edns >= 0 else PLAIN


def test_packets_of_any_kind(child: Child, udp: socket.socket) -> None:
    generator = random.Random(7)
    udp.send(query("large.service.consul.", "A"))  # the first answer of a large service comes late
    assert dns.message.from_wire(udp.recv(65_535)).answer
    after(udp, 0xFFFF)
    before = resident(child)
    answered = 0
    for n in range(PACKETS):
        data = mangled(generator)
        if data[:2] == b"\xff\xff":
            continue
        udp.send(data)
        if n % 20 == 0:
            after(udp, 0xFFFF)
            continue
        if n % 20 == 1:  # alone, so that answer and question are known to belong together
            after(udp, 0xFFFE)
            udp.send(data)
            for answer in after(udp, 0xFFFF):
                answered += 1
                assert len(answer) <= room(data), (data, answer)
                assert answer[:2] == data[:2]
                dns.message.from_wire(answer)
    after(udp, 0xFFFF)
    print(f"{PACKETS} packets, {answered} answers looked at, {(resident(child) - before) / 1e6:+.1f} MB")
    assert answered > PACKETS // 60
    assert resident(child) - before < MOST_GROWTH


@pytest.mark.parametrize("payload", [None, 0, 1, 512, 600, 1232, 4096, 8192, 65_535])
@pytest.mark.parametrize("type", ["A", "SRV", "ANY"])
def test_no_answer_is_longer_than_the_client_takes(udp: socket.socket, payload: int | None, type: str) -> None:
    options: dict[str, object] = {"use_edns": -1} if payload is None else {"use_edns": 0, "payload": payload}
    udp.send(query("large.service.consul.", type, **options))
    data = udp.recv(65_535)
    assert len(data) <= min(max(PLAIN, payload or 0), MOST)
    found = dns.message.from_wire(data)
    assert found.rcode() == dns.rcode.NOERROR
    assert found.answer, "never empty for want of room"


def test_a_long_subnet_does_not_make_an_answer_longer_than_the_client_takes(udp: socket.socket) -> None:
    """The option is sent back, so it counts."""
    for length in (4, 20, 100, 400, 600, 3000):
        subnet = dns.edns.GenericOption(dns.edns.OptionType.ECS, b"\0\1\x18\0" + b"x" * length)
        message = dns.message.make_query("large.service.consul.", "SRV", use_edns=0, payload=512, options=[subnet])
        udp.send(message.to_wire(max_size=65_535))
        udp.settimeout(2)
        try:
            data = udp.recv(65_535)
        except TimeoutError:
            continue
        assert len(data) <= PLAIN, length


def test_answers_to_nobody_are_not_answered(udp: socket.socket) -> None:
    """Two servers must not talk to each other for ever."""
    said = dns.message.make_response(dns.message.make_query("web.service.consul.", "A", id=7)).to_wire()
    udp.send(said)
    assert after(udp, 0xFFFF) == []


# ---------------------------------------------------------------- TCP


async def test_slow_and_silent_clients_over_tcp_hold_up_nobody(child: Child) -> None:
    question = bytes(query("large.service.consul.", "SRV"))
    framed = len(question).to_bytes(2, "big") + question
    held: list[asyncio.StreamWriter] = []
    for n in range(100):
        _, writer = await asyncio.open_connection("127.0.0.1", child.dns, local_addr=(f"127.2.0.{n + 1}", 0))
        writer.write(framed[: n % len(framed)])  # a part of it, and then nothing
        held.append(writer)
    before = resident(child)
    greedy: list[asyncio.StreamWriter] = []
    for n in range(20):  # ask and never read
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", child.dns, local_addr=(f"127.2.1.{n + 1}", 0), limit=1024
        )
        writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(framed * 1000)
        greedy.append(writer)
    reader, writer = await asyncio.open_connection("127.0.0.1", child.dns)
    began = time.monotonic()
    for byte in framed:
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        size = int.from_bytes(await reader.readexactly(2), "big")
        whole = dns.message.from_wire(await reader.readexactly(size))
    assert sum(len(rrset) for rrset in whole.answer) == MANY
    print(f"answered after {(time.monotonic() - began) * 1e3:.0f} ms, {(resident(child) - before) / 1e6:+.1f} MB")
    assert resident(child) - before < 100_000_000
    for each in (*held, *greedy, writer):
        each.transport.abort()
        await asyncio.sleep(0)


async def test_garbage_over_tcp_ends_its_connection_or_is_passed_over(child: Child) -> None:
    generator = random.Random(8)
    for _ in range(100):
        reader, writer = await asyncio.open_connection("127.0.0.1", child.dns)
        data = mangled(generator)
        writer.write(len(data).to_bytes(2, "big") + data + generator.randbytes(generator.randrange(20)))
        writer.write_eof()
        async with asyncio.timeout(10):
            while head := await reader.read(65_536):
                assert len(head) <= 65_536
        writer.transport.abort()
    reader, writer = await asyncio.open_connection("127.0.0.1", child.dns)
    asked = good(9)
    writer.write(len(asked).to_bytes(2, "big") + asked)
    async with asyncio.timeout(10):
        size = int.from_bytes(await reader.readexactly(2), "big")
        assert dns.message.from_wire(await reader.readexactly(size)).answer
    writer.transport.abort()
    await asyncio.sleep(0)
