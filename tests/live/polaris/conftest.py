"""Who is tested: our server, and the real one at PEER_POLARIS where it can show that the tests are right.

``PEER_POLARIS=http://host:8090?grpc=8091&eureka=8761``
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest

from ..building import BuildFailedError, MissingToolsError
from ..conftest import lacking, of_folder
from ..eureka.registry import Registry
from ..server import Server
from .console import Console
from .members import GRPC, SDKS, SPRING, Client, Fleet, Member

PEER = os.environ.get("PEER_POLARIS", "")
EXTRAS = {"grpc": GRPC, "spring": SPRING}
RUN = f"{os.getpid():x}"
ON_GRPCIO = frozenset({"test_registers_and_is_seen_by_every_client", "test_registers_again_with_other_values"})
LONG_ON_GRPCIO = frozenset(
    {
        "test_a_beat_in_time_keeps_it_healthy_and_one_too_late_heals_it",
        "test_beats_of_its_own_stop_with_the_process",
        "test_clients_go_on_across_a_restart",
    }
)
"""Told once more with grpcio under the port: it stays the reference and the fallback of our own transport. Of the long ones
(half a minute together) that is enough with one library of each language and the polite end of the server."""
ENOUGH = {"member": ("polaris-go-1.7", "polaris-java"), "ending": (signal.SIGTERM,)}


@dataclass(frozen=True)
class Target:
    """A server with its fleet. ``server`` is None for the peer, which is not ours to restart."""

    console: Console
    eureka: Registry
    fleet: Fleet
    server: Server | None

    @property
    def ours(self) -> bool:
        return self.server is not None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames:
        restarts = "server" in metafunc.fixturenames
        names = ["ours"] if restarts or not PEER else ["ours", "peer"]
        if metafunc.function.__name__ in ON_GRPCIO | LONG_ON_GRPCIO:
            names.append("grpcio")
        metafunc.parametrize("target", names, indirect=True, scope="session")
    if "member" in metafunc.fixturenames:
        metafunc.parametrize("member", list(SDKS), indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if not _more_than_enough(item)]


def _more_than_enough(item: pytest.Item) -> bool:
    spec = getattr(item, "callspec", None)
    if spec is None or spec.params.get("target") != "grpcio" or getattr(item, "originalname", "") not in LONG_ON_GRPCIO:
        return False
    return any(name in spec.params and spec.params[name] not in chosen for name, chosen in ENOUGH.items())


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp(request.param)
    server = None
    try:
        if request.param in ("ours", "grpcio"):
            transport = "native" if request.param == "ours" else "grpcio"
            server = Server(folder, "service-grpc", (f"apiservers.service-grpc.option.transport={transport}",))
            server.start()
            host, http, grpc, eureka = "127.0.0.1", server.http_port, server.port, server.ports["service-eureka"]
        else:
            url = urlsplit(PEER)
            ports = {name: int(values[0]) for name, values in parse_qs(url.query).items()}
            host, http, grpc, eureka = url.hostname or "", url.port or 8090, ports["grpc"], ports["eureka"]
        console = Console(f"http://{host}:{http}")
        registry = Registry(f"http://{host}:{eureka}/eureka")
        fleet = Fleet(f"{host}:{grpc}", folder)
        try:
            yield Target(console, registry, fleet, server)
        finally:
            fleet.close()
            registry.close()
            console.close()
    finally:
        if server is not None:
            server.close()


@pytest.fixture
def console(target: Target) -> Console:
    return target.console


@pytest.fixture
def eureka(target: Target) -> Registry:
    return target.eureka


@pytest.fixture(scope="session")
def server(target: Target) -> Server:
    """Asking for it keeps a test away from the peer."""
    assert target.server is not None
    return target.server


def wanted(session: pytest.Session) -> list[Client]:
    """Clients that the selected tests name."""
    found: dict[str, Client] = {}
    for item in of_folder(session, __file__):
        spec = getattr(item, "callspec", None)
        if spec is not None and "member" in spec.params:
            found[spec.params["member"]] = SDKS[spec.params["member"]]
        fixtures = getattr(item, "fixturenames", ())
        if "sdks" in fixtures:
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
    """Every selected client that can be built, running."""
    target.fleet.muster([client for client in wanted(request.session) if client.name not in buildable])
    return target.fleet


def running(client: Client, fleet: Fleet, buildable: dict[str, str]) -> Member:
    if client.name in buildable:
        lacking(buildable[client.name])
    return fleet[client]


@pytest.fixture
def member(request: pytest.FixtureRequest, fleet: Fleet, buildable: dict[str, str]) -> Member:
    """A running client of one of the SDKs."""
    return running(SDKS[request.param], fleet, buildable)


@pytest.fixture
def sdks(fleet: Fleet, buildable: dict[str, str]) -> list[Member]:
    """Every SDK's client, for what takes as long for all of them as for one."""
    return [running(client, fleet, buildable) for client in SDKS.values()]


@pytest.fixture
def grpc(fleet: Fleet, buildable: dict[str, str]) -> Member:
    """grpc-go-polaris, server and client."""
    return running(GRPC, fleet, buildable)


@pytest.fixture
def spring(fleet: Fleet, buildable: dict[str, str]) -> Member:
    """The Spring Cloud Tencent application."""
    return running(SPRING, fleet, buildable)


@pytest.fixture
def service(request: pytest.FixtureRequest) -> str:
    """A service name of the test's own, also between runs on one peer."""
    test = request.node.originalname.removeprefix("test_")[:70].replace("_", "-")
    spec = getattr(request.node, "callspec", None)
    client = spec.params.get("member", "any") if spec is not None else "any"
    return f"{test}.{client}.{RUN}"
