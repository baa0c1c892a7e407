"""Copies in our own registry: what is kept with them, and canonical instances to registrations and back. Pure."""

from __future__ import annotations

import sys
from typing import Final

from msgspec import Struct

from polaris_bridge.core.model import (
    CRITICAL,
    DOWN,
    OUT_OF_SERVICE,
    UP,
    Address,
    Checks,
    Registration,
    RegistrationKey,
    ServiceKey,
)
from polaris_bridge.core.views import shown

from .engine import markers
from .engine.diff import Copy
from .model import Instance, Origin, Record

SOURCE: Final = "sync"
"""What registrations of copies are marked with."""
_NOBODY: Final = ""
"""A reader without registrations of its own sees natives before copies, and of natives the newest statement."""


class Document(Struct, frozen=True, gc=False, array_like=True):
    """Where a copy comes from (``Registration.ext``)."""

    task: str
    kind: str
    registry: str
    id: str
    path: tuple[str, ...]


class Marks(Struct, frozen=True, gc=False, array_like=True):
    """Bookkeeping of a copy: none."""


def key_of(service: ServiceKey, task: str, origin: Origin) -> RegistrationKey:
    """The key of a copy."""
    return RegistrationKey(SOURCE, service.namespace, f"{task}/{service.name}/{origin.registry}/{origin.id}")


def registration(service: ServiceKey, copy: Copy, task: str, now_ms: int) -> Registration:
    """A copy as it is kept. It has no liveness of its own: its source says when it is not heard of any more."""
    instance, origin = copy.instance, copy.origin
    return Registration(
        source=SOURCE,
        namespace=service.namespace,
        key=key_of(service, task, origin).key,
        service=service.name,
        host=instance.host,
        port=instance.port,
        reported=UP if instance.enabled else OUT_OF_SERVICE if instance.healthy else DOWN,
        protocol=sys.intern(instance.protocol),
        version=sys.intern(instance.version),
        weight=instance.weight,
        metadata=instance.metadata,
        tags=instance.tags,
        location=instance.location,
        cluster=sys.intern(instance.cluster),
        copied_from=origin.path[-1],
        ext=Document(task, origin.kind, origin.registry, origin.id, origin.path),
        lost_ms=0 if instance.healthy else now_ms,
    )


def instance_of(r: Registration, *, enabled: bool, healthy: bool) -> Instance:
    """A registration of any protocol in canonical form."""
    return Instance(
        host=r.host,
        port=r.port,
        weight=r.weight,
        enabled=enabled,
        healthy=healthy,
        metadata=r.metadata,
        tags=r.tags,
        location=r.location,
        cluster=r.cluster,
        protocol=r.protocol,
        version=r.version,
    )


def copy_record(r: Registration) -> Record:
    """A copy as a bridge finds it."""
    d: Document = r.ext
    origin = Origin(d.kind, d.registry, d.id, d.path)
    return Record(r.key, instance_of(r, enabled=r.reported == UP, healthy=r.live), origin, task=d.task)


def is_copy(r: Registration) -> bool:
    """Whether a registration is a copy whose origin can be told."""
    return r.source == SOURCE and isinstance(r.ext, Document)


def listed(address: Address) -> list[Record]:
    """An address as readers of no protocol in particular see it; of copies those that came the shortest way."""
    seen = sorted(shown(address, _NOBODY), key=lambda s: s.registration.key)
    if seen and is_copy(seen[0].registration):
        return _nearest(address, seen[0].live)
    plain = f"{address.host}:{address.port}"
    place = f"{plain}/{address.vpc}" if address.vpc else plain
    found = []
    for n, s in enumerate(seen):
        r = s.registration
        failing = isinstance(r.liveness, Checks) and CRITICAL in r.liveness.states.values()
        # what fails its checks alone has not withdrawn
        enabled = s.word == UP or (s.word == DOWN and r.reported == UP)
        instance = instance_of(r, enabled=enabled, healthy=s.live and not failing and s.word != DOWN)
        id = f"{place}/{r.source}/{r.key}" if n else place
        found.append(Record(id, instance, foreign=markers.foreign(r.metadata, r.tags)))
    return found


def _nearest(address: Address, live: bool) -> list[Record]:
    """Of the copies at an address that live, or do not, those by the shortest way.

    Which one had news last changes with every change; were it copied on, bridges in a ring would never come to rest.
    """
    copies = [copy_record(r) for r in address.registrations if is_copy(r) and r.live is live]
    shortest = min(map(_way, copies))
    return [copy for copy in copies if _way(copy) == shortest]


def _way(record: Record) -> tuple[int, tuple[str, ...]]:
    path = record.origin.path if record.origin is not None else ()
    return len(path), path


def pairs(r: Registration) -> dict[str, str]:
    """The metadata by which native readers see where a copy comes from."""
    return markers.written(copy_record(r).origin or Origin("", "", "")) if is_copy(r) else {}
