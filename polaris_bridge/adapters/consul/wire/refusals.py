"""A refusal in Consul's words: a status and a plain text."""

from __future__ import annotations


class Refused(Exception):
    """What a real agent answers instead of doing it. ``text`` is the whole body."""

    def __init__(self, status: int, text: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers


def bad(text: str) -> Refused:
    """400: what was sent cannot be understood."""
    return Refused(400, text)


def failed(text: str) -> Refused:
    """500: what a real agent's server side refuses, validation included."""
    return Refused(500, text)


def missing(text: str) -> Refused:
    """404."""
    return Refused(404, text)


def denied(text: str = "Permission denied") -> Refused:
    """403."""
    return Refused(403, text)
