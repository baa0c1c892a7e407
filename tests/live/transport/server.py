"""The echo server as a process that can be ended and started again on the same port."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ..server import ROOT, free_port

STARTS_WITHIN_S = 30
STOPS_WITHIN_S = 15
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1, its key, and the authority that signed it: PEM files."""

    cert: Path
    key: Path
    ca: Path


def make_certificate(folder: Path) -> Certificate:
    """Needs the openssl command."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    openssl("req", "-x509", *CURVE, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("req", *CURVE[:-2], "-keyout", "server.key", "-out", "request", "-subj", "/CN=echo")
    authority = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
    openssl("x509", "-req", "-in", "request", *authority, "-days", "2", "-out", "server.pem", "-extfile", "names")
    return Certificate(folder / "server.pem", folder / "server.key", folder / "ca.pem")


class EchoServer:
    """``echo.py`` on one transport, with or without TLS."""

    def __init__(self, transport: str, folder: Path, certificate: Certificate | None) -> None:
        self.transport = transport
        self.certificate = certificate
        self.port = free_port()
        self._log = folder / f"echo-{transport}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it accepts."""
        command = [sys.executable, "-m", "tests.live.transport.echo", "--transport", self.transport]
        command += ["--port", str(self.port)]
        if self.certificate is not None:
            command += ["--cert", str(self.certificate.cert), "--key", str(self.certificate.key)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], STARTS_WITHIN_S)
        line = self._process.stdout.readline() if ready else b""
        assert line, f"the echo server did not start:\n{self.last_words()}"
        assert json.loads(line) == {"port": self.port}

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        with self._process as process:
            process.send_signal(signal.SIGTERM)
            return process.wait(STOPS_WITHIN_S)

    def close(self) -> None:
        """Kills what still runs."""
        if self._process is not None:
            with self._process as process:
                process.kill()

    def last_words(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]
