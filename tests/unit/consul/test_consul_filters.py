"""The filter language: what go-bexpr 0.1.2 accepts, refuses and finds."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.consul.filters import BadFilter, Filters, ListOf, MapOf, Record, Scalar
from polaris_bridge.adapters.consul.filters.expressions import Both, Comparison, Either, Not
from polaris_bridge.adapters.consul.filters.parsing import parse

ENTRY = Record(
    {
        "Node": Record({"Node": Scalar(), "ID": Scalar(), "Meta": MapOf()}),
        "Service": Record(
            {
                "Service": Scalar(),
                "Port": Scalar("int"),
                "Tags": ListOf(Scalar()),
                "Meta": MapOf(),
                "EnableTagOverride": Scalar("bool"),
                "TaggedAddresses": MapOf(Record({"Address": Scalar(), "Port": Scalar("int")})),
            }
        ),
        "Checks": ListOf(Record({"Status": Scalar(), "CheckID": Scalar()})),
    }
)
WEB = {
    "Node": {"Node": "n1", "Meta": None},
    "Service": {
        "Service": "web",
        "Port": 80,
        "Tags": ["v1", "a b"],
        "Meta": {"a.b": "x", "team": "Blue"},
        "EnableTagOverride": False,
        "TaggedAddresses": {"lan": {"Address": "10.0.0.1", "Port": 8000}},
    },
    "Checks": [{"Status": "passing", "CheckID": "a"}, {"Status": "critical", "CheckID": "b"}],
}


def patterns(pattern):
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"error parsing regexp: {error}") from None
    return lambda text: found.search(text) is not None


def wanted(text: str) -> bool:
    return Filters(patterns).get(text, ENTRY)(WEB)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Service.Port == 80", True),
        ('Service.Port=="0x50"', True),
        ('Service.Port == "0120"', True),
        ("Service.Port != 81", True),
        ("Service.EnableTagOverride == F", True),
        ("Service.Service == web", True),
        ("Service.Service == `web`", True),
        (r'Service.Service == "w\x65\u0062"', True),
        ('Service.Service contains "e"', True),
        ("eb in Service.Service", True),
        ("Service.Service matches `^W`", False),
        ("Service.Service matches `e`", True),
        ("Service.Service not matches `^e`", True),
        ('"v1" in Service.Tags', True),
        ("v2 not in Service.Tags", True),
        ('Service.Tags contains "a b"', True),
        ("Service.Tags is not empty", True),
        ("Service.Tags is empty", False),
        ('Service.Meta["a.b"] == x', True),
        ("Service.Meta contains team", True),
        ("Service.Meta.team == Blue", True),
        ("Service.Meta.other == Blue", False),
        ("Service.Meta.other != Blue", True),
        ("Service.Meta.other matches Blue", True),
        ("Node.Meta is empty", True),
        ('Node.ID == ""', True),
        ("Node.ID matches `^$`", True),
        ("Node.ID contains a", False),
        ("Node.Meta.k == v", False),
        ("Service.TaggedAddresses.lan.Port == 8000", True),
        ("Service.TaggedAddresses.wan.Port == 8000", False),
        ('Checks.Status == "critical"', True),
        ('Checks.Status != "critical"', True),
        ('not Checks.Status == "warning"', True),
        ("Service.Port == 1 or Service.Port == 80 and Service.Service == no", False),
        ("(Service.Port == 1 or Service.Port == 80) and not (Service.Service == no)", True),
        (" \n ( Service.Port == 80 ) \t", True),
        ("not not Service.Port == 80", True),
    ],
)
def test_what_is_found(text, expected):
    assert wanted(text) is expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "1:1 (0): no match found"),
        ("aaa", "1:4 (3): no match found"),
        ("Service.Port == 80 and", "1:23 (22): no match found"),
        ("((", "no match found"),
        ("Service.Service == web-1", "no match found"),
        ("Service.Service == 1x", "no match found"),
        ("Service.Port == 0x50", "no match found"),
        ('Service.Service == "open', "no match found"),
        (r'Service.Service == "a\q"', "invalid syntax"),
        (r'Service.Service == "\ud800"', "invalid syntax"),
        ("Foo == 1", 'Selector "Foo" is not valid'),
        ("Service.Foo.Bar == 1", 'Selector "Service.Foo" is not valid'),
        ("Service == 1", 'Invalid match operator "Equal" for selector "Service"'),
        ("Service.Tags != 1", 'Invalid match operator "Not Equal" for selector "Service.Tags"'),
        ("Service.Port is not empty", 'Invalid match operator "Is Not Empty" for selector "Service.Port"'),
        (
            "Service.Port == x",
            'Failed to coerce value "x" for selector "Service.Port": strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            "Service.Port == 99999999999999999999",
            'Failed to coerce value "99999999999999999999" for selector "Service.Port": '
            'strconv.ParseInt: parsing "99999999999999999999": value out of range',
        ),
        ("Service.Service matches `(`", 'Failed to compile regular expression "(": '),
        ("(" * 200 + "Service.Port == 80" + ")" * 200, "more than 100 levels"),
        ("not " * 5000 + "Service.Port == 80", "more than 100 levels"),
        ("Service.Port == 80 or " * 5000 + "Service.Port == 80", "more than 65536 characters"),
    ],
)
def test_what_is_refused(text, error):
    with pytest.raises(BadFilter) as refused:
        wanted(text)
    assert error in str(refused.value)


def test_long_flat_expressions_are_fine():
    assert wanted(" or ".join(["(Service.Port == 1)"] * 2000 + ["Service.Port == 80"]))


def test_only_the_last_used_are_kept():
    filters = Filters(patterns, most=2)
    first = filters.get("Service.Port == 80", ENTRY)
    assert filters.get("Service.Port == 80", ENTRY) is first
    filters.get("Service.Port == 81", ENTRY)
    filters.get("Service.Port == 80", ENTRY)
    filters.get("Service.Port == 82", ENTRY)
    assert filters.get("Service.Port == 80", ENTRY) is first
    assert len(filters._kept) == 2


KEYWORDS = {"and", "or", "not", "in", "is", "empty", "contains", "matches"}
NAME = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=6).filter(
    lambda name: name[0].isalpha() and name not in KEYWORDS
)
SELECTOR = st.lists(NAME, min_size=1, max_size=3).map(tuple)
VALUE = st.text(max_size=8).filter(lambda text: "`" not in text and "\r" not in text)
COMPARISON = st.one_of(
    st.builds(Comparison, SELECTOR, st.sampled_from(["Equal", "In", "Matches"]), VALUE, st.booleans()),
    st.builds(Comparison, SELECTOR, st.just("Is Empty"), st.none(), st.booleans()),
)
EXPRESSION = st.recursive(
    COMPARISON,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(Both, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Either, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


def text_of(expression) -> str:
    if isinstance(expression, Not):
        return f"not ({text_of(expression.operand)})"
    if isinstance(expression, Both | Either):
        word = " and " if isinstance(expression, Both) else " or "
        return "(" + word.join(f"({text_of(one)})" for one in expression.operands) + ")"
    selector, negated = expression.selected, "not " if expression.negated else ""
    if expression.operator == "Is Empty":
        return f"{selector} is {negated}empty"
    if expression.operator == "Equal":
        return f"{selector} {'!=' if negated else '=='} `{expression.value}`"
    if expression.operator == "Matches":
        return f"{selector} {negated}matches `{expression.value}`"
    return f"`{expression.value}` {negated}in {selector}"


@given(EXPRESSION)
def test_what_is_written_is_read(expression):
    assert parse(text_of(expression)) == expression


@given(st.text(alphabet='ab.()[]"`\\0 \n!=-', max_size=30))
def test_anything_is_read_or_refused(text):
    try:
        Filters(patterns).get(text, ENTRY)
    except BadFilter:
        return
