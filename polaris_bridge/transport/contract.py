"""What a connection and whoever answers its requests know of each other, and how a peer's faults are raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .frames import Fault
from .headers import Request
from .streams import Stream

if TYPE_CHECKING:
    from .connection import Connection


class ConnectionFault(Exception):
    """The peer broke what cannot be mended: GOAWAY."""

    def __init__(self, fault: Fault, why: str) -> None:
        super().__init__(fault, why)
        self.fault = fault
        self.why = why


class StreamFault(Exception):
    """The peer broke one stream: RST_STREAM."""

    def __init__(self, stream: int, fault: Fault, why: str) -> None:
        super().__init__(stream, fault, why)
        self.stream = stream
        self.fault = fault
        self.why = why


class Opening(Protocol):
    """What a header block means; remembered with the block, so it holds nothing of one call."""

    def open(self, connection: Connection, stream: int) -> Stream:
        """Begin a call."""
        ...


class Application(Protocol):
    """Who answers."""

    def opening(self, request: Request) -> Opening:
        """What a valid header list asks for."""
        ...

    def too_large(self, size: int) -> Opening:
        """What a header list of too much is answered with."""
        ...
