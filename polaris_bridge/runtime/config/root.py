"""The whole file."""

from .bootstrap import Bootstrap
from .breaking import CircuitBreakerSection
from .fields import Section, key, unused
from .healthcheck import HealthCheck
from .limiter import LimiterSection
from .listeners import AnyListener, EurekaListener, HttpListener, ServiceGrpcListener
from .maintain import Maintain
from .migration import Migration
from .naming import AutoClean, Naming
from .plugin import Plugins
from .routing import RoutingSection
from .sections import Auth, Cache, ConfigCentre, Namespace
from .store import AnyStore

_DEFAULT_LISTENERS = [
    EurekaListener.model_construct(),
    HttpListener.model_construct(),
    ServiceGrpcListener.model_construct(),
]


class Config(Section):
    """The configuration file, checked, with every default filled in."""

    bootstrap: Bootstrap = key(Bootstrap.model_construct(), "Log files, start order, own registration.")
    apiservers: list[AnyListener] = key(
        _DEFAULT_LISTENERS, "Listeners. Without the list, those that this server has, at their ports."
    )
    auth: Auth = key(Auth.model_construct(), "Users and policies.")
    namespace: Namespace = key(Namespace.model_construct(), "Namespaces.")
    naming: Naming = key(Naming.model_construct(), "Services and instances.")
    healthcheck: HealthCheck = key(HealthCheck.model_construct(), "Checks of native instances by heartbeat.")
    config: ConfigCentre = key(ConfigCentre.model_construct(), "Configuration centre.")
    limiter: LimiterSection = key(LimiterSection.model_construct(), "Limits that clients keep together.")
    routing: RoutingSection = key(RoutingSection.model_construct(), "Where calls go that the server decides about.")
    circuit_breaker: CircuitBreakerSection = key(
        CircuitBreakerSection.model_construct(), "Instances that fail are left alone for a while."
    )
    migration: Migration = key(Migration.model_construct(), "Copying from and to other registries.")
    cache: Cache = unused(Cache.model_construct(), "Cache of the store; readers here see every write at once.")
    maintain: Maintain = key(Maintain.model_construct(), "Jobs that clean up.")
    store: AnyStore = key({"name": "sqliteStore"}, "Where state is kept.", validate_default=True)
    plugin: Plugins = key(Plugins.model_construct(), "Plugins.")
    service_auto_clean: AutoClean = unused(AutoClean.model_construct(), "Oldest form of the jobs that clean up.")
