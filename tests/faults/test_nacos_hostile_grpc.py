"""What nobody should send to the Nacos gRPC port: an answer or a clean refusal, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from child import Child
from nacos_light import Client, hosts, leave, named, until

from polaris_bridge.adapters.nacos.wire.payload import decode, encode

MIB = 1024 * 1024
REGISTER = named("hostile") | {"type": "registerInstance"}
DEEP = 100_000

OK, INTERNAL, EXHAUSTED = 0, 13, 8
UNREADABLE = ("ErrorResponse", 502)
NO_HANDLER = ("ErrorResponse", 302)
ILLEGAL = ("InstanceResponse", 400)


def instance(**members: Any) -> bytes:
    """A registration."""
    return json.dumps(REGISTER | {"instance": {"ip": "10.0.0.1", "port": 1} | members}).encode()


def raw(instance: bytes) -> bytes:
    """A registration whose instance is what it is."""
    return json.dumps(REGISTER).encode()[:-1] + b',"instance":' + instance + b"}"


WHOLE = encode("InstanceRequest", instance())
CASES: dict[str, tuple[bytes, object]] = {
    # what is sent, and the answer: type and code, or the status of the call; None: whatever it is, it is an answer
    "nothing": (b"", NO_HANDLER),
    "no body": (encode("InstanceRequest", b""), UNREADABLE),
    "not protobuf": (b"\xff" * 50, INTERNAL),
    "a length that lies": (b"\x12\xff\xff\xff\xff\x0f\x1a\x00", INTERNAL),
    "a type that nobody knows": (encode("NoSuchRequest", b"{}"), NO_HANDLER),
    "a type of servers": (encode("DistroDataRequest", b"{}"), UNREADABLE),
    "a type with a package": (encode("com.alibaba.nacos.api.naming.remote.request.InstanceRequest", b"{}"), NO_HANDLER),
    "a type of a megabyte": (encode("X" * MIB, b"{}"), NO_HANDLER),
    "a type that is not UTF-8": (b"\x12\x04\x1a\x02\xff\xfe\x1a\x04\x12\x02{}", INTERNAL),
    "five million fields": (b"\x12\x00" * (4 * MIB), INTERNAL),
    "groups in groups": (b"\x0b" * MIB, INTERNAL),
    "4 MiB of headers": (encode("HealthCheckRequest", b"{}", [(f"h{n}", "x" * 1000) for n in range(4000)]), OK),
    "more headers than anybody has": (encode("HealthCheckRequest", b"{}", [(f"h{n}", "") for n in range(99999)]), INTERNAL),
    "9 MiB of metadata": (encode("InstanceRequest", instance(metadata={"k": "x" * 9 * MIB})), ILLEGAL),
    "100,000 pairs of metadata": (encode("InstanceRequest", instance(metadata={str(n): "" for n in range(100_000)})), ILLEGAL),
    "more than 10 MiB": (encode("InstanceRequest", instance(metadata={"k": "x" * 11 * MIB})), EXHAUSTED),
    "deep lists": (encode("InstanceRequest", raw(b"[" * DEEP + b"]" * DEEP)), UNREADABLE),
    "deep objects": (encode("InstanceRequest", raw(b'{"metadata":' * DEEP + b"1" + b"}" * DEEP)), UNREADABLE),
    "deep and unknown": (encode("InstanceRequest", b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}"), UNREADABLE),
    "JSON that is not UTF-8": (encode("InstanceRequest", raw(b'{"ip":"\xff\xfe"}')), UNREADABLE),
    "half a surrogate": (encode("InstanceRequest", raw(b'{"ip":"10.0.0.1","port":1,"metadata":{"k":"\\ud800"}}')), None),
    "JSON that is cut off": (encode("InstanceRequest", instance()[:-5]), UNREADABLE),
    "a list for an object": (encode("InstanceRequest", b"[]"), UNREADABLE),
    "null": (encode("InstanceRequest", b"null"), None),
    "a number for an object": (encode("InstanceRequest", raw(b"7")), UNREADABLE),
    "an object for a port": (encode("InstanceRequest", instance(port={})), UNREADABLE),
    "a port without end": (encode("InstanceRequest", raw(b'{"ip":"10.0.0.1","port":' + b"9" * 100_000 + b"}")), UNREADABLE),
    "a weight without end": (encode("InstanceRequest", raw(b'{"port":1,"weight":' + b"9" * 100_000 + b"}")), None),
    "a port of 99999": (encode("InstanceRequest", instance(port=99999)), ILLEGAL),
    "no address": (encode("InstanceRequest", instance(ip="not an address !")), ILLEGAL),
    "a cluster of commas": (encode("InstanceRequest", instance(clusterName="a,b")), ILLEGAL),
    "a name of a megabyte": (encode("InstanceRequest", json.dumps(REGISTER | {"serviceName": "x" * MIB}).encode()), ILLEGAL),
    "separators in a name": (encode("InstanceRequest", json.dumps(REGISTER | {"serviceName": "a@@b##c"}).encode()), ILLEGAL),
    "a zero in a name": (encode("ServiceQueryRequest", json.dumps(named("a\0b")).encode()), OK),
    "a set up as a request": (encode("ConnectionSetupRequest", b"{}"), NO_HANDLER),
    "an answer as a request": (encode("NotifySubscriberResponse", b'{"requestId":"1"}'), NO_HANDLER),
    "a pattern that backtracks": (
        encode("NamingFuzzyWatchRequest", b'{"groupKeyPattern":"public>>' + b"*a" * 50_000 + b'>>*","watchType":"WATCH"}'),
        None,
    ),
    "a page before the first": (encode("ServiceListRequest", b'{"groupName":"g","pageNo":-7,"pageSize":2147483647}'), None),
}  # fmt: skip


@pytest.fixture(scope="module", params=["native", "grpcio"])
def child(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """One for all of this, on each transport. It never shows a traceback, neither here nor in its log."""
    started = Child(tmp_path_factory.mktemp("server"), f"apiservers.service-nacos.option.transport={request.param}")
    yield started
    started.end(signal.SIGKILL)
    assert "Traceback" not in started.output
    assert not [file for file in started.folder.rglob("*.log") if "Traceback" in file.read_text()]


@pytest.fixture(autouse=True)
async def cut() -> AsyncIterator[None]:
    """No connection outlives its test."""
    yield
    await leave()


class Bystander:
    """Somebody with a good conscience: registered, subscribed, asking all the time."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.service = client.id
        self.longest = 0.0
        """Seconds that an answer took."""

    @classmethod
    async def beside(cls, child: Child) -> Bystander:
        """Comes."""
        client = await Client.arrived(child.nacos + 1000)
        await client.register(client.id, "10.0.0.7", 7)
        assert hosts(await client.subscribe(client.id)) == [("10.0.0.7", 7)]
        return cls(client)

    async def ask_on(self) -> None:
        """Until it is cancelled."""
        while True:
            began = time.monotonic()
            assert await self.client.query(self.service) == [("10.0.0.7", 7)]
            self.longest = max(self.longest, time.monotonic() - began)
            await asyncio.sleep(0.005)

    async def is_well(self, child: Child) -> None:
        """What it registered is there, and it is told of changes."""
        assert not self.client.over.done()
        other = await Client.arrived(child.nacos + 1000)
        await other.register(self.service, "10.0.0.8", 8)
        await until(lambda: self.client.lists and b'"10.0.0.8"' in self.client.lists[-1], 5, "it is told")


class Villain:
    """A client by grpcio that is set up, and then says anything."""

    def __init__(self, port: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)
        self.request = self.channel.unary_unary("/Request/request")
        self.open = self.channel.stream_stream("/BiRequestStream/requestBiStream")
        self.stream: Any = None

    async def set_up(self) -> None:
        """As anybody."""
        await self.request(encode("ServerCheckRequest", b"{}"))
        self.stream = self.open()
        await self.stream.write(encode("ConnectionSetupRequest", b'{"clientVersion":"test","abilityTable":{}}'))
        assert decode(await self.stream.read()).type == "SetupAckRequest"

    async def say(self, data: bytes) -> object:
        """Type and code of the answer, OK, or the status of the call."""
        try:
            answer = decode(await self.request(data, timeout=10))
        except grpc.aio.AioRpcError as error:
            return error.code().value[0]
        body = json.loads(answer.body)
        if body["resultCode"] == 200:
            return OK
        assert body["success"] is False
        return answer.type, body["errorCode"]


@pytest.mark.timeout(120)
async def test_requests(child: Child) -> None:
    bystander = await Bystander.beside(child)
    asking = asyncio.ensure_future(bystander.ask_on())
    villain = Villain(child.nacos + 1000)
    await villain.set_up()
    found = {}
    for name, (data, _) in CASES.items():
        before, bystander.longest = bystander.longest, 0.0
        began = time.monotonic()
        found[name] = await villain.say(data)
        print(
            f"{name}: {found[name]} after {(time.monotonic() - began) * 1e3:.0f} ms, others {bystander.longest * 1e3:.0f} ms"
        )
        bystander.longest = max(before, bystander.longest)
        assert await villain.say(encode("HealthCheckRequest", b"{}")) == OK, f"after {name} the connection is as it was"
    assert not asking.done()
    asking.cancel()
    wrong = {name: (found[name], wanted) for name, (_, wanted) in CASES.items() if wanted not in (None, found[name])}
    assert wrong == {}
    await bystander.is_well(child)
    await villain.channel.close()


async def test_requests_cut_off_at_every_byte(child: Child) -> None:
    bystander = await Bystander.beside(child)
    client = await Client.arrived(child.nacos + 1000)
    villain = Villain(child.nacos + 1000)
    await villain.set_up()
    found = await asyncio.gather(*(villain.say(WHOLE[:end]) for end in range(len(WHOLE))))
    assert set(found) <= {INTERNAL, NO_HANDLER, UNREADABLE}, found
    assert await client.query("hostile") == []
    await bystander.is_well(child)
    await villain.channel.close()


async def test_streams(child: Child) -> None:
    """What is said on a stream: the stream may end for it, nothing else does."""
    bystander = await Bystander.beside(child)
    deep = b'{"labels":' + b"[" * DEEP
    labels = json.dumps({"clientVersion": "x" * MIB, "labels": {str(n): "v" * 100 for n in range(50_000)}}).encode()
    for said in (
        b"", b"\xff" * 99, b"\x12\x00" * MIB, encode("ConnectionSetupRequest", b""), encode("ConnectionSetupRequest", deep),
        encode("ConnectionSetupRequest", b'{"labels":{"a":{"b":1}},"clientVersion":7}'),
        encode("ConnectionSetupRequest", b"\xff"),
        encode("ConnectionSetupRequest", labels), encode("NotifySubscriberResponse", deep), encode("X" * MIB, b"{}"),
        encode("NotifySubscriberResponse", b'{"requestId":' + b"9" * 100_000 + b',"resultCode":200,"success":true}'),
        encode("InstanceRequest", instance()), encode("ConnectionSetupRequest", b"x" * 11 * MIB),
    ):  # fmt: skip
        villain = Villain(child.nacos + 1000)
        await villain.request(encode("ServerCheckRequest", b"{}"))
        stream = villain.open()
        await stream.write(said)
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # it may be over by now
            await stream.write(said)
        answer = await villain.say(encode("HealthCheckRequest", b"{}"))
        assert answer in (OK, ("ErrorResponse", 301)), answer
        stream.cancel()
        await villain.set_up()
        assert await villain.say(encode("HealthCheckRequest", b"{}")) == OK
        await villain.channel.close()
    await bystander.is_well(child)


async def test_a_stream_without_a_check_and_a_thousand_streams(child: Child) -> None:
    bystander = await Bystander.beside(child)
    villain = Villain(child.nacos + 1000)
    streams = [villain.open() for _ in range(900)]
    for stream in streams:
        await stream.write(encode("ConnectionSetupRequest", b'{"clientVersion":"test"}'))
    while await villain.say(encode("HealthCheckRequest", b"{}")) != OK:
        pass  # the streams have not been read yet
    assert await villain.say(WHOLE) == OK
    client = await Client.arrived(child.nacos + 1000)
    assert await client.query("hostile") == [("10.0.0.1", 1)]
    await villain.channel.close()
    await client.subscribe("hostile")
    await until(lambda: client.lists and b'"hosts":[]' in client.lists[-1], 5, "it goes with its connection")
    await bystander.is_well(child)
