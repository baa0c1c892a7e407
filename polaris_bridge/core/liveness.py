"""Liveness: what keeps registrations alive, and what becomes of those that nothing keeps alive any more.

Leases, connections and checks, each with its own clock hand; self-protection, which holds deletions back; and the switches
that linger on an address whose connection was lost. All of it follows what is published and publishes what time does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Final

from msgspec import Struct, field, structs

from .events import Published
from .leases import Held, LeaseTime, Wheel
from .ledger import Ledger
from .model import AddressKey, Checks, Lease, Registration, RegistrationKey, ServiceKey, Session
from .ports import Clock, Scheduler, Witness
from .protection import Protection
from .terms import Terms

log = logging.getLogger(__name__)

LEASES_PER_STEP: Final = 2000
"""Leases looked at before other work gets its turn: a few milliseconds."""


class Counters(Struct):
    """What happened since the start, for metrics."""

    expired: dict[str, int] = field(default_factory=dict)
    """Registrations that ran out and were deleted, by source."""
    lost: dict[str, int] = field(default_factory=dict)
    """Registrations that turned unhealthy by silence, by source."""
    ignored_releases: int = 0
    """Switch releases through a protocol that had not set the switch."""


class Liveness:
    """The liveness of every registration of one ledger. ``expired`` is told of each that is deleted for its silence."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        scheduler: Scheduler,
        terms: Terms,
        expired: Callable[[Registration], None],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._scheduler = scheduler
        self._terms = terms
        self._expired = expired
        self.counters = Counters()
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
        self._stepping = False
        self.witnesses: dict[str, Witness] = {}
        """Who is asked, by source, before a lease that ran out here is believed lost."""
        ledger.observers.append(self._published)

    def load(self, r: Registration) -> None:
        """Begin with a registration that the store held: its lease anew and whole, its connection within the grace."""
        now = self._now()
        if isinstance(r.liveness, Lease):
            self._start_lease(r, r.liveness, now, lost=not r.live)
        elif isinstance(r.liveness, Session):
            self._sessions.setdefault(r.liveness.id, {})[r.id] = None
            self._lost_sessions[r.liveness.id] = now + self._terms.session_grace_s
        elif isinstance(r.liveness, Checks):
            self._watch_checks(r, r.liveness, now)

    def load_emptied(self, service: ServiceKey, place: AddressKey) -> None:
        """Begin with an address that the store held switches of, and nothing else."""
        self._emptied[(service, place)] = self._now() + self._terms.linger_s

    def last_renewed_ms(self, r: Registration) -> int:
        """Wall-clock time of the last sign of life of a leased registration; its update time when it has no lease."""
        lease = self._leases.get((r.source, r.namespace), {}).get(r.key)
        if lease is None:
            return r.updated_ms
        return min(int(lease.renewed * 1000 + self._wall_offset_ms), self._clock.wall_ms())

    def protections(self) -> dict[str, Protection]:
        """Self-protection by namespace, for reports."""
        return self._protections

    def leased(self) -> int:
        """How many registrations have a lease."""
        return sum(map(len, self._leases.values()))

    def renew(self, key: RegistrationKey) -> Registration | None:
        """A sign of life. None when nothing is registered under the key in the newest state. Not stored."""
        leases = self._leases.get((key[0], key[1]))
        lease = leases.get(key[2]) if leases is not None else None
        r = self._ledger.registration(key)
        if lease is None or r is None:
            return r
        if self.witnesses:
            self._tell(key)
        now = self._now()
        if lease.lost and r is self._ledger.published(key):
            return self._revive(r, now)
        lease.renewed = now
        return r

    # ------------------------------------------------------------------ connections and checks

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
            r = self._ledger.published(key)
            if self._ledger.is_pending(key):
                waiting[key] = None
            elif r is not None and r.liveness == Session(id):
                gone.append((r, None))
        if gone:
            self._ledger.publish_now(list(gone), keep_switches=True)
        if waiting:  # registered while the connection broke: ask again when the store has answered
            self._sessions[id] = waiting
            self._lost_sessions[id] = self._now()

    def session_open(self, id: str) -> bool:
        """Whether a connection stands. If not, what it held waits for it in vain or for a while."""
        return id in self._open_sessions

    def session_left_s(self, id: str) -> float:
        """How long what a connection held that is gone still waits for it; 0: it waits no more, or the connection stands."""
        due = self._lost_sessions.get(id)
        return 0.0 if due is None else max(0.0, due - self._now())

    def held_by(self, session: str) -> tuple[RegistrationKey, ...]:
        """What a connection registered."""
        return tuple(self._sessions.get(session, ()))

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
        now = self._time.advance(self._clock.monotonic())
        self._follow_wall_clock(now)
        if self._time.stalls == stalls:  # what waited while this process stood still was not refused by the store
            self._ledger.drop_expired()
        self._ledger.retry()
        self._wheel.collect(now)
        self._step()
        self._release_held(now)
        for id in [i for i, due in self._lost_sessions.items() if due <= now]:
            del self._lost_sessions[id]
            self.close_session(id)
        failed = [self._ledger.published(key) for key, due in self._failing.items() if due <= now]
        if failed:
            self._ledger.publish_now([(r, None) for r in failed if r is not None])
        for (service, place), due in list(self._emptied.items()):
            if due <= now and not self._ledger.has_drafts(service):
                del self._emptied[(service, place)]
                snapshot = self._ledger.services.get(service)
                address = snapshot.addresses.get(place) if snapshot is not None else None
                if address is not None and not address.registrations:
                    self._ledger.clear_switches_now(service, place)

    def _follow_wall_clock(self, now: float) -> None:
        """What is shown of lease times follows a wall clock that was set, not its jitter: shown times never go back."""
        offset_ms = self._clock.wall_ms() - now * 1000
        if abs(offset_ms - self._wall_offset_ms) > 500:
            self._wall_offset_ms = offset_ms

    def _step(self) -> None:
        self._stepping = False
        now = self._now()
        overdue = list(self._wheel.overdue(now, LEASES_PER_STEP))
        self._expire(self._question(overdue) if self.witnesses else overdue, now)
        if self._wheel.behind and not self._stepping:
            self._stepping = True
            self._scheduler.soon(self._step)

    def _tell(self, key: RegistrationKey) -> None:
        witness = self.witnesses.get(key[0])
        if witness is not None:
            witness.heard(key)

    def _question(self, overdue: list[Held]) -> list[Held]:
        """Ask the witnesses of what ran out; what has none is left over. Who is asked is in no slot until the answer."""
        left = []
        asked: dict[str, list[Held]] = {}
        for lease in overdue:
            if lease.lost or lease.source not in self.witnesses:
                left.append(lease)
            elif self._lease(lease.id) is lease:
                asked.setdefault(lease.source, []).append(lease)
        for source, leases in asked.items():
            self.witnesses[source].ask([lease.id for lease in leases], partial(self._testified, leases))
        return left

    def _testified(self, leases: list[Held], ago_s: Mapping[RegistrationKey, float] | None) -> None:
        now = self._now()
        dead = []
        for lease in leases:
            ago = ago_s.get(lease.id) if ago_s is not None else None
            if ago is not None:
                lease.renewed = max(lease.renewed, now - ago)
            if ago_s is None or lease.due > now:
                self._wheel.add(lease)
            else:
                dead.append(lease)
        self._expire(dead, now)

    def _expire(self, overdue: list[Held], now: float) -> None:
        """Decide for the leases that ran out: unhealthy, deleted, or held by self-protection."""
        unhealthy: list[tuple[Registration, Registration | None]] = []
        leaving: dict[str, list[tuple[Registration, Held]]] = {}
        for lease in overdue:
            if self._lease(lease.id) is not lease:
                continue
            r = self._ledger.published(lease.id)
            if self._ledger.is_pending(lease.id):
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
            unhealthy.append((r, self._changed(r, lost_ms=self._clock.wall_ms())))
        if unhealthy:
            self._ledger.publish_now(unhealthy)
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
            lost_ms = self._clock.wall_ms()
            # what was unhealthy before stays so for its own protocol too; it is only not deleted
            fresh = [(r, self._changed(r, lost_ms=lost_ms, held=True)) for r, _ in guarded if r.live]
            self._ledger.publish_now(list(fresh), stored=False)
        self._delete(free, now)

    def _delete(self, these: Iterable[tuple[Registration, Held]], now: float) -> None:
        gone: list[tuple[Registration, Registration | None]] = []
        for r, lease in these:
            if self._ledger.is_pending(r.id):  # its client is registering just now
                self._wheel.add(lease)
                continue
            self._protection(r.namespace).deleted(lease.delete_s, now)
            _count(self.counters.expired, r.source)
            gone.append((r, None))
            self._expired(r)
        if gone:
            self._ledger.publish_now(gone)

    def _release_held(self, now: float) -> None:
        for namespace, protection in self._protections.items():
            if not protection.over(now):
                continue
            leases = list(self._held.pop(namespace, {}).values())
            protection.held = 0
            log.warning("self-protection of namespace %s is over; %d registrations go", namespace, len(leases))
            found = ((self._ledger.published(lease.id), lease) for lease in leases if self._lease(lease.id) is lease)
            self._delete(((r, lease) for r, lease in found if r is not None), now)

    def _revive(self, r: Registration, now: float) -> Registration:
        """A lost registration was heard of again."""
        liveness = r.liveness
        assert isinstance(liveness, Lease)
        self._start_lease(r, liveness, now)
        alive = self._changed(r, lost_ms=0, held=False)
        self._ledger.publish_now([(r, alive)])
        return self._ledger.published(r.id) or alive

    def _changed(self, r: Registration, *, lost_ms: int, held: bool = False) -> Registration:
        return structs.replace(r, lost_ms=lost_ms, held=held, revision=self._ledger.next_revision())

    # ------------------------------------------------------------------ leases

    def _lease(self, id: RegistrationKey) -> Held | None:
        leases = self._leases.get((id.source, id.namespace))
        return leases.get(id.key) if leases is not None else None

    def _now(self) -> float:
        return self._time.now(self._clock.monotonic())

    def heard(self, key: RegistrationKey) -> None:
        """A command is a sign of life. What else it changes of the lease counts from its publication on."""
        lease = self._lease(key)
        if lease is not None:
            lease.renewed = self._now()
        if self.witnesses:
            self._tell(key)

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
            protection = self._protections[namespace] = Protection(self._terms.protection)
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
                if self._ledger.published(r.id) is None:
                    self._end(r)
            if after:
                self._emptied.pop((change.service, change.address), None)
            elif change.after is not None:
                self._emptied[(change.service, change.address)] = self._now() + self._terms.linger_s

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
        if r.source in self.witnesses:
            self.witnesses[r.source].gone(r.id)
        if isinstance(r.liveness, Session):
            self._leave_session(r.liveness.id, r.id)

    def _leave_session(self, session: str, id: RegistrationKey) -> None:
        keys = self._sessions.get(session)
        if keys is not None:
            keys.pop(id, None)
            if not keys:
                del self._sessions[session]


@lru_cache(maxsize=1024)
def _seconds(ms: int) -> float:
    """Cached so that leases of the same length share the number."""
    return ms / 1000


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1
