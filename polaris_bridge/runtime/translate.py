"""From the configuration file's sections to the settings of the parts that obey them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from msgspec import structs

from polaris_bridge.adapters import ADAPTERS
from polaris_bridge.adapters._shared.settings import ConnLimitSettings, GrpcSettings, HttpSettings, TlsSettings
from polaris_bridge.adapters.consul.settings import ConsulSettings, DnsSettings
from polaris_bridge.adapters.consul.settings import ListenerSettings as ConsulPorts
from polaris_bridge.adapters.eureka.settings import EurekaSettings
from polaris_bridge.adapters.nacos.settings import GRPC_OFFSET, NacosSettings
from polaris_bridge.adapters.nacos.settings import ListenerSettings as NacosPorts
from polaris_bridge.adapters.polaris.settings import (
    CLIENT_PARTS,
    CONFIG,
    CONSOLE_PARTS,
    BreakingSettings,
    GroupSettings,
    NativeSettings,
    PolarisSettings,
)
from polaris_bridge.adapters.xds.settings import XdsSettings
from polaris_bridge.core import maintain
from polaris_bridge.core.batches import BatchTerms
from polaris_bridge.core.breaking.model import BreakingTerms
from polaris_bridge.core.config.tidying import CleanHistory
from polaris_bridge.core.limiting.model import LimiterTerms
from polaris_bridge.core.ports import DOCUMENT, NAMESPACE, SERVICE
from polaris_bridge.core.protection import ProtectionTerms
from polaris_bridge.core.routing.model import Options
from polaris_bridge.core.terms import Terms
from polaris_bridge.storage.redis_settings import RedisSettings

from .auth.access import AccessSettings
from .config.bootstrap import LogScope
from .config.consul import ConsulDns, ConsulOptions
from .config.eureka import EurekaOptions
from .config.healthcheck import RedisChecker
from .config.listener_options import ListenerOptions, LookupOptions
from .config.listeners import (
    ConfigGrpcListener,
    ConsulListener,
    EurekaListener,
    GrpcOptions,
    LimiterListener,
    Listener,
    NacosListener,
    ServedGroup,
    ServiceGrpcListener,
    XdsListener,
    XdsOptions,
)
from .config.listeners import HttpListener as FrontEntry
from .config.maintain import (
    CleanConfigReleaseHistory,
    CleanDeletedClients,
    CleanDeletedInstances,
    CleanDeletedResources,
    DeleteEmptyAutoCreatedService,
    DeleteUnHealthyInstance,
)
from .config.nacos import NacosOptions
from .config.naming import RegistrationBatch
from .config.ratelimit import ResourceLimit
from .config.root import Config
from .config.store import BoltStore, SqliteStore
from .configcentre import KEY_FILE
from .logs.options import LoggerOptions
from .plugins.ratelimit import Rate, RateLimitSettings, ResourceRates


def terms(config: Config) -> Terms:
    """How the registry behaves."""
    protection = config.naming.self_protection
    return Terms(
        auto_create_namespace=config.namespace.auto_create,
        auto_create_service=config.naming.auto_create,
        batch=_batch(config.naming.batch.register_),
        deregistration=_batch(config.naming.batch.deregister),
        protection=ProtectionTerms(
            enabled=protection.open,
            percent=protection.percent,
            minimum=protection.minimum,
            max_hold_s=protection.max_hold.total_seconds(),
        ),
        caseless=frozenset(adapter.source for adapter in ADAPTERS if adapter.caseless),
    )


def routing_options(config: Config) -> Options:
    """What rules do not say of where calls go."""
    section = config.routing
    return Options(recover_all=section.recover_all, degrade_percent=section.unhealthy_percent_to_degrade)


def _batch(batch: RegistrationBatch) -> BatchTerms:
    return BatchTerms(
        queue_size=batch.queue_size,
        max_batch_count=batch.max_batch_count if batch.open else 1,
        drop_expired=batch.drop_expire_task,
        task_life_s=batch.task_life.total_seconds(),
    )


def http(name: str, option: ListenerOptions) -> HttpSettings:
    """What every HTTP listener can be told."""
    limit, tls = option.conn_limit, option.tls
    return HttpSettings(
        name=name,
        port=option.listen_port,
        host=option.listen_ip,
        max_body_size=option.max_body_size,
        header_timeout_s=option.header_timeout.total_seconds(),
        keep_alive_s=option.keep_alive.total_seconds(),
        tls=TlsSettings(str(tls.cert_file), str(tls.key_file), str(tls.trusted_ca_file or ""))
        if tls.cert_file and tls.key_file
        else None,
        trusted_proxies=tuple(map(str, option.trusted_proxies)),
        conn_limit=ConnLimitSettings(
            open_conn_limit=limit.open_conn_limit,
            max_conn_per_host=limit.max_conn_per_host,
            max_conn_limit=limit.max_conn_limit,
            white_list=",".join(map(str, limit.white_list)),
            purge_counter_interval_s=limit.purge_counter_interval.total_seconds(),
            purge_counter_expire_s=limit.purge_counter_expire.total_seconds(),
        ),
    )


def routes_everything(config: Config) -> bool:
    """Whether some listener applies rules of routing to all that is looked up."""
    return any(isinstance(each.option, LookupOptions) and each.option.routing for each in config.apiservers)


def eureka(option: EurekaOptions) -> EurekaSettings:
    """What an Eureka listener can be told besides."""
    return EurekaSettings(
        namespace=option.namespace,
        delta_expire_s=option.delta_expire_interval.total_seconds(),
        unhealthy_expire_s=option.unhealthy_expire_interval.total_seconds(),
        self_preservation=option.enable_self_preservation,
        lease_factor=option.lease_factor,
        generate_unique_inst_id=option.generate_unique_inst_id,
        data_center_class=option.custom_values.data_center_info_class,
        data_center_name=option.custom_values.data_center_info_name,
        max_body_bytes=option.max_body_size,
        routing=option.routing,
        auth=option.auth,
    )


def eureka_peers(option: EurekaOptions) -> dict[str, list[str]]:
    """The other Eureka servers, by namespace."""
    found: dict[str, list[str]] = {}
    for named in (option.peers_to_replicate, option.replicate_peers):
        for namespace, peers in named.items():
            found.setdefault(namespace or option.namespace, []).extend(peers)
    return {namespace: list(dict.fromkeys(peers)) for namespace, peers in found.items()}


def nacos(config: Config, option: NacosOptions) -> NacosSettings:
    """What a Nacos listener can be told besides."""
    return NacosSettings(
        default_namespace=option.default_namespace,
        namespaces=option.namespaces,
        default_is_public=option.default_is_public,
        split_group=option.split_group,
        routing=option.routing,
        auth=option.auth,
        token_key=option.token_secret_key.get_secret_value(),
        token_ttl_s=int(option.token_expire.total_seconds()),
        identity_key=option.server_identity_key,
        identity_value=option.server_identity_value.get_secret_value(),
        max_body_bytes=option.max_body_size,
        config_open=config.config.open,
        validate_format=config.config.validate_format,
    )


def nacos_ports(name: str, option: NacosOptions) -> NacosPorts:
    """What the two ports of a Nacos listener can be told."""
    common = http(name, option)
    port = common.port + GRPC_OFFSET if common.port else 0
    return NacosPorts(
        http=common,
        grpc=GrpcSettings(
            name=name,
            port=port,
            host=common.host,
            transport=option.transport,
            max_receive=common.max_body_size,
            handshake_timeout_s=common.header_timeout_s,
            keep_alive_s=common.keep_alive_s,
            tls=common.tls,
            conn_limit=common.conn_limit,
        ),
    )


def consul(config: Config, option: ConsulOptions) -> ConsulSettings:
    """What a Consul listener can be told besides."""
    own = {option.datacenter: option.datacenters.get(option.datacenter, option.namespace)}
    return ConsulSettings(
        datacenter=option.datacenter,
        datacenters=option.datacenters | own,
        node_name=option.node_name,
        foreign_node=option.foreign_node,
        single_node=option.single_node,
        routing=option.routing,
        auth=option.auth,
        max_body_bytes=option.max_body_size,
        metadata_as_tags=tuple(option.metadata_as_tags),
        spring_layout=option.spring_layout,
        config_open=config.config.open,
        validate_format=config.config.validate_format,
        dns=_names(option.dns),
    )


def _names(dns: ConsulDns) -> DnsSettings:
    def domain(text: str) -> str:
        return f"{text.strip('.').lower()}." if text.strip(".") else ""

    return DnsSettings(
        domain=domain(dns.domain) or "consul.",
        alt_domain=domain(dns.alt_domain),
        node_ttl_s=int(dns.node_ttl.total_seconds()),
        service_ttl_s={name.lower(): int(ttl.total_seconds()) for name, ttl in dns.service_ttl.items()},
        only_passing=dns.only_passing,
        udp_answer_limit=dns.udp_answer_limit,
        a_record_limit=dns.a_record_limit,
        enable_truncate=dns.enable_truncate,
        node_meta_txt=dns.enable_additional_node_meta_txt,
        recursors=tuple(dns.recursors),
        recursor_timeout_s=dns.recursor_timeout.total_seconds(),
    )


def consul_ports(name: str, option: ConsulOptions) -> ConsulPorts:
    """What the two ports of a Consul listener can be told."""
    common = http(name, option)
    dns = None if option.dns_port < 0 else structs.replace(common, name=f"{name}-dns", port=option.dns_port, tls=None)
    return ConsulPorts(http=common, dns=dns)


def polaris(config: Config) -> PolarisSettings:
    """How the native protocol behaves, on every listener."""
    return PolarisSettings(
        max_metadata=config.naming.max_metadata,
        health_check=config.healthcheck.open,
        kept_answers=_kept_answers(config),
        client_report_s=config.healthcheck.client_report_interval.total_seconds(),
        config_open=config.config.open,
        content_max=config.config.content_max_length,
        validate_format=config.config.validate_format,
        breaking=breaking(config),
    )


def xds(option: XdsOptions) -> XdsSettings:
    """What an xDS listener can be told besides."""
    return XdsSettings(
        auth=option.auth,
        certificates=option.tls.trusted_ca_file is not None,
        interval_s=option.push_interval.total_seconds(),
    )


def breaking(config: Config) -> BreakingSettings | None:
    """How the server breaks circuits; None: it does not."""
    section = config.circuit_breaker
    if not section.open:
        return None
    terms = BreakingTerms(section.reporters, section.max_ejection_percent, section.max_resources)
    return BreakingSettings(terms, section.results_per_second)


def server_key(config: Config, data: Path | None) -> Path | None:
    """The file of the key that seals encrypted configuration files; None: it is kept nowhere."""
    for entry in config.plugin.crypto.entries:
        if entry.option.server_key_file is not None:
            return entry.option.server_key_file
    return None if data is None or store(config)[0] == "memory" else data / KEY_FILE


def redis(config: Config) -> RedisSettings | None:
    """Where heartbeats are kept outside; None = in this process."""
    checker = next(iter(config.healthcheck.checkers), None)
    if not isinstance(checker, RedisChecker):
        return None
    o = checker.option
    return RedisSettings(
        mode=o.deploy_mode,
        address=o.kv_addr,
        addresses=tuple(o.addrs),
        user=o.kv_user,
        password=o.kv_passwd.get_secret_value(),
        db=o.db,
        tls=o.with_tls,
        pool_size=o.pool_size,
        min_idle=o.min_idle_conns,
        idle_s=o.idle_timeout.total_seconds(),
        max_age_s=o.max_conn_age.total_seconds(),
        connect_s=o.connect_timeout.total_seconds(),
        read_s=(o.read_timeout or o.msg_timeout).total_seconds(),
        write_s=(o.write_timeout or o.msg_timeout).total_seconds(),
        pool_s=o.pool_timeout.total_seconds(),
        concurrency=o.concurrency,
        compatible=o.compatible,
        retries=o.max_retry,
        batch=o.min_batch_count,
        wait_s=o.wait_time.total_seconds(),
        master_name=o.master_name,
        sentinel_user=o.sentinel_username,
        sentinel_password=o.sentinel_password.get_secret_value(),
        replicas_only=o.slave_only,
        read_replicas=o.read_only,
    )


def limiter(config: Config) -> LimiterTerms | None:
    """How clients count here; None: they cannot."""
    section = config.limiter
    if not section.open:
        return None
    return LimiterTerms(
        node=section.node_id,
        slots=section.slide_count,
        max_clients=section.max_clients,
        max_counters=section.max_counters,
    )


def call_limits(config: Config) -> RateLimitSettings | None:
    """How often this server may be called; None: nothing is limited. Of an API named twice the last one counts."""
    section = config.plugin.ratelimit
    option = section.option
    if not section.on:
        return None
    rules = {rule.name: rule.limit for rule in option.api_limit.rules}
    limits = {api.name: rules[api.rule] for api in option.api_limit.apis if option.api_limit.open}
    settings = RateLimitSettings(
        addresses=_resource_rates(option.ip_limit),
        apis={name: Rate(limit.bucket, limit.rate) for name, limit in limits.items() if limit.open},
        instances=_resource_rates(option.instance_limit),
    )
    return None if settings == RateLimitSettings() else settings


def _resource_rates(limit: ResourceLimit) -> ResourceRates | None:
    if not limit.open:
        return None
    each = Rate(limit.global_.bucket, limit.global_.rate)
    return ResourceRates(each, limit.resource_cache_amount, frozenset(limit.white_list))


def limiter_redis(config: Config) -> RedisSettings | None:
    """Where nodes share what clients count; None: nowhere."""
    o = config.limiter.redis
    if not config.limiter.open or not (o.kv_addr or o.addrs):
        return None
    seconds = o.msg_timeout.total_seconds()
    return RedisSettings(
        mode=o.deploy_mode,
        address=o.kv_addr,
        addresses=tuple(o.addrs),
        user=o.kv_user,
        password=o.kv_passwd.get_secret_value(),
        db=o.db,
        tls=o.with_tls,
        pool_size=o.pool_size,
        min_idle=0,
        connect_s=o.connect_timeout.total_seconds(),
        read_s=seconds,
        write_s=seconds,
        master_name=o.master_name,
        sentinel_user=o.sentinel_username,
        sentinel_password=o.sentinel_password.get_secret_value(),
    )


def _kept_answers(config: Config) -> int:
    """All native ports share what is kept; the first gRPC port says how much."""
    for entry in config.apiservers:
        if isinstance(entry, ServiceGrpcListener):
            return entry.option.size_cache_proto if entry.option.enable_cache_proto else 0
    return PolarisSettings().kept_answers


def grpc(name: str, option: GrpcOptions) -> GrpcSettings:
    """What every gRPC listener can be told."""
    common = http(name, option)
    return GrpcSettings(
        name=name,
        port=common.port,
        host=common.host,
        transport=option.transport,
        max_receive=common.max_body_size,
        handshake_timeout_s=common.header_timeout_s,
        keep_alive_s=common.keep_alive_s,
        tls=common.tls,
        conn_limit=common.conn_limit,
    )


def listener(config: Config, entry: Listener) -> tuple[HttpSettings | GrpcSettings | NacosPorts | ConsulPorts, object]:
    """What a listener is told, and what its adapter is told besides."""
    match entry:
        case EurekaListener(option=option):
            return http(entry.name, option), eureka(option)
        case NacosListener(option=option):
            return nacos_ports(entry.name, option), nacos(config, option)
        case ConsulListener(option=option):
            return consul_ports(entry.name, option), consul(config, option)
        case ServiceGrpcListener(option=option, api=api):
            groups = GroupSettings(client=_parts(api.client, CLIENT_PARTS))
            return grpc(entry.name, option), NativeSettings(shared=polaris(config), groups=groups)
        case ConfigGrpcListener(option=option, api=api):
            groups = GroupSettings(client=frozenset({CONFIG}) if api.client.enable else frozenset())
            return grpc(entry.name, option), NativeSettings(shared=polaris(config), groups=groups)
        case LimiterListener(option=option):
            return grpc(entry.name, option), NativeSettings(shared=polaris(config))
        case XdsListener(option=option):
            return grpc(entry.name, option), xds(option)
    raise ValueError(f"{entry.name} has no adapter")


def access(config: Config) -> AccessSettings:
    """Who is asked for credentials, and where accounts come from."""
    user, strategy = config.auth.user.option, config.auth.strategy.option
    return AccessSettings(
        salt=user.salt.get_secret_value(),
        seed_default_admin=user.seed_default_admin,
        initial_password=user.initial_password.get_secret_value(),
        console_open=strategy.console_open,
        console_strict=strategy.console_strict or strategy.strict,
        client_open=strategy.client_open,
        client_strict=strategy.client_strict or strategy.strict,
        asked_elsewhere=any(
            entry.option.auth
            for entry in config.apiservers
            if isinstance(entry, EurekaListener | NacosListener | ConsulListener | XdsListener)
        ),
    )


def native_routes(config: Config, entry: FrontEntry) -> NativeSettings:
    """What of the native HTTP API one main port serves."""
    api, option = entry.api, entry.option
    groups = GroupSettings(
        client=_parts(api.client, CLIENT_PARTS),
        console=_parts(api.console, CONSOLE_PARTS),
        admin=api.admin.enable,
        swagger=option.enable_swagger,
        pprof=option.enable_pprof,
    )
    return NativeSettings(shared=polaris(config), groups=groups)


def _parts(group: ServedGroup, default: frozenset[str]) -> frozenset[str]:
    if not group.enable:
        return frozenset()
    return frozenset(group.include) or default


def xds_routes(config: Config, _entry: FrontEntry) -> XdsSettings | None:
    """What of xDS one main port serves: as the first xDS listener says; None: nothing, there is no listener."""
    first = next((entry for entry in config.apiservers if isinstance(entry, XdsListener)), None)
    return None if first is None else xds(first.option)


ROUTES_SETTINGS: Final[dict[str, Callable[[Config, FrontEntry], object]]] = {
    "service-grpc": native_routes,
    "xds-v3": xds_routes,
}
"""By name of an adapter that answers on the main HTTP port: what it is told about one such port."""


OFFER_SETTINGS: Final[dict[str, Callable[[Config], object]]] = {"service-grpc": polaris}
"""By name of an adapter that lets others answer some of its methods: what it is told."""


def store(config: Config) -> tuple[str, Path | None, str]:
    """Kind, path and durability of the store."""
    match config.store:
        case SqliteStore(option=option) | BoltStore(option=option):
            return "sqlite", option.path, option.synchronous
        case _:
            return "memory", None, "normal"


def jobs(config: Config) -> Iterator[maintain.Job]:
    """The maintain jobs that are switched on."""
    for job in config.maintain.jobs:
        if not job.enable:
            continue
        match job:
            case DeleteUnHealthyInstance(option=option):
                yield maintain.DeleteUnHealthyInstance(_ms(option.instance_delete_timeout))
            case DeleteEmptyAutoCreatedService(option=option):
                yield maintain.DeleteEmptyAutoCreatedService(_ms(option.service_delete_timeout))
            case CleanDeletedInstances(option=option):
                yield maintain.CleanDeletedInstances(_ms(option.instance_clean_timeout))
            case CleanDeletedClients(option=option):
                yield maintain.CleanDeleted(job.name, _ms(option.client_clean_timeout), (DOCUMENT,))
            case CleanConfigReleaseHistory(option=option):
                yield CleanHistory(max(60_000, _ms(option.retention_days)), option.batch_size)
            case CleanDeletedResources(option=option):
                timeout_ms = max(120_000, _ms(option.timeout))
                yield maintain.CleanDeleted(job.name, timeout_ms, (NAMESPACE, SERVICE, DOCUMENT))


def log_scope(scope: LogScope) -> LoggerOptions:
    """One scope of ``bootstrap.logger``."""
    return LoggerOptions(
        rotate_output_path=str(scope.rotate_output_path or ""),
        error_rotate_output_path=str(scope.error_rotate_output_path or ""),
        rotation_max_size=scope.rotation_max_size,
        rotation_max_backups=scope.rotation_max_backups,
        rotation_max_age=scope.rotation_max_age,
        rotation_max_duration_for_hour=scope.rotation_max_duration_for_hour,
        output_level=scope.output_level,
        compress=scope.compress,
        only_content=scope.only_content,
        output_paths=tuple(scope.output_paths),
        error_output_paths=tuple(scope.error_output_paths),
    )


def _ms(value: timedelta) -> int:
    return int(value.total_seconds() * 1000)
