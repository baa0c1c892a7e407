"""Commit, then publish: the one place where state changes.

Commands compute against the *newest* state (what is queued for the store included) and write into the open batch. A batch
goes to the store's writer as one transaction; when it is durable its services are swapped in, observers and watchers are
told, and the callers get their answers, in this order. A batch that fails takes every later one with it, for those were
computed on top of it: nobody saw any of it, and their callers are told.

What nobody asked for (expiry, a lost connection) is published at once and stored without waiting: ``publish_now``.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from msgspec import structs

from .addresses import oldest_first, remaining, surviving_switches, swapped, switch_row, with_registrations
from .batches import REGISTER, Batch, BatchTerms, Commit, Draft
from .errors import Busy, TooLate, Unavailable
from .events import AddressChange, DocumentChange, Published
from .model import (
    Address,
    AddressKey,
    Document,
    Ejection,
    NamespaceRecord,
    Registration,
    RegistrationKey,
    ServiceKey,
    ServiceRecord,
    Switch,
)
from .ports import Clock, Row, Scheduler, Store
from .snapshot import ServiceSnapshot, absent

REVISION_BLOCK: Final = 1_000_000
"""Revisions are reserved in the store in blocks of this size, so that none is used twice across a crash."""

log = logging.getLogger("polaris_bridge.cache")


_ABSENT: Final = object()


class Ledger:
    """All state, published and pending. ``core.registry`` gives it its meaning."""

    def __init__(self, store: Store, clock: Clock, scheduler: Scheduler, terms: dict[str, BatchTerms]) -> None:
        self._store = store
        self._clock = clock
        self._scheduler = scheduler
        self._terms = terms
        self.services: dict[ServiceKey, ServiceSnapshot] = {}
        self.namespaces: dict[str, NamespaceRecord] = {}
        self.documents: dict[str, dict[str, Document]] = {}
        """Published documents: kind -> id -> document."""
        self.index: dict[tuple[str, str], dict[str, Registration]] = {}
        """Published registrations: (source, namespace) -> key -> registration."""
        self.revision = 0
        """The newest published revision."""
        self.namespace_revisions: dict[str, int] = {}
        self.floor = 0
        """The revision that everything had at least which is not known any more, or not yet."""
        self._next = 1
        self._reserved = 0
        self._reserving = 0
        self._drafts: dict[ServiceKey, Draft] = {}
        self._pending: dict[RegistrationKey, tuple[Batch, Registration | None]] = {}
        self._pending_namespaces: dict[str, tuple[Batch, NamespaceRecord | None]] = {}
        self._pending_documents: dict[tuple[str, str], tuple[Batch, Document | None]] = {}
        self._open: Batch | None = None
        self._queue: deque[Batch] = deque()
        """Closed batches, the one at the writer first."""
        self._in_flight = False
        self._sent_at = 0.0
        self._flush_asked = False
        self._waiting: dict[str, int] = dict.fromkeys(terms, 0)
        self._journal: list[tuple[dict[Any, Any], Any, Any]] | None = None
        self._afterwards: list[Callable[[], None]] = []
        self._unsaved: dict[tuple[Any, ...], Row] = {}
        """Rows of changes published at once that the store did not take yet."""
        self._saving: dict[tuple[Any, ...], Row] = {}
        self.observers: list[Callable[[Published], None]] = []
        """Told of every publication before anybody is woken: keepers of derived state."""
        self.wake: Callable[[Published], None] | None = None
        """Told last: when watchers run, all derived state is in step."""
        self.committed: Callable[[float], None] | None = None
        """Told after every transaction how long the store took, in seconds."""
        self.failures = 0
        self.last_failure: Exception | None = None
        """Why the store refused the last write; None since the last one that it took."""

    # ------------------------------------------------------------------ revisions

    def start(self, reserved: int) -> None:
        """Begin after everything that an earlier process may have used. What was loaded counts as of that revision."""
        self.floor = self.revision = reserved
        self._next = reserved + 1
        self._reserved = reserved + REVISION_BLOCK
        self._store.reserve(self._reserved)

    def next_revision(self) -> int:
        """A number nobody had before. Raises ``Unavailable`` when the store takes no reservation for very long."""
        revision = self._next
        if revision > self._reserved:
            try:
                self._store.reserve(self._reserved + REVISION_BLOCK)
            except Exception as error:
                raise Unavailable("the store takes no writes") from error
            self._reserved += REVISION_BLOCK
        self._next = revision + 1
        return revision

    # ------------------------------------------------------------------ reading the newest state

    def registration(self, key: RegistrationKey) -> Registration | None:
        """The newest registration under a key, committed or not."""
        pending = self._pending.get(key)
        if pending is not None:
            return pending[1]
        return self.published(key)

    def published(self, key: RegistrationKey) -> Registration | None:
        """The registration under a key as readers see it."""
        keys = self.index.get((key[0], key[1]))
        return None if keys is None else keys.get(key[2])

    def is_pending(self, key: RegistrationKey) -> bool:
        """Whether a command on this key waits for the store."""
        return key in self._pending

    def service(self, key: ServiceKey) -> ServiceSnapshot | Draft:
        """The newest state of a service: ``.record`` and ``.addresses``, not to be changed."""
        return self._drafts.get(key) or self.services.get(key) or absent(key, self.floor)

    def namespace(self, name: str) -> NamespaceRecord | None:
        """The newest record of a namespace."""
        pending = self._pending_namespaces.get(name)
        return pending[1] if pending is not None else self.namespaces.get(name)

    def document(self, kind: str, id: str) -> Document | None:
        """The newest document under an id."""
        pending = self._pending_documents.get((kind, id))
        if pending is not None:
            return pending[1]
        return self.documents.get(kind, {}).get(id)

    def newest_documents(self, kind: str) -> list[Document]:
        """Every document of a kind, in the newest state."""
        found = dict(self.documents.get(kind, {}))
        for (k, id), (_, document) in self._pending_documents.items():
            if k == kind and document is not None:
                found[id] = document
            elif k == kind:
                found.pop(id, None)
        return list(found.values())

    def service_keys(self, namespace: str) -> list[ServiceKey]:
        """Every service of a namespace that has a record, in the newest state."""
        keys = dict.fromkeys(k for k in self.services if k.namespace == namespace)
        keys.update(dict.fromkeys(k for k in self._drafts if k.namespace == namespace))
        return [k for k in keys if self.service(k).record is not None]

    # ------------------------------------------------------------------ writing

    @contextmanager
    def command(self, kind: str = REGISTER) -> Iterator[Commit]:
        """One command, or a list of them that is applied all or not at all: an exception undoes what was written.

        Raises ``Busy`` when the queue is full.
        """
        if self._journal is not None:
            yield self._current().commit
            return
        terms = self._terms[kind]
        if self._waiting[kind] >= terms.queue_size:
            raise Busy("the queue of writes is full")
        batch = self._current()
        self._journal = []
        try:
            yield batch.commit
        except BaseException:
            for target, key, old in reversed(self._journal):
                if old is _ABSENT:
                    del target[key]
                else:
                    target[key] = old
            self._afterwards.clear()
            raise
        finally:
            self._journal = None
        if not batch.counts:
            batch.opened = self._clock.monotonic()
        batch.counts[kind] = batch.counts.get(kind, 0) + 1
        self._waiting[kind] += 1
        if batch.counts[kind] >= terms.max_batch_count:
            self._close()
        if not self._in_flight:
            self._ask_flush()
        afterwards, self._afterwards = self._afterwards, []
        for call in afterwards:
            call()

    def afterwards(self, call: Callable[[], None]) -> None:
        """Call when the command under way is complete, not at all when it is undone; now when none is under way."""
        if self._journal is None:
            call()
        else:
            self._afterwards.append(call)

    def put_registration(self, r: Registration) -> None:
        """Insert or replace a registration; the old one under its key leaves its address."""
        batch = self._current()
        key = r.id
        old = self.registration(key)
        moved = old is not None and (old.service_key != r.service_key or old.address != r.address)
        along: list[Switch] = []
        if old is not None and moved:
            left = self._draft(batch, old.service_key, r.revision).addresses[old.address]
            along = [s for s in left.switches if s.source == r.source and s.key == r.key]
            for switch in along:  # a switch on a registration goes where it goes
                self.put_switch(old.service_key, old.address, switch, r.revision, r.updated_ms, on=False)
            self._detach(batch, old, r.revision, r.updated_ms)
        draft = self._draft(batch, r.service_key, r.revision)
        place = r.address
        address = draft.addresses.get(place)
        if address is None:
            address = Address(r.host, r.port, r.vpc, (r,))
        elif old is not None and old.service_key == r.service_key and old.address == place:
            address = with_registrations(address, tuple(r if x.id == key else x for x in address.registrations))
        else:
            address = with_registrations(address, oldest_first((*address.registrations, r)))
        self._set(draft.addresses, place, address)
        self._touch(batch, r.service_key, place)
        for switch in along:
            self.put_switch(r.service_key, r.address, switch, r.revision, r.updated_ms, on=True)
        self._index(batch, key, r)
        self._row(batch, Row("registration", tuple(key), r.revision, r, r.updated_ms))

    def remove_registration(self, r: Registration, revision: int, wall_ms: int) -> None:
        """Take a registration away. Its address stays as long as registrations or switches stand at it."""
        batch = self._current()
        self._detach(batch, r, revision, wall_ms)
        self._index(batch, r.id, None)
        self._row(batch, Row("registration", tuple(r.id), revision, None, wall_ms))

    def put_switch(
        self, service: ServiceKey, place: AddressKey, switch: Switch, revision: int, wall_ms: int, *, on: bool
    ) -> None:
        """Set (``on``) or release a switch on an address that exists."""
        batch = self._current()
        draft = self._draft(batch, service, revision)
        address = draft.addresses[place]
        others = tuple(s for s in address.switches if (s.source, s.key) != (switch.source, switch.key))
        switches = (*others, switch) if on else others
        after = remaining(address, address.registrations, switches)
        if after is not None:
            self._set(draft.addresses, place, after)
        else:
            self._unset(draft.addresses, place)
        self._touch(batch, service, place)
        self._row(batch, switch_row(service, place, switch, switch if on else None, revision, wall_ms))

    def put_service(self, key: ServiceKey, record: ServiceRecord | None, revision: int, wall_ms: int) -> None:
        """Insert, replace or (None) delete the record of a service."""
        batch = self._current()
        draft = self._draft(batch, key, revision)
        self._attribute(draft, "record", record)
        self._row(batch, Row("service", tuple(key), revision, record, wall_ms))

    def put_namespace(self, name: str, record: NamespaceRecord | None, revision: int, wall_ms: int) -> None:
        """Insert, replace or (None) delete a namespace."""
        batch = self._current()
        self._set(batch.namespaces, name, record)
        self._set(self._pending_namespaces, name, (batch, record))
        self._row(batch, Row("namespace", (name,), revision, record, wall_ms))

    def put_document(self, kind: str, id: str, document: Document | None, revision: int, wall_ms: int) -> None:
        """Insert, replace or (None) delete a document."""
        batch = self._current()
        self._set(batch.documents, (kind, id), document)
        self._set(self._pending_documents, (kind, id), (batch, document))
        self._row(batch, Row("document", (kind, id), revision, document, wall_ms))

    # ------------------------------------------------------------------ what nobody asked for

    def publish_now(
        self,
        changes: list[tuple[Registration, Registration | None]],
        *,
        keep_switches: bool = False,
        stored: bool = True,
    ) -> None:
        """Publish at once: each registration becomes another one at the same address, or (None) goes.

        Registrations that a pending command replaces are left alone. Switches end as ``surviving_switches`` says, or
        (``keep_switches``) stay; the store is written behind, or (not ``stored``) not at all.
        """
        revision = self.next_revision()
        published: list[AddressChange] = []
        services: dict[ServiceKey, dict[AddressKey, Address]] = {}
        for old, new in changes:
            if self.published(old.id) is not old or self.is_pending(old.id):
                continue
            service, place = old.service_key, old.address
            snapshot = self.services[service]
            addresses = services.get(service)
            if addresses is None:
                addresses = services[service] = dict(snapshot.addresses)
            before = addresses[place]
            after = swapped(before, old, new, keep_switches)
            if after is None:
                del addresses[place]
            else:
                addresses[place] = after
            if stored:
                self._behind(Row("registration", tuple(old.id), revision, new, self._clock.wall_ms()))
                for switch in before.switches:
                    if after is None or switch not in after.switches:
                        self._behind(switch_row(service, place, switch, None, revision, self._clock.wall_ms()))
            published.append(AddressChange(service, place, before, after))
            keys = self.index[(old.source, old.namespace)]
            if new is None:
                del keys[old.key]
            else:
                keys[new.key] = new
            self._carry(service, place, old, new, keep_switches)
        self._publish(revision, published, services, {})

    def clear_switches_now(self, service: ServiceKey, place: AddressKey) -> None:
        """Forget the switches on an address without registrations, and so the address."""
        revision = self.next_revision()
        addresses = dict(self.services[service].addresses)
        before = addresses.pop(place)
        for switch in before.switches:
            self._behind(switch_row(service, place, switch, None, revision, self._clock.wall_ms()))
        self._publish(revision, [AddressChange(service, place, before, None)], {service: addresses}, {})

    def eject_now(self, service: ServiceKey, ejections: Mapping[AddressKey, Ejection | None]) -> None:
        """Eject addresses, or (None) take them in again, at once. Nothing is stored.

        Where nobody is registered there is nothing to eject. Pending commands on the same addresses go on from here.
        """
        snapshot = self.services.get(service)
        if snapshot is None:
            return
        addresses, published = dict(snapshot.addresses), []
        for place, ejection in ejections.items():
            before = addresses.get(place)
            if before is None or not before.registrations or before.ejection == ejection:
                continue
            addresses[place] = after = structs.replace(before, ejection=ejection)
            published.append(AddressChange(service, place, before, after))
            for batch in (*self._queue, self._open):
                draft = batch.drafts.get(service) if batch is not None else None
                pending = draft.addresses.get(place) if draft is not None else None
                if draft is not None and pending is not None and pending.registrations:
                    draft.addresses[place] = structs.replace(pending, ejection=ejection)
        if published:
            self._publish(self.next_revision(), published, {service: addresses}, {})

    def touch(self, keys: Iterable[ServiceKey]) -> int:
        """Publish services anew as they are; those that are not there are left out. Returns the newest revision."""
        known = {key: self.services[key].addresses for key in keys if key in self.services}
        if known:
            self._publish(self.next_revision(), [], known, {})
        return self.revision

    def drop_documents_now(self, gone: list[Document]) -> None:
        """Forget documents at once; the store is written behind."""
        revision = self.next_revision()
        for document in gone:
            del self.documents[document.kind][document.id]
            self._behind(Row("document", (document.kind, document.id), revision, None, self._clock.wall_ms()))
        changes = tuple(DocumentChange(document.kind, document.id, document, None, revision) for document in gone)
        self._publish(revision, [], {}, {}, changes)

    def _behind(self, row: Row) -> None:
        self._unsaved[(row.table, *row.key)] = row
        if not self._in_flight:
            self._ask_flush()

    def has_drafts(self, service: ServiceKey) -> bool:
        """Whether pending commands touch a service."""
        return service in self._drafts

    # ------------------------------------------------------------------ the writer

    def flush(self) -> None:
        """Hand the next batch to the writer if it is idle."""
        self._flush_asked = False
        if self._in_flight:
            return
        if not self._queue:
            self._close()
        batch = self._queue[0] if self._queue else None
        rows = dict(batch.rows) if batch else {}
        self._saving, self._unsaved = self._unsaved, {}
        if batch is None and not self._saving:
            return
        for key, row in self._saving.items():
            if key not in rows or rows[key].revision < row.revision:
                rows[key] = row
        reserve = 0
        if self._next > self._reserved - REVISION_BLOCK // 2:
            self._reserving = reserve = self._reserved + REVISION_BLOCK
        if batch is not None:
            batch.sent = True
        self._in_flight = True
        self._sent_at = self._clock.monotonic()
        self._store.append(list(rows.values()), reserve, lambda error: self._written(batch, error))

    def drop_expired(self) -> None:
        """Fail what waited too long for a writer that hangs. Called by the tick."""
        oldest = next((b for b in (*self._queue, self._open) if b is not None and b.counts and not b.sent), None)
        if oldest is None:
            return
        age_s = self._clock.monotonic() - oldest.opened
        kinds = [self._terms[kind] for kind in oldest.counts]
        if any(terms.drop_expired and age_s > terms.task_life_s for terms in kinds):
            self._fail(TooLate("the store did not take the write in time"), keep_sent=True)

    @property
    def waiting(self) -> int:
        """Commands that are not durable yet."""
        return sum(self._waiting.values())

    @property
    def idle(self) -> bool:
        """Whether everything that happened is in the store."""
        return not (self._in_flight or self.waiting or self._unsaved)

    def retry(self) -> None:
        """Ask for a flush when something published at once is not stored yet. Called by the tick."""
        if self._unsaved and not self._in_flight:
            self._ask_flush()

    def _written(self, batch: Batch | None, error: Exception | None) -> None:
        self._in_flight = False
        if self.committed is not None:
            self.committed(self._clock.monotonic() - self._sent_at)
        saving, self._saving = self._saving, {}
        if error is not None:
            self.failures += 1
            self.last_failure = error
            log.error("the store refused a write, its callers were told: %s", error)
            self._unsaved = {**saving, **self._unsaved}
            self._fail(Unavailable(str(error)), keep_sent=False)
            return
        self.last_failure = None
        if self._reserving:
            self._reserved, self._reserving = max(self._reserved, self._reserving), 0
        if batch is not None:
            assert self._queue[0] is batch
            self._queue.popleft()
            self._publish_batch(batch)
            for kind, count in batch.counts.items():
                self._waiting[kind] -= count
            batch.commit.settle(None)
        if self._queue or self._open is not None or self._unsaved:
            self._ask_flush()

    def _fail(self, error: Unavailable, *, keep_sent: bool) -> None:
        """Drop every batch (``keep_sent``: but the one at the writer). Each was computed on top of the one before."""
        self._close()
        kept = [b for b in self._queue if keep_sent and b.sent]
        failed = [b for b in self._queue if not (keep_sent and b.sent)]
        self._queue = deque(kept)
        self._drafts = {k: d for b in kept for k, d in b.drafts.items()}
        self._pending = {k: (b, r) for b in kept for k, r in b.index.items()}
        self._pending_namespaces = {k: (b, n) for b in kept for k, n in b.namespaces.items()}
        self._pending_documents = {k: (b, d) for b in kept for k, d in b.documents.items()}
        self._waiting = {kind: sum(b.counts.get(kind, 0) for b in kept) for kind in self._terms}
        for batch in failed:
            batch.commit.settle(error)

    def _publish_batch(self, batch: Batch) -> None:
        for name, record in batch.namespaces.items():
            if record is None:
                self.namespaces.pop(name, None)
            else:
                self.namespaces[name] = record
            if self._pending_namespaces.get(name, (None,))[0] is batch:
                del self._pending_namespaces[name]
        documents = [self._swap_document(batch, *key, after) for key, after in batch.documents.items()]
        changes = []
        for service, place in batch.touched:
            snapshot = self.services.get(service)
            if snapshot is not None:
                service = snapshot.key  # one object for all that keep it
            before = snapshot.addresses.get(place) if snapshot else None
            after = batch.drafts[service].addresses.get(place)
            if before is not after:
                changes.append(AddressChange(service, place, before, after))
        for key, r in batch.index.items():
            keys = self.index.setdefault((key.source, key.namespace), {})
            if r is None:
                keys.pop(key.key, None)
            else:
                keys[r.key] = r
            pending = self._pending.get(key)
            if pending is not None and pending[0] is batch:
                del self._pending[key]
        services = {}
        records = {}
        revision = 0
        for service, draft in batch.drafts.items():
            services[service] = draft.addresses
            records[service] = draft.record
            revision = max(revision, draft.revision)
            if self._drafts.get(service) is draft:
                del self._drafts[service]
        for change in documents:
            revision = max(revision, change.after.revision if change.after is not None else 0)
        if revision <= self.revision:  # something was published at once meanwhile: every publication has its own number
            revision = self.next_revision()
        self._publish(revision, changes, services, records, tuple(documents), tuple(batch.namespaces))

    def _swap_document(self, batch: Batch, kind: str, id: str, after: Document | None) -> DocumentChange:
        """Make the document of a batch the published one."""
        kept = self.documents.setdefault(kind, {})
        before = kept.get(id)
        if after is None:
            kept.pop(id, None)
        else:
            kept[id] = after
        if self._pending_documents[(kind, id)][0] is batch:
            del self._pending_documents[(kind, id)]
        return DocumentChange(kind, id, before, after, batch.rows[("document", kind, id)].revision)

    def _publish(
        self,
        revision: int,
        changes: list[AddressChange],
        services: dict[ServiceKey, dict[AddressKey, Address]],
        records: dict[ServiceKey, ServiceRecord | None],
        documents: tuple[DocumentChange, ...] = (),
        namespaces: tuple[str, ...] = (),
    ) -> None:
        """Swap the snapshots in, then tell. Nothing may raise between the two."""
        for key, addresses in services.items():
            old = self.services.get(key)
            record = records.get(key, old.record if old else None)
            self.services[key] = ServiceSnapshot(key, record, addresses, revision)
            self.namespace_revisions[key.namespace] = revision
        if not services and not documents and not namespaces:
            return
        self.revision = revision
        published = Published(revision, self._clock.wall_ms(), tuple(changes), tuple(services), documents, namespaces)
        for observer in (*self.observers, *([self.wake] if self.wake else [])):
            try:
                observer(published)
            except Exception:  # an observer's fault must not keep the others, or the callers, from their answer
                log.exception("an observer of changes failed")

    # ------------------------------------------------------------------ pieces

    def _current(self) -> Batch:
        if self._open is None:
            self._open = Batch(self._clock.monotonic())
        return self._open

    def _close(self) -> None:
        batch, self._open = self._open, None
        if batch is not None and (batch.counts or batch.rows):
            self._queue.append(batch)

    def _ask_flush(self) -> None:
        if not self._flush_asked:
            self._flush_asked = True
            self._scheduler.soon(self.flush)

    def _draft(self, batch: Batch, key: ServiceKey, revision: int) -> Draft:
        draft = self._drafts.get(key)
        if draft is None or draft.batch is not batch:
            base = draft or self.services.get(key) or absent(key, self.floor)
            draft = Draft(batch, base.record, dict(base.addresses), revision)
            self._set(self._drafts, key, draft)
            self._set(batch.drafts, key, draft)
        else:
            self._attribute(draft, "revision", revision)
        return draft

    def _detach(self, batch: Batch, r: Registration, revision: int, wall_ms: int) -> None:
        draft = self._draft(batch, r.service_key, revision)
        place = r.address
        address = draft.addresses[place]
        left = tuple(x for x in address.registrations if x.id != r.id)
        switches = surviving_switches(address.switches, r, left)
        for switch in address.switches:
            if switch not in switches:
                self._row(batch, switch_row(r.service_key, place, switch, None, revision, wall_ms))
        after = remaining(address, left, switches)
        if after is not None:
            self._set(draft.addresses, place, after)
        else:
            self._unset(draft.addresses, place)
        self._touch(batch, r.service_key, place)

    def _touch(self, batch: Batch, service: ServiceKey, place: AddressKey) -> None:
        if (service, place) not in batch.touched:
            self._set(batch.touched, (service, place), None)

    def _index(self, batch: Batch, key: RegistrationKey, r: Registration | None) -> None:
        self._set(batch.index, key, r)
        self._set(self._pending, key, (batch, r))

    def _row(self, batch: Batch, row: Row) -> None:
        self._set(batch.rows, (row.table, *row.key), row)

    def _carry(
        self,
        service: ServiceKey,
        place: AddressKey,
        old: Registration,
        new: Registration | None,
        keep_switches: bool,
    ) -> None:
        """Make a change that was published at once in every pending draft of the service too."""
        for batch in (*self._queue, self._open):
            draft = batch.drafts.get(service) if batch is not None else None
            address = draft.addresses.get(place) if draft is not None else None
            if batch is None or draft is None or address is None or not any(r is old for r in address.registrations):
                continue
            after = swapped(address, old, new, keep_switches)
            for switch in address.switches:
                if after is None or switch not in after.switches:
                    row = switch_row(service, place, switch, None, self.next_revision(), self._clock.wall_ms())
                    if batch.sent:
                        self._behind(row)
                    else:
                        batch.rows[(row.table, *row.key)] = row
            if after is None:
                del draft.addresses[place]
            else:
                draft.addresses[place] = after

    def _set(self, target: dict[Any, Any], key: Any, value: Any) -> None:
        if self._journal is not None:
            self._journal.append((target, key, target.get(key, _ABSENT)))
        target[key] = value

    def _unset(self, target: dict[Any, Any], key: Any) -> None:
        if self._journal is not None:
            self._journal.append((target, key, target[key]))
        del target[key]

    def _attribute(self, draft: Draft, name: str, value: Any) -> None:
        if self._journal is not None:
            self._journal.append((_Attributes(draft), name, getattr(draft, name)))  # type: ignore[arg-type]
        setattr(draft, name, value)


class _Attributes:
    """Lets the journal undo an attribute as it undoes a dict's item."""

    __slots__ = ("_owner",)

    def __init__(self, owner: object) -> None:
        self._owner = owner

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self._owner, name, value)
