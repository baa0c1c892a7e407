"""The HTTP port: paths, methods, parameters, headers, errors."""

from __future__ import annotations

import gzip

import pytest
from consul_bottle import OWN, ConsulBottle
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters.consul.server.answers import Answer, json
from polaris_bridge.adapters.consul.server.call import ConsulCall, Route, Routes
from polaris_bridge.adapters.consul.server.gzipping import takes_gzip
from polaris_bridge.adapters.consul.service.consul import ConsulService
from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.wire import params as reading
from polaris_bridge.adapters.consul.wire.params import Params
from polaris_bridge.core.errors import Busy, Conflict, Unavailable

PLAIN = "text/plain; charset=utf-8"
LONG = b'{"a":"' + b"x" * 2000 + b'"}'


def _raises(error: Exception) -> Route:
    def run(_service: ConsulService, _call: ConsulCall) -> Answer:
        raise error

    return Route(run)


def _echo(_service: ConsulService, call: ConsulCall) -> Answer:
    return json({"rest": call.rest, "dc": call.datacenter, "namespace": call.namespace, "near": call.near})


MORE: Routes = {
    ("GET", "/t/echo/"): Route(_echo),
    ("GET", "/t/read"): Route(lambda _service, _call: json([1], 7), reads=True),
    ("GET", "/t/streamed"): Route(lambda _service, _call: json([1], 7), reads=True, streams=True),
    ("GET", "/t/hidden"): Route(lambda _service, _call: Answer(b"[]", 7, filtered=True), reads=True),
    ("GET", "/t/missing"): Route(lambda _service, _call: Answer(b"", 9, 404), reads=True),
    ("GET", "/t/long"): Route(lambda _service, _call: Answer(LONG)),
    ("GET", "/t/parts"): Route(lambda _service, _call: Answer((b"[", b"1" * 2000, b"]"))),
    ("GET", "/t/busy"): _raises(Busy("full")),
    ("GET", "/t/unavailable"): _raises(Unavailable("disk")),
    ("GET", "/t/conflict"): _raises(Conflict("service is alias")),
    ("", "/t/any"): Route(lambda _service, call: json(call.request.method)),
}


@pytest.fixture(scope="module")
def bottle() -> ConsulBottle:
    return ConsulBottle(ConsulSettings(datacenters={"dc1": "default", "dc2": "second"}), more=MORE)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/nope", "Invalid URL path: not a recognized HTTP API endpoint\n"),
        ("/eureka/v1/apps", "Invalid URL path: not a recognized HTTP API endpoint\n"),
        ("/nope", "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"),
    ],
)
def test_an_unknown_path(bottle: ConsulBottle, path: str, body: str) -> None:
    answer = bottle.get(path)
    assert (answer.status, answer.text, answer.headers["content-type"]) == (404, body, PLAIN)


def test_the_front_page_says_that_there_is_no_ui(bottle: ConsulBottle) -> None:
    answer = bottle.get("/")
    assert answer.status == 200
    assert answer.text.startswith("Consul Agent: UI disabled.")


def test_a_wrong_method_names_the_right_ones(bottle: ConsulBottle) -> None:
    answer = bottle.ask("POST", "/v1/agent/services")
    assert (answer.status, answer.text, answer.headers["allow"]) == (405, "method POST not allowed", "OPTIONS,GET")
    assert bottle.ask("HEAD", "/v1/agent/services").status == 405
    assert bottle.ask("GET", "/v1/agent/check/pass/x").headers["allow"] == "OPTIONS,PUT"


def test_options_are_told(bottle: ConsulBottle) -> None:
    answer = bottle.ask("OPTIONS", "/v1/config/x")
    assert (answer.status, answer.body, answer.headers["allow"]) == (200, b"", "OPTIONS,GET,DELETE")


def test_a_route_may_take_any_method(bottle: ConsulBottle) -> None:
    assert [bottle.ask(method, "/t/any").json for method in ("GET", "PATCH", "OPTIONS")] == ["GET", "PATCH", "OPTIONS"]


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        ("/t/echo/a%2Fb", "a/b"),
        ("/t/echo/service%3Aweb-1", "service:web-1"),
        ("/t/echo/a/b/c/", "a/b/c/"),
        ("/t/echo/", ""),
    ],
)
def test_what_follows_a_path_is_decoded(bottle: ConsulBottle, path: str, rest: str) -> None:
    assert bottle.get(path).json["rest"] == rest


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/v1//agent/services", "/v1/agent/services"),
        ("/v1/agent/./services?a=b", "/v1/agent/services?a=b"),
        ("/v1/x/../agent/services", "/v1/agent/services"),
        ("/t/echo", "/t/echo/"),
        ("/v1/config%2F%2Fa b".replace(" ", "%20"), "/v1/config/a%20b"),
    ],
)
def test_superfluous_slashes_and_dots_send_the_client_on(bottle: ConsulBottle, path: str, target: str) -> None:
    answer = bottle.get(path)
    assert (answer.status, answer.headers["location"]) == (301, target)
    assert answer.text == f'<a href="{target}">Moved Permanently</a>.\n\n'
    assert bottle.put(path).body == b""


@pytest.mark.parametrize("path", ["/t/echo/%00", "/t/echo/%7f", "/t/echo/a%0ab", "/t/echo/%zz", "/t/echo/%"])
def test_characters_that_cannot_be_printed_are_refused(bottle: ConsulBottle, path: str) -> None:
    assert bottle.get(path).status == 400


@pytest.mark.parametrize("query", ["a=%zz", "a=1;b=2", "%"])
def test_a_query_that_is_none_is_refused_without_words(bottle: ConsulBottle, query: str) -> None:
    answer = bottle.get(f"/t/read?{query}")
    assert (answer.status, answer.body) == (500, b"")


@settings(deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=5), st.lists(st.text(max_size=5), min_size=1, max_size=3), max_size=4)
)
def test_parameters_survive_their_encoding(values: dict[str, list[str]]) -> None:
    from urllib.parse import urlencode

    found = Params.of(urlencode([(name, each) for name, those in values.items() for each in those], errors="replace"))
    for name, those in values.items():
        encodable = [each.encode("utf-8", "replace").decode() for each in those]
        if name.encode("utf-8", "replace").decode() == name:
            assert found.all(name) == encodable
            assert found.text(name) == encodable[0]
    assert not found.has("absent" * 3)


def test_a_read_carries_its_index_and_what_clients_parse_with_it(bottle: ConsulBottle) -> None:
    headers = bottle.get("/t/read").headers
    assert {name: value for name, value in headers.items() if name.startswith("x-")} == {
        "x-consul-default-acl-policy": "allow",
        "x-consul-index": "7",
        "x-consul-knownleader": "true",
        "x-consul-lastcontact": "0",
        "x-consul-effective-consistency": "leader",
        "x-consul-query-backend": "blocking-query",
    }
    assert headers["content-type"] == "application/json"
    assert headers["vary"] == "Accept-Encoding"
    assert bottle.get("/t/missing").headers["x-consul-index"] == "9"
    assert "x-consul-index" not in bottle.get("/v1/agent/services").headers


@pytest.mark.parametrize(
    ("query", "consistency"), [("stale", "stale"), ("stale=", "stale"), ("consistent=1", "consistent"), ("leader", "leader"),
                               ("max_stale=10s", "stale"), ("max_stale=0s", "leader")],
)  # fmt: skip
def test_consistency_is_told(bottle: ConsulBottle, query: str, consistency: str) -> None:
    assert bottle.get(f"/t/read?{query}").headers["x-consul-effective-consistency"] == consistency


def test_headers_of_single_cases(bottle: ConsulBottle) -> None:
    assert bottle.get("/t/streamed?index=1").headers["x-consul-query-backend"] == "streaming"
    assert bottle.get("/t/streamed").headers["x-consul-query-backend"] == "blocking-query"
    assert bottle.get("/t/read?cached").headers["x-cache"] == "MISS"
    assert bottle.get("/t/hidden").headers["x-consul-results-filtered-by-acls"] == "true"


@pytest.mark.parametrize(
    ("query", "headers", "text"),
    [
        ("index=x", {}, "Invalid index"),
        ("index=-1", {}, "Invalid index"),
        ("index=18446744073709551616", {}, "Invalid index"),
        ("wait=x", {}, "Invalid wait time"),
        ("index=x&wait=x", {}, "Invalid wait time"),
        ("wait=5", {}, "Invalid wait time"),
        ("stale&consistent", {}, "Cannot specify ?stale with ?consistent, conflicting semantics."),
        ("cached&consistent", {}, "Cannot specify ?cached with ?consistent, conflicting semantics."),
        ("max_stale=x", {}, 'Invalid max_stale value "x"'),
        ("", {"cache-control": "max-age=x"}, "Invalid Cache-Control header."),
        ("ns=other", {}, 'Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature'),
        ("partition=a", {}, 'Invalid query parameter: "partition" - Partitions are a Consul Enterprise feature'),
        (
            "",
            {"x-consul-namespace": "a"},
            'Invalid header: "X-Consul-Namespace" - Namespaces are a Consul Enterprise feature',
        ),
    ],
)
def test_options_that_make_no_sense(bottle: ConsulBottle, query: str, headers: dict[str, str], text: str) -> None:
    answer = bottle.ask("GET", f"/t/read?{query}", headers=headers)
    assert (answer.status, answer.text, answer.headers["content-type"]) == (400, text, PLAIN)


def test_options_that_are_taken(bottle: ConsulBottle) -> None:
    for query in ("index=18446744073709551615&wait=0", "ns=default&partition=", "wait=60000ms", "index=&wait="):
        assert bottle.get(f"/t/read?{query}").status == 200
    assert (
        bottle.ask("GET", "/t/read", headers={"cache-control": "max-age=3, stale-if-error=2, no-cache"}).status == 200
    )


def test_options_are_not_read_where_they_mean_nothing(bottle: ConsulBottle) -> None:
    assert bottle.get("/v1/agent/services?index=x").status == 200


@pytest.mark.parametrize(
    ("wait", "seconds"), [("", 300.0), ("0s", 300.0), ("-1s", 300.0), ("10m", 600.0), ("1h", 600.0), ("1500ms", 1.5)]
)
def test_how_long_a_read_waits(wait: str, seconds: float) -> None:
    assert reading.options(Params.of(f"wait={wait}&index=1"), None).wait_s == seconds


def test_datacenters(bottle: ConsulBottle) -> None:
    assert bottle.get("/t/echo/").json["namespace"] == "default"
    assert bottle.get("/t/echo/?dc=dc2").json == {"rest": "", "dc": "dc2", "namespace": "second", "near": ""}
    assert bottle.get("/t/echo/?dc=dc2&datacenter=dc1").json["namespace"] == "default"
    answer = bottle.get("/t/echo/?dc=dc3")
    assert (answer.status, answer.text) == (500, "No path to datacenter")


def test_near_the_agent_means_the_callers_node(bottle: ConsulBottle) -> None:
    assert bottle.get("/t/echo/?near=_agent").json["near"] == "here"
    assert bottle.get("/t/echo/?near=_agent", "10.0.0.5").json["near"] == "node-10-0-0-5"
    assert bottle.get("/t/echo/?near=other").json["near"] == "other"


def test_pretty_answers_are_indented_by_four(bottle: ConsulBottle) -> None:
    assert bottle.get("/v1/status/peers?pretty=no").text == f'[\n    "{OWN}:8300"\n]\n'
    assert bottle.get("/v1/status/peers").text == f'["{OWN}:8300"]'


def test_errors_of_the_core(bottle: ConsulBottle) -> None:
    said = {
        path: (answer.status, answer.text)
        for path in ("busy", "unavailable", "conflict")
        if (answer := bottle.get(f"/t/{path}"))
    }
    assert said == {
        "busy": (503, "full"),
        "unavailable": (500, "No cluster leader"),
        "conflict": (500, "service is alias"),
    }


@pytest.mark.parametrize("path", ["/t/long", "/t/parts"])
def test_long_answers_are_compressed_for_who_takes_that(bottle: ConsulBottle, path: str) -> None:
    plain, packed = bottle.get(path), bottle.get(path, accept_encoding="br, gzip;q=0.5")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert "content-encoding" not in plain.headers
    assert "content-encoding" not in bottle.get(path, accept_encoding="identity").headers
    assert "content-encoding" not in bottle.get("/t/read", accept_encoding="gzip").headers


@pytest.mark.parametrize(
    ("accepted", "takes"), [("gzip", True), ("GZIP;q=1", True), ("gzip; q=0", False), ("x-gzip", False)]
)
def test_who_takes_gzip(accepted: str, takes: bool) -> None:
    assert takes_gzip(accepted) is takes


def test_every_call_is_counted_by_its_path(bottle: ConsulBottle) -> None:
    bottle.seen.clear()
    bottle.get("/t/echo/a/b")
    bottle.put("/v1/agent/check/pass/x")
    bottle.get("/v1/nope")
    assert bottle.seen == [("GET /t/echo/", 200), ("PUT /v1/agent/check/pass/", 404), ("unknown", 404)]


def test_everything_but_the_log_takes_the_short_way(bottle: ConsulBottle) -> None:
    assert bottle.http.hot(b"GET", b"/v1/health/service/web") is not None
    assert bottle.http.hot(b"GET", b"/v1/agent/monitor?loglevel=debug") is None
