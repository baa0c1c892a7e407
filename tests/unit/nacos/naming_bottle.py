"""A Nacos service in a bottle: a clock turned by hand, a store that survives restarts, and words for what clients do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from polaris_bridge.adapters.nacos.service.nacos import NacosService
from polaris_bridge.adapters.nacos.service.registering import BeatAnswer
from polaris_bridge.adapters.nacos.service.scope import Held, Scope
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.translate.instances import hosts
from polaris_bridge.adapters.nacos.wire.messages import Beat, Host, Instance, Refused
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.model import Caller, Registration, RegistrationKey, ServiceKey
from polaris_bridge.core.ports import OpenDoor, Row
from polaris_bridge.core.protection import ProtectionTerms
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.storage.memory import MemoryStore

START_MS = 1_700_000_000_000
CALLER = Caller("nacos", "10.9.9.9")
STRANGER = Caller("other", "127.0.0.1")
IP, PORT = "10.0.0.1", 8080
SERVICE = "DEFAULT_GROUP@@orders"


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.now_ms = START_MS

    def monotonic(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return self.now_ms


class Queue:
    """What is to run soon. Timers are kept and never come due: the tests tick by hand."""

    def __init__(self) -> None:
        self._soon: deque[Callable[[], None]] = deque()

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        """Nothing in these tests waits for a timer."""

    def settle(self) -> None:
        while self._soon:
            self._soon.popleft()()


class Store(MemoryStore):
    """Counts what is written; ``broken`` makes writes fail."""

    def __init__(self) -> None:
        super().__init__(post=lambda run: run(), unique=lambda: "node-1")
        self.writes = 0
        self.broken = False

    def append(self, rows: Any, reserve: int, done: Callable[[Exception | None], None]) -> None:
        written: list[Row] = list(rows)
        self.writes += len(written)
        if self.broken:
            done(OSError("no space left"))
        else:
            super().append(written, reserve, done)


class Numbers:
    """Ids that nobody else has."""

    def __init__(self) -> None:
        self.count = 0

    def unique(self) -> str:
        self.count += 1
        return f"{self.count:032x}"


class World:
    """One server, and how its clients experience it."""

    def __init__(self, settings: NacosSettings | None = None) -> None:
        self.settings = settings or NacosSettings()
        self.clock = Clock()
        self.store = Store()
        self.numbers = Numbers()
        self.restart()

    def restart(self) -> None:
        """Another process on the same store."""
        self.queue = Queue()
        terms = Terms(protection=ProtectionTerms(enabled=False))
        self.registry = Registry(self.store, self.clock, self.queue, terms)
        self.registry.load()
        self.nacos = NacosService(self.registry, OpenDoor(), self.settings, ids=self.numbers)

    # ------------------------------------------------------------------ what clients do

    def scope(self, service: str = SERVICE, space: str = "public") -> Scope:
        return self.nacos.scope(space, service)

    def done(self, commit: Commit) -> None:
        """It ended well."""
        found: list[Exception | None] = []
        commit.then(found.append)
        self.queue.settle()
        assert found == [None]

    def register(self, service: str = SERVICE, held: Held | None = None, space: str = "public", **said: Any) -> None:
        self.done(self.nacos.registering.register(self.scope(service, space), instance(**said), CALLER, held))

    def batch(self, held: Held, *instances: Instance, service: str = SERVICE) -> None:
        self.done(self.nacos.registering.batch(self.scope(service), instances, CALLER, held))

    def deregister(
        self,
        service: str = SERVICE,
        held: Held | None = None,
        *,
        ip: str = IP,
        port: int = PORT,
        cluster: str = "",
        ephemeral: bool = True,
        space: str = "public",
    ) -> None:
        scope = self.scope(service, space)
        self.done(self.nacos.registering.deregister(scope, ip, port, cluster, ephemeral, CALLER, held))

    def beat(self, body: Beat | None = None, service: str = SERVICE, ip: str = IP, port: int = PORT) -> BeatAnswer:
        answer = self.nacos.registering.beat(self.scope(service), ip, port, "", body, CALLER)
        self.done(answer.commit)
        return answer

    def connect(self, id: str = "1_10.0.0.1_5000") -> Held:
        """A gRPC connection that is set up."""
        self.registry.open_session(id)
        return Held(id, "10.0.0.1", 5000)

    def break_off(self, held: Held) -> None:
        self.registry.close_session(held.id)
        self.queue.settle()

    def put(
        self,
        *,
        service: str = SERVICE,
        ip: str = IP,
        port: int = PORT,
        cluster: str = "",
        weight: float | None = None,
        enabled: bool | None = None,
        metadata: dict[str, str] | None = None,
        patch: bool = False,
    ) -> None:
        """An operator lays something over an instance."""
        overrides = self.nacos.overrides
        write = overrides.patch if patch else overrides.put
        scope = self.scope(service)
        self.done(write(scope, ip, port, cluster, weight=weight, enabled=enabled, metadata=metadata, caller=CALLER))

    # ------------------------------------------------------------------ other protocols

    def foreign(self, source: str = "other", service: str = "orders", **members: Any) -> Registration:
        """Another protocol registers."""
        place = {"host": IP, "port": PORT}
        r = Registration(
            **{"source": source, "namespace": "default", "key": "f1", "service": service} | place | members
        )
        self.registry.register(r, STRANGER)
        self.queue.settle()
        return r

    def leave(self, r: Registration) -> None:
        """What another protocol registered ends."""
        self.registry.deregister(RegistrationKey(r.source, r.namespace, r.key), STRANGER)
        self.queue.settle()

    # ------------------------------------------------------------------ what readers see

    def all(self, service: str = SERVICE, space: str = "public") -> list[Host]:
        """Every instance, the disabled too."""
        scope = self.scope(service, space)
        key = self.nacos.key(scope)
        kind = self.nacos.services.kind(scope)
        snapshot = self.registry.snapshot(key)
        found = [h for address in snapshot.addresses.values() for h in hosts(address, scope.grouped, kind)]
        return sorted(found, key=lambda h: (h.ip, h.port, h.cluster))

    def list(self, service: str = SERVICE, space: str = "public") -> list[Host]:
        """As clients get it."""
        return [h for h in self.all(service, space) if h.enabled]

    def one(self, service: str = SERVICE, space: str = "public") -> Host:
        """The only instance, disabled or not."""
        (found,) = self.all(service, space)
        return found

    def services(self, group: str = "", space: str = "public") -> list[str]:
        return [*self.nacos.services.list(space, group, 1, 1000)[1]]

    def key(self, service: str = SERVICE) -> ServiceKey:
        return self.nacos.key(self.scope(service))

    # ------------------------------------------------------------------ time

    def pass_time(self, seconds: float, *each: Callable[[], object]) -> None:
        """Time passes with a tick each second; ``each`` is called before each."""
        for _ in range(round(seconds)):
            for call in each:
                call()
            self.clock.now_s += 1
            self.clock.now_ms += 1000
            self.registry.tick()
            self.queue.settle()
            self.nacos.sweep()
            self.queue.settle()


def instance(ip: str = IP, port: int = PORT, **members: Any) -> Instance:
    return Instance(ip, port, **members)


def refusal(call: Callable[[], object]) -> Refused:
    """What a call is refused with."""
    try:
        call()
    except Refused as error:
        return error
    raise AssertionError("it was accepted")
