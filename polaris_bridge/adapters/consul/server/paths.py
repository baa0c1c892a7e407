"""Which route a path belongs to, as Go's multiplexer decides: the exact path, else the longest one that ends in a slash."""

from __future__ import annotations

import posixpath
from typing import Final

from msgspec import Struct

from .call import Route, Routes

_ORDER: Final = ("GET", "POST", "PUT", "DELETE")
_DEEPEST: Final = 6
"""Slashes in the longest path that ends in one."""


class Entry(Struct, frozen=True):
    """One path with its routes by method."""

    path: str
    routes: dict[str, Route]
    allow: bytes
    """Value of the header ``Allow``."""


class Found(Struct, frozen=True, gc=False):
    """An entry, and what follows its path."""

    entry: Entry
    rest: str


class Paths:
    """All paths of a listener."""

    def __init__(self, routes: Routes) -> None:
        by_path: dict[str, dict[str, Route]] = {}
        for (method, path), route in routes.items():
            by_path.setdefault(path, {})[method] = route
        self._entries = {path: Entry(path, found, _allow(found)) for path, found in by_path.items()}

    def find(self, path: str, *, exact: bool = False) -> Found | None:
        """The entry of a decoded path; None when nobody answers it."""
        entry = self._entries.get(path)
        if entry is not None:
            return Found(entry, "")
        if exact:
            return None
        found: Found | None = None
        at = 0
        for _ in range(_DEEPEST):
            at = path.find("/", at) + 1
            if not at:
                break
            entry = self._entries.get(path[:at])
            if entry is not None:
                found = Found(entry, path[at:])
        return found


def _allow(routes: dict[str, Route]) -> bytes:
    return ",".join(("OPTIONS", *(method for method in _ORDER if method in routes))).encode()


def cleaned(path: str) -> str:
    """A path without empty, ``.`` and ``..`` parts; a slash at the end stays."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean
