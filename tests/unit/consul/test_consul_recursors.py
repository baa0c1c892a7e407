"""Names that are nobody's here: other servers are asked, in their order, and what they say is passed on as far as it fits."""

from __future__ import annotations

import asyncio

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from polaris_bridge.adapters.consul.server.dns_recursors import Recursors, _place
from polaris_bridge.adapters.consul.wire import dns as wire


class Upstream(asyncio.DatagramProtocol):
    """A server that knows every name."""

    def __init__(self, records: int = 1) -> None:
        self.records = records
        self.asked: list[str] = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        query = dns.message.from_wire(data)
        name = query.question[0].name
        self.asked.append(name.to_text())
        answer = dns.message.make_response(query, recursion_available=True)
        addresses = [f"192.0.2.{number}" for number in range(1, self.records + 1)]
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", *addresses))
        self.transport.sendto(answer.to_wire(), addr)


async def upstream(records: int = 1) -> tuple[Upstream, str]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: Upstream(records), ("127.0.0.1", 0))
    return server, f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"


async def closed() -> str:
    """An address where nobody is."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    transport.abort()
    await asyncio.sleep(0)
    return f"127.0.0.1:{port}"


async def ask(servers: list[str], **options) -> dns.message.Message:
    query = dns.message.make_query("example.org", "A", **options)
    recursors = Recursors(servers, 0.5)
    arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    found = recursors.ask(query.to_wire(), wire.read(query.to_wire()), False)
    assert not isinstance(found, bytes)
    found.then(arrived.set_result)
    async with asyncio.timeout(4):
        message = dns.message.from_wire(await arrived)
    recursors.close()
    assert query.is_response(message)
    assert message.flags & dns.flags.RA
    return message


async def test_the_first_that_answers():
    server, address = await upstream()
    message = await ask([await closed(), address])
    assert [rrset.to_text() for rrset in message.answer] == ["example.org. 60 IN A 192.0.2.1"]
    assert server.asked == ["example.org."]
    server.transport.close()


async def test_nobody_answers():
    assert (await ask([await closed()])).rcode() == dns.rcode.SERVFAIL


async def test_an_answer_that_is_larger_than_asked_for():
    server, address = await upstream(records=100)
    message = await ask([address])
    assert message.flags & dns.flags.TC
    assert not message.answer
    assert len((await ask([address], use_edns=0, payload=4096)).answer[0]) == 100
    server.transport.close()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("10.0.0.1", ("10.0.0.1", 53)),
        ("10.0.0.1:5353", ("10.0.0.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
    ],
)
def test_places(text, place):
    assert _place(text) == place
