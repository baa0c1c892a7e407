"""What is told of every change: operation records (who did what) and instance events (what became of an instance)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from .model import UP, Address, AddressKey, Caller, Checks, Document, Registration, ServiceKey

ONLINE: Final = "online"
OFFLINE: Final = "offline"
TURN_HEALTHY: Final = "turn_healthy"
TURN_UNHEALTHY: Final = "turn_unhealthy"
ISOLATE_ON: Final = "isolate_on"
ISOLATE_OFF: Final = "isolate_off"
UPDATE: Final = "update"


class OperationRecord(Struct, frozen=True, gc=False):
    """One write: who asked for what through which protocol, and how it ended ("ok" or the name of the error)."""

    wall_ms: int
    resource: str
    """namespace, service, instance or switch."""
    name: str
    namespace: str
    operation: str
    caller: Caller
    detail: str
    result: str = "ok"


class InstanceEvent(Struct, frozen=True, gc=False):
    """One turn in the life of one registration."""

    wall_ms: int
    kind: str
    namespace: str
    service: str
    host: str
    port: int
    source: str
    key: str
    revision: int


class AddressChange(Struct, frozen=True, gc=False):
    """The net change of one address in one publication. None = was not there, is not there."""

    service: ServiceKey
    address: AddressKey
    before: Address | None
    after: Address | None


class DocumentChange(Struct, frozen=True, gc=False):
    """The net change of one document in one publication."""

    kind: str
    id: str
    before: Document | None
    after: Document | None
    revision: int = 0
    """Under which it was written or deleted."""


class Published(Struct, frozen=True, gc=False):
    """One publication: everything in it became visible at once."""

    revision: int
    wall_ms: int
    changes: tuple[AddressChange, ...]
    services: tuple[ServiceKey, ...]
    """Every service whose snapshot changed, those with changed attributes only included."""
    documents: tuple[DocumentChange, ...] = ()
    namespaces: tuple[str, ...] = ()
    """Every namespace whose own record changed."""


def instance_events(published: Published) -> Iterator[InstanceEvent]:
    """The events in a publication, in the order of its changes."""
    for change in published.changes:
        before = {r.id: r for r in change.before.registrations} if change.before else {}
        after = {r.id: r for r in change.after.registrations} if change.after else {}
        withdrawn_before = _withdrawn(change.before)
        withdrawn_after = _withdrawn(change.after)
        ejected_before, ejected_after = _ejected(change.before), _ejected(change.after)
        for key, was in before.items():
            if key not in after:
                yield _event(published, OFFLINE, was)
        for key, now in after.items():
            old = before.get(key)
            if old is None:
                yield _event(published, ONLINE, now)
                continue
            if old is now and withdrawn_before == withdrawn_after and ejected_before == ejected_after:
                continue
            kinds = []
            healthy, was_healthy = _healthy(now) and not ejected_after, _healthy(old) and not ejected_before
            if healthy != was_healthy:
                kinds.append(TURN_HEALTHY if healthy else TURN_UNHEALTHY)
            isolated, was_isolated = now.reported != UP or withdrawn_after, old.reported != UP or withdrawn_before
            if isolated != was_isolated:
                kinds.append(ISOLATE_ON if isolated else ISOLATE_OFF)
            for kind in kinds or ([UPDATE] if old.seq != now.seq else []):
                yield _event(published, kind, now)


def _healthy(r: Registration) -> bool:
    return r.live and not (isinstance(r.liveness, Checks) and r.liveness.critical)


def _withdrawn(address: Address | None) -> bool:
    return address is not None and any(switch.on for switch in address.switches)


def _ejected(address: Address | None) -> bool:
    return address is not None and address.ejection is not None


def _event(published: Published, kind: str, r: Registration) -> InstanceEvent:
    return InstanceEvent(
        published.wall_ms, kind, r.namespace, r.service, r.host, r.port, r.source, r.key, published.revision
    )
