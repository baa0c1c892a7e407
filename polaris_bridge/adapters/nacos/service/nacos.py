"""The Nacos service of one server: its parts, put together once and used by every listener and generation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.translate.names import Spaces, split
from polaris_bridge.adapters.nacos.wire.config import nameable
from polaris_bridge.core.auth.ports import Accounts
from polaris_bridge.core.health import HealthEngine
from polaris_bridge.core.locks import Locks
from polaris_bridge.core.model import Registration, ServiceKey
from polaris_bridge.core.ports import Authority, Ids
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.discovery import DiscoveryRouting

from .admission import Admission
from .auth.calls import AccountCalls
from .auth.endings import Endings
from .catalog import Catalog
from .checks import ClusterChecks
from .clients import Clients
from .cluster_nodes import ClusterNodes, Place
from .config.admin import ConfigAdmin
from .config.client_metrics import ClientMetrics
from .config.configs import Configs
from .config.endings import ConfigEndings
from .config.fuzzy_config import FuzzyConfigs
from .config.listeners import ConfigListeners
from .config.polling import Polling
from .connections import Connections
from .discovery import Discovery
from .fuzzy import FuzzyWatches
from .locking import Locking
from .namespaces import Namespaces
from .operator import Operator, Switches
from .overrides import Overrides
from .pushing import Pushing
from .readers import Readers
from .registering import Registering
from .requests import Requests
from .scope import Scope
from .services import Services
from .subscribers import Subscribers
from .udp_push import UdpPush

Pairs = Mapping[str, Callable[[Registration], Mapping[str, str]]]
_NO_PAIRS: Final[Pairs] = MappingProxyType({})


class NacosService:
    """Everything that Nacos calls need."""

    def __init__(
        self,
        registry: Registry,
        authority: Authority,
        settings: NacosSettings,
        *,
        ids: Ids,
        accounts: Accounts | None = None,
        pairs: Pairs = _NO_PAIRS,
        discovered: Callable[[str, str], None] | None = None,
        health: HealthEngine | None = None,
        locks: Locks | None = None,
        routing: DiscoveryRouting | None = None,
    ) -> None:
        """``accounts``: the directory, without which nobody can log in. ``pairs``: what other protocols say of their
        registrations besides metadata. ``discovered`` is told of every read: namespace and service of the core.
        ``health``: what asks persistent instances how they are; None: nobody does. ``locks``: those of the core; None: own.
        ``routing``: what lists are made by where rules are applied to them; None: nowhere."""
        self.registry = registry
        self.authority = authority
        self.settings = settings
        self.ids = ids
        self.accounts = accounts
        self.pairs = pairs
        self.discovered = discovered
        self.spaces = Spaces(settings)
        self.admission = Admission(registry, settings, authority, accounts, self.spaces)
        self.namespaces = Namespaces(registry, self.spaces, ids)
        self.services = Services(registry, self.spaces, self.namespaces, split_group=settings.split_group)
        self.overrides = Overrides(registry, self.services)
        self.registering = Registering(registry, self.services, self.overrides)
        self.discovery = Discovery(registry, self.key, routing)
        self.readers = Readers(registry, self.key, routing, switched=settings.routing)
        self.slices = Slices(registry.scheduler)
        self.operator = Operator(registry)
        self.auth = AccountCalls(registry, self.admission, authority, accounts, self.spaces)
        self.checks = ClusterChecks(registry, health)
        self.operator.follow(self._obey)
        self.catalog = Catalog(registry, self.services, self.discovery)
        self.locks = Locks(registry.clock) if locks is None else locks
        self.locking = Locking(self.locks)
        self.subscribers = Subscribers()
        self.requests = Requests(registry.clock, registry.scheduler)
        self.connections = Connections(registry, self.requests)
        self.registering.left_s = self.connections.left_s
        self.pushing = Pushing(
            registry,
            self.requests,
            self.discovery,
            self.subscribers,
            self.readers,
            self.key,
            self.slices,
            lambda: self.operator.switches.push_enabled,
        )
        self.services.subscribed = lambda key: bool(self.subscribers.of(self.services.scope_of(key)))
        self.fuzzy = FuzzyWatches(registry, self.requests, self.spaces.core, self.services.is_listed)
        self.endings = Endings(
            self.admission, self.key, self.pushing.subscribe, self.pushing.unsubscribe, self.fuzzy.gone, self.slices
        )
        if settings.auth and accounts is not None:
            accounts.directory.followers.append(self.endings.changed)
        self.connections.left += [self.endings.gone, self.pushing.gone, self.fuzzy.gone]
        self.udp = UdpPush(
            registry, self.discovery, self.subscribers, self.readers, lambda: self.operator.switches.push_enabled
        )
        self.configs = Configs(registry, self.spaces, settings)
        self.configs.implied = self.namespaces.imply
        self.config_admin = ConfigAdmin(registry, self.admission, settings)
        self.namespaces.config_count = self.config_admin.count
        self.polling = Polling(registry, self.configs.namespace, self.slices)
        self.config_listeners = ConfigListeners(registry, self.requests, self.slices, self.connections.end)
        self.fuzzy_configs = FuzzyConfigs(
            registry, self.requests, self.slices, self.configs.namespace, lambda key: nameable(key.group, key.name)
        )
        self.config_endings = ConfigEndings(self.admission, self.config_listeners, self.fuzzy_configs, self.slices)
        self.client_metrics = ClientMetrics(registry.scheduler, self.connections, self.requests)
        if settings.auth and accounts is not None:
            accounts.directory.followers.append(self.config_endings.changed)
        self.connections.left += [
            self.config_endings.gone,
            self.config_listeners.gone,
            self.fuzzy_configs.gone,
            lambda connection: registry.config.holders.gone(connection.id),
        ]
        self.clients = Clients(registry, self.spaces, self.connections, self.subscribers)
        self.place = Place("127.0.0.1", 8848)
        """Where the HTTP port is reached; set when it listens."""
        self.nodes = ClusterNodes(lambda: self.place, registry.clock.wall_ms, auth=lambda: settings.auth)

    def scope(self, namespace_id: str, service_name: str, group: str = "") -> Scope:
        """What a client names: the name of a service may carry its group, else that is ``group`` or the default one."""
        group, name = split(service_name, group)
        return Scope(namespace_id, self.spaces.core(namespace_id), group, name)

    def key(self, scope: Scope) -> ServiceKey:
        """Where a service lives in the core."""
        return self.services.key(scope)

    def _obey(self, switches: Switches) -> None:
        """What an operator's switch changes at once; the others are asked for when they matter."""
        self.checks.obey(switches.health_check_enabled, switches.check_times)

    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since 1970."""
        return self.registry.clock.wall_ms()

    def sweep(self) -> None:
        """Once a second."""
        self.connections.sweep()
        self.requests.sweep()
        self.locks.tick()
        self.fuzzy.sweep()
        self.udp.sweep()
        self.services.sweep()
        self.overrides.sweep()
        self.discovery.sweep(self.registry.clock.monotonic())
