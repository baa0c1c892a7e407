"""Two calls of our own on the HTTP port: whether a call may go ahead, and what the rules say of it.

For whoever has no SDK: a gateway's script, a job, a tool. Who may read the rules of a service may ask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from polaris_bridge.adapters._shared.catalog import Catalog
from polaris_bridge.adapters.polaris.answers import respond, text
from polaris_bridge.adapters.polaris.service.routes import CLIENT, Result, Route, Text, Unreadable
from polaris_bridge.adapters.polaris.settings import DISCOVER
from polaris_bridge.adapters.polaris.translate.limits import INTERFACE
from polaris_bridge.adapters.polaris.wire import limit_asked, v1
from polaris_bridge.adapters.polaris.wire.limit_asked import (
    Answer,
    Explanation,
    Line,
    Malformed,
    Question,
    ShownDecision,
    ShownLimit,
    ShownRule,
)
from polaris_bridge.core.limiting.judging import Asked, Judge, Told, Verdict
from polaris_bridge.core.limiting.model import Allowance
from polaris_bridge.core.limiting.rules import Made, ReadyRule
from polaris_bridge.core.model import Caller, ServiceKey
from polaris_bridge.core.ports import Clock, Resource

CHECK: Final = "/ratelimit/v1/check"
EXPLAIN: Final = "/ratelimit/v1/explain"
OPERATION: Final = "DiscoverRateLimitRule"
"""The right that is asked for: policies know no finer one."""
_OK: Final[int] = v1.ExecuteSuccess
_MS: Final = 1000


class LimitCalls:
    """Decisions over HTTP."""

    def __init__(self, judge: Judge, catalog: Catalog, clock: Clock) -> None:
        self._judge = judge
        self._catalog = catalog
        self._clock = clock

    def check(self, body: bytes, caller: Caller) -> Result:
        """Take tokens. 429 when the call may not go ahead. Raises ``Unreadable``."""
        question = question_of(body)
        if not question.service:
            return respond(v1.InvalidServiceName)
        verdict = self._judge.decide(self._asked(question, caller), self._clock.wall_ms())
        body = limit_asked.encode(_answer(verdict))
        if verdict.allowed:
            return Text(body)
        retry_s = -(-verdict.reset_ms // _MS)
        return Text(body, status=429, headers=((b"Retry-After", str(retry_s).encode()),))

    def explain(self, body: bytes, caller: Caller) -> Result:
        """What every rule of the service says of a call; nothing is taken. Raises ``Unreadable``."""
        question = question_of(body)
        if not question.service:
            return respond(v1.InvalidServiceName)
        asked = self._asked(question, caller)
        lines = [_line(told) for told in self._judge.tell(asked, self._clock.wall_ms())]
        return Text(limit_asked.encode(Explanation(_OK, text(_OK), question.namespace, question.service, lines)))

    def _asked(self, question: Question, caller: Caller) -> Asked:
        labels = question.labels
        if question.method:
            labels = {**labels, INTERFACE: question.method}
        service = self._catalog.target(ServiceKey(question.namespace, question.service))
        return Asked(service, labels, question.caller or caller.address, question.tokens)

    def routes(self) -> tuple[Route, ...]:
        """Both calls."""
        return (
            _route(
                "CheckRateLimit",
                CHECK,
                self.check,
                "Whether a call may go ahead by the rate limits of its service; takes its tokens.",
            ),
            _route(
                "ExplainRateLimit",
                EXPLAIN,
                self.explain,
                "What every rate limit of a service says of a call. Takes nothing.",
            ),
        )


def question_of(body: bytes) -> Question:
    """What was asked. Raises ``Unreadable``."""
    try:
        return limit_asked.read(body)
    except Malformed as error:
        raise Unreadable(str(error)) from None


def _about(body: Any) -> tuple[Resource, ...]:
    question = question_of(body)
    return (Resource("service", question.namespace, question.service),) if question.service else ()


def _route(name: str, path: str, handle: Callable[..., Result], about: str) -> Route:
    return Route(
        method="POST",
        path=path,
        operation=name,
        named=lambda _body: OPERATION,
        handle=handle,
        takes="bytes",
        response="",
        group=CLIENT,
        include=frozenset({DISCOVER}),
        resources=_about,
        about=about,
        unread="Response",
    )


def _answer(verdict: Verdict) -> Answer:
    if verdict.rule is None or verdict.allowance is None:
        return Answer(_OK, text(_OK), verdict.allowed)
    rule = verdict.rule.rule
    return Answer(
        _OK,
        text(_OK),
        verdict.allowed,
        verdict.remaining,
        verdict.reset_ms,
        _limit(verdict.allowance),
        ShownRule(rule.id, rule.name),
    )


def _made(ready: ReadyRule, made: Made) -> ShownDecision:
    labels = dict(zip((part.key for part in ready.parts), made.values, strict=False))
    return ShownDecision(made.at_ms, made.allowed, made.tokens, labels)


def _limit(allowance: Allowance) -> ShownLimit:
    return ShownLimit(allowance.amount, allowance.duration_ms)


def _line(told: Told) -> Line:
    ready, verdict = told.rule, told.verdict
    why = "all conditions hold"
    if ready.defect:
        why = f"not evaluated: {ready.defect}"
    elif told.unmet:
        why = f"the condition on {told.unmet} does not hold"
    line = Line(
        ready.rule.id,
        ready.rule.name,
        verdict is not None,
        why,
        [_limit(allowance) for allowance in told.allowances],
        tokens_allowed=ready.allowed,
        calls_refused=ready.refused,
        last=[_made(ready, made) for made in reversed(ready.last)],
    )
    if verdict is not None:
        line.allowed, line.remaining, line.reset = verdict.allowed, verdict.remaining, verdict.reset_ms
    return line
