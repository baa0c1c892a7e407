"""A real Envoy: its own gRPC client (discovery, authorization, health, access log), and calls that pass through it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..waiting import until
from . import matrix, programs
from .conftest import Servers, build
from .echo import ENVOY_VERSIONS
from .envoy import ECHO, Envoy
from .matrix import CHECKS, PROGRAM_ENDS_WITHIN_S, SOAK_FACTOR, Case

pytestmark = [pytest.mark.live, pytest.mark.timeout(PROGRAM_ENDS_WITHIN_S)]

CLIENT = "grpc-go"
WITHIN_S = 20
# It pings the server every second, whatever the client does.
IDLE_S = 4 * SOAK_FACTOR


@pytest.fixture(
    scope="module",
    params=[("grpcio", False), ("native", False), ("native", True)],
    ids=lambda param: f"{param[0]}-{'tls' if param[1] else 'plain'}",
)
def envoy(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Envoy]:
    build(programs.ENVOY)
    made = Envoy(servers(*request.param), tmp_path_factory.mktemp("envoy"))
    try:
        made.start()
        yield made
    finally:
        made.close()


def test_every_version_of_its_clusters_is_acknowledged(envoy: Envoy) -> None:
    until(lambda: envoy.counter("cluster_manager.cds.update_success") >= ENVOY_VERSIONS, WITHIN_S, "all are applied")
    assert envoy.counter("cluster_manager.cds.update_rejected") == 0
    assert envoy.counter("control_plane.connected_state") == 1


def test_it_asks_for_the_health_of_the_server(envoy: Envoy) -> None:
    until(lambda: envoy.counter(f"cluster.{ECHO}.health_check.success") >= 3, WITHIN_S, "it has asked three times")
    assert envoy.counter(f"cluster.{ECHO}.health_check.failure") == 0
    assert envoy.counter(f"cluster.{ECHO}.membership_healthy") == 1


@pytest.fixture(scope="module")
def passed(envoy: Envoy, tmp_path_factory: pytest.TempPathFactory) -> matrix.Outcome:
    """What a client says whose calls go through Envoy."""
    build(programs.CLIENTS[CLIENT])
    arguments = [*Case(CLIENT, envoy.server.transport, False).arguments(envoy.address), "--idle", str(IDLE_S)]
    return matrix.run(CLIENT, arguments, tmp_path_factory.mktemp("passed"))


@pytest.mark.parametrize("check", CHECKS)
def test_a_call_passes_through(check: str, passed: matrix.Outcome) -> None:
    passed.assert_ok(check)


def test_it_asks_before_and_tells_afterwards(envoy: Envoy, passed: matrix.Outcome) -> None:
    passed.assert_ok("sequential")
    assert envoy.counter(f"cluster.{ECHO}.ext_authz.ok") > 1000
    assert envoy.counter(f"cluster.{ECHO}.ext_authz.error") == 0
    until(lambda: envoy.counter("access_logs.grpc_access_log.logs_written") > 1000, WITHIN_S, "it has told")
    assert envoy.counter("access_logs.grpc_access_log.logs_dropped") == 0
