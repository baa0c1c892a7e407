"""The cases on which our router and polaris-go must agree: rules, instances and calls, as a table made of small tables.

``tests/live/polaris/test_routing.py`` has polaris-go answer them; ``data/routing_agreement.json`` is what it said; the unit
test has ours answer the same. ``{callee}`` and ``{caller}`` stand for services of the case's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANSWERS = Path(__file__).parent / "data" / "routing_agreement.json"
CALLEE, CALLER, TEAM = "{callee}", "{caller}", "{team}"
Labels = dict[str, str]
Document = dict[str, Any]

A, B, C, D = (
    {"port": 1, "metadata": {"version": "v1", "env": "prod", "size": "10"}},
    {"port": 2, "metadata": {"version": "v2", "env": "prod", "size": "20"}},
    {"port": 3, "metadata": {"version": "v3", "env": "test"}},
    {"port": 4, "metadata": {}},
)
FOUR = (A, B, C, D)


@dataclass(frozen=True)
class Case:
    """One call. ``options``: what stands in the library's own configuration, not in rules."""

    name: str
    rules: tuple[Document, ...] = ()
    call: Document = field(default_factory=dict)
    instances: tuple[Document, ...] = FOUR
    metadata: Labels = field(default_factory=dict)
    options: Document = field(default_factory=dict)
    differs: str = ""
    """Why ours answers otherwise, and on purpose; empty: it must not."""
    ours: tuple[tuple[int, ...], ...] = ()
    """What it answers then."""
    lanes: tuple[Document, ...] = ()
    """Groups of lanes. polaris-go has them after 1.7.0 only."""


# -------------------------------------------------------------------------------------------------- words of rules


def match(value: str | None, type: str = "EXACT", origin: str = "TEXT") -> Document:
    found: Document = {"type": type, "value_type": origin}
    return found if value is None else found | {"value": value}


def argument(key: str, value: Document, type: str = "HEADER") -> Document:
    return {"type": type, "key": key, "value": value}


def source(*arguments: Document, service: str = "*", namespace: str = "*") -> Document:
    return {"service": service, "namespace": namespace, "arguments": list(arguments)}


def group(labels: dict[str, Document | str], priority: int = 0, weight: int = 100, **more: Any) -> Document:
    conditions = {key: match(value) if isinstance(value, str) else value for key, value in labels.items()}
    own = {"service": CALLEE, "namespace": "default", "name": "g"}
    return own | {"labels": conditions, "priority": priority, "weight": weight} | more


def sub(sources: list[Document], *groups: Document) -> Document:
    return {"name": "s", "sources": sources, "destinations": list(groups)}


def rule(*subs: Document, priority: int = 1, name: str = "r", enable: bool = True) -> Document:
    config = {"@type": "type.googleapis.com/v1.RuleRoutingConfig", "rules": list(subs)}
    return {
        "name": name, "namespace": "default", "enable": enable, "priority": priority,
        "routing_policy": "RulePolicy", "routing_config": config,
    }  # fmt: skip


def nearby(match_level: str = "ZONE", widest: str = "ALL", **more: Any) -> Document:
    config = {
        "@type": "type.googleapis.com/v1.NearbyRoutingConfig", "service": CALLEE, "namespace": "default",
        "match_level": match_level, "max_match_level": widest,
    }  # fmt: skip
    own = {"name": "n", "namespace": "default", "enable": True, "routing_policy": "NearbyPolicy"}
    return own | {"routing_config": config} | more


V1, V2, V3 = group({"version": "v1"}), group({"version": "v2"}), group({"version": "v3"})


def to_v1(*arguments: Document) -> tuple[Document, ...]:
    """Calls with these arguments go to version v1."""
    return (rule(sub([source(*arguments)], V1)),)


# -------------------------------------------------------------------------------------------------- sources

SOURCE_VALUES: tuple[tuple[str, str, str | None], ...] = (
    ("EXACT", "x", "x"), ("EXACT", "x", "y"), ("EXACT", "x", "X"), ("EXACT", "*", "y"), ("EXACT", "", "y"),
    ("EXACT", "x", None), ("EXACT", "*", None), ("EXACT", "", None), ("EXACT", "x", ""), ("EXACT", "x*", "xy"),
    ("EXACT", "ü", "ü"), ("EXACT", "x", "x "),
    ("REGEX", "^a.*", "abc"), ("REGEX", "^b", "abc"), ("REGEX", "b", "abc"), ("REGEX", "c$", "abc"),
    ("REGEX", "a|z", "xyz"), ("REGEX", "(?i)ABC", "xabcx"), ("REGEX", r"\d+", "a1"),
    ("REGEX", r"^\d+$", "a1"), ("REGEX", "x*", "abc"), ("REGEX", "*", "abc"), ("REGEX", "", "abc"), ("REGEX", ".", ""),
    ("REGEX", "a", None), ("REGEX", "^[a-f]{2,3}$", "abc"), ("REGEX", "^[a-f]{2,3}$", "abcd"), ("REGEX", "a.c", "a\nc"),
    ("NOT_EQUALS", "x", "x"), ("NOT_EQUALS", "x", "y"), ("NOT_EQUALS", "*", "y"), ("NOT_EQUALS", "", "y"),
    ("NOT_EQUALS", "x", None), ("NOT_EQUALS", "x", ""),
    ("IN", "a,b,c", "b"), ("IN", "a,b,c", "d"), ("IN", "a, b", "b"), ("IN", "a, b", " b"), ("IN", "*", "b"), ("IN", "", "b"),
    ("IN", "a,,b", ""), ("IN", "a", "a"), ("IN", "a,b", "a,b"), ("IN", "a,b", None), ("IN", "a,*", "z"),
    ("NOT_IN", "a,b,c", "b"), ("NOT_IN", "a,b,c", "d"), ("NOT_IN", "a, b", "b"), ("NOT_IN", "*", "b"), ("NOT_IN", "a", None),
    ("NOT_IN", "", "b"), ("NOT_IN", "a,b", ""),
    ("RANGE", "1~10", "1"), ("RANGE", "1~10", "5"), ("RANGE", "1~10", "10"), ("RANGE", "1~10", "11"), ("RANGE", "1~10", "0"),
    ("RANGE", "1~10", "x"), ("RANGE", "1~10", ""), ("RANGE", "1~10", "5.5"), ("RANGE", "1~10", " 5"), ("RANGE", "1~10", "+5"),
    ("RANGE", "a~b", "5"), ("RANGE", "1-10", "5"), ("RANGE", "10~1", "5"), ("RANGE", "-5~5", "-3"), ("RANGE", "1~2~3", "2"),
    ("RANGE", "1~", "2"), ("RANGE", "~5", "2"), ("RANGE", "1 ~ 5", "2"), ("RANGE", "*", "x"), ("RANGE", "1~10", None),
    ("RANGE", "0~9223372036854775807", "9223372036854775807"), ("RANGE", "0~9223372036854775808", "5"),
    ("RANGE", "0~9223372036854775807", "9223372036854775808"), ("RANGE", "1~10", "0x5"), ("RANGE", "1~10", "1_0"),
    ("RANGE", "1~10", "٥"),
)  # fmt: skip
"""Operator, value of the rule, value of the call."""

NO_PATTERN = "* is any; polaris-go drops all rules of a service in which a pattern does not compile"

PLACES: tuple[tuple[str, str, Document], ...] = (
    ("CUSTOM", "k", {"caller": {"labels": {"k": "x"}}}),
    ("METHOD", "", {"method": "x"}),
    ("HEADER", "k", {"headers": {"k": "x"}}),
    ("QUERY", "k", {"query": {"k": "x"}}),
    ("CALLER_IP", "", {"callerIp": "x"}),
    ("PATH", "", {"path": "x"}),
    ("COOKIE", "k", {"cookies": {"k": "x"}}),
)
"""Where a value stands in a call."""


def sources() -> Iterator[Case]:
    for type, wanted, given in SOURCE_VALUES:
        call: Document = {"headers": {"other": "1"} | ({} if given is None else {"k": given})}
        if (type, wanted) != ("REGEX", "*"):
            yield Case(f"source {type} {wanted!r} of {given!r}", to_v1(argument("k", match(wanted, type))), call)
    yield Case(
        "source REGEX '*'",
        to_v1(argument("k", match("*", "REGEX"))),
        {"headers": {"k": "abc"}},
        differs=NO_PATTERN,
        ours=((1,),),
    )
    for type, key, call in PLACES:
        yield Case(f"source {type} equal", to_v1(argument(key, match("x"), type)), call)
        yield Case(f"source {type} other", to_v1(argument(key, match("y"), type)), call)
        yield Case(f"source {type} not told", to_v1(argument(key, match("x"), type)), {"headers": {"z": "1"}})
    k, j = argument("k", match("x")), argument("j", match("y"))
    yield Case("source both labels", to_v1(k, j), {"headers": {"k": "x", "j": "y"}})
    yield Case("source one of two labels", to_v1(k, j), {"headers": {"k": "x", "j": "z"}})
    yield Case("source one label missing", to_v1(k, j), {"headers": {"k": "x"}})
    yield Case("source key *", to_v1(argument("*", match("x"), "CUSTOM")), {"headers": {"k": "y"}})
    yield Case("source keys differ in case", to_v1(argument("K", match("x"))), {"headers": {"k": "x"}})
    either = (rule(sub([source(k), source(j)], V1)),)
    yield Case("sources first", either, {"headers": {"k": "x"}})
    yield Case("sources second", either, {"headers": {"j": "y"}})
    yield Case("sources neither", either, {"headers": {"j": "x"}})
    yield Case("no sources", (rule(sub([], V1)),), {"headers": {"j": "x"}})
    yield Case("no sources, nobody", (rule(sub([], V1)),))
    for wanted in ("x", "*", "", "y"):
        told = argument("k", match(wanted, "EXACT", "PARAMETER"))
        yield Case(f"source parameter {wanted!r} told", to_v1(told), {"headers": {"k": "z"}})
        yield Case(f"source parameter {wanted!r} not told", to_v1(told), {"headers": {"j": "z"}})
    for type, given in (
        ("EXACT", "red"),
        ("EXACT", "blue"),
        ("NOT_EQUALS", "blue"),
        ("REGEX", "reddish"),
        ("IN", "red"),
    ):
        told = argument("k", match("COLOUR", type, "VARIABLE"))
        variables = {"variables": {"COLOUR": "red"}}
        yield Case(f"source variable {type} of {given}", to_v1(told), {"headers": {"k": given}}, options=variables)
    unknown = argument("k", match("NOBODY_SAID", "EXACT", "VARIABLE"))
    yield Case("source variable unknown", to_v1(unknown), {"headers": {"k": "x"}})


def callers() -> Iterator[Case]:
    """By who calls, inbound."""
    me, nobody = {"caller": {"service": CALLER}}, {"headers": {"k": "x"}}
    for name, place in (
        ("any", {}),
        ("its name", {"service": CALLER, "namespace": "default"}),
        ("its namespace", {"namespace": "default"}),
        ("another name", {"service": "somebody", "namespace": "default"}),
        ("another namespace", {"service": CALLER, "namespace": "elsewhere"}),
        ("any namespace", {"service": CALLER}),
    ):
        rules = (rule(sub([source(**place)], V1)),)
        yield Case(f"caller of {name}", rules, me)
        yield Case(f"nobody of {name}", rules)
        yield Case(f"labels without a name of {name}", rules, nobody)
        with_label = (rule(sub([source(argument("k", match("x")), **place)], V1)),)
        yield Case(f"caller with label of {name}", with_label, me | nobody)
        yield Case(f"caller without label of {name}", with_label, me)


# -------------------------------------------------------------------------------------------------- groups

GROUP_VALUES: tuple[tuple[str, str, str], ...] = (
    ("EXACT", "version", "v1"), ("EXACT", "version", "v9"), ("EXACT", "version", "*"), ("EXACT", "nobody", "v1"),
    ("EXACT", "nobody", "*"), ("EXACT", "version", "V1"), ("EXACT", "env", "prod"), ("EXACT", "env", "pro"),
    ("REGEX", "version", "^v[12]$"), ("REGEX", "version", "2"), ("REGEX", "version", "x"),
    ("REGEX", "version", "x*"), ("REGEX", "version", "v?"), ("REGEX", "env", "pro|tes"), ("REGEX", "nobody", ".*"),
    ("REGEX", "version", "*"), ("REGEX", "version", "^v"), ("REGEX", "size", r"^\d0$"), ("REGEX", "version", "(?i)V3"),
    ("NOT_EQUALS", "version", "v1"), ("NOT_EQUALS", "version", "v9"), ("NOT_EQUALS", "env", "prod"),
    ("NOT_EQUALS", "nobody", "x"), ("NOT_EQUALS", "version", "*"), ("NOT_EQUALS", "size", "10"),
)  # fmt: skip
GROUP_MEANT: tuple[tuple[str, str, str, tuple[int, ...]], ...] = (
    ("IN", "version", "v1,v2", (1, 2)), ("IN", "version", "v3,v9", (3,)), ("NOT_IN", "version", "v1,v2", (3,)),
    ("NOT_IN", "env", "prod", (3,)), ("RANGE", "size", "5~15", (1,)), ("RANGE", "size", "10~20", (1, 2)),
)  # fmt: skip
"""What polaris-go takes for "equals"."""


def groups() -> Iterator[Case]:
    def only(labels: dict[str, Document | str]) -> tuple[Document, ...]:
        return (rule(sub([source()], group(labels))),)

    for type, key, value in GROUP_VALUES:
        yield Case(f"group {key} {type} {value!r}", only({key: match(value, type)}))
    for type, key, value, meant in GROUP_MEANT:
        why = f"{type} is what it says, as in polaris-java; polaris-go compares with the whole text"
        yield Case(f"group {key} {type} {value!r}", only({key: match(value, type)}), differs=why, ours=(meant,))
    yield Case(
        "group label empty",
        (rule(sub([source()], group({"version": match("")})), sub([source()], V3)),),
        differs="an empty value is any, as in polaris-java",
        ours=((1, 2, 3, 4),),
    )
    yield Case("group without labels", only({}))
    yield Case("group two labels", only({"version": "v1", "env": "prod"}))
    yield Case(
        "group two labels of nobody together", only({"version": "v1", "env": "test"}), differs="a group with nobody in it is no "
        "group, as in polaris-java; polaris-go looks at each label by itself", ours=((1, 2, 3, 4),),
    )  # fmt: skip
    yield Case("group two labels, one of nobody", only({"version": "v1", "env": "none"}))
    yield Case("group regex and exact", only({"version": match("^v[12]$", "REGEX"), "env": "prod"}))
    yield Case("group not equals and exact", only({"version": match("v1", "NOT_EQUALS"), "env": "prod"}))
    yield Case("group exact and any", only({"version": "v2", "nobody": "*"}))
    param = {"version": match("$header.want", "EXACT", "PARAMETER")}
    yield Case("group parameter", only(param), {"headers": {"want": "v2"}})
    yield Case("group parameter of nobody", only(param), {"headers": {"want": "v7"}})
    yield Case("group parameter not told", only(param), {"headers": {"k": "v2"}})
    yield Case("group parameter without labels", only(param))
    yield Case("group parameter *", only(param), {"headers": {"want": "*"}})
    custom = {"version": match("want", "EXACT", "PARAMETER")}
    yield Case("group parameter custom", only(custom), {"caller": {"labels": {"want": "v3"}}})
    for type, value in (("REGEX", "^v[12]"), ("NOT_EQUALS", "v2"), ("REGEX", "[")):
        labels = {"version": match("want", type, "PARAMETER")}
        yield Case(f"group parameter {type} {value}", only(labels), {"caller": {"labels": {"want": value}}})
    var = {"version": match("WANTED", "EXACT", "VARIABLE")}
    yield Case("group variable", only(var), options={"variables": {"WANTED": "v2"}})
    yield Case("group variable of nobody", only(var), options={"variables": {"WANTED": "v8"}})
    yield Case("group variable unknown", only({"version": match("NOBODY_SAID", "EXACT", "VARIABLE")}))


def priorities() -> Iterator[Case]:
    first, second, third = (group({"version": f"v{i + 1}"}, priority=i) for i in range(3))
    none_there = group({"version": "v9"}, priority=0)
    yield Case("priority best", (rule(sub([source()], first, second, third)),))
    yield Case("priority best stands last", (rule(sub([source()], third, second, first)),))
    yield Case("priority best is nobody", (rule(sub([source()], none_there, second, third)),))
    yield Case(
        "priority large numbers", (rule(sub([source()], group({"version": "v1"}, 9), group({"version": "v2"}, 8))),)
    )
    for weights in ((50, 50), (30, 70), (100, 100, 100), (65535, 65535)):
        shares = [group({"version": f"v{i + 1}"}, weight=weight) for i, weight in enumerate(weights)]
        yield Case(f"weights {weights}", (rule(sub([source()], *shares)),))
    ones = [group({"version": f"v{i + 1}"}, weight=1) for i in range(2)]
    yield Case(
        "weights (1, 1)",
        (rule(sub([source()], *ones)),),
        differs="each has its share; polaris-go draws one too many for the first group, of weights (1, 1) all",
        ours=((1,), (2,)),
    )
    yield Case("weights of two priorities", (rule(sub([source()], V1, V2, group({"version": "v3"}, 1))),))
    zero = group({"version": "v1"}, weight=0)
    yield Case("weight 0 is passed over", (rule(sub([source()], zero, V2)),))
    yield Case("weight 0 only", (rule(sub([source()], zero)),))
    yield Case("weight 0 only, next route", (rule(sub([source()], zero), sub([source()], V3)),))
    yield Case("weights overlap", (rule(sub([source()], group({"env": "prod"}), V1)),))
    yield Case(
        "isolated group", (rule(sub([source()], group({"version": "v1"}, isolate=True), V2)),),
        differs="an isolated group gets nothing, as in polaris-java; polaris-go does not look at it", ours=((2,),),
    )  # fmt: skip


NO_FAILOVER = "none means nobody, as in polaris-java; of polaris-go's file the word has no effect"


def routes() -> Iterator[Case]:
    k = source(argument("k", match("x")))
    yield Case("first route that matches", (rule(sub([k], V1), sub([source()], V2)),), {"headers": {"k": "x"}})
    yield Case("second route", (rule(sub([k], V1), sub([source()], V2)),), {"headers": {"k": "y"}})
    gone = group({"version": "v9"})
    yield Case("route without instances", (rule(sub([source()], gone), sub([source()], V2)),))
    yield Case(
        "two rules by priority",
        (rule(sub([source()], V1), priority=5), rule(sub([source()], V2), priority=2, name="q")),
    )
    yield Case(
        "rule that does not match first",
        (rule(sub([k], V1), priority=0), rule(sub([source()], V2), priority=9, name="q")),
    )
    yield Case("rule switched off", (rule(sub([source()], V1), enable=False), rule(sub([source()], V2), name="q")))
    yield Case("only a rule that is switched off", (rule(sub([source()], V1), enable=False),))
    yield Case("no rule")
    none = {"failover": "none"}
    no_source = to_v1(argument("k", match("x")))
    yield Case("failover none, no source", no_source, {"headers": {"k": "y"}}, options=none, differs=NO_FAILOVER)
    yield Case("failover none, no group", (rule(sub([source()], gone)),), options=none, differs=NO_FAILOVER)
    yield Case("failover none, matched", (rule(sub([source()], V1)),), options=none)
    yield Case("failover none, no rule", options=none)
    me = {"caller": {"service": CALLER}}
    out = source(service=CALLER, namespace="default")
    every = {"service": "*", "namespace": "*"}
    yield Case("outbound", (rule(sub([out], V1 | every)),), me)
    yield Case("outbound, another callee", (rule(sub([out], V1 | {"service": "other-one"})),), me)
    yield Case("outbound, any service of another namespace", (rule(sub([out], V1 | every | {"namespace": "far"})),), me)
    yield Case("outbound, nobody calls", (rule(sub([out], V1 | every)),))
    yield Case("outbound of somebody else", (rule(sub([source(service="who", namespace="default")], V1 | every)),), me)
    inbound, outbound = rule(sub([source()], V1), priority=9), rule(sub([out], V2 | every), priority=0, name="q")
    yield Case("inbound before outbound", (inbound, outbound), me)
    misses = rule(sub([k], V1), priority=0)
    yield Case("inbound that does not match keeps outbound away", (misses, outbound), me)
    labelled = source(argument("k", match("x")), service=CALLER, namespace="default")
    yield Case("outbound by label", (rule(sub([labelled], V1 | every)),), me | {"headers": {"k": "x"}})
    yield Case("outbound by another label", (rule(sub([labelled], V1 | every)),), me | {"headers": {"k": "z"}})
    yield Case("outbound, failover none", (rule(sub([labelled], V1 | every)),), me, options=none, differs=NO_FAILOVER)
    yield Case("outbound weights", (rule(sub([out], V1 | every, V2 | every)),), me)


# -------------------------------------------------------------------------------------------------- health, places, labels


def health() -> Iterator[Case]:
    sick, off, idle = {"healthy": False}, {"isolate": True}, {"weight": 0}
    yield Case("one is sick", instances=(A | sick, B, C))
    yield Case("all are sick", instances=(A | sick, B | sick))
    yield Case("sick and isolated", instances=(A | sick, B | off, C | sick))
    yield Case("isolated and idle", instances=(A | off, B | idle, C))
    yield Case("nobody may be used", instances=(A | off, B | idle))
    strict = {"recoverAll": False}
    yield Case("one is sick, no recovery", instances=(A | sick, B, C), options=strict)
    yield Case("all are sick, no recovery", instances=(A | sick, B | sick), options=strict)
    by_version = (rule(sub([source()], V1, group({"version": "v2"}, 1))),)
    yield Case("best group is sick", by_version, instances=(A | sick, B, C))
    yield Case("best group is isolated", by_version, instances=(A | off, B, C))
    yield Case("best group is idle", by_version, instances=(A | idle, B, C))
    yield Case("best group in part sick", by_version, instances=(A | sick, A | {"port": 5}, B))
    yield Case("everybody is sick, by rule", by_version, instances=(A | sick, B | sick))
    yield Case("all groups isolated", by_version, instances=(A | off, B | off, C))
    both = (rule(sub([source()], V1, V2)),)
    yield Case("one of two shares is sick", both, instances=(A | sick, B, C))
    yield Case("one of two shares is isolated", both, instances=(A | off, B, C))
    prod = (rule(sub([source()], group({"env": "prod"}))),)
    yield Case("group with a sick one", prod, instances=(A | sick, B, C))
    yield Case("group all sick", prod, instances=(A | sick, B | sick, C))
    not_v1 = (rule(sub([source()], group({"version": match("v1", "NOT_EQUALS")}))),)
    yield Case("not equals with a sick one", not_v1, instances=(A, B | sick, C))
    yield Case(
        "not equals, all sick", not_v1, instances=(A, B | sick, C | sick), ours=((2, 3),),
        differs="health decides after groups, for every operator; polaris-go leaves sick ones out of this one only",
    )  # fmt: skip


def at(region: str = "", zone: str = "", campus: str = "") -> Document:
    return {"location": {"region": region, "zone": zone, "campus": campus}}


PLACED = (
    A | at("r1", "z1", "c1"), B | at("r1", "z1", "c2"), C | at("r1", "z2", "c3"), D | at("r2", "z3", "c4"),
)  # fmt: skip
HERE = ("r1", "z1", "c1")


def places() -> Iterator[Case]:
    sick = {"healthy": False}
    on = {"internal-enable-nearby": "true"}

    def here(
        match_level: str = "zone", widest: str = "", place: tuple[str, ...] = HERE, percent: int = 100
    ) -> Document:
        return {"location": list(place), "match": match_level, "widest": widest, "percent": percent}

    yield Case("nearby off", instances=PLACED, options=here())
    for level in ("campus", "zone", "region"):
        yield Case(f"nearby {level}", instances=PLACED, metadata=on, options=here(level))
    for place in (
        ("r1", "z1", "c9"),
        ("r1", "z9", "c9"),
        ("r9", "z9", "c9"),
        ("r1", "", ""),
        ("", "z1", ""),
        ("r2", "z3", "c4"),
    ):
        for level in ("campus", "zone"):
            yield Case(
                f"nearby {level} from {'/'.join(place)}",
                instances=PLACED,
                metadata=on,
                options=here(level, place=place),
            )
    yield Case(
        "nearby only the zone, nobody", instances=PLACED, metadata=on, options=here("zone", "zone", ("r1", "z9", "c"))
    )
    yield Case(
        "nearby to the region, nobody", instances=PLACED, metadata=on, options=here("zone", "region", ("r9", "z9", "c"))
    )
    yield Case("nearby to the region", instances=PLACED, metadata=on, options=here("zone", "region", ("r1", "z9", "c")))
    yield Case("nearby, the caller is nowhere", instances=PLACED, metadata=on)
    zone_sick = (PLACED[0] | sick, PLACED[1] | sick, PLACED[2], PLACED[3])
    yield Case("nearby, the zone is sick", instances=zone_sick, metadata=on, options=here())
    half = (PLACED[0] | sick, *PLACED[1:])
    yield Case("nearby, half the zone is sick", instances=half, metadata=on, options=here())
    yield Case("nearby, half is too much", instances=half, metadata=on, options=here(percent=50))
    yield Case("nearby, half is not too much", instances=half, metadata=on, options=here(percent=51))
    all_sick = tuple(each | sick for each in PLACED)
    yield Case("nearby, all are sick", instances=all_sick, metadata=on, options=here())
    yield Case("nearby, instances without a place", instances=(PLACED[2], A | {"port": 6}), metadata=on, options=here())
    prod = (rule(sub([source()], group({"env": "prod"}))),)
    yield Case("nearby within a group", prod, instances=PLACED, metadata=on, options=here("campus"))
    test = (rule(sub([source()], group({"env": "test"}))),)
    yield Case("nearby within a group that is far", test, instances=PLACED, metadata=on, options=here("campus"))
    for told in ("1", "TRUE", "yes", "false"):
        yield Case(
            f"nearby switched {told}", instances=PLACED, metadata={"internal-enable-nearby": told}, options=here()
        )
    yield Case("nearby by rule", (nearby("ZONE"),), instances=PLACED, options=here("zone"))
    yield Case("nearby by rule, campus", (nearby("CAMPUS"),), instances=PLACED, options=here("campus"))
    yield Case("nearby by rule, region", (nearby("REGION"),), instances=PLACED, options=here("region"))
    yield Case("nearby by a rule that is off", (nearby(enable=False),), instances=PLACED, options=here("campus"))
    yield Case(
        "nearby by rule, another level in the file", (nearby("CAMPUS"),), instances=PLACED, options=here("region"),
        differs="a rule's levels count, as in polaris-java; polaris-go takes those of its file", ours=((1,),),
    )  # fmt: skip


def wishes() -> Iterator[Case]:
    sick = {"healthy": False}
    yield Case("wanted", call={"metadata": {"version": "v2"}})
    yield Case("wanted two", call={"metadata": {"version": "v2", "env": "prod"}})
    yield Case("wanted by several", call={"metadata": {"env": "prod"}})
    yield Case("wanted of nobody", call={"metadata": {"version": "v9"}})
    yield Case("wanted of nobody together", call={"metadata": {"version": "v1", "env": "test"}})
    yield Case("wanted is sick", call={"metadata": {"version": "v1"}}, instances=(A | sick, B))
    yield Case("wanted is isolated", call={"metadata": {"version": "v1"}}, instances=(A | {"isolate": True}, B))
    prod = (rule(sub([source()], group({"env": "prod"}))),)
    yield Case("wanted and a rule", prod, {"metadata": {"version": "v2"}})
    on, there = {"internal-enable-nearby": "true"}, {"location": ["r1", "z1", "c2"], "match": "campus"}
    wanted = {"metadata": {"env": "prod"}}
    yield Case("wanted with nearby", call=wanted, instances=PLACED, metadata=on, options=there)


def sets() -> Iterator[Case]:
    def member(port: int, name: str, on: str = "Y", **more: Any) -> Document:
        labels = {"internal-enable-set": on, "internal-set-name": name}
        return {"port": port, "metadata": labels} | more

    def own(name: str, on: str = "Y") -> Document:
        return {"caller": {"service": CALLER, "labels": {"internal-enable-set": on, "internal-set-name": name}}}

    several = (
        member(1, "app.sz.1"),
        member(2, "app.sz.2"),
        member(3, "app.bj.1"),
        member(4, "app.sz.*"),
        D | {"port": 5},
    )
    option = {"chain": "set"}
    for name in ("app.sz.1", "app.sz.2", "app.sz.9", "app.bj.1", "other.sz.1", "app.sz.*", "app.bj.*"):
        yield Case(f"set of the caller {name}", call=own(name), instances=several, options=option)
    yield Case("set of the caller is off", call=own("app.sz.1", "N"), instances=several, options=option)
    yield Case(
        "set of the service is off", call=own("app.sz.1"), instances=(member(1, "app.sz.1", "N"), D), options=option
    )
    yield Case("set, nobody has one", call=own("app.sz.1"), instances=FOUR, options=option)
    yield Case("set, no caller", instances=several, options=option)
    yield Case("set, area has nobody", call=own("app.gz.1"), instances=several, options=option)
    yield Case("set with sick members", call=own("app.sz.1"), options=option,
               instances=(member(1, "app.sz.1", healthy=False), member(2, "app.sz.1"), member(3, "app.bj.1")))  # fmt: skip
    near = option | {"location": ["r1", "z1", "c1"], "match": "zone"}
    placed = (member(1, "app.sz.1") | at("r2", "z2"), member(2, "app.sz.2") | at("r1", "z1"), D | at("r1", "z1"))
    on = {"internal-enable-nearby": "true"}
    yield Case("set goes before nearby", call=own("app.sz.1"), instances=placed, options=near, metadata=on)
    yield Case("without a set nearby counts", instances=placed, options=near, metadata=on)


def canaries() -> Iterator[Case]:
    sick = {"healthy": False}
    one = A | {"metadata": {"canary": "one"}}
    two = B | {"metadata": {"canary": "two"}}
    on, option = {"internal-canary": "true"}, {"chain": "canary"}

    def case(name: str, canary: str, *instances: Document) -> Case:
        return Case(f"canary {name}", call={"canary": canary}, instances=instances, metadata=on, options=option)

    yield case("one", "one", one, two, C, D)
    yield case("two", "two", one, two, C)
    yield case("of nobody", "three", one, two, C)
    yield case("of nobody among canaries", "three", one, two)
    yield case("is sick", "one", one | sick, two, C)
    yield case("is sick, only another", "one", one | sick, two)
    yield case("is sick, all others too", "one", one | sick, two | sick, C | sick)
    yield case("none", "", one, two, C, D)
    yield case("none, others sick", "", one, two, C | sick)
    yield case("none, only canaries", "", one, two)
    yield case("none, all sick", "", one | sick, C | sick)
    yield Case("canary switched off", call={"canary": "one"}, instances=(one, two, C), options=option)


LANE_GATEWAY = "polarismesh.cn/gateway/spring-cloud-gateway"
LANE_SERVICE = "polarismesh.cn/service"


def lane(name: str, *arguments: Document, **more: Any) -> Document:
    found = {"name": name, "enable": True, "default_label_value": name, "match_mode": "PERMISSIVE"}
    return found | {"traffic_match_rule": {"arguments": list(arguments), "match_mode": "AND"}} | more


def team(
    *rules: Document, type: str = LANE_SERVICE, labels: Document | None = None, **more: Any
) -> tuple[Document, ...]:
    kind = "ServiceGatewaySelector" if type == LANE_GATEWAY else "ServiceSelector"
    selector = {"@type": f"type.googleapis.com/v1.{kind}", "namespace": "default", "service": CALLER}
    found: Document = {
        "name": TEAM,
        "entries": [{"type": type, "selector": selector | {"labels": labels or {}}}],
        "destinations": [{"namespace": "default", "service": CALLEE, "name": "d"}],
        "rules": list(rules),
    }
    return (found | more,)


def lanes() -> Iterator[Case]:
    blue, green, base = (
        {"port": 1, "metadata": {"lane": "blue"}},
        {"port": 2, "metadata": {"lane": "green"}},
        D | {"port": 3},
    )
    several = (blue, green, base)
    user, b = argument("user", match("blue")), argument("b", match("1"))

    def case(name: str, groups: tuple[Document, ...], headers: Labels, **more: Any) -> Case:
        call = {"caller": {"service": CALLER}, "headers": headers}
        given: Document = {"instances": several, "call": call, "options": {"chain": "lane"}, "lanes": groups} | more
        return Case(f"lane {name}", **given)

    mine, others = {"user": "blue"}, {"user": "red"}
    yield case("of the call", team(lane("blue", user)), mine)
    yield case("of another call", team(lane("blue", user)), others)
    yield case("of a call that does not tell", team(lane("blue", user)), {"other": "1"})
    yield case("that is off", team(lane("blue", user, enable=False)), mine)
    yield case("by a gateway", team(lane("blue", user), type=LANE_GATEWAY), mine)
    stranger = {"call": {"caller": {"service": "somebody"}, "headers": mine}}
    yield case("not by its entry", team(lane("blue", user)), mine, **stranger)
    for stain in (f"{TEAM}/blue", "blue", "green", f"{TEAM}/pink", "pink"):
        yield case(f"carried as {stain}", team(lane("blue", user), lane("green", b)), {"service-lane": stain})
    carried = {"call": {"caller": {"service": "somebody"}, "headers": {"service-lane": f"{TEAM}/blue"}}}
    yield case("carried by a stranger", team(lane("blue", user)), {}, **carried)
    yield case("without conditions", team(lane("blue")), mine)
    yield case("without instances", team(lane("gone", user)), mine)
    yield case("strict without instances", team(lane("gone", user, match_mode="STRICT")), mine)
    sick = {"instances": (blue | {"healthy": False}, green, base)}
    yield case("sick", team(lane("blue", user)), mine, **sick)
    yield case("sick and strict", team(lane("blue", user, match_mode="STRICT")), mine, **sick)
    yield case("first by priority", team(lane("blue", user, priority=2), lane("green", user, priority=1)), mine)
    yield case("two conditions, one holds", team(lane("blue", user, b)), mine)
    yield case("two conditions, both hold", team(lane("blue", user, b)), mine | {"b": "1"})
    either = {"traffic_match_rule": {"arguments": [user, b], "match_mode": "OR"}}
    yield case("either of two, one holds", team(lane("blue", **either)), {"b": "1"})
    yield case("either of two, none holds", team(lane("blue", **either)), {"b": "2"})
    for type, value, given in (("REGEX", "^bl", "blue"), ("NOT_EQUALS", "red", "blue"), ("IN", "blue,pink", "blue"),
                               ("NOT_IN", "red,pink", "blue"), ("IN", "red,pink", "blue")):  # fmt: skip
        yield case(f"{type} {value}", team(lane("blue", argument("user", match(value, type)))), {"user": given})
    not_told = team(lane("blue", argument("user", match("red", "NOT_EQUALS"))))
    why = "a condition on something that the call does not tell never holds; polaris-go takes it for an empty text"
    yield case("NOT_EQUALS of nothing", not_told, {"other": "1"}, differs=why, ours=((3,),))
    any_user = team(lane("blue", argument("user", match("*"))))
    why = "* is any, as in route rules; polaris-go takes it for a star in lanes"
    yield case("of any value", any_user, mine, differs=why, ours=((1,),))
    far = {"destinations": [{"namespace": "default", "service": "elsewhere", "name": "d"}]}
    yield case("that does not go here", team(lane("blue", user), **far), mine)
    swim = ({"port": 1, "metadata": {"swim": "blue"}}, {"port": 2, "metadata": {"lane": "x"}}, base)
    yield case("with a key of its own", team(lane("blue", user, label_key="swim")), mine, instances=swim)
    yield case("with a key of its own, none", team(lane("gone", user, label_key="swim")), mine, instances=swim)
    yield case(
        "with a key of its own, another call", team(lane("blue", user, label_key="swim")), others, instances=swim
    )
    for percent in (0, 100):
        gray = {"traffic_gray": {"mode": "PERCENTAGE", "percentage": {"percent": percent}}}
        yield case(f"of {percent} percent", team(lane("blue", user, **gray)), mine)
    labelled = {"call": {"caller": {"service": CALLER, "labels": {"tier": "edge"}}, "headers": mine}}
    yield case("by an entry with labels", team(lane("blue", user), labels={"tier": match("edge")}), mine, **labelled)
    yield case("by an entry without its labels", team(lane("blue", user), labels={"tier": match("edge")}), mine)
    told = (blue, blue | {"port": 4, "metadata": {"lane": "blue", "version": "v1"}}, A | {"port": 5}, base)
    by_version = (rule(sub([source()], V1)),)
    yield case("and a rule", team(lane("blue", user)), mine, instances=told, rules=by_version)
    yield case("and a rule, base line", team(lane("blue", user)), others, instances=told, rules=by_version)


def cases() -> tuple[Case, ...]:
    """Every case; no two of one name."""
    parts = (sources, callers, groups, priorities, routes, health, places, wishes, sets, canaries, lanes)
    found = tuple(case for part in parts for case in part())
    assert len({case.name for case in found}) == len(found)
    return found


# -------------------------------------------------------------------------------------------------- as a server is told


def named(case: Case, at: int) -> Document:
    """A case as it is written to a server: with services of its own."""
    callee, caller = f"routed-{at}", f"caller-{at}"

    def own(value: Any) -> Any:
        text = json.dumps(value).replace(CALLEE, callee).replace(CALLER, caller).replace(TEAM, f"team-{at}")
        return json.loads(text)

    metadata = case.metadata
    return {
        "services": [
            {"name": callee, "namespace": "default", "metadata": metadata},
            {"name": caller, "namespace": "default"},
        ],
        "instances": [
            {"service": callee, "namespace": "default", "host": "10.0.0.1", "weight": 100, "healthy": True} | each
            for each in case.instances
        ],
        "rules": [own({**each, "name": f"{each['name']}-{at}"}) for each in case.rules],
        "lanes": own(list(case.lanes)),
        "call": {"service": callee, "namespace": "default"} | own(case.call),
    }  # fmt: skip


def answers() -> dict[str, list[list[int]]]:
    """What polaris-go said: of each case every set of ports that came."""
    found: dict[str, list[list[int]]] = json.loads(ANSWERS.read_text())
    return found
