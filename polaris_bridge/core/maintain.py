"""Maintain jobs: what has to be tidied up now and then. Each ``run`` does a bounded amount and returns how much it did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from .model import SYSTEM, ServiceKey
from .ports import NAMESPACE, REGISTRATION, SERVICE, SWITCH
from .registry import Registry

PER_RUN: Final = 500
"""Things removed in one run, so that a run never holds up the calls of clients."""


class Job(Protocol):
    """One kind of tidying. ``name`` as in ``maintain.jobs`` of the configuration file."""

    name: str

    def run(self, registry: Registry) -> int:
        """Do what is due; the number of things removed."""
        ...


class DeleteUnHealthyInstance:
    """Instances that have not been heard of for ``timeout_ms`` and whose protocol never removes them itself."""

    name = "DeleteUnHealthyInstance"

    def __init__(self, timeout_ms: int) -> None:
        self._timeout_ms = timeout_ms

    def run(self, registry: Registry) -> int:
        """See ``Job``."""
        limit = registry.clock.wall_ms() - self._timeout_ms
        lost = (
            r
            for snapshot in registry
            for address in snapshot.addresses.values()
            for r in address.registrations
            if r.lost_ms and r.lost_ms <= limit and not r.held and not r.copied_from  # a copy goes with its origin
        )
        due = [r.id for r, _ in zip(lost, range(PER_RUN), strict=False)]
        for key in due:
            registry.deregister(key, SYSTEM)
        return len(due)


class DeleteEmptyAutoCreatedService:
    """Services nobody made on purpose, once they have been without instances for ``timeout_ms``."""

    name = "DeleteEmptyAutoCreatedService"

    def __init__(self, timeout_ms: int) -> None:
        self._timeout_ms = timeout_ms
        self._empty_since: dict[ServiceKey, int] = {}

    def run(self, registry: Registry) -> int:
        """See ``Job``."""
        now_ms = registry.clock.wall_ms()
        empty = {
            s.key: self._empty_since.get(s.key, now_ms)
            for s in registry
            if s.record is not None and s.record.auto_created and not s.addresses
        }
        due = [key for key, since in empty.items() if now_ms - since >= self._timeout_ms][:PER_RUN]
        for key in due:
            if not registry.ledger.service(key).addresses:
                registry.delete_service(key, SYSTEM)
                del empty[key]
        self._empty_since = empty
        return len(due)


class CleanDeletedInstances:
    """Tombstones of services and instances older than ``timeout_ms`` leave the store, and empty services leave memory."""

    name = "CleanDeletedInstances"

    def __init__(self, timeout_ms: int) -> None:
        self._timeout_ms = timeout_ms

    def run(self, registry: Registry) -> int:
        """See ``Job``."""
        registry.purge(registry.clock.wall_ms() - self._timeout_ms, (REGISTRATION, SWITCH, SERVICE, NAMESPACE))
        return registry.forget_absent()


class CleanDeleted:
    """Tombstones of other tables older than ``timeout_ms`` leave the store."""

    def __init__(self, name: str, timeout_ms: int, tables: Sequence[str]) -> None:
        self.name = name
        self._timeout_ms = timeout_ms
        self._tables = tables

    def run(self, registry: Registry) -> int:
        """See ``Job``. The store does it behind, so nothing is counted here."""
        registry.purge(registry.clock.wall_ms() - self._timeout_ms, self._tables)
        return 0
