"""A native HTTP port with accounts: real directory, real judge, real hashing with few rounds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from queue import Queue
from typing import Any, Final

from http_world import UniqueIds, World, document

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters.polaris.server.http import NativeHttp
from polaris_bridge.adapters.polaris.service.polaris import PolarisService
from polaris_bridge.adapters.polaris.service.routing.sources import discovery_routing
from polaris_bridge.adapters.polaris.service.rules.kinds import KINDS
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.core.auth.directory import Directory
from polaris_bridge.core.auth.ownership import Ownership
from polaris_bridge.core.auth.ports import Accounts, Doors
from polaris_bridge.core.auth.values import ADMINISTRATOR, User
from polaris_bridge.core.events import OperationRecord
from polaris_bridge.core.model import SYSTEM
from polaris_bridge.core.ports import OpenDoor
from polaris_bridge.runtime.auth import first_start
from polaris_bridge.runtime.auth.judge import Judge, Lenient
from polaris_bridge.runtime.auth.passwords import Passwords, hash_now
from polaris_bridge.runtime.auth.tokens import Tokens
from polaris_bridge.runtime.auth.tries import Tries
from polaris_bridge.runtime.host import ProcessHost

COST: Final = 4
MAIN: Final = first_start.SEEDED
PASSWORD: Final = "secret-1"


class Guarded(World):
    """Everybody is asked. The seeded main user is there; ``admin`` is an administrator."""

    def __init__(self, *, console: bool = True, client: bool = True, strict: bool = True) -> None:
        self.inbox: Queue[Callable[[], None]] = Queue()
        self.records: list[OperationRecord] = []
        self._asked = console, client, strict
        super().__init__()

    def open(self) -> None:
        """See ``World``."""
        console, client, strict = self._asked
        self.registry.operations.append(self.records.append)
        self.tokens = Tokens("polarismesh@2021")
        self.directory = Directory(self.registry, UniqueIds().unique)
        self.passwords = Passwords(self.inbox.put, self.clock.monotonic, COST)
        tries = Tries(self.clock.monotonic)
        owned = frozenset(kind.name for kind in KINDS)
        ownership = Ownership(self.registry, self.directory, owned)
        self.judge = Judge(self.registry, self.directory, self.tokens, self.passwords, tries, ownership)
        door = self.judge if strict else Lenient(self.judge)
        self.service = PolarisService(
            self.registry,
            self.judge,
            PolarisSettings(),
            ids=UniqueIds(),
            pairs={},
            locate=lambda _host: None,
            host=ProcessHost(list, 0),
            doors=Doors(door if console else OpenDoor(), door if client else OpenDoor(), self.judge),
            routing=discovery_routing(self.registry, {}, lambda _host: None, everywhere=False),
            accounts=Accounts(
                self.directory, self.judge, self.tokens, self.passwords, tries,
                {"auth": console or client, "clientOpen": client, "consoleOpen": console},
            ),
        )  # fmt: skip
        self.http = NativeHttp(self.service.routes(pprof=True), self.service.admission)
        first_start.seed(self.directory)
        self.admin = User(
            id="admin-id", name="admin", rank=ADMINISTRATOR, password=hash_now(PASSWORD, COST),
            token=self.tokens.make(User, "admin-id"),
        )  # fmt: skip
        self.directory.put(self.admin, SYSTEM)
        self.queue.settle()

    # ------------------------------------------------------------------ asking

    def ask(
        self, method: str, target: str, body: object = None, token: str = MAIN.token, peer: str = "10.9.9.9"
    ) -> Any:
        """The document that answers a request with a token; waits for hashes."""
        path, _, query = target.partition("?")
        content = b"" if body is None else json.dumps(body).encode()
        headers = [(b"content-type", b"application/json")]
        if token:
            headers.append((b"x-polaris-token", token.encode("latin-1")))
        reply = self.http.handle(Request(method, path, query, headers, content, peer))
        found: list[Response] = []
        if isinstance(reply, Response):
            found.append(reply)
        else:
            reply.then(found.append)
        self.queue.settle()
        until = time.monotonic() + 60
        while not found:
            self.inbox.get(timeout=until - time.monotonic())()
            self.queue.settle()
        answer = document(found[0])
        self.status = found[0].status
        return answer

    def code_of(self, method: str, target: str, body: object = None, token: str = MAIN.token) -> int:
        """The code that answers a request."""
        found: int = self.ask(method, target, body, token)["code"]
        return found

    # ------------------------------------------------------------------ people

    def user(self, name: str, creator: str = MAIN.token) -> User:
        """A user that somebody creates (a sub user, unless an administrator does)."""
        answer = self.ask("POST", "/core/v1/users", [{"name": name, "password": PASSWORD, "source": "test"}], creator)
        assert answer["code"] == 200000, answer
        return self.directory.snapshot.users[answer["responses"][0]["user"]["id"]]

    def policy(self, name: str, **what: Any) -> str:
        """A policy by the main user; its id."""
        answer = self.ask("POST", "/core/v1/auth/strategy", {"name": name, "action": "ALLOW", **what})
        assert answer["code"] == 200000, answer
        id: str = answer["authStrategy"]["id"]
        return id


ALL: Final = {
    kind: [{"id": "*"}]
    for kind in (
        "namespaces", "services", "config_groups", "route_rules", "ratelimit_rules", "circuitbreaker_rules",
        "faultdetect_rules", "lane_rules", "users", "user_groups", "roles", "auth_policies",
    )
}  # fmt: skip
"""Every resource."""
