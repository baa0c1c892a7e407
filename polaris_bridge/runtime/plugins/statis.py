"""Plugin ``statis``, implementation ``local``: calls per API, protocol and code, every interval; and who discovers what.

Scope ``local``: ``time|api|protocol|code|count|min ms|max ms|average ms``.
Scope ``discoverstat``: ``time|namespace|service|protocol|calls``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from ..logs import scope
from ..metrics import CallWindow
from .text import line, utc

LOCAL: Final = "local"
DISCOVERSTAT: Final = "discoverstat"
SERVICES: Final = 10_000
"""Services counted apart in one interval; calls for further ones are counted together under ``*``."""


class LocalStatis:
    """A reader of ``metrics.windows.Windows``: one line for each kind of call that happened."""

    def __init__(self, wall_ms: Callable[[], int], logger: logging.Logger | None = None) -> None:
        self._wall_ms = wall_ms
        self._logger = logger or scope(LOCAL)

    def __call__(self, window: Sequence[CallWindow]) -> None:
        """Write the interval that ended."""
        now = utc(self._wall_ms())
        for call in window:
            times = (f"{seconds * 1000:.3f}" for seconds in (call.least, call.most, call.average))
            self._logger.info(line(now, call.operation, call.protocol, call.code, call.calls, *times))


class DiscoverStat:
    """Counts look-ups by service. Also a reader of ``Windows``, at whose end it writes what it counted."""

    def __init__(self, wall_ms: Callable[[], int], logger: logging.Logger | None = None) -> None:
        self._wall_ms = wall_ms
        self._logger = logger or scope(DISCOVERSTAT)
        self._calls: dict[tuple[str, str, str], int] = {}

    def observe(self, protocol: str, namespace: str, service: str) -> None:
        """Count one look-up; ``service`` is ``*`` for all services of a namespace."""
        key = (namespace, service, protocol)
        calls = self._calls
        if key not in calls and len(calls) >= SERVICES:
            key = ("*", "*", protocol)
        calls[key] = calls.get(key, 0) + 1

    def __call__(self, window: Sequence[CallWindow]) -> None:
        """Write the look-ups of the interval that ended."""
        calls, self._calls = self._calls, {}
        now = utc(self._wall_ms())
        for key, count in calls.items():
            self._logger.info(line(now, *key, count))
