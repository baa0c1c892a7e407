"""Order, framing and keep-alive on one connection."""

from __future__ import annotations

import asyncio
import logging

import pytest

from polaris_bridge.adapters._shared.answers import Heads
from polaris_bridge.adapters._shared.exchange import Response

GET = "GET /{} HTTP/1.1\r\nHost: h\r\n\r\n"


def by_path(later):
    """A handler whose answers to /later… the test decides, and the dict of these."""
    waiting = {}

    def handle(request):
        if request.path.startswith("/later"):
            return waiting.setdefault(request.path, later())
        return Response(200, request.path.encode() + b" " + request.body)

    return handle, waiting


async def test_a_deferred_answer_holds_back_the_ones_behind_it(bench, later, hot, until):
    handle, waiting = by_path(later)
    listener = await bench.listen(handle, hot=hot)
    client = await bench.connect(listener)
    await client.send(GET.format("a"), GET.format("later1"), GET.format("b"), GET.format("later2"), GET.format("c"))
    assert (await client.answer()).body == b"/a "
    await until(lambda: "/later1" in waiting and waiting["/later1"].reply)
    assert "/later2" not in waiting, "requests of one connection are served one after another"
    waiting["/later1"].settle(Response(201, b"first"))
    assert [(await client.answer()).body for _ in range(2)] == [b"first", b"/b "]
    await until(lambda: "/later2" in waiting and waiting["/later2"].reply)
    waiting["/later2"].settle(Response(201, b"second"))
    assert [(await client.answer()).body for _ in range(2)] == [b"second", b"/c "]
    assert listener.counters().requests == 5


async def test_hot_and_cold_requests_of_one_connection_keep_their_order(bench, later, until):
    handle, waiting = by_path(later)
    listener = await bench.listen(handle, claim=lambda _method, target: handle if b"hot" in target else None)
    client = await bench.connect(listener)
    paths = ["hot1", "cold1", "hot2", "later-hot", "cold2", "later-cold", "hot3", "cold3"]
    await client.send(*(GET.format(path) for path in paths))
    assert [(await client.answer()).body for _ in range(3)] == [b"/hot1 ", b"/cold1 ", b"/hot2 "]
    await until(lambda: "/later-hot" in waiting)
    waiting["/later-hot"].settle(Response(200, b"late hot"))
    assert [(await client.answer()).body for _ in range(2)] == [b"late hot", b"/cold2 "]
    await until(lambda: "/later-cold" in waiting and waiting["/later-cold"].reply)
    waiting["/later-cold"].settle(Response(200, b"late cold"))
    assert [(await client.answer()).body for _ in range(3)] == [b"late cold", b"/hot3 ", b"/cold3 "]


async def test_an_answer_that_is_there_already(bench):
    class Ready:
        def then(self, reply):
            reply(Response(200, b"at once"))

    client = await bench.connect(await bench.listen(lambda _request: Ready()))
    await client.send(GET.format("a") * 3000)  # deep recursion would show
    assert {(await client.answer()).body for _ in range(3000)} == {b"at once"}


async def test_a_client_that_leaves_before_its_answer(bench, later, hot, until):
    handle, waiting = by_path(later)
    listener = await bench.listen(handle, hot=hot)
    client = await bench.connect(listener)
    await client.send(GET.format("later"))
    await until(lambda: "/later" in waiting and waiting["/later"].reply)
    await client.close()
    await until(lambda: any(connection.half_closed for connection in listener._state.connections))
    await bench.pass_time(listener, 6)  # it might have closed its own side only
    await until(lambda: not listener.counters().connections_open)
    waiting["/later"].settle(Response(200, b"nobody reads this"))
    await asyncio.sleep(0)
    assert listener.counters().errors == 0


async def test_a_client_that_only_ends_its_sending_still_gets_its_answer(bench, later, hot, until):
    handle, waiting = by_path(later)
    client = await bench.connect(await bench.listen(handle, hot=hot))
    await client.send(GET.format("later"))
    client.writer.write_eof()
    await until(lambda: "/later" in waiting and waiting["/later"].reply)
    waiting["/later"].settle(Response(200, b"there"))
    assert (await client.answer()).body == b"there"
    assert await client.closed() == b""


async def test_every_byte_for_itself(bench, echo, hot):
    client = await bench.connect(await bench.listen(echo, hot=hot))
    request = b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    for at in range(len(request)):
        await client.send(request[at : at + 1])
        await asyncio.sleep(0.0005)
    answer = await client.answer()
    assert answer.status == 200
    assert b"b'abcde'" in answer.body


async def test_trailers_are_no_headers(bench, echo, hot):
    client = await bench.connect(await bench.listen(echo, hot=hot))
    await client.send(b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Namespace: other\r\n\r\n")
    answer = await client.answer()
    assert b"b'a'" in answer.body
    assert b"x-namespace" not in answer.body


def test_answers_with_ever_new_headers_take_bounded_memory():
    heads = Heads()
    for i in range(5000):
        response = Response(200, b"", ((b"x-index", b"%d" % i),))
        assert heads.of(response) == heads.of(response) == b"HTTP/1.1 200 OK\r\nx-index: %d\r\n" % i
    assert len(heads) <= 1024


async def test_100_continue_comes_before_the_body_is_read(bench, echo, hot):
    client = await bench.connect(await bench.listen(echo, hot=hot))
    for _ in range(2):
        await client.send("PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert (await client.answer()).status == 100
        await client.send("abc")
        answer = await client.answer()
        assert (answer.status, b"b'abc'" in answer.body) == (200, True)
    await client.send(GET.format("next"))
    assert (await client.answer()).status == 200


async def test_100_continue_waits_for_earlier_answers(bench, later, hot, until):
    handle, waiting = by_path(later)
    client = await bench.connect(await bench.listen(handle, hot=hot))
    await client.send(GET.format("later"), "PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    await until(lambda: "/later" in waiting and waiting["/later"].reply)
    waiting["/later"].settle(Response(200, b"first"))
    assert [(await client.answer()).status for _ in range(2)] == [200, 100]
    await client.send("abc")
    assert (await client.answer()).body == b"/a abc"


async def test_too_large_is_said_instead_of_100(bench, echo, hot):
    client = await bench.connect(await bench.listen(echo, hot=hot, max_body_size=2))
    await client.send("PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert (await client.answer()).status == 413


@pytest.mark.parametrize(
    "body", ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
async def test_an_upgrade_to_h2c_is_an_ordinary_request(bench, echo, hot, body, caplog):
    client = await bench.connect(await bench.listen(echo, hot=hot))
    upgrade = "POST /a HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n" + body
    await client.send(upgrade * 900, GET.format("next"))
    for _ in range(900):
        answer = await client.answer()
        assert answer.status == 200
        assert b"b'hello'" in answer.body
    assert b"'/next'" in (await client.answer()).body
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_http_1_0(bench, echo, hot):
    listener = await bench.listen(echo, hot=hot)
    client = await bench.connect(listener)
    kept = await client.ask("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
    assert kept.header("connection") == "keep-alive"
    last = await client.ask("GET /a HTTP/1.0\r\n\r\n")
    assert last.header("connection") == "close"
    assert await client.closed() == b""


async def test_head_tells_the_length_and_sends_no_body(bench, echo, hot):
    client = await bench.connect(await bench.listen(echo, hot=hot))
    expected = (await client.ask(GET.format("a"))).header("content-length")
    head = await client.ask("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n")
    assert int(head.header("content-length") or 0) == int(expected or 0) + 1  # the handler echoes the method
    assert (await client.ask(GET.format("a"))).header("content-length") == expected


@pytest.mark.parametrize(
    "parts", [(b"x" * 5,), (b"ab" * 50_000, b"c" * 300_000), tuple(b"%d" % i for i in range(5000)), ()]
)
async def test_bodies_of_several_parts(bench, hot, parts):
    client = await bench.connect(await bench.listen(lambda _request: Response(200, parts), hot=hot))
    for _ in range(2):
        answer = await client.ask(GET.format("a"))
        assert answer.body == b"".join(parts)
        assert answer.header("content-length") == str(len(answer.body))


async def test_a_client_that_does_not_read_stops_being_served(bench, hot, until):
    served = 0

    def handle(_request):
        nonlocal served
        served += 1
        return Response(200, b"x" * 1_000_000)

    listener = await bench.listen(handle, hot=hot)
    client = await bench.connect(listener, limit=1 << 16)
    client.writer.transport.pause_reading()
    await client.send(GET.format("a") * 200)
    await until(lambda: served)
    (connection,) = listener._state.connections
    await until(lambda: connection.flow.write_paused)
    before = served
    await client.send(GET.format("a") * 200)
    await until(lambda: connection.flow.read_paused)
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert served == before < 30
    assert connection.transport.get_write_buffer_size() < 3_000_000
    client.writer.transport.resume_reading()
    for _ in range(400):
        assert len((await client.answer()).body) == 1_000_000


class Explosion(Exception):
    pass


async def test_an_exception_is_logged_once_with_its_request_and_tells_nothing(bench, hot, caplog):
    def handle(request):
        if request.path == "/bad":
            raise Explosion("secret")
        return Response(200, b"fine")

    listener = await bench.listen(handle, hot=hot)
    client = await bench.connect(listener)
    answer = await client.ask(GET.format("bad?x=1"))
    assert (answer.status, answer.body) == (500, b"")
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.name == "polaris_bridge.apiserver"
    assert "GET /bad?x=1" in record.getMessage()
    assert record.exc_info
    assert listener.counters().errors == 1
    assert (await client.ask(GET.format("good"))).body == b"fine"


async def test_the_protocol_shapes_its_internal_error(bench, hot):
    def handle(_request):
        raise Explosion

    def shape(request):
        return Response(503, b"sorry " + request.path.encode())

    client = await bench.connect(await bench.listen(handle, hot=hot, internal_error=shape))
    answer = await client.ask(GET.format("a"))
    assert (answer.status, answer.body) == (503, b"sorry /a")


@pytest.mark.parametrize("header", [(b"x", b"a\r\nset-cookie: b"), (b"x y", b"a"), (b"", b"a")])
async def test_an_answer_cannot_be_split(bench, hot, header, caplog):
    client = await bench.connect(await bench.listen(lambda _request: Response(200, b"x", (header,)), hot=hot))
    answer = await client.ask(GET.format("a"))
    assert (answer.status, answer.header("set-cookie")) == (500, None)
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


async def test_what_fails_above_a_handler_is_told_with_its_request(bench, echo, caplog):
    async def app(_scope, _receive, _send):
        raise Explosion

    listener = await bench.listen(echo, hot=False, app=app)
    answer = await (await bench.connect(listener)).ask(GET.format("a?b=c"))
    assert answer.status == 500
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (record.name, "GET /a?b=c" in record.getMessage()) == ("polaris_bridge.apiserver", True)
    assert listener.counters().errors == 1


async def test_a_hook_that_fails_is_a_logged_error_too(bench, echo, caplog):
    def claim(_method, _target):
        raise Explosion

    listener = await bench.listen(echo, claim=claim)
    answer = await (await bench.connect(listener)).ask(GET.format("a"))
    assert (answer.status, answer.header("connection")) == (500, "close")
    assert listener.counters().errors == 1
    assert any(isinstance(record.exc_info and record.exc_info[1], Explosion) for record in caplog.records)
