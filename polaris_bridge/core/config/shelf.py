"""Values kept as documents: one shelf for each kind, with what lies under the same parent found without a search."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import structs

from ..documents import Documents
from ..events import DocumentChange
from ..ledger import Ledger
from ..model import Caller, Document
from ..ports import Clock
from .model import FileKey
from .ports import Stale

GROUP: Final = "config-group"
FILE: Final = "config-file"
RELEASE: Final = "config-release"
BODY: Final = "config-body"
HISTORY: Final = "config-history"
COUNTER: Final = "config-counter"
TEMPLATE: Final = "config-template"

LONGEST_ID: Final = 200
"""Ids are kept in columns of 255 characters; longer ones are hashed. Nobody reads a name out of an id."""

T = TypeVar("T")
_encode: Final = msgspec.msgpack.Encoder().encode


def id_of(*parts: str) -> str:
    """The id of a document that is known by names. Different names give different ids."""
    joined = "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)
    if len(joined) <= LONGEST_ID:
        return joined
    return "~" + hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=24).hexdigest()


class Writer:
    """Puts documents into the command under way. Unlike ``Documents.put`` it leaves no record of each: one operation of the
    centre is several documents, and is recorded once."""

    def __init__(self, ledger: Ledger, documents: Documents, clock: Clock) -> None:
        self.ledger = ledger
        self.documents = documents
        self.clock = clock

    def put(self, kind: str, id: str, namespace: str, name: str, body: bytes) -> int:
        """Create or replace; the revision it got."""
        before, now_ms, revision = self.ledger.document(kind, id), self.clock.wall_ms(), self.ledger.next_revision()
        document = Document(
            kind,
            id,
            namespace,
            name,
            body=body,
            created_ms=before.created_ms if before else now_ms,
            updated_ms=now_ms,
            enabled_ms=before.enabled_ms if before else now_ms,
            revision=revision,
        )
        self.ledger.put_document(kind, id, document, revision, now_ms)
        return revision

    def drop(self, kind: str, id: str) -> None:
        """Delete; nothing when there is none."""
        if self.ledger.document(kind, id) is not None:
            self.ledger.put_document(kind, id, None, self.ledger.next_revision(), self.clock.wall_ms())


class Shelf(Generic[T]):
    """The values of one kind.

    ``under`` says which parents a value lies under. What is known under a parent is a superset of what is there: a command
    that was undone or failed leaves its id behind until somebody looks.
    """

    def __init__(self, writer: Writer, kind: str, type: type[T], under: Callable[[T], tuple[Hashable, ...]]) -> None:
        self._writer = writer
        self._kind = kind
        self._decoder = msgspec.msgpack.Decoder(type)
        self._under = under
        self._children: dict[Hashable, dict[str, None]] = {}
        self._stamped = "revision" in getattr(type, "__struct_fields__", ())

    def load(self) -> None:
        """Begin with the documents that were loaded."""
        for document in self._writer.documents.all(self._kind):
            self._enter(document.id, self.decode(document))

    def decode(self, document: Document) -> T:
        """The value of a document."""
        value = self._decoder.decode(document.body)
        if self._stamped:
            value = structs.replace(value, revision=document.revision)  # type: ignore[type-var]
        return value

    # ------------------------------------------------------------------ queries

    def newest(self, id: str) -> T | None:
        """A value in the newest state."""
        document = self._writer.documents.newest(self._kind, id)
        return None if document is None else self.decode(document)

    def published(self, id: str) -> T | None:
        """A value as readers see it."""
        document = self._writer.documents.get(self._kind, id)
        return None if document is None else self.decode(document)

    def newest_under(self, parent: Hashable) -> list[tuple[str, T]]:
        """What lies under a parent in the newest state, with its ids."""
        return list(self._look(parent, self._writer.documents.newest))

    def any_under(self, parent: Hashable) -> bool:
        """Whether anything lies under a parent in the newest state."""
        newest = self._writer.documents.newest
        return any(newest(self._kind, id) is not None for id in self._children.get(parent, ()))

    def published_under(self, parent: Hashable) -> list[T]:
        """What lies under a parent as readers see it, in the order in which it came."""
        return [value for _, value in self._look(parent, self._writer.documents.get)]

    def ids_under(self, parent: Hashable) -> list[str]:
        """Ids of what lies under a parent as readers see it."""
        get = self._writer.documents.get
        return [id for id in self._children.get(parent, ()) if get(self._kind, id) is not None]

    def all(self) -> Iterator[T]:
        """Everything as readers see it."""
        for document in self._writer.documents.all(self._kind):
            yield self.decode(document)

    def documents(self) -> list[Document]:
        """The documents as readers see them, what came first at the beginning."""
        return self._writer.documents.all(self._kind)

    def oldest(self) -> Iterator[Document]:
        """The same one by one, without a list of all; nothing may be published meanwhile."""
        return iter(self._writer.ledger.documents.get(self._kind, {}).values())

    def __len__(self) -> int:
        return len(self._writer.ledger.documents.get(self._kind, ()))

    def _look(self, parent: Hashable, get: Callable[[str, str], Document | None]) -> Iterator[tuple[str, T]]:
        for id in list(self._children.get(parent, ())):
            document = get(self._kind, id)
            if document is not None:
                yield id, self.decode(document)

    # ------------------------------------------------------------------ commands

    def put(self, id: str, namespace: str, name: str, value: T) -> int:
        """Create or replace, inside the command under way; the revision it got."""
        self._enter(id, value)
        return self._writer.put(self._kind, id, namespace, name, _encode(value))

    def drop(self, id: str) -> None:
        """Delete, inside the command under way."""
        self._writer.drop(self._kind, id)

    # ------------------------------------------------------------------ after a publication

    def gone(self, change: DocumentChange) -> None:
        """To be told of every published deletion: what is not in the newest state either is forgotten."""
        assert change.before is not None
        if self._writer.documents.newest(self._kind, change.id) is not None:
            return
        for parent in self._under(self.decode(change.before)):
            children = self._children.get(parent)
            if children is not None:
                children.pop(change.id, None)
                if not children:
                    del self._children[parent]

    def _enter(self, id: str, value: T) -> None:
        for parent in self._under(value):
            self._children.setdefault(parent, {})[id] = None


class DocumentBodies:
    """Contents as documents: in memory, in the same transaction as what refers to them."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def put(self, body: str, key: FileKey, content: bytes, caller: Caller) -> None:
        """See ``ports.Bodies``."""
        self._writer.put(BODY, body, key.namespace, "", content)

    def get(self, body: str) -> bytes:
        """See ``ports.Bodies``."""
        document = self._writer.documents.newest(BODY, body) or self._writer.documents.get(BODY, body)
        if document is None:
            raise Stale(f"content {body}")
        return document.body

    def drop(self, body: str, caller: Caller) -> None:
        """See ``ports.Bodies``."""
        self._writer.drop(BODY, body)
