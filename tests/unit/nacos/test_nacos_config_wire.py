"""Nacos configurations on the wire: what clients have in a long poll, what may be said, and the answers' lines."""

from __future__ import annotations

import contextlib
import re
import time
from urllib.parse import quote_plus, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.wire.config import (
    INVALID_PROBE,
    MAX_LISTENED,
    Has,
    Publication,
    Unreadable,
    addresses_of,
    changed_line,
    check_publication,
    nameable,
    old_header,
    probe,
    probe_text,
    tags_of,
    type_of,
)
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.adapters.nacos.wire.params import IllegalParam, Params

FORM = "application/x-www-form-urlencoded;charset=UTF-8"
WORDS = "abcXYZ019-_:."
names = st.text(WORDS, min_size=1, max_size=20)
tenants = st.text("abcXYZ019-_", max_size=10)
md5s = st.text("0123456789abcdef", max_size=32)
items = st.builds(Has, names, names, tenants, md5s)


def read(text: str) -> list[Has]:
    """The whole of a list, without its pauses."""
    work = probe(text)
    while True:
        try:
            next(work)
        except StopIteration as stop:
            found: list[Has] = stop.value
            return found


def written(listed: list[Has], *, old: bool = False) -> str:
    return "".join(
        "\x02".join((one.data_id, one.group, one.md5, *(() if old and not one.tenant else (one.tenant,)))) + "\x01"
        for one in listed
    )


@given(st.lists(items, max_size=30, unique_by=lambda one: one[:3]), st.booleans(), st.booleans())
def test_a_list_is_read_as_it_was_written(listed: list[Has], old: bool, twice: bool) -> None:
    text = written(listed, old=old)
    assert read(text) == listed
    if not text:
        return
    encoded = quote_plus(quote_plus(text) if twice else text)
    body = f"Listening-Configs={encoded}&".encode()
    assert read(probe_text(Params.of("", body, FORM).raw("Listening-Configs"))) == listed


@given(st.text("ab\x01\x02%+中 .", max_size=60))
def test_any_text_is_a_list_or_refused(text: str) -> None:
    try:
        found = read(probe_text(text))
    except Refused:
        return
    for one in found:
        assert re.fullmatch(r"[a-zA-Z0-9\-_:.]*", one.data_id)
        assert re.fullmatch(r"[a-zA-Z0-9\-_:.]+", one.group)
        assert re.fullmatch(r"[\w-]*", one.tenant, re.ASCII) or one.tenant.isspace()


@given(items)
def test_a_line_of_an_answer_is_read_as_clients_do(one: Has) -> None:
    line = unquote_plus(changed_line(one.data_id, one.group, one.tenant).decode())
    assert line.endswith("\x01")
    assert line[:-1].split("\x02") == [one.data_id, one.group, *([one.tenant] if one.tenant else [])]


def test_lines_as_recorded() -> None:
    assert changed_line("rec.orders.yaml", "REC_GROUP", "") == b"rec.orders.yaml%02REC_GROUP%01"
    assert changed_line("a:b_c-d", "G", "dev") == b"a%3Ab_c-d%02G%02dev%01"
    assert old_header([("a", "G"), ("b.c", "H")]) == b"a:G;b.c:H;"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a", Unreadable),
        ("a\x02\x01", Unreadable),
        ("\x02\x02\x01", Unreadable),
        ("a\x02\x02x\x02\x02\x02t\x01", Unreadable),
        ("a\x02g\x02x\x01\x01", Refused),
        ("a\x02g\x01", Refused),
        ("a b\x02g\x02\x01", IllegalParam),
        ("a\x02" + "g" * 129 + "\x02\x01", IllegalParam),
        ("a\x02g\x02\x02" + "t" * 65 + "\x01", IllegalParam),
        ("a\x02g\x02\x02t.t\x01", IllegalParam),
    ],
)
def test_lists_that_are_none(text: str, kind: type[Refused]) -> None:
    with pytest.raises(Refused) as refused:
        read(text)
    assert type(refused.value) is kind


def test_of_two_the_last_counts_and_the_order_is_the_clients() -> None:
    assert read("b\x02g\x02x\x01a\x02g\x02y\x01b\x02g\x02z\x01") == [Has("b", "g", "", "z"), Has("a", "g", "", "y")]


def test_how_many_there_may_be() -> None:
    at_most = written([Has(f"a{n}", "g", "", "") for n in range(MAX_LISTENED)])
    assert len(read(at_most)) == MAX_LISTENED
    assert len(read(at_most + "a1\x02g\x02\x01")) == MAX_LISTENED, "named twice"
    with pytest.raises(Refused, match=INVALID_PROBE):
        read(at_most + "b\x02g\x02\x01")


@pytest.mark.parametrize("line", ["a\x02g\x02\x01", "a\x02g\x02\x02\x01", "a\x02g\x02中\x01", "\x02\x02\x01", "x\x01"])
def test_no_list_takes_long(line: str) -> None:
    text = "".join(f"{n}{line}" for n in range(MAX_LISTENED)) + "rest\x02of\x02it"
    began = time.process_time()
    with contextlib.suppress(Refused):
        read(text)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("text", [None, "", "  "])
def test_nothing_is_no_list(text: str | None) -> None:
    with pytest.raises(Refused, match=INVALID_PROBE):
        probe_text(text)


def test_small_words() -> None:
    assert [type_of(each) for each in ("yaml", "unset", "YAML", "nope", "", None)] == [
        "yaml", "unset", "text", "text", "text", "text",
    ]  # fmt: skip
    assert [tags_of(each) for each in (None, "", "a,b", ",a,,a")] == [None, (), ("a", "b"), ("a",)]
    assert addresses_of(" 1.1.1.1, 2.2.2.2,,1.1.1.1") == ("1.1.1.1", "2.2.2.2")
    assert [nameable(*each) for each in (("g", "a.b:c"), ("g", "a/b"), ("", "a"), ("g" * 129, "a"), ("g", "a" * 256))] == [
        True, False, False, False, True,
    ]  # fmt: skip


def test_a_publication_at_its_bounds() -> None:
    check_publication(
        Publication(
            content=b"x", desc="d" * 128, use="u" * 32, effect="e" * 32, schema="s" * 32768, tag="t" * 16,
            tags=("t" * 64,) * 5, type="x" * 100,
        )
    )  # fmt: skip
    with pytest.raises(Refused, match="invalid content, over 3"):
        check_publication(Publication(content=b"1234"), most=3)
