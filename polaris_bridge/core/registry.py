"""The door of the core: commands that change the registry, queries that read it, and the tick that lets time pass.

Commands are synchronous: they decide against the newest state and return what happened together with the ``Commit`` that
tells when it is durable and visible. Nothing here waits. Queries return snapshots that never change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from msgspec import Struct, structs

from .addresses import oldest_first
from .batches import DEREGISTER, REGISTER, SETTLED, Commit
from .config.centre import ConfigCentre
from .documents import Documents
from .ejections import Ejections
from .errors import Conflict, NotFound
from .events import InstanceEvent, OperationRecord, Published, instance_events
from .kv.store import KeyValues
from .ledger import Ledger
from .liveness import Liveness
from .model import (
    SYSTEM,
    Address,
    AddressKey,
    Caller,
    Checks,
    Document,
    NamespaceRecord,
    Registration,
    RegistrationKey,
    ServiceKey,
    ServiceRecord,
    Switch,
    SwitchRow,
    same_document,
)
from .ports import Clock, Ended, Scheduler, Store
from .protection import Protection
from .snapshot import ServiceSnapshot, absent
from .terms import Terms
from .watching import Scope, Watches

log = logging.getLogger(__name__)
T = TypeVar("T")


class Registered(Struct, frozen=True, gc=False):
    """What a registration came to. ``before`` is what its key held until now."""

    now: Registration
    before: Registration | None
    commit: Commit


class Registry:
    """Everything registered on this node."""

    def __init__(self, store: Store, clock: Clock, scheduler: Scheduler, terms: Terms) -> None:
        self.clock = clock
        self.scheduler = scheduler
        self.terms = terms
        limits = {REGISTER: terms.batch, DEREGISTER: terms.deregistration}
        self.ledger = Ledger(store, clock, scheduler, limits)
        self.watches = Watches(clock, scheduler, self.revision_of)
        self.liveness = Liveness(self.ledger, clock, scheduler, terms, self._expired)
        self.documents = Documents(self.ledger, clock, self._note_document)
        self.config = ConfigCentre(self.ledger, self.documents, clock, scheduler, self._note, self._ensure_namespace)
        self.kv = KeyValues(self.ledger, self.documents, clock, scheduler, self._note, self._ensure_namespace)
        self.ejections = Ejections(self.ledger, self._note)
        self.counters = self.liveness.counters
        self.operations: list[Callable[[OperationRecord], None]] = []
        self.events: list[Callable[[InstanceEvent], None]] = []
        self.node = ""
        self.ended_before: Sequence[Ended] = ()
        """Registrations that ended before this start, the latest first, as far as they are remembered."""
        self.epoch = 0
        self._store = store
        self._folded: dict[tuple[str, str], dict[ServiceKey, None]] = {}
        self.ledger.wake = self._wake

    # ------------------------------------------------------------------ start

    def load(self) -> None:
        """Take over everything that the store holds. Every lease starts anew with its full length; what a connection
        held waits ``session_grace_s`` for it. Raises ``StoreRefused``."""
        loaded = self._store.load()
        self.node, self.epoch = loaded.node, loaded.epoch
        self.ended_before = loaded.ended
        ledger = self.ledger
        addresses: dict[ServiceKey, dict[AddressKey, list[Registration]]] = {}
        switches: dict[ServiceKey, dict[AddressKey, list[Switch]]] = {}
        records: dict[ServiceKey, ServiceRecord] = {}
        documents: list[Document] = []
        for value in loaded.rows:
            match value:
                case Registration():
                    addresses.setdefault(value.service_key, {}).setdefault(value.address, []).append(value)
                    ledger.index.setdefault((value.source, value.namespace), {})[value.key] = value
                case ServiceRecord():
                    records[value.key] = value
                case NamespaceRecord():
                    ledger.namespaces[value.name] = value
                case Document():
                    documents.append(value)
                case SwitchRow():
                    place = AddressKey(value.host, value.port, value.vpc)
                    service = ServiceKey(value.namespace, value.service)
                    switches.setdefault(service, {}).setdefault(place, []).append(value.switch)
        ledger.start(max(1, loaded.reserved))  # no change has 1, which to some means "never"
        self.documents.load(sorted(documents, key=lambda d: d.created_ms))
        self.config.load()
        self.kv.load()
        for key in dict.fromkeys((*records, *addresses, *switches)):
            self._load_service(key, records.get(key), addresses.get(key, {}), switches.get(key, {}))

    def _load_service(
        self,
        key: ServiceKey,
        record: ServiceRecord | None,
        registrations: dict[AddressKey, list[Registration]],
        switches: dict[AddressKey, list[Switch]],
    ) -> None:
        found = {}
        for place in dict.fromkeys((*registrations, *switches)):
            here = oldest_first(registrations.get(place, ()))
            off = tuple(switches.get(place, ()))
            found[place] = Address(*place, here, off)
            if not here:
                self.liveness.load_emptied(key, place)
            for r in here:
                self.liveness.load(r)
        self.ledger.services[key] = ServiceSnapshot(key, record, found, self.ledger.floor)
        self.ledger.namespace_revisions[key.namespace] = self.ledger.floor
        self._fold(key)

    # ------------------------------------------------------------------ queries

    @property
    def revision(self) -> int:
        """The newest published revision."""
        return self.ledger.revision

    def revision_of(self, scope: Scope) -> int:
        """The newest revision of a service, a namespace (its name) or everything (None)."""
        if scope is None:
            return self.ledger.revision
        if isinstance(scope, ServiceKey):
            snapshot = self.ledger.services.get(scope)
            return snapshot.revision if snapshot is not None else self.ledger.floor
        return self.ledger.namespace_revisions.get(scope, self.ledger.floor)

    def snapshot(self, key: ServiceKey) -> ServiceSnapshot:
        """A service as readers see it now; an empty snapshot when there is none."""
        return self.ledger.services.get(key) or absent(key, self.ledger.floor)

    def services(self, namespace: str | None = None) -> list[ServiceSnapshot]:
        """Every existing service of a namespace, or of all."""
        return [
            s
            for k, s in list(self.ledger.services.items())  # may be read beside the core's thread
            if (namespace is None or k.namespace == namespace) and (s.record is not None or s.addresses)
        ]

    def namespaces(self) -> list[NamespaceRecord]:
        """Every namespace."""
        return list(self.ledger.namespaces.values())

    def registration(self, key: RegistrationKey) -> Registration | None:
        """One registration as readers see it now."""
        return self.ledger.published(key)

    def newest(self, key: RegistrationKey) -> Registration | None:
        """One registration in the newest state, uncommitted included: what a command has to be computed against."""
        return self.ledger.registration(key)

    def newest_address(self, service: ServiceKey, place: AddressKey) -> Address | None:
        """What stands at an address in the newest state."""
        return self.ledger.service(service).addresses.get(place)

    # ------------------------------------------------------------------ names

    def same_name(self, namespace: str, name: str) -> list[ServiceKey]:
        """The services whose names equal this one ignoring case, oldest first, in the newest state."""
        found = [
            k for k in self._folded.get((namespace, name.lower()), ()) if self.ledger.service(k).record is not None
        ]
        return sorted(found, key=self._age)

    def spelling(self, namespace: str, name: str, hint: str = "") -> tuple[str, bool]:
        """How a case-insensitive protocol's name is spelt here, and whether that is certain.

        A hint (the protocol's own second spelling) counts when it differs in case only; else the oldest service of a
        case-sensitive protocol; else a name guessed before; else lower case, which is a guess too.
        """
        if hint and hint.lower() == name.lower():
            return hint, True
        known = self.same_name(namespace, name)
        for key in known:
            record = self.ledger.service(key).record
            if record is not None and not record.guessed:
                return key.name, True
        return (known[0].name if known else name.lower()), False

    # ------------------------------------------------------------------ commands: registrations

    def register(self, r: Registration, caller: Caller, *, exact: bool = True) -> Registered:
        """Make or replace the registration under ``r.id``; its lease begins now.

        ``exact`` False says that the spelling of the service's name is a guess. Raises ``NotFound`` when the namespace or
        the service does not exist and may not be created, ``Conflict`` when the service is an alias, ``Busy``.
        """
        now_ms = self.clock.wall_ms()
        ledger = self.ledger
        with ledger.command() as commit:
            revision = ledger.next_revision()
            self._ensure_service(r.service_key, exact, now_ms, caller)
            before = ledger.registration(r.id)
            changed = before is None or not same_document(before, r)
            now = structs.replace(
                r,
                created_ms=before.created_ms if before else now_ms,
                updated_ms=now_ms,
                lost_ms=0,
                held=False,
                seq=revision if before is None or changed else before.seq,
                revision=revision,
            )
            if isinstance(now.liveness, Checks):
                now = structs.replace(now, liveness=_checked(now.liveness, before, now_ms))
            ledger.put_registration(now)
            self.liveness.heard(now.id)
            self._record("instance", now, "register", caller, commit)
        return Registered(now, before, commit)

    def amend(
        self,
        key: RegistrationKey,
        change: Callable[[Registration], Registration],
        caller: Caller,
        operation: str,
        *,
        renews: bool = False,
    ) -> Registered | None:
        """Change the registration under a key (``change`` gets the newest one). None when there is none.

        A document that differs afterwards counts as changed by its protocol. ``renews`` also starts its lease anew.
        """
        ledger = self.ledger
        before = ledger.registration(key)
        if before is None:
            return None
        with ledger.command() as commit:
            revision = ledger.next_revision()
            after = change(before)
            seq = before.seq if same_document(before, after) else revision
            after = structs.replace(after, updated_ms=self.clock.wall_ms(), seq=seq, revision=revision)
            if renews:
                after = structs.replace(after, lost_ms=0, held=False)
                self.liveness.heard(key)
            ledger.put_registration(after)
            self._record("instance", after, operation, caller, commit)
        return Registered(after, before, commit)

    def deregister(self, key: RegistrationKey, caller: Caller) -> Registered | None:
        """End the registration under a key. None when there is none."""
        ledger = self.ledger
        before = ledger.registration(key)
        if before is None:
            return None
        with ledger.command(DEREGISTER) as commit:
            ledger.remove_registration(before, ledger.next_revision(), self.clock.wall_ms())
            self._record("instance", before, "deregister", caller, commit)
        return Registered(before, before, commit)

    def delete_address(self, service: ServiceKey, place: AddressKey, caller: Caller) -> Commit | None:
        """An operator's delete: every registration at the address ends. None when nothing stands there."""
        ledger = self.ledger
        address = ledger.service(service).addresses.get(place)
        if address is None:
            return None
        with ledger.command(DEREGISTER) as commit:
            for r in address.registrations:
                ledger.remove_registration(r, ledger.next_revision(), self.clock.wall_ms())
                self._record("instance", r, "delete", caller, commit)
        return commit

    def switch(
        self, service: ServiceKey, place: AddressKey, switch: Switch, caller: Caller, *, on: bool = True
    ) -> Commit | None:
        """Set or release (``on`` False) an operator's withdrawal. None when nothing stands at the address.

        Releasing a switch that this protocol did not set is accepted, changes nothing and is counted.
        """
        ledger = self.ledger
        address = ledger.service(service).addresses.get(place)
        if address is None:
            return None
        known = [s for s in address.switches if (s.source, s.key) == (switch.source, switch.key)]
        if not on and not known:
            self.counters.ignored_releases += bool(address.switches)
            return SETTLED
        with ledger.command() as commit:
            revision = ledger.next_revision()
            switch = structs.replace(switch, revision=revision, changed_ms=self.clock.wall_ms())
            ledger.put_switch(service, place, switch, revision, self.clock.wall_ms(), on=on)
            operation = "isolate" if on and switch.on else "restore"
            detail = f"{switch.source}/{switch.key} {switch.word}"
            self._note("switch", f"{place.host}:{place.port}", service, operation, caller, commit, detail)
        return commit

    def transaction(self) -> AbstractContextManager[Commit]:
        """Commands inside this block are applied all or not at all, in one transaction of the store."""
        return self.ledger.command()

    # ------------------------------------------------------------------ commands: namespaces and services

    def put_namespace(self, record: NamespaceRecord, caller: Caller) -> Commit:
        """Create or replace a namespace."""
        ledger, now_ms = self.ledger, self.clock.wall_ms()
        with ledger.command() as commit:
            before = ledger.namespace(record.name)
            self._write_namespace(record, before, now_ms)
            operation = "update" if before else "create"
            self._note("namespace", record.name, ServiceKey(record.name, ""), operation, caller, commit)
        return commit

    def delete_namespace(self, name: str, caller: Caller) -> Commit | None:
        """Delete an empty namespace. None when there is none; raises ``Conflict`` when it has services, groups of files, keys
        or sessions."""
        ledger = self.ledger
        if ledger.namespace(name) is None:
            return None
        if ledger.service_keys(name):
            raise Conflict(f"namespace {name} has services")
        if self.config.groups.within(name):
            raise Conflict(f"namespace {name} has groups of configuration files")
        if self.kv.within(name):
            raise Conflict(f"namespace {name} has keys or sessions")
        with ledger.command() as commit:
            ledger.put_namespace(name, None, ledger.next_revision(), self.clock.wall_ms())
            self._note("namespace", name, ServiceKey(name, ""), "delete", caller, commit)
        return commit

    def put_service(self, record: ServiceRecord, caller: Caller) -> Commit:
        """Create or replace a service (its attributes, not its instances). Raises ``NotFound`` without its namespace."""
        ledger, now_ms = self.ledger, self.clock.wall_ms()
        with ledger.command() as commit:
            self._ensure_namespace(record.namespace, now_ms)
            before = ledger.service(record.key).record
            self._write_service(record, before, now_ms)
            if not record.guessed:
                self._take_over(record.key, now_ms)
            self._note("service", record.name, record.key, "update" if before else "create", caller, commit)
        return commit

    def delete_service(self, key: ServiceKey, caller: Caller) -> Commit | None:
        """Delete a service without instances. None when there is none; raises ``Conflict`` when it has instances."""
        ledger = self.ledger
        newest = ledger.service(key)
        if newest.record is None:
            return None
        if any(a.registrations for a in newest.addresses.values()):
            raise Conflict(f"service {key.name} has instances")
        with ledger.command() as commit:
            ledger.put_service(key, None, ledger.next_revision(), self.clock.wall_ms())
            self._note("service", key.name, key, "delete", caller, commit)
        return commit

    # ------------------------------------------------------------------ liveness

    def renew(self, key: RegistrationKey) -> Registration | None:
        """A sign of life. None when nothing is registered under the key in the newest state. Not stored."""
        return self.liveness.renew(key)

    def last_renewed_ms(self, r: Registration) -> int:
        """Wall-clock time of the last sign of life of a leased registration; its update time when it has no lease."""
        return self.liveness.last_renewed_ms(r)

    def protections(self) -> dict[str, Protection]:
        """Self-protection by namespace, for reports."""
        return self.liveness.protections()

    def leased(self) -> int:
        """How many registrations have a lease."""
        return self.liveness.leased()

    def open_session(self, id: str) -> None:
        """A connection stands. One that was waited for after a start is back."""
        self.liveness.open_session(id)

    def close_session(self, id: str) -> None:
        """A connection is gone: what it held goes at once, its addresses' switches stay for ``linger_s``."""
        self.liveness.close_session(id)

    def session_open(self, id: str) -> bool:
        """Whether a connection stands. If not, what it held waits for it in vain or for a while."""
        return self.liveness.session_open(id)

    def session_left_s(self, id: str) -> float:
        """How long what a connection held that is gone still waits for it, as after a start; 0: it does not."""
        return self.liveness.session_left_s(id)

    def tick(self) -> None:
        """Let time pass: expiry, self-protection, lost sessions, lingering switches. To be called once a second."""
        self.liveness.tick()
        self.documents.tick()
        self.kv.tick()

    def _expired(self, r: Registration) -> None:
        self._record("instance", r, "expire", SYSTEM, SETTLED)

    def set_check(self, key: RegistrationKey, check: str, state: str, marks: Any = None) -> bool:
        """The result of one check of a registration (passing, warning, critical). False when there is no such thing.

        ``marks``: the protocol's bookkeeping, to be kept with a state that changes; None leaves it as it is.
        """
        r = self.ledger.registration(key)
        if r is None or not isinstance(r.liveness, Checks):
            return False
        if r.liveness.states.get(check) == state:
            return True
        if self.ledger.is_pending(key):
            self.amend(key, lambda newest: self._with_check(newest, check, state, marks), SYSTEM, "check")
        else:
            self.ledger.publish_now([(r, self._with_check(r, check, state, marks))])
        return True

    def _with_check(self, r: Registration, check: str, state: str, marks: Any) -> Registration:
        assert isinstance(r.liveness, Checks)
        liveness = structs.replace(r.liveness, states={**r.liveness.states, check: state})
        liveness = _checked(liveness, r, self.clock.wall_ms())
        kept = r.marks if marks is None else marks
        return structs.replace(r, liveness=liveness, marks=kept, revision=self.ledger.next_revision())

    # ------------------------------------------------------------------ after a publication

    def _wake(self, published: Published) -> None:
        if self.events:
            for event in instance_events(published):
                _tell(self.events, event)
        self.watches.changed(published.services, beside=bool(published.documents))
        self.config.wake()
        self.kv.wake()

    def observe(self, observer: Callable[[Published], None]) -> None:
        """Be told of every publication, synchronously, before any watcher wakes. Must be quick and not raise."""
        self.ledger.observers.append(observer)

    # ------------------------------------------------------------------ pieces

    def _ensure_namespace(self, name: str, now_ms: int) -> None:
        if self.ledger.namespace(name) is None:
            if not self.terms.auto_create_namespace:
                raise NotFound(f"namespace {name}")
            self._write_namespace(NamespaceRecord(name, auto_created=True), None, now_ms)

    def _ensure_service(self, key: ServiceKey, exact: bool, now_ms: int, caller: Caller) -> None:
        record = self.ledger.service(key).record
        if record is not None:
            if record.reference is not None:
                raise Conflict("service is alias")
            if exact and record.guessed:
                self._write_service(structs.replace(record, guessed=False), record, now_ms)
                self._take_over(key, now_ms)
            return
        self._ensure_namespace(key.namespace, now_ms)
        if not self.terms.auto_create_service:
            raise NotFound(f"service {key.name} in namespace {key.namespace}")
        owner = caller.principal
        self._write_service(
            ServiceRecord(key.namespace, key.name, owners=owner, auto_created=True, guessed=not exact), None, now_ms
        )
        if exact:
            self._take_over(key, now_ms)

    def _take_over(self, key: ServiceKey, now_ms: int) -> None:
        """The true spelling of a name is known now: what was registered under a guessed one moves to it."""
        for other in self.same_name(key.namespace, key.name):
            record = self.ledger.service(other).record
            if other == key or record is None or not record.guessed:
                continue
            for address in list(self.ledger.service(other).addresses.values()):
                for r in address.registrations:
                    revision = self.ledger.next_revision()
                    self.ledger.put_registration(structs.replace(r, service=key.name, revision=revision))
                for switch in address.switches if address.registrations else ():
                    revision = self.ledger.next_revision()
                    self.ledger.put_switch(key, address.key, switch, revision, now_ms, on=True)
            for address in list(self.ledger.service(other).addresses.values()):
                for switch in address.switches:
                    revision = self.ledger.next_revision()
                    self.ledger.put_switch(other, address.key, switch, revision, now_ms, on=False)
            self.ledger.put_service(other, None, self.ledger.next_revision(), now_ms)

    def _write_namespace(self, record: NamespaceRecord, before: NamespaceRecord | None, now_ms: int) -> None:
        revision = self.ledger.next_revision()
        created = before.created_ms if before else now_ms
        record = structs.replace(record, created_ms=created, updated_ms=now_ms, revision=revision)
        self.ledger.put_namespace(record.name, record, revision, now_ms)

    def _write_service(self, record: ServiceRecord, before: ServiceRecord | None, now_ms: int) -> None:
        revision = self.ledger.next_revision()
        created = before.created_ms if before else now_ms
        record = structs.replace(record, created_ms=created, updated_ms=now_ms, revision=revision)
        self.ledger.put_service(record.key, record, revision, now_ms)
        self._fold(record.key)

    def _fold(self, key: ServiceKey) -> None:
        self._folded.setdefault((key.namespace, key.name.lower()), {})[key] = None

    def _age(self, key: ServiceKey) -> tuple[int, str]:
        record = self.ledger.service(key).record
        return (record.created_ms if record else 0, key.name)

    def _record(self, resource: str, r: Registration, operation: str, caller: Caller, commit: Commit) -> None:
        if self.operations:
            detail = f"{r.source}/{r.key} {r.host}:{r.port} {r.reported}"
            self._note(resource, f"{r.service}", r.service_key, operation, caller, commit, detail)

    def _note_document(self, document: Document, operation: str, caller: Caller, commit: Commit) -> None:
        service = ServiceKey(document.namespace, "")
        self._note(document.kind, document.name or document.id, service, operation, caller, commit, document.id)

    def _note(
        self,
        resource: str,
        name: str,
        service: ServiceKey,
        operation: str,
        caller: Caller,
        commit: Commit,
        detail: str = "",
    ) -> None:
        """An operation record, told when the outcome is known."""
        if not self.operations:
            return
        wall_ms = self.clock.wall_ms()

        def tell(error: Exception | None) -> None:
            result = "ok" if error is None else type(error).__name__
            record = OperationRecord(wall_ms, resource, name, service.namespace, operation, caller, detail, result)
            _tell(self.operations, record)

        self.ledger.afterwards(lambda: commit.then(tell))

    def purge(
        self, before_ms: int, tables: Sequence[str], limit: int = 0, done: Callable[[int], None] | None = None
    ) -> None:
        """Let the store forget tombstones of some tables older than a time, at most ``limit`` (0: all); ``done`` hears of
        how many."""
        self._store.purge(before_ms, tables, limit, done)

    def forget_absent(self) -> int:
        """Drop the empty snapshots of services that do not exist and that nobody watches; how many."""
        ledger = self.ledger
        gone = [
            key
            for key, s in ledger.services.items()
            if s.record is None and not s.addresses and not ledger.has_drafts(key) and not self.watches.watched(key)
        ]
        ledger.floor = ledger.revision
        for key in gone:
            del ledger.services[key]
            folded = self._folded.get((key.namespace, key.name.lower()))
            if folded is not None:
                folded.pop(key, None)
                if not folded:
                    del self._folded[(key.namespace, key.name.lower())]
        return len(gone)

    def touch(self, keys: Iterable[ServiceKey]) -> int:
        """Make whoever watches these services look again: what they are read by changed, not they. Nothing is stored.

        Returns the newest revision.
        """
        return self.ledger.touch(keys)

    def release_watchers(self) -> None:
        """Shutdown: every watcher answers its client now."""
        self.watches.wake_all()
        self.config.watches.wake_all()
        self.kv.watches.wake_all()

    @property
    def idle(self) -> bool:
        """Whether everything that happened is in the store."""
        return self.ledger.idle

    def __iter__(self) -> Iterator[ServiceSnapshot]:
        return iter(self.ledger.services.values())


def _tell(sinks: list[Callable[[T], None]], what: T) -> None:
    for sink in sinks:
        try:
            sink(what)
        except Exception:  # one sink's fault must not keep the others, or the watchers, from being told
            log.exception("a sink of events failed")


def _checked(checks: Checks, before: Registration | None, now_ms: int) -> Checks:
    """Checks that know since when one of them fails."""
    if not checks.critical:
        return structs.replace(checks, critical_ms=0)
    known = before.liveness.critical_ms if before is not None and isinstance(before.liveness, Checks) else 0
    return structs.replace(checks, critical_ms=known or now_ms)
