"""Rows of other versions, and what loading shares."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import msgpack
from stored import NOW_MS, Core, Ext, Marks, Open, peek, registration, row, types

from polaris_bridge.core.model import Registration
from polaris_bridge.core.ports import REGISTRATION, ExtTypes, Loaded, Row
from polaris_bridge.storage.documents import Reader, Unreadable, columns

FIRST = bytes.fromhex(
    "dc0016a66f7264657273a831302e302e302e31cd1f90a095a56c65617365cd7530ce00015f90ce00015f90c3a27570a0"
    "a06400a09081a47a6f6e65a1619093a0a0a0a0c3a000000007"
)
"""The document of ``registration(seq=7)`` as schema 1 first wrote it."""


def read(document: bytes, ext: bytes | None = None, marks: bytes | None = None) -> Registration:
    (value,) = Reader(types()).values(REGISTRATION, [("known", "default", "a", 7, document, ext, marks)])
    assert isinstance(value, Registration)
    return value


def test_a_document_of_the_first_schema_is_read_and_written_the_same() -> None:
    value = registration(seq=7)
    assert read(FIRST) == value
    assert columns(row(value)) == ("known", "default", "a", 7, 0, NOW_MS, FIRST, None, None)


def test_a_shorter_document_of_an_older_version_gets_defaults() -> None:
    older = msgpack.encode(msgpack.decode(FIRST)[:3])
    assert read(older) == Registration("known", "default", "a", "orders", "10.0.0.1", 8080, revision=7)


def test_a_longer_document_of_a_newer_version_is_read_without_the_rest() -> None:
    newer = msgpack.encode([*msgpack.decode(FIRST), {"field": "of tomorrow"}, 5])
    assert read(newer) == registration(seq=7)


@pytest.mark.parametrize("document", [b"", b"\xc1", b"\x00", msgpack.encode([1, 2, 3]), FIRST[:-9]])
def test_a_document_that_nobody_wrote_is_named(document: bytes) -> None:
    with pytest.raises(Unreadable, match=r"row \('known', 'default', 'a'\) of table registration"):
        read(document)


def test_attributes_of_a_wrong_type_are_named() -> None:
    with pytest.raises(Unreadable, match="'a'"):
        read(FIRST, ext=msgpack.encode({"app": 5}))


def test_declared_attributes_tolerate_other_versions() -> None:
    value = read(FIRST, msgpack.encode({"app": "x", "more": [1]}), msgpack.encode([5]))
    assert (value.ext, value.marks) == (Ext("x"), Marks(5))


def test_attributes_of_a_source_that_is_switched_off_keep_their_bytes(opened: Open, core: Core, path: object) -> None:
    value = registration(ext=Ext("app", {"http": 80}), marks=Marks(5, "ADDED"))
    store = opened()
    store.load()
    core.append(store, [row(value)])
    store.close()

    off = opened(ext_types=ExtTypes())
    (kept,) = off.load().rows
    assert isinstance(kept, Registration)
    assert kept.ext == msgpack.encode(value.ext)
    changed = msgspec.structs.replace(kept, weight=3)
    core.append(off, [row(changed)])
    off.close()

    (back,) = opened().load().rows
    assert back == msgspec.structs.replace(value, weight=3)


def test_a_value_that_cannot_be_packed_fails_its_group_alone(opened: Open, core: Core) -> None:
    store = opened()
    store.load()
    groups = [
        [row(registration("a"))],
        [row(registration("b")), row(registration("c", ext=object()))],
        [row(registration("d", weight=2**70))],
        [row(registration("e", host="\ud800"))],
        [row(registration("f"))],
    ]
    for group in groups:
        store.append(group, 0, core.outcomes.append)
    store.flush()
    core.run()
    assert [outcome is None for outcome in core.outcomes] == [True, False, False, False, True]
    store.close()
    assert {value.key for value in store.load().rows} == {"a", "f"}  # type: ignore[union-attr]


def test_a_key_that_the_driver_refuses_fails_its_group_alone(opened: Open, core: Core) -> None:
    store = opened()
    store.load()
    bad = Row(REGISTRATION, ("known", "n", "k"), 2**64, registration("k"), NOW_MS)
    for group in ([row(registration("a"))], [row(registration("b")), bad], [row(registration("c"))]):
        store.append(group, 5, core.outcomes.append)
    store.flush()
    core.run()
    assert [outcome is None for outcome in core.outcomes] == [True, False, True]
    store.close()
    assert {value.key for value in store.load().rows} == {"a", "c"}  # type: ignore[union-attr]


def test_repeated_strings_and_leases_are_kept_once(opened: Open, core: Core) -> None:
    store = opened()
    store.load()
    core.append(
        store,
        [
            row(
                registration(
                    str(n), metadata={"key of mine": "value of mine"}, ext=Ext("ORDERS OF MINE"), cluster="c 1"
                )
            )
            for n in range(2)
        ],
    )
    store.close()
    loaded: Loaded = store.load()
    one, two = (value for value in loaded.rows if isinstance(value, Registration))
    assert one.service is two.service
    assert one.namespace is two.namespace
    assert one.host is two.host
    assert one.cluster is two.cluster
    assert one.liveness is two.liveness
    assert one.location is two.location
    assert one.ext.app is two.ext.app
    for ours, theirs in zip(one.metadata.items(), two.metadata.items(), strict=True):
        assert ours[0] is theirs[0]
        assert ours[1] is theirs[1]


def test_columns_say_what_an_onlooker_needs(opened: Open, core: Core, path: object) -> None:
    store = opened()
    store.load()
    core.append(store, [row(registration("a"), 5)])
    core.append(store, [Row(REGISTRATION, ("known", "default", "a"), 12, None, 6)])
    assert peek(
        path, "SELECT source, namespace, key, revision, deleted, changed_ms, document, ext FROM registration"
    ) == [  # type: ignore[arg-type]
        ("known", "default", "a", 12, 1, 6, None, None)
    ]
