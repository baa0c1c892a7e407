"""Lists for clients: the released files of a group, and the groups of a namespace. Kept until something in them changes.

A revision covers all that a list shows. (Those of the real server cover the versions of the files alone, in no fixed order, and
of groups nothing, so they do not tell of every change.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from msgspec import Struct

from polaris_bridge.adapters._shared.slices import Slices, Work
from polaris_bridge.adapters.polaris.translate.config import listed
from polaris_bridge.adapters.polaris.view import field
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config.model import Asker, FileKey, GroupKey
from polaris_bridge.core.config.shelf import GROUP
from polaris_bridge.core.events import Published
from polaris_bridge.core.registry import Registry

KEPT: Final = 1024
"""Lists of each kind that are kept, those used last."""
KEPT_BYTES: Final = 16 << 20
"""Of all of one kind together."""
LONG: Final = 300
"""Files from which on a list is put together in slices."""
_PIECE: Final = 30
"""Files between two chances for others to run."""

_INFOS: Final[int] = v1.ConfigClientListResponse.DESCRIPTOR.fields_by_name["config_file_infos"].number
_GROUPS: Final[int] = v1.ConfigDiscoverResponse.DESCRIPTOR.fields_by_name["config_file_groups"].number
_NAMES: Final[int] = v1.ConfigDiscoverResponse.DESCRIPTOR.fields_by_name["config_file_names"].number
assert _INFOS == _NAMES, "one encoding serves both answers"


class Listed(Struct, frozen=True):
    """An encoded list, without what stands before it."""

    revision: str
    """Empty: there is no such group, or no group in the namespace."""
    items: bytes


NOTHING: Final = Listed("", b"")


class LaterListed:
    """A list that takes a while to make; None: it could not be made."""

    def __init__(self, start: Callable[[Callable[[Listed | None], None]], None]) -> None:
        self.then = start


class _Group(Struct, frozen=True):
    """The list of a group as everybody sees it, and where some see something else."""

    stamp: int
    """Revision of the group that it was made of."""
    pieces: dict[FileKey, bytes]
    grays: tuple[FileKey, ...]
    list: Listed

    @property
    def size(self) -> int:
        """Bytes, about."""
        return 2 * len(self.list.items) + 100 * len(self.pieces)


class _Groups(Struct, frozen=True):
    """The groups of a namespace."""

    stamp: int
    list: Listed

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.list.items)


class Listing:
    """Lists by group and by namespace."""

    def __init__(self, registry: Registry) -> None:
        self._centre = registry.config
        self._slices = Slices(registry.scheduler)
        self._files: _Kept[GroupKey, _Group] = _Kept()
        self._groups: _Kept[str, _Groups] = _Kept()
        self._groups_changed = 0
        registry.ledger.observers.append(self._published)

    def files(self, key: GroupKey, asker: Asker) -> Listed | LaterListed:
        """What a client may read of a group."""
        reading = self._centre.reading
        if reading.group(key) is None:
            return NOTHING
        kept, stamp = self._files.get(key), self._centre.watches.revision(key)
        if kept is not None and kept.stamp == stamp:
            return self._for(kept, asker)
        if reading.count(key) <= LONG:
            return self._for(self._keep(key, _at_once(self._work(key, stamp))), asker)

        def start(done: Callable[[Listed | None], None]) -> None:
            def made(group: _Group | None) -> None:
                done(None if group is None else self._for(self._keep(key, group), asker))

            self._slices.run((key, stamp), lambda: self._work(key, stamp), made)

        return LaterListed(start)

    def groups(self, namespace: str) -> Listed:
        """The groups of a namespace, by name."""
        kept = self._groups.get(namespace)
        if kept is None or kept.stamp != self._groups_changed:
            names = sorted(group.key for group in self._centre.reading.groups(namespace))
            items = b"".join(field(_GROUPS, _group(key)) for key in names)
            kept = _Groups(self._groups_changed, Listed(_digest(items), items) if names else NOTHING)
            self._groups.put(namespace, kept)
        return kept.list

    # ------------------------------------------------------------------ pieces

    def _for(self, group: _Group, asker: Asker) -> Listed:
        """The list as one client sees it."""
        reading = self._centre.reading
        pieces = group.pieces
        for key in group.grays:
            seen = reading.resolve(key, asker)
            if seen is not None and seen.active.gray:
                pieces = {**pieces} if pieces is group.pieces else pieces
                pieces[key] = field(_INFOS, listed(key, seen).SerializeToString())
        if pieces is group.pieces:
            return group.list
        items = b"".join(pieces.values())
        return Listed(_digest(items), items)

    def _work(self, key: GroupKey, stamp: int) -> Work:
        reading = self._centre.reading
        pieces: dict[FileKey, bytes] = {}
        grays = []
        for at, file in enumerate(reading.keys(key), 1):
            snapshot = reading.snapshot(file)
            full = snapshot.full
            if full is not None or snapshot.grays:
                pieces[file] = b"" if full is None else field(_INFOS, listed(file, full).SerializeToString())
            if snapshot.grays:
                grays.append(file)
            if at % _PIECE == 0:
                yield
        items = b"".join(pieces.values())
        return _Group(stamp, pieces, tuple(grays), Listed(_digest(items), items))

    def _keep(self, key: GroupKey, group: _Group) -> _Group:
        self._files.put(key, group)
        return group

    def _published(self, published: Published) -> None:
        if any(change.kind == GROUP for change in published.documents):
            self._groups_changed += 1


class _Sized(Protocol):
    @property
    def size(self) -> int: ...


K = TypeVar("K")
V = TypeVar("V", bound=_Sized)


class _Kept(Generic[K, V]):
    """Some values, those used last."""

    def __init__(self) -> None:
        self._values: dict[K, V] = {}
        self._bytes = 0

    def get(self, key: K) -> V | None:
        found = self._values.pop(key, None)
        if found is not None:
            self._values[key] = found
        return found

    def put(self, key: K, value: V) -> None:
        before = self._values.pop(key, None)
        self._bytes += value.size - (0 if before is None else before.size)
        self._values[key] = value
        while len(self._values) > KEPT or (self._bytes > KEPT_BYTES and len(self._values) > 1):
            self._bytes -= self._values.pop(next(iter(self._values))).size


def _at_once(work: Work) -> _Group:
    while True:
        try:
            next(work)
        except StopIteration as stop:
            made: _Group = stop.value
            return made


def _group(key: GroupKey) -> bytes:
    return v1.ConfigFileGroup(namespace={"value": key.namespace}, name={"value": key.group}).SerializeToString()


def _digest(items: bytes) -> str:
    return hashlib.blake2b(items, digest_size=20).hexdigest()
