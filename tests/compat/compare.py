"""Compares a replayed recording with what was recorded: structural differences, each one explained by a rule or reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .bodies import Tree, decode
from .exchange import Exchange
from .recording import Answer, Recording
from .rules import MISSING, Difference, RuleBook, Seen, Story
from .substitution import Substitution

KeyOf = Callable[[str, Any], str | None]
"""(path of a list, an element) -> the element's key when that list is a set, else None."""

TEXT_LIMIT = 400


@dataclass(frozen=True)
class Reading:
    """How one protocol's answers are read, apart from its rules."""

    headers: tuple[str, ...]
    """Header names that are compared; all others belong to the HTTP implementation."""
    key_of: KeyOf = lambda path, item: None
    lists: frozenset[tuple[str, str]] = frozenset()
    decode: Callable[[Exchange, Answer], tuple[str, Tree]] | None = None
    """Reads a body whose format the bytes do not show (protobuf); None = JSON, XML or text."""


@dataclass
class Report:
    """The outcome of one recording."""

    recording: str
    exchanges: int = 0
    failures: list[str] = field(default_factory=list)
    explained: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        head = f"{self.recording}: {len(self.failures)} unexplained of {self.exchanges} exchanges"
        return "\n\n".join([head, *self.failures])


def compare(
    recording: Recording, exchanges: list[Exchange], reading: Reading, book: RuleBook, known: Substitution | None = None
) -> Report:
    """Judge every exchange in order; ``known`` are the server's values found during the replay."""
    report, story = Report(recording.name), Story()
    for exchange in exchanges:
        report.exchanges += 1
        expected_format, expected = read(reading, exchange, exchange.expected)
        got_format, got = read(reading, exchange, exchange.got)
        if known is not None:
            expected = known.in_tree(expected)
        found = list(_all(reading, exchange, (expected_format, expected), (got_format, got)))
        for difference in found:
            seen = Seen(difference, exchange, expected, got, story, recording.name)
            rule, refused = book.judge(seen)
            if rule is None:
                report.failures.append(_explain(exchange, difference, refused))
            else:
                report.explained[rule.id] = report.explained.get(rule.id, 0) + 1
        for invariant in book.invariants:
            wrong = invariant.broken(exchange, got, story)
            if wrong is not None:
                report.failures.append(f"{_head(exchange)}\n  invariant {invariant.id} ({invariant.reason}): {wrong}")
        story.earlier.append(exchange)
    return report


def read(reading: Reading, exchange: Exchange, answer: Answer) -> tuple[str, Tree]:
    """Format and tree of one side's body."""
    if reading.decode is not None:
        return reading.decode(exchange, answer)
    if exchange.request.method == "HEAD":
        return "empty", None
    return decode(answer.body, answer.header("content-encoding"), reading.lists)


def _all(
    reading: Reading, exchange: Exchange, expected: tuple[str, Tree], got: tuple[str, Tree]
) -> Iterator[Difference]:
    if exchange.expected.status != exchange.got.status:
        yield Difference("status", exchange.expected.status, exchange.got.status)
    for name in reading.headers:
        before, now = exchange.expected.header(name), exchange.got.header(name)
        if before != now:
            yield Difference(f"header.{name}", MISSING if before is None else before, MISSING if now is None else now)
    if expected[0] != got[0]:
        yield Difference("format", expected[0], got[0])
    else:
        yield from differences("body", expected[1], got[1], reading.key_of)


def differences(path: str, expected: Tree, got: Tree, key_of: KeyOf) -> Iterator[Difference]:
    """All places where two trees differ; a missing or an extra subtree is one difference."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in sorted(expected.keys() | got.keys()):
            yield from _step(f"{path}.{key}", expected.get(key, MISSING), got.get(key, MISSING), key_of)
    elif isinstance(expected, list) and isinstance(got, list):
        yield from _lists(path, expected, got, key_of)
    elif type(expected) is not type(got) or expected != got:
        yield Difference(path, expected, got)


def _step(path: str, expected: Any, got: Any, key_of: KeyOf) -> Iterator[Difference]:
    if expected is MISSING or got is MISSING:
        yield Difference(path, expected, got)
    else:
        yield from differences(path, expected, got, key_of)


def _lists(path: str, expected: list[Any], got: list[Any], key_of: KeyOf) -> Iterator[Difference]:
    keys = [[key_of(path, item) for item in side] for side in (expected, got)]
    if any(None in side for side in keys):
        for index in range(max(len(expected), len(got))):
            left = expected[index] if index < len(expected) else MISSING
            right = got[index] if index < len(got) else MISSING
            yield from _step(f"{path}[{index}]", left, right, key_of)
        return
    for side, name in zip(keys, ("expected", "got"), strict=True):
        twice = sorted({str(key) for key in side if side.count(key) > 1})
        if twice:
            yield Difference(f"{path}.duplicates", *((twice, []) if name == "expected" else ([], twice)))
    left_by, right_by = (dict(zip(side, items, strict=True)) for side, items in zip(keys, (expected, got), strict=True))
    for key in sorted(left_by.keys() | right_by.keys(), key=str):
        yield from _step(f"{path}[{key}]", left_by.get(key, MISSING), right_by.get(key, MISSING), key_of)


def _head(exchange: Exchange) -> str:
    asked = exchange.request
    accept = asked.header("accept")
    return f"#{exchange.number} {asked.method} {asked.target}" + (f"  (Accept: {accept})" if accept else "")


def _explain(exchange: Exchange, difference: Difference, refused: list[str]) -> str:
    lines = [
        _head(exchange),
        f"  at {difference.path}",
        f"    recorded {_short(difference.expected)}",
        f"    got      {_short(difference.got)}",
    ]
    if exchange.request.body:
        lines.append(f"  request body {_short(exchange.request.body.decode(errors='replace'))}")
    if difference.path in ("status", "format"):
        lines.append(f"  recorded answer {_short(exchange.expected.body.decode(errors='replace'))}")
        lines.append(f"  live answer     {_short(exchange.got.body.decode(errors='replace'))}")
    if refused:
        lines.append(f"  rules that looked at it and refused: {', '.join(refused)}")
    return "\n".join(lines)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}… ({len(text)} characters)"
