"""The section ``apiservers``: one element for each listener. A name may stand several times, on different ports."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .consul import ConsulOptions
from .eureka import EurekaOptions
from .fields import ByName, Section, key, unused
from .listener_options import ListenerOptions, Transport
from .nacos import NacosOptions
from .values import Duration, Networks


class ApiGroup(Section):
    """One group of routes."""

    enable: bool = unused(False, "Whether the group is served.")
    include: list[str] = unused([], "Parts of the group that are served; empty = its default part.")


class Api(Section):
    """Which groups of routes a listener of the native protocol serves."""

    admin: ApiGroup = unused(ApiGroup.model_construct(), "Maintain routes.")
    console: ApiGroup = unused(
        ApiGroup.model_construct(), "Routes for consoles and scripts: `default`, `service`, `config`."
    )
    client: ApiGroup = unused(
        ApiGroup.model_construct(), "Routes for SDKs: `discover`, `register`, `healthcheck`, `config`."
    )
    config: ApiGroup = unused(ApiGroup.model_construct(), "Older name of the configuration part of `console`.")
    config_client: ApiGroup = unused(ApiGroup.model_construct(), "Older name of the configuration part of `client`.")


class ServedGroup(ApiGroup):
    """One group of routes of a listener that has such groups."""

    enable: bool = key(False, "Whether the group is served.")
    include: list[str] = key([], "Parts of the group that are served; empty = its default parts.")


class SwitchedGroup(ApiGroup):
    """One group of routes that has no parts."""

    enable: bool = key(False, "Whether the group is served.")


class GrpcApi(Api):
    """Groups of the native gRPC port."""

    client: ServedGroup = key(
        ServedGroup.model_construct(enable=True),
        "Calls of SDKs: `discover`, `register`, `healthcheck`; one that is not served answers 400401.",
    )


class ConfigGrpcApi(Api):
    """Groups of the gRPC port of the configuration centre."""

    client: SwitchedGroup = key(
        SwitchedGroup.model_construct(enable=True), "Calls of SDKs; when they are not served they are answered 400401."
    )


class HttpApi(Api):
    """Groups of the main HTTP port. A route that is not served is answered 404."""

    admin: ServedGroup = key(ServedGroup.model_construct(enable=True), "Maintain routes, `/maintain/v1`.")
    console: ServedGroup = key(
        ServedGroup.model_construct(enable=True), "Routes for consoles and scripts: `default`, `service`, `config`."
    )
    client: ServedGroup = key(
        ServedGroup.model_construct(enable=True), "Routes for SDKs: `discover`, `register`, `healthcheck`, `config`."
    )


class HttpOptions(ListenerOptions):
    """Options of the main HTTP port."""

    listen_port: int = key(8090, "Port; 0 = any free one, for tests.", ge=0, le=65535)
    enable_pprof: bool = key(
        False,
        "Serve `/debug/pprof`: stacks and a sampling profile as text, since Go's formats have no counterpart here.",
    )
    enable_swagger: bool = key(False, "Serve the API description, `/apidocs.json`.")
    enable_cache_proto: bool = unused(False, "Keep encoded answers; ours are always kept, by revision.")
    size_cache_proto: int = unused(128, "How many encoded answers are kept.", ge=0)


class GrpcOptions(ListenerOptions):
    """Options that the native gRPC ports share."""

    max_body_size: int = key(
        4_194_304,
        "Largest message from a client in bytes; above, the call ends. 4 MiB as in servers written in Go.",
        ge=1,
    )
    header_timeout: Duration = key(timedelta(seconds=20), "How long a connection's first bytes may take.")
    keep_alive: Duration = key(
        timedelta(seconds=120), "How long a connection is silent before it is asked whether its client lives."
    )
    trusted_proxies: Networks = unused((), "Proxies; over gRPC the peer is the client.")

    enable_cache_proto: bool = unused(True, "Keep encoded answers; ours are always kept, by revision.")
    size_cache_proto: int = unused(128, "How many encoded answers are kept.", ge=0)
    transport: Transport = unused("native", "Which gRPC server carries the port: this project's own or grpcio.")


class ServiceGrpcOptions(GrpcOptions):
    """Options of discovery and registration over gRPC."""

    listen_port: int = key(8091, "Port; 0 = any free one, for tests.", ge=0, le=65535)
    enable_cache_proto: bool = key(True, "Keep encoded answers about instances; off, each answer is put together anew.")
    size_cache_proto: int = key(128, "Services whose encoded answer is kept; those used last.", ge=0)
    transport: Transport = key("native", "Which gRPC server carries the port: this project's own, or grpcio.")


class ConfigGrpcOptions(GrpcOptions):
    """Options of the configuration centre over gRPC."""

    listen_port: int = key(8093, "Port; 0 = any free one, for tests.", ge=0, le=65535)
    transport: Transport = key("native", "Which gRPC server carries the port: this project's own, or grpcio.")


class LimiterOptions(GrpcOptions):
    """Options of the rate limit server."""

    listen_port: int = key(8101, "Port; 0 = any free one, for tests.", ge=0, le=65535)
    transport: Transport = key("native", "Which gRPC server carries the port: this project's own, or grpcio.")


class XdsOptions(GrpcOptions):
    """Options of xDS."""

    listen_port: int = key(15010, "Port; 0 = any free one, for tests.", ge=0, le=65535)
    transport: Transport = key("native", "Which gRPC server carries the port: this project's own, or grpcio.")
    auth: bool = key(
        False,
        "Whether streams need a token (metadata `x-polaris-token` or `authorization: Bearer`) that may read their node's "
        "namespace; a certificate, with `tls.trustedCAFile`, does as well. Off as in the original.",
    )
    push_interval: Duration = key(
        timedelta(milliseconds=50),
        "Least time between two changes that the same clients are told of; the first goes out at once. The first listener "
        "says so for all.",
    )


class L5Options(ListenerOptions):
    """Options of L5."""

    listen_port: int = key(7779, "Port; 0 = any free one, for tests.", ge=0, le=65535)
    cluster_name: str = unused("cl5.discover", "Name of the cluster of L5 servers.")


class PrometheusOptions(ListenerOptions):
    """Options of the older listener for Prometheus' HTTP discovery, which the main HTTP port serves since."""

    listen_port: int = key(9000, "Port; 0 = any free one, for tests.", ge=0, le=65535)


class Listener(ByName):
    """What every listener has."""

    name: str = key("", "Kind of the listener.")
    option: ListenerOptions = key(
        ListenerOptions.model_construct(), "Options of the listener; each kind has its own besides."
    )
    api: Api = unused(Api.model_construct(), "Groups of routes; only the native ports have some.")


class EurekaListener(Listener):
    """Eureka REST, under ``/eureka`` and ``/eureka/v2``."""

    name: Literal["service-eureka"] = key("service-eureka", "Eureka REST.")
    option: EurekaOptions = key(EurekaOptions.model_construct(), "Options of the listener.")


class HttpListener(Listener):
    """The main HTTP port: health, metrics, the native APIs, and later the console."""

    name: Literal["api-http"] = key("api-http", "Main HTTP port: `/livez`, `/readyz`, `/metrics`, native APIs.")
    option: HttpOptions = key(HttpOptions.model_construct(), "Options of the listener.")
    api: HttpApi = key(HttpApi.model_construct(), "Groups of routes that are served.")


class ServiceGrpcListener(Listener):
    """Native discovery and registration."""

    name: Literal["service-grpc"] = key("service-grpc", "Native discovery and registration over gRPC.")
    option: ServiceGrpcOptions = key(ServiceGrpcOptions.model_construct(), "Options of the listener.")
    api: GrpcApi = key(GrpcApi.model_construct(), "Groups of calls that are served.")


class ConfigGrpcListener(Listener):
    """Native configuration centre."""

    name: Literal["config-grpc"] = key("config-grpc", "Native configuration centre over gRPC.")
    option: ConfigGrpcOptions = key(ConfigGrpcOptions.model_construct(), "Options of the listener.")
    api: ConfigGrpcApi = key(ConfigGrpcApi.model_construct(), "Groups of calls that are served.")


class LimiterListener(Listener):
    """The limiter on a port of its own; the port of `service-grpc` answers the same calls."""

    name: Literal["service-limiter"] = key("service-limiter", "Limiter that clients of global rate limits count at.")
    option: LimiterOptions = key(LimiterOptions.model_construct(), "Options of the listener.")


class XdsListener(Listener):
    """xDS v3: gRPC's own clients and Envoy."""

    name: Literal["xds-v3"] = key("xds-v3", "xDS v3.")
    option: XdsOptions = key(XdsOptions.model_construct(), "Options of the listener.")


class NacosListener(Listener):
    """Nacos HTTP and gRPC."""

    name: Literal["service-nacos"] = key("service-nacos", "Nacos HTTP and gRPC.")
    option: NacosOptions = key(NacosOptions.model_construct(), "Options of the listener.")


class ConsulListener(Listener):
    """Consul HTTP and DNS."""

    name: Literal["service-consul"] = key("service-consul", "Consul HTTP and DNS.")
    option: ConsulOptions = key(ConsulOptions.model_construct(), "Options of the listener.")


class L5Listener(Listener):
    """L5."""

    effective: ClassVar[bool] = False
    name: Literal["service-l5"] = key("service-l5", "L5, for clients of the oldest protocol.")
    option: L5Options = key(L5Options.model_construct(), "Options of the listener.")


class PrometheusListener(Listener):
    """Older listener for Prometheus."""

    effective: ClassVar[bool] = False
    name: Literal["prometheus-sd"] = key("prometheus-sd", "Older listener for Prometheus' HTTP discovery.")
    option: PrometheusOptions = key(PrometheusOptions.model_construct(), "Options of the listener.")


AnyListener = Annotated[
    EurekaListener
    | HttpListener
    | ServiceGrpcListener
    | ConfigGrpcListener
    | LimiterListener
    | XdsListener
    | NacosListener
    | ConsulListener
    | L5Listener
    | PrometheusListener,
    Field(discriminator="name"),
]
