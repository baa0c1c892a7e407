"""What stands in a registry, as somebody wants to know it who thinks of leaving it. Pure."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from polaris_bridge.core.model import ServiceKey

from .connectors.kinds import ABILITIES
from .engine.names import naming
from .engine.planning import text
from .engine.reduce import changed_fields, expressed
from .model import HERE, KINDS, NameRules, Record, Selector, Services


class Summary(Struct, frozen=True):
    """One service."""

    service: str
    instances: int
    up: int
    natives: int


class Inventory(Struct, frozen=True, kw_only=True):
    """One registry."""

    registry: str
    at_ms: int
    services: tuple[Summary, ...]
    instances: int
    natives: int
    copies: dict[str, int]
    """Registry that copies come from -> how many."""
    bridges: dict[str, int]
    """Other products whose copies stand there -> how many. Such a bridge is, or was, running."""
    illegal: dict[str, dict[str, str]]
    """By kind of target: services that cannot be copied there under their names, and why."""
    lossy: dict[str, dict[str, int]]
    """By kind of target: what instances lose there, and how many lose it."""


def inventory(id: str, found: Services, at_ms: int) -> Inventory:
    """Count and judge what was read."""
    records = [record for several in found.values() for record in several]
    return Inventory(
        registry=id,
        at_ms=at_ms,
        services=tuple(_summary(key, found[key]) for key in sorted(found)),
        instances=len(records),
        natives=sum(r.native for r in records),
        copies=dict(Counter(r.origin.registry for r in records if r.origin is not None)),
        bridges=dict(Counter(r.foreign for r in records if r.foreign)),
        illegal={kind: _illegal(found, kind) for kind in (HERE, *KINDS)},
        lossy={kind: _lossy(records, kind) for kind in (HERE, *KINDS)},
    )


def _summary(key: ServiceKey, records: tuple[Record, ...]) -> Summary:
    up = sum(r.instance.enabled and r.instance.healthy for r in records)
    return Summary(text(key), len(records), up, sum(r.native for r in records))


def _illegal(found: Services, kind: str) -> dict[str, str]:
    refused = naming(found, Selector(), NameRules(), kind).refused
    return {text(key): why for key, why in refused.items()}


def _lossy(records: list[Record], kind: str) -> dict[str, int]:
    can = ABILITIES[kind]
    lost: Counter[str] = Counter()
    for record in records:
        fields = changed_fields(record.instance, expressed(record.instance, can))
        lost.update({field.partition(".")[0] for field in fields} - {"protocol"})
    return dict(lost)
