"""What an update from the console makes of a registration. Pure.

Only what is given changes. What another protocol registered can be corrected in the fields that all protocols share, until its
client registers again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import NOWHERE, Location, Registration

from .instances import INTERNAL, liveness_of, ttl_of
from .keys import SWITCHED_OFF, Document

_TEXTS = ("protocol", "version", "logic_set")


def revised(r: Registration, m: v1.Instance, *, healthy: bool, cleared: bool) -> Registration:
    """A native registration as the update has it; the same object when nothing changes.

    ``healthy``: whether it is now; ``cleared``: its metadata was given as empty, which the message cannot say.
    """
    changes = _common(r, m)
    document: Document = r.ext
    if m.HasField("priority") and not document.priority_given:
        document = structs.replace(document, priority_given=True)
    if m.HasField("weight") and not document.weight_given:
        document = structs.replace(document, weight_given=True)
    if (m.metadata or cleared) and dict(m.metadata) != {**r.metadata, **document.internal}:
        own, internal = _apart(m.metadata)
        changes["metadata"] = own
        document = structs.replace(document, internal=internal)
    document = _checked(document, m)
    word = m.healthy.value if m.HasField("healthy") else healthy
    if document.health_check and not r.ext.health_check:
        word = False  # as on the original: the first heartbeat makes it healthy
    if word != healthy or document.ttl_s != r.ext.ttl_s:
        changes["liveness"] = liveness_of(document.ttl_s, healthy=word)
    told = {name: getattr(r.ext, name) for name in ("priority_given", "weight_given", "empty")}
    if (
        structs.replace(document, **told) == r.ext and not changes
    ):  # to give a weight that it has already tells nobody anything
        return r
    return structs.replace(r, ext=document, **changes)


def revised_foreign(r: Registration, m: v1.Instance, *, cleared: bool) -> Registration:
    """Another protocol's registration as the update has it; the same object when nothing changes."""
    changes = _common(r, m)
    own, _ = _apart(m.metadata)
    if (m.metadata or cleared) and own != {key: v for key, v in r.metadata.items() if not key.startswith(INTERNAL)}:
        changes["metadata"] = own
    return structs.replace(r, **changes) if changes else r


def _common(r: Registration, m: v1.Instance) -> dict[str, Any]:
    """The fields that every registration has."""
    changes: dict[str, Any] = {}
    if m.HasField("location"):
        place = m.location
        location = Location(place.region.value, place.zone.value, place.campus.value)
        if location != r.location:
            changes["location"] = NOWHERE if location == NOWHERE else location
    for name in _TEXTS:
        if m.HasField(name) and getattr(m, name).value != getattr(r, name):
            changes[name] = getattr(m, name).value
    if m.HasField("priority") and m.priority.value != r.priority:
        changes["priority"] = m.priority.value
    if m.HasField("weight") and m.weight.value != r.weight:
        changes["weight"] = m.weight.value
    return changes


def _checked(document: Document, m: v1.Instance) -> Document:
    """Whether heartbeats are expected, after the update."""
    if m.HasField("enable_health_check") and not m.enable_health_check.value:
        return structs.replace(document, health_check=False, ttl_s=0, empty=document.empty | SWITCHED_OFF)
    ttl_s = ttl_of(m)
    if not ttl_s:
        return document
    return structs.replace(document, health_check=True, ttl_s=ttl_s, empty=document.empty & ~SWITCHED_OFF)


def _apart(metadata: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The user's pairs, and those that are not."""
    own: dict[str, str] = {}
    internal: dict[str, str] = {}
    for key, value in metadata.items():
        (internal if key.startswith(INTERNAL) else own)[key] = value
    return own, internal
