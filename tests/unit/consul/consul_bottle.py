"""One Consul HTTP port in a bottle: requests as values, clock and timers turned by hand, a store that survives restarts."""

from __future__ import annotations

import heapq
import itertools
import json
from collections import deque
from collections.abc import Callable
from typing import Any

from polaris_bridge.adapters._shared.exchange import Request, Response, abandoning
from polaris_bridge.adapters.consul.server.call import Routes
from polaris_bridge.adapters.consul.server.http import ConsulHttp
from polaris_bridge.adapters.consul.server.routes import ROUTES
from polaris_bridge.adapters.consul.service.consul import ConsulService
from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.core.model import Caller, Location, Registration
from polaris_bridge.core.ports import Authority, OpenDoor
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.discovery import DiscoveryRouting
from polaris_bridge.core.terms import Terms
from polaris_bridge.storage.memory import MemoryStore

START_MS = 1_700_000_000_000
OWN = "10.0.0.9"
"""The server's own address."""
HERE = "127.0.0.1"
"""A caller on the server's own machine."""
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


class Timer:
    """What ``later`` gives back."""

    def __init__(self, run: Callable[[], None]) -> None:
        self.run: Callable[[], None] | None = run

    def cancel(self) -> None:
        self.run = None


class Timers:
    """What is to run soon, and later: when the clock is turned."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._soon: deque[Callable[[], None]] = deque()
        self._later: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> Timer:
        timer = Timer(run)
        heapq.heappush(self._later, (self._clock.now_s + delay_s, next(self._count), timer))
        return timer

    def settle(self) -> None:
        while self._soon:
            self._soon.popleft()()

    def until(self, at: float) -> None:
        """Let time pass, timers in their order."""
        while self._later and self._later[0][0] <= at:
            due, _, timer = heapq.heappop(self._later)
            if due > self._clock.now_s:
                self._clock.now_ms += round((due - self._clock.now_s) * 1000)
                self._clock.now_s = due
            if timer.run is not None:
                timer.run()
            self.settle()
        self._clock.now_ms += round((at - self._clock.now_s) * 1000)
        self._clock.now_s = at

    @property
    def pending(self) -> int:
        """Timers that are not cancelled."""
        return sum(timer.run is not None for _, _, timer in self._later)


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

    @property
    def index(self) -> int:
        return int(self.headers["x-consul-index"])

    def __repr__(self) -> str:
        return f"{self.status} {self.body[:300]!r}"


class Waiting:
    """A request that may not be answered yet."""

    def __init__(self, reply: Any) -> None:
        self.got: list[Response] = []
        self._reply = reply
        if isinstance(reply, Response):
            self.got.append(reply)
        else:
            reply.then(self.got.append)

    @property
    def answered(self) -> bool:
        return bool(self.got)

    @property
    def answer(self) -> Answer:
        assert len(self.got) == 1, "answered once"
        return Answer(self.got[0])

    def hang_up(self) -> None:
        abandon = abandoning(self._reply)
        assert abandon is not None
        abandon()


class ConsulBottle:
    """The port with words for what clients do."""

    def __init__(
        self,
        settings: ConsulSettings | None = None,
        more: Routes | None = None,
        authority: Authority | None = None,
        random: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """``more``: routes besides the listener's own."""
        self.settings = settings or ConsulSettings()
        self.authority = authority or OpenDoor()
        self.clock = Clock()
        self.seen: list[tuple[str, int]] = []
        self.located: dict[str, Location] = {}
        """Where addresses are."""
        self._more = more or {}
        self._random = random
        self.timers = Timers(self.clock)
        self.store = MemoryStore(post=lambda run: self.timers.soon(run), unique=lambda: "0" * 32)
        self.restart()

    def restart(self) -> None:
        """Another process on the same store."""
        self.timers = Timers(self.clock)
        self.registry = Registry(self.store, self.clock, self.timers, Terms())
        self.registry.load()
        self.service = ConsulService(
            self.registry,
            self.authority,
            self.settings,
            ids=Ids(),
            host_name="here",
            address=lambda: OWN,
            routing=self.routed(),
            locate=self.located.get,
        )
        self.http = ConsulHttp(
            self.service,
            {**ROUTES, **self._more},
            random=self._random,
            observe=lambda operation, status, _: self.seen.append((operation, status)),
        )

    def routed(self) -> DiscoveryRouting | None:
        """What applies rules to look-ups."""
        return None

    def move(self, seconds: float) -> None:
        """Let time pass, second by second, as a server does."""
        end = self.clock.now_s + seconds
        while self.clock.now_s < end - 1e-9:
            self.timers.until(min(end, self.clock.now_s + 1))
            self.registry.tick()
            self.service.sweep()
            self.timers.settle()

    # ------------------------------------------------------------------ requests

    def begin(
        self,
        method: str,
        target: str,
        body: bytes | object = b"",
        peer: str = HERE,
        headers: dict[str, str] | None = None,
    ) -> Waiting:
        """One request, answered or not. A body that is no bytes is sent as JSON."""
        path, _, query = target.partition("?")
        raw = tuple((name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items())
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Waiting(self.http.handle(Request(method, path, query, raw, sent, peer)))

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | object = b"",
        peer: str = HERE,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request to its end; it must not wait for anything but the store."""
        waiting = self.begin(method, target, body, peer, headers)
        self.timers.settle()
        assert waiting.answered, f"{method} {target} was not answered"
        return waiting.answer

    def get(self, target: str, peer: str = HERE, **headers: str) -> Answer:
        return self.ask("GET", target, b"", peer, {name.replace("_", "-"): value for name, value in headers.items()})

    def put(self, target: str, body: bytes | object = b"", peer: str = HERE, **headers: str) -> Answer:
        return self.ask("PUT", target, body, peer, {name.replace("_", "-"): value for name, value in headers.items()})

    def done(self, target: str, body: bytes | object = b"", peer: str = HERE) -> None:
        """A PUT that works."""
        answer = self.put(target, body, peer)
        assert answer.status == 200, answer

    def register(self, name: str = "web", peer: str = HERE, **fields: object) -> None:
        """PUT agent/service/register, which works."""
        self.done("/v1/agent/service/register", {"Name": name} | fields, peer)

    # ------------------------------------------------------------------ other protocols

    def foreign(self, source: str = "nacos", key: str = "k1", **members: Any) -> Registration:
        """Another protocol registers something."""
        fields: dict[str, Any] = {"service": "orders", "host": "10.0.0.1", "port": 8080, "namespace": "default"}
        r = Registration(source=source, key=key, **(fields | members))
        self.registry.register(r, STRANGER)
        self.timers.settle()
        return r
