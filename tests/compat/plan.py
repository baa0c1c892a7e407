"""How the recordings of one protocol are driven: where to, in which order, with which pauses and which values replaced."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .inbox import MessageKey
from .recording import Datagram, GrpcOpen, HttpCall, Line
from .substitution import Substitution


@dataclass(frozen=True)
class Target:
    """Where the live server listens. ``base`` replaces the path prefix ``recorded_base`` of HTTP targets."""

    http: tuple[str, int] | None = None
    grpc: tuple[str, int] | None = None
    base: str = ""
    recorded_base: str = ""

    def path(self, recorded: str) -> str:
        """The live path of a recorded one."""
        if recorded.startswith(self.recorded_base):
            return self.base + recorded[len(self.recorded_base) :]
        return recorded


@dataclass(frozen=True)
class Capture:
    """A value that the server assigns: where answers show it, so that later requests send the live one."""

    id: str
    path: str
    """Pattern of the place in an answer: ``header.<name>`` or ``body.<path>``."""
    reason: str


@dataclass(frozen=True)
class Late:
    """A recorded call whose effect came at its end: sent when its answer was recorded, not when it began."""

    id: str
    method: str
    target: str
    took_s: float
    """Only calls that took longer, and only when others ran meanwhile."""
    reason: str


@dataclass(frozen=True)
class KeptGap:
    """A recorded pause that has to pass in real time, because a lease or a timer runs out in it."""

    id: str
    method: str
    target: str
    """The call before which it is kept; of gRPC (method ``grpc``) before each of its messages."""
    at_least_s: float
    reason: str


@dataclass(frozen=True)
class LeftOut:
    """Recorded calls that are not sent: they belong to a part of the protocol that is not there."""

    id: str
    target: str
    """Pattern of the HTTP path (without its query) or of the gRPC method."""
    reason: str
    method: str = ".*"
    status: str = ".*"
    """The recorded status (HTTP only)."""


Rewrite = Callable[[str, bytes, Substitution], bytes]
"""(gRPC method, request, values found so far) -> the request with the live values."""


@dataclass(frozen=True)
class Plan:
    """How a protocol's recordings are driven."""

    captures: tuple[Capture, ...] = ()
    late: tuple[Late, ...] = ()
    kept: tuple[KeptGap, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    pause_s: float = 0.002
    """Between two lines; above a millisecond, so that the server's clock moves."""
    message_key: MessageKey | None = None
    """(gRPC or UDP body) -> key by which a recorded message finds its live one; None = in order."""
    paired: str = ""
    """Pattern of gRPC methods whose streams answer each message, in order; on others the last message counts as asked."""
    rewrite: Rewrite | None = None
    """How live values get into gRPC requests; None = as text."""

    def names(self) -> list[str]:
        """Every named entry; each must be used by some recording."""
        entries: tuple[Capture | Late | KeptGap | LeftOut, ...] = (
            *self.captures,
            *self.late,
            *self.kept,
            *self.left_out,
        )
        return [entry.id for entry in entries]


@dataclass(frozen=True)
class Planned:
    """A line with the time it is sent at (recorded seconds) and whether others begin before it is answered."""

    line: Line
    at: float
    overlapped: bool


def sent(lines: Iterable[Line], left_out: Iterable[LeftOut], used: Counter[str]) -> list[Line]:
    """The lines that are played; counts the entries that left some out."""
    entries = tuple(left_out)
    silent: set[int] = set()
    kept = []
    for line in lines:
        entry = None
        if isinstance(line, HttpCall):
            path = line.request.target.partition("?")[0]
            entry = _left_out(entries, line.request.method, path, line.answer.status)
        elif isinstance(line, GrpcOpen):
            entry = _left_out(entries, "grpc", line.method, "")
            if entry is not None:
                silent.add(line.call)
        elif not isinstance(line, Datagram) and line.call in silent:
            continue
        if entry is None:
            kept.append(line)
        else:
            used[entry.id] += 1
    return kept


def _left_out(entries: tuple[LeftOut, ...], method: str, target: str, status: str) -> LeftOut | None:
    for entry in entries:
        if (
            re.fullmatch(entry.method, method)
            and re.fullmatch(entry.target, target)
            and re.fullmatch(entry.status, status)
        ):
            return entry
    return None


def schedule(lines: Iterable[Line], late: Iterable[Late], used: Counter[str]) -> list[Planned]:
    """The order in which lines are played; counts the `Late` entries that changed something."""
    lines = list(lines)
    starts = [line.t for line in lines]
    planned = []
    for line in lines:
        if not isinstance(line, HttpCall):
            planned.append(Planned(line, line.t, False))
            continue
        overlapped = any(line.t < start < line.end for start in starts)
        crossed = any(o is not line and o.t < line.end and line.t < o.end for o in lines if isinstance(o, HttpCall))
        entry = next((entry for entry in late if crossed and fits(entry, line) and line.took > entry.took_s), None)
        if entry is not None:
            used[entry.id] += 1
        planned.append(Planned(line, line.end, False) if entry else Planned(line, line.t, overlapped))
    return sorted(planned, key=lambda plan: plan.at)


def fits(entry: Late | KeptGap, line: HttpCall) -> bool:
    asked = line.request
    return fits_call(entry, asked.method, asked.target)


def fits_call(entry: Late | KeptGap, method: str, target: str) -> bool:
    """Whether an entry is about a call."""
    return bool(re.fullmatch(entry.method, method) and re.fullmatch(entry.target, target))
