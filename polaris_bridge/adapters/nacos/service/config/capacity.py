"""How much a namespace or a group may hold: numbers that operators set and see, and how much is there.

Names, defaults and texts as on Nacos 2.5.1, where the numbers limit nothing either unless a check is switched on.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct, structs

from polaris_bridge.core.batches import Commit
from polaris_bridge.core.model import Caller, Document
from polaris_bridge.core.registry import Registry

KIND: Final = "nacos-capacity"


class Limits(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What was set. 0: the default."""

    quota: int = 0
    """Configurations."""
    max_size: int = 0
    """Bytes of one."""
    max_aggr_count: int = 0
    max_aggr_size: int = 0


GROUP: Final = Limits(200, 102_400, 10_000, 1024)
"""The defaults of a group and of a namespace."""
CLUSTER: Final = Limits(100_000, 102_400, 10_000, 1024)
"""The defaults of everything together, which is shown as the group with an empty name."""

_decode: Final = msgspec.json.Decoder(Limits).decode


class Capacity(Struct, frozen=True, rename="camel"):
    """As operators see it."""

    id: str
    quota: int
    usage: int
    max_size: int
    max_aggr_count: int
    max_aggr_size: int


class Capacities:
    """The numbers of one server, kept as documents."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def get(self, name: str, *, space: bool, usage: int) -> Capacity:
        """Of a namespace of the core (``space``), of a group, or (a group without a name) of everything."""
        document = self._registry.documents.get(KIND, _id(name, space=space))
        limits = Limits() if document is None else _decode(document.body)
        default = GROUP if name else CLUSTER
        return Capacity(
            str(document.revision if document is not None else 0),
            limits.quota or default.quota,
            usage,
            limits.max_size or default.max_size,
            limits.max_aggr_count or default.max_aggr_count,
            limits.max_aggr_size or default.max_aggr_size,
        )

    def set(self, name: str, caller: Caller, *, space: bool, limits: dict[str, int]) -> Commit:
        """Set some of the numbers (fields of ``Limits``)."""
        id = _id(name, space=space)
        before = self._registry.documents.newest(KIND, id)
        after = structs.replace(Limits() if before is None else _decode(before.body), **limits)
        namespace = name if space else ""
        document = Document(KIND, id, namespace, name, body=msgspec.json.encode(after))
        return self._registry.documents.put(document, caller)


def _id(name: str, *, space: bool) -> str:
    return f"{'namespace' if space else 'group'}/{name}"
