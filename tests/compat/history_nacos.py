"""What a recorded Nacos server said of a service, and when: its reads and pushes lag by half a second or so, ours do not."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NamedTuple

from polaris_bridge.adapters.nacos.wire.payload import decode

from . import wire_nacos
from .exchange import Exchange
from .recording import Answer, Datagram, GrpcMessage, HttpCall, Request, load
from .suite import RECORDINGS

LAG_S = 3.0
"""After so long the recorded server had said everywhere what was true: half a second of gathering, and clients that ask each
two seconds."""


class Said(NamedTuple):
    """One recorded list."""

    number: int
    t: float
    service: str
    hosts: tuple[str, ...]


def service_of(listed: dict[str, Any]) -> str:
    """Which list of which service: group, name and clusters."""
    return f"{listed['groupName']}@@{listed['name']}/{listed['clusters']}"


def hosts_of(listed: dict[str, Any]) -> tuple[str, ...]:
    """The instances of a list, comparable, in no order."""
    return tuple(sorted(json.dumps(host, sort_keys=True) for host in listed["hosts"]))


@cache
def said(recording: str) -> tuple[Said, ...]:
    """Every recorded list, in order."""
    found = []
    for number, line in enumerate(load(RECORDINGS / "nacos" / f"{recording}.jsonl").lines, 1):
        if isinstance(line, HttpCall):
            request, answer, t = line.request, line.answer, line.end
        elif isinstance(line, Datagram) and line.sender == "server":
            request, answer, t = Request("udp", ""), Answer("datagram", (), line.body), line.t
        elif isinstance(line, GrpcMessage) and line.sender == "server":
            request, answer, t = Request("grpc", ""), Answer("message", (), line.body), line.t
        else:
            continue
        listed = wire_nacos.list_in(wire_nacos.read(Exchange(number, request, answer, answer), answer)[1])
        if listed is not None:
            found.append(Said(number, t, service_of(listed), hosts_of(listed)))
    return tuple(found)


def time_of(recording: str, exchange: Exchange) -> float:
    """When the recorded answer to this was complete."""
    lines = load(RECORDINGS / "nacos" / f"{recording}.jsonl").lines
    line = lines[exchange.number % 1_000_000 - 1]
    return line.end if isinstance(line, HttpCall) else line.t


@cache
def writes(recording: str) -> tuple[float, ...]:
    """When clients began to change something."""
    found = []
    for line in load(RECORDINGS / "nacos" / f"{recording}.jsonl").lines:
        if isinstance(line, HttpCall):
            if line.request.method != "GET" and "/instance?" in line.request.target:
                found.append(line.t)
        elif (
            isinstance(line, GrpcMessage)
            and line.sender == "client"
            and wire_nacos.kind_of(line.body).endswith("InstanceRequest")
        ):
            found.append(line.t)
    return tuple(found)


@cache
def removals(recording: str) -> tuple[tuple[float, float, str], ...]:
    """When each removal of a configuration over gRPC was asked for and answered, and its data id."""
    asked: dict[int, tuple[float, str]] = {}
    found = []
    for line in load(RECORDINGS / "nacos" / f"{recording}.jsonl").lines:
        if not isinstance(line, GrpcMessage):
            continue
        if line.sender == "client" and wire_nacos.kind_of(line.body) == "ConfigRemoveRequest":
            asked[line.call] = line.t, json.loads(decode(line.body).body)["dataId"]
        elif line.sender == "server" and line.call in asked:
            began, data_id = asked.pop(line.call)
            found.append((began, line.t, data_id))
    return tuple(found)


def soon(recording: str, exchange: Exchange, service: str) -> list[tuple[str, ...]]:
    """What the recorded server said of a list within its lag after this, before anybody changed something again."""
    at = time_of(recording, exchange)
    until = min([at + LAG_S, *(t for t in writes(recording) if t > at)])
    return [one.hosts for one in said(recording) if one.service == service and at <= one.t <= until]
