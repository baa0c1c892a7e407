"""Instances come, beat and go: RegisterInstance, DeregisterInstance, Heartbeat.

The rules are those of polaris-server 1.19; what differs on purpose is in the adapter's README. A registration ends by its own
id's calls or an operator's; other protocols' instances at the same address are not touched here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct, structs

from polaris_bridge.adapters.polaris.answers import UNECHOED, Outcome, code_of, respond
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.instances import MAX_ID, OK, check, check_named, id_of, lift, liveness_of
from polaris_bridge.adapters.polaris.translate.keys import SOURCE, Document, registration_key
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.batches import SETTLED
from polaris_bridge.core.errors import Conflict, CoreError, NotFound
from polaris_bridge.core.model import (
    NOWHERE,
    OUT_OF_SERVICE,
    SYSTEM,
    Caller,
    Checks,
    Lease,
    Location,
    Registration,
    RegistrationKey,
    Switch,
)
from polaris_bridge.core.registry import Registry

from .index import InstanceIndex

FREE_BEATS: Final = 4
"""Heartbeats of an unknown instance that are answered 200000: the original's patience with its own cache."""
STRANGERS: Final = 10_000
"""Unknown ids whose heartbeats are counted; the one that was unknown first is forgotten for another."""


class Counters(Struct):
    """What happened since the start."""

    ignored: int = 0
    """Deregistrations of what was not registered through this protocol."""
    strangers: int = 0
    """Heartbeats of unknown instances."""


class Registering:
    """The life of native registrations."""

    def __init__(
        self,
        registry: Registry,
        settings: PolarisSettings,
        index: InstanceIndex,
        locate: Callable[[str], Location | None] = lambda _host: None,
        too_often: Callable[[str], bool] | None = None,
    ) -> None:
        """``locate`` tells where a host is, for instances that do not say it themselves. ``too_often`` counts a registration
        or deregistration under an id and says whether it is one too many; None: none is."""
        self._registry = registry
        self._settings = settings
        self._index = index
        self._locate = locate
        self._too_often = too_often
        self._strangers: dict[str, int] = {}
        self.counters = Counters()

    # ------------------------------------------------------------------ register

    def register(self, instance: v1.Instance, caller: Caller, *, wait: bool = True) -> Outcome:
        """Make or replace the registration under the instance's id, wherever that was before.

        ``wait`` False is the metadata ``async-regis``: the answer does not wait for the store.
        """
        code = check(instance, self._settings)
        if code != OK:
            return Outcome(respond(code, instance=instance))
        id = id_of(instance)
        if self.too_often(id, caller):
            return Outcome(respond(v1.InstanceTooManyRequests, instance=instance))
        key = registration_key(instance.namespace.value, id)
        known = self._index.find(id)
        try:
            with self._registry.transaction() as commit:
                self._put(instance, key, known, caller)
        except Conflict:
            return Outcome(respond(v1.BadRequest, "bad request: service is alias"))
        except NotFound:
            return Outcome(respond(self._missing(key.namespace), instance=instance))
        except CoreError as error:
            return Outcome(respond(code_of(error), instance=instance))
        self._index.expect(id, key.namespace, commit)
        self._strangers.pop(id, None)
        return Outcome(_registered(instance, id), commit if wait else SETTLED)

    def too_often(self, id: str, caller: Caller) -> bool:
        """Whether an instance comes or goes once too often; the server's own may as often as they like."""
        return self._too_often is not None and caller.principal != SYSTEM.principal and self._too_often(id)

    def _put(self, instance: v1.Instance, key: RegistrationKey, known: RegistrationKey | None, caller: Caller) -> None:
        registry = self._registry
        isolate = instance.isolate.value if instance.HasField("isolate") else None
        if known is not None and known != key:  # an id is unique over all namespaces: it leaves the one it was in
            elsewhere = registry.newest(known)
            if elsewhere is not None:
                if self._withdrawn(elsewhere):
                    isolate = True if isolate is None else isolate
                    self.isolate(elsewhere, False, caller)  # what stays at that address is another one's
                registry.deregister(known, caller)
        r = lift(instance, registry.newest(key), key.key)
        if isinstance(r.liveness, Lease) and not self._settings.health_check:
            r = structs.replace(r, liveness=None)  # heartbeats are not heard, so silence says nothing
        if r.location is NOWHERE:
            found = self._locate(r.host)
            r = r if found is None else structs.replace(r, location=found)
        registry.register(r, caller)
        if isolate is not None:
            self.isolate(r, isolate, caller)

    def _missing(self, namespace: str) -> int:
        """What was not there and may not be created on the way."""
        if self._registry.terms.auto_create_namespace or self._registry.ledger.namespace(namespace) is not None:
            return v1.NotFoundService
        return v1.NotFoundNamespace

    # ------------------------------------------------------------------ isolate

    def isolate(self, r: Registration, on: bool, caller: Caller) -> None:
        """Withdraw a registration, or end what this protocol withdrew of it. Another protocol's withdrawal stays."""
        registry = self._registry
        address = registry.newest_address(r.service_key, r.address)
        switches = address.switches if address is not None else ()
        own = [s for s in switches if s.source == SOURCE and s.key in (r.key, "")]
        if on and not own:
            registry.switch(r.service_key, r.address, Switch(SOURCE, r.key, OUT_OF_SERVICE), caller)
        elif not on:
            released = own or [Switch(SOURCE, r.key, OUT_OF_SERVICE)] if switches else ()
            for switch in released:
                registry.switch(r.service_key, r.address, switch, caller, on=False)

    def _withdrawn(self, r: Registration) -> bool:
        """Whether this protocol withdrew a registration."""
        address = self._registry.newest_address(r.service_key, r.address)
        return address is not None and any(s.source == SOURCE and s.key == r.key for s in address.switches)

    # ------------------------------------------------------------------ deregister

    def deregister(self, instance: v1.Instance, caller: Caller) -> Outcome:
        """End a registration, named by its id or its place. Of an unknown one too the answer is 200000.

        Who names the place has what else is in the request held to the limits, as on polaris-server.
        """
        code = check_named(instance) if instance.HasField("id") else check(instance, self._settings)
        if code != OK:
            return Outcome(respond(code, instance=instance))
        id = id_of(instance)
        if self.too_often(id, caller):
            return Outcome(respond(v1.InstanceTooManyRequests, instance=instance))
        key = self._index.find(id)
        try:
            done = self._registry.deregister(key, caller) if key is not None else None
        except CoreError as error:
            return Outcome(respond(code_of(error), instance=instance))
        response = respond(OK, instance=instance)
        response.instance.id.value = id
        if done is None:
            self.counters.ignored += 1
            return Outcome(response)
        return Outcome(response, done.commit)

    # ------------------------------------------------------------------ heartbeat

    def heartbeat(self, instance: v1.Instance, caller: Caller) -> v1.Response:
        """A sign of life of an instance, named by its id or its place; the request is echoed."""
        code = self.beat(instance, caller)
        return respond(code) if code in UNECHOED else respond(code, instance=instance)

    def beat(self, instance: v1.Instance, caller: Caller) -> int:
        """The code of ``heartbeat``: 200000, 400202 = register (again), 400130, 400140, 500007 and those of a place."""
        if not self._settings.health_check:
            return v1.HealthCheckNotOpen
        code = check_named(instance)
        if code != OK:
            return code
        id = id_of(instance)
        try:
            return OK if self.heard(id, caller) else self._stranger(id)
        except CoreError:
            return v1.HeartbeatException

    def heard(self, id: str, caller: Caller) -> bool:
        """Renew the lease of the registration under an id; False when there is none. One that was silent is healthy at once.

        Raises ``Busy`` and ``Unavailable``.
        """
        key = self._index.find(id)
        if key is None:
            return False
        r = self._registry.renew(key)
        if r is None:
            return False
        if isinstance(r.liveness, Checks):
            self._wake(r, caller)
        return True

    def _wake(self, r: Registration, caller: Caller) -> None:
        """The first heartbeat of one that was registered as unhealthy: from now on its lease says how it is."""
        document: Document = r.ext
        if document.health_check:
            alive = liveness_of(document.ttl_s, healthy=True)
            self._registry.amend(r.id, lambda now: structs.replace(now, liveness=alive), caller, "heartbeat")

    def _stranger(self, id: str) -> int:
        self.counters.strangers += 1
        if len(id) > MAX_ID:  # nobody can be registered under it, so nothing is remembered of it
            return v1.NotFoundResource
        strangers = self._strangers
        beats = strangers.pop(id, 0) + 1
        if beats > FREE_BEATS:
            strangers[id] = FREE_BEATS
            return v1.NotFoundResource
        strangers[id] = beats
        if len(strangers) > STRANGERS:
            del strangers[next(iter(strangers))]
        return OK


def _registered(instance: v1.Instance, id: str) -> v1.Response:
    """What a successful registration is told: the id, and the place as it was sent."""
    response = respond(OK)
    shown = response.instance
    shown.id.value = id
    shown.service.value = instance.service.value
    shown.namespace.value = instance.namespace.value
    if instance.HasField("vpc_id"):
        shown.vpc_id.value = instance.vpc_id.value
    shown.host.value = instance.host.value
    shown.port.value = instance.port.value
    return response
