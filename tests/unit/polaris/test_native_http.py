"""The router: paths, methods, media types, headers, languages, groups, callers, faults. And bytes that nobody means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from http_world import World, document, header
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters._shared.answers import render_head
from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters.polaris.answers import respond
from polaris_bridge.adapters.polaris.service.routes import ADMIN, Encoded, Route, Text
from polaris_bridge.adapters.polaris.settings import GroupSettings
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.errors import Busy
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Credential, Resource

SERVICES = "/naming/v1/services"
CART = {"namespace": "shop", "name": "cart"}


def body(response: Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b"".join(response.body)


@pytest.fixture
def world() -> World:
    return World()


# ---------------------------------------------------------------------- paths and methods


@pytest.mark.parametrize(
    ("method", "target", "status", "text"),
    [
        ("GET", "/nothing", 404, b"404: Page Not Found"),
        ("GET", "/naming/v1", 404, b"404: Page Not Found"),
        ("GET", "/naming/v1/services/x", 404, b"404: Page Not Found"),
        ("GET", "/%ff/%00", 404, b"404: Page Not Found"),
        ("DELETE", SERVICES, 405, b"405: Method Not Allowed"),
        ("PATCH", "/v1/Heartbeat", 405, b"405: Method Not Allowed"),
        ("GET", f"{SERVICES}/", 200, None),
        ("GET", "/naming/v1/%73ervices", 200, None),
        ("HEAD", SERVICES, 200, None),
    ],
)
def test_paths_and_methods(world: World, method: str, target: str, status: int, text: bytes | None) -> None:
    response = world.send(method, target)
    assert response.status == status
    assert header(response, "Content-Type") == "text/plain; charset=utf-8"
    if text is not None:
        assert body(response) == text


def test_what_a_path_allows(world: World) -> None:
    assert header(world.send("DELETE", SERVICES), "Allow") == "POST, PUT, GET"
    options = world.send("OPTIONS", SERVICES)
    assert (options.status, header(options, "Allow")) == (200, "POST,PUT,GET")
    assert header(world.send("OPTIONS", "/nothing"), "Allow") == ""


def test_browsers_on_other_sites(world: World) -> None:
    asked = {"Origin": "http://ui", "Access-Control-Request-Method": "PUT"}
    ready = world.send("OPTIONS", SERVICES, headers={**asked, "Access-Control-Request-Headers": "Content-Type, accept"})
    assert header(ready, "Access-Control-Allow-Methods") == "GET,POST,PUT"
    assert header(ready, "Access-Control-Allow-Origin") == "http://ui"
    assert (
        world.send("OPTIONS", SERVICES, headers={**asked, "Access-Control-Request-Headers": "x-secret"}).headers == ()
    )
    for target in (SERVICES, "/nothing"):
        answer = world.send("GET", target, headers={"Origin": "http://ui"})
        assert header(answer, "Access-Control-Allow-Origin") == "http://ui"
        assert header(answer, "Access-Control-Allow-Credentials") is None
    written = world.send("POST", SERVICES, [CART], {"Origin": "http://ui"})
    assert (written.status, header(written, "Access-Control-Allow-Origin")) == (200, "http://ui")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "text/html, application/json"}, 200),
        ({"Content-Type": ""}, 200),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Accept": "text/html,*/*;q=0.1"}, 200),
        ({"Accept": "application/json"}, 200),
        ({"Accept": "text/html"}, 406),
    ],
)
def test_media_types(world: World, headers: dict[str, str], status: int) -> None:
    assert world.send("POST", SERVICES, [CART], headers).status == status


# ---------------------------------------------------------------------- headers and languages


def test_the_request_id_comes_back(world: World) -> None:
    for answer in (
        world.send("GET", SERVICES, headers={"Request-Id": "r-1"}),
        world.send("POST", SERVICES, [CART], {"request-id": "r-1"}),
        world.send("POST", SERVICES, b"{", {"REQUEST-ID": "r-1"}),
    ):
        assert header(answer, "Request-Id") == "r-1"
    assert header(world.send("GET", SERVICES), "Request-Id") == ""
    split = world.send("GET", SERVICES, headers={"Request-Id": "a\x00b"})
    assert header(split, "Request-Id") == ""


def test_codes_stand_in_headers_too(world: World) -> None:
    fine = world.send("GET", SERVICES)
    assert header(fine, "X-Polaris-Code") is None
    wrong = world.send("GET", f"{SERVICES}?x=1")
    assert wrong.status == 400
    assert header(wrong, "X-Polaris-Code") == "400103"
    assert header(wrong, "X-Polaris-Message") == "invalid parameter"


@pytest.mark.parametrize(
    ("target", "headers", "info"),
    [
        ("?lang=zh", {}, "服务名不合法"),
        ("", {"Accept-Language": "zh-CN,en;q=0.5"}, "服务名不合法"),
        ("?lang=en", {"Accept-Language": "zh"}, "invalid service name"),
        ("", {}, "invalid service name"),
    ],
)
def test_languages(world: World, target: str, headers: dict[str, str], info: str) -> None:
    response = world.send("POST", SERVICES + target, [{"namespace": "shop"}], headers)
    assert document(response)["info"] == info
    assert header(response, "X-Polaris-Message") == "invalid service name"
    assert document(world.send("POST", SERVICES + target, b"{", headers))["info"].startswith("request decode failed: ")


# ---------------------------------------------------------------------- groups


@pytest.mark.parametrize(
    ("groups", "there", "gone"),
    [
        (GroupSettings(client=frozenset()), SERVICES, "/v1/Heartbeat"),
        (GroupSettings(console=frozenset()), "/v1/Heartbeat", SERVICES),
        (GroupSettings(client=frozenset({"discover"})), "/v1/Discover", "/v1/RegisterInstance"),
        (GroupSettings(client=frozenset({"register"})), "/v1/DeregisterInstance", "/v1/Heartbeat"),
        (GroupSettings(console=frozenset({"service"})), "/naming/v1/instances", "/core/v1/namespaces"),
        (GroupSettings(console=frozenset({"config"})), "/v1/Heartbeat", "/naming/v1/namespaces"),
        (GroupSettings(admin=False), SERVICES, "/maintain/v1/x"),
    ],
)
def test_a_closed_group_is_not_there(groups: GroupSettings, there: str, gone: str) -> None:
    more = [Route(method="GET", path="/maintain/v1/x", operation="X", handle=lambda *_: Text(b""), group=ADMIN)]
    world = World(groups=groups, more=more)
    assert world.send("PATCH", there).status == 405
    assert world.send("PATCH", gone).status == 404


def test_a_console_for_reading(world: World) -> None:
    world = World(groups=GroupSettings(console=frozenset({"default-read"})))
    assert world.send("GET", SERVICES).status == 200
    assert world.send("POST", SERVICES, []).status == 405
    assert world.send("GET", "/core/v1/namespaces/token?name=x").status == 400


# ---------------------------------------------------------------------- callers


class Guard:
    """Knows one token, and lets its owner do everything but deletions."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Resource]] = []

    def authenticate(self, credential: Credential) -> str | None:
        return {"secret": "ann"}.get(credential.token)

    def allow(self, principal: str, operation: str, resource: Resource) -> bool:
        self.asked.append((principal, operation, resource))
        return principal == "ann" and not operation.startswith("Delete")


@pytest.mark.parametrize(
    ("method", "target", "asked", "empty"),
    [
        ("POST", SERVICES, [CART], {"size": 0, "responses": []}),
        ("GET", SERVICES, None, {"amount": 0, "size": 0, "services": []}),
        ("PUT", "/naming/v1/service/token", CART, {"service": None}),
        ("GET", "/naming/v1/instances/labels", None, {"instanceLabels": None}),
        ("POST", "/v1/Heartbeat", {}, {"instance": None}),
        ("POST", "/v1/Discover", {"type": 1}, {"instance": None}),
    ],
)
def test_who_may_not_is_told_in_the_shape_of_the_answer(
    method: str, target: str, asked: Any, empty: dict[str, Any]
) -> None:
    world = World(authority=Guard())
    for headers in ({}, {"X-Polaris-Token": "garbage"}):
        response = world.send(method, target, asked, headers)
        answer = document(response)
        assert (response.status, answer["code"], answer["info"]) == (401, 401001, "access is not approved")
        assert answer | empty == answer


def test_the_seam_is_asked_about_every_resource() -> None:
    guard = Guard()
    world = World(authority=guard)
    token = {"x-polaris-token": "secret"}
    assert world.send("POST", SERVICES, [CART, {**CART, "name": "till"}], token).status == 200
    assert guard.asked == [
        ("ann", "CreateServices", Resource("service", "shop", "cart")),
        ("ann", "CreateServices", Resource("service", "shop", "till")),
    ]
    assert world.send("POST", f"{SERVICES}/delete", [CART], token).status == 401
    guard.asked.clear()
    for kind in ("INSTANCE", "RATE_LIMIT", "NAMESPACES"):
        world.send("POST", "/v1/Discover", {"type": kind, "service": CART}, token)
    asked = list(dict.fromkeys(operation for _, operation, _ in guard.asked))  # of a list it is asked for each item
    assert asked == ["DiscoverInstances", "DiscoverRateLimitRule", "Discover"]


def test_callers_have_an_address_an_agent_and_a_principal() -> None:
    seen: list[Caller] = []

    def handle(_query: object, caller: Caller) -> Text:
        seen.append(caller)
        return Text(b"ok", "text/plain", 201)

    route = Route(method="GET", path="/x", operation="X", handle=handle, response="", group=ADMIN)
    world = World(authority=Guard(), more=[route])
    answer = world.send("GET", "/x", headers={"user-agent": "curl", "x-polaris-token": "secret"})
    assert (answer.status, body(answer), header(answer, "Content-Type")) == (201, b"ok", "text/plain")
    assert [(c.protocol, c.address, c.agent, c.principal) for c in seen] == [("polaris", "10.9.9.9", "curl", "ann")]


# ---------------------------------------------------------------------- answers


def fails(*_: object) -> Text:
    raise RuntimeError("secret detail")


def busy(*_: object) -> Text:
    raise Busy("full")


@pytest.mark.parametrize(
    ("takes", "response", "member"),
    [
        ("list", "BatchWriteResponse", "responses"),
        ("one", "Response", "instance"),
        ("query", "BatchQueryResponse", "services"),
    ],
)
def test_a_fault_of_ours_is_one_line_and_an_answer(
    takes: Any, response: str, member: str, caplog: pytest.LogCaptureFixture
) -> None:
    route = Route(
        method="POST", path="/x", operation="X", handle=fails, takes=takes, request="Instance", response=response
    )
    other = Route(
        method="PUT", path="/x", operation="X", handle=busy, takes=takes, request="Instance", response=response
    )
    world = World(more=[route, other])
    content = b"[]" if takes == "list" else b"{}"
    answer = world.send("POST", "/x", content)
    assert (answer.status, document(answer)["code"]) == (500, 500000)
    assert member in document(answer)
    assert b"secret" not in body(answer)
    assert len(caplog.records) == 1
    assert (world.send("PUT", "/x", content).status, len(caplog.records)) == (500, 1)


def test_answers_that_take_a_while() -> None:
    class Slowly:
        def then(self, reply: Any) -> None:
            world.queue.soon(lambda: reply(Encoded(v1.NotFoundResource, b"{}")))

    route = Route(method="GET", path="/x", operation="X", handle=lambda *_: Slowly(), group=ADMIN)
    world = World(more=[route])
    answer = world.send("GET", "/x", headers={"Request-Id": "r"})
    assert (answer.status, header(answer, "X-Polaris-Code"), header(answer, "Request-Id")) == (400, "400202", "r")
    assert world.seen == [("X", 400)]


def test_every_call_is_counted_with_its_operation(world: World) -> None:
    world.send("GET", "/nothing")
    world.send("POST", SERVICES, [CART])
    world.send("DELETE", SERVICES)
    assert world.seen == [("unknown", 404), ("CreateServices", 200), ("unknown", 405)]


def test_a_message_is_answered_as_it_is() -> None:
    route = Route(
        method="GET", path="/x", operation="X", handle=lambda *_: respond(v1.NoNeedUpdate), response="Response"
    )
    assert World(more=[route]).code("GET", "/x") == 200002


def test_no_route_stands_twice(world: World) -> None:
    calls = [(route.method, route.path) for route in world.http.routes]
    assert len(calls) == len(set(calls))
    assert all(route.about for route in world.http.routes)


# ---------------------------------------------------------------------- bytes that nobody means


ROUTES = World().http.routes
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["namespace", "name", "service", "host", "port", "id", "metadata", "alias", "alias_namespace",
                         "type", "isolate", "weight", "health_check", "heartbeat", "ttl", "value", "service_export_to"])
        | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
BODIES = (
    st.binary(max_size=64)
    | TREES.map(lambda tree: json.dumps(tree).encode())
    | st.lists(TREES).map(json.dumps).map(str.encode)
)
TEXT = st.text(st.characters(max_codepoint=255), max_size=30)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    route=st.sampled_from(ROUTES),
    content=BODIES,
    query=TEXT | st.lists(st.sampled_from(["name", "limit", "keys", "values", "host", "port", "id"]).flatmap(
        lambda key: TEXT.map(lambda value: f"{key}={value}"))).map("&".join),
    headers=st.dictionaries(st.sampled_from(["request-id", "accept-language", "x-polaris-token", "origin"]), TEXT),
)  # fmt: skip
def test_any_bytes_get_an_answer(route: Route, content: bytes, query: str, headers: dict[str, str]) -> None:
    world = FUZZED
    lines = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    reply = world.http.handle(Request(route.method, route.path, query, lines, content, "10.9.9.9"))
    found: list[Response] = []
    if isinstance(reply, Response):
        found.append(reply)
    else:
        reply.then(found.append)
    world.queue.settle()
    assert len(found) == 1
    answer = document(found[0])
    assert found[0].status == answer["code"] // 1000
    assert answer["code"] < 500000, "nothing that a client sends is our fault"
    render_head(found[0].status, found[0].headers)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(max_codepoint=255), max_size=20), st.sampled_from(["GET", "POST", "OPTIONS", "X"]), TEXT)
def test_any_path_gets_an_answer(path: str, method: str, origin: str) -> None:
    reply = FUZZED.http.handle(
        Request(method, "/" + path, "", [(b"origin", origin.encode("latin-1"))], b"", "10.9.9.9")
    )
    assert isinstance(reply, Response)
    render_head(reply.status, reply.headers)


FUZZED = World()
