"""What readers see: files with what is active of them, chosen for one client; lists. Snapshots that never change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

import msgspec
from msgspec import Struct

from ..errors import NotFound
from .desk import Desk
from .gray import applies
from .model import ANYBODY, Active, Asker, ConfigFile, ConfigGroup, FileKey, GroupKey, Release, Seen, Text
from .shelf import id_of


class FileSnapshot(Struct, frozen=True):
    """A file at one moment."""

    key: FileKey
    revision: int
    """Of the publication that last changed it, or from which on it is known to be as it is."""
    version: int
    """The last version given to it; also when it is gone."""
    file: ConfigFile | None = None
    full: Seen | None = None
    grays: tuple[Seen, ...] = ()


class GroupCount(Struct, frozen=True):
    """How many files a group has."""

    namespace: str
    group: str
    files: int
    released: int
    """Those of which somebody sees something."""
    gray: int
    """Gray releases that are active."""


class _FilePart(Struct):
    """As much of a stored file as counting takes."""

    key: tuple[str, str, str]
    full: msgspec.Raw = msgspec.Raw()
    grays: list[msgspec.Raw] = []


_SEALED: Final = b"data_key"
"""Stands in what is stored of a text that has one, and hardly elsewhere: decoding every file would make the start longer."""
_file_part: Final = msgspec.msgpack.Decoder(_FilePart)


class Reading:
    """Queries on published state."""

    def __init__(self, desk: Desk, revision_of: Callable[[FileKey], int]) -> None:
        self._desk = desk
        self._revision_of = revision_of
        self._snapshots: dict[FileKey, FileSnapshot] = {}

    # ------------------------------------------------------------------ one file

    def snapshot(self, key: FileKey) -> FileSnapshot:
        """A file as readers see it now; an empty snapshot when there is none."""
        found = self._snapshots.get(key)
        return found if found is not None else self._taken(key)

    def resolve(self, key: FileKey, asker: Asker = ANYBODY) -> Seen | None:
        """What a client gets: the first gray release that is for it, else everybody's. None: nothing."""
        snapshot = self._snapshots.get(key) or self._taken(key)
        for seen in snapshot.grays:
            rule = seen.active.rule
            if rule is not None and applies(rule, asker, self._desk.patterns):
                return seen
        return snapshot.full

    def is_stale(
        self, key: FileKey, asker: Asker = ANYBODY, *, md5: str | None = None, version: int | None = None
    ) -> bool:
        """Whether what a client has is not what it would get now. md5 "" and version 0: it has nothing.

        By md5: any difference. By version: it would get a later one; or nothing any more, under a later number.
        """
        seen = self.resolve(key, asker)
        if md5 is not None and md5 != (seen.md5 if seen is not None else ""):
            return True
        if version is None:
            return False
        if seen is not None:
            return seen.version > version
        return 0 < version < self.snapshot(key).version

    def content(self, text: Text) -> bytes:
        """The bytes of a draft or a release as they are kept and served. Raises ``NotFound``."""
        return self._desk.bodies.get(text.body) if text.body else b""

    def plain(self, text: Text) -> bytes:
        """The same in the clear: what people who may see it read."""
        return self._desk.plain(text)

    # ------------------------------------------------------------------ releases

    def release(self, key: FileKey, name: str) -> Release | None:
        """One release."""
        return self._desk.releases.published(id_of(*key, name))

    def releases(self, key: FileKey) -> list[Release]:
        """Every release of a file, the one last activated first."""
        return sorted(self._desk.releases.published_under(key), key=lambda r: -r.version)

    def numbered(self, key: FileKey, number: int) -> Release:
        """A release by its number. Raises ``NotFound``."""
        for release in self._desk.releases.published_under(key):
            if release.number == number:
                return release
        raise NotFound(f"release {number} of file {key.name}")

    # ------------------------------------------------------------------ lists

    def group(self, key: GroupKey) -> ConfigGroup | None:
        """One group."""
        return self._desk.groups.published(id_of(*key))

    def groups(self, namespace: str | None = None) -> list[ConfigGroup]:
        """Every group of a namespace, or of all."""
        return list(self._desk.groups.all()) if namespace is None else self._desk.groups.published_under(namespace)

    def files(self, key: GroupKey) -> list[FileSnapshot]:
        """Every file of a group, oldest first."""
        return [self.snapshot(file.key) for file in self._desk.files.published_under(key)]

    def keys(self, key: GroupKey) -> Iterator[FileKey]:
        """The keys of a group's files, oldest first: one at a time, for those who look through thousands in slices."""
        for id in self._desk.files.ids_under(key):
            file = self._desk.files.published(id)
            if file is not None:
                yield file.key

    def count(self, key: GroupKey) -> int:
        """How many files a group has."""
        return len(self._desk.files.ids_under(key))

    def walk_groups(self, namespace: str | None = None) -> Iterator[ConfigGroup]:
        """Every group of a namespace, or of all, one decoded a step."""
        for document in self._desk.groups.documents():
            if namespace is None or document.namespace == namespace:
                yield self._desk.groups.decode(document)

    def walk(self, namespace: str | None = None) -> Iterator[FileSnapshot]:
        """Every file of a namespace, or of all, one decoded a step: for long looks in slices, which see what is there when they
        come to it."""
        for group in self.walk_groups(namespace):
            for id in self._desk.files.ids_under(group.key):
                file = self._desk.files.published(id)
                if file is not None:
                    yield self.snapshot(file.key)

    def all(self, namespace: str | None = None) -> list[FileSnapshot]:
        """Every file of a namespace, or of all."""
        return [s for group in self.groups(namespace) for s in self.files(group.key)]

    def counts(self) -> list[GroupCount]:
        """Of every group. May run beside the core's thread."""
        found: dict[tuple[str, str], list[int]] = {(g.key.namespace, g.key.group): [0, 0, 0] for g in self.groups()}
        for document in self._desk.files.documents():
            file = _file_part.decode(document.body)
            row = found.setdefault(file.key[:2], [0, 0, 0])
            row[0] += 1
            row[1] += bool(file.full or file.grays)
            row[2] += len(file.grays)
        return [GroupCount(*key, *row) for key, row in found.items()]

    def sealed(self) -> Iterator[bytes]:
        """The sealed data key of every draft and release that has one."""
        files, releases = self._desk.files, self._desk.releases
        drafts = (files.decode(d).draft for d in files.documents() if _SEALED in d.body)
        texts = (releases.decode(d).text for d in releases.documents() if _SEALED in d.body)
        for text in chain(drafts, texts):
            if text.data_key:
                yield text.data_key

    # ------------------------------------------------------------------ after a publication

    def forget(self, key: FileKey) -> None:
        """A file was published anew."""
        self._snapshots.pop(key, None)

    def _taken(self, key: FileKey) -> FileSnapshot:
        file = self._desk.files.published(id_of(*key))
        if file is None:  # not kept: anybody may ask for names that never were
            gone = self._desk.counters.published(id_of(*key)) or self._desk.counters.published(id_of(key.namespace))
            return FileSnapshot(key, self._revision_of(key), gone.version if gone is not None else 0)
        snapshot = FileSnapshot(
            file.key,
            self._revision_of(key),
            file.version,
            file,
            self._seen(file.key, file.full) if file.full is not None else None,
            tuple(self._seen(file.key, gray) for gray in file.grays),
        )
        self._snapshots[file.key] = snapshot
        return snapshot

    def _seen(self, key: FileKey, active: Active) -> Seen:
        release = self._desk.releases.published(id_of(*key, active.release))
        assert release is not None, "what is active is there"
        return Seen(release, active, self.content(release.text))
