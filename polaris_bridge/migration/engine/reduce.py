"""What a registry can say of an instance, and what is left of many instances when two registries are compared. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct, structs

from polaris_bridge.core.model import NORMAL_WEIGHT, NOWHERE
from polaris_bridge.migration.model import Instance

EXACT: Final = "exact"
HUNDREDS: Final = "hundreds"
NONE: Final = "none"

APART: Final = "apart"
DISABLES: Final = "disables"
DOWN: Final = "down"


class Abilities(Struct, frozen=True, kw_only=True):
    """What a kind of registry can hold of an instance that we write there."""

    weight: str = EXACT
    """``exact``; ``hundreds``: whole multiples of normal, at least one; ``none``."""
    health: str = APART
    """How an unhealthy instance is said: ``apart`` from whether it is enabled; ``disables``: as one that wants no traffic;
    ``down``: as the one word for both."""
    tags: bool = False
    cluster: bool = False
    location: bool = False
    version: bool = False
    max_weight: int = 1_000_000


def expressed(instance: Instance, can: Abilities) -> Instance:
    """An instance as it comes back from a registry that was told of it. Idempotent."""
    enabled, healthy = instance.enabled, instance.healthy
    if not healthy and can.health == DISABLES:
        enabled, healthy = False, True
    elif not healthy and can.health == DOWN:
        enabled = False
    protocol = "https" if instance.protocol.lower() in ("https", "grpcs") else ""
    return structs.replace(
        instance,
        weight=_weight(instance.weight, can),
        enabled=enabled and not (instance.weight == 0 and can.weight != EXACT),
        healthy=healthy,
        tags=instance.tags if can.tags else (),
        location=instance.location if can.location else NOWHERE,
        cluster=instance.cluster if can.cluster and instance.cluster != "DEFAULT" else "",
        version=instance.version if can.version else "",
        protocol=protocol,
    )


def _weight(weight: int, can: Abilities) -> int:
    if can.weight == NONE:
        return NORMAL_WEIGHT
    if can.weight == HUNDREDS:
        return min(max(1, (weight + NORMAL_WEIGHT // 2) // NORMAL_WEIGHT) * NORMAL_WEIGHT, can.max_weight)
    return min(weight, can.max_weight)


class Reduction(Struct, frozen=True, gc=False):
    """A service's instances in three numbers: equal ones mean equal instances."""

    count: int = 0
    up: int = 0
    """Enabled and healthy ones."""
    digest: str = ""
    """16 hexadecimal digits over what they say, in no order; empty when there are none."""


_encoder: Final = msgspec.msgpack.Encoder(order="deterministic")


def reduction(instances: Iterable[Instance]) -> Reduction:
    """Count, up-count and digest."""
    seen = list(instances)
    found = sorted(_encoder.encode(instance) for instance in seen)
    if not found:
        return Reduction()
    digest = hashlib.blake2b(digest_size=8)
    for each in found:
        digest.update(each)
    return Reduction(len(found), sum(i.enabled and i.healthy for i in seen), digest.hexdigest())


def changed_fields(a: Instance, b: Instance) -> tuple[str, ...]:
    """Names of what differs, metadata by key (``metadata.zone``)."""
    found = []
    for name in a.__struct_fields__:
        x, y = getattr(a, name), getattr(b, name)
        if x == y:
            continue
        found += [f"metadata.{key}" for key in _unequal(x, y)] if name == "metadata" else [name]
    return tuple(found)


def _unequal(a: Mapping[str, str], b: Mapping[str, str]) -> list[str]:
    return sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
