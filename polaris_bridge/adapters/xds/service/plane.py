"""What all xDS listeners of a server have in common: the world, the streams, and what operators ask about them."""

from __future__ import annotations

from polaris_bridge.adapters._shared.adapter import Surroundings
from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.xds.settings import XdsSettings
from polaris_bridge.adapters.xds.translate.keys import SOURCE

from .problems import Problems
from .telling import Telling
from .world import RegistryWorld


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

    def sweep(self) -> None:
        """Once a second."""
        self.telling.sweep()


def plane_of(around: Surroundings, settings: XdsSettings) -> Plane:
    """The one of a server; made when first asked for."""
    return around.share(SOURCE, lambda: Plane(around, settings))
