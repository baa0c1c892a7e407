"""Guarded servers, each started once, and clients that are started with the token or the password of a test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..conftest import build
from ..eureka.members import CLIENTS
from ..polaris.console import Console
from ..polaris.members import SDKS, Client, Member
from ..server import Server
from .accounts import Accounts

CLIENT_OPEN, CLIENT_STRICT = (f"auth.strategy.option.client{word}=true" for word in ("Open", "Strict"))
MODES = {
    "off": (),
    "lenient": (CLIENT_OPEN,),
    "strict": (CLIENT_OPEN, CLIENT_STRICT),
}
"""Settings by how clients are guarded."""
EUREKA_PROGRAMS = {name: CLIENTS[name].program for name in ("py", "spring")}


@dataclass(frozen=True)
class Guarded:
    """A server with its main user at the console, which wants a token in every mode."""

    server: Server
    console: Console
    accounts: Accounts

    @property
    def native(self) -> str:
        """host:port of the gRPC listener."""
        return f"127.0.0.1:{self.server.port}"


Start = Callable[..., list[Member]]


class Servers:
    """Servers by mode, started when first asked for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._running: dict[str, Guarded] = {}

    def __getitem__(self, mode: str) -> Guarded:
        if mode not in self._running:
            self._running[mode] = self._start(mode)
        return self._running[mode]

    def _start(self, mode: str) -> Guarded:
        folder = self._folder / mode
        folder.mkdir(exist_ok=True)
        asked = ("auth.strategy.option.consoleOpen=true", "apiservers.service-eureka.option.auth=true")
        server = Server(folder, "service-grpc", (*asked, *MODES[mode]))
        self._stack.callback(server.close)
        server.start()
        url = f"http://127.0.0.1:{server.http_port}"
        console = Console(url)
        self._stack.callback(console.close)
        accounts = Accounts(url, console)
        self._stack.callback(accounts.close)
        return Guarded(server, console, accounts)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("guarded"), stack)


@pytest.fixture(params=list(SDKS))
def sdk(request: pytest.FixtureRequest) -> Client:
    """One of the native libraries."""
    client = SDKS[request.param]
    build(client.program)
    return client


@pytest.fixture(params=list(EUREKA_PROGRAMS))
def eureka_client(request: pytest.FixtureRequest) -> str:
    """The name of a Eureka client."""
    build(EUREKA_PROGRAMS[request.param])
    return str(request.param)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a library once for every token, all at the same time. An empty token is none."""
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def started(sdk: Client, guarded: Guarded, *tokens: str) -> list[Member]:
            members = []
            for token in tokens:
                folder = tmp_path / str(next(numbers))
                folder.mkdir()
                given = ["--token", token] if token else []
                member = Member(sdk, guarded.native, folder, *given)
                stack.callback(member.talker.close)
                member.talker.launch()
                members.append(member)
            for member in members:
                member.talker.greet()
            return members

        yield started


@pytest.fixture
def service(request: pytest.FixtureRequest) -> str:
    """A service name of the test's own."""
    return request.node.name.removeprefix("test_")[:60].replace("[", ".").replace("]", "").replace("_", "-")
