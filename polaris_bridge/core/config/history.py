"""What happened to files: queries over the history."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from ..errors import NotFound
from .desk import Desk
from .model import Entry, FileKey


class Page(Struct, frozen=True):
    """Some of what was asked for."""

    total: int
    entries: tuple[Entry, ...]


class History:
    """Queries; entries are written by the commands. Newest first everywhere."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def of(self, key: FileKey, offset: int = 0, limit: int = 100) -> Page:
        """Of one file, also when it is gone."""
        ids = self._desk.entries.ids_under(key)
        return self._page(ids, offset, limit)

    def find(self, namespace: str = "", group: str = "", name: str = "", offset: int = 0, limit: int = 100) -> Page:
        """Of all files, or of those with these names (empty: any). Looks at every entry of the namespace."""
        if namespace and group and name:
            return self.of(FileKey(namespace, group, name), offset, limit)
        wanted = (namespace, group, name)
        ids = [
            str(entry.number)
            for entry in self._desk.entries.all()
            if all(not part or part == has for part, has in zip(wanted, entry.key, strict=True))
        ]
        return self._page(ids, offset, limit)

    def newest_first(self, namespace: str = "", parts: tuple[str, ...] = ()) -> Iterator[Entry | None]:
        """Every entry, for those who look at many bit by bit: one that comes meanwhile is not seen, one that goes may be.

        None for one of another namespace, or where a part is neither in the group's name nor in the file's.
        """
        for document in reversed(self._desk.entries.documents()):
            fits = not namespace or document.namespace == namespace
            wanted = fits and all(part in document.name for part in parts)
            yield self._desk.entries.decode(document) if wanted else None

    def entry(self, number: int) -> Entry:
        """One line. Raises ``NotFound``."""
        found = self._desk.entries.published(str(number))
        if found is None:
            raise NotFound(f"history entry {number}")
        return found

    def previous(self, number: int) -> Entry | None:
        """The line before one, of the same file. Raises ``NotFound`` when that one is not there."""
        key = self.entry(number).key
        older = [n for n in map(int, self._desk.entries.ids_under(key)) if n < number]
        return self.entry(max(older)) if older else None

    def content(self, entry: Entry) -> bytes:
        """The content that an entry is about, as it was kept and served. Raises ``NotFound``."""
        return self._desk.bodies.get(entry.body) if entry.body else b""

    def _page(self, ids: list[str], offset: int, limit: int) -> Page:
        numbers = sorted(map(int, ids), reverse=True)
        found = (self._desk.entries.published(str(number)) for number in numbers[offset : offset + limit])
        return Page(len(numbers), tuple(entry for entry in found if entry is not None))
