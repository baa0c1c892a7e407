"""What streams are told, as they see it: resources by type and name in views, and a world that makes them and tells of change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from msgspec import Struct

from polaris_bridge.adapters._shared.slices import Work

from .node import Node


class Resource(Struct, frozen=True, gc=False):
    """One resource, encoded."""

    name: str
    version: str
    """16 hex digits of its content."""
    packed: bytes
    """A serialized ``google.protobuf.Any``."""


class View(Protocol):
    """Everything that one kind of node may be sent; shared by all nodes whose ``view_key`` is the same."""

    def read(self, type_url: str, name: str, /) -> Resource | None:
        """One resource, built when it is first asked for. None when there is none by that name."""
        ...

    def all(self, type_url: str, /) -> Mapping[str, Resource]:
        """What a wildcard subscription holds, by name. Never changed: a later state is another mapping."""
        ...

    def stamp(self, type_url: str, /) -> int:
        """Grows with every change of the type in this view."""
        ...

    def changed(self, type_url: str, since: int, /) -> frozenset[str] | None:
        """Names that changed or went since a stamp. None when that is too long ago: then everything has to be compared."""
        ...

    def ahead(self, type_url: str, names: Collection[str] | None, /) -> Work | None:
        """The work in slices that builds these resources (None: all of the type); None when it costs nothing worth it."""
        ...


class World(Protocol):
    """Where views come from."""

    def view(self, node: Node, /) -> View:
        """The view of a node, which counts as one more user of it."""
        ...

    def release(self, view: View, /) -> None:
        """A user of the view is gone. Views without users are dropped after a while."""
        ...

    def observe(self, told: Callable[[View, Collection[str]], None], /) -> None:
        """Be told, synchronously after each publication, which views changed in which types (URLs). Has to be cheap."""
        ...


class Reports(Protocol):
    """Where that is said which cannot be sent."""

    def problem(self, view: View | None, type_url: str, name: str, text: str, /) -> None:
        """A part of a resource could not be expressed, or a resource failed our checks: said once in the log, and counted.
        ``view``: None where it is the same in all of them."""
        ...
