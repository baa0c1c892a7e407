"""The kept encodings against ones made from nothing: whatever happened, both say the same, at the same revision."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from bottle import CALLER
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from native import BEATING
from reading import INSTANCE, NOTHING, SERVICES, Reader, eureka_info

from polaris_bridge.adapters.polaris.service.discovery import Discovering
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.errors import Conflict
from polaris_bridge.core.model import AddressKey, NamespaceRecord, ServiceKey, ServiceRecord, Switch

NAMESPACES = ("default", "shop")
NAMES = ("orders", "carts")
HOSTS = ("10.0.0.1", "10.0.0.2")


class Kept(RuleBasedStateMachine):
    """Random operations of clients and operators; readers that were there all the time and readers that come new."""

    services = Bundle("services")

    def __init__(self) -> None:
        super().__init__()
        self.server = Reader()
        self.revisions: dict[tuple[str, str], tuple[str, Any]] = {}

    @rule(target=services, namespace=st.sampled_from(NAMESPACES), name=st.sampled_from(NAMES))
    def pick(self, namespace: str, name: str) -> ServiceKey:
        return ServiceKey(namespace, name)

    @rule(
        key=services,
        host=st.sampled_from(HOSTS),
        id=st.sampled_from([None, "x", "y"]),
        version=st.sampled_from(["v1", "v2"]),
        health=st.sampled_from([None, BEATING]),
        isolate=st.sampled_from([None, False, True]),
    )
    def register(
        self, key: ServiceKey, host: str, id: str | None, version: str, health: Any, isolate: bool | None
    ) -> None:
        self.server.register(
            service=key.name, namespace=key.namespace, host=host, id=id, version=version, health_check=health,
            isolate=isolate,
        )  # fmt: skip

    @rule(key=services, host=st.sampled_from(HOSTS), id=st.sampled_from([None, "x", "y"]))
    def deregister(self, key: ServiceKey, host: str, id: str | None) -> None:
        self.server.deregister(service=key.name, namespace=key.namespace, host=host, id=id)

    @rule(app=st.sampled_from(NAMES), host=st.sampled_from(HOSTS), word=st.sampled_from(["up", "down", "starting"]))
    def eureka(self, app: str, host: str, word: str) -> None:
        with suppress(Conflict):  # an alias has no instances
            self.server.eureka(eureka_info(app.upper(), ip_addr=host, instance_id=host), word=word)

    @rule(
        key=services,
        host=st.sampled_from(HOSTS),
        source=st.sampled_from(["polaris", "eureka"]),
        id=st.sampled_from(["", "x"]),
        on=st.booleans(),
    )
    def switch(self, key: ServiceKey, host: str, source: str, id: str, on: bool) -> None:
        switch = Switch(source, id, "out_of_service")
        self.server.registry.switch(key, AddressKey(host, 8080), switch, CALLER, on=on)
        self.server.queue.settle()

    @rule(seconds=st.integers(1, 100))
    def wait(self, seconds: int) -> None:
        self.server.pass_time(seconds)

    @rule(
        key=services,
        business=st.sampled_from(["", "b"]),
        to=st.sampled_from([(), ("default",), ("*",)]),
        alias=st.sampled_from([None, ServiceKey("default", "orders")]),
    )
    def describe(self, key: ServiceKey, business: str, to: tuple[str, ...], alias: ServiceKey | None) -> None:
        taken = any(a.registrations for a in self.server.registry.snapshot(key).addresses.values())
        reference = None if taken or alias == key else alias
        self.server.service(ServiceRecord(*key, {"m": business}, business, export_to=to, reference=reference))

    @rule(key=services)
    def remove(self, key: ServiceKey) -> None:
        try:
            self.server.registry.delete_service(key, CALLER)
        except Conflict:
            return
        self.server.queue.settle()

    @rule(namespace=st.sampled_from(NAMESPACES), to=st.sampled_from([(), ("shop",), ("*",)]))
    def export(self, namespace: str, to: tuple[str, ...]) -> None:
        self.server.namespace(NamespaceRecord(namespace, export_to=to))

    @rule()
    def forget(self) -> None:
        self.server.clock.now_s += 400
        self.server.discovering.sweep()

    @rule()
    def restart(self) -> None:
        before = {name: self._seen(self.server.discovering, *name)[0] for name in _all()}
        self.server.restart()
        assert {name: self._seen(self.server.discovering, *name)[0] for name in _all()} == before

    @invariant()
    def kept_is_new(self) -> None:
        new = self.server.another()
        for namespace, name in _all():
            kept, made = self._seen(self.server.discovering, namespace, name), self._seen(new, namespace, name)
            assert kept == made
            revision, content = kept
            known = self.revisions.get((namespace, name))
            if known is not None and known[0] == revision and revision not in ("", NOTHING):
                assert known[1] == content, "one revision for two contents"
            self.revisions[(namespace, name)] = kept
            if content and content[1]:
                assert revision != NOTHING
        for namespace in (*NAMESPACES, ""):
            kept_list = self.server.ask(SERVICES, "", namespace)
            assert _sorted(kept_list) == _sorted(self.server.ask(SERVICES, "", namespace, of=new))

    def _seen(self, of: Discovering, namespace: str, name: str) -> tuple[str, Any]:
        """Revision, and what readers see, in no order and without what the revision does not cover."""
        answer = self.server.ask(INSTANCE, name, namespace, of=of)
        if answer.code.value != 200000:
            assert answer.code.value == 400202
            return "", None
        found = {}
        for m in answer.instances:
            m.ClearField("mtime")
            place = (m.namespace.value, m.service.value, m.id.value)
            assert place not in found
            found[place] = m.SerializeToString(deterministic=True)
        for service in (answer.service, answer.aliasFor):
            service.ClearField("mtime")
        revision = answer.service.revision.value
        answer.service.ClearField("revision")
        of_service = answer.service.SerializeToString(deterministic=True) if found else b""
        return revision, (of_service, found)


def _all() -> list[tuple[str, str]]:
    return [(namespace, name) for namespace in NAMESPACES for name in NAMES]


def _sorted(answer: v1.DiscoverResponse) -> tuple[str, list[bytes]]:
    listed = sorted(s.SerializeToString(deterministic=True) for s in answer.services)
    return answer.service.revision.value, listed


Kept.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestKept = Kept.TestCase
