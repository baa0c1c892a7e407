"""Names and text of XML documents, escaped as the servers' XML writer does it, and always well-formed.

A metadata key becomes an element name: ``_`` is doubled, ``$`` is ``_-``, and what may not stand in a name is ``_.`` and four hex
digits for each UTF-16 unit. Readers undo this. Where Netflix leaves a character that some parsers refuse (``:`` makes a prefix,
letters of later Unicode versions) it is escaped as well, which the same readers undo.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_LETTERS: Final = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u0131\u0391-\u03a1\u03a3-\u03ce\u0410-\u044f\u4e00-\u9fa5"
"""Letters that every edition of XML allows anywhere in a name; any other letter is escaped."""
_PLAIN_NAME: Final = re.compile(f"[{_LETTERS}][{_LETTERS}0-9.-]*")
_PLAIN_START: Final = re.compile(f"[{_LETTERS}]")
_PLAIN_REST: Final = re.compile(f"[{_LETTERS}0-9.-]")
_ESCAPED: Final = re.compile(r"_(?:_|-|\.[0-9A-Fa-f]{4})")
EMPTY_NAME: Final = "_"
"""Stands for an empty key, which no element name can. No other key is written so, a lone underscore is ``__``."""

REPLACEMENT: Final = "\ufffd"
_SPECIAL: Final = re.compile("[&<>\"'\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufffe\\uffff]")
_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}


def element_name(key: str) -> str:
    """Element name for a metadata key."""
    return _kept_name(key) if len(key) <= _KEPT_LENGTH else _name(key)


def _name(key: str) -> str:
    if _PLAIN_NAME.fullmatch(key):
        return key
    return "".join(_name_part(character, index == 0) for index, character in enumerate(key)) or EMPTY_NAME


_KEPT_LENGTH: Final = 64
"""Names of keys up to this length are kept, so that a client cannot fill the memory with long ones."""
_kept_name = lru_cache(maxsize=4096)(_name)


def _name_part(character: str, first: bool) -> str:
    if character == "_":
        return "__"
    if character == "$":
        return "_-"
    if (_PLAIN_START if first else _PLAIN_REST).fullmatch(character):
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"_.{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def key_of_element(name: str) -> str:
    """The key that an element name stands for. Underscores that escape nothing stay as they are; halves of pairs are replaced."""
    if "_" not in name:
        return name
    if name == EMPTY_NAME:
        return ""
    key = _ESCAPED.sub(_unescaped, name)
    return key.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _unescaped(match: re.Match[str]) -> str:
    escape = match.group()
    if escape == "__":
        return "_"
    return "$" if escape == "_-" else chr(int(escape[2:], 16))


def escape_text(text: str) -> str:
    """Text for an element or attribute.

    Characters that no XML 1.0 document may hold (most control characters, lone surrogates) become U+FFFD: a list must stay
    readable for every client whatever one instance's metadata holds, and a visible mark loses less than dropping them. Line ends
    are written as references, so that parsers keep them as they are and every newline of a document belongs to its layout.
    """
    return _SPECIAL.sub(_reference, text) if _SPECIAL.search(text) else text


def _reference(match: re.Match[str]) -> str:
    character = match.group()
    named = _NAMED.get(character)
    if named is not None:
        return named
    if character in "\n\r" or "\x7f" <= character <= "\x9f":
        return f"&#x{ord(character):x};"
    return REPLACEMENT
