"""Addresses that nobody should call for a while, because calls to them were found to fail.

A passing fact: published at once, stored nowhere. Who decides about it is ``core.breaking``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from .batches import SETTLED, Commit
from .events import Published
from .ledger import Ledger
from .model import SYSTEM, AddressKey, Caller, Ejection, ServiceKey


class Note(Protocol):
    """Writes an operation record."""

    def __call__(
        self,
        resource: str,
        name: str,
        service: ServiceKey,
        operation: str,
        caller: Caller,
        commit: Commit,
        detail: str = "",
        /,
    ) -> None: ...


class Ejections:
    """Who is ejected. Every change is one publication and, for each address, an operation record."""

    def __init__(self, ledger: Ledger, note: Note) -> None:
        self._ledger = ledger
        self._note = note
        self._ejected: dict[ServiceKey, dict[AddressKey, Ejection]] = {}
        ledger.observers.append(self._published)

    def put(
        self, service: ServiceKey, ejections: Mapping[AddressKey, Ejection | None], caller: Caller = SYSTEM
    ) -> None:
        """Eject addresses of a service, or (None) let calls go to them again. What is not registered is left out."""
        before = self.of(service)
        self._ledger.eject_now(service, ejections)
        after = self.of(service)
        for place, ejection in ejections.items():
            if (place in after) is (place in before):
                continue
            operation, said = ("eject", ejection) if ejection is not None else ("readmit", before[place])
            detail = f"{said.rule} {said.name}: {said.why}"
            self._note("instance", f"{place.host}:{place.port}", service, operation, caller, SETTLED, detail)

    def of(self, service: ServiceKey) -> dict[AddressKey, Ejection]:
        """The ejected addresses of a service."""
        return dict(self._ejected.get(service, ()))

    def _published(self, published: Published) -> None:
        for change in published.changes:
            ejection = None if change.after is None else change.after.ejection
            if ejection is not None:
                self._ejected.setdefault(change.service, {})[change.address] = ejection
            elif change.before is not None and change.before.ejection is not None:
                of = self._ejected[change.service]
                del of[change.address]
                if not of:
                    del self._ejected[change.service]
