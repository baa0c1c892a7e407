"""Tokens: where they are looked for, whom they prove, what is refused and in which words, with the listener's ``auth``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from consul_bottle import ConsulBottle

from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.core.errors import TokenDisabled, TokenReplaced
from polaris_bridge.core.events import OperationRecord
from polaris_bridge.core.ports import Credential, Resource, Undecided

OPS, WEB, READER = "t-ops", "t-web", "t-reader"
PRINCIPALS = {OPS: "ops", WEB: "web-team", READER: "reader"}
REGISTER = "/v1/agent/service/register"
ANONYMOUS = (
    "Permission denied: anonymous token lacks permission 'service:write' on \"web\". "
    "The anonymous token is used implicitly when a request does not specify a token."
)


class Rules:
    """``ops`` may everything, ``web-team`` everything with the service ``web``, ``reader`` read, nobody else anything."""

    def __init__(self) -> None:
        self.asked: list[Credential] = []
        self.waiting: list[Callable[[], None]] = []
        self.undecided = False

    def authenticate(self, credential: Credential) -> str | None:
        self.asked.append(credential)
        if self.undecided:
            raise Undecided(self.waiting.append)
        if credential.token == "t-off":
            raise TokenDisabled("off")
        if credential.token == "t-old":
            raise TokenReplaced("old")
        return PRINCIPALS.get(credential.token)

    def allow(self, principal: str, operation: str, resource: Resource) -> bool:
        reads = operation.startswith("Discover")
        mine = principal == "web-team" and resource.kind == "service" and resource.name == "web"
        return principal == "ops" or mine or (principal == "reader" and reads)


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
def bottle(rules: Rules) -> ConsulBottle:
    return ConsulBottle(ConsulSettings(auth=True), authority=rules)


def as_(token: str) -> dict[str, str]:
    return {"x_consul_token": token}


def test_nothing_is_asked_with_auth_off(rules: Rules) -> None:
    bottle = ConsulBottle(authority=rules)
    answer = bottle.put(REGISTER, {"Name": "web"}, x_consul_token="anything")
    assert (answer.status, answer.headers["x-consul-default-acl-policy"]) == (200, "allow")
    assert rules.asked == []


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?token=t-web", {}),
        ("?token=t-web", {"x_consul_token": "t-nobody", "authorization": "Bearer t-nobody"}),
        ("", {"x_consul_token": "t-web"}),
        ("?token=", {"x_consul_token": "t-web"}),
        ("", {"authorization": "Bearer t-web"}),
        ("", {"authorization": "bEaReR   t-web  and more"}),
        ("?token=", {"x_consul_token": "", "authorization": "Bearer t-web"}),
    ],
)
def test_where_a_token_is_looked_for(bottle: ConsulBottle, query: str, headers: dict[str, str]) -> None:
    answer = bottle.put(f"{REGISTER}{query}", {"Name": "web"}, **headers)
    assert (answer.status, answer.headers["x-consul-default-acl-policy"]) == (200, "deny")


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Basic t-web"}, {"authorization": "Bearer"}, {"authorization": "t-web"}]
)
def test_without_one_a_caller_is_anonymous(bottle: ConsulBottle, headers: dict[str, str]) -> None:
    answer = bottle.put(f"{REGISTER}?token=", {"Name": "web"}, **headers)
    assert (answer.status, answer.text) == (403, ANONYMOUS)


@pytest.mark.parametrize("token", ["t-nobody", "t-off", "t-old"])
def test_a_token_that_proves_nothing_is_refused_everywhere(bottle: ConsulBottle, token: str) -> None:
    for path in ("/v1/agent/services", "/v1/status/leader", "/v1/agent/self"):
        answer = bottle.get(path, **as_(token))
        assert (answer.status, answer.text) == (403, "ACL not found")


def test_a_right_that_is_missing_is_named_with_whom_it_is_missing_to(bottle: ConsulBottle) -> None:
    told: list[OperationRecord] = []
    bottle.registry.operations.append(told.append)
    answer = bottle.put(REGISTER, {"Name": "shop"}, **as_(WEB))
    assert answer.status == 403
    assert answer.text == (
        "Permission denied: token with AccessorID 'web-team' lacks permission 'service:write' on \"shop\""
    )
    assert [(record.caller.principal, record.result) for record in told] == [("web-team", "Denied")]


def test_the_caller_is_who_the_token_proves(bottle: ConsulBottle, rules: Rules) -> None:
    told: list[OperationRecord] = []
    bottle.registry.operations.append(told.append)
    bottle.put(REGISTER, {"Name": "web"}, **as_(WEB))
    assert {record.caller.principal for record in told} == {"web-team"}
    assert [(asked.token, asked.address) for asked in rules.asked] == [(WEB, "127.0.0.1")]


def test_rights_on_services(bottle: ConsulBottle) -> None:
    bottle.put(REGISTER, {"Name": "web", "ID": "w", "Check": {"TTL": "10s"}}, **as_(OPS))
    bottle.put(REGISTER, {"Name": "shop", "ID": "s", "Check": {"TTL": "10s"}}, **as_(OPS))
    changes = {
        "service/deregister/": b"",
        "service/maintenance/": b"?enable=true",
        "check/pass/service:": b"",
        "check/update/service:": {"Status": "passing"},
        "check/deregister/service:": b"",
    }
    for path, more in changes.items():
        query = more.decode() if isinstance(more, bytes) else ""
        body = more if isinstance(more, dict) else b""
        assert bottle.put(f"/v1/agent/{path}s{query}", body, **as_(WEB)).status == 403, path
        assert bottle.put(f"/v1/agent/{path}s{query}", body, **as_(READER)).status == 403, path
    for path, more in reversed(changes.items()):
        query = more.decode() if isinstance(more, bytes) else ""
        if path == "check/pass/service:":
            bottle.put(REGISTER, {"Name": "web", "ID": "w", "Check": {"TTL": "10s"}}, **as_(WEB))
        if path == "check/update/service:":
            continue
        assert bottle.put(f"/v1/agent/{path}w{query}", **as_(WEB)).status == 200, path


def test_nobody_takes_an_id_that_is_anothers(bottle: ConsulBottle) -> None:
    bottle.put(REGISTER, {"Name": "shop", "ID": "s"}, **as_(OPS))
    answer = bottle.put(REGISTER, {"Name": "web", "ID": "s"}, **as_(WEB))
    assert (answer.status, '"shop"' in answer.text) == (403, True)
    bottle.put("/v1/agent/check/register", {"Name": "c", "ServiceID": "s", "TTL": "1s"}, **as_(OPS))
    bottle.put(REGISTER, {"Name": "web", "ID": "w"}, **as_(WEB))
    answer = bottle.put("/v1/agent/check/register", {"Name": "c", "ServiceID": "w", "TTL": "1s"}, **as_(WEB))
    assert (answer.status, '"shop"' in answer.text) == (403, True)
    answer = bottle.put(REGISTER, {"Name": "web", "ID": "w", "Check": {"CheckID": "c", "TTL": "1s"}}, **as_(WEB))
    assert (answer.status, '"shop"' in answer.text) == (403, True)


def test_rights_on_nodes_and_the_agent(bottle: ConsulBottle) -> None:
    assert bottle.put("/v1/agent/check/register", {"Name": "disk", "TTL": "1s"}, **as_(WEB)).status == 403
    answer = bottle.put("/v1/agent/maintenance?enable=true", **as_(WEB))
    assert (answer.status, "'node:write' on \"here\"" in answer.text) == (403, True)
    assert bottle.put("/v1/agent/check/register", {"Name": "disk", "TTL": "1s"}, **as_(OPS)).status == 200
    for path, method in (
        ("self", "GET"),
        ("metrics", "GET"),
        ("host", "GET"),
        ("monitor", "GET"),
        ("reload", "PUT"),
        ("leave", "PUT"),
    ):
        assert bottle.ask(method, f"/v1/agent/{path}").status == 403, path
        assert bottle.ask(method, f"/v1/agent/{path}", headers={"x-consul-token": OPS}).status == 200, path
    assert bottle.get("/v1/agent/self", **as_(READER)).status == 200
    assert bottle.put("/v1/agent/reload", **as_(READER)).status == 403


def test_lists_leave_out_what_may_not_be_seen(bottle: ConsulBottle) -> None:
    for name in ("web", "shop"):
        bottle.put(REGISTER, {"Name": name, "Check": {"TTL": "10s"}}, **as_(OPS))
    answer = bottle.get("/v1/agent/services", **as_(WEB))
    assert (set(answer.json), answer.headers["x-consul-results-filtered-by-acls"]) == ({"web"}, "true")
    assert set(bottle.get("/v1/agent/checks", **as_(WEB)).json) == {"service:web"}
    answer = bottle.get("/v1/agent/services", **as_(READER))
    assert (set(answer.json), "x-consul-results-filtered-by-acls" in answer.headers) == ({"web", "shop"}, False)
    answer = bottle.get("/v1/agent/services")
    assert (answer.json, "x-consul-results-filtered-by-acls" in answer.headers) == ({}, False)
    assert bottle.get("/v1/agent/members").json == []
    for path in ("/v1/agent/service/shop", "/v1/agent/health/service/id/shop", "/v1/agent/health/service/name/shop"):
        assert bottle.get(path, **as_(WEB)).status == 403, path
        assert bottle.get(path, **as_(READER)).status in (200, 503), path


def test_a_blocking_read_is_judged_again_when_it_wakes(bottle: ConsulBottle, rules: Rules) -> None:
    bottle.put(REGISTER, {"Name": "web", "Port": 1}, **as_(OPS))
    hash = bottle.get("/v1/agent/service/web", **as_(WEB)).json["ContentHash"]
    waiting = bottle.begin("GET", f"/v1/agent/service/web?hash={hash}", headers={"x-consul-token": WEB})
    bottle.put(REGISTER, {"Name": "shop", "ID": "web", "Port": 1}, **as_(OPS))
    bottle.move(0.1)
    assert waiting.answer.status == 403


def test_a_password_that_is_being_checked_is_waited_for(bottle: ConsulBottle, rules: Rules) -> None:
    rules.undecided = True
    waiting = bottle.begin("PUT", REGISTER, {"Name": "web"}, headers={"x-consul-token": WEB})
    assert not waiting.answered
    rules.undecided = False
    rules.waiting[0]()
    bottle.timers.settle()
    assert waiting.answer.status == 200


# ---------------------------------------------------------------------- the calls about access control


def test_acls_off() -> None:
    bottle = ConsulBottle()
    calls = [("GET", "tokens"), ("PUT", "token"), ("GET", "token/self"), ("GET", "policies"), ("PUT", "bootstrap"),
             ("POST", "login"), ("GET", "token/some-id"), ("DELETE", "policy/some-id")]  # fmt: skip
    for method, path in calls:
        answer = bottle.ask(method, f"/v1/acl/{path}")
        assert (answer.status, answer.text) == (401, "ACL support disabled"), path


def test_acls_on(bottle: ConsulBottle) -> None:
    assert bottle.get("/v1/acl/token/self", **as_(WEB)).json["AccessorID"] == "web-team"
    assert bottle.get("/v1/acl/token/self").json["Description"] == "Anonymous Token"
    assert WEB not in bottle.get("/v1/acl/token/self", **as_(WEB)).text
    answer = bottle.put("/v1/acl/bootstrap", **as_(OPS))
    assert (answer.status, answer.text) == (403, "Permission denied: ACL bootstrap no longer allowed (reset index: 1)")
    assert bottle.get("/v1/acl/tokens", **as_(OPS)).status == 403
    assert bottle.put("/v1/agent/token/default", {"Token": "x"}, **as_(OPS)).status == 200
    answer = bottle.put("/v1/agent/token/other", {"Token": "x"}, **as_(OPS))
    assert (answer.status, answer.text) == (404, 'Token "other" is unknown')
    assert bottle.put("/v1/agent/token/default", b"x", **as_(OPS)).status == 400
    assert bottle.put("/v1/agent/token/default", {"Token": "x"}, **as_(WEB)).status == 403
