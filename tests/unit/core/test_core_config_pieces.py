"""Pure parts of the configuration centre: whom a gray rule means, line differences, ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.core.config.diff import DELETE, EQUAL, INSERT, REPLACE, diff
from polaris_bridge.core.config.gray import applies, check
from polaris_bridge.core.config.model import (
    EXACT,
    IN,
    NOT_EQUAL,
    NOT_IN,
    PRESENT,
    RANGE,
    REGEX,
    Asker,
    GrayRule,
    Match,
)
from polaris_bridge.core.config.ports import NoPatterns
from polaris_bridge.core.config.shelf import id_of
from polaris_bridge.core.errors import Invalid


class Prefixes:
    """A pattern is the beginning of a value."""

    def defect(self, pattern: str) -> str | None:
        return "unbalanced" if pattern == "(" else None

    def matches(self, pattern: str, value: str) -> bool:
        return value.startswith(pattern)


@pytest.mark.parametrize(
    ("kind", "values", "value", "fits"),
    [
        (EXACT, ("a",), "a", True),
        (EXACT, ("a",), "b", False),
        (NOT_EQUAL, ("a",), "b", True),
        (NOT_EQUAL, ("a",), "a", False),
        (NOT_EQUAL, ("a",), None, False),
        (REGEX, ("ab",), "abc", True),
        (REGEX, ("ab",), "b", False),
        (IN, ("a", "b"), "b", True),
        (IN, ("a", "b"), "c", False),
        (NOT_IN, ("a", "b"), "c", True),
        (NOT_IN, ("a", "b"), "a", False),
        (NOT_IN, ("a", "b"), None, False),
        (RANGE, ("1", "3"), "3", True),
        (RANGE, ("1", "3"), "4", False),
        (RANGE, ("-2", "3"), "-2", True),
        (RANGE, ("1", "3"), "x", False),
        (RANGE, ("1", "3"), "9" * 5000, False),
        (PRESENT, (), "", True),
        (PRESENT, (), None, False),
    ],
)
def test_matches(kind: str, values: tuple[str, ...], value: str | None, fits: bool) -> None:
    rule = GrayRule((Match("k", kind, values),))
    check(rule, Prefixes())
    labels = {"other": "a"} if value is None else {"k": value}
    assert applies(rule, Asker(labels), Prefixes()) == fits


def test_addresses_and_labels_have_all_to_fit() -> None:
    rule = GrayRule((Match("k", EXACT, ("a",)), Match("l", EXACT, ("b",))), ("1", "2"))
    assert applies(rule, Asker({"k": "a", "l": "b"}, "2"), NoPatterns())
    assert not applies(rule, Asker({"k": "a", "l": "b"}, "3"), NoPatterns())
    assert not applies(rule, Asker({"k": "a"}, "1"), NoPatterns())
    assert not applies(GrayRule(), Asker(), NoPatterns())


@pytest.mark.parametrize(
    "match",
    [
        Match("k", "other", ("a",)),
        Match("", EXACT, ("a",)),
        Match("k", EXACT, ()),
        Match("k", EXACT, ("a", "b")),
        Match("k", IN, ()),
        Match("k", RANGE, ("1",)),
        Match("k", RANGE, ("1", "x")),
        Match("k", REGEX, ("(",)),
        Match("k", PRESENT, ("a",)),
    ],
)
def test_what_cannot_be_judged_is_refused(match: Match) -> None:
    with pytest.raises(Invalid):
        check(GrayRule((match,)), Prefixes())


def test_a_difference() -> None:
    changes = diff(b"a\nb\nc\nd\n", b"a\nx\nc\nd\ne")
    assert [(c.operation, c.old, c.new) for c in changes] == [
        (EQUAL, (), ()),
        (REPLACE, (b"b\n",), (b"x\n",)),
        (EQUAL, (), ()),
        (INSERT, (), (b"e",)),
    ]
    assert [c.operation for c in diff(b"a\nb\n", b"a\n")] == [EQUAL, DELETE]
    assert diff(b"", b"") == ()


def test_a_large_change_is_one_replacement() -> None:
    old, new = (b"".join(b"%s%d\n" % (word, n) for n in range(2000)) for word in (b"a", b"b"))
    assert [c.operation for c in diff(b"x\n" + old + b"y\n", b"x\n" + new + b"y\n")] == [EQUAL, REPLACE, EQUAL]


lines = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\r\n", b"\n"]), max_size=12).map(b"".join)


@given(lines, lines)
def test_the_changes_of_a_difference_make_the_new_of_the_old(old: bytes, new: bytes) -> None:
    had, made, at = old.splitlines(keepends=True), [], 0
    for change in diff(old, new):
        assert (change.old_from, change.new_from) == (at, len(made))
        taken = had[at : change.old_to]
        assert change.operation == EQUAL or list(change.old) == taken
        made += taken if change.operation == EQUAL else change.new
        at = change.old_to
        assert len(made) == change.new_to
    assert (b"".join(made), at) == (new, len(had))


names = st.text(st.sampled_from("a/%25F~"), max_size=5) | st.sampled_from(["n" * 300, "n" * 300 + "a"])


@given(st.lists(names, min_size=1, max_size=3), st.lists(names, min_size=1, max_size=3))
def test_ids_are_equal_when_the_names_are(a: list[str], b: list[str]) -> None:
    assert (id_of(*a) == id_of(*b)) == (a == b)
    assert len(id_of(*a)) <= 200
