"""Scenes of callers that tell of their calls, the rules they are judged by, and what polaris-go 1.7.0 makes of them.

``ANSWERS`` holds what it said after each step: whether a call would pass. ``tests/live/polaris`` asks it again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from polaris_bridge.adapters._shared.patterns import LinearSearch
from polaris_bridge.adapters.polaris.translate.breaking import breaker_rules
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.adapters.polaris.wire.json import decode
from polaris_bridge.core.breaking.breakers import Breakers
from polaris_bridge.core.breaking.model import OPEN, BreakingTerms, Calls, Told
from polaris_bridge.core.model import AddressKey, ServiceKey

Document = dict[str, Any]
ANSWERS: Final = Path(__file__).resolve().parent / "data" / "breaking_agreement.json"
SOON: Final = 300
"""Milliseconds after which the library's state has turned; a thread of its own turns it."""


def code(value: str, operator: str) -> Document:
    return {"inputType": "RET_CODE", "condition": {"type": operator, "value": value}}


def row(errors: int) -> Document:
    return {"triggerType": "CONSECUTIVE_ERROR", "errorCount": errors}


def share(percent: int, calls: int) -> Document:
    return {"triggerType": "ERROR_RATE", "errorPercent": percent, "minimumRequest": calls, "interval": 2}


def a_rule(*triggers: Document, level: str = "SERVICE", caller: str = "*", method: str = "", **more: Any) -> Document:
    """A rule of the service that ``{service}`` stands for."""
    source = {"service": caller, "namespace": "*" if caller == "*" else "default"}
    destination: Document = {"service": "{service}", "namespace": "default"}
    if level == "METHOD":
        destination["method"] = {"type": "EXACT", "value": method}
    return {
        "name": "rule-{service}", "namespace": "default", "enable": True, "level": level,
        "ruleMatcher": {"source": source, "destination": destination}, "triggerCondition": list(triggers),
        "recoverCondition": {"sleepWindow": 60, "consecutiveSuccess": 2},
    } | more  # fmt: skip


def ok(count: int = 1, wait: int = SOON) -> Document:
    return {"code": "200", "count": count, "wait": wait}


def bad(count: int = 1, wait: int = SOON, **said: Any) -> Document:
    return {"code": "500", "failed": True, "count": count, "wait": wait} | said


def wait(ms: int) -> Document:
    return {"code": "", "count": 0, "wait": ms}


ALONE: Final = {"destination": {"service": "{service}", "namespace": "default"}}
"""Neither a source nor a method: the server adds both for its readers."""
SLEEPS: Final = {"recoverCondition": {"sleepWindow": 1, "consecutiveSuccess": 2}}
INTERVAL: Final = 2700
"""Milliseconds after which an error rate was looked at: an interval after the first error."""

Scene = tuple[list[Document], list[Document], Document]
SCENES: Final[dict[str, Scene]] = {
    "errors in a row": ([a_rule(row(3))], [bad(2), bad(), bad(), ok(5)], {}),
    "a good call between": ([a_rule(row(3))], [bad(2), ok(), bad(2), bad()], {}),
    "a row of none": ([a_rule(row(0))], [bad(20)], {}),
    "half of ten": ([a_rule(share(50, 10))], [bad(5, 0), ok(5, INTERVAL)], {}),
    "less than half": ([a_rule(share(50, 10))], [bad(4, 0), ok(6, INTERVAL)], {}),
    "too few calls": ([a_rule(share(50, 10))], [bad(5, INTERVAL)], {}),
    "all of one": ([a_rule(share(100, 1))], [bad(1, INTERVAL)], {}),
    "one of two triggers": ([a_rule(share(100, 1000), row(4))], [bad(3), bad()], {}),
    "tried, well, closed": ([a_rule(row(2), **SLEEPS)], [bad(2), wait(1500), ok(), ok(), bad(), bad()], {}),
    "tried, bad, open": ([a_rule(row(2), **SLEEPS)], [bad(2), wait(1500), ok(), bad(), wait(1500), ok(2), bad()], {}),
    "told while open": ([a_rule(row(2), **SLEEPS)], [bad(2), ok(9, 0), bad(9, 0), wait(1700), ok(2), bad(), bad()], {}),
    "codes by pattern": ([a_rule(row(2), errorConditions=[code("^5", "REGEX")])], [bad(9, code="450"), bad(2, code="503")], {}),
    "codes in a range": (
        [a_rule(row(2), errorConditions=[code("500~599", "RANGE")])], [bad(9, code="600"), bad(2, code="599")], {}),
    "codes in a list": ([a_rule(row(1), errorConditions=[code("404,429", "IN")])], [bad(9), bad(code="429")], {}),
    "codes that are not": ([a_rule(row(1), errorConditions=[code("200", "NOT_EQUALS")])], [bad(9, code="200"), ok(), bad()], {}),
    "any code": ([a_rule(row(2), errorConditions=[code("*", "EXACT")])], [ok(2)], {}),
    "slow calls": (
        [a_rule(row(2), errorConditions=[{"inputType": "DELAY", "condition": {"value": "100"}}])],
        [ok() | {"delay": 100, "count": 9}, ok() | {"delay": 101, "count": 2}], {}),
    "codes or slow": (
        [a_rule(row(2), errorConditions=[code("^5", "REGEX"), {"inputType": "DELAY", "condition": {"value": "100"}}])],
        [ok() | {"delay": 200}, bad()], {}),
    "as the caller took it": ([a_rule(row(2))], [bad(2, failed=False), bad(2, code="200")], {}),
    "a method": ([a_rule(row(2), level="METHOD", method="/pay")], [bad(2)], {"level": "METHOD", "method": "/pay"}),
    "another method": ([a_rule(row(2), level="METHOD", method="/pay")], [bad(9)], {"level": "METHOD", "method": "/other"}),
    "an instance": ([a_rule(row(2), level="INSTANCE")], [bad(), bad()], {"level": "INSTANCE", "port": 8080}),
    "another level": ([a_rule(row(2), level="INSTANCE")], [bad(9)], {}),
    "a rule for the caller": ([a_rule(row(2), caller="cart")], [bad(2)], {"caller": "cart"}),
    "a rule for another caller": ([a_rule(row(2), caller="cart")], [bad(9)], {"caller": "web"}),
    "the caller's own rule first": (
        [a_rule(row(1), name="a-{service}"), a_rule(row(5), caller="cart")], [bad(4), bad()], {"caller": "cart"}),
    "everybody's for others": (
        [a_rule(row(1), name="a-{service}"), a_rule(row(5), caller="cart")], [bad()], {"caller": "web"}),
    "without a source": ([a_rule(row(2), ruleMatcher=ALONE)], [bad(2)], {}),
    "methods without a name": (
        [a_rule(row(2), name=f"{name}-{{service}}", level="METHOD", ruleMatcher=ALONE) for name in "ab"],
        [bad(2)], {"level": "METHOD", "method": "/pay"}),
    "switched off": ([a_rule(row(1), enable=False)], [bad(9)], {}),
}  # fmt: skip


class Hand:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def monotonic(self) -> float:
        return self.ms / 1000

    def wall_ms(self) -> int:
        return self.ms


class Rules:
    """The rules of one service."""

    def __init__(self, rules: list[Document]) -> None:
        made = []
        for at, rule in enumerate(rules):
            message = decode(v1.CircuitBreakerRule, json.dumps(rule | {"id": f"{at}"}).encode())
            made.append(message)
        self._rules = breaker_rules(made)

    def revision(self) -> int:
        return 1

    def of(self, _service: ServiceKey) -> Any:
        return 1, lambda: self._rules


def named(value: Any, service: str) -> Any:
    return json.loads(json.dumps(value).replace("{service}", service))


def ours(service: str, rules: list[Document], steps: list[Document], said: Document) -> list[bool]:
    """Whether a call would pass after each step, by the server's own breakers with one voice, in simulated time."""
    clock = Hand()
    breakers = Breakers(Rules(rules), LinearSearch(), clock, BreakingTerms(reporters=1))
    key, caller = ServiceKey("default", service), ServiceKey("default", said.get("caller", "web"))
    level = said.get("level", "SERVICE")
    place = AddressKey("127.0.0.1", said["port"]) if level == "INSTANCE" else None
    passes = []
    for step in steps:
        failed = bool(step.get("failed"))
        for _ in range(step["count"]):
            calls = Calls(int(not failed), int(failed), step["code"], step.get("delay", 0))
            breakers.tell(Told("one", key, calls, caller, said.get("method", ""), place=place))
        clock.ms += step["wait"]
        breakers.tick()
        wanted = {"SERVICE": "service", "METHOD": "interface", "INSTANCE": "instance"}[level]
        open_ = [s for s in breakers.of(key) if s.resource.level == wanted and s.breaker.state == OPEN]
        passes.append(not open_)
    return passes


def answers() -> dict[str, list[bool]]:
    """What polaris-go said."""
    found: dict[str, list[bool]] = json.loads(ANSWERS.read_text())
    return found
