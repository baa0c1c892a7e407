"""Eureka clients with credentials in their URL, at a port that asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from ..eureka.members import CLIENTS, NOTICES_WITHIN_S, RENEWS_WITHIN_S, STARTS_WITHIN_S, Member
from ..eureka.relay import Relay, RelayLoop
from ..polaris.console import TOKEN
from ..waiting import until
from .accounts import PASSWORD, READING, WRITING
from .conftest import Guarded, Servers

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

WRONG = ("polaris:wrong", f"polaris:{'A' * 80}")
RIGHT = ("polaris:polaris", f"any:{quote(TOKEN, safe='')}")

Launch = Callable[[str, str], Member]


@pytest.fixture
def guarded(servers: Servers) -> Guarded:
    return servers["strict"]


@pytest.fixture
def launch(guarded: Guarded, tmp_path: Path) -> Iterator[Launch]:
    """Starts a client with ``name:password`` without waiting for it: what it is refused may be its end."""
    loop = RelayLoop()
    members: list[Member] = []

    def launched(name: str, credentials: str) -> Member:
        folder = tmp_path / str(len(members))
        folder.mkdir()
        relay = Relay(loop, "127.0.0.1", guarded.server.ports["service-eureka"])
        member = Member(CLIENTS[name], relay, folder, f"{credentials}@", "/eureka")
        members.append(member)
        member.launch()
        return member

    yield launched
    for member in members:
        member.close()
        member.relay.close()
    loop.close()


def statuses(member: Member, method: str) -> set[int]:
    """How its calls of a method have been answered so far."""
    return {one.status for one in member.relay.exchanges if one.method == method}


def ports(guarded: Guarded, member: Member) -> set[int]:
    return set(guarded.console.instances(member.app))


def test_a_name_with_its_password_or_any_name_with_a_token(
    eureka_client: str, guarded: Guarded, launch: Launch
) -> None:
    members = [launch(eureka_client, credentials) for credentials in RIGHT]
    for member in members:
        member.greet()
    own = {member.instance_id for member in members}
    for member in members:
        member.wait_for_renewals(2, 0)
        until(lambda member=member: member.up(member.app) >= own, NOTICES_WITHIN_S, "it sees both")  # type: ignore[misc]
        assert statuses(member, "POST") == {204}
        assert statuses(member, "PUT") == statuses(member, "GET") == {200}
        assert member.port in ports(guarded, member)
    for member in members:
        member.leave()
        assert member.port not in ports(guarded, member)


def test_who_proves_nothing_gets_nowhere(eureka_client: str, guarded: Guarded, launch: Launch) -> None:
    members = [launch(eureka_client, credentials) for credentials in WRONG]
    for member in members:
        until(lambda member=member: statuses(member, "POST"), STARTS_WITHIN_S, "it has tried to register")  # type: ignore[misc]
        assert {one.status for one in member.relay.exchanges} == {401}
        assert member.port not in ports(guarded, member)


def test_a_reader_may_not_register(eureka_client: str, guarded: Guarded, launch: Launch) -> None:
    guarded.console.register("read-by-eureka", 8001)
    reader, writer = (guarded.accounts.create() for _ in range(2))
    guarded.accounts.allow(reader, READING)
    guarded.accounts.allow(writer, READING + WRITING)
    reading, writing = (launch(eureka_client, f"{user.name}:{PASSWORD}") for user in (reader, writer))
    writing.greet()
    writing.wait_for_renewals(1, 0)
    assert statuses(writing, "POST") == {204}
    assert writing.port in ports(guarded, writing)
    until(lambda: writing.up("read-by-eureka"), NOTICES_WITHIN_S, "and it sees others")

    until(lambda: statuses(reading, "POST"), STARTS_WITHIN_S, "it has tried to register")
    assert statuses(reading, "POST") == {403}
    assert statuses(reading, "GET") <= {200}
    assert reading.port not in ports(guarded, reading)


def test_a_token_is_refreshed_under_its_client(eureka_client: str, guarded: Guarded, launch: Launch) -> None:
    """The next beat is refused."""
    user = guarded.accounts.create()
    guarded.accounts.allow(user, READING + WRITING)
    member = launch(eureka_client, f"any:{quote(user.token, safe='')}")
    member.greet()
    member.wait_for_renewals(1, 0)
    assert 401 not in {one.status for one in member.relay.exchanges}
    guarded.accounts.refresh(user)
    until(lambda: 401 in statuses(member, "PUT"), RENEWS_WITHIN_S, "the old token is refused")
