"""The Consul service of one listener: its parts, put together once and used by every route."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.consul.filters import Filters
from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.translate.config_keys import KeyRule
from polaris_bridge.adapters.consul.view import Reading, View
from polaris_bridge.adapters.consul.view_routed import CallerView, RoutedViews
from polaris_bridge.core.config.model import Door
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Authority, Ids
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.discovery import DiscoveryRouting

from .admission import Admission
from .agent import Agent
from .askers import Askers, Locate
from .catalog import Catalog
from .cataloging import Cataloging
from .checks import CheckCalls
from .config_entries import ConfigEntries
from .dns import Names, Shuffle
from .events import Events
from .health import Health
from .hosts import HostIndex
from .kv import Keys
from .movers import CallerWatch, Movers, Watch, Watching
from .nodes import Nodes
from .nodeviews import NodeViews
from .patterns import groups, linear
from .queries import Queries
from .registering import Registering
from .sessions import Sessions
from .state import ConsulState
from .txn import Transactions


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
        shuffle: Shuffle = lambda _: None,
        random: Callable[[], float] = lambda: 0.0,
        routing: DiscoveryRouting | None = None,
        locate: Locate = lambda _: None,
    ) -> None:
        """``host_name``: the own node's name when the settings name none. ``address``: where others reach this machine.
        ``state``: what all listeners share; None: a new one. ``shuffle``: puts a list into a random order; ``random`` gives
        numbers from 0 to below 1. ``routing``: None: rules are not applied to look-ups. ``locate``: where an address is, as
        far as somebody knows."""
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
        self.config_entries = ConfigEntries(registry)
        self.agent = Agent(registry, settings, self.index, self.nodes)
        self.slices = Slices(registry.scheduler)
        self.nodeviews = NodeViews(registry, settings, self.nodes, self.index)
        namespaces = frozenset((settings.namespace, *settings.datacenters.values()))
        self.view = View(
            registry,
            self.index,
            nodes=self.nodeviews.make,
            foreign_node=self.nodeviews.foreign,
            visible=namespaces.__contains__,
            tag_keys=settings.metadata_as_tags,
        )
        self.askers = Askers(registry, self.view, self.index, self.nodes, locate)
        self.routed: RoutedViews | None = None
        if routing is not None:
            self._movers = Movers(registry, routing, self.askers)
            self.routed = RoutedViews(self.view, registry, routing, self._movers.since, switched=settings.routing)
        self.catalog = Catalog(self.view, self.nodes, settings)
        self.health = Health(self.view, self.catalog)
        self.cataloging = Cataloging(self)
        self.hosts = HostIndex(registry)
        self.queries = Queries(
            registry,
            settings,
            self.catalog,
            ids,
            shuffle,
            groups,
            lambda address: self.nodes.of_caller(Caller("consul", address)),
        )
        self.names = Names(
            self.view,
            self.catalog,
            settings,
            own_node=self.nodes.own,
            datacenter=self.nodeviews.datacenter,
            wall_s=lambda: registry.clock.wall_ms() // 1000,
            shuffle=shuffle,
            random=random,
            hosts=self.hosts,
            seen_by=self.names_seen_by,
            queries=self.queries,
        )
        self.keys = Keys(
            registry,
            KeyRule(settings.spring_layout),
            Door(validate=settings.validate_format),
            closed=not settings.config_open,
        )
        self.sessions = Sessions(registry, settings, self.index, self.nodes, ids)
        self.events = Events(registry, ids, self.index.services)
        self.txn = Transactions(self)
        self._address = self.nodes.address

    def seen_by(self, who: Callable[[], Caller]) -> Reading:
        """The services as a caller sees them. ``who``: asked when it makes a difference."""
        routed = self.routed
        return self.view if routed is None or not routed.on else CallerView(routed, who)

    def names_seen_by(self, peer: str, subnet: bytes) -> Reading:
        """The same for who asks for a name; ``subnet``: whom it asks for (RFC 7871), if it says so."""
        routed = self.routed
        if routed is None or not routed.on:
            return self.view
        return CallerView(routed, partial(self.askers.of_question, peer, subnet))

    def watching(self, watch: Watching, who: Callable[[], Caller], fire: Callable[[], None]) -> Watch:
        """A watch of a service for a caller, who may become one that sees something else of it."""
        routed = self.routed
        return watch(fire) if routed is None or not routed.on else CallerWatch(self._movers, who(), watch, fire)

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
        self.nodes.sweep()
        self.sessions.sweep()
        if self.nodes.address != self._address:
            self._address = self.nodes.address
            self.nodeviews.moved()
            self.view.moved()
