"""The door of the core: commands that change the registry, queries that read it, and the tick that lets time pass.

Commands are synchronous: they decide against the newest state and return what happened together with the ``Commit`` that
tells when it is durable and visible. Nothing here waits. Queries return snapshots that never change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Final

from msgspec import Struct, field, structs

from .errors import Conflict, NotFound
from .events import InstanceEvent, OperationRecord, Published, instance_events
from .leases import Held, LeaseTime, Wheel
from .ledger import SETTLED, BatchTerms, Commit, Ledger
from .model import (
    CRITICAL,
    SYSTEM,
    Address,
    AddressKey,
    Caller,
    Checks,
    Lease,
    NamespaceRecord,
    Registration,
    RegistrationKey,
    ServiceKey,
    ServiceRecord,
    Session,
    Switch,
    SwitchRow,
    same_document,
)
from .ports import Clock, Scheduler, Store
from .protection import Protection, ProtectionTerms
from .snapshot import ServiceSnapshot, absent
from .watching import Scope, Watches

LEASES_PER_STEP: Final = 2000
"""Leases looked at before other work gets its turn: a few milliseconds."""


class Terms(Struct, frozen=True):
    """How the registry behaves; from the configuration file."""

    auto_create_namespace: bool = True
    auto_create_service: bool = True
    batch: BatchTerms = field(default_factory=BatchTerms)
    protection: ProtectionTerms = field(default_factory=ProtectionTerms)
    session_grace_s: float = 30.0
    """After a start, how long what a connection held waits for its client to come back."""
    linger_s: float = 60.0
    """How long switches stay on an address whose connection was lost."""


class Registered(Struct, frozen=True, gc=False):
    """What a registration came to. ``before`` is what its key held until now."""

    now: Registration
    before: Registration | None
    commit: Commit


class Counters(Struct):
    """What happened since the start, for metrics."""

    expired: dict[str, int] = field(default_factory=dict)
    """Registrations that ran out and were deleted, by source."""
    lost: dict[str, int] = field(default_factory=dict)
    """Registrations that turned unhealthy by silence, by source."""
    ignored_releases: int = 0
    """Switch releases through a protocol that had not set the switch."""


class Registry:
    """Everything registered on this node."""

    def __init__(self, store: Store, clock: Clock, scheduler: Scheduler, terms: Terms) -> None:
        self.clock = clock
        self.scheduler = scheduler
        self.terms = terms
        self.ledger = Ledger(store, clock, scheduler, terms.batch)
        self.watches = Watches(clock, scheduler, self.revision_of)
        self.counters = Counters()
        self.operations: list[Callable[[OperationRecord], None]] = []
        self.events: list[Callable[[InstanceEvent], None]] = []
        self.node = ""
        self.epoch = 0
        self._store = store
        self._time = LeaseTime(clock.monotonic())
        self._wheel = Wheel(clock.monotonic())
        self._leases: dict[tuple[str, str], dict[str, Held]] = {}
        self._protections: dict[str, Protection] = {}
        self._held: dict[str, dict[RegistrationKey, Held]] = {}
        self._sessions: dict[str, dict[RegistrationKey, None]] = {}
        self._open_sessions: set[str] = set()
        self._lost_sessions: dict[str, float] = {}
        self._emptied: dict[tuple[ServiceKey, AddressKey], float] = {}
        self._folded: dict[tuple[str, str], dict[ServiceKey, None]] = {}
        self._stepping = False
        self.ledger.observers.append(self._published)
        self.ledger.wake = self._wake

    # ------------------------------------------------------------------ start

    def load(self) -> None:
        """Take over everything that the store holds. Every lease starts anew with its full length; what a connection
        held waits ``session_grace_s`` for it. Raises ``StoreRefused``."""
        loaded = self._store.load()
        self.node, self.epoch = loaded.node, loaded.epoch
        ledger = self.ledger
        addresses: dict[ServiceKey, dict[AddressKey, list[Registration]]] = {}
        switches: dict[ServiceKey, dict[AddressKey, list[Switch]]] = {}
        records: dict[ServiceKey, ServiceRecord] = {}
        for value in loaded.rows:
            match value:
                case Registration():
                    addresses.setdefault(value.service_key, {}).setdefault(value.address, []).append(value)
                    ledger.index.setdefault((value.source, value.namespace), {})[value.key] = value
                case ServiceRecord():
                    records[value.key] = value
                case NamespaceRecord():
                    ledger.namespaces[value.name] = value
                case SwitchRow():
                    place = AddressKey(value.host, value.port, value.vpc)
                    service = ServiceKey(value.namespace, value.service)
                    switches.setdefault(service, {}).setdefault(place, []).append(value.switch)
        now = self._time.now(self.clock.monotonic())
        for key in dict.fromkeys((*records, *addresses, *switches)):
            self._load_service(key, records.get(key), addresses.get(key, {}), switches.get(key, {}), now)
        ledger.start(loaded.reserved)
        ledger.revision = max((s.revision for s in ledger.services.values()), default=0)

    def _load_service(
        self,
        key: ServiceKey,
        record: ServiceRecord | None,
        registrations: dict[AddressKey, list[Registration]],
        switches: dict[AddressKey, list[Switch]],
        now: float,
    ) -> None:
        found = {}
        revision = record.revision if record else 0
        for place in dict.fromkeys((*registrations, *switches)):
            here = sorted(registrations.get(place, ()), key=lambda r: r.created_ms)
            off = tuple(switches.get(place, ()))
            found[place] = Address(*place, tuple(here), off)
            revision = max(revision, *(r.revision for r in here), *(s.revision for s in off))
            if not here:
                self._emptied[(key, place)] = self.clock.monotonic() + self.terms.linger_s
            for r in here:
                self._load_liveness(r, now)
        self.ledger.services[key] = ServiceSnapshot(key, record, found, revision)
        revisions = self.ledger.namespace_revisions
        revisions[key.namespace] = max(revision, revisions.get(key.namespace, 0))
        self._fold(key)

    def _load_liveness(self, r: Registration, now: float) -> None:
        if isinstance(r.liveness, Lease):
            self._start_lease(r, r.liveness, now, lost=not r.live)
        elif isinstance(r.liveness, Session):
            self._sessions.setdefault(r.liveness.id, {})[r.id] = None
            self._lost_sessions[r.liveness.id] = self.clock.monotonic() + self.terms.session_grace_s

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
            return snapshot.revision if snapshot is not None else 0
        return self.ledger.namespace_revisions.get(scope, 0)

    def snapshot(self, key: ServiceKey) -> ServiceSnapshot:
        """A service as readers see it now; an empty snapshot when there is none."""
        return self.ledger.services.get(key) or absent(key)

    def services(self, namespace: str | None = None) -> list[ServiceSnapshot]:
        """Every existing service of a namespace, or of all."""
        return [
            s
            for k, s in self.ledger.services.items()
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

    def last_renewed_ms(self, r: Registration) -> int:
        """Wall-clock time of the last sign of life of a leased registration; its update time when it has no lease."""
        lease = self._leases.get((r.source, r.namespace), {}).get(r.key)
        if lease is None:
            return r.updated_ms
        age = self._time.now(self.clock.monotonic()) - lease.renewed
        return self.clock.wall_ms() - int(age * 1000)

    def protections(self) -> dict[str, Protection]:
        """Self-protection by namespace, for reports."""
        return self._protections

    def leased(self) -> int:
        """How many registrations have a lease."""
        return sum(map(len, self._leases.values()))

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
            ledger.put_registration(now)
        if isinstance(now.liveness, Lease):
            self._start_lease(now, now.liveness, self._time.now(self.clock.monotonic()))
        elif isinstance(now.liveness, Session):
            self._sessions.setdefault(now.liveness.id, {})[now.id] = None
        if self.operations:
            self._record("instance", now, "register", caller, commit)
        return Registered(now, before, commit)

    def renew(self, key: RegistrationKey) -> Registration | None:
        """A sign of life. None when nothing is registered under the key in the newest state. Not stored."""
        leases = self._leases.get((key[0], key[1]))
        lease = leases.get(key[2]) if leases is not None else None
        r = self.ledger.registration(key)
        if lease is None or r is None:
            return r
        now = self._time.now(self.clock.monotonic())
        if lease.lost and r is self.ledger.published(key):
            return self._revive(r, now)
        lease.renewed = now
        return r

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
        with ledger.command() as commit:
            before = ledger.registration(key)
            if before is None:
                return None
            revision = ledger.next_revision()
            after = change(before)
            seq = before.seq if same_document(before, after) else revision
            after = structs.replace(after, updated_ms=self.clock.wall_ms(), seq=seq, revision=revision)
            if renews:
                after = structs.replace(after, lost_ms=0, held=False)
            ledger.put_registration(after)
        if renews and isinstance(after.liveness, Lease):
            self._start_lease(after, after.liveness, self._time.now(self.clock.monotonic()))
        self._record("instance", after, operation, caller, commit)
        return Registered(after, before, commit)

    def deregister(self, key: RegistrationKey, caller: Caller) -> Registered | None:
        """End the registration under a key. None when there is none."""
        ledger = self.ledger
        with ledger.command() as commit:
            before = ledger.registration(key)
            if before is None:
                return None
            ledger.remove_registration(before, ledger.next_revision(), self.clock.wall_ms())
        self._record("instance", before, "deregister", caller, commit)
        return Registered(before, before, commit)

    def delete_address(self, service: ServiceKey, place: AddressKey, caller: Caller) -> Commit | None:
        """An operator's delete: every registration at the address ends. None when nothing stands there."""
        ledger = self.ledger
        with ledger.command() as commit:
            address = ledger.service(service).addresses.get(place)
            if address is None:
                return None
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
        with ledger.command() as commit:
            address = ledger.service(service).addresses.get(place)
            if address is None:
                return None
            known = [s for s in address.switches if (s.source, s.key) == (switch.source, switch.key)]
            if not on and not known:
                self.counters.ignored_releases += bool(address.switches)
                return SETTLED
            revision = ledger.next_revision()
            switch = structs.replace(switch, revision=revision)
            ledger.put_switch(service, place, switch, revision, self.clock.wall_ms(), on=on)
        self._note(
            "switch",
            f"{place.host}:{place.port}",
            service,
            "isolate" if on and switch.on else "restore",
            caller,
            commit,
            f"{switch.source}/{switch.key} {switch.word}",
        )
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
        self._note(
            "namespace", record.name, ServiceKey(record.name, ""), "update" if before else "create", caller, commit
        )
        return commit

    def delete_namespace(self, name: str, caller: Caller) -> Commit | None:
        """Delete a namespace without services. None when there is none; raises ``Conflict`` when it has services."""
        ledger = self.ledger
        with ledger.command() as commit:
            if ledger.namespace(name) is None:
                return None
            if ledger.service_keys(name):
                raise Conflict(f"namespace {name} has services")
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
        self._note("service", record.name, record.key, "update" if before else "create", caller, commit)
        return commit

    def delete_service(self, key: ServiceKey, caller: Caller) -> Commit | None:
        """Delete a service without instances. None when there is none; raises ``Conflict`` when it has instances."""
        ledger = self.ledger
        with ledger.command() as commit:
            draft = ledger.service(key)
            if draft.record is None:
                return None
            if any(a.registrations for a in draft.addresses.values()):
                raise Conflict(f"service {key.name} has instances")
            ledger.put_service(key, None, ledger.next_revision(), self.clock.wall_ms())
        self._note("service", key.name, key, "delete", caller, commit)
        return commit

    # ------------------------------------------------------------------ liveness by connection and by checks

    def open_session(self, id: str) -> None:
        """A connection stands. One that was waited for after a start is back."""
        self._open_sessions.add(id)
        self._lost_sessions.pop(id, None)

    def close_session(self, id: str) -> None:
        """A connection is gone: what it held goes at once, its addresses' switches stay for ``linger_s``."""
        self._open_sessions.discard(id)
        keys = self._sessions.pop(id, {})
        gone = []
        waiting: dict[RegistrationKey, None] = {}
        for key in keys:
            r = self.ledger.published(key)
            if self.ledger.is_pending(key):
                waiting[key] = None
            elif r is not None and r.liveness == Session(id):
                gone.append((r, None))
        if gone:
            self.ledger.publish_now(list(gone), keep_switches=True)
        if waiting:  # registered while the connection broke: ask again when the store has answered
            self._sessions[id] = waiting
            self._lost_sessions[id] = self.clock.monotonic()

    def set_check(self, key: RegistrationKey, check: str, state: str) -> bool:
        """The result of one check of a registration (passing, warning, critical). False when there is no such thing."""
        r = self.ledger.published(key)
        if r is None or not isinstance(r.liveness, Checks) or self.ledger.is_pending(key):
            return False
        if r.liveness.states.get(check) == state:
            return True
        liveness = structs.replace(r.liveness, states={**r.liveness.states, check: state})
        critical = CRITICAL in liveness.states.values()
        lost_ms = (r.lost_ms or self.clock.wall_ms()) if critical else 0
        revision = self.ledger.next_revision()
        self.ledger.publish_now([(r, structs.replace(r, liveness=liveness, lost_ms=lost_ms, revision=revision))])
        return True

    # ------------------------------------------------------------------ time

    def tick(self) -> None:
        """Let time pass: expiry, self-protection, lost sessions, lingering switches. To be called once a second."""
        monotonic = self.clock.monotonic()
        now = self._time.advance(monotonic)
        self.ledger.drop_expired()
        self._wheel.collect(now)
        self._step()
        self._release_held(now)
        for id in [i for i, due in self._lost_sessions.items() if due <= monotonic]:
            del self._lost_sessions[id]
            self.close_session(id)
        for (service, place), due in list(self._emptied.items()):
            if due <= monotonic and not self.ledger.has_drafts(service):
                del self._emptied[(service, place)]
                address = self.snapshot(service).addresses.get(place)
                if address is not None and not address.registrations:
                    self.ledger.clear_switches_now(service, place)

    def _step(self) -> None:
        self._stepping = False
        now = self._time.now(self.clock.monotonic())
        self._expire(list(self._wheel.overdue(now, LEASES_PER_STEP)), now)
        if self._wheel.behind and not self._stepping:
            self._stepping = True
            self.scheduler.soon(self._step)

    def _expire(self, overdue: list[Held], now: float) -> None:
        """Decide for the leases that ran out: unhealthy, deleted, or held by self-protection."""
        unhealthy: list[tuple[Registration, Registration | None]] = []
        leaving: dict[str, list[tuple[Registration, Held]]] = {}
        for lease in overdue:
            if self._lease(lease.id) is not lease:
                continue
            r = self.ledger.published(lease.id)
            if self.ledger.is_pending(lease.id):
                self._wheel.add(lease)
                continue
            if r is None:  # its registration was never committed
                self._end_lease(lease.id)
                continue
            if lease.delete_s and lease.renewed + lease.delete_s <= now:
                leaving.setdefault(r.namespace, []).append((r, lease))
                continue
            lease.lost = True
            self._wheel.add(lease)
            _count(self.counters.lost, r.source)
            unhealthy.append((r, self._changed(r, lost_ms=self.clock.wall_ms())))
        if unhealthy:
            self.ledger.publish_now(unhealthy)
        for namespace, these in leaving.items():
            self._leave(namespace, these, now)

    def _leave(self, namespace: str, these: list[tuple[Registration, Held]], now: float) -> None:
        protection = self._protection(namespace)
        guarded = [(r, lease) for r, lease in these if lease.protectable]
        free = [(r, lease) for r, lease in these if not lease.protectable]
        if guarded and protection.admit(len(guarded), now):
            free += guarded
            guarded = []
        if guarded:
            held = self._held.setdefault(namespace, {})
            for _, lease in guarded:
                lease.lost = True
                held[lease.id] = lease
            protection.held = len(held)
            lost_ms = self.clock.wall_ms()
            self.ledger.publish_now(
                [(r, self._changed(r, lost_ms=r.lost_ms or lost_ms, held=True)) for r, _ in guarded], stored=False
            )
        self._delete(free, now)

    def _delete(self, these: Iterable[tuple[Registration, Held]], now: float) -> None:
        gone: list[tuple[Registration, Registration | None]] = []
        for r, lease in these:
            self._protection(r.namespace).deleted(lease.delete_s, now)
            _count(self.counters.expired, r.source)
            gone.append((r, None))
            if self.operations:
                self._record("instance", r, "expire", SYSTEM, SETTLED)
        if gone:
            self.ledger.publish_now(gone)

    def _release_held(self, now: float) -> None:
        for namespace, held in self._held.items():
            protection = self._protection(namespace)
            if not held or not protection.over(now):
                continue
            leases, self._held[namespace] = list(held.values()), {}
            protection.held = 0
            found = ((self.ledger.published(lease.id), lease) for lease in leases if self._lease(lease.id) is lease)
            self._delete(((r, lease) for r, lease in found if r is not None), now)

    def _revive(self, r: Registration, now: float) -> Registration:
        """A lost registration was heard of again."""
        liveness = r.liveness
        assert isinstance(liveness, Lease)
        self._start_lease(r, liveness, now)
        alive = self._changed(r, lost_ms=0, held=False)
        self.ledger.publish_now([(r, alive)])
        return self.ledger.published(r.id) or alive

    def _changed(self, r: Registration, *, lost_ms: int, held: bool = False) -> Registration:
        return structs.replace(r, lost_ms=lost_ms, held=held, revision=self.ledger.next_revision())

    # ------------------------------------------------------------------ leases

    def _lease(self, id: RegistrationKey) -> Held | None:
        leases = self._leases.get((id.source, id.namespace))
        return leases.get(id.key) if leases is not None else None

    def _start_lease(self, r: Registration, terms: Lease, now: float, *, lost: bool = False) -> None:
        old = self._lease(r.id)
        if old is not None:
            self._end_lease(r.id)
        lease = Held(r.id, now, terms.unhealthy_ms / 1000, terms.delete_ms / 1000, terms.protectable)
        lease.lost = lost
        self._leases.setdefault((r.source, r.namespace), {})[r.key] = lease
        if terms.delete_ms:
            self._protection(r.namespace).leased += 1
        self._wheel.add(lease)

    def _end_lease(self, id: RegistrationKey) -> None:
        leases = self._leases.get((id.source, id.namespace))
        lease = leases.pop(id.key, None) if leases is not None else None
        if lease is None:
            return
        protection = self._protection(id.namespace)
        if lease.delete_s:
            protection.leased -= 1
        held = self._held.get(id.namespace)
        if held is not None and held.pop(id, None) is not None:
            protection.held = len(held)

    def _protection(self, namespace: str) -> Protection:
        protection = self._protections.get(namespace)
        if protection is None:
            protection = self._protections[namespace] = Protection(self.terms.protection)
        return protection

    # ------------------------------------------------------------------ after a publication

    def _published(self, published: Published) -> None:
        """Keep leases, sessions and emptied addresses in step with what is published."""
        for change in published.changes:
            after = change.after
            left = {r.id for r in after.registrations} if after else set()
            for r in change.before.registrations if change.before else ():
                if r.id not in left and self.ledger.published(r.id) is None and not self._coming(r.id):
                    self._end(r)
            if after is not None and not after.registrations:
                self._emptied[(change.service, change.address)] = self.clock.monotonic() + self.terms.linger_s

    def _wake(self, published: Published) -> None:
        if self.events:
            for event in instance_events(published):
                for sink in self.events:
                    sink(event)
        self.watches.changed(published.services)

    def observe(self, observer: Callable[[Published], None]) -> None:
        """Be told of every publication, synchronously, before any watcher wakes. Must be quick and not raise."""
        self.ledger.observers.append(observer)

    def _coming(self, id: RegistrationKey) -> bool:
        return self.ledger.is_pending(id) and self.ledger.registration(id) is not None

    def _end(self, r: Registration) -> None:
        if isinstance(r.liveness, Lease):
            self._end_lease(r.id)
        elif isinstance(r.liveness, Session):
            keys = self._sessions.get(r.liveness.id)
            if keys is not None:
                keys.pop(r.id, None)
                if not keys:
                    del self._sessions[r.liveness.id]

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
            for sink in self.operations:
                sink(record)

        commit.then(tell)

    def purge(self, before_ms: int) -> None:
        """Let the store forget tombstones older than a time."""
        self._store.purge(before_ms)

    def forget_absent(self) -> int:
        """Drop the empty snapshots of services that do not exist and that nobody watches; how many."""
        ledger = self.ledger
        gone = [
            key
            for key, s in ledger.services.items()
            if s.record is None and not s.addresses and not ledger.has_drafts(key) and not self.watches.watched(key)
        ]
        for key in gone:
            del ledger.services[key]
            folded = self._folded.get((key.namespace, key.name.lower()))
            if folded is not None:
                folded.pop(key, None)
                if not folded:
                    del self._folded[(key.namespace, key.name.lower())]
        return len(gone)

    def close(self) -> None:
        """Wake every watcher and let the store finish."""
        self.watches.wake_all()
        self.ledger.flush()
        self._store.flush()

    def __iter__(self) -> Iterator[ServiceSnapshot]:
        return iter(self.ledger.services.values())


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1
