"""The probes that Consul's checks need, against real servers: web, UDP, gRPC health, pings of HTTP/2, TLS."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from polaris_bridge.adapters._shared.checks import GRPC, H2PING, TCP, UDP, WEB
from polaris_bridge.core.health import Check, Outcome
from polaris_bridge.core.model import CRITICAL, PASSING, WARNING
from polaris_bridge.runtime.probes import Probes


@pytest.fixture
async def probes() -> AsyncIterator[Probes]:
    found = Probes()
    yield found
    found.close()


async def find(probes: Probes, kind: str, port: int, **options: object) -> Outcome:
    arrived: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    check = Check(kind, "127.0.0.1", port, **{"timeout_ms": 2000, **options})
    probes.begin(check, arrived.set_result)
    async with asyncio.timeout(5):
        return await arrived


@asynccontextmanager
async def answering(
    answers: dict[str, bytes], heard: list[bytes], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A server that says what stands under the path."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heard.append(head)
        writer.write(answers[head.split(b" ")[1].decode()])
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def said(status: str, body: bytes = b"", *headers: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


ANSWERS = {
    "/ok": said("200 OK", b"all is well"),
    "/created": said("204 No Content"),
    "/many": said("429 Too Many Requests", b"slow down"),
    "/bad": said("500 Internal Server Error", b"oh"),
    "/moved": said("302 Found", b"", b"Location: /ok"),
    "/loop": said("301 Moved", b"", b"Location: /loop"),
    "/nowhere": said("302 Found", b"", b"Location: gopher://x/"),
    "/long": said("200 OK", b"x" * 10_000),
    "/chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    "/noise": b"SSH-2.0-whatever\r\n\r\n",
    "/nothing": b"",
}


@pytest.mark.parametrize(
    ("path", "state", "why"),
    [
        ("/ok", PASSING, "200 OK Output: all is well"),
        ("/created", PASSING, "204 No Content Output: "),
        ("/many", WARNING, "429 Too Many Requests Output: slow down"),
        ("/bad", CRITICAL, "500 Internal Server Error Output: oh"),
        ("/moved", PASSING, "200 OK Output: all is well"),
        ("/loop", CRITICAL, "301 Moved Output: "),
        ("/nowhere", CRITICAL, "302 Found Output: "),
        ("/chunks", PASSING, "200 OK Output: abcde"),
        ("/long", PASSING, "200 OK Output: " + "x" * 4096),
    ],
)
async def test_web(probes, path, state, why):
    heard: list[bytes] = []
    async with answering(ANSWERS, heard) as port:
        found = await find(probes, WEB, port, path=path, redirects=10, kept_bytes=4096)
    assert found == Outcome(state, f"HTTP GET http://127.0.0.1:{port}{path}: {why}")
    assert len(heard) == (11 if path == "/loop" else 2 if path == "/moved" else 1)


async def test_web_without_redirects(probes):
    async with answering(ANSWERS, []) as port:
        assert (await find(probes, WEB, port, path="/moved")).state == CRITICAL


@pytest.mark.parametrize("path", ["/noise", "/nothing"])
async def test_web_that_is_none(probes, path):
    async with answering(ANSWERS, []) as port:
        assert (await find(probes, WEB, port, path=path)).state == CRITICAL


async def test_web_with_a_body(probes):
    heard: list[bytes] = []
    async with answering(ANSWERS, heard) as port:
        found = await find(
            probes, WEB, port, path="/ok", method="PUT", body="hällo", headers=(("X-A", "1"), ("X-A", "2"))
        )
    assert found.state == PASSING
    assert heard[0].startswith(b"PUT /ok HTTP/1.1\r\n")
    assert b"X-A: 1\r\nX-A: 2\r\n" in heard[0]
    assert b"Content-Length: 6\r\n" in heard[0]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> ssl.SSLContext:
    """Of a server that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


async def test_tls(probes, certificate):
    async with answering(ANSWERS, [], certificate) as port:
        assert (await find(probes, WEB, port, path="/ok", tls=True)).state == CRITICAL
        found = await find(probes, WEB, port, path="/ok", tls=True, verify=False)
        assert found.state == PASSING
        assert found.why.startswith(f"HTTP GET https://127.0.0.1:{port}/ok: 200 OK")
        assert (await find(probes, TCP, port, tls=True, verify=False)).state == PASSING
        assert (await find(probes, TCP, port, tls=True)).state == CRITICAL


async def test_udp(probes):
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            self.transport.sendto(data, addr)

    loop = asyncio.get_running_loop()
    for protocol in (Echo, asyncio.DatagramProtocol):
        transport, _ = await loop.create_datagram_endpoint(protocol, ("127.0.0.1", 0))
        port = transport.get_extra_info("sockname")[1]
        assert (await find(probes, UDP, port, timeout_ms=200)).state == PASSING
        transport.close()
        await asyncio.sleep(0)
    assert (await find(probes, UDP, port, timeout_ms=2000)).state == CRITICAL


async def test_grpc_health(probes):
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    await servicer.set("ill", health_pb2.HealthCheckResponse.NOT_SERVING)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        assert await find(probes, GRPC, port) == Outcome(PASSING, "success")
        assert await find(probes, GRPC, port, service="ill") == Outcome(
            CRITICAL, "gRPC ill serving status: NOT_SERVING"
        )
        assert "NOT_FOUND" in (await find(probes, GRPC, port, service="nosuch")).why
        assert (await find(probes, H2PING, port)) == Outcome(PASSING, "HTTP2 ping was successful")
    finally:
        await server.stop(None)
    assert (await find(probes, GRPC, port, timeout_ms=500)).state == CRITICAL
    assert (await find(probes, H2PING, port)).state == CRITICAL


async def test_h2ping_of_something_else(probes):
    async with answering({"*": b"HTTP/1.1 400 Bad Request\r\n\r\n"}, []) as port:
        assert (await find(probes, H2PING, port)).state == CRITICAL
