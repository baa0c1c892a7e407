"""Rules through the console: every operation, every code, for every kind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruled import (
    ALL,
    BY_NAME,
    EXAMPLES,
    SWITCHED,
    Ruled,
    block_allow,
    breaker,
    detector,
    injection,
    lane_group,
    limit,
    lossless,
    metadata_rule,
    mirroring,
    nearby_rule,
    packed,
    route_rule,
    text,
    unpacked,
)

from polaris_bridge.adapters.polaris.service.rules import kinds
from polaris_bridge.adapters.polaris.service.rules.fields import text as field_text
from polaris_bridge.adapters.polaris.translate.times import local_time
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.batches import BatchTerms
from polaris_bridge.core.terms import Terms

OK = v1.ExecuteSuccess


def codes(answer: Any) -> tuple[int, list[int]]:
    return answer.code.value, [item.code.value for item in answer.responses]


def shown(kind: str, item: Any) -> Any:
    """The rule in one answer of a batch."""
    return unpacked(item.data) if BY_NAME[kind].answer == "data" else item.rateLimit


def amount(seconds: int) -> Any:
    return v1.Amount(maxAmount=v1.UInt32Value(value=1), validDuration={"seconds": seconds})


# ---------------------------------------------------------------------- all kinds


@pytest.mark.parametrize("name", ALL)
def test_a_rule_is_created_listed_changed_and_deleted(name: str) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    answer = ruled.create(kind, EXAMPLES[name]())
    assert codes(answer) == (OK, [OK])
    assert answer.size.value == 1
    rule = shown(name, answer.responses[0])
    [listed] = ruled.listed(kind)
    assert field_text(listed, "id") == field_text(rule, "id")
    assert field_text(listed, "ctime") == field_text(listed, "mtime") == local_time(ruled.bottle.clock.now_ms)
    first = field_text(listed, "revision")
    assert first.startswith(kind.prefix)
    assert len(first) == len(kind.prefix) + 32

    ruled.bottle.clock.now_ms += 60_000
    rule.metadata["changed"] = "yes"
    assert codes(ruled.update(kind, rule)) == (OK, [OK])
    [listed] = ruled.listed(kind)
    assert listed.metadata == {"changed": "yes"}
    assert field_text(listed, "revision") != first
    assert field_text(listed, "ctime") < field_text(listed, "mtime") == local_time(ruled.bottle.clock.now_ms)

    assert codes(ruled.delete(kind, rule)) == (OK, [OK])
    assert ruled.listed(kind) == []
    assert codes(ruled.delete(kind, rule)) == (OK, [OK]), "what is not there is deleted already"


@pytest.mark.parametrize("name", ALL)
def test_an_update_that_says_the_same_changes_no_revision(name: str) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    ruled.create(kind, EXAMPLES[name]())
    [before] = ruled.listed(kind)
    writes = ruled.bottle.store.writes
    ruled.bottle.clock.now_ms += 60_000
    assert codes(ruled.update(kind, before)) == (OK, [OK])
    assert ruled.listed(kind) == [before]
    assert ruled.bottle.store.writes == writes


@pytest.mark.parametrize("name", ALL)
def test_rules_survive_a_restart(name: str) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    ruled.create(kind, EXAMPLES[name]())
    before = ruled.listed(kind)
    ruled.restart()
    assert ruled.listed(kind) == before


@pytest.mark.parametrize("name", SWITCHED)
def test_a_rule_is_switched_and_nothing_else_of_the_request_counts(name: str) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    switch = kind.switch
    assert switch is not None
    rule = EXAMPLES[name]()
    ruled.create(kind, rule)
    [before] = ruled.listed(kind)
    ruled.bottle.clock.now_ms += 60_000

    def request(on: bool) -> Any:
        asked = type(before)()
        asked.CopyFrom(before)
        asked.metadata["not"] = "looked at"
        value = on != switch.off
        if isinstance(getattr(asked, switch.field), bool):
            setattr(asked, switch.field, value)
        else:
            getattr(asked, switch.field).value = value
        return asked

    value = getattr(before, switch.field)
    enabled = (value if isinstance(value, bool) else value.value) != switch.off
    assert codes(ruled.enable(kind, request(enabled))) == (OK, [OK])
    assert ruled.listed(kind) == [before], "it is so already"
    for on in (not enabled, enabled):
        assert codes(ruled.enable(kind, request(on))) == (OK, [OK])
        [after] = ruled.listed(kind)
        value = getattr(after, switch.field)
        assert (value if isinstance(value, bool) else value.value) == (on != switch.off)
        assert not after.metadata
        assert field_text(after, "revision") != field_text(before, "revision")
        if "etime" in after.DESCRIPTOR.fields_by_name:
            assert field_text(after, "etime") == (local_time(ruled.bottle.clock.now_ms) if on else "")


@pytest.mark.parametrize("name", ALL)
def test_a_batch_has_to_have_one_to_a_hundred_items(name: str) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    for operation in (ruled.create, ruled.update, ruled.delete, ruled.enable):
        assert codes(operation(kind)) == (v1.EmptyRequest, [])
        assert codes(operation(kind, *[EXAMPLES[name]()] * 101)) == (v1.BatchSizeOverLimit, [])


@pytest.mark.parametrize("name", ALL)
def test_each_of_a_hundred_items_has_its_answer_in_order(name: str) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    rules = []
    for number in range(100):
        rule = EXAMPLES[name]()
        if "name" in rule.DESCRIPTOR.fields_by_name:
            _put(rule, "name", f"rule-{number}")
        else:
            _put(rule, "service", f"shop-{number}")
        rules.append(rule)
    answer = ruled.create(kind, *rules)
    assert codes(answer) == (OK, [OK] * 100)
    field = "name" if "name" in rules[0].DESCRIPTOR.fields_by_name else "service"
    said = [field_text(shown(name, item), field) for item in answer.responses]
    assert said == [field_text(rule, field) for rule in rules]
    assert len(ruled.listed(kind)) == 100


def _put(rule: Any, field: str, value: str) -> None:
    if isinstance(getattr(rule, field), str):
        setattr(rule, field, value)
    else:
        getattr(rule, field).value = value


NOT_FOUND = {
    "routing": v1.NotFoundRouting,
    "rate_limit": v1.NotFoundRateLimit,
    "circuit_breaker": v1.NotFoundCircuitBreaker,
}


@pytest.mark.parametrize("name", ALL)
def test_an_unknown_rule_is_not_updated(name: str) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    rule = EXAMPLES[name]()
    if not kind.by_service:
        _put(rule, "id", "nobody")
    code = NOT_FOUND.get(name, v1.NotFoundResource)
    assert codes(ruled.update(kind, rule)) == (code, [code])
    if kind.switch is not None:
        assert codes(ruled.enable(kind, rule)) == (code, [code])
    assert ruled.listed(kind) == []


NO_ID = {
    "routing": v1.InvalidRoutingID,
    "rate_limit": v1.InvalidRateLimitID,
    "circuit_breaker": v1.InvalidCircuitBreakerID,
    "fault_detect": v1.InvalidFaultDetectID,
}


@pytest.mark.parametrize("name", ALL)
def test_a_rule_has_to_be_named(name: str) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    rule = EXAMPLES[name]()
    if kind.by_service:
        _put(rule, "service", "")
    if kind.by_name:
        _put(rule, "name", "")
    code = NO_ID.get(name, v1.InvalidParameter)
    for operation in (ruled.delete, ruled.enable):
        assert codes(operation(kind, rule)) == (code, [code])
    code = v1.InvalidServiceName if kind.by_service else code
    assert codes(ruled.update(kind, rule)) == (code, [code])


@pytest.mark.parametrize("name", ALL)
def test_when_one_item_fails_its_check_nothing_is_done_and_only_it_is_answered(name: str) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    wrong = EXAMPLES[name]()
    if name == "routing":
        wrong.priority = 11
    else:
        for field in ("service", "name"):
            if field in wrong.DESCRIPTOR.fields_by_name:
                _put(wrong, field, "not a legal name" * 20)
    answer = ruled.create(kind, EXAMPLES[name](), wrong)
    assert len(answer.responses) == 1
    assert answer.code.value == answer.responses[0].code.value >= 400_000
    assert ruled.listed(kind) == []


@pytest.mark.parametrize("name", ALL)
def test_what_the_store_does_not_take_is_not_said_to_be_done(name: str) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    ruled.bottle.store.broken = True
    assert codes(ruled.create(kind, EXAMPLES[name]())) == (v1.StoreLayerException, [v1.StoreLayerException])
    ruled.bottle.store.broken = False
    assert ruled.listed(kind) == []


def test_a_server_that_takes_no_more_writes_says_so_for_every_item() -> None:
    ruled = Ruled(Terms(batch=BatchTerms(queue_size=0)))
    code = v1.StoreLayerException
    assert codes(ruled.create(kinds.RATE_LIMIT, limit(), limit())) == (code, [code, code])


# ---------------------------------------------------------------------- each kind's own codes

ANY = packed(v1.RuleRoutingConfig())
LONG = "x" * 65
REFUSED: list[tuple[str, Any, int]] = [
    ("routing", route_rule(LONG), v1.InvalidRoutingName),
    ("routing", route_rule(namespace=LONG), v1.InvalidNamespaceName),
    ("routing", route_rule(priority=11), v1.InvalidRoutingPriority),
    ("routing", v1.RouteRule(name="r", routing_policy=7, routing_config=ANY), v1.InvalidRoutingPolicy),
    ("routing", v1.RouteRule(name="r", routing_policy=v1.NearbyPolicy, routing_config=ANY), v1.InvalidRoutingPolicy),
    (
        "routing",
        v1.RouteRule(routing_config=v1.Any(type_url="type.googleapis.com/v1.Service")),
        v1.InvalidRoutingPolicy,
    ),
    ("routing", v1.RouteRule(routing_config=v1.Any(value=b"\xff\xff")), v1.ParseException),
    ("rate_limit", v1.Rule(service=text("shop")), v1.InvalidNamespaceName),
    ("rate_limit", v1.Rule(namespace=text("default")), v1.InvalidServiceName),
    ("rate_limit", v1.Rule(namespace=text("de fault"), service=text("shop")), v1.InvalidNamespaceName),
    ("rate_limit", v1.Rule(namespace=text("default"), service=text("*")), v1.InvalidServiceName),
    ("rate_limit", v1.Rule(namespace=text("default"), service=text("s" * 129)), v1.InvalidServiceName),
    ("rate_limit", v1.Rule(namespace=text(LONG), service=text("shop")), v1.InvalidNamespaceName),
    ("rate_limit", limit(LONG), v1.InvalidRateLimitName),
    ("rate_limit", limit(amounts=[amount(1), amount(1)]), v1.InvalidRateLimitAmounts),
    ("rate_limit", limit(amounts=[v1.Amount()]), v1.InvalidRateLimitAmounts),
    ("rate_limit", limit(amounts=[amount(-1)]), v1.InvalidRateLimitAmounts),
    ("rate_limit", limit(type=9), v1.InvalidParameter),
    ("circuit_breaker", breaker(""), v1.InvalidCircuitBreakerName),
    ("circuit_breaker", breaker(LONG), v1.InvalidCircuitBreakerName),
    ("circuit_breaker", breaker(namespace=LONG), v1.InvalidNamespaceName),
    ("circuit_breaker", breaker(description="x" * 1025), v1.InvalidServiceComment),
    ("circuit_breaker", breaker(callee="default/"), v1.InvalidServiceName),
    ("circuit_breaker", breaker(callee="/shop"), v1.InvalidNamespaceName),
    ("circuit_breaker", breaker(rule_matcher={"source": {"service": "s" * 129}}), v1.InvalidServiceName),
    ("circuit_breaker", breaker(rule_matcher={"source": {"namespace": LONG}}), v1.InvalidNamespaceName),
    ("fault_detect", detector(""), v1.InvalidCircuitBreakerName),
    ("fault_detect", detector(LONG), v1.InvalidRateLimitName),
    ("fault_detect", detector(namespace=LONG), v1.InvalidFaultDetectNamespace),
    ("fault_detect", detector(target="default/"), v1.InvalidServiceName),
    ("fault_detect", detector(target="/shop"), v1.InvalidNamespaceName),
    ("fault_detect", detector(protocol=9), v1.InvalidParameter),
    ("lane", lane_group(""), v1.InvalidParameter),
    ("lane", lane_group("no spaces"), v1.InvalidParameter),
    ("lane", lane_group(LONG), v1.InvalidParameter),
    ("lane", lane_group("lanes", "no spaces"), v1.InvalidParameter),
    ("lane", lane_group("lanes", *map(str, range(101))), v1.InvalidParameter),
    ("lossless", v1.LosslessRule(namespace="default"), v1.InvalidServiceName),
    ("block_allow", v1.BlockAllowListRule(service="shop"), v1.InvalidNamespaceName),
    ("block_allow", block_allow(LONG), v1.InvalidParameter),
    ("traffic_mirroring", v1.TrafficMirroring(service=text("shop")), v1.InvalidNamespaceName),
    ("fault_injection", v1.FaultInjection(namespace=text("default")), v1.InvalidServiceName),
]


@pytest.mark.parametrize(("name", "rule", "code"), REFUSED)
def test_a_rule_that_is_not_right_is_refused(name: str, rule: Any, code: int) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    assert codes(ruled.create(kind, rule)) == (code, [code])
    if not kind.by_service:
        _put(rule, "id", "known")
    assert codes(ruled.update(kind, rule)) == (code, [code]), "an update is checked in the same way"
    assert ruled.listed(kind) == []


ACCEPTED: list[tuple[str, Any]] = [
    ("routing", route_rule("x" * 64, priority=10)),
    ("routing", v1.RouteRule()),
    ("routing", nearby_rule()),
    ("routing", metadata_rule()),
    ("rate_limit", limit(amounts=[amount(1), amount(2)])),
    ("circuit_breaker", breaker(callee="*/*")),
    ("circuit_breaker", breaker(callee="default/*")),
    ("fault_detect", detector(target="*/*")),
    ("lane", lane_group("x" * 64)),
    ("lossless", lossless(metadata={"version": "2"})),
]


@pytest.mark.parametrize(("name", "rule"), ACCEPTED)
def test_a_rule_at_the_limits_is_kept(name: str, rule: Any) -> None:
    assert codes(Ruled().create(BY_NAME[name], rule)) == (OK, [OK])


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("circuit_breaker", v1.ServiceExistedCircuitBreakers),
        ("fault_detect", v1.FaultDetectRuleExisted),
        ("lane", v1.ExistedResource),
    ],
)
def test_names_of_some_kinds_have_to_differ(name: str, code: int) -> None:
    kind, ruled = BY_NAME[name], Ruled()
    make = EXAMPLES[name]
    assert codes(ruled.create(kind, make("a"), make("a"), make("b"))) == (v1.BadRequest, [OK, code, OK])
    assert codes(ruled.create(kind, make("a"))) == (code, [code])
    b = next(rule for rule in ruled.listed(kind) if rule.name == "b")
    b.name = "a"
    assert codes(ruled.update(kind, b)) == (code, [code]), "nor can one be renamed to another's name"
    b.name = "c"
    assert codes(ruled.update(kind, b)) == (OK, [OK])
    assert codes(ruled.create(kind, make("b"))) == (OK, [OK]), "a name that was given up is free"
    ruled.delete(kind, b)
    assert codes(ruled.create(kind, make("c"))) == (OK, [OK])


def test_names_of_breakers_differ_within_a_namespace_and_default_is_one() -> None:
    ruled = Ruled()
    assert codes(ruled.create(kinds.CIRCUIT_BREAKER, breaker(), breaker(namespace="other"))) == (OK, [OK, OK])
    answer = ruled.create(kinds.CIRCUIT_BREAKER, breaker(namespace="default"))
    assert answer.code.value == v1.ServiceExistedCircuitBreakers


def test_names_of_limits_and_route_rules_may_be_the_same() -> None:
    ruled = Ruled()
    assert codes(ruled.create(kinds.RATE_LIMIT, limit(), limit())) == (OK, [OK, OK])
    assert codes(ruled.create(kinds.ROUTING, route_rule(), route_rule())) == (OK, [OK, OK])


def test_rules_of_a_batch_may_end_in_different_ways() -> None:
    ruled = Ruled()
    ruled.create(kinds.RATE_LIMIT, limit())
    [known] = ruled.listed(kinds.RATE_LIMIT)
    unknown = limit(id=text("nobody"))
    answer = ruled.update(kinds.RATE_LIMIT, unknown, known)
    assert codes(answer) == (v1.BadRequest, [v1.NotFoundRateLimit, OK])
    assert answer.responses[0].rateLimit.id.value == "nobody", "refused limits are echoed"


def test_a_route_rule_may_bring_its_id_and_revision_along_but_not_anothers() -> None:
    ruled = Ruled()
    answer = ruled.create(kinds.ROUTING, route_rule(id="mine", revision="v2-mine"))
    assert shown("routing", answer.responses[0]).id == "mine"
    assert ruled.listed(kinds.ROUTING)[0].revision == "v2-mine"
    assert codes(ruled.create(kinds.ROUTING, route_rule(id="mine"))) == (v1.ExistedResource, [v1.ExistedResource])


def test_ids_of_limits_are_always_made_here() -> None:
    ruled = Ruled()
    answer = ruled.create(kinds.RATE_LIMIT, limit(id=text("mine")))
    assert answer.responses[0].rateLimit.id.value == f"{1:032x}"


@pytest.mark.parametrize("make", [mirroring, injection])
def test_what_has_no_id_is_one_for_each_service(make: Any) -> None:
    kind, ruled = BY_NAME[{mirroring: "traffic_mirroring", injection: "fault_injection"}[make]], Ruled()
    ruled.create(kind, make())
    assert codes(ruled.create(kind, make())) == (v1.ExistedResource, [v1.ExistedResource])
    other = make()
    other.service.value = "other"
    assert codes(ruled.create(kind, other)) == (OK, [OK])


def test_what_a_console_must_not_set_is_not_kept() -> None:
    ruled = Ruled()
    ruled.create(kinds.ROUTING, route_rule(ctime="then", mtime="then", etime="then", editable=False))
    [rule] = ruled.listed(kinds.ROUTING)
    assert rule.editable
    assert rule.deleteable
    assert "then" not in (rule.ctime, rule.mtime, rule.etime)


def test_answers_to_updates_show_what_the_real_servers_do() -> None:
    ruled = Ruled()
    ruled.create(kinds.ROUTING, route_rule(id="r"))
    assert not ruled.update(kinds.ROUTING, route_rule("new", id="r")).responses[0].HasField("data")
    assert not ruled.enable(kinds.ROUTING, v1.RouteRule(id="r")).responses[0].HasField("data")
    id = unpacked(ruled.create(kinds.CIRCUIT_BREAKER, breaker()).responses[0].data).id
    for operation in (ruled.update, ruled.enable, ruled.delete):
        assert unpacked(operation(kinds.CIRCUIT_BREAKER, breaker(id=id)).responses[0].data) == v1.CircuitBreakerRule(
            id=id
        )


def test_the_older_form_of_a_route_rule_becomes_its_first_sub_rule() -> None:
    ruled = Ruled()
    config = v1.RuleRoutingConfig()
    config.sources.add(service="*", namespace="*")
    config.destinations.add(service="shop", namespace="default", name="g")
    ruled.create(kinds.ROUTING, v1.RouteRule(name="old", enable=True, routing_config=packed(config)))
    [rule] = ruled.listed(kinds.ROUTING)
    kept = unpacked(rule.routing_config)
    assert (len(kept.sources), len(kept.destinations), len(kept.rules)) == (0, 0, 1)
    assert kept.rules[0].sources == config.sources
    assert kept.rules[0].destinations == config.destinations
    routing = ruled.told(v1.DiscoverRequest.ROUTING).message.routing
    assert routing.inbounds[0].destinations[0].name.value == "old..g"


def test_sub_rules_take_what_they_leave_out_from_the_older_form() -> None:
    ruled = Ruled()
    config = v1.RuleRoutingConfig()
    config.sources.add(service="a", namespace="default")
    config.destinations.add(service="shop", namespace="default")
    config.rules.add(name="one").sources.add(service="b", namespace="default")
    config.rules.add(name="two").destinations.add(service="stock", namespace="default")
    ruled.create(kinds.ROUTING, v1.RouteRule(routing_config=packed(config)))
    one, two = unpacked(ruled.listed(kinds.ROUTING)[0].routing_config).rules
    assert (one.sources[0].service, one.destinations[0].service) == ("b", "shop")
    assert (two.sources[0].service, two.destinations[0].service) == ("a", "stock")


# ---------------------------------------------------------------------- lanes


def test_lanes_have_ids_revisions_and_times_of_their_own() -> None:
    ruled = Ruled()
    ruled.create(kinds.LANE, lane_group("g", "red", "blue"))
    [group] = ruled.listed(kinds.LANE)
    now = local_time(ruled.bottle.clock.now_ms)
    assert len({lane.id for lane in group.rules} | {lane.revision for lane in group.rules}) == 4
    assert all((lane.group_name, lane.ctime, lane.mtime, lane.etime) == ("g", now, now, now) for lane in group.rules)

    ruled.bottle.clock.now_ms += 60_000
    later = local_time(ruled.bottle.clock.now_ms)
    red, blue = group.rules
    kept = v1.LaneRule()
    kept.CopyFrom(red)
    was = blue.revision
    blue.enable = False
    group.rules.add(name="green", enable=False)
    ruled.update(kinds.LANE, group)
    [group] = ruled.listed(kinds.LANE)
    red, blue, green = group.rules
    assert red == kept, "a lane that says the same keeps its revision and times"
    assert blue.revision != was
    assert (blue.ctime, blue.mtime, blue.etime) == (now, later, "")
    assert (green.ctime, green.mtime, green.etime) == (later, later, "")

    blue.enable = True
    ruled.update(kinds.LANE, group)
    assert ruled.listed(kinds.LANE)[0].rules[1].etime == later


def test_a_lane_group_is_found_by_its_name_too() -> None:
    ruled = Ruled()
    ruled.create(kinds.LANE, lane_group("g"))
    [group] = ruled.listed(kinds.LANE)
    assert codes(ruled.update(kinds.LANE, lane_group("g", description="new"))) == (OK, [OK])
    [changed] = ruled.listed(kinds.LANE)
    assert (changed.id, changed.description) == (group.id, "new")
    answer = ruled.delete(kinds.LANE, v1.LaneGroup(name="g"))
    assert unpacked(answer.responses[0].data).id == group.id
    assert ruled.listed(kinds.LANE) == []


# ---------------------------------------------------------------------- a model


class Model:
    """What a dict says should be there."""

    def __init__(self) -> None:
        self.rules: dict[str, tuple[str, bool]] = {}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["create", "update", "delete", "enable"]),
            st.integers(0, 4),
            st.sampled_from("abc"),
            st.booleans(),
        ),
        max_size=20,
    )
)
def test_breakers_are_where_a_dict_says_they_are(steps: list[tuple[str, int, str, bool]]) -> None:
    ruled, model = Ruled(), Model()
    ids: list[str] = []
    for step, which, name, on in steps:
        id = ids[which % len(ids)] if ids else "nobody"
        taken = {n: i for i, (n, _) in model.rules.items()}
        rule = breaker(name, enable=on, id=id)
        code = OK
        if step == "create":
            answer = ruled.create(kinds.CIRCUIT_BREAKER, rule)
            if name in taken:
                code = v1.ServiceExistedCircuitBreakers
            else:
                new = unpacked(answer.responses[0].data).id
                ids.append(new)
                model.rules[new] = (name, on)
        elif step == "delete":
            answer = ruled.delete(kinds.CIRCUIT_BREAKER, rule)
            model.rules.pop(id, None)
        elif id not in model.rules:
            answer = getattr(ruled, step)(kinds.CIRCUIT_BREAKER, rule)
            code = v1.NotFoundCircuitBreaker
        elif step == "update":
            answer = ruled.update(kinds.CIRCUIT_BREAKER, rule)
            if taken.get(name, id) != id:
                code = v1.ServiceExistedCircuitBreakers
            else:
                model.rules[id] = (name, on)
        else:
            answer = ruled.enable(kinds.CIRCUIT_BREAKER, rule)
            model.rules[id] = (model.rules[id][0], on)
        assert codes(answer) == (code, [code])
        listed = {r.id: (r.name, r.enable) for r in ruled.listed(kinds.CIRCUIT_BREAKER)}
        assert listed == model.rules
        told = ruled.told(v1.DiscoverRequest.CIRCUIT_BREAKER).message.circuitBreaker.rules
        assert {r.id: (r.name, r.enable) for r in told} == model.rules
