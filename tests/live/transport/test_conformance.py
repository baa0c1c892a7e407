"""What no gRPC library asks: h2spec's cases for every sentence of the RFCs, and curl as a client that knows only HTTP/2."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ..conftest import lacking
from . import programs
from .conftest import Servers, build
from .matrix import TRANSPORTS
from .server import EchoServer

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

CASES = 146
# grpcio fails most of them and resets what is no gRPC, and clients live with it: it is not asked.
SPOKEN = [pytest.param(False, id="plain"), pytest.param(True, id="tls")]


@pytest.mark.parametrize("tls", SPOKEN)
def test_h2spec(tls: bool, servers: Servers, tmp_path: Path) -> None:
    build(programs.H2SPEC)
    server = servers("native", tls)
    report = tmp_path / "report.xml"
    command = [*programs.H2SPEC.command, "--strict", "-h", "127.0.0.1", "-p", str(server.port), "-j", str(report)]
    if tls:
        command += ["--tls", "--insecure"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert report.exists(), done.stdout + done.stderr
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = [
        f"{case.get('package')}: {case.get('classname')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None or case.find("skipped") is not None
    ]
    assert failed == []
    assert len(cases) == CASES


class Curl:
    """Requests in the bytes of HTTP/2 and gRPC alone."""

    def __init__(self, server: EchoServer, folder: Path) -> None:
        if shutil.which("curl") is None:
            lacking("no curl on this machine")
        self._server, self._folder = server, folder

    def ask(self, path: str, body: bytes, *options: str) -> tuple[str, bytes]:
        """Headers with trailers, and the body."""
        for name, content in (("request", body), ("headers", b""), ("answer", b"")):
            (self._folder / name).write_bytes(content)
        speak = ["--http2-prior-knowledge"]
        scheme = "http"
        if self._server.certificate is not None:
            speak, scheme = ["--http2", "--cacert", str(self._server.certificate.ca)], "https"
        files = ["-D", "headers", "-o", "answer", "--data-binary", "@request"]
        url = f"{scheme}://{self._server.address}{path}"
        command = ["curl", "--silent", "--show-error", "--max-time", "20", *speak, *files, *options, url]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True)
        return (self._folder / "headers").read_text(), (self._folder / "answer").read_bytes()


GRPC = ("-H", "content-type: application/grpc", "-H", "te: trailers")
HELLO = b"\0\0\0\0\5hello"


@pytest.fixture(params=SPOKEN)
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=TRANSPORTS)
def curl(request: pytest.FixtureRequest, tls: bool, servers: Servers, tmp_path: Path) -> Curl:
    return Curl(servers(request.param, tls), tmp_path)


def test_curl_gets_its_message_back(curl: Curl) -> None:
    headers, answer = curl.ask("/live.Echo/Unary", HELLO, *GRPC)
    assert answer == HELLO
    assert headers.startswith("HTTP/2 200")
    assert "content-type: application/grpc" in headers
    assert headers.rstrip().endswith("grpc-status: 0") or "grpc-status: 0\n" in headers.replace("\r", "")


def test_curl_reads_a_status_that_is_more_than_ascii(curl: Curl) -> None:
    text = "5 Грешка 100%".encode()
    headers, answer = curl.ask("/live.Echo/Fail", b"\0" + len(text).to_bytes(4, "big") + text, *GRPC)
    assert answer == b""
    assert "grpc-status: 5" in headers
    assert "grpc-message: %D0%93%D1%80%D0%B5%D1%88%D0%BA%D0%B0 100%25" in headers


def test_curl_is_told_what_is_spoken_here(tls: bool, servers: Servers, tmp_path: Path) -> None:
    headers, _ = Curl(servers("native", tls), tmp_path).ask(
        "/live.Echo/Unary", b"{}", "-H", "content-type: application/json"
    )
    assert headers.startswith("HTTP/2 415")
