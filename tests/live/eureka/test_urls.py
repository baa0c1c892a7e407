"""All that many clients can set is a URL: a namespace and credentials in it must reach the server."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

import pytest

from ..conftest import lacking
from ..waiting import until
from .conftest import Target, selected_clients
from .members import CLIENTS, NOTICES_WITHIN_S, STARTS_WITHIN_S, Fleet, Member
from .registry import Registry

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

USER = "live-user:live-secret"


@pytest.fixture(scope="module")
def apart(
    request: pytest.FixtureRequest, target: Target, buildable: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Fleet, Registry]]:
    """A second fleet with credentials, in a namespace of its own; the peer has no namespaces."""
    path = "/ns/live-space/eureka" if target.ours else "/eureka"
    fleet = Fleet(target.host, target.port, tmp_path_factory.mktemp("apart"), user=f"{USER}@", path=path)
    registry = Registry(f"http://{target.host}:{target.port}{path}")
    try:
        fleet.muster(selected_clients(request.session) - set(buildable))
        yield fleet, registry
    finally:
        fleet.close()
        registry.close()


@pytest.fixture(params=list(CLIENTS))
def stranger(request: pytest.FixtureRequest, apart: tuple[Fleet, Registry], buildable: dict[str, str]) -> Member:
    """A running client of that second fleet."""
    if request.param in buildable:
        lacking(buildable[request.param])
    return apart[0][request.param]


def test_namespace_and_credentials_of_the_url(stranger: Member, apart: tuple[Fleet, Registry], target: Target) -> None:
    _, registry = apart
    until(lambda: registry.instance(stranger.instance_id), STARTS_WITHIN_S, "the client is listed in its namespace")
    if target.ours:
        assert target.registry.instance(stranger.instance_id) is None
    app, instance_id = f"apart-with-{stranger.client.name}", f"apart:{stranger.client.name}"
    registry.register(app, instance_id)
    until(lambda: stranger.up(app) == {instance_id}, NOTICES_WITHIN_S, "a neighbour in the namespace is seen")
    registry.cancel(app, instance_id)
    stranger.wait_for_renewals(1, 0)

    stranger.leave()

    assert registry.instance(stranger.instance_id) is None
    expected = "Basic " + b64encode(USER.encode()).decode()
    assert {one.authorization for one in stranger.relay.exchanges} == {expected}
    assert stranger.relay.violations == []
