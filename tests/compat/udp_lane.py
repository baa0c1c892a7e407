"""UDP ports of recorded clients: a live socket for each, told to the server by substituting its number in later requests."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass, field
from typing import Any

from .inbox import Inbox, MessageKey
from .plan import Answering, Plan
from .recording import Answer, Datagram, Recording


class _Port(asyncio.DatagramProtocol):
    def __init__(self, key: MessageKey | None) -> None:
        self.inbox = Inbox(key)
        self.server: tuple[str, int] | None = None
        self.heard: list[tuple[bytes, bytes]] = []
        """What came, as recorded and live."""

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.server = (str(addr[0]), addr[1])
        self.inbox.put(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)


@dataclass
class UdpLanes:
    """The live sockets by the recorded client port."""

    live: dict[int, tuple[asyncio.DatagramTransport, _Port]] = field(default_factory=dict)
    answering: Answering | None = None

    def ports(self) -> dict[int, int]:
        """Recorded client port -> live port."""
        return {port: transport.get_extra_info("sockname")[1] for port, (transport, _) in self.live.items()}

    def send(self, line: Datagram, body: bytes) -> None:
        """A client's datagram goes to whoever wrote to that port last; without such a server there is nobody to answer."""
        transport, port = self.live[line.src]
        answer = body if self.answering is None else self.answering(body, port.heard)
        if port.server is not None and answer is not None:
            transport.sendto(gzip.compress(answer) if line.gzip else answer, port.server)

    async def receive(self, line: Datagram, deadline_s: float) -> Answer:
        """The live counterpart of a recorded push."""
        port = self.live[line.dst][1]
        body = await port.inbox.wait_for(line.body, deadline_s)
        if body is None:
            return Answer("nothing")
        port.heard.append((line.body, body))
        return Answer("datagram", (), body)

    def close(self) -> None:
        """Close all sockets."""
        for transport, _ in self.live.values():
            transport.close()


async def open_lanes(recording: Recording, plan: Plan) -> UdpLanes:
    """Bind a free loopback port for every client port of the recording."""
    lanes = UdpLanes(answering=plan.answering)
    for line in recording.lines:
        if not isinstance(line, Datagram):
            continue
        port = line.dst if line.sender == "server" else line.src
        if port not in lanes.live:
            lanes.live[port] = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Port(plan.message_key), local_addr=("127.0.0.1", 0)
            )
    return lanes
