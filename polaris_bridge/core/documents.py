"""Documents: what is kept beside registrations. Governance rules, service contracts, clients that report themselves.

The core stores them, says which of them are about a service and since when, and forgets leased ones that fall silent. What
stands in ``body`` is for those who know the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from msgspec import structs

from .batches import Commit
from .events import DocumentChange, Published
from .leases import LeaseTime
from .model import Caller, Document, ServiceKey

if TYPE_CHECKING:
    from .ledger import Ledger
    from .ports import Clock

ANY = "*"
"""In a target: every namespace, or every service."""

Note = Callable[[Document, str, Caller, Commit], None]
"""Told of every command: the document, the operation, who asked, its outcome."""


class Documents:
    """The documents of one ledger."""

    def __init__(self, ledger: Ledger, clock: Clock, note: Note) -> None:
        self._ledger = ledger
        self._clock = clock
        self._note = note
        self._revisions: dict[str, int] = {}
        self._about: dict[str, dict[ServiceKey, dict[str, None]]] = {}
        self._time = LeaseTime(clock.monotonic())
        self._heard: dict[tuple[str, str], float] = {}
        ledger.observers.append(self._published)

    def load(self, documents: Iterable[Document]) -> None:
        """Begin with what the store held. Leases start anew."""
        for document in documents:
            self._ledger.documents.setdefault(document.kind, {})[document.id] = document
            self._enter(document)
            self._revisions[document.kind] = self._ledger.floor

    # ------------------------------------------------------------------ queries

    def get(self, kind: str, id: str) -> Document | None:
        """A document as readers see it."""
        found = self._ledger.documents.get(kind)
        return None if found is None else found.get(id)

    def newest(self, kind: str, id: str) -> Document | None:
        """A document in the newest state, uncommitted included: what a command has to be computed against."""
        return self._ledger.document(kind, id)

    def all(self, kind: str) -> list[Document]:
        """Every document of a kind as readers see them, oldest first."""
        return list(self._ledger.documents.get(kind, {}).values())

    def newest_all(self, kind: str) -> list[Document]:
        """Every document of a kind in the newest state."""
        return self._ledger.newest_documents(kind)

    def about(self, kind: str, service: ServiceKey) -> list[Document]:
        """The documents that are about a service by name, by its namespace, or about everything; in this order."""
        about = self._about.get(kind)
        if not about:
            return []
        found = self._ledger.documents[kind]
        ids: dict[str, None] = {}
        for target in (service, ServiceKey(service.namespace, ANY), ServiceKey(ANY, ANY)):
            ids.update(about.get(target, {}))
        return [found[id] for id in ids]

    def revision(self, kind: str) -> int:
        """The publication that last touched a kind."""
        return self._revisions.get(kind, self._ledger.floor)

    # ------------------------------------------------------------------ commands

    def put(self, document: Document, caller: Caller) -> Commit:
        """Create or replace. Times and revision are stamped here; a lease begins now."""
        ledger, now_ms = self._ledger, self._clock.wall_ms()
        with ledger.command() as commit:
            before = ledger.document(document.kind, document.id)
            switched = before is None or before.enabled != document.enabled
            document = structs.replace(
                document,
                created_ms=before.created_ms if before else now_ms,
                updated_ms=now_ms,
                enabled_ms=now_ms if switched else before.enabled_ms if before else now_ms,
                revision=ledger.next_revision(),
            )
            ledger.put_document(document.kind, document.id, document, document.revision, now_ms)
            if (document.kind, document.id) in self._heard:
                self._heard[(document.kind, document.id)] = self._now()
            self._note(document, "update" if before else "create", caller, commit)
        return commit

    def delete(self, kind: str, id: str, caller: Caller) -> Commit | None:
        """Delete. None when there is none."""
        ledger = self._ledger
        before = ledger.document(kind, id)
        if before is None:
            return None
        with ledger.command() as commit:
            ledger.put_document(kind, id, None, ledger.next_revision(), self._clock.wall_ms())
            self._note(before, "delete", caller, commit)
        return commit

    def renew(self, kind: str, id: str) -> Document | None:
        """A sign of life of a leased document. None when there is none in the newest state. Not stored."""
        found = self._ledger.document(kind, id)
        if found is not None and (kind, id) in self._heard:
            self._heard[(kind, id)] = self._now()
        return found

    def renewed_s(self, kind: str, id: str) -> float | None:
        """Seconds since the last sign of life of a leased document."""
        heard = self._heard.get((kind, id))
        return None if heard is None else self._now() - heard

    # ------------------------------------------------------------------ time

    def tick(self) -> None:
        """Forget the leased ones that fell silent. To be called once a second."""
        now = self._time.advance(self._clock.monotonic())
        gone = []
        for (kind, id), heard in self._heard.items():
            document = self.get(kind, id)
            silent = document is not None and heard + document.lease_ms / 1000 <= now
            if document is not None and silent and self._ledger.document(kind, id) is document:
                gone.append(document)
        if gone:
            self._ledger.drop_documents_now(gone)

    def _now(self) -> float:
        return self._time.now(self._clock.monotonic())

    # ------------------------------------------------------------------ after a publication

    def _published(self, published: Published) -> None:
        for change in published.documents:
            self._follow(change)
            self._revisions[change.kind] = published.revision

    def _follow(self, change: DocumentChange) -> None:
        if change.before is not None:
            about = self._about[change.kind]
            for target in set(change.before.targets):
                about[target].pop(change.id, None)
                if not about[target]:
                    del about[target]
        if change.after is not None:
            self._enter(change.after)
        else:
            self._heard.pop((change.kind, change.id), None)

    def _enter(self, document: Document) -> None:
        about = self._about.setdefault(document.kind, {})
        for target in document.targets:
            about.setdefault(target, {})[document.id] = None
        if document.lease_ms:
            self._heard.setdefault((document.kind, document.id), self._now())
        else:
            self._heard.pop((document.kind, document.id), None)
