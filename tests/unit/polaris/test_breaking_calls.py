"""Circuit breaking over HTTP: rules of the console, what callers tell, who is ejected, and what is said of it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from guarded import Guarded
from http_world import UniqueIds, World, document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import messages

from polaris_bridge.adapters._shared.checks import HTTP, TCP, TCP_TALK, UDP, UDP_TALK
from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters._shared.patterns import LinearSearch
from polaris_bridge.adapters.polaris.service.breaking.sources import StoredBreakers
from polaris_bridge.adapters.polaris.service.polaris import PolarisService
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.breaking import breaker_rules, bytes_of, detect_rules
from polaris_bridge.adapters.polaris.wire import breaking_told, v1
from polaris_bridge.core.breaking.breaker import Breaker
from polaris_bridge.core.breaking.model import (
    CLOSED,
    HALF_OPEN,
    INSTANCE,
    INTERFACE,
    OPEN,
    SERVICE,
    BadCode,
    Calls,
    Fallback,
    InARow,
    Interface,
    Part,
    Share,
    Slow,
    Told,
)
from polaris_bridge.core.breaking.rules import ReadyRule
from polaris_bridge.core.health import Check
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.ports import OpenDoor
from polaris_bridge.core.routing.model import EXACT, REGEX, Condition
from polaris_bridge.core.views import shown

REPORT, EXPLAIN = "/naming/v1/circuitbreaker/report", "/naming/v1/circuitbreaker/explain"
RELEASE, RULES = "/naming/v1/circuitbreaker/release", "/naming/v1/circuitbreaker/rules"
OK, UNREAD, NO_SERVICE, NO_INSTANCE, NO_NAME, AGAIN = 200000, 400001, 400202, 400303, 400120, 200002
SHOP = ServiceKey("default", "shop")
BAD = {"inputType": "RET_CODE", "condition": {"type": "REGEX", "value": "^5"}}


def rule(**members: Any) -> dict[str, Any]:
    """Two errors in a row open for half a minute."""
    return {
        "name": "no 500", "namespace": "default", "enable": True, "level": "INSTANCE",
        "ruleMatcher": {
            "source": {"service": "*", "namespace": "*"},
            "destination": {"service": "shop", "namespace": "default"},
        },
        "errorConditions": [BAD],
        "triggerCondition": [{"triggerType": "CONSECUTIVE_ERROR", "errorCount": 2}],
        "recoverCondition": {"sleepWindow": 30, "consecutiveSuccess": 2},
    } | members  # fmt: skip


def instance(number: int) -> dict[str, Any]:
    return {"service": "shop", "namespace": "default", "host": f"10.0.0.{number}", "port": 80}


class Breaking(World):
    """A service of four instances, and rules."""

    def put(self, *rules: dict[str, Any], instances: int = 4) -> str:
        """Write rules; the id of the first."""
        assert self.code("POST", "/naming/v1/services", [{"name": "shop", "namespace": "default"}]) == OK
        assert self.code("POST", "/naming/v1/instances", [instance(n) for n in range(instances)]) == OK
        answer = self.call("POST", RULES, list(rules))
        assert answer["code"] == OK, answer
        found: str = answer["responses"][0]["data"]["id"]
        return found

    def sent(self, target: str, body: object, peer: str = "10.9.9.1") -> Response:
        """The answer to who asks from an address."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = [(b"content-type", b"application/json")]
        reply = self.http.handle(Request("POST", target, "", headers, content, peer))
        found: list[Response] = [reply] if isinstance(reply, Response) else []
        if not isinstance(reply, Response):
            reply.then(found.append)
        self.queue.settle()
        [answer] = found
        return answer

    def tell(self, *results: dict[str, Any], peers: str = "ab", **report: Any) -> Any:
        """What some callers tell; the last answer."""
        answer: Any = None
        for peer in peers:
            answer = document(
                self.sent(REPORT, {"service": "shop", "results": list(results)} | report, f"10.9.9.{ord(peer)}")
            )
            assert answer["code"] == OK, answer
        return answer

    def fails(self, number: int, **more: Any) -> dict[str, Any]:
        return {"host": f"10.0.0.{number}", "port": 80, "code": "500", "count": 2} | more

    @property
    def ejected(self) -> list[str]:
        return sorted(place.host for place in self.registry.ejections.of(SHOP))

    def explain(self, **question: Any) -> Any:
        answer = document(self.sent(EXPLAIN, {"service": "shop"} | question))
        assert answer["code"] == OK, answer
        return answer

    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.clock.now_ms += round(seconds * 1000)
        assert self.service.breaking is not None
        self.service.breaking.sweep()
        self.queue.settle()


class TestReports:
    def test_one_caller_ejects_nobody_and_two_do(self) -> None:
        w = Breaking()
        id = w.put(rule())
        for _ in range(10):
            assert w.tell(w.fails(1), peers="a")["states"] == []
        assert w.ejected == []
        answer = w.tell(w.fails(1), peers="b")
        state = {"level": "instance", "state": "open", "rule": id, "name": "no 500", "host": "10.0.0.1", "port": 80}
        assert answer["states"] == [state]
        assert w.ejected == ["10.0.0.1"]
        assert w.tell(w.fails(2, code="200"))["states"] == []

    def test_every_reader_sees_it_unhealthy_until_it_is_tried_again(self) -> None:
        w = Breaking()
        w.put(rule())
        w.tell(w.fails(1))
        found = w.call("GET", "/naming/v1/instances?service=shop&namespace=default")["instances"]
        assert {i["host"]: i["healthy"] for i in found} == {f"10.0.0.{n}": n != 1 for n in range(4)}
        [address] = [a for a in w.registry.snapshot(SHOP).addresses.values() if a.host == "10.0.0.1"]
        assert [(s.live, s.word) for s in shown(address, "nacos")] == [(False, "down")]
        w.wait(30)
        assert w.ejected == []

    def test_counts_alone(self) -> None:
        w = Breaking()
        w.put(
            rule(
                triggerCondition=[
                    {"triggerType": "ERROR_RATE", "errorPercent": 50, "minimumRequest": 10, "interval": 60}
                ]
            )
        )
        w.tell({"host": "10.0.0.1", "port": 80, "total": 20, "errors": 9})
        assert w.ejected == []
        w.tell({"host": "10.0.0.1", "port": 80, "total": 2, "errors": 2})
        assert w.ejected == ["10.0.0.1"]

    def test_services_and_methods_have_states_too(self) -> None:
        w = Breaking()
        block = {"name": "b", "api": {"path": {"type": "EXACT", "value": "/pay"}}, "error_conditions": [BAD],
                 "trigger_conditions": [{"triggerType": "CONSECUTIVE_ERROR", "errorCount": 1}]}  # fmt: skip
        answer = {"enable": True, "response": {"code": 503, "body": "later", "headers": [{"key": "x", "value": "y"}]}}
        w.put(
            rule(name="service", level="SERVICE"),
            rule(name="method", level="METHOD", block_configs=[block], fallbackConfig=answer),
        )
        states = w.tell({"method": "/pay", "code": "503", "count": 5})["states"]
        assert [(s["level"], s.get("method"), s["state"]) for s in states] == [
            ("service", None, "open"), ("interface", "/pay", "open")]  # fmt: skip
        assert w.ejected == []
        told = w.explain(method="/pay")["breakers"]
        assert [b["fallback"] for b in told] == [{"code": 503, "headers": {"x": "y"}, "body": "later"}]

    def test_many_results_are_counted_bit_by_bit(self) -> None:
        w = Breaking()
        w.put(rule())
        good = {"host": "10.0.0.2", "port": 80, "code": "200"}
        assert w.tell(*[good] * 200, w.fails(1))["states"][0]["host"] == "10.0.0.1"
        assert [b["voices"][0]["calls"] for b in w.explain(host="10.0.0.2")["breakers"]] == [200]

    def test_an_instance_in_a_network_of_its_own_is_found_by_host_and_port(self) -> None:
        w = Breaking()
        w.put(rule())
        place = instance(9) | {"vpc_id": "v1"}
        assert w.code("POST", "/naming/v1/instances", [place]) == OK
        w.tell(w.fails(9))
        assert w.ejected == ["10.0.0.9"]

    def test_rules_for_one_caller_go_by_who_it_says_to_be_and_eject_nobody(self) -> None:
        w = Breaking()
        matcher = {"source": {"service": "cart", "namespace": "default"},
                   "destination": {"service": "shop", "namespace": "default"}}  # fmt: skip
        w.put(rule(ruleMatcher=matcher))
        assert w.tell(w.fails(1))["states"] == []
        assert w.tell(w.fails(1), caller={"service": "cart"})["states"][0]["state"] == "open"
        assert w.ejected == []

    def test_what_is_not_registered_counts_for_the_service_alone(self) -> None:
        w = Breaking()
        w.put(rule(), rule(name="service", level="SERVICE"))
        states = w.tell(w.fails(99))["states"]
        assert [s["level"] for s in states] == ["service"]

    def test_a_rule_that_goes_takes_its_ejections_along(self) -> None:
        w = Breaking()
        id = w.put(rule())
        w.tell(w.fails(1))
        assert w.code("PUT", RULES + "/enable", [{"id": id, "enable": False}]) == OK
        w.queue.settle()
        assert w.ejected == []
        assert w.code("PUT", RULES + "/enable", [{"id": id, "enable": True}]) == OK
        w.tell(w.fails(1))
        assert w.ejected == ["10.0.0.1"]
        assert w.code("POST", RULES + "/delete", [{"id": id}]) == OK
        w.queue.settle()
        assert w.ejected == []

    def test_an_alias_means_its_service(self) -> None:
        w = Breaking()
        w.put(rule())
        alias = {"alias": "store", "alias_namespace": "default", "service": "shop", "namespace": "default"}
        assert w.code("POST", "/naming/v1/service/alias", alias) == OK
        w.tell(w.fails(1), service="store")
        assert w.ejected == ["10.0.0.1"]

    def test_rules_for_any_service_are_not_about_servers(self) -> None:
        w = Breaking()
        anybody = {"service": "*", "namespace": "*"}
        w.put(rule(ruleMatcher={"source": anybody, "destination": anybody}))
        book = StoredBreakers(w.registry)
        assert book.of(SHOP)[0]
        assert not book.of(ServiceKey("Polaris", "polaris.checker"))[0]
        named = {"service": "polaris.checker", "namespace": "Polaris"}
        assert w.code("POST", RULES, [rule(name="own", ruleMatcher={"source": anybody, "destination": named})]) == OK
        assert book.of(ServiceKey("Polaris", "polaris.checker"))[0]

    def test_switched_off_nothing_is_heard(self) -> None:
        w = Breaking()
        service = PolarisService(
            w.registry, OpenDoor(), PolarisSettings(breaking=None), ids=UniqueIds(), pairs={}, locate=lambda _host: None
        )
        service.sweep()
        paths = {route.path for route in service.routes()}
        assert RULES in paths
        assert paths.isdisjoint({REPORT, EXPLAIN, RELEASE})

    def test_an_operator_lets_go(self) -> None:
        w = Breaking()
        w.put(rule())
        w.tell(w.fails(1))
        asked = {"service": "shop", "host": "10.0.0.1", "port": 80}
        assert document(w.sent(RELEASE, asked))["code"] == OK
        assert w.ejected == []
        assert document(w.sent(RELEASE, asked))["code"] == AGAIN
        assert document(w.sent(RELEASE, asked | {"port": 81}))["code"] == NO_INSTANCE

    def test_everything_is_recorded(self) -> None:
        w = Breaking()
        id = w.put(rule())
        records: list[tuple[str, str, str]] = []
        w.registry.operations.append(lambda r: records.append((r.operation, r.name, r.caller.principal)))
        w.tell(w.fails(1))
        w.wait(30)
        assert records == [("eject", "10.0.0.1:80", "system"), ("readmit", "10.0.0.1:80", "system")]
        assert id


class TestExplanation:
    def test_everything_it_goes_by(self) -> None:
        w = Breaking()
        id = w.put(rule())
        w.tell(w.fails(1), peers="a")
        w.tell(w.fails(1, code="200", count=3), w.fails(1, count=3), peers="b")
        told = w.explain()
        assert told["rules"] == [
            {"id": id, "name": "no 500", "level": "instance", "priority": 0, "everyone": True, "probed": False,
             "maxEjectionPercent": 0, "calls": 8, "errors": 5, "opened": 1}
        ]  # fmt: skip
        [breaker] = told["breakers"]
        assert breaker["voices"] == [
            {"who": "address 10.9.9.97", "calls": 2, "errors": 2, "objects": True, "counters": ["2 errors in a row"]},
            {"who": "address 10.9.9.98", "calls": 6, "errors": 3, "objects": True, "counters": ["3 errors in a row"]},
        ]
        assert (breaker["state"], breaker["ejected"]) == ("open", True)
        assert breaker["until"] - breaker["since"] == 30_000
        assert breaker["since"] == w.clock.now_ms
        assert breaker["why"] == "2 callers: 3 errors in a row"
        [turn] = told["turns"]
        assert (turn["before"], turn["after"], turn["host"], turn["why"]) == (
            "closed",
            "open",
            "10.0.0.1",
            breaker["why"],
        )

    def test_as_a_url(self) -> None:
        w = Breaking()
        w.put(rule())
        w.tell(w.fails(1), w.fails(2))
        told = w.call("GET", f"{EXPLAIN}?service=shop&host=10.0.0.2&port=80")
        assert [b["host"] for b in told["breakers"]] == ["10.0.0.2"]
        assert w.code("GET", f"{EXPLAIN}?service=shop&what=1") == UNREAD
        assert w.code("GET", f"{EXPLAIN}?service=shop&port=x") == UNREAD

    def test_a_pattern_that_is_not_evaluated_is_named(self) -> None:
        w = Breaking()
        ahead = {"inputType": "RET_CODE", "condition": {"type": "REGEX", "value": "(?=5)"}}
        w.put(rule(errorConditions=[ahead]))
        assert "invalid perl operator" in w.explain()["rules"][0]["notEvaluated"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"{", "truncated"),
            ({"results": 1}, "$.results"),
            ({"service": "shop"}, "results"),
            ({"service": "shop", "results": [{"what": 1}]}, "$.results[0]"),
            ({"service": "shop", "results": [{}, {"code": 500}]}, "$.results[1].code"),
            ({"service": "shop", "results": [{"delay": -1}]}, "$.results[0].delay"),
            ({"service": "shop", "results": [{"count": 0}]}, "$.results[0].count"),
            ({"service": "shop", "results": [{"count": 10**7}]}, "$.results[0].count"),
            ({"service": "shop", "results": [{"port": 70000}]}, "$.results[0].port"),
            ({"service": "shop", "results": [{"host": "h"}]}, "$.results[0]"),
            ({"service": "shop", "results": [{"total": 1, "errors": 2}]}, "$.results[0].errors"),
            ({"service": "shop", "results": [{"total": 1, "code": "1"}]}, "$.results[0].total"),
            ({"service": "shop", "results": [{"method": "m" * 2000}]}, "$.results[0].method"),
            ({"service": "shop", "results": [{}] * 1001}, "$.results"),
        ],
    )
    def test_a_report_that_is_none(self, body: object, said: str) -> None:
        w = Breaking()
        w.put(rule())
        answer = w.sent(REPORT, body)
        assert (answer.status, document(answer)["code"]) == (400, UNREAD)
        assert said in document(answer)["info"]

    @pytest.mark.parametrize("path", [REPORT, EXPLAIN, RELEASE])
    def test_a_service_that_is_none(self, path: str) -> None:
        w = Breaking()
        more = {"results": []} if path == REPORT else {}
        assert document(w.sent(path, {"service": "nobody", **more}))["code"] == NO_SERVICE
        assert document(w.sent(path, {**more}))["code"] == NO_NAME

    def test_too_much_of_one_caller(self) -> None:
        w = Breaking()
        w.put(rule())
        body = {"service": "shop", "results": [{"code": "200"}] * 600}
        assert w.sent(REPORT, body, "10.9.9.1").status == 200
        refused = w.sent(REPORT, body, "10.9.9.1")
        assert (refused.status, document(refused)["code"]) == (429, 429002)
        assert w.sent(REPORT, body, "10.9.9.2").status == 200
        breaking = w.service.breaking
        assert breaking is not None
        assert (breaking.counters.told, breaking.counters.too_many) == (1200, 1)


REPORTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["service", "namespace", "results", "host", "port", "code", "count", "total", "errors", "caller"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(REPORTS | st.binary(max_size=20))
@settings(max_examples=200)
def test_nothing_that_is_sent_does_harm(body: object) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    for read in (breaking_told.read_report, breaking_told.read_question):
        with suppress(breaking_told.Malformed):
            read(content)


class TestRights:
    def guarded(self) -> Guarded:
        w = Guarded()
        assert w.code_of("POST", "/naming/v1/services", [{"name": "shop", "namespace": "default"}]) == OK
        assert w.code_of("POST", "/naming/v1/instances", [instance(n) for n in range(4)]) == OK
        assert w.code_of("POST", RULES, [rule()]) == OK
        return w

    def test_who_may_not_discover_a_service_may_not_tell_of_it(self) -> None:
        w = self.guarded()
        body = {"service": "shop", "results": [{"host": "10.0.0.1", "port": 80, "code": "500", "count": 2}]}
        assert w.code_of("POST", REPORT, body, "") == 401001
        assert w.code_of("POST", REPORT, body, w.user("nobody").token) == 401001

    def test_accounts_are_answerable_not_addresses(self) -> None:
        w = self.guarded()
        users = [w.user(name) for name in ("one", "two")]
        w.policy(
            "readers",
            principals={"users": [{"id": user.id} for user in users]},
            resources={"services": [{"id": "*"}]},
            functions=["DiscoverInstances"],
        )
        body = {"service": "shop", "results": [{"host": "10.0.0.1", "port": 80, "code": "500", "count": 2}]}
        for peer in ("10.1.1.1", "10.1.1.2", "10.1.1.3"):
            assert w.ask("POST", REPORT, body, users[0].token, peer)["code"] == OK
        assert w.registry.ejections.of(SHOP) == {}
        assert w.ask("POST", REPORT, body, users[1].token, "10.1.1.1")["code"] == OK
        w.queue.settle()
        assert [place.host for place in w.registry.ejections.of(SHOP)] == ["10.0.0.1"]
        asked = {"service": "shop", "host": "10.0.0.1", "port": 80}
        assert w.code_of("POST", RELEASE, asked, users[0].token) == 401001
        assert w.code_of("POST", EXPLAIN, asked, users[0].token) == 401001
        assert w.code_of("POST", RELEASE, asked) == OK


class TestTranslation:
    def test_the_older_form(self) -> None:
        message = v1.CircuitBreakerRule()
        message.id, message.name, message.revision, message.enable = "r", "n", "7", True
        message.level, message.priority, message.max_ejection_percent = v1.METHOD, 3, 250
        message.rule_matcher.source.service = "*"
        message.rule_matcher.destination.service, message.rule_matcher.destination.namespace = "shop", "default"
        message.rule_matcher.destination.method.value.value = "/a"
        code = message.error_conditions.add(input_type=v1.ErrorCondition.RET_CODE)
        code.condition.type, code.condition.value.value = v1.MatchString.REGEX, "^5"
        slow = message.error_conditions.add(input_type=v1.ErrorCondition.DELAY)
        slow.condition.value.value = "200"
        message.trigger_condition.add(trigger_type=v1.TriggerCondition.CONSECUTIVE_ERROR, error_count=4)
        message.trigger_condition.add(
            trigger_type=v1.TriggerCondition.ERROR_RATE, error_percent=50, interval=10, minimum_request=5, error_count=9
        )
        message.trigger_condition.add(trigger_type=v1.TriggerCondition.ERROR_RATE, interval=10, error_count=9)
        message.recoverCondition.sleep_window, message.recoverCondition.consecutiveSuccess = 60, 0
        message.faultDetectConfig.enable = True
        message.fallbackConfig.enable = True
        message.fallbackConfig.response.code = 503
        [made] = breaker_rules([message])
        assert made.level == INTERFACE
        assert made.parts == (
            Part(
                (InARow(4), Share(10_000, 50, 5, 1), Share(10_000, 0, 0, 9)),
                (BadCode(Condition("", "^5", REGEX)), Slow(200)),
                "",
                Interface(path=Condition("", "/a", EXACT)),
            ),
        )
        assert (made.sleep_ms, made.successes, made.percent, made.probed) == (60_000, 1, 100, True)
        assert made.fallback == Fallback(503)
        assert (made.service, made.caller) == (SHOP, ServiceKey("", "*"))

    def test_blocks_go_before_it_and_borrow_its_errors(self) -> None:
        message = v1.CircuitBreakerRule(enable=True, level=v1.SERVICE)
        message.error_conditions.add(input_type=v1.ErrorCondition.DELAY).condition.value.value = "9"
        message.trigger_condition.add(trigger_type=v1.TriggerCondition.CONSECUTIVE_ERROR, error_count=4)
        block = message.block_configs.add(name="b")
        block.trigger_conditions.add(trigger_type=v1.TriggerCondition.CONSECUTIVE_ERROR, error_count=1)
        [made] = breaker_rules([message])
        assert made.level == SERVICE
        assert made.parts == (Part((InARow(1),), (Slow(9),), "b"),)

    def test_what_is_off_or_for_groups_is_not_evaluated(self) -> None:
        off = v1.CircuitBreakerRule(level=v1.INSTANCE)
        group = v1.CircuitBreakerRule(enable=True, level=v1.GROUP)
        assert breaker_rules([off, group]) == ()
        assert breaker_rules([v1.CircuitBreakerRule(enable=True, level=v1.INSTANCE)])[0].level == INSTANCE

    def detect(self, **members: Any) -> list[Check]:
        message = v1.FaultDetectRule(id="d", name="ask", **members)
        message.target_service.service, message.target_service.namespace = "shop", "default"
        return [made.check for made in detect_rules([message])]

    def test_probes(self) -> None:
        http = v1.HttpProtocolConfig(method="post", url="health?x=1", body="b", headers=[{"key": "K", "value": "V"}])
        [check] = self.detect(protocol=v1.FaultDetectRule.HTTP, http_config=http, interval=5, timeout=300, port=81)
        assert (check.kind, check.method, check.path, check.body) == (HTTP, "POST", "/health?x=1", "b")
        assert (check.interval_ms, check.timeout_ms, check.port, check.headers) == (5000, 300, 81, (("K", "V"),))
        assert 499 in check.expected
        assert 500 not in check.expected
        [check] = self.detect(protocol=v1.FaultDetectRule.TCP)
        assert (check.kind, check.interval_ms, check.timeout_ms) == (TCP, 30_000, 1000)
        [check] = self.detect(protocol=v1.FaultDetectRule.TCP, tcp_config={"send": "0x6869", "receive": ["ok", "0x00"]})
        assert (check.kind, check.send, check.receive) == (TCP_TALK, b"hi", (b"ok", b"\0"))
        [check] = self.detect(protocol=v1.FaultDetectRule.UDP, udp_config={"send": "hi"})
        assert (check.kind, check.send) == (UDP_TALK, b"hi")
        assert [c.kind for c in self.detect(protocol=v1.FaultDetectRule.UDP)] == [UDP]
        assert self.detect() == []

    def test_those_for_one_interface_probe_no_instances(self) -> None:
        message = v1.FaultDetectRule(id="d", protocol=v1.FaultDetectRule.TCP)
        message.target_service.api.path.value.value = "/a"
        assert detect_rules([message]) == ()
        message.target_service.api.path.value.value = "*"
        assert len(detect_rules([message])) == 1

    @pytest.mark.parametrize(("text", "found"), [("0x", b"0x"), ("0x6", b"0x6"), ("0X6A", b"j"), ("é", "é".encode())])
    def test_bytes(self, text: str, found: bytes) -> None:
        assert bytes_of(text) == found


class TestAnything:
    """Whatever rule is kept, and whatever is told: nothing raises, and what is counted adds up."""

    @given(data=st.data())
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    def test_rules(self, data: st.DataObject) -> None:
        message = data.draw(messages(v1.CircuitBreakerRule.DESCRIPTOR))
        message.enable, message.level = True, data.draw(st.sampled_from([v1.SERVICE, v1.METHOD, v1.INSTANCE]))
        message.rule_matcher.Clear()
        [made] = breaker_rules([message])
        ready = ReadyRule(made, LinearSearch())
        breaker = Breaker(ready, 1, 0)
        now_ms = 0
        results = st.tuples(
            st.integers(0, 10**9), st.integers(0, 10**9), st.none() | st.text(max_size=4), st.integers(0, 2**31),
            st.text(max_size=5), st.integers(0, 10**8),
        )  # fmt: skip
        for well, failed, code, delay_ms, path, passed_ms in data.draw(st.lists(results, max_size=8)):
            now_ms += passed_ms
            told = Told("a", SHOP, Calls(well, failed, code, delay_ms), None, path, "GET", "http")
            if made.level != INTERFACE or ready.about(told):
                assert sum(breaker.tell(told, now_ms)) == well + failed
            assert breaker.state in (CLOSED, OPEN, HALF_OPEN)
        assert breaker.until_ms <= now_ms + max(300_000, made.sleep_ms)

    @given(data=st.data())
    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    def test_probes(self, data: st.DataObject) -> None:
        message = data.draw(messages(v1.FaultDetectRule.DESCRIPTOR))
        for made in detect_rules([message]):
            assert made.check.interval_ms >= 1000
            assert made.check.timeout_ms >= 1
            assert made.check.path.startswith("/")
