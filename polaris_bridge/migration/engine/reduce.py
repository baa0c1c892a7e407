"""What a registry can say of an instance, and what is left of many instances when two registries are compared. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct, structs

from polaris_bridge.core.model import NORMAL_WEIGHT, NOWHERE, Location
from polaris_bridge.migration.model import Instance

EXACT: Final = "exact"
HUNDREDS: Final = "hundreds"
NONE: Final = "none"

IN_METADATA: Final = "metadata"

APART: Final = "apart"
DISABLES: Final = "disables"
DOWN: Final = "down"

_PLACES: Final = ("region", "zone", "campus")
_SECURE: Final = "secure"


class Room(Struct, frozen=True, kw_only=True):
    """How much metadata a registry takes besides what marks a copy. Lengths in characters, 0: any."""

    pairs: int = 0
    key: int = 0
    value: int = 0
    total: int = 0
    """Of all keys and values together."""


_BOUNDLESS: Final = Room()


class Abilities(Struct, frozen=True, kw_only=True):
    """What a kind of registry can hold of an instance that we write there."""

    weight: str = EXACT
    """``exact``; ``hundreds``: whole multiples of normal, at least one; ``none``."""
    health: str = APART
    """How an unhealthy instance is said: ``apart`` from whether it is enabled; ``disables``: as one that wants no traffic;
    ``down``: as the one word for both."""
    tags: bool = False
    cluster: bool = False
    location: str = NONE
    """``apart`` from metadata, in ``metadata`` as region, zone and campus, or ``none``."""
    secure: bool = False
    """Whether TLS is said in metadata, as ``secure=true``."""
    version: bool = False
    twins: bool = True
    """Whether it can hold two instances of one service, and of one cluster, at one address."""
    repeats: bool = True
    """Whether metadata may hold keys that are fields too; False: the registry writes the fields over them."""
    max_weight: int = 1_000_000
    room: Room = Room()


def expressed(instance: Instance, can: Abilities) -> Instance:
    """An instance as it comes back from a registry that was told of it. Idempotent."""
    enabled, healthy = instance.enabled, instance.healthy
    if not healthy and can.health == DISABLES:
        enabled, healthy = False, True
    elif not healthy and can.health == DOWN:
        enabled = False
    metadata, location = _located(instance, can)
    secure = instance.protocol.lower() in ("https", "grpcs") or metadata.get(_SECURE) == "true"
    if secure and can.secure and metadata.get(_SECURE) != "true":
        metadata = {**metadata, _SECURE: "true"}
    version = instance.version if can.version else ""
    if not can.repeats:
        metadata = unrepeated(metadata, location, "https" if secure else "", version)
    return structs.replace(
        instance,
        metadata=fitted(metadata, can.room),
        weight=_weight(instance.weight, can),
        enabled=enabled and not (instance.weight == 0 and can.weight != EXACT),
        healthy=healthy,
        tags=instance.tags if can.tags else (),
        location=location,
        cluster=instance.cluster if can.cluster and instance.cluster != "DEFAULT" else "",
        version=version,
        protocol="https" if secure else "",
    )


def unrepeated(metadata: dict[str, str], location: Location, protocol: str, version: str) -> dict[str, str]:
    """Metadata without the keys of fields that say something."""
    fields = (("protocol",) if protocol else ()) + (("version",) if version else ())
    if location != NOWHERE:
        fields += _PLACES
    return {key: value for key, value in metadata.items() if key not in fields} if fields else metadata


def fitted(metadata: dict[str, str], room: Room) -> dict[str, str]:
    """What of metadata has room, the shortest first."""
    if room == _BOUNDLESS:
        return metadata
    kept: dict[str, str] = {}
    total = 0
    for key, value in sorted(metadata.items(), key=lambda pair: (len(pair[0]) + len(pair[1]), pair)):
        if (room.key and len(key) > room.key) or (room.value and len(value) > room.value):
            continue
        total += len(key) + len(value)
        if (room.pairs and len(kept) >= room.pairs) or (room.total and total > room.total):
            break
        kept[key] = value
    return kept


def _located(instance: Instance, can: Abilities) -> tuple[dict[str, str], Location]:
    """Metadata and location as they come back."""
    if can.location == APART:
        return instance.metadata, instance.location
    if can.location == NONE:
        return instance.metadata, NOWHERE
    said = zip(_PLACES, structs.astuple(instance.location), strict=True)
    metadata = {**{key: value for key, value in said if value}, **instance.metadata}
    return metadata, Location(*(metadata.get(key, "") for key in _PLACES))


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
