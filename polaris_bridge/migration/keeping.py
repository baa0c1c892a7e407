"""Registries, tasks, plans and what is known of tasks, kept as documents of the core: stored like everything else."""

from __future__ import annotations

import asyncio
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct, structs

from polaris_bridge.core.batches import Commit
from polaris_bridge.core.errors import Unavailable
from polaris_bridge.core.model import Caller, Document
from polaris_bridge.core.registry import Registry

from .engine.planning import Plan
from .model import RegistryEntry, Task

T = TypeVar("T", bound=Struct)


class KeptPlan(Struct, frozen=True):
    """A plan that waits to be reviewed and applied, or was applied."""

    id: str
    """The task."""
    plan: Plan
    applied_ms: int = 0


class Kept(Struct, frozen=True):
    """What is known of a task across restarts."""

    id: str
    """The task."""
    clean_since_ms: int = 0
    quiet_since_ms: int = 0
    """Since when nothing registers in the source itself; 0: something does, or nobody looked."""


class Shelf(Generic[T]):
    """All values of one kind, by their ``id``."""

    def __init__(self, registry: Registry, kind: str, type: type[T]) -> None:
        self._registry = registry
        self.kind = kind
        self._decode = msgspec.json.Decoder(type).decode
        self._known: dict[str, tuple[bytes, T]] = {}
        """By id: what stands in the document, and what it says."""

    def get(self, id: str) -> T | None:
        """One, in the newest state."""
        document = self._registry.documents.newest(self.kind, id)
        return None if document is None else self._value(document)

    def all(self) -> list[T]:
        """Every one, oldest first."""
        return [self._value(document) for document in self._registry.documents.newest_all(self.kind)]

    def put(self, value: T, caller: Caller) -> Commit:
        """Create or replace."""
        id: str = value.id  # type: ignore[attr-defined]
        body = msgspec.json.encode(value)
        self._known[id] = (body, value)
        return self._registry.documents.put(Document(self.kind, id, name=id, body=body), caller)

    def delete(self, id: str, caller: Caller) -> Commit | None:
        """Delete. None when there is none."""
        self._known.pop(id, None)
        return self._registry.documents.delete(self.kind, id, caller)

    def _value(self, document: Document) -> T:
        known = self._known.get(document.id)
        if known is None or known[0] is not document.body:
            known = self._known[document.id] = (document.body, self._decode(document.body))
        return known[1]


REGISTRY: Final = "migration-registry"
TASK: Final = "migration-task"
PLAN: Final = "migration-plan"
KEPT: Final = "migration-state"


class Store:
    """Everything that migration keeps."""

    def __init__(self, registry: Registry) -> None:
        self.registries: Shelf[RegistryEntry] = Shelf(registry, REGISTRY, RegistryEntry)
        self.tasks: Shelf[Task] = Shelf(registry, TASK, Task)
        self.plans: Shelf[KeptPlan] = Shelf(registry, PLAN, KeptPlan)
        self.states: Shelf[Kept] = Shelf(registry, KEPT, Kept)

    def remember(self, task: str, caller: Caller, *, clean_since_ms: int, quiet_since_ms: int) -> None:
        """What is known of a task, written only when it became different."""
        known = self.states.get(task) or Kept(task)
        now = structs.replace(known, clean_since_ms=clean_since_ms, quiet_since_ms=quiet_since_ms)
        if now != known:
            self.states.put(now, caller)


async def durable(commit: Commit | None) -> None:
    """Wait until a command is in the store. Raises ``Unavailable``."""
    if commit is None:
        return
    done: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    commit.then(lambda error: None if done.done() else done.set_result(error))
    error = await done
    if error is not None:
        raise Unavailable(str(error))
