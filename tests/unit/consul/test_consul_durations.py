"""Durations as Go writes and reads them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters.consul.wire.durations import MAX_NS, MILLISECOND, SECOND, BadDuration, parse, text


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        ("10s", 10 * SECOND),
        ("1m30s", 90 * SECOND),
        ("500ms", 500 * MILLISECOND),
        ("60000ms", 60 * SECOND),
        ("1.5h", 5400 * SECOND),
        (".5s", 500 * MILLISECOND),
        ("1.s", SECOND),
        ("0", 0),
        ("+0", 0),
        ("-1.5m", -90 * SECOND),
        ("1us2ns", 1002),
        ("1µs", 1000),
        ("1h1h", 7200 * SECOND),
        ("0.000000001s", 1),
    ],
)
def test_reading(written: str, ns: int) -> None:
    assert parse(written) == ns


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", 'time: invalid duration ""'),
        ("x", 'time: invalid duration "x"'),
        ("10", 'time: missing unit in duration "10"'),
        ("10 s", 'time: unknown unit " s" in duration "10 s"'),
        ("10d", 'time: unknown unit "d" in duration "10d"'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("1m-5s", 'time: unknown unit "m-" in duration "1m-5s"'),
        ("9223372036s9223372036s", 'time: invalid duration "9223372036s9223372036s"'),
        ("1" * 30 + "s", f'time: invalid duration "{"1" * 30}s"'),
    ],
)
def test_what_is_none(written: str, why: str) -> None:
    with pytest.raises(BadDuration) as error:
        parse(written)
    assert str(error.value) == why


@pytest.mark.parametrize(
    ("ns", "written"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (SECOND, "1s"),
        (90 * SECOND, "1m30s"),
        (3600 * SECOND, "1h0m0s"),
        (1_500_000_000, "1.5s"),
        (-SECOND, "-1s"),
    ],
)
def test_writing(ns: int, written: str) -> None:
    assert text(ns) == written


@settings(deadline=None)
@given(st.integers(-MAX_NS, MAX_NS))
def test_what_is_written_is_read_back(ns: int) -> None:
    assert parse(text(ns)) == ns


@settings(deadline=None)
@given(st.text(alphabet="0123456789.smhunµ+-", max_size=12))
def test_anything_is_a_duration_or_named_as_none(written: str) -> None:
    try:
        assert -MAX_NS - 1 <= parse(written) <= MAX_NS
    except BadDuration as error:
        assert str(error).startswith("time: ")  # noqa: PT017 - either outcome is right
