"""Reads a recording (JSON lines, format in README.md) into typed lines; knows nothing of sockets or protocols' meaning."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Pairs = tuple[tuple[str, str], ...]
GRPC = ".grpc.jsonl"
"""How the name of a recording ends whose HTTP half is a file of its own."""


class RecordingError(Exception):
    """The file is no recording that this suite can replay; the text says which line and what to do."""


@dataclass(frozen=True)
class Request:
    """What a client sent. For gRPC ``method`` is ``grpc`` and ``target`` the full method name."""

    method: str
    target: str
    headers: Pairs = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """First value of a header, its name compared without case."""
        return _first(self.headers, name)


@dataclass(frozen=True)
class Answer:
    """What a server sent: an HTTP response, one gRPC message or status, or one datagram.

    ``status`` is the HTTP status, a gRPC code name, ``message`` or ``datagram``; ``nothing`` when the live server stayed silent.
    """

    status: str
    headers: Pairs = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """First value of a header, its name compared without case."""
        return _first(self.headers, name)


@dataclass(frozen=True)
class HttpCall:
    """One request and its answer. Times are seconds since the recorder started."""

    t: float
    took: float
    conn: str
    request: Request
    answer: Answer
    added: bool = False
    """True for a reconstructed call of an ``.added.jsonl`` file."""

    @property
    def end(self) -> float:
        """When the answer was complete."""
        return self.t + self.took


@dataclass(frozen=True)
class GrpcOpen:
    """A call begins."""

    t: float
    call: int
    method: str
    peer: str
    metadata: Pairs


@dataclass(frozen=True)
class GrpcMessage:
    """One message of a call, by ``client`` or ``server``."""

    t: float
    call: int
    sender: str
    body: bytes


@dataclass(frozen=True)
class GrpcClose:
    """A call's end: the server's status, or ``CLIENT_CANCELLED``."""

    t: float
    call: int
    code: str
    details: str
    trailers: Pairs


@dataclass(frozen=True)
class Datagram:
    """One UDP packet; ``src`` and ``dst`` are ports. ``body`` is unpacked when ``gzip`` says that it was packed."""

    t: float
    sender: str
    src: int
    dst: int
    gzip: bool
    body: bytes


Line = HttpCall | GrpcOpen | GrpcMessage | GrpcClose | Datagram


@dataclass(frozen=True)
class Recording:
    """A named conversation; ``lines`` are sorted by their start."""

    name: str
    about: dict[str, Any]
    lines: tuple[Line, ...]


def load(path: Path) -> Recording:
    """Read one recording, together with what belongs to it: ``<name>.added.jsonl`` (calls that the recorder could not see),
    and for ``<story>.grpc.jsonl`` what was recorded of the same story over HTTP.

    Raises RecordingError for another format version and for a line of an unknown kind.
    """
    about, lines = _read(path)
    added = path.with_suffix(".added.jsonl")
    if added.exists():
        lines += _read(added, added=True)[1]
    if path.name.endswith(GRPC) and _http_of(path).exists():
        lines += _read(_http_of(path))[1]
    return Recording(path.stem, about, tuple(sorted(lines, key=lambda line: line.t)))


def recordings(folder: Path) -> list[Path]:
    """All recordings of a folder, without those that are read together with another."""
    paths = {path for path in folder.glob("*.jsonl") if not path.name.endswith(".added.jsonl")}
    return sorted(paths - {_http_of(path) for path in paths if path.name.endswith(GRPC)})


def _http_of(path: Path) -> Path:
    """Where the HTTP half of a story lies whose gRPC half is this."""
    return path.with_name(path.name.removesuffix(GRPC) + ".http.jsonl")


def _read(path: Path, *, added: bool = False) -> tuple[dict[str, Any], list[Line]]:
    rows = list(_rows(path))
    if not rows or rows[0][1].get("recording") != 1:
        raise RecordingError(f'{path.name}: the first line must say "recording": 1')
    return rows[0][1], [_line(f"{path.name}:{number}", row, added) for number, row in rows[1:]]


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            try:
                yield number, json.loads(text)
            except ValueError as error:
                raise RecordingError(f"{path.name}:{number}: not JSON: {error}") from error


def _line(where: str, row: dict[str, Any], added: bool) -> Line:
    kind = row.get("kind")
    if kind not in _KINDS:
        raise RecordingError(f"{where}: a line of kind {kind!r} cannot be replayed; known kinds: {', '.join(_KINDS)}")
    if kind == "http":
        return _http(row, added)
    return _KINDS[kind](row)


def _http(row: dict[str, Any], added: bool = False) -> HttpCall:
    asked, answered = row["request"], row["response"]
    return HttpCall(
        t=row["t"],
        took=row["took"],
        conn=str(row["conn"]),
        request=Request(asked["method"], asked["target"], _pairs(asked["headers"]), _bytes(asked["body"])),
        answer=Answer(str(answered["status"]), _pairs(answered["headers"]), _bytes(answered["body"])),
        added=added,
    )


_KINDS: dict[str, Callable[[dict[str, Any]], Line]] = {
    "http": _http,
    "open": lambda row: GrpcOpen(row["t"], row["call"], row["method"], row["peer"], _pairs(row["metadata"])),
    "message": lambda row: GrpcMessage(row["t"], row["call"], row["from"], base64.b64decode(row["base64"])),
    "close": lambda row: GrpcClose(row["t"], row["call"], row["code"], row["details"], _pairs(row["trailers"])),
    "udp": lambda row: Datagram(row["t"], row["from"], row["src"], row["dst"], row["gzip"], _bytes(row["body"])),
}


def _pairs(rows: list[list[str]]) -> Pairs:
    return tuple((name, value) for name, value in rows)


def _bytes(body: str | dict[str, str]) -> bytes:
    return body.encode() if isinstance(body, str) else base64.b64decode(body["base64"])


def _first(headers: Pairs, name: str) -> str | None:
    return next((value for key, value in headers if key.lower() == name.lower()), None)
