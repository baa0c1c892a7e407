"""What becomes of an address when a registration at it changes or ends. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .model import Address, AddressKey, Registration, ServiceKey, Switch, SwitchRow
from .ports import Row


def with_registrations(address: Address, registrations: tuple[Registration, ...]) -> Address:
    """An address with other registrations, as withdrawn and as ejected as it was."""
    return Address(address.host, address.port, address.vpc, registrations, address.switches, address.ejection)


def remaining(address: Address, left: tuple[Registration, ...], switches: tuple[Switch, ...]) -> Address | None:
    """What stays of an address; None when nothing does. Where nobody is registered nobody is ejected."""
    if not left and not switches:
        return None
    return Address(address.host, address.port, address.vpc, left, switches, address.ejection if left else None)


def oldest_first(registrations: Iterable[Registration]) -> tuple[Registration, ...]:
    """The order of registrations at an address: the same whichever way they came there, and after any restart."""
    return tuple(sorted(registrations, key=lambda r: (r.created_ms, r.source, r.key)))


def surviving_switches(
    switches: tuple[Switch, ...], ended: Registration, left: tuple[Registration, ...]
) -> tuple[Switch, ...]:
    """The switches that outlive a registration which ended by itself.

    Of an emptied address only lingering ones; else all, but for those on the ended registration itself when nobody else
    than its own protocol is left (then its own server's rules hold: what is gone takes its override along).
    """
    if not left:
        return tuple(s for s in switches if s.lingers)
    if any(r.source != ended.source for r in left):
        return switches
    return tuple(s for s in switches if s.lingers or s.source != ended.source or s.key != ended.key)


def switch_row(
    service: ServiceKey, place: AddressKey, switch: Switch, value: Switch | None, revision: int, wall_ms: int
) -> Row:
    """The stored form of a switch on an address; ``value`` None = its tombstone."""
    key = (*service, *place, switch.source, switch.key)
    row = (
        None if value is None else SwitchRow(service.namespace, service.name, place.host, place.port, place.vpc, value)
    )
    return Row("switch", key, revision, row, wall_ms)


def swapped(address: Address, old: Registration, new: Registration | None, keep_switches: bool) -> Address | None:
    """An address with one registration replaced or (None) taken away; None when nothing is left on it."""
    if new is not None:
        return with_registrations(address, tuple(new if r is old else r for r in address.registrations))
    left = tuple(r for r in address.registrations if r is not old)
    switches = address.switches if keep_switches else surviving_switches(address.switches, old, left)
    return remaining(address, left, switches)
