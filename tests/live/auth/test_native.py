"""Native clients at guarded ports: without a token, with a wrong one, with the rights of a user, and while these change."""

from __future__ import annotations

import pytest

from ..polaris.console import TOKEN
from ..polaris.members import HOST, NOTICES_WITHIN_S, Client
from ..waiting import until
from .accounts import READING, WRITING
from .conftest import Servers, Start

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

REFUSED, DISABLED, REPLACED = "401001", "401003", "401004"
OWN = {"host": HOST, "port": 8002, "ttl": 5}


def test_no_token_is_asked_for_when_clients_are_not_guarded(
    sdk: Client, servers: Servers, start: Start, service: str
) -> None:
    for port, member in enumerate(start(sdk, servers["off"], "", "garbage"), 8002):
        member.ask("register", service=service, host=HOST, port=port, ttl=5)
        member.ask("heartbeat", service=service, host=HOST, port=port)
        until(
            lambda member=member, port=port: port in member.ports("all", service),  # type: ignore[misc]
            NOTICES_WITHIN_S,
            "it finds itself",
        )


@pytest.mark.parametrize("mode", ["lenient", "strict"])
def test_only_a_token_that_counts_opens_a_guarded_port(
    mode: str, sdk: Client, servers: Servers, start: Start, service: str
) -> None:
    """Not strict, a wrong token is as good as none, which has no rights either as long as no policy gives some."""
    guarded = servers[mode]
    guarded.console.register(service, 8001)
    *strangers, main = start(sdk, guarded, "", "garbage", TOKEN)
    for stranger in strangers:
        assert REFUSED in stranger.refusal("register", service=service, **OWN)
        assert REFUSED in stranger.refusal("heartbeat", service=service, **OWN)
        assert stranger.ports("all", service) == set()
    main.ask("register", service=service, **OWN)
    main.ask("heartbeat", service=service, **OWN)
    until(lambda: main.ports("all", service) == {8001, 8002}, NOTICES_WITHIN_S, "the main user's client finds both")
    for stranger in strangers:
        assert stranger.ports("all", service) == set()
        assert REFUSED in stranger.refusal("deregister", service=service, **OWN)
    main.ask("deregister", service=service, **OWN)
    until(lambda: main.ports("all", service) == {8001}, NOTICES_WITHIN_S, "and only it could be taken away")


def test_a_user_may_do_what_its_policies_say(sdk: Client, servers: Servers, start: Start, service: str) -> None:
    guarded = servers["strict"]
    guarded.console.register(service, 8001)
    user = guarded.accounts.create()
    (member,) = start(sdk, guarded, user.token)
    assert member.ports("all", service) == set()
    assert REFUSED in member.refusal("register", service=service, **OWN)

    guarded.accounts.allow(user, READING)
    until(lambda: member.ports("all", service) == {8001}, NOTICES_WITHIN_S, "who may read finds it")
    assert REFUSED in member.refusal("register", service=service, **OWN)
    assert REFUSED in member.refusal("heartbeat", service=service, **OWN)
    assert set(guarded.console.instances(service)) == {8001}

    guarded.accounts.allow(user, WRITING)
    member.ask("register", service=service, **OWN)
    member.ask("heartbeat", service=service, **OWN)
    until(lambda: member.ports("all", service) == {8001, 8002}, NOTICES_WITHIN_S, "who may write is found")
    member.ask("deregister", service=service, **OWN)
    assert set(guarded.console.instances(service)) == {8001}


@pytest.mark.parametrize("mode", ["lenient", "strict"])
def test_a_token_is_refreshed_under_its_client(
    mode: str, sdk: Client, servers: Servers, start: Start, service: str
) -> None:
    """The old token is refused at once. The library keeps what it knows and is told nothing more.

    Not strict, the old token is one that proves nobody: the code is that of a caller without rights.
    """
    guarded = servers[mode]
    guarded.console.register(service, 8001)
    user = guarded.accounts.create()
    guarded.accounts.allow(user, READING + WRITING)
    (old,) = start(sdk, guarded, user.token)
    old.ask("register", service=service, **OWN)
    until(lambda: old.ports("all", service) == {8001, 8002}, NOTICES_WITHIN_S, "all is well")

    refreshed = guarded.accounts.refresh(user)
    assert refreshed.token != user.token
    code = REPLACED if mode == "strict" else REFUSED
    for call in ("register", "heartbeat", "deregister"):
        assert code in old.refusal(call, service=service, **OWN)
    guarded.console.register(service, 8003)

    (new,) = start(sdk, guarded, refreshed.token)
    new.ask("heartbeat", service=service, **OWN)
    until(lambda: new.ports("all", service) == {8001, 8002, 8003}, NOTICES_WITHIN_S, "the new token counts")
    assert old.ports("all", service) == {8001, 8002}
    new.ask("deregister", service=service, **OWN)


def test_a_token_is_switched_off_and_on(sdk: Client, servers: Servers, start: Start, service: str) -> None:
    """A stream that was refused goes on when the token counts again."""
    guarded = servers["strict"]
    guarded.console.register(service, 8001)
    user = guarded.accounts.create()
    guarded.accounts.allow(user, READING + WRITING)
    (member,) = start(sdk, guarded, user.token)
    until(lambda: member.ports("all", service) == {8001}, NOTICES_WITHIN_S, "all is well")

    guarded.accounts.enable(user, False)
    assert DISABLED in member.refusal("register", service=service, **OWN)
    guarded.console.register(service, 8003)
    guarded.accounts.enable(user, True)
    member.ask("register", service=service, **OWN)
    until(lambda: member.ports("all", service) == {8001, 8002, 8003}, NOTICES_WITHIN_S, "it is told again")
