"""Who listens to which files on which gRPC connection, and telling them that something changed.

A client says what it has of a file, is answered whether that is old, and from then on is told of each change of what it would
get: a new content, the file's end, a gray release that begins or ends for it. It is told that there is news, not which, and
asks. What it was last answered or told is compared, not what it has, so that a change between its asking and its next word is
not lost. Who does not answer within 3 s is told again after 2 s, 4 s, 6 s and so on; after 50 times its connection is ended, as
on Nacos 2.5.1.

One look at a file is under way at a time, so one that changes all the time is told of as often as everybody can hear it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from polaris_bridge.adapters._shared.slices import Slices, Work
from polaris_bridge.adapters.nacos.service.connections import Connection
from polaris_bridge.adapters.nacos.service.requests import Requests, Round
from polaris_bridge.adapters.nacos.wire.config_payloads import notification
from polaris_bridge.core.config.model import ANYBODY, FileKey
from polaris_bridge.core.registry import Registry

ANSWER_S: Final = 3.0
"""How long a client may take to say that it has heard."""
LADDER_S: Final = 2.0
"""It is told again after this long, the next time after twice as long, and so on."""
MOST_TRIES: Final = 50
MAX_REST_S: Final = 0.5
"""Telling takes at most half of the time, but never is there a longer rest than this."""
STRIDE: Final = 64
"""Listeners that are looked at before others get their turn."""


class Listened:
    """The listeners of one file who spell its namespace alike, and so get the same bytes."""

    __slots__ = ("key", "rounds", "seen", "silent", "tenant")

    def __init__(self, key: FileKey, tenant: str) -> None:
        self.key = key
        self.tenant = tenant
        """As they said it."""
        self.seen: dict[Connection, str] = {}
        """The md5 of what each was last said to get; "": nothing."""
        self.silent: dict[Connection, _Silence] = {}
        """Who did not answer lately."""
        self.rounds: list[Round] = []
        """Under way."""

    def heard(self, connection: Connection) -> None:
        """A client asked, so it knows: no answer of it is waited for any more."""
        if self.silent:
            self.silent.pop(connection, None)
        for round in self.rounds:
            round.waiting.pop(connection, None)

    def __repr__(self) -> str:
        return f"<Listened {'/'.join(self.key)} as {self.tenant!r}, {len(self.seen)}>"


class _Silence:
    """How often one client did not answer, and the last time that it was told."""

    __slots__ = ("round", "tries")

    def __init__(self, round: Round) -> None:
        self.round = round
        self.tries = 0


class _Topic:
    """One file that somebody listens to."""

    __slots__ = ("again", "began", "busy", "rounds", "spelled")

    def __init__(self) -> None:
        self.spelled: dict[str, Listened] = {}
        self.busy = False
        """Whether somebody looks who is to be told, or is being told."""
        self.again = False
        """Whether it changed in the meantime."""
        self.began = 0.0
        self.rounds = 0
        """Not told to everybody yet."""


class ConfigListeners:
    """All listeners of one server."""

    def __init__(
        self, registry: Registry, requests: Requests, slices: Slices, end: Callable[[Connection, str], None]
    ) -> None:
        """``end``: ends a connection, for a reason."""
        self._scheduler = registry.scheduler
        self._clock = registry.clock
        self._reading = registry.config.reading
        self._watches = registry.config.watches
        self._requests = requests
        self._slices = slices
        self._end = end
        self._topics: dict[FileKey, _Topic] = {}
        self._watcher = self._watches.file_watcher((None,), self._woken, 0.0)
        self._armed = False
        self.notified = 0
        """Clients told, each time counted."""
        self.told: Callable[[float], None] | None = None
        """Told of every change that everybody was told of: seconds that it took."""

    def __len__(self) -> int:
        """Files that somebody listens to."""
        return len(self._topics)

    def of(self, key: FileKey) -> list[Connection]:
        """Who listens to a file."""
        topic = self._topics.get(key)
        return [] if topic is None else list({c: None for one in topic.spelled.values() for c in one.seen})

    # ------------------------------------------------------------------ coming and going

    def listen(self, connection: Connection, key: FileKey, tenant: str, md5: str | None) -> bool:
        """A client listens from now on; whether what it has is not what it would get. ``md5`` None: it is to be told that
        there is news, whatever it has."""
        if not self._armed:
            self._armed = True
            self._watcher.arm(self._watches.newest)
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = _Topic()
        listened = topic.spelled.get(tenant)
        if listened is None:
            listened = topic.spelled[tenant] = Listened(key, tenant)
        now = listened.seen[connection] = self._now(connection, key)
        listened.heard(connection)
        if connection.configs is None:
            connection.configs = {}
        connection.configs[listened] = None
        if len(topic.spelled) > 1:  # the last spelling counts, as there
            for other in [each for each in topic.spelled.values() if each is not listened]:
                self._leave(connection, other)
        if md5 is None:
            self._tell(listened, [connection])
        return now != md5

    def unlisten(self, connection: Connection, key: FileKey) -> None:
        """A client listens to a file no more, however it spelled it."""
        topic = self._topics.get(key)
        for listened in list(topic.spelled.values()) if topic is not None else ():
            self._leave(connection, listened)

    def gone(self, connection: Connection) -> None:
        """A client is gone."""
        for listened in list(connection.configs or ()):
            self._leave(connection, listened)
        connection.configs = None

    def _leave(self, connection: Connection, listened: Listened) -> None:
        if listened.seen.pop(connection, None) is None:
            return
        listened.silent.pop(connection, None)
        if connection.configs is not None:
            connection.configs.pop(listened, None)
        topic = self._topics.get(listened.key)
        if topic is not None and not listened.seen and topic.spelled.get(listened.tenant) is listened:
            del topic.spelled[listened.tenant]
            if not topic.spelled:
                del self._topics[listened.key]

    def _now(self, connection: Connection, key: FileKey) -> str:
        seen = self._reading.resolve(key, connection.asker or ANYBODY)
        return "" if seen is None else seen.md5

    # ------------------------------------------------------------------ telling

    def _woken(self) -> None:
        """Files changed. What changes from now on wakes us again."""
        touched = list(self._watcher.touched)
        self._watcher.arm(self._watches.newest)
        for key in touched:
            topic = self._topics.get(key)
            if topic is not None:
                self._look(key, topic)

    def _look(self, key: FileKey, topic: _Topic) -> None:
        if topic.busy:
            topic.again = True
            return
        topic.busy, topic.again = True, False
        topic.began = self._clock.monotonic()
        topic.rounds = 1  # until everybody was looked at
        self._slices.run(
            ("config listeners", topic), lambda: self._outdated(topic), lambda _done: self._sent(key, topic)
        )

    def _outdated(self, topic: _Topic) -> Work:
        """Tell those who would get something else than what they were last said to get."""
        for listened in list(topic.spelled.values()):
            told = []
            for count, connection in enumerate(list(listened.seen), 1):
                before = listened.seen.get(connection)
                if before is not None and before != (now := self._now(connection, listened.key)):
                    listened.seen[connection] = now
                    told.append(connection)
                if count % STRIDE == 0:
                    yield
            if told:
                topic.rounds += 1
                self._tell(listened, told, sent=partial(self._sent, listened.key, topic))
            yield

    def _sent(self, key: FileKey, topic: _Topic) -> None:
        """Everybody of one spelling was told, or looked at. Others get as much time as all of it took."""
        topic.rounds -= 1
        if topic.rounds:
            return
        took = self._clock.monotonic() - topic.began
        if self.told is not None:
            self.told(took)
        if took < 0.001:
            self._rested(key, topic)
        else:
            self._scheduler.later(min(took, MAX_REST_S), partial(self._rested, key, topic))

    def _rested(self, key: FileKey, topic: _Topic) -> None:
        topic.busy = False
        if topic.again and self._topics.get(key) is topic:
            self._look(key, topic)

    def _tell(
        self,
        listened: Listened,
        to: list[Connection],
        sent: Callable[[], None] | None = None,
    ) -> None:
        head, tail = notification(listened.key.name, listened.key.group, listened.tenant)

        def body(number: bytes) -> bytes:
            return head + number + tail

        def late(silent: list[Connection]) -> None:
            self._late(listened, asked, silent)

        asked = self._requests.begin("ConfigChangeNotifyRequest", body, to, timeout_s=ANSWER_S, late=late, sent=sent)
        self.notified += len(to)
        listened.rounds = [round for round in listened.rounds if round.waiting or round.clients]
        listened.rounds.append(asked)
        if listened.silent:
            for connection in to:
                silence = listened.silent.get(connection)
                if silence is not None:  # what was to be said again is said now
                    silence.round = asked

    def _late(self, listened: Listened, round: Round, silent: list[Connection]) -> None:
        """Some have not answered. Of those who were told of something newer since, that is asked when its time is over."""
        again: dict[int, list[Connection]] = {}
        for connection in silent:
            if connection not in listened.seen:
                continue
            silence = listened.silent.get(connection)
            if silence is None:
                silence = listened.silent[connection] = _Silence(round)
            elif silence.round is not round:
                continue
            silence.tries += 1
            if silence.tries >= MOST_TRIES:
                self._end(connection, "does not hear of its configuration")
            else:
                again.setdefault(silence.tries, []).append(connection)
        for tries, connections in again.items():
            self._scheduler.later(tries * LADDER_S, partial(self._again, listened, round, connections))

    def _again(self, listened: Listened, round: Round, connections: list[Connection]) -> None:
        still = [
            connection
            for connection in connections
            if (silence := listened.silent.get(connection)) is not None and silence.round is round
        ]
        if still:
            self._tell(listened, still)
