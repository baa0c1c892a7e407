"""Nacos' instances to canonical registrations and back. Pure; the mapping's tables in code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from msgspec import structs

from polaris_bridge.adapters._shared.tags import metadata_of
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, DEFAULT_GROUP, Host, Instance
from polaris_bridge.core.model import (
    CRITICAL,
    DOWN,
    NORMAL_WEIGHT,
    OUT_OF_SERVICE,
    PASSING,
    UP,
    Address,
    Checks,
    Lease,
    Liveness,
    Registration,
)
from polaris_bridge.core.views import Shown, shown, withdrawn

from .keys import SOURCE, Document, Marks, Sent, connection_of, grouped
from .names import decode

INTERNAL: Final = "internal-"
"""What the keys begin with that are no user's."""
CHECK: Final = "nacos"
"""The one check of a persistent instance."""

INTERVAL: Final = "preserved.heart.beat.interval"
TIMEOUT: Final = "preserved.heart.beat.timeout"
DELETION: Final = "preserved.ip.delete.timeout"
GENERATOR: Final = "preserved.instance.id.generator"
SNOWFLAKE: Final = "snowflake"
SECURE: Final = "secure"
"""Metadata ``secure=true`` says that the port speaks TLS, as Spring Cloud's clients write and read it."""

INTERVAL_MS: Final = 5_000
TIMEOUT_MS: Final = 15_000
DELETION_MS: Final = 30_000

_MAX_WEIGHT: Final = 20_000_000.0
"""A thousand times what the HTTP interface takes; a hundred times this is what fits everywhere."""
_PRESERVED: Final = "preserved."
_SECURE: Final = ("https", "grpcs")
_NO_TIMES: Final = (INTERVAL_MS, TIMEOUT_MS, DELETION_MS)


# ---------------------------------------------------------------- weights and times


def core_weight(weight: float) -> int:
    """A Nacos weight (1.0 is normal) as the core's; what is positive stays so. Over gRPC any number may come."""
    if weight == 1.0:
        return NORMAL_WEIGHT
    return max(1, round(min(weight, _MAX_WEIGHT) * NORMAL_WEIGHT)) if weight > 0 else 0


def times(metadata: dict[str, str]) -> tuple[int, int, int]:
    """Milliseconds between heartbeats, until silence is unhealthy, and until it is the end, as metadata asks for."""
    for key in metadata:
        if key.startswith(_PRESERVED):
            return (
                _number(metadata, INTERVAL, INTERVAL_MS),
                _number(metadata, TIMEOUT, TIMEOUT_MS),
                _number(metadata, DELETION, DELETION_MS),
            )
    return _NO_TIMES


def _number(metadata: dict[str, str], key: str, default: int) -> int:
    """Digits alone count, as in Nacos; a text too long for its integers counts as absent."""
    text = metadata.get(key, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else default


@lru_cache(maxsize=1024)
def lease(interval_ms: int, timeout_ms: int, deletion_ms: int) -> Lease:
    """The terms of heartbeats over HTTP. Most instances have the same: one object serves them all."""
    return Lease(interval_ms, max(1, timeout_ms), max(1, deletion_ms), protectable=False)


_HEALTHY: Final = Checks({CHECK: PASSING})
_UNHEALTHY: Final = Checks({CHECK: CRITICAL})


def checked(healthy: bool) -> Checks:
    """What a persistent instance lives by: a check, whose first result is what it said of itself."""
    return _HEALTHY if healthy else _UNHEALTHY


# ---------------------------------------------------------------- in


def lift(
    instance: Instance, namespace: str, service: str, *, key: str, liveness: Liveness, instance_id: str | None
) -> Registration:
    """The canonical form of an instance. ``service`` is the core's name, ``instance_id`` as in ``Document``."""
    own, everything = _pairs(instance.metadata)
    weight, enabled, healthy = instance.weight, instance.enabled, instance.healthy
    cluster = instance.cluster
    ephemeral = instance.ephemeral
    if weight == 1.0 and enabled and healthy and everything is None and not instance_id and ephemeral:
        document = _plain_document(cluster, instance_id)
    else:
        document = Document(weight, enabled, healthy or not ephemeral, cluster, instance_id, everything)
    return Registration(
        source=SOURCE,
        namespace=namespace,
        key=key,
        service=sys.intern(service),
        host=instance.ip,
        port=instance.port,
        liveness=liveness,
        reported=_word(document),
        protocol="https" if own.get(SECURE) == "true" else "",
        weight=core_weight(weight),
        metadata=own,
        cluster=sys.intern(cluster or DEFAULT_CLUSTER),
        ephemeral=ephemeral,
        ext=document,
    )


@lru_cache(maxsize=1024)
def _plain_document(cluster: str | None, instance_id: str | None) -> Document:
    """Nearly all documents are equal: one object serves them all."""
    return Document(cluster=cluster, instance_id=instance_id)


def _word(document: Document) -> str:
    if not document.healthy:
        return DOWN
    return UP if document.enabled else OUT_OF_SERVICE


def _pairs(metadata: dict[str, str]) -> tuple[dict[str, str], dict[str, str] | None]:
    """The user's metadata, and all of it if that is more."""
    own = {sys.intern(key): _shared(value) for key, value in metadata.items() if not key.startswith(INTERNAL)}
    return own, None if len(own) == len(metadata) else dict(metadata)


def _shared(value: str) -> str:
    """A metadata value; one object for those that many instances have in common (zones, versions, ports)."""
    return sys.intern(value) if len(value) <= 24 and (len(value) < 9 or not value.isdigit()) else value


def sent_metadata(r: Registration) -> dict[str, str]:
    """The metadata of an own registration as its readers see it."""
    document: Document = r.ext
    return r.metadata if document.metadata is None else document.metadata


def overridden(
    r: Registration, weight: float | None, enabled: bool | None, metadata: dict[str, str] | None
) -> Registration:
    """An own registration with an operator's values laid over what its client sent; all None: as it was sent.

    Metadata is merged. ``enabled`` False changes nothing here: that is a switch on the address.
    """
    document: Document = r.ext
    sent = document.sent or Sent(document.weight, document.enabled, sent_metadata(r))
    shown_weight = sent.weight if weight is None else weight
    on = sent.enabled or enabled is True
    pairs = {**sent.metadata, **metadata} if metadata else sent.metadata
    own, everything = _pairs(pairs)
    same = shown_weight == sent.weight and on == sent.enabled and pairs == sent.metadata
    document = structs.replace(
        document, weight=shown_weight, enabled=on, metadata=everything, sent=None if same else sent
    )
    return structs.replace(
        r,
        reported=_word(document),
        protocol="https" if own.get(SECURE) == "true" else "",
        weight=core_weight(shown_weight),
        metadata=own,
        ext=document,
    )


def revived(r: Registration) -> Registration:
    """An own ephemeral registration that said of itself that it is unhealthy, and was heard of since."""
    document = structs.replace(r.ext, healthy=True)
    return structs.replace(r, reported=_word(document), ext=document)


def snowflake_id(number: int, cluster: str | None, service: str) -> str:
    """The id of an instance whose metadata asks for a number; ``service`` is grouped."""
    return f"{number}#{cluster or DEFAULT_CLUSTER}#{service}"


# ---------------------------------------------------------------- out


def hosts(address: Address, service: str, kind: bool | None) -> Iterator[Host]:
    """What Nacos readers see at an address: one entry a cluster, the disabled included.

    ``service`` is grouped; ``kind``: whether the service is ephemeral, None when nothing says so. Of several registrations of
    one cluster (two connections, or a connection and HTTP) the one whose client said something new last. An own one that fell
    silent is listed, unhealthy, beside a live one of another cluster.
    """
    registrations = address.registrations
    if not registrations:
        return
    if len(registrations) == 1:
        for only in shown(address, SOURCE):
            yield host(only, address, service, kind)
        return
    found: dict[str, Shown] = {}
    for s in shown(address, SOURCE):
        cluster = cluster_of(s.registration)
        known = found.get(cluster)
        if known is None or _turn(known.registration) < _turn(s.registration):
            found[cluster] = s
    if any(s.own for s in found.values()):
        for r in registrations:
            if r.source == SOURCE and not r.live and cluster_of(r) not in found:
                found[cluster_of(r)] = _silent(address, r)
    for s in found.values():
        yield host(s, address, service, kind)


def _turn(r: Registration) -> int:
    return r.marks.turn if isinstance(r.marks, Marks) else r.seq


def _silent(address: Address, r: Registration) -> Shown:
    """An own registration that is lost while another cluster's at its address lives."""
    alone = structs.replace(address, registrations=(r,))
    return structs.replace(shown(alone, SOURCE)[0], live=False)


def host(s: Shown, address: Address, service: str, kind: bool | None) -> Host:
    """One instance as Nacos readers get it, from what ``core.views`` says of it. ``service`` and ``kind`` as in ``hosts``."""
    r = s.registration
    if s.own and isinstance(r.ext, Document):
        return own_host(r, service, healthy=s.live and not _failing(r), withdrawn=_withdrawn_own(s, address))
    return _foreign_host(s, address, service, kind)


def own_host(r: Registration, service: str, *, healthy: bool, withdrawn: bool) -> Host:
    """A registration made through Nacos, as its readers get it back. ``withdrawn``: by an operator's switch."""
    document: Document = r.ext
    metadata = sent_metadata(r)
    interval, timeout, deletion = times(metadata)
    id = document.instance_id
    if id == "":
        sent = document.cluster
        # over gRPC the real server takes the cluster as it stands in the request, which may be empty or absent
        id = f"{r.host}#{r.port}#{'null' if sent is None else sent}#{service}"
    return Host(
        id,
        r.host,
        r.port,
        document.weight,
        healthy and document.healthy,
        document.enabled and not withdrawn,
        r.ephemeral,
        r.cluster,
        service,
        metadata,
        interval,
        timeout,
        deletion,
        metadata.get(GENERATOR),
    )


def _foreign_host(s: Shown, address: Address, service: str, kind: bool | None) -> Host:
    """A registration of another protocol: a host of cluster ``DEFAULT`` if it names none, of the service's kind.

    Unhealthy: not heard of any more, a check that fails, or its word "down". Not enabled: any word but "up", or a switch.
    """
    r = s.registration
    metadata = {key: value for key, value in metadata_of(r).items() if not key.startswith(INTERNAL)}
    if r.protocol.lower() in _SECURE:
        metadata.setdefault(SECURE, "true")
    cluster = cluster_of(r)
    healthy = s.live and s.word != DOWN
    enabled = True
    if s.word != UP or address.switches:
        copied = bool(r.copied_from)
        peers = [p for p in address.registrations if p.live is r.live and bool(p.copied_from) is copied]
        enabled = all(p.reported == UP for p in peers) and not withdrawn(address.switches, address.registrations)
    interval, timeout, deletion = times(metadata)
    return Host(
        f"{r.host}#{r.port}#{cluster}#{service}",
        r.host,
        r.port,
        r.weight / NORMAL_WEIGHT,
        healthy,
        enabled,
        kind is not False,
        cluster,
        service,
        metadata,
        interval,
        timeout,
        deletion,
    )


def cluster_of(r: Registration) -> str:
    """The cluster of a registration of any protocol."""
    return r.cluster or DEFAULT_CLUSTER


def _failing(r: Registration) -> bool:
    return isinstance(r.liveness, Checks) and r.liveness.critical


def _withdrawn_own(s: Shown, address: Address) -> bool:
    """Whether a switch is on an own registration: its own protocol's or another's."""
    if not address.switches:
        return False
    key = s.registration.key
    if any(switch.on and switch.source == SOURCE and switch.key in ("", key) for switch in address.switches):
        return True
    others = [switch for switch in address.switches if switch.source != SOURCE]
    return withdrawn(others, address.registrations)


# ---------------------------------------------------------------- for native readers


def native_pairs(r: Registration) -> dict[str, str]:
    """The metadata that polaris-server 1.19's Nacos adapter keeps with an instance: native readers find them there.

    Nothing when this adapter is switched off, for then nobody can read what it kept.
    """
    if not isinstance(r.ext, Document):
        return {}
    group, name = decode(r.service)
    pairs = {
        "internal-nacos-cluster": r.cluster,
        "internal-nacos-service": name if group == DEFAULT_GROUP else grouped(group, name),
    }
    connection = connection_of(r.key)
    if connection:
        pairs["internal-nacos-clientconnId"] = connection
    return pairs
