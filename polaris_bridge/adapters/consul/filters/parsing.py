"""Text -> expression, by a grammar. The parser is made with the first filter: whoever sends none pays nothing."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from .expressions import EQUAL, IN, IS_EMPTY, MATCHES, BadFilter, Both, Comparison, Either, Expression, Not

if TYPE_CHECKING:
    from lark import Lark

GRAMMAR: Final = r"""
start: or
?or: and ("or" and)*
?and: not ("and" not)*
?not: "not" not -> negation
    | "(" or ")"
    | match
match: selector "==" value -> equal
    | selector "!=" value -> not_equal
    | selector "is" "empty" -> is_empty
    | selector "is" "not" "empty" -> is_not_empty
    | selector "contains" value -> contains
    | selector "not" "contains" value -> not_contains
    | selector "matches" value -> matches
    | selector "not" "matches" value -> not_matches
    | selector "in" selector -> bare_in
    | selector "not" "in" selector -> bare_not_in
    | literal "in" selector -> value_in
    | literal "not" "in" selector -> value_not_in
value: selector -> bare
    | literal
literal: NUMBER -> number
    | STRING -> string
selector: NAME ("." NAME | "[" STRING "]")*
NAME: /[a-zA-Z][a-zA-Z0-9_]*/
NUMBER: /-?(0|[1-9][0-9]*)(\.[0-9]+)?(?=[ \t\r\n)]|$)/
STRING: /`[^`]*`|"[^"]*"/
%ignore /[ \t\r\n]+/
"""

MOST_CHARACTERS: Final = 64 * 1024
"""Longer ones are refused unread; the listener takes no longer head anyway."""
MOST_NESTED: Final = 100
"""Brackets and negations in each other."""


def parse(text: str) -> Expression:
    """An expression. Raises ``BadFilter``."""
    if len(text) > MOST_CHARACTERS:
        raise BadFilter(f"the expression has more than {MOST_CHARACTERS} characters")
    if _depth(text) > MOST_NESTED:
        raise BadFilter(f"more than {MOST_NESTED} levels of nesting")
    from lark.exceptions import UnexpectedInput, UnexpectedToken  # with the first filter

    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        line, column, at = error.line, error.column, error.pos_in_stream
        if isinstance(error, UnexpectedToken) and error.token.type == "$END":  # placed at the last token
            line, column, at = 1 + text.count("\n"), len(text) - text.rfind("\n"), len(text)
        raise BadFilter(f"{line}:{column} ({at}): no match found") from None
    return _expression(tree.children[0])


def _depth(text: str) -> int:
    """How deep an expression nests: what is made of it is called by itself as often."""
    deepest = brackets = negations = 0
    for token in _TOKENS.findall(_QUOTED.sub("", text)):
        negations = negations + 1 if token == "not" else 0
        brackets += (token == "(") - (token == ")")
        deepest = max(deepest, brackets + negations)
    return deepest


@cache
def _parser() -> Lark:
    from lark import Lark  # 50 ms and 11 MiB

    return Lark(GRAMMAR, parser="lalr", maybe_placeholders=False)


def _expression(tree: Any) -> Expression:
    """A tree of the parser (which has no types) as an expression."""
    if tree.data == "or":
        return Either(tuple(map(_expression, tree.children)))
    if tree.data == "and":
        return Both(tuple(map(_expression, tree.children)))
    if tree.data == "negation":
        return Not(_expression(tree.children[0]))
    operator, negated, reversed_ = _MATCHES[tree.data]
    parts = tree.children[::-1] if reversed_ else tree.children
    value = _value(parts[1]) if len(parts) > 1 else None
    return Comparison(_selector(parts[0]), operator, value, negated)


def _selector(tree: Any) -> tuple[str, ...]:
    return tuple(_unquoted(str(part)) if part.type == "STRING" else str(part) for part in tree.children)


def _value(tree: Any) -> str:
    if tree.data == "selector":
        return ".".join(_selector(tree))
    child = tree.children[0]
    if tree.data in ("bare", "value"):
        return _value(child)
    return _unquoted(str(child)) if child.type == "STRING" else str(child)


def _unquoted(literal: str) -> str:
    """What a string literal of Go stands for. Raises ``BadFilter``."""
    body = literal[1:-1]
    if literal[0] == "`":
        return body.replace("\r", "")
    if "\n" in body:
        raise BadFilter("invalid syntax")
    if "\\" not in body:
        return body
    parts: list[bytes] = []
    at = 0
    for escape in re.finditer(r"\\(.?)", body, re.DOTALL):
        if escape.start() < at:
            continue
        parts.append(body[at : escape.start()].encode())
        text, at = _escaped(body, escape.start(), escape[1])
        parts.append(text)
    parts.append(body[at:].encode())
    return b"".join(parts).decode(errors="replace")


def _escaped(body: str, at: int, letter: str) -> tuple[bytes, int]:
    """The bytes of the escape that begins at a place, and where it ends."""
    if letter in _SIMPLE:
        return _SIMPLE[letter], at + 2
    for pattern, base, skip in _NUMERIC:
        found = pattern.match(body, at)
        if found is None:
            continue
        number = int(found[0][skip:], base)
        if skip == 2 and letter != "x":
            if number > 0x10FFFF or 0xD800 <= number < 0xE000:
                break
            return chr(number).encode(), found.end()
        if number > 255:
            break
        return bytes([number]), found.end()
    raise BadFilter("invalid syntax")


_QUOTED: Final = re.compile(r"`[^`]*`|\"[^\"]*\"")
_TOKENS: Final = re.compile(r"[()]|[^\s()]+")
_SIMPLE: Final = {
    "a": b"\a", "b": b"\b", "f": b"\f", "n": b"\n", "r": b"\r", "t": b"\t", "v": b"\v", "\\": b"\\", '"': b'"',
}  # fmt: skip
_NUMERIC: Final = (
    (re.compile(r"\\x[0-9a-fA-F]{2}"), 16, 2),
    (re.compile(r"\\u[0-9a-fA-F]{4}"), 16, 2),
    (re.compile(r"\\U[0-9a-fA-F]{8}"), 16, 2),
    (re.compile(r"\\[0-7]{3}"), 8, 1),
)
_MATCHES: Final[dict[str, tuple[str, bool, bool]]] = {
    "equal": (EQUAL, False, False),
    "not_equal": (EQUAL, True, False),
    "is_empty": (IS_EMPTY, False, False),
    "is_not_empty": (IS_EMPTY, True, False),
    "contains": (IN, False, False),
    "not_contains": (IN, True, False),
    "matches": (MATCHES, False, False),
    "not_matches": (MATCHES, True, False),
    "bare_in": (IN, False, True),
    "bare_not_in": (IN, True, True),
    "value_in": (IN, False, True),
    "value_not_in": (IN, True, True),
}
"""By rule of the grammar: operator, whether it is negated, whether the value stands first."""
