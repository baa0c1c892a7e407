"""Lists so long that they are encoded in slices: the same answer, of one moment, however much happens meanwhile."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import pytest
from lone_server import LoneServer, hash_of, instances

from polaris_bridge.adapters._shared import slices
from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters.eureka import reading, view

COUNT = 150
FORMS = [
    {"accept": accept, "x-eureka-accept": detail, "accept-encoding": encoding}
    for accept in ("application/json", "application/xml")
    for detail in ("full", "compact")
    for encoding in ("gzip", "")
]


def filled(count: int = COUNT) -> LoneServer:
    server = LoneServer()
    for n in range(count):
        server.register(f"APP{n % 7}", f"i{n}", ipAddr=f"10.0.{n // 250}.{n % 250}", metadata={"n": str(n)})
    return server


@pytest.fixture
def tiny_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of the work each time."""
    monkeypatch.setattr(reading, "LONG_ITEMS", 10)
    monkeypatch.setattr(slices, "SLICE_S", 0.0)


def begin(server: LoneServer, target: str, headers: dict[str, str] | None = None) -> list[Response]:
    """Ask; the answer appears in the list when it is there."""
    raw = [(k.encode(), v.encode()) for k, v in (headers or {"accept": "application/json"}).items() if v]
    reply = server.server.handle(Request("GET", target, "", raw, b"", "10.9.9.9"))
    found: list[Response] = []
    if isinstance(reply, Response):
        found.append(reply)
    else:
        reply.then(found.append)
    return found


def body(response: Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b"".join(response.body)


@pytest.mark.parametrize("headers", FORMS, ids=lambda h: " ".join(h.values()))
@pytest.mark.parametrize("target", ["/eureka/apps", "/eureka/apps/delta"])
def test_slices_make_the_same_answer(monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], target: str) -> None:
    found = []
    for limit in (10, 1_000_000):
        monkeypatch.setattr(reading, "LONG_ITEMS", limit)
        monkeypatch.setattr(slices, "SLICE_S", 0.0)
        server = filled()
        answers = begin(server, target, headers)
        assert bool(answers) == (limit > COUNT), "long work is deferred"
        server.queue.settle()
        found.append((answers[0].status, answers[0].headers, body(answers[0])))
    sliced, whole = found
    assert sliced[:2] == whole[:2]
    unpack: Callable[[bytes], bytes] = gzip.decompress if headers["accept-encoding"] else bytes
    assert unpack(sliced[2]) == unpack(whole[2])


@pytest.mark.usefixtures("tiny_slices")
@pytest.mark.parametrize("encoding", ["gzip", ""])
@pytest.mark.parametrize("target", ["/eureka/apps", "/eureka/apps/delta"])
def test_writes_between_slices_are_in_it(target: str, encoding: str) -> None:
    server = filled()
    answers = begin(server, target, {"accept": "application/json", "accept-encoding": encoding})
    steps = 0
    while not answers:
        server.queue.step()
        steps += 1
        id = f"i{(steps * 37) % COUNT}"
        app = f"APP{(steps * 37) % COUNT % 7}"
        match steps % 4:
            case 0:
                quietly(server, "PUT", f"/eureka/apps/{app}/{id}/status", "value=DOWN")
            case 1:
                quietly(server, "DELETE", f"/eureka/apps/{app}/{id}")
            case 2:
                quietly(server, "PUT", f"/eureka/apps/{app}/{id}/metadata", f"step={steps}")
        assert steps < 5000
    assert steps > 3
    raw = body(answers[0])
    applications = json.loads(gzip.decompress(raw) if encoding else raw)["applications"]
    listed = dict(instances(applications))
    there = {k: i for k, i in listed.items() if i["actionType"] != "DELETED"}
    assert applications["apps__hashcode"] == hash_of(i["status"] for i in there.values()), "one moment"


def quietly(server: LoneServer, method: str, path: str, query: str = "") -> None:
    """A write whose answer nobody waits for; it is published at once, the list goes on in its own time."""
    reply = server.server.handle(Request(method, path, query, [], b"", "10.9.9.9"))
    if not isinstance(reply, Response):
        reply.then(lambda response: None)
    for _ in range(2):
        server.queue.step()


@pytest.mark.usefixtures("tiny_slices")
def test_many_who_ask_at_once_share_the_work() -> None:
    server = filled()
    first = begin(server, "/eureka/apps")
    server.queue.step()
    others = [begin(server, "/eureka/apps") for _ in range(20)]
    server.queue.settle()
    assert len(first) == 1
    assert all(len(o) == 1 and body(o[0]) == body(first[0]) for o in others)
    assert begin(server, "/eureka/apps"), "kept: now it is answered at once"


@pytest.mark.usefixtures("tiny_slices")
def test_who_joins_late_sees_what_was_written_before() -> None:
    server = filled()
    first = begin(server, "/eureka/apps")
    server.queue.step()
    reply = server.server.handle(Request("DELETE", "/eureka/apps/APP0/i0", "", [], b"", "10.9.9.9"))
    done: list[Response] = []
    assert not isinstance(reply, Response)
    reply.then(done.append)
    for _ in range(10_000):
        if done:
            break
        server.queue.step()
    assert done[0].status == 200
    late = begin(server, "/eureka/apps")
    server.queue.settle()
    assert b'"i0"' not in body(late[0])
    assert len(first) == 1


@pytest.mark.usefixtures("tiny_slices")
def test_work_that_fails_is_500(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("on purpose")

    server = filled()
    monkeypatch.setattr(view.NamespaceView, "info", broken)
    answers = begin(server, "/eureka/apps")
    server.queue.settle()
    assert [a.status for a in answers] == [500]
    assert body(answers[0]) == b""
    assert "on purpose" in caplog.text
    monkeypatch.undo()
    assert server.get("/eureka/apps").status == 200
