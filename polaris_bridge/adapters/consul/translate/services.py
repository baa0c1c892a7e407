"""Services: from what was registered to a registration of the core."""

from __future__ import annotations

from typing import Final

import msgspec

from polaris_bridge.adapters.consul.wire.definitions import ServiceDefinition, ip_version
from polaris_bridge.core.model import NORMAL_WEIGHT, Checks, Registration

from .keys import SOURCE, CheckRecord, Document, Marks, NodeKey, Tagged, registration_key

_NO_WEIGHTS: Final = (1, 1)
_INTERNAL: Final = "internal-"


def registration(
    node: NodeKey,
    definition: ServiceDefinition,
    host: str,
    checks: tuple[CheckRecord, ...],
    states: dict[str, str],
    marks: Marks,
) -> Registration:
    """``host``: where it is when the definition has no address."""
    passing, warning = definition.weights or _NO_WEIGHTS
    document = Document(
        node=node.name,
        id=definition.id,
        address=definition.address,
        kind=definition.kind,
        socket_path=definition.socket_path,
        tagged=tagged(definition),
        passing=passing,
        warning=warning,
        tag_override=definition.tag_override,
        checks=checks,
        extra=extra(definition.extra),
    )
    return Registration(
        source=SOURCE,
        namespace=node.namespace,
        key=registration_key(node, definition.id).key,
        service=definition.name,
        host=definition.address or host,
        port=definition.port,
        liveness=Checks(states),
        weight=passing * NORMAL_WEIGHT,
        metadata=definition.meta,
        tags=definition.tags,
        ext=document,
        marks=marks,
    )


def tagged(definition: ServiceDefinition) -> dict[str, Tagged]:
    """The tagged addresses of a service: those given, and what an agent adds when its address is an IP."""
    found = {name: Tagged(*place) for name, place in definition.tagged.items()}
    version = ip_version(definition.address)
    if version:
        here = Tagged(definition.address, definition.port)
        for name in (f"lan_ipv{version}", f"wan_ipv{version}"):
            found.setdefault(name, here)
    return found


def native_pairs(r: Registration) -> dict[str, str]:
    """What native readers, who know no tags, are shown in the metadata: id and tags, and ``k=v`` tags as pairs of their own.

    Nothing when this adapter is switched off, for then nobody can read what it kept.
    """
    if not isinstance(r.ext, Document):
        return {}
    pairs = {"internal-consul-id": r.ext.id}
    if r.tags:
        pairs["internal-consul-tags"] = msgspec.json.encode(r.tags).decode()
    for tag in r.tags:
        name, equals, value = tag.partition("=")
        if equals and name and name not in r.metadata and not name.startswith(_INTERNAL):
            pairs.setdefault(name, value)
    return pairs


def extra(given: dict[str, bytes]) -> bytes:
    """Proxy, Connect, Locality and Ports as one JSON object; empty when there are none."""
    return msgspec.json.encode({name: msgspec.Raw(each) for name, each in given.items()}) if given else b""
