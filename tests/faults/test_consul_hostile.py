"""What nobody should send to the Consul HTTP port: the agent's error or a clean refusal, bounded memory, others not held up."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from child import Child
from consul_light import Http, leave

MIB = 1024 * 1024
MOST_GROWTH = 120_000_000
"""Bytes that all of this may leave behind in the allocators."""
REGISTER, CATALOG, CHECK = "/v1/agent/service/register", "/v1/catalog/register", "/v1/agent/check/register"
SESSION, TXN, QUERY, KV = "/v1/session/create", "/v1/txn", "/v1/query", "/v1/kv/hostile"
HEALTH = "/v1/health/service/hostile"
DEEP = b'{"Name":' * 100_000
LISTS = b"[" * 100_000 + b"]" * 100_000


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """One for all of this. It never shows a traceback, neither here nor in its log."""
    started = Child(tmp_path_factory.mktemp("server"))
    yield started
    started.end(signal.SIGKILL)
    assert "Traceback" not in started.output
    assert not [file for file in started.folder.rglob("*.log") if "Traceback" in file.read_text()]


@pytest.fixture(autouse=True)
async def cut() -> AsyncIterator[None]:
    """No connection outlives its test."""
    yield
    await leave()


def resident(child: Child) -> int:
    """Bytes."""
    fields = Path(f"/proc/{child.process.pid}/statm").read_text("ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


async def say(port: int, data: bytes) -> tuple[int, bytes]:
    """Any bytes on a connection of their own; status and body of the first answer. Status 0: there is none."""
    http = await Http.connected(port)
    try:
        http.writer.write(data)
        answer = await http.answer()
        return answer.status, answer.body
    except (EOFError, ConnectionError):
        return 0, b""
    finally:
        http.close()


def call(method: str, target: str, body: bytes = b"", more: str = "") -> bytes:
    """One request."""
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


def put(target: str, body: object) -> bytes:
    """One PUT; what is no bytes as JSON."""
    return call("PUT", target, body if isinstance(body, bytes) else json.dumps(body).encode())


def check(**members: object) -> bytes:
    return put(REGISTER, {"Name": "hostile-check", "Check": members})


def asked(expression: str) -> bytes:
    return call("GET", f"{HEALTH}?filter={quote(expression, safe='')}")


MANY = "&".join(f"p{n}={n}" for n in range(1000))
SERVICE = {"Service": {"Service": "a"}}
TEMPLATE = {"Type": "name_prefix_match", "Regexp": "(("}
NAME = b"\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x03com\x00\x00\x01\x00\x01"
CASES: dict[str, tuple[bytes, object, bytes]] = {
    # what is sent, status (or several), and something that the answer says
    "no JSON": (put(REGISTER, b"garbage"), 400, b"Request decode failed"),
    "half of JSON": (put(REGISTER, b'{"Name":"a"'), 400, b"Request decode failed"),
    "nothing": (put(REGISTER, b""), 400, b""),
    "null": (put(REGISTER, b"null"), 400, b""),
    "a list": (put(REGISTER, b"[]"), 400, b"Request decode failed"),
    "JSON and more": (put(REGISTER, b'{"Name":""}}}}'), 400, b""),
    "JSON that is deep": (put(REGISTER, DEEP), 400, b""),
    "lists in lists": (put(REGISTER, b'{"Name":"a","Tags":' + LISTS + b"}"), 400, b""),
    "deep meta of the catalog": (put(CATALOG, b'{"Node":"a","NodeMeta":' + DEEP), 400, b""),
    "deep transaction": (put(TXN, LISTS), 400, b""),
    "deep query": (put(QUERY, DEEP), (400, 405), b""),
    "deep session": (put(SESSION, DEEP), 400, b""),
    "deep check": (put(CHECK, DEEP), 400, b""),
    "deep proxy": (put(REGISTER, b'{"Name":"a","Port":"x","Proxy":{"Config":' + DEEP), 400, b""),
    "wrong types": (put(REGISTER, {"Name": ["a"], "Port": "b", "Tags": 1}), 400, b"Request decode failed"),
    "a port of words": (put(REGISTER, {"Name": "a", "Port": "b"}), 400, b"Request decode failed"),
    "a port without end": (put(REGISTER, b'{"Name":"a","Port":1e999}'), 400, b""),
    "a port of a thousand digits": (put(REGISTER, b'{"Name":"a","Port":' + b"9" * 1000 + b"}"), 400, b""),
    "a port that is half": (put(REGISTER, {"Name": "a", "Port": 1.5}), 400, b""),
    "not UTF-8": (put(REGISTER, b'{"Name":"\xff\xfe"}'), (200, 400), b""),
    "half of a surrogate": (put(REGISTER, b'{"Name":"hostile-half","Meta":{"a":"\\ud800"}}'), (200, 400), b""),
    "a name of 1 MiB": (put(REGISTER, {"Name": "x" * MIB}), (200, 400), b""),
    "an address that is none": (put(REGISTER, {"Name": "a", "Address": "0.0.0.0"}), 400, b"Invalid service address"),
    "meta without end": (put(REGISTER, {"Name": "a", "Meta": {f"k{n}": "" for n in range(65)}}), 400, b"Invalid Service Meta"),
    "a meta value of 1 MiB": (put(REGISTER, {"Name": "a", "Meta": {"k": "x" * MIB}}), 400, b"Invalid Service Meta"),
    "weights below nothing": (put(REGISTER, {"Name": "a", "Weights": {"Passing": -1}}), 400, b"Invalid Weights"),
    "a script": (check(Args=["sh", "-c", "true"], Interval="1s"), 500, b"Scripts are disabled"),
    "a duration of words": (check(TTL="soon"), 400, b""),
    "a duration without unit": (check(TTL="10"), 400, b""),
    "a duration without end": (check(TTL="9" * 400 + "h"), 400, b""),
    "a duration below nothing": (check(TTL="-5s"), 400, b""),
    "a duration that is an object": (check(TTL={}), (200, 400), b""),
    "no kind of check": (check(Name="x"), 400, b"Invalid check"),
    "an http check of nothing": (check(HTTP="::::", Interval="600s"), (200, 400), b""),
    "a status of words": (check(TTL="10s", Status="fine"), 400, b"Status for checks must"),
    "a value of 600 KiB": (put(KV, b"x" * 600 * 1024), 413, b"too large"),
    "a value of 9 MiB": (put(KV, b"x" * 9 * MIB), 413, b"too large"),
    "a key of 1 KiB in parts": (put("/v1/kv/" + "a/" * 512, b"x"), 200, b"true"),
    "flags of words": (put(KV + "?flags=x", b""), (400, 500), b""),
    "flags without end": (put(KV + "?flags=" + "9" * 400, b""), (400, 500), b""),
    "cas of words": (put(KV + "?cas=x", b""), (400, 500), b""),
    "cas and acquire": (put(KV + "?cas=1&acquire=x", b""), 400, b"Conflicting"),
    "a session of nobody": (put(KV + "?acquire=nobody", b""), 500, b"invalid session"),
    "a TTL too short": (put(SESSION, {"TTL": "1s"}), (400, 500), b"Invalid Session TTL"),
    "a behaviour of words": (put(SESSION, {"Behavior": "explode"}), (400, 500), b"Invalid Behavior"),
    "129 operations": (put(TXN, [{"KV": {"Verb": "get", "Key": "a"}}] * 129), 413, b"129 > 128"),
    "operations of 2 MiB": (put(TXN, [{"KV": {"Verb": "set", "Key": "a", "Value": "QUFB" * MIB}}]), 413, b""),
    "a value that is no base64": (put(TXN, [{"KV": {"Verb": "set", "Key": "a", "Value": "%%%"}}]), 400, b""),
    "a verb of words": (put(TXN, [{"KV": {"Verb": "explode", "Key": "a"}}]), (400, 409, 500), b""),
    "operations of nothing": (put(TXN, [{}, None, {"KV": None}]), (200, 400, 409), b""),
    "an expression that is none": (asked("Service.Port =="), (400, 500), b"Failed to create boolean expression evaluator"),
    "a selector of nobody": (asked("Nothing.There == 1"), (400, 500), b"not valid"),
    "parentheses": (asked("(" * 10_000), (400, 500), b"Failed to create"),
    "balanced parentheses": (asked("(" * 5000 + "Service.Port==1" + ")" * 5000), (400, 500), b"Failed to create"),
    "not not not": (asked("not " * 5000 + "Service.Port==1"), (200, 400, 500), b""),
    "and and and": (asked(" and ".join(["Service.Port==1"] * 500)), (200, 400, 500), b""),
    "an expression of 60 KB": (asked("Service.ID == `" + "x" * 60_000 + "`"), (200, 400, 431, 500), b""),
    "a pattern that takes for ever": (asked('Service.ID matches "(a+)+(a+)+(a+)+$"'), (200, 400, 500), b""),
    "a pattern that is none": (asked('Service.ID matches "(("'), (400, 500), b""),
    "an index of words": (call("GET", HEALTH + "?index=x"), 400, b"Invalid index"),
    "an index without end": (call("GET", HEALTH + "?index=" + "9" * 400), 400, b"Invalid index"),
    "a wait of words": (call("GET", HEALTH + "?index=1&wait=soon"), 400, b"Invalid wait time"),
    "a wait without end": (call("GET", HEALTH + "?index=1&wait=" + "9" * 400 + "h"), 400, b"Invalid wait time"),
    "stale and consistent": (call("GET", HEALTH + "?stale&consistent"), 400, b"conflicting"),
    "a datacenter of nobody": (call("GET", HEALTH + "?dc=nowhere"), 500, b"No path to datacenter"),
    "passing of words": (call("GET", HEALTH + "?passing=perhaps"), 400, b"passing"),
    "a lone percent": (call("GET", "/v1/kv/%"), 400, b""),
    "percent and not UTF-8": (call("GET", "/v1/kv/%ff%fe%c0%80"), (400, 404), b""),
    "a percent zero": (call("GET", "/v1/kv/a%00b"), 400, b""),
    "dots in the path": (call("GET", "/v1/kv/../../v1/agent/self"), (301, 404), b""),
    "a semicolon": (call("GET", "/v1/kv/a;b?x;y"), (400, 404, 500), b""),
    "1,000 parameters": (call("GET", f"{HEALTH}?{MANY}"), 200, b"[]"),
    "1,000 tags": (call("GET", f"{HEALTH}?" + "&".join(["tag=a"] * 1000)), 200, b"[]"),
    "1,000 node metas": (call("GET", f"{HEALTH}?" + "&".join(f"node-meta=a{n}:b" for n in range(1000))), 200, b"[]"),
    "a maintenance of words": (put("/v1/agent/service/maintenance/x?enable=perhaps", b""), 400, b"Invalid value for enable"),
    "an event that is large": (put("/v1/event/fire/x", b"x" * MIB), (200, 413, 500), b""),
    "an event's pattern": (put("/v1/event/fire/x?service=((", b""), (400, 500), b""),
    "a template that takes for ever": (
        call("POST", QUERY, json.dumps(SERVICE | {"Name": "", "Template": TEMPLATE}).encode()),
        (400, 500),
        b"",
    ),
    "a target of a megabyte": (call("GET", f"/v1/kv/{'x' * MIB}"), (0, 400, 414, 431), b""),
    "a header of a megabyte": (call("GET", HEALTH, more=f"X: {'x' * MIB}\r\n"), (0, 400, 431), b""),
    "10,000 headers": (call("GET", HEALTH, more="X: y\r\n" * 10_000), (0, 200, 400, 431), b""),
    "a token of 1 KiB": (call("GET", HEALTH, more=f"X-Consul-Token: {'x' * 1024}\r\n"), 200, b"[]"),
    "a body of 12 MiB": (put(REGISTER, b"x" * 12 * MIB), (0, 413), b""),
    "a body that is announced": (call("PUT", REGISTER)[:-5] + b"99999999999\r\n\r\n", (0, 413), b""),
    "a length of words": (b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n", 400, b""),
    "a chunk of garbage": (b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", (0, 400), b""),
    "no HTTP": (b"\x00\x01\x02garbage\r\n\r\n", (0, 400), b""),
    "DNS over HTTP": (NAME, (0, 400), b""),
    "HEAD": (call("HEAD", "/v1/agent/self"), (200, 405), b""),
    "TRACE": (call("TRACE", HEALTH), (400, 405, 501), b""),
    "a method of tomorrow": (call("PROPFIND", HEALTH), (400, 405, 501), b""),
}  # fmt: skip


@pytest.mark.timeout(180)
async def test_requests(child: Child) -> None:
    """Each gets its answer, and another client is served within half a second all the while."""
    port = child.consul
    good = await Http.connected(port)
    await good.done("/v1/kv/good", b"yes")
    waits: list[float] = []

    async def watch() -> None:
        while True:
            began = time.monotonic()
            assert (await good.get("/v1/kv/good?raw")).body == b"yes"
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.01)

    watching = asyncio.ensure_future(watch())
    await say(port, put(REGISTER, {"Name": "hostile", "Meta": {"a": "b"}}))  # so that filters have something to look at
    await say(port, put("/v1/agent/service/deregister/hostile", b""))
    before = resident(child)
    wrong = []
    for what, (data, status, said) in CASES.items():
        got = 0, b""
        if data.startswith(b"HEAD "):  # has no body, whatever its length says
            http = await Http.connected(port)
            http.writer.write(data)
            head = await http.reader.readuntil(b"\r\n\r\n")
            got = int(head.split()[1]), b""
            http.close()
        elif what == "DNS over HTTP":
            http = await Http.connected(port)
            http.writer.write(data)
            http.writer.write_eof()
            got = (400 if await http.reader.read(100) else 0), b""
            http.close()
        else:
            got = await say(port, data)
        if got[0] not in (status if isinstance(status, tuple) else (status,)) or said not in got[1]:
            wrong.append((what, got[0], got[1][:200]))
    assert not watching.done(), watching.exception()
    watching.cancel()
    assert wrong == []
    assert resident(child) - before < MOST_GROWTH
    print(f"{len(CASES)} requests; others waited {max(waits) * 1e3:.0f} ms at most")
    assert max(waits) < 1.0
    services = (await good.get("/v1/catalog/services")).json
    assert not [name for name in services if name == "a"], "what was refused is not there"


async def test_pieces_of_requests_and_silence_hold_up_nobody(child: Child) -> None:
    whole = put(REGISTER, {"Name": "pieces"})
    silent = [await Http.connected(child.consul) for _ in range(200)]
    for n, http in enumerate(silent):
        http.writer.write(whole[: n % len(whole)])
    good = await Http.connected(child.consul)
    began = time.monotonic()
    for _ in range(50):
        assert (await good.get("/v1/kv/nothing")).status == 404
    assert time.monotonic() - began < 5
    slow = await Http.connected(child.consul)
    for byte in whole:
        slow.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await slow.answer()).status == 200
