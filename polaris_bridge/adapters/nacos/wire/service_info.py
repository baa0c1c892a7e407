"""Lists of instances as JSON: one instance as bytes that are used again and again, and the forms a whole list is sent in.

Members and their order are those of Nacos 2.5.1 (3.x spells ``allIPs`` as ``allIps``; no client reads it).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from .messages import Host

Form = Literal["v1", "grpc", "udp", "v3"]
"""``v1``: HTTP v1 and v2, the name with its group. ``grpc``: the name without it. ``udp``: as ``v1``, and ``groupName`` is
left out. ``v3``: the instances alone, as a list."""

CACHE_MS: Final = 10_000
"""How long a client may use a list before it asks again; the polling interval of 1.x clients."""


class _Host(Struct, rename="camel", gc=False):
    instance_id: str | UnsetType
    ip: str
    port: int
    weight: float
    healthy: bool
    enabled: bool
    ephemeral: bool
    cluster_name: str
    service_name: str
    metadata: dict[str, str]
    instance_heart_beat_interval: int
    instance_heart_beat_time_out: int
    ip_delete_timeout: int
    instance_id_generator: str | UnsetType


_encode: Final = msgspec.json.Encoder().encode
_HEALTHY: Final = b',"healthy":true,'
_UNHEALTHY: Final = b',"healthy":false,'
_WEIGHT: Final = b',"weight":'


def _generator(h: Host) -> str | UnsetType:
    """Without any metadata the real server names its default, with some that lacks the key it names none."""
    if h.id_generator is not None:
        return h.id_generator
    return UNSET if h.metadata else "simple"


def host(h: Host) -> bytes:
    """One instance."""
    return _encode(
        _Host(
            UNSET if h.instance_id is None else h.instance_id,
            h.ip,
            h.port,
            float(h.weight),
            h.healthy,
            h.enabled,
            h.ephemeral,
            h.cluster,
            h.service_name,
            h.metadata,
            h.beat_interval_ms,
            h.beat_timeout_ms,
            h.delete_timeout_ms,
            _generator(h),
        )
    )


def called_healthy(fragment: bytes) -> bytes:
    """An instance as ``host`` wrote it, healthy whatever it is."""
    return fragment.replace(_UNHEALTHY, _HEALTHY, 1)


def weighing(fragment: bytes, weight: float) -> bytes:
    """An instance as ``host`` wrote it, with another weight. What stands before it are texts, in which quotes are escaped."""
    before, _, rest = fragment.partition(_WEIGHT)
    return b"".join((before, _WEIGHT, _encode(float(weight)), rest[rest.index(b",") :]))


def whole(weights: Collection[int]) -> int:
    """What weights are divided by to be as small as they can and still whole numbers: Go clients count whole ones only."""
    return math.gcd(*weights) or 1


class Undated(NamedTuple):
    """A list but for its time."""

    before: bytes
    after: bytes
    """Empty: the form says no time."""

    def at(self, last_ref_ms: int) -> bytes:
        """The list. Clients drop one that is older than the one they have."""
        return b"%b%d%b" % (self.before, last_ref_ms, self.after) if self.after else self.before


def undated(form: Form, *, group: str, name: str, clusters: str, hosts: bytes, protected: bool = False) -> Undated:
    """A whole list. ``hosts``: results of ``host``, separated by commas. ``clusters``: as asked for.

    ``protected``: all are called healthy, for too few are.
    """
    if form == "v3":
        return Undated(b"".join((b"[", hosts, b"]")), b"")
    said = name if form == "grpc" else f"{group}@@{name}"
    before = b"".join(
        (
            b'{"name":',
            _encode(said),
            b"" if form == "udp" else b',"groupName":' + _encode(group),
            b',"clusters":',
            _encode(clusters),
            b',"cacheMillis":%d,"hosts":[' % CACHE_MS,
            hosts,
            b'],"lastRefTime":',
        )
    )
    return Undated(before, _PROTECTED if protected else _UNPROTECTED)


_END: Final = b',"checksum":"","allIPs":false,"reachProtectionThreshold":%b,"valid":true}'
_PROTECTED: Final = _END % b"true"
_UNPROTECTED: Final = _END % b"false"
