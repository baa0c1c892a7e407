"""One request with the recorded and the live answer, and the error of a conversation that cannot go on."""

from __future__ import annotations

from dataclasses import dataclass

from .recording import Answer, Request


class ReplayError(Exception):
    """The conversation could not be carried on: no connection, no answer, or a transport that is not installed."""


@dataclass(frozen=True)
class Exchange:
    """A request as it was recorded, the recorded answer and the live one."""

    number: int
    request: Request
    expected: Answer
    got: Answer
    added: bool = False
    answered_ms: int = 0
    """Wall clock when the live answer was complete."""
