"""What is left while a decision is made: groups of instances as sets, and what was found on the way."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from .index import Index
from .model import Step


class Left(Struct, frozen=True, gc=False):
    """One group with those of its instances that are left."""

    priority: int
    name: str
    weight: int
    bits: int
    beside: int = 0
    """Instances that belong to it and may not be used now; they are looked at where a list is made, and decide nothing."""


class State(Struct):
    """One decision under way."""

    index: Index
    left: tuple[Left, ...]
    log: list[Step] | None = None
    """What is said of it; None: nobody wants to know."""
    rule: str = ""
    why: str = ""
    stain: str = ""
    in_set: bool = False
    """Whether a set was decided upon; near and far do not count then."""

    @property
    def count(self) -> int:
        """How many instances are left in all groups together."""
        found = 0
        for each in self.left:
            found |= each.bits
        return found.bit_count()

    def say(self, name: str, text: str, rule: str = "") -> None:
        """Note what was found."""
        if self.log is not None:
            self.log.append(Step(name, text, rule, self.count))

    def narrow(self, choose: Callable[[int], int], why: str) -> None:
        """Keep some instances of each group: those that are in the set which ``choose`` finds for it.

        ``why``: what there is to say when none is left.
        """
        left = []
        for each in self.left:
            chosen = choose(each.bits)
            bits, beside = each.bits & chosen, each.beside & chosen
            if bits:
                same = bits == each.bits and beside == each.beside
                left.append(each if same else Left(each.priority, each.name, each.weight, bits, beside))
        if self.left and not left:
            self.why = why
        self.left = tuple(left)
