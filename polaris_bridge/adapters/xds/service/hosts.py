"""Which service a host means, where several may: every host has one owner, for Envoy refuses a table that names one twice.

``service.namespace`` goes before a service's mere name; a name in lower case before others, then the older one, then by name.
Envoy does not look at case. Whoever owns a host owns it with every one of its ports.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from polaris_bridge.adapters.xds.translate.names import SUFFIXES, domain
from polaris_bridge.core.model import ServiceKey

Rank = tuple[bool, bool, int, ServiceKey]


class Hosts:
    """The hosts of the services that callers in one namespace see."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._claims: dict[ServiceKey, dict[str, Rank]] = {}
        self._owner: dict[str, ServiceKey] = {}
        self._rivals: dict[str, dict[ServiceKey, Rank]] = {}

    def put(self, service: ServiceKey, created_ms: int) -> set[ServiceKey]:
        """A service is there; which services' hosts changed thereby."""
        claims = self._claimed(service, created_ms)
        if self._claims.get(service) == claims:
            return set()
        changed = self.drop(service) if service in self._claims else {service}
        self._claims[service] = claims
        for host, rank in claims.items():
            owner = self._owner.get(host)
            if owner is None:
                self._owner[host] = service
                continue
            rivals = self._rivals.setdefault(host, {owner: self._claims[owner][host]})
            rivals[service] = rank
            best = min(rivals, key=rivals.__getitem__)
            if best != owner:
                self._owner[host] = best
                changed.add(owner)
        return changed

    def drop(self, service: ServiceKey) -> set[ServiceKey]:
        """A service is gone; which services' hosts changed thereby."""
        changed = {service}
        for host in self._claims.pop(service, {}):
            rivals = self._rivals.get(host)
            if rivals is None:
                self._owner.pop(host, None)
                continue
            del rivals[service]
            if self._owner[host] == service:
                self._owner[host] = min(rivals, key=rivals.__getitem__)
                changed.add(self._owner[host])
            if len(rivals) == 1:
                del self._rivals[host]
        return changed

    def of(self, service: ServiceKey, ports: Iterable[int]) -> list[str]:
        """The hosts of a service, each also with every port."""
        owned = [self._spelt(service, host) for host in self._claims.get(service, ()) if self._owner[host] == service]
        return [*owned, *(f"{host}:{port}" for port in ports for host in owned)]

    def lost(self, service: ServiceKey) -> list[tuple[str, ServiceKey]]:
        """Hosts that would be a service's, were they not another's."""
        return [(host, self._owner[host]) for host in self._claims.get(service, ()) if self._owner[host] != service]

    def owner(self, host: str) -> ServiceKey | None:
        """Whom a host means, with a port or without."""
        folded = fold(host)
        found = self._owner.get(folded)
        if found is None:
            bare, colon, port = folded.rpartition(":")
            found = self._owner.get(bare) if colon and port.isdecimal() else None
        return found

    def _claimed(self, service: ServiceKey, created_ms: int) -> dict[str, Rank]:
        full = domain(service)
        folded = fold(full)
        found: dict[str, Rank] = {}
        if _legal(full):
            for suffix in SUFFIXES:
                found[f"{folded}{suffix}"] = (False, folded != full, created_ms, service)
            name = fold(service.name)
            if service.namespace == self._namespace and name not in found and not _ported(name):
                found[name] = (True, name != service.name, created_ms, service)
        return found

    @staticmethod
    def _spelt(service: ServiceKey, host: str) -> str:
        """A host as the service is spelt."""
        full = domain(service)
        return full[: len(host)] if len(host) <= len(full) else f"{full}{host[len(full) :]}"


_CONTROL: Final = frozenset(map(chr, (*range(32), 127)))


_UPPER: Final = {at: at + 32 for at in range(ord("A"), ord("Z") + 1)}


def fold(host: str) -> str:
    """A host as Envoy compares it: only the letters of ASCII have two cases."""
    return host.lower() if host.isascii() else host.translate(_UPPER)


def _legal(host: str) -> bool:
    """Whether a host can be told to Envoy: stars stand for anything there."""
    return "*" not in host and _CONTROL.isdisjoint(host)


def _ported(name: str) -> bool:
    """Whether a name looks as if it had a port."""
    return name.rpartition(":")[2].isdecimal() and ":" in name
