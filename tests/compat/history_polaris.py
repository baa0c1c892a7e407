"""What the recorded server said later: its reads are up to a second old, ours never, so ours may be what it said next."""

from __future__ import annotations

import json
import re
from collections import defaultdict, deque
from functools import cache
from typing import Any, NamedTuple

from polaris_bridge.adapters.polaris.wire import v1

from . import wire_polaris
from .exchange import Exchange
from .recording import Answer, GrpcMessage, GrpcOpen, HttpCall, Request, load
from .suite import RECORDINGS

CACHE_AGE_S = 3.6
"""After so long the recorded server has read its store again, and a client that asks every 2 to 3 s has asked again."""

OWN = frozenset(
    {"revision", "ctime", "mtime", "etime", "ports", "token", "editable", "deleteable", "total_instance_count"}
)
"""What servers draw or count themselves."""

_DRAWN = re.compile(r"[0-9a-f]{32}")


class Said(NamedTuple):
    """One recorded answer."""

    number: int
    t: float
    question: str
    bare: str


def question_of(request: Request) -> str:
    """What was asked, without what the client knows already."""
    if request.method != "grpc":
        return f"{request.method} {request.target} {request.body.decode(errors='replace')}"
    if not request.target.endswith("/Discover"):
        return f"{request.target} {request.body.hex()}"
    asked = v1.DiscoverRequest.FromString(request.body)
    return f"{request.target} {asked.type} {asked.service.namespace.value} {asked.service.name.value}"


def bare(tree: Any) -> Any:
    """An answer without what servers draw themselves, its lists sorted."""
    if isinstance(tree, dict):
        return {k: bare(v) for k, v in sorted(tree.items()) if k not in OWN and not (k == "id" and _drawn(v))}
    if isinstance(tree, list):
        return sorted((bare(item) for item in tree), key=lambda item: json.dumps(item, sort_keys=True))
    return tree


def text(tree: Any) -> str:
    """``bare`` as something that can be compared and kept."""
    return json.dumps(bare(tree), sort_keys=True)


def _drawn(value: Any) -> bool:
    return isinstance(value, str) and _DRAWN.fullmatch(value) is not None


@cache
def said(recording: str) -> tuple[Said, ...]:
    """Every recorded answer, in order."""
    found = []
    asked: dict[int, deque[Request]] = defaultdict(deque)
    methods: dict[int, str] = {}
    for number, line in enumerate(load(RECORDINGS / "polaris" / f"{recording}.jsonl").lines, 1):
        if isinstance(line, GrpcOpen):
            methods[line.call] = line.method
        elif isinstance(line, GrpcMessage) and line.sender == "client":
            asked[line.call].append(Request("grpc", methods[line.call], (), line.body))
        elif isinstance(line, GrpcMessage) and not asked[line.call]:
            continue  # a limiter tells its clients some things unasked
        elif isinstance(line, GrpcMessage | HttpCall):
            request = line.request if isinstance(line, HttpCall) else asked[line.call].popleft()
            answer = line.answer if isinstance(line, HttpCall) else Answer("message", (), line.body)
            tree = wire_polaris.read(Exchange(number, request, answer, answer), answer)[1]
            found.append(Said(number, line.t, question_of(request), text(tree)))
    return tuple(found)


def soon(recording: str, exchange: Exchange) -> list[str]:
    """What the recorded server answered to the same question within its cache's age."""
    number = exchange.number % 1_000_000
    answers = said(recording)
    at = next((one.t for one in answers if one.number == number), None)
    if at is None:
        return []
    question = question_of(exchange.request)
    return [
        one.bare for one in answers if one.number > number and one.question == question and one.t <= at + CACHE_AGE_S
    ]
