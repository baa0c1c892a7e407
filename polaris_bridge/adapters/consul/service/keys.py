"""Keys that are files of the configuration centre: the same bytes, versions and history, seen as entries.

A value is the file's release for everybody; writing one publishes, deleting one deletes the file. Flags and the way in which
its key was written are kept with the file (``ext``); a lock is an entry of its own beside it, so that sessions work on files
as on any other key.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from polaris_bridge.adapters.consul.translate.config_keys import KeyRule, format_of
from polaris_bridge.adapters.consul.translate.keys import SOURCE
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.config.model import OPEN, Change, Door, FileKey, GroupKey, Text
from polaris_bridge.core.errors import Denied, NotFound
from polaris_bridge.core.kv.files import FileChange, FileValue
from polaris_bridge.core.kv.model import STALE, Entry, Outcome
from polaris_bridge.core.model import SYSTEM, Caller
from polaris_bridge.core.registry import Registry

_FLAGS: Final = "flags"
_SHORT: Final = "short"


class FileKeys:
    """The files of all namespaces as entries. ``closed``: none is there, and every write is refused (403)."""

    def __init__(self, registry: Registry, rule: KeyRule, door: Door = OPEN, *, closed: bool = False) -> None:
        self._registry = registry
        self._door = door
        self._closed = closed
        self._entries = registry.kv.entries
        self._files = registry.kv.files
        self.rule = rule
        self._files.changed.append(self._changed)
        self._entries.aliases.append(self._aliases)
        self._entries.dropped.append(self._dropped)

    # ------------------------------------------------------------------ queries

    def get(self, file: FileKey, key: str) -> Entry | None:
        """A file as readers see it, under the key that it was asked by."""
        value = None if self._closed else self._files.get(file)
        return None if value is None else self._entry(value, key, self._entries.get(file.namespace, self._lock(file)))

    def newest(self, file: FileKey, key: str) -> Entry | None:
        """The same in the newest state."""
        value = None if self._closed else self._files.newest(file)
        lock = self._entries.newest(file.namespace, self._lock(file))
        return None if value is None else self._entry(value, key, lock)

    def below(self, namespace: str, prefix: str, *, newest: bool = False) -> dict[str, FileKey]:
        """The files whose keys begin with a prefix, by the key that they are listed under."""
        groups = self.rule.groups(prefix)
        if groups == () or self._closed:
            return {}
        kept = self._files.groups(namespace) if groups is None else [GroupKey(namespace, g) for g in groups]
        files = [file for group in dict.fromkeys(kept) for file in self._files.within(group)]
        if newest:
            files += self._files.fresh(namespace)
        found: dict[str, FileKey] = {}
        for file in files:
            key = self._listed(file, newest=newest)
            if key is not None and key.startswith(prefix):
                found[key] = file
        return found

    def _listed(self, file: FileKey, *, newest: bool) -> str | None:
        value = self._files.newest(file) if newest else self._files.get(file)
        if value is None:
            return None
        return (self.rule.short(file) if _said(value.text).get(_SHORT) else None) or self.rule.key(file)

    # ------------------------------------------------------------------ commands

    def put(self, file: FileKey, key: str, value: bytes, flags: int, caller: Caller) -> Outcome:
        """Publish; the lock stays as it is. What is there already makes no new version. The bytes are kept as they came: a
        file that another protocol had encrypted is not so any more. Raises ``Invalid`` for what is not what its format says,
        where that is asked for."""
        self._check_open()
        before = self._files.newest(file)
        short = key == self.rule.short(file)
        if before is not None and self._says(before.text, value, flags, short=short):
            return Outcome(True, self._entries.nothing(), self.newest(file, key))
        change = Change(
            value,
            format=format_of(file.name) if before is None else None,
            ext={SOURCE: {_FLAGS: flags, _SHORT: short}},
            algorithm="",
        )
        done = self._registry.config.releases.publish(file, caller, change=change, door=self._door)
        return Outcome(True, done.commit, self.newest(file, key))

    def put_if(self, file: FileKey, key: str, value: bytes, flags: int, index: int, caller: Caller) -> Outcome:
        """Publish when the file has this index; 0: when there is none. STALE otherwise."""
        self._check_open()
        before = self.newest(file, key)
        if index != (before.modify_index if before is not None else 0):
            return Outcome(False, self._entries.nothing(), before, STALE)
        return self.put(file, key, value, flags, caller)

    def acquire(self, file: FileKey, key: str, value: bytes, flags: int, session: str, caller: Caller) -> Outcome:
        """Take the lock and publish."""
        self._check_open()
        with self._registry.transaction() as commit:
            locked = self._entries.acquire(file.namespace, self._lock(file), b"", 0, session, caller, elsewhere=True)
            return self._locked(locked, file, key, value, flags, caller, commit)

    def release(self, file: FileKey, key: str, value: bytes, flags: int, session: str, caller: Caller) -> Outcome:
        """Let the lock go and publish."""
        self._check_open()
        with self._registry.transaction() as commit:
            locked = self._entries.release(file.namespace, self._lock(file), b"", 0, session, caller)
            return self._locked(locked, file, key, value, flags, caller, commit)

    def delete(self, file: FileKey, caller: Caller) -> Outcome:
        """Delete the file, with its lock."""
        self._check_open()
        if self._files.newest(file) is None:
            return Outcome(True, self._entries.nothing())
        with self._registry.transaction() as commit:
            self._registry.config.files.delete(file, caller)
            self._entries.delete(file.namespace, self._lock(file), caller)
        return Outcome(True, commit)

    def delete_if(self, file: FileKey, key: str, index: int, caller: Caller) -> Outcome:
        """Delete when the file has this index. What is not there is deleted already; STALE otherwise."""
        self._check_open()
        before = self.newest(file, key)
        if before is not None and before.modify_index != index:
            return Outcome(False, self._entries.nothing(), before, STALE)
        return self.delete(file, caller)

    # ------------------------------------------------------------------ pieces

    def _check_open(self) -> None:
        if self._closed:
            raise Denied("this key is a file of the configuration centre, which is closed (config.open)")

    def _lock(self, file: FileKey) -> str:
        """Under which key a file's lock is kept."""
        key = self.rule.key(file)
        assert key is not None, "it was found by a key"
        return key

    def _locked(
        self, locked: Outcome, file: FileKey, key: str, value: bytes, flags: int, caller: Caller, commit: Commit
    ) -> Outcome:
        if not locked.ok:
            return structs.replace(locked, entry=self.newest(file, key))
        self.put(file, key, value, flags, caller)
        return Outcome(True, commit, self.newest(file, key))

    def _entry(self, value: FileValue, key: str, lock: Entry | None) -> Entry:
        flags = _said(value.text).get(_FLAGS)
        found = Entry(
            value.key.namespace,
            key,
            self._content(value.text),
            flags if isinstance(flags, int) else 0,
            create_index=value.create_index,
            modify_index=value.modify_index,
            elsewhere=True,
        )
        if lock is None:
            return found
        return structs.replace(
            found,
            session=lock.session,
            lock_index=lock.lock_index,
            modify_index=max(lock.modify_index, found.modify_index),
        )

    def _content(self, text: Text) -> bytes:
        try:
            return self._registry.config.reading.content(text)
        except NotFound:
            return b""

    def _says(self, text: Text, value: bytes, flags: int, *, short: bool) -> bool:
        """Whether a release is what somebody wants to write."""
        said = _said(text)
        if said.get(_FLAGS, 0) != flags or bool(said.get(_SHORT)) != short:
            return False
        return self._content(text) == value

    # ------------------------------------------------------------------ what happens to files elsewhere

    def _changed(self, change: FileChange) -> None:
        file = change.key
        key = self.rule.key(file)
        if key is None:
            return
        self._entries.changed(file.namespace, key, change.revision, change.publication, gone=change.gone)
        if change.gone and self._entries.newest(file.namespace, key) is not None:
            self._registry.scheduler.soon(lambda: self._unlock(file, key))

    def _unlock(self, file: FileKey, key: str) -> None:
        """A file was deleted through another protocol: its lock goes too."""
        if self._files.newest(file) is None:
            self._entries.delete(file.namespace, key, SYSTEM)

    def _aliases(self, namespace: str, key: str) -> tuple[str, ...]:
        file = self.rule.file(namespace, key)
        return () if file is None or self.rule.key(file) != key else self.rule.others(file)

    def _dropped(self, entry: Entry, caller: Caller) -> None:
        file = self.rule.file(entry.namespace, entry.key)
        if file is not None and self._files.newest(file) is not None:
            self._registry.config.files.delete(file, caller)


def _said(text: Text) -> dict[str, object]:
    """What this protocol keeps with a text."""
    found = text.ext.get(SOURCE)
    return found if isinstance(found, dict) else {}
