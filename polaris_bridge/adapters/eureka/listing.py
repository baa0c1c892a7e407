"""Lists of instances by application, with their documents: the full list and the delta are two of them.

A document is put together from kept pieces: per application the encoded blocks of its instances, plain and compressed. A
change costs its own encoding, its block and its application; everything else is used as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import lru_cache
from typing import Final, TypeVar

from msgspec import Struct

from polaris_bridge.adapters._shared.gzip_parts import Segment, compress, concatenate, join
from polaris_bridge.core.model import AddressKey, Registration, ServiceKey
from polaris_bridge.core.pieces import Pieces

from .translate import STATUSES
from .wire.messages import InstanceInfo
from .wire.variants import Variant

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"

JOIN_BYTES: Final = 4 * 1024 * 1024
"""Documents up to this size are kept in one piece, larger ones as references to the parts they are made of."""

Body = bytes | tuple[bytes, ...]
T = TypeVar("T")


class Entry(Struct, frozen=True, gc=False):
    """One instance in a list."""

    id: str
    service: ServiceKey
    place: AddressKey
    registration: Registration
    word: str
    override: str | None
    own: bool
    action: str = ADDED
    gone_ms: int = 0
    """When it left; 0 while it is there."""

    @property
    def status(self) -> str:
        """Its status as readers see it."""
        return STATUSES[self.word]


class Form(Struct, frozen=True):
    """A variant of the documents, and what makes an instance's document of an entry."""

    variant: Variant
    info: Callable[[Entry], InstanceInfo]

    @property
    def key(self) -> Hashable:
        """What encodings are kept under."""
        return (self.variant.format, self.variant.detail)

    def encode(self, entry: Entry) -> bytes:
        """One instance's part of a list."""
        return self.variant.fragment(self.info(entry))


class Application:
    """The instances of one application. Its parts of a document are kept until it changes."""

    __slots__ = ("_changes", "_compressed", "_plain", "entries", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: Pieces[Entry] = Pieces()
        self._changes = 0
        self._plain: dict[Hashable, tuple[int, tuple[bytes, ...]]] = {}
        self._compressed: dict[Hashable, tuple[int, Segment]] = {}

    def put(self, entry: Entry) -> None:
        """Insert or replace an instance."""
        self._changes += 1
        self.entries.put(entry.id, entry)

    def drop(self, id: str) -> None:
        """Take an instance out."""
        self._changes += 1
        self.entries.drop(id)

    def work(self, form: Form, gzipped: bool) -> Iterator[tuple[int, Callable[[], object]]]:
        """What ``plain`` or ``compressed`` would have to encode first: how many instances, and what does it."""
        return self.entries.work(form.key, form.encode, form.variant.separator, compress if gzipped else None)

    def plain(self, form: Form) -> tuple[bytes, ...]:
        """Its part of a list."""
        kept = self._plain.get(form.key)
        if kept is None or kept[0] != self._changes:
            variant = form.variant
            blocks = self.entries.encoded(form.key, form.encode, variant.separator)
            parts = (
                variant.application_open(self.name),
                *_between(blocks, variant.separator),
                variant.application_close,
            )
            kept = self._plain[form.key] = (self._changes, parts)
        return kept[1]

    def compressed(self, form: Form) -> Segment:
        """The same, compressed."""
        kept = self._compressed.get(form.key)
        if kept is None or kept[0] != self._changes:
            variant = form.variant
            blocks = self.entries.derived(form.key, form.encode, variant.separator, compress)
            between = _constant(variant.separator) if variant.separator else None
            opening, closing = _constant(variant.application_open(self.name)), _constant(variant.application_close)
            parts = concatenate((opening, *_between(blocks, between), closing))
            kept = self._compressed[form.key] = (self._changes, parts)
        return kept[1]


class Listing:
    """Applications by name, in the order in which they came."""

    def __init__(self) -> None:
        self.applications: dict[str, Application] = {}

    def get(self, app: str, id: str) -> Entry | None:
        """One instance."""
        application = self.applications.get(app)
        return None if application is None else application.entries.get(id)

    def put(self, app: str, entry: Entry) -> str:
        """Insert or replace an instance. Returns the application's name, the one object that is kept of it."""
        application = self.applications.get(app)
        if application is None:
            application = self.applications[app] = Application(app)
        application.put(entry)
        return application.name

    def drop(self, app: str, id: str) -> None:
        """Take an instance out, and with its last one the application."""
        application = self.applications[app]
        application.drop(id)
        if not len(application.entries):
            del self.applications[app]

    def work(self, form: Form, gzipped: bool) -> Iterator[tuple[int, Callable[[], object]]]:
        """What ``document`` would have to encode first."""
        for application in list(self.applications.values()):
            yield from application.work(form, gzipped)

    def document(self, form: Form, gzipped: bool, version: int, hash_code: str) -> Body:
        """All of it, with ``versions__delta`` and ``apps__hashcode``."""
        variant = form.variant
        head, tail = variant.applications_open(version, hash_code), variant.applications_close(version, hash_code)
        applications = self.applications.values()
        if gzipped:
            between = _constant(variant.application_separator) if variant.application_separator else None
            segments = _between([application.compressed(form) for application in applications], between)
            return _whole(join((compress(head), *segments, compress(tail))))
        parts = [head]
        for application in applications:
            if len(parts) > 1 and variant.application_separator:
                parts.append(variant.application_separator)
            parts += application.plain(form)
        parts.append(tail)
        return _whole(parts)


@lru_cache(maxsize=8192)
def _constant(plain: bytes) -> Segment:
    """Bytes that are written again and again (separators, names), compressed once."""
    return compress(plain)


def _between(items: list[T], separator: T | None) -> Iterator[T]:
    for index, item in enumerate(items):
        if index and separator:
            yield separator
        yield item


def _whole(parts: list[bytes]) -> Body:
    return b"".join(parts) if sum(map(len, parts)) <= JOIN_BYTES else tuple(parts)
