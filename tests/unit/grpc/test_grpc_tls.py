"""TLS: client certificates, new certificates without a restart."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import grpc
import pytest
from calling import STREAM, UNARY, WAIT_S, Bench, failure

from polaris_bridge.adapters._shared.settings import TlsSettings
from polaris_bridge.transport.rpc import Status

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """Makes certificates in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run("req", "-x509", *CURVE, "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority")
        for name in ("one", "two", "client"):
            self._issue(name)

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.folder)

    def _issue(self, name: str) -> None:
        (self.folder / "extension").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self._run("req", *CURVE, "-keyout", f"{name}.key", "-out", "request", "-subj", f"/CN={name}")
        ca = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
        self._run("x509", "-req", "-in", "request", *ca, "-days", "2", "-out", f"{name}.pem", "-extfile", "extension")

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def use(self, folder: Path, name: str, **options: str) -> TlsSettings:
        """Copies a certificate to where a server reads it."""
        for kind in ("key", "pem"):
            shutil.copy(self.folder / f"{name}.{kind}", folder / f"server.{kind}")
        return TlsSettings(str(folder / "server.pem"), str(folder / "server.key"), **options)

    def trusting(self, client: str = "") -> grpc.ChannelCredentials:
        """Credentials of a client, with a certificate of its own when one is named."""
        own = (self.read(f"{client}.key"), self.read(f"{client}.pem")) if client else (None, None)
        return grpc.ssl_channel_credentials(self.read("ca.pem"), *own)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is needed to make certificates")
    return Authority(tmp_path_factory.mktemp("tls"))


async def shown(listener) -> str:
    """The name in the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return next(name for name in ("one", "two") if f"{name}".encode() in der)


async def test_calls_over_tls(bench: Bench, authority: Authority, tmp_path: Path) -> None:
    listener = await bench.listen(tls=authority.use(tmp_path, "one"))
    assert listener.describe().scheme == "grpcs"
    bench.unary = lambda _message, call: call.peer.encode()
    channel = bench.channel(listener, credentials=authority.trusting())
    assert await channel.unary_unary(UNARY)(b"x") == b"127.0.0.1"
    plain = bench.channel(listener)
    assert (await failure(plain.unary_unary(UNARY)(b"x", timeout=2)))[0] in (
        Status.UNAVAILABLE,
        Status.DEADLINE_EXCEEDED,
    )


async def test_a_client_must_show_a_certificate_when_an_authority_is_set(bench, authority, tmp_path) -> None:
    tls = authority.use(tmp_path, "one", trusted_ca_file=str(authority.folder / "ca.pem"))
    listener = await bench.listen(tls=tls)
    assert listener.describe().client_certificates
    without = bench.channel(listener, credentials=authority.trusting())
    assert (await failure(without.unary_unary(UNARY)(b"x")))[0] == Status.UNAVAILABLE
    channel = bench.channel(listener, credentials=authority.trusting("client"))
    assert await channel.unary_unary(UNARY)(b"x") == b"x"


async def test_new_certificates_are_taken_without_a_restart(bench: Bench, authority: Authority, tmp_path: Path) -> None:
    listener = await bench.listen(tls=authority.use(tmp_path, "one"))
    channel = bench.channel(listener, credentials=authority.trusting())
    stream = channel.stream_stream(STREAM)()
    await stream.write(b"before")
    assert await asyncio.wait_for(stream.read(), WAIT_S) == b"before"
    assert await shown(listener) == "one"
    authority.use(tmp_path, "two")
    assert await shown(listener) == "one"
    listener.sweep()
    assert await shown(listener) == "two"
    await stream.write(b"after")
    assert await asyncio.wait_for(stream.read(), WAIT_S) == b"after"
    authority.use(tmp_path, "one")
    assert listener.reload_tls() is True
    assert await shown(listener) == "one"
    fresh = bench.channel(listener, credentials=authority.trusting())
    assert await fresh.unary_unary(UNARY)(b"x") == b"x"


async def test_a_broken_certificate_leaves_the_old_one_in_use(bench, authority, tmp_path, caplog) -> None:
    listener = await bench.listen(tls=authority.use(tmp_path, "one"))
    (tmp_path / "server.pem").write_text("no certificate")
    assert listener.reload_tls() is False
    assert "the previous one stays in use" in caplog.text
    assert await shown(listener) == "one"


async def test_files_that_cannot_be_used_are_named(bench: Bench, authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"test: .*missing.pem cannot be read"):
        await bench.listen(tls=TlsSettings(str(tmp_path / "missing.pem"), str(tmp_path / "missing.key")))
    tls = authority.use(tmp_path, "one")
    shutil.copy(authority.folder / "two.key", tmp_path / "server.key")
    with pytest.raises(ssl.SSLError, match=r"test: .*server.pem with .*server.key"):
        await bench.listen(tls=tls)


async def test_a_listener_without_tls_has_nothing_to_reload(bench: Bench) -> None:
    assert (await bench.listen()).reload_tls() is True
