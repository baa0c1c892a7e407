"""Deciding here and now: whether somebody may use some of what is allowed, never more than that within any window.

One gate for each key; what it counts is this process's own. Where clients or other nodes count the same, what they used is
looked at too, and they are told what is used here. All allowances of a key are taken from, or none.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from .counters import Counter
from .limiter import Limiter
from .model import Allowance, Decision, Quota
from .sweeping import Round
from .windows import STRICT_SLOTS, Window


class Gate:
    """The windows of one key."""

    __slots__ = ("allowances", "beside", "used_ms", "windows")

    def __init__(self, allowances: Sequence[Allowance]) -> None:
        self.allowances = allowances
        self.windows = tuple(map(_window, allowances))
        self.beside: tuple[Counter[Any] | None, ...] = ()
        """For each allowance what others count of it together with this process; empty: nobody does."""
        self.used_ms = 0

    def reload(self, allowances: Sequence[Allowance]) -> None:
        """Other amounts from now on. What was used of windows of the same length stays used."""
        kept: dict[int, Window] = {a.duration_ms: w for a, w in zip(self.allowances, self.windows, strict=True)}
        windows = []
        for allowance in allowances:
            window = kept.pop(allowance.duration_ms) if allowance.duration_ms in kept else _window(allowance)
            window.widen(allowance.amount)
            windows.append(window)
        self.windows = tuple(windows)
        self.allowances = allowances
        self.beside = ()


def _window(allowance: Allowance) -> Window:
    return Window(allowance.duration_ms, STRICT_SLOTS, strict=True, most=allowance.amount)


Place = tuple[str, str, str]
"""What clients count on: namespace, service, and their name for the counter."""

Wanted = tuple[Hashable, Sequence[Allowance], Place | None]
"""A key, what is allowed of it, and where clients count the same (None: nowhere)."""


class Gates:
    """All gates of a process. Memory: about 850 bytes for a key with one allowance."""

    def __init__(self, *, idle_ms: int = 30_000, limiter: Limiter[Any] | None = None) -> None:
        """``idle_ms``: how long a key is kept beyond its longest window when nobody asks. ``limiter``: where clients count."""
        self._limiter = limiter
        self._gates: dict[Hashable, Gate] = {}
        self._idle_ms = idle_ms
        self._round: Round[Hashable] = Round()

    def __len__(self) -> int:
        return len(self._gates)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._gates

    def take(self, key: Hashable, allowances: Sequence[Allowance], tokens: int, now_ms: int) -> Decision:
        """Take so many tokens, all or none. 0 only looks. ``allowances`` of a key may change from call to call; the same object
        means that they did not. ValueError without any."""
        gate = self._gate(key, allowances, now_ms)
        decision = _look(gate, tokens, now_ms)
        if decision.allowed and tokens:
            _spend(gate, tokens, now_ms)
        return decision

    def take_all(self, wanted: Sequence[Wanted], tokens: int, now_ms: int) -> list[Decision]:
        """As ``take`` of several keys at once, all different: tokens are taken from all of them, or from none."""
        gates = []
        for key, allowances, place in wanted:
            gate = self._gate(key, allowances, now_ms)
            if place is not None:
                self._meet(gate, place, now_ms)
            elif gate.beside:
                gate.beside = ()
            gates.append(gate)
        decisions = [_look(gate, tokens, now_ms) for gate in gates]
        if tokens and all(decision.allowed for decision in decisions):
            for gate in gates:
                _spend(gate, tokens, now_ms)
                if gate.beside:
                    self._tell(gate, tokens, now_ms)
        return decisions

    def _meet(self, gate: Gate, place: Place, now_ms: int) -> None:
        """Find what others count of the same. Who begins to count there learns what was used here until now."""
        limiter = self._limiter
        if limiter is None:
            return
        beside: list[Counter[Any] | None] = []
        for at, allowance in enumerate(gate.allowances):
            seconds, rest = divmod(allowance.duration_ms, 1000)
            counter = None
            if not rest:  # clients count by whole seconds
                counter = limiter.meet((*place, seconds), Quota(seconds, allowance.amount), now_ms)
            if counter is not None and not (gate.beside and gate.beside[at] is counter):
                used = gate.windows[at].roll(now_ms)
                if used:
                    limiter.spend(counter, used, now_ms)
            beside.append(counter)
        gate.beside = tuple(beside) if any(beside) else ()

    def _tell(self, gate: Gate, tokens: int, now_ms: int) -> None:
        for counter in gate.beside:
            if counter is not None and self._limiter is not None:
                self._limiter.spend(counter, tokens, now_ms)

    def peek(self, key: Hashable, allowances: Sequence[Allowance], tokens: int, now_ms: int) -> Decision:
        """What ``take`` would say. Nothing is taken or remembered. ValueError without any allowance."""
        if not allowances:
            raise ValueError("a key without an allowance cannot be decided about")
        gate = self._gates.get(key)
        if gate is None or (gate.allowances is not allowances and gate.allowances != allowances):
            known = gate
            gate = Gate(allowances if known is None else known.allowances)
            if known is not None:
                gate.windows = known.windows
                gate.reload(allowances)
        return _look(gate, tokens, now_ms)

    def _gate(self, key: Hashable, allowances: Sequence[Allowance], now_ms: int) -> Gate:
        gate = self._gates.get(key)
        if gate is None:
            if not allowances:
                raise ValueError("a key without an allowance cannot be decided about")
            gate = self._gates[key] = Gate(allowances)
        elif gate.allowances is not allowances and gate.allowances != allowances:
            gate.reload(allowances)
        gate.used_ms = now_ms
        return gate

    def forget(self, key: Hashable) -> None:
        """What was used of a key is forgotten."""
        self._gates.pop(key, None)

    def sweep(self, now_ms: int, most: int = 2000) -> int:
        """Look at some gates and let go of those that nobody asked for long; how many went."""
        gone = 0
        for key in self._round.some(self._gates, most):
            gate = self._gates.get(key)
            if gate is not None:
                kept_ms = self._idle_ms + max(a.duration_ms for a in gate.allowances)
                if now_ms - gate.used_ms > kept_ms:
                    del self._gates[key]
                    gone += 1
        return gone


def _look(gate: Gate, tokens: int, now_ms: int) -> Decision:
    """What ``take`` would say; ``remaining`` and ``reset_ms`` as they are after it."""
    nearest, remaining = 0, -1
    windows = gate.windows
    beside = gate.beside
    for at, allowance in enumerate(gate.allowances):
        window = windows[at]
        left = allowance.amount - window.roll(now_ms)
        if beside:
            counter = beside[at]
            if counter is not None:
                together = allowance.amount - counter.window.roll(now_ms)
                if together < left:
                    window, left = counter.window, together
        if left < tokens:
            wanted = max(0, allowance.amount - tokens)
            return Decision(False, max(0, left), window.until_at_most(now_ms, wanted), at)
        if remaining < 0 or left < remaining:
            nearest, remaining = at, left
    window = windows[nearest]
    reset_ms = window.until_new(now_ms) if tokens else window.until_at_most(now_ms, 0)
    return Decision(True, max(0, remaining - tokens), reset_ms, nearest)


def _spend(gate: Gate, tokens: int, now_ms: int) -> None:
    for window in gate.windows:
        window.add(now_ms, tokens)
