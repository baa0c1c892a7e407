"""Who is tested: our server, and the real one at PEER_NACOS where it can show that the tests are right.

``PEER_NACOS=http://host:8848``
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from ..building import BuildFailedError, MissingToolsError
from ..conftest import lacking, of_folder
from ..eureka.registry import Registry as EurekaRegistry
from ..polaris.console import Console
from ..server import Server
from .members import DUBBO, SDKS, SPRING, SPRING_CONFIG, Client, Fleet, Member
from .registry import Registry

PEER = os.environ.get("PEER_NACOS", "")
RUN = f"{os.getpid():x}"
EXTRAS = {"spring": SPRING, "spring_config": SPRING_CONFIG, "dubbo": DUBBO}
GROUPED_FIXTURES = ("sdks", "guarded", "guests")
"""Fixtures that want every SDK."""


@dataclass(frozen=True)
class Target:
    """A server with its fleet. ``server`` is None for the peer, which is not ours to restart."""

    address: str
    registry: Registry
    fleet: Fleet
    server: Server | None

    @property
    def ours(self) -> bool:
        return self.server is not None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames:
        restarts = "server" in metafunc.fixturenames
        names = ["ours"] if restarts or not PEER else ["ours", "peer"]
        metafunc.parametrize("target", names, indirect=True, scope="session")
    if "member" in metafunc.fixturenames and not chooses_clients(metafunc):
        metafunc.parametrize("member", list(SDKS), indirect=True)


def chooses_clients(metafunc: pytest.Metafunc) -> bool:
    """Whether the test says itself which clients it is for."""
    return any(mark.args[0] == "member" for mark in metafunc.definition.iter_markers("parametrize"))


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp(request.param)
    server = None
    try:
        if request.param == "ours":
            server = Server(folder, "service-nacos")
            server.start()
            host, port = "127.0.0.1", server.port
        else:
            url = urlsplit(PEER)
            host, port = url.hostname or "127.0.0.1", url.port or 8848
        registry = Registry(f"http://{host}:{port}/nacos")
        fleet = Fleet(host, port, folder)
        try:
            yield Target(f"{host}:{port}", registry, fleet, server)
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


@pytest.fixture(scope="session")
def eureka(server: Server) -> Iterator[EurekaRegistry]:
    registry = EurekaRegistry(f"http://127.0.0.1:{server.ports['service-eureka']}/eureka")
    yield registry
    registry.close()


@pytest.fixture(scope="session")
def console(server: Server) -> Iterator[Console]:
    console = Console(f"http://127.0.0.1:{server.http_port}")
    yield console
    console.close()


def wanted(session: pytest.Session) -> list[Client]:
    """Clients that the selected tests name."""
    found: dict[str, Client] = {}
    for item in of_folder(session, __file__):
        spec = getattr(item, "callspec", None)
        if spec is not None and "member" in spec.params:
            found[spec.params["member"]] = SDKS[spec.params["member"]]
        fixtures = getattr(item, "fixturenames", ())
        if any(name in fixtures for name in GROUPED_FIXTURES):
            found |= SDKS
        found |= {client.name: client for fixture, client in EXTRAS.items() if fixture in fixtures}
    return list(found.values())


@pytest.fixture(scope="session")
def buildable(request: pytest.FixtureRequest) -> dict[str, str]:
    """Builds the selected clients; what cannot be built, with the reason."""
    reasons = {}
    for client in wanted(request.session):
        try:
            client.program.ready()
        except MissingToolsError as missing:
            reasons[client.name] = str(missing)
        except BuildFailedError as failed:
            pytest.fail(str(failed), pytrace=False)
    return reasons


@pytest.fixture(scope="session")
def fleet(request: pytest.FixtureRequest, target: Target, buildable: dict[str, str]) -> Fleet:
    """Every selected SDK that can be built, running."""
    chosen = [client for client in wanted(request.session) if client.name in SDKS]
    target.fleet.muster([client for client in chosen if client.name not in buildable])
    return target.fleet


def needed(client: Client, buildable: dict[str, str]) -> None:
    """Ends the test when a client cannot be built here."""
    if client.name in buildable:
        lacking(buildable[client.name])


@pytest.fixture
def member(request: pytest.FixtureRequest, fleet: Fleet, buildable: dict[str, str]) -> Member:
    """A running client of one of the SDKs."""
    client = SDKS[request.param]
    needed(client, buildable)
    return fleet[client]


@pytest.fixture
def sdks(fleet: Fleet, buildable: dict[str, str]) -> list[Member]:
    """Every SDK's client, for what takes as long for all of them as for one."""
    for client in SDKS.values():
        needed(client, buildable)
    return [fleet[client] for client in SDKS.values()]


@pytest.fixture
def service(request: pytest.FixtureRequest) -> str:
    """A service name of the test's own, also between runs on one peer."""
    test = request.node.originalname.removeprefix("test_")[:70].replace("_", "-")
    spec = getattr(request.node, "callspec", None)
    client = spec.params.get("member", "any") if spec is not None else "any"
    return f"{test}.{client}.{RUN}"
