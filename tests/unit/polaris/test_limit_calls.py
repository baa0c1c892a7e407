"""Rate limits over HTTP: rules of the console, and whether calls may go ahead by them."""

from __future__ import annotations

from typing import Any

import pytest
from http_world import World, document, header
from msgspec.structs import replace

from polaris_bridge.adapters.polaris.translate.limits import argument_key, limit_rules
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.limiting.model import Allowance
from polaris_bridge.core.limiting.rules import LimitRule
from polaris_bridge.core.routing.model import IN, REGEX, Condition

OK = 200000


def rule(**members: Any) -> dict[str, Any]:
    """A rule as a console sends it: two calls a second."""
    return {
        "name": "two", "service": "shop", "namespace": "default", "type": "GLOBAL",
        "amounts": [{"maxAmount": 2, "validDuration": "1s"}],
    } | members  # fmt: skip


def argument(type: str, value: str, key: str = "", match: str = "EXACT") -> dict[str, Any]:
    return {"type": type, "key": key, "value": {"type": match, "value": value}}


class Limited(World):
    """A server with rules."""

    def put(self, *rules: dict[str, Any]) -> str:
        """Write rules; the id of the first."""
        answer = self.call("POST", "/naming/v1/ratelimits", list(rules))
        assert answer["code"] == OK, answer
        found: str = answer["responses"][0]["rateLimit"]["id"]
        return found

    def check(self, **question: Any) -> Any:
        return document(self.send("POST", "/ratelimit/v1/check", {"service": "shop"} | question))

    def explain(self, **question: Any) -> Any:
        answer = document(self.send("POST", "/ratelimit/v1/explain", {"service": "shop"} | question))
        assert (answer["code"], answer["service"], answer["namespace"]) == (OK, "shop", "default")
        return answer["rules"]


def test_what_is_allowed_and_what_is_not():
    w = Limited()
    id = w.put(rule())
    assert w.check() == {
        "code": OK,
        "info": "execute success",
        "allowed": True,
        "remaining": 1,
        "reset": 1010,
        "limit": {"maxAmount": 2, "durationMs": 1000},
        "rule": {"id": id, "name": "two"},
    }
    assert w.check()["remaining"] == 0
    answer = w.send("POST", "/ratelimit/v1/check", {"service": "shop"})
    assert answer.status == 429
    assert document(answer)["allowed"] is False
    assert document(answer)["code"] == OK  # the question was answered
    assert header(answer, "Retry-After") == "2"
    w.clock.now_ms += 1010
    assert w.check()["allowed"]


def test_without_a_rule_everything_is_allowed():
    w = Limited()
    assert w.check() == {"code": OK, "info": "execute success", "allowed": True}
    w.put(rule(), rule(name="off", disable=True, service="other"))
    assert "rule" not in w.check(service="other")
    assert "rule" not in w.check(namespace="prod")


def test_rules_change_while_calls_are_counted():
    w = Limited()
    id = w.put(rule())
    assert [w.check()["allowed"] for _ in range(3)] == [True, True, False]
    changed = rule(id=id, amounts=[{"maxAmount": 3, "validDuration": "1s"}])
    assert w.code("PUT", "/naming/v1/ratelimits", [changed]) == OK
    assert [w.check()["allowed"] for _ in range(2)] == [True, False]
    assert w.code("PUT", "/naming/v1/ratelimits/enable", [{"id": id, "disable": True}]) == OK
    assert "rule" not in w.check()
    assert w.code("POST", "/naming/v1/ratelimits/delete", [{"id": id}]) == OK
    assert w.explain() == []


def test_an_alias_means_its_service():
    w = Limited()
    w.put(rule(amounts=[{"maxAmount": 1, "validDuration": "60s"}]))
    assert w.code("POST", "/naming/v1/services", [{"name": "shop", "namespace": "default"}]) == OK
    alias = {"service": "shop", "namespace": "default", "alias": "store", "alias_namespace": "default"}
    assert w.code("POST", "/naming/v1/service/alias", alias) == OK
    assert w.check()["allowed"]
    assert not w.check(service="store")["allowed"]


ARGUMENTS = [
    (argument("METHOD", "GET"), "$method", "GET"),
    (argument("HEADER", "u1", "X-User"), "$header.X-User", "u1"),
    (argument("QUERY", "^a", "page", "REGEX"), "$query.page", "abc"),
    (argument("CALLER_SERVICE", "web", "default"), "$caller_service.default", "web"),
    (argument("CALLER_IP", "10.0.0.1,10.0.0.2", "", "IN"), "$caller_ip", "10.0.0.2"),
    (argument("CALLER_METADATA", "gray", "env"), "$caller_metadata.env", "gray"),
    (argument("CUSTOM", "5~7", "level", "RANGE"), "level", "6"),
]


@pytest.mark.parametrize(("condition", "label", "value"), ARGUMENTS)
def test_arguments(condition, label, value):
    w = Limited()
    w.put(rule(arguments=[condition], amounts=[{"maxAmount": 0, "validDuration": "1s"}]))
    assert not w.check(labels={label: value})["allowed"]
    assert w.check(labels={label: "0other"})["allowed"]
    assert w.check()["allowed"]
    (line,) = w.explain(labels={label: "0other"})
    assert (line["matches"], line["why"]) == (False, f"the condition on {label} does not hold")


def test_older_labels_are_arguments():
    w = Limited()
    w.put(rule(labels={"$header.user": {"value": "u1"}}, amounts=[{"maxAmount": 0, "validDuration": "1s"}]))
    assert not w.check(labels={"$header.user": "u1"})["allowed"]


def test_the_method_of_a_rule_is_the_path():
    w = Limited()
    w.put(rule(method={"type": "EXACT", "value": "/pay"}), rule(name="all", method={"type": "EXACT", "value": "*"}))
    assert w.check(method="/pay")["rule"]["name"] == "two"
    lines = {line["name"]: line for line in w.explain(method="/other")}
    assert (lines["two"]["matches"], lines["all"]["matches"]) == (False, True)
    assert lines["all"]["remaining"] == 0  # after one more; one is used
    assert w.check(method="/other")["allowed"]
    assert not w.check()["allowed"]  # all methods share the counter of a rule for all of them


def test_local_rules_count_every_caller_alone():
    w = Limited()
    w.put(rule(type="LOCAL", amounts=[{"maxAmount": 1, "validDuration": "1s"}]))
    callers = ("10.0.0.1", "10.0.0.1", "10.0.0.2", "", "10.9.9.9")
    assert [w.check(caller=caller)["allowed"] for caller in callers] == [True, False, True, True, False]


def test_shares_of_instances():
    w = Limited()
    w.put(rule(amount_mode="SHARE_EQUALLY", amounts=[{"maxAmount": 2, "validDuration": "60s"}]))
    place = {"service": "shop", "namespace": "default", "port": 80}
    for host in ("10.0.0.1", "10.0.0.2"):
        assert w.code("POST", "/v1/RegisterInstance", place | {"host": host}) == OK
    assert w.check()["limit"] == {"maxAmount": 4, "durationMs": 60_000}
    isolated = [place | {"host": "10.0.0.2", "isolate": True}]
    assert w.code("PUT", "/naming/v1/instances/isolate/host", isolated) == OK
    assert w.check()["limit"]["maxAmount"] == 2


def test_what_is_not_evaluated_is_named():
    w = Limited()
    w.put(
        rule(name="a", resource="CONCURRENCY"),
        rule(name="b", amounts=[]),
        rule(name="c", method={"type": "REGEX", "value": "(?!x)"}),
    )
    assert w.check(method="y")["allowed"]
    whys = {line["name"]: line["why"] for line in w.explain(method="y")}
    assert whys["a"] == "not evaluated: it limits how many calls run at a time"
    assert whys["b"] == "not evaluated: it has no amounts"
    assert whys["c"].startswith("not evaluated: $path: ")


def test_explaining_takes_nothing_and_shows_what_was_counted():
    w = Limited()
    w.put(rule())
    for _ in range(5):
        (line,) = w.explain(tokens=2)
    assert (line["allowed"], line["remaining"], line["why"]) == (True, 0, "all conditions hold")
    for _ in range(3):
        w.check()
    (line,) = w.explain()
    assert (line["tokensAllowed"], line["callsRefused"], line["allowed"]) == (2, 1, False)
    assert [each["allowed"] for each in line["last"]] == [False, True, True], "the newest first"


def test_the_last_decisions_show_what_the_rule_looks_at():
    w = Limited()
    w.put(rule(method={"type": "REGEX", "value": "^/a"}, arguments=[argument("HEADER", "u1", "user")]))
    w.check(method="/a/1", labels={"$header.user": "u1", "$header.password": "secret"})
    w.check(tokens=0, method="/a/2", labels={"$header.user": "u1"})
    w.check(method="/b", labels={"$header.user": "u1"})
    (line,) = w.explain()
    labels = {"$path": "/a/1", "$header.user": "u1"}
    assert line["last"] == [{"at": w.clock.now_ms, "allowed": True, "tokens": 1, "labels": labels}]
    for _ in range(30):
        w.check(method="/a/1", labels={"$header.user": "u1"})
    (line,) = w.explain()
    assert len(line["last"]) == 16


def test_tokens_and_looking():
    w = Limited()
    w.put(rule(amounts=[{"maxAmount": 10, "validDuration": "1s"}]))
    assert w.check(tokens=8)["remaining"] == 2
    assert not w.check(tokens=3)["allowed"]
    assert w.check(tokens=0)["remaining"] == 2


BROKEN = [
    (b"{", 400001),
    (b"[]", 400001),
    (b'{"service":"shop","tokens":-1}', 400001),
    (b'{"service":"shop","tokens":"1"}', 400001),
    (b'{"service":"shop","labels":{"a":1}}', 400001),
    (b'{"service":"shop","what":1}', 400001),
    (b'{"service":"\xff"}', 400001),
    (b'{"service":"shop","labels":{"a":"\\ud800"}}', 400001),
    (b'{"service":"\xed\xa0\x80"}', 400001),
    (b"{}", 400120),
]


@pytest.mark.parametrize("path", ["/ratelimit/v1/check", "/ratelimit/v1/explain"])
@pytest.mark.parametrize(("body", "code"), BROKEN)
def test_bad_questions(path, body, code):
    answer = Limited().send("POST", path, body)
    assert (answer.status, document(answer)["code"]) == (400, code)


def test_rules_as_the_core_has_them():
    message = v1.Rule(
        id={"value": "i"},
        name={"value": "n"},
        type=v1.Rule.GLOBAL,
        amount_mode=v1.Rule.SHARE_EQUALLY,
        method={"type": v1.MatchString.REGEX, "value": {"value": "^/a"}},
        arguments=[
            {
                "type": v1.MatchArgument.QUERY,
                "key": "q",
                "value": {"type": v1.MatchString.IN, "value": {"value": "1,2"}},
            },
            {"type": v1.MatchArgument.CUSTOM, "key": "c", "value": {"value": {"value": "*"}}},
        ],
        amounts=[
            {"maxAmount": {"value": 5}, "validDuration": {"seconds": 1, "nanos": 500_000_000}},
            {"maxAmount": {"value": 9}, "validDuration": {}},
        ],
        regex_combine={"value": True},
        customResponse={"body": "later"},
    )
    conditions = (Condition("$path", "^/a", REGEX), Condition("$query.q", "1,2", IN), Condition("c", "*"))
    expected = LimitRule("i", "n", (Allowance(5, 1500),), conditions, True, False, True, "later")
    (made,) = limit_rules([message])
    assert made.named is not None
    assert made.named(["^/a", "1,2", "x"]) == "^/a|CUSTOM:c:x|QUERY:q:1,2"
    assert replace(made, named=None) == expected
    message.disable.value = True
    assert limit_rules([message]) == ()


def test_every_type_of_argument_has_a_label():
    types = set(v1.MatchArgument.DESCRIPTOR.enum_types_by_name["Type"].values_by_number)
    keys = {argument_key(v1.MatchArgument(type=type, key="k")) for type in types}
    assert len(keys) == len(types)
