"""Clients of the native gRPC port that come and go in every rude way, thousands of times: the server stays as it was.

500 comings and goings times ``SOAK_FACTOR`` (``make soak``: 20, which makes 10,000). ``SOAK_MINUTES`` (``make soak``: 60)
lets the native transport go on for so long.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from child import Child, ask, until

from polaris_bridge.adapters.polaris.wire import v1

FACTOR = int(os.environ.get("SOAK_FACTOR", "1"))
MINUTES = float(os.environ.get("SOAK_MINUTES", "0"))
CYCLES = 500 * FACTOR
WARM_UP = 300
ALLOWED_GROWTH = 6_000_000
"""Bytes: what allocators and caches still move after the warm-up. A leak of one stream a cycle would be 20 MB."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
ACK = END_STREAM = 1
END_HEADERS = 4
CANCEL = struct.pack(">I", 8)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def opening(path: str) -> bytes:
    """Preface, settings and the head of one call."""
    headers = (
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
        ("content-type", "application/grpc"), ("te", "trailers"),
    )  # fmt: skip
    block = b"".join(b"\x00%c%b%c%b" % (len(n), n.encode(), len(v), v.encode()) for n, v in headers)
    return PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0) + frame(HEADERS, END_HEADERS, 1, block)


def message(body: bytes, flags: int = 0) -> bytes:
    """One message of the call."""
    return frame(DATA, flags, 1, struct.pack(">BI", 0, len(body)) + body)


def text(value: str) -> v1.StringValue:
    return v1.StringValue(value=value)


ASK = bytes(
    v1.DiscoverRequest(type=1, service=v1.Service(name=text("soaked"), namespace=text("default"))).SerializeToString()
)
BEAT = bytes(v1.Instance(id=text("0" * 40)).SerializeToString())
DISCOVER = opening("/v1.PolarisGRPC/Discover")
HEARTBEAT = opening("/v1.PolarisGRPC/Heartbeat")


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def await_data(self) -> None:
        """Read until an answer's message has come."""
        found = b""
        while True:
            got = self.socket.recv(65536)
            assert got, "the server ended the connection"
            found += got
            while len(found) >= 9 and len(found) >= 9 + int.from_bytes(found[:3], "big"):
                if found[3] == DATA:
                    return
                assert found[3] != HEADERS or not found[4] & END_STREAM, f"the call ended without an answer: {found!r}"
                found = found[9 + int.from_bytes(found[:3], "big") :]

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Vanish: the kernel answers with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def polite(client: Client) -> None:
    """Asks, reads, says goodbye."""
    client.send(DISCOVER, message(ASK, END_STREAM))
    client.await_data()
    client.close()


def vanishing(client: Client) -> None:
    """Is gone in the middle of a stream."""
    client.send(DISCOVER, message(ASK))
    client.await_data()
    client.reset()


def impatient(client: Client) -> None:
    """Does not wait for the answer."""
    client.send(DISCOVER, message(ASK) * 5)
    client.reset()


def cut_off(client: Client) -> None:
    """Is gone in the middle of a message."""
    client.send(DISCOVER, frame(DATA, 0, 1, struct.pack(">BI", 0, 1000) + b"half"))
    client.reset()


def beating(client: Client) -> None:
    """One call a connection."""
    client.send(HEARTBEAT, message(BEAT, END_STREAM))
    client.await_data()
    client.close()


def cancelling(client: Client) -> None:
    """Cancels its stream, as polaris-go does."""
    client.send(DISCOVER, message(ASK))
    client.await_data()
    client.send(frame(RST_STREAM, 0, 1, CANCEL))
    client.close()


def silent(client: Client) -> None:
    """Connects and says nothing."""
    client.reset()


KINDS: tuple[Callable[[Client], None], ...] = (polite, vanishing, impatient, cut_off, beating, cancelling, silent)


def resident(child: Child) -> int:
    """Bytes."""
    fields = Path(f"/proc/{child.process.pid}/statm").read_text("ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(child: Child) -> int:
    """Open files."""
    return len(os.listdir(f"/proc/{child.process.pid}/fd"))


@pytest.fixture(params=["native", "grpcio"])
def transport(request: pytest.FixtureRequest) -> str:
    """Each of them."""
    return str(request.param)


@pytest.fixture
def server(transport: str, tmp_path: Path) -> Iterator[Child]:
    """One on this transport."""
    child = Child(tmp_path, f"apiservers.service-grpc.option.transport={transport}")
    yield child
    child.end()


def run(child: Child, cycles: int) -> None:
    for n in range(cycles):
        KINDS[n % len(KINDS)](Client(child.grpc))


def run_for(child: Child, minutes: float) -> None:
    """Until the time is over, printing once a minute what the server holds."""
    begun = time.monotonic()
    done, printed = 0, 0
    while (passed := time.monotonic() - begun) < minutes * 60:
        run(child, len(KINDS) * 10)
        done += len(KINDS) * 10
        if passed // 60 > printed:
            printed = int(passed // 60)
            print(f"minute {printed}: {done} comings and goings, {resident(child) / 1e6:.1f} MB", flush=True)


@pytest.mark.timeout(60 + CYCLES // 20 + MINUTES * 61)
def test_comings_and_goings_leave_nothing(server: Child, transport: str) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        register = channel.unary_unary("/v1.PolarisGRPC/RegisterInstance")
        for n in range(20):
            instance = v1.Instance(
                service=text("soaked"),
                namespace=text("default"),
                host=text(f"10.0.0.{n}"),
                port=v1.UInt32Value(value=80),
            )
            assert v1.Response.FromString(register(instance.SerializeToString())).code.value == 200000
    open_files = descriptors(server)
    run(server, WARM_UP)
    until(lambda: descriptors(server) <= open_files + 2, 20, "the connections of the warm-up are closed")
    size = resident(server)
    run(server, CYCLES)
    if transport == "native":
        run_for(server, MINUTES)
    until(lambda: descriptors(server) <= open_files + 2, 20, f"no more than {open_files} open files")
    until(lambda: connections(server) == 0, 20, "no connection is counted any more")
    grown = resident(server) - size
    print(f"{CYCLES} comings and goings: {grown / 1e6:+.1f} MB on {size / 1e6:.0f} MB, {open_files} open files")
    assert grown < ALLOWED_GROWTH
    assert "Traceback" not in server.output
    Client(server.grpc).close()


def connections(child: Child) -> float:
    """Open gRPC connections as /metrics has them."""
    status, body = ask(child.front, "GET", "/metrics")
    assert status == 200
    name = 'polaris_bridge_connections{listener="service-grpc"} '
    lines = [line for line in body.decode().splitlines() if line.startswith(name)]
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0
