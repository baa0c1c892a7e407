"""What could not be sent as it is meant: said once in the log, kept for operators, counted."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

from polaris_bridge.adapters.xds.resources import View
from polaris_bridge.adapters.xds.wire import types

log = logging.getLogger(__name__)

MAX_KEPT: Final = 1_000
"""Problems that are remembered; when there are more, all are forgotten, and said again when they come again."""


class Problems:
    """``Reports`` of the whole server."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """By type. One that stands for long counts once."""
        self.known: dict[tuple[str, str, str], None] = {}
        """Type, name and text, oldest first."""

    def problem(self, _view: View | None, type_url: str, name: str, text: str, /) -> None:
        """See ``Reports``. Views that share a problem say it once."""
        kind = types.SHORT.get(type_url, type_url)
        key = kind, name, text
        if key in self.known:
            return
        if len(self.known) >= MAX_KEPT:
            self.known.clear()
        self.known[key] = None
        self.counts[kind] += 1
        log.warning("xds: %s %s: %s", kind, name, text)
