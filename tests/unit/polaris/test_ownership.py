"""One instance, several protocols: random lives of native and Eureka registrations at the same addresses.

What readers see is compared with the rules of ownership written down naively: documents are never merged, who speaks keeps an
address alive, "no traffic" once said is believed, a withdrawal holds until its own protocol releases it. A second machine
lets only native clients speak, and compares every answer with a lone native server's.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest
from bottle import CALLER
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import Struct, structs
from native import OK, Native, instance, named

from polaris_bridge.adapters.eureka.service import EurekaService
from polaris_bridge.adapters.eureka.settings import EurekaSettings
from polaris_bridge.adapters.eureka.wire.messages import InstanceInfo, LeaseInfo, Port
from polaris_bridge.adapters.polaris.service.registration import FREE_BEATS
from polaris_bridge.adapters.polaris.translate.keys import instance_id
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Address, Caller, Registration, RegistrationKey, same_document
from polaris_bridge.core.ports import OpenDoor
from polaris_bridge.core.protection import ProtectionTerms
from polaris_bridge.core.terms import Terms
from polaris_bridge.core.views import shown

HOSTS = st.sampled_from(["10.0.0.1", "10.0.0.2"])
NAMESPACES = st.sampled_from(["default", "default", "default", "prod"])
GIVEN = st.sampled_from([None, None, "own-1", "own-2"])
FLAG = st.sampled_from([None, None, True, False])
PORT = 8080
DURATION_S, TTL_S = 40, 5
SLACK_S = 2.01
"""A lease ends within this after its time, never before."""
EUREKA = Caller("eureka", "10.8.8.8")
WORSE = ("up", "unknown", "starting", "out_of_service", "down")
UP, DOWN = "up", "down"


class Known(Struct):
    """A native registration as a lone native server has it. ``due_s`` None: no heartbeats were agreed on."""

    namespace: str
    host: str
    weight: int
    healthy: bool
    ttl: bool
    due_s: float | None


class Natives(RuleBasedStateMachine):
    """Native clients alone; a naive native server runs beside."""

    def __init__(self) -> None:
        super().__init__()
        self.native = Native(Terms(protection=ProtectionTerms(enabled=False)))
        self.known: dict[str, Known] = {}
        self.isolated: set[str] = set()
        self.strangers: dict[str, int] = {}
        self.alone = True
        self.notes = 0
        self.touched: set[RegistrationKey] = set()
        self.facts = self.registrations()

    # -------------------------------------------------------------- native clients

    @rule(given=GIVEN, namespace=NAMESPACES, host=HOSTS, ttl=st.booleans(), healthy=FLAG, isolate=FLAG)
    def register(
        self, given: str | None, namespace: str, host: str, ttl: bool, healthy: bool | None, isolate: bool | None
    ) -> None:
        self.notes += 1
        id = given or instance_id(namespace, "orders", host, PORT)
        beating = {"type": 1, "heartbeat": {"ttl": {"value": TTL_S}}} if ttl else None
        answer = self.native.register(
            id=given, namespace=namespace, host=host, healthy=healthy, isolate=isolate, health_check=beating,
            weight=self.notes,
        )  # fmt: skip
        assert (answer.code.value, answer.instance.id.value) == (OK, id)
        well = healthy is not False
        due_s = self.now_s + 3 * TTL_S if ttl and well else None
        self.known[id] = Known(namespace, host, self.notes, well, ttl, due_s)
        self.strangers.pop(id, None)
        if isolate is not None:
            (self.isolated.add if isolate else self.isolated.discard)(id)
        self.touch(id)

    @rule(given=GIVEN, namespace=NAMESPACES, host=HOSTS, by_id=st.booleans())
    def deregister(self, given: str | None, namespace: str, host: str, by_id: bool) -> None:
        id = given or instance_id(namespace, "orders", host, PORT)
        asked = named(id) if by_id or given else instance(namespace=namespace, host=host)
        answer = self.native.deregister(asked)
        assert (answer.code.value, answer.instance.id.value) == (OK, id)
        if self.known.pop(id, None) is not None and self.alone:
            self.isolated.discard(id)
        self.touch(id)

    @rule(given=GIVEN, namespace=NAMESPACES, host=HOSTS, batch=st.booleans())
    def beat(self, given: str | None, namespace: str, host: str, batch: bool) -> None:
        id = given or instance_id(namespace, "orders", host, PORT)
        known = self.known.get(id)
        if batch:
            self.native.heartbeats.beat(beats(id), CALLER)
            self.native.queue.settle()
        else:
            expected = OK
            if known is None:
                self.strangers[id] = self.strangers.get(id, 0) + 1
                expected = OK if self.strangers[id] <= FREE_BEATS else 400202
            assert self.native.beat(named(id) if given else instance(namespace=namespace, host=host)) == expected
        if known is not None and known.ttl:
            known.healthy, known.due_s = True, self.now_s + 3 * TTL_S
        self.touch(id)

    # -------------------------------------------------------------- operators and time

    @rule(host=HOSTS)
    def delete(self, host: str) -> None:
        """An operator's delete: everything at the address ends."""
        service, place = self.native.place
        place = place._replace(host=host)
        address = self.native.registry.snapshot(service).addresses.get(place)
        self.native.registry.delete_address(service, place, CALLER)
        self.native.queue.settle()
        self.touched |= {r.id for r in address.registrations} if address is not None else set()
        for id in [id for id, k in self.known.items() if (k.namespace, k.host) == ("default", host)]:
            del self.known[id]
            self.isolated.discard(id)

    @rule(seconds=st.sampled_from([1, 4, 9, 16, 45]))
    def time_passes(self, seconds: int) -> None:
        self.native.pass_time(seconds)
        for id, known in self.known.items():
            if known.due_s is None or known.due_s > self.now_s:
                continue
            r = self.native.registry.registration(RegistrationKey("polaris", known.namespace, id))
            assert r is not None
            if not r.live or known.due_s + SLACK_S <= self.now_s:
                known.healthy, known.due_s = False, None
        self.late()

    def late(self) -> None:
        """What time may have changed: leases that ran out."""
        before, now = self.facts, self.registrations()
        for key, r in before.items():
            gone = now.get(key)
            if gone is None:
                assert key.source == "eureka"
                self.touched.add(key)
            elif gone.lost_ms != r.lost_ms:
                assert r.live
                self.touched.add(key)

    @rule()
    def restart(self) -> None:
        """Another process on the same store: nobody sees a change that no client made."""
        before = self.readers()
        self.native.restart()
        assert self.readers() == before
        for known in self.known.values():
            if known.due_s is not None:
                known.due_s = self.now_s + 3 * TTL_S
        self.strangers.clear()

    # -------------------------------------------------------------- comparing

    @property
    def now_s(self) -> float:
        return self.native.clock.now_s

    def touch(self, id: str) -> None:
        self.touched |= {RegistrationKey("polaris", namespace, id) for namespace in ("default", "prod")}

    def registrations(self) -> dict[RegistrationKey, Registration]:
        return {r.id: r for s in self.native.registry for a in s.addresses.values() for r in a.registrations}

    def readers(self) -> list[Any]:
        """What every reader sees."""
        return [plain(self.native.shown(namespace=namespace)) for namespace in ("default", "prod")]

    @invariant()
    def only_its_own_calls_change_a_registration(self) -> None:
        before, now = self.facts, self.registrations()
        for key in before.keys() | now.keys():
            if key in self.touched:
                continue
            was, still = before.get(key), now.get(key)
            assert was is not None
            assert still is not None
            assert same_document(was, still)
            assert (was.live, was.liveness, was.created_ms) == (still.live, still.liveness, still.created_ms)
        self.facts = now
        self.touched = set()

    @invariant()
    def as_a_lone_native_server(self) -> None:
        if not self.alone:
            return
        for namespace in ("default", "prod"):
            assert plain(self.native.shown(namespace=namespace)) == {
                id: (k.host, k.weight, k.healthy, id in self.isolated)
                for id, k in self.known.items()
                if k.namespace == namespace
            }


class TwoProtocols(Natives):
    """Native and Eureka clients at the same addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.alone = False
        self.begin()

    def begin(self) -> None:
        self.eureka = EurekaService(self.native.registry, EurekaSettings(), OpenDoor())
        self.eureka.view("default")

    @rule(id=st.sampled_from(["e1", "e2"]), host=HOSTS, status=st.sampled_from(["UP", "UP", "UP", "DOWN", "STARTING"]))
    def eureka_registers(self, id: str, host: str, status: str) -> None:
        self.notes += 1
        info = InstanceInfo(
            app="ORDERS", instance_id=id, ip_addr=host, port=Port(PORT, True), status=status, vip_address="orders",
            lease=LeaseInfo(30, DURATION_S), metadata={"n": str(self.notes)}, last_dirty_ms=self.notes,
        )  # fmt: skip
        self.eureka_did(id, self.eureka.register("default", info, EUREKA, False).status)

    @rule(id=st.sampled_from(["e1", "e2"]))
    def eureka_renews(self, id: str) -> None:
        known = self.native.registry.newest(RegistrationKey("eureka", "default", f"ORDERS/{id}")) is not None
        outcome = self.eureka.renew("default", "ORDERS", id, None, None, False, EUREKA)
        assert outcome.status in ({200, 404} if known else {404})
        self.eureka_did(id, outcome.status)

    @rule(id=st.sampled_from(["e1", "e2"]))
    def eureka_cancels(self, id: str) -> None:
        self.eureka_did(id, self.eureka.cancel("default", "ORDERS", id, EUREKA).status)

    @rule(id=st.sampled_from(["e1", "e2"]), word=st.sampled_from(["OUT_OF_SERVICE", "UP"]))
    def eureka_overrides(self, id: str, word: str) -> None:
        self.eureka_did(id, self.eureka.set_status("default", "ORDERS", id, word, None, EUREKA).status)

    @rule(id=st.sampled_from(["e1", "e2"]))
    def eureka_lifts_the_override(self, id: str) -> None:
        self.eureka_did(id, self.eureka.delete_status("default", "ORDERS", id, "UP", None, EUREKA).status)

    def eureka_did(self, id: str, status: int) -> None:
        assert status in (200, 204, 404)
        self.native.queue.settle()
        self.touched.add(RegistrationKey("eureka", "default", f"ORDERS/{id}"))

    @rule()
    def restart(self) -> None:
        before = self.readers()
        self.native.restart()
        self.begin()
        assert self.readers() == before
        for known in self.known.values():
            if known.due_s is not None:
                known.due_s = self.now_s + 3 * TTL_S
        self.strangers.clear()

    # -------------------------------------------------------------- comparing

    def readers(self) -> list[Any]:
        return [*super().readers(), self.eureka_list()]

    def eureka_list(self) -> dict[str, tuple[str, str, bool]]:
        """(status, note or weight, own) by id."""
        found: dict[str, tuple[str, str, bool]] = {}
        for application in self.eureka.view("default").applications.values():
            for entry in application.entries:
                assert entry.id not in found
                found[entry.id] = (entry.word, note(entry.registration), entry.own)
        return found

    @invariant()
    def the_naive_server_agrees_on_what_is_registered(self) -> None:
        own = {k.key: r for k, r in self.registrations().items() if k.source == "polaris"}
        assert {id: (r.namespace, r.host, r.weight) for id, r in own.items()} == {
            id: (k.namespace, k.host, k.weight) for id, k in self.known.items()
        }

    @invariant()
    def native_readers_see_the_rules(self) -> None:
        for namespace in ("default", "prod"):
            expected: dict[str, Any] = {}
            for address in self.addresses(namespace):
                expected |= seen_natively(address, self.known)
            assert plain(self.native.shown(namespace=namespace)) == expected

    @invariant()
    def eureka_readers_see_the_rules(self) -> None:
        expected: list[tuple[str, str, bool]] = []
        hidden = 0
        for address in self.addresses("default"):
            listed, silent = seen_by_eureka(address)
            expected += listed
            hidden += len(silent)
        listed = sorted(self.eureka_list().values())
        assert [one for one in listed if one in expected] == sorted(expected)
        assert len(expected) <= len(listed) <= len(expected) + hidden

    @invariant()
    def where_somebody_lives_something_is_shown(self) -> None:
        for address in self.addresses("default"):
            for reader in ("polaris", "eureka", "nacos"):
                found = shown(address, reader)
                if any(r.live for r in address.registrations):
                    assert found
                    assert all(s.live for s in found)
                assert len({s.registration.source for s in found}) <= 1, "documents are never mixed"
                if reader == "nacos" and found:
                    speaking = [r for r in address.registrations if r.live] or list(address.registrations)
                    assert found[0].registration.source == max(speaking, key=lambda r: r.seq).source

    @invariant()
    def views_do_not_depend_on_the_path(self) -> None:
        """The same facts in another order show the same."""
        for address in self.addresses("default"):
            turned = structs.replace(address, registrations=address.registrations[::-1])
            for reader in ("polaris", "eureka", "nacos"):
                assert sorted(map(told, shown(address, reader))) == sorted(map(told, shown(turned, reader)))

    def addresses(self, namespace: str) -> list[Address]:
        service = self.native.place[0]._replace(namespace=namespace)
        return list(self.native.registry.snapshot(service).addresses.values())


# ---------------------------------------------------------------- the rules, naively


def seen_natively(address: Address, known: dict[str, Known]) -> dict[str, Any]:
    """(host, weight, healthy, isolated) by id: all own ones while one of them is heard of, or nobody is."""
    own = [r for r in address.registrations if r.source == "polaris"]
    others = [r for r in address.registrations if r.source != "polaris"]
    foreign_off = off(address, "eureka")
    if own and (any(r.live for r in own) or not any(r.live for r in others)):
        mine = {s.key for s in address.switches if s.source == "polaris" and s.on}
        return {r.key: (r.host, r.weight, known[r.key].healthy, foreign_off or r.key in mine) for r in own}
    speaking = [r for r in others if r.live]
    word = max((r.reported for r in speaking), key=WORSE.index, default=UP)
    withdrawn = foreign_off or off(address, "polaris") or word != UP
    found: dict[str, Any] = {}
    for index, r in enumerate(speaking):
        base = f"{r.namespace}##{r.service}##{r.host}##{r.port}"
        id = hashlib.sha1((f"{base}##{r.source}##{r.key}" if index else base).encode()).hexdigest()
        found[id] = (r.host, 100, foreign_off or off(address, "polaris") or word != DOWN, withdrawn)
    return found


def seen_by_eureka(address: Address) -> tuple[list[tuple[str, str, bool]], list[Registration]]:
    """(word, note, own) of what is listed, and what may be listed still although it is silent."""
    own = [r for r in address.registrations if r.source == "eureka" and r.live]
    native_off = off(address, "polaris")
    if own:
        return [("out_of_service" if native_off else r.reported, note(r), True) for r in own], []
    natives = [r for r in address.registrations if r.source == "polaris"]
    live = [r for r in natives if r.live]
    failing = any(r.liveness is not None and not hasattr(r.liveness, "interval_ms") for r in live)
    word = DOWN if failing else UP
    if native_off or off(address, "eureka"):
        word = "out_of_service"
    return [(word, note(r), False) for r in live], [] if live else natives


def off(address: Address, source: str) -> bool:
    """Whether a protocol withdrew the address: all of its ids there are off."""
    keys = {s.key for s in address.switches if s.source == source and s.on}
    return bool(keys) and {r.key for r in address.registrations if r.source == source} <= keys


def note(r: Registration) -> str:
    return r.metadata.get("n") or str(r.weight)


def told(s: Any) -> tuple[Any, ...]:
    return (s.registration.id, s.word, s.live, s.own)


def plain(found: dict[str, Any]) -> dict[str, Any]:
    """(host, weight, healthy, isolated) by id."""
    return {id: (m.host.value, m.weight.value, m.healthy.value, m.isolate.value) for id, m in found.items()}


def beats(id: str) -> v1.HeartbeatsRequest:
    """A batch of one."""
    return v1.HeartbeatsRequest(heartbeats=[{"instanceId": id}])


SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
LIVES = settings(
    max_examples=1000 if SOAK else 30,
    stateful_step_count=60 if SOAK else 30,
    derandomize=not SOAK,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
Natives.TestCase.settings = LIVES
TwoProtocols.TestCase.settings = LIVES
TestNativesAlone = pytest.mark.timeout(0 if SOAK else 120)(Natives.TestCase)
TestTwoProtocols = pytest.mark.timeout(0 if SOAK else 120)(TwoProtocols.TestCase)
