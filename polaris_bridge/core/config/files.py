"""Groups and files: drafts are written here, and whole files deleted. Nobody but ``releases`` changes what clients see."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from ..batches import Commit
from ..errors import Conflict, Invalid, NotFound
from ..model import Caller
from .desk import Counter, Desk
from .model import (
    CREATE,
    DELETE,
    IMPLIED,
    OPEN,
    UPDATE,
    Change,
    ConfigFile,
    ConfigGroup,
    Done,
    Door,
    Entry,
    Expected,
    FileKey,
    GroupKey,
    Text,
)
from .shelf import id_of


class Groups:
    """Commands on groups."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def create(self, group: ConfigGroup, caller: Caller) -> ConfigGroup:
        """Create; ``id`` and stamps are given here. Raises ``Conflict`` when it exists, ``NotFound`` without its namespace."""
        if self._desk.group(group.key) is not None:
            raise Conflict(f"group {group.key.group} exists")
        return self._write(group, None, caller)

    def update(self, key: GroupKey, caller: Caller, **changes: Any) -> ConfigGroup:
        """Change fields of ``ConfigGroup`` by name; ``ext`` source by source. Raises ``NotFound``."""
        before = self._desk.group(key)
        if before is None:
            raise NotFound(f"group {key.group}")
        if "ext" in changes:
            changes["ext"] = {**before.ext, **changes["ext"]}
        return self._write(structs.replace(before, **changes), before, caller)

    def ensure(self, key: GroupKey, caller: Caller, *, comment: str = "", owners: str = "") -> ConfigGroup:
        """The group, made when it is not there. Raises ``NotFound`` without its namespace.

        One that is made without ``owners`` belongs to nobody: who may write one file into it may not do what he likes there.
        """
        made = ConfigGroup(key, comment=comment, owners=owners)
        return self._desk.group(key) or self._write(made, None, caller, CREATE if owners else IMPLIED)

    def newest(self, key: GroupKey) -> ConfigGroup | None:
        """A group as it will be when everything under way is done."""
        return self._desk.group(key)

    def within(self, namespace: str) -> bool:
        """Whether a namespace has a group, in the newest state."""
        return self._desk.groups.any_under(namespace)

    def delete(self, key: GroupKey, caller: Caller, *, empty_only: bool = True) -> Commit | None:
        """Delete; ``empty_only`` False: with its files, in one commit. None when there is none; raises ``Conflict``."""
        desk = self._desk
        if desk.group(key) is None:
            return None
        files = [file.key for _, file in desk.files.newest_under(key)]
        if files and empty_only:
            raise Conflict(f"group {key.group} has files")
        with desk.operation("config-group", key.group, key.namespace, DELETE, caller) as commit:
            for file in files:
                delete(desk, file, caller)
            desk.groups.drop(id_of(*key))
        return commit

    def _write(
        self, group: ConfigGroup, before: ConfigGroup | None, caller: Caller, operation: str = CREATE
    ) -> ConfigGroup:
        desk, key = self._desk, group.key
        if not key.namespace or not key.group:
            raise Invalid("group", "a namespace and a name")
        operation = UPDATE if before else operation
        with desk.operation("config-group", key.group, key.namespace, operation, caller):
            desk.ensure_namespace(key.namespace, desk.clock.wall_ms())
            stamp = desk.stamp(caller)
            group = structs.replace(
                group,
                id=before.id if before else desk.number(),
                created=before.created if before else stamp,
                modified=stamp,
            )
            desk.groups.put(id_of(*key), key.namespace, key.group, group)
        return group


class Files:
    """Commands on drafts."""

    def __init__(self, desk: Desk, groups: Groups) -> None:
        self._desk = desk
        self._groups = groups

    def newest(self, key: FileKey) -> ConfigFile | None:
        """A file as the newest command left it, durable or not: what the next command is decided on."""
        return self._desk.file(key)

    def create(self, key: FileKey, change: Change, caller: Caller, *, door: Door = OPEN) -> Done:
        """A new draft; its namespace and group are made when they are not there. Raises ``Conflict`` when it exists."""
        if self._desk.file(key) is not None:
            raise Conflict(f"file {key.name} exists")
        return self.put(key, change, caller, door=door)

    def update(
        self, key: FileKey, change: Change, caller: Caller, *, expected: Expected | None = None, door: Door = OPEN
    ) -> Done:
        """Change a draft. Raises ``NotFound``. ``Done.commit`` is settled when nothing changes by it."""
        if self._desk.file(key) is None:
            raise NotFound(f"file {key.name}")
        return self.put(key, change, caller, expected=expected, door=door)

    def put(
        self, key: FileKey, change: Change, caller: Caller, *, expected: Expected | None = None, door: Door = OPEN
    ) -> Done:
        """Create or change a draft. Raises ``Conflict`` (not what was expected), ``Invalid``, ``Busy``."""
        desk = self._desk
        before = desk.file(key)
        compare(desk, before, expected)
        check_key(key)
        texted = desk.texted(before.draft if before else None, change, door)
        if before is not None and texted.text == before.draft:
            return Done(desk.nothing(), before, before=before)
        operation = UPDATE if before else CREATE
        with desk.operation("config-file", _name(key), key.namespace, operation, caller) as commit:
            self._groups.ensure(key.parent, caller)
            text = desk.keep(key, texted, caller)
            file = drafted(desk, key, before, text, caller)
            file = desk.put_file(file)
            entry = desk.number()
            desk.record(entry_of(file, entry, operation, text, file.modified))
        return Done(commit, file, before=before, entry=entry)

    def delete(self, key: FileKey, caller: Caller, *, expected: Expected | None = None) -> Done:
        """Delete a file, its releases, and what clients see of it; its history stays. ``Done.before`` None: there was none."""
        before = self._desk.file(key)
        if before is None:
            return Done(self._desk.nothing())
        compare(self._desk, before, expected)
        return delete(self._desk, key, caller)


def delete(desk: Desk, key: FileKey, caller: Caller) -> Done:
    """Delete a file that is there."""
    before = desk.file(key)
    assert before is not None
    seen = desk.release(key, before.full.release) if before.full else None
    version = before.version + 1
    with desk.operation("config-file", _name(key), key.namespace, DELETE, caller) as commit:
        for id, _ in desk.releases.newest_under(key):
            desk.releases.drop(id)
        desk.files.drop(id_of(*key))
        counter = Counter(key, version, desk.clock.wall_ms())
        desk.counters.put(id_of(*key), key.namespace, "", counter)
        entry = desk.number()
        text = seen.text if seen is not None else before.draft
        desk.record(
            structs.replace(
                entry_of(before, entry, DELETE, text, desk.stamp(caller)),
                version=version,
                release=seen.name if seen else "",
            )
        )
    return Done(commit, None, before=before, entry=entry)


# ---------------------------------------------------------------------- pieces shared with releases


def drafted(desk: Desk, key: FileKey, before: ConfigFile | None, text: Text, caller: Caller) -> ConfigFile:
    """A file with another draft."""
    stamp = desk.stamp(caller)
    if before is None:
        return ConfigFile(key, desk.number(), text, desk.last_version(key), created=stamp, modified=stamp)
    seen = desk.release(key, before.full.release) if before.full else None
    return structs.replace(
        before, draft=text, modified=stamp, unreleased=seen is None or not says_same(seen.text, text)
    )


def says_same(a: Text, b: Text) -> bool:
    """Whether two texts give clients the same."""
    return (a.body, a.format, a.tags, a.ext, a.client_key, a.data_key) == (
        b.body, b.format, b.tags, b.ext, b.client_key, b.data_key,
    )  # fmt: skip


def entry_of(file: ConfigFile, number: int, operation: str, text: Text, stamp: Any) -> Entry:
    """A line of history about a file."""
    return Entry(number, file.key, file.id, operation, text, stamp, version=file.version, first=file.full is None)


def compare(desk: Desk, file: ConfigFile | None, expected: Expected | None) -> None:
    """Refuse (``Conflict``) when the newest state is not what a caller believes."""
    if expected is None:
        return
    if expected.revision is not None and expected.revision != (file.revision if file is not None else 0):
        raise Conflict("the file changed meanwhile")
    if expected.md5 is None and expected.version is None:
        return
    active = None
    text = None
    if file is not None and expected.of == "draft":
        text = file.draft
    elif file is not None:
        slot = expected.of.removeprefix("gray:")
        active = file.full if expected.of == "full" else next((g for g in file.grays if g.gray == slot), None)
        release = desk.release(file.key, active.release) if active else None
        text = release.text if release else None
    if text is None:
        if not expected.absent_fits:
            raise Conflict("there is nothing to compare with")
        return
    if expected.md5 is not None and expected.md5 != text.md5:
        raise Conflict("the content changed meanwhile")
    version = active.version if active is not None else file.version if file is not None else 0
    if expected.version is not None and expected.version != version:
        raise Conflict("the version changed meanwhile")


def check_key(key: FileKey) -> None:
    """Refuse (``Invalid``) names that name nothing. What else a name may be is for the protocols."""
    for field, value in zip(("namespace", "group", "file"), key, strict=True):
        if not value:
            raise Invalid(field, "is empty")


def _name(key: FileKey) -> str:
    return f"{key.group}/{key.name}"
