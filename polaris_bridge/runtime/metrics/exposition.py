"""The metrics of one server, and their text for Prometheus."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .calls import CallStats
from .census import Census
from .lag import LoopLag
from .tallies import Spread, Tally

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The plain text form, which every scraper reads; polaris-server's gauge names are no legal OpenMetrics."""
SERVICE_LABELS: Final = 1_000
"""Up to so many services the per-service gauges carry the service; beyond, one sample a namespace with service ""."""


class Metrics:
    """What one server counts. Parts are handed to whoever counts; ``scrape`` shows all of them.

    ``server`` is the value of polaris-server's own label; ``polaris_names`` switches its names on.
    """

    def __init__(
        self, version: str, server: str, *, polaris_names: bool = True, service_labels: int = SERVICE_LABELS
    ) -> None:
        self.version = version
        self.server = server
        self.polaris_names = polaris_names
        self.service_labels = service_labels
        self.calls = CallStats()
        self.lag = LoopLag()
        self.heartbeats = Tally()
        """Labels: protocol, result (ok, unknown, stale)."""
        self.leases_expired = Tally()
        """Label: protocol."""
        self.refused = Tally()
        """Labels: listener, reason."""
        self.limited = Tally()
        """Labels: protocol, limit."""
        self.registrations_expired = Tally()
        """No label: registrations that waited longer than ``naming.batch`` allows."""
        self.push = Spread()
        """Label: protocol."""
        self.propagation = Spread()
        """Labels: from, to (protocols)."""
        self.store = Spread()
        """Label: op."""
        self.registration = Spread()
        """No label: from a registration's arrival to its durability."""
        self.publication = Spread()
        """No label: what publishing a batch took."""
        self.census: Callable[[], Census] = Census
        """Set by the wiring. Called in a worker thread; walks immutable snapshots only."""
        self.log_lines_dropped: Callable[[], int] = _zero
        """Set by the wiring to the log writer's count."""
        self._registry: CollectorRegistry | None = None
        self._building = threading.Lock()

    def pushed(self, by: str, to: str, seconds: float, since_s: float) -> None:
        """All subscribers of protocol ``to`` were told of a change that came through ``by``: how long that took, and how long
        after the publication."""
        self.push.observe(seconds, to)
        self.propagation.observe(since_s, by, to)

    def render(self) -> bytes:
        """The text of this moment (``CONTENT_TYPE``). May take tens of milliseconds with many services."""
        from prometheus_client.exposition import generate_latest

        return generate_latest(self._ready())

    async def scrape(self) -> bytes:
        """``render`` in a worker thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.render)

    def _ready(self) -> CollectorRegistry:
        """The registry, built at the first scrape: importing the client library costs 60 ms that no start has to wait for."""
        with self._building:
            if self._registry is None:
                from .collect import registry_for

                self._registry = registry_for(self)
            return self._registry


def _zero() -> int:
    return 0
