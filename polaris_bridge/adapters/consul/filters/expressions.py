"""What a filter says, as values."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

EQUAL: Final = "Equal"
IN: Final = "In"
IS_EMPTY: Final = "Is Empty"
MATCHES: Final = "Matches"


class BadFilter(Exception):
    """A filter that cannot be used; the text is what follows the agent's own words."""


class Comparison(Struct, frozen=True):
    """One comparison of a selected value."""

    selector: tuple[str, ...]
    operator: str
    value: str | None = None
    """As written; None with ``IS_EMPTY``."""
    negated: bool = False

    @property
    def selected(self) -> str:
        """The selector as errors name it."""
        return ".".join(self.selector)

    @property
    def word(self) -> str:
        """The operator as errors name it."""
        if not self.negated:
            return self.operator
        return "Is Not Empty" if self.operator == IS_EMPTY else f"Not {self.operator}"


class Not(Struct, frozen=True):
    """The opposite."""

    operand: Expression


class Both(Struct, frozen=True):
    """All of these."""

    operands: tuple[Expression, ...]


class Either(Struct, frozen=True):
    """One of these."""

    operands: tuple[Expression, ...]


Expression = Comparison | Not | Both | Either
