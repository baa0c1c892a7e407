"""What console calls do with instances: create, delete, correct, isolate. An operator acts on whatever the console lists,
whichever protocol registered it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct

from polaris_bridge.adapters.polaris.answers import Outcome, respond
from polaris_bridge.adapters.polaris.service.index import InstanceIndex
from polaris_bridge.adapters.polaris.service.registration import Registering
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.instances import check, check_limits, check_named, id_of
from polaris_bridge.adapters.polaris.translate.keys import SOURCE
from polaris_bridge.adapters.polaris.translate.shown import healthy, isolated, seen, shown_id
from polaris_bridge.adapters.polaris.translate.updates import revised, revised_foreign
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.model import OUT_OF_SERVICE, Address, AddressKey, Caller, Registration, ServiceKey, Switch
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.views import Shown

from .names import is_name
from .work import OK, each


class Listed(Struct, frozen=True):
    """One instance as the console lists it, in the newest state."""

    id: str
    shown: Shown
    address: Address
    service: ServiceKey

    @property
    def registration(self) -> Registration:
        """Whose document is shown."""
        return self.shown.registration

    @property
    def place(self) -> AddressKey:
        """Where it is."""
        return self.address.key

    @property
    def isolated(self) -> bool:
        """Whether it gets no traffic."""
        return isolated(self.shown, self.address)


class Instances:
    """The commands of the console on instances."""

    def __init__(
        self, registry: Registry, settings: PolarisSettings, index: InstanceIndex, registering: Registering
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._index = index
        self._registering = registering

    # ------------------------------------------------------------------ create, delete

    def create(self, instances: Sequence[v1.Instance], caller: Caller) -> Outcome:
        """As RegisterInstance for each; of two with one id the second is answered 400208."""
        made: set[str] = set()

        def do(m: v1.Instance) -> Outcome:
            id = id_of(m)
            if id in made:
                return _answer(v1.SameInstanceRequest, m)
            made.add(id)
            return self._registering.register(m, caller)

        return each(instances, lambda m: check(m, self._settings), do, "instance")

    def delete(self, instances: Sequence[v1.Instance], caller: Caller) -> Outcome:
        """By id or by place. Everything at the address ends, but for further native instances there; unknown ones: 200000."""

        def do(m: v1.Instance) -> Outcome:
            answer = respond(OK, instance=m)
            answer.instance.id.value = id_of(m)
            if self._registering.too_often(answer.instance.id.value, caller):
                return _answer(v1.InstanceTooManyRequests, m)
            found = self._find(answer.instance.id.value)
            return Outcome(answer, SETTLED if found is None else self._end(found, caller))

        return each(instances, self._check_revised, do, "instance")

    def delete_host(self, instances: Sequence[v1.Instance], caller: Caller) -> Outcome:
        """Everything of a service at a host ends. 400301 for an unknown service."""

        def do(m: v1.Instance) -> Outcome:
            service = self._service(m)
            if service is None:
                return _answer(v1.NotFoundService, m)
            commit = SETTLED
            for place in {one.place: None for one in self._at_host(service, m.host.value)}:
                commit = self._registry.delete_address(service, place, caller) or commit
            return Outcome(respond(OK, instance=m), commit)

        return each(instances, _check_host, do, "instance")

    def _end(self, found: Listed, caller: Caller) -> Commit:
        others = any(r.source == SOURCE and r.key != found.id for r in found.address.registrations)
        if found.shown.own and others:
            done = self._registry.deregister(found.registration.id, caller)
            return SETTLED if done is None else done.commit
        return self._registry.delete_address(found.service, found.place, caller) or SETTLED

    # ------------------------------------------------------------------ correct, isolate

    def update(
        self, instances: Sequence[v1.Instance], caller: Caller, cleared: Collection[int] = frozenset()
    ) -> Outcome:
        """What is given changes; 200002 when nothing does, 400303 for an unknown instance.

        ``cleared``: positions of instances whose metadata was given as empty, which the messages cannot say.
        """
        empty = {id(instances[at]) for at in cleared if at < len(instances)}

        def do(m: v1.Instance) -> Outcome:
            answer = respond(OK, instance=m)
            answer.instance.id.value = id_of(m)
            found = self._find(answer.instance.id.value)
            if found is None:
                return _recoded(answer, v1.NotFoundInstance)
            commit = self._apply(found, m, caller, id(m) in empty)
            return _recoded(answer, v1.NoNeedUpdate) if commit is None else Outcome(answer, commit)

        return each(instances, self._check_revised, do, "instance")

    def isolate_host(self, instances: Sequence[v1.Instance], caller: Caller) -> Outcome:
        """Isolate, or no longer, everything of a service at a host."""

        def do(m: v1.Instance) -> Outcome:
            service = self._service(m)
            if service is None:
                return _answer(v1.NotFoundService, m)
            found = list(self._at_host(service, m.host.value))
            if not found:
                return _answer(v1.NotFoundInstance, m)
            other = [one for one in found if one.isolated != m.isolate.value]
            if not other:
                return _answer(v1.NoNeedUpdate, m)
            with self._registry.transaction() as commit:
                for one in other:
                    self._isolate(one, m.isolate.value, caller)
            return Outcome(respond(OK, instance=m), commit)

        return each(instances, _check_isolation, do, "instance")

    def _apply(self, found: Listed, m: v1.Instance, caller: Caller, cleared: bool) -> Commit | None:
        """Perform an update. None when there is nothing to do."""
        before = found.registration
        if found.shown.own:
            now = healthy(found.shown)
            after = revised(before, m, healthy=now, cleared=cleared)
        else:
            after = revised_foreign(before, m, cleared=cleared)
        turned = m.HasField("isolate") and m.isolate.value != found.isolated
        if after is before and not turned:
            return None
        with self._registry.transaction() as commit:
            if after is not before:
                renews = after.liveness is not before.liveness
                self._registry.amend(before.id, lambda _: after, caller, "update", renews=renews)
            if turned:
                self._isolate(found, m.isolate.value, caller)
        return commit

    def _isolate(self, found: Listed, on: bool, caller: Caller) -> None:
        if found.shown.own:
            self._registering.isolate(found.registration, on, caller)
        else:
            self._registry.switch(found.service, found.place, Switch(SOURCE, "", OUT_OF_SERVICE), caller, on=on)

    # ------------------------------------------------------------------ finding

    def _find(self, id: str) -> Listed | None:
        """The instance that the console lists under an id."""
        key = self._index.find(id)
        if key is not None:
            r = self._registry.newest(key)
            address = None if r is None else self._registry.newest_address(r.service_key, r.address)
            if r is None or address is None:
                return None
            return next((one for one in _listed(r.service_key, address) if one.id == id), None)
        place = self._index.place(id)
        address = None if place is None else self._registry.newest_address(*place)
        if place is None or address is None:
            return None
        return next((one for one in _listed(place[0], address) if one.id == id), None)

    def _service(self, m: v1.Instance) -> ServiceKey | None:
        """The service that instances are looked for in; None when there is none, or an alias."""
        key = ServiceKey(m.namespace.value, m.service.value)
        record = self._registry.ledger.service(key).record
        return None if record is None or record.reference is not None else key

    def _at_host(self, service: ServiceKey, host: str) -> Iterator[Listed]:
        for place, address in list(self._registry.ledger.service(service).addresses.items()):
            if place.host == host:
                yield from _listed(service, address)

    def _check_revised(self, m: v1.Instance) -> int:
        """200000, or what is wrong with an instance that is to be corrected or deleted."""
        code = check_limits(m, self._settings)
        return check_named(m) if code == OK else code


def _listed(service: ServiceKey, address: Address) -> Iterator[Listed]:
    for index, shown in enumerate(seen(address)):
        yield Listed(shown_id(shown, index == 0), shown, address, service)


def _check_host(m: v1.Instance) -> int:
    """200000, or what is wrong with a request about a service's instances at a host."""
    if not is_name(m.service.value):
        return v1.InvalidServiceName
    if not is_name(m.namespace.value):
        return v1.InvalidNamespaceName
    return OK if m.host.value else v1.InvalidInstanceHost


def _check_isolation(m: v1.Instance) -> int:
    """The same for one that is to say whether they are isolated."""
    return _check_host(m) if m.HasField("isolate") else v1.InvalidInstanceIsolate


def _answer(code: int, m: v1.Instance) -> Outcome:
    return Outcome(respond(code, instance=m))


def _recoded(answer: v1.Response, code: int) -> Outcome:
    return Outcome(respond(code, instance=answer.instance))
