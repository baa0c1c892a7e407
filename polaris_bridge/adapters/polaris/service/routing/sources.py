"""What the core routes by: the rules that the console wrote, and services as native readers see them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import structs

from polaris_bridge.adapters._shared.catalog import Catalog
from polaris_bridge.adapters._shared.patterns import LinearSearch
from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.polaris.service.rules import kinds
from polaris_bridge.adapters.polaris.service.rules.records import message_of
from polaris_bridge.adapters.polaris.translate.routing_asked import labels_of
from polaris_bridge.adapters.polaris.translate.routing_rules import rules_of
from polaris_bridge.adapters.polaris.translate.routing_targets import targets_of
from polaris_bridge.adapters.polaris.translate.shown import Pairs
from polaris_bridge.core.model import Address, AddressKey, Location, ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.discovery import DiscoveryRouting
from polaris_bridge.core.routing.model import FAILOVERS, NO_OPTIONS, Options, Rules, Service, Target
from polaris_bridge.core.routing.ready import ReadyRules

NEARBY: Final = "internal-enable-nearby"
CANARY: Final = "internal-canary"
FAILOVER: Final = "internal-rule-based-failover-type"
"""Keys of a service's metadata that SDKs look at; the last one is polaris-java's."""
SET_SWITCH: Final = "internal-enable-set"
SET_NAME: Final = "internal-set-name"
"""Keys of an instance's metadata."""
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
"""As Go reads a switch."""
LONG: Final = 256
"""More addresses than this that have to be read for one answer are read in slices (5 microseconds each)."""
PIECE: Final = 64
"""Addresses that are read before a slice may end."""
SERVERS: Final = "Polaris"
"""The namespace that servers register themselves in."""
KEPT: Final = 1024
"""Services whose instances are kept in the form that routing needs."""


class StoredRules:
    """``core.routing.ports.Rulebook``: rules of the console."""

    kinds: frozenset[str] = frozenset({kinds.ROUTING.name, kinds.LANE.name})

    def __init__(self, registry: Registry) -> None:
        self._documents = registry.documents

    def revision(self) -> int:
        """The publication that last changed one."""
        revision = self._documents.revision
        return max(revision(kinds.ROUTING.name), revision(kinds.LANE.name))

    def of(self, service: ServiceKey) -> tuple[object, Callable[[], Rules]]:
        """The revisions of the rules of a service, and what reads them."""
        routes = self._documents.about(kinds.ROUTING.name, service)
        lanes = self._documents.about(kinds.LANE.name, service)
        mark = (tuple(d.revision for d in routes), tuple(d.revision for d in lanes))

        def read() -> Rules:
            return rules_of(
                service,
                [message_of(kinds.ROUTING, document) for document in routes],
                [message_of(kinds.LANE, document) for document in lanes],
            )

        return mark, read


class ReadTargets:
    """Instances as routing sees them, service by service. What was read of an address is good as long as it is the same value."""

    def __init__(self, registry: Registry, pairs: Pairs) -> None:
        """``pairs``: see ``translate.shown``."""
        self._registry = registry
        self._pairs = pairs
        self._read: OrderedDict[ServiceKey, dict[AddressKey, _Read]] = OrderedDict()
        self._seen: dict[ServiceKey, int] = {}
        """At which revision all of it was read."""

    def at(self, address: Address) -> tuple[Target, ...]:
        """What stands at one address."""
        return targets_of(address, self._pairs)

    def of(self, key: ServiceKey) -> list[Target]:
        """What stands at all addresses of a service."""
        before = self._read.pop(key, {})
        read: dict[AddressKey, _Read] = {}
        found: list[Target] = []
        snapshot = self._registry.snapshot(key)
        for place, address in snapshot.addresses.items():
            known = before.get(place)
            if known is None or known[0] is not address:
                known = address, self.at(address)
            read[place] = known
            found += known[1]
        self._read[key] = read
        self._seen[key] = snapshot.revision
        if len(self._read) > KEPT:
            gone, _ = self._read.popitem(last=False)
            self._seen.pop(gone, None)
        return found

    def outdated(self, key: ServiceKey) -> int:
        """How many addresses at most are not read yet; 0 where that is few in any case."""
        snapshot = self._registry.snapshot(key)
        if len(snapshot.addresses) <= LONG or self._seen.get(key) == snapshot.revision:
            return 0
        known = self._read.get(key, {})
        return sum(1 for place, address in snapshot.addresses.items() if _stale(known.get(place), address))

    def ahead(self, keys: Iterable[ServiceKey]) -> Work:
        """Read these in slices."""
        for key in keys:
            known = self._read.setdefault(key, {})
            for at, (place, address) in enumerate(list(self._registry.snapshot(key).addresses.items())):
                if _stale(known.get(place), address):
                    known[place] = address, self.at(address)
                if at % PIECE == PIECE - 1:
                    yield
                    known = self._read.setdefault(key, known)  # read meanwhile by somebody else
        return True


_Read = tuple[Address, tuple[Target, ...]]


def _stale(known: _Read | None, address: Address) -> bool:
    return known is None or known[0] is not address


class StandingServices:
    """``core.routing.ports.Standing``: services by themselves, for look-ups through any protocol."""

    def __init__(self, registry: Registry, targets: ReadTargets) -> None:
        self._registry = registry
        self._targets = targets

    def outline(self, key: ServiceKey) -> Service:
        """See ``Standing``."""
        record = self._registry.snapshot(key).record
        return _service(key, {} if record is None else record.metadata, ())

    def read(self, key: ServiceKey) -> Service:
        """See ``Standing``."""
        record = self._registry.snapshot(key).record
        return _service(key, {} if record is None else record.metadata, tuple(self._targets.of(key)))

    def ahead(self, key: ServiceKey) -> Work | None:
        """See ``Standing``."""
        return self._targets.ahead((key,)) if self._targets.outdated(key) > LONG else None

    def at(self, key: ServiceKey, place: AddressKey) -> tuple[Target, ...]:
        """See ``Standing``."""
        address = self._registry.snapshot(key).addresses.get(place)
        return () if address is None else self._targets.at(address)

    def labels(self, metadata: Mapping[str, str], host: str) -> Mapping[str, str]:
        """See ``Standing``."""
        return labels_of(metadata, host)


class SeenServices:
    """``core.routing.ports.Services``: services as native readers see them, aliases and exported ones too."""

    def __init__(self, registry: Registry, catalog: Catalog, targets: ReadTargets) -> None:
        self._registry = registry
        self._catalog = catalog
        self._targets = targets

    def revision(self, key: ServiceKey) -> object:
        """Of everything that stands behind a name."""
        sight = self._catalog.sight(key)
        if sight is None:
            return None
        snapshot = self._registry.snapshot
        return (sight.of.revision, *(snapshot(source).revision for source in sight.sources))

    def read(self, key: ServiceKey) -> Service:
        """The service behind a name."""
        sight = self._catalog.sight(key)
        if sight is None:
            return Service(key, ())
        found = tuple(target for source in sight.sources for target in self._targets.of(source))
        return _service(sight.of.key, sight.of.metadata, found)

    def at(self, key: ServiceKey, host: str) -> list[Target]:
        """What a host registered for a service of this very name."""
        addresses = self._registry.snapshot(key).addresses
        return [t for place, address in addresses.items() if place.host == host for t in self._targets.at(address)]

    def ahead(self, key: ServiceKey) -> Work | None:
        """What reads the instances behind a name, in slices; None when there is not enough to read to be worth it."""
        sight = self._catalog.sight(key)
        sources = () if sight is None else sight.sources
        return self._targets.ahead(sources) if sum(map(self._targets.outdated, sources)) > LONG else None


def _service(key: ServiceKey, metadata: Mapping[str, str], targets: tuple[Target, ...]) -> Service:
    failover = metadata.get(FAILOVER, "")
    return Service(
        key,
        targets,
        nearby=metadata.get(NEARBY) in _TRUE,
        canary=metadata.get(CANARY) in _TRUE,
        failover=failover if failover in FAILOVERS else "",
    )


def routing_rules(registry: Registry, options: Options = NO_OPTIONS) -> ReadyRules:
    """The rules of the console, as the core evaluates them."""
    options = structs.replace(options, set_switch=SET_SWITCH, set_name=SET_NAME)
    return ReadyRules(StoredRules(registry), LinearSearch(), options)


def discovery_routing(
    registry: Registry,
    pairs: Pairs,
    locate: Callable[[str], Location | None],
    *,
    everywhere: bool,
    options: Options = NO_OPTIONS,
) -> DiscoveryRouting:
    """What answers look-ups by these rules; see ``DiscoveryRouting``. ``pairs``: see ``translate.shown``."""
    standing = StandingServices(registry, ReadTargets(registry, pairs))
    rules = routing_rules(registry, options)
    return DiscoveryRouting(registry, standing, rules, locate, everywhere=everywhere, servers=SERVERS)
