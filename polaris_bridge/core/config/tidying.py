"""Tidying up: history and releases that grew old, contents that nothing says any more, counters of files long gone."""

from __future__ import annotations

from collections import Counter as Tally
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from ..events import DocumentChange
from ..model import SYSTEM, Document
from .desk import Counter, Desk
from .model import FileKey
from .shelf import BODY, FILE, HISTORY, RELEASE, id_of

if TYPE_CHECKING:
    from ..registry import Registry

PER_RUN: Final = 250
"""Things removed in one run, so that a run never holds up the calls of clients."""
LOOKED_AT: Final = 500
"""Releases that one run looks at; the next one goes on where it ended."""


class _TextPart(Struct):
    body: str = ""


class _DraftPart(Struct):
    draft: _TextPart


class _TextHolder(Struct):
    text: _TextPart


class References:
    """How many drafts, releases and lines of history say each content: what nobody says any more can go.

    Counted over what is published. A content whose count is 0 cannot be taken up again by a command that waits for the
    store: such a command was decided on a state in which nothing said it either.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._counts: Tally[str] = Tally()
        self.idle: dict[str, None] = {}
        """Contents that may go."""
        draft, text = msgspec.msgpack.Decoder(_DraftPart), msgspec.msgpack.Decoder(_TextHolder)
        self._body = {
            FILE: lambda d: draft.decode(d.body).draft.body,
            RELEASE: lambda d: text.decode(d.body).text.body,
            HISTORY: lambda d: text.decode(d.body).text.body,
        }

    def load(self) -> None:
        """Count what was loaded."""
        for kind in self._body:
            for document in self._desk.documents.all(kind):
                self._add(kind, document)
        for document in self._desk.documents.all(BODY):
            if not self._counts[document.id]:
                self.idle[document.id] = None

    def follow(self, change: DocumentChange) -> None:
        """To be told of every published change of a file, a release or a line of history."""
        if change.kind not in self._body:
            return
        if change.after is not None:
            self._add(change.kind, change.after)
        if change.before is not None:
            body = self._body[change.kind](change.before)
            self._counts[body] -= 1
            if self._counts[body] <= 0:
                del self._counts[body]
                if body:
                    self.idle[body] = None

    def _add(self, kind: str, document: Document) -> None:
        body = self._body[kind](document)
        self._counts[body] += 1
        self.idle.pop(body, None)


class CleanHistory:
    """Maintain job: history older than ``timeout_ms``; releases as old that nobody named and nobody sees; contents that
    nothing says any more; version counters of files gone as long (their namespace keeps a number above all of them)."""

    name = "CleanConfigReleaseHistory"

    def __init__(self, timeout_ms: int, most: int = PER_RUN) -> None:
        self._timeout_ms = timeout_ms
        self.most = min(most, PER_RUN)
        """Removed in one run; as many: there may be more."""

    def run(self, registry: Registry) -> int:
        """See ``core.maintain.Job``: at most ``most`` things; how many."""
        return registry.config.tidy(registry.clock.wall_ms() - self._timeout_ms, self.most)


class Tidier:
    """Removes a bounded number of things at a time."""

    def __init__(self, desk: Desk, references: References) -> None:
        self._desk = desk
        self._references = references
        self._place = 0
        """How many releases were looked at since the last time through."""

    def run(self, before_ms: int, most: int = PER_RUN) -> int:
        """Remove at most so many things older than a time, in one commit; how many."""
        desk, idle = self._desk, self._references.idle
        entries = self._entries(before_ms, most)
        releases = self._releases(before_ms, most - len(entries))
        left = most - len(entries) - len(releases)
        counters = self._counters(before_ms, left)
        bodies = list(islice(idle, left - len(counters)))
        count = len(entries) + len(releases) + len(counters) + len(bodies)
        if not count:
            return 0
        with desk.ledger.command() as commit:
            for id in entries:
                desk.entries.drop(id)
            for id in releases:
                desk.releases.drop(id)
            for counter in counters:
                self._forget(counter)
            for body in bodies:
                desk.bodies.drop(body, SYSTEM)
        for body in bodies:
            del idle[body]
        commit.then(lambda error: idle.update(dict.fromkeys(bodies)) if error is not None else None)
        return count

    def _entries(self, before_ms: int, most: int) -> list[str]:
        due: list[str] = []
        for document in self._desk.entries.oldest():
            if document.created_ms >= before_ms or len(due) >= most:
                break
            due.append(document.id)
        return due

    def _releases(self, before_ms: int, most: int) -> list[str]:
        desk, due = self._desk, list[str]()
        place = self._place if self._place < len(desk.releases) else 0
        for document in islice(desk.releases.oldest(), place, place + LOOKED_AT):
            if document.created_ms >= before_ms:
                place = len(desk.releases)
                break
            if len(due) >= most:
                break
            place += 1
            release = desk.releases.decode(document)
            if release.named or release.activated.at_ms >= before_ms:
                continue
            newest = desk.releases.newest(document.id)
            file = desk.file(release.key)
            active = [a.release for a in (file.full, *file.grays) if a is not None] if file is not None else []
            if newest == release and release.name not in active:
                due.append(document.id)
        self._place = place - len(due)
        return due

    def _counters(self, before_ms: int, most: int) -> list[Counter]:
        due: list[Counter] = []
        for document in self._desk.counters.oldest():
            counter = self._desk.counters.decode(document)
            if not counter.gone_ms:
                continue
            if counter.gone_ms >= before_ms or len(due) >= most:
                break
            due.append(counter)
        return due

    def _forget(self, counter: Counter) -> None:
        counters, namespace = self._desk.counters, counter.key.namespace
        if counters.newest(id_of(*counter.key)) != counter:
            return
        floor = counters.newest(id_of(namespace))
        if floor is None or floor.version < counter.version:
            counters.put(id_of(namespace), namespace, "", Counter(FileKey(namespace, "", ""), counter.version))
        counters.drop(id_of(*counter.key))
