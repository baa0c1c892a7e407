"""JSON that Nacos clients send, as types: the bodies of gRPC payloads, and HTTP parameters that hold JSON.

As lenient as the real server's reader (Jackson, 2.5.1): unknown members are ignored, absent ones have their defaults, a null
where no null belongs is that type's nothing, numbers and booleans may be texts, and metadata values of any scalar type become
texts. Go sends ``"metadata":null`` and whole numbers as weights, Python spells out empty strings, Java 3.x both
``initializing`` and ``isInitializing``.
"""

from __future__ import annotations

from math import isfinite
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from .messages import Beat, Instance
from .payload import Malformed

__all__ = ["Malformed"]

Scalar = str | int | float | bool | None
Metadata = dict[str, Scalar]
T = TypeVar("T")


class _Instance(Struct, rename="camel", gc=False):
    ip: str | None = None
    port: int | None = 0
    weight: float | None = 1.0
    healthy: bool | None = True
    enabled: bool | None = True
    ephemeral: bool | None = True
    cluster_name: str | None = None
    metadata: Metadata | None = None
    instance_id: str | None = None


class _Beat(Struct, rename="camel", gc=False):
    ip: str | None = None
    port: int | None = 0
    weight: float | None = 1.0
    cluster: str | None = None
    metadata: Metadata | None = None
    service_name: str | None = None


class _Named(Struct, rename="camel", gc=False):
    """What every naming request begins with. Absent and null names are empty."""

    namespace: str | None = ""
    service_name: str | None = ""
    group_name: str | None = ""


class _InstanceRequest(_Named, rename="camel", gc=False):
    type: str | None = None
    instance: _Instance | None = None


class _BatchInstanceRequest(_Named, rename="camel", gc=False):
    type: str | None = None
    instances: list[_Instance] | None = None


class _ServiceQueryRequest(_Named, rename="camel", gc=False):
    cluster: str | None = ""
    healthy_only: bool | None = False
    udp_port: int | None = 0


class _SubscribeServiceRequest(_Named, rename="camel", gc=False):
    subscribe: bool | None = False
    clusters: str | None = ""


class _ServiceListRequest(_Named, rename="camel", gc=False):
    page_no: int | None = 0
    page_size: int | None = 0
    selector: str | None = ""


class _FuzzyWatchRequest(Struct, rename="camel", gc=False):
    group_key_pattern: str | None = ""
    received_group_keys: list[str] | None = None
    watch_type: str | None = ""
    initializing: bool | None = False
    is_initializing: bool | None = False


class _SetupRequest(Struct, rename="camel", gc=False):
    client_version: str | None = ""
    tenant: str | None = ""
    labels: dict[str, Scalar] | None = None
    ability_table: dict[str, bool | None] | None = None


class _Lock(Struct, rename="camel", gc=False):
    key: str | None = ""
    expired_time: int | None = None
    lock_type: str | None = ""


class _LockRequest(Struct, rename="camel", gc=False):
    lock_instance: _Lock | None = None
    lock_operation_enum: str | None = ""


class _Ack(Struct, rename="camel", gc=False):
    request_id: str | None = ""
    result_code: int | None = 200
    success: bool | None = None


class InstanceRequest(Struct, frozen=True, gc=False):
    """``InstanceRequest`` and ``PersistentInstanceRequest``."""

    namespace: str
    service_name: str
    group_name: str
    type: str | None
    """``registerInstance`` or ``deregisterInstance``, or whatever was sent."""
    instance: Instance | None


class BatchInstanceRequest(Struct, frozen=True, gc=False):
    """The whole new set of a connection for a service."""

    namespace: str
    service_name: str
    group_name: str
    type: str | None
    instances: tuple[Instance, ...]


class ServiceQueryRequest(Struct, frozen=True, gc=False):
    """A list, once."""

    namespace: str
    service_name: str
    group_name: str
    cluster: str
    healthy_only: bool
    udp_port: int


class SubscribeServiceRequest(Struct, frozen=True, gc=False):
    """A list, now and whenever it changes; or the end of that."""

    namespace: str
    service_name: str
    group_name: str
    subscribe: bool
    clusters: str


class ServiceListRequest(Struct, frozen=True, gc=False):
    """Names of services, page by page from 1."""

    namespace: str
    service_name: str
    group_name: str
    page_no: int
    page_size: int
    selector: str


class FuzzyWatchRequest(Struct, frozen=True, gc=False):
    """``NamingFuzzyWatchRequest`` of 3.x."""

    group_key_pattern: str
    received_group_keys: tuple[str, ...]
    watch_type: str
    initializing: bool


class SetupRequest(Struct, frozen=True, gc=False):
    """``ConnectionSetupRequest``: the first message of a stream."""

    client_version: str
    tenant: str
    labels: dict[str, str]
    abilities: dict[str, bool] | None
    """None: the client knows nothing of abilities, and is told nothing of ours."""


class LockRequest(Struct, frozen=True, gc=False):
    """``LockOperationRequest`` of 3.x. ``key`` None: no lock was named."""

    key: str | None
    expired_time_ms: int | None
    lock_type: str
    operation: str
    """``ACQUIRE`` or ``RELEASE``, or whatever was sent."""


class Ack(Struct, frozen=True, gc=False):
    """What a client answers to what the server asked, whatever type it calls it; and ``PushAckRequest``."""

    request_id: str
    success: bool


_instance_request: Final = msgspec.json.Decoder(_InstanceRequest, strict=False)
_batch_request: Final = msgspec.json.Decoder(_BatchInstanceRequest, strict=False)
_query_request: Final = msgspec.json.Decoder(_ServiceQueryRequest, strict=False)
_subscribe_request: Final = msgspec.json.Decoder(_SubscribeServiceRequest, strict=False)
_list_request: Final = msgspec.json.Decoder(_ServiceListRequest, strict=False)
_fuzzy_request: Final = msgspec.json.Decoder(_FuzzyWatchRequest, strict=False)
_setup_request: Final = msgspec.json.Decoder(_SetupRequest, strict=False)
_lock_request: Final = msgspec.json.Decoder(_LockRequest, strict=False)
_ack: Final = msgspec.json.Decoder(_Ack, strict=False)
_beat: Final = msgspec.json.Decoder(_Beat, strict=False)
_instances: Final[msgspec.json.Decoder[list[_Instance]]] = msgspec.json.Decoder(list[_Instance], strict=False)
_metadata: Final = msgspec.json.Decoder(Metadata | None, strict=False)
_object: Final = msgspec.json.Decoder(dict[str, object])


class _Nothing(Struct):
    """A body of which nothing is wanted."""


_nothing: Final = msgspec.json.Decoder(_Nothing)


def check(body: bytes) -> None:
    """For requests without content (``HealthCheckRequest``): only that it is JSON. Raises Malformed."""
    read(_nothing, body)


def instance_request(body: bytes) -> InstanceRequest:
    """Raises Malformed."""
    m = read(_instance_request, body)
    return InstanceRequest(*_named(m), m.type, None if m.instance is None else _lifted(m.instance))


def batch_instance_request(body: bytes) -> BatchInstanceRequest:
    """Raises Malformed."""
    m = read(_batch_request, body)
    return BatchInstanceRequest(*_named(m), m.type, tuple(map(_lifted, m.instances or ())))


def service_query_request(body: bytes) -> ServiceQueryRequest:
    """Raises Malformed."""
    m = read(_query_request, body)
    return ServiceQueryRequest(*_named(m), m.cluster or "", bool(m.healthy_only), m.udp_port or 0)


def subscribe_service_request(body: bytes) -> SubscribeServiceRequest:
    """Raises Malformed."""
    m = read(_subscribe_request, body)
    return SubscribeServiceRequest(*_named(m), bool(m.subscribe), m.clusters or "")


def service_list_request(body: bytes) -> ServiceListRequest:
    """Raises Malformed."""
    m = read(_list_request, body)
    return ServiceListRequest(*_named(m), m.page_no or 0, m.page_size or 0, m.selector or "")


def fuzzy_watch_request(body: bytes) -> FuzzyWatchRequest:
    """Raises Malformed."""
    m = read(_fuzzy_request, body)
    received = tuple(m.received_group_keys or ())
    return FuzzyWatchRequest(
        m.group_key_pattern or "", received, m.watch_type or "", bool(m.initializing or m.is_initializing)
    )


def setup_request(body: bytes) -> SetupRequest:
    """Raises Malformed."""
    m = read(_setup_request, body)
    abilities = None if m.ability_table is None else {name: bool(able) for name, able in m.ability_table.items()}
    return SetupRequest(m.client_version or "", m.tenant or "", texts(m.labels), abilities)


def lock_request(body: bytes) -> LockRequest:
    """Raises Malformed."""
    m = read(_lock_request, body)
    lock = m.lock_instance
    if lock is None:
        return LockRequest(None, None, "", m.lock_operation_enum or "")
    return LockRequest(lock.key, lock.expired_time, lock.lock_type or "", m.lock_operation_enum or "")


def ack(body: bytes) -> Ack:
    """An answer of a client. One without ``success`` succeeded if its ``resultCode`` is 200 (Python). Raises Malformed."""
    m = read(_ack, body)
    return Ack(m.request_id or "", m.result_code == 200 if m.success is None else m.success)


def beat(text: str) -> Beat:
    """The ``beat`` parameter of a heartbeat. Raises Malformed."""
    m = read(_beat, text)
    return Beat(m.ip or "", m.port or 0, m.cluster, _number(m.weight), texts(m.metadata), m.service_name or "")


def instances(text: str) -> tuple[Instance, ...]:
    """The ``instances`` parameter of metadata batches. Raises Malformed."""
    found: list[_Instance] = read(_instances, text)
    return tuple(map(_lifted, found))


def metadata(text: str) -> dict[str, str]:
    """The ``metadata`` parameter: JSON, or ``k=v,k2=v2``. Raises Malformed with the real server's words."""
    if not text or text.isspace():
        return {}
    try:
        return texts(_metadata.decode(text))
    except (msgspec.DecodeError, UnicodeError):
        found = {}
        for pair in text.rstrip(",").split(",") if text.strip(",") else ():
            key, equals, value = pair.partition("=")
            if not equals or not value or "=" in value:
                raise Malformed(f"metadata format incorrect:{text}") from None
            found[key] = value
        return found


def json_object(text: str) -> dict[str, object]:
    """A parameter that holds an object whose members depend on each other (``healthChecker``, ``selector``).

    Raises Malformed.
    """
    return read(_object, text)


def read(decoder: msgspec.json.Decoder[T], body: bytes | str) -> T:
    """JSON as a type. Raises Malformed."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Malformed(str(error)) from None
    except RecursionError:
        raise Malformed("JSON is nested too deeply") from None


def _named(m: _Named) -> tuple[str, str, str]:
    return m.namespace or "", m.service_name or "", m.group_name or ""


def _lifted(m: _Instance) -> Instance:
    return Instance(
        ip=m.ip or "",
        port=m.port or 0,
        weight=_number(m.weight),
        healthy=bool(m.healthy),
        enabled=bool(m.enabled),
        ephemeral=bool(m.ephemeral),
        cluster=m.cluster_name,
        metadata=texts(m.metadata),
        instance_id=m.instance_id,
    )


def _number(value: float | None) -> float:
    if value is None:
        return 0.0
    if not isfinite(value):
        raise Malformed("not a number")
    return value


def texts(values: dict[str, Scalar] | None) -> dict[str, str]:
    """Every value as text, as Jackson reads scalars into a map of texts; nulls are left out."""
    if not values:
        return {}
    found = {}
    for key, value in values.items():
        if type(value) is str:
            found[key] = value
        elif value is True or value is False:
            found[key] = "true" if value else "false"
        elif value is not None:
            found[key] = str(value)
    return found
