"""Looking for configurations: by names, application, tags, types and contents, exactly or with wildcards.

As on Nacos 2.5.1 an exact search compares, and one with wildcards is SQL's ``LIKE`` with ``*`` for ``%``, where ``_`` is any one
character of a name (in contents it is itself). The application is compared in both, and so are tags before 3.x. What is not
released to everybody is not found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Iterator
from functools import partial
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters.nacos.translate.config import attributes_of, shown_tags, shown_type
from polaris_bridge.adapters.nacos.wire.config import nameable
from polaris_bridge.core.config.centre import ConfigCentre
from polaris_bridge.core.config.model import FileKey
from polaris_bridge.core.config.reading import FileSnapshot

_AT_ONCE: Final = 64
"""Files that are looked at before others get their turn."""

Sees = Callable[[FileKey], bool]


class Wanted(Struct, frozen=True):
    """What is looked for. Empty: anything."""

    data_id: str = ""
    group: str = ""
    app: str = ""
    tags: tuple[str, ...] = ()
    """One of them is enough."""
    types: tuple[str, ...] = ()
    content: str = ""
    blur: bool = False
    """Names and contents are patterns."""
    tags_too: bool = False
    """So are tags, as in 3.x."""


class Like:
    """A pattern of SQL's ``LIKE``. A text is gone through once, whatever the pattern."""

    def __init__(self, pattern: str, wildcards: str = "*%", *, single: bool = True) -> None:
        """``wildcards``: what stands for any characters; ``single``: ``_`` stands for any one."""
        parts = re.split(f"[{wildcards}]+", pattern)
        self._least = sum(map(len, parts))
        self._never = single and len(pattern) > LONGEST_PATTERN
        self._stretches = [] if self._never else [_stretch(part, single=single) for part in parts]
        self._tail = len(parts[-1])

    def __call__(self, text: str) -> bool:
        """Whether all of a text is as the pattern says."""
        size = len(text)
        if self._never or size < self._least:
            return False
        first, *others = self._stretches
        if not others:
            return size == self._least and first(text, 0, size, True) == size
        at = first(text, 0, size, True)
        end = size - self._tail
        for stretch in others[:-1]:
            at = stretch(text, at, end, False) if 0 <= at <= end else -1
        return 0 <= at <= end and others[-1](text, end, size, True) >= 0


LONGEST_PATTERN: Final = 2000
"""Characters of a pattern for names; no name is as a longer one says."""

_Stretch = Callable[[str, int, int, bool], int]
"""Looks for a stretch between wildcards in a part of a text, or (True) at its beginning; where it ends, -1: nowhere."""


def _stretch(part: str, *, single: bool) -> _Stretch:
    if not single or "_" not in part:
        return partial(_literal, part)
    return partial(_pattern, re.compile(re.escape(part).replace("_", "."), re.DOTALL))


def _literal(part: str, text: str, at: int, end: int, here: bool) -> int:
    if here:
        return at + len(part) if text.startswith(part, at, end) else -1
    found = text.find(part, at, end)
    return found + len(part) if found >= 0 else -1


def _pattern(compiled: re.Pattern[str], text: str, at: int, end: int, here: bool) -> int:
    found = compiled.match(text, at, end) if here else compiled.search(text, at, end)
    return found.end() if found is not None else -1


class Search:
    """Queries over everything that readers see."""

    def __init__(self, centre: ConfigCentre) -> None:
        self._centre = centre

    def find(
        self, namespace: str, wanted: Wanted, sees: Sees | None = None
    ) -> Generator[None, None, list[FileSnapshot]]:
        """The configurations of a namespace that fit, oldest first. ``sees``: those that the caller may read; None: all."""
        fits = _fitting(wanted)
        group = _text(wanted.group, blur=wanted.blur)
        data_id = _text(wanted.data_id, blur=wanted.blur)
        at_once = 1 if wanted.content else _AT_ONCE
        found: list[FileSnapshot] = []
        for index, key in enumerate(self._keys(namespace, group)):
            if data_id(key.name) and (sees is None or sees(key)):
                snapshot = self._centre.reading.snapshot(key)
                if fits(snapshot):
                    found.append(snapshot)
            if index % at_once == 0:
                yield
        found.sort(key=_age)
        return found

    def by_id(self, ids: Collection[int]) -> Generator[None, None, dict[int, FileSnapshot]]:
        """The configurations with these ids, in whatever namespace; what is not there is left out."""
        found: dict[int, FileSnapshot] = {}
        for index, key in enumerate(self._keys(None) if ids else ()):
            snapshot = self._centre.reading.snapshot(key)
            if snapshot.file is not None and snapshot.full is not None and snapshot.file.id in ids:
                found[snapshot.file.id] = snapshot
                if len(found) == len(ids):
                    break
            if index % _AT_ONCE == 0:
                yield
        return found

    def count(self, namespace: str | None, group: str = "") -> Generator[None, None, int]:
        """How many configurations a namespace, or a group of it, or (None) everybody has."""
        number = 0
        for index, key in enumerate(self._keys(namespace, _text(group, blur=False))):
            number += self._centre.reading.snapshot(key).full is not None
            if index % _AT_ONCE == 0:
                yield
        return number

    def _keys(self, namespace: str | None, group: Callable[[str], bool] | None = None) -> Iterator[FileKey]:
        """Every file that Nacos clients could name, of the groups that fit."""
        reading = self._centre.reading
        for each in reading.groups(namespace):
            if group is None or group(each.key.group):
                for key in reading.keys(each.key):
                    if nameable(key.group, key.name):
                        yield key


def _age(snapshot: FileSnapshot) -> int:
    return snapshot.file.id if snapshot.file is not None else 0


def _text(wanted: str, *, blur: bool) -> Callable[[str], bool]:
    if not wanted or wanted.isspace():
        return lambda _text: True
    return Like(wanted) if blur else wanted.__eq__


def _fitting(wanted: Wanted) -> Callable[[FileSnapshot], bool]:
    types, app = frozenset(wanted.types), wanted.app
    tags = [Like(tag) if wanted.tags_too else tag.__eq__ for tag in wanted.tags]
    said = wanted.content if wanted.content.strip() else ""
    content = Like(said, "*%" if wanted.blur else "%", single=False)

    def fits(snapshot: FileSnapshot) -> bool:
        seen = snapshot.full
        if seen is None:
            return False
        text = seen.release.text
        if app and attributes_of(text).app != app:
            return False
        if tags and not any(fits_tag(tag) for tag in shown_tags(text) for fits_tag in tags):
            return False
        if types and shown_type(text) not in types:
            return False
        return not said or content(seen.content.decode("utf-8", "replace"))

    return fits
