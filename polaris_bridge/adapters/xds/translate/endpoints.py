"""Addresses of the core as endpoints: what Envoy and gRPC clients are told of an instance. Pure.

Isolated instances and those without weight are left out, as with polaris-server; unhealthy ones are told as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from polaris_bridge.adapters.xds.wire import assignments as wire
from polaris_bridge.core.model import DOWN, NOWHERE, UP, Address, Checks, Location, Registration
from polaris_bridge.core.views import Shown, shown, withdrawn

SOURCE: Final = "xds"
INTERNAL: Final = "internal-"
"""Beginning of keys that are no user's."""
LB: Final = "envoy.lb"
SOCKET_MATCH: Final = "envoy.transport_socket_match"
TLS_MODE: Final = "polarismesh.cn/tls-mode"
"""In an instance's metadata: whether the Envoy beside it takes TLS."""
TLS_MODES: Final = frozenset({"strict", "permissive"})
MOST_WEIGHT: Final = 2**32 - 1


class Endpoint:
    """One instance. Its encoded forms are made when they are asked for."""

    __slots__ = ("_plain", "_rich", "healthy", "host", "labels", "location", "port", "weight")

    def __init__(
        self, host: str, port: int, weight: int, labels: Mapping[str, str], location: Location, *, healthy: bool
    ) -> None:
        self.host = host
        self.port = port
        self.weight = weight
        self.labels = labels
        self.location = location
        self.healthy = healthy
        self._plain: bytes | None = None
        self._rich: bytes | None = None

    @property
    def order(self) -> tuple[str, int]:
        """Its place among others."""
        return self.host, self.port

    def encoded(self, *, rich: bool) -> bytes:
        """As a part of a locality; ``rich``: with its labels, which Envoy chooses by."""
        if rich:
            if self._rich is None:
                self._rich = self.weighing(self.weight, rich=True)
            return self._rich
        if self._plain is None:
            self._plain = self.weighing(self.weight, rich=False)
        return self._plain

    def weighing(self, weight: int, *, rich: bool) -> bytes:
        """The same with another weight."""
        return wire.endpoint(
            self.host, self.port, weight, healthy=self.healthy, metadata=self._metadata() if rich else {}
        )

    def _metadata(self) -> wire.Metadata:
        found: dict[str, Mapping[str, str]] = {LB: self.labels} if self.labels else {}
        if self.labels.get(TLS_MODE) in TLS_MODES:
            found[SOCKET_MATCH] = {"acceptMTLS": "true"}
        return found


class Unusable(str):
    """Why an instance cannot be told to anybody."""

    __slots__ = ()


def endpoint_of(address: Address) -> Endpoint | Unusable | None:
    """What stands at an address; None when it takes no traffic. Of several statements of one protocol the newest counts."""
    found = shown(address, SOURCE)
    if not found:
        return None
    s = found[0] if len(found) == 1 else max(found, key=lambda each: each.registration.seq)
    r = s.registration
    if r.weight <= 0 or _withheld(s, address):
        return None
    if not 0 < r.port < 65536:
        return Unusable(f"{r.host}:{r.port}: no port that can be called")
    if not is_literal(r.host):
        return Unusable(f"{r.host}:{r.port}: clients want an address in digits, not a name")
    return Endpoint(r.host, r.port, min(r.weight, MOST_WEIGHT), labels_of(r), r.location, healthy=_healthy(s))


def is_literal(host: str) -> bool:
    """Whether a host is an address in digits."""
    try:
        if ":" in host:
            return "%" not in host and bool(IPv6Address(host).packed)
        return bool(IPv4Address(host).packed)
    except ValueError:
        return False


def labels_of(r: Registration) -> dict[str, str]:
    """What an instance is chosen by: its metadata, and what Discover adds to it."""
    labels = {key: value for key, value in r.metadata.items() if not key.startswith(INTERNAL)}
    if r.version:
        labels["version"] = r.version
    if r.protocol:
        labels["protocol"] = r.protocol
    if r.location != NOWHERE:
        labels |= {"region": r.location.region, "zone": r.location.zone, "campus": r.location.campus}
    return labels


def _withheld(s: Shown, address: Address) -> bool:
    """Whether somebody withdrew it, or said of itself anything but "up"; a check that fails makes it unhealthy, no more."""
    if not address.switches and len(address.registrations) == 1:
        return s.registration.reported != UP
    if withdrawn(address.switches, address.registrations):
        return True
    live, copied = s.registration.live, bool(s.registration.copied_from)
    return any(r.reported != UP for r in address.registrations if r.live is live and bool(r.copied_from) is copied)


def _healthy(s: Shown) -> bool:
    r = s.registration
    return s.live and s.word != DOWN and not (isinstance(r.liveness, Checks) and r.liveness.critical)


def merged(found: Iterable[Endpoint]) -> list[Endpoint]:
    """Endpoints in their order, each place once: a second one of an address would have all of them refused."""
    places: dict[tuple[str, int], Endpoint] = {}
    for each in found:
        places.setdefault(each.order, each)
    return [places[place] for place in sorted(places)]
