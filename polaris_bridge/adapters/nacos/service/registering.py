"""Instances come, beat and go, over HTTP and gRPC.

The rules are those of Nacos 2.5.1. A registration ends by its own key's calls, its lease or its connection; what other protocols
(or other connections) registered at the same address is not touched here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct, structs

from polaris_bridge.adapters.nacos.translate.instances import (
    GENERATOR,
    INTERVAL_MS,
    SNOWFLAKE,
    checked,
    lease,
    lift,
    revived,
    sent_metadata,
    snowflake_id,
    times,
)
from polaris_bridge.adapters.nacos.translate.keys import (
    EPHEMERAL,
    SOURCE,
    Document,
    Marks,
    connection_of,
    grpc_key,
    http_key,
)
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, Beat, Instance, Refused
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.model import (
    AddressKey,
    Caller,
    Liveness,
    Registration,
    RegistrationKey,
    ServiceKey,
    Session,
    same_document,
)
from polaris_bridge.core.registry import Registry

from .legality import check
from .overrides import Overrides
from .scope import Held, Scope
from .services import Services


class BeatAnswer(Struct, frozen=True, gc=False):
    """What a heartbeat is answered."""

    code: int
    """10200, or 20404: unknown, register again."""
    interval_ms: int = INTERVAL_MS
    """Until the next one."""
    light: bool = True
    """Whether the next one may come without a body."""
    commit: Commit = SETTLED
    """Of the registration that it was taken for."""


FINE: Final = BeatAnswer(codes.BEAT_OK)
UNKNOWN: Final = BeatAnswer(codes.BEAT_UNKNOWN)


class Counters(Struct):
    """What happened since the start."""

    ignored: int = 0
    """Deregistrations of what was not registered that way."""
    strangers: int = 0
    """Heartbeats of unknown instances."""


class Registering:
    """The life of Nacos registrations."""

    def __init__(self, registry: Registry, services: Services, overrides: Overrides) -> None:
        self._registry = registry
        self._services = services
        self._overrides = overrides
        self.left_s: Callable[[str], float | None] = lambda connection: (
            None if registry.session_open(connection) else registry.session_left_s(connection)
        )
        """Of a connection that is gone: for how long what it published still waits for its client. None: it stands."""
        self._numbered_ms = 0
        self._number = 0
        self.counters = Counters()

    # ------------------------------------------------------------------ register

    def register(
        self,
        scope: Scope,
        instance: Instance,
        caller: Caller,
        held: Held | None = None,
        *,
        with_id: bool = True,
    ) -> Commit:
        """Make or replace an instance; what is ephemeral and comes over a connection (``held``) lives as long as that.

        ``with_id`` False: it is shown without an instance id, as the real server does with what came over HTTP v2 and v3.
        Raises ``Refused`` for an illegal cluster or times that contradict each other, and when the service is of the other kind.
        """
        check(instance.cluster, instance.metadata)
        if held is not None and instance.ephemeral:
            return self._hold(scope, (instance,), caller, held)
        key = self._services.key(scope)
        self._admit(scope, key, instance.ephemeral)
        id = http_key(key.namespace, scope.grouped, instance.ip, instance.port, ephemeral=instance.ephemeral)
        liveness: Liveness
        if instance.ephemeral:
            liveness = lease(*times(instance.metadata))
        else:
            liveness = checked(instance.healthy)
        with self._registry.transaction() as commit:
            self._put(scope, key, instance, id, liveness, caller, with_id=with_id)
        return commit

    def batch(self, scope: Scope, instances: Sequence[Instance], caller: Caller, held: Held) -> Commit:
        """Everything that a connection publishes of a service from now on: one step from the old set to the new one."""
        for instance in instances:
            if not instance.ephemeral:
                text = f"Batch registration does not allow persistent instance registration, instance: {instance.ip}"
                raise Refused(400, codes.INSTANCE, text)
            check(instance.cluster, instance.metadata)
        return self._hold(scope, instances, caller, held, batch=True)

    def _hold(
        self, scope: Scope, instances: Sequence[Instance], caller: Caller, held: Held, *, batch: bool = False
    ) -> Commit:
        """Replace what a connection publishes of a service."""
        registry = self._registry
        key = self._services.key(scope)
        self._admit(scope, key, True, batch=batch)
        before = held.published.get(key, ())
        liveness = Session(held.id)
        service = scope.grouped
        found: dict[str, tuple[RegistrationKey, Instance]] = {}
        for instance in instances:
            cluster = instance.cluster or DEFAULT_CLUSTER
            id = grpc_key(key.namespace, held.id, service, instance.ip, instance.port, cluster)
            found[id.key] = (id, instance)
        with registry.transaction() as commit:
            for id, instance in found.values():
                self._put(scope, key, instance, id, liveness, caller, once=True)
                self._succeed(key, instance, held, caller)
            for gone in before:
                if gone not in found:
                    registry.deregister(RegistrationKey(SOURCE, key.namespace, gone), caller)
        self._publishes(held, key, tuple(found), commit)
        return commit

    def _succeed(self, key: ServiceKey, instance: Instance, held: Held, caller: Caller) -> None:
        """End what connections that are over left where this one publishes: its client has come back, after our restart or a
        reset, and what it takes back later must not stay because of them."""
        cluster = instance.cluster or DEFAULT_CLUSTER
        address = self._registry.newest_address(key, AddressKey(instance.ip, instance.port))
        for r in address.registrations if address is not None else ():
            connection = connection_of(r.key) if r.source == SOURCE else ""
            if not connection or connection == held.id or r.cluster != cluster:
                continue
            left_s = self.left_s(connection)
            if left_s is not None:
                self._registry.deregister(r.id, caller)
                held.back_at = self._registry.clock.monotonic()
                held.awaited_until = max(held.awaited_until, held.back_at + left_s)

    def _publishes(self, held: Held, key: ServiceKey, keys: tuple[str, ...], commit: Commit) -> None:
        """Note what a connection holds; as before if the store does not take it."""
        before = held.published.get(key)
        if keys:
            held.published[key] = keys
        else:
            held.published.pop(key, None)
        if keys == before:
            return

        def settled(error: Exception | None) -> None:
            if error is not None and held.published.get(key, ()) == keys:
                if before:
                    held.published[key] = before
                else:
                    held.published.pop(key, None)

        commit.then(settled)

    def _put(
        self,
        scope: Scope,
        key: ServiceKey,
        instance: Instance,
        id: RegistrationKey,
        liveness: Liveness,
        caller: Caller,
        *,
        with_id: bool = True,
        once: bool = False,
    ) -> None:
        """Register in the transaction under way. ``once``: one that says the same already is left as it is."""
        registry = self._registry
        before = registry.newest(id)
        instance_id = instance.instance_id or ("" if with_id else None)
        if not instance_id and instance.metadata.get(GENERATOR) == SNOWFLAKE:
            instance_id = self._snowflake(before, instance, scope.grouped)
        r = lift(instance, key.namespace, key.name, key=id.key, liveness=liveness, instance_id=instance_id)
        r = self._overrides.laid_over(key, r)
        if before is not None and same_document(before, r):
            if once:
                return
            r = structs.replace(r, marks=before.marks, metadata=before.metadata, ext=before.ext)
        else:
            r = structs.replace(r, marks=Marks(registry.ledger.next_revision()))
        known = registry.ledger.namespace(key.namespace) is not None
        registry.register(r, caller)
        if not known:
            self._services.imply_namespace(key.namespace, caller)
        self._services.settle(key, scope, instance.ephemeral, caller)
        self._overrides.settle(key, r, caller)

    def _admit(self, scope: Scope, key: ServiceKey, ephemeral: bool, *, batch: bool = False) -> None:
        """Refuse what is of the other kind than its service."""
        kind = self._services.kind_of(key)
        if kind is None or kind is ephemeral:
            return
        is_now, other = ("ephemeral", "persistent") if kind else ("persistent", "ephemeral")
        what = "batch register" if batch else "register"
        text = f"Current service {scope.grouped} is {is_now} service, can't {what} {other} instance. "
        raise Refused(400, codes.SERVER_ERROR, f"errCode: 400, errMsg: {text}")

    def _snowflake(self, before: Registration | None, instance: Instance, service: str) -> str:
        """A number for an instance that wants one as its id; the one that it has already."""
        if before is not None and before.ext.instance_id:
            return str(before.ext.instance_id)
        now_ms = self._registry.clock.wall_ms()
        if now_ms > self._numbered_ms:
            self._numbered_ms, self._number = now_ms, 0
        else:
            self._number += 1
        return snowflake_id((self._numbered_ms << 22) + self._number, instance.cluster, service)

    # ------------------------------------------------------------------ deregister

    def deregister(
        self,
        scope: Scope,
        ip: str,
        port: int,
        cluster: str,
        ephemeral: bool,
        caller: Caller,
        held: Held | None = None,
    ) -> Commit:
        """End an instance; of an unknown one nothing happens. A connection ends what it published, whatever is named.

        Over HTTP the cluster does not matter: an address has one instance a service.
        """
        key = self._services.key(scope)
        if held is not None and ephemeral:
            return self._release(key, caller, held)
        id = http_key(key.namespace, scope.grouped, ip, port, ephemeral=ephemeral)
        done = self._registry.deregister(id, caller)
        if done is None:
            self.counters.ignored += 1
            return SETTLED
        return done.commit

    def _release(self, key: ServiceKey, caller: Caller, held: Held) -> Commit:
        keys = held.published.get(key)
        if not keys:
            self.counters.ignored += 1
            return SETTLED
        with self._registry.transaction() as commit:
            for id in keys:
                self._registry.deregister(RegistrationKey(SOURCE, key.namespace, id), caller)
        self._publishes(held, key, (), commit)
        return commit

    # ------------------------------------------------------------------ heartbeats over HTTP

    def beat(self, scope: Scope, ip: str, port: int, cluster: str, beat: Beat | None, caller: Caller) -> BeatAnswer:
        """A sign of life of what was registered over HTTP. An unknown one with a body is registered from that.

        The body says which instance it is, when there is one. What a connection holds needs none and is unknown here.
        """
        if beat is not None:
            ip, port = beat.ip or ip, beat.port or port
        r = self._heard(scope, ip, port, caller)
        if r is None:
            if beat is None:
                self.counters.strangers += 1
                return UNKNOWN
            instance = Instance(
                ip, port, beat.weight, cluster=beat.cluster or cluster or DEFAULT_CLUSTER, metadata=beat.metadata
            )
            commit = self.register(scope, instance, caller)
            interval_ms = times(instance.metadata)[0]
            return BeatAnswer(codes.BEAT_OK, interval_ms, commit=commit)
        liveness = r.liveness
        document: Document = r.ext
        if document.sent is not None:  # an override may ask for another interval
            return _answer(times(sent_metadata(r))[0])
        return FINE if liveness is _USUAL else _answer(liveness.interval_ms)  # type: ignore[union-attr]

    def renew(self, scope: Scope, ip: str, port: int, caller: Caller) -> bool:
        """The heartbeat of HTTP v3; False when there is no such instance."""
        if self._heard(scope, ip, port, caller) is not None:
            return True
        self.counters.strangers += 1
        return False

    def _heard(self, scope: Scope, ip: str, port: int, caller: Caller) -> Registration | None:
        """Renew the lease of an instance. One that said it was unhealthy is not any more."""
        id = RegistrationKey(SOURCE, scope.namespace, f"{EPHEMERAL}{scope.group}@@{scope.name}|{ip}|{port}")
        r = self._registry.renew(id)
        if r is not None and not r.ext.healthy:
            self._registry.amend(id, revived, caller, "heartbeat")
        return r


_USUAL: Final = lease(*times({}))


def _answer(interval_ms: int) -> BeatAnswer:
    return FINE if interval_ms == INTERVAL_MS else BeatAnswer(codes.BEAT_OK, interval_ms)
