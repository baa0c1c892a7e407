"""What clients are told of rules: nothing lost, the right services, the right revisions, made anew only when rules changed."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import messages
from ruled import (
    ALL,
    BY_NAME,
    EXAMPLES,
    SERVICE,
    SWITCHED,
    TYPE_OF,
    Ruled,
    block_allow,
    breaker,
    detector,
    lane_group,
    limit,
    lossless,
    metadata_rule,
    nearby_rule,
    packed,
    route_rule,
    rules_in,
    text,
)

from polaris_bridge.adapters.polaris.service.discovery import RULES
from polaris_bridge.adapters.polaris.service.rules import kinds
from polaris_bridge.adapters.polaris.service.rules.checks import parts
from polaris_bridge.adapters.polaris.service.rules.delivery import RULE_TYPES, Deliveries
from polaris_bridge.adapters.polaris.service.rules.fields import text as field_text
from polaris_bridge.adapters.polaris.translate.times import local_time
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import ServiceKey

REQUEST = v1.DiscoverRequest
NOTHING = hashlib.sha1(b"").hexdigest()
SERVERS_OWN = ("id", "revision", "ctime", "mtime", "etime", "editable", "deleteable", "service_token")
"""Fields that are the server's to set, or a credential."""


def told(ruled: Ruled, name: str, service: ServiceKey = SERVICE) -> list[Any]:
    """The rules of a kind as a client is told them."""
    return rules_in(TYPE_OF[name], ruled.told(TYPE_OF[name], service).message)


def sha1(*texts: str) -> str:
    return hashlib.sha1("".join(texts).encode()).hexdigest()


def test_every_type_that_discover_knows_is_delivered() -> None:
    assert RULE_TYPES == RULES


# ---------------------------------------------------------------------- nothing is lost


def bare(rule: Any) -> bytes:
    """A rule without what the server sets."""
    copy = type(rule)()
    copy.CopyFrom(rule)
    for field in SERVERS_OWN:
        if field in copy.DESCRIPTOR.fields_by_name:
            copy.ClearField(field)
    if isinstance(copy, v1.LaneGroup):
        for lane in copy.rules:
            for field in (*SERVERS_OWN[:5], "group_name"):
                lane.ClearField(field)
    return bytes(copy.SerializeToString(deterministic=True))


def unknown(value: bytes) -> bytes:
    """An encoded field that our specification does not have: number 2000, up to 127 bytes."""
    return b"\x82\x7d" + bytes([len(value)]) + value


def known_values(rule: Any) -> None:
    """Values that there are, down to the last message; no patterns, for not every text is one, and shares of calls that exist."""
    for _, part in parts("", rule):
        for field, value in part.ListFields():
            known = field.enum_type and field.enum_type.values_by_number
            if known and (value not in known or (field.name, value) == ("type", v1.MatchString.REGEX)):
                part.ClearField(field.name)
        if isinstance(part, v1.TrafficGray):
            part.percentage.percent = min(max(part.percentage.percent, 0), 100)
            part.warmup.intervalSecond = max(part.warmup.intervalSecond, 0)


def breaks_by_numbers(rule: Any) -> None:
    """Kinds of errors and amounts that there are."""
    rule.max_ejection_percent = min(rule.max_ejection_percent, 100)
    for part in (rule, *rule.block_configs):
        for error in part.error_conditions:
            error.input_type = min(error.input_type, v1.ErrorCondition.DELAY)
            error.condition.value.value = "200"
        for trigger in part.trigger_condition if part is rule else part.trigger_conditions:
            trigger.trigger_type = min(trigger.trigger_type, v1.TriggerCondition.CONSECUTIVE_ERROR)
            trigger.error_percent = min(trigger.error_percent, 100)


def right(draw: Any, name: str, drawn: Any) -> Any:
    """A drawn rule with what it needs to be accepted and to be about the service."""
    example = EXAMPLES[name]()
    for field, _ in example.ListFields():
        drawn.ClearField(field.name)
    drawn.MergeFrom(example)
    drawn.MergeFromString(unknown(draw(st.binary(max_size=9))))
    if name == "routing":
        drawn.priority = min(drawn.priority, 10)
        drawn.enable = True
        drawn.ClearField("routing_policy")
    if name == "rate_limit":
        drawn.ClearField("amounts")
        drawn.amounts.add(validDuration={"seconds": draw(st.integers(1, 100))})
    if name == "fault_detect":
        drawn.protocol = min(drawn.protocol, v1.FaultDetectRule.UDP)
        drawn.port = min(drawn.port, 65_535)
        drawn.http_config.method, drawn.http_config.url = "GET", "/"
        del drawn.http_config.headers[:]
    if name == "circuit_breaker":
        breaks_by_numbers(drawn)
    if name == "lane":
        for number, lane in enumerate(drawn.rules):
            lane.name, lane.id = f"lane-{number}", f"id-{number}"
    known_values(drawn)
    for field in ("namespace", "description"):
        if field in drawn.DESCRIPTOR.fields_by_name and isinstance(getattr(drawn, field), str):
            setattr(drawn, field, getattr(drawn, field)[:20])
    return drawn


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_what_is_written_is_what_consoles_and_clients_get(name: str, data: st.DataObject) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    rule = right(data.draw, name, data.draw(messages(kind.message.DESCRIPTOR)))
    answer = ruled.create(kind, rule)
    assert answer.code.value == v1.ExecuteSuccess, answer
    [listed] = ruled.listed(kind)
    [delivered] = told(ruled, name)
    expected = type(rule)()
    expected.CopyFrom(rule)
    if kind.namespace and not field_text(expected, "namespace"):
        expected.namespace = kind.namespace
    if name == "rate_limit":
        limits_are_dressed(expected, delivered)
    kind.dress(expected)
    assert bare(listed) == bare(expected)
    assert bare(delivered) == bare(expected)
    ruled.restart()
    assert told(ruled, name) == [delivered]


def limits_are_dressed(rule: Any, delivered: Any) -> None:
    """Labels that were given stand as they are, and so do arguments."""
    if rule.labels:
        assert dict(delivered.labels) == dict(rule.labels)
    if rule.arguments:
        assert list(delivered.arguments) == list(rule.arguments)


@pytest.mark.parametrize(("level", "method"), [("SERVICE", ""), ("METHOD", "*")])
def test_what_sdks_stumble_over_is_added_for_readers_alone(level: str, method: str) -> None:
    kind, ruled = BY_NAME["circuit_breaker"], Ruled()
    rule = EXAMPLES["circuit_breaker"]()
    rule.level = getattr(v1, level)
    rule.rule_matcher.ClearField("source")
    rule.rule_matcher.destination.ClearField("method")
    ruled.create(kind, rule)
    [delivered] = told(ruled, "circuit_breaker")
    matcher = delivered.rule_matcher
    assert (matcher.source.namespace, matcher.source.service) == ("*", "*")
    assert matcher.destination.method.value.value == method
    [document] = ruled.bottle.registry.documents.all(kind.name)
    assert not v1.CircuitBreakerRule.FromString(document.body).rule_matcher.HasField("source")


# ---------------------------------------------------------------------- whom it reaches


@pytest.mark.parametrize(
    ("name", "rules", "service", "found"),
    [
        ("circuit_breaker", ["a default/shop", "b default/*", "c */*", "d other/shop"], "default/shop", "abc"),
        ("circuit_breaker", ["a default/shop", "b default/*", "c */*"], "default/stock", "bc"),
        ("circuit_breaker", ["a default/shop", "b default/*", "c */*"], "other/shop", "c"),
        ("fault_detect", ["a default/shop", "b default/*", "c */*", "d other/shop"], "default/shop", "abc"),
        ("routing", ["a default/shop", "b default/*", "c */*", "d other/shop"], "default/shop", "abc"),
    ],
)
def test_wildcards_reach_the_services_that_they_mean(name: str, rules: list[str], service: str, found: str) -> None:
    ruled = Ruled()
    for rule in rules:
        ruled.create(BY_NAME[name], EXAMPLES[name](*rule.split()))
    reached = told(ruled, name, ServiceKey(*service.split("/")))
    assert sorted(rule.name for rule in reached) == list(found)


def test_a_lane_group_reaches_its_entries_and_destinations() -> None:
    ruled = Ruled()
    group = lane_group()
    gateway = v1.ServiceGatewaySelector(namespace="default", service="gate")
    group.entries.add(type="polarismesh.cn/gateway/spring-cloud-gateway", selector=packed(gateway))
    group.entries.add(
        type="polarismesh.cn/gateway/tse-gateway", selector=packed(v1.TSEGatewaySelector(instance_id="x"))
    )
    ruled.create(kinds.LANE, group)
    for name in ("shop", "gate", "stock"):
        [found] = told(ruled, "lane", ServiceKey("default", name))
        assert len(found.entries) == 3
    assert told(ruled, "lane", ServiceKey("default", "x")) == []


def test_an_update_moves_a_rule_from_one_service_to_another() -> None:
    ruled = Ruled()
    ruled.create(kinds.CIRCUIT_BREAKER, breaker())
    [rule] = told(ruled, "circuit_breaker")
    rule.rule_matcher.destination.service = "stock"
    ruled.update(kinds.CIRCUIT_BREAKER, rule)
    assert told(ruled, "circuit_breaker") == []
    assert len(told(ruled, "circuit_breaker", ServiceKey("default", "stock"))) == 1


def test_limits_and_breakers_are_under_the_name_that_was_asked_for() -> None:
    ruled = Ruled()
    ruled.create(kinds.RATE_LIMIT, limit())
    ruled.create(kinds.CIRCUIT_BREAKER, breaker())
    ruled.create(kinds.ROUTING, route_rule())
    alias = ServiceKey("other", "alias")
    [rule] = ruled.told(REQUEST.RATE_LIMIT, SERVICE, alias).message.rateLimit.rules
    assert (rule.namespace.value, rule.service.value) == alias
    breakers = ruled.told(REQUEST.CIRCUIT_BREAKER, SERVICE, alias).message.circuitBreaker
    assert (breakers.service_namespace.value, breakers.service.value) == alias
    assert breakers.rules[0].rule_matcher.destination.service == "shop"
    routing = ruled.told(REQUEST.ROUTING, SERVICE, alias).message.routing
    assert (routing.namespace.value, routing.service.value) == SERVICE
    [own] = ruled.told(REQUEST.RATE_LIMIT).message.rateLimit.rules
    assert own.service.value == "shop"


# ---------------------------------------------------------------------- switched off


@pytest.mark.parametrize("name", SWITCHED)
def test_switched_off_rules_are_sent_with_their_switch_except_route_rules(name: str) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    assert kind.switch is not None
    rule = EXAMPLES[name]()
    field = kind.switch.field
    off = kind.switch.off
    if isinstance(getattr(rule, field), bool):
        setattr(rule, field, off)
    else:
        getattr(rule, field).value = off
    ruled.create(kind, rule)
    found = told(ruled, name)
    if name == "routing":
        assert found == []
        assert ruled.told(REQUEST.ROUTING).revision == NOTHING
    else:
        value = getattr(found[0], field)
        assert (value if isinstance(value, bool) else value.value) == off


def test_nearby_rules_have_a_type_of_their_own() -> None:
    ruled = Ruled()
    ruled.create(
        kinds.ROUTING, nearby_rule(priority=2), nearby_rule("first", priority=1), route_rule(), metadata_rule()
    )
    ruled.create(kinds.ROUTING, nearby_rule("off", enable=False))
    nearby = ruled.told(REQUEST.NEARBY_ROUTE_RULE)
    assert [rule.name for rule in nearby.message.nearbyRouteRules] == ["first", "n"]
    assert nearby.revision == sha1(*(rule.revision for rule in nearby.message.nearbyRouteRules))
    custom = ruled.told(REQUEST.CUSTOM_ROUTE_RULE)
    assert {rule.name for rule in custom.message.customRouteRules} == {"r", "m"}
    routing = ruled.told(REQUEST.ROUTING).message.routing
    assert len(routing.inbounds) == 1
    assert not routing.rules


def test_lossless_rules_are_a_list_and_for_older_clients_one() -> None:
    ruled = Ruled()
    ruled.create(kinds.LOSSLESS, lossless(metadata={"version": "2"}), lossless())
    message = ruled.told(REQUEST.LOSSLESS).message
    assert len(message.losslessRuleList) == 2
    assert not message.lossless.metadata, "the one without labels is for every instance"
    assert message.lossless in message.losslessRuleList


# ---------------------------------------------------------------------- limits in both languages


def test_arguments_of_limits_are_labels_for_older_clients() -> None:
    ruled = Ruled()
    rule = limit()
    argument = v1.MatchArgument
    said = [
        (argument.CUSTOM, "env", "env"),
        (argument.METHOD, "", "$method"),
        (argument.HEADER, "user", "$header.user"),
        (argument.QUERY, "q", "$query.q"),
        (argument.CALLER_SERVICE, "default", "$caller_service.default"),
        (argument.CALLER_IP, "", "$caller_ip"),
        (argument.CALLER_METADATA, "zone", "zone"),
    ]
    for type, key, _ in said:
        rule.arguments.add(type=type, key=key, value=v1.MatchString(value=text("x")))
    ruled.create(kinds.RATE_LIMIT, rule)
    [found] = told(ruled, "rate_limit")
    assert set(found.labels) == {label for _, _, label in said}
    assert list(found.arguments) == list(rule.arguments)

    older = limit("older")
    for _, _, label in said[:6]:
        older.labels[label].value.value = "x"
    ruled.create(kinds.RATE_LIMIT, older)
    found = next(r for r in told(ruled, "rate_limit") if r.name.value == "older")
    assert sorted((a.type, a.key) for a in found.arguments) == sorted((type, key) for type, key, _ in said[:6])
    assert dict(found.labels) == dict(older.labels)


def test_what_the_original_loses_of_limits_is_sent() -> None:
    ruled = Ruled()
    rule = limit(
        report={"amountPercent": v1.UInt32Value(value=50)},
        cluster={"service": text("polaris.limiter"), "namespace": text("Polaris")},
        concurrencyAmount={"maxAmount": 7},
        customResponse={"body": "later"},
        max_queue_delay=v1.UInt32Value(value=3),
    )
    ruled.create(kinds.RATE_LIMIT, rule)
    [found] = told(ruled, "rate_limit")
    for field in ("report", "cluster", "concurrencyAmount", "customResponse", "max_queue_delay"):
        assert getattr(found, field) == getattr(rule, field)
    assert found.action.value == "REJECT"


def test_limits_are_sent_in_the_order_of_their_priority() -> None:
    ruled = Ruled()
    for name, priority in (("third", 5), ("first", 0), ("second", 3)):
        ruled.create(kinds.RATE_LIMIT, limit(name, priority=v1.UInt32Value(value=priority)))
    assert [rule.name.value for rule in told(ruled, "rate_limit")] == ["first", "second", "third"]


# ---------------------------------------------------------------------- revisions and times


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("routing", "lane")])
def test_the_revision_is_that_of_all_rules_in_any_order(name: str) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    rules = [EXAMPLES[name]() for _ in range(1 if kind.by_service else 3)]
    for number, rule in enumerate(rules):
        if "name" in rule.DESCRIPTOR.fields_by_name:
            named = f"n{number}"
            rule.MergeFrom(type(rule)(name=named if isinstance(rule.name, str) else text(named)))
    ruled.create(kind, *rules)
    delivered = ruled.told(TYPE_OF[name])
    assert delivered.revision == sha1(*sorted(field_text(rule, "revision") for rule in told(ruled, name)))


def test_the_revision_of_one_route_rule_is_its_own_that_of_several_in_their_order() -> None:
    ruled = Ruled()
    ruled.create(kinds.ROUTING, route_rule("late", priority=9))
    [late] = ruled.listed(kinds.ROUTING)
    assert ruled.told(REQUEST.ROUTING).revision == late.revision
    assert ruled.told(REQUEST.ROUTING).message.routing.revision.value == late.revision
    ruled.create(kinds.ROUTING, route_rule("early", priority=1))
    early = ruled.listed(kinds.ROUTING, name="early")[0]
    assert ruled.told(REQUEST.ROUTING).revision == sha1(early.revision, late.revision)


def test_the_revision_stands_in_the_messages_that_have_one() -> None:
    ruled = Ruled()
    ruled.create(kinds.RATE_LIMIT, limit())
    ruled.create(kinds.CIRCUIT_BREAKER, breaker())
    ruled.create(kinds.FAULT_DETECT, detector())
    limits, breakers, detectors = (
        ruled.told(type) for type in (REQUEST.RATE_LIMIT, REQUEST.CIRCUIT_BREAKER, REQUEST.FAULT_DETECTOR)
    )
    assert limits.message.rateLimit.revision.value == limits.revision != ""
    assert breakers.message.circuitBreaker.revision.value == breakers.revision != ""
    assert detectors.message.faultDetector.revision == detectors.revision != ""


def test_a_breaker_that_was_never_switched_has_no_time_of_that() -> None:
    ruled = Ruled()
    ruled.create(kinds.CIRCUIT_BREAKER, breaker())
    [rule] = told(ruled, "circuit_breaker")
    assert (rule.ctime, rule.etime) == (local_time(ruled.bottle.clock.now_ms), "")
    ruled.bottle.clock.now_ms += 60_000
    ruled.enable(kinds.CIRCUIT_BREAKER, breaker(enable=False, id=rule.id))
    assert told(ruled, "circuit_breaker")[0].etime == ""
    ruled.enable(kinds.CIRCUIT_BREAKER, breaker(enable=True, id=rule.id))
    assert told(ruled, "circuit_breaker")[0].etime == local_time(ruled.bottle.clock.now_ms)


# ---------------------------------------------------------------------- the cache


@pytest.mark.parametrize("type", sorted(RULE_TYPES))
def test_an_answer_is_made_anew_exactly_when_a_rule_of_the_service_changed(type: int) -> None:
    ruled = Ruled()
    everything = {name: EXAMPLES[name]() for name in ALL}
    everything["nearby"] = nearby_rule()
    ids = {}
    for name, rule in everything.items():
        kind = BY_NAME.get(name, kinds.ROUTING)
        ruled.create(kind, rule)
        ids[name] = kind
    first = ruled.told(type)
    assert first.revision
    assert ruled.told(type) is first
    elsewhere = breaker("x", "other/shop"), detector("x", "other/shop"), route_rule("x", "other/shop")
    ruled.create(kinds.CIRCUIT_BREAKER, elsewhere[0])
    ruled.create(kinds.FAULT_DETECT, elsewhere[1])
    ruled.create(kinds.ROUTING, elsewhere[2])
    other = limit("x")
    other.service.value = "other"
    ruled.create(kinds.RATE_LIMIT, other)
    ruled.create(kinds.BLOCK_ALLOW, v1.BlockAllowListRule(namespace="other", service="shop"))
    assert ruled.told(type) is first, "other services' rules do not matter"
    for kind in kinds.KINDS:
        for rule in ruled.listed(kind):
            ruled.update(kind, rule)
    assert ruled.told(type) is first, "nor do updates that say the same"

    for kind in kinds.KINDS:
        for rule in ruled.listed(kind):
            rule.metadata["touched"] = "yes"
            ruled.update(kind, rule)
    second = ruled.told(type)
    assert second.revision != first.revision
    for kind in kinds.KINDS:
        for rule in ruled.listed(kind):
            ruled.delete(kind, rule)
    assert ruled.told(type).revision in ("", NOTHING)


def test_a_change_that_is_not_durable_is_told_to_nobody() -> None:
    ruled = Ruled()
    ruled.create(kinds.CIRCUIT_BREAKER, breaker())
    before = ruled.told(REQUEST.CIRCUIT_BREAKER)
    ruled.bottle.store.broken = True
    ruled.create(kinds.CIRCUIT_BREAKER, breaker("second"))
    assert ruled.told(REQUEST.CIRCUIT_BREAKER) is before


def test_names_that_clients_make_up_are_not_kept() -> None:
    ruled = Ruled()
    for number in range(100):
        ruled.told(REQUEST.ROUTING, ServiceKey("default", f"made-up-{number}"))
    assert not ruled.deliveries._kept
    ruled.create(kinds.CIRCUIT_BREAKER, breaker(callee="*/*"))
    told_once = ruled.told(REQUEST.CIRCUIT_BREAKER, ServiceKey("default", "made-up"))
    assert told_once.revision
    assert len(ruled.deliveries._kept) == 1


def test_answers_are_kept_up_to_a_bound() -> None:
    ruled = Ruled()
    ruled.create(kinds.CIRCUIT_BREAKER, breaker(callee="*/*", description="x" * 1000))
    deliveries = Deliveries(ruled.bottle.registry, kept_bytes=10_000)
    asked = [ServiceKey("default", f"made-up-{number}") for number in range(50)]
    answers = [deliveries.deliver(REQUEST.CIRCUIT_BREAKER, name, name) for name in asked]
    assert len(deliveries._kept) < 10
    assert deliveries.deliver(REQUEST.CIRCUIT_BREAKER, asked[-1], asked[-1]) is answers[-1]
    again = deliveries.deliver(REQUEST.CIRCUIT_BREAKER, asked[0], asked[0])
    assert again is not answers[0]
    assert again.revision == answers[0].revision


def test_the_blocked_are_told_in_order() -> None:
    ruled = Ruled()
    ruled.create(kinds.BLOCK_ALLOW, block_allow("b", priority=2), block_allow("a", priority=1))
    assert [rule.name for rule in told(ruled, "block_allow")] == ["a", "b"]


def test_messages_are_the_clients_own() -> None:
    """What one reader does to an answer's rules must not reach what is kept: deliveries are encoded, never changed."""
    ruled = Ruled()
    ruled.create(kinds.CIRCUIT_BREAKER, breaker())
    message: Message = ruled.told(REQUEST.CIRCUIT_BREAKER).message
    copy = type(message).FromString(message.SerializeToString())
    copy.circuitBreaker.rules[0].name = "changed"
    assert ruled.listed(kinds.CIRCUIT_BREAKER)[0].name == "b"
