"""HTTP/2 frames as bytes (RFC 9113, sections 4 and 6): names, numbers, and packing. Nothing here remembers anything."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first."""

MAX_WINDOW: Final = 2**31 - 1
FIRST_WINDOW: Final = 65535
"""Of a connection, and of streams until SETTINGS say otherwise."""
FIRST_FRAME_SIZE: Final = 16384
"""Longest payload until SETTINGS say otherwise; we never allow more, so that streams take turns."""
LARGEST_FRAME_SIZE: Final = 2**24 - 1


class Fault(IntEnum):
    """Why a stream or a connection ends (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


HEAD: Final = Struct(">IBI")
"""The nine octets before a payload: length * 256 + type, flags, stream."""
SETTING: Final = Struct(">HI")
NUMBER: Final = Struct(">I")
MESSAGE: Final = Struct(">BI")
"""Before every message: a flag and its length; see ``Layout``."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(SETTING.pack(name, value) for name, value in values.items()))


def window_update(stream: int, credit: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, NUMBER.pack(credit))


def rst_stream(stream: int, fault: Fault) -> bytes:
    """A RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, NUMBER.pack(fault))


def goaway(last: int, fault: Fault, why: str = "") -> bytes:
    """A GOAWAY frame; ``why`` is for whoever reads the client's log."""
    return frame(GOAWAY, 0, 0, NUMBER.pack(last) + NUMBER.pack(fault) + why.encode())


def headers(stream: int, block: bytes, size: int, *, end: bool) -> bytes:
    """A HEADERS frame, and CONTINUATIONs when the block is longer than ``size``."""
    flags = END_STREAM if end else 0
    if len(block) <= size:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    parts = [frame(HEADERS, flags, stream, block[:size])]
    for start in range(size, len(block), size):
        last = END_HEADERS if start + size >= len(block) else 0
        parts.append(frame(CONTINUATION, last, stream, block[start : start + size]))
    return b"".join(parts)


class Layout:
    """The frames of an answer whose header blocks never change, each run of fixed octets packed in one go: this is what the
    speed of an answer comes from. Every message goes behind a prefix of five octets: a flag and its length."""

    __slots__ = ("_first", "_head", "_head_size", "_last", "_next", "_trailers_size", "head", "trailers")

    def __init__(self, head: bytes, trailers: bytes) -> None:
        """Header blocks of the answer's beginning and its end."""
        self.head = head
        self._head = head
        self._head_size = len(head) << 8 | HEADERS
        self.trailers = trailers
        self._trailers_size = len(trailers) << 8 | HEADERS
        self._first = Struct(f">IBI{len(head)}sIBIBI").pack
        self._next = Struct(">IBIBI").pack
        self._last = Struct(f">IBI{len(trailers)}s").pack

    def first(self, stream: int, size: int, flag: int) -> bytes:
        """HEADERS, and DATA up to a message of ``size`` octets, all of which follow."""
        return self._first(
            self._head_size, END_HEADERS, stream, self._head, (size + 5) << 8, 0, stream, flag, size
        )  # fmt: skip

    def next(self, stream: int, size: int, flag: int) -> bytes:
        """DATA up to a message of ``size`` octets, all of which follow."""
        return self._next((size + 5) << 8, 0, stream, flag, size)

    def last(self, stream: int) -> bytes:
        """The trailers."""
        return self._last(self._trailers_size, END_HEADERS | END_STREAM, stream, self.trailers)
