"""Envoy's rate limit service: its messages by number, what its entries mean, and decisions by the rules of the console."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import httpx
import pytest
from grpc import aio
from http_world import World
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.polaris.service.judging.envoy import MOST_ENTRIES, Refused
from polaris_bridge.adapters.polaris.translate.envoy import UNIT_MS, labels_of, service_of
from polaris_bridge.adapters.polaris.wire import rls
from polaris_bridge.core.model import Caller, ServiceKey
from polaris_bridge.testing import server

OK, OVER = 1, 2
ENVOY = Caller("polaris", "10.8.8.8")


def rule(**members: Any) -> dict[str, Any]:
    return {
        "name": "two", "service": "shop", "namespace": "default", "type": "GLOBAL",
        "amounts": [{"maxAmount": 2, "validDuration": "1s"}],
    } | members  # fmt: skip


def request(*descriptors: dict[str, str], domain: str = "shop.default", hits: int = 0, **more: Any) -> Any:
    """A request; ``more`` goes to every descriptor."""
    made = rls.RateLimitRequest(domain=domain, hits_addend=hits)
    for entries in descriptors:
        made.descriptors.append(
            rls.RateLimitDescriptor(entries=[{"key": k, "value": v} for k, v in entries.items()], **more)
        )
    return made


class Limited(World):
    """A server with rules, as Envoy asks it."""

    def put(self, *rules: dict[str, Any]) -> None:
        assert self.call("POST", "/naming/v1/ratelimits", list(rules))["code"] == 200000

    def ask(self, asked: Any, caller: Caller = ENVOY) -> Any:
        return self.service.envoy.decide(asked, self.service.envoy.service(asked), caller)

    def codes(self, *descriptors: dict[str, str], times: int = 1, **more: Any) -> list[int]:
        return [self.ask(request(*descriptors, **more)).overall_code for _ in range(times)]


# -------------------------------------------------------------------------------------------------- messages


def field(number: int, content: bytes | int) -> bytes:
    """One field as it stands on the wire; all numbers and lengths here are below 128."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    return bytes([number << 3 | 2, len(content)]) + content


def test_a_request_by_the_numbers_of_envoys_api():
    entry = field(1, b"header.x") + field(2, b"u1")
    descriptor = field(1, entry) + field(2, field(1, 100) + field(2, 2)) + field(3, field(1, 0))
    data = field(1, b"shop.default") + field(2, descriptor) + field(3, 7) + field(15, b"newer")
    found = rls.RateLimitRequest.FromString(data)
    assert (found.domain, found.hits_addend) == ("shop.default", 7)
    (said,) = found.descriptors
    assert [(e.key, e.value) for e in said.entries] == [("header.x", "u1")]
    assert (said.limit.requests_per_unit, said.limit.unit) == (100, 2)
    assert (said.HasField("hits_addend"), said.hits_addend.value) == (True, 0)


def test_an_answer_by_the_numbers_of_envoys_api():
    w = Limited()
    w.put(rule(customResponse={"body": "later"}, amounts=[{"maxAmount": 0, "validDuration": "60s"}]))
    data = w.ask(request({":path": "/"})).SerializeToString()
    limit = field(2, 2) + field(3, b"two")
    status = field(1, OVER) + field(2, limit) + field(4, b"")
    assert data == field(1, OVER) + field(2, status) + field(5, b"later")


def test_units():
    day_s = 86_400
    lengths_s = {
        "SECOND": 1,
        "MINUTE": 60,
        "HOUR": 3600,
        "DAY": day_s,
        "WEEK": 7 * day_s,
        "MONTH": 30 * day_s,
        "YEAR": 365 * day_s,
    }
    numbers = {"SECOND": 1, "MINUTE": 2, "HOUR": 3, "DAY": 4, "MONTH": 5, "YEAR": 6, "WEEK": 7}
    assert {numbers[name]: length * 1000 for name, length in lengths_s.items()} == UNIT_MS
    declared = rls.RateLimitResponse.RateLimit.DESCRIPTOR.enum_types_by_name["Unit"].values_by_name
    assert {name: value.number for name, value in declared.items()} == {"UNKNOWN": 0} | numbers
    pool = rls.RateLimitRequest.DESCRIPTOR.file.pool
    shared = pool.FindEnumTypeByName("envoy.type.v3.RateLimitUnit").values_by_name
    assert {name: value.number for name, value in shared.items()} == {"UNKNOWN": 0} | numbers


# -------------------------------------------------------------------------------------------------- what entries mean

ENTRIES = [
    (":path", "/a", "$path", "/a"),
    ("method.", "GET", "$method", "GET"),
    ("header.x-user", "u", "$header.x-user", "u"),
    ("query.page", "1", "$query.page", "1"),
    ("source_cluster", "default|web", "$caller_service.default", "web"),
    ("source_cluster", "plain", "source_cluster", "plain"),
    ("remote_address", "10.0.0.1", "$caller_ip", "10.0.0.1"),
    ("custom.level", "5", "level", "5"),
    ("anything", "x", "anything", "x"),
]


@pytest.mark.parametrize(("key", "value", "label", "found"), ENTRIES)
def test_entries(key, value, label, found):
    assert labels_of([(key, value)]) == {label: found}


def test_a_caller_that_is_named_twice():
    both = [("source_cluster", "default|web"), ("source_cluster", "outbound")]
    expected = {"$caller_service.default": "web", "source_cluster": "outbound"}
    assert labels_of(both) == labels_of(reversed(both)) == expected


DOMAINS = [
    ("shop.default", ("default", "shop")),
    ("shop", ("default", "shop")),
    ("a.b.prod", ("prod", "a.b")),
    ("a.b.eu.west", ("eu.west", "a.b")),
    ("GROUP@@a.b.unknown", ("unknown", "GROUP@@a.b")),
]


@pytest.mark.parametrize(("domain", "key"), DOMAINS)
def test_domains(domain, key):
    assert service_of(domain, {"default", "prod", "eu.west", "west"}.__contains__) == ServiceKey(*key)


@given(st.text(max_size=20))
def test_any_domain_names_something(domain):
    namespace, name = service_of(domain, {"default", "b"}.__contains__)
    assert f"{name}.{namespace}" == domain or (namespace, name) == ("default", domain)


# -------------------------------------------------------------------------------------------------- decisions


def test_a_limit_as_envoy_sees_it():
    w = Limited()
    w.put(rule(method={"value": "/pay"}))
    first = w.ask(request({":path": "/pay"}))
    (status,) = first.statuses
    assert (first.overall_code, status.code, status.limit_remaining) == (OK, OK, 1)
    assert (status.current_limit.requests_per_unit, status.current_limit.unit, status.current_limit.name) == (
        2,
        1,
        "two",
    )
    assert (status.duration_until_reset.seconds, status.duration_until_reset.nanos) == (1, 10_000_000)
    assert w.codes({":path": "/pay"}, times=2) == [OK, OVER]
    w.clock.now_ms += 1010
    assert w.codes({":path": "/pay"}) == [OK]


def test_nothing_matches_is_fine_and_names_no_limit():
    w = Limited()
    w.put(rule(method={"value": "/pay"}))
    for asked in (request({":path": "/"}), request({":path": "/pay"}, domain="other.default"), request({})):
        answer = w.ask(asked)
        assert answer.overall_code == OK
        assert not answer.statuses[0].HasField("current_limit")


def test_a_window_that_envoy_has_no_unit_for():
    w = Limited()
    w.put(rule(amounts=[{"maxAmount": 5, "validDuration": "30s"}]))
    limit = w.ask(request({":path": "/"})).statuses[0].current_limit
    assert (limit.requests_per_unit, limit.unit) == (5, 0)


def test_what_envoy_compared_itself_comes_as_the_text_of_the_condition():
    """As polaris-server configures Envoy: header_value_match, whose descriptor value is the rule's own text."""
    header = {"type": "HEADER", "key": "x-user", "value": {"type": "REGEX", "value": "^u[0-9]+$"}}
    w = Limited()
    w.put(rule(method={"type": "REGEX", "value": "^/pay/.*"}, arguments=[header]))
    entries = {":path": "^/pay/.*", "header.x-user": "^u[0-9]+$"}
    assert w.codes(entries, times=3) == [OK, OK, OVER]
    assert w.codes({":path": "/pay/1", "header.x-user": "u5"}, times=3) == [
        OK,
        OK,
        OVER,
    ]  # values, from request_headers
    assert w.codes({":path": "/other", "header.x-user": "u5"}, times=3) == [OK] * 3
    caller = {"type": "CALLER_IP", "value": {"type": "NOT_EQUALS", "value": "10.0.0.1"}}
    w.put(rule(name="others", service="ip", arguments=[caller], amounts=[{"maxAmount": 0, "validDuration": "1s"}]))
    assert w.codes({"remote_address": "10.0.0.1"}, domain="ip.default") == [OK]  # an address is always a value
    assert w.codes({"remote_address": "10.0.0.2"}, domain="ip.default") == [OVER]


def test_several_descriptors():
    w = Limited()
    few = {"type": "CUSTOM", "key": "tier", "value": {"value": "few"}}
    w.put(rule(name="all", amounts=[{"maxAmount": 4, "validDuration": "1s"}]))
    w.put(rule(name="few", arguments=[few], amounts=[{"maxAmount": 1, "validDuration": "1s"}]))
    both = ({"x": "1"}, {"tier": "few"})
    first, second = w.ask(request(*both)), w.ask(request(*both))
    assert [s.code for s in first.statuses] == [OK, OK]
    assert (second.overall_code, [s.code for s in second.statuses]) == (OVER, [OK, OVER])
    assert first.statuses[0].limit_remaining == 3  # a rule that both meet counts once
    assert w.ask(request({"x": "1"})).statuses[0].limit_remaining == 2  # a refused request takes nothing


def test_hits():
    w = Limited()
    w.put(rule(amounts=[{"maxAmount": 10, "validDuration": "1s"}]))
    assert w.ask(request({"a": "b"}, hits=4)).statuses[0].limit_remaining == 6
    assert w.ask(request({"a": "b"}, hits=4, hits_addend={"value": 1})).statuses[0].limit_remaining == 5
    for _ in range(3):
        assert w.ask(request({"a": "b"}, hits_addend={"value": 0})).statuses[0].limit_remaining == 5
    assert w.codes({"a": "b"}, hits=6) == [OVER]
    assert w.codes({"a": "b"}, hits_addend={"value": 2**63}) == [OVER]
    assert w.codes({"a": "b"}, hits=5) == [OK]


def test_a_limit_of_envoys_own_stands_for_the_rules():
    w = Limited()
    w.put(rule(amounts=[{"maxAmount": 0, "validDuration": "1s"}]))
    own = {"limit": {"requests_per_unit": 1, "unit": 2}}
    answer = w.ask(request({"a": "b"}, **own))
    assert (answer.overall_code, answer.statuses[0].current_limit.unit) == (OK, 2)
    assert w.codes({"a": "b"}, **own) == [OVER]
    assert w.codes({"a": "c"}, **own) == [OK]
    assert w.codes({"a": "c"}, limit={"requests_per_unit": 1, "unit": 0}) == [OVER]  # no length: none of its own


def test_local_rules_count_each_envoy_alone():
    w = Limited()
    w.put(rule(type="LOCAL", amounts=[{"maxAmount": 1, "validDuration": "1s"}]))
    other = Caller("polaris", "10.8.8.9")
    asked = request({":path": "/"})
    assert [w.ask(asked, who).overall_code for who in (ENVOY, ENVOY, other)] == [OK, OVER, OK]


def test_http_and_envoy_count_on_the_same_counters():
    w = Limited()
    w.put(rule(method={"value": "/pay"}))
    question = {"service": "shop", "method": "/pay"}
    assert w.send("POST", "/ratelimit/v1/check", question).status == 200
    assert w.codes({":path": "/pay"}, times=2) == [OK, OVER]
    assert w.send("POST", "/ratelimit/v1/check", question).status == 429


REFUSED = [
    (rls.RateLimitRequest(), "rate limit domain must not be empty"),
    (rls.RateLimitRequest(domain="a"), "rate limit descriptor list must not be empty"),
    (request(*({"a": "b"} for _ in range(MOST_ENTRIES))), f"must not have more than {MOST_ENTRIES} entries"),
]


@pytest.mark.parametrize(("asked", "text"), REFUSED, ids=["domain", "descriptors", "entries"])
def test_what_cannot_be_decided(asked, text):
    with pytest.raises(Refused, match=text):
        Limited().service.envoy.service(asked)


# -------------------------------------------------------------------------------------------------- ports


async def should(target: str, message: bytes, *metadata: tuple[str, str]) -> Any:
    async with aio.insecure_channel(target) as channel:
        call: Any = channel.unary_unary("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit")
        return rls.RateLimitResponse.FromString(await call(message, metadata=metadata))


async def test_on_both_ports() -> None:
    asked = request({":path": "/pay"}).SerializeToString()
    async with server() as running, httpx.AsyncClient(base_url=running.front) as client:
        wide = rule(amounts=[{"maxAmount": 10, "validDuration": "60s"}])
        assert (await client.post("/naming/v1/ratelimits", json=[wide])).json()["code"] == 200000
        targets = [running.grpc, running.limiter] * 10
        answers = await asyncio.gather(*(should(target, asked) for target in targets))
        assert sorted(answer.overall_code for answer in answers) == [OK] * 10 + [OVER] * 10
        for broken in (b"\xff\xff", b""):
            with pytest.raises(aio.AioRpcError) as caught:
                await should(running.grpc, broken)
            expected = grpc.StatusCode.UNKNOWN if broken == b"" else grpc.StatusCode.INTERNAL
            assert caught.value.code() is expected
        text = (await client.get("/metrics")).text
    for code, count in ((200, 10), (429, 10), (400, 1)):
        assert f'operation="ShouldRateLimit",protocol="polaris"}} {count}.0' in text.replace(f'code="{code}",', "")


async def test_without_the_limiter_envoy_is_answered_all_the_same() -> None:
    asked = request({":path": "/pay"}).SerializeToString()
    async with server(sets=["limiter.open=false"]) as running:
        assert (await should(running.limiter, asked)).overall_code == OK


async def test_who_may_not_read_the_rules_may_not_ask() -> None:
    asked = request({":path": "/pay"}).SerializeToString()
    async with server(sets=["auth.strategy.option.clientOpen=true"]) as running:
        with pytest.raises(aio.AioRpcError) as caught:
            await should(running.grpc, asked, ("x-polaris-token", "nobody"))
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
