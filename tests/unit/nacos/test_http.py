"""The dispatcher: routes, refusals of three generations, answers that come later."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters.nacos.server import answers
from polaris_bridge.adapters.nacos.server.call import HttpCall, Route, Routes
from polaris_bridge.adapters.nacos.server.http import NacosHttp
from polaris_bridge.adapters.nacos.service.admission import Forbidden
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.wire import params
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.errors import Busy, Unavailable
from polaris_bridge.core.model import Caller, ServiceKey
from polaris_bridge.core.ports import Undecided


class _Queue:
    def __init__(self) -> None:
        self.calls: deque[Callable[[], None]] = deque()

    def soon(self, run: Callable[[], None]) -> None:
        self.calls.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        raise AssertionError("nothing here takes time")


class _Doorman:
    """Lets in whoever shows a token; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.undecided: list[Callable[[], None]] = []
        self.wait = False

    def shown(self, parameter: Callable[[str], str | None], header: Callable[[str], str | None], _: str) -> Any:
        return parameter("accessToken") or header("accesstoken")

    def admit(self, shown: Any, action: str, kind: str, namespace: str, service: str, caller: Caller) -> Caller:
        if self.wait:
            self.wait = False
            raise Undecided(self.undecided.append)
        self.asked.append((action, namespace, service))
        if shown == "wrong":
            raise Forbidden("token invalid!")
        return Caller(caller.protocol, caller.address, shown or "anonymous", caller.client, caller.agent)


class _Service:
    def __init__(self) -> None:
        self.settings = NacosSettings()
        self.queue = _Queue()
        self.registry = SimpleNamespace(
            scheduler=self.queue, clock=SimpleNamespace(wall_ms=lambda: 1_700_000_000_123, monotonic=lambda: 1.0)
        )
        self.admission = _Doorman()

    def scope(self, namespace_id: str, service: str, group: str = "") -> Scope:
        return Scope(namespace_id, namespace_id or "default", group, service)

    def key(self, scope: Scope) -> ServiceKey:
        return ServiceKey(scope.namespace, scope.name)


def _request(method: str, target: str, body: bytes = b"", **headers: str) -> Request:
    path, _, query = target.partition("?")
    found = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return Request(method, path, query, found, body, "10.0.0.9")


class _Bottle:
    def __init__(self, routes: Routes) -> None:
        self.service = _Service()
        self.observed: list[tuple[str, int]] = []
        self.http = NacosHttp(
            self.service,  # type: ignore[arg-type]
            routes,
            observe=lambda operation, status, _: self.observed.append((operation, status)),
        )
        self.got: list[Response] = []

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Response:
        """The answer when it is there at once."""
        reply = self.http.handle(_request(method, target, body, **headers))
        if isinstance(reply, Response):
            return reply
        reply.then(self.got.append)
        while self.service.queue.calls:
            self.service.queue.calls.popleft()()
        assert self.got, "the answer has not come"
        return self.got.pop()


def _bottle(run: Callable[[Any, HttpCall], answers.Reply], generation: Any = 1, **route: Any) -> _Bottle:
    return _Bottle({("GET", "/v1/ns/thing"): Route(run, generation=generation, **route)})


def _header(response: Response, name: bytes) -> bytes | None:
    return next((value for key, value in response.headers if key.lower() == name), None)


def _says(response: Response) -> Any:
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, b"text/plain;charset=UTF-8"),
        ("*/*", b"text/plain;charset=UTF-8"),
        ("text/html, image/gif, image/jpeg, */*; q=0.2", b"text/html;charset=UTF-8"),
        ("application/json", b"application/json"),
        ("image/png", b"text/plain;charset=UTF-8"),
    ],
)
def test_the_type_of_a_text_is_the_clients_choice(accept: str | None, expected: bytes) -> None:
    bottle = _bottle(lambda _service, _call: answers.ok())
    headers = {} if accept is None else {"accept": accept}
    response = bottle.ask("GET", "/nacos/v1/ns/thing", **headers)
    assert (response.status, response.body, _header(response, b"content-type")) == (200, b"ok", expected)


def test_parameters_come_from_query_and_form_and_the_query_wins() -> None:
    bottle = _bottle(lambda _service, call: answers.json(dict(call.params.items())))
    form = b"a=3&b=%E4%BD%A0+x&a=4"
    response = bottle.ask("GET", "/nacos/v1/ns/thing?a=1&a=2&c", form, content_type=params.FORM + ";charset=UTF-8")
    assert _says(response) == {"a": "1", "c": "", "b": "你 x"}
    assert _says(bottle.ask("GET", "/nacos/v1/ns/thing", form, content_type="text/plain")) == {}


def _fails(error: Exception) -> Callable[[Any, HttpCall], answers.Reply]:
    def run(_service: Any, _call: HttpCall) -> answers.Reply:
        raise error

    return run


def test_refusals_are_said_in_the_words_of_the_generation() -> None:
    refused = Refused(404, 20004, "no such thing é")
    text = _bottle(_fails(refused)).ask("GET", "/nacos/v1/ns/thing")
    assert (text.status, text.body) == (404, "no such thing é".encode())
    for generation in (2, 3):
        envelope = _bottle(_fails(refused), generation).ask("GET", "/nacos/v1/ns/thing")
        assert envelope.status == 404
        assert _says(envelope) == {"code": 20004, "message": "resource not found", "data": "no such thing é"}
        illegal = _bottle(_fails(params.IllegalParam("Param 'ip' is illegal")), generation)
        assert illegal.ask("GET", "/nacos/v1/ns/thing").body == b"Param 'ip' is illegal\r\n"


def test_who_is_not_let_in_gets_the_containers_page() -> None:
    bottle = _bottle(lambda _service, _call: answers.ok(), 3)
    response = bottle.ask("GET", "/nacos/v1/ns/thing?serviceName=s&namespaceId=n", accesstoken="wrong")
    assert response.status == 403
    assert _says(response) == {
        "timestamp": "2023-11-14T22:13:20.123+00:00",
        "status": 403,
        "error": "Forbidden",
        "message": "token invalid!",
        "path": "/nacos/v1/ns/thing",
    }
    assert bottle.service.admission.asked == [("r", "n", "s")]


def test_open_routes_ask_nobody_and_callers_carry_their_principal() -> None:
    closed = _bottle(lambda _service, call: answers.text(call.caller.principal))
    assert closed.ask("GET", "/nacos/v1/ns/thing?accessToken=alice").body == b"alice"
    open_ = _bottle(lambda _service, call: answers.text(call.caller.agent), rights="")
    assert open_.ask("GET", "/nacos/v1/ns/thing?accessToken=wrong", user_agent="Nacos-Java-Client:v1.4.8").body == (
        b"Nacos-Java-Client:v1.4.8"
    )
    assert open_.service.admission.asked == []


def test_a_password_that_is_being_checked_delays_the_answer() -> None:
    bottle = _bottle(lambda _service, call: answers.text(call.caller.principal))
    bottle.service.admission.wait = True
    reply = bottle.http.handle(_request("GET", "/nacos/v1/ns/thing?accessToken=bob"))
    assert not isinstance(reply, Response)
    reply.then(bottle.got.append)
    assert not bottle.got
    bottle.service.admission.undecided.pop()()
    assert bottle.got.pop().body == b"bob"
    assert bottle.observed == [("GET /v1/ns/thing", 200)]


@pytest.mark.parametrize(
    ("generation", "body"), [(1, b"full"), (2, b'{"code":30000,"message":"server error","data":"full"}')]
)
def test_a_write_is_answered_when_it_is_durable(generation: int, body: bytes) -> None:
    for error, expected in ((None, 200), (Unavailable("full"), 503), (OSError("full"), 503)):
        commit = Commit()
        bottle = _bottle(lambda _service, _call, commit=commit: answers.ok(commit), generation)  # type: ignore[misc]
        reply = bottle.http.handle(_request("GET", "/nacos/v1/ns/thing"))
        assert not isinstance(reply, Response)
        reply.then(bottle.got.append)
        assert not bottle.got
        assert not bottle.observed
        commit.settle(error)
        response = bottle.got.pop()
        assert response.status == expected
        assert response.body == (b"ok" if error is None else body)
        assert bottle.observed == [("GET /v1/ns/thing", expected)]


def test_later_and_sliced_answers_and_their_failures() -> None:
    def later(found: answers.Answer | Exception) -> Callable[[Any, HttpCall], answers.Reply]:
        return lambda _service, _call: answers.Later(lambda done: done(found))

    assert _bottle(later(answers.ok())).ask("GET", "/nacos/v1/ns/thing").body == b"ok"
    assert _bottle(later(Busy("queue"))).ask("GET", "/nacos/v1/ns/thing").status == 503
    assert _bottle(later(ValueError("bug"))).ask("GET", "/nacos/v1/ns/thing").status == 500

    def sliced(_service: Any, _call: HttpCall) -> answers.Reply:
        def work() -> Any:
            yield
            return answers.json([1])

        return answers.Sliced(work())

    assert _bottle(sliced).ask("GET", "/nacos/v1/ns/thing").body == b"[1]"

    def refusing(error: Exception) -> Callable[[Any, HttpCall], answers.Reply]:
        def work() -> Any:
            yield
            raise error

        return lambda _service, _call: answers.Sliced(work())

    refused = _bottle(refusing(Refused(404, 20004, "no"))).ask("GET", "/nacos/v1/ns/thing")
    assert (refused.status, refused.body) == (404, b"no")
    assert _bottle(refusing(ValueError("bug"))).ask("GET", "/nacos/v1/ns/thing").status == 500


def test_paths_and_methods_that_nobody_answers() -> None:
    ok = Route(lambda _service, _call: answers.ok(), "")
    bottle = _Bottle({("GET", "/v1/ns/thing"): ok, ("GET", "/v2/core/thing"): ok, ("GET", ""): ok})
    gone = bottle.ask("GET", "/nacos/v1/ns/raft/leader")
    assert (gone.status, _says(gone)["message"]) == (501, "no such api:GET:/nacos/v1/ns/raft/leader")
    assert bottle.ask("POST", "/nacos/v1/ns/thing").status == 501
    method = bottle.ask("POST", "/nacos/v2/core/thing")
    assert (method.status, _says(method)["message"]) == (405, "Request method 'POST' not supported")
    assert _header(method, b"allow") == b"GET"
    assert bottle.ask("GET", "/nacos/nothing").status == 404
    assert bottle.ask("GET", "/elsewhere").status == 404
    assert bottle.ask("OPTIONS", "/nacos/v2/core/thing").status == 200
    for target in ("/nacos", "/nacos/", "/nacos/v1/ns/thing/"):
        assert bottle.ask("GET", target).body == b"ok"
    assert bottle.ask("HEAD", "/nacos/v1/ns/thing").status == 200
