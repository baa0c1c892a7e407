"""Documents of keys and values: how they are written, read and found in order."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from ..config.shelf import id_of
from ..documents import Documents
from ..ledger import Ledger
from ..model import Document
from ..ports import Clock
from .model import Entry

ENTRY: Final = "kv-entry"
SESSION: Final = "kv-session"
DELAY: Final = "kv-delay"

HIGHEST: Final = "\U0010ffff"


class _Body(Struct, frozen=True, gc=False, array_like=True):
    """What stands in the document of an entry. Append only."""

    value: bytes
    flags: int
    session: str
    lock_index: int
    create_index: int
    elsewhere: bool = False


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Body).decode


def entry_of(document: Document) -> Entry:
    """The entry of a document."""
    body = _decode(document.body)
    return Entry(
        document.namespace,
        document.name,
        body.value,
        body.flags,
        body.session,
        body.lock_index,
        body.create_index,
        document.revision,
        body.elsewhere,
    )


class Keeper:
    """Puts documents into the command under way. Operations are recorded by those who perform them."""

    def __init__(self, ledger: Ledger, documents: Documents, clock: Clock) -> None:
        self.ledger = ledger
        self.documents = documents
        self.clock = clock

    def newest(self, namespace: str, key: str) -> Entry | None:
        """An entry in the newest state."""
        document = self.ledger.document(ENTRY, id_of(namespace, key))
        return None if document is None else entry_of(document)

    def put(self, entry: Entry) -> Entry:
        """Create or replace an entry; as it is then. ``create_index`` 0: it is new."""
        revision = self.ledger.next_revision()
        created = entry.create_index or revision
        body = _Body(entry.value, entry.flags, entry.session, entry.lock_index, created, entry.elsewhere)
        id = id_of(entry.namespace, entry.key)
        now_ms = self.clock.wall_ms()
        before = self.ledger.document(ENTRY, id)
        created_ms = before.created_ms if before is not None else now_ms
        document = Document(
            ENTRY,
            id,
            entry.namespace,
            entry.key,
            body=_encode(body),
            created_ms=created_ms,
            updated_ms=now_ms,
            enabled_ms=created_ms,
            revision=revision,
        )
        self.ledger.put_document(ENTRY, id, document, revision, now_ms)
        return entry_of(document)

    def drop(self, namespace: str, key: str) -> None:
        """Delete an entry that is there."""
        self.ledger.put_document(ENTRY, id_of(namespace, key), None, self.ledger.next_revision(), self.clock.wall_ms())

    def delay(self, namespace: str, key: str, delay_ms: int) -> None:
        """From now on nobody gets this lock for a while."""
        id, revision, now_ms = id_of(namespace, key), self.ledger.next_revision(), self.clock.wall_ms()
        document = Document(
            DELAY,
            id,
            namespace,
            key,
            lease_ms=delay_ms,
            created_ms=now_ms,
            updated_ms=now_ms,
            enabled_ms=now_ms,
            revision=revision,
        )
        self.ledger.put_document(DELAY, id, document, revision, now_ms)
        self.documents.renew(DELAY, id)  # one that runs already begins anew

    def delayed(self, namespace: str, key: str) -> bool:
        """Whether a lock's last holder was lost so recently that nobody gets it. A delay outlives a restart in full."""
        id = id_of(namespace, key)
        document = self.ledger.document(DELAY, id)
        if document is None:
            return False
        silent_s = self.documents.renewed_s(DELAY, id)
        return silent_s is None or silent_s * 1000 < document.lease_ms


class SortedKeys:
    """Texts in the order of their code points, which is that of their bytes in UTF-8."""

    __slots__ = ("_all",)

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._all = sorted(keys)

    def __len__(self) -> int:
        return len(self._all)

    def add(self, key: str) -> None:
        """Put one in; nothing when it is there."""
        at = bisect_left(self._all, key)
        if at == len(self._all) or self._all[at] != key:
            self._all.insert(at, key)

    def discard(self, key: str) -> None:
        """Take one out; nothing when it is not there."""
        at = bisect_left(self._all, key)
        if at < len(self._all) and self._all[at] == key:
            del self._all[at]

    def below(self, prefix: str) -> list[str]:
        """Those that begin with a text."""
        if not prefix:
            return self._all[:]
        end = after(prefix)
        return self._all[bisect_left(self._all, prefix) : bisect_left(self._all, end) if end else None]


def after(prefix: str) -> str:
    """The first text behind all that begin with this one; empty: there is none."""
    prefix = prefix.rstrip(HIGHEST)
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else ""


def merged(one: list[str], other: Iterable[str]) -> list[str]:
    """Two lists without repetition, the first of which is in order; in order."""
    other = list(other)
    if not other:
        return one
    known = set(one)
    found = one[:]
    for key in other:
        if key not in known:
            insort(found, key)
    return found
