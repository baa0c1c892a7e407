"""Instances as routing sees them: what native readers are shown of an address, without the message. Pure.

Labels are the metadata that Discover answers with, so that rules match here what they match in SDKs.
"""

from __future__ import annotations

from polaris_bridge.core.model import NOWHERE, Address, Registration
from polaris_bridge.core.routing.model import Target
from polaris_bridge.core.views import Shown

from .keys import EMPTY, SOURCE
from .shown import INTERNAL, REGISTERED_FROM, Pairs, healthy, isolated, seen, shown_id


def targets_of(address: Address, pairs: Pairs) -> tuple[Target, ...]:
    """Everything that native readers see at an address."""
    return tuple(
        Target(
            shown_id(s, at == 0),
            s.registration.host,
            s.registration.port,
            max(0, s.registration.weight),
            healthy(s),
            isolated(s, address),
            labels_of(s, pairs),
            s.registration.location,
            s.registration.vpc,
        )
        for at, s in enumerate(seen(address))
    )


def labels_of(s: Shown, pairs: Pairs) -> dict[str, str]:
    """Metadata as Discover answers with it; not when an instance was last heard of, which only readers of texts need."""
    r = s.registration
    labels = _own(r) if s.own else _foreign(r, pairs)
    if r.version:
        labels["version"] = r.version
    if r.protocol:
        labels["protocol"] = r.protocol
    if r.location != NOWHERE or (r.source == SOURCE and r.ext.empty & EMPTY["location"]):
        labels |= {"region": r.location.region, "zone": r.location.zone, "campus": r.location.campus}
    return labels


def _own(r: Registration) -> dict[str, str]:
    return {**r.metadata, **r.ext.internal}


def _foreign(r: Registration, pairs: Pairs) -> dict[str, str]:
    labels = {key: value for key, value in r.metadata.items() if not key.startswith(INTERNAL)}
    more = pairs.get(r.source)
    if more is not None:
        labels.update(more(r))
    labels[REGISTERED_FROM] = r.source
    return labels
