"""Plugin ``discoverEvent``, implementation ``discoverEventLocal``: one line per turn in the life of an instance.

``time|event|namespace|service|host|port|protocol|id|revision``, events in the words of polaris-server.
"""

from __future__ import annotations

import logging
from typing import Final

from polaris_bridge.core import events
from polaris_bridge.core.events import InstanceEvent

from ..logs import scope
from .text import line, utc

SCOPE: Final = "discoverEventLocal"

KINDS: Final = {
    events.ONLINE: "InstanceOnline",
    events.OFFLINE: "InstanceOffline",
    events.TURN_HEALTHY: "InstanceTurnHealth",
    events.TURN_UNHEALTHY: "InstanceTurnUnHealth",
    events.ISOLATE_ON: "InstanceOpenIsolate",
    events.ISOLATE_OFF: "InstanceCloseIsolate",
}
"""Events that are written. An update of an instance's document is an operation (``history``), not an event."""


class DiscoverEventLog:
    """A sink of instance events."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or scope(SCOPE)

    def __call__(self, event: InstanceEvent) -> None:
        """Write one event, if it is of a kind that is written."""
        if event.kind in KINDS and self._logger.isEnabledFor(logging.INFO):
            self._logger.info(_Line(event))


class _Line:
    """Becomes text in the log thread; the event never changes."""

    __slots__ = ("_event",)

    def __init__(self, event: InstanceEvent) -> None:
        self._event = event

    def __str__(self) -> str:
        e = self._event
        return line(utc(e.wall_ms), KINDS[e.kind], e.namespace, e.service, e.host, e.port, e.source, e.key, e.revision)
