"""The Consul service of one listener: its parts, put together once and used by every route."""

from __future__ import annotations

from collections.abc import Callable

from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.core.ports import Authority, Ids
from polaris_bridge.core.registry import Registry

from .admission import Admission
from .nodes import Nodes


class ConsulService:
    """Everything that Consul calls need."""

    def __init__(
        self,
        registry: Registry,
        authority: Authority,
        settings: ConsulSettings,
        *,
        ids: Ids,
        host_name: str,
        address: Callable[[], str],
    ) -> None:
        """``host_name``: the own node's name when the settings name none. ``address``: where others reach this machine."""
        self.registry = registry
        self.settings = settings
        self.ids = ids
        self.admission = Admission(registry, settings, authority)
        self.nodes = Nodes(registry, settings, settings.node_name or host_name, address)

    @property
    def server_address(self) -> str:
        """Where this server would be reached by other servers."""
        address = self.nodes.address
        return (
            f"[{address}]:{self.settings.server_port}" if ":" in address else f"{address}:{self.settings.server_port}"
        )

    def sweep(self) -> None:
        """Once a second."""
