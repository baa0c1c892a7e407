"""A listener with TLS that asks for credentials: a client's certificate, or a token; nothing is told without."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..conftest import build, lacking
from ..polaris.console import TOKEN, Console
from ..server import Server
from ..transport.server import Certificate, make_certificate
from ..waiting import until
from . import programs
from .backends import GrpcBackend, HttpBackend
from .callers import CONNECTS_WITHIN_S, Caller, bootstrap
from .sidecar import Sidecar

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]
WITH_CERTIFICATES = ("grpcio", "grpc-go")
"""Libraries whose bootstrap can name files: grpc-java takes the JVM's, and grpc-js knows no TLS to its control plane."""


@dataclass(frozen=True)
class Guarded:
    """One server that asks for a certificate, one that asks for a token."""

    server: Server
    console: Console
    certificate: Certificate


def guarded(folder: Path, certificates: bool) -> Iterator[Guarded]:
    if shutil.which("openssl") is None:
        lacking("no openssl on this machine")
    made = make_certificate(folder)
    option = "apiservers.xds-v3.option"
    settings = [f"{option}.auth=true"]
    if certificates:
        files = {"certFile": made.cert, "keyFile": made.key, "trustedCAFile": made.ca}
        settings += [f"{option}.tls.{key}={path}" for key, path in files.items()]
    server = Server(folder, "xds-v3", tuple(settings))
    server.start()
    console = Console(f"http://127.0.0.1:{server.http_port}")
    try:
        yield Guarded(server, console, made)
    finally:
        console.close()
        server.close()


@pytest.fixture(scope="module")
def by_certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    yield from guarded(tmp_path_factory.mktemp("certificates"), certificates=True)


@pytest.fixture(scope="module")
def by_token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    yield from guarded(tmp_path_factory.mktemp("tokens"), certificates=False)


def described(place: Guarded, name: str, **files: Path) -> dict[str, object]:
    """A bootstrap whose channel is secured with these files."""
    found = bootstrap(place.server.port, name)
    [control] = found["xds_servers"]  # type: ignore[misc]
    control["channel_creds"] = [{"type": "tls", "config": {key: str(path) for key, path in files.items()}}]
    return found


@pytest.mark.parametrize("name", WITH_CERTIFICATES)
def test_a_grpc_client_shows_its_certificate(
    by_certificate: Guarded, name: str, service: str, grpc_backend: Callable[[str], GrpcBackend], tmp_path: Path
) -> None:
    program, target, made = programs.CALLERS[name], f"xds:///{service}.default", by_certificate.certificate
    build(program)
    by_certificate.console.register(service, grpc_backend("a").port)
    own = {"certificate_file": made.cert, "private_key_file": made.key}
    known = Caller(
        name, program, tmp_path / "known", described(by_certificate, name, ca_certificate_file=made.ca, **own)
    )
    nobody = Caller(name, program, tmp_path / "nobody", described(by_certificate, name, ca_certificate_file=made.ca))
    try:
        for one in (known, nobody):
            one.talker.launch()
        for one in (known, nobody):
            one.talker.greet()
        known.reaches(target, {"a"}, CONNECTS_WITHIN_S)
        assert nobody.call(target, 1, within_s=3).answers == {}
    finally:
        for one in (known, nobody):
            one.talker.close()


@pytest.mark.parametrize("style", ["sotw", "polaris"])
def test_an_envoy_shows_a_token(
    by_token: Guarded, style: str, service: str, http_backend: Callable[[str], HttpBackend], tmp_path: Path
) -> None:
    build(programs.ENVOY)
    by_token.console.register(service, http_backend("a").port)
    one = Sidecar("guarded", by_token.server.port, tmp_path / "good", style=style)
    one.show("x-polaris-token", TOKEN)
    try:
        one.start()
        one.reaches(service, {"a"})
        assert one.complaints() == []
    finally:
        one.close()


@pytest.mark.parametrize("token", ["", "wrong"])
def test_an_envoy_without_a_good_token_is_told_nothing(by_token: Guarded, token: str, tmp_path: Path) -> None:
    build(programs.ENVOY)
    one = Sidecar("stranger", by_token.server.port, tmp_path)
    if token:
        one.show("authorization", f"Bearer {token}")
    try:
        one.launch()
        words = "the token is not known" if token else "a token is needed"
        until(lambda: words in one.said(), CONNECTS_WITHIN_S, "its streams are refused")
        assert sum(one.stats(r"^cluster_manager\.cds\.update_success$").values()) == 0
    finally:
        one.close()
