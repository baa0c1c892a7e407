"""Long polls of 1.x clients: what they have is compared, and who has the newest of everything waits until that changes.

Ten thousand clients wait at a time, some of them for thousands of configurations, so a poll that waits is two tuples that share
their members with the core and one watcher; of its request nothing is kept. Who is told of a change at once is told in slices,
and all get the same bytes.
"""

from __future__ import annotations

import heapq
import itertools
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.nacos.translate.keys import SOURCE
from polaris_bridge.adapters.nacos.wire.config import Has, changed_line
from polaris_bridge.core.config.model import Asker, FileKey
from polaris_bridge.core.config.reading import FileSnapshot
from polaris_bridge.core.config.watching import StandingWatcher
from polaris_bridge.core.registry import Registry

LEAST_HOLD_S: Final = 10.0
EARLIER_S: Final = 0.5
"""A poll is answered so long before its client stops to wait."""
STRIDE: Final = 128
"""Configurations that are looked at before others get their turn."""
_TOGETHER_S: Final = 0.05
"""Ends of waits so near to each other are one turn of the timer."""
_SPARE: Final = 1000
_MD5: Final = 32
_MANY: Final = 128
"""Of more configurations it is noted with the poll's own lists who has them."""
_FEW: Final = 4
_SEARCHED: Final = 64

Told = Callable[[Sequence[bytes]], None]
"""Gets the lines of what changed; none: the time is up."""


class Looked(Struct, frozen=True):
    """What a client asked for, compared with what is there."""

    keys: tuple[FileKey, ...]
    tenants: str | tuple[str, ...]
    """As the client spells them: one for all of them, or one each."""
    md5s: tuple[str, ...]
    """Of what the client has; the core's own objects where it has the newest."""
    changed: list[int]
    """Places of what it would get otherwise."""
    since: int
    """The revision of the configuration centre when the look began."""

    def lines(self, places: Iterable[int]) -> list[bytes]:
        """Of an answer."""
        return [self.line(at) for at in places]

    def line(self, at: int) -> bytes:
        """One configuration in an answer."""
        key, tenants = self.keys[at], self.tenants
        return changed_line(key.name, key.group, tenants if isinstance(tenants, str) else tenants[at])


class Poll:
    """A client that waits. Told once."""

    __slots__ = ("_polling", "asker", "looked", "told", "watcher")

    def __init__(self, polling: Polling, looked: Looked, asker: Asker, told: Told) -> None:
        self._polling = polling
        self.asker = asker
        self.looked: Looked | None = looked
        """None: it was told, or its client has gone."""
        self.told: Told | None = told
        self.watcher: StandingWatcher | None = None

    def cancel(self) -> None:
        """The client has gone."""
        self.over()

    def over(self) -> Told | None:
        """Nothing is kept any more; who is to be told, if anybody still."""
        if self.watcher is not None:
            self.watcher.cancel()
        told, self.told = self.told, None
        self.looked = self.watcher = None
        if told is not None:
            self._polling.waiting -= 1
        return told

    def wake(self) -> None:
        """Something that it waits for changed."""
        self._polling.wake(self)


class Polling:
    """All polls that wait."""

    def __init__(self, registry: Registry, namespace: Callable[[str], str], slices: Slices) -> None:
        """``namespace``: the core's, of a client's spelling."""
        self._registry = registry
        self._centre = registry.config
        self._namespace = namespace
        self._slices = slices
        self._woken: list[Poll] = []
        self._looking = False
        self._count = itertools.count()
        self._ends: list[tuple[float, int, Poll]] = []
        self._alarm = float("inf")
        self._leaving = False
        self.waiting = 0
        """How many wait now."""

    # ------------------------------------------------------------------ looking

    def look(
        self, asked: Sequence[Has], asker: Asker, allowed: Callable[[FileKey], None] | None = None
    ) -> Generator[None, None, Looked]:
        """Compare what a client has, and note that it has it. ``allowed`` refuses what it may not see."""
        since = self._centre.watches.newest
        reading, spelled = self._centre.reading, {one.tenant for one in asked}
        spaces = {tenant: self._namespace(tenant) for tenant in spelled}
        keys, md5s, changed = [], [], []
        for at, one in enumerate(asked):
            if at % STRIDE == STRIDE - 1:
                yield
            key = FileKey(spaces[one.tenant], sys.intern(one.group), one.data_id)
            if allowed is not None:
                allowed(key)
            snapshot = reading.snapshot(key)
            md5 = self._md5(snapshot, asker)
            if md5 != one.md5:
                changed.append(at)
                md5 = one.md5
            keys.append(snapshot.key)
            md5s.append(md5[:_MD5])
        tenants = spelled.pop() if len(spelled) == 1 else tuple(one.tenant for one in asked)
        looked = Looked(tuple(keys), tenants, tuple(md5s), changed, since)
        if len(keys) > _MANY:
            self._centre.holders.report_piece(asker.ip, looked.keys, looked.md5s, via=SOURCE, asker=asker)
        else:
            self._centre.holders.report(asker.ip, zip(keys, md5s, strict=True), via=SOURCE, asker=asker)
        return looked

    def _md5(self, snapshot: FileSnapshot, asker: Asker) -> str:
        """Of what a client gets; "": nothing."""
        seen = self._centre.reading.resolve(snapshot.key, asker) if snapshot.grays else snapshot.full
        return seen.md5 if seen is not None else ""

    # ------------------------------------------------------------------ waiting

    def hold(self, looked: Looked, asker: Asker, hold_s: float, told: Told) -> Poll:
        """Wait for changes, at most so many seconds; ``told`` is called once, never from here."""
        poll = Poll(self, looked, asker, told)
        self.waiting += 1
        if self._leaving:
            self.wake(poll)
            return poll
        watcher = poll.watcher = self._centre.watches.standing_watcher(looked.keys, poll.wake)
        watcher.arm(looked.since)
        end = self._registry.clock.monotonic() + hold_s
        if len(self._ends) > 2 * self.waiting + _SPARE:  # most of them were told long ago
            self._ends = [each for each in self._ends if each[2].looked is not None]
            heapq.heapify(self._ends)
        heapq.heappush(self._ends, (end, next(self._count), poll))
        self._set_alarm()
        return poll

    def leave(self) -> None:
        """Shutdown: everybody is answered now, and nobody waits any more."""
        self._leaving = True
        for _, _, poll in self._ends:
            if poll.looked is not None:
                self.wake(poll)

    def wake(self, poll: Poll) -> None:
        """Look at a poll soon."""
        self._woken.append(poll)
        if not self._looking:
            self._looking = True
            self._slices.run(self, self._telling, self._told)

    def _telling(self) -> Generator[None, None, None]:
        lines: dict[tuple[FileKey, str], list[bytes]] = {}
        while self._woken:
            woken, self._woken = self._woken, []
            for poll in woken:
                if poll.looked is not None:
                    self._tell(poll, poll.looked, lines)
                yield
            lines.clear()

    def _told(self, _: None) -> None:
        self._looking = False
        if self._woken:
            self._looking = True
            self._slices.run(self, self._telling, self._told)

    def _tell(self, poll: Poll, looked: Looked, lines: dict[tuple[FileKey, str], list[bytes]]) -> None:
        touched = poll.watcher.take() if poll.watcher is not None else set()
        places = [at for at in _places(looked.keys, touched) if self._stale(looked, at, poll.asker)]
        if not places and touched and not self._leaving:  # a gray release for others, or the same again
            return
        told = poll.over()
        if told is None:
            return
        if len(places) == 1 and isinstance(looked.tenants, str):  # thousands are told of the same
            known = looked.keys[places[0]], looked.tenants
            found = lines.get(known)
            if found is None:
                found = lines[known] = [looked.line(places[0])]
            told(found)
        else:
            told(looked.lines(places))

    def _stale(self, looked: Looked, at: int, asker: Asker) -> bool:
        return self._md5(self._centre.reading.snapshot(looked.keys[at]), asker) != looked.md5s[at]

    # ------------------------------------------------------------------ the end of the wait

    def _set_alarm(self, least_s: float = 0.0) -> None:
        """One timer for all, for the next end."""
        if not self._ends:
            return
        now = self._registry.clock.monotonic()
        at = max(self._ends[0][0], now + least_s)
        if at + _TOGETHER_S < self._alarm:
            self._alarm = at
            self._registry.scheduler.later(at - now, self._ring)

    def _ring(self) -> None:
        now = self._registry.clock.monotonic() + 0.001
        if now < self._alarm:  # an earlier one was set since
            return
        self._alarm = float("inf")
        ended = []
        while self._ends and (self._ends[0][0] <= now or self._ends[0][2].looked is None):
            ended.append(heapq.heappop(self._ends)[2])
        if ended:
            self._slices.run(object(), lambda: self._ending(ended), _nothing)
        self._set_alarm(_TOGETHER_S)

    def _ending(self, ended: list[Poll]) -> Generator[None, None, None]:
        for poll in ended:
            told = poll.over()
            if told is not None:
                told(())
            yield


def _places(keys: tuple[FileKey, ...], touched: set[FileKey]) -> list[int]:
    """Where in a list those stand that changed; all places when it is not known which."""
    if not touched:
        return list(range(len(keys)))
    if len(touched) <= _FEW and len(keys) > _SEARCHED:
        return sorted(at for key in touched for at in _all(keys, key))
    return [at for at, key in enumerate(keys) if key in touched]


def _all(keys: tuple[FileKey, ...], key: FileKey) -> list[int]:
    """Every place of one key: a client may name it twice."""
    found, at = [], 0
    try:
        while True:
            at = keys.index(key, at)
            found.append(at)
            at += 1
    except ValueError:
        return found


def _nothing(_: object) -> None:
    """Nobody waits for the end of this."""


def hold_s(timeout_ms: int) -> float:
    """How long a poll waits whose client waits so long: half a second less, and at least ten seconds."""
    return max(LEAST_HOLD_S, timeout_ms / 1000 - EARLIER_S)
