"""Checks: how they are named and shown, TTLs and their expiry, what survives, checks of nodes, critical services that go."""

from __future__ import annotations

from typing import Any

import pytest
from consul_bottle import ConsulBottle

from polaris_bridge.adapters.consul.translate.keys import NodeKey
from polaris_bridge.core.model import Checks, RegistrationKey, ServiceKey
from polaris_bridge.core.views import shown

ELSEWHERE = "10.0.0.5"


@pytest.fixture
def bottle() -> ConsulBottle:
    return ConsulBottle()


def checks(bottle: ConsulBottle, peer: str = "127.0.0.1") -> Any:
    return bottle.get("/v1/agent/checks", peer).json


def state(bottle: ConsulBottle, id: str = "service:web") -> tuple[str, str]:
    found = checks(bottle)[id]
    return found["Status"], found["Output"]


def states(bottle: ConsulBottle, id: str = "web") -> dict[str, str]:
    r = bottle.registry.registration(RegistrationKey("consul", "default", f"here|{id}"))
    assert r is not None
    assert isinstance(r.liveness, Checks)
    return r.liveness.states


# ---------------------------------------------------------------------- names and kinds


def test_one_check_and_several_are_named_by_the_agent(bottle: ConsulBottle) -> None:
    bottle.register("web", ID="a", Check={"TTL": "10s"})
    bottle.register("web", ID="b", Checks=[{"TTL": "10s"}])
    bottle.register(
        "web", ID="c", Check={"TTL": "10s"}, Checks=[{"TTL": "10s"}, {"TTL": "5s", "CheckID": "own", "Name": "Mine"}]
    )
    assert {id: check["Name"] for id, check in checks(bottle).items()} == {
        "service:a": "Service 'web' check",
        "service:b": "Service 'web' check",
        "service:c:1": "Service 'web' check",
        "service:c:2": "Service 'web' check",
        "own": "Mine",
    }


@pytest.mark.parametrize(
    ("fields", "kind", "interval"),
    [
        ({"TTL": "10s"}, "ttl", ""),
        ({"TTL": 10_000_000_000}, "ttl", ""),
        ({"HTTP": "http://x", "Interval": "90s", "Timeout": "500ms"}, "http", "1m30s"),
        ({"TCP": "x:1", "Interval": "10s"}, "tcp", "10s"),
        ({"UDP": "x:1", "Interval": "10s"}, "udp", "10s"),
        ({"GRPC": "x:1/s", "Interval": "10s"}, "grpc", "10s"),
        ({"H2PING": "x:1", "Interval": "10s"}, "h2ping", "10s"),
        ({"OSService": "x", "Interval": "10s"}, "os_service", "10s"),
        ({"AliasService": "web"}, "alias", ""),
        ({"AliasNode": "n"}, "alias", ""),
    ],
)  # fmt: skip
def test_kinds(bottle: ConsulBottle, fields: dict[str, Any], kind: str, interval: str) -> None:
    bottle.register("web", Check=fields)
    found = checks(bottle)["service:web"]
    assert (found["Type"], found["Interval"]) == (kind, interval)
    assert found["Status"] == "critical" or kind == "alias"
    assert found["Timeout"] == fields.get("Timeout", "")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"TTL": "1s", "Interval": "1s", "TCP": "x"}, "Interval and TTL cannot both be specified"),
        ({"TCP": "x:1"}, "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"),
        ({"TCP": "x:1", "Interval": "-1s"}, "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"),
        ({"AliasNode": "n", "TCP": "x", "Interval": "1s"}, "Interval cannot be set for Alias checks"),
        ({"AliasNode": "n", "TTL": "1s"}, "TTL must be not be set for Alias checks"),
        ({}, "TTL must be > 0 for TTL checks"),
        ({"TTL": "0"}, "TTL must be > 0 for TTL checks"),
        ({"TTL": "1s", "OutputMaxSize": -1}, "MaxOutputMaxSize must be positive"),
        ({"TTL": "1s", "FailuresBeforeWarning": 3, "FailuresBeforeCritical": 2},
         "FailuresBeforeWarning can't be higher than FailuresBeforeCritical"),
    ],
)  # fmt: skip
def test_checks_that_make_no_sense(bottle: ConsulBottle, fields: dict[str, Any], text: str) -> None:
    answer = bottle.put("/v1/agent/check/register", {"Name": "c"} | fields)
    assert (answer.status, answer.text) == (400, f"Invalid check: {text}")


def test_snake_case_is_taken_where_the_agent_takes_it(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"ttl": "10s", "deregister_critical_service_after": "90s"})
    bottle.done("/v1/agent/check/register", {"Name": "c", "service_id": "web", "TTL": "10s"})
    assert checks(bottle)["c"]["ServiceID"] == "web"
    bottle.move(110)
    assert bottle.get("/v1/agent/services").json == {"web": bottle.get("/v1/agent/services").json["web"]}
    bottle.move(25)
    assert bottle.get("/v1/agent/services").json == {}
    assert bottle.put("/v1/agent/check/register", {"Name": "c", "script_args": ["a"], "Interval": "1s"}).status == 500


# ---------------------------------------------------------------------- TTL


def test_a_client_says_how_it_is(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "10s"})
    assert state(bottle) == ("critical", "")
    for word, status in (("pass", "passing"), ("warn", "warning"), ("fail", "critical")):
        bottle.done(f"/v1/agent/check/{word}/service:web?note=note+{word}")
        assert state(bottle) == (status, f"note {word}")
        assert states(bottle) == {"service:web": status}
    bottle.done("/v1/agent/check/update/service:web", {"Status": "warning", "Output": "by update"})
    assert state(bottle) == ("warning", "by update")
    bottle.done("/v1/agent/check/pass/service:web")
    assert state(bottle) == ("passing", "")


def test_who_falls_silent_is_critical(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "10s"})
    bottle.done("/v1/agent/check/pass/service:web")
    bottle.move(9.5)
    assert state(bottle) == ("passing", "")
    bottle.move(1)
    assert state(bottle) == ("critical", "TTL expired")
    bottle.done("/v1/agent/check/pass/service:web?note=back")
    bottle.move(9)
    bottle.done("/v1/agent/check/warn/service:web?note=hm")
    bottle.move(9)
    assert state(bottle) == ("warning", "hm")
    bottle.move(2)
    assert state(bottle) == ("critical", "TTL expired (last output before timeout follows): hm")


def test_silence_from_the_beginning_says_so_too(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "3s", "Status": "passing"})
    bottle.move(2.5)
    assert state(bottle)[0] == "passing"
    bottle.move(1)
    assert state(bottle) == ("critical", "TTL expired")


def test_a_ttl_runs_out_within_its_second(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "1500ms", "Status": "passing"})
    bottle.timers.until(bottle.clock.now_s + 1.45)
    assert state(bottle)[0] == "passing"
    bottle.timers.until(bottle.clock.now_s + 0.1)
    assert state(bottle)[0] == "critical"


def test_many_ttls_share_one_timer(bottle: ConsulBottle) -> None:
    pending = bottle.timers.pending
    for number in range(50):
        bottle.register("web", ID=f"w{number}", Port=number, Check={"TTL": f"{100 + number % 7}s"})
    assert bottle.timers.pending - pending <= 7
    for _ in range(3):
        bottle.move(60)
        for number in range(0, 50, 2):
            bottle.done(f"/v1/agent/check/pass/service:w{number}")
    found = checks(bottle)
    assert {number for number in range(50) if found[f"service:w{number}"]["Status"] == "passing"} == set(
        range(0, 50, 2)
    )


def test_a_process_that_stood_still_expires_nobody(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "10s"})
    bottle.done("/v1/agent/check/pass/service:web")
    bottle.move(2)
    bottle.clock.now_s += 3600  # suspended
    bottle.move(5)
    assert state(bottle)[0] == "passing"
    bottle.move(5)
    assert state(bottle)[0] == "critical"


def test_after_a_restart_every_ttl_is_whole_again(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "10s"})
    bottle.done("/v1/agent/check/pass/service:web?note=fine")
    bottle.move(9)
    bottle.restart()
    bottle.move(9)
    assert state(bottle) == ("passing", "fine")
    bottle.move(2)
    assert state(bottle)[0] == "critical"


def test_a_ttl_that_is_registered_longer_counts_so(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "5s", "Status": "passing"})
    bottle.register("web", Check={"TTL": "50s"})
    bottle.move(45)
    assert state(bottle)[0] == "passing"
    bottle.register("web", Check={"TTL": "5s"})
    bottle.move(6)
    assert state(bottle)[0] == "critical"


def test_saying_the_same_again_wakes_nobody_and_an_output_neither(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "10s"})
    bottle.done("/v1/agent/check/pass/service:web?note=one")
    before = bottle.registry.revision
    bottle.done("/v1/agent/check/pass/service:web?note=two")
    assert bottle.registry.revision == before
    assert state(bottle) == ("passing", "two")


def test_what_is_said_too_long_is_cut(bottle: ConsulBottle) -> None:
    bottle.register("web", Checks=[{"TTL": "10s", "CheckID": "a"}, {"TTL": "10s", "CheckID": "b", "OutputMaxSize": 5}])
    bottle.done("/v1/agent/check/update/a", {"Status": "passing", "Output": "é" * 2048 + "x"})
    assert state(bottle, "a")[1] == "é" * 2048 + " ... (captured 4096 of 4097 bytes)"
    bottle.done("/v1/agent/check/update/b", {"Status": "passing", "Output": "123456"})
    assert state(bottle, "b")[1] == "12345 ... (captured 5 of 6 bytes)"


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("pass/nope", b"", 404, 'Unknown check ID "nope". Ensure that the check ID is passed, not the check name.'),
        (
            "deregister/nope",
            b"",
            404,
            'Unknown check ID "nope". Ensure that the check ID is passed, not the check name.',
        ),
        ("pass/tcp", b"", 500, 'CheckID "tcp" does not have associated TTL'),
        ("update/tcp", {"Status": "passing"}, 500, 'CheckID "tcp" does not have associated TTL'),
        ("update/tcp", {"Status": "ok"}, 400, "Invalid check status: 'ok'"),
        ("update/tcp", {}, 400, "Invalid check status: ''"),
        ("update/tcp", {"state": "x"}, 400, 'Request decode failed: json: unknown field "state"'),
        ("update/tcp", b"", 400, "Request decode failed: EOF"),
        ("register", {}, 400, "Missing check name"),
        ("register", {"Name": "c", "Status": "ok"}, 400, "Bad check status"),
        ("register", {"Name": "c", "TTL": "1s", "ServiceID": "no"}, 404, 'ServiceID "no" does not exist'),
        ("register", {"Name": "c", "x": 1}, 400, 'Request decode failed: json: unknown field "x"'),
    ],
)
def test_refusals(bottle: ConsulBottle, path: str, body: object, status: int, text: str) -> None:
    bottle.register("web", Check={"TCP": "x:1", "Interval": "10s", "CheckID": "tcp"})
    answer = bottle.put(f"/v1/agent/check/{path}", body)
    assert (answer.status, answer.text) == (status, text)


# ---------------------------------------------------------------------- registering again


def test_status_and_output_survive_a_registration_and_the_clock_starts_anew(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "10s"})
    bottle.done("/v1/agent/check/pass/service:web?note=fine")
    bottle.move(9)
    bottle.register("web", Check={"TTL": "10s", "Status": "critical"}, Tags=["new"])
    assert state(bottle) == ("passing", "fine")
    bottle.move(9)
    assert state(bottle) == ("passing", "fine")
    bottle.move(2)
    assert state(bottle) == ("critical", "TTL expired")
    bottle.done("/v1/agent/service/deregister/web")
    bottle.register("web", Check={"TTL": "10s", "Status": "warning"})
    assert state(bottle) == ("warning", "")


def test_checks_that_do_not_come_along_stay_unless_they_are_to_be_replaced(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "10s", "CheckID": "a"})
    bottle.done("/v1/agent/check/register", {"Name": "b", "ServiceID": "web", "TTL": "10s"})
    bottle.register("web", Check={"TTL": "10s", "CheckID": "c"})
    assert set(checks(bottle)) == {"a", "b", "c"}
    for query, kept in (("false", {"a", "b", "c", "d"}), ("", {"d"})):
        bottle.done(
            f"/v1/agent/service/register?replace-existing-checks={query}",
            {"Name": "web", "Check": {"TTL": "10s", "CheckID": "d"}},
        )
        assert set(checks(bottle)) == kept
    assert set(states(bottle)) == {"d"}


def test_a_check_id_belongs_to_one_thing_on_a_node(bottle: ConsulBottle) -> None:
    bottle.register("a", Check={"TTL": "10s", "CheckID": "c"})
    bottle.done("/v1/agent/check/pass/c?note=kept")
    bottle.register("b", Check={"TTL": "10s", "CheckID": "c"})
    assert checks(bottle)["c"]["ServiceID"] == "b"
    assert state(bottle, "c") == ("passing", "kept")
    assert (states(bottle, "a"), states(bottle, "b")) == ({}, {"c": "passing"})
    bottle.done("/v1/agent/check/register", {"Name": "c", "TTL": "10s"})
    assert (checks(bottle)["c"]["ServiceID"], states(bottle, "b")) == ("", {})
    bottle.register("c", ELSEWHERE, Check={"TTL": "10s", "CheckID": "c"})
    assert checks(bottle, ELSEWHERE)["c"]["ServiceID"] == "c"
    assert checks(bottle)["c"]["ServiceID"] == ""


# ---------------------------------------------------------------------- checks by themselves


def test_a_check_of_a_service(bottle: ConsulBottle) -> None:
    bottle.register("web", Tags=["t"])
    bottle.done(
        "/v1/agent/check/register", {"Name": "alive", "ID": "c", "ServiceID": "web", "TTL": "10s", "Notes": "n"}
    )
    found = checks(bottle)["c"]
    assert (found["Name"], found["ServiceName"], found["ServiceTags"], found["Notes"]) == ("alive", "web", ["t"], "n")
    bottle.done("/v1/agent/check/pass/c")
    assert states(bottle) == {"c": "passing"}
    before = bottle.registry.revision
    bottle.done(
        "/v1/agent/check/register", {"Name": "alive", "ID": "c", "ServiceID": "web", "TTL": "10s", "Notes": "n"}
    )
    assert (bottle.registry.revision, state(bottle, "c")[0]) == (before, "passing")
    bottle.done("/v1/agent/check/deregister/c")
    assert (checks(bottle), states(bottle)) == ({}, {})


def test_a_check_of_a_node_counts_for_everything_on_it(bottle: ConsulBottle) -> None:
    bottle.register("web", Port=1)
    bottle.register("far", ELSEWHERE, Port=1)
    bottle.done("/v1/agent/check/register", {"Name": "disk", "TTL": "10s", "Status": "passing"})
    assert states(bottle) == {}
    bottle.done("/v1/agent/check/fail/disk?note=full")
    bottle.register("late", Port=2)
    assert states(bottle)["node:disk"] == states(bottle, "late")["node:disk"] == "critical"
    (address,) = bottle.registry.snapshot(ServiceKey("default", "web")).addresses.values()
    assert [each.word for each in shown(address, "nacos")] == ["down"]
    (address,) = bottle.registry.snapshot(ServiceKey("default", "far")).addresses.values()
    assert [each.word for each in shown(address, "nacos")] == ["up"]
    assert bottle.get("/v1/agent/health/service/id/web").status == 503
    bottle.restart()
    assert state(bottle, "disk") == ("critical", "full")
    bottle.done("/v1/agent/check/warn/disk")
    assert states(bottle)["node:disk"] == "warning"
    bottle.done("/v1/agent/check/deregister/disk")
    assert (states(bottle), checks(bottle)) == ({}, {})


def test_a_node_check_runs_out_too(bottle: ConsulBottle) -> None:
    bottle.register("web", Port=1)
    bottle.done("/v1/agent/check/register", {"Name": "disk", "TTL": "10s", "Status": "passing"})
    bottle.move(11)
    assert state(bottle, "disk") == ("critical", "TTL expired")
    assert states(bottle) == {"node:disk": "critical"}


def test_a_service_that_is_registered_again_keeps_its_nodes_checks(bottle: ConsulBottle) -> None:
    bottle.done("/v1/agent/check/register", {"Name": "disk", "TTL": "100s", "Status": "warning"})
    bottle.register("web", Port=1)
    before = bottle.registry.revision
    bottle.register("web", Port=1)
    assert (bottle.registry.revision, states(bottle)) == (before, {"node:disk": "warning"})


# ---------------------------------------------------------------------- those that stay critical


@pytest.mark.parametrize(("after", "seconds"), [("10s", 60), ("90s", 90), ("2m", 120)])
def test_a_service_that_stays_critical_goes(bottle: ConsulBottle, after: str, seconds: int) -> None:
    bottle.register("web", Check={"TTL": "10s", "DeregisterCriticalServiceAfter": after})
    bottle.move(seconds - 1)
    assert "web" in bottle.get("/v1/agent/services").json
    bottle.move(32)
    assert (bottle.get("/v1/agent/services").json, checks(bottle)) == ({}, {})


def test_one_that_recovers_stays(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "100s", "DeregisterCriticalServiceAfter": "1m"})
    for _ in range(4):
        bottle.move(50)
        bottle.done("/v1/agent/check/pass/service:web")
        bottle.done("/v1/agent/check/fail/service:web")
    assert "web" in bottle.get("/v1/agent/services").json
    bottle.move(100)
    assert bottle.get("/v1/agent/services").json == {}


def test_another_check_that_fails_does_not_count(bottle: ConsulBottle) -> None:
    bottle.register(
        "web",
        Checks=[
            {"TTL": "1000s", "Status": "critical"},
            {"TTL": "1000s", "Status": "passing", "DeregisterCriticalServiceAfter": "1m"},
        ],
    )
    bottle.move(200)
    assert "web" in bottle.get("/v1/agent/services").json


def test_a_check_that_a_service_takes_from_its_node_counts_no_more_as_the_nodes() -> None:
    bottle = ConsulBottle()
    check = {"Name": "x", "TTL": "1h"}
    bottle.register("a", Port=80, Checks=[])
    bottle.done("/v1/agent/check/register", check)
    for _ in range(2):
        bottle.register("a", Port=80, Checks=[])
    bottle.done("/v1/agent/check/register", check | {"ServiceID": "a"})
    (registration,) = bottle.service.index.services(NodeKey("default", "here"))
    assert registration.liveness == Checks({"x": "critical"}, 0, bottle.clock.now_ms)
