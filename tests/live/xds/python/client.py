"""A caller on gRPC's C core, whose ``xds:`` resolver is in the wheel: orders on standard input, one JSON line each."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import grpc

channels: dict[str, grpc.Channel] = {}


def call(order: dict[str, Any]) -> dict[str, Any]:
    """Calls one after the other; how often each back-end answered, and how often each status came."""
    target = order["target"]
    if target not in channels:
        channels[target] = grpc.insecure_channel(target)
    ask = channels[target].unary_unary(order["path"])
    answers, failures, reason = Counter[str](), Counter[str](), ""
    for _ in range(order["times"]):
        try:
            name = ask(b"", timeout=order["within_ms"] / 1000, metadata=tuple(order["metadata"].items()))
            answers[name.decode()] += 1
        except grpc.RpcError as error:
            failures[error.code().name] += 1
            reason = error.details()
    return {"answers": answers, "failures": failures, "reason": reason}


def hang_up(order: dict[str, Any]) -> dict[str, Any]:
    made = channels.pop(order["target"], None)
    if made is not None:
        made.close()
    return {}


def main() -> None:
    commands = {"call": call, "hang up": hang_up}
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = commands[order["do"]](order)
        except (KeyError, ValueError) as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


main()
