"""Parameters of HTTP calls: where they come from, how they are read, and which are refused."""

from __future__ import annotations

import json
import re
import tracemalloc
from urllib.parse import parse_qsl, quote_plus, unquote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.wire import params as p
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.adapters.nacos.wire.params import FORM, Params

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
STRANGE = "illegal characters should not appear in the param."


@given(st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=8))
def test_what_was_encoded_is_read_back_and_the_first_of_a_name_counts(sent: list[tuple[str, str]]) -> None:
    expected: dict[str, str] = {}
    for name, value in sent:
        expected.setdefault(name, value)
    assert p.pairs(urlencode(sent)) == expected


BROKEN = re.compile("%(?![0-9A-Fa-f]{2})")


@given(st.text("ab=&+%12é", max_size=30))
def test_any_query_is_read_as_pythons_own_reader_reads_it_but_for_what_is_broken(query: str) -> None:
    expected: dict[str, str] = {}
    whole = "&".join(pair for pair in query.split("&") if not BROKEN.search(pair))
    for name, value in parse_qsl(whole, keep_blank_values=True):
        if name:
            expected.setdefault(name, value)
    assert p.pairs(query) == expected


ESCAPES = (
    "%",
    "%7B",
    "%c3%a9",
    "%3d",
    "=",
    "+",
    "%2B",
    "%zz",
    "%4",
    " ",
    "\t",
    "_",
    "%0A",
    "%0D%0A",
    "\n",
    "\r",
    "%00",
    "\x00",
)


@given(st.lists(st.sampled_from(ESCAPES) | st.text(max_size=3), max_size=12).map("".join))
def test_escapes_are_undone_as_pythons_own_reader_undoes_them(text: str) -> None:
    assert p.unquoted(text) == (None if BROKEN.search(text) else unquote_plus(text))


@pytest.mark.parametrize("part", ["%", "%zz", "%41", "%41%zz", "é%41", "=", "+", "x"])
def test_long_texts_of_anything_are_cheap(part: str) -> None:
    """10 MiB, as large as a body may be: Python's own reader takes seconds and a gigabyte for some of them."""
    text = part * (10 * 1024 * 1024 // len(part)) + "%"
    tracemalloc.start()
    try:
        assert Params.of("", b"a=" + text.encode() + b"&b=1&c=" + text[:-1].encode(), FORM).text("b") == "1"
        assert tracemalloc.get_traced_memory()[1] < 200 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_a_form_counts_whatever_the_method_and_nothing_else_does() -> None:
    assert Params.of("a=1", b"a=2&b=3\r\n", FORM).items() == {"a": "1", "b": "3"}
    assert Params.of("a=1", b"b=3", FORM.upper() + "; charset=UTF-8").items() == {"a": "1", "b": "3"}
    assert Params.of("a=1", b"b=3", "application/json").items() == {"a": "1"}
    assert Params.of("", b"\xff=1&b=\xff", FORM).items() == {"�": "1", "b": "�"}
    assert len(Params.of("&".join(f"k{at}=1" for at in range(20_000))).items()) == p.MAX_PAIRS


def test_blank_and_absent_have_the_default_and_values_are_stripped() -> None:
    params = Params({"a": " x ", "b": "  ", "c": ""})
    assert [params.text(name, "d") for name in "abcz"] == ["x", "d", "d", "d"]
    assert params.raw("a") == " x "
    assert params.raw("z") is None
    assert ("c" in params, "z" in params) == (True, False)
    assert params.first(("z", "b", "a"), "d") == "x"
    assert params.required("a") == "x"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("True", True),
        ("true", True),
        ("TRUE", True),
        ("on", True),
        ("y", True),
        ("False", False),
        ("1", False),
        ("x", False),
    ],
)
def test_booleans_are_spelled_in_many_ways(text: str, expected: bool) -> None:
    assert Params({"a": text}).boolean("a", not expected) is expected


def test_booleans_that_are_not_there() -> None:
    assert Params({}).boolean("a", True) is True
    assert Params({"a": ""}).boolean("a", False) is False


@pytest.mark.parametrize("text", ["x", "1.5", "1_0", "99999999999", "２", "--1"])
def test_no_whole_numbers(text: str) -> None:
    with pytest.raises(Refused) as refused:
        Params({"port": text}).integer("port")
    assert (refused.value.status, refused.value.text) == (400, f'For input string: "{text}"')


def test_numbers() -> None:
    params = Params({"a": "12", "b": "-3", "c": " 7 ", "d": "0.5"})
    assert [params.integer(name, 1) for name in "abcz"] == [12, -3, 7, 1]
    assert params.number("d", 1.0) == 0.5
    assert params.number("z", 1.0) == 1.0
    with pytest.raises(Refused):
        params.integer("d")
    with pytest.raises(Refused):
        Params({"d": "1_0"}).number("d", 1.0)


def test_what_is_missing_is_said_in_the_words_of_the_generation() -> None:
    with pytest.raises(Refused) as first:
        Params({"port": ""}).integer("port")
    assert (first.value.status, first.value.text) == (400, "Param 'port' is required.")
    with pytest.raises(Refused) as second:
        Params({}, 2).integer("port")
    assert (second.value.code, second.value.text) == (10000, "Required parameter 'port' type Integer is not present")
    with pytest.raises(Refused) as third:
        Params({}, 3).required("serviceName")
    assert third.value.text == "Required parameter 'serviceName' type String is not present"


@pytest.mark.parametrize(
    ("rule", "fine", "wrong", "name", "longest"),
    [
        (p.namespace_objection, ["public", "a-b_C9"], ["a.b", "a b", "ä"], "namespaceId/tenant", 64),
        (p.namespace_name_objection, ["a b", "名"], ["a@b", "100%"], "namespaceShowName", 256),
        (p.data_id_objection, ["a.b:c-d_e"], ["a b", "a/b", "中"], "dataId", 256),
        (p.service_objection, ["a/b,c:d", "ä", "a@b", "中"], ["@a", "a@@b", "a b", "a中"], "serviceName", 512),
        (p.group_objection, ["G", "a.b:c-d_e"], ["a@b", "a b"], "group", 128),
        (p.cluster_objection, ["A-1", "a_b"], ["a.b", "a,b"], "cluster", 64),
        (p.ip_objection, ["10.0.0.1", "::1", "host"], ["a b", "中"], "ip", 128),
    ],
)
def test_rules_of_names(
    rule: p.Callable[[str | None], str | None], fine: list[str], wrong: list[str], name: str, longest: int
) -> None:
    for value in [*fine, "x" * longest, "", " ", None]:
        assert rule(value) is None, value
    for value in wrong:
        assert rule(value) == f"Param '{name}' is illegal, {STRANGE}", value
    assert rule("x" * (longest + 1)) == f"Param '{name}' is illegal, the param length should not exceed {longest}."


def test_rules_of_numbers_and_lists() -> None:
    wrong_port = "Param 'port' is illegal, the value should be between 0 and 65535."
    assert [p.port_objection(value) for value in (0, 65535, "0", "65535", "", " ", None)] == [None] * 7
    assert {p.port_objection(value) for value in (-1, 65536, "x", "-1", "70000", "1.5", "9" * 40)} == {wrong_port}
    assert p.clusters_objection("A,B,,C") is None
    assert p.clusters_objection("A,b.c") == f"Param 'cluster' is illegal, {STRANGE}"
    assert p.metadata_objection({"k": "v" * 1023}) is None
    assert (
        p.metadata_objection({"k": "v" * 1024})
        == "Param 'Metadata' is illegal, the param length should not exceed 1024."
    )
    assert p.metadata_objection({}) is None
    escaped = "{" + ",".join(f'"\\u{n:04x}":""' for n in range(0x4E00, 0x4E00 + p.MAX_METADATA)) + "}"
    assert p.metadata_objection(json.loads(escaped)) is None
    assert p.metadata_text_objection(escaped) is None, "the longest text that may be right"
    assert p.metadata_text_objection("x" * (p.MAX_METADATA_TEXT + 1)) == p.metadata_objection({"k": "v" * 1024})


def test_the_first_objection_counts() -> None:
    assert p.naming_objection("a.b", "@x", ip="a b") == f"Param 'namespaceId/tenant' is illegal, {STRANGE}"
    assert p.naming_objection("a", "@x", ip="a b") == f"Param 'serviceName' is illegal, {STRANGE}"
    assert p.naming_objection("a", "x", "g", ip="a b", port=-1) == f"Param 'ip' is illegal, {STRANGE}"
    assert p.naming_objection("a", "x", "g", clusters="A", cluster="B", ip="i", port=1, metadata={"a": "b"}) is None
    p.check(None)
    with pytest.raises(p.IllegalParam) as illegal:
        p.check("no")
    assert (illegal.value.status, illegal.value.text) == (400, "no")


def test_plus_and_percent_are_decoded_in_names_too() -> None:
    assert p.pairs(f"{quote_plus('a b')}=1&c%3Dd=e+f") == {"a b": "1", "c=d": "e f"}
