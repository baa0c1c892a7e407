"""Fuzzy watch of 3.x: connections that want to hear of services by a pattern, which ones there are and which come and go.

Observed on Nacos 3.0.3: a pattern is ``namespace>>group>>service``, each of the latter two exact, ``*``, ``x*``, ``*x`` or
``*x*``; after the answer come the services that the client has not named yet, in batches, then a request without any that ends
the beginning; at most 20 patterns (50310) with 500 services each (50311; the first 500 are still told).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

import msgspec

from polaris_bridge.adapters.nacos.translate.names import decode
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.json_in import FuzzyWatchRequest
from polaris_bridge.adapters.nacos.wire.messages import PUBLIC, Refused
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.registry import Registry

from .connections import Connection
from .requests import Requests

MOST_PATTERNS: Final = 20
"""Different ones, of all clients together."""
MOST_MATCHES: Final = 500
"""Services that one pattern may match."""
BATCH: Final = 100
"""Services in one request."""
DELAY_S: Final = 0.1
"""Until the first batch: the answer goes on another stream and should be there first."""
ASK_AGAIN_S: Final = 6.0

ADDED: Final = "ADD_SERVICE"
DELETED: Final = "DELETE_SERVICE"
_SYNC: Final = "NamingFuzzyWatchSyncRequest"
_CHANGE: Final = "NamingFuzzyWatchChangeNotifyRequest"
_TOO_MANY_PATTERNS: Final = "fuzzy watch pattern over limit"
_TOO_MANY_MATCHES: Final = "fuzzy watch pattern matched count over limit"

_json: Final = msgspec.json.Encoder().encode


class Pattern:
    """``namespace>>group>>service``."""

    __slots__ = ("_group", "_name", "namespace_id", "text")

    def __init__(self, text: str) -> None:
        """Raises ``Refused``."""
        parts = text.split(">>")
        if len(parts) != 3 or not parts[1] or not parts[2]:
            raise Refused(400, codes.PARAMETER_VALIDATE, f"groupKeyPattern '{text}' is illegal")
        self.text = text
        self.namespace_id = parts[0] or PUBLIC
        self._group = parts[1]
        self._name = parts[2]

    def matches(self, group: str, name: str) -> bool:
        """Whether it is about a service of its namespace."""
        return item_matches(self._group, group) and item_matches(self._name, name)

    def service_key(self, group: str, name: str) -> str:
        """A service as watchers of this pattern know it."""
        return f"{self.namespace_id}@@{group}@@{name}"


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


class Watching:
    """A pattern and who watches it."""

    __slots__ = ("connections", "matched", "namespace", "pattern")

    def __init__(self, pattern: Pattern, namespace: str) -> None:
        self.pattern = pattern
        self.namespace = namespace
        self.connections: dict[Connection, None] = {}
        self.matched: dict[ServiceKey, str] = {}
        """The services that its watchers have been told of, or will be."""


class FuzzyWatches:
    """All patterns of one listener."""

    def __init__(
        self,
        registry: Registry,
        requests: Requests,
        namespace: Callable[[str], str],
        listed: Callable[[ServiceKey], bool],
    ) -> None:
        """``namespace``: the core's for an id. ``listed``: whether a service is there for Nacos clients."""
        self._registry = registry
        self._requests = requests
        self._namespace = namespace
        self._listed = listed
        self._patterns: dict[str, Watching] = {}
        self._in: dict[str, dict[Watching, None]] = {}
        """By namespace of the core."""
        registry.observe(self._published)

    def __len__(self) -> int:
        """Patterns."""
        return len(self._patterns)

    # ------------------------------------------------------------------ requests

    def request(self, connection: Connection, request: FuzzyWatchRequest) -> None:
        """A NamingFuzzyWatchRequest. Raises ``Refused`` with what is answered; over the limit of matches it watches all the
        same."""
        if request.watch_type == "WATCH":
            self._watch(connection, request)
        elif request.watch_type == "CANCEL_WATCH":
            self._cancel(connection, request.group_key_pattern)
        else:
            raise Refused(400, codes.PARAMETER_VALIDATE, f"Unsupported watch type {request.watch_type}")

    def gone(self, connection: Connection) -> None:
        """A client is gone, and its watches with it."""
        for text in list(connection.fuzzy or ()):
            self._cancel(connection, text)
        connection.fuzzy = None

    def sweep(self) -> None:
        """To be called once a second: services are forgotten without a publication, too."""
        for watching in list(self._patterns.values()):
            for key in [key for key in watching.matched if not self._listed(key)]:
                self._change(watching, watching.matched.pop(key), DELETED)

    def _watch(self, connection: Connection, request: FuzzyWatchRequest) -> None:
        watching = self._watching(request.group_key_pattern)
        watching.connections[connection] = None
        if connection.fuzzy is None:
            connection.fuzzy = {}
        connection.fuzzy[watching.pattern.text] = watching
        received = dict.fromkeys(request.received_group_keys)
        self._registry.scheduler.later(
            DELAY_S, partial(self._synchronize, connection, watching, received, request.initializing)
        )
        if len(watching.matched) >= MOST_MATCHES:
            raise OverLimit(codes.FUZZY_WATCH_MATCHES, _TOO_MANY_MATCHES)

    def _watching(self, text: str) -> Watching:
        known = self._patterns.get(text)
        if known is not None:
            return known
        pattern = Pattern(text)
        if len(self._patterns) >= MOST_PATTERNS:
            raise OverLimit(codes.FUZZY_WATCH_PATTERNS, _TOO_MANY_PATTERNS)
        watching = Watching(pattern, self._namespace(pattern.namespace_id))
        for snapshot in self._registry.services(watching.namespace):
            if len(watching.matched) >= MOST_MATCHES:
                break
            group, name = decode(snapshot.key.name)
            if pattern.matches(group, name) and self._listed(snapshot.key):
                watching.matched[snapshot.key] = pattern.service_key(group, name)
        self._patterns[text] = watching
        self._in.setdefault(watching.namespace, {})[watching] = None
        return watching

    def _cancel(self, connection: Connection, text: str) -> None:
        if connection.fuzzy is not None:
            connection.fuzzy.pop(text, None)
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
        self, connection: Connection, watching: Watching, received: dict[str, None], initializing: bool
    ) -> None:
        """Tell one client how what it knows differs from what there is."""
        if connection not in watching.connections:
            return
        there = dict.fromkeys(watching.matched.values())
        changes = [(key, ADDED) for key in there if key not in received]
        changes += [(key, DELETED) for key in received if key not in there]
        kind = "FUZZY_WATCH_INIT_NOTIFY" if initializing else "FUZZY_WATCH_DIFF_SYNC_NOTIFY"
        batches = [changes[at : at + BATCH] for at in range(0, len(changes), BATCH)]
        for count, batch in enumerate(batches, 1):
            self._sync(watching, [connection], kind, len(batches), count, batch)
        if initializing:
            self._sync(watching, [connection], "FINISH_FUZZY_WATCH_INIT_NOTIFY", 0, 0, [])

    def _sync(
        self,
        watching: Watching,
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
            "contexts": [{"serviceKey": key, "changedType": change} for key, change in changes],
        }
        self._ask(_SYNC, message, to, watching)

    def _published(self, published: Published) -> None:
        """Services that came or went."""
        if not self._in:
            return
        for key in published.services:
            here = self._in.get(key.namespace)
            if here:
                self._follow(key, here)

    def _follow(self, key: ServiceKey, here: Iterable[Watching]) -> None:
        there = self._listed(key)
        group, name = decode(key.name)
        for watching in here:
            known = watching.matched.get(key)
            if known is not None and not there:
                del watching.matched[key]
                self._change(watching, known, DELETED)
            elif (
                known is None
                and there
                and watching.pattern.matches(group, name)
                and len(watching.matched) < MOST_MATCHES
            ):
                known = watching.matched[key] = watching.pattern.service_key(group, name)
                self._change(watching, known, ADDED)

    def _change(self, watching: Watching, service_key: str, change: str) -> None:
        message = {
            "serviceKey": service_key,
            "changedType": change,
            "syncType": "FUZZY_WATCH_RESOURCE_CHANGED",
        }
        self._ask(_CHANGE, message, list(watching.connections), watching, (service_key, change))

    def _ask(
        self,
        type: str,
        message: Mapping[str, object],
        to: list[Connection],
        watching: Watching,
        changed: tuple[str, str] | None = None,
    ) -> None:
        """``changed``: what the message says, which is not said again when it is not true any more."""

        def body(number: bytes) -> bytes:
            return _json({"headers": {}, "requestId": number.decode(), **message, "module": "naming"})

        def again(silent: list[Connection]) -> None:
            still = [connection for connection in silent if connection in watching.connections]
            outdated = changed is not None and (changed[0] in watching.matched.values()) is not (changed[1] == ADDED)
            if still and not outdated:
                self._ask(type, message, still, watching, changed)

        self._requests.begin(type, body, to, timeout_s=ASK_AGAIN_S, late=again)


class OverLimit(Refused):
    """A limit of fuzzy watch: answered in the answer's own type, with a code of its own."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(400, code, text, grpc=code)
