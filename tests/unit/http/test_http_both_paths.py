"""Whatever a request looks like, the hot and the cold path answer it alike."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from polaris_bridge.adapters._shared.endpoint import asgi_endpoint

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABC-_019", min_size=1, max_size=12)
FRAMING = {"host", "connection", "content-length", "transfer-encoding", "expect", "upgrade", "te", "trailer"}
FRAMING |= {"proxy-connection", "keep-alive"}
PATH = st.one_of(
    st.text("abcXYZ/09%:.-_~;=@!$&'()*+,", max_size=20).map(lambda tail: "/" + tail),
    st.sampled_from(
        ["*", "http://other.example/x%3Ay?q=1", "http://other.example", "http://other.example?a=b", "//a//b/"]
    ),
)
QUERY = st.one_of(
    st.just(""),
    st.text("abc=&%20+/?:;", max_size=15).map("?{}".format),
    st.sampled_from([200, 201, 204, 302, 304, 404, 500, 503]).map("?status={}".format),
    st.integers(1, 5).map("?parts={}".format),
    st.sampled_from(["?status=204&parts=2", "?status=304&parts=1", "?a#fragment"]),
)
HEADER = st.tuples(TOKEN.filter(lambda name: name.lower() not in FRAMING), st.text('abc 1;,="\\/\xe4', max_size=20))
CONNECTION = st.sampled_from(
    [
        [],
        [("Connection", "keep-alive")],
        [("connection", "Close")],
        [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")],
        [("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket")],
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes, bool]:
    """Method and bytes of one legal request, and whether it ends the connection."""
    method = draw(st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]))
    target = draw(PATH)
    target += draw(QUERY) if "?" not in target and target != "*" else ""
    version = draw(st.sampled_from(["1.1", "1.1", "1.0"]))
    fields = [("Host", "h"), *draw(st.lists(HEADER, max_size=4)), *draw(CONNECTION)]
    body = draw(st.binary(max_size=40)) if method in ("PUT", "POST", "PATCH", "DELETE") else b""
    chunked = version == "1.1" and bool(body) and draw(st.booleans())
    if chunked:
        fields.append(("Transfer-Encoding", "chunked"))
        cut = draw(st.integers(0, len(body)))
        chunks = [chunk for chunk in (body[:cut], body[cut:]) if chunk]
        trailer = draw(st.sampled_from([b"", b"X-Trailer: late\r\n"]))
        body = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"
    elif body or draw(st.booleans()):
        fields.append(("Content-Length", str(len(body))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    asked = {name.lower(): value.lower() for name, value in fields}.get("connection", "")
    last = asked == "close" or (version == "1.0" and "keep-alive" not in asked)
    return method, f"{method} {target} HTTP/{version}\r\n{lines}\r\n".encode("latin-1") + body, last


END = ("GET", b"GET /end HTTP/1.1\r\nConnection: close\r\n\r\n", True)


async def conversation(client, methods, wire, step):
    """Answers to pipelined requests, fed in pieces of ``step`` bytes, until the server closes."""
    for at in range(0, len(wire), step):
        await client.send(wire[at : at + step])
        if step < 64:
            await asyncio.sleep(0)
    answers = []
    for method in methods:
        answer = await client.answer(method)
        headers = sorted((name, value) for name, value in answer.headers if name != "date")
        assert answer.header("date") == "Thu, 01 Jan 1970 00:00:00 GMT"
        answers.append((answer.status, headers, answer.body))
    assert await client.closed() == b""
    return answers


def plain(method, target):
    return method, f"{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode(), False


@example([plain("GET", f"/?status={status}") for status in (204, 304, 500)], 1 << 20)
@example([plain("HEAD", f"/?status={status}&parts=3") for status in (200, 204, 304)], 1 << 20)
@example([plain("GET", "*"), plain("GET", "http://other.example?a=b"), plain("GET", "/a#b")], 1 << 20)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(requests(), min_size=1, max_size=3), st.sampled_from([1, 7, 1 << 20]))
async def test_hot_and_cold_answers_are_equal(new_bench, echo, sent, step):
    bench = new_bench()
    sent = [*sent, END]
    sent = sent[: 1 + next(i for i, (_, _, last) in enumerate(sent) if last)]  # no client sends on after that
    wire = b"".join(request for _, request, _ in sent)
    methods = [method for method, _, _ in sent]
    starlette = Starlette(routes=[Mount("/", app=asgi_endpoint(echo))])
    try:
        hot = await bench.listen(echo)
        plain = await bench.listen(echo, hot=False)
        framework = await bench.listen(echo, hot=False, app=starlette)
        expected = await conversation(await bench.connect(hot), methods, wire, step)
        assert len(expected) == len(sent)
        assert await conversation(await bench.connect(plain), methods, wire, step) == expected
        if b" * HTTP/" not in wire:  # no route of a framework matches the asterisk
            assert await conversation(await bench.connect(framework), methods, wire, step) == expected
        assert hot.counters().errors == plain.counters().errors == 0
        assert not hot.counters().refusals
    finally:
        await bench.end()


async def test_the_paths_really_differ(bench, echo):
    """Guards the comparison above: the hot listener must not reach the application, the cold one must."""
    calls = []

    async def app(scope, receive, send):
        calls.append(scope["path"])
        await asgi_endpoint(echo)(scope, receive, send)

    for hot, expected in ((True, []), (False, ["/a b"])):
        client = await bench.connect(await bench.listen(echo, hot=hot, app=app))
        assert (await client.ask("GET /a%20b HTTP/1.1\r\n\r\n")).status == 200
        assert calls == expected
