"""Lists of instances by application, with their documents: the full list and the delta are two of them.

A document is put together from kept pieces: per application the encoded blocks of its instances, plain and compressed. A
change costs its own encoding, its block and its application; everything else is used as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Final, TypeVar

from msgspec import Struct

from polaris_bridge.adapters._shared.gzip_parts import Segment, Stream, compress, concatenate
from polaris_bridge.core.model import AddressKey, Registration, ServiceKey
from polaris_bridge.core.pieces import Pieces

from .translate import STATUSES
from .wire.messages import InstanceInfo
from .wire.variants import Variant

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"

JOIN_BYTES: Final = 4 * 1024 * 1024
"""Documents up to this size are kept in one piece, larger ones as references to the parts they are made of."""

PATIENCE: Final = 4
"""Attempts at a document in slices while changes come in between."""

Body = bytes | tuple[bytes, ...]
T = TypeVar("T")


class Entry(Struct, frozen=True, gc=False):
    """One instance in a list."""

    key: str
    """Application and id, as in a registration's key: one text serves both."""
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
    def id(self) -> str:
        """The id that paths use."""
        return self.key.partition("/")[2]

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
        self.entries.put(entry.key, entry)

    def drop(self, id: str) -> None:
        """Take an instance out."""
        self._changes += 1
        self.entries.drop(f"{self.name}/{id}")

    def get(self, id: str) -> Entry | None:
        """One instance."""
        return self.entries.get(f"{self.name}/{id}")

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


class Applications:
    """Applications by name, and their documents."""

    @property
    def applications(self) -> Mapping[str, Application]:
        """Everything in it."""
        raise NotImplementedError

    def get(self, app: str, id: str) -> Entry | None:
        """One instance."""
        application = self.applications.get(app)
        return None if application is None else application.get(id)

    def work(self, form: Form, gzipped: bool) -> Iterator[tuple[int, Callable[[], object]]]:
        """What ``document`` would have to encode first."""
        for application in list(self.applications.values()):
            yield from application.work(form, gzipped)

    def document(self, form: Form, gzipped: bool, version: int, hash_code: str) -> Body:
        """All of it, with ``versions__delta`` and ``apps__hashcode``."""
        variant = form.variant
        head, tail = variant.applications_open(version, hash_code), variant.applications_close(version, hash_code)
        applications = self.applications.values()
        made: PlainDocument | CompressedDocument = CompressedDocument(form) if gzipped else PlainDocument(form)
        made.begin(head)
        for application in applications:
            made.add(application)
        return made.end(tail)

    def document_in_slices(
        self, form: Form, gzipped: bool, facts: Callable[[], tuple[int, str]], stamp: Callable[[], Hashable]
    ) -> Generator[None, None, Body]:
        """``document`` for many applications: yields now and then, and begins again when ``stamp`` moved meanwhile.

        ``facts`` are version and hash code. After some vain attempts it is made in one go.
        """
        variant = form.variant
        for _ in range(PATIENCE):
            begun = stamp()
            version, hash_code = facts()
            made: PlainDocument | CompressedDocument = CompressedDocument(form) if gzipped else PlainDocument(form)
            made.begin(variant.applications_open(version, hash_code))
            for index, application in enumerate(list(self.applications.values())):
                made.add(application)
                if index % 32 == 31:
                    yield
            if stamp() == begun:
                return made.end(variant.applications_close(version, hash_code))
        return self.document(form, gzipped, *facts())


class Listing(Applications):
    """Applications in the order in which they came."""

    def __init__(self) -> None:
        self._applications: dict[str, Application] = {}

    @property
    def applications(self) -> Mapping[str, Application]:
        """See ``Applications``."""
        return self._applications

    def put(self, app: str, entry: Entry) -> str:
        """Insert or replace an instance. Returns the application's name, the one object that is kept of it."""
        application = self._applications.get(app)
        if application is None:
            application = self._applications[app] = Application(app)
        application.put(entry)
        return application.name

    def drop(self, app: str, id: str) -> None:
        """Take an instance out, and with its last one the application."""
        application = self._applications[app]
        application.drop(id)
        if not len(application.entries):
            del self._applications[app]


class Layered(Mapping[str, Application]):
    """Applications of which some are replaced; one that is replaced by an empty one is not there."""

    __slots__ = ("_below", "_over")

    def __init__(self, below: Applications, over: Mapping[str, Application]) -> None:
        self._below = below
        self._over = over

    def __getitem__(self, app: str) -> Application:
        found = self._over.get(app)
        if found is None:
            return self._below.applications[app]
        if not len(found.entries):
            raise KeyError(app)
        return found

    def __iter__(self) -> Iterator[str]:
        below, over = self._below.applications, self._over
        for app in chain(below, [app for app in over if app not in below]):
            found = over.get(app)
            if found is None or len(found.entries):
                yield app

    def __len__(self) -> int:
        return sum(1 for _ in self)


class LayeredListing(Applications):
    """A list over another one."""

    def __init__(self, below: Applications) -> None:
        self.own: dict[str, Application] = {}
        """Applications that are other ones here."""
        self._layers = Layered(below, self.own)

    @property
    def applications(self) -> Mapping[str, Application]:
        """See ``Applications``."""
        return self._layers


class PlainDocument:
    """A list that is being put together."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._separator = form.variant.application_separator
        self._parts: list[bytes] = []
        self._first = True

    def begin(self, head: bytes) -> None:
        """What comes before the first application."""
        self._parts.append(head)

    def add(self, application: Application) -> None:
        """The next application."""
        if not self._first and self._separator:
            self._parts.append(self._separator)
        self._first = False
        self._parts += application.plain(self._form)

    def end(self, tail: bytes) -> Body:
        """What comes after the last one, and the whole."""
        return _whole([*self._parts, tail])


class CompressedDocument:
    """The same, as one gzip stream."""

    def __init__(self, form: Form) -> None:
        self._form = form
        separator = form.variant.application_separator
        self._separator = _constant(separator) if separator else None
        self._stream = Stream()
        self._first = True

    def begin(self, head: bytes) -> None:
        """See ``PlainDocument``."""
        self._stream.add(compress(head))

    def add(self, application: Application) -> None:
        """See ``PlainDocument``."""
        if not self._first and self._separator is not None:
            self._stream.add(self._separator)
        self._first = False
        self._stream.add(application.compressed(self._form))

    def end(self, tail: bytes) -> Body:
        """See ``PlainDocument``."""
        self._stream.add(compress(tail))
        return _whole(self._stream.end())


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
