"""Waiting on a condition with a deadline, in place of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(probe: Callable[[], T], within_s: float, what: str) -> T:
    """Returns the first true answer of ``probe``; fails with ``what`` and the last answer after ``within_s`` seconds."""
    deadline = time.monotonic() + within_s
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what}; last answer: {answer!r}")
        time.sleep(0.05)
