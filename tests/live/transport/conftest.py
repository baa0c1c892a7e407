"""Echo servers and the runs of client programs that the selected tests ask about, each done once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from ..conftest import build, can_be_built, lacking
from . import matrix, programs
from .matrix import Case, Outcome
from .server import Certificate, EchoServer, make_certificate

# Programs that run beside each other: for some of their time they are silent on purpose.
AT_ONCE = 3


class Servers:
    """Echo servers by transport and TLS, started when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[tuple[str, bool], EchoServer] = {}
        self._certificate: Certificate | None = None

    def __call__(self, transport: str, tls: bool) -> EchoServer:
        server = self._running.get((transport, tls))
        if server is None:
            server = self._running[transport, tls] = self.new(transport, tls)
            server.start()
        return server

    def new(self, transport: str, tls: bool = False) -> EchoServer:
        """One that nobody else uses, not started."""
        return EchoServer(transport, self._folder, self.certificate() if tls else None)

    def certificate(self) -> Certificate:
        if self._certificate is None:
            if shutil.which("openssl") is None:
                lacking("no openssl on this machine")
            self._certificate = make_certificate(self._folder)
        return self._certificate

    def close(self) -> None:
        for server in self._running.values():
            server.close()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    made = Servers(tmp_path_factory.mktemp("transport"))
    try:
        yield made
    finally:
        made.close()


class Runs:
    """Runs of client programs; all that the session needs are begun when the first one is asked for."""

    def __init__(self, servers: Servers, cases: list[Case], folder: Path) -> None:
        self._servers, self._cases, self._folder = servers, cases, folder
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._found: dict[Case, Future[Outcome]] = {}

    def __getitem__(self, case: Case) -> Outcome:
        if case not in self._found:
            build(programs.CLIENTS[case.client])
            for other in self._cases:
                if other not in self._found and can_be_built(programs.CLIENTS[other.client]):
                    self._begin(other)
        return self._found[case].result()

    def _begin(self, case: Case) -> None:
        server = self._servers(case.transport, case.tls)
        arguments = case.arguments(server.address, server.certificate.ca if server.certificate else None)
        self._found[case] = self._pool.submit(matrix.run, case.client, arguments, self._folder)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    wanted: dict[Case, None] = {}
    for item in request.session.items:
        spec = getattr(item, "callspec", None)
        if spec is not None and "case" in spec.params:
            wanted[spec.params["case"]] = None
    made = Runs(servers, list(wanted), tmp_path_factory.mktemp("runs"))
    try:
        yield made
    finally:
        made.close()
