"""Replays a recording against a live server: one lane a recorded connection, lines in recorded order, HTTP, gRPC and UDP alike.

Order. A line is sent after every line that began before it was answered, so that a server faster than the recorded one cannot
change the story. An HTTP call during which the recording began other calls (a long poll) is given ``PATIENCE_S`` and then left
running; a `Late` entry moves a call to the moment of its recorded answer. Gaps are shortened to ``Plan.pause_s`` unless a
`KeptGap` names them.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .bodies import decode
from .exchange import Exchange, ReplayError
from .grpc_lane import GrpcLanes
from .http_lane import HttpLanes
from .plan import Plan, Planned, Target, fits_call, schedule, sent
from .recording import Answer, Datagram, GrpcClose, GrpcMessage, GrpcOpen, HttpCall, Recording, Request
from .substitution import Substitution
from .udp_lane import open_lanes

PATIENCE_S = 0.5
"""How long an overlapped call is waited for before the next one begins."""
DEADLINE_S = 15.0
"""How long an answer may take beyond the recorded time."""

ReadTree = Callable[[Exchange, Answer], tuple[str, Any]]


class Replay:
    """One run of one recording against one server.

    After `run`, ``known`` holds the substitutions and ``used`` the entries of the plan that were needed.
    """

    def __init__(self, recording: Recording, target: Target, plan: Plan, read_tree: ReadTree | None = None) -> None:
        self.recording = recording
        self.target = target
        self.plan = plan
        self.read_tree = read_tree
        """(Exchange, Answer) -> (format, tree); needed only where the plan captures from bodies."""
        self.known = Substitution()
        self.used: Counter[str] = Counter()
        self._lines = sent(recording.lines, plan.left_out, self.used, plan.kind_of, recording.name)
        self._methods = {line.call: line.method for line in self._lines if isinstance(line, GrpcOpen)}
        self._exchanges: dict[int, Exchange] = {}
        self._numbers = {id(line): number for number, line in enumerate(recording.lines, 1)}
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> list[Exchange]:
        """Play all lines and answer the pairs in recorded order. Raises ReplayError when the talk cannot go on."""
        await self._open()
        try:
            before = 0.0
            for planned in schedule(self._lines, self.plan.late, self.used):
                await asyncio.sleep(self._pause(planned, planned.at - before))
                before = planned.at
                await self._play(planned)
            for task in self._running.values():
                await task
        finally:
            await self._close()
        return [self._exchanges[number] for number in sorted(self._exchanges)]

    async def _open(self) -> None:
        kinds = {type(line) for line in self._lines}
        self._http: HttpLanes | None = None
        self._grpc: GrpcLanes | None = None
        if HttpCall in kinds:
            if self.target.http is None:
                raise ReplayError(f"{self.recording.name}: has HTTP lines, but no HTTP address was given")
            self._http = HttpLanes(self.target)
        if kinds & {GrpcOpen, GrpcMessage, GrpcClose}:
            if self.target.grpc is None:
                raise ReplayError(f"{self.recording.name}: has gRPC lines, but no gRPC address was given")
            self._grpc = GrpcLanes(self.target, self.recording, self.plan)
        self._udp = await open_lanes(self.recording, self.plan)
        for recorded, live in self._udp.ports().items():
            self.known.learn(str(recorded), str(live))

    async def _close(self) -> None:
        for task in self._running.values():
            task.cancel()
        self._udp.close()
        if self._http is not None:
            await self._http.close()
        if self._grpc is not None:
            await self._grpc.close()

    def _pause(self, planned: Planned, gap: float) -> float:
        line = planned.line
        method, target = "", ""
        if isinstance(line, HttpCall):
            method, target = line.request.method, line.request.target
        elif isinstance(line, GrpcOpen | GrpcMessage) and not (
            isinstance(line, GrpcMessage) and line.sender == "server"
        ):
            method, target = "grpc", self._methods[line.call]
        for entry in self.plan.kept:
            if method and fits_call(entry, method, target) and gap >= entry.at_least_s:
                self.used[entry.id] += 1
                return gap
        return min(max(gap, 0.0), self.plan.pause_s)

    async def _play(self, planned: Planned) -> None:
        line = planned.line
        number = self._numbers[id(line)]
        if isinstance(line, HttpCall):
            await self._play_http(number, line, planned.overlapped)
        elif isinstance(line, Datagram):
            await self._play_datagram(number, line)
        else:
            await self._play_grpc(number, line)

    async def _play_http(self, number: int, line: HttpCall, overlapped: bool) -> None:
        busy = self._running.pop(line.conn, None)
        if busy is not None:
            await busy
        task = asyncio.create_task(self._call(number, line))
        if not overlapped:
            await task
            return
        done, _ = await asyncio.wait([task], timeout=PATIENCE_S)
        if done:
            task.result()
        else:
            self._running[line.conn] = task

    async def _call(self, number: int, line: HttpCall) -> None:
        assert self._http is not None
        got = await self._http.call(line.conn, self.known.in_request(line.request), line.took + DEADLINE_S)
        self._note(Exchange(number, line.request, line.answer, got, line.added, int(time.time() * 1000)))

    async def _play_datagram(self, number: int, line: Datagram) -> None:
        if line.sender == "client":
            self._udp.send(line, self.known.in_bytes(line.body))
            return
        got = await self._udp.receive(line, self.plan.told_within_s)
        self._note(Exchange(number, Request("udp", str(line.dst)), Answer("datagram", (), line.body), got))

    async def _play_grpc(self, number: int, line: GrpcOpen | GrpcMessage | GrpcClose) -> None:
        assert self._grpc is not None
        if isinstance(line, GrpcMessage) and line.sender == "client":
            rewrite = self.plan.rewrite
            method = self._methods[line.call]
            body = self.known.in_bytes(line.body) if rewrite is None else rewrite(method, line.body, self.known)
            line = replace(line, body=body)
        for exchange in await self._grpc.play(number, line, DEADLINE_S):
            self._note(exchange)

    def _note(self, exchange: Exchange) -> None:
        number = exchange.number
        while (
            number in self._exchanges
        ):  # messages that only the live server sent come after the line they were found at
            number += 1_000_000
        self._exchanges[number] = exchange
        if self.plan.captures:
            self._capture(exchange)

    def _capture(self, exchange: Exchange) -> None:
        recorded, live = (_leaves(self._tree(exchange, side)) for side in (exchange.expected, exchange.got))
        for path, value in recorded.items():
            if value in ("", None):
                continue
            for capture in self.plan.captures:
                if re.fullmatch(capture.path, path) and re.fullmatch(capture.value, str(value)) and path in live:
                    self.used[capture.id] += 1
                    self.known.learn(str(value), str(live[path]))

    def _tree(self, exchange: Exchange, answer: Answer) -> dict[str, Any]:
        headers = {name.lower(): value for name, value in answer.headers}
        if self.read_tree is not None:
            return {"header": headers, "body": self.read_tree(exchange, answer)[1]}
        return {"header": headers, "body": decode(answer.body, answer.header("content-encoding"))[1]}


def _leaves(tree: Any, path: str = "") -> dict[str, Any]:
    if isinstance(tree, dict):
        return {
            p: v for key, value in tree.items() for p, v in _leaves(value, f"{path}.{key}" if path else key).items()
        }
    if isinstance(tree, list):
        return {p: v for index, value in enumerate(tree) for p, v in _leaves(value, f"{path}[{index}]").items()}
    return {path: tree}
