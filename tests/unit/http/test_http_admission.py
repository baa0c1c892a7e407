"""Which connections are let in, and from whom a request came."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from polaris_bridge.adapters._shared.admission import Admission
from polaris_bridge.adapters._shared.exchange import Response
from polaris_bridge.adapters._shared.settings import ConnLimitSettings

GET = "GET /{} HTTP/1.1\r\nHost: h\r\n{}\r\n"


def limited(**options):
    return ConnLimitSettings(open_conn_limit=True, **options)


async def works(client):
    return (await client.ask(GET.format("a", ""))).status == 200


async def test_connections_beyond_a_hosts_limit_are_closed_at_once(bench, echo, until):
    listener = await bench.listen(echo, conn_limit=limited(max_conn_per_host=2))
    first, second = await bench.connect(listener), await bench.connect(listener)
    assert await works(first)
    assert await works(second)
    third = await bench.connect(listener)
    assert await third.closed() == b""
    assert listener.counters().connections_refused == {"max_conn_per_host": 1}
    await first.close()
    await until(lambda: listener.counters().connections_open == 1)
    assert await works(await bench.connect(listener))
    assert await works(second)


async def test_the_white_list_is_exempt_from_the_hosts_limit_only(bench, echo):
    listener = await bench.listen(
        echo, conn_limit=limited(max_conn_per_host=1, max_conn_limit=3, white_list="10.0.0.1, 127.0.0.1")
    )
    clients = [await bench.connect(listener) for _ in range(4)]
    assert all([await works(client) for client in clients[:3]])
    assert await clients[3].closed() == b""
    assert listener.counters().connections_refused == {"max_conn_limit": 1}


async def test_without_the_switch_nothing_is_limited(bench, echo):
    listener = await bench.listen(echo, conn_limit=ConnLimitSettings(max_conn_per_host=1, max_conn_limit=1))
    clients = [await bench.connect(listener) for _ in range(3)]
    assert all([await works(client) for client in clients])


async def test_a_thousand_connections_from_one_host(bench, echo, until):
    listener = await bench.listen(echo, conn_limit=limited(max_conn_per_host=50))
    good = await bench.connect(listener)
    assert await works(good)
    flood = await asyncio.gather(*(bench.connect(listener) for _ in range(1000)), return_exceptions=True)
    await until(lambda: sum(listener.counters().connections_refused.values()) >= 950)
    assert len(flood) == 1000
    assert listener.counters().connections_open == 50
    assert await works(good)


async def test_connections_are_listed_and_can_be_cut(bench, echo, until):
    listener = await bench.listen(echo, conn_limit=limited(max_conn_per_host=9))
    first, second, third = [await bench.connect(listener) for _ in range(3)]
    await until(lambda: len(listener.connected().clients) == 3)
    ports = [client.writer.get_extra_info("sockname")[1] for client in (first, second, third)]
    connected = listener.connected()
    assert sorted(connected.clients) == sorted(("127.0.0.1", port) for port in ports)
    assert connected.limited
    assert list(connected.quiet_s) == ["127.0.0.1"]
    assert listener.cut("10.0.0.1") == 0
    assert listener.cut("127.0.0.1", ports[1]) == 1
    await until(lambda: len(listener.connected().clients) == 2)
    assert await works(first)
    assert listener.cut("127.0.0.1") == 2
    await until(lambda: listener.connected().clients == [])
    assert listener.counters().connections_open == 0


def test_counters_of_hosts_that_left_are_purged():
    now = 0.0
    admission = Admission(limited(purge_counter_interval_s=10, purge_counter_expire_s=5), lambda: now)
    for host in ("a", "b", "c"):
        assert admission.enter(host, 5) is None
    admission.leave("a")
    now = 7.0
    admission.leave("b")
    admission.purge()
    assert admission.hosts == {"a": 0, "b": 0, "c": 1}, "the interval has not passed"
    now = 11.0
    admission.purge()
    assert admission.hosts == {"b": 0, "c": 1}, "b is idle for 4 s only"
    now = 25.0
    admission.purge()
    assert admission.hosts == {"c": 1}
    assert admission.open == 1


@pytest.mark.parametrize(("fileno", "reason"), [(935, None), (936, "open_files"), (1023, "open_files")])
def test_near_the_limit_of_open_files_connections_are_refused(fileno, reason):
    admission = Admission(ConnLimitSettings(), lambda: 0.0, open_files=lambda: 1000)
    assert admission.enter("a", fileno) == reason


async def test_no_descriptor_left_pauses_accepting(bench, echo, until, monkeypatch, caplog):
    """The connection waits in the backlog; the loop must not be asked to accept again and again."""
    listener = await bench.listen(echo)
    acceptor = listener._acceptor
    (listening,) = acceptor.sockets
    asked = 0

    class Exhausted:
        fileno = listening.fileno

        def accept(self):
            nonlocal asked
            asked += 1
            raise OSError(errno.EMFILE, "Too many open files")

    acceptor.accept(Exhausted())
    client = await bench.connect(listener)
    listener._loop.add_reader(listening.fileno(), acceptor.accept, Exhausted())
    await until(lambda: asked >= 2)
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert asked == 2
    assert listener.counters().connections_refused == {"open_files": 2}
    assert [record.name for record in caplog.records] == ["polaris_bridge.apiserver"]
    acceptor._paused = {listening}
    acceptor.resume()
    assert await works(client)


@pytest.mark.parametrize("settings", [{"max_conn_per_host": 0}, {"purge_counter_interval_s": 0}])
def test_limits_that_make_no_sense(settings):
    with pytest.raises(ValueError, match="connLimit"):
        limited(**settings)


async def test_an_address_that_is_not_allowed_gets_403(bench, echo, hot):
    listener = await bench.listen(echo, hot=hot, allow=lambda peer: peer != "127.0.0.1")
    client = await bench.connect(listener)
    answer = await client.ask(GET.format("a", ""))
    assert (answer.status, answer.header("connection")) == (403, "close")
    assert await client.closed() == b""
    assert listener.counters().refusals == {403: 1}


@pytest.mark.parametrize(
    ("trusted", "headers", "peer", "scheme"),
    [
        ((), "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n", "127.0.0.1", "http"),
        (("10.0.0.0/8",), "X-Forwarded-For: 1.2.3.4\r\n", "127.0.0.1", "http"),
        (("127.0.0.1",), "", "127.0.0.1", "http"),
        (("127.0.0.0/8",), "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n", "1.2.3.4", "https"),
        (("127.0.0.1", "10.0.0.0/8"), "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.1.1.1\r\n", "1.2.3.4", "http"),
        (("127.0.0.1", "10.0.0.0/8"), "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 10.1.1.1\r\n", "1.2.3.4", "http"),
        (("127.0.0.1", "10.0.0.0/8"), "X-Forwarded-For: 10.2.2.2, 10.1.1.1\r\n", "10.2.2.2", "http"),
        (("127.0.0.1", "10.0.0.0/8"), "X-Forwarded-For: 1.2.3.4, junk, 10.1.1.1\r\n", "10.1.1.1", "http"),
        (("127.0.0.1",), "X-Forwarded-For: junk\r\nX-Forwarded-Proto: gopher\r\n", "127.0.0.1", "http"),
        (("127.0.0.1",), "X-Forwarded-For: 1.2.3.4:5678\r\n", "1.2.3.4", "http"),
        (("127.0.0.1",), "X-Forwarded-For: [2001:db8::1]:5678\r\n", "2001:db8::1", "http"),
        (("127.0.0.1",), "X-Forwarded-For: ::ffff:1.2.3.4\r\n", "1.2.3.4", "http"),
    ],
)
async def test_trusted_proxies(bench, echo, hot, trusted, headers, peer, scheme):
    client = await bench.connect(await bench.listen(echo, hot=hot, trusted_proxies=trusted))
    answer = await client.ask(GET.format("a", headers))
    assert answer.body.startswith(f"{peer} ".encode())
    assert answer.body.endswith(f"'{scheme}')".encode())


async def test_the_white_list_looks_behind_a_trusted_proxy(bench, echo, hot):
    listener = await bench.listen(echo, hot=hot, trusted_proxies=("127.0.0.1",), allow=lambda peer: peer == "1.2.3.4")
    client = await bench.connect(listener)
    assert (await client.ask(GET.format("a", "X-Forwarded-For: 1.2.3.4\r\n"))).status == 200
    assert (await client.ask(GET.format("a", "X-Forwarded-For: 1.2.3.5\r\n"))).status == 403


async def test_networks_that_cannot_be_read_are_named(bench, echo):
    with pytest.raises(ValueError, match=r"trustedProxies: .*10\.0\.0\.0/40"):
        await bench.listen(echo, trusted_proxies=("10.0.0.0/40",))


async def test_a_port_that_is_taken_says_what_to_do(bench, echo):
    listener = await bench.listen(echo)
    with pytest.raises(OSError, match=rf"test cannot listen on 127\.0\.0\.1:{listener.port}.*--port-offset"):
        await bench.listen(echo, port=listener.port)


async def test_ipv6_and_both(bench, echo):
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    both = await bench.listen(echo, host="::")
    over4 = await bench.connect(both)
    assert (await over4.ask(GET.format("a", ""))).body.startswith(b"127.0.0.1 ")
    only6 = await bench.listen(echo, host="::1")
    over6 = await bench.connect(only6, host="::1")
    assert (await over6.ask(GET.format("a", ""))).body.startswith(b"::1 ")


async def test_description(bench):
    listener = await bench.listen(lambda _request: Response(200))
    about = listener.describe()
    assert (about.name, about.host, about.port, about.scheme) == ("test", "127.0.0.1", listener.port, "http")
    assert not about.client_certificates
