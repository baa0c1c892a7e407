"""Transactions: a list of operations on keys, nodes, services and checks, applied all or not at all in one transaction of the
core.

As Consul 1.20: what can be said beforehand is said of every operation; then each is tried on top of the ones before it, and
every one that fails says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from polaris_bridge.adapters.consul.translate.kv import pair
from polaris_bridge.adapters.consul.wire import txn as wire
from polaris_bridge.adapters.consul.wire.durations import quoted
from polaris_bridge.adapters.consul.wire.kv import encode
from polaris_bridge.adapters.consul.wire.refusals import Refused, failed
from polaris_bridge.adapters.consul.wire.txn import KvOp, NodeOp, Operation, ServiceOp, TxnError
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.errors import Busy, CoreError, Unavailable
from polaris_bridge.core.kv.model import DELAYED, Entry, Outcome
from polaris_bridge.core.model import Caller

from .txn_catalog import CatalogOps

if TYPE_CHECKING:
    from .consul import ConsulService

May = Callable[[str, str], bool]
"""Whether the caller has a right (``key:write``) on a name."""


class Done(Struct, frozen=True):
    """What a transaction came to. Not to be told to anybody before ``commit`` is."""

    results: Sequence[bytes] | None
    errors: Sequence[TxnError]
    commit: Commit = SETTLED


class _Undone(Exception):
    """Some operation failed: nothing is done."""

    def __init__(self, errors: list[TxnError]) -> None:
        super().__init__("undone")
        self.errors = errors


class Transactions:
    """Transactions of one listener."""

    def __init__(self, service: ConsulService) -> None:
        self._registry = service.registry
        self._keys = service.keys
        self._catalog = CatalogOps(service)
        self._verbs: dict[str, Callable[[str, KvOp, Caller], list[Entry]]] = {
            "set": self._set,
            "cas": self._cas,
            "lock": self._lock,
            "unlock": self._unlock,
            "get": self._get,
            "get-or-empty": self._get_or_empty,
            "get-tree": self._get_tree,
            "check-index": self._check_index,
            "check-session": self._check_session,
            "check-not-exists": self._check_not_exists,
            "delete": self._delete,
            "delete-tree": self._delete_tree,
            "delete-cas": self._delete_cas,
        }

    def run(self, namespace: str, operations: Sequence[Operation], caller: Caller, may: May) -> Done:
        """Apply. Raises ``Busy`` and ``Unavailable``."""
        errors = [
            TxnError(index, what)
            for index, operation in enumerate(operations)
            if (what := self._objection(namespace, operation, may))
        ]
        if errors:
            return Done(None, errors)
        if not any(map(wire.writes, operations)):
            results, errors = self._tried(namespace, operations, caller, may, [])
            return Done(None if errors else results, errors, self._registry.kv.entries.nothing())
        afterwards: list[Callable[[], None]] = []
        try:
            with self._registry.transaction() as commit:
                results, errors = self._tried(namespace, operations, caller, may, afterwards)
                if errors:
                    raise _Undone(errors)
        except _Undone as undone:
            return Done(None, undone.errors, self._registry.kv.entries.nothing())
        if afterwards:
            commit.then(lambda error: None if error is not None else _all(afterwards))
        return Done(results, (), commit)

    def _tried(
        self,
        namespace: str,
        operations: Sequence[Operation],
        caller: Caller,
        may: May,
        afterwards: list[Callable[[], None]],
    ) -> tuple[list[bytes], list[TxnError]]:
        results: list[bytes] = []
        errors: list[TxnError] = []
        for index, operation in enumerate(operations):
            try:
                results += self._one(namespace, operation, caller, may, afterwards)
            except (Busy, Unavailable):
                raise
            except Refused as refused:
                errors.append(TxnError(index, refused.text))
            except CoreError as error:
                errors.append(TxnError(index, str(error)))
        return results, errors

    def _one(
        self, namespace: str, operation: Operation, caller: Caller, may: May, afterwards: list[Callable[[], None]]
    ) -> list[bytes]:
        if isinstance(operation, KvOp):
            return [
                wire.result(wire.KV, encode(pair(entry, value=operation.verb.startswith("get"))))
                for entry in self._verbs[operation.verb](namespace, operation, caller)
                if may("key:read", entry.key)
            ]
        if isinstance(operation, NodeOp):
            kind, found = wire.NODE, self._catalog.node(namespace, operation, caller)
        elif isinstance(operation, ServiceOp):
            kind, found = wire.SERVICE, self._catalog.service(namespace, operation, caller)
        else:
            kind, found = wire.CHECK, self._catalog.check(namespace, operation, caller, afterwards.append)
        return [] if found is None else [wire.result(kind, found)]

    # ------------------------------------------------------------------ what can be said beforehand

    def _objection(self, namespace: str, operation: Operation, may: May) -> str:
        right, name = _right(operation)
        if not isinstance(operation, KvOp):
            objection = self._catalog.objection(operation)
            return objection or ("" if may(right, name) else "Permission denied")
        if not operation.key and operation.verb != "delete-tree":
            return "Must provide key"
        if operation.verb not in self._verbs:
            return f"unknown KV operation: {operation.verb}"
        if not operation.verb.startswith("get") and not may(right, name):
            return "Permission denied"
        if operation.verb == "lock" and self._keys.delayed(namespace, operation.key):
            return f"failed to lock key {quoted(operation.key)} due to lock delay"
        return ""

    # ------------------------------------------------------------------ verbs on keys

    def _set(self, namespace: str, op: KvOp, caller: Caller) -> list[Entry]:
        return _entries(self._keys.put(namespace, op.key, op.value, op.flags, caller))

    def _cas(self, namespace: str, op: KvOp, caller: Caller) -> list[Entry]:
        done = self._keys.put_if(namespace, op.key, op.value, op.flags, op.index, caller)
        return _entries(done, f"failed to set key {quoted(op.key)}, index is stale")

    def _lock(self, namespace: str, op: KvOp, caller: Caller) -> list[Entry]:
        done = self._keys.acquire(namespace, op.key, op.value, op.flags, op.session, caller)
        if done.why == DELAYED:
            raise failed(f"failed to lock key {quoted(op.key)} due to lock delay")
        return _entries(done, f"failed to lock key {quoted(op.key)}, lock is already held")

    def _unlock(self, namespace: str, op: KvOp, caller: Caller) -> list[Entry]:
        done = self._keys.release(namespace, op.key, op.value, op.flags, op.session, caller)
        return _entries(done, f"failed to unlock key {quoted(op.key)}, lock isn't held, or is held by another session")

    def _get(self, namespace: str, op: KvOp, _caller: Caller) -> list[Entry]:
        entry = self._keys.newest(namespace, op.key)
        if entry is None:
            raise failed(f"key {quoted(op.key)} doesn't exist")
        return [entry]

    def _get_or_empty(self, namespace: str, op: KvOp, _caller: Caller) -> list[Entry]:
        entry = self._keys.newest(namespace, op.key)
        if entry is None:
            entry = Entry(namespace, op.key, b"", op.flags, op.session, modify_index=op.index)
        return [entry]

    def _get_tree(self, namespace: str, op: KvOp, _caller: Caller) -> list[Entry]:
        return self._keys.newest_tree(namespace, op.key)

    def _check_index(self, namespace: str, op: KvOp, _caller: Caller) -> list[Entry]:
        entry, key = self._keys.newest(namespace, op.key), quoted(op.key)
        if entry is None:
            raise failed(f"failed to check index, key {key} doesn't exist")
        if entry.modify_index != op.index:
            raise failed(f"failed index check for key {key}, current modify index {entry.modify_index} != {op.index}")
        return [entry]

    def _check_session(self, namespace: str, op: KvOp, _caller: Caller) -> list[Entry]:
        entry, key = self._keys.newest(namespace, op.key), quoted(op.key)
        if entry is None:
            raise failed(f"failed to check session, key {key} doesn't exist")
        if entry.session != op.session:
            current, asked = quoted(entry.session), quoted(op.session)
            raise failed(f"failed session check for key {key}, current session {current} != {asked}")
        return [entry]

    def _check_not_exists(self, namespace: str, op: KvOp, _caller: Caller) -> list[Entry]:
        if self._keys.newest(namespace, op.key) is not None:
            raise failed(f"key {quoted(op.key)} exists")
        return []

    def _delete(self, namespace: str, op: KvOp, caller: Caller) -> list[Entry]:
        self._keys.delete(namespace, op.key, caller)
        return []

    def _delete_tree(self, namespace: str, op: KvOp, caller: Caller) -> list[Entry]:
        self._keys.delete_below(namespace, op.key, caller)
        return []

    def _delete_cas(self, namespace: str, op: KvOp, caller: Caller) -> list[Entry]:
        done = self._keys.delete_if(namespace, op.key, op.index, caller)
        if not done.ok:
            raise failed(f"failed to delete key {quoted(op.key)}, index is stale")
        return []


def _entries(done: Outcome, otherwise: str = "") -> list[Entry]:
    """The entry that a write left. Raises ``Refused`` when it was refused."""
    if not done.ok:
        raise failed(otherwise)
    return [] if done.entry is None else [done.entry]


def _right(operation: Operation) -> tuple[str, str]:
    if isinstance(operation, KvOp):
        return ("key:write" if wire.writes(operation) else "key:read"), operation.key
    if isinstance(operation, NodeOp):
        kind, name = "node", operation.node
    elif isinstance(operation, ServiceOp):
        kind, name = "service", operation.name
    else:
        kind, name = "node", operation.node
    return f"{kind}:{'write' if wire.writes(operation) else 'read'}", name


def _all(calls: Sequence[Callable[[], None]]) -> None:
    for call in calls:
        call()
