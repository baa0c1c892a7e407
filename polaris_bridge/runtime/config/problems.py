"""What is wrong with a file: where, which key, what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value comes from. ``line`` and ``column`` count from 1; 0 = it is not from a file."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source

    @property
    def exact(self) -> str:
        """With the column, as compilers write it."""
        return f"{self}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Problem:
    """One error. ``path`` is the dotted key (empty: the file as a whole), ``hint`` the nearest known key or name."""

    place: Place
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.place.exact}: {self.path}" if self.path else self.place.exact
        return f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class ConfigError(Exception):
    """A configuration that cannot be used. ``problems`` holds every error, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(
            sorted(problems, key=lambda problem: (problem.place.source, problem.place.line, problem.place.column))
        )
        super().__init__("\n".join(map(str, self.problems)))
