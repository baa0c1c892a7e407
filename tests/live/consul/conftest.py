"""Who is tested: our server, and the real one at PEER_CONSUL where it can show that the tests are right.

``PEER_CONSUL=http://host:8500`` (an agent in development mode; its DNS port is not asked)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from ..building import BuildFailedError, MissingToolsError, Program
from ..conftest import lacking, of_folder
from ..eureka.registry import Registry as EurekaRegistry
from ..nacos.registry import Registry as NacosRegistry
from ..server import Server
from . import programs
from .members import CLIENTS, PROMETHEUS, SPRING, Client, Fleet, Member
from .names import Resolver
from .registry import Registry

PEER = os.environ.get("PEER_CONSUL", "")
RUN = f"{os.getpid():x}"
EXTRAS = {"spring_clients": SPRING, "prometheus": PROMETHEUS, "house": PROMETHEUS}
GROUPED_FIXTURES = ("members", "house")
"""Fixtures that want every library."""


@dataclass(frozen=True)
class Target:
    """A server with its fleet. ``server`` is None for the peer, which is not ours to restart."""

    address: str
    registry: Registry
    fleet: Fleet
    server: Server | None


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
            server = Server(folder, "service-consul")
            server.start()
            host, port = "127.0.0.1", server.port
        else:
            url = urlsplit(PEER)
            host, port = url.hostname or "127.0.0.1", url.port or 8500
        registry = Registry(f"http://{host}:{port}")
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
def names(server: Server) -> Resolver:
    """Names as the server answers them."""
    return Resolver("127.0.0.1", server.dns_port)


@pytest.fixture(scope="session")
def eureka(server: Server) -> Iterator[EurekaRegistry]:
    registry = EurekaRegistry(f"http://127.0.0.1:{server.ports['service-eureka']}/eureka")
    yield registry
    registry.close()


@pytest.fixture(scope="session")
def nacos(server: Server) -> Iterator[NacosRegistry]:
    registry = NacosRegistry(f"http://127.0.0.1:{server.ports['service-nacos']}/nacos")
    yield registry
    registry.close()


def wanted(session: pytest.Session) -> list[Client]:
    """Clients that the selected tests name."""
    found: dict[str, Client] = {}
    for item in of_folder(session, __file__):
        spec = getattr(item, "callspec", None)
        if spec is not None and "member" in spec.params:
            found[spec.params["member"]] = CLIENTS[spec.params["member"]]
        fixtures = getattr(item, "fixturenames", ())
        if any(name in fixtures for name in GROUPED_FIXTURES):
            found |= CLIENTS
        found |= {client.name: client for fixture, client in EXTRAS.items() if fixture in fixtures}
    return list(found.values())


@pytest.fixture(scope="session")
def buildable(request: pytest.FixtureRequest) -> dict[str, str]:
    """Builds the selected clients; what cannot be built, with the reason."""
    reasons = {}
    for client in wanted(request.session):
        reason = built(client.program)
        if reason:
            reasons[client.name] = reason
    return reasons


def built(program: Program) -> str:
    """Builds a program; empty, or which tools are missing."""
    try:
        program.ready()
    except MissingToolsError as missing:
        return str(missing)
    except BuildFailedError as failed:
        pytest.fail(str(failed), pytrace=False)
    return ""


@pytest.fixture(scope="session")
def fleet(request: pytest.FixtureRequest, target: Target, buildable: dict[str, str]) -> Fleet:
    """Every selected library that can be built, running."""
    chosen = [client for client in wanted(request.session) if client.name in CLIENTS]
    target.fleet.muster([client for client in chosen if client.name not in buildable])
    return target.fleet


def needed(client: Client, buildable: dict[str, str]) -> None:
    """Ends the test when a client cannot be built here."""
    if client.name in buildable:
        lacking(buildable[client.name])


@pytest.fixture
def member(request: pytest.FixtureRequest, fleet: Fleet, buildable: dict[str, str]) -> Iterator[Member]:
    """A running client of one of the libraries."""
    client = CLIENTS[request.param]
    needed(client, buildable)
    member = fleet[client]
    yield member
    assert member.relay.violations == []


@pytest.fixture
def members(fleet: Fleet, buildable: dict[str, str]) -> list[Member]:
    """Every library's client, for what takes as long for all of them as for one."""
    for client in CLIENTS.values():
        needed(client, buildable)
    return [fleet[client] for client in CLIENTS.values()]


@pytest.fixture(scope="module")
def prometheus(target: Target, buildable: dict[str, str]) -> Iterator[Member]:
    """Prometheus' discovery."""
    needed(PROMETHEUS, buildable)
    member = target.fleet.start(PROMETHEUS, "prometheus")
    member.talker.greet()
    yield member
    member.talker.close()


@pytest.fixture(scope="session")
def template() -> str:
    """Path of consul-template."""
    reason = built(programs.TEMPLATE)
    if reason:
        lacking(reason)
    return programs.TEMPLATE.command[0]


@pytest.fixture
def service(request: pytest.FixtureRequest) -> str:
    """A service name of the test's own, also between runs on one peer; a DNS label."""
    test = request.node.originalname.removeprefix("test_")[:30].strip("_").replace("_", "-")
    spec = getattr(request.node, "callspec", None)
    client = spec.params.get("member", "any") if spec is not None else "any"
    return f"{test}-{client}-{RUN}"


@pytest.fixture
def key(service: str) -> str:
    """A key of the test's own."""
    return f"live/{service}"
