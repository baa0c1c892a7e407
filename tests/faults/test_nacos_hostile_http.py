"""What nobody should send to the Nacos HTTP port: the answer of its generation or a clean refusal, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

import pytest
from child import Child
from nacos_light import Http, leave

MIB = 1024 * 1024
V1, V2, V3 = "/nacos/v1/ns/instance", "/nacos/v2/ns/instance", "/nacos/v3/client/ns/instance"
PLACE = "serviceName=hostile&ip=10.0.0.1&port=1"
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


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


async def say(port: int, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Any bytes on a connection of their own; status, headers and body of the first answer. Status 0: there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=16 * MIB)
    try:
        writer.write(data)
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
            size = 0 if data.startswith(b"HEAD ") else int(headers.get("content-length", 0))
            return int(lines[0].split()[1]), headers, await reader.readexactly(size)
    except (EOFError, ConnectionError):
        return 0, {}, b""
    finally:
        writer.transport.abort()


def call(method: str, target: str, form: str = "", more: str = "") -> bytes:
    """One request."""
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\n{more}{FORM if form else ''}Content-Length: {len(form)}\r\n\r\n"
    return (head + form).encode("latin-1")


def form(method: str, target: str, **params: str) -> bytes:
    """One request with parameters in its body."""
    return call(method, target, "&".join(f"{name}={quote(value, safe='')}" for name, value in params.items()))


NO_PAIRS = {"serviceName": "a", "metadata": "{}"}
LONG = {"serviceName": "hostile", "ip": "10.0.0.1", "port": "1"}
MANY = "&".join(f"p{n}={n}" for n in range(1000))
HEAD = b"POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: x\r\n"
CLUSTER = form(
    "PUT", "/nacos/v1/ns/cluster", serviceName="a", clusterName="c", checkPort="1", useInstancePort4Check="true",
    healthChecker='{"type":' * 100_000,
)  # fmt: skip
CASES: dict[str, tuple[bytes, object, bytes]] = {
    # what is sent, status (or several), and something that the answer says
    "metadata of 9 MiB": (form("POST", V1, **LONG, metadata=json.dumps({"k": "x" * 9 * MIB})), 400, b"Metadata"),
    "metadata of 9 MiB, v2": (form("POST", V2, **LONG, metadata=json.dumps({"k": "x" * 9 * MIB})), 400, b"Metadata"),
    "metadata of 9 MiB, v3": (form("POST", V3, **LONG, metadata=json.dumps({"k": "x" * 9 * MIB})), 400, b"Metadata"),
    "metadata that is deep": (form("POST", V1, **LONG, metadata='{"a":' * 100_000), 400, b""),
    "metadata of lists": (form("POST", V2, **LONG, metadata="[" * 100_000 + "]" * 100_000), 400, b""),
    "metadata of numbers": (form("POST", V1, **LONG, metadata='{"a":1,"b":[2]}'), (200, 400), b""),
    "a beat that is deep": (form("PUT", V1 + "/beat", serviceName="hostile", beat="{" * 100_000), 500, b'"status":500'),
    "a beat of 9 MiB": (form("PUT", V1 + "/beat", serviceName="hostile", beat="x" * 9 * MIB), 500, b'"status":500'),
    "a beat that is a list": (form("PUT", V1 + "/beat", serviceName="hostile", beat="[]"), 500, b'"status":500'),
    "a health checker that is deep": (CLUSTER, 400, b"nested too deeply"),
    "a selector that is deep": (form("POST", V1[:-8] + "service", serviceName="a", selector="{" * 9999), 400, b"selector"),
    "instances that are deep": (form("PUT", V1 + "/metadata/batch", **NO_PAIRS, instances="[" * 100_000), (400, 500), b""),
    "both separators": (call("GET", V1 + "/list?serviceName=a@@b%23%23c"), 200, b'"hosts":[]'),
    "two groups": (call("POST", V1 + "?serviceName=a@@b@@c&ip=1.1.1.1&port=1"), 400, b"serviceName"),
    "a group that is illegal": (call("POST", V1 + "?serviceName=b&groupName=a%20b&ip=1.1.1.1&port=1"), 400, b"'group'"),
    "a namespace that is illegal": (call("GET", V1 + "/list?serviceName=b&namespaceId=a%2F..%2Fb"), 400, b"namespaceId"),
    "a name of 100 KB": (form("POST", V1, serviceName="x" * 100_000, ip="10.0.0.1", port="1"), 400, b"serviceName"),
    "a cluster of commas": (call("POST", f"{V1}?{PLACE}&clusterName=a,b"), 400, b"cluster"),
    "a port of words": (call("POST", f"{V1}?serviceName=a&ip=1.1.1.1&port=abc"), 400, b"port"),
    "a port of 99999": (call("POST", f"{V1}?serviceName=a&ip=1.1.1.1&port=99999"), 400, b"port"),
    "a port of a thousand digits": (call("POST", f"{V1}?serviceName=a&ip=1.1.1.1&port=" + "9" * 1000), 400, b"port"),
    "a weight of words": (call("POST", f"{V1}?{PLACE}&weight=abc"), 400, b'For input string: "abc"'),
    "a weight that is none": (call("POST", f"{V1}?{PLACE}&weight=NaN"), 400, b"weight"),
    "a weight without end": (call("POST", f"{V1}?{PLACE}&weight=1e999"), 400, b"weight"),
    "an ephemeral of words": (call("POST", f"{V1}?serviceName=perhaps&ip=10.0.0.1&port=1&ephemeral=perhaps"), (200, 400), b""),
    "an address of words": (call("POST", f"{V1}?serviceName=a&ip=a%20b&port=1"), 400, b"ip"),
    "a port for UDP of words": (call("GET", f"{V1}/list?serviceName=a&udpPort=abc"), 400, b"abc"),
    "a page of words": (call("GET", "/nacos/v1/ns/service/list?pageNo=x&pageSize=y"), 200, b'"doms":[]'),
    "a page without end": (call("GET", "/nacos/v1/ns/service/list?pageNo=2147483647&pageSize=2147483647"), 200, b'"doms":[]'),
    "a page before the first": (call("GET", "/nacos/v1/ns/service/list?pageNo=-1&pageSize=-5"), 200, b'"doms":[]'),
    "a lone percent": (call("GET", V1 + "/list?serviceName=%"), 400, b"'serviceName' is required"),
    "percent garbage": (call("GET", V1 + "/list?serviceName=%zz%u1234"), 400, b"'serviceName' is required"),
    "percent and not UTF-8": (call("GET", V1 + "/list?serviceName=%ff%fe%c0%80"), 200, b'"hosts":[]'),
    "a percent zero": (call("GET", V1 + "/list?serviceName=a%00b"), 200, b'"hosts":[]'),
    "bytes above 127": (b"GET /nacos/v1/ns/instance/list?serviceName=\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", (200, 400), b""),
    "percent in the path": (call("GET", "/nacos/v1/ns/%69nstance/list?serviceName=a"), (200, 501), b""),
    "dots in the path": (call("GET", "/nacos/v1/ns/../../v1/ns/instance/list?serviceName=a"), (200, 404, 501), b""),
    "two slashes": (call("GET", "//nacos//v1/ns/instance/list?serviceName=a"), 404, b""),
    "10 MiB of percents": (call("POST", V1, f"{PLACE}&app=" + "%" * 10_000_000), 200, b"ok"),
    "10 MiB of escapes": (call("POST", V1, f"{PLACE}&app=" + "%ff" * 3_300_000), (200, 400), b""),
    "1,000 parameters": (call("GET", f"{V1}/list?serviceName=a&{MANY}"), 200, b'"hosts":[]'),
    "1,000 parameters in a form": (call("POST", V1, f"{MANY}&{PLACE}"), 200, b"ok"),
    "1,000 times the same": (call("GET", f"{V1}/list?" + "serviceName=a&" * 1000), 200, b'"hosts":[]'),
    "200,000 parameters": (call("POST", V1, MANY * 200 + f"&{PLACE}"), (200, 400, 413), b""),
    "a million ampersands": (call("POST", V1, "&" * MIB + PLACE), (200, 400, 413), b""),
    "a target of a megabyte": (call("GET", f"{V1}/list?serviceName={'x' * MIB}"), (0, 400, 414, 431), b""),
    "a header of a megabyte": (call("GET", f"{V1}/list?serviceName=a", more=f"X: {'x' * MIB}\r\n"), (0, 400, 431), b""),
    "10,000 headers": (call("GET", f"{V1}/list?serviceName=a", more="X: y\r\n" * 10_000), (0, 200, 400, 431), b""),
    "a body of 12 MiB": (form("POST", V1, **LONG, metadata="x" * 12 * MIB), (0, 413), b""),
    "a body that is announced": (call("POST", V1)[:-5] + b"99999999999\r\n\r\n", (0, 413), b""),
    "a length of words": (HEAD + b"Content-Length: abc\r\n\r\n", 400, b""),
    "a length below nothing": (HEAD + b"Content-Length: -1\r\n\r\n", 400, b""),
    "a chunk of garbage": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", (0, 400), b""),
    "a form of garbage": (call("POST", V1, "\xff\xfe=%&&==&"), 400, b"serviceName"),
    "a form that is JSON": (call("POST", V1, '{"serviceName":"a"}'), 400, b"serviceName"),
    "no HTTP": (b"\x00\x01\x02garbage\r\n\r\n", (0, 400), b""),
    "HTTP of tomorrow": (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", (0, 400, 505), b""),
    "HEAD": (call("HEAD", V1 + "/list?serviceName=a"), 200, b""),
    "HEAD of nothing": (call("HEAD", "/nacos/nothing"), 404, b""),
    "OPTIONS": (call("OPTIONS", V1), 200, b""),
    "TRACE": (call("TRACE", V1), (400, 405, 501), b""),
    "CONNECT": (call("CONNECT", V1), (0, 400, 404, 405, 501), b""),
    "a method that nobody knows": (call("FROB", V1), (400, 405, 501), b""),
    "a method that is not for this": (call("PATCH", V1 + "/list?serviceName=a"), 501, b"no such api"),
    "no such path": (call("GET", "/nacos/v1/ns/nothing"), 501, b"no such api"),
}  # fmt: skip


@pytest.mark.timeout(120)
async def test_requests(child: Child) -> None:
    good = await Http.connected(child.nacos)
    assert await good.ask("POST", "/v1/ns/instance", serviceName="good", ip="10.0.0.7", port=7) == (200, b"ok")
    longest = slowest = 0.0

    async def ask_on() -> None:
        nonlocal longest
        while True:
            began = time.monotonic()
            status, body = await good.ask(
                "PUT",
                "/v1/ns/instance/beat",
                serviceName="DEFAULT_GROUP@@good",
                ip="10.0.0.7",
                port=7,
                clusterName="DEFAULT",
            )
            assert (status, json.loads(body)["code"]) == (200, 10200)
            longest = max(longest, time.monotonic() - began)
            await asyncio.sleep(0.005)

    asking = asyncio.ensure_future(ask_on())
    wrong = {}
    for name, (data, wanted, says) in CASES.items():
        longest, began = 0.0, time.monotonic()
        status, headers, body = await say(child.nacos, data)
        print(
            f"{name}: {status} {body[:70]!r} after {(time.monotonic() - began) * 1e3:.0f} ms, others {longest * 1e3:.0f} ms"
        )
        slowest = max(slowest, longest)
        if status not in (wanted if isinstance(wanted, tuple) else (wanted,)) or says not in body:
            wrong[name] = (status, headers, body[:300])
    assert not asking.done()
    asking.cancel()
    assert wrong == {}
    assert slowest < 1.5, "seconds that others waited"


async def test_pieces_of_requests_and_silence_hold_up_nobody(child: Child) -> None:
    """Connections that have sent half of something, 300 at once."""
    whole = form("POST", V1, serviceName="half", ip="10.0.0.1", port="1")
    writers = []
    for end in range(300):
        _, writer = await asyncio.open_connection("127.0.0.1", child.nacos)
        writer.write(whole[: end % len(whole)])
        writers.append(writer)
    good = await Http.connected(child.nacos)
    began = time.monotonic()
    assert await good.ask("POST", "/v1/ns/instance", serviceName="good", ip="10.0.0.7", port=7) == (200, b"ok")
    assert time.monotonic() - began < 2
    status, body = await good.ask("GET", "/v1/ns/instance/list", serviceName="half")
    assert (status, json.loads(body)["hosts"]) == (200, [])
    for writer in writers:
        writer.transport.abort()
