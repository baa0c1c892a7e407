"""Access control in a bottle: a registry in memory, a clock turned by hand, real hashing with few rounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from queue import Queue
from typing import Any

from polaris_bridge.core.auth.directory import Directory
from polaris_bridge.core.auth.ownership import Ownership
from polaris_bridge.core.auth.values import MAIN, SUB, Grant, Group, Policy, Role, User
from polaris_bridge.core.model import SYSTEM, Caller
from polaris_bridge.core.ports import Credential, Undecided
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.runtime.auth.judge import Judge
from polaris_bridge.runtime.auth.passwords import Passwords, hash_now
from polaris_bridge.runtime.auth.tokens import Tokens
from polaris_bridge.runtime.auth.tries import Tries
from polaris_bridge.storage.memory import MemoryStore

SALT = "polarismesh@2021"
COST = 4
RULES = frozenset({"routing", "rate_limit"})


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + int(self.now_s * 1000)


class Soon:
    """What is to run soon."""

    def __init__(self) -> None:
        self._soon: deque[Callable[[], None]] = deque()

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        """Nothing waits for a timer here."""

    def settle(self) -> None:
        while self._soon:
            self._soon.popleft()()


class Chamber:
    """A directory, its judge, and everything they need."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(post=lambda run: run(), unique=lambda: "node-1")
        self.inbox: Queue[Callable[[], None]] = Queue()
        self._count = 0
        self.restart()

    def restart(self) -> None:
        """Another process on the same store."""
        self.soon = Soon()
        self.registry = Registry(self.store, self.clock, self.soon, Terms())
        self.registry.load()
        self.directory = Directory(self.registry, self.unique)
        self.tokens = Tokens(SALT)
        self.passwords = Passwords(self.inbox.put, self.clock.monotonic, COST)
        self.tries = Tries(self.clock.monotonic)
        self.ownership = Ownership(self.registry, self.directory, RULES)
        self.judge = Judge(self.registry, self.directory, self.tokens, self.passwords, self.tries, self.ownership)

    def unique(self) -> str:
        self._count += 1
        return f"{self._count:032x}"

    def settle(self) -> None:
        """Let what was done become true."""
        self.soon.settle()

    def arrive(self) -> None:
        """Wait for one result of a thread and take it."""
        self.inbox.get(timeout=30)()
        self.settle()

    # ------------------------------------------------------------------ people

    def user(self, name: str, *, owner: str = "", password: str = "", rank: str = "", **more: Any) -> User:
        """A user with its default policy."""
        user = User(
            id=f"id-{name}",
            name=name,
            rank=rank or (SUB if owner else MAIN),
            owner=owner,
            password=hash_now(password, COST) if password else "",
            token=self.tokens.make(User, f"id-{name}"),
            **more,
        )
        self.directory.create(user, SYSTEM)
        self.settle()
        return user

    def group(self, name: str, *members: str) -> Group:
        """A group with its default policy."""
        group = Group(id=f"id-{name}", name=name, token=self.tokens.make(Group, f"id-{name}"), members=members)
        self.directory.create(group, SYSTEM)
        self.settle()
        return group

    def role(self, name: str, *, users: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> Role:
        """A role."""
        role = Role(id=f"id-{name}", name=name, users=users, groups=groups)
        self.directory.put(role, SYSTEM)
        self.settle()
        return role

    def policy(self, name: str, **what: Any) -> Policy:
        """A policy."""
        policy = Policy(id=f"id-{name}", name=name, **what)
        self.directory.put(policy, SYSTEM)
        self.settle()
        return policy

    # ------------------------------------------------------------------ things

    def service(
        self, namespace: str, name: str, metadata: dict[str, str] | None = None, caller: Caller = SYSTEM
    ) -> None:
        """A service, and its namespace when there is none."""
        from polaris_bridge.core.model import NamespaceRecord, ServiceRecord

        if self.registry.ledger.namespace(namespace) is None:
            self.registry.put_namespace(NamespaceRecord(namespace), SYSTEM)
        self.registry.put_service(ServiceRecord(namespace, name, metadata=metadata or {}), caller)
        self.settle()

    # ------------------------------------------------------------------ asking

    def login(self, name: str, password: str, address: str = "10.0.0.1") -> str | None:
        """What Basic credentials prove, in the end."""
        credential = Credential(name, password, address=address)
        try:
            return self.judge.authenticate(credential)
        except Undecided as undecided:
            asked: list[bool] = []
            undecided.then(lambda: asked.append(True))
            self.arrive()
            assert asked == [True]
            return self.judge.authenticate(credential)


def grant(kind: str, namespace: str = "", name: str = "") -> Grant:
    """A grant of one service, one namespace, or (``*``) all of a kind."""
    if namespace == "*":
        return Grant(kind, "*")
    return Grant(kind, namespace) if kind == "namespace" else Grant(kind, "", namespace, name)
