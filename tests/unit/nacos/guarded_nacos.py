"""A Nacos HTTP port with accounts: real directory, real judge, real hashing with few rounds, a clock turned by hand."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from queue import Queue
from typing import Any, Final
from urllib.parse import urlencode

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters.nacos.server.http import NacosHttp
from polaris_bridge.adapters.nacos.server.routes import ROUTES
from polaris_bridge.adapters.nacos.service.nacos import NacosService
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.core.auth.directory import Directory
from polaris_bridge.core.auth.ownership import Ownership
from polaris_bridge.core.auth.ports import Accounts
from polaris_bridge.core.auth.values import ADMINISTRATOR, MAIN, SUB, User
from polaris_bridge.core.events import OperationRecord
from polaris_bridge.core.model import SYSTEM
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.runtime.auth import first_start
from polaris_bridge.runtime.auth.judge import Judge
from polaris_bridge.runtime.auth.passwords import Passwords, hash_now
from polaris_bridge.runtime.auth.tokens import Tokens
from polaris_bridge.runtime.auth.tries import Tries
from polaris_bridge.storage.memory import MemoryStore

COST: Final = 4
PASSWORD: Final = "secret-1"
HASHED: Final = hash_now(PASSWORD, COST)
START_MS: Final = 1_700_000_000_000


class _Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0
        self.now_ms = START_MS

    def monotonic(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return self.now_ms


class _Turns:
    """What is to run soon; timers are kept and never come due."""

    def __init__(self) -> None:
        self._soon: deque[Callable[[], None]] = deque()

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        """Nothing here waits for a timer."""

    def settle(self) -> None:
        while self._soon:
            self._soon.popleft()()


class _Ids:
    def __init__(self) -> None:
        self._count = 0

    def unique(self) -> str:
        self._count += 1
        return f"{self._count:032x}"


class GuardedNacos:
    """The port. ``polaris`` is the main user of a new installation, ``root`` an administrator; both have ``PASSWORD``."""

    def __init__(self, *, empty: bool = False, **settings: Any) -> None:
        self.clock = _Clock()
        self.store = MemoryStore(post=lambda run: run(), unique=lambda: "node-1")
        self.ids = _Ids()
        self.settings = {"auth": True, **settings}
        self.empty = empty
        self.inbox: Queue[Callable[[], None]] = Queue()
        self.tokens = Tokens("polarismesh@2021")
        self.restart()

    def restart(self) -> None:
        """Another process on the same store."""
        self.turns = _Turns()
        self.records: list[OperationRecord] = []
        self.registry = Registry(self.store, self.clock, self.turns, Terms())
        self.registry.load()
        self.registry.operations.append(self.records.append)
        self.directory = Directory(self.registry, self.ids.unique)
        self.passwords = Passwords(self.inbox.put, self.clock.monotonic, COST)
        self.tries = Tries(self.clock.monotonic)
        ownership = Ownership(self.registry, self.directory, frozenset())
        self.judge = Judge(self.registry, self.directory, self.tokens, self.passwords, self.tries, ownership)
        accounts = Accounts(self.directory, self.judge, self.tokens, self.passwords, self.tries, {})
        self.service = NacosService(
            self.registry, self.judge, NacosSettings(**self.settings), ids=self.ids, accounts=accounts
        )
        self.http = NacosHttp(self.service, ROUTES)
        if not self.empty and not self.directory.snapshot.users:
            main = User(
                id="main-id", name="polaris", rank=MAIN, password=HASHED, token=self.tokens.make(User, "main-id")
            )
            self.directory.create(main, SYSTEM)
            for policy in first_start._policies(main, "everything"):
                self.directory.put(policy, SYSTEM)
            self.turns.settle()
            self.user("root", ADMINISTRATOR, owner="")
        self.turns.settle()

    def user(self, name: str, rank: str = SUB, owner: str = "main-id", **more: Any) -> User:
        """An account, as another protocol makes it."""
        self.clock.now_ms += 1
        id = f"{name}-of-{owner}"
        made = User(
            id=id, name=name, rank=rank, owner=owner, password=HASHED, token=self.tokens.make(User, id), **more
        )  # fmt: skip
        self.directory.create(made, SYSTEM)
        self.turns.settle()
        return made

    # ------------------------------------------------------------------ asking

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, *, form: bool = False, **parameters: str
    ) -> Response:
        """The answer to a request; waits for hashes."""
        text = urlencode(parameters)
        sent = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        if form:
            sent.append((b"content-type", b"application/x-www-form-urlencoded"))
        body = text.encode() if form else b""
        reply = self.http.handle(Request(method, f"/nacos{path}", "" if form else text, sent, body, "10.9.9.9"))
        found: list[Response] = []
        if isinstance(reply, Response):
            found.append(reply)
        else:
            reply.then(found.append)
        self.turns.settle()
        until = time.monotonic() + 60
        while not found:
            self.inbox.get(timeout=until - time.monotonic())()
            self.turns.settle()
        assert len(found) == 1, "answered once"
        return found[0]

    def login(self, name: str = "polaris", password: str = PASSWORD) -> str:
        """An access token."""
        response = self.ask("POST", "/v1/auth/users/login", username=name, password=password)
        assert response.status == 200, body(response)
        token: str = document(response)["accessToken"]
        return token


def body(response: Response) -> str:
    """As text."""
    content = response.body
    return (content if isinstance(content, bytes) else b"".join(content)).decode()


def document(response: Response) -> Any:
    """As JSON."""
    return json.loads(body(response))
