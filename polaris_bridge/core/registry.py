"""The door of the core: commands that change the registry, queries that read it, and the tick that lets time pass.

Commands are synchronous: they decide against the newest state and return what happened together with the ``Commit`` that
tells when it is durable and visible. Nothing here waits. Queries return snapshots that never change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Final, TypeVar

from msgspec import Struct, field, structs

from .errors import Conflict, NotFound
from .events import InstanceEvent, OperationRecord, Published, instance_events
from .leases import Held, LeaseTime, Wheel
from .ledger import DEREGISTER, REGISTER, SETTLED, BatchTerms, Commit, Ledger
from .model import (
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
from .ports import Clock, Ended, Scheduler, Store
from .protection import Protection, ProtectionTerms
from .snapshot import ServiceSnapshot, absent
from .watching import Scope, Watches

log = logging.getLogger(__name__)
T = TypeVar("T")

LEASES_PER_STEP: Final = 2000
"""Leases looked at before other work gets its turn: a few milliseconds."""


class Terms(Struct, frozen=True):
    """How the registry behaves; from the configuration file."""

    auto_create_namespace: bool = True
    auto_create_service: bool = True
    batch: BatchTerms = field(default_factory=BatchTerms)
    """Of the queue of writes."""
    deregistration: BatchTerms = field(default_factory=BatchTerms)
    """The same for deregistrations, which share the queue but are bounded on their own."""
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
        limits = {REGISTER: terms.batch, DEREGISTER: terms.deregistration}
        self.ledger = Ledger(store, clock, scheduler, limits)
        self.watches = Watches(clock, scheduler, self.revision_of)
        self.counters = Counters()
        self.operations: list[Callable[[OperationRecord], None]] = []
        self.events: list[Callable[[InstanceEvent], None]] = []
        self.node = ""
        self.ended_before: Sequence[Ended] = ()
        """Registrations that ended before this start, the latest first, as far as they are remembered."""
        self.epoch = 0
        self._store = store
        self._time = LeaseTime(clock.monotonic())
        self._wheel = Wheel(clock.monotonic())
        self._wall_offset_ms = clock.wall_ms() - clock.monotonic() * 1000
        self._leases: dict[tuple[str, str], dict[str, Held]] = {}
        self._protections: dict[str, Protection] = {}
        self._held: dict[str, dict[RegistrationKey, Held]] = {}
        self._sessions: dict[str, dict[RegistrationKey, None]] = {}
        self._open_sessions: set[str] = set()
        self._lost_sessions: dict[str, float] = {}
        self._emptied: dict[tuple[ServiceKey, AddressKey], float] = {}
        self._failing: dict[RegistrationKey, float] = {}
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
        self.ended_before = loaded.ended
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
        ledger.start(loaded.reserved)
        now = self._now()
        for key in dict.fromkeys((*records, *addresses, *switches)):
            self._load_service(key, records.get(key), addresses.get(key, {}), switches.get(key, {}), now)

    def _load_service(
        self,
        key: ServiceKey,
        record: ServiceRecord | None,
        registrations: dict[AddressKey, list[Registration]],
        switches: dict[AddressKey, list[Switch]],
        now: float,
    ) -> None:
        found = {}
        for place in dict.fromkeys((*registrations, *switches)):
            here = sorted(registrations.get(place, ()), key=lambda r: r.created_ms)
            off = tuple(switches.get(place, ()))
            found[place] = Address(*place, tuple(here), off)
            if not here:
                self._emptied[(key, place)] = now + self.terms.linger_s
            for r in here:
                self._load_liveness(r, now)
        self.ledger.services[key] = ServiceSnapshot(key, record, found, self.ledger.floor)
        self.ledger.namespace_revisions[key.namespace] = self.ledger.floor
        self._fold(key)

    def _load_liveness(self, r: Registration, now: float) -> None:
        if isinstance(r.liveness, Lease):
            self._start_lease(r, r.liveness, now, lost=not r.live)
        elif isinstance(r.liveness, Session):
            self._sessions.setdefault(r.liveness.id, {})[r.id] = None
            self._lost_sessions[r.liveness.id] = now + self.terms.session_grace_s
        elif isinstance(r.liveness, Checks):
            self._watch_checks(r, r.liveness, now)

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

    def last_renewed_ms(self, r: Registration) -> int:
        """Wall-clock time of the last sign of life of a leased registration; its update time when it has no lease."""
        lease = self._leases.get((r.source, r.namespace), {}).get(r.key)
        if lease is None:
            return r.updated_ms
        return min(int(lease.renewed * 1000 + self._wall_offset_ms), self.clock.wall_ms())

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
            if isinstance(now.liveness, Checks):
                now = structs.replace(now, liveness=_checked(now.liveness, before, now_ms))
            ledger.put_registration(now)
            self._heard(now.id)
            self._record("instance", now, "register", caller, commit)
        return Registered(now, before, commit)

    def renew(self, key: RegistrationKey) -> Registration | None:
        """A sign of life. None when nothing is registered under the key in the newest state. Not stored."""
        leases = self._leases.get((key[0], key[1]))
        lease = leases.get(key[2]) if leases is not None else None
        r = self.ledger.registration(key)
        if lease is None or r is None:
            return r
        now = self._now()
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
                self._heard(key)
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
        """Delete a namespace without services. None when there is none; raises ``Conflict`` when it has services."""
        ledger = self.ledger
        if ledger.namespace(name) is None:
            return None
        if ledger.service_keys(name):
            raise Conflict(f"namespace {name} has services")
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
            self._lost_sessions[id] = self._now()

    def set_check(self, key: RegistrationKey, check: str, state: str) -> bool:
        """The result of one check of a registration (passing, warning, critical). False when there is no such thing."""
        r = self.ledger.registration(key)
        if r is None or not isinstance(r.liveness, Checks):
            return False
        if r.liveness.states.get(check) == state:
            return True
        if self.ledger.is_pending(key):
            self.amend(key, lambda newest: self._with_check(newest, check, state), SYSTEM, "check")
        else:
            self.ledger.publish_now([(r, self._with_check(r, check, state))])
        return True

    def _with_check(self, r: Registration, check: str, state: str) -> Registration:
        assert isinstance(r.liveness, Checks)
        liveness = structs.replace(r.liveness, states={**r.liveness.states, check: state})
        liveness = _checked(liveness, r, self.clock.wall_ms())
        return structs.replace(r, liveness=liveness, revision=self.ledger.next_revision())

    def _watch_checks(self, r: Registration, checks: Checks, now: float) -> None:
        """Note when a failing registration is to go; forget it when it does not fail."""
        if checks.critical and checks.deregister_ms:
            self._failing.setdefault(r.id, now + checks.deregister_ms / 1000)
        else:
            self._failing.pop(r.id, None)

    # ------------------------------------------------------------------ time

    def tick(self) -> None:
        """Let time pass: expiry, self-protection, lost sessions, lingering switches. To be called once a second."""
        stalls = self._time.stalls
        now = self._time.advance(self.clock.monotonic())
        self._follow_wall_clock(now)
        if self._time.stalls == stalls:  # what waited while this process stood still was not refused by the store
            self.ledger.drop_expired()
        self.ledger.retry()
        self._wheel.collect(now)
        self._step()
        self._release_held(now)
        for id in [i for i, due in self._lost_sessions.items() if due <= now]:
            del self._lost_sessions[id]
            self.close_session(id)
        failed = [self.ledger.published(key) for key, due in self._failing.items() if due <= now]
        if failed:
            self.ledger.publish_now([(r, None) for r in failed if r is not None])
        for (service, place), due in list(self._emptied.items()):
            if due <= now and not self.ledger.has_drafts(service):
                del self._emptied[(service, place)]
                address = self.snapshot(service).addresses.get(place)
                if address is not None and not address.registrations:
                    self.ledger.clear_switches_now(service, place)

    def _follow_wall_clock(self, now: float) -> None:
        """What is shown of lease times follows a wall clock that was set, not its jitter: shown times never go back."""
        offset_ms = self.clock.wall_ms() - now * 1000
        if abs(offset_ms - self._wall_offset_ms) > 500:
            self._wall_offset_ms = offset_ms

    def _step(self) -> None:
        self._stepping = False
        now = self._now()
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
        was_active = protection.active
        if guarded and protection.admit(len(guarded), now):
            free += guarded
            guarded = []
        if protection.active and not was_active:
            log.warning(
                "self-protection: %d of %d leases of namespace %s ended at once; their deletion is held for up to %d s",
                len(guarded),
                protection.leased,
                namespace,
                protection.terms.max_hold_s,
            )
        if guarded:
            held = self._held.setdefault(namespace, {})
            for _, lease in guarded:
                lease.lost = True
                held[lease.id] = lease
            protection.held = len(held)
            lost_ms = self.clock.wall_ms()
            # what was unhealthy before stays so for its own protocol too; it is only not deleted
            fresh = [(r, self._changed(r, lost_ms=lost_ms, held=True)) for r, _ in guarded if r.live]
            self.ledger.publish_now(list(fresh), stored=False)
        self._delete(free, now)

    def _delete(self, these: Iterable[tuple[Registration, Held]], now: float) -> None:
        gone: list[tuple[Registration, Registration | None]] = []
        for r, lease in these:
            if self.ledger.is_pending(r.id):  # its client is registering just now
                self._wheel.add(lease)
                continue
            self._protection(r.namespace).deleted(lease.delete_s, now)
            _count(self.counters.expired, r.source)
            gone.append((r, None))
            if self.operations:
                self._record("instance", r, "expire", SYSTEM, SETTLED)
        if gone:
            self.ledger.publish_now(gone)

    def _release_held(self, now: float) -> None:
        for namespace, protection in self._protections.items():
            if not protection.over(now):
                continue
            leases = list(self._held.pop(namespace, {}).values())
            protection.held = 0
            log.warning("self-protection of namespace %s is over; %d registrations go", namespace, len(leases))
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

    def _now(self) -> float:
        return self._time.now(self.clock.monotonic())

    def _heard(self, key: RegistrationKey) -> None:
        """A command is a sign of life. What else it changes of the lease counts from its publication on."""
        lease = self._lease(key)
        if lease is not None:
            lease.renewed = self._now()

    def _start_lease(self, r: Registration, terms: Lease, renewed: float, *, lost: bool = False) -> None:
        self._end_lease(r.id)
        unhealthy_s, delete_s = _seconds(terms.unhealthy_ms), _seconds(terms.delete_ms)
        lease = Held(r.source, r.namespace, r.key, renewed, unhealthy_s, delete_s, terms.protectable, lost)
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
        """Keep leases, sessions, checks and emptied addresses in step with what is published."""
        for change in published.changes:
            before = {r.id: r for r in change.before.registrations} if change.before is not None else {}
            after = change.after.registrations if change.after is not None else ()
            for r in after:
                was = before.pop(r.id, None)
                if r is not was:
                    self._follow(r, was)
            for r in before.values():
                if self.ledger.published(r.id) is None:
                    self._end(r)
            if after:
                self._emptied.pop((change.service, change.address), None)
            elif change.after is not None:
                self._emptied[(change.service, change.address)] = self._now() + self.terms.linger_s

    def _follow(self, r: Registration, was: Registration | None) -> None:
        """A registration is new or another one: its liveness is now what it says."""
        liveness = r.liveness
        if was is not None and isinstance(was.liveness, Session) and was.liveness != liveness:
            self._leave_session(was.liveness.id, r.id)
        if not isinstance(liveness, Checks):
            self._failing.pop(r.id, None)
        if isinstance(liveness, Lease):
            lease = self._lease(r.id)
            unhealthy_s, delete_s = _seconds(liveness.unhealthy_ms), _seconds(liveness.delete_ms)
            if (
                lease is None
                or (lease.unhealthy_s, lease.delete_s, lease.protectable)
                != (unhealthy_s, delete_s, liveness.protectable)
                or lease.lost is r.live
            ):
                self._start_lease(r, liveness, self._now() if lease is None else lease.renewed, lost=not r.live)
            return
        self._end_lease(r.id)
        if isinstance(liveness, Session):
            self._sessions.setdefault(liveness.id, {})[r.id] = None
            if liveness.id not in self._open_sessions:  # its connection broke while the store was writing
                self._lost_sessions.setdefault(liveness.id, self._now())
        elif isinstance(liveness, Checks):
            self._watch_checks(r, liveness, self._now())

    def _end(self, r: Registration) -> None:
        self._failing.pop(r.id, None)
        self._end_lease(r.id)
        if isinstance(r.liveness, Session):
            self._leave_session(r.liveness.id, r.id)

    def _leave_session(self, session: str, id: RegistrationKey) -> None:
        keys = self._sessions.get(session)
        if keys is not None:
            keys.pop(id, None)
            if not keys:
                del self._sessions[session]

    def _wake(self, published: Published) -> None:
        if self.events:
            for event in instance_events(published):
                _tell(self.events, event)
        self.watches.changed(published.services)

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
        ledger.floor = ledger.revision
        for key in gone:
            del ledger.services[key]
            folded = self._folded.get((key.namespace, key.name.lower()))
            if folded is not None:
                folded.pop(key, None)
                if not folded:
                    del self._folded[(key.namespace, key.name.lower())]
        return len(gone)

    def release_watchers(self) -> None:
        """Shutdown: every watcher answers its client now."""
        self.watches.wake_all()

    @property
    def idle(self) -> bool:
        """Whether everything that happened is in the store."""
        return self.ledger.idle

    def __iter__(self) -> Iterator[ServiceSnapshot]:
        return iter(self.ledger.services.values())


@lru_cache(maxsize=1024)
def _seconds(ms: int) -> float:
    """Cached so that leases of the same length share the number."""
    return ms / 1000


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


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
