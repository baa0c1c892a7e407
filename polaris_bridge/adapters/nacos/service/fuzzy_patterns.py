"""Fuzzy watch of 3.x, whatever is watched: patterns, who watches them, what matches, and telling of what comes and goes.

Observed on Nacos 3.0.3: a pattern is ``namespace>>group>>name``, each of the latter two exact, ``*``, ``x*``, ``*x`` or
``*x*``; after the answer come the keys that the client has not named yet, in batches, then a request without any that ends
the beginning; at most 20 patterns (50310) with 500 keys each (50311; the first 500 are still told).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.json_in import FuzzyWatchRequest
from polaris_bridge.adapters.nacos.wire.messages import PUBLIC, Refused
from polaris_bridge.core.ports import Scheduler

from .connections import Connection
from .requests import Requests

MOST_PATTERNS: Final = 20
"""Different ones, of all clients together."""
MOST_MATCHES: Final = 500
"""Keys that one pattern may match."""
DELAY_S: Final = 0.1
"""Until the first batch: the answer goes on another stream and should be there first."""

_TOO_MANY_PATTERNS: Final = "fuzzy watch pattern over limit"
_TOO_MANY_MATCHES: Final = "fuzzy watch pattern matched count over limit"

_json: Final = msgspec.json.Encoder().encode
K = TypeVar("K")


class Pattern:
    """``namespace>>group>>name``."""

    __slots__ = ("_name", "group", "namespace_id", "text")

    def __init__(self, text: str) -> None:
        """Raises ``Refused``."""
        parts = text.split(">>")
        if len(parts) != 3 or not parts[1] or not parts[2]:
            raise Refused(400, codes.PARAMETER_VALIDATE, f"groupKeyPattern '{text}' is illegal")
        self.text = text
        self.namespace_id = parts[0] or PUBLIC
        self.group = parts[1]
        self._name = parts[2]

    def matches(self, group: str, name: str) -> bool:
        """Whether it is about something of its namespace."""
        return item_matches(self.group, group) and item_matches(self._name, name)


def item_matches(pattern: str, text: str) -> bool:
    """One part of a pattern: ``*``, ``x*``, ``*x``, ``*x*``, or the text itself."""
    if pattern == "*":
        return True
    begins, ends = pattern.endswith("*"), pattern.startswith("*")
    if begins and ends:
        return pattern[1:-1] in text
    if begins:
        return text.startswith(pattern[:-1])
    return text.endswith(pattern[1:]) if ends else text == pattern


class Dialect(Struct, frozen=True):
    """How clients are told, in the words of what they watch."""

    sync: str
    """Type of the requests that begin a watch."""
    change: str
    """Type of the requests about one key."""
    key: str
    """Member that holds a key."""
    changed: str
    """Member of ``change`` that holds what became of the key."""
    added: str
    news: str
    """What became of a key that was not there: ``added`` or another word."""
    deleted: str
    module: str
    batch: int
    """Keys in one request."""
    ask_again_s: float
    rest: Mapping[str, str]
    """Further members of ``change``."""


class Watching(Generic[K]):
    """A pattern and who watches it."""

    __slots__ = ("connections", "filled", "matched", "namespace", "pattern", "waiting")

    def __init__(self, pattern: Pattern, namespace: str) -> None:
        self.pattern = pattern
        self.namespace = namespace
        self.connections: dict[Connection, None] = {}
        self.matched: dict[K, str] = {}
        """What its watchers have been told of, or will be."""
        self.filled = False
        """Whether everything that was there at the beginning was looked at."""
        self.waiting: list[Callable[[], None]] = []
        """Told when that is so."""

    @property
    def full(self) -> bool:
        """Whether more may match than is told."""
        return len(self.matched) >= MOST_MATCHES


class PatternBook(ABC, Generic[K]):
    """All patterns of one server about one kind of things."""

    def __init__(
        self, scheduler: Scheduler, requests: Requests, namespace: Callable[[str], str], dialect: Dialect
    ) -> None:
        """``namespace``: the core's for an id."""
        self._scheduler = scheduler
        self._requests = requests
        self._namespace = namespace
        self._dialect = dialect
        self._patterns: dict[str, Watching[K]] = {}
        self._in: dict[str, dict[Watching[K], None]] = {}
        """By namespace of the core."""
        self._of: dict[Connection, dict[str, Watching[K]]] = {}

    def __len__(self) -> int:
        """Patterns."""
        return len(self._patterns)

    @abstractmethod
    def _fill(self, watching: Watching[K]) -> None:
        """Take in (``_enter``) what is there already, now or in slices, and call ``_filled``."""

    @abstractmethod
    def _is_there(self, key: K) -> bool:
        """Whether clients see it."""

    @abstractmethod
    def _known_as(self, pattern: Pattern, group: str, name: str) -> str:
        """A key as watchers of a pattern know it."""

    # ------------------------------------------------------------------ requests

    def request(self, connection: Connection, request: FuzzyWatchRequest) -> Watching[K] | None:
        """A client watches a pattern, or does so no more (None). Raises ``Refused`` with what is answered.

        Once it is ``filled``, ``check_matches`` says what is answered; over the limit it watches all the same.
        """
        if request.watch_type == "WATCH":
            return self._watch(connection, request)
        if request.watch_type == "CANCEL_WATCH":
            self._cancel(connection, request.group_key_pattern)
            return None
        raise Refused(400, codes.PARAMETER_VALIDATE, f"Unsupported watch type {request.watch_type}")

    def check_matches(self, watching: Watching[K]) -> None:
        """Raises ``OverLimit`` when a pattern matches more than is told."""
        if watching.full:
            raise OverLimit(codes.FUZZY_WATCH_MATCHES, _TOO_MANY_MATCHES)

    def gone(self, connection: Connection) -> None:
        """A client is gone, and its watches with it."""
        for text in list(self._of.get(connection, ())):
            self._cancel(connection, text)

    def _watch(self, connection: Connection, request: FuzzyWatchRequest) -> Watching[K]:
        watching = self._watching(request.group_key_pattern)
        watching.connections[connection] = None
        self._of.setdefault(connection, {})[watching.pattern.text] = watching
        received = dict.fromkeys(request.received_group_keys)
        self._scheduler.later(DELAY_S, partial(self._synchronize, connection, watching, received, request.initializing))
        return watching

    def _watching(self, text: str) -> Watching[K]:
        known = self._patterns.get(text)
        if known is not None:
            return known
        pattern = Pattern(text)
        if len(self._patterns) >= MOST_PATTERNS:
            raise OverLimit(codes.FUZZY_WATCH_PATTERNS, _TOO_MANY_PATTERNS)
        watching: Watching[K] = Watching(pattern, self._namespace(pattern.namespace_id))
        self._patterns[text] = watching
        self._in.setdefault(watching.namespace, {})[watching] = None
        self._fill(watching)
        return watching

    def _enter(self, watching: Watching[K], key: K, group: str, name: str) -> bool:
        """Something is there; False: no more is taken."""
        if key not in watching.matched and watching.pattern.matches(group, name) and self._is_there(key):
            watching.matched[key] = self._known_as(watching.pattern, group, name)
        return not watching.full

    def _filled(self, watching: Watching[K]) -> None:
        watching.filled = True
        waiting, watching.waiting = watching.waiting, []
        for call in waiting:
            call()

    def _cancel(self, connection: Connection, text: str) -> None:
        own = self._of.get(connection)
        if own is not None:
            own.pop(text, None)
            if not own:
                del self._of[connection]
        watching = self._patterns.get(text)
        if watching is None:
            return
        watching.connections.pop(connection, None)
        if not watching.connections:
            del self._patterns[text]
            here = self._in[watching.namespace]
            del here[watching]
            if not here:
                del self._in[watching.namespace]

    # ------------------------------------------------------------------ telling

    def _synchronize(
        self, connection: Connection, watching: Watching[K], received: dict[str, None], initializing: bool
    ) -> None:
        """Tell one client how what it knows differs from what there is."""
        if connection not in watching.connections:
            return
        if not watching.filled:
            watching.waiting.append(partial(self._synchronize, connection, watching, received, initializing))
            return
        there = dict.fromkeys(watching.matched.values())
        changes = [(key, self._dialect.added) for key in there if key not in received]
        changes += [(key, self._dialect.deleted) for key in received if key not in there]
        kind = "FUZZY_WATCH_INIT_NOTIFY" if initializing else "FUZZY_WATCH_DIFF_SYNC_NOTIFY"
        size = self._dialect.batch
        batches = [changes[at : at + size] for at in range(0, len(changes), size)]
        for count, batch in enumerate(batches, 1):
            self._sync(watching, [connection], kind, len(batches), count, batch)
        if initializing:
            self._sync(watching, [connection], "FINISH_FUZZY_WATCH_INIT_NOTIFY", 0, 0, [])

    def _sync(
        self,
        watching: Watching[K],
        to: list[Connection],
        kind: str,
        total: int,
        current: int,
        changes: Iterable[tuple[str, str]],
    ) -> None:
        message = {
            "groupKeyPattern": watching.pattern.text,
            "syncType": kind,
            "totalBatch": total,
            "currentBatch": current,
            "contexts": [{self._dialect.key: key, "changedType": change} for key, change in changes],
        }
        self._ask(self._dialect.sync, message, to, watching)

    def _follow(self, namespace: str, key: K, group: str, name: str) -> None:
        """Something may have come or gone."""
        for watching in self._in.get(namespace, ()):
            there = self._is_there(key)
            known = watching.matched.get(key)
            if known is not None and not there:
                del watching.matched[key]
                self._change(watching, known, self._dialect.deleted)
            elif known is None and there and watching.pattern.matches(group, name) and not watching.full:
                known = watching.matched[key] = self._known_as(watching.pattern, group, name)
                self._change(watching, known, self._dialect.news)

    def _change(self, watching: Watching[K], known: str, change: str) -> None:
        message = {self._dialect.key: known, self._dialect.changed: change, **self._dialect.rest}
        self._ask(self._dialect.change, message, list(watching.connections), watching, (known, change))

    def _ask(
        self,
        type: str,
        message: Mapping[str, object],
        to: list[Connection],
        watching: Watching[K],
        changed: tuple[str, str] | None = None,
    ) -> None:
        """``changed``: what the message says, which is not said again when it is not true any more."""

        def body(number: bytes) -> bytes:
            return _json({"headers": {}, "requestId": number.decode(), **message, "module": self._dialect.module})

        def again(silent: list[Connection]) -> None:
            still = [connection for connection in silent if connection in watching.connections]
            there = changed is not None and changed[0] in watching.matched.values()
            outdated = changed is not None and there is (changed[1] == self._dialect.deleted)
            if still and not outdated:
                self._ask(type, message, still, watching, changed)

        self._requests.begin(type, body, to, timeout_s=self._dialect.ask_again_s, late=again)


class OverLimit(Refused):
    """A limit of fuzzy watch: answered in the answer's own type, with a code of its own."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(400, code, text, grpc=code)
