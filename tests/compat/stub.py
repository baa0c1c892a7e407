"""A server that plays a recording back: it answers every request with the recorded answer. Proves the replayer, not a product."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable

import h11

from .plan import Plan, Target, schedule
from .recording import Answer, HttpCall, Pairs, Recording, Request

Alter = Callable[[int, HttpCall], Answer]
"""(number of the line, the call) -> the answer to give instead of the recorded one."""

_OWN_HEADERS = ("content-length", "transfer-encoding", "connection", "keep-alive", "date")


def as_recorded(number: int, call: HttpCall) -> Answer:
    """The faithful playback."""
    return call.answer


@contextlib.asynccontextmanager
async def playback(recording: Recording, plan: Plan, alter: Alter = as_recorded) -> AsyncIterator[Playback]:
    """Serve the recording on a free loopback port."""
    stub = Playback(recording, plan, alter)
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.target = Target(http=server.sockets[0].getsockname()[:2], base="/eureka", recorded_base="/eureka")
    try:
        yield stub
    finally:
        server.close()
        await asyncio.gather(*stub.connections)
        await server.wait_closed()


class Playback:
    """The stub's state: what is still to be answered, and what came over the wire."""

    def __init__(self, recording: Recording, plan: Plan, alter: Alter) -> None:
        self.target = Target()
        self.received: list[tuple[int, Request]] = []
        """(number of the live connection, request) in order of arrival."""
        self.connections: set[asyncio.Task[None]] = set()
        self._opened = 0
        self._answers: dict[tuple[str, str], deque[Answer]] = defaultdict(deque)
        numbers = {id(line): number for number, line in enumerate(recording.lines, 1)}
        for planned in schedule(recording.lines, plan.late, Counter()):
            line = planned.line
            if isinstance(line, HttpCall):
                self._answers[line.request.method, line.request.target].append(alter(numbers[id(line)], line))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the client leaves."""
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        self._opened += 1
        number = self._opened
        state = h11.Connection(h11.SERVER)
        try:
            while (request := await _request(state, reader)) is not None:
                self.received.append((number, request))
                self._reply(state, writer, self._answers[request.method, request.target].popleft())
                await writer.drain()
                if state.our_state is not h11.DONE:
                    break
                state.start_next_cycle()
        finally:
            writer.close()
            self.connections.discard(task)

    def _reply(self, state: h11.Connection, writer: asyncio.StreamWriter, answer: Answer) -> None:
        headers: Pairs = tuple((name, value) for name, value in answer.headers if name.lower() not in _OWN_HEADERS)
        if answer.status not in ("204", "304"):
            headers += (("Content-Length", str(len(answer.body))),)
        head = h11.Response(status_code=int(answer.status), headers=[(n.encode(), v.encode()) for n, v in headers])
        writer.write(state.send(head))
        if answer.body:
            writer.write(state.send(h11.Data(data=answer.body)))
        writer.write(state.send(h11.EndOfMessage()))


async def _request(state: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = state.next_event()
        if event is h11.NEED_DATA:
            state.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            headers = tuple((name.decode(), value.decode()) for name, value in head.headers.raw_items())
            return Request(head.method.decode(), head.target.decode(), headers, bytes(body))
        else:
            return None
