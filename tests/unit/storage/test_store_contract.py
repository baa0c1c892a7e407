"""What every store does, whatever it keeps its rows in. A further one joins by a line in ``KINDS``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import NOW_MS, Core, Ext, Marks, registration, row, tombstone, types

from polaris_bridge.core.model import (
    AddressKey,
    Checks,
    Lease,
    Location,
    NamespaceRecord,
    Port,
    Registration,
    ServiceKey,
    ServiceRecord,
    Session,
    Switch,
    SwitchRow,
)
from polaris_bridge.core.ports import NAMESPACE, REGISTRATION, SERVICE, SWITCH, Row, Store, Value
from polaris_bridge.storage import open_store

KINDS: dict[str, dict[str, Any]] = {
    "memory": {"kind": "memory"},
    "sqlite": {"kind": "sqlite"},
    "sqlite-full": {"kind": "sqlite", "synchronous": "full"},
}

Make = Callable[[], Store]


def make(core: Core, directory: Path, kind: str) -> Store:
    made = iter(["first", "second"])
    arguments: dict[str, Any] = {"synchronous": "normal", **KINDS[kind]}
    return open_store(
        path=directory / "registry.db",
        ext_types=types(),
        post=core.post,
        unique=lambda: next(made),
        wall_ms=lambda: NOW_MS,
        **arguments,
    )


@pytest.fixture(params=sorted(KINDS))
def store(request: pytest.FixtureRequest, core: Core, tmp_path: Path) -> Iterator[Store]:
    store = make(core, tmp_path, request.param)
    yield store
    store.close()


def alive(store: Store) -> list[Value]:
    """What comes back when the store is opened again."""
    store.close()
    return list(store.load().rows)


def test_a_new_store_is_empty_and_has_an_identity(store: Store) -> None:
    loaded = store.load()
    assert (list(loaded.rows), loaded.reserved, loaded.epoch, loaded.node) == ([], 0, 1, "first")


def test_epoch_counts_openings_and_the_node_stays(store: Store) -> None:
    store.load()
    store.close()
    again = store.load()
    assert (again.epoch, again.node) == (2, "first")


def test_every_kind_of_value_comes_back(store: Store, core: Core) -> None:
    namespace = NamespaceRecord("prod", "c", "o", {"k": "v"}, ("*",), True, 1, 2, 3)
    service = ServiceRecord(
        "prod", "orders", {"k": "v"}, "b", "d", "o", "c", ServiceKey("default", "Real"), ("dev",), 0.25, True, True,
        {"eureka": {"vip": "x"}}, 4, 5, 6,
    )  # fmt: skip
    switch = SwitchRow("prod", "orders", "10.0.0.1", 80, "vpc", Switch("eureka", "k", "down", True, 9))
    value = registration()
    rows = [
        Row(NAMESPACE, ("prod",), 3, namespace, NOW_MS),
        Row(SERVICE, ("prod", "orders"), 6, service, NOW_MS),
        Row(SWITCH, ("prod", "orders", "10.0.0.1", 80, "vpc", "eureka", "k"), 9, switch, NOW_MS),
        row(value),
    ]
    store.load()
    assert core.append(store, rows) is None
    assert sorted(alive(store), key=repr) == sorted([namespace, service, switch, value], key=repr)


def test_values_of_one_address_and_of_one_key_in_two_sources_are_apart(store: Store, core: Core) -> None:
    values = [registration("k"), registration("k", source="other"), registration("k", namespace="n2")]
    store.load()
    core.append(store, [row(value) for value in values])
    assert len(alive(store)) == 3


def test_later_rows_win_within_a_group_and_between_groups(store: Store, core: Core) -> None:
    store.load()
    for weight in (1, 2, 3):
        store.append([row(registration(weight=weight)), row(registration(weight=weight * 10))], 0, core.outcomes.append)
    store.flush()
    core.run()
    assert core.outcomes == [None] * 3
    assert [value.weight for value in alive(store)] == [30]  # type: ignore[union-attr]


def test_outcomes_come_in_the_order_of_calls(store: Store, core: Core) -> None:
    told: list[int] = []
    store.load()
    for number in range(50):
        store.append([row(registration(str(number)))], 0, lambda _, number=number: told.append(number))  # type: ignore[misc]
    store.flush()
    core.run()
    assert told == list(range(50))


def test_nothing_is_told_outside_the_cores_thread(store: Store, core: Core) -> None:
    store.load()
    store.append([row(registration())], 0, core.outcomes.append)
    store.flush()
    assert core.outcomes == []
    core.run()
    assert core.outcomes == [None]


def test_a_tombstone_hides_a_row_until_it_is_registered_again(store: Store, core: Core) -> None:
    store.load()
    core.append(store, [row(registration("a")), row(registration("b"))])
    core.append(store, [tombstone(registration("a"))])
    assert [value.key for value in alive(store)] == ["b"]  # type: ignore[union-attr]
    core.append(store, [row(registration("a", revision=20))])
    assert {value.key for value in alive(store)} == {"a", "b"}  # type: ignore[union-attr]


def test_purge_leaves_the_living_alone(store: Store, core: Core) -> None:
    store.load()
    core.append(store, [row(registration("old", revision=1), 5), row(registration("b"), 5)])
    core.append(store, [tombstone(registration("b"), 6)])
    store.purge(NOW_MS)
    store.flush()
    assert [value.key for value in alive(store)] == ["old"]  # type: ignore[union-attr]


def test_purge_tells_how_many_and_stops_at_its_limit(store: Store, core: Core) -> None:
    store.load()
    keys = [f"k{number:04}" for number in range(1200)]
    core.append(store, [tombstone(registration(key), 6) for key in keys])
    told: list[int] = []
    for limit, expected in ((3, 3), (600, 600), (0, 597), (5, 0)):
        store.purge(NOW_MS, (REGISTRATION,), limit, told.append)
        while not told:  # slices come one after another
            store.flush()
            core.run()
        assert told == [expected]
        told.clear()
    store.close()
    store.purge(NOW_MS, done=told.append)
    core.run()
    assert told == [0]


def test_the_high_water_mark_only_rises(store: Store, core: Core) -> None:
    store.load()
    core.append(store, [], reserve=1000)
    core.append(store, [row(registration())], reserve=500)
    store.reserve(900)
    store.close()
    assert store.load().reserved == 1000
    store.reserve(2000)
    store.close()
    assert store.load().reserved == 2000
    core.append(store, [], reserve=1500)
    store.close()
    assert store.load().reserved == 2000


def test_an_unknown_table_fails_its_group_alone(store: Store, core: Core) -> None:
    store.load()
    store.append([row(registration("a"))], 0, core.outcomes.append)
    store.append([row(registration("b")), Row("nonsense", ("x",), 1, None)], 0, core.outcomes.append)
    store.append([row(registration("c"))], 0, core.outcomes.append)
    store.flush()
    core.run()
    assert [outcome is None for outcome in core.outcomes] == [True, False, True]
    assert {value.key for value in alive(store)} == {"a", "c"}  # type: ignore[union-attr]


def test_what_comes_after_close_is_refused(store: Store, core: Core) -> None:
    store.load()
    store.close()
    store.close()
    store.append([row(registration())], 0, core.outcomes.append)
    core.run()
    assert "closed" in str(core.outcomes[0])
    with pytest.raises(Exception, match="closed"):
        store.reserve(1)
    store.flush()
    store.purge(NOW_MS)
    assert alive(store) == []


def test_a_callback_that_raises_takes_no_outcome_from_others(store: Store, core: Core) -> None:
    def broken(_: Exception | None) -> None:
        raise LookupError("mine")

    store.load()
    store.append([row(registration("a"))], 0, broken)
    store.append([row(registration("b"))], 0, core.outcomes.append)
    store.flush()
    with pytest.raises(LookupError, match="mine"):
        core.run()
    core.run()
    assert core.outcomes == [None]


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
number = st.integers(0, 2**53 - 1)
texts = st.dictionaries(text, text, max_size=3)
liveness = st.one_of(
    st.none(),
    st.builds(Lease, number, number, number, st.booleans()),
    st.builds(Session, text),
    st.builds(Checks, st.dictionaries(text, st.sampled_from(["passing", "warning", "critical"]), max_size=2), number),
)
attributes = st.one_of(
    st.tuples(
        st.just("known"),
        st.none() | st.builds(Ext, text, st.dictionaries(text, number, max_size=2)),
        st.none() | st.builds(Marks, number, text),
    ),
    st.tuples(st.just("unknown"), st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=20)),
)


@st.composite
def registrations(draw: st.DrawFn) -> Registration:
    source, ext, marks = draw(attributes)
    rest = {
        name: draw(text)
        for name in ("namespace", "key", "service", "host", "vpc", "reported", "protocol", "version", "logic_set",
                     "cluster", "copied_from")
    }  # fmt: skip
    numbers = {name: draw(number) for name in ("created_ms", "updated_ms", "lost_ms", "seq", "revision", "weight")}
    return Registration(
        source=source,
        port=draw(st.integers(0, 65535)),
        priority=draw(st.integers(-5, 5)),
        liveness=draw(liveness),
        ports=tuple(draw(st.lists(st.builds(Port, text, st.integers(0, 65535), text, st.booleans()), max_size=2))),
        metadata=draw(texts),
        tags=tuple(draw(st.lists(text, max_size=2))),
        location=draw(st.builds(Location, text, text, text)),
        ephemeral=draw(st.booleans()),
        ext=ext,
        marks=marks,
        **rest,
        **numbers,
    )


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=12, deadline=None)
@given(values=st.lists(registrations(), min_size=1, max_size=30, unique_by=lambda value: value.id))
def test_any_registration_comes_back_the_same(kind: str, values: list[Registration]) -> None:
    core = Core()
    with tempfile.TemporaryDirectory() as directory:
        store = make(core, Path(directory), kind)
        try:
            store.load()
            assert core.append(store, [row(value) for value in values]) is None
            assert sorted(alive(store), key=repr) == sorted(values, key=repr)
        finally:
            store.close()


def test_held_is_never_stored(store: Store, core: Core) -> None:
    store.load()
    core.append(store, [row(registration(held=True))])
    assert alive(store) == [registration(held=False)]


def test_an_address_of_a_stored_registration_is_what_it_was(store: Store, core: Core) -> None:
    store.load()
    core.append(store, [row(registration(host="::1", port=0, vpc="v"))])
    (value,) = alive(store)
    assert isinstance(value, Registration)
    assert value.address == AddressKey("::1", 0, "v")
