"""Filters of ``GET services``: what is asked for, and whether a service fits."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from polaris_bridge.adapters.polaris.service.queries import wild
from polaris_bridge.adapters.polaris.translate.keys import Document
from polaris_bridge.adapters.polaris.translate.services import service_text
from polaris_bridge.adapters.polaris.translate.shown import seen
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import ServiceRecord
from polaris_bridge.core.snapshot import ServiceSnapshot

from .filters import Refused, number, pairs

FILTERS = (
    "name", "namespace", "business", "department", "cmdb_mod1", "cmdb_mod2", "cmdb_mod3", "owner", "platform_id",
    "only_exist_health_instance", "only_exist_instance", "host", "port", "keys", "values", "instance_keys",
    "instance_values", "offset", "limit",
)  # fmt: skip
"""What ``GET services`` can be asked for."""
_EXACT = ("department", "cmdb_mod1", "cmdb_mod2", "cmdb_mod3", "platform_id")


class Wanted(Struct, frozen=True):
    """What ``GET services`` asks for, read once. Empty = anything."""

    name: str = ""
    namespace: str = ""
    business: str = ""
    owner: str = ""
    exact: tuple[tuple[str, str], ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    healthy: bool = False
    filled: bool = False
    hosts: frozenset[str] = frozenset()
    ports: frozenset[int] = frozenset()
    instance_metadata: tuple[tuple[str, str], ...] = ()

    @property
    def about_instances(self) -> bool:
        """Whether single instances have to be looked at."""
        return bool(self.hosts or self.ports or self.instance_metadata)


def wanted_of(filters: Mapping[str, str]) -> Wanted:
    """Raises ``Refused`` for keys and values that do not go together, and for ports that are none or stand alone."""
    metadata = pairs(filters["keys"], filters.get("values", "")) if "keys" in filters else {}
    on_instances: dict[str, str] | None = {}
    if "instance_keys" in filters:
        on_instances = pairs(filters["instance_keys"], filters.get("instance_values", ""))
    if metadata is None or on_instances is None:
        raise Refused(v1.InvalidParameter, " length of instance_keys and instance_values are not equal")
    hosts, ports = filters.get("host"), filters.get("port")
    if ports is not None and hosts is None:
        raise Refused(v1.InvalidParameter, "port parameter can not be used alone without host")
    numbers = [number(text) for text in ports.split(",")] if ports is not None else []
    if None in numbers:
        raise Refused(v1.InvalidParameter, f"{ports} can not parse as uint")
    return Wanted(
        filters.get("name", ""),
        filters.get("namespace", ""),
        filters.get("business", "").lower(),
        filters.get("owner", ""),
        tuple((name, filters[name]) for name in _EXACT if name in filters),
        tuple(metadata.items()),
        filters.get("only_exist_health_instance") == "true",
        filters.get("only_exist_instance") == "true",
        frozenset(hosts.split(",")) if hosts is not None else frozenset(),
        frozenset(port for port in numbers if port is not None),
        tuple(on_instances.items()),
    )


def matches(record: ServiceRecord, wanted: Wanted) -> bool:
    """Whether the service itself is one of those. Patterns do not mind case, names without one do."""
    return (
        _named_so(record.name, wanted.name)
        and _named_so(record.namespace, wanted.namespace)
        and wanted.business in record.business.lower()
        and wanted.owner in record.owners
        and all(service_text(record, name) == value for name, value in wanted.exact)
        and all(record.metadata.get(key) == value for key, value in wanted.metadata)
    )


def _named_so(name: str, asked: str) -> bool:
    if not asked:
        return True
    return wild(asked.lower(), name.lower()) if asked[0] == "*" or asked[-1] == "*" else asked == name


def has_instances(snapshot: ServiceSnapshot, wanted: Wanted) -> bool:
    """Whether there are instances at one of the hosts, at one of the ports, and with the metadata: each for itself."""
    host = not wanted.hosts
    port = not wanted.ports
    metadata = not wanted.instance_metadata
    for place, address in snapshot.addresses.items():
        if not address.registrations:
            continue
        host = host or place.host in wanted.hosts
        port = port or place.port in wanted.ports
        metadata = metadata or any(
            _has_metadata(s.registration.metadata, s.registration.ext, wanted) for s in seen(address)
        )
        if host and port and metadata:
            return True
    return False


def _has_metadata(metadata: Mapping[str, str], ext: object, wanted: Wanted) -> bool:
    internal = ext.internal if isinstance(ext, Document) else {}
    return all(
        (value := metadata.get(key, internal.get(key))) is not None and wild(pattern, value)
        for key, pattern in wanted.instance_metadata
    )
