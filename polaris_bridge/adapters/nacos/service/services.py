"""Services: which there are, of which kind, and what is kept of them besides their instances.

A service is there for Nacos readers while something is registered in it through whatever protocol, and for a minute after that
or after somebody made it. Then its kind is free again and it is in no list, but what a person set is kept for its return
(the real server, 2.5.1, forgets it after 60 to 90 s).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

from msgspec import Struct, field, structs

from polaris_bridge.adapters.nacos.translate.keys import SOURCE
from polaris_bridge.adapters.nacos.translate.names import Spaces, decode, service_key
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, DEFAULT_GROUP, Refused
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.errors import Conflict, CoreError
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import SYSTEM, Caller, ServiceKey, ServiceRecord
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.snapshot import ServiceSnapshot

from .namespaces import Namespaces
from .scope import Scope

EMPTY_S: Final = 60.0
"""How long a service without instances stays."""
PER_SWEEP: Final = 100
"""Services that are looked at in a second: what is forgotten is written."""

Json = dict[str, Any]
"""A JSON object as clients send it: selectors and health checkers have many forms."""

NO_SELECTOR: Final[Json] = {"type": "none"}
TCP_CHECKER: Final[Json] = {"type": "TCP"}


class Cluster(Struct, frozen=True, gc=False):
    """What is kept of a cluster; the defaults are those of one that nobody described."""

    name: str = DEFAULT_CLUSTER
    check_port: int = 80
    use_instance_port: bool = True
    checker: Json = field(default_factory=lambda: TCP_CHECKER)
    metadata: dict[str, str] = {}


class Service(Struct, frozen=True, gc=False):
    """A service as consoles see it."""

    namespace_id: str
    group: str
    name: str
    threshold: float
    """Of healthy instances, 0 to 1: with no more than that all are returned as healthy."""
    metadata: dict[str, str]
    selector: Json
    ephemeral: bool
    clusters: tuple[Cluster, ...]
    """Those that somebody described."""


class Services:
    """The services of one registry as Nacos knows them."""

    def __init__(self, registry: Registry, spaces: Spaces, namespaces: Namespaces, *, split_group: bool = True) -> None:
        self._registry = registry
        self._spaces = spaces
        self._namespaces = namespaces
        self._split = split_group
        self.subscribed: Callable[[ServiceKey], bool] = lambda _key: False
        """Whether somebody subscribes to a service: it is not forgotten then."""
        self._lists: dict[str, dict[str, list[str]]] = {}
        """What there is to see: namespace of the core -> group -> names, sorted."""
        self._named: dict[ServiceKey, tuple[str, str]] = {}
        """What is in the lists."""
        self._empty: dict[ServiceKey, float] = {}
        """Services without instances that are still there: since when."""
        for snapshot in registry.services():
            self._follow(snapshot)
        registry.observe(self._published)

    # ------------------------------------------------------------------ names

    def key(self, scope: Scope) -> ServiceKey:
        """Where a service lives in the core."""
        key = service_key(scope.namespace, scope.group, scope.name)
        if not self._split and scope.group == DEFAULT_GROUP and key.name != scope.name:
            plain = ServiceKey(scope.namespace, scope.name)
            record = self._registry.ledger.service(plain).record
            if record is not None and SOURCE not in record.ext:
                return plain
        return key

    def name_of(self, key: ServiceKey) -> tuple[str, str]:
        """Group and name of a service, by the words of the Nacos client that made it, else by its name in the core."""
        record = self._registry.ledger.service(key).record
        kept = _kept(record)
        if kept is not None:
            return kept["group"], kept["name"]
        return decode(key.name) if self._split else (DEFAULT_GROUP, key.name)

    def scope_of(self, key: ServiceKey) -> Scope:
        """A service of the core as Nacos clients name it."""
        group, name = self.name_of(key)
        return Scope(self._spaces.id(key.namespace), key.namespace, group, name)

    # ------------------------------------------------------------------ kinds

    def kind(self, scope: Scope) -> bool | None:
        """Whether a service is ephemeral, in the newest state; None: its next registration decides."""
        return self.kind_of(self.key(scope))

    def kind_of(self, key: ServiceKey) -> bool | None:
        """The same for a service of the core."""
        kept = _kept(self._registry.ledger.service(key).record)
        return None if kept is None else kept["ephemeral"]

    def settle(self, key: ServiceKey, scope: Scope, ephemeral: bool, caller: Caller) -> None:
        """A registration through Nacos fixes the kind of its service, which exists. Inside the transaction of it."""
        record = self._registry.ledger.service(key).record
        kept = _kept(record)
        if record is None or (kept is not None and kept["ephemeral"] is ephemeral):
            return
        kept = {**(kept or _fresh(scope)), "ephemeral": ephemeral, "hidden": False}
        self._registry.put_service(structs.replace(record, ext={**record.ext, SOURCE: kept}), caller)

    def imply_namespace(self, namespace: str, caller: Caller) -> None:
        """A registration through Nacos made a namespace on the way. Inside the transaction of it."""
        self._namespaces.imply(namespace, caller)

    # ------------------------------------------------------------------ made and changed by hand

    def create(
        self,
        scope: Scope,
        threshold: float,
        metadata: dict[str, str],
        selector: Json | None,
        ephemeral: bool,
        caller: Caller,
    ) -> Commit:
        """Make a service of one kind. Refused when it is there."""
        key = self.key(scope)
        record = self._registry.ledger.service(key).record
        if self._there(key):
            raise Refused(400, codes.SERVICE_EXISTS, f"specified service {scope.grouped} already exists!")
        kept = {**_fresh(scope), "ephemeral": ephemeral, "made": True, "selector": selector or NO_SELECTOR}
        record = record or ServiceRecord(key.namespace, key.name, owners=caller.principal)
        return self._put(key, record, kept, caller, threshold=threshold, metadata=metadata)

    def update(
        self, scope: Scope, threshold: float, metadata: dict[str, str], selector: Json | None, caller: Caller
    ) -> Commit:
        """Change what was said when it was made. Refused when it is not there."""
        key, record = self._known(scope)
        kept = {**(_kept(record) or _fresh(scope)), "made": True, "selector": selector or NO_SELECTOR}
        return self._put(key, record, kept, caller, threshold=threshold, metadata=metadata)

    def delete(self, scope: Scope, caller: Caller) -> Commit:
        """Refused when it is not there, or when something is registered in it through whatever protocol."""
        key, _ = self._known(scope)
        try:
            commit = self._registry.delete_service(key, caller)
        except Conflict:
            text = f"Service {scope.grouped} is not empty, can't be delete. Please unregister instance first"
            raise Refused(400, codes.SERVICE_DELETE, text) from None
        return commit or SETTLED

    def set_cluster(
        self,
        scope: Scope,
        cluster: str,
        check_port: int,
        use_instance_port: bool,
        checker: Json,
        metadata: dict[str, str],
        caller: Caller,
    ) -> Commit:
        """Describe a cluster: how its persistent instances are checked. Refused when the service is not there."""
        key = self.key(scope)
        record = self._registry.ledger.service(key).record
        if record is None or not self._there(key):
            text = f"service not found groupName: {scope.group},serviceName: {scope.name}"
            raise Refused(400, codes.SERVER_ERROR, text)
        kept = _kept(record) or _fresh(scope)
        described = {
            "healthChecker": checker,
            "checkPort": check_port,
            "useInstancePort": use_instance_port,
            "metadata": metadata,
        }
        kept = {**kept, "clusters": {**kept["clusters"], cluster: described}}
        return self._put(key, record, kept, caller, threshold=record.protect_threshold, metadata=record.metadata)

    def _put(
        self,
        key: ServiceKey,
        record: ServiceRecord,
        kept: Json,
        caller: Caller,
        *,
        threshold: float,
        metadata: dict[str, str],
    ) -> Commit:
        self._empty.pop(key, None)  # who sets something wants to see it: its minute begins anew
        record = structs.replace(
            record,
            metadata=metadata,
            protect_threshold=threshold,
            ext={**record.ext, SOURCE: {**kept, "hidden": False}},
        )
        return self._registry.put_service(record, caller)

    # ------------------------------------------------------------------ reading

    def get(self, scope: Scope) -> Service:
        """A service. Refused when it is not there."""
        _, record = self._known(scope)
        return self._shown(scope, record)

    def find(self, scope: Scope) -> Service | None:
        """A service; None when it is not there."""
        key = self.key(scope)
        record = self._registry.ledger.service(key).record
        return None if record is None or not self._there(key) else self._shown(scope, record)

    def clusters(self, key: ServiceKey) -> dict[str, Cluster]:
        """The clusters of a service that somebody described, by name."""
        kept = _kept(self._registry.ledger.service(key).record)
        return {} if kept is None else {name: _cluster(name, found) for name, found in kept["clusters"].items()}

    def list(self, namespace_id: str, group: str, page_no: int, page_size: int) -> tuple[int, Sequence[str]]:
        """How many services a group has, and the names on one page (from 1), in alphabetical order."""
        names = self._lists.get(self._spaces.core(namespace_id), {}).get(group or DEFAULT_GROUP, [])
        start = max(0, page_no - 1) * max(0, page_size)
        return len(names), names[start : start + max(0, page_size)]

    def all(self, namespace_id: str) -> tuple[Scope, ...]:
        """Every service of a namespace, by group and name."""
        namespace = self._spaces.core(namespace_id)
        groups = self._lists.get(namespace, {})
        return tuple(Scope(namespace_id, namespace, g, name) for g in sorted(groups) for name in groups[g])

    def is_listed(self, key: ServiceKey) -> bool:
        """Whether Nacos readers see a service of the core."""
        return key in self._named

    def count(self) -> int:
        """How many services Nacos readers see, over all namespaces."""
        return len(self._named)

    def _shown(self, scope: Scope, record: ServiceRecord) -> Service:
        kept = _kept(record) or _fresh(scope)
        return Service(
            self._spaces.id(scope.namespace),
            scope.group,
            scope.name,
            record.protect_threshold,
            record.metadata,
            kept["selector"],
            kept["ephemeral"] is not False,
            tuple(_cluster(name, found) for name, found in kept["clusters"].items()),
        )

    def _known(self, scope: Scope) -> tuple[ServiceKey, ServiceRecord]:
        key = self.key(scope)
        record = self._registry.ledger.service(key).record
        if record is None or not self._there(key):
            raise Refused(400, codes.SERVICE_NOT_EXIST, f"service {scope.grouped} not found!")
        return key, record

    def _there(self, key: ServiceKey) -> bool:
        """Whether Nacos clients find a service, in the newest state."""
        newest = self._registry.ledger.service(key)
        if newest.record is None:
            return False
        if any(address.registrations for address in newest.addresses.values()):
            return True
        kept = _kept(newest.record)
        return key in self._empty or (kept is not None and not kept.get("hidden", False))

    # ------------------------------------------------------------------ time

    def sweep(self) -> None:
        """Once a second: services that were empty for a minute are forgotten."""
        now = self._registry.clock.monotonic()
        for key, since in list(islice(self._empty.items(), PER_SWEEP)):
            if since + EMPTY_S > now:
                break  # they stand in the order in which they became empty
            if self.subscribed(key):
                del self._empty[key]
                self._empty[key] = now
            else:
                self._forget(key)

    def _forget(self, key: ServiceKey) -> None:
        newest = self._registry.ledger.service(key)
        if any(address.registrations for address in newest.addresses.values()):
            return  # somebody registers just now
        kept = _kept(newest.record)
        if newest.record is not None and kept is not None and not kept.get("hidden", False):
            kept = {**kept, "ephemeral": None, "hidden": True}
            record = structs.replace(newest.record, ext={**newest.record.ext, SOURCE: kept})
            try:
                self._registry.put_service(record, SYSTEM)
            except CoreError:
                return  # the store is busy: in a second again
        self._drop(key)

    # ------------------------------------------------------------------ after a publication

    def _published(self, published: Published) -> None:
        for key in published.services:
            self._follow(self._registry.snapshot(key))

    def _follow(self, snapshot: ServiceSnapshot) -> None:
        """Keep the lists, and what is empty, in step with a service."""
        key, record = snapshot.key, snapshot.record
        if record is None or record.reference is not None:
            self._drop(key)
            return
        if any(address.registrations for address in snapshot.addresses.values()):
            self._empty.pop(key, None)
            if key not in self._named:
                self._enter(key)
            return
        kept = _kept(record)
        hidden = kept is None or kept.get("hidden", False)
        if key in self._named:
            self._empty.setdefault(key, self._registry.clock.monotonic())
        elif not hidden:
            self._empty[key] = self._registry.clock.monotonic()
            self._enter(key)

    def _enter(self, key: ServiceKey) -> None:
        group, name = self._named[key] = self.name_of(key)
        insort(self._lists.setdefault(key.namespace, {}).setdefault(group, []), name)

    def _drop(self, key: ServiceKey) -> None:
        self._empty.pop(key, None)
        named = self._named.pop(key, None)
        if named is None:
            return
        groups = self._lists[key.namespace]
        names = groups[named[0]]
        del names[bisect_left(names, named[1])]
        if not names:
            del groups[named[0]]
            if not groups:
                del self._lists[key.namespace]


def _fresh(scope: Scope) -> Json:
    """What is kept of a service in the beginning."""
    return {
        "group": scope.group,
        "name": scope.name,
        "ephemeral": None,
        "made": False,
        "clusters": {},
        "selector": NO_SELECTOR,
        "hidden": False,
    }


def _kept(record: ServiceRecord | None) -> Json | None:
    """What is kept of a service; None when no Nacos client made or described it."""
    if record is None:
        return None
    kept: Json | None = record.ext.get(SOURCE)
    return kept


def _cluster(name: str, found: Json) -> Cluster:
    return Cluster(name, found["checkPort"], found["useInstancePort"], found["healthChecker"], found["metadata"])
