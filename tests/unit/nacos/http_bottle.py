"""One Nacos HTTP port in a bottle: requests as values, clock and timers turned by hand, a store in memory."""

from __future__ import annotations

import heapq
import itertools
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters.nacos.server.call import Routes
from polaris_bridge.adapters.nacos.server.http import NacosHttp
from polaris_bridge.adapters.nacos.server.routes_console import ROUTES as CONSOLE
from polaris_bridge.adapters.nacos.server.routes_v1 import ROUTES as INSTANCES
from polaris_bridge.adapters.nacos.server.routes_v1_services import ROUTES as SERVICES
from polaris_bridge.adapters.nacos.service.nacos import NacosService
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import OpenDoor
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.storage.memory import MemoryStore

START_MS = 1_700_000_000_000
JAVA = "Nacos-Java-Client:v1.4.8"
NS = "/nacos/v1/ns"
STRANGER = Caller("other", "127.0.0.1")

Json = Any


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.now_ms = START_MS

    def monotonic(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return self.now_ms


class Timers:
    """What is to run soon, and later: when the clock is turned."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._soon: deque[Callable[[], None]] = deque()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        heapq.heappush(self._later, (self._clock.now_s + delay_s, next(self._count), run))

    def settle(self) -> None:
        while self._soon:
            self._soon.popleft()()

    def until(self, at: float) -> None:
        """Let time pass, timers in their order."""
        while self._later and self._later[0][0] <= at:
            due, _, run = heapq.heappop(self._later)
            self._clock.now_ms += round((due - self._clock.now_s) * 1000)
            self._clock.now_s = due
            run()
            self.settle()
        self._clock.now_ms += round((at - self._clock.now_s) * 1000)
        self._clock.now_s = at


class Ids:
    """Counts."""

    def __init__(self) -> None:
        self._count = itertools.count(1)

    def unique(self) -> str:
        return f"{next(self._count):032x}"


class Answer:
    """Status, headers and body of one response."""

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = {name.decode().lower(): value.decode() for name, value in response.headers}
        self.body = response.body if isinstance(response.body, bytes) else b"".join(response.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Json:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"{self.status} {self.body[:300]!r}"


class HttpBottle:
    """The port with words for what 1.x clients do."""

    def __init__(self, settings: NacosSettings | None = None, more: Routes | None = None) -> None:
        """``more``: routes of another generation."""
        self.clock = Clock()
        self.timers = Timers(self.clock)
        self.registry = Registry(
            MemoryStore(post=self.timers.soon, unique=lambda: "0" * 32), self.clock, self.timers, Terms()
        )
        self.registry.load()
        self.service = NacosService(self.registry, OpenDoor(), settings or NacosSettings(), ids=Ids())
        self.beats: list[str] = []
        self.seen: list[tuple[str, int]] = []
        self.http = NacosHttp(
            self.service,
            {**INSTANCES, **SERVICES, **CONSOLE, **(more or {})},
            observe=lambda operation, status, _: self.seen.append((operation, status)),
            heartbeat=self.beats.append,
        )

    def move(self, seconds: float) -> None:
        """Let time pass, second by second, as a server does."""
        end = self.clock.now_s + seconds
        while self.clock.now_s < end:
            self.timers.until(min(end, self.clock.now_s + 1))
            self.registry.tick()
            self.service.sweep()
            self.timers.settle()

    def ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, object] | None = None,
        form: Mapping[str, object] | None = None,
        body: bytes = b"",
        **headers: str,
    ) -> Answer:
        """One call, to its end. ``body``: of a form, as it stands."""
        found = {"user-agent": JAVA} | {name.replace("_", "-").lower(): value for name, value in headers.items()}
        if form is not None:
            body = urlencode(form).encode()
        if form is not None or body:
            found["content-type"] = "application/x-www-form-urlencoded;charset=UTF-8"
        raw = tuple((name.encode(), value.encode("latin-1")) for name, value in found.items())
        reply = self.http.handle(Request(method, path, urlencode(params or {}), raw, body, "10.9.9.9"))
        got: list[Response] = []
        if isinstance(reply, Response):
            got.append(reply)
        else:
            reply.then(got.append)
        self.timers.settle()
        assert got, f"{method} {path} was not answered"
        return Answer(got[0])

    def register(self, port: int = 8080, service: str = "orders", ip: str = "10.0.0.1", **params: object) -> Answer:
        """POST instance"""
        return self.ask("POST", f"{NS}/instance", {"serviceName": service, "ip": ip, "port": port} | params)

    def deregister(self, port: int = 8080, service: str = "orders", ip: str = "10.0.0.1", **params: object) -> Answer:
        """DELETE instance"""
        return self.ask("DELETE", f"{NS}/instance", {"serviceName": service, "ip": ip, "port": port} | params)

    def list(self, service: str = "orders", **params: object) -> Json:
        """GET instance/list"""
        answer = self.ask("GET", f"{NS}/instance/list", {"serviceName": service} | params)
        assert answer.status == 200, answer
        return answer.json

    def hosts(self, service: str = "orders", **params: object) -> list[Json]:
        """Its instances, by port."""
        return sorted(self.list(service, **params)["hosts"], key=lambda host: host["port"])

    def beat(self, port: int = 8080, service: str = "orders", ip: str = "10.0.0.1", **params: object) -> Answer:
        """PUT instance/beat, a light one unless ``beat`` is given."""
        found = {"serviceName": service, "ip": ip, "port": port} | params
        return self.ask("PUT", f"{NS}/instance/beat", found)
