"""The main HTTP port's routes: what they say while a start is under way, and after it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from polaris_bridge.adapters._shared.exchange import Request as WireRequest
from polaris_bridge.adapters._shared.exchange import Response as WireResponse
from polaris_bridge.adapters._shared.settings import HttpSettings
from polaris_bridge.runtime.front import Front, Readiness, application
from polaris_bridge.runtime.metrics.exposition import Metrics


async def get(app: ASGIApp, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """One request through ASGI."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "query_string": b"", "headers": [], "root_path": "", "scheme": "http",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8090),
    }  # fmt: skip
    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:])


def front(readiness: Readiness) -> ASGIApp:
    return application(readiness, Metrics("1.2.3", "here"))


async def test_while_it_starts() -> None:
    readiness = Readiness("store", "listeners")
    app = front(readiness)
    assert (await get(app, "/livez"))[0] == 200
    status, _, body = await get(app, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "missing": ["store", "listeners"]})
    assert (await get(app, "/metrics"))[0] == 200
    for path in ("/", "/naming/v1/instances", "/nothing"):
        assert (await get(app, path))[0] == 503, "a client tries its next server"
    readiness.done("store")
    assert json.loads((await get(app, "/readyz"))[2])["missing"] == ["listeners"]


async def test_when_it_is_ready_and_when_it_stops() -> None:
    readiness = Readiness("store")
    readiness.done("store")
    app = front(readiness)
    status, _, body = await get(app, "/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "missing": []})
    assert (await get(app, "/"))[2] == b"Polaris Server"
    assert (await get(app, "/nothing"))[0] == 404
    assert (await get(app, "/livez", "HEAD"))[0] == 200
    assert (await get(app, "/livez", "POST"))[0] == 405
    readiness.lost("listeners")
    readiness.lost("listeners")
    assert json.loads((await get(app, "/readyz"))[2])["missing"] == ["listeners"]


def theirs(request: WireRequest) -> WireResponse:
    return WireResponse(200, b"theirs") if request.path == "/theirs" else WireResponse(404, b"not theirs")


def others(request: WireRequest) -> WireResponse:
    return WireResponse(200, b"others") if request.path == "/others" else WireResponse(404, b"nobody's")


@pytest.fixture
async def readiness() -> Readiness:
    return Readiness("store")


@pytest.fixture
async def door(readiness: Readiness) -> AsyncIterator[Front]:
    door = Front(HttpSettings(name="api-http", port=0, host="127.0.0.1"), readiness, Metrics("1.2.3", "here"))
    await door.listener.start()
    yield door
    await door.listener.stop(1)


async def test_owners_answer_once_it_is_ready(door: Front, readiness: Readiness) -> None:
    door.serve(theirs)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.listener.port}") as client:
        assert (await client.get("/theirs")).status_code == 503
        readiness.done("store")
        assert (await client.get("/theirs?a=b")).text == "theirs"
        assert (await client.get("/nothing")).text == "not theirs"
        assert (await client.get("/")).text == "Polaris Server"
        assert (await client.get("/readyz")).json()["ready"]
        door.serve(others)
        assert [(await client.get(path)).text for path in ("/theirs", "/others", "/x")] == [
            "theirs",
            "others",
            "nobody's",
        ]
        readiness.lost("listeners")
        assert (await client.get("/theirs")).status_code == 503


async def test_an_owner_of_paths_answers_those_and_no_others(door: Front, readiness: Readiness) -> None:
    readiness.done("store")
    door.serve(theirs)
    door.serve(lambda _request: WireResponse(404, b"not here"), ["/mine/"])
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.listener.port}") as client:
        assert [(await client.get(path)).text for path in ("/theirs", "/mine/x?y", "/mine", "/x")] == [
            "theirs",
            "not here",
            "not theirs",
            "not theirs",
        ]


async def test_metrics_are_prometheus_text() -> None:
    status, headers, body = await get(front(Readiness()), "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    assert b'polaris_bridge_build_info{version="1.2.3"} 1.0' in body
    await asyncio.sleep(0)
