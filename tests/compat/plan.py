"""How the recordings of one protocol are driven: where to, in which order, with which pauses and which values replaced."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .inbox import MessageKey
from .recording import Datagram, GrpcMessage, GrpcOpen, HttpCall, Line
from .substitution import Substitution


@dataclass(frozen=True)
class Target:
    """Where the live server listens. ``base`` replaces the path prefix ``recorded_base`` of HTTP targets."""

    http: tuple[str, int] | None = None
    grpc: tuple[str, int] | None = None
    base: str = ""
    recorded_base: str = ""
    elsewhere: tuple[tuple[str, tuple[str, int]], ...] = ()
    """gRPC methods that another port answers: how their names begin, and where."""

    def grpc_of(self, method: str) -> tuple[str, int] | None:
        """Where a gRPC method is answered."""
        return next((address for begin, address in self.elsewhere if method.startswith(begin)), self.grpc)

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
    value: str = ".*"
    """Pattern of the recorded value; others that stand there are no such thing."""


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
    """Pattern of the HTTP path (without its query), of the gRPC method (see ``Plan.kind_of``), or of the client's UDP port."""
    reason: str
    method: str = ".*"
    """Of HTTP, ``grpc`` or ``udp``."""
    status: str = ".*"
    """The recorded status (HTTP only)."""
    recording: str = ".*"
    took_s: float = 0.0
    """Only those that took longer (HTTP only)."""


Rewrite = Callable[[str, bytes, Substitution], bytes]
"""(gRPC method, request, values found so far) -> the request with the live values."""


Answering = Callable[[bytes, Sequence[tuple[bytes, bytes]]], bytes | None]
"""(client's message, what the server said before it on that stream or port: recorded and live) -> the message as it has to be
now, for one that answers the server; None when the live server did not ask."""


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
    lasting: str = ""
    """Pattern of gRPC methods whose streams mean something by staying open, however few messages they carry."""
    rewrite: Rewrite | None = None
    """How live values get into gRPC requests; None = as text."""
    kind_of: Callable[[bytes], str] | None = None
    """What a gRPC message is, where methods do not tell: requests, rules and `LeftOut` entries then speak of ``method#kind``."""
    answering: Answering | None = None
    """How clients' answers to the server's own requests name what they answer; None = they do not."""
    told_within_s: float = 15.0
    """How long what the server says unasked (on streams that stay open, over UDP) is waited for."""

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


def sent(
    lines: Iterable[Line],
    left_out: Iterable[LeftOut],
    used: Counter[str],
    kind_of: Callable[[bytes], str] | None = None,
    recording: str = "",
) -> list[Line]:
    """The lines that are played; counts the entries that left some out.

    With ``kind_of`` a call is what its first message is, and single messages of streams may be left out.
    """
    lines = tuple(lines)
    entries = tuple(entry for entry in left_out if re.fullmatch(entry.recording, recording))
    methods = {line.call: line.method for line in lines if isinstance(line, GrpcOpen)}
    asked = _first_messages(lines)
    silent: set[int] = set()
    kept = []
    for line in lines:
        entry = None
        if isinstance(line, HttpCall):
            path = line.request.target.partition("?")[0]
            lasting = tuple(entry for entry in entries if line.took >= entry.took_s)
            entry = _left_out(lasting, line.request.method, path, line.answer.status)
        elif isinstance(line, GrpcOpen):
            entry = _left_out(entries, "grpc", called(line.method, asked.get(line.call), kind_of), "")
            if entry is not None:
                silent.add(line.call)
        elif isinstance(line, Datagram):
            entry = _left_out(entries, "udp", str(line.dst if line.sender == "server" else line.src), "")
        elif line.call in silent:
            continue
        elif isinstance(line, GrpcMessage) and kind_of is not None:
            entry = _left_out(entries, "grpc", called(methods[line.call], line.body, kind_of), "")
        if entry is None:
            kept.append(line)
        else:
            used[entry.id] += 1
    return kept


def called(method: str, message: bytes | None, kind_of: Callable[[bytes], str] | None) -> str:
    """A gRPC method, with the kind of the message when methods do not tell."""
    return method if kind_of is None or not message else f"{method}#{kind_of(message)}"


def _first_messages(lines: Iterable[Line]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for line in lines:
        if isinstance(line, GrpcMessage) and line.sender == "client":
            found.setdefault(line.call, line.body)
    return found


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
