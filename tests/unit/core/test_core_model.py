"""Random lives of a registry against the oracle: several protocols at few addresses, time that passes and stalls, a store
that is slow, fails or forgets the unacknowledged, watchers that must hear of every change once.

``HYPOTHESIS_PROFILE=soak`` runs it for long and with other choices every time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import structs
from oracle import GRACE_S, LINGER_S, Fact, Facts, Sessions, Spot
from world import CALLER, CHECKED, CONNECTED, LIVENESS, SOURCES, Bench, Clock, Ear, Fate, Runs, World, doc

from polaris_bridge.core.batches import SETTLED, BatchTerms, Commit
from polaris_bridge.core.errors import Busy, Conflict
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import (
    CRITICAL,
    PASSING,
    UP,
    Address,
    AddressKey,
    Checks,
    Ejection,
    Lease,
    Registration,
    RegistrationKey,
    ServiceKey,
    Session,
    Switch,
)
from polaris_bridge.core.protection import ProtectionTerms
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.snapshot import ServiceSnapshot
from polaris_bridge.core.terms import Terms
from polaris_bridge.core.views import shown
from polaris_bridge.core.watching import Scope

EJECTION = Ejection("r", "rule", "calls fail")
SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
SETTINGS = settings(
    max_examples=2000 if SOAK else 100,
    stateful_step_count=80 if SOAK else 40,
    derandomize=not SOAK,
    deadline=None,
    report_multiple_bugs=False,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),  # explaining traces every line: too slow here
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)

TERMS = Terms(
    batch=BatchTerms(queue_size=6, max_batch_count=2, task_life_s=30.0),
    deregistration=BatchTerms(queue_size=6, max_batch_count=2, task_life_s=30.0),
    protection=ProtectionTerms(enabled=False),  # has tests of its own
    session_grace_s=GRACE_S,
    linger_s=LINGER_S,
)

SERVICES = (ServiceKey("n1", "one"), ServiceKey("n1", "two"), ServiceKey("n2", "one"))
PLACES = (AddressKey("10.0.0.1", 80), AddressKey("10.0.0.2", 80))
SPOTS = tuple((service, place) for service in SERVICES for place in PLACES)
READERS = (*SOURCES, "x")
SCOPES: tuple[Scope, ...] = (*SERVICES, "n1", "n2", None)

spots = st.sampled_from(SPOTS)
sources = st.sampled_from(SOURCES)
keys = st.sampled_from(("k1", "k2"))
words = st.sampled_from(("up", "up", "up", "down", "starting"))
tags = st.sampled_from(("x", "y"))


@dataclass
class Asked:
    """A command whose fate is not known yet."""

    apply: Callable[[Facts], None]
    ids: set[RegistrationKey]
    spots: set[Spot]
    fate: Fate
    at: float
    """Lease time of the call."""


def state_of(registry: Registry, id: RegistrationKey) -> str:
    r = registry.registration(id)
    return "gone" if r is None else "live" if r.live else "lost"


def content(snapshot: ServiceSnapshot) -> Any:
    """Everything readers could tell apart."""
    return (snapshot.record, {k: (a.registrations, a.switches, a.ejection) for k, a in snapshot.addresses.items()})


def rendered(address: Address, reader: str) -> list[tuple[str, ...]]:
    return sorted(
        (
            s.registration.source,
            s.registration.key,
            s.word,
            "live" if s.live else "lost",
            "own" if s.own else "foreign",
        )
        for s in shown(address, reader)
    )


class RegistryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(TERMS)
        self.facts = Facts()
        self.sessions = Sessions()
        self.asked: list[Asked] = []
        self.count = 0
        self.lease_s = 0.0
        self.raw_s = 0.0
        self.unsaved = False
        self.revisions: list[int] = []
        self.contents: dict[tuple[ServiceKey, int], Any] = {}
        self.highest: dict[Scope, int] = {}
        self.touched: dict[Scope, int] = {}
        self.before: dict[ServiceKey, ServiceSnapshot] = {}
        self.ears: dict[Scope, Ear] = {}
        self.total: dict[Scope, int] = {}
        self.remembered: list[tuple[Scope, int, int, int]] = []
        self.uncertain: set[Spot] = set()
        """Spots that were ejected while commands on them waited."""
        logging.disable(logging.CRITICAL)
        self.attach()

    def teardown(self) -> None:
        logging.disable(logging.NOTSET)

    # ------------------------------------------------------------------ watching the registry

    @property
    def registry(self) -> Registry:
        return self.world.registry

    def attach(self) -> None:
        """Listen to a new process."""
        registry = self.registry
        registry.ledger.observers.append(self.publication)
        self.ears = {scope: Ear(registry, scope, again=True, min_interval_s=0) for scope in SCOPES}
        for ear in self.ears.values():
            ear.arm()
        self.total = {scope: self.publications(scope) for scope in SCOPES}
        self.touched = dict.fromkeys(SCOPES, 0)
        self.before = {key: registry.snapshot(key) for key in SERVICES}
        for scope in SCOPES:
            now = registry.revision_of(scope)
            assert now >= self.highest.get(scope, 0), f"{scope} went back over a restart"
            self.highest[scope] = now

    def publication(self, published: Published) -> None:
        """One publication: a new revision, a real change, and nothing that had a number before."""
        assert not self.revisions or published.revision > self.revisions[-1], "a revision was used twice"
        self.revisions.append(published.revision)
        assert self.registry.revision == published.revision
        for scope in {s for key in published.services for s in (key, key.namespace, None)}:
            assert self.registry.revision_of(scope) > self.highest[scope], f"{scope} changed under its old revision"
            self.highest[scope] = self.registry.revision_of(scope)
            self.touched[scope] += 1
        for key in published.services:
            snapshot = self.registry.snapshot(key)
            assert content(snapshot) != content(self.before[key]), "told, but nothing changed"
            self.before[key] = snapshot

    # ------------------------------------------------------------------ keeping the oracle in step

    def command(self, run: Callable[[], Any], op: Callable[[Facts], None], ids: set[Any], spots: set[Spot]) -> Any:
        """Run a command; what it does to the facts counts when its commit says so."""
        try:
            done = run()
        except Busy:
            assert self.registry.ledger.waiting >= TERMS.batch.queue_size
            return None
        assert self.registry.ledger.waiting <= 2 * TERMS.batch.queue_size, "more wait than the queues hold"
        if done is not None:
            commit = done if isinstance(done, Commit) else done.commit
            if commit is not SETTLED:
                self.asked.append(Asked(op, ids, spots, Fate(commit), self.lease_s))
        self.step()
        return done

    def step(self) -> None:
        """Let everything settle, then see what became of what."""
        self.world.settle()
        waiting: list[Asked] = []
        for asked in self.asked:
            if asked.fate.result == "ok":
                assert not waiting, "a later command was done before an earlier one"
                asked.apply(self.facts)
            elif asked.fate.result is None:  # what waits behind the one at the store may be given up before it
                waiting.append(asked)
            else:
                for id in asked.ids & self.facts.by_id.keys():  # a sign of life all the same, if it was one
                    self.facts.by_id[id].latest = max(self.facts.by_id[id].latest, asked.at)
            if asked.fate.result is not None:
                for id in asked.ids & self.facts.by_id.keys():
                    self.facts.by_id[id].free = self.lease_s
        self.asked = waiting
        if self.world.store.hold or self.world.store.fail or self.world.store.asked:
            self.unsaved = True
        elif not self.registry.ledger._unsaved and not self.registry.ledger._saving:
            self.unsaved = False
        self.pass_judgement()

    def pending(self, id: RegistrationKey) -> bool:
        return any(id in a.ids for a in self.asked)

    def pass_judgement(self) -> None:
        """What time and broken connections did to each registration has to be within what is allowed."""
        ended: dict[Spot, int] = {}
        for fact in list(self.facts.by_id.values()):
            pending = self.pending(fact.id)
            allowed = self.facts.may_be(fact, self.lease_s, self.raw_s, pending, self.sessions)
            found = state_of(self.registry, fact.id)
            assert found in allowed, f"{fact.id.source}/{fact.id.key} is {found}, may be {allowed}"
            if found == "gone":
                ended[fact.spot] = ended.get(fact.spot, 0) + 1
                if any(fact.spot in a.spots for a in self.asked):
                    self.facts.doubtful.add(fact.spot)
                self.facts.end(fact.id, self.raw_s, keep_switches=isinstance(fact.liveness, Session))
            else:
                if isinstance(fact.liveness, Lease) and fact.lost != (found == "lost"):
                    fact.unsure = False
                fact.lost = found == "lost"
        self.facts.doubtful.update(spot for spot, n in ended.items() if n > 1)
        for spot, since in list(self.facts.emptied.items()):
            if self.raw_s - since >= LINGER_S or self.lease_s < self.raw_s - since:
                self.facts.doubtful.add(spot)
        for spot in self.facts.doubtful:
            found_switches = {(s.source, s.key): (s.word, s.lingers) for s in self.address(spot).switches}
            self.facts.set_switches(spot, found_switches)
        self.facts.doubtful.clear()
        for spot in self.uncertain:
            (self.facts.ejected.add if self.address(spot).ejection else self.facts.ejected.discard)(spot)
        self.uncertain = {spot for spot in self.uncertain if any(spot in asked.spots for asked in self.asked)}

    def address(self, spot: Spot) -> Address:
        return self.registry.snapshot(spot[0]).addresses.get(spot[1]) or Address(*spot[1])

    def newest(self) -> Facts:
        facts = self.facts.copy()
        for asked in self.asked:
            asked.apply(facts)
        return facts

    # ------------------------------------------------------------------ rules: clients

    def fact(self, source: str, key: str, spot: Spot, word: str, tag: str, session: str) -> tuple[Registration, Fact]:
        liveness = Session(session) if source == CONNECTED else LIVENESS[source]
        service, place = spot
        r = doc(
            source, key, namespace=service.namespace, service=service.name, host=place.host, port=place.port,
            liveness=liveness, reported=word, metadata={"tag": tag},
        )  # fmt: skip
        self.count += 1
        return r, Fact(r.id, spot, tag, word, liveness, self.count, self.lease_s, self.lease_s)

    @rule(source=sources, key=keys, spot=spots, word=words, tag=tags, session=st.sampled_from(("s1", "s2")))
    def register(self, source: str, key: str, spot: Spot, word: str, tag: str, session: str) -> None:
        if source == CONNECTED:
            self.open_session(session)
        r, fact = self.fact(source, key, spot, word, tag, session)
        before = self.newest().by_id.get(fact.id)
        if source == CHECKED and before is not None:  # who registers anew brings the results along
            fact.liveness = before.liveness
            r = structs.replace(r, liveness=before.liveness)
        done = self.command(
            lambda: self.registry.register(r, CALLER),
            lambda f: f.put(fact, self.raw_s, self.lease_s),
            {fact.id},
            {spot},
        )
        if done is not None:
            assert (done.before is None) == (before is None)

    @rule(source=sources, key=keys, namespace=st.sampled_from(("n1", "n2")))
    def renew(self, source: str, key: str, namespace: str) -> None:
        id = RegistrationKey(source, namespace, key)
        done = self.registry.renew(id)
        fact = self.facts.by_id.get(id)
        if self.pending(id):
            self.heard(id)
        else:
            assert (done is None) == (fact is None)
            if fact is not None and isinstance(fact.liveness, Lease):
                fact.heard = fact.latest = self.lease_s
                fact.lost = fact.unsure = False
        self.step()

    def heard(self, id: RegistrationKey) -> None:
        """Heard of while a write on it waits: its lease runs on from here, whatever becomes of the write."""
        fact = self.facts.by_id.get(id)
        if fact is not None:
            fact.heard = fact.latest = self.lease_s
            fact.unsure = True
        now = self.lease_s
        fate = next(a.fate for a in reversed(self.asked) if id in a.ids)

        def later(facts: Facts) -> None:
            found = facts.by_id.get(id)
            if found is not None:
                found.heard, found.latest, found.unsure = now, self.lease_s, True

        self.asked.append(Asked(later, {id}, set(), fate, now))
        order = [a for a in self.asked if a.fate is not fate]
        same = [a for a in self.asked if a.fate is fate]
        at = next(i for i, a in enumerate(self.asked) if a.fate is fate)
        self.asked = order[:at] + same + order[at:]

    @rule(source=sources, key=keys, namespace=st.sampled_from(("n1", "n2")), tag=tags, word=words, renews=st.booleans())
    def amend(self, source: str, key: str, namespace: str, tag: str, word: str, renews: bool) -> None:
        id = RegistrationKey(source, namespace, key)
        before = self.newest().by_id.get(id)
        self.count += 1
        seq, now = self.count, self.lease_s

        def op(facts: Facts) -> None:
            fact = facts.by_id[id]
            said = fact.says
            fact.tag, fact.reported = tag, word
            if fact.says != said:
                fact.seq = seq
            if renews and isinstance(fact.liveness, Lease):
                fact.heard, fact.latest = now, self.lease_s
                fact.lost = fact.unsure = False

        done = self.command(
            lambda: self.registry.amend(
                id, lambda r: structs.replace(r, metadata={"tag": tag}, reported=word), CALLER, "m", renews=renews
            ),
            op,
            {id},
            set() if before is None else {before.spot},
        )
        assert done is None or before is not None

    @rule(source=sources, key=keys, namespace=st.sampled_from(("n1", "n2")))
    def deregister(self, source: str, key: str, namespace: str) -> None:
        id = RegistrationKey(source, namespace, key)
        before = self.newest().by_id.get(id)
        done = self.command(
            lambda: self.registry.deregister(id, CALLER),
            lambda f: f.end(id, self.raw_s),
            {id},
            set() if before is None else {before.spot},
        )
        assert done is None or before is not None

    @rule(source=sources, spot=spots)
    def transaction_undone(self, source: str, spot: Spot) -> None:
        """Everything in it is as if it had never been asked for."""
        leased = self.registry.leased()
        with pytest.raises((Conflict, Busy)), self.registry.transaction():  # noqa: PT012 (the block is what is undone)
            for key in ("k1", "k2"):
                r, _ = self.fact(source, key, spot, "down", "undone", "s3")
                self.registry.register(structs.replace(r, liveness=LIVENESS["b"]), CALLER)
            self.registry.deregister(RegistrationKey("a", spot[0].namespace, "k1"), CALLER)
            raise Conflict("no")
        assert self.registry.leased() == leased
        for fact in self.facts.by_id.values():  # whoever asked is alive, even if nothing came of it
            if fact.id in {RegistrationKey(source, spot[0].namespace, key) for key in ("k1", "k2")}:
                fact.latest = self.lease_s
        self.step()

    # ------------------------------------------------------------------ rules: operators

    @rule(
        spot=spots, source=sources, key=st.sampled_from(("", "k1", "k2")), on=st.booleans(), lingers=st.booleans(),
        word=st.sampled_from(("out_of_service", "down", UP)),
    )  # fmt: skip
    def switch(self, spot: Spot, source: str, key: str, on: bool, lingers: bool, word: str) -> None:
        self.command(
            lambda: self.registry.switch(*spot, Switch(source, key, word, lingers), CALLER, on=on),
            lambda f: f.turn(spot, (source, key), word, lingers, on),
            set(),
            {spot},
        )

    @precondition(lambda self: self.facts.by_id)
    @rule(which=st.integers(0, 99), on=st.sampled_from((True, True, False)))
    def eject(self, which: int, on: bool) -> None:
        """Somebody found that calls to an address fail, or go well again."""
        standing = sorted({fact.spot for fact in self.facts.by_id.values()})
        spot = standing[which % len(standing)]
        (self.facts.ejected.add if on else self.facts.ejected.discard)(spot)
        if self.emptied_meanwhile(spot):  # who registers after that may or may not be the one that was ejected
            self.uncertain.add(spot)
        self.registry.ejections.put(spot[0], {spot[1]: EJECTION if on else None})
        self.step()

    def emptied_meanwhile(self, spot: Spot) -> bool:
        """Whether pending commands leave nobody at a spot, if only for a while."""
        facts = self.facts.copy()
        for asked in self.asked:
            asked.apply(facts)
            if not facts.at(spot):
                return True
        return False

    @rule(spot=spots)
    def delete_address(self, spot: Spot) -> None:
        ids = [f.id for f in self.newest().at(spot)]

        def op(facts: Facts) -> None:
            for id in ids:
                facts.end(id, self.raw_s)

        self.command(lambda: self.registry.delete_address(*spot, CALLER), op, set(ids), {spot})

    # ------------------------------------------------------------------ rules: connections, checks

    @rule(session=st.sampled_from(("s1", "s2")))
    def open_session(self, session: str) -> None:
        self.registry.open_session(session)
        self.sessions.open.add(session)
        self.sessions.awaited.pop(session, None)
        self.sessions.closed.pop(session, None)

    @rule(session=st.sampled_from(("s1", "s2")))
    def close_session(self, session: str) -> None:
        if session not in self.sessions.open:
            return
        self.registry.close_session(session)
        self.sessions.open.discard(session)
        self.sessions.closed[session] = self.lease_s
        for fact in self.facts.by_id.values():
            if fact.liveness == Session(session) and not self.pending(fact.id):
                assert state_of(self.registry, fact.id) == "gone", "its connection is gone"
        self.step()

    @rule(key=keys, namespace=st.sampled_from(("n1", "n2")), check=st.sampled_from(("p", "q")), bad=st.booleans())
    def set_check(self, key: str, namespace: str, check: str, bad: bool) -> None:
        id = RegistrationKey(CHECKED, namespace, key)
        fact = self.facts.by_id.get(id)
        if self.pending(id):
            return
        state = CRITICAL if bad else PASSING
        assert self.registry.set_check(id, check, state) == (fact is not None)
        if fact is not None:
            assert isinstance(fact.liveness, Checks)
            fact.liveness = Checks({**fact.liveness.states, check: state})
        self.step()

    # ------------------------------------------------------------------ rules: time

    def moved(self, seconds: float, heard: float) -> None:
        self.raw_s += seconds
        self.lease_s += heard

    @rule(seconds=st.sampled_from((1, 2, 5, 13, 16, 31, 58, 92)))
    def time_passes(self, seconds: int) -> None:
        for _ in range(seconds):
            self.world.clock.move(1)
            self.moved(1, 1)
            self.registry.tick()
            self.step()

    @rule(seconds=st.sampled_from((0.25, 0.5, 1.5)))
    def uneven_tick(self, seconds: float) -> None:
        self.world.clock.move(seconds)
        self.moved(seconds, seconds)
        self.registry.tick()
        self.step()

    @rule(seconds=st.sampled_from((3, 40, 600)), first=st.sampled_from(("tick", "renew")))
    def process_stalls(self, seconds: int, first: str) -> None:
        """Nobody runs for a while: nobody loses anything for that."""
        self.world.clock.move(seconds)
        self.moved(seconds, 1)
        if first == "renew":
            for id in list(self.facts.by_id)[:1]:
                self.renew(id.source, id.key, id.namespace)
        self.registry.tick()
        self.step()

    # ------------------------------------------------------------------ rules: the store

    @rule()
    def store_gets_slow(self) -> None:
        self.world.store.hold = True

    @precondition(lambda self: self.world.store.asked)
    @rule()
    def store_answers_one(self) -> None:
        self.world.store.answer()
        self.step()

    @rule()
    def store_recovers(self) -> None:
        self.world.store.hold = False
        self.world.store.fail = 0
        self.world.answer_all()
        self.step()

    @rule(times=st.integers(1, 2))
    def store_fails(self, times: int) -> None:
        self.world.store.fail = times
        if self.world.store.asked:
            self.world.store.answer()
        self.step()

    @rule()
    def restart(self) -> None:
        """Killed and started again: what was acknowledged is there, what was not is not."""
        self.facts.ejected.clear()  # nothing of it is stored
        self.uncertain.clear()
        sure = None if self.unsaved else self.expected()
        self.asked.clear()
        self.world.store.fail = 0
        self.world.restart()
        self.attach()
        if sure is None:
            self.adopt()
        else:
            assert self.views() == sure, "a restart changed what readers see"
        for fact in self.facts.by_id.values():
            fact.heard = fact.latest = self.lease_s
            fact.unsure = False
            if isinstance(fact.liveness, Session):
                self.sessions.awaited[fact.liveness.id] = (self.lease_s, self.raw_s)
        self.sessions.open.clear()
        self.sessions.closed.clear()
        self.facts.emptied = {s: self.raw_s for s in self.facts.switches if not self.facts.at(s)}
        self.step()

    def adopt(self) -> None:
        """What was published at once may be lost with the process: the stored form of these facts counts again."""
        kept = self.facts
        self.facts = Facts()
        for snapshot in self.registry:
            for place, address in snapshot.addresses.items():
                spot = (snapshot.key, place)
                for r in address.registrations:
                    known = kept.by_id.get(r.id)
                    fact = Fact(
                        r.id,
                        spot,
                        r.metadata["tag"],
                        r.reported,
                        r.liveness,
                        r.seq,
                        self.lease_s,
                        self.lease_s,
                        not r.live,
                    )
                    assert known is None or known.says == fact.says, "an unacknowledged document came back"
                    self.facts.by_id[r.id] = fact
                self.facts.set_switches(spot, {(s.source, s.key): (s.word, s.lingers) for s in address.switches})
        for id, fact in kept.by_id.items():
            assert id in self.facts.by_id or fact.liveness is not None, "an acknowledged registration is lost"
        seqs = sorted(self.facts.by_id.values(), key=lambda f: f.seq)
        for fact in seqs:
            self.count += 1
            fact.seq = self.count

    # ------------------------------------------------------------------ rules: late watchers

    @rule(scope=st.sampled_from(SCOPES))
    def remember(self, scope: Scope) -> None:
        """Somebody reads, and will ask for what is newer much later."""
        self.remembered.append((scope, self.registry.revision_of(scope), self.publications(scope), self.registry.epoch))

    def publications(self, scope: Scope) -> int:
        return self.total.get(scope, 0) + self.touched.get(scope, 0)

    @precondition(lambda self: self.remembered)
    @rule()
    def arm_late(self) -> None:
        scope, since, count, epoch = self.remembered.pop(0)
        ear = Ear(self.registry, scope)
        ear.arm(since)
        self.world.settle()
        if self.publications(scope) > count:
            assert ear.fired == 1, "missed"
        elif self.registry.epoch == epoch:
            assert ear.fired == 0, "fired without a change"
        ear.watcher.cancel()

    # ------------------------------------------------------------------ what must always hold

    @invariant()
    def all_of_it_holds(self) -> None:
        """One invariant, so that a failure reads as a list of steps."""
        self.readers_see_what_the_documents_say()
        self.switches_are_the_expected()
        self.the_live_are_shown_once()
        self.views_ignore_the_path()
        self.index_equals_scan()
        self.a_revision_names_one_content()
        self.watchers_heard_of_every_change_once()
        self.nothing_wakes_for_nothing()
        self.the_store_replays_to_what_is_in_memory()
        self.leases_are_those_of_registrations()

    def views(self) -> dict[tuple[Spot, str], Any]:
        return {
            (spot, reader): seen
            for spot in SPOTS
            for reader in READERS
            if (seen := rendered(self.address(spot), reader))
        }

    def expected(self) -> dict[tuple[Spot, str], Any]:
        return {(spot, reader): seen for spot in SPOTS for reader in READERS if (seen := self.facts.view(spot, reader))}

    def readers_see_what_the_documents_say(self) -> None:
        assert self.views() == self.expected()

    def switches_are_the_expected(self) -> None:
        found = {
            spot: {(s.source, s.key): (s.word, s.lingers) for s in self.address(spot).switches}
            for spot in SPOTS
            if self.address(spot).switches
        }
        assert found == self.facts.switches

    def the_live_are_shown_once(self) -> None:
        for spot in SPOTS:
            here = self.facts.at(spot)
            for reader in READERS:
                seen = shown(self.address(spot), reader)
                assert seen or not here
                lives = any(not f.lost for f in here) and spot not in self.facts.ejected
                assert seen == () or all(s.live for s in seen) == lives
                assert len({s.registration.source for s in seen}) <= 1
                assert len(seen) <= max((sum(f.source == s.registration.source for f in here) for s in seen), default=0)

    def views_ignore_the_path(self) -> None:
        for spot in SPOTS:
            address = self.address(spot)
            turned = structs.replace(
                address, registrations=address.registrations[::-1], switches=address.switches[::-1]
            )
            for reader in READERS:
                assert rendered(turned, reader) == rendered(address, reader)

    def index_equals_scan(self) -> None:
        scanned = {r.id: r for s in self.registry for a in s.addresses.values() for r in a.registrations}
        indexed = {r.id: r for by_key in self.registry.ledger.index.values() for r in by_key.values()}
        assert indexed == scanned
        for s in self.registry:
            for place, address in s.addresses.items():
                assert address.key == place
                assert address.registrations or address.switches
                assert address.registrations or not address.ejection
                assert all(r.service_key == s.key and r.address == place for r in address.registrations)
            ejected = {place: a.ejection for place, a in s.addresses.items() if a.ejection is not None}
            assert self.registry.ejections.of(s.key) == ejected

    def a_revision_names_one_content(self) -> None:
        for key in SERVICES:
            snapshot = self.registry.snapshot(key)
            known = self.contents.setdefault((key, snapshot.revision), content(snapshot))
            assert known == content(snapshot)
            assert snapshot.revision <= self.registry.revision
            assert snapshot.revision <= self.registry.revision_of(key.namespace) <= self.registry.revision

    def watchers_heard_of_every_change_once(self) -> None:
        for scope, ear in self.ears.items():
            assert ear.fired == self.touched[scope], f"watcher of {scope}"
            assert not ear.seen or ear.seen[-1] == self.registry.revision_of(scope)

    def nothing_wakes_for_nothing(self) -> None:
        for key in SERVICES:
            assert content(self.registry.snapshot(key)) == content(self.before[key]), "changed, but nobody was told"

    def the_store_replays_to_what_is_in_memory(self) -> None:
        if self.unsaved or self.asked:
            return
        copy = Bench()
        copy.rows = dict(self.world.store.rows)
        copy.reserved = self.world.store.reserved
        clock = Clock()
        other = Registry(copy, clock, Runs(clock), TERMS)
        other.load()
        for key in SERVICES:
            mine, theirs = self.registry.snapshot(key), other.snapshot(key)
            assert mine.record == theirs.record
            assert facts_of(mine) == facts_of(theirs)
            if not self.registry.ejections.of(key):  # of which nothing is stored
                assert mine.content_hash == theirs.content_hash

    def leases_are_those_of_registrations(self) -> None:
        if self.asked:
            return
        leased = sum(isinstance(f.liveness, Lease) for f in self.facts.by_id.values())
        assert self.registry.leased() == leased


def facts_of(snapshot: ServiceSnapshot) -> Any:
    """What stands where, the order apart in which it came."""
    return {
        place: (
            {r.id: (structs.replace(r, revision=0, updated_ms=0)) for r in a.registrations},
            {(s.source, s.key): s for s in a.switches},
        )
        for place, a in snapshot.addresses.items()
    }


RegistryMachine.TestCase.settings = SETTINGS
TestRegistry = pytest.mark.timeout(0 if SOAK else 120)(RegistryMachine.TestCase)
