"""WatchConfigFiles: a client waits until one of its files has a newer release, for half a minute at most.

The core wakes who waits; nobody looks at those for whom nothing changed. Who is told of a change is answered in slices, for
thousands may wait for one file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final, Protocol

from msgspec import Struct

from polaris_bridge.adapters._shared.slices import SLICE_S, Slices, Work
from polaris_bridge.adapters.polaris.service.routes import Encoded
from polaris_bridge.adapters.polaris.translate.config import CLIENT_ID, CLIENT_IP, asker_of, file_key, notice
from polaris_bridge.adapters.polaris.translate.keys import SOURCE
from polaris_bridge.adapters.polaris.wire import json, v1
from polaris_bridge.core.config.centre import ConfigCentre
from polaris_bridge.core.config.model import DELETE, STOP, WITHDRAW, Asker, FileKey
from polaris_bridge.core.config.watching import Has, Listening
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Clock, Scheduler

from .answers import OK, SILENCE, client, unnamed, with_file
from .labels import Labels
from .seats import Place, Seats

HELD_S: Final = 30.0
"""How long a watch is held; the real server needs up to a second more."""
MOST_FILES: Final = 5_000
"""Files of one watch. The real server has no bound but the size of a message."""
MANY_FILES: Final = 100
"""Above, a request is looked at in slices."""
_PIECE: Final = 50
"""Files between two chances for others to run."""
KEPT: Final = 4096
"""Notices that are kept encoded."""
_BATCH: Final = 16
"""Answers between two looks at the clock."""
_LOOK_BACK: Final = 10
"""Entries of history in which the end of a file's release is looked for."""

Files = dict[FileKey, int]
"""The version that a client has of each file; 0: none."""


class _Timer(Protocol):
    def cancel(self) -> None: ...


class Watching:
    """Everybody who waits."""

    def __init__(self, centre: ConfigCentre, labels: Labels, clock: Clock, scheduler: Scheduler) -> None:
        self.centre = centre
        self.clock = clock
        self.seats = Seats(centre.holders.gone)
        self._labels = labels
        self._scheduler = scheduler
        self._slices = Slices(scheduler)
        self._notices: dict[tuple[FileKey, int], bytes] = {}
        self._due: deque[Watch] = deque()
        self._leaving = False
        self.waiting: dict[Watch, None] = {}

    # ------------------------------------------------------------------ calls

    def watch(self, m: v1.ClientWatchConfigFileRequest, caller: Caller) -> bytes | Watch:
        """An encoded ``ConfigClientResponse``: at once when a file has a later version than the client, else later.

        Of a file that is gone a client with an earlier version is told the version under which it went; one that never had it
        waits for it. A file that is named twice counts as named last.
        """
        watch = Watch(self)
        self.waiting[watch] = None
        if len(m.watch_files) > MANY_FILES:
            self._slices.run(watch, lambda: self._looked(watch, m, caller), lambda found: self._long(watch, found))
        else:
            self._begin(watch, _at_once(_files(m)), m, caller)
        return watch if watch.answer is None else watch.answer

    def watch_json(self, m: v1.ClientWatchConfigFileRequest, caller: Caller) -> Encoded | JsonWatch:
        """The same as JSON."""
        found = self.watch(m, caller)
        return _as_json(found) if isinstance(found, bytes) else JsonWatch(found)

    def leave(self) -> None:
        """The server stops: everybody is answered that nothing came, and nobody waits any more."""
        self._leaving = True
        for watch in list(self.waiting):
            watch.expired()

    def sweep(self) -> None:
        """Once a second: forget who did not come back."""
        self.seats.sweep(self.clock.monotonic())

    # ------------------------------------------------------------------ pieces

    def _begin(self, watch: Watch, found: Files | bytes, m: v1.ClientWatchConfigFileRequest, caller: Caller) -> None:
        """Wait, or answer. ``found``: the files; bytes: what is wrong with the request."""
        if isinstance(found, bytes):
            watch.give(found)
            return
        watch.asker = asker = self._asker(m, caller, found)
        watch.sit(caller.address, found)
        self.centre.holders.report(watch.name, found.items(), via=SOURCE, asker=asker, whole=True)
        listening = self.centre.listen(
            {key: Has(version=has) for key, has in found.items()},
            watch.told,
            asker,
            min_interval_s=0.0,  # a draft that was written just before a release must not hold it up
        )
        if not isinstance(listening, Listening):
            watch.give(self.notice(listening[0], asker))
        else:
            self._hold(watch, listening)

    def _looked(self, watch: Watch, m: v1.ClientWatchConfigFileRequest, caller: Caller) -> Work:
        """In slices, for a request with many files: what it waits for; bytes when it can be answered."""
        found: Files | bytes = yield from _files(m)
        if isinstance(found, bytes) or watch.answer is not None:
            return found
        watch.asker = asker = self._asker(m, caller, found)
        watch.sit(caller.address, found)
        since, is_stale = self.centre.watches.newest, self.centre.reading.is_stale
        for at, (key, version) in enumerate(found.items()):
            if is_stale(key, asker, version=version):
                return self.notice(key, asker)
            if at % _PIECE == 0:
                yield
        return _Looked(found, since)

    def _long(self, watch: Watch, found: _Looked | bytes | None) -> None:
        """The end of it: what changed meanwhile is looked at again."""
        if watch.answer is not None:
            return
        if not isinstance(found, _Looked):
            watch.give(client(v1.ExecuteException).SerializeToString() if found is None else found)
            return
        centre, asker, files = self.centre, watch.asker, found.files
        centre.holders.report_piece(watch.name, tuple(files), tuple(files.values()), via=SOURCE, asker=asker)
        revision = centre.watches.revision
        if centre.watches.newest > found.since:
            for key, version in files.items():
                if revision(key) > found.since and centre.reading.is_stale(key, asker, version=version):
                    watch.give(self.notice(key, asker))
                    return
        has = {key: Has(version=version) for key, version in files.items()}
        self._hold(watch, Listening(centre.watches, centre.reading, has, asker, watch.told, 0.0))

    def _hold(self, watch: Watch, listening: Listening) -> None:
        if self._leaving:
            listening.cancel()
            watch.give(SILENCE)
        else:
            watch.wait(listening, self._scheduler.later(HELD_S, watch.expired))

    def _asker(self, m: v1.ClientWatchConfigFileRequest, caller: Caller, files: Files) -> Asker:
        """Who waits: by the labels in its request, else by those that it sent when it read the files."""
        said = {tag.key.value: tag.value.value for tag in m.watch_files[0].tags}
        labels = said or self._labels.of(caller.address, files, self.clock.monotonic())
        if m.client_ip.value:
            labels[CLIENT_IP] = m.client_ip.value
        return asker_of(labels, caller.address)

    def tell(self, watch: Watch) -> None:
        """Answer soon."""
        if not self._due:
            self._scheduler.soon(self._answer)
        self._due.append(watch)

    def _answer(self) -> None:
        due, until = self._due, perf_counter() + SLICE_S
        while True:
            for _ in range(min(_BATCH, len(due))):
                due.popleft().answer_now()
            if not due:
                return
            if perf_counter() >= until:
                self._scheduler.soon(self._answer)
                return

    def notice(self, key: FileKey, asker: Asker) -> bytes:
        """What is told of a file: encoded once for each of its versions."""
        reading = self.centre.reading
        seen = reading.resolve(key, asker)
        version = reading.snapshot(key).version if seen is None else seen.version
        body = self._notices.pop((key, version), None)
        if body is None:
            md5, release = self._gone(key) if seen is None else (seen.md5, seen.release.name)
            body = with_file(OK, notice(key, version, md5, release))
        self._notices[key, version] = body
        if len(self._notices) > KEPT:
            del self._notices[next(iter(self._notices))]
        return body

    def _gone(self, key: FileKey) -> tuple[str, str]:
        """md5 and release of what a file last was, as the real server tells of its end."""
        for entry in self.centre.history.of(key, limit=_LOOK_BACK).entries:
            if entry.operation in (DELETE, WITHDRAW, STOP):
                return entry.text.md5, entry.release
        return "", ""


class _Looked(Struct, frozen=True):
    """Files of which a client has what it would get, as of a revision."""

    files: Files
    since: int


class Watch:
    """One call that waits. See ``transport.rpc.Parked``."""

    __slots__ = ("_hub", "_key", "_listening", "_place", "_reply", "_timer", "answer", "asker", "name")

    def __init__(self, hub: Watching) -> None:
        self._hub = hub
        self._listening: Listening | None = None
        self._timer: _Timer | None = None
        self._reply: Callable[[bytes], None] | None = None
        self._place: Place | None = None
        self._key: FileKey | None = None
        self.asker = Asker()
        self.name = ""
        """Under which the core knows the client."""
        self.answer: bytes | None = None

    def sit(self, address: str, files: Files) -> None:
        """Find the name: the client's own id, or one that was left."""
        self.name = self.asker.labels.get(CLIENT_ID, "")
        if not self.name:
            self._place = address, hash(frozenset(files))
            self.name = self._hub.seats.take(self._place)

    def wait(self, listening: Listening, timer: _Timer) -> None:
        """Nothing to tell yet."""
        self._listening, self._timer = listening, timer

    # ------------------------------------------------------------------ what ends it

    def told(self, keys: list[FileKey]) -> None:
        """By the core, within a publication: one of the files changed; none: the server stops."""
        self._key = keys[0] if keys else None
        self._hub.tell(self)

    def answer_now(self) -> None:
        """Its turn has come."""
        if self.answer is None:
            self.give(SILENCE if self._key is None else self._hub.notice(self._key, self.asker))

    def expired(self) -> None:
        """Nothing came."""
        if self.answer is None:
            self.give(SILENCE)

    def abandon(self) -> None:
        """See ``transport.rpc.Parked``: the client hung up."""
        if self.answer is None:
            self._end(b"")
            if self._place is not None:
                self._hub.seats.give_up(self.name, self._place)
            elif self.name:
                self._hub.centre.holders.gone(self.name)

    def give(self, answer: bytes) -> None:
        """Answer."""
        self._end(answer)
        if self._place is not None:
            self._hub.seats.leave(self.name, self._place, self._hub.clock.monotonic())
        reply, self._reply = self._reply, None
        if reply is not None:
            reply(answer)

    def then(self, reply: Callable[[bytes], None], /) -> None:
        """See ``transport.rpc.Later``."""
        if self.answer is None:
            self._reply = reply
        else:
            reply(self.answer)

    def _end(self, answer: bytes) -> None:
        self.answer = answer
        self._hub.waiting.pop(self, None)
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class JsonWatch:
    """A watch over HTTP. See ``exchange.Parked``."""

    __slots__ = ("_watch",)

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def then(self, reply: Callable[[Encoded], None]) -> None:
        """See ``routes.Later``."""
        self._watch.then(lambda body: reply(_as_json(body)))

    def abandon(self) -> None:
        """The client hung up."""
        self._watch.abandon()


def _as_json(body: bytes) -> Encoded:
    answer = v1.ConfigClientResponse.FromString(body)
    return Encoded(answer.code.value, json.encode(answer))


def _at_once(work: Work) -> Files | bytes:
    while True:
        try:
            next(work)
        except StopIteration as stop:
            found: Files | bytes = stop.value
            return found


def _files(m: v1.ClientWatchConfigFileRequest) -> Work:
    """In slices when there are many: the files that are waited for; bytes when something is wrong with the request."""
    if not m.watch_files:
        return client(v1.InvalidWatchConfigFileFormat).SerializeToString()
    if len(m.watch_files) > MOST_FILES:
        return client(v1.InvalidWatchConfigFileFormat, f"at most {MOST_FILES} files").SerializeToString()
    found: Files = {}
    for at, one in enumerate(m.watch_files, 1):
        key = file_key(one)
        if not all(key):
            return client(v1.BadRequest, unnamed(key)).SerializeToString()
        found[key] = one.version.value
        if at % MANY_FILES == 0 and len(m.watch_files) > MANY_FILES:
            yield
    return found
