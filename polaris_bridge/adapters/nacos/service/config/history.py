"""The history of a configuration as Nacos tells it: rows that keep what was there before, made of the core's lines.

A line of the core keeps what a command brought; a row of Nacos 2.5.1 keeps what it took the place of: the first publication of a
configuration (``I``) the new content, each later one (``U``) the content until then, a removal (``D``) the last one. So going
back to a row's content undoes it. Drafts of other protocols that were never released are not told.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, NamedTuple

from msgspec import Struct

from polaris_bridge.core.config.centre import ConfigCentre
from polaris_bridge.core.config.model import (
    DELETE,
    GRAY,
    PROMOTE,
    PUBLISH,
    ROLLBACK,
    STOP,
    WITHDRAW,
    Entry,
    FileKey,
    GrayRule,
    Stamp,
    Text,
)
from polaris_bridge.core.errors import NotFound

INSERTED: Final = "I"
UPDATED: Final = "U"
DELETED: Final = "D"

_AT_ONCE: Final = 64
"""Lines that are read before others get their turn."""


class Row(Struct, frozen=True):
    """One row."""

    number: int
    key: FileKey
    file: int
    """Id of the configuration."""
    operation: str
    """``I``, ``U`` or ``D``."""
    text: Text
    """What it keeps."""
    after: Text | None
    """What was there afterwards; None: nothing."""
    stamp: Stamp
    author: str = ""
    """Who had said what it keeps."""
    slot: str = ""
    """Of the gray release that it is about; empty: of what everybody sees."""
    rule: GrayRule | None = None
    priority: int = 0


class _Seen(NamedTuple):
    """What was there at some moment."""

    text: Text
    release: str
    by: str


class History:
    """Queries."""

    def __init__(self, centre: ConfigCentre) -> None:
        self._centre = centre

    def rows(self, key: FileKey) -> Generator[None, None, list[Row]]:
        """Every row of a configuration, also when it is gone, newest first."""
        lines = yield from self._lines(key)
        rows: list[Row] = []
        full: _Seen | None = None
        grays: dict[str, _Seen] = {}
        for index, line in enumerate(lines):
            operation = line.operation
            if operation in _PUBLISHED:
                before = full or (None if line.first else self._earlier(line))
                rows.append(_row(line, INSERTED if line.first else UPDATED, before, line.text))
                full = _Seen(line.text, line.release, line.stamp.by)
                if operation == PROMOTE:
                    grays.pop(line.gray, None)
            elif operation == GRAY:
                known = grays.get(line.gray)
                rows.append(_row(line, UPDATED if known else INSERTED, known, line.text, gray=True))
                grays[line.gray] = _Seen(line.text, line.release, line.stamp.by)
            elif operation == STOP:
                rows.append(_row(line, DELETED, grays.pop(line.gray, None), None, gray=True))
            elif operation == WITHDRAW:
                if full is not None and full.release == line.release:
                    rows.append(_row(line, DELETED, full, None))
                    full = None
            elif operation == DELETE and line.release:
                rows.append(_row(line, DELETED, full, None))
                full, grays = None, {}
            if index % _AT_ONCE == 0:
                yield
        rows.reverse()
        return rows

    def of_number(self, number: int) -> FileKey | None:
        """Which configuration a row is about; None: there is no such row."""
        try:
            return self._centre.history.entry(number).key
        except NotFound:
            return None

    def content(self, text: Text) -> bytes:
        """What a text says; empty when that was tidied away."""
        try:
            return self._centre.reading.content(text)
        except NotFound:
            return b""

    def _lines(self, key: FileKey) -> Generator[None, None, list[Entry]]:
        """Every line of a file, oldest first."""
        found: dict[int, Entry] = {}
        while True:
            page = self._centre.history.of(key, len(found), _AT_ONCE)
            fresh = {line.number: line for line in page.entries if line.number not in found}
            found |= fresh
            if not fresh:
                return [found[number] for number in sorted(found)]
            yield

    def _earlier(self, line: Entry) -> _Seen | None:
        """What everybody saw before a line, when the line that says so was tidied away: its release may be there still."""
        older = [r for r in self._centre.reading.releases(line.key) if not r.gray and r.number < line.version]
        if not older:
            return None
        last = max(older, key=lambda release: release.number)
        return _Seen(last.text, last.name, last.created.by)


_PUBLISHED: Final = frozenset({PUBLISH, ROLLBACK, PROMOTE})


def _row(line: Entry, operation: str, kept: _Seen | None, after: Text | None, *, gray: bool = False) -> Row:
    """A row that keeps what was there; where nothing is known of that, what its line brought."""
    kept = kept if kept is not None and operation != INSERTED else _Seen(line.text, line.release, line.stamp.by)
    slot = line.gray if gray else ""
    return Row(
        line.number,
        line.key,
        line.id,
        operation,
        kept.text,
        after,
        line.stamp,
        kept.by,
        slot,
        line.rule,
        line.priority,
    )
