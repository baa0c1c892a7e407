"""What every operation of the configuration centre works with: the shelves, the ports, stamps and numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from ..batches import SETTLED, Commit
from ..model import Caller, ServiceKey
from .model import (
    OPEN,
    Change,
    ConfigFile,
    ConfigGroup,
    Door,
    Entry,
    FileKey,
    GroupKey,
    Release,
    Stamp,
    Template,
    Text,
)
from .ports import Bodies, Broken, Formats, NoFormats, NoPatterns, NoSealing, Patterns, Sealing, TooLong
from .shelf import COUNTER, FILE, GROUP, HISTORY, RELEASE, TEMPLATE, DocumentBodies, Shelf, Writer, id_of

if TYPE_CHECKING:
    from ..documents import Documents
    from ..ledger import Ledger
    from ..ports import Clock

MOST_SAID: Final = 5
"""Releases named in one record."""

Note = Callable[[str, str, ServiceKey, str, Caller, Commit, str], None]
"""Told of every operation: resource, name, (namespace, ""), operation, who asked, its outcome, detail."""


class Counter(Struct, frozen=True, omit_defaults=True):
    """The last version of a file that is gone; with empty names: at least the last one of every forgotten file of a namespace."""

    key: FileKey
    version: int
    gone_ms: int = 0


class Desk:
    """Shared by the parts of the centre; has no operation of its own."""

    def __init__(
        self,
        ledger: Ledger,
        documents: Documents,
        clock: Clock,
        note: Note,
        ensure_namespace: Callable[[str, int], None],
    ) -> None:
        self.ledger = ledger
        self.documents = documents
        self.clock = clock
        self.formats: Formats = NoFormats()
        self.sealing: Sealing = NoSealing()
        self.patterns: Patterns = NoPatterns()
        self.writer = Writer(ledger, documents, clock)
        self.bodies: Bodies = DocumentBodies(self.writer)
        self.groups: Shelf[ConfigGroup] = Shelf(self.writer, GROUP, ConfigGroup, lambda g: (g.key.namespace,))
        self.files: Shelf[ConfigFile] = Shelf(self.writer, FILE, ConfigFile, lambda f: (f.key.parent,))
        self.releases: Shelf[Release] = Shelf(self.writer, RELEASE, Release, lambda r: (r.key,))
        self.entries: Shelf[Entry] = Shelf(self.writer, HISTORY, Entry, lambda e: (e.key,))
        self.counters: Shelf[Counter] = Shelf(self.writer, COUNTER, Counter, lambda c: (c.key.namespace,))
        self.templates: Shelf[Template] = Shelf(self.writer, TEMPLATE, Template, lambda t: ())
        self.ensure_namespace = ensure_namespace
        self._note = note
        self._details: _Details | None = None
        """Of the operation under way."""

    # ------------------------------------------------------------------ ids, numbers, stamps

    def stamp(self, caller: Caller) -> Stamp:
        """Now, and this caller."""
        return Stamp(self.clock.wall_ms(), caller.principal, caller.address, caller.protocol)

    def number(self) -> int:
        """A number nobody had before, larger than all of them."""
        return self.ledger.next_revision()

    @contextmanager
    def operation(self, resource: str, name: str, namespace: str, operation: str, caller: Caller) -> Iterator[Commit]:
        """A command and its record."""
        with self.ledger.command() as commit:
            details = _Details(operation)
            outer, self._details = self._details, details
            try:
                yield commit
            finally:
                self._details = outer
            self._note(resource, name, ServiceKey(namespace, ""), operation, caller, commit, str(details))

    def nothing(self) -> Commit:
        """The commit of a command that changes nothing: done when everything is that it was decided on."""
        if self.ledger.idle:
            return SETTLED
        with self.ledger.command() as commit:
            return commit

    # ------------------------------------------------------------------ the newest state

    def group(self, key: GroupKey) -> ConfigGroup | None:
        """A group in the newest state."""
        return self.groups.newest(id_of(*key))

    def file(self, key: FileKey) -> ConfigFile | None:
        """A file in the newest state."""
        return self.files.newest(id_of(*key))

    def release(self, key: FileKey, name: str) -> Release | None:
        """A release in the newest state."""
        return self.releases.newest(id_of(*key, name))

    def last_version(self, key: FileKey) -> int:
        """The last version that a file which is not there ever had; at least that."""
        gone, floor = self.counters.newest(id_of(*key)), self.counters.newest(id_of(key.namespace))
        return max(gone.version if gone else 0, floor.version if floor else 0)

    # ------------------------------------------------------------------ writing

    def put_file(self, file: ConfigFile) -> ConfigFile:
        """Inside the command under way; the file with its revision."""
        key, id = file.key, id_of(*file.key)
        revision = self.files.put(id, key.namespace, f"{key.group}/{key.name}", file)
        self.counters.drop(id)
        return structs.replace(file, revision=revision)

    def put_release(self, release: Release) -> None:
        """Inside the command under way."""
        key = release.key
        self.releases.put(id_of(*key, release.name), key.namespace, f"{key.group}/{key.name}", release)

    def record(self, entry: Entry) -> None:
        """A line of history, inside the command under way."""
        key = entry.key
        self.entries.put(str(entry.number), key.namespace, f"{key.group}/{key.name}", entry)
        if self._details is not None:
            self._details.entries.append(entry)

    # ------------------------------------------------------------------ contents

    def plain(self, text: Text) -> bytes:
        """A content as people read it."""
        content = self.bodies.get(text.body) if text.body else b""
        return self.sealing.open(text.algorithm, content, text.data_key) if text.algorithm else content

    def checked(self, text: Text, content: bytes, door: Door = OPEN) -> None:
        """Refuse (``TooLong``, ``Broken``) what a door does not allow. ``content`` in the clear."""
        if door.content_bytes and len(content) > door.content_bytes:
            raise TooLong(door.content_bytes, "bytes")
        most = door.content_chars
        if most and len(content) > most and len(content.decode("utf-8", "replace")) > most:
            raise TooLong(most, "characters")
        if door.validate and not text.client_key:
            defect = self.formats.defect(text.format, content)
            if defect is not None:
                raise Broken(text.format, defect)

    def texted(self, before: Text | None, change: Change, door: Door, others: Iterable[Text] = ()) -> Texted:
        """A text after a change, with what has to be kept for it. Refuses before anything is written.

        A content that one of ``others`` has is not kept twice. Another content without its ``client_key`` has none.
        """
        old = before or Text()
        text = structs.replace(
            old,
            format=old.format if change.format is None else change.format,
            comment=old.comment if change.comment is None else change.comment,
            tags=old.tags if change.tags is None else change.tags,
            ext=old.ext if change.ext is None else {**old.ext, **change.ext},
            client_key=old.client_key if change.client_key is None else change.client_key,
        )
        algorithm = old.algorithm if change.algorithm is None else change.algorithm
        fresh = change.content is not None or algorithm != old.algorithm or not old.body
        if not fresh and not door.validate:
            return Texted(text, None)
        content = self.plain(old) if change.content is None else change.content
        if text.client_key and change.client_key is None and content != self.plain(old):
            text = structs.replace(text, client_key="")  # it opens what was there, nothing else
        self.checked(text, content, door)
        if not fresh:
            return Texted(text, None)
        data_key = b""
        if algorithm:
            content, data_key = self.sealing.seal(
                algorithm, content, old.data_key if algorithm == old.algorithm else b""
            )
        digest = md5(content)
        text = structs.replace(text, md5=digest, size=len(content), algorithm=algorithm, data_key=data_key)
        for other in (old, *others):
            same = other.body and (other.md5, other.size, other.data_key) == (digest, len(content), data_key)
            if same and self.bodies.get(other.body) == content:
                return Texted(structs.replace(text, body=other.body), None)
        return Texted(structs.replace(text, body=str(self.number())), content)

    def keep(self, key: FileKey, texted: Texted, caller: Caller) -> Text:
        """Keep the content of a changed text, inside the command under way."""
        if texted.content is not None:
            self.bodies.put(texted.text.body, key, texted.content, caller)
        return texted.text


class _Details:
    """What an operation came to, for its record: as text when somebody writes it."""

    __slots__ = ("entries", "operation")

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.entries: list[Entry] = []

    def __str__(self) -> str:
        entries = [e for e in self.entries if e.operation == self.operation]
        return ", ".join(_said(e) for e in entries[:MOST_SAID]) + (", …" if len(entries) > MOST_SAID else "")


def _said(entry: Entry) -> str:
    said = {"release": entry.release, "version": entry.version or "", "gray": entry.gray, "md5": entry.text.md5}
    return " ".join(f"{name}={value}" for name, value in said.items() if value)


class Texted(Struct, frozen=True):
    """A text after a change; ``content`` (as it is to be kept) when there is a new one."""

    text: Text
    content: bytes | None


def md5(content: bytes) -> str:
    """As every protocol compares contents."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
