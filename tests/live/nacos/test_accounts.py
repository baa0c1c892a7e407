"""A port that demands credentials: right ones, wrong ones, none, tokens that end, rights to read alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from ..server import Server
from ..waiting import until
from .conftest import needed
from .members import NOTICES_WITHIN_S, RECOVERS_WITHIN_S, SDKS, Client, Fleet, Member
from .registry import HOST, Registry
from .telling import Watch

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

ADMINISTRATOR = ("polaris", "polaris")
WRITER = ("live-writer", "secret-1")
READER = ("live-reader", "secret-2")
TOKENS_LAST_S = 16
"""Libraries look every 5 s whether to log in again, one of them 10 s before the end."""
ANCHOR, OTHER = 8009, 8001


@dataclass(frozen=True)
class Guarded:
    """A server that demands credentials, and an administrator's eyes and hands."""

    server: Server
    registry: Registry
    folder: Path
    stack: ExitStack

    def fleet(self, name: str, *account: str) -> Fleet:
        """Members that log in with an account, or with nothing."""
        given = ["--user", account[0], "--password", account[1]] if account else []
        fleet = Fleet("127.0.0.1", self.server.port, self.folder / name, *given)
        self.stack.callback(fleet.close)
        return fleet


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, buildable: dict[str, str]) -> Iterator[Guarded]:
    for client in SDKS.values():
        needed(client, buildable)
    folder = tmp_path_factory.mktemp("guarded")
    options = {"auth": "true", "tokenExpire": f"{TOKENS_LAST_S}s"}
    server = Server(
        folder,
        "service-nacos",
        tuple(f"apiservers.service-nacos.option.{name}={value}" for name, value in options.items()),
    )
    with ExitStack() as stack:
        stack.callback(server.close)
        server.start()
        url = f"http://127.0.0.1:{server.port}/nacos"
        for account, action in ((WRITER, "rw"), (READER, "r")):
            make_account(url, *account, action)
        registry = Registry(url, *ADMINISTRATOR)
        stack.callback(registry.close)
        yield Guarded(server, registry, folder, stack)


def make_account(url: str, name: str, password: str, action: str) -> None:
    """A user with a role of its own that may do this in the namespace ``public``."""
    role = f"{name}-role"
    calls = (
        ("users", {"username": name, "password": password}),
        ("roles", {"role": role, "username": name}),
        ("permissions", {"role": role, "resource": ":*:*", "action": action}),
    )
    with httpx.Client(base_url=url, timeout=10) as http:
        answer = http.post("/v1/auth/login", data=dict(zip(("username", "password"), ADMINISTRATOR, strict=True)))
        token = {"accessToken": answer.json()["accessToken"]}
        for path, values in calls:
            answer = http.post(f"/v1/auth/{path}", params=token, data=values)
            assert answer.status_code == 200, (path, values, answer.status_code, answer.text)


def test_right_password_and_tokens_that_end(guarded: Guarded) -> None:
    """Everybody logs in, and goes on when the token has ended that was given first."""
    fleet = guarded.fleet("right", *WRITER)
    began = time.monotonic()
    fleet.muster(list(SDKS.values()))
    service = "right-password"
    guarded.registry.register(service, ANCHOR)
    watches = [Watch(member, service) for member in fleet]
    for member in fleet:
        member.register(service)
    ports = {ANCHOR, *(member.port for member in fleet)}
    for member in fleet:
        member.sees(service, ports)

    until(lambda: time.monotonic() > began + TOKENS_LAST_S + 6, TOKENS_LAST_S + 8, "the first tokens have ended")
    guarded.registry.register(service, OTHER)
    for watch in watches:
        watch.member.sees(service, {*ports, OTHER})
    for member in fleet:
        again = f"{service}.again.{member.name}"
        until(
            lambda member=member, again=again: not member.refusal("register", again, ip=HOST, port=member.port),  # type: ignore[misc]
            RECOVERS_WITHIN_S,
            f"{member.name} registers with a new token",
        )
        until(lambda again=again: guarded.registry.ports(again), NOTICES_WITHIN_S, "it is listed")  # type: ignore[misc]
    assert guarded.registry.ports(service) == {*ports, OTHER}, "beats and connections go on"


@pytest.mark.parametrize("account", [(WRITER[0], "wrong"), ()], ids=["wrong", "none"])
def test_wrong_password_or_none(guarded: Guarded, account: tuple[str, ...]) -> None:
    """Nobody registers, whether the library ends with the login or only with the call."""
    service = f"refused-{len(account)}"
    fleet = guarded.fleet(service, *account)
    chosen = [client for name, client in SDKS.items() if name != "java-2"]
    members = [fleet.start(client, client.name) for client in chosen]
    for member in members:
        told = refused(member, service)
        assert told, f"{member.name} is refused"
    assert not guarded.registry.ports(service)


def refused(member: Member, service: str) -> str:
    """What a member says that may not register; some end when they cannot log in."""
    try:
        member.talker.greet()
    except AssertionError as ended:
        assert not member.talker.running
        return str(ended)
    return member.refusal("register", service, ip=HOST, port=member.port)


@pytest.mark.parametrize("client", [SDKS["node"], SDKS["go-2"]], ids=lambda client: str(client.name))
def test_a_reader_reads_and_cannot_write(guarded: Guarded, client: Client) -> None:
    service = f"read-by-{client.name}"
    guarded.registry.register(service, ANCHOR)
    member = guarded.fleet(service, *READER)[client]
    member.sees(service, {ANCHOR})
    assert member.refusal("register", service, ip=HOST, port=member.port)
    assert guarded.registry.ports(service) == {ANCHOR}
