"""What readers of Consul see, kept in step with every change: instances by service with their encoded forms, and the indexes
that blocking reads compare.

A service is built when somebody asks for it; from then on a change rebuilds the instances of its address and nothing else.
Every service has two indexes: one moves with anything, one only with what catalog shows (no checks). Names are folded: services
equal ignoring case are one to Consul's clients.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Final, Protocol

from msgspec import Struct

from polaris_bridge.core.events import AddressChange, Published
from polaris_bridge.core.model import OUT_OF_SERVICE, Address, Registration, ServiceKey, same_document
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.views import shown
from polaris_bridge.core.watching import Scope, Watches

from .translate.keys import CHECK, NODE, SOURCE, Document, NodeKey
from .translate.shown import (
    ejection_check,
    foreign_checks,
    foreign_id,
    foreign_service,
    own_checks,
    own_service,
    tags_of_metadata,
    weight_unit,
)
from .view_instances import Instance, Listing, NodeView, ServiceView

SMALL: Final = 100
"""Addresses of a service up to which it is built in one go."""
_MOST_KEPT: Final = 20_000
"""Services kept built; the one built longest ago goes first."""


class Indexes(Struct):
    """When something last changed."""

    any: int
    catalog: int


Found = tuple[Listing, Indexes]
"""A service, and since when it is so."""


class Reading(Protocol):
    """The services of every datacenter as one reader sees them: ``View`` is everybody's. Names are found in any case; a
    service that is not there is an empty one."""

    def at_hand(self, namespace: str, name: str, variant: str = "") -> Found | None:
        """A service, if it can be had at once, and with ``variant`` answered with; None: ``build`` has to make it."""
        ...

    def build(
        self, namespace: str, name: str, variant: str = "", encode: Callable[[Instance], object] | None = None
    ) -> Generator[None, None, Found]:
        """The same however long it takes, and with ``variant`` the encoded form made of every instance that this answers
        with, so that a list of them is only joined afterwards. Yields in between; changes meanwhile are in it, or it does
        not say so."""
        ...

    def read(self, namespace: str, name: str) -> Found:
        """The same in one go."""
        ...

    def indexes(self, namespace: str, name: str) -> Indexes:
        """Since when a service is as it is; zeros when that is not known before it was made."""
        ...


class Standing(Protocol):
    """What stands on which node (``service.index``)."""

    def holds(self, folded: NodeKey) -> bool:
        """Whether something does."""
        ...

    def services(self, node: NodeKey) -> Iterator[Registration]:
        """The services, as readers see them."""
        ...

    def holding(self) -> Iterable[NodeKey]:
        """The nodes, folded, that hold something."""
        ...

    def has_foreign(self, namespace: str) -> bool:
        """Whether a namespace has a registration of another protocol."""
        ...

    def with_foreign(self) -> Iterable[str]:
        """The namespaces that have one."""
        ...


class View:
    """Services and nodes as Consul's readers see them."""

    def __init__(
        self,
        registry: Registry,
        index: Standing,
        *,
        nodes: Callable[[NodeKey], NodeView | None],
        foreign_node: Callable[[str], NodeView],
        visible: Callable[[str], bool],
        tag_keys: tuple[str, ...] = (),
    ) -> None:
        """``index``: what stands on nodes, in step before this is; ``nodes``: a node by its key; ``foreign_node``: where
        instances of other protocols stand, by namespace; ``visible``: whether a namespace is a datacenter here;
        ``tag_keys``: metadata that is shown as tags."""
        self._registry = registry
        self._index = index
        self._nodes = nodes
        self._foreign_node = foreign_node
        self._visible = visible
        self._tag_keys = tag_keys
        self._services: dict[ServiceKey, ServiceView] = {}
        self._building: dict[ServiceKey, tuple[ServiceView, Iterator[bool]]] = {}
        """Those that are built bit by bit just now, and the steps that are left: changes meanwhile are in them already."""
        self._indexes: dict[ServiceKey, Indexes] = {}
        """Of folded names that changed since the start."""
        self._spaces: dict[str, Indexes] = {}
        self._vanished: dict[str, int] = {}
        """By namespace: when a service last went away."""
        self._names: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {}
        """By namespace and folded name: name and tags. Only of namespaces that were listed."""
        self._stale: dict[str, dict[ServiceKey, None]] = {}
        """By namespace: what is to be listed anew."""
        self._node_indexes: dict[NodeKey, Indexes] = {}
        self._nodes_changed: dict[str, int] = {}
        self._named: dict[str, int] = {}
        """By namespace: when a service last came or went."""
        self._kept: dict[NodeKey, NodeView] = {}
        self._holding = set(index.holding())
        self._with_foreign = set(index.with_foreign())
        self.watches = Watches(registry.clock, registry.scheduler, self._newest)
        """Those who wait for services, by folded key; for a namespace by its name."""
        self._touched: dict[ServiceKey, None] = {}
        registry.observe(self._published)

    # ------------------------------------------------------------------ services

    def service(self, namespace: str, name: str) -> ServiceView:
        """A service by its name in any case; an empty one when there is none."""
        key = ServiceKey(namespace, name.lower())
        return self._services.get(key) or self._built(key, name)

    def read(self, namespace: str, name: str) -> Found:
        """See ``Reading``."""
        key = ServiceKey(namespace, name.lower())
        return self._services.get(key) or self._built(key, name), self._since(key)

    def services(self, namespace: str) -> Generator[None, None, list[ServiceView]]:
        """Every service of a namespace that has instances, by name. Yields where it may be interrupted."""
        names = {s.key.name.lower(): s.key.name for s in self._registry.services(namespace) if s.addresses}
        found: list[ServiceView] = []
        for folded in sorted(names):
            yield from self.build(namespace, names[folded])
            one = self.service(namespace, names[folded])
            if one.instances:
                found.append(one)
        return found

    def at_hand(self, namespace: str, name: str, variant: str = "") -> Found | None:
        """See ``Reading``."""
        key = ServiceKey(namespace, name.lower())
        view = self._services.get(key)
        if view is None:
            known = self._registry.same_name(namespace, name)
            if not known:
                return ServiceView(name), self._absent(namespace)
            if sum(len(self._registry.snapshot(each).addresses) for each in known) > SMALL:
                return None
            view = self._built(key, name)
        elif variant and variant not in view.encoded and view.size > SMALL:
            return None
        return view, self._since(key)

    def build(
        self, namespace: str, name: str, variant: str = "", encode: Callable[[Instance], object] | None = None
    ) -> Generator[None, None, Found]:
        """See ``Reading``."""
        key = ServiceKey(namespace, name.lower())
        if key not in self._services:
            yield from self._build(key, name)
        view = self._services.get(key)
        if view is not None and encode is not None and variant not in view.encoded:
            for instance in view.instances:
                encode(instance)
                yield
            view.encoded.add(variant)
        return self.read(namespace, name)

    def _build(self, key: ServiceKey, name: str) -> Generator[None, None, None]:
        """Whoever wants the same service meanwhile takes part in building it."""
        if key not in self._building:
            known = self._registry.same_name(*key)
            view = ServiceView(known[0].name if known else name)
            self._building[key] = view, self._steps(view, known)
        while (building := self._building.get(key)) is not None:
            view, steps = building
            try:
                over = next(steps, True)
            except BaseException:
                del self._building[key]
                raise
            if over:
                del self._building[key]
                self._keep(key, view)
            else:
                yield

    def _steps(self, view: ServiceView, known: list[ServiceKey]) -> Iterator[bool]:
        for each in known:
            for at in list(self._registry.snapshot(each).addresses):
                address = self._registry.snapshot(each).addresses.get(at)
                if address is not None:
                    view._put((each, at), self._instances(each, address, view._unit))
                yield False
        self._settle_weights(view)

    def _views(self, key: ServiceKey) -> Iterator[ServiceView]:
        """What a change of a service has to be put into."""
        view = self._services.get(key)
        if view is not None:
            yield view
        building = self._building.get(key)
        if building is not None:
            yield building[0]

    def listed(self, namespace: str) -> bool:
        """Whether ``names`` is cheap; else ``list_names`` should have run."""
        return namespace in self._names

    def list_names(self, namespace: str) -> Generator[None, None, None]:
        """Look at every service of a namespace once; afterwards only changes are followed. Yields in between."""
        names: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._stale[namespace] = {}
        for snapshot in self._registry.services(namespace):
            self._list(names, ServiceKey(namespace, snapshot.key.name.lower()))
            yield
        self._names[namespace] = names

    def names(self, namespace: str) -> list[tuple[str, tuple[str, ...]]]:
        """Every service that has instances with all their tags, by name."""
        names = self._names.get(namespace)
        if names is None:
            for _ in self.list_names(namespace):
                pass
            names = self._names[namespace]
        stale, self._stale[namespace] = self._stale[namespace], {}
        for key in stale:
            self._list(names, key)
        return [names[folded] for folded in sorted(names)]

    def _list(self, names: dict[str, tuple[str, tuple[str, ...]]], key: ServiceKey) -> None:
        known = self._registry.same_name(*key)
        tags: dict[str, None] = {}
        found = False
        for each in known:
            for address in self._registry.snapshot(each).addresses.values():
                for one in shown(address, SOURCE):
                    found = True
                    tags.update(dict.fromkeys(one.registration.tags))
                    if self._tag_keys and not one.own:
                        tags.update(dict.fromkeys(tags_of_metadata(one.registration, self._tag_keys)))
        if found:
            names[key.name] = known[0].name, tuple(tags)
        else:
            names.pop(key.name, None)

    def named(self, namespace: str) -> int:
        """Since when at the latest the same services are there."""
        return self._named.get(namespace, self._floor)

    def has_foreign(self, namespace: str) -> bool:
        """Whether there is an instance of another protocol."""
        return self._index.has_foreign(namespace)

    def indexes(self, namespace: str, name: str) -> Indexes:
        """Since when a service is as it is; one that is not there: since when at most."""
        return self._since(ServiceKey(namespace, name.lower()))

    def _since(self, key: ServiceKey) -> Indexes:
        found = self._indexes.get(key)
        if found is not None:
            return found
        return Indexes(self._floor, self._floor) if self._left(key) else self._absent(key.namespace)

    def _absent(self, namespace: str) -> Indexes:
        """Since when at most a service is not there."""
        since = self._vanished.get(namespace, self._floor)
        return Indexes(since, since)

    def space(self, namespace: str) -> Indexes:
        """Since when everything of a namespace is as it is."""
        return self._spaces.get(namespace) or Indexes(self._floor, self._floor)

    # ------------------------------------------------------------------ nodes

    def node(self, key: NodeKey) -> NodeView | None:
        """A node as it is now."""
        folded = key.folded
        found = self._kept.get(folded)
        if found is None:
            found = self._nodes(key)
            if found is not None:  # names that are nothing are asked for by anybody
                self._kept[folded] = found
        return found

    def registered_on(self, key: NodeKey) -> list[Registration]:
        """The registrations that stand on a node."""
        return list(self._index.services(key))

    def node_indexes(self, key: NodeKey) -> Indexes:
        """Since when a node and what stands on it is as it is."""
        return self._node_indexes.get(key.folded) or Indexes(self._floor, self._floor)

    def nodes_index(self, namespace: str) -> int:
        """Since when the list of nodes is as it is."""
        return self._nodes_changed.get(namespace, self._floor)

    def again(self, services: Iterable[ServiceKey], revision: int) -> None:
        """Let whoever waits for some services look again: what readers are given of them may be something else."""
        for service in services:
            key = ServiceKey(service.namespace, service.name.lower())
            if self._visible(key.namespace) and self._left(key):
                self._move(self._indexes, key, revision, catalog=True)
                self._touched[key] = None
        if self._touched:
            self._registry.scheduler.soon(self._wake)

    def moved(self) -> None:
        """The server has another address: its own nodes are not what they were, and nothing says so but this."""
        self._kept.clear()
        self._services.clear()
        self._building.clear()

    # ------------------------------------------------------------------ building

    @property
    def _floor(self) -> int:
        return max(1, self._registry.ledger.floor)

    def _built(self, key: ServiceKey, name: str) -> ServiceView:
        known = self._registry.same_name(*key)
        if known:
            for _ in self._build(key, name):
                pass
        return self._services.get(key) or ServiceView(known[0].name if known else name)

    def _keep(self, key: ServiceKey, view: ServiceView) -> None:
        if not self._left(key):  # names that are nothing are asked for by anybody
            return
        while len(self._services) >= _MOST_KEPT:
            del self._services[next(iter(self._services))]
        self._services[key] = view

    def _instances(self, service: ServiceKey, address: Address, unit: int) -> tuple[Instance, ...]:
        found = shown(address, SOURCE)
        made = []
        for one in found:
            r = one.registration
            if one.own and isinstance(r.ext, Document):
                node = self.node(NodeKey(service.namespace, r.ext.node))
                if node is not None:
                    withdrawn = one.word == OUT_OF_SERVICE and not node.maintained
                    checks, shape = own_checks(r, r.ext, node.shape.node, withdrawn=withdrawn), own_service(r, r.ext)
                    if one.ejection is not None:
                        checks.append(ejection_check(one.ejection, shape, node.shape.node, r.revision))
                    made.append(Instance(node, shape, checks, r))
                continue
            node = self._foreign_node(service.namespace)
            id = foreign_id(service.name, r, len(found) == 1)
            shape = foreign_service(r, service.name, id, unit, self._tag_keys)
            made.append(Instance(node, shape, foreign_checks(one, shape, node.shape.node), r))
        return tuple(made)

    def _settle_weights(self, view: ServiceView) -> None:
        """What counts as weight 1 depends on all instances; when it changes those of other protocols are made anew."""
        unit = weight_unit(view.weights, view.own > 0)
        if unit == view._unit:
            return
        view._unit = unit
        for service, at in list(view._at):
            address = self._registry.snapshot(service).addresses.get(at)
            if address is not None and any(_is_foreign(i) for i in view._at[service, at]):
                view._put((service, at), self._instances(service, address, unit))

    # ------------------------------------------------------------------ after a publication

    def _published(self, published: Published) -> None:
        revision = published.revision
        for change in published.changes:
            if self._visible(change.service.namespace):
                self._follow(change, revision)
        for document in published.documents:
            if document.kind in (NODE, CHECK):
                kept = document.after or document.before
                assert kept is not None
                self._node_changed(document.kind, kept.namespace, document.id, revision)
        if self._touched:
            self._registry.scheduler.soon(self._wake)

    def _follow(self, change: AddressChange, revision: int) -> None:
        service = change.service
        key = ServiceKey(service.namespace, service.name.lower())
        catalog = _says_other(change.before, change.after)
        for view in self._views(key):
            here = () if change.after is None else self._instances(service, change.after, view._unit)
            view._put((service, change.address), here)
            self._settle_weights(view)
        if catalog and key.namespace in self._stale:
            self._stale[key.namespace][key] = None
        self._move(self._indexes, key, revision, catalog)
        self._move(self._spaces, key.namespace, revision, catalog)
        self._look_for_foreign(key.namespace, revision)
        for node in self._relocate(change, revision):
            self._move(self._node_indexes, node, revision, catalog)
        self._touched[key] = None
        if change.before is None and len(self._registry.snapshot(service).addresses) == 1:
            self._named[key.namespace] = revision
        if change.after is None and not self._left(key):
            self._vanished[key.namespace] = self._named[key.namespace] = revision
            self._services.pop(key, None)
            self._building.pop(key, None)
            del self._indexes[key]

    def _look_for_foreign(self, namespace: str, revision: int) -> None:
        """Their node comes and goes with them."""
        has = self._index.has_foreign(namespace)
        if has is not (namespace in self._with_foreign):
            (self._with_foreign.add if has else self._with_foreign.discard)(namespace)
            self._nodes_changed[namespace] = revision

    def _left(self, key: ServiceKey) -> bool:
        """Whether anything is left of a folded service."""
        return any(self._registry.snapshot(known).addresses for known in self._registry.same_name(*key))

    def _move(self, indexes: dict[Any, Indexes], key: Any, revision: int, catalog: bool) -> None:
        found = indexes.get(key)
        if found is None:
            found = indexes[key] = Indexes(self._floor, self._floor)
        found.any = revision
        if catalog:
            found.catalog = revision

    def _relocate(self, change: AddressChange, revision: int) -> set[NodeKey]:
        """The nodes that a change is about; whether they hold anything may be new."""
        touched = nodes_of(change.before) | nodes_of(change.after)
        for node in touched:
            if self._index.holds(node) is not (node in self._holding):
                (self._holding.discard if node in self._holding else self._holding.add)(node)
                self._nodes_changed[node.namespace] = revision
        return touched

    def _node_changed(self, kind: str, namespace: str, document: str, revision: int) -> None:
        name = document.split("|")[1]
        node = NodeKey(namespace, name)
        self._kept.pop(node, None)
        self._move(self._node_indexes, node, revision, kind == NODE)
        self._move(self._spaces, namespace, revision, kind == NODE)
        if kind == NODE:
            self._nodes_changed[namespace] = revision
        for key in self._rebuild_on(node):
            self._move(self._indexes, key, revision, kind == NODE)
            self._touched[key] = None
        self._touched.setdefault(ServiceKey(namespace, ""))

    def _rebuild_on(self, node: NodeKey) -> set[ServiceKey]:
        """Make anew what was built of the services on a node; which they are."""
        found: set[ServiceKey] = set()
        for r in self._index.services(node):
            key = ServiceKey(r.namespace, r.service.lower())
            found.add(key)
            service = ServiceKey(r.namespace, r.service)
            for view in self._views(key):
                address = self._registry.snapshot(service).addresses.get(r.address)
                view._put(
                    (service, r.address), () if address is None else self._instances(service, address, view._unit)
                )
        return found

    # ------------------------------------------------------------------ waking

    def _newest(self, scope: Scope) -> int:
        """The revision of a folded service or a namespace, for watchers."""
        if isinstance(scope, ServiceKey):
            found = self._indexes.get(scope)
            return found.any if found is not None else self._vanished.get(scope.namespace, self._floor)
        if scope is None:
            return self._registry.revision
        return max(self.space(scope).any, self.nodes_index(scope))

    def _wake(self) -> None:
        touched, self._touched = self._touched, {}
        if touched:
            self.watches.changed(touched)


def _is_foreign(instance: Instance) -> bool:
    return instance.registration is not None and instance.registration.source != SOURCE


def nodes_of(address: Address | None) -> set[NodeKey]:
    """The nodes that own registrations at an address stand on."""
    registrations = address.registrations if address is not None else ()
    return {
        NodeKey(r.namespace, r.ext.node).folded
        for r in registrations
        if r.source == SOURCE and isinstance(r.ext, Document)
    }


def _says_other(before: Address | None, after: Address | None) -> bool:
    """Whether an address says anything else than before, states of checks and withdrawals apart."""
    if before is None or after is None:
        return True
    a, b = before.registrations, after.registrations
    if len(a) != len(b):
        return True
    several = len(a) > 1  # whose silence decides which of them is shown
    return any(
        x is not y and (x.id != y.id or (several and x.live != y.live) or not same_document(x, y))
        for x, y in zip(a, b, strict=True)
    )
