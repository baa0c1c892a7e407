"""Documents: commit then publish like everything else, found by what they are about, forgotten when their lease runs out."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from world import CALLER, NAMESPACE, ORDERS, Ear, Fate, World, doc

from polaris_bridge.core.documents import ANY
from polaris_bridge.core.events import OperationRecord, Published
from polaris_bridge.core.model import Document, ServiceKey

RULE = "routing"


def limit(id: str = "r1", *targets: ServiceKey, **changes: object) -> Document:
    return Document(RULE, id, NAMESPACE, f"name of {id}", targets or (ORDERS,), body=b"{}", **changes)  # type: ignore[arg-type]


def test_it_is_seen_when_it_is_durable_and_not_before() -> None:
    world = World()
    documents = world.registry.documents
    told: list[Published] = []
    world.registry.observe(told.append)
    with world.slow_store():
        fate = Fate(documents.put(limit(), CALLER))
        world.settle()
        assert documents.get(RULE, "r1") is None
        assert documents.newest(RULE, "r1") is not None
        assert [d.id for d in documents.newest_all(RULE)] == ["r1"]
        assert fate.result is None
    assert fate.result == "ok"
    found = documents.get(RULE, "r1")
    assert found is not None
    assert (found.created_ms, found.updated_ms, found.enabled_ms) == (world.clock.now_ms,) * 3
    (published,) = told
    assert [(c.kind, c.id, c.before, c.after) for c in published.documents] == [(RULE, "r1", None, found)]
    assert published.revision == documents.revision(RULE) == world.registry.revision


def test_a_refused_write_was_never_seen() -> None:
    world = World()
    documents = world.registry.documents
    world.store.hold = True
    fate = Fate(documents.put(limit(), CALLER))
    world.fail_all()
    assert fate.result == "Unavailable"
    assert documents.newest(RULE, "r1") is None
    assert documents.all(RULE) == []


def test_a_transaction_is_undone_whole() -> None:
    world = World()
    documents = world.registry.documents
    documents.put(limit("old"), CALLER)
    world.settle()

    def half_way() -> None:
        with world.registry.transaction():
            documents.put(limit("new"), CALLER)
            documents.delete(RULE, "old", CALLER)
            world.registry.register(doc("a"), CALLER)
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        half_way()
    world.settle()
    assert [d.id for d in documents.newest_all(RULE)] == ["old"]
    assert world.registry.snapshot(ORDERS).addresses == {}


def test_times_and_revision_are_stamped() -> None:
    world = World()
    documents = world.registry.documents
    documents.put(limit(), CALLER)
    world.settle()
    first = documents.get(RULE, "r1")
    world.pass_time(5)
    documents.put(limit(enabled=False), CALLER)
    world.settle()
    second = documents.get(RULE, "r1")
    world.pass_time(5)
    documents.put(limit(enabled=False, priority=3), CALLER)
    world.settle()
    third = documents.get(RULE, "r1")
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.created_ms == second.created_ms == third.created_ms
    assert first.updated_ms < second.updated_ms < third.updated_ms
    assert first.enabled_ms < second.enabled_ms == third.enabled_ms
    assert first.revision < second.revision < third.revision


def test_found_by_name_then_namespace_then_everything() -> None:
    world = World()
    documents = world.registry.documents
    documents.put(limit("all", ServiceKey(ANY, ANY)), CALLER)
    documents.put(limit("namespace", ServiceKey(NAMESPACE, ANY)), CALLER)
    documents.put(limit("two", ServiceKey(NAMESPACE, "carts"), ORDERS), CALLER)
    documents.put(limit("other", ServiceKey("else", "orders")), CALLER)
    world.settle()
    assert [d.id for d in documents.about(RULE, ORDERS)] == ["two", "namespace", "all"]
    assert [d.id for d in documents.about(RULE, ServiceKey("else", "carts"))] == ["all"]
    assert documents.about("another kind", ORDERS) == []
    documents.put(limit("two", ServiceKey(NAMESPACE, "carts")), CALLER)
    documents.delete(RULE, "all", CALLER)
    world.settle()
    assert [d.id for d in documents.about(RULE, ORDERS)] == ["namespace"]
    assert documents.delete(RULE, "all", CALLER) is None


def test_a_watcher_of_everything_wakes_and_one_of_a_service_does_not() -> None:
    world = World()
    everything, service = Ear(world.registry, None), Ear(world.registry, ORDERS)
    everything.arm()
    service.arm()
    world.registry.documents.put(limit(), CALLER)
    world.settle()
    assert (everything.fired, service.fired) == (1, 0)


def test_operations_are_recorded() -> None:
    world = World()
    records: list[OperationRecord] = []
    world.registry.operations.append(records.append)
    world.registry.documents.put(limit(), CALLER)
    world.registry.documents.put(limit(priority=1), CALLER)
    world.registry.documents.delete(RULE, "r1", CALLER)
    world.settle()
    told = [(r.resource, r.name, r.namespace, r.operation, r.result) for r in records]
    assert told == [(RULE, "name of r1", NAMESPACE, op, "ok") for op in ("create", "update", "delete")]


def test_a_silent_lease_is_forgotten_and_a_renewed_one_is_not() -> None:
    world = World()
    documents = world.registry.documents
    for id in ("silent", "alive"):
        documents.put(Document("client", id, lease_ms=30_000), CALLER)
    world.settle()
    for _ in range(40):
        assert documents.renew("client", "alive") is not None
        world.pass_time(1)
    assert [d.id for d in documents.all("client")] == ["alive"]
    assert documents.renew("client", "silent") is None
    world.settle()
    world.restart()
    assert [d.id for d in world.registry.documents.all("client")] == ["alive"]


def test_after_a_restart_leases_are_whole_and_rules_are_there() -> None:
    world = World()
    world.registry.documents.put(Document("client", "c", lease_ms=30_000), CALLER)
    world.registry.documents.put(limit(), CALLER)
    world.settle()
    world.pass_time(29)
    world.restart()
    documents = world.registry.documents
    world.pass_time(29)
    assert documents.get("client", "c") is not None
    assert [d.id for d in documents.about(RULE, ORDERS)] == ["r1"]
    world.pass_time(2)
    assert documents.get("client", "c") is None


def test_a_stalled_process_forgets_nobody() -> None:
    world = World()
    world.registry.documents.put(Document("client", "c", lease_ms=30_000), CALLER)
    world.settle()
    world.pass_time(1)
    world.stall(600)
    assert world.registry.documents.get("client", "c") is not None


def test_a_refused_deletion_of_a_silent_one_is_stored_later() -> None:
    world = World()
    world.registry.documents.put(Document("client", "c", lease_ms=5_000), CALLER)
    world.settle()
    world.store.fail = 2
    world.pass_time(20)
    assert world.registry.documents.get("client", "c") is None
    assert world.registry.idle
    world.restart()
    assert world.registry.documents.get("client", "c") is None


IDS = st.sampled_from(["1", "2", "3"])
TARGETS = st.lists(
    st.sampled_from([ORDERS, ServiceKey(NAMESPACE, ANY), ServiceKey(ANY, ANY), ServiceKey("else", "x")]), max_size=3
)


class DocumentsMachine(RuleBasedStateMachine):
    """Any order of writes, answers, refusals and restarts: readers see what was acknowledged, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.durable: dict[str, Document] = {}
        self.newest: dict[str, Document] = {}

    @rule(id=IDS, about=TARGETS, priority=st.integers(0, 9))
    def put(self, id: str, about: list[ServiceKey], priority: int) -> None:
        document = Document(RULE, id, targets=tuple(about), priority=priority)
        self.world.registry.documents.put(document, CALLER)
        self.newest[id] = document
        self.world.settle()
        self.follow()

    @rule(id=IDS)
    def delete(self, id: str) -> None:
        known = self.newest.pop(id, None)
        assert (self.world.registry.documents.delete(RULE, id, CALLER) is None) == (known is None)
        self.world.settle()
        self.follow()

    @precondition(lambda self: not self.world.store.hold)
    @rule()
    def hold(self) -> None:
        self.world.store.hold = True

    @precondition(lambda self: self.world.store.hold)
    @rule()
    def answer(self) -> None:
        self.world.answer_all()
        self.world.store.hold = False
        self.follow()

    @precondition(lambda self: self.world.store.asked)
    @rule()
    def refuse(self) -> None:
        self.world.fail_all()
        self.newest = dict(self.durable)
        self.world.store.hold = False

    @rule()
    def restart(self) -> None:
        self.world.restart()
        self.newest = dict(self.durable)

    def follow(self) -> None:
        if not self.world.store.hold:
            self.durable = dict(self.newest)

    @invariant()
    def readers_see_what_is_durable(self) -> None:
        documents = self.world.registry.documents
        assert {d.id: (d.targets, d.priority) for d in documents.all(RULE)} == plain(self.durable)
        assert {d.id: (d.targets, d.priority) for d in documents.newest_all(RULE)} == plain(self.newest)

    @invariant()
    def the_index_equals_a_scan(self) -> None:
        documents = self.world.registry.documents
        meant = {ORDERS, ServiceKey(NAMESPACE, ANY), ServiceKey(ANY, ANY)}
        scan = {d.id for d in documents.all(RULE) if meant & set(d.targets)}
        assert {d.id for d in documents.about(RULE, ORDERS)} == scan


def plain(documents: dict[str, Document]) -> dict[str, tuple[tuple[ServiceKey, ...], int]]:
    return {id: (d.targets, d.priority) for id, d in documents.items()}


TestDocuments = DocumentsMachine.TestCase
TestDocuments.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
