"""A port that demands credentials: every client works with an account in its URL, and none without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ..conftest import lacking
from ..server import Server
from ..waiting import until
from .conftest import selected_clients
from .members import CLIENTS, NOTICES_WITHIN_S, STARTS_WITHIN_S, Fleet, Member

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

USER = ("polaris", "polaris")
HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose Eureka port is locked."""
    settings = ("apiservers.service-eureka.option.auth=true",)
    server = Server(tmp_path_factory.mktemp("locked"), "service-eureka", settings)
    try:
        server.start()
        yield server
    finally:
        server.close()


def fleet_with(server: Server, folder: Path, user: str) -> Fleet:
    return Fleet(HOST, server.port, folder, user=user)


@pytest.fixture(scope="module")
def known(
    request: pytest.FixtureRequest,
    locked: Server,
    buildable: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    """Clients that have an account."""
    fleet = fleet_with(locked, tmp_path_factory.mktemp("known"), ":".join(USER) + "@")
    try:
        fleet.muster(selected_clients(request.session) - set(buildable))
        yield fleet
    finally:
        fleet.close()


@pytest.fixture(params=list(CLIENTS))
def stranger(request: pytest.FixtureRequest, known: Fleet, buildable: dict[str, str]) -> Member:
    """A running client with an account; the name of the fixture is what selects and builds the clients."""
    if request.param in buildable:
        lacking(buildable[request.param])
    return known[request.param]


def test_a_client_with_an_account(stranger: Member, locked: Server) -> None:
    url = f"http://{HOST}:{locked.port}/eureka/apps/{stranger.app.upper()}/{stranger.instance_id}"

    def listed() -> bool:
        return httpx.get(url, auth=USER, headers={"Accept": "application/json"}).status_code == 200

    assert httpx.get(url).status_code == 401
    until(listed, STARTS_WITHIN_S, "the client is listed")
    until(lambda: stranger.up(stranger.app) != set(), NOTICES_WITHIN_S, "it sees itself")
    stranger.wait_for_renewals(2, 0)
    stranger.leave()
    assert not listed()
    assert stranger.relay.violations == []
