"""Registrations of the core as instances of Consul: own ones as they were registered, those of other protocols by mapping.md."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from math import gcd
from typing import Any, Final

import msgspec

from polaris_bridge.adapters.consul.wire.shapes import CheckShape, ServiceShape, TaggedAddress, Weights
from polaris_bridge.core.model import (
    CRITICAL,
    NOWHERE,
    OUT_OF_SERVICE,
    PASSING,
    UP,
    WARNING,
    Checks,
    Ejection,
    Location,
    Registration,
)
from polaris_bridge.core.views import Shown

from .keys import CheckRecord, Document, Marks

MAINTENANCE: Final = "_service_maintenance:"
"""Begins the id of the check that says that a service is in maintenance."""
MAINTENANCE_NAME: Final = "Service Maintenance Mode"
MAINTENANCE_NOTES: Final = (
    "Maintenance mode is enabled for this service, but no reason was provided. This is a default message."
)
SERF: Final = "serfHealth"
_NORMAL: Final = 100
_MOST_WEIGHT: Final = 65_535
_SECURE: Final = "secure"
_SEVERITY: Final = {PASSING: 0, WARNING: 1, CRITICAL: 2}

_extra: Final = msgspec.json.Decoder(dict[str, Any]).decode


def worst(states: Iterable[str]) -> str:
    """The worst of some states; passing when there is none."""
    return max(states, key=lambda state: _SEVERITY.get(state, 2), default=PASSING)


# ---------------------------------------------------------------------- own registrations


def own_service(r: Registration, doc: Document) -> ServiceShape:
    """A service that was registered through Consul, as it was registered."""
    marks = r.marks if isinstance(r.marks, Marks) else Marks()
    return ServiceShape(
        doc.id,
        r.service,
        doc.address,
        r.port,
        r.tags,
        r.metadata,
        {name: TaggedAddress(at.address, at.port) for name, at in doc.tagged.items()},
        Weights(doc.passing, doc.warning),
        doc.tag_override,
        doc.kind,
        doc.socket_path,
        _extra(doc.extra) if doc.extra else {},
        marks.created or r.seq,
        r.seq,
    )


def own_checks(r: Registration, doc: Document, node: str, *, withdrawn: bool) -> list[CheckShape]:
    """Its checks as readers of health see them: outputs as of the last change of a state.

    ``withdrawn``: somebody took it out of service, and not by its node's maintenance, which is a check of the node.
    """
    marks = r.marks if isinstance(r.marks, Marks) else Marks()
    states = r.liveness.states if isinstance(r.liveness, Checks) else {}
    created = marks.created or r.seq
    found = [
        check_shape(c, node, states.get(c.id, CRITICAL), marks.outputs.get(c.id, ""), doc.id, r.service, r.tags, created,
                    r.revision)
        for c in doc.checks
    ]  # fmt: skip
    if marks.maintenance is not None or withdrawn:
        notes = marks.maintenance or MAINTENANCE_NOTES
        found.append(_maintenance(node, doc.id, r.service, r.tags, notes, r.revision))
    return found


def check_shape(
    c: CheckRecord,
    node: str,
    status: str,
    output: str,
    service_id: str = "",
    service: str = "",
    tags: tuple[str, ...] = (),
    created: int = 0,
    modified: int = 0,
) -> CheckShape:
    """A check as it is kept, with its state, as it is shown."""
    return CheckShape(
        node,
        c.id,
        c.name,
        status,
        c.notes,
        output,
        service_id,
        service,
        tags,
        c.type,
        c.interval,
        c.timeout,
        0,
        msgspec.Raw(c.definition or b"{}"),
        created,
        modified,
    )


def _maintenance(node: str, id: str, service: str, tags: tuple[str, ...], notes: str, index: int) -> CheckShape:
    return CheckShape(
        node, f"{MAINTENANCE}{id}", MAINTENANCE_NAME, CRITICAL, notes, "", id, service, tags, "maintenance",
        create_index=index, modify_index=index,
    )  # fmt: skip


# ---------------------------------------------------------------------- registrations of other protocols


def foreign_id(service: str, r: Registration, alone: bool) -> str:
    """The id of an instance of another protocol; ``alone``: nothing else of its protocol stands at the address."""
    plain = f"{service}-{r.host}-{r.port}"
    return plain if alone else f"{plain}-{hashlib.blake2b(r.key.encode(), digest_size=2).hexdigest()}"


def weight_unit(weights: Iterable[int], with_own: bool) -> int:
    """What of the core's weights counts as one: 100, unless no Consul registration is beside and 100 would lose something."""
    found = [weight for weight in weights if weight > 0]
    if with_own or all(weight % _NORMAL == 0 for weight in found):
        return _NORMAL
    return gcd(*found)


def foreign_service(r: Registration, service: str, id: str, unit: int, tag_keys: tuple[str, ...]) -> ServiceShape:
    """An instance of another protocol. ``tag_keys``: metadata that is shown as tags ``key=value`` too."""
    meta = dict(r.metadata)
    if r.protocol.lower() == "https":
        meta.setdefault(_SECURE, "true")
    tags = (*r.tags, *tags_of_metadata(r, tag_keys))
    weight = min(max(round(r.weight / unit), 1), _MOST_WEIGHT)
    extra: dict[str, Any] = {} if r.location == NOWHERE else {"Locality": _locality(r.location)}
    return ServiceShape(
        id, service, r.host, r.port, tags, meta, tagged(r.host, r.port), Weights(weight, 1), extra=extra,
        created=r.seq, modified=r.seq,
    )  # fmt: skip


def tags_of_metadata(r: Registration, tag_keys: tuple[str, ...]) -> tuple[str, ...]:
    """The metadata of an instance that is shown as tags."""
    return tuple(f"{key}={r.metadata[key]}" for key in tag_keys if key in r.metadata)


def tagged(address: str, port: int) -> dict[str, TaggedAddress]:
    """The tagged addresses that an agent adds to a service whose address is an IP; none for a host name."""
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return {}
    at = TaggedAddress(address, port)
    return {f"lan_ipv{version}": at, f"wan_ipv{version}": at}


def _locality(location: Location) -> Mapping[str, str]:
    return {"Region": location.region, "Zone": location.zone}


def foreign_checks(shown: Shown, service: ServiceShape, node: str) -> list[CheckShape]:
    """The checks that stand for what other protocols say of an instance."""
    r, id = shown.registration, service.id
    withdrawn = shown.word == OUT_OF_SERVICE
    status = PASSING if shown.live and (withdrawn or shown.word == UP) else CRITICAL
    said = "heard of" if shown.live else "not heard of any more"
    output = f"{r.source}: {shown.word.replace('_', ' ')}, {said}"
    if shown.ejection is not None:
        output = _ejected(shown.ejection)
    make = _check(node, service, r.revision)
    found = [make(f"service:{id}", f"Service '{service.name}' check", status, output, "ttl")]
    if r.weight == 0:
        found.append(make(f"drained:{id}", "Drained", CRITICAL, f"{r.source}: weight 0", "ttl"))
    if withdrawn:
        found.append(_maintenance(node, id, service.name, service.tags, f"{r.source}: out of service", r.revision))
    return found


def ejection_check(ejection: Ejection, service: ServiceShape, node: str, index: int) -> CheckShape:
    """The check that fails while nobody should call an instance, because calls to it were found to fail."""
    make = _check(node, service, index)
    return make(f"ejected:{service.id}", "Circuit breaker", CRITICAL, _ejected(ejection), "ttl")


def _ejected(ejection: Ejection) -> str:
    return f"ejected by the circuit breaker rule {ejection.name}: {ejection.why}"


def _check(node: str, s: ServiceShape, index: int) -> Callable[[str, str, str, str, str], CheckShape]:
    def make(id: str, name: str, status: str, output: str, type: str) -> CheckShape:
        return CheckShape(
            node, id, name, status, "", output, s.id, s.name, s.tags, type, create_index=index, modify_index=index
        )

    return make


def serf_check(node: str, index: int) -> CheckShape:
    """What the agents say of each other: every node that is listed is reachable."""
    return CheckShape(
        node, SERF, "Serf Health Status", PASSING, "", "Agent alive and reachable", create_index=index,
        modify_index=index,
    )  # fmt: skip
