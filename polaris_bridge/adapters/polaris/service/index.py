"""Which registration, or which address, an instance id means.

Natively an id is unique over all namespaces, and requests may name an instance by it alone; the core's keys have a namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from polaris_bridge.adapters.polaris.translate.keys import SOURCE, instance_id
from polaris_bridge.adapters.polaris.translate.shown import seen, shown_id
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import Address, AddressKey, RegistrationKey, ServiceKey
from polaris_bridge.core.registry import Registry

Place = tuple[ServiceKey, AddressKey]

STEP: Final = 1000
"""Addresses looked at without a pause: a few milliseconds."""


class InstanceIndex:
    """Follows what is published, and what commands on their way there will make of it. Made when the registry is loaded."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._namespaces: dict[str, str] = {}
        """Namespace of every native registration that readers see, by id."""
        self._coming: dict[str, tuple[str, Commit]] = {}
        """The same of registrations that wait for the store."""
        self._places: dict[str, Place] | None = None
        """Where ids lead that native readers see on other protocols' instances. None until somebody asks."""
        self._rest: Iterator[None] = iter(())
        """What of looking at all addresses for that is not done yet."""
        for snapshot in registry:
            for address in snapshot.addresses.values():
                for r in address.registrations:
                    if r.source == SOURCE:
                        self._namespaces[r.key] = r.namespace
        registry.observe(self._published)

    def find(self, id: str) -> RegistrationKey | None:
        """The native registration that an id means in the newest state; None when there is none."""
        coming = self._coming.get(id)
        namespace = self._namespaces.get(id) if coming is None else coming[0]
        return None if namespace is None else RegistrationKey(SOURCE, namespace, id)

    def expect(self, id: str, namespace: str, commit: Commit) -> None:
        """An id was given to a registration that waits for the store."""
        if commit.done:
            return
        coming = self._coming[id] = (namespace, commit)

        def settled(_: Exception | None) -> None:
            if self._coming.get(id) is coming:
                del self._coming[id]

        commit.then(settled)

    def place(self, id: str) -> Place | None:
        """Service and address of another protocol's instance by the id that native readers see; None when there is none.

        The first call looks at every address, unless ``prepare`` came before.
        """
        self._begin()
        for _ in self._rest:
            pass
        return self._places.get(id) if self._places is not None else None

    def prepare(self) -> None:
        """Somebody looks at instances, and may name one of them by its id soon: look at all of them in short steps."""
        if self._places is None:
            self._begin()
            self._registry.scheduler.soon(self._go_on)

    def _begin(self) -> None:
        if self._places is None:
            self._places = {}
            self._rest = self._gather(self._places)

    def _go_on(self) -> None:
        for _ in self._rest:
            self._registry.scheduler.soon(self._go_on)
            return

    def _gather(self, places: dict[str, Place]) -> Iterator[None]:
        """What changes between two steps is in step already, see ``_published``."""
        done = 0
        for key in [snapshot.key for snapshot in self._registry]:
            for place in list(self._registry.snapshot(key).addresses):
                where = (key, place)
                address = self._registry.snapshot(key).addresses.get(place)
                places.update((id, where) for id in _foreign_ids(address))
                done += 1
                if done % STEP == 0:
                    yield

    # ------------------------------------------------------------------ after a publication

    def _published(self, published: Published) -> None:
        namespaces, places = self._namespaces, self._places
        for change in published.changes:
            before = change.before.registrations if change.before is not None else ()
            after = change.after.registrations if change.after is not None else ()
            for r in before:
                if r.source == SOURCE and namespaces.get(r.key) == r.namespace and self._gone(r.id):
                    del namespaces[r.key]
            for r in after:
                if r.source == SOURCE and namespaces.get(r.key) != r.namespace:
                    namespaces[r.key] = r.namespace
            if places is not None:
                for id in _foreign_ids(change.before):
                    places.pop(id, None)
                for id in _foreign_ids(change.after):
                    places[id] = (change.service, change.address)

    def _gone(self, key: RegistrationKey) -> bool:
        return self._registry.registration(key) is None


def _foreign_ids(address: Address | None) -> Iterator[str]:
    """The ids under which native readers see other protocols' instances at an address."""
    registrations = address.registrations if address is not None else ()
    if address is None or all(r.source == SOURCE for r in registrations):
        return
    if len(registrations) == 1:
        r = registrations[0]
        yield instance_id(r.namespace, r.service, r.host, r.port, r.vpc)
        return
    for index, shown in enumerate(seen(address)):
        if not shown.own:
            yield shown_id(shown, index == 0)
