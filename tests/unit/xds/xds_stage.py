"""A world made by hand, a clock that is set, and clients that keep what they are told as real ones do."""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping
from typing import Any

from google.protobuf.any_pb2 import Any as Packed

from polaris_bridge.adapters._shared.slices import Slices, Work
from polaris_bridge.adapters.xds.node import Node
from polaris_bridge.adapters.xds.resources import Resource, View
from polaris_bridge.adapters.xds.service.stream import Stream
from polaris_bridge.adapters.xds.service.telling import Telling
from polaris_bridge.adapters.xds.wire import messages, types

REMEMBERED = 50
"""Changes that a tiny view can tell of."""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return int(self.now * 1000)


class Scheduler:
    """Runs what is due when it is told to."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._soon: deque[Callable[[], None]] = deque()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._later, (self._clock.now + delay_s, self._count, run))

    def step(self) -> bool:
        """The next thing that is to run soon; False when there is none."""
        if not self._soon:
            return False
        self._soon.popleft()()
        return True

    def settle(self, seconds: float = 0.0) -> None:
        """All that is to run within some seconds."""
        until = self._clock.now + seconds
        while True:
            while self.step():
                pass
            if not self._later or self._later[0][0] > until:
                break
            at, _, run = heapq.heappop(self._later)
            self._clock.now = max(self._clock.now, at)
            run()
        self._clock.now = until


def resource(type_url: str, name: str, content: str = "") -> Resource:
    """Something of a type: a real message for those whose insides are looked at."""
    packed = Packed()
    if type_url == types.CLUSTER:
        cluster = messages.cluster.Cluster(name=name, type="EDS", alt_stat_name=content)
        packed.Pack(cluster)
    else:
        packed.type_url = type_url
        packed.value = f"{name}={content}".encode()
    data = packed.SerializeToString()
    return Resource(name, hashlib.blake2b(data, digest_size=8).hexdigest(), data)


class TinyView:
    """``View`` over a dict. ``hidden`` names are found by their name and are no part of what a wildcard holds."""

    def __init__(self) -> None:
        self._held: dict[str, Mapping[str, Resource]] = {}
        self._hidden: dict[str, dict[str, Resource]] = {}
        self._log: dict[str, deque[tuple[int, str]]] = {}
        self._stamp = 0
        self.users = 0
        self.reads = 0
        self.slow: set[str] = set()
        """Names that have to be built ahead."""
        self.built: list[frozenset[str] | None] = []

    def put(self, type_url: str, name: str, content: str | None, *, hidden: bool = False) -> None:
        self._stamp += 1
        target: dict[str, Resource]
        target = self._hidden.setdefault(type_url, {}) if hidden else dict(self._held.get(type_url, {}))
        if content is None:
            target.pop(name, None)
        else:
            target[name] = resource(type_url, name, content)
        if not hidden:
            self._held[type_url] = target
        self._log.setdefault(type_url, deque(maxlen=REMEMBERED)).append((self._stamp, name))

    def read(self, type_url: str, name: str, /) -> Resource | None:
        self.reads += 1
        return self._held.get(type_url, {}).get(name) or self._hidden.get(type_url, {}).get(name)

    def all(self, type_url: str, /) -> Mapping[str, Resource]:
        return self._held.get(type_url, {})

    def stamp(self, type_url: str, /) -> int:
        log = self._log.get(type_url)
        return log[-1][0] if log else 0

    def changed(self, type_url: str, since: int, /) -> frozenset[str] | None:
        log = self._log.get(type_url, deque())
        if len(log) == REMEMBERED and log[0][0] > since + 1:
            return None
        return frozenset(name for stamp, name in log if stamp > since)

    def ahead(self, type_url: str, names: Collection[str] | None, /) -> Work | None:
        wanted = frozenset(self.all(type_url) if names is None else names) & self.slow
        return self._build(wanted) if wanted else None

    def _build(self, names: frozenset[str]) -> Generator[None, None, Any]:
        for _ in names:
            yield
        self.slow -= names
        self.built.append(names)


class TinyWorld:
    """``World`` with one view for each namespace."""

    def __init__(self) -> None:
        self.views: dict[str, TinyView] = {}
        self._told: list[Callable[[View, Collection[str]], None]] = []

    def at(self, namespace: str = "default") -> TinyView:
        return self.views.setdefault(namespace, TinyView())

    def view(self, node: Node, /) -> View:
        found = self.at(node.namespace)
        found.users += 1
        return found

    def release(self, view: View, /) -> None:
        assert isinstance(view, TinyView)
        view.users -= 1

    def observe(self, told: Callable[[View, Collection[str]], None], /) -> None:
        self._told.append(told)

    def put(self, *changes: tuple[str, str, str | None], namespace: str = "default", hidden: bool = False) -> None:
        """Publish changes together: type, name, content (None: it is gone)."""
        view = self.at(namespace)
        for type_url, name, content in changes:
            view.put(type_url, name, content, hidden=hidden)
        for told in self._told:
            told(view, {type_url for type_url, _, _ in changes})


class Response:
    """What a client was sent, in either variant."""

    def __init__(self, data: bytes, delta: bool) -> None:
        self.size = len(data)
        self.contents: dict[str, str] = {}
        self.removed: list[str] = []
        if delta:
            changes = messages.discovery.DeltaDiscoveryResponse.FromString(data)
            self.version = changes.system_version_info
            self.type_url, self.nonce = changes.type_url, changes.nonce
            self.removed = list(changes.removed_resources)
            for each in changes.resources:
                self.contents[each.name] = each.version
                found = resource(self.type_url, *_opened(each.resource))
                assert (found.name, found.version) == (each.name, each.version)
        else:
            state = messages.discovery.DiscoveryResponse.FromString(data)
            self.version = state.version_info
            self.type_url, self.nonce = state.type_url, state.nonce
            for each in state.resources:
                found = resource(self.type_url, *_opened(each))
                assert found.name not in self.contents, "sent twice"
                self.contents[found.name] = found.version

    @property
    def names(self) -> set[str]:
        return set(self.contents)


def _opened(packed: Packed) -> tuple[str, str]:
    if packed.type_url == types.CLUSTER:
        cluster = messages.cluster.Cluster.FromString(packed.value)
        return cluster.name, cluster.alt_stat_name
    if packed.type_url == types.RUNTIME:
        return messages.rtds.Runtime.FromString(packed.value).name, ""
    name, _, content = packed.value.decode().partition("=")
    return name, content


class Sink:
    """Where a stream's responses arrive."""

    def __init__(self, delta: bool) -> None:
        self.delta = delta
        self.arrived: deque[Response] = deque()
        self.backlog = 0
        self.peer = "127.0.0.1"
        self.dropped: str | None = None

    def send(self, message: bytes) -> None:
        self.arrived.append(Response(message, self.delta))

    def drop(self, reason: str) -> None:
        self.dropped = reason


class Stage:
    """A server without a network."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.scheduler = Scheduler(self.clock)
        self.world = TinyWorld()
        self.telling = Telling(lambda: self.world, self.clock, self.scheduler, Slices(self.scheduler))

    def put(self, *changes: tuple[str, str, str | None], **more: Any) -> None:
        """Publish, and let everybody be told who may be."""
        self.world.put(*changes, **more)
        self.scheduler.settle(1.0)

    def client(self, *, delta: bool = False, only: str = "", node: Any = None) -> Client:
        return Client(self, delta, only, node)


class Client:
    """A client that says what a test tells it to, or what the protocol asks for (``ack``)."""

    def __init__(self, stage: Stage, delta: bool, only: str, node: Any) -> None:
        self.stage = stage
        self.delta = delta
        self.sink = Sink(delta)
        self.stream = Stream(stage.telling, self.sink, delta=delta, only=only)
        self._node = (
            messages.base.Node(id="sidecar~default/pod~10.0.0.1", user_agent_name="envoy") if node is None else node
        )

    def request(self, data: bytes) -> None:
        answer = self.stream.receive(data)
        if answer is not None:
            self.sink.send(answer)
        self.stage.scheduler.settle()

    def scribble(self, type_url: str, *names: str) -> None:
        """A first ``DiscoveryRequest``, of which nothing comes before something else runs."""
        request = messages.discovery.DiscoveryRequest(type_url=type_url, resource_names=names, node=self._node)
        assert self.stream.receive(request.SerializeToString()) is None

    def state(
        self, type_url: str, *names: str, nonce: str = "", version: str = "", error: str | None = None
    ) -> list[Response]:
        """A ``DiscoveryRequest``, and what comes of it."""
        request = messages.discovery.DiscoveryRequest(
            type_url=type_url, resource_names=names, response_nonce=nonce, version_info=version
        )
        self._finish(request, error)
        return self.take()

    def changes(
        self,
        type_url: str,
        *subscribe: str,
        unsubscribe: Collection[str] = (),
        initial: Mapping[str, str] | None = None,
        nonce: str = "",
        error: str | None = None,
    ) -> list[Response]:
        """A ``DeltaDiscoveryRequest``, and what comes of it."""
        request = messages.discovery.DeltaDiscoveryRequest(
            type_url=type_url,
            resource_names_subscribe=subscribe,
            resource_names_unsubscribe=list(unsubscribe),
            initial_resource_versions=initial or {},
            response_nonce=nonce,
        )
        self._finish(request, error)
        return self.take()

    def _finish(self, request: Any, error: str | None) -> None:
        if error is not None:
            request.error_detail.code = 3
            request.error_detail.message = error
        if self._node:
            request.node.CopyFrom(self._node)
            self._node = None
        self.request(request.SerializeToString())

    def ack(self, response: Response, *names: str, error: str | None = None) -> list[Response]:
        """Say something to a response."""
        if self.delta:
            return self.changes(response.type_url, nonce=response.nonce, error=error)
        version = "" if error is not None else response.version
        return self.state(response.type_url, *names, nonce=response.nonce, version=version, error=error)

    def take(self) -> list[Response]:
        """What has arrived."""
        found = list(self.sink.arrived)
        self.sink.arrived.clear()
        return found

    def one(self) -> Response:
        """The one response that has arrived."""
        (found,) = self.take()
        return found
