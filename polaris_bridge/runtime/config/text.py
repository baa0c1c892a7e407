"""Environment variables in the text of the file, with every character still traceable to its place in the file."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from .problems import Place, Problem

MAX_CHARACTERS = 1 << 20
"""Largest file that is read, and largest text after substitution. Real files have some 20,000 characters."""

_COMMENT_OR_REFERENCE = re.compile(r"^[ \t]*#[^\n]*|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(:-[^}\n]*)?\})?", re.MULTILINE)


@dataclass(slots=True)
class SourceText:
    """Text after substitution and the way back: ``place(i)`` says where character ``i`` of it stands in the file."""

    source: str
    text: str = ""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _origins: list[tuple[int, bool]] = field(default_factory=list)
    _lines: list[int] = field(default_factory=list)

    def place(self, index: int) -> Place:
        """Line and column in the file of a character of the substituted text."""
        piece = max(0, bisect_right(self._starts, index) - 1)
        origin, literal = self._origins[piece]
        return self.origin_place(origin + (index - self._starts[piece] if literal else 0))

    def origin_place(self, offset: int) -> Place:
        """Line and column of a character of the file itself."""
        line = max(1, bisect_right(self._lines, offset))
        return Place(self.source, line, offset - self._lines[line - 1] + 1)


def expand(source: str, text: str, env: Mapping[str, str]) -> SourceText:
    """Replace ``${NAME}`` and ``${NAME:-default}``.

    The default also stands in for an empty variable, as in a shell. A ``$`` without a brace stays, and so do lines that are
    only a comment. An unset variable without default gives nothing, as in the original, with a warning.
    """
    result = SourceText(source, _lines=[0, *(match.end() for match in re.finditer("\n", text))])
    pieces: list[str] = []
    length = end = 0

    def add(piece: str, origin: int, literal: bool) -> None:
        nonlocal length
        result._starts.append(length)
        result._origins.append((origin, literal))
        pieces.append(piece)
        length += len(piece)

    for match in _COMMENT_OR_REFERENCE.finditer(text):
        if not match[0].startswith("$"):
            continue
        add(text[end : match.start()], end, True)
        add(_value(match, env, result), match.start(), False)
        end = match.end()
    add(text[end:], end, True)
    if length > MAX_CHARACTERS:
        result.problems.append(Problem(Place(source), "", f"the text is longer than {MAX_CHARACTERS} characters"))
        return result
    result.text = "".join(pieces)
    return result


def _value(match: re.Match[str], env: Mapping[str, str], result: SourceText) -> str:
    name, default = match[1], match[2]
    if name is None:
        place = result.origin_place(match.start())
        result.problems.append(Problem(place, "", "expected ${NAME} or ${NAME:-default} after ${"))
        return ""
    value = env.get(name, "")
    if not value.isprintable() and any("\ud800" <= character <= "\udfff" for character in value):
        place = result.origin_place(match.start())
        result.problems.append(Problem(place, "", f"the environment variable {name} is not UTF-8"))
        return ""
    if value or default is not None:
        return value or default[2:]
    if name not in env:
        place = result.origin_place(match.start())
        result.warnings.append(
            f"{place}: the environment variable {name} is not set; write ${{{name}:-}} if that is meant"
        )
    return ""
