"""The listener over real connections: both paths answer alike, and no input hurts it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import re
import resource
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lone_server import document
from wire_http import Answer, close_all, connect, exchange, request

from polaris_bridge.adapters._shared.listener import HttpListener
from polaris_bridge.testing import Running, server

JSON = {"Content-Type": "application/json"}
XML = {"Content-Type": "application/xml"}


@contextlib.asynccontextmanager
async def serving(*sets: str) -> AsyncIterator[Running]:
    """A server that need not wait for its clients at the end."""
    async with server(sets=sets) as found:
        try:
            yield found
        finally:
            await close_all()


@pytest.fixture
async def running(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Running]:
    """A server; whatever it logs as an error, or with a traceback, is a failure."""
    caplog.set_level(logging.WARNING)
    async with serving() as found:
        yield found
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR or r.exc_info] == []


def port(running: Running) -> int:
    return int(running.eureka.split(":")[2].split("/")[0])


def listener(running: Running) -> HttpListener:
    return running.server.listeners[0]


def known(running: Running) -> list[tuple[str, str]]:
    return sorted(
        (r.service, r.key)
        for s in running.server.registry.services()
        if s.key.namespace != "Polaris"  # where the server itself is
        for a in s.addresses.values()
        for r in a.registrations
    )


# ---------------------------------------------------------------- hot and cold


SEGMENT = st.sampled_from([
    "", "apps", "APP", "app", "i1", "i%31", "delta", "status", "metadata", "vips", "svips", "instances", "v", "asg", "ns",
    "peerreplication", "batch", "eureka", "v2", "blue", "lastn", "%2F", "%zz", "%00", "a%20b", "i:1", "i%3A1", "%C3%A4",
])  # fmt: skip
TARGETS = st.one_of(
    st.lists(SEGMENT, max_size=6).map(lambda parts: "/" + "/".join(parts)),
    st.lists(SEGMENT, max_size=4).map(lambda parts: "/eureka/" + "/".join(parts)),
    st.lists(SEGMENT, max_size=4).map(lambda parts: "/eureka/apps/" + "/".join(parts)),
)
QUERIES = st.sampled_from([
    "", "?", "?value=DOWN", "?value=", "?value=UP&lastDirtyTimestamp=7", "?lastDirtyTimestamp=x", "?a=b&a=c&%3D=%26",
    "?%zz=1", "?regions=x", "?status=UP&lastDirtyTimestamp=1", "?lastDirtyTimestamp=1&overriddenstatus=DOWN",
])  # fmt: skip
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Accept": st.sampled_from(
            ["application/json", "application/xml", "*/*", "text/html", "a/b;q=x, */*;q=0.1", "\xe4"]
        ),
        "Accept-Encoding": st.sampled_from(["gzip", "gzip;q=0", "identity"]),
        "X-Eureka-Accept": st.sampled_from(["compact", "full"]),
        "x-namespace": st.sampled_from(["blue", "b l", ""]),
        "Content-Type": st.sampled_from(
            ["application/json", "application/xml", "text/plain", "application/json;charset=UTF-8"]
        ),
        "Content-Encoding": st.sampled_from(["gzip", "br"]),
        "x-netflix-discovery-replication": st.sampled_from(["true", "false"]),
        "Authorization": st.sampled_from(["Basic YTpi", "Basic x", "Bearer y"]),
    },
)
GOOD = json.dumps({"instance": document("APP", vipAddress="v")}).encode()
BODIES = st.sampled_from(
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        GOOD,
        GOOD[:40],
        b"<instance/>",
        b"\xff\xfe",
        b'{"replicationList":[]}',
        gzip.compress(b"{}"),
    ]
)
METHODS = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE"])


async def test_hot_and_cold_answer_alike() -> None:
    """Two servers, one with the hot path off, live through the same requests."""
    async with serving() as hot, serving() as cold:
        listener(cold)._state.hot = lambda _method, _target: None
        both = [await connect(port(hot)), await connect(port(cold))]

        @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(METHODS, TARGETS, QUERIES, HEADERS, BODIES)
        def alike(method: str, target: str, query: str, headers: dict[str, str], body: bytes) -> None:
            raw = request(method, target + query, headers, body if method in ("PUT", "POST", "PATCH") else b"")
            future = asyncio.run_coroutine_threadsafe(_both(both, method, raw), loop)
            first, second = future.result(20)
            assert (first.status, first.stable_headers) == (second.status, second.stable_headers)
            if target != "/" and "status" not in target:  # the pages say how long the server runs
                assert _timeless(first.body) == _timeless(second.body)

        loop = asyncio.get_running_loop()
        await asyncio.to_thread(alike)
        assert listener(hot).counters().errors == listener(cold).counters().errors == 0


async def _both(streams: list[Any], method: str, raw: bytes) -> list[Answer]:
    return [await exchange(stream, method, raw) for stream in streams]


def _timeless(body: bytes) -> str:
    body = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    return re.sub(r"\d{13}|<td>[^<]*</td>", "", body.decode("utf-8", "replace"))


# ---------------------------------------------------------------- bad input


def instance(**members: Any) -> bytes:
    return json.dumps({"instance": document("APP") | members}).encode()


def xml(inner: str, prolog: str = "") -> bytes:
    center = f'<dataCenterInfo class="{document()["dataCenterInfo"]["@class"]}"><name>MyOwn</name></dataCenterInfo>'
    return (
        f"{prolog}<instance><instanceId>i1</instanceId><hostName>h</hostName><app>APP</app><ipAddr>10.0.0.1</ipAddr>"
        f"{center}{inner}</instance>"
    ).encode()


LAUGHS = (
    "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>"
    + "".join(f"<!ENTITY {c} '{f'&{p};' * 10}'>" for p, c in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)
OUTSIDE = '<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>'

REGISTRATIONS = [
    # what, headers, body -> status, whether it is registered then
    ("nothing", JSON, b"", 400, False),
    ("half a document", JSON, GOOD[:60], 400, False),
    ("no root", JSON, json.dumps(document("APP")).encode(), 400, False),
    ("an array", JSON, b"[" + GOOD + b"]", 400, False),
    ("a word", JSON, b'"instance"', 400, False),
    ("no UTF-8", JSON, GOOD.replace(b"host-1", b"\xff\xfe"), 400, False),
    ("half a surrogate", JSON, GOOD.replace(b"host-1", b"\\ud800"), None, None),
    ("a byte order mark", JSON, b"\xef\xbb\xbf" + GOOD, 204, True),
    ("a bare port", JSON, instance(port=8080), 400, False),
    ("a port of text", JSON, instance(port={"$": "eighty"}), 204, True),
    ("a port as text", JSON, instance(port={"$": "80"}), 204, True),
    ("an enormous port", JSON, instance(port={"$": 10**30}), 400, False),
    ("a negative port", JSON, instance(port={"$": -1, "@enabled": True}), None, None),
    ("a port above 65535", JSON, instance(port={"$": 2**31 - 1, "@enabled": True}), None, None),
    ("an enormous lease", JSON, instance(leaseInfo={"durationInSecs": 10**12}), 400, False),
    ("the longest lease", JSON, instance(leaseInfo={"durationInSecs": 2**31 - 1, "renewalIntervalInSecs": 2**31 - 1}), 204, True),
    ("a lease of text", JSON, instance(leaseInfo={"durationInSecs": "x"}), 204, True),
    ("an unknown status", JSON, instance(status="SLEEPING"), 204, True),
    ("a status of another type", JSON, instance(status={"a": 1}), 400, False),
    ("an enormous timestamp", JSON, instance(lastDirtyTimestamp=10**40), 400, False),
    ("the largest timestamp", JSON, instance(lastDirtyTimestamp=2**63 - 1), 204, True),
    ("a negative timestamp", JSON, instance(lastDirtyTimestamp=-(2**63)), 204, True),
    ("metadata of numbers", JSON, instance(metadata={"a": 1, "b": True, "c": None, "d": 1.5}), 204, True),
    ("metadata as a list", JSON, instance(metadata=["a"]), 400, False),
    ("an unknown data centre", JSON, instance(dataCenterInfo={"@class": "x.Y", "name": "MyOwn"}), 400, False),
    ("an unknown member", JSON, instance(whatever={"a": [1]}), 204, True),
    ("deep nesting", JSON, b'{"instance":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, False),
    ("deep nesting in what is ignored", JSON, GOOD[:-2] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", 400, False),
    ("controls in names", JSON, instance(metadata={"\x00\x01": "\x02\x1b", "\ud7ff": "\ufffe"}), 204, True),
    ("another type", {"Content-Type": "text/plain"}, GOOD, 415, False),
    ("no type", {}, GOOD, 415, False),
    ("XML labelled JSON", JSON, xml(""), 400, False),
    ("JSON labelled XML", XML, GOOD, 400, False),
    ("good XML", XML, xml("<metadata><a__b>1</a__b></metadata>"), 204, True),
    ("half of XML", XML, xml("")[:-4], 400, False),
    ("a billion laughs", XML, xml("<metadata><a>&i;</a></metadata>", LAUGHS), 400, False),
    ("an outside entity", XML, xml("<metadata><a>&x;</a></metadata>", OUTSIDE), 400, False),
    ("an outside document type", XML, xml("", '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">'), 400, False),
    ("an unknown entity", XML, xml("<metadata><a>&nope;</a></metadata>"), 400, False),
    ("deep XML", XML, xml("<a>" * 50_000 + "</a>" * 50_000), 400, False),
    ("another root", XML, b"<application><name>APP</name></application>", 400, False),
    ("a port of XML text", XML, xml('<port enabled="true">x</port>'), 400, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "headers", "body", "status", "registered"), REGISTRATIONS, ids=[r[0] for r in REGISTRATIONS]
)
async def test_registrations_that_are_not(
    running: Running, what: str, headers: dict[str, str], body: bytes, status: int | None, registered: bool | None
) -> None:
    stream = await connect(port(running))
    answer = await exchange(stream, "POST", request("POST", "/eureka/apps/APP", headers, body))
    if status is None:
        assert answer.status in (204, 400)
        registered = answer.status == 204
    else:
        assert answer.status == status, what
    assert b"Traceback" not in answer.body
    assert known(running) == ([("app", "APP/i1")] if registered else [])
    for form in ("application/json", "application/xml"):
        full = await exchange(stream, "GET", request("GET", "/eureka/apps", {"Accept": form}))
        assert full.status == 200
        assert (b"i1" in full.body) == registered
        if form == "application/json":
            json.loads(full.body)
        else:
            ElementTree.fromstring(full.body)
    renewed = await exchange(stream, "PUT", request("PUT", "/eureka/apps/APP/i1"))
    assert renewed.status == (200 if registered and what != "an unknown status" else 404)


BATCHES = [
    ("nothing", {}, b"", (400,)),
    ("no list", {}, b"{}", (400,)),
    ("an unknown action", {}, b'{"replicationList":[{"appName":"A","id":"i","action":"Explode"}]}', (400,)),
    ("not gzip", {"Content-Encoding": "gzip"}, b'{"replicationList":[]}', (400,)),
    ("half of gzip", {"Content-Encoding": "gzip"}, gzip.compress(b'{"replicationList":[]}')[:-6], (400,)),
    ("a bomb", {"Content-Encoding": "gzip"}, gzip.compress(b" " * 300_000_000, 6), (400, 413)),
    ("another type", {"Content-Type": "text/plain"}, b"{}", (415,)),
]  # fmt: skip


@pytest.mark.parametrize(("what", "headers", "body", "statuses"), BATCHES, ids=[b[0] for b in BATCHES])
async def test_batches_that_are_not(
    running: Running, what: str, headers: dict[str, str], body: bytes, statuses: tuple[int, ...]
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stream = await connect(port(running))
    raw = request("POST", "/eureka/peerreplication/batch/", JSON | headers, body)
    answer = await exchange(stream, "POST", raw)
    assert answer.status in statuses, what
    assert known(running) == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes"


async def test_an_oversize_body_is_413_before_it_is_read() -> None:
    async with serving("apiservers.service-eureka.option.maxBodySize=100000") as running:
        for declared in (True, False):
            stream = await connect(port(running))
            body = instance(metadata={"a": "x" * 200_000})
            answer = await exchange(
                stream, "POST", request("POST", "/eureka/apps/APP", JSON, body, chunked=not declared)
            )
            assert answer.status == 413
        stream = await connect(port(running))
        body = instance(metadata={"a": "x" * 50_000})
        assert (await exchange(stream, "POST", request("POST", "/eureka/apps/APP", JSON, body))).status == 204
        assert known(running) == [("app", "APP/i1")]


TARGETS_BAD = ["/eureka/apps/%", "/eureka/apps/%zz/i", "/eureka/apps/a%2Fb", "/eureka/apps/%00", "/eureka/apps/a%5Cb"]


@pytest.mark.parametrize("target", TARGETS_BAD)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_bad_percent_encoding_is_400(running: Running, method: str, target: str) -> None:
    stream = await connect(port(running))
    answer = await exchange(stream, method, request(method, target, JSON, b"" if method == "GET" else GOOD))
    assert (answer.status, answer.body) == (400, b"")
    assert known(running) == []


async def test_too_many_headers_are_431(running: Running) -> None:
    for headers in ({f"X-{n}": "v" for n in range(500)}, {"X-Long": "v" * 100_000}):
        stream = await connect(port(running))
        answer = await exchange(stream, "GET", request("GET", "/eureka/apps", headers))
        assert answer.status == 431


async def test_slow_lorises_are_let_go() -> None:
    async with serving("apiservers.service-eureka.option.headerTimeout=1s") as running:
        streams = [await connect(port(running)) for _ in range(50)]
        for _, writer in streams:
            writer.write(b"GET /eureka/apps HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        quick = await connect(port(running))
        assert (await exchange(quick, "GET", request("GET", "/eureka/apps"))).status == 200
        async with asyncio.timeout(8):
            for reader, writer in streams:
                assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
                writer.close()


async def test_a_thousand_connections_of_one_host() -> None:
    limit = "apiservers.service-eureka.option.connLimit={openConnLimit: true, maxConnPerHost: 50, maxConnLimit: 10000}"
    async with serving(limit) as running:
        streams = [await connect(port(running)) for _ in range(1000)]
        await _until(lambda: sum(listener(running).counters().connections_refused.values()) == 950)
        assert listener(running).counters().connections_open == 50
        served = [s for s in streams if not s[0].at_eof()]
        answer = await exchange(served[0], "GET", request("GET", "/eureka/apps"))
        assert answer.status == 200
        for _, writer in streams:
            writer.close()
        await _until(lambda: listener(running).counters().connections_open == 0)
        again = await connect(port(running))
        assert (await exchange(again, "GET", request("GET", "/eureka/apps"))).status == 200


async def test_a_slow_reader_of_much_does_not_stall_others(running: Running) -> None:
    stream = await connect(port(running))
    for n in range(300):
        body = instance(instanceId=f"i{n}", metadata={"pad": "x" * 3000})
        assert (await exchange(stream, "POST", request("POST", "/eureka/apps/APP", JSON, body))).status == 204
    slow = [await connect(port(running)) for _ in range(10)]
    for _, writer in slow:
        writer.write(request("GET", "/eureka/apps", {"Accept": "application/xml"}) * 5)
    loop = asyncio.get_running_loop()
    worst = 0.0
    for n in range(100):
        began = loop.time()
        assert (await exchange(stream, "PUT", request("PUT", f"/eureka/apps/APP/i{n}"))).status == 200
        worst = max(worst, loop.time() - began)
    assert worst < 1.0
    for _, writer in (*slow, stream):
        writer.transport.abort()
    await _until(lambda: listener(running).counters().connections_open == 0)


async def test_clients_that_vanish_leave_nothing_behind(running: Running) -> None:
    for cut in (b"", b"POST /eureka/apps/APP HTTP/1.1\r\n", request("POST", "/eureka/apps/APP", JSON, GOOD)[:-30]):
        for _ in range(20):
            stream = await connect(port(running))
            stream[1].write(cut)
            await stream[1].drain()
            stream[1].transport.abort()
    await _until(lambda: listener(running).counters().connections_open == 0)
    assert known(running) == []


async def _until(condition: Any, seconds: float = 8) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, "it did not come about"
        await asyncio.sleep(0.01)
