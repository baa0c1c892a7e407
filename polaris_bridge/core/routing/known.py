"""Who callers are that do not say it: found by what they registered themselves, from their connection or their address."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from ..events import AddressChange, Published
from ..model import NOWHERE, Address, AddressKey, Caller, Location, Registration, ServiceKey, Session
from ..registry import Registry
from .classes import RoutingClass
from .model import Target, Traveller
from .ports import Standing

KEPT: Final = 16_384
"""Callers that are remembered, and addresses of which it is remembered when they last changed."""

PIECE: Final = 256
"""Addresses that are read in one step: about 300 microseconds."""

MOST: Final = 256
"""Who calls from an address with more instances than this, or holds more, is nobody in particular."""
FEW: Final = 8
"""Up to so many places at one address are kept as a tuple: most addresses have one, and a dict is four times as large."""

Where = tuple[ServiceKey, AddressKey]
_Places = tuple[Where, ...] | dict[Where, None]
Locate = Callable[[str], Location | None]
"""Where an address is, as far as somebody knows."""


class Known(Struct):
    """A caller as far as it is known."""

    who: Traveller
    said: str
    """How it was found."""
    services: tuple[ServiceKey, ...] = ()
    """Whose registrations were looked at."""
    kinds: dict[object, tuple[object, RoutingClass]] = {}
    """What kind of caller it was found to be, by whoever asked, with what that depends on."""


class Acquaintances:
    """Everybody who registered something, by address. Kept from the first question on, so that it costs nothing unasked."""

    def __init__(self, registry: Registry, standing: Standing, locate: Locate, servers: str = "") -> None:
        """``servers``: the namespace of the registry's own services; who runs beside it is not taken for it."""
        self._registry = registry
        self._standing = standing
        self._locate = locate
        self._servers = servers
        self._hosts: dict[str, _Places] = {}
        self._begun = False
        self._reading: Iterator[None] | None = None
        """Goes through what was registered before; None: that is done, or nobody asked yet."""
        self._moved: OrderedDict[str, int] = OrderedDict()
        """By address or connection: the publication that last changed what it registered."""
        self._floor = 0
        self._known: OrderedDict[tuple[object, ...], tuple[object, Known]] = OrderedDict()
        self.followers: list[Callable[[Sequence[str]], None]] = []
        """Told of the addresses and connections whose registrations changed."""
        registry.observe(self._published)

    def who(self, caller: Caller) -> Known:
        """The caller as far as it is known."""
        self._begin()
        if self._reading is not None:
            for _ in self._reading:
                pass
            self._reading = None
        labels = caller.labels
        key = (
            caller.protocol,
            caller.address,
            caller.client,
            caller.service,
            caller.location,
            tuple(labels.items()) if labels else None,
        )
        located = self._locate(caller.address) if caller.location == NOWHERE and caller.address else None
        stamp = self.moved(caller), located
        found = self._known.get(key)
        if found is None or found[0] != stamp:
            found = stamp, self._look(caller, located)
            self._known[key] = found
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        return found[1]

    def ahead(self) -> Iterator[None]:
        """Read what is registered, step by step, before the first question has to."""
        self._begin()
        while self._reading is not None:
            if next(self._reading, self) is self:
                self._reading = None
            yield

    def moved(self, caller: Caller) -> int:
        """The publication since which a caller may be another one: what it registered changed."""
        get, floor = self._moved.get, self._floor
        return max(get(caller.address, floor), get(caller.client, floor))

    # ------------------------------------------------------------------ who it is

    def _look(self, caller: Caller, located: Location | None) -> Known:
        places, said = self._places(caller)
        named = {key for key, _ in places}
        found = tuple(named)
        service = caller.service
        if service is not None:
            places = [where for where in places if where[0] == service]
            said = f"{_name(service)}, as the call says" + (f", {said}" if places else "")
        elif len(named) > 1:
            own = [where for where in places if self._through(where, caller.protocol)]
            if len({key for key, _ in own}) == 1:
                places, named = own, {own[0][0]}
        if service is None and len(named) == 1:
            service = places[0][0]
            said = f"{_name(service)}, {said}"
        targets = [target for where in places for target in self._standing.at(*where)]
        metadata: dict[str, str] = {}
        if service is not None:
            metadata = _agreed([target.labels for target in targets])
        elif named:
            said = f"one of {', '.join(sorted(map(_name, named)))}: which one is not known, {said}"
        labels = self._standing.labels({**metadata, **caller.labels}, caller.address)
        return Known(Traveller(service, labels, _location(caller, targets, located)), said, found)

    def _places(self, caller: Caller) -> tuple[list[Where], str]:
        """What the caller registered, and how that is known."""
        keys = self._registry.liveness.held_by(caller.client)
        if len(keys) > MOST:
            return [], f"its connection registered {len(keys)} instances, too many to be one of them"
        held = [self._registry.registration(key) for key in keys]
        found = [(r.service_key, r.address) for r in held if r is not None]
        if found:
            return found, "by what its connection registered"
        for host in (caller.client, caller.address):
            here = self._hosts.get(host, ())
            if len(here) > MOST:
                return [], f"{len(here)} instances stand at {host}, too many to tell which one calls"
            if here:
                return list(here), f"by what {host} registered"
        return [], f"{caller.address or 'the caller'} registered nothing"

    def _through(self, where: Where, protocol: str) -> bool:
        address = self._registry.snapshot(where[0]).addresses.get(where[1])
        return address is not None and any(r.source == protocol for r in address.registrations)

    # ------------------------------------------------------------------ keeping in step

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._floor = self._registry.revision
            self._reading = self._read([snapshot.key for snapshot in self._registry])

    def _read(self, services: Iterable[ServiceKey]) -> Iterator[None]:
        """Changes are followed meanwhile, so an address counts as it is when its turn comes."""
        read = 0
        for key in services:
            if key.namespace == self._servers:
                continue
            for place in self._registry.snapshot(key).addresses:
                address = self._registry.snapshot(key).addresses.get(place)
                if address is not None and address.registrations:
                    self._enter(place.host, (key, place))
                read += 1
                if read % PIECE == 0:
                    yield

    def _published(self, published: Published) -> None:
        if not self._begun:
            return
        moved: dict[str, None] = {}
        for change in published.changes:
            if change.service.namespace != self._servers and _says(change.before) != _says(change.after):
                self._follow(change)
                moved.update(dict.fromkeys(_whose(change)))
        for each in moved:
            self._moved.pop(each, None)
            self._moved[each] = published.revision
            if len(self._moved) > KEPT:
                self._floor = self._moved.popitem(last=False)[1]
        if moved:
            for follower in self.followers:
                follower(tuple(moved))

    def _follow(self, change: AddressChange) -> None:
        host, where = change.address.host, (change.service, change.address)
        if change.after is not None and change.after.registrations:
            self._enter(host, where)
        elif host in self._hosts:
            self._leave(host, where)

    def _enter(self, host: str, where: Where) -> None:
        here = self._hosts.get(host, ())
        if isinstance(here, dict):
            here[where] = None
        elif where not in here:
            self._hosts[host] = (*here, where) if len(here) < FEW else dict.fromkeys((*here, where))

    def _leave(self, host: str, where: Where) -> None:
        here = self._hosts[host]
        if isinstance(here, dict):
            here.pop(where, None)
        else:
            here = self._hosts[host] = tuple(other for other in here if other != where)
        if not here:
            del self._hosts[host]


def _says(address: Address | None) -> object:
    """What is registered at an address; how it fares does not count."""
    return () if address is None else tuple((r.id, r.seq) for r in address.registrations)


def _whose(change: AddressChange) -> Iterable[str]:
    yield change.address.host
    for address in (change.before, change.after):
        for r in () if address is None else address.registrations:
            session = _session(r)
            if session:
                yield session


def _session(r: Registration) -> str:
    return r.liveness.id if isinstance(r.liveness, Session) else ""


def _agreed(labels: Sequence[dict[str, str]]) -> dict[str, str]:
    """What all of them say."""
    if not labels:
        return {}
    first, *others = labels
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}


def _location(caller: Caller, targets: Sequence[Target], located: Location | None) -> Location:
    """As the call says; else what all that it registered agrees on; else what somebody knows of its address."""
    if caller.location != NOWHERE:
        return caller.location
    places = {target.location for target in targets}
    own = places.pop() if len(places) == 1 else NOWHERE
    return own if own != NOWHERE else located or NOWHERE


def _name(key: ServiceKey) -> str:
    return f"{key.namespace}/{key.name}"
