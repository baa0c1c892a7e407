"""Resources made, looked at and kept: one that fails our checks stays at its last good version, and it is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from polaris_bridge.adapters.xds.resources import Resource
from polaris_bridge.adapters.xds.translate.checks import defects
from polaris_bridge.adapters.xds.translate.packing import packed
from polaris_bridge.adapters.xds.wire.encoding import encoded

Json = Mapping[str, Any]
MOST_KEPT: Final = 50_000
"""Last good versions that are kept: those that were made latest."""


class Maker:
    """Makes resources of their JSON."""

    def __init__(self, report: Callable[[str, str, str], None]) -> None:
        """``report``: a type, a name, and what is wrong."""
        self.say: Final = report
        self._good: dict[tuple[str, object], Resource] = {}

    def make(self, type_url: str, name: str, content: dict[str, Any], variant: object) -> Resource | None:
        """The resource; the last good one of this variant when it fails; None when there was none.

        ``variant``: None for what clients' words alone make, of which nothing is kept.
        """
        found = next(defects(type_url, content), "")
        if not found:
            try:
                made = packed(type_url, name, encoded(type_url, content))
            except ValueError as error:
                found = str(error)
            else:
                if variant is not None:
                    self._keep((type_url, variant), made)
                return made
        self.say(type_url, name, found)
        return self._good.get((type_url, variant))

    def _keep(self, key: tuple[str, object], made: Resource) -> None:
        self._good.pop(key, None)
        self._good[key] = made
        if len(self._good) > MOST_KEPT:
            del self._good[next(iter(self._good))]

    def part(self, type_url: str, name: str, content: dict[str, Any]) -> bytes | None:
        """A part of a resource, encoded; None when it fails."""
        found = next(defects(type_url, content), "")
        if not found:
            try:
                return encoded(type_url, content)
            except ValueError as error:
                found = str(error)
        self.say(type_url, name, found)
        return None
