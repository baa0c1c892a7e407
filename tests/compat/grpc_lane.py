"""gRPC calls for the replayer: any method as a stream of bytes, one channel a recorded peer. grpcio is imported only here."""

from __future__ import annotations

import asyncio
import importlib
import re
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from .exchange import Exchange, ReplayError
from .inbox import Inbox
from .plan import Plan, Target, called
from .recording import Answer, GrpcClose, GrpcMessage, GrpcOpen, Recording, Request

_OWN_METADATA = (":", "grpc-", "user-agent", "content-type", "te")
CANCELLED = "CLIENT_CANCELLED"


@dataclass
class Shape:
    """What a recording says about one call: how many messages each side sent, and how it ended."""

    client: int = 0
    server: int = 0
    code: str | None = None
    lasting: bool = False
    """Whether it stays open until the recording closes it."""

    @property
    def unary(self) -> bool:
        """One message each way and a status: the client says at once that nothing follows."""
        return not self.lasting and self.client <= 1 and self.server <= 1 and self.code not in (None, CANCELLED)


def shapes(recording: Recording, lasting: str = "") -> dict[int, Shape]:
    """The shape of every recorded call, by its number."""
    found: dict[int, Shape] = {}
    for line in recording.lines:
        if isinstance(line, GrpcOpen):
            found[line.call] = Shape(lasting=re.fullmatch(lasting, line.method) is not None)
        elif isinstance(line, GrpcMessage):
            shape = found[line.call]
            if line.sender == "client":
                shape.client += 1
            else:
                shape.server += 1
        elif isinstance(line, GrpcClose):
            found[line.call].code = line.code
    return found


def sendable(metadata: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Recorded metadata without what the transport writes itself."""
    return [(name, value) for name, value in metadata if not name.startswith(_OWN_METADATA)]


@dataclass
class _Call:
    method: str
    shape: Shape
    inbox: Inbox
    stub: Any = None
    reader: asyncio.Task[None] | None = None
    sent: Counter[str] = field(default_factory=Counter)
    last: bytes = b""
    asked: deque[bytes] | None = None
    """Messages that wait for their answers, where every one has its own."""
    heard: list[tuple[bytes, bytes]] = field(default_factory=list)
    """What the server said, as recorded and live."""


class GrpcLanes:
    """The live side of all recorded calls."""

    def __init__(self, target: Target, recording: Recording, plan: Plan) -> None:
        try:
            self._grpc = importlib.import_module("grpc")
        except ImportError as error:
            raise ReplayError(
                f"{recording.name}: has gRPC lines, and the package grpcio is not installed; install it to replay them"
            ) from error
        self._target = target
        self._plan = plan
        self._shapes = shapes(recording, plan.lasting)
        self._channels: dict[tuple[str, str], Any] = {}
        self._calls: dict[int, _Call] = {}

    async def play(self, number: int, line: GrpcOpen | GrpcMessage | GrpcClose, deadline_s: float) -> list[Exchange]:
        """Do what the line says; answers what can be compared now."""
        if isinstance(line, GrpcOpen):
            self._open(line)
            return []
        call = self._calls[line.call]
        if isinstance(line, GrpcClose):
            return await self._finish(number, call, line, deadline_s)
        if line.sender == "client":
            await self._send(call, line.body)
            return []
        patience_s = deadline_s if call.shape.unary or call.asked is not None else self._plan.told_within_s
        body = await call.inbox.wait_for(line.body, patience_s)
        got = Answer("nothing") if body is None else Answer("message", (), body)
        if body is not None:
            call.heard.append((line.body, body))
        if call.asked:
            call.last = call.asked.popleft()
        return [Exchange(number, self._request(call), Answer("message", (), line.body), got)]

    async def close(self) -> None:
        """End everything that is still open."""
        for call in self._calls.values():
            call.stub.cancel()
            if call.reader is not None:
                call.reader.cancel()
        for channel in self._channels.values():
            await channel.close()

    def _request(self, call: _Call) -> Request:
        return Request("grpc", called(call.method, call.last, self._plan.kind_of), (), call.last)

    def _open(self, line: GrpcOpen) -> None:
        host, port = self._target.grpc_of(line.method) or ("", 0)
        lane = line.peer, f"{host}:{port}"
        channel = self._channels.get(lane)
        if channel is None:
            options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 64 << 20)]
            channel = self._channels[lane] = self._grpc.aio.insecure_channel(lane[1], options=options)
        method = channel.stream_stream(line.method, request_serializer=bytes, response_deserializer=bytes)
        call = _Call(
            line.method,
            self._shapes[line.call],
            Inbox(self._plan.message_key),
            method(metadata=sendable(line.metadata)),
        )
        if re.fullmatch(self._plan.paired, line.method):
            call.asked = deque()
        call.reader = asyncio.create_task(self._read(call))
        self._calls[line.call] = call

    async def _read(self, call: _Call) -> None:
        try:
            while (body := await call.stub.read()) is not self._grpc.aio.EOF:
                call.inbox.put(body)
        except self._grpc.aio.AioRpcError:
            pass  # the status is compared when the recording closes the call
        finally:
            call.inbox.end()

    async def _send(self, call: _Call, body: bytes) -> None:
        answer = body if self._plan.answering is None else self._plan.answering(body, call.heard)
        if answer is None:
            return
        body = call.last = answer
        if call.asked is not None:
            call.asked.append(body)
        await call.stub.write(body)
        call.sent["client"] += 1
        if call.shape.unary:
            await call.stub.done_writing()

    async def _finish(self, number: int, call: _Call, line: GrpcClose, deadline_s: float) -> list[Exchange]:
        request = self._request(call)
        found = []
        if line.code == CANCELLED:
            call.stub.cancel()
        else:
            if not call.shape.unary and line.code == "OK":
                await call.stub.done_writing()
            got = await self._status(call, deadline_s)
            found.append(Exchange(number, request, Answer(line.code, line.trailers, line.details.encode()), got))
        nothing = Answer("nothing")
        found += [Exchange(number, request, nothing, Answer("message", (), body)) for body in call.inbox.rest()]
        return found

    async def _status(self, call: _Call, deadline_s: float) -> Answer:
        try:
            async with asyncio.timeout(deadline_s):
                code = await call.stub.code()
                details = await call.stub.details()
                trailers = await call.stub.trailing_metadata()
        except TimeoutError:
            return Answer("nothing")
        if call.reader is not None:
            await call.reader
        plain = tuple((name, value) for name, value in trailers or () if isinstance(value, str))
        return Answer(code.name, plain, (details or "").encode())
