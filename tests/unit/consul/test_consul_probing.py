"""Checks that the server performs: what is asked, thresholds, outputs, aliases, and services that were critical for too long."""

from __future__ import annotations

import pytest
from consul_bottle import ConsulBottle, Ids

from polaris_bridge.adapters._shared import checks as kinds
from polaris_bridge.adapters.consul.server.http import ConsulHttp
from polaris_bridge.adapters.consul.server.routes import ROUTES
from polaris_bridge.adapters.consul.service.consul import ConsulService
from polaris_bridge.adapters.consul.service.state import ConsulState
from polaris_bridge.core.health import Check, HealthEngine, Outcome
from polaris_bridge.core.model import CRITICAL, PASSING, WARNING


class Network:
    """What probes find, by host and port."""

    def __init__(self) -> None:
        self.kinds = dict.fromkeys((kinds.WEB, kinds.TCP, kinds.UDP, kinds.GRPC, kinds.H2PING), 100)
        self.finds: dict[tuple[str, int], Outcome] = {}
        self.asked: list[Check] = []

    def begin(self, check: Check, done):
        self.asked.append(check)
        done(self.finds.get((check.host, check.port), Outcome(CRITICAL, "Connection refused")))
        return lambda: None


class ProbingBottle(ConsulBottle):
    """With an engine."""

    def restart(self) -> None:
        super().restart()
        self.network = Network()
        self.engine = HealthEngine(self.registry, self.network, lambda: 0.5)
        state = ConsulState(self.registry, self.engine)
        self.service = ConsulService(
            self.registry, self.authority, self.settings, ids=Ids(), host_name="here", address=lambda: "10.0.0.9",
            state=state,
        )  # fmt: skip
        self.http = ConsulHttp(self.service, ROUTES, random=lambda: 0.0)
        self.engine.start()

    def check(self, id: str = "service:web") -> tuple[str, str]:
        found = self.get("/v1/agent/checks").json[id]
        return found["Status"], found["Output"]


@pytest.fixture
def bottle():
    return ProbingBottle()


def test_http_as_it_is_asked_and_said(bottle):
    check = {"HTTP": "http://10.1.1.1:8080/health?x=1", "Interval": "5s", "Timeout": "2s", "Method": "PUT", "Body": "b",
             "Header": {"X-A": ["1", "2"]}}  # fmt: skip
    bottle.register("web", Port=8080, Check=check)
    assert bottle.check() == (CRITICAL, "")
    bottle.network.finds["10.1.1.1", 8080] = Outcome(
        PASSING, "HTTP PUT http://10.1.1.1:8080/health?x=1: 200 OK Output: fine"
    )
    bottle.move(3)
    (asked,) = bottle.network.asked
    assert (asked.kind, asked.host, asked.port, asked.path, asked.method, asked.body) == (
        kinds.WEB, "10.1.1.1", 8080, "/health?x=1", "PUT", "b",
    )  # fmt: skip
    assert (asked.interval_ms, asked.timeout_ms, asked.redirects) == (5000, 2000, 10)
    assert ("X-A", "1") in asked.headers
    assert ("X-A", "2") in asked.headers
    assert ("User-Agent", "Consul Health Check") in asked.headers
    assert bottle.check() == (PASSING, "HTTP PUT http://10.1.1.1:8080/health?x=1: 200 OK Output: fine")
    bottle.network.finds["10.1.1.1", 8080] = Outcome(CRITICAL, "Connection refused")
    bottle.move(5)
    refused = 'Put "http://10.1.1.1:8080/health?x=1": dial tcp 10.1.1.1:8080: connect: connection refused'
    assert bottle.check() == (CRITICAL, refused)
    assert [e["Service"]["ID"] for e in bottle.get("/v1/health/service/web?passing").json] == []


@pytest.mark.parametrize(
    ("check", "kind", "place", "well", "ill"),
    [
        (
            {"TCP": "10.1.1.1:80"}, kinds.TCP, ("10.1.1.1", 80), "TCP connect 10.1.1.1:80: Success",
            "dial tcp 10.1.1.1:80: connect: connection refused",
        ),
        (
            {"UDP": "10.1.1.1:53"}, kinds.UDP, ("10.1.1.1", 53), "UDP connect 10.1.1.1:53: Success",
            "dial udp 10.1.1.1:53: connect: connection refused",
        ),
        (
            {"GRPC": "10.1.1.1:9000/svc"}, kinds.GRPC, ("10.1.1.1", 9000), "gRPC check 10.1.1.1:9000/svc: success",
            "dial tcp 10.1.1.1:9000: connect: connection refused",
        ),
        (
            {"H2PING": "[2001:db8::1]:443"}, kinds.H2PING, ("2001:db8::1", 443), "HTTP2 ping was successful",
            "dial tcp 2001:db8::1:443: connect: connection refused",
        ),
    ],
)  # fmt: skip
def test_the_other_kinds(bottle, check, kind, place, well, ill):
    bottle.register("web", Check={**check, "Interval": "10s"})
    bottle.network.finds[place] = Outcome(PASSING, "connected")
    bottle.move(6)
    assert bottle.network.asked[0].kind == kind
    assert bottle.check() == (PASSING, well)
    bottle.network.finds.clear()
    bottle.move(10)
    assert bottle.check() == (CRITICAL, ill)


def test_a_target_that_is_none_is_critical(bottle):
    bottle.register("web", Check={"TCP": "nonsense", "Interval": "1s"})
    bottle.move(2)
    assert bottle.check()[0] == CRITICAL


def test_thresholds(bottle):
    check = {"TCP": "10.1.1.1:80", "Interval": "1s", "SuccessBeforePassing": 2, "FailuresBeforeWarning": 2,
             "FailuresBeforeCritical": 3}  # fmt: skip
    bottle.register("web", Check=check)
    seen = []
    for state in (PASSING, PASSING, CRITICAL, CRITICAL, CRITICAL, PASSING, CRITICAL, PASSING, PASSING):
        bottle.network.finds["10.1.1.1", 80] = Outcome(state, "")
        before = len(bottle.network.asked)
        while len(bottle.network.asked) == before:
            bottle.move(0.5)
        seen.append(bottle.check()[0])
    assert seen == [CRITICAL, PASSING, PASSING, WARNING, CRITICAL, CRITICAL, CRITICAL, CRITICAL, PASSING]


def test_output_alone_wakes_nobody(bottle):
    bottle.register("web", Check={"HTTP": "http://10.1.1.1/", "Interval": "1s"})
    bottle.network.finds["10.1.1.1", 80] = Outcome(PASSING, "HTTP GET http://10.1.1.1/: 200 OK Output: 1")
    bottle.move(2)
    index = bottle.get("/v1/health/service/web").index
    bottle.network.finds["10.1.1.1", 80] = Outcome(PASSING, "HTTP GET http://10.1.1.1/: 200 OK Output: 2")
    bottle.move(3)
    assert bottle.check()[1].endswith("Output: 2")
    assert bottle.get("/v1/health/service/web").index == index


def test_a_check_that_goes_is_not_performed_any_more(bottle):
    bottle.register("web", Check={"TCP": "10.1.1.1:80", "Interval": "1s"})
    bottle.done("/v1/agent/check/register", {"Name": "node", "TCP": "10.1.1.1:81", "Interval": "1s"})
    bottle.network.finds["10.1.1.1", 81] = Outcome(PASSING, "")
    bottle.move(2)
    assert {c.port for c in bottle.network.asked} == {80, 81}
    assert bottle.check("node")[0] == PASSING
    bottle.register("web", Check={"TCP": "10.1.1.1:82", "Interval": "1s"})
    bottle.done("/v1/agent/check/deregister/node")
    bottle.network.asked.clear()
    bottle.move(3)
    assert {c.port for c in bottle.network.asked} == {82}
    bottle.done("/v1/agent/service/deregister/web")
    bottle.network.asked.clear()
    bottle.move(3)
    assert bottle.network.asked == []
    assert len(bottle.engine) == 0


def test_after_a_restart_they_go_on(bottle):
    bottle.register("web", Check={"TCP": "10.1.1.1:80", "Interval": "1s"})
    bottle.network.finds["10.1.1.1", 80] = Outcome(PASSING, "")
    bottle.move(2)
    bottle.restart()
    assert bottle.check()[0] == PASSING
    bottle.move(2)
    assert bottle.network.asked
    assert bottle.check()[0] == CRITICAL


def test_critical_for_too_long(bottle):
    check = {"TCP": "10.1.1.1:80", "Interval": "1s", "DeregisterCriticalServiceAfter": "90s"}
    bottle.register("web", Check=check)
    bottle.move(80)
    assert "web" in bottle.get("/v1/agent/services").json
    bottle.move(60)
    assert bottle.get("/v1/agent/services").json == {}
    assert len(bottle.engine) == 0


def test_aliases_follow(bottle):
    bottle.register("db", ID="db-1", Check={"TTL": "1h"})
    bottle.register("web", Check={"AliasService": "db-1"})
    bottle.timers.settle()
    assert bottle.check() == (CRITICAL, "Aliased check \"Service 'db' check\" failing: ")
    bottle.done("/v1/agent/check/pass/service:db-1")
    bottle.timers.settle()
    assert bottle.check() == (PASSING, "All checks passing.")
    bottle.done("/v1/agent/check/warn/service:db-1?note=slow")
    bottle.timers.settle()
    assert bottle.check() == (WARNING, "Aliased check \"Service 'db' check\" failing: slow")
    bottle.done("/v1/agent/service/deregister/db-1")
    bottle.timers.settle()
    assert bottle.check() == (CRITICAL, "Service db-1 could not be found on node here")
    bottle.register("one", Check={"AliasService": "two"})
    bottle.register("two", Check={"AliasService": "one"})
    bottle.move(3)
