"""What all xDS listeners of a server have in common: the world, the streams, and what operators ask about them."""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from polaris_bridge.adapters._shared.adapter import Surroundings
from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.xds.settings import XdsSettings
from polaris_bridge.adapters.xds.translate.keys import SOURCE
from polaris_bridge.core.events import Published

from .problems import Problems
from .telling import Telling
from .world import RegistryWorld

OTHER: Final = "rules"
"""What a change came through that is not one of instances."""


class Plane:
    """One for the whole server."""

    def __init__(self, around: Surroundings, settings: XdsSettings) -> None:
        registry = around.registry
        self.problems = Problems()
        self.telling = Telling(
            lambda: RegistryWorld(registry, self.problems, around.governance),
            registry.clock,
            registry.scheduler,
            Slices(registry.scheduler),
            settings.interval_s,
        )
        self._by = ""
        self.telling.origin = lambda: self._by
        self.telling.told = lambda by, took_s, since_s: around.pushed(by, SOURCE, took_s, since_s)
        registry.observe(self._published)  # before the world does, which tells of the change at once

    def _published(self, published: Published) -> None:
        """Remember what the newest change came through."""
        if not self.telling.views:
            return
        change = next(iter(published.changes), None)
        address = None if change is None else change.after or change.before
        registrations = () if address is None else address.registrations
        self._by = max(registrations, key=attrgetter("seq")).source if registrations else OTHER

    def sweep(self) -> None:
        """Once a second."""
        self.telling.sweep()


def plane_of(around: Surroundings, settings: XdsSettings) -> Plane:
    """The one of a server; made when first asked for."""
    return around.share(SOURCE, lambda: Plane(around, settings))
