"""What changed between two versions of a content, line by line."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Final

from msgspec import Struct

EQUAL: Final = "equal"
REPLACE: Final = "replace"
INSERT: Final = "insert"
DELETE: Final = "delete"

WORK: Final = 250_000
"""Pairs of lines that are compared at most; a larger change is shown as one replacement, so that nobody waits for it."""


class LineChange(Struct, frozen=True):
    """One stretch of lines. Numbers begin with 0; ``old`` and ``new`` are empty for EQUAL."""

    operation: str
    old_from: int
    old_to: int
    new_from: int
    new_to: int
    old: tuple[bytes, ...] = ()
    new: tuple[bytes, ...] = ()


def diff(old: bytes, new: bytes) -> tuple[LineChange, ...]:
    """The stretches that make ``new`` of ``old``, in order, all lines of both included. Lines keep their ends.

    Pure: what may take long is better called in a thread.
    """
    a, b = old.splitlines(keepends=True), new.splitlines(keepends=True)
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    found = [(EQUAL, 0, head, 0, head)]
    inner_a, inner_b = a[head : len(a) - tail], b[head : len(b) - tail]
    if len(inner_a) * len(inner_b) > WORK:
        found.append((REPLACE, head, len(a) - tail, head, len(b) - tail))
    else:
        codes = SequenceMatcher(None, inner_a, inner_b, autojunk=False).get_opcodes()
        found += [(op, a1 + head, a2 + head, b1 + head, b2 + head) for op, a1, a2, b1, b2 in codes]
    found.append((EQUAL, len(a) - tail, len(a), len(b) - tail, len(b)))
    return tuple(
        LineChange(op, a1, a2, b1, b2, *(((), ()) if op == EQUAL else (tuple(a[a1:a2]), tuple(b[b1:b2]))))
        for op, a1, a2, b1, b2 in found
        if a1 < a2 or b1 < b2
    )
