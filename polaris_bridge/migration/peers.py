"""Our server as one of several Eureka servers: what clients do here is passed on to the others, and what they know is taken
over before the first client is answered.

As Netflix' servers do it among themselves: batches, the latest of equal tasks wins, tasks grow old, a heartbeat that a peer
does not know is followed by the registration, and one that it knows better is answered with its document. No writer ever waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from msgspec import Struct

from polaris_bridge.adapters.eureka.wire import (
    InstanceInfo,
    Malformed,
    ReplicationAnswer,
    ReplicationItem,
    decode_answers,
    decode_applications,
    encode_batch,
)
from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Clock

from .breath import ended
from .connectors.web import Web
from .model import EUREKA, RegistryEntry
from .ports import RegistryError, Unusable

BATCH: Final = 250
DELAY_S: Final = 0.5
"""Longest that a task waits for company."""
RETRY_S: Final = 1.0
MOST_TASKS: Final = 10_000
"""That wait for one peer. Of more the heartbeats are dropped, then the oldest: a peer that comes back learns everything from the
heartbeats that follow."""
LIFE_S: Final = 30.0
"""A task older than this is dropped, as by Netflix' servers."""
TIMEOUT_S: Final = 5.0
PULL_S: Final = 20.0
"""How long the servers named may take to tell what they know."""

CALLER: Final = Caller(EUREKA, principal="peer")
_HEADERS: Final = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "DiscoveryIdentity-Name": "DefaultServer",
    "DiscoveryIdentity-Version": "1.0",
}
_BATCH_PATH: Final = "/peerreplication/batch/"
_HEARTBEAT: Final = "Heartbeat"

log = logging.getLogger(__name__)


class Local(Protocol):
    """What stands here, as the adapter keeps it."""

    def register(self, namespace: str, info: InstanceInfo, caller: Caller, replicated: bool, /) -> object:
        """Take an instance over from a peer. Raises ``CoreError``."""
        ...

    def stored(self, namespace: str, app: str, id: str, /) -> InstanceInfo | None:
        """An instance as it is here now."""
        ...


class _Task(Struct):
    item: ReplicationItem
    due: float
    """When it is too old."""


class Peer:
    """One other server: its queue, and what empties it."""

    def __init__(self, url: str, namespace: str, local: Local, clock: Clock) -> None:
        """Raises ``ValueError`` for a text that is no address."""
        self.url, auth = address_of(url)
        self.namespace = namespace
        self.dropped = 0
        """Tasks that were never delivered."""
        self.sent = 0
        self.error = ""
        """Why the last batch was not taken; empty when it was."""
        self._local = local
        self._clock = clock
        self._web = Web(RegistryEntry(id="peer", kind=EUREKA, addresses=(self.url,), timeout_s=TIMEOUT_S), auth=auth)
        self._queue: dict[tuple[str, str, str], _Task] = {}
        self._filled = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many tasks wait."""
        return len(self._queue)

    def start(self) -> None:
        """Begin to send."""
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send())

    async def close(self) -> None:
        """Stop. What waits is not sent any more."""
        if self._sending is not None:
            await ended({self._sending})
        await self._web.close()

    def put(self, item: ReplicationItem) -> None:
        """Queue a task in the place of an equal one."""
        key = (item.action or "", item.app_name or "", item.id or "")
        self._queue.pop(key, None)
        if len(self._queue) >= MOST_TASKS:
            self._make_room()
        self._queue[key] = _Task(item, self._clock.monotonic() + LIFE_S)
        self._filled.set()

    def _make_room(self) -> None:
        beats = [key for key in self._queue if key[0] == _HEARTBEAT] or [next(iter(self._queue))]
        for key in beats:
            del self._queue[key]
        self.dropped += len(beats)

    # ------------------------------------------------------------------ sending

    async def _send(self) -> None:
        while True:
            await self._filled.wait()
            await asyncio.sleep(DELAY_S if len(self._queue) < BATCH else 0)
            batch = self._take()
            if not batch:
                continue
            try:
                await self._deliver(batch)
                self.error = ""
            except RegistryError as error:
                self._failed(str(error), batch)
                await asyncio.sleep(RETRY_S)
            except Exception:  # one batch that we cannot make must not end all sending
                log.exception("replication to %s failed", self.url)
                self.dropped += len(batch)

    def _take(self) -> list[_Task]:
        """The oldest tasks that are not too old."""
        now = self._clock.monotonic()
        found: list[_Task] = []
        for key in list(self._queue)[:BATCH]:
            task = self._queue.pop(key)
            if task.due > now:
                found.append(task)
            else:
                self.dropped += 1
        if not self._queue:
            self._filled.clear()
        return found

    def _failed(self, text: str, batch: Sequence[_Task]) -> None:
        """Back to where they were, unless something newer took their place."""
        if self.error != text:
            log.warning("replication to %s: %s", self.url, text)
        self.error = text
        left = {(task.item.action or "", task.item.app_name or "", task.item.id or ""): task for task in batch}
        self._queue = {**{key: task for key, task in left.items() if key not in self._queue}, **self._queue}
        self._filled.set()

    async def _deliver(self, batch: Sequence[_Task]) -> None:
        items = [task.item for task in batch]
        answer = await self._web.good("POST", _BATCH_PATH, body=encode_batch(items), headers=_HEADERS)
        self.sent += len(items)
        try:
            answers = decode_answers(answer.body)
        except Malformed as error:
            raise Unusable(f"{self.url} answers a batch with something else: {error}") from None
        for item, answered in zip(items, answers, strict=False):
            self._heed(item, answered)

    def _heed(self, item: ReplicationItem, answer: ReplicationAnswer) -> None:
        """What an answer asks for: the registration of an instance that the peer does not know, or the document it has."""
        if item.action != _HEARTBEAT:
            return
        app, id = item.app_name or "", item.id or ""
        if answer.status_code == 404:
            info = self._local.stored(self.namespace, app, id)
            if info is not None:
                self.put(
                    ReplicationItem(app, id, "Register", info.last_dirty_ms, info.status, info.overridden_status, info)
                )
        elif answer.status_code == 409 and answer.instance is not None:
            with contextlib.suppress(CoreError):  # what we refuse of a peer stays as it is here
                self._local.register(self.namespace, answer.instance, CALLER, True)

    # ------------------------------------------------------------------ taking over

    async def instances(self) -> list[InstanceInfo]:
        """Everything that the peer knows. Raises ``RegistryError``."""
        answer = await self._web.good("GET", "/apps", headers={"Accept": "application/json"})
        try:
            return decode_applications(answer.body, answer.headers.get("content-type", "")).instances
        except Malformed as error:
            raise Unusable(f"{self.url} answers no list of applications: {error}") from None


class Peers:
    """All peers of one listener."""

    def __init__(self, named: Mapping[str, Sequence[str]], local: Local, clock: Clock) -> None:
        """``named``: by namespace, as host:port or URL. Raises ``ValueError`` for a text that is neither."""
        self._local = local
        self._clock = clock
        self._peers = {
            namespace: [Peer(url, namespace, local, clock) for url in urls] for namespace, urls in named.items()
        }

    @property
    def all(self) -> list[Peer]:
        """Every one."""
        return [peer for peers in self._peers.values() for peer in peers]

    def tell(self, namespace: str, item: ReplicationItem) -> None:
        """Pass a client's call on."""
        for peer in self._peers.get(namespace, ()):
            peer.put(item)

    async def without_ourselves(self, is_ours: Callable[[str, int], Awaitable[bool]]) -> None:
        """Leave out the peer that is this server: a list that is the same for all nodes names each of them."""
        for namespace, peers in self._peers.items():
            kept = []
            for peer in peers:
                parts = urlsplit(peer.url)
                if await is_ours(parts.hostname or "", parts.port or 80):
                    await peer.close()
                else:
                    kept.append(peer)
            self._peers[namespace] = kept

    async def pull(self) -> dict[str, int]:
        """Take over what the first peer of each namespace that answers knows; how many instances, by namespace.

        Nothing when nobody answers in time: then clients fill this server as they fill any that is new.
        """
        found: dict[str, int] = {}
        for namespace, peers in self._peers.items():
            try:
                async with asyncio.timeout(PULL_S):
                    found[namespace] = await self._pull_one(namespace, peers)
            except TimeoutError:
                log.warning("no Eureka peer of namespace %s told within %.0f s what it knows", namespace, PULL_S)
        return found

    async def _pull_one(self, namespace: str, peers: Sequence[Peer]) -> int:
        for peer in peers:
            try:
                infos = await peer.instances()
            except RegistryError as error:
                log.warning("cannot begin with what the Eureka peer %s knows: %s", peer.url, error)
                continue
            taken = 0
            for number, info in enumerate(infos, 1):
                with contextlib.suppress(CoreError):
                    self._local.register(namespace, info, CALLER, True)
                    taken += 1
                if number % 100 == 0:
                    await asyncio.sleep(0)
            log.info("took over %d instances from the Eureka peer %s", taken, peer.url)
            return taken
        return 0

    def start(self) -> None:
        """Begin to send."""
        for peer in self.all:
            peer.start()

    async def close(self) -> None:
        """Stop."""
        for peer in self.all:
            await peer.close()


def address_of(text: str) -> tuple[str, tuple[str, str] | None]:
    """The service URL of a peer, and its credentials if it has some. ``host:port`` means ``http://host:port/eureka``.

    Raises ``ValueError`` for what is neither that nor a URL.
    """
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme not in ("http", "https") or not parts.hostname or (parts.port is not None and parts.port < 1):
        raise ValueError(f"{text!r}: expected host:port or http://host:port/eureka")
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, parts.path.rstrip("/") or "/eureka", "", "")), auth
