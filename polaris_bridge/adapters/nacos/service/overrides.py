"""What operators lay over instances: weight, enabled and metadata, per ip, port and cluster.

As on Nacos 2.5.1 they survive the instance's registering again, its connection and its deregistration, and end a minute after
it vanished. What is laid over is written into the registration, so that every protocol sees it, beside what the client sent;
``enabled=false`` is a switch on the address. Of an instance of another protocol only that counts: its document is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct, structs

from polaris_bridge.adapters.nacos.translate.instances import cluster_of, overridden
from polaris_bridge.adapters.nacos.translate.keys import SOURCE
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, PUBLIC, Instance, Refused
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import (
    OUT_OF_SERVICE,
    SYSTEM,
    Address,
    AddressKey,
    Caller,
    Document,
    Registration,
    ServiceKey,
    Switch,
)
from polaris_bridge.core.registry import Registry

from .legality import check
from .scope import Scope
from .services import Services

KIND: Final = "nacos-override"
LINGER_S: Final = 60.0
"""How long an override outlives its instance."""


class Override(Struct, frozen=True, gc=False, array_like=True):
    """What is laid over one instance; None: nothing."""

    host: str
    port: int
    cluster: str
    weight: float | None = None
    enabled: bool | None = None
    metadata: dict[str, str] | None = None


_decode: Final = msgspec.msgpack.Decoder(Override).decode
_encode: Final = msgspec.msgpack.Encoder().encode

_Place = tuple[ServiceKey, AddressKey]


class Overrides:
    """The overrides of one registry."""

    def __init__(self, registry: Registry, services: Services) -> None:
        self._registry = registry
        self._services = services
        self._at: dict[_Place, set[str]] = {}
        """Ids of the published ones by address."""
        self._vanished: dict[str, float] = {}
        """Since when the address of one is empty."""
        for document in registry.documents.all(KIND):
            self._enter(document)
        registry.observe(self._published)

    # ------------------------------------------------------------------ calls

    def put(
        self,
        scope: Scope,
        ip: str,
        port: int,
        cluster: str,
        *,
        weight: float | None,
        enabled: bool | None,
        metadata: dict[str, str] | None,
        caller: Caller,
    ) -> Commit:
        """Lay these over an instance instead of what was. Refused when there is no such service."""
        check(cluster, metadata or {})
        key = self._services.key(scope)
        if self._services.find(scope) is None:
            kind = self._services.kind_of(key) is not False
            space = scope.namespace_id or PUBLIC
            what = f"Service{{namespace='{space}', group='{scope.group}', name='{scope.name}', "
            what += f"ephemeral={'true' if kind else 'false'}, revision=0}}"
            text = f"service not found, namespace: {space}, service: {what}"
            raise Refused(400, codes.INSTANCE, text)
        return self._write(key, Override(ip, port, cluster or DEFAULT_CLUSTER, weight, enabled, metadata), caller)

    def patch(
        self,
        scope: Scope,
        ip: str,
        port: int,
        cluster: str,
        *,
        weight: float | None,
        enabled: bool | None,
        metadata: dict[str, str] | None,
        caller: Caller,
    ) -> Commit:
        """Lay these over an instance beside what was; None leaves what was. Refused when there is no such instance."""
        key = self._services.key(scope)
        cluster = cluster or DEFAULT_CLUSTER
        if not self._stands(key, ip, port, cluster):
            text = "no matched ip found!"
            if not any(a.registrations for a in self._registry.ledger.service(key).addresses.values()):
                text = f"no ips found for cluster {cluster} in service {scope.grouped}"
            raise Refused(404, codes.RESOURCE_NOT_FOUND, text)
        before = self._newest(key, ip, port, cluster) or Override(ip, port, cluster)
        after = structs.replace(
            before,
            weight=before.weight if weight is None else weight,
            enabled=before.enabled if enabled is None else enabled,
            metadata=before.metadata if metadata is None else metadata,
        )
        return self._write(key, after, caller)

    def metadata_batch(
        self,
        scope: Scope,
        targets: Sequence[Instance] | None,
        metadata: dict[str, str],
        remove: bool,
        caller: Caller,
    ) -> tuple[Commit, list[str]]:
        """Lay metadata over instances, or (``remove``) take keys of what was laid over them away.

        ``targets`` None or empty: all instances. The answer names what was changed.
        """
        key = self._services.key(scope)
        wanted = {(t.ip, t.port, t.cluster or DEFAULT_CLUSTER) for t in targets or ()}
        found: dict[tuple[str, int, str], Registration] = {}
        for address in self._registry.ledger.service(key).addresses.values():
            for r in address.registrations:
                place = (r.host, r.port, cluster_of(r))
                if not wanted or place in wanted:
                    found[place] = r
        updated = []
        with self._registry.transaction() as commit:
            for (ip, port, cluster), r in found.items():
                before = self._newest(key, ip, port, cluster) or Override(ip, port, cluster)
                pairs = before.metadata or {}
                pairs = {k: v for k, v in pairs.items() if k not in metadata} if remove else {**pairs, **metadata}
                self._write(key, structs.replace(before, metadata=pairs or None), caller)
                updated.append(f"{ip}:{port}:unknown:{cluster}:{'ephemeral' if r.ephemeral else 'persist'}")
        return (commit if updated else SETTLED), updated

    # ------------------------------------------------------------------ for those who register

    def laid_over(self, key: ServiceKey, r: Registration) -> Registration:
        """A registration about to be made, with what operators said of its place."""
        if not self._any():
            return r
        override = self._newest(key, r.host, r.port, r.cluster)
        return r if override is None else overridden(r, override.weight, override.enabled, override.metadata)

    def settle(self, key: ServiceKey, r: Registration, caller: Caller) -> None:
        """Withdraw what was just registered if an operator said so, or let it be if another cluster's was meant. Inside the
        transaction of it."""
        if not self._any():
            return
        withdrawn = self.withdrawn(key, r.host, r.port, r.cluster)
        address = self._registry.newest_address(key, r.address)
        if withdrawn or (address is not None and any(s.source == SOURCE for s in address.switches)):
            self._switch(key, r.address, r.cluster, not withdrawn, caller)

    def withdrawn(self, key: ServiceKey, ip: str, port: int, cluster: str) -> bool:
        """Whether an operator disabled an instance."""
        override = self._newest(key, ip, port, cluster)
        return override is not None and override.enabled is False

    # ------------------------------------------------------------------ writing

    def _write(self, key: ServiceKey, override: Override, caller: Caller) -> Commit:
        registry = self._registry
        place = AddressKey(override.host, override.port)
        document = Document(
            KIND,
            _id(key, override.host, override.port, override.cluster),
            namespace=key.namespace,
            name=f"{key.name} {override.host}:{override.port} {override.cluster}",
            targets=(key,),
            body=_encode(override),
        )
        with registry.transaction() as commit:
            registry.documents.put(document, caller)
            for r in self._own(key, place, override.cluster):
                registry.amend(
                    r.id,
                    lambda now: overridden(now, override.weight, override.enabled, override.metadata),
                    caller,
                    "override",
                )
            self._switch(key, place, override.cluster, override.enabled is not False, caller)
        return commit

    def _switch(self, key: ServiceKey, place: AddressKey, cluster: str, enabled: bool, caller: Caller) -> None:
        """Withdraw one cluster's instance at an address, or end what this protocol withdrew of it.

        The whole address, unless instances of other clusters stand there.
        """
        registry = self._registry
        address = registry.newest_address(key, place)
        if address is None:
            return
        mine = self._own(key, place, cluster)
        others = [r for r in _own(address) if cluster_of(r) != cluster]
        wanted: set[str] = set()
        if not enabled:
            wanted = {r.key for r in mine} if others else {""}
        for r in others:
            if self.withdrawn(key, r.host, r.port, cluster_of(r)):
                wanted.add(r.key)
        if others and all(r.key in wanted for r in (*mine, *others)):
            wanted = {""}
        present = {s.key for s in address.switches if s.source == SOURCE}
        for name in wanted - present:
            registry.switch(key, place, Switch(SOURCE, name, OUT_OF_SERVICE, lingers=True), caller)
        for name in present - wanted:
            registry.switch(key, place, Switch(SOURCE, name, OUT_OF_SERVICE, lingers=True), caller, on=False)

    # ------------------------------------------------------------------ pieces

    def _any(self) -> bool:
        """Whether there may be any at all: most servers have none, and those who register should not pay for them."""
        return bool(self._at) or bool(self._registry.ledger.newest_documents(KIND))

    def _newest(self, key: ServiceKey, ip: str, port: int, cluster: str) -> Override | None:
        document = self._registry.documents.newest(KIND, _id(key, ip, port, cluster))
        return None if document is None else _decode(document.body)

    def _own(self, key: ServiceKey, place: AddressKey, cluster: str) -> list[Registration]:
        """The registrations of this protocol at an address in one cluster, in the newest state."""
        address = self._registry.newest_address(key, place)
        return [] if address is None else [r for r in _own(address) if cluster_of(r) == cluster]

    def _stands(self, key: ServiceKey, ip: str, port: int, cluster: str) -> bool:
        address = self._registry.newest_address(key, AddressKey(ip, port))
        return address is not None and any(cluster_of(r) == cluster for r in address.registrations)

    # ------------------------------------------------------------------ time

    def sweep(self) -> None:
        """Once a second: overrides whose instance vanished a minute ago end. The core ends their switches by itself."""
        now = self._registry.clock.monotonic()
        for id, since in list(self._vanished.items()):
            if since + LINGER_S > now:
                break  # they stand in the order in which their addresses became empty
            document = self._registry.documents.newest(KIND, id)
            if document is not None and self._occupied(*_place(document)):
                continue  # somebody registers just now
            try:
                self._registry.documents.delete(KIND, id, SYSTEM)
            except CoreError:
                return  # the store is busy: in a second again
            del self._vanished[id]

    def _occupied(self, key: ServiceKey, place: AddressKey) -> bool:
        """Whether something is registered at an address, in the newest state."""
        address = self._registry.newest_address(key, place)
        return address is not None and bool(address.registrations)

    def _published(self, published: Published) -> None:
        for change in published.documents:
            if change.kind == KIND:
                if change.after is not None:
                    self._enter(change.after)
                elif change.before is not None:
                    self._leave(change.before)
        if self._at:
            for moved in published.changes:
                for id in self._at.get((moved.service, moved.address), ()):
                    self._watch(id, moved.after)

    def _enter(self, document: Document) -> None:
        place = _place(document)
        self._at.setdefault(place, set()).add(document.id)
        self._watch(document.id, self._registry.snapshot(place[0]).addresses.get(place[1]))

    def _leave(self, document: Document) -> None:
        self._vanished.pop(document.id, None)
        place = _place(document)
        ids = self._at.get(place)
        if ids is not None:
            ids.discard(document.id)
            if not ids:
                del self._at[place]

    def _watch(self, id: str, address: Address | None) -> None:
        if address is not None and address.registrations:
            self._vanished.pop(id, None)
        else:
            self._vanished.setdefault(id, self._registry.clock.monotonic())


def _id(key: ServiceKey, ip: str, port: int, cluster: str) -> str:
    return f"{key.namespace}|{key.name}|{ip}|{port}|{cluster}"


def _place(document: Document) -> _Place:
    override = _decode(document.body)
    return document.targets[0], AddressKey(override.host, override.port)


def _own(address: Address) -> list[Registration]:
    return [r for r in address.registrations if r.source == SOURCE]
