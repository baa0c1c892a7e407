"""One stream of a client: what each request changes, and what may be sent when.

* A request that names what it did not name before is answered at once, with what there is of it; it waits for nothing.
* A response is accepted or refused: nothing follows until something changes. State of the world: a request with another nonce
  than that of the last response counts for nothing, unless it names nothing any more: to what crosses that, grpc-java says
  nothing.
* Something changes: it is told once the client has said something to the last response of that type. Of what changes until
  then only the newest state goes out.
* A cluster is new or changed (Envoy): its assignment is told once more. The client waits for it and asks for nothing new, also
  in the incremental variant, and also when it came back with everything that it had.

Types are told in ``types.ORDER``, and a type whose additions have to wait holds up those behind it. That something is gone is
told last, once nothing that may point at it is held up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final, Protocol

from polaris_bridge.adapters.xds.node import GRPC, Node
from polaris_bridge.adapters.xds.resources import Resource
from polaris_bridge.adapters.xds.wire import discovery, types

from .audience import Building
from .steps import EMPTY, NOTHING, Scope, Step, held_of
from .subscription import PATIENCE, Refusal, Subscription

if TYPE_CHECKING:
    from .telling import Feed, Telling

MAX_NAMES: Final = 100_000
"""Names of one type that one stream may subscribe to."""
MAX_IDLE: Final = 5_000
"""Requests a second that change nothing."""
AT_ONCE: Final = 1024 * 1024
"""Octets that one stream is sent in one go; of several responses that are larger together each goes by itself."""
MAX_TEXT: Final = 2_000
"""Characters of what a client says against a response that are kept."""

NEVER_LOOKED_AT: Final = (-1, 0.0)
"""What a stream that was sent something owes, until somebody looks; see ``Telling.unread``."""

Response = tuple[bytes, bytes]
"""What everybody gets, and the nonce of who gets it."""

_STAR: Final = frozenset({"*"})
_LAST: Final = frozenset({types.CLUSTER, types.ASSIGNMENT})
"""What others point at: that it is gone is told last."""


class TooMuch(Exception):
    """The client does what no client does. Says what."""


class Sink(Protocol):
    """Where responses go."""

    @property
    def backlog(self) -> int:
        """Octets that the client has not taken yet."""
        ...

    @property
    def peer(self) -> str:
        """Address of the client."""
        ...

    def send(self, message: bytes, /) -> None:
        """After what was sent before; never blocks."""
        ...

    def drop(self, reason: str, /) -> None:
        """End the stream, whatever was not read."""
        ...


class Stream:
    """One stream. All methods belong to the event loop's thread."""

    __slots__ = (
        "_admit",
        "_feed",
        "_idle",
        "_nonce",
        "_only",
        "_outbox",
        "_second",
        "_seen",
        "_sink",
        "_telling",
        "_warming",
        "began_ms",
        "delta",
        "node",
        "queued",
        "subscriptions",
    )

    def __init__(
        self,
        telling: Telling,
        sink: Sink,
        *,
        delta: bool,
        only: str = "",
        admit: Callable[[Node], None] | None = None,
    ) -> None:
        """``only``: the one type that is served here; "" = all. ``admit`` raises ``Denied`` for a node that may not ask."""
        self._admit = admit
        self._telling = telling
        self._sink = sink
        self._only = only
        self._feed: Feed | None = None
        self._nonce = 0
        self._outbox: deque[Response] | None = None
        """Responses that go one at a time, so that others have their turn."""
        self._warming = NOTHING
        self._seen: dict[int, int] | None = None
        self._second = self._idle = 0
        self.delta = delta
        self.node: Node | None = None
        """None until the first request."""
        self.subscriptions: dict[str, Subscription] = {}
        self.queued = False
        """It is in the queue of those who are told next."""
        self.began_ms = telling.clock.wall_ms()
        telling.streams[self] = None

    @property
    def peer(self) -> str:
        """Address of the client."""
        return self._sink.peer

    @property
    def backlog(self) -> int:
        """Octets that the client has not taken yet."""
        return self._sink.backlog

    @property
    def answered(self) -> bool:
        """Whether everything that was asked for was sent."""
        return self._outbox is None and not any(sub.answerable for sub in self.subscriptions.values())

    def drop(self, reason: str) -> None:
        """End the stream, whatever was not read."""
        self._sink.drop(reason)

    # ------------------------------------------------------------------ requests

    def receive(self, data: bytes) -> bytes | None:
        """A request. Returns the response that follows at once, after which the client's next request is looked at when it has
        read. Of several none is: a client may answer each before it reads the next, and its answers have to be taken.

        Raises ``Malformed`` for bytes that are no request, ``TooMuch`` for what ends the stream.
        """
        asked = self._delta(data) if self.delta else self._state(data)
        pending = asked or any(each.pending for each in self.subscriptions.values())
        responses = self.flush() if pending else []
        if len(responses) == 1 and self._outbox is None:
            return discovery.with_nonce(*responses[0])
        if not responses:
            self._idled()
        self._post(responses)
        return None

    def _idled(self) -> None:
        second = self._telling.second
        if self._second != second:
            self._second, self._idle = second, 0
        self._idle += 1
        if self._idle > MAX_IDLE:
            raise TooMuch(f"more than {MAX_IDLE} requests in a second that change nothing")

    def _state(self, data: bytes) -> bool:
        """A request of the state of the world. Whether something is asked for."""
        request = discovery.read_request(data, self._seen)
        self._introduce(request.node)
        sub = self._subscription(request.type_url)
        if sub is None:
            return False
        if request.names is None and sub.mark != request.mark:
            request = discovery.read_request(data)
        if not request.nonce or not sub.nonce:
            again = bool(sub.nonce)  # it forgot what it was told
            sub.held = EMPTY if again else sub.held
            sub.asked, sub.must = None, True
        elif request.nonce.encode() != sub.nonce:
            self._telling.counts.stale += 1
            if request.error is not None and sub.part(request.nonce):
                self._refused(sub, request.nonce, request.error)
            if sub.named and request.names is not None and not request.names:
                sub.end()
            return False
        else:
            self._judged(sub, request.nonce, request.error)
        if request.names is not None:
            self._wants(sub, request.names)
            self._remember(sub, request.size, request.mark)
        if sub.must and sub.group.scope == Scope():
            sub.asked, sub.must = NOTHING, False
        return sub.must

    def _wants(self, sub: Subscription, wanted: frozenset[str]) -> None:
        sub.named = sub.named or bool(wanted)
        wildcard = "*" in wanted or (not sub.named and sub.audience.type_url in types.FULL)
        names = wanted - _STAR
        before = sub.group.scope
        _check(names)
        sub.subscribe(Scope(names, wildcard))
        if wildcard and not before.wildcard:
            sub.asked, sub.must = None, True
        added = names - before.names
        if added:
            sub.must = True
            if sub.asked is not None:
                sub.asked |= added

    def _remember(self, sub: Subscription, size: int, mark: int) -> None:
        if size == sub.size and mark == sub.mark:
            return
        sub.size, sub.mark = size, mark
        self._seen = {each.size: each.mark for each in self.subscriptions.values() if each.mark} or None

    def _delta(self, data: bytes) -> bool:
        """A request of changes. Whether something is asked for."""
        request = discovery.read_delta(data)
        self._introduce(request.node)
        first = (request.type_url or self._only) not in self.subscriptions
        sub = self._subscription(request.type_url)
        if sub is None:
            return False
        if request.nonce and not first:
            self._judged(sub, request.nonce, request.error)
        subscribe, unsubscribe, before = request.subscribe, request.unsubscribe, sub.group.scope
        if first:
            wildcard = "*" in subscribe or (not subscribe and sub.audience.type_url in types.FULL)
            sub.held = held_of(Resource(name, version, b"") for name, version in request.initial.items())
        else:
            wildcard = (before.wildcard or "*" in subscribe) and "*" not in unsubscribe
        names = before.names
        if subscribe or unsubscribe:
            names = (names | subscribe) - unsubscribe - _STAR
            _check(names)
        sub.subscribe(Scope(names, wildcard))
        if first:
            sub.held = sub.held if wildcard else sub.held.of(names)
            sub.asked, sub.must = (None if names or wildcard else NOTHING), wildcard
        elif wildcard and not before.wildcard:
            sub.asked, sub.must = None, True
        if not first and sub.asked is not None:
            asked = (sub.asked | subscribe) - unsubscribe - _STAR
            sub.asked = asked | (unsubscribe - _STAR) if wildcard else asked
        if not wildcard and unsubscribe:
            sub.held = sub.held.without(unsubscribe)
        return sub.answerable

    def _introduce(self, node: bytes | None) -> None:
        """The first request says who the client is, or nothing; what later ones say of it is not looked at."""
        if self._feed is None:
            self.node = self._telling.node(node)
            if self._admit is not None:
                self._admit(self.node)
            self._feed = self._telling.enter(self.node)

    def _subscription(self, type_url: str) -> Subscription | None:
        """What the stream has of a type, from now on. None for types that are not served here."""
        only = self._only
        found = self.subscriptions.get(type_url or only)
        if found is not None:
            return found
        wanted = type_url or only
        if wanted not in types.SHORT or (only and wanted != only):
            self._telling.unknown(wanted)
            return None
        assert self._feed is not None
        found = self.subscriptions[wanted] = Subscription(self, self._feed.audience(wanted))
        if wanted == types.ASSIGNMENT:
            found.again, self._warming = self._warming, NOTHING
        return found

    def _judged(self, sub: Subscription, nonce: str, error: str | None) -> None:
        """The client has taken a response, or refuses it."""
        last = nonce.encode() == sub.nonce
        if last:
            sub.waiting = False
        if error is not None:
            self._refused(sub, nonce, error)
            return
        if last:
            sub.accepted = sub.version
        if sub.refused:
            sub.refused -= sub.part(nonce)
        if not sub.refused:
            sub.refusal = None

    def _refused(self, sub: Subscription, nonce: str, error: str) -> None:
        sub.refusal = Refusal(sub.version, error[:MAX_TEXT], self._telling.clock.wall_ms())
        sub.suspects(sub.part(nonce))
        self._telling.refused(self, sub)

    # ------------------------------------------------------------------ responses

    def push(self) -> int:
        """Tell what has changed, as far as that may be told now, or go on with what is told. Returns how many octets that was."""
        outbox = self._outbox
        if outbox is None:
            return self._post(self.flush())
        body, nonce = outbox.popleft()
        self._sink.send(discovery.with_nonce(body, nonce))
        self._telling.unread.setdefault(self, NEVER_LOOKED_AT)
        if not outbox:
            self._outbox = None
        self._telling.queue(self)
        return len(body)

    def _post(self, responses: Collection[Response]) -> int:
        size = sum(len(body) for body, _ in responses)
        if self._outbox is None and size <= AT_ONCE:
            for body, nonce in responses:
                self._sink.send(discovery.with_nonce(body, nonce))
            return size
        if responses:
            self._outbox = self._outbox or deque()
            self._outbox.extend(responses)
            self._telling.queue(self)
        return 0

    def flush(self) -> list[Response]:
        """What may be sent now. It counts as sent."""
        out: list[Response] = []
        held_up = False
        for type_url in types.ORDER:
            sub = self.subscriptions.get(type_url)
            if sub is None or not sub.pending:
                continue
            if sub.building or (sub.answerable and not self._answer(sub, out)):
                held_up = True
            elif sub.dirty or sub.again or sub.pieces:
                held_up = held_up or sub.waiting or not self._tell(sub, out, last=False)
        if not held_up:
            for type_url in types.ORDER:
                sub = self.subscriptions.get(type_url)
                if sub is not None and sub.leaving and not sub.waiting:
                    self._tell(sub, out, last=True)
        return out

    def _answer(self, sub: Subscription, out: list[Response]) -> bool:
        """Answer what was asked. False when it has to be built first."""
        everything = sub.asked is None
        try:
            step = sub.audience.asked(sub)
        except Building as building:
            self._telling.build(self, sub, building)
            return False
        sub.asked, sub.must = NOTHING, False
        if everything:
            sub.since, sub.dirty = step.stamp, sub.audience.at > step.stamp
        self._take(sub, step, out)
        return True

    def _tell(self, sub: Subscription, out: list[Response], *, last: bool) -> bool:
        """Tell what has changed. False when it has to be built first. ``last``: also what is gone, and the rest was told."""
        if not last:
            sub.again |= sub.next_piece()
        leaving = sub.leaving if last or self._only or sub.audience.type_url not in _LAST else None
        try:
            step = sub.audience.changed(sub, leaving)
        except Building as building:
            self._telling.build(self, sub, building)
            return False
        if sub.dirty:
            sub.patience = PATIENCE
        sub.since, sub.dirty, sub.again = step.stamp, sub.audience.at > step.stamp, NOTHING
        sub.leaving = step.leaving if leaving is not None else sub.leaving | step.leaving
        self._take(sub, step, out)
        return True

    def _take(self, sub: Subscription, step: Step, out: list[Response]) -> None:
        sub.held = step.held
        if not step.bodies:
            return
        for body in step.bodies:
            self._nonce += 1
            sub.nonce = b"%d" % self._nonce
            out.append((body, sub.nonce))
        sub.version, sub.parts = step.held.version, step.parts
        sub.waiting = True
        self._telling.sent(self, sub, len(step.bodies))
        if step.warming and self.node is not None and self.node.kind != GRPC:
            assignments = self.subscriptions.get(types.ASSIGNMENT)
            if assignments is not None:
                assignments.again |= step.warming & assignments.group.scope.names
            else:
                self._warming |= step.warming

    # ------------------------------------------------------------------ the end

    def close(self) -> None:
        """The stream is over, however it ended."""
        telling = self._telling
        telling.streams.pop(self, None)
        telling.unread.pop(self, None)
        for sub in self.subscriptions.values():
            sub.close()
        self.subscriptions = {}
        feed, self._feed = self._feed, None
        if feed is not None:
            telling.leave(feed)


def _check(names: frozenset[str]) -> None:
    if len(names) > MAX_NAMES:
        raise TooMuch(f"a subscription to more than {MAX_NAMES} names")
