"""What clients of the configuration centre call, put together once for all listeners of a server."""

from __future__ import annotations

from collections.abc import Callable

from polaris_bridge.adapters.polaris.answers import Outcome
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Caller
from polaris_bridge.core.registry import Registry

from .answers import client
from .discover import Lists
from .labels import Labels
from .listing import Listing
from .reading import FileReading
from .watching import Watching
from .writing import Writing


class ConfigClients:
    """The calls of ``PolarisConfigGRPC``, each a message in and an answer out."""

    def __init__(
        self,
        registry: Registry,
        settings: PolarisSettings,
        operator: Callable[[Caller], str] = lambda caller: caller.principal,
    ) -> None:
        """``operator``: see ``Writing``; where there are accounts it is the one of the console."""
        self.open = settings.config_open
        """Whether the module is there at all."""
        self._clock = registry.clock
        self._labels = Labels()
        self.reading = FileReading(registry.config, self._labels, registry.clock.monotonic)
        self.watching = Watching(registry.config, self._labels, registry.clock, registry.scheduler)
        self.lists = Lists(self.reading, Listing(registry))
        self.writing = Writing(registry, settings, operator)

    def sweep(self) -> None:
        """Once a second."""
        self._labels.sweep(self._clock.monotonic())
        self.watching.sweep()

    # ------------------------------------------------------------------ writes

    def create(self, m: v1.ConfigFile, caller: Caller) -> Outcome:
        """CreateConfigFile. Answers of writes show a code and nothing of the file, as on the real server."""
        found = self.writing.create(m, caller)
        return Outcome(client(found.code, found.info), found.commit)

    def update(self, m: v1.ConfigFile, caller: Caller) -> Outcome:
        """UpdateConfigFile."""
        found = self.writing.update(m, caller)
        return Outcome(client(found.code, found.info), found.commit)

    def publish(self, m: v1.ConfigFileRelease, caller: Caller) -> Outcome:
        """PublishConfigFile."""
        found = self.writing.publish(m, caller)
        return Outcome(client(found.code, found.info), found.commit)

    def upsert_and_publish(self, m: v1.ConfigFilePublishInfo, caller: Caller) -> Outcome:
        """UpsertAndPublishConfigFile, whose answer names the file."""
        found = self.writing.upsert_and_publish(m, caller)
        answer = client(found.code, found.info)
        for name in ("namespace", "group", "file_name"):
            if m.HasField(name):
                getattr(answer.configFile, name).CopyFrom(getattr(m, name))
        answer.configFile.SetInParent()
        return Outcome(answer, found.commit)
