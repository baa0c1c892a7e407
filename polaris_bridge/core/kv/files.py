"""Configuration files as values: what everybody sees of a file, and the revision under which it became so.

A draft, a gray release or a comment is not part of it. Which key a file has is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from ..config.model import ConfigFile, FileKey, GroupKey, Release, Text
from ..config.shelf import FILE, RELEASE, Shelf, Writer, id_of
from ..documents import Documents
from ..events import Published
from ..ledger import Ledger
from ..model import Document
from ..ports import Clock

Get = Callable[[str, str], Document | None]


class FileValue(Struct, frozen=True, gc=False):
    """A file as everybody sees it."""

    key: FileKey
    text: Text
    create_index: int
    modify_index: int
    """The revision under which everybody last got to see something else."""
    version: int
    """Of the configuration centre: what a write that compares expects."""


class FileChange(Struct, frozen=True, gc=False):
    """What everybody sees of a file is another content now, or none (``gone``)."""

    key: FileKey
    revision: int
    publication: int
    gone: bool


class FileValues:
    """The files of all namespaces."""

    def __init__(self, ledger: Ledger, documents: Documents, clock: Clock) -> None:
        writer = Writer(ledger, documents, clock)
        self._ledger = ledger
        self._documents = documents
        self._files: Shelf[ConfigFile] = Shelf(writer, FILE, ConfigFile, lambda file: ())
        self._releases: Shelf[Release] = Shelf(writer, RELEASE, Release, lambda release: ())
        self.changed: list[Callable[[FileChange], None]] = []
        """Told after a publication, before anybody is woken. Must be quick and not raise."""
        self._known: dict[FileKey, tuple[Document, FileValue | None]] = {}
        """What readers see, by the document that it was made of."""
        self._released: dict[str, dict[str, dict[FileKey, None]]] = {}
        """Namespace -> group -> the files that readers see."""

    def load(self) -> None:
        """Begin with what the store held."""
        for document in self._documents.all(FILE):
            file = self._files.decode(document)
            if file.full is not None:
                self._enter(file.key)

    def groups(self, namespace: str) -> list[GroupKey]:
        """The groups with files that readers see."""
        return [GroupKey(namespace, group) for group in self._released.get(namespace, ())]

    def within(self, group: GroupKey) -> list[FileKey]:
        """The files of a group that readers see."""
        return list(self._released.get(group.namespace, {}).get(group.group, ()))

    def fresh(self, namespace: str) -> list[FileKey]:
        """The files of a namespace that readers do not see yet, in the newest state."""
        found = []
        for document in self._ledger.newest_documents(FILE):
            if document.namespace == namespace and self._documents.get(FILE, document.id) is not document:
                key = self._files.decode(document).key
                if self.get(key) is None:
                    found.append(key)
        return found

    def get(self, key: FileKey) -> FileValue | None:
        """A file as readers see it; None when nothing of it is released to everybody."""
        kept = self._documents.get(FILE, id_of(*key))
        if kept is None:
            return None
        known = self._known.get(key)
        if known is None or known[0] is not kept:
            known = self._known[key] = (kept, self._value(kept, self._documents.get))
        return known[1]

    def newest(self, key: FileKey) -> FileValue | None:
        """A file in the newest state."""
        kept = self._documents.newest(FILE, id_of(*key))
        return None if kept is None else self._value(kept, self._documents.newest)

    def _value(self, kept: Document, get: Get) -> FileValue | None:
        file = self._files.decode(kept)
        if file.full is None:
            return None
        released = get(RELEASE, id_of(*file.key, file.full.release))
        if released is None:
            return None
        text = self._releases.decode(released).text
        return FileValue(file.key, text, file.id, released.revision, file.full.version)

    def published(self, published: Published) -> None:
        """To be told of every publication."""
        for change in published.documents:
            if change.kind != FILE:
                continue
            before = self._files.decode(change.before) if change.before is not None else None
            after = self._files.decode(change.after) if change.after is not None else None
            was = before.full if before is not None else None
            now = after.full if after is not None else None
            file = after or before
            if file is None:
                continue
            self._known.pop(file.key, None)
            if was == now:
                continue
            if now is None:
                self._leave(file.key)
            elif was is None:
                self._enter(file.key)
            told = FileChange(file.key, change.revision, published.revision, now is None)
            for call in self.changed:
                call(told)

    def _enter(self, key: FileKey) -> None:
        self._released.setdefault(key.namespace, {}).setdefault(key.group, {})[key] = None

    def _leave(self, key: FileKey) -> None:
        groups = self._released.get(key.namespace, {})
        files = groups.get(key.group, {})
        files.pop(key, None)
        if not files:
            groups.pop(key.group, None)
            if not groups:
                self._released.pop(key.namespace, None)
