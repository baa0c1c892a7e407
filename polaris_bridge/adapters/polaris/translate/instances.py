"""Native instances as clients send them: judged by the original's rules, and lifted to canonical registrations. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import (
    CRITICAL,
    NORMAL_WEIGHT,
    NOWHERE,
    Checks,
    Lease,
    Liveness,
    Location,
    Registration,
)

from .keys import EMPTY, SOURCE, Document, instance_id

OK: Final[int] = v1.ExecuteSuccess

INTERNAL: Final = "internal-"
"""What the keys begin with that real servers and other adapters write into an instance's metadata."""
CLUSTER: Final = "internal-nacos-cluster"
"""The one of these keys that others than native readers understand: SDKs that register in two registries at once send it."""
DEFAULT_TTL_S: Final = 5
LONGEST_TTL_S: Final = 60
"""The most that native readers are told; a longer one is kept and ruled by all the same."""
HEALTHY: Final = "healthy"
"""The one check of an instance that said of itself that it is not healthy."""
MISSED_BEATS: Final = 3
MAX_ID: Final = 128
"""Characters of an id that a client chose."""

_NAME: Final = re.compile(r"[0-9A-Za-z\-./:_]+", re.ASCII)
_MAX_PORT: Final = 65535
_MAX_WEIGHT: Final = 65535
_MAX_KEY: Final = 128
_MAX_VALUE: Final = 4096
_MAX_VPC: Final = 64
_NO_METADATA: Final[dict[str, str]] = {}


# ---------------------------------------------------------------- checks


def check(instance: v1.Instance, settings: PolarisSettings) -> int:
    """The code that a registration is answered with before anything is looked up: 200000, or the first thing wrong with it."""
    code = check_limits(instance, settings)
    return check_place(instance) if code == OK else code


def check_limits(instance: v1.Instance, settings: PolarisSettings) -> int:
    """Whether what is given is not too long, too large or too much: 200000, or the code of the first that is.

    Order and limits are those of polaris-server 1.19; lengths are counted in characters. The bounds of an id and a vpc
    are the columns of its database, for which it has no check.
    """
    metadata = instance.metadata
    if len(metadata) > settings.max_metadata and _own_pairs(metadata) > settings.max_metadata:
        return v1.InvalidMetadata
    for field, longest, code in _LENGTHS:
        if len(getattr(instance, field).value) > longest:
            return code
    for key, value in metadata.items():
        if len(key) > _MAX_KEY or len(value) > _MAX_VALUE:
            return v1.InvalidMetadata
    if instance.port.value > _MAX_PORT:
        return v1.InvalidInstancePort
    if instance.weight.value > _MAX_WEIGHT or len(instance.vpc_id.value) > _MAX_VPC:
        return v1.InvalidParameter
    if len(instance.id.value) > MAX_ID:
        return v1.InvalidInstanceID
    return OK


_LENGTHS: Final = (
    ("service", 128, v1.InvalidServiceName),
    ("namespace", 64, v1.InvalidNamespaceName),
    ("host", 128, v1.InvalidInstanceHost),
    ("protocol", 32, v1.InvalidInstanceProtocol),
    ("version", 32, v1.InvalidInstanceVersion),
    ("logic_set", 128, v1.InvalidInstanceLogicSet),
)


def check_place(instance: v1.Instance) -> int:
    """Whether an instance names service, namespace, host and port: 200000, or the code of the first that it lacks."""
    if not _NAME.fullmatch(instance.service.value):
        return v1.InvalidServiceName
    if not _NAME.fullmatch(instance.namespace.value):
        return v1.InvalidNamespaceName
    if not instance.host.value.strip():
        return v1.InvalidInstanceHost
    if not instance.HasField("port"):
        return v1.InvalidInstancePort
    return OK


def check_named(instance: v1.Instance) -> int:
    """Whether a request says which instance it means, by its id or its place: 200000, or what is wrong."""
    if instance.HasField("id"):
        return OK if instance.id.value else v1.InvalidInstanceID
    return check_place(instance)


def id_of(instance: v1.Instance) -> str:
    """The id of an instance: the given one, else the one that its place gives."""
    return instance.id.value or instance_id(
        instance.namespace.value,
        instance.service.value,
        instance.host.value,
        instance.port.value,
        instance.vpc_id.value,
    )


def _own_pairs(metadata: Iterable[str]) -> int:
    """How many pairs are the user's: what real servers add does not count."""
    return sum(not key.startswith(INTERNAL) for key in metadata)


# ---------------------------------------------------------------- lifting


def lift(instance: v1.Instance, before: Registration | None = None, id: str = "") -> Registration:
    """The canonical form of an instance that ``check`` accepts. ``before``: what its key held until now, whose parts are
    kept where they are the same (equal objects are kept once). ``id``: ``id_of`` the instance, if known already.

    Isolation is no part of it: that is a switch on the address. Spaces around a host are the one thing that is not kept
    as it was sent, as on polaris-server; the id is that of the host with them.
    """
    namespace, service = sys.intern(instance.namespace.value), sys.intern(instance.service.value)
    host, port, vpc = instance.host.value.strip(), instance.port.value, instance.vpc_id.value
    given = instance.id.value
    metadata, internal = _pairs(instance)
    ttl_s = ttl_of(instance)
    document = _document(
        given != "" and given != instance_id(namespace, service, host, port, vpc),
        ttl_s,
        instance.HasField("priority"),
        instance.HasField("weight"),
        _empty(instance),
    )
    if internal:
        document = Document(
            document.given_id,
            internal,
            document.health_check,
            document.ttl_s,
            document.priority_given,
            document.weight_given,
            document.empty,
        )
    if before is not None:
        metadata = before.metadata if before.metadata == metadata else metadata
        host = before.host if before.host == host else host
        document = before.ext if before.ext == document else document
    location = instance.location
    return Registration(
        source=SOURCE,
        namespace=namespace,
        key=given or id or id_of(instance),
        service=service,
        host=host,
        port=port,
        vpc=sys.intern(vpc),
        liveness=liveness_of(ttl_s, healthy=not instance.HasField("healthy") or instance.healthy.value),
        protocol=sys.intern(instance.protocol.value),
        version=sys.intern(instance.version.value),
        weight=instance.weight.value if document.weight_given else NORMAL_WEIGHT,
        priority=instance.priority.value,
        logic_set=sys.intern(instance.logic_set.value),
        metadata=metadata,
        location=_location(location.region.value, location.zone.value, location.campus.value),
        cluster=sys.intern(internal.get(CLUSTER, "")),
        ephemeral=ttl_s > 0,
        ext=document,
    )


def ttl_of(instance: v1.Instance) -> int:
    """Seconds between the heartbeats that were asked for (5 when the client said 0); 0 when none were."""
    if not instance.health_check.HasField("heartbeat"):
        return 0
    if instance.HasField("enable_health_check") and not instance.enable_health_check.value:
        return 0
    return instance.health_check.heartbeat.ttl.value or DEFAULT_TTL_S


def liveness_of(ttl_s: int, *, healthy: bool) -> Liveness:
    """What keeps an instance healthy: its heartbeats (``ttl_s`` > 0), else its own word.

    One that wants to be checked but says that it is not healthy yet is unhealthy until its first heartbeat.
    """
    if not healthy:
        return _UNHEALTHY
    return _lease(ttl_s) if ttl_s else None


_UNHEALTHY: Final = Checks({HEALTHY: CRITICAL})


@lru_cache(maxsize=1024)
def _lease(ttl_s: int) -> Lease:
    """Most instances have the same: one object serves them all. Silence makes unhealthy, it deletes nobody."""
    return Lease(ttl_s * 1000, MISSED_BEATS * ttl_s * 1000, 0, protectable=False)


@lru_cache(maxsize=1024)
def _document(given_id: bool, ttl_s: int, priority_given: bool, weight_given: bool, empty: int) -> Document:
    return Document(given_id, _NO_METADATA, ttl_s > 0, ttl_s, priority_given, weight_given, empty)


def _empty(instance: v1.Instance) -> int:
    """The bits of what was sent without a content."""
    found = 0
    for name, bit in EMPTY.items():
        if instance.HasField(name) and not _content(getattr(instance, name)):
            found |= bit
    return found


def _content(value: v1.StringValue | v1.Location) -> str:
    if isinstance(value, v1.Location):
        return value.region.value or value.zone.value or value.campus.value
    return value.value


@lru_cache(maxsize=1024)
def _place(region: str, zone: str, campus: str) -> Location:
    return Location(region, zone, campus)


def _location(region: str, zone: str, campus: str) -> Location:
    return _place(region, zone, campus) if region or zone or campus else NOWHERE


def _pairs(instance: v1.Instance) -> tuple[dict[str, str], dict[str, str]]:
    """The user's metadata, and what stands apart from it."""
    own: dict[str, str] = {}
    internal: dict[str, str] = {}
    for key, value in instance.metadata.items():
        (internal if key.startswith(INTERNAL) else own)[sys.intern(key)] = _shared(value)
    return own, internal


def _shared(value: str) -> str:
    """A metadata value; one object for those that many instances have in common (zones, versions, ports)."""
    return sys.intern(value) if len(value) <= 24 and (len(value) < 9 or not value.isdigit()) else value
