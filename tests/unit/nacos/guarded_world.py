"""A Nacos gRPC port with accounts: real directory and judge, and clients that show tokens."""

from __future__ import annotations

from queue import Queue
from typing import Any

from grpc_world import Client, Ids, Runs, World
from guarded_nacos import COST, HASHED

from polaris_bridge.adapters.nacos.server.grpc import REQUEST, STREAM, methods
from polaris_bridge.adapters.nacos.service.nacos import NacosService
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.core.auth.directory import Directory
from polaris_bridge.core.auth.ports import Accounts
from polaris_bridge.core.auth.values import ADMINISTRATOR, READ, Grant, Policy, User
from polaris_bridge.core.model import SYSTEM
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.runtime.auth.judge import Judge
from polaris_bridge.runtime.auth.passwords import Passwords
from polaris_bridge.runtime.auth.tokens import Tokens
from polaris_bridge.runtime.auth.tries import Tries


class Guarded(World):
    """``root`` is an administrator, ``ann`` may do what ``allow`` says."""

    def start(self) -> None:
        """See ``World``."""
        self.runs = Runs(self.clock)
        self.registry = Registry(self.store, self.clock, self.runs, Terms())
        self.registry.load()
        self.inbox: Queue[Any] = Queue()
        self.directory = Directory(self.registry, Ids().unique)
        passwords, tries = Passwords(self.inbox.put, self.clock.monotonic, COST), Tries(self.clock.monotonic)
        tokens = Tokens("polarismesh@2021")
        judge = Judge(self.registry, self.directory, tokens, passwords, tries)
        accounts = Accounts(self.directory, judge, tokens, passwords, tries, {})
        self.service = NacosService(self.registry, judge, NacosSettings(auth=True), ids=Ids(), accounts=accounts)
        table = methods(self.service, observe=lambda *_: None)
        self.unary, self.open = dict(table.unaries())[REQUEST], dict(table.streams())[STREAM]
        for name, rank in (("root", ADMINISTRATOR), ("ann", "sub")):
            user = User(id=name, name=name, rank=rank, password=HASHED, token=tokens.make(User, name))
            self.directory.create(user, SYSTEM)
        self.settle()

    def known(self, name: str) -> Client:
        """A client that shows a token."""
        client = self.client()
        token = self.service.admission.proof.issue(name, "")
        assert token is not None
        client.headers = (("accessToken", token),)
        return client

    def allow(self, *services: str, groups: tuple[str, ...] = ()) -> None:
        """What ``ann`` may read: services, and groups of configuration files; nothing else."""
        for policy in self.directory.snapshot.policies_of("ann"):
            if not policy.default:
                self.directory.delete(policy, SYSTEM)
        grants = tuple(
            Grant("namespace", "default") if name == "*" else Grant("service", "", "default", name) for name in services
        )
        grants += tuple(Grant("config_group", "", "default", name) for name in groups)
        if grants:
            self.directory.put(Policy(id="read", name="read", effect=READ, users=("ann",), grants=grants), SYSTEM)
        self.settle()
