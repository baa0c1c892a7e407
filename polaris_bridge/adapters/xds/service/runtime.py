"""Runtime layers: every layer that is asked for exists, and is empty. An Envoy that is told of one waits for it at start."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.xds.resources import Resource
from polaris_bridge.adapters.xds.wire.fields import field, text
from polaris_bridge.adapters.xds.wire.types import RUNTIME

_NOTHING: Final[Mapping[str, Resource]] = MappingProxyType({})
_VERSION: Final = f"{1:016x}"


class Layers:
    """A view that has runtime layers and nothing else."""

    def read(self, _type_url: str, name: str, /) -> Resource | None:
        """An empty layer: a packed ``Runtime`` with its name and an empty struct."""
        return Resource(name, _VERSION, text(1, RUNTIME) + field(2, text(1, name) + field(2, b"")))

    def all(self, _type_url: str, /) -> Mapping[str, Resource]:
        """None: layers are asked for by name."""
        return _NOTHING

    def stamp(self, _type_url: str, /) -> int:
        """They never change."""
        return 0

    def changed(self, _type_url: str, _since: int, /) -> frozenset[str] | None:
        """They never change."""
        return frozenset()

    def ahead(self, _type_url: str, _names: Collection[str] | None, /) -> Work | None:
        """Nothing is to be built."""
        return None


LAYERS: Final = Layers()
