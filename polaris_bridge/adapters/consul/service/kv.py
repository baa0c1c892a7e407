"""The key-value store: plain keys and files of the configuration centre as one, in byte order.

Semantics of Consul 1.20: what a read's index is, what a lock needs, which write is none. Every command is one transaction of the
core, and may be part of a larger one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from polaris_bridge.adapters.consul.translate.config_keys import PREFIX, KeyRule
from polaris_bridge.adapters.consul.wire.refusals import failed
from polaris_bridge.core.config.model import OPEN, Door
from polaris_bridge.core.errors import Invalid, NotFound
from polaris_bridge.core.kv.keeping import merged
from polaris_bridge.core.kv.model import Entry, Outcome
from polaris_bridge.core.kv.watching import KeyScope, KeyWatcher
from polaris_bridge.core.model import Caller
from polaris_bridge.core.registry import Registry

from .keys import FileKeys

MAX_VALUE_BYTES = 524_288
"""``kv_max_value_size`` of an agent."""


class Keys:
    """All keys of all namespaces."""

    def __init__(self, registry: Registry, rule: KeyRule, door: Door = OPEN, *, closed: bool = False) -> None:
        """``door``: for what is written to files; ``closed``: there are no files."""
        self._registry = registry
        self._entries = registry.kv.entries
        self._files = FileKeys(registry, rule, door, closed=closed)
        self.rule = rule

    # ------------------------------------------------------------------ queries

    def get(self, namespace: str, key: str) -> Entry | None:
        """An entry as readers see it."""
        file = self.rule.file(namespace, key)
        return self._entries.get(namespace, key) if file is None else self._files.get(file, key)

    def newest(self, namespace: str, key: str) -> Entry | None:
        """An entry in the newest state: what a transaction has written so far included."""
        file = self.rule.file(namespace, key)
        return self._entries.newest(namespace, key) if file is None else self._files.newest(file, key)

    def names(self, namespace: str, prefix: str) -> list[str]:
        """Every key that begins with a prefix, in byte order, as readers see it."""
        plain = self._entries.below(namespace, prefix)
        if self.rule.groups(prefix) == ():
            return plain
        files = self._files.below(namespace, prefix)
        return merged([key for key in plain if self._plain(namespace, key)], files)

    def newest_tree(self, namespace: str, prefix: str) -> list[Entry]:
        """Every entry whose key begins with a prefix, in byte order, in the newest state."""
        plain = (key for key in self._entries.newest_below(namespace, prefix) if self._plain(namespace, key))
        files = self._files.below(namespace, prefix, newest=True)
        found = (self.newest(namespace, key) for key in merged(list(plain), files))
        return [entry for entry in found if entry is not None]

    def index(self, namespace: str, key: str, entry: Entry | None) -> int:
        """The index of the read of one key: its own, or that of its deletion.

        A real agent takes the table's for a key that is not there, so that whoever waits for one is sent away by every
        write of another; here only that key moves it.
        """
        return entry.modify_index if entry is not None else max(1, self._entries.missing_index(namespace, key))

    def tree_index(self, namespace: str, prefix: str, indexes: Sequence[int]) -> int:
        """The index of the read of a prefix, from those of what it found: the highest of these and of what was deleted below
        it. That of the table for everything."""
        if not prefix:
            return max(1, self._entries.table_index(namespace), max(indexes, default=0))
        return max(1, max(indexes, default=0), self._entries.deleted_index(namespace, prefix))

    def modified(self, namespace: str, names: Sequence[str]) -> list[int]:
        """The indexes of keys, as readers see them."""
        return [self._modified(namespace, key) for key in names]

    def _modified(self, namespace: str, key: str) -> int:
        file = self.rule.file(namespace, key)
        if file is None:
            return self._entries.modified(namespace, key)
        entry = self._files.get(file, key)
        return 0 if entry is None else entry.modify_index

    def delayed(self, namespace: str, key: str) -> bool:
        """Whether the lock of a key is given to nobody just now."""
        file = self.rule.file(namespace, key)
        return self._entries.delayed(namespace, key if file is None else self.rule.key(file) or key)

    def resource(self, key: str) -> str:
        """What rights on a key are rights on: the group of a file; empty: all of its namespace."""
        file = self.rule.file("", key)
        return "" if file is None else file.group

    def watch(self, namespace: str, key: str, fire: Callable[[], None], *, tree: bool) -> KeyWatcher:
        """What wakes a reader of a key, or of all below a prefix; not armed yet."""
        return self._registry.kv.watches.key_watcher((KeyScope(namespace, key, tree),), fire)

    # ------------------------------------------------------------------ commands

    def put(self, namespace: str, key: str, value: bytes, flags: int, caller: Caller) -> Outcome:
        """Create or replace; the lock stays as it is."""
        file = self.rule.file(namespace, key)
        if file is None:
            return self._entries.put(namespace, key, value, flags, caller)
        return self._files.put(file, key, value, flags, caller)

    def put_if(self, namespace: str, key: str, value: bytes, flags: int, index: int, caller: Caller) -> Outcome:
        """The same when the entry has this index; 0: when there is none."""
        file = self.rule.file(namespace, key)
        if file is None:
            return self._entries.put_if(namespace, key, value, flags, index, caller)
        return self._files.put_if(file, key, value, flags, index, caller)

    def acquire(self, namespace: str, key: str, value: bytes, flags: int, session: str, caller: Caller) -> Outcome:
        """Take the lock and write. Raises ``Refused`` without a session, or for one that is not there."""
        file = self.rule.file(namespace, key)
        try:
            if file is None:
                return self._entries.acquire(namespace, key, value, flags, session, caller)
            return self._files.acquire(file, key, value, flags, session, caller)
        except Invalid as error:
            raise _no_session(error) from None
        except NotFound as error:
            if self._registry.kv.sessions.newest(session) is not None:
                raise error
            raise failed(f'invalid session "{session}"') from None

    def release(self, namespace: str, key: str, value: bytes, flags: int, session: str, caller: Caller) -> Outcome:
        """Let the lock go and write. Raises ``Refused`` without a session."""
        file = self.rule.file(namespace, key)
        try:
            if file is None:
                return self._entries.release(namespace, key, value, flags, session, caller)
            return self._files.release(file, key, value, flags, session, caller)
        except Invalid as error:
            raise _no_session(error) from None

    def delete(self, namespace: str, key: str, caller: Caller) -> Outcome:
        """Delete; a key that is not there is deleted already."""
        file = self.rule.file(namespace, key)
        return self._entries.delete(namespace, key, caller) if file is None else self._files.delete(file, caller)

    def delete_if(self, namespace: str, key: str, index: int, caller: Caller) -> Outcome:
        """Delete when the entry has this index, or is not there."""
        file = self.rule.file(namespace, key)
        if file is None:
            return self._entries.delete_if(namespace, key, index, caller)
        return self._files.delete_if(file, key, index, caller)

    def delete_below(self, namespace: str, prefix: str, caller: Caller) -> Outcome:
        """Delete everything that begins with a prefix, in one transaction."""
        if self.rule.groups(prefix) == ():
            return self._entries.delete_below(namespace, prefix, caller)
        return self.delete_all(namespace, self.candidates(namespace, prefix), caller)

    def delete_all(self, namespace: str, keys: Sequence[str], caller: Caller) -> Outcome:
        """Delete these, as far as they are there, in one transaction."""
        with self._registry.transaction() as commit:
            for key in keys:
                self.delete(namespace, key, caller)
        return Outcome(True, commit)

    def candidates(self, namespace: str, prefix: str) -> list[str]:
        """Every key that begins with a prefix in the newest state, and perhaps some that are not there any more."""
        plain = [key for key in self._entries.candidates(namespace, prefix) if self._plain(namespace, key)]
        return [*plain, *self._files.below(namespace, prefix, newest=True)]

    def _plain(self, namespace: str, key: str) -> bool:
        return not key.startswith(PREFIX) or self.rule.file(namespace, key) is None


def _no_session(error: Invalid) -> Exception:
    return failed("missing session") if error.field == "session" else error
