"""The world that xDS clients see: the registry and its rules as resources, kept in step with every publication.

What several nodes are sent alike is made once: services (``called``), shelves of clusters and assignments, route tables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from polaris_bridge.adapters._shared.catalog import Catalog
from polaris_bridge.adapters._shared.governance import Governance
from polaris_bridge.adapters._shared.patterns import LinearSearch
from polaris_bridge.adapters.xds.node import GRPC, Node
from polaris_bridge.adapters.xds.resources import Reports, Resource, View
from polaris_bridge.adapters.xds.translate.clusters import passthrough
from polaris_bridge.adapters.xds.translate.names import PASSTHROUGH
from polaris_bridge.adapters.xds.translate.rules.subsets import Subset
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import Location, ServiceKey
from polaris_bridge.core.registry import Registry

from .audiences import Reader, reader_of
from .beside import Beside
from .called import Called
from .changes import Log
from .dialling import Calls, Dialling
from .making import Maker
from .mesh import Mesh
from .parts import Parts
from .services import Services, Turn
from .shelves import Shelf
from .spaces import Space
from .tables import Table

UNUSED: Final = 64
"""Views without users that are kept for the next one."""

Told = Callable[[View, Collection[str]], None]


class RegistryWorld:
    """``adapters.xds.resources.World`` over the registry."""

    def __init__(self, registry: Registry, reports: Reports, governance: Governance | None = None) -> None:
        """``governance``: where rules come from; None: there are none."""
        self._reports = reports
        self._catalog = Catalog(registry)
        self._services = Services(registry, self._catalog, governance, LinearSearch(), self._unexpressed)
        self._maker = Maker(self._refused)
        self._parts = Parts(self._maker)
        self._now = 1
        self._calls = Calls(self._services, self._now)
        self._spaces: dict[str, Space] = {}
        self._shelves: dict[tuple[str, str, object], Shelf] = {}
        self._tables: dict[tuple[str, str], Table] = {}
        self._views: dict[Reader, Dialling | Mesh] = {}
        self._users: dict[Reader, int] = {}
        self._told: list[Told] = []
        registry.observe(self._published)

    # ------------------------------------------------------------------ World

    def view(self, node: Node, /) -> View:
        """The view of a node."""
        reader = reader_of(node)
        found = self._views.get(reader)
        if found is None:
            found = self._views[reader] = self._dialling(reader) if reader.kind == GRPC else self._mesh(reader)
        self._users[reader] = self._users.get(reader, 0) + 1
        return found

    def release(self, view: View, /) -> None:
        """A user of a view is gone."""
        assert isinstance(view, Dialling | Mesh)
        reader = view.reader
        left = self._users.pop(reader) - 1
        if left > 0:
            self._users[reader] = left
            return
        unused = [each for each in self._views if each not in self._users]
        for each in unused[: max(0, len(unused) - UNUSED)]:
            del self._views[each]
        if len(unused) > UNUSED:
            self._forget()

    def observe(self, told: Told, /) -> None:
        """Be told which views changed."""
        self._told.append(told)

    # ------------------------------------------------------------------ views

    def _dialling(self, reader: Reader) -> Dialling:
        return Dialling(reader, self._services, self._calls, self._parts, self._maker, self._now)

    def _mesh(self, reader: Reader) -> Mesh:
        space = self._spaces.get(reader.namespace)
        if space is None:
            space = self._spaces[reader.namespace] = Space(reader.namespace, self._catalog)
        shelves = {
            types.CLUSTER: self._clusters(space, reader.tls_mode),
            types.ASSIGNMENT: self._assignments(space, reader.place),
        }
        demand = reader.demand_source if reader.demand else ""
        table = self._tables.get((reader.namespace, demand))
        if table is None:
            table = Table(space, self._services, self._maker, self._now, demand=demand)
            self._tables[reader.namespace, demand] = table
        beside = Beside(reader, space, self._services, self._maker, self._now)
        return Mesh(reader, space, shelves, None if reader.gateway else table, beside)

    def _clusters(self, space: Space, tls_mode: str) -> Shelf:
        key = space.namespace, types.CLUSTER, tls_mode
        found = self._shelves.get(key)
        if found is None:

            def make(called: Called, subset: Subset) -> Resource | None:
                return self._parts.envoy_cluster(called, subset, tls_mode)

            through = self._maker.make(types.CLUSTER, PASSTHROUGH, passthrough(), None)
            fixed = {} if through is None else {PASSTHROUGH: through}
            found = Shelf(space, self._services, make, Log(self._now), fixed, encodes=False)
            self._shelves[key] = found
        return found

    def _assignments(self, space: Space, place: Location) -> Shelf:
        key = space.namespace, types.ASSIGNMENT, place
        found = self._shelves.get(key)
        if found is None:

            def make(called: Called, subset: Subset) -> Resource | None:
                return self._parts.assignment(called, subset, place, rich=True)

            found = self._shelves[key] = Shelf(space, self._services, make, Log(self._now), {}, encodes=True)
        return found

    def _forget(self) -> None:
        """Let go of what no view uses."""
        meshes = [view for view in self._views.values() if isinstance(view, Mesh)]
        shelves = {id(shelf) for view in meshes for shelf in view.shelves.values()}
        self._shelves = {key: shelf for key, shelf in self._shelves.items() if id(shelf) in shelves}
        tables = {id(view.table) for view in meshes}
        self._tables = {key: table for key, table in self._tables.items() if id(table) in tables}
        spaces = {view.space.namespace for view in meshes}
        self._spaces = {name: space for name, space in self._spaces.items() if name in spaces}

    # ------------------------------------------------------------------ after a publication

    def _published(self, published: Published) -> None:
        turns = self._services.published(published)
        recorded = self._services.recorded
        self._services.settle()
        if not turns and not recorded and not self._services.opened:
            return
        self._now += 1
        names: dict[str, set[ServiceKey]] = {}
        shown: dict[str, set[ServiceKey]] = {}
        for space in self._spaces.values():
            before = dict(space.shown) if self._services.opened else space.shown
            targets = {before[key] for key in self._touched(space, recorded) if key in before}
            found = space.look_again() if self._services.opened else set()
            for key in recorded:
                found |= space.follow(key)
            names[space.namespace] = found
            shown[space.namespace] = {*targets, *(space.shown[key] for key in found if key in space.shown)}
            if self._services.opened:
                shown[space.namespace] |= set(before.values()) ^ set(space.shown.values())
        self._tell(turns, names, shown, anything=self._services.reshown)

    @staticmethod
    def _touched(space: Space, recorded: Collection[ServiceKey]) -> set[ServiceKey]:
        return {name for key in recorded for name in space.concerned(key)}

    def _tell(
        self,
        turns: Mapping[ServiceKey, Turn],
        names: Mapping[str, Collection[ServiceKey]],
        shown: Mapping[str, Collection[ServiceKey]],
        *,
        anything: bool,
    ) -> None:
        changed: set[int] = set()
        for (namespace, _, _), shelf in self._shelves.items():
            if shelf.follow(turns, shown[namespace], self._now):
                changed.add(id(shelf))
        for (namespace, _), table in self._tables.items():
            if table.follow(turns, names[namespace], self._now):
                changed.add(id(table))
        dialled = self._calls.follow(turns, self._now, anything=anything)
        for view in self._views.values():
            if isinstance(view, Dialling):
                found: Collection[str] = view.follow(dialled, turns, self._now, anything=anything)
            else:
                shared = [type_url for type_url, shelf in view.shelves.items() if id(shelf) in changed]
                if view.table is not None and id(view.table) in changed:
                    shared += [types.ROUTES, types.VIRTUAL_HOST]
                found = view.follow(shared, turns, self._now)
            if found:
                for told in self._told:
                    told(view, found)

    # ------------------------------------------------------------------ what cannot be sent

    def _unexpressed(self, name: str, text: str) -> None:
        self._reports.problem(None, types.CLUSTER, name, text)

    def _refused(self, type_url: str, name: str, text: str) -> None:
        self._reports.problem(None, type_url, name, text)
