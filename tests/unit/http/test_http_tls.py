"""TLS: client certificates, new certificates without a restart."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess

import pytest

from polaris_bridge.adapters._shared.settings import ConnLimitSettings, TlsSettings

GET = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    """Makes certificates in a folder."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.file = self.path("ca.pem")
        self._self_signed("ca", "CN=authority")

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def _self_signed(self, name: str, subject: str) -> None:
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem"), "-subj", f"/{subject}"),
        )

    def issue(self, name: str) -> None:
        request, extension = self.path(f"{name}.csr"), self.folder / "extension"
        extension.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", self.path(f"{name}.key"), "-out", request, "-subj", f"/CN={name}"),
        )
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.path("ca.key"), "-CAcreateserial"),
            *("-days", "2", "-out", self.path(f"{name}.pem"), "-extfile", str(extension)),
        )


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is needed to make certificates")
    made = Authority(tmp_path_factory.mktemp("tls"))
    for name in ("one", "two", "client"):
        made.issue(name)
    return made


def use(authority, tmp_path, name, **options):
    for kind in ("pem", "key"):
        shutil.copy(authority.path(f"{name}.{kind}"), tmp_path / f"server.{kind}")
    return TlsSettings(str(tmp_path / "server.pem"), str(tmp_path / "server.key"), **options)


def trusting(authority):
    return ssl.create_default_context(cafile=authority.file)


def shown_name(client) -> str:
    return dict(pair for part in client.writer.get_extra_info("peercert")["subject"] for pair in part)["commonName"]


async def test_requests_over_tls(bench, echo, hot, authority, tmp_path):
    listener = await bench.listen(echo, hot=hot, tls=use(authority, tmp_path, "one"))
    client = await bench.connect(listener, ssl=trusting(authority))
    for _ in range(2):
        assert (await client.ask(GET)).body.endswith(b"'https')")
    assert listener.describe().scheme == "https"


async def test_a_changed_certificate_serves_new_connections(bench, echo, authority, tmp_path):
    listener = await bench.listen(echo, tls=use(authority, tmp_path, "one"))
    old = await bench.connect(listener, ssl=trusting(authority))
    assert shown_name(old) == "one"
    use(authority, tmp_path, "two")
    listener.sweep()
    assert shown_name(await bench.connect(listener, ssl=trusting(authority))) == "two"
    assert (await old.ask(GET)).status == 200
    use(authority, tmp_path, "one")
    assert listener.reload_tls()
    assert shown_name(await bench.connect(listener, ssl=trusting(authority))) == "one"


async def test_a_broken_certificate_keeps_the_old_one(bench, echo, authority, tmp_path, caplog):
    listener = await bench.listen(echo, tls=use(authority, tmp_path, "one"))
    (tmp_path / "server.pem").write_text("not a certificate")
    os.utime(tmp_path / "server.pem", (1, 1))
    for _ in range(3):
        listener.sweep()
    assert [record.levelname for record in caplog.records if record.name == "polaris_bridge.apiserver"] == ["ERROR"], (
        "said once"
    )
    assert not listener.reload_tls()
    assert shown_name(await bench.connect(listener, ssl=trusting(authority))) == "one"


async def test_a_trusted_authority_demands_client_certificates(bench, echo, authority, tmp_path, until):
    listener = await bench.listen(echo, tls=use(authority, tmp_path, "one", trusted_ca_file=authority.file))
    assert listener.describe().client_certificates
    context = trusting(authority)
    context.load_cert_chain(authority.path("client.pem"), authority.path("client.key"))
    client = await bench.connect(listener, ssl=context)
    assert (await client.ask(GET)).status == 200
    with pytest.raises((OSError, asyncio.IncompleteReadError)):  # in TLS 1.3 the client learns it on its first read
        await (await bench.connect(listener, ssl=trusting(authority))).ask(GET)
    await until(lambda: listener.counters().connections_refused == {"tls": 1})
    await until(lambda: listener.counters().connections_open == 1)


async def test_handshakes_that_never_come_count_as_connections(bench, echo, authority, tmp_path):
    limits = ConnLimitSettings(open_conn_limit=True, max_conn_per_host=2)
    listener = await bench.listen(echo, tls=use(authority, tmp_path, "one"), conn_limit=limits)
    silent = [await bench.connect(listener) for _ in range(2)]
    third = await bench.connect(listener)
    assert await third.closed() == b""
    assert len(silent) == listener.counters().connections_open == 2


async def test_plain_text_on_a_tls_port(bench, echo, authority, tmp_path, until):
    listener = await bench.listen(echo, tls=use(authority, tmp_path, "one"))
    client = await bench.connect(listener)
    await client.send(GET)
    await client.closed()
    await until(lambda: listener.counters().connections_refused == {"tls": 1})


async def test_a_certificate_that_is_missing_is_an_error_at_start(bench, echo, tmp_path):
    with pytest.raises(FileNotFoundError):
        await bench.listen(echo, tls=TlsSettings(str(tmp_path / "none.pem"), str(tmp_path / "none.key")))
