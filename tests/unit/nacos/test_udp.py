"""Lists pushed over UDP: what the packets say, who gets them, when, and what becomes of the silent."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest
from http_bottle import JAVA, NS, HttpBottle
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.server.udp import UdpPort, plain
from polaris_bridge.adapters.nacos.service import udp_push
from polaris_bridge.adapters.nacos.wire import push

GROUPED = "DEFAULT_GROUP@@orders"
CLIENT = {"udpPort": 5000, "clientIP": "10.1.1.1"}


def made(info: bytes, ref: int = 7) -> bytes | None:
    """A packet, its work done at once."""
    work = push.packet(info, ref)
    while True:
        try:
            next(work)
        except StopIteration as stop:
            found: bytes | None = stop.value
            return found


def opened(packet: bytes) -> Any:
    """What a packet says."""
    return json.loads(gzip.decompress(packet) if packet[:2] == b"\x1f\x8b" else packet)


# ---------------------------------------------------------------------- packets


def test_a_packet_as_it_was_recorded() -> None:
    info = (
        b'{"name":"DEFAULT_GROUP@@rec.orders","clusters":"","cacheMillis":10000,"hosts":[],"lastRefTime":1795357254303,'
        b'"checksum":"","allIPs":false,"reachProtectionThreshold":false,"valid":true}'
    )
    assert made(info, 2651980981596) == (
        b'{"type":"dom","data":"{\\"name\\":\\"DEFAULT_GROUP@@rec.orders\\",\\"clusters\\":\\"\\",\\"cacheMillis\\":10000,'
        b'\\"hosts\\":[],\\"lastRefTime\\":1795357254303,\\"checksum\\":\\"\\",\\"allIPs\\":false,'
        b'\\"reachProtectionThreshold\\":false,\\"valid\\":true}","lastRefTime":2651980981596}'
    )


@given(st.text(max_size=3000))
def test_every_list_arrives_as_it_is(text: str) -> None:
    info = json.dumps({"name": text}, ensure_ascii=False).encode("utf-8", "replace")
    packet = made(info)
    assert packet is not None
    found = opened(packet)
    assert (found["type"], found["data"].encode(), found["lastRefTime"]) == ("dom", info, 7)
    assert (packet[:2] == b"\x1f\x8b") == (
        len(json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()) >= 1024
    )


def test_what_does_not_fit_is_not_made() -> None:
    noise = random.Random(1).randbytes(200_000).hex().encode()
    assert made(b'"%b"' % noise) is None
    assert made(b'"%b"' % (b"x" * push.MAX_LIST)) is None
    even = made(b'"%b"' % (b"x" * (push.MAX_LIST - 2)))
    assert even is not None
    assert len(even) <= push.MAX_PACKET


@pytest.mark.parametrize(
    ("agent", "welcome"),
    [
        (JAVA, True), ("Nacos-Java-Client:v0.1.0", True), ("Nacos-Java-Client:v0.0.9", False), ("Nacos-Java-Client", False),
        ("Nacos-Go-Client:v1.0.1", True), ("Nacos-CSharp-Client:v0.8.9", False), ("Nacos-CSharp-Client:v0.9.0", True),
        ("vip-client4cpp:v1.0.11", False), ("vip-client4cpp:v1.0.12", True), ("Nacos-C-Client:v1.1", True),
        ("Nacos-Python-Client:v1.0.0", False), ("", False), ("curl/8", False), ("Nacos-Java-Client:v1.4.8-SNAPSHOT", True),
    ],
)  # fmt: skip
def test_who_takes_pushes(agent: str, welcome: bool) -> None:
    assert push.welcome(agent) is welcome


@pytest.mark.parametrize(
    ("datagram", "ref"),
    [
        (b'{"type": "push-ack", "lastRefTime":"2651980981596", "data":""}', 2651980981596),
        (b'{"type":"push-ack","lastRefTime":12}', 12),
        (b'{"type":"dump-ack","lastRefTime":"12","data":"x"}', None),
        (b'{"type":"push-ack"}', None),
        (b'{"type":"push-ack","lastRefTime":"x"}', None),
        (b'{"type":"push-ack","lastRefTime":"' + b"9" * 99 + b'"}', None),
        (b"[]", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_acknowledgements(datagram: bytes, ref: int | None) -> None:
    assert push.acknowledged(datagram) == ref


@given(st.binary(max_size=200))
def test_any_datagram_is_taken(datagram: bytes) -> None:
    assert push.acknowledged(datagram) is None


# ---------------------------------------------------------------------- subscriptions


class Listening(HttpBottle):
    """A bottle whose packets are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, int, Any]] = []
        self.service.udp.attach(lambda packet, ip, port: self.sent.append((ip, port, opened(packet))))

    def pushed(self) -> list[tuple[str, int, Any]]:
        """What was sent since the last time."""
        found, self.sent = self.sent, []
        return found

    def ports(self) -> list[list[int]]:
        """The instances of each list that was sent since the last time."""
        return [sorted(h["port"] for h in json.loads(p["data"])["hosts"]) for _, _, p in self.pushed()]

    def acknowledge(self, packets: list[tuple[str, int, Any]]) -> None:
        for ip, port, packet in packets:
            self.service.udp.acknowledge(ip, port, packet["lastRefTime"])

    def after(self, seconds: float) -> None:
        """Time passes with timers alone."""
        self.timers.until(self.clock.now_s + seconds)
        self.timers.settle()


@pytest.fixture
def bottle() -> Generator[Listening, None, None]:
    found = Listening()
    yield found
    found.service.udp.close()
    assert len(found.service.udp) == 0
    assert found.service.subscribers.count() == 0
    assert len(found.registry.watches) == 0


def test_the_state_comes_half_a_second_after_the_subscription_even_when_empty(bottle: Listening) -> None:
    bottle.list(GROUPED, **CLIENT)
    bottle.after(0.4)
    assert bottle.pushed() == []
    bottle.after(0.2)
    ((ip, port, packet),) = bottle.pushed()
    data = json.loads(packet["data"])
    assert (ip, port, packet["type"]) == ("10.1.1.1", 5000, "dom")
    assert list(data) == [
        "name", "clusters", "cacheMillis", "hosts", "lastRefTime", "checksum", "allIPs", "reachProtectionThreshold", "valid",
    ]  # fmt: skip
    assert (data["name"], data["hosts"]) == (GROUPED, [])


def test_the_first_change_is_pushed_at_once_and_later_ones_are_gathered(bottle: Listening) -> None:
    bottle.list(GROUPED, **CLIENT)
    bottle.after(0.6)
    bottle.acknowledge(bottle.pushed())
    bottle.register(1)
    assert bottle.ports() == [[1]]
    for port in (2, 3, 4):
        bottle.register(port)
    assert bottle.ports() == []
    bottle.after(0.06)
    assert bottle.ports() == [[1, 2, 3, 4]]
    bottle.after(5)
    assert bottle.ports() == []
    bottle.deregister(1)
    assert bottle.ports() == [[2, 3, 4]]


def test_all_get_the_same_packet_and_each_its_clusters(bottle: Listening) -> None:
    for port in range(1, 100):
        bottle.list(GROUPED, udpPort=port, clientIP="10.1.1.1")
    bottle.list(GROUPED, udpPort=200, clientIP="10.1.1.2", clusters="A")
    bottle.list("other", udpPort=300, clientIP="10.1.1.3")
    bottle.after(0.6)
    bottle.pushed()
    bottle.register(1, clusterName="A")
    bottle.after(0.06)
    bottle.pushed()
    bottle.register(2, clusterName="B")
    bottle.after(0.06)
    found = bottle.pushed()
    assert sorted(port for _, port, _ in found) == [*range(1, 100), 200]
    plainly = {packet["lastRefTime"] for _, port, packet in found if port != 200}
    assert len(plainly) == 1
    (narrow,) = [json.loads(packet["data"]) for _, port, packet in found if port == 200]
    assert (narrow["clusters"], [h["port"] for h in narrow["hosts"]]) == ("A", [1])


def test_who_does_not_call_again_is_forgotten(bottle: Listening) -> None:
    bottle.list(GROUPED, **CLIENT)
    for _ in range(4):
        bottle.move(10)
        bottle.acknowledge(bottle.pushed())
        bottle.list(GROUPED, **CLIENT)
    assert len(bottle.service.udp) == 1
    bottle.move(29)
    assert len(bottle.service.udp) == 1
    bottle.move(2)
    assert len(bottle.service.udp) == 0
    bottle.pushed()
    bottle.register(1)
    assert bottle.ports() == []


def test_the_silent_are_told_once_more_and_then_forgotten(bottle: Listening) -> None:
    bottle.list(GROUPED, **CLIENT)
    bottle.move(1)
    (first,) = bottle.pushed()
    bottle.move(9)
    assert bottle.pushed() == []
    bottle.move(2)
    (second,) = bottle.pushed()
    assert second[2]["lastRefTime"] > first[2]["lastRefTime"]
    bottle.move(12)
    assert bottle.pushed() == []
    assert len(bottle.service.udp) == 0
    assert (bottle.service.udp.pushed, bottle.service.udp.failed) == (2, 1)
    bottle.list(GROUPED, **CLIENT)
    bottle.move(1)
    assert len(bottle.pushed()) == 1


def test_an_acknowledgement_of_the_second_try_counts_and_a_stale_one_does_not(bottle: Listening) -> None:
    bottle.list(GROUPED, **CLIENT)
    bottle.move(1)
    first = bottle.pushed()
    bottle.register(1, ephemeral="false")
    second = bottle.pushed()
    bottle.acknowledge(first)
    bottle.list(GROUPED, **CLIENT)
    bottle.move(11)
    third = bottle.pushed()
    assert len(second) == len(third) == 1
    bottle.acknowledge(third)
    bottle.list(GROUPED, **CLIENT)
    bottle.move(12)
    assert bottle.pushed() == []
    assert len(bottle.service.udp) == 1
    stranger = [("10.9.9.9", port, packet) for _, port, packet in third]
    bottle.acknowledge(stranger)


def test_a_change_gives_the_silent_another_two_tries(bottle: Listening) -> None:
    bottle.list(GROUPED, **CLIENT)
    bottle.move(12)
    assert len(bottle.pushed()) == 2
    bottle.list(GROUPED, **CLIENT)
    bottle.register(1)
    assert bottle.ports() == [[1]]
    bottle.move(11)
    assert bottle.ports() == [[1]]


@pytest.mark.parametrize(
    ("changed", "agent"),
    [
        ({"udpPort": "0"}, JAVA),
        ({"udpPort": "70000"}, JAVA),
        ({"clientIP": "localhost"}, JAVA),
        ({"clientIP": "224.0.0.1"}, JAVA),
        ({"clientIP": "255.255.255.255"}, JAVA),
        ({"clientIP": "0.0.0.0"}, JAVA),
        ({}, "Nacos-Python-Client:v1.0.0"),
    ],
)
def test_who_is_not_pushed_to(bottle: Listening, changed: dict[str, str], agent: str) -> None:
    answer = bottle.ask("GET", f"{NS}/instance/list", {"serviceName": GROUPED} | CLIENT | changed, user_agent=agent)
    assert answer.status == 200
    assert len(bottle.service.udp) == 0


def test_without_an_address_of_its_own_the_caller_is_pushed_to(bottle: Listening) -> None:
    bottle.list(GROUPED, udpPort=5000)
    bottle.after(1)
    assert [(ip, port) for ip, port, _ in bottle.pushed()] == [("10.9.9.9", 5000)]


def test_no_more_than_so_many(bottle: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp_push, "MAX_SUBSCRIPTIONS", 3)
    for port in range(1, 6):
        bottle.list(GROUPED, udpPort=port, clientIP="10.1.1.1")
    assert len(bottle.service.udp) == 3


def test_what_is_waited_for_does_not_grow_with_the_changes(bottle: Listening) -> None:
    bottle.list(GROUPED, **CLIENT)
    for port in range(1, 60):
        bottle.register(port)
        bottle.after(0.06)
    assert len(bottle.pushed()) > 50
    assert len(bottle.service.udp._unacknowledged) == len(bottle.service.udp._refs) == 1


def test_operators_may_switch_it_off(bottle: Listening) -> None:
    bottle.ask("PUT", f"{NS}/operator/switches", {"entry": "pushEnabled", "value": "false"})
    bottle.list(GROUPED, **CLIENT)
    assert len(bottle.service.udp) == 0


def test_a_list_that_does_not_fit_is_not_pushed(bottle: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    bottle.list(GROUPED, **CLIENT)
    bottle.after(0.6)
    bottle.acknowledge(bottle.pushed())
    monkeypatch.setattr(push, "MAX_PACKET", 100)
    bottle.register(1, metadata="k=" + "v" * 900)
    assert bottle.pushed() == []
    monkeypatch.undo()
    bottle.after(0.06)
    bottle.register(2)
    assert bottle.ports() == [[1, 2]]


def test_nobody_is_pushed_to_when_nobody_sends() -> None:
    bottle = HttpBottle()
    bottle.list(GROUPED, **CLIENT)
    assert len(bottle.service.udp) == 0


# ---------------------------------------------------------------------- the socket


class _Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.got.put_nowait((data, addr))


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", "127.0.0.1"), ("::", "127.0.0.1"), ("::", "::1"), ("0.0.0.0", "127.0.0.1")]
)
async def test_packets_leave_from_the_socket_that_acknowledgements_come_back_to(host: str, local: str) -> None:
    acknowledged: asyncio.Queue[tuple[str, int, int]] = asyncio.Queue()
    attached: list[Any] = []
    service: Any = SimpleNamespace(
        udp=SimpleNamespace(attach=attached.append, acknowledge=lambda *found: acknowledged.put_nowait(found))
    )
    port = UdpPort(service, host)
    port.send(b"early", local, 1)  # dropped
    assert port.port == 0
    try:
        await port.start()
    except OSError:
        pytest.skip("no IPv6 here")
    loop = asyncio.get_running_loop()
    try:
        transport, client = await loop.create_datagram_endpoint(_Client, local_addr=(local, 0))
    except OSError:
        port.close()
        pytest.skip("no IPv6 here")
    async with asyncio.timeout(10):
        mine = transport.get_extra_info("sockname")[1]
        assert attached == [port.send]
        port.send(b"hello", local, mine)
        data, source = await client.got.get()
        assert (data, source[1]) == (b"hello", port.port)
        transport.sendto(b"noise", source)
        transport.sendto(b'{"type": "push-ack", "lastRefTime":"42", "data":""}', source)
        assert await acknowledged.get() == (local, mine, 42)
        port.pause_writing()
        port.send(b"dropped", local, mine)
        port.resume_writing()
        port.send(b"kept", local, mine)
        assert (await client.got.get())[0] == b"kept"
    transport.close()
    port.close()
    port.close()
    assert attached == [port.send, None]


def test_addresses_are_written_plainly() -> None:
    assert plain("::ffff:10.0.0.1") == "10.0.0.1"
    assert plain("fe80::1%eth0") == "fe80::1"
    assert plain("10.0.0.1") == "10.0.0.1"
