"""Who is tested: our server, and the real one at PEER_EUREKA where it can show that the tests are right."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

from ..building import BuildFailedError, MissingToolsError
from ..conftest import lacking, of_folder
from ..server import Server
from ..waiting import until
from .members import CLIENTS, RENEWS_WITHIN_S, Fleet, Member
from .registry import Registry

PEER = os.environ.get("PEER_EUREKA", "")


@dataclass(frozen=True)
class Target:
    """A server with its fleet. ``server`` is None for the peer, which is not ours to restart."""

    registry: Registry
    fleet: Fleet
    server: Server | None
    host: str
    port: int

    @property
    def ours(self) -> bool:
        return self.server is not None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames:
        restarts = "server" in metafunc.fixturenames
        names = ["ours"] if restarts or not PEER else ["ours", "peer"]
        metafunc.parametrize("target", names, indirect=True, scope="session")
    if "member" in metafunc.fixturenames and not chooses_clients(metafunc):
        metafunc.parametrize("member", list(CLIENTS), indirect=True)


def chooses_clients(metafunc: pytest.Metafunc) -> bool:
    """Whether the test says itself which clients it is for."""
    return any(mark.args[0] == "member" for mark in metafunc.definition.iter_markers("parametrize"))


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp(request.param)
    server = None
    try:
        if request.param == "ours":
            server = Server(folder, "service-eureka")
            server.start()
            url = f"http://127.0.0.1:{server.port}/eureka"
        else:
            url = PEER
        address = urlsplit(url)
        host, port = address.hostname or "127.0.0.1", address.port or 80
        registry = Registry(url)
        fleet = Fleet(host, port, folder)
        try:
            yield Target(registry, fleet, server, host, port)
        finally:
            fleet.close()
            registry.close()
    finally:
        if server is not None:
            server.close()


@pytest.fixture
def registry(target: Target) -> Registry:
    return target.registry


@pytest.fixture(scope="session")
def server(target: Target) -> Server:
    """Asking for it keeps a test away from the peer."""
    assert target.server is not None
    return target.server


def selected_clients(session: pytest.Session) -> set[str]:
    """Clients that the selected tests name."""
    names: set[str] = set()
    for item in of_folder(session, __file__):
        spec = getattr(item, "callspec", None)
        if spec is not None:
            names.update(spec.params[fixture] for fixture in ("member", "stranger") if fixture in spec.params)
    return names


@pytest.fixture(scope="session")
def buildable(request: pytest.FixtureRequest) -> dict[str, str]:
    """Builds the selected clients; what cannot be built, with the reason."""
    reasons = {}
    for name in selected_clients(request.session):
        try:
            CLIENTS[name].program.ready()
        except MissingToolsError as missing:
            reasons[name] = str(missing)
        except BuildFailedError as failed:
            pytest.fail(str(failed), pytrace=False)
    return reasons


@pytest.fixture(scope="session")
def fleet(request: pytest.FixtureRequest, target: Target, buildable: dict[str, str]) -> Fleet:
    """Every selected client that can be built, running."""
    target.fleet.muster(selected_clients(request.session) - set(buildable))
    return target.fleet


def wait_until_up(registry: Registry, member: Member) -> None:
    """Fails after a while the first time, and at once when the same client is missing again."""

    def is_up() -> bool:
        listed = registry.instance(member.instance_id)
        return listed is not None and listed["status"] == "UP"

    patience_s = 0 if member.lost else 2 * RENEWS_WITHIN_S
    member.lost = True
    until(is_up, patience_s, f"{member.client.name} is listed as UP")
    member.lost = False


@pytest.fixture
def member(request: pytest.FixtureRequest, target: Target, fleet: Fleet, buildable: dict[str, str]) -> Iterator[Member]:
    """A running client whose instance is listed as UP."""
    if request.param in buildable:
        lacking(buildable[request.param])
    member = fleet[request.param]
    wait_until_up(target.registry, member)
    yield member
    assert member.relay.violations == []


class Greeting(BaseHTTPRequestHandler):
    """The application that is called by name."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"greetings at {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the tests read what the callers got."""


@pytest.fixture(scope="session")
def greeter() -> Iterator[int]:
    """Port of an HTTP server that greets."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Greeting) as http:
        thread = Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield http.server_address[1]
        http.shutdown()
        thread.join()
