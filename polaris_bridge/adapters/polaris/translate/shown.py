"""Addresses of the core as native instances: what Discover and the console say of them. Pure.

An own registration is shown as its client described it, another protocol's as polaris-server's adapter for that protocol would
have stored it. Fields are present and absent as polaris-server 1.19 has them in recordings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Final

from msgspec import structs

from polaris_bridge.adapters.polaris.wire.v1 import HealthCheck, Instance
from polaris_bridge.core.model import DOWN, NOWHERE, OUT_OF_SERVICE, UP, Address, Checks, Lease, Registration
from polaris_bridge.core.views import Shown, shown, withdrawn

from .keys import EMPTY, SOURCE, SWITCHED_OFF, Document, instance_id
from .times import local_time

Pairs = Mapping[str, Callable[[Registration], Mapping[str, str]]]
"""By source: the metadata that a real server's adapter for that protocol adds for native readers."""

MAX_TTL_S: Final = 60
"""SDKs take a ttl above it for a mistake and reset it: a longer one is shown as this."""
INTERNAL: Final = "internal-"
"""Beginning of the keys that are no user's."""
_UINT32: Final = 0xFFFFFFFF
"""Other protocols' clients may name any number as a port; the original takes its lower bits."""
REGISTERED_FROM: Final = "internal-register-from"
LAST_HEARTBEAT: Final = "internal-lastheartbeat"


def seen(address: Address) -> tuple[Shown, ...]:
    """What native readers see at an address.

    Several own ids at one address live and die apart, as on a real server: beside a live one a silent one is listed, unhealthy.
    """
    found = shown(address, SOURCE)
    if len(address.registrations) == len(found) or not found or not found[0].own:
        return found
    listed = {s.registration.key: s for s in found}
    own = [r for r in address.registrations if r.source == SOURCE]
    return tuple(listed.get(r.key) or _silent(address, r) for r in own)


def instances(address: Address, pairs: Pairs, *, discovered: bool) -> Iterator[tuple[Shown, Instance]]:
    """Everything native readers see at an address, with its message."""
    for index, s in enumerate(seen(address)):
        yield s, render(s, address, shown_id(s, index == 0), pairs, discovered=discovered)


def shown_id(s: Shown, first: bool) -> str:
    """The id of an instance: its own, or for another protocol's what a native SDK would compute for the place.

    ``first``: whether it is the first at its address; the others' ids also hold whose they are.
    """
    r = s.registration
    if s.own:
        return r.key
    if first:
        return instance_id(r.namespace, r.service, r.host, r.port, r.vpc)
    place = f"{r.vpc}##{r.host}##{r.port}" if r.vpc else f"{r.host}##{r.port}"
    return hashlib.sha1(f"{r.namespace}##{r.service}##{place}##{r.source}##{r.key}".encode()).hexdigest()


def render(s: Shown, address: Address, id: str, pairs: Pairs, *, discovered: bool) -> Instance:
    """The ``Instance`` message. ``discovered``: for Discover, where version, protocol and location are in the metadata too."""
    r = s.registration
    m = Instance()
    m.id.value = id
    m.service.value = r.service
    m.namespace.value = r.namespace
    if r.vpc:
        m.vpc_id.value = r.vpc
    m.host.value = r.host
    m.port.value = r.port & _UINT32
    if r.protocol:
        m.protocol.value = r.protocol
    if r.version:
        m.version.value = r.version
    m.weight.value = max(0, min(r.weight, _UINT32))
    if r.logic_set:
        m.logic_set.value = r.logic_set
    ttl_s = heartbeat_ttl_s(r)
    if ttl_s:
        m.enable_health_check.value = True
        m.health_check.type = HealthCheck.HEARTBEAT
        m.health_check.heartbeat.ttl.value = ttl_s
    m.healthy.value = healthy(s)
    m.isolate.value = isolated(s, address)
    _locate(m, r)
    metadata = m.metadata
    if s.own:
        document: Document = r.ext
        if r.priority or document.priority_given:
            m.priority.value = r.priority
        metadata.update(r.metadata)
        metadata.update(document.internal)
        if document.empty:
            _leave_empty(m, document.empty)
    else:
        if r.priority:
            m.priority.value = r.priority
        metadata.update({key: value for key, value in r.metadata.items() if not key.startswith(INTERNAL)})
        more = pairs.get(r.source)
        if more is not None:
            metadata.update(more(r))
        metadata[REGISTERED_FROM] = r.source
    if not s.live and isinstance(r.liveness, Lease) and r.lost_ms:
        metadata[LAST_HEARTBEAT] = str(max(r.created_ms, r.lost_ms - r.liveness.unhealthy_ms) // 1000)
    m.ctime.value = local_time(r.created_ms)
    m.revision.value = hashlib.blake2b(m.SerializeToString(deterministic=True), digest_size=16).hexdigest()
    m.mtime.value = local_time(changed_ms(r, address))
    if discovered:
        _enrich(metadata, r)
    return m


def healthy(s: Shown) -> bool:
    """Whether somebody hears of it. Other protocols' "down" counts as unhealthy, operators' withdrawals do not."""
    if not s.live:
        return False
    r = s.registration
    if isinstance(r.liveness, Checks) and r.liveness.critical:
        return False
    return s.own or s.word != DOWN


def isolated(s: Shown, address: Address) -> bool:
    """Whether it is to get no traffic: a switch is on, or another protocol reported anything but "up".

    SDKs fall back to unhealthy instances when there are no others, never to isolated ones.
    """
    if s.word == OUT_OF_SERVICE:
        return True
    if not address.switches and s.word == UP:
        return False
    if s.own:
        key = s.registration.key
        return any(switch.on and switch.source == SOURCE and switch.key == key for switch in address.switches)
    if withdrawn(address.switches, address.registrations):
        return True
    copied = bool(s.registration.copied_from)
    live = s.registration.live  # what is ejected is shown as silent, but is not
    peers = (r for r in address.registrations if r.live is live and bool(r.copied_from) is copied)
    return any(r.reported != UP for r in peers)


def heartbeat_ttl_s(r: Registration) -> int:
    """Seconds between heartbeats as native readers are shown them, 1…60; 0 when none are expected."""
    if r.source == SOURCE:
        document: Document = r.ext
        return max(1, min(MAX_TTL_S, document.ttl_s)) if document.health_check else 0
    if isinstance(r.liveness, Lease):
        return max(1, min(MAX_TTL_S, -(-r.liveness.interval_ms // 1000)))
    return 0


def _silent(address: Address, r: Registration) -> Shown:
    """An own registration that is lost while others at its address live."""
    others = (other for other in address.registrations if other.source != SOURCE)
    alone = structs.replace(address, registrations=(structs.replace(r, lost_ms=0), *others))
    return Shown(r, shown(alone, SOURCE)[0].word, False, True)


def _locate(m: Instance, r: Registration) -> None:
    place = r.location
    if place == NOWHERE:
        return
    if place.region:
        m.location.region.value = place.region
    if place.zone:
        m.location.zone.value = place.zone
    if place.campus:
        m.location.campus.value = place.campus


def _leave_empty(m: Instance, empty: int) -> None:
    """What was sent without a content is shown so."""
    for name, bit in EMPTY.items():
        if empty & bit and not m.HasField(name):
            getattr(m, name).SetInParent()
    if empty & SWITCHED_OFF and not m.HasField("enable_health_check"):
        m.enable_health_check.value = False


def _enrich(metadata: MutableMapping[str, str], r: Registration) -> None:
    if r.version:
        metadata["version"] = r.version
    if r.protocol:
        metadata["protocol"] = r.protocol
    if r.location != NOWHERE or (r.source == SOURCE and r.ext.empty & EMPTY["location"]):
        metadata["region"] = r.location.region
        metadata["zone"] = r.location.zone
        metadata["campus"] = r.location.campus


def changed_ms(r: Registration, address: Address) -> int:
    """When what is shown last changed: registered, fallen silent, isolated."""
    changed = max(r.updated_ms, r.lost_ms)
    return max(changed, *(switch.changed_ms for switch in address.switches)) if address.switches else changed
