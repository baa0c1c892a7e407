"""What changed between two versions of a file, line by line. This call is ours; the original has none."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any, Final

import orjson
from msgspec import Struct

from polaris_bridge.adapters.polaris.answers import text
from polaris_bridge.adapters.polaris.service.console.filters import single
from polaris_bridge.adapters.polaris.service.routes import Query, Result
from polaris_bridge.adapters.polaris.service.routes import Text as Plain
from polaris_bridge.adapters.polaris.translate.config import text_of
from polaris_bridge.adapters.polaris.wire import codes, v1
from polaris_bridge.core.config.diff import LineChange, diff
from polaris_bridge.core.config.model import FileKey, Text
from polaris_bridge.core.errors import NotFound
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Scheduler

from .answers import OK
from .office import Office

QUERY: Final = ("namespace", "group", "file_name", "from_release", "from_history", "to_release", "to_history")
_QUICK: Final = 4_000
"""Pairs of lines that are compared at once; more are compared in a thread."""
_LOOK_S: Final = 0.005
"""How often it is looked whether a thread is done."""


class Side(Struct, frozen=True):
    """One of two versions."""

    what: str
    """``draft``, ``release`` or ``history``."""
    name: str
    """Of the release; the number of the line of history."""
    md5: str
    content: bytes


class Diffs:
    """Comparisons."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._centre = office.centre

    def find(self, query: Query, _caller: Caller) -> Result:
        """From a release (its name; without one what everybody sees) or a line of history, to another or (without one) the
        draft. 400202 for what is not there."""
        asked = single(query)
        key = FileKey(*(asked.get(name, "") for name in QUERY[:3]))
        if not all(key):
            return _refused(v1.InvalidParameter)
        try:
            old = self._side(key, asked.get("from_release", ""), asked.get("from_history", ""), draft=False)
            new = self._side(key, asked.get("to_release", ""), asked.get("to_history", ""), draft=True)
        except NotFound:
            return _refused(v1.NotFoundResource)
        if _lines(old.content) * _lines(new.content) <= _QUICK:
            return _answer(old, new, diff(old.content, new.content))
        return _InThread(self._office.registry.scheduler, old, new)

    def _side(self, key: FileKey, release: str, line: str, *, draft: bool) -> Side:
        """Raises ``NotFound``."""
        reading = self._centre.reading
        if line:
            entry = self._centre.history.entry(int(line) if line.isascii() and line.isdigit() and len(line) < 20 else 0)
            if entry.key != key:
                raise NotFound(line)
            return self._of("history", line, entry.text)
        snapshot = reading.snapshot(key)
        if release:
            found = reading.release(key, release)
        elif draft and snapshot.file is not None:
            return self._of("draft", "", snapshot.file.draft)
        else:
            found = None if snapshot.full is None else snapshot.full.release
        if found is None:
            raise NotFound(release)
        return self._of("release", found.name, found.text)

    def _of(self, what: str, name: str, text: Text) -> Side:
        return Side(what, name, text.md5, self._office.plain(text))


class _InThread:
    """See ``routes.Later``."""

    __slots__ = ("_changes", "_new", "_old", "_scheduler", "_thread")

    def __init__(self, scheduler: Scheduler, old: Side, new: Side) -> None:
        self._scheduler = scheduler
        self._old, self._new = old, new
        self._changes: tuple[LineChange, ...] | None = None
        self._thread = Thread(target=self._work, name="diff", daemon=True)

    def then(self, reply: Callable[[Any], None]) -> None:
        """See ``Later``."""
        self._thread.start()
        self._look(reply)

    def _work(self) -> None:
        self._changes = diff(self._old.content, self._new.content)

    def _look(self, reply: Callable[[Any], None]) -> None:
        if self._thread.is_alive():
            self._scheduler.later(_LOOK_S, lambda: self._look(reply))
        else:
            reply(None if self._changes is None else _answer(self._old, self._new, self._changes))


def _answer(old: Side, new: Side, changes: tuple[LineChange, ...]) -> Plain:
    return _json(
        {
            "code": OK,
            "info": text(OK),
            "from": _side(old),
            "to": _side(new),
            "changes": [
                {
                    "operation": change.operation,
                    "fromBegin": change.old_from,
                    "fromEnd": change.old_to,
                    "toBegin": change.new_from,
                    "toEnd": change.new_to,
                    "fromLines": [text_of(line) for line in change.old],
                    "toLines": [text_of(line) for line in change.new],
                }
                for change in changes
            ],
        }
    )


def _lines(content: bytes) -> int:
    """At least as many as it has: a line may end with a carriage return alone."""
    return 1 + content.count(b"\n") + content.count(b"\r")


def _side(side: Side) -> dict[str, str]:
    return {"what": side.what, "name": side.name, "md5": side.md5}


def _refused(code: int) -> Plain:
    return _json({"code": code, "info": text(code)}, codes.http_status(code))


def _json(document: dict[str, Any], status: int = 200) -> Plain:
    return Plain(orjson.dumps(document), status=status)
