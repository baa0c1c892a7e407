"""The native service of one server: its parts, put together once and used by every listener."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from polaris_bridge.adapters._shared.host import Host
from polaris_bridge.adapters._shared.patterns import LinearSearch
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.core.auth.directory import Directory
from polaris_bridge.core.auth.ports import Accounts, Doors
from polaris_bridge.core.auth.records import tell_refusal
from polaris_bridge.core.errors import Denied
from polaris_bridge.core.health import HealthEngine
from polaris_bridge.core.limiting.judging import Judge
from polaris_bridge.core.limiting.limiter import Limiter
from polaris_bridge.core.model import Caller, Location, Registration, ServiceKey
from polaris_bridge.core.ports import Authority, Ids, Resource
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.discovery import DiscoveryRouting

from .admission import Admission
from .auth.calls import AccountCalls
from .breaking.breaking import CircuitBreaking
from .breaking.calls import BreakingCalls
from .client_api import client_routes
from .clients import Clients
from .config.client_api import client_routes as config_client_routes
from .config.clients import ConfigClients
from .config.console.calls import ConfigConsole
from .config.console.office import Office
from .console.calls import Console
from .contracts import Contracts
from .discovery import Discovering
from .heartbeats import Heartbeats
from .index import InstanceIndex
from .judging.calls import LimitCalls
from .judging.envoy import EnvoyLimits
from .judging.sources import Instances, StoredLimits
from .maintain.calls import Maintain
from .registration import Registering
from .routes import CLIENT, Route
from .routing.calls import RoutingCalls
from .rules import console as rules_console
from .rules.delivery import Deliveries
from .rules.kinds import ROUTING
from .rules.writing import Rules
from .visible import Visible


class PolarisService:
    """Everything that native calls need. One for all listeners of a server, since it keeps encoded answers."""

    def __init__(
        self,
        registry: Registry,
        authority: Authority,
        settings: PolarisSettings,
        *,
        ids: Ids,
        pairs: Mapping[str, Callable[[Registration], dict[str, str]]],
        locate: Callable[[str], Location | None],
        host: Host | None = None,
        doors: Doors | None = None,
        accounts: Accounts | None = None,
        too_often: Callable[[str], bool] | None = None,
        limiter: Limiter[Any] | None = None,
        routing: DiscoveryRouting | None = None,
        probes: HealthEngine | None = None,
    ) -> None:
        """``pairs``: see ``translate.shown``; ``locate`` tells where a host is, None when nobody knows; ``host`` is the
        process, without which there is no maintain API. ``doors``: who judges callers, when not ``authority`` all of them.
        ``accounts``: the directory, without which there are no calls about it. ``too_often``: see ``Registering``.
        ``limiter``: where SDKs count by rate limits. ``routing``: by what look-ups through other protocols are answered.
        ``probes`` makes the probes of rules for fault detection."""
        self.registry = registry
        self.settings = settings
        self.ids = ids
        self.pairs = pairs
        self.index = InstanceIndex(registry)
        self.admission = Admission(
            authority if doors is None else doors.client,
            None if doors is None else doors.console,
            None if doors is None else doors.strict,
            service_of=self._service_of,
            refused=self._refused,
        )
        visible = Visible(self.admission.sees)
        self.registering = Registering(registry, settings, self.index, locate, too_often)
        self.heartbeats = Heartbeats(registry, settings, self.index, self.registering)
        self.deliveries = Deliveries(registry)
        self.discovering = Discovering(
            registry,
            pairs,
            self.deliveries.deliver,
            cache_size=settings.kept_answers,
            visible=Visible(lambda caller, operation: self.admission.sees(caller, operation, CLIENT)),
        )
        self.clients = Clients(registry, settings, locate)
        directory = None if accounts is None else accounts.directory
        office = Office(registry, settings, visible, _namer(directory))
        self.config = ConfigClients(registry, settings, office.operator)
        self.contracts = Contracts(registry, ids.unique, self.discovering.catalog.target, visible)
        self.rules = Rules(registry, ids, visible)
        catalog = self.discovering.catalog
        self.judge = Judge(StoredLimits(registry), LinearSearch(), Instances(registry, catalog), limiter)
        self.limits = LimitCalls(self.judge, catalog, registry.clock)
        self.envoy = EnvoyLimits(self.judge, catalog, registry)
        self.routing = RoutingCalls(registry, self.discovering.catalog, pairs, ids, locate, routing)
        breaking = settings.breaking
        self.breaking = None if breaking is None else CircuitBreaking(registry, breaking, probes)
        self.maintain = None if host is None else Maintain(registry, settings, self.index, self.clients, pairs, host)
        self.config_console = ConfigConsole(office)
        self.accounts = None if accounts is None else AccountCalls(registry, accounts)
        self.console = Console(
            registry,
            settings,
            self.index,
            self.registering,
            pairs,
            routed=self._routed,
            revision=self.discovering.revision,
            unique=ids.unique,
            visible=visible,
        )

    def routes(self, *, pprof: bool = False) -> tuple[Route, ...]:
        """Everything that is called over HTTP. ``pprof``: profiles of the process too."""
        console, config, accounts = self.console.routes(), self.config_console.routes(), self.accounts
        if accounts is not None:
            console = tuple(accounts.links.around(accounts.owners.around(route)) for route in console)
            config = tuple(map(accounts.links.around, config))
        return (
            *client_routes(self.registering, self.discovering, self.clients),
            *config_client_routes(self.config),
            *config,
            *console,
            *rules_console.routes(self.rules),
            *self.routing.routes(),
            *self.contracts.routes(),
            *self.limits.routes(),
            *(() if self.breaking is None else self._breaking_routes(self.breaking)),
            *self.clients.routes(),
            *(() if self.maintain is None else self.maintain.routes(pprof=pprof)),
            *(() if accounts is None else accounts.routes()),
        )

    def _breaking_routes(self, breaking: CircuitBreaking) -> tuple[Route, ...]:
        return BreakingCalls(self.registry, self.discovering.catalog, breaking).routes()

    def _service_of(self, id: str) -> ServiceKey | None:
        """The service of an instance, by the id that native clients know it under."""
        key = self.index.find(id)
        if key is not None:
            found = self.registry.newest(key)
            return None if found is None else found.service_key
        place = self.index.place(id)
        return None if place is None else place[0]

    def _refused(self, caller: Caller, operation: str, resource: Resource, error: Denied) -> None:
        """Every refusal is an operation record."""
        tell_refusal(self.registry, caller, operation, resource, error)

    def _routed(self, service: ServiceKey) -> bool:
        """Whether a route rule names a service."""
        return any(service in rule.targets for rule in self.registry.documents.about(ROUTING.name, service))

    def sweep(self) -> None:
        """Once a second."""
        self.discovering.sweep()
        self.config.sweep()
        self.judge.sweep(self.registry.clock.wall_ms())


def _namer(directory: Directory | None) -> Callable[[str], str | None]:
    """What looks up the names of accounts."""

    def name_of(id: str) -> str | None:
        found = None if directory is None else directory.snapshot.principal(id)
        return None if found is None else found.name

    return name_of
