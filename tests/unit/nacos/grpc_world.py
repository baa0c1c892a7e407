"""A Nacos service in a bottle, and clients of its gRPC methods: a clock turned by hand, a run queue, no socket."""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Callable
from typing import Any

from polaris_bridge.adapters.nacos.server.grpc import REQUEST, STREAM, methods
from polaris_bridge.adapters.nacos.service.nacos import NacosService
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.wire.payload import Payload, decode, encode
from polaris_bridge.core.ports import OpenDoor
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.storage.memory import MemoryStore
from polaris_bridge.transport.rpc import Status, StreamHandler

START_MS = 1_700_000_000_000
GROUP = "DEFAULT_GROUP"


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.now_ms = START_MS

    def monotonic(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return self.now_ms

    def move(self, seconds: float) -> None:
        self.now_s += seconds
        self.now_ms += round(seconds * 1000)


class Runs:
    """What is to run soon or later."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._soon: deque[Callable[[], None]] = deque()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.passes = 0
        """How often something ran soon."""

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._later, (self._clock.monotonic() + delay_s, self._count, run))

    def step(self) -> bool:
        """Run one thing that is due; False when there is none."""
        if self._soon:
            self.passes += 1
            self._soon.popleft()()
        elif self._later and self._later[0][0] <= self._clock.monotonic() + 1e-9:
            heapq.heappop(self._later)[2]()
        else:
            return False
        return True

    def settle(self) -> None:
        while self.step():
            pass

    @property
    def next_s(self) -> float | None:
        return self._later[0][0] if self._later else None


class Store(MemoryStore):
    """Its writes wait while ``hold``, and fail while ``broken``."""

    def __init__(self) -> None:
        super().__init__(post=lambda run: run(), unique=lambda: "node-1")
        self.broken = False
        self.hold = False
        self._held: list[tuple[Any, ...]] = []

    def append(self, rows: Any, reserve: int, done: Callable[[Exception | None], None]) -> None:
        if self.hold:
            self._held.append((rows, reserve, done))
        elif self.broken:
            done(OSError("no space left"))
        else:
            super().append(rows, reserve, done)

    def answer(self) -> None:
        """Do what was held back."""
        self.hold = False
        held, self._held = self._held, []
        for rows, reserve, done in held:
            self.append(rows, reserve, done)


class Link:
    """A TCP connection."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.asked_to_close = False
        self.over = False
        self._told: list[Callable[[], None]] = []
        self.streams: list[Call] = []

    def closed(self, told: Callable[[], None]) -> None:
        if self.over:
            told()
        else:
            self._told.append(told)

    def close(self) -> None:
        self.asked_to_close = True

    def cut(self) -> None:
        """The socket is gone: streams end, then the connection."""
        for stream in list(self.streams):
            stream.over()
        self.over = True
        told, self._told = self._told, []
        for call in told:
            call()


class Call:
    """A call or a stream of a client, from the server's side."""

    def __init__(self, link: Link, path: str) -> None:
        self.link = link
        self.path = path
        self.peer = link.host
        self.sent: list[bytes] = []
        self.unread = 0
        self.ended: tuple[int, str] | None = None
        self.handler: StreamHandler | None = None

    @property
    def backlog(self) -> int:
        return self.unread

    def metadata(self, name: str) -> str | None:
        return None

    def send(self, message: bytes) -> None:
        if self.ended is None:
            self.sent.append(message)

    def finish(self, code: Status = Status.OK, message: str = "") -> None:
        if self.ended is None:
            self.ended = (int(code), message)
            self.over()

    def over(self) -> None:
        """The stream has ended, whoever ended it."""
        if self in self.link.streams:
            self.link.streams.remove(self)
        handler, self.handler = self.handler, None
        if handler is not None:
            handler.on_close()


class World:
    """The service, its methods, and time."""

    def __init__(self, settings: NacosSettings | None = None, **service: Any) -> None:
        self.clock = Clock()
        self.settings = settings or NacosSettings()
        self.store = Store()
        self._options = service
        self._port = 40_000
        self.start()

    def start(self) -> None:
        """A process on the store."""
        self.runs = Runs(self.clock)
        self.registry = Registry(self.store, self.clock, self.runs, Terms())
        self.registry.load()
        self.service = NacosService(
            self.registry, OpenDoor(), self.settings, ids=Ids(), **self._options, **self.parts()
        )
        self.observed: list[tuple[str, int]] = []
        table = methods(self.service, observe=lambda type, status, _s: self.observed.append((type, status)))
        self.unary = dict(table.unaries())[REQUEST]
        self.open = dict(table.streams())[STREAM]

    def parts(self) -> dict[str, Any]:
        """What else the service is made of, beside the registry."""
        return {}

    def settle(self) -> None:
        self.runs.settle()

    def pass_time(self, seconds: float, *, busy: bool = True) -> None:
        """Time passes from timer to timer; once a second the server sweeps."""
        end = self.clock.now_s + seconds
        self.settle()
        while self.clock.now_s < end - 1e-9:
            whole = float(int(self.clock.now_s + 1e-9) + 1)
            until = min(end, whole, self.runs.next_s or end)
            self.clock.move(max(until - self.clock.now_s, 0.0))
            if abs(self.clock.now_s - whole) < 1e-9 and busy:
                self.registry.tick()
                self.service.sweep()
            self.settle()

    def client(self, host: str = "10.0.0.7", *, setup: bool = True, **options: Any) -> Client:
        self._port += 1
        client = Client(self, Link(host, options.pop("port", self._port)))
        if setup:
            client.connect(**options)
        return client


class Ids:
    """Not random at all."""

    def __init__(self) -> None:
        self._count = 0

    def unique(self) -> str:
        self._count += 1
        return f"{self._count:032x}"


class Client:
    """A client, as far as bytes go."""

    def __init__(self, world: World, link: Link) -> None:
        self.world = world
        self.link = link
        self.stream: Call | None = None
        self.id = ""
        self._read = 0
        self.headers: tuple[tuple[str, str], ...] = ()

    # ------------------------------------------------------------------ requests

    def raw(self, data: bytes) -> Payload | None:
        """Send bytes; None when the answer is still to come."""
        reply = self.world.unary(data, Call(self.link, REQUEST))
        if isinstance(reply, bytes):
            return decode(reply)
        self.later: list[Any] = []
        reply.then(self.later.append)
        return None

    def ask(self, type: str, body: dict[str, Any] | bytes | None = None, *, settle: bool = True) -> tuple[str, Any]:
        """Ask, and wait for the answer: its type and its body."""
        content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        found = self.raw(encode(type, content, self.headers))
        if found is None:
            if not settle:
                return "", None
            self.world.settle()
            assert len(self.later) == 1, "answered once"
            assert isinstance(self.later[0], bytes), self.later
            found = decode(self.later[0])
        if settle:
            self.world.settle()
        assert found.headers == {}
        return found.type, json.loads(found.body)

    def connect(
        self, *, abilities: dict[str, bool] | None = None, version: str = "Nacos-Java-Client:v2.5.1", **labels: str
    ) -> None:
        """ServerCheck, then the set-up."""
        self.id = self.ask("ServerCheckRequest")[1]["connectionId"]
        self.open()
        self.set_up(abilities=abilities, version=version, labels={"source": "sdk", "module": "naming"} | labels)

    def open(self) -> Call:
        self.stream = Call(self.link, STREAM)
        self._read = 0
        self.stream.handler = self.world.open(self.stream)
        self.link.streams.append(self.stream)
        return self.stream

    def say(self, type: str, body: dict[str, Any] | bytes) -> None:
        """Something on the stream."""
        assert self.stream is not None
        assert self.stream.handler is not None
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply = self.stream.handler.on_message(encode(type, content))
        if reply is not None:
            assert isinstance(reply, bytes)
            self.stream.sent.append(reply)

    def set_up(
        self, *, abilities: dict[str, bool] | None, version: str = "", labels: dict[str, str] | None = None
    ) -> None:
        body: dict[str, Any] = {"clientVersion": version, "labels": labels or {}}
        if abilities is not None:
            body["abilityTable"] = abilities
        self.say("ConnectionSetupRequest", body)

    # ------------------------------------------------------------------ naming

    def register(self, service: str = "orders", port: int = 8080, **instance: Any) -> tuple[str, Any]:
        return self._instance("registerInstance", service, port, instance)

    def deregister(self, service: str = "orders", port: int = 8080, **instance: Any) -> tuple[str, Any]:
        return self._instance("deregisterInstance", service, port, instance)

    def _instance(self, type: str, service: str, port: int, more: dict[str, Any]) -> tuple[str, Any]:
        settle = more.pop("settle", True)
        request = "InstanceRequest" if more.get("ephemeral", True) else "PersistentInstanceRequest"
        instance = {"ip": self.link.host, "port": port, "clusterName": "DEFAULT", "metadata": {}} | more
        body = named(service) | {"type": type, "instance": instance}
        return self.ask(request, body, settle=settle)

    def subscribe(self, service: str = "orders", clusters: str = "", on: bool = True) -> Any:
        answer = self.ask("SubscribeServiceRequest", named(service) | {"subscribe": on, "clusters": clusters})
        assert answer[0] == "SubscribeServiceResponse"
        return answer[1]

    def ports(self, service: str = "orders") -> list[int]:
        """Of the instances that a query gives."""
        info = self.ask("ServiceQueryRequest", named(service) | {"cluster": "", "healthyOnly": False})[1]["serviceInfo"]
        return sorted(host["port"] for host in info["hosts"])

    # ------------------------------------------------------------------ pushes

    def pushes(self, type: str = "NotifySubscriberRequest", *, answer: bool = True) -> list[Any]:
        """What has come on the stream since the last look; each is answered."""
        assert self.stream is not None
        fresh = self.stream.sent[self._read :]
        self._read = len(self.stream.sent)
        found = []
        for data in fresh:
            payload = decode(data)
            body = json.loads(payload.body)
            if payload.type == type:
                found.append(body)
            if answer and body.get("requestId"):
                self.acknowledge(payload.type, body["requestId"])
        return found

    def acknowledge(self, type: str, number: str) -> None:
        name = type.replace("Request", "Response")
        self.say(name, b'{"resultCode":200,"errorCode":0,"requestId":"%b","success":true}' % number.encode())


def named(service: str, group: str = GROUP, namespace: str = "public") -> dict[str, Any]:
    return {"namespace": namespace, "serviceName": service, "groupName": group, "module": "naming"}


def hosts(push: Any) -> list[int]:
    """Ports of a pushed list."""
    return sorted(host["port"] for host in push["serviceInfo"]["hosts"])
