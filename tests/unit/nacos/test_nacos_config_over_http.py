"""Nacos configurations over real connections: both paths answer alike, long polls end with their clients and with the server."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_nacos_over_http import Answer, connect, encoded, exchange, listener, request

from polaris_bridge.adapters.nacos.build import NacosFace
from polaris_bridge.adapters.nacos.service.config.polling import Polling
from polaris_bridge.testing import Running, server

CS = "/nacos/v1/cs/configs"
FORM = {"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"}
PATIENT = FORM | {"Long-Pulling-Timeout": "30000"}


@pytest.fixture(params=["hot", "cold"])
async def running(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Running]:
    """A server; whatever it logs as an error, or with a traceback, is a failure."""
    caplog.set_level(logging.WARNING)
    async with server() as found:
        if request.param == "cold":
            listener(found)._state.hot = lambda _method, _target: None
        yield found
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR or r.exc_info] == []


def polling(running: Running) -> Polling:
    return next(face.service.polling for face in running.server.faces if isinstance(face, NacosFace))


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not met():  # noqa: ASYNC110  # the conditions are counters, not events
            await asyncio.sleep(0.005)


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def poll(*has: tuple[str, str]) -> bytes:
    items = "".join(f"{name}\2G\2{md5}\1" for name, md5 in has)
    return request("POST", f"{CS}/listener", PATIENT, f"Listening-Configs={quote(items)}&".encode())


async def publish(running: Running, name: str, content: str) -> None:
    stream = await connect(running)
    body = encoded({"dataId": name, "group": "G", "content": content}).encode()
    assert (await exchange(stream, "POST", request("POST", CS, FORM, body)))[::2] == (200, b"true")
    stream[1].close()
    await stream[1].wait_closed()


async def test_a_poll_is_answered_when_something_changes(running: Running) -> None:
    await publish(running, "a", "one")
    stream = await connect(running)
    waiting = asyncio.ensure_future(exchange(stream, "POST", poll(("a", md5("one")), ("b", ""))))
    await until(lambda: polling(running).waiting == 1)
    await publish(running, "b", "two")
    status, _, body = await waiting
    assert (status, body) == (200, b"b%02G%01\n")
    status, headers, body = await exchange(stream, "GET", request("GET", f"{CS}?dataId=b&group=G", {}))
    assert (status, body, dict(headers)["content-md5"]) == (200, b"two", md5("two"))
    stream[1].close()
    await stream[1].wait_closed()


async def test_thousands_of_configurations_in_one_poll(running: Running) -> None:
    stream = await connect(running)
    waiting = asyncio.ensure_future(exchange(stream, "POST", poll(*((f"f{n}", "") for n in range(3000)))))
    await until(lambda: polling(running).waiting == 1)
    await publish(running, "f2999", "x")
    assert (await waiting)[2] == b"f2999%02G%01\n"
    stream[1].close()
    await stream[1].wait_closed()


async def test_who_hangs_up_waits_no_more(running: Running) -> None:
    streams = [await connect(running) for _ in range(3)]
    for _, writer in streams:
        writer.write(poll(("a", "")))
    await until(lambda: polling(running).waiting == 3)
    for _, writer in streams:
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.transport.abort()
    await until(lambda: polling(running).waiting == 0)
    await publish(running, "a", "x")


async def test_a_server_that_stops_answers_who_waits() -> None:
    async with server() as running:
        stream = await connect(running)
        waiting = asyncio.ensure_future(exchange(stream, "POST", poll(("a", ""))))
        await until(lambda: polling(running).waiting == 1)
        began = asyncio.get_running_loop().time()
    assert (await waiting)[::2] == (200, b"")
    assert asyncio.get_running_loop().time() - began < 8
    stream[1].close()
    await stream[1].wait_closed()


async def test_a_server_without_configurations() -> None:
    async with server(sets=["config.open=false"]) as running:
        stream = await connect(running)
        for method, path in (("GET", CS), ("POST", CS), ("DELETE", CS), ("POST", f"{CS}/listener")):
            raw = request(method, f"{path}?dataId=a&group=G&content=x", FORM)
            assert (await exchange(stream, method, raw))[0] == 404
        stream[1].close()
        await stream[1].wait_closed()


WORDS = st.sampled_from(["a", "b.yaml", "a b", "", "%zz", "中", "x" * 300])
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "dataId": WORDS,
        "group": WORDS,
        "content": st.sampled_from(["x", "", " ", "%zz", "é"]),
        "tenant": st.sampled_from(["public", "", "n1", "a.b"]),
        "tag": st.sampled_from(["T", "", "a b", "x" * 20]),
        "beta": st.sampled_from(["true", "x"]),
        "type": st.sampled_from(["json", "x"]),
        "config_tags": st.sampled_from(["a,b", "1,2,3,4,5,6"]),
        "desc": st.sampled_from(["d", "d" * 200]),
        "Listening-Configs": st.sampled_from(
            ["a%02b%02%01", "a%02b.yaml%02x%02n1%01", "a", "%01", "%2502", "", "a%02b%02c"]
        ),
    },
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from([FORM["Content-Type"], "text/plain"]),
        "betaIps": st.sampled_from(["127.0.0.1", ",", ""]),
        "casMd5": st.sampled_from(["x", md5("x")]),
        "Vipserver-Tag": st.sampled_from(["T", "\xe4"]),
        "Accept": st.sampled_from(["text/html, */*", "application/json"]),
    },
)
METHODS = st.sampled_from(["GET", "POST", "POST", "DELETE", "PUT", "HEAD"])


async def test_hot_and_cold_answer_alike() -> None:
    """Two servers, one with the hot path off, live through the same requests."""
    async with server() as hot, server() as cold:
        listener(cold)._state.hot = lambda _method, _target: None
        both = [await connect(hot), await connect(cold)]

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(METHODS, st.sampled_from([CS, CS, CS, f"{CS}/listener", f"{CS}/"]), PARAMS, PARAMS, HEADERS)
        def alike(method: str, path: str, query: dict[str, str], form: dict[str, str], headers: dict[str, str]) -> None:
            body = encoded(form).encode() if method in ("PUT", "POST", "DELETE") else b""
            raw = request(method, f"{path}?{encoded(query)}", headers, body)
            first, second = asyncio.run_coroutine_threadsafe(_both(method, raw), loop).result(20)
            assert without_clock(first) == without_clock(second)
            assert first[0] != 500 or method == "HEAD" or first[2].startswith((b"caused: ", b'{"timestamp"'))

        async def _both(method: str, raw: bytes) -> list[Answer]:
            return [await exchange(stream, method, raw) for stream in both]

        loop = asyncio.get_running_loop()
        await asyncio.to_thread(alike)
        assert listener(hot).counters().errors == listener(cold).counters().errors == 0
        for _, writer in both:
            writer.transport.abort()


def without_clock(answer: Answer) -> Answer:
    """Without when it was published."""
    status, headers, body = answer
    return status, [(name, value) for name, value in headers if name != "last-modified"], body
