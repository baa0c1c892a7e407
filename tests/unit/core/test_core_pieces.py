"""Encoded lists: always what a naive join gives, for one encoding of what changed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.core.pieces import BLOCK, Pieces

SEPARATOR = b","


class Counting:
    """An encoder that remembers what it was asked to encode."""

    def __init__(self, mark: bytes = b"") -> None:
        self.mark = mark
        self.asked: list[str] = []

    def __call__(self, value: str) -> bytes:
        self.asked.append(value)
        return self.mark + value.encode()

    def count(self) -> int:
        """How often since the last count."""
        asked, self.asked = self.asked, []
        return len(asked)


def filled(count: int) -> Pieces[str]:
    pieces: Pieces[str] = Pieces()
    for i in range(count):
        pieces.put(str(i), f"v{i}")
    return pieces


def whole(pieces: Pieces[str], encode: Counting, variant: str = "plain") -> bytes:
    return SEPARATOR.join(pieces.encoded(variant, encode, SEPARATOR))


names = st.sampled_from([str(i) for i in range(12)])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), names, st.text(max_size=4)),
        st.tuples(st.just("drop"), names, st.just("")),
        st.tuples(st.just("many"), names, st.text(max_size=2)),
        st.tuples(st.just("read"), names, st.just("")),
    ),
    max_size=30,
)


@given(operations)
@settings(max_examples=150, deadline=None)
def test_equal_to_a_naive_join(steps: list[tuple[str, str, str]]) -> None:
    pieces: Pieces[str] = Pieces()
    naive: dict[str, str] = {}
    for what, name, value in steps:
        match what:
            case "put":
                pieces.put(name, value)
                naive[name] = value
            case "drop":
                pieces.drop(name)
                naive.pop(name, None)
            case "many":  # so many that there are several blocks, and some empty ones later
                for i in range(2 * BLOCK):
                    pieces.put(f"{name}-{i}", value)
                    naive[f"{name}-{i}"] = value
                for i in range(0, 2 * BLOCK, 3):
                    pieces.drop(f"{name}-{i}")
                    naive.pop(f"{name}-{i}", None)
        if what == "read":
            continue
        assert list(pieces) == list(naive.values())
        for variant in ("a", "b"):
            mark = variant.encode()
            got = SEPARATOR.join(pieces.encoded(variant, lambda v, m=mark: m + v.encode(), SEPARATOR))  # type: ignore[misc]
            assert got == SEPARATOR.join(mark + v.encode() for v in naive.values())
        assert len(pieces) == len(naive)
        assert (name in pieces) == (name in naive)
        assert pieces.get(name) == naive.get(name)


def test_nothing_is_encoded_before_somebody_asks_and_then_once() -> None:
    encode = Counting()
    pieces = filled(1000)
    assert encode.count() == 0
    first = whole(pieces, encode)
    assert encode.count() == 1000
    assert whole(pieces, encode) == first
    assert encode.count() == 0


def test_one_change_among_a_thousand_costs_one() -> None:
    encode = Counting()
    pieces = filled(1000)
    whole(pieces, encode)
    encode.count()
    pieces.put("500", "changed")
    assert b",changed," in whole(pieces, encode)
    assert encode.asked == ["changed"]


def test_several_changes_before_a_read_cost_each_item_once() -> None:
    encode = Counting()
    pieces = filled(1000)
    whole(pieces, encode)
    encode.count()
    for turn in range(5):
        pieces.put("7", f"seven{turn}")
        pieces.put("8", f"eight{turn}")
    whole(pieces, encode)
    assert sorted(encode.asked) == ["eight4", "seven4"]


@pytest.mark.parametrize("change", ["insert", "drop"])
def test_coming_and_going_cost_at_most_a_block(change: str) -> None:
    encode = Counting()
    pieces = filled(1000)
    whole(pieces, encode)
    encode.count()
    if change == "insert":
        pieces.put("new", "new")
    else:
        pieces.drop("500")
    whole(pieces, encode)
    assert encode.count() <= BLOCK


def test_variants_do_not_disturb_each_other() -> None:
    plain, marked = Counting(), Counting(b"!")
    pieces = filled(100)
    whole(pieces, plain)
    assert marked.count() == 0
    whole(pieces, marked, "marked")
    plain.count(), marked.count()
    pieces.put("3", "x")
    assert b"!x" in whole(pieces, marked, "marked")
    assert (plain.count(), marked.count()) == (0, 1)
    assert b",x," in whole(pieces, plain)
    assert plain.count() == 1


def test_what_is_derived_is_made_again_only_for_changed_blocks() -> None:
    encode = Counting()
    derived: list[bytes] = []

    def derive(joined: bytes) -> str:
        derived.append(joined)
        return joined.decode().upper()

    pieces = filled(3 * BLOCK)
    assert len(pieces.derived("v", encode, SEPARATOR, derive)) == len(derived) == 3
    derived.clear()
    pieces.derived("v", encode, SEPARATOR, derive)
    assert derived == []
    pieces.put(str(BLOCK), "fresh")
    found = pieces.derived("v", encode, SEPARATOR, derive)
    assert len(derived) == 1
    assert "FRESH" in found[1]


def test_a_replaced_item_keeps_its_place() -> None:
    pieces = filled(5)
    pieces.put("1", "again")
    assert list(pieces) == ["v0", "again", "v2", "v3", "v4"]


def test_the_blocks_do_not_stay_behind_when_nearly_all_left() -> None:
    encode = Counting()
    pieces = filled(100 * BLOCK)
    for i in range(100 * BLOCK):
        if i % BLOCK:
            pieces.drop(str(i))
    assert len(pieces.encoded("v", encode, SEPARATOR)) < 20
    assert len(pieces) == 100


def test_empty() -> None:
    pieces: Pieces[str] = Pieces()
    assert pieces.encoded("v", Counting(), SEPARATOR) == []
    pieces.drop("nobody")
    assert pieces.get("nobody") is None
    assert "nobody" not in pieces


def test_separators_and_empty_items() -> None:
    pieces: Pieces[str] = Pieces()
    for name, value in (("a", ""), ("b", "x,y"), ("c", "")):
        pieces.put(name, value)
    encode = Counting()
    assert pieces.encoded("v", encode, b",") == [b",x,y,"]
    pieces.put("b", "")
    assert pieces.encoded("v", encode, b",") == [b",,"]


def test_the_work_of_a_read_can_be_done_before_it_in_slices() -> None:
    encode = Counting()
    derived: list[bytes] = []

    def derive(joined: bytes) -> bytes:
        derived.append(joined)
        return joined

    pieces = filled(3 * BLOCK)
    slices = list(pieces.work("v", encode, SEPARATOR, derive))
    assert [items for items, _ in slices] == [BLOCK] * 3
    for items, do in slices:
        do()
        assert encode.count() == items
    assert list(pieces.work("v", encode, SEPARATOR, derive)) == []
    pieces.derived("v", encode, SEPARATOR, derive)
    assert (encode.count(), len(derived)) == (0, 3)
    pieces.put("1", "fresh")
    ((items, do),) = pieces.work("v", encode, SEPARATOR, derive)
    assert items == 1
    do()
    assert encode.asked == ["fresh"]
    assert (len(derived), list(pieces.work("v", encode, SEPARATOR))) == (4, [])
