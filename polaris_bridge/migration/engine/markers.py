"""How copies are marked in registries elsewhere, and how the copies of other bridges are known. Pure.

Our keys fit Consul's grammar, the narrowest there is. Foreign markers as of: nacos-sync 0.5 (``sourceClusterId``, ``syncSource``,
``destClusterId``, ``sync.instance.tag``), polaris-sync (``__sync__``), consul-k8s and consul-aws (``external-source``, tags),
PolarisMesh's Eureka peers (``internal-eureka-replicate``), polaris-controller (``source``, older ``platform``, ``clusterName``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from polaris_bridge.migration.model import Origin

PREFIX: Final = "internal-sync-"
KIND: Final = "internal-sync-source"
REGISTRY: Final = "internal-sync-sourcecluster"
ID: Final = "internal-sync-id"
PATH: Final = "internal-sync-path"
EXTERNAL: Final = "external-source"
"""Written to Consul besides, where tools look for it."""
OURS: Final = "polaris-bridge"

_JOINT: Final = ">"
_FOREIGN_KEYS: Final = {
    "sourceClusterId": "nacos-sync",
    "syncSource": "nacos-sync",
    "destClusterId": "nacos-sync",
    "sync.instance.tag": "nacos-sync",
    "__sync__": "polaris-sync",
}
_FOREIGN_TAGS: Final = {"k8s": "consul-k8s", "aws": "consul-aws"}
_CONTROLLER: Final = "polaris-controller"


def written(origin: Origin) -> dict[str, str]:
    """The metadata that marks a copy."""
    return {KIND: origin.kind, REGISTRY: origin.registry, ID: origin.id, PATH: _JOINT.join(origin.path)}


def origin_of(metadata: Mapping[str, str]) -> Origin | None:
    """The origin that metadata tells of; None when it tells of none or of half a one."""
    kind, registry, id = metadata.get(KIND, ""), metadata.get(REGISTRY, ""), metadata.get(ID, "")
    if not registry or not id:
        return None
    path = tuple(filter(None, metadata.get(PATH, "").split(_JOINT))) or (registry,)
    return Origin(kind, registry, id, path)


def foreign(metadata: Mapping[str, str], tags: Iterable[str] = ()) -> str:
    """Which other product made a copy; empty when none says so."""
    for key, product in _FOREIGN_KEYS.items():
        if key in metadata:
            return product
    if metadata.get("internal-eureka-replicate") == "true":
        return "polaris-eureka-peer"
    if metadata.get("clusterName") and _CONTROLLER in (metadata.get("source"), metadata.get("platform")):
        return _CONTROLLER
    source = metadata.get(EXTERNAL, "")
    if source and source != OURS:
        return source
    for tag in tags:
        if tag in _FOREIGN_TAGS:
            return _FOREIGN_TAGS[tag]
        key, equals, value = tag.partition("=")
        if equals and key in _FOREIGN_KEYS:
            return _FOREIGN_KEYS[key]
        if equals and key == EXTERNAL and value != OURS:
            return value
    return ""


def own(metadata: Mapping[str, str]) -> dict[str, str]:
    """The user's part of metadata."""
    return {k: v for k, v in metadata.items() if not k.startswith("internal-") and (k, v) != (EXTERNAL, OURS)}
