"""The Consul service of one listener: its parts, put together once and used by every route."""

from __future__ import annotations

from collections.abc import Callable

from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.consul.filters import Filters
from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.view import View
from polaris_bridge.core.ports import Authority, Ids
from polaris_bridge.core.registry import Registry

from .admission import Admission
from .agent import Agent
from .catalog import Catalog
from .checks import CheckCalls
from .health import Health
from .nodes import Nodes
from .nodeviews import NodeViews
from .patterns import linear
from .registering import Registering
from .state import ConsulState


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
        state: ConsulState | None = None,
    ) -> None:
        """``host_name``: the own node's name when the settings name none. ``address``: where others reach this machine.
        ``state``: what all listeners share; None: a new one."""
        self.registry = registry
        self.settings = settings
        self.ids = ids
        self.state = ConsulState(registry) if state is None else state
        self.index = self.state.index
        self.filters = Filters(linear)
        self.admission = Admission(registry, settings, authority)
        self.nodes = Nodes(registry, settings, settings.node_name or host_name, address)
        self.nodes.holders.append(self.index.holds)
        self.registering = Registering(registry, self.index, self.nodes, self.state.outcomes)
        self.checks = CheckCalls(registry, self.index, self.nodes, self.state.outcomes, self.registering)
        self.agent = Agent(registry, settings, self.index, self.nodes)
        self.slices = Slices(registry.scheduler)
        self.nodeviews = NodeViews(registry, settings, self.nodes)
        namespaces = frozenset((settings.namespace, *settings.datacenters.values()))
        self.view = View(
            registry,
            self.index,
            nodes=self.nodeviews.make,
            foreign_node=self.nodeviews.foreign,
            visible=namespaces.__contains__,
            tag_keys=settings.metadata_as_tags,
        )
        self.catalog = Catalog(self.view, self.nodes, settings)
        self.health = Health(self.view, self.catalog)

    @property
    def server_address(self) -> str:
        """Where this server would be reached by other servers."""
        address = self.nodes.address
        return (
            f"[{address}]:{self.settings.server_port}" if ":" in address else f"{address}:{self.settings.server_port}"
        )

    def sweep(self) -> None:
        """Once a second."""
        self.state.sweep()
