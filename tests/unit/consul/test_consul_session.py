"""Sessions over HTTP: defaults, refusals, lists, and everything that ends one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from consul_bottle import ConsulBottle
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.wire import durations
from polaris_bridge.adapters.consul.wire.refusals import Refused
from polaris_bridge.adapters.consul.wire.session import SessionRequest, request


@pytest.fixture
def bottle() -> ConsulBottle:
    return ConsulBottle()


def create(bottle: ConsulBottle, **fields: object) -> str:
    answer = bottle.put("/v1/session/create", fields)
    assert answer.status == 200, answer
    return str(answer.json["ID"])


def ids(bottle: ConsulBottle) -> list[str]:
    return [each["ID"] for each in bottle.get("/v1/session/list").json]


def lock(bottle: ConsulBottle, id: str, key: str = "k") -> bool:
    return bottle.put(f"/v1/kv/{key}?acquire={id}", b"v").json is True


# ---------------------------------------------------------------------- what is asked for


def test_the_defaults(bottle: ConsulBottle) -> None:
    id = str(bottle.put("/v1/session/create").json["ID"])
    assert [len(part) for part in id.split("-")] == [8, 4, 4, 4, 12]
    answer = bottle.get(f"/v1/session/info/{id}")
    index = answer.json[0]["CreateIndex"]
    assert answer.text == (
        f'[{{"ID":"{id}","Name":"","Node":"here","LockDelay":15000000000,"Behavior":"release","TTL":"",'
        f'"NodeChecks":["serfHealth"],"ServiceChecks":null,"CreateIndex":{index},"ModifyIndex":{index}}}]'
    )
    assert answer.index >= index


def test_everything_said_is_shown(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "10s", "Status": "passing"})
    id = create(
        bottle,
        name="n",
        lockdelay="1s",
        TTL="1m30s",
        Behavior="delete",
        NodeChecks=[],
        ServiceChecks=[{"ID": "service:web", "Namespace": ""}],
    )
    shown = bottle.get(f"/v1/session/info/{id.upper()}").json[0]
    assert {name: shown[name] for name in ("Name", "LockDelay", "TTL", "Behavior", "NodeChecks", "ServiceChecks")} == {
        "Name": "n",
        "LockDelay": 1_000_000_000,
        "TTL": "1m30s",
        "Behavior": "delete",
        "NodeChecks": [],
        "ServiceChecks": [{"ID": "service:web", "Namespace": ""}],
    }


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        (b"", {}),
        (b"{}", {}),
        (b'{"LockDelay":"1ms"}', {"lock_delay_ns": 1_000_000}),
        (b'{"LockDelay":5}', {"lock_delay_ns": 5_000_000_000}),
        (b'{"LockDelay":2000000000}', {"lock_delay_ns": 2_000_000_000}),
        (b'{"LockDelay":"0s"}', {"lock_delay_ns": 0}),
        (b'{"LockDelay":null,"TTL":null}', {}),
        (b'{"LockDelay":-5}', {"lock_delay_ns": 0}),
        (b'{"TTL":"0"}', {"ttl": "0"}),
        (b'{"TTL":"24h"}', {"ttl": "24h", "ttl_ns": 86_400 * 10**9}),
        (b'{"Behavior":""}', {}),
        (b'{"Checks":[]}', {"node_checks": ()}),
        (b'{"NodeChecks":[]}', {"node_checks": ()}),
        (b'{"Checks":["a"]}', {"node_checks": ("serfHealth",), "checks": ("a",)}),
        (b'{"Checks":["a"],"NodeChecks":[]}', {"node_checks": ()}),
        (b'{"NodeChecks":["a"],"Checks":["serfHealth"]}', {"node_checks": ("a",)}),
        (b'{"Unknown":1,"ID":"x","name":"n"}', {"name": "n"}),
    ],
)
def test_bodies(body: bytes, changes: dict[str, object]) -> None:
    assert request(body) == SessionRequest(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b'{"TTL":"5s"}', 500, "Invalid Session TTL '5000000000', must be between [10s=24h0m0s]"),
        (b'{"TTL":"25h"}', 500, "Invalid Session TTL '90000000000000', must be between [10s=24h0m0s]"),
        (b'{"TTL":"x"}', 500, "Session TTL 'x' invalid: time: invalid duration \"x\""),
        (b'{"Behavior":"keep"}', 500, "Invalid Behavior setting 'keep'"),
        (b'{"Node":"nobody"}', 500, "apply failed: Missing node registration"),
        (b'{"NodeChecks":["none"]}', 500, "apply failed: Missing check 'none' registration"),
        (b'{"ServiceChecks":[{"ID":"service:web"}]}', 500, "apply failed: Check 'service:web' is in critical state"),
        (b'{"LockDelay":"x"}', 400, 'Request decode failed: time: invalid duration "x"'),
        (b"{", 400, "Request decode failed: unexpected EOF"),
        (b'{"Name":5}', 400, "Request decode failed: json: cannot unmarshal number into Go struct field .Name of type string"),
    ],
)  # fmt: skip
def test_refusals(bottle: ConsulBottle, body: bytes, status: int, text: str) -> None:
    bottle.register("web", Check={"TTL": "10s"})
    answer = bottle.put("/v1/session/create", body)
    assert (answer.status, answer.text) == (status, text)
    assert ids(bottle) == []


@given(st.binary(max_size=30) | st.text('{}[]":,LockDelayTTL015smh', max_size=40).map(str.encode))
def test_no_body_is_more_than_refused(body: bytes) -> None:
    with suppress(Refused):
        assert 0 <= request(body).lock_delay_ns <= durations.MAX_NS


@pytest.mark.parametrize(
    ("method", "target", "status", "text"),
    [
        ("PUT", "/v1/session/destroy/", 400, "Missing session"),
        ("PUT", "/v1/session/renew/", 400, "Missing session"),
        ("GET", "/v1/session/info/", 400, "Missing session"),
        ("GET", "/v1/session/node/", 400, "Missing node name"),
        ("PUT", "/v1/session/renew/x", 404, "Session id 'x' not found"),
        ("PUT", "/v1/session/destroy/x", 200, "true"),
        ("GET", "/v1/session/info/x", 200, "[]"),
        ("GET", "/v1/session/node/x", 200, "[]"),
        ("GET", "/v1/session/list", 200, "[]"),
        ("GET", "/v1/session/create", 405, "method GET not allowed"),
    ],
)
def test_nothing_there(bottle: ConsulBottle, method: str, target: str, status: int, text: str) -> None:
    answer = bottle.ask(method, target)
    assert (answer.status, answer.text) == (status, text)
    if method == "GET" and status == 200:
        assert answer.index >= 1


# ---------------------------------------------------------------------- nodes and datacenters


def test_a_session_stands_on_its_callers_node_and_keeps_it_listed(bottle: ConsulBottle) -> None:
    id = str(bottle.put("/v1/session/create", b"", "10.0.0.5").json["ID"])
    other = create(bottle, Node="NODE-10-0-0-5")
    assert {e["ID"] for e in bottle.get("/v1/session/node/node-10-0-0-5").json} == {id, other}
    assert "node-10-0-0-5" in [each["Node"] for each in bottle.get("/v1/catalog/nodes").json]
    bottle.put(f"/v1/session/destroy/{id}")
    bottle.put(f"/v1/session/destroy/{other}")
    assert "node-10-0-0-5" not in [each["Node"] for each in bottle.get("/v1/catalog/nodes").json]


def test_sessions_of_another_datacenter_are_others() -> None:
    bottle = ConsulBottle(ConsulSettings(datacenters={"dc1": "default", "dc2": "two"}))
    id = str(bottle.put("/v1/session/create?dc=dc2").json["ID"])
    assert ids(bottle) == []
    assert bottle.get(f"/v1/session/info/{id}").json == []
    assert bottle.put(f"/v1/session/renew/{id}").status == 404
    assert bottle.put(f"/v1/session/destroy/{id}").body == b"true"
    assert len(bottle.get("/v1/session/list?dc=dc2").json) == 1
    assert bottle.put(f"/v1/kv/k?dc=dc2&acquire={id}", b"").json is True


# ---------------------------------------------------------------------- what ends a session


def test_a_ttl_ends_it_between_one_and_two_times(bottle: ConsulBottle) -> None:
    id = create(bottle, TTL="10s", LockDelay="0s")
    assert lock(bottle, id)
    bottle.move(9)
    renewed = bottle.put(f"/v1/session/renew/{id}")
    assert [each["ID"] for each in renewed.json] == [id]
    assert "x-consul-index" not in renewed.headers
    bottle.move(10)
    assert ids(bottle) == [id]
    bottle.move(10)
    assert ids(bottle) == []
    assert "Session" not in bottle.get("/v1/kv/k").json[0]
    assert bottle.put(f"/v1/session/renew/{id}").status == 404


def _deregister(bottle: ConsulBottle) -> None:
    bottle.done("/v1/agent/service/deregister/web")


def _fail(bottle: ConsulBottle) -> None:
    bottle.done("/v1/agent/check/fail/service:web")


def _expire(bottle: ConsulBottle) -> None:
    bottle.move(31)


def _drop_check(bottle: ConsulBottle) -> None:
    bottle.done("/v1/agent/check/deregister/service:web")


def _replace_checks(bottle: ConsulBottle) -> None:
    bottle.done("/v1/agent/service/register?replace-existing-checks", {"Name": "web"})


def _fail_node_check(bottle: ConsulBottle) -> None:
    bottle.done("/v1/agent/check/fail/disk")


def _drop_node_check(bottle: ConsulBottle) -> None:
    bottle.done("/v1/agent/check/deregister/disk")


def _destroy(bottle: ConsulBottle) -> None:
    for id in ids(bottle):
        bottle.done(f"/v1/session/destroy/{id}")


LOSSES = [_deregister, _fail, _expire, _drop_check, _replace_checks, _fail_node_check, _drop_node_check, _destroy]


@pytest.mark.parametrize("behaviour", ["release", "delete"])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_ends_the_session_and_lets_go(
    bottle: ConsulBottle, loss: Callable[[ConsulBottle], None], behaviour: str
) -> None:
    bottle.register("web", Check={"TTL": "30s", "Status": "passing"})
    bottle.done("/v1/agent/check/register", {"Name": "disk", "TTL": "1h", "Status": "passing"})
    bottle.done("/v1/agent/check/pass/service:web")
    id = create(
        bottle,
        Behavior=behaviour,
        LockDelay="5s",
        NodeChecks=["serfHealth", "disk"],
        ServiceChecks=[{"ID": "service:web"}],
    )
    assert lock(bottle, id)
    read, listed = bottle.get("/v1/kv/k"), bottle.get("/v1/session/list")
    waiting = bottle.begin("GET", f"/v1/kv/k?index={read.index}&wait=60s")
    watching = bottle.begin("GET", f"/v1/session/list?index={listed.index}&wait=60s")
    bottle.done("/v1/agent/check/pass/service:web")
    bottle.done("/v1/agent/check/warn/service:web")
    bottle.timers.until(bottle.clock.now_s + 1)
    assert (waiting.answered, watching.answered) == (False, False)
    loss(bottle)
    bottle.timers.settle()
    bottle.timers.until(bottle.clock.now_s + 0.1)
    assert ids(bottle) == []
    assert waiting.answer.index > read.index
    assert watching.answer.json == []
    assert waiting.answer.status == (200 if behaviour == "release" else 404)
    other = create(bottle, NodeChecks=[])
    assert not lock(bottle, other)
    bottle.move(6)
    assert lock(bottle, other)


def test_a_check_that_moves_to_another_service_ends_nothing(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"CheckID": "c", "TTL": "30s", "Status": "passing"})
    id = create(bottle, ServiceChecks=[{"ID": "c"}])
    bottle.register("web2", Check={"CheckID": "c", "TTL": "30s", "Status": "passing"})
    bottle.register("web", Port=80, Check={"CheckID": "d", "TTL": "30s", "Status": "passing"})
    bottle.timers.settle()
    assert ids(bottle) == [id]


def test_a_service_that_changes_its_address_keeps_the_session(bottle: ConsulBottle) -> None:
    bottle.register("web", Port=80, Check={"TTL": "30s", "Status": "passing"})
    id = create(bottle, ServiceChecks=[{"ID": "service:web"}])
    bottle.register("web", Port=81, Check={"TTL": "30s", "Status": "passing"})
    bottle.timers.settle()
    assert ids(bottle) == [id]


def test_a_node_that_goes_takes_its_sessions_along(bottle: ConsulBottle) -> None:
    bottle.put("/v1/txn", [{"Node": {"Verb": "set", "Node": {"Node": "N9", "Address": "1.2.3.4"}}}])
    id, other = create(bottle, Node="n9"), create(bottle)
    assert [each["Node"] for each in bottle.get("/v1/session/node/n9").json] == ["n9"]
    assert lock(bottle, id)
    bottle.put("/v1/txn", [{"Node": {"Verb": "delete", "Node": {"Node": "n9"}}}])
    assert ids(bottle) == [other]


def test_what_was_lost_just_before_a_restart_is_found_after_it(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "1h", "Status": "passing"})
    id, well = create(bottle, ServiceChecks=[{"ID": "service:web"}]), create(bottle)
    assert lock(bottle, id)
    bottle.registry.kv.sessions.lost = lambda _name: None  # type: ignore[method-assign]
    bottle.done("/v1/agent/check/fail/service:web")
    assert len(ids(bottle)) == 2
    bottle.restart()
    assert "Session" in bottle.get("/v1/kv/k").json[0]
    bottle.move(1)
    assert ids(bottle) == [well]
    assert "Session" not in bottle.get("/v1/kv/k").json[0]


def test_a_check_that_fails_while_the_session_is_being_stored_ends_it(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "1h", "Status": "passing"})
    waiting = bottle.begin("PUT", "/v1/session/create", {"ServiceChecks": [{"ID": "service:web"}]})
    bottle.begin("PUT", "/v1/agent/check/fail/service:web")
    bottle.timers.settle()
    assert waiting.answer.status == 200
    assert ids(bottle) == []


def test_a_restart_keeps_sessions_their_times_and_their_locks(bottle: ConsulBottle) -> None:
    id = create(bottle, TTL="10s", Name="n")
    assert lock(bottle, id)
    before = bottle.get(f"/v1/session/info/{id}")
    bottle.move(15)
    bottle.restart()
    after = bottle.get(f"/v1/session/info/{id}")
    assert after.json == before.json
    assert after.index >= before.index
    bottle.move(11)
    assert bottle.get("/v1/kv/k").json[0]["Session"] == id
    bottle.move(9)
    assert ids(bottle) == []


def test_lists_wait_for_sessions_alone(bottle: ConsulBottle) -> None:
    id = create(bottle)
    index = bottle.get("/v1/session/list").index
    waiting = bottle.begin("GET", f"/v1/session/info/{id}?index={index}&wait=60s")
    bottle.put(f"/v1/session/renew/{id}")
    bottle.put("/v1/kv/a", b"")
    bottle.register("web")
    bottle.timers.until(bottle.clock.now_s + 1)
    assert not waiting.answered
    create(bottle)
    bottle.timers.until(bottle.clock.now_s + 1)
    assert [each["ID"] for each in waiting.answer.json] == [id]
    assert waiting.answer.index > index


def test_rights_are_asked_for() -> None:
    class Policy:
        def authenticate(self, credential: object) -> str:
            return str(getattr(credential, "token", ""))

        def allow(self, principal: str, operation: str, resource: object) -> bool:
            return principal == "w"

    bottle = ConsulBottle(ConsulSettings(auth=True), authority=Policy())
    refused = bottle.put("/v1/session/create")
    assert refused.status == 403
    assert "session:write" in refused.text
    id = bottle.put("/v1/session/create?token=w").json["ID"]
    assert bottle.put(f"/v1/session/destroy/{id}").status == 403
    assert bottle.put(f"/v1/session/renew/{id}").status == 403
    hidden = bottle.get("/v1/session/list")
    assert (hidden.json, hidden.headers["x-consul-results-filtered-by-acls"]) == ([], "true")
    assert len(bottle.get("/v1/session/list?token=w").json) == 1
