"""What clients see: publishing, gray releases, rollback, and the end of releases.

Versions: whatever clients of a file may see next is counted by one number of that file. A client that is about to see a release
again that it has seen before (its gray release ended, or a release came back) sees it under a new version, so a client that
compares versions is told too.
"""

from __future__ import annotations

from msgspec import structs

from ..errors import Conflict, Invalid, NotFound
from ..model import Caller
from .desk import Desk, Texted
from .files import Groups, check_key, compare, drafted, entry_of, says_same
from .gray import check
from .model import (
    DRAFT,
    GRAY,
    OPEN,
    PROMOTE,
    PUBLISH,
    ROLLBACK,
    STOP,
    WITHDRAW,
    Active,
    Change,
    ConfigFile,
    Done,
    Door,
    Expected,
    FileKey,
    GrayRule,
    Release,
    Text,
)
from .shelf import id_of


class Releases:
    """Commands on what clients see. Every one decides, and refuses, before it writes."""

    def __init__(self, desk: Desk, groups: Groups) -> None:
        self._desk = desk
        self._groups = groups

    # ------------------------------------------------------------------ everybody's release

    def publish(
        self,
        key: FileKey,
        caller: Caller,
        *,
        change: Change | None = None,
        name: str = "",
        description: str = "",
        comment: str = "",
        expected: Expected | None = None,
        door: Door = OPEN,
        alone: bool = False,
    ) -> Done:
        """Make the draft what everybody sees; with ``change``: change or create the draft first.

        A draft that was never released and makes room for ``change`` is kept in the history. The name of an existing release
        brings that release back, as polaris-server does; with a ``change`` that says something else it is refused.
        ``alone``: refused while a gray release is active. Raises ``NotFound`` (no file, no change), ``Conflict`` (also: not
        what was expected), ``Invalid``.
        """
        desk = self._desk
        before = desk.file(key)
        if before is None and change is None:
            raise NotFound(f"file {key.name}")
        compare(desk, before, expected)
        check_key(key)
        if alone and before is not None and before.grays:
            raise Conflict("a gray release is active")
        known = desk.release(key, name) if name else None
        texts = [*self._texts(before), *([known.text] if known is not None else [])]
        texted = desk.texted(before.draft if before else None, change or Change(), door, texts)
        if known is not None and change is not None and not says_same(known.text, texted.text):
            raise Conflict(f"release {name} says something else")
        if known is not None and before is not None:
            with desk.ledger.command():
                file = before
                if texted.text != before.draft:
                    self._keep_draft(before, texted.text)
                    file = desk.put_file(self._with_draft(key, before, texted, caller))
                return self._back(file, known, PUBLISH, caller, description, before=before)
        with desk.operation("config-release", f"{key.group}/{key.name}", key.namespace, PUBLISH, caller) as commit:
            self._keep_draft(before, texted.text)
            file = self._with_draft(key, before, texted, caller) if change is not None or before is None else before
            stamp = desk.stamp(caller)
            release = self._made(file, name, file.draft, description, comment, caller)
            first = file.full is None
            file = structs.replace(
                file,
                version=release.version,
                full=Active(release.name, release.version),
                unreleased=False,
                released=stamp,
            )
            desk.put_release(release)
            file = desk.put_file(file)
            entry = structs.replace(
                entry_of(file, desk.number(), PUBLISH, release.text, stamp),
                release=release.name,
                first=first,
                description=description,
                comment=comment,
            )
            desk.record(entry)
        return Done(commit, file, release, before, entry.number)

    def rollback(self, key: FileKey, name: str, caller: Caller, *, description: str = "") -> Done:
        """Bring a release back, under a new version; the draft stays. Raises ``NotFound``."""
        before, release = self._found(key, name)
        return self._back(before, release, ROLLBACK, caller, description)

    # ------------------------------------------------------------------ gray releases

    def publish_gray(
        self,
        key: FileKey,
        caller: Caller,
        slot: str,
        rule: GrayRule,
        *,
        priority: int = 0,
        change: Change | None = None,
        name: str = "",
        description: str = "",
        comment: str = "",
        expected: Expected | None = None,
        door: Door = OPEN,
        alone: bool = False,
    ) -> Done:
        """Give a release to some clients; a gray release in the same slot is replaced.

        Without ``change`` it is the draft; with one it is the draft so changed, and the draft stays as it is (a file that
        does not exist yet gets it as its draft). ``alone``: refused (``Conflict``) while another slot is in use. Raises as
        ``publish`` does, and ``Conflict`` when the name is taken.
        """
        desk = self._desk
        before = desk.file(key)
        if before is None and change is None:
            raise NotFound(f"file {key.name}")
        compare(desk, before, expected)
        check_key(key)
        if not slot:
            raise Invalid("gray name", "is empty")
        check(rule, desk.patterns)
        if alone and before is not None and any(g.gray != slot for g in before.grays):
            raise Conflict("a gray release is active")
        if name and desk.release(key, name) is not None:
            raise Conflict(f"release {name} exists")
        texted = desk.texted(before.draft if before else None, change or Change(), door, self._texts(before))
        with desk.operation("config-release", f"{key.group}/{key.name}", key.namespace, GRAY, caller) as commit:
            file = before if before is not None else self._with_draft(key, None, texted, caller)
            text = desk.keep(key, texted, caller) if before is not None else file.draft
            first = file.full is None
            release = self._made(file, name, text, description, comment, caller, gray=True)
            active = Active(release.name, release.version, slot, rule, priority)
            old = next((g for g in file.grays if g.gray == slot), None)
            others = [g for g in file.grays if g.gray != slot]
            file = structs.replace(file, version=release.version, grays=_ordered([active, *others]))
            desk.put_release(release)
            if old is not None and (old.rule, old.priority) != (rule, priority):
                file = self._seen_anew(file, old.version, spare=slot)
            file = desk.put_file(file)
            stamp = desk.stamp(caller)
            entry = structs.replace(
                entry_of(file, desk.number(), GRAY, text, stamp),
                release=release.name,
                version=release.version,
                first=first,
                gray=slot,
                rule=rule,
                priority=priority,
                description=description,
                comment=comment,
            )
            desk.record(entry)
        return Done(commit, file, release, before, entry.number)

    def promote(self, key: FileKey, slot: str, caller: Caller, *, description: str = "") -> Done:
        """Give a gray release to everybody, and end it as a gray one. Raises ``NotFound``."""
        before, active, release = self._gray(key, slot)
        return self._back(self._without(before, slot), release, PROMOTE, caller, description, active, before)

    def stop(self, key: FileKey, slot: str, caller: Caller) -> Done:
        """End a gray release: its clients see what they would see without it. Raises ``NotFound``."""
        desk = self._desk
        before, active, release = self._gray(key, slot)
        with desk.operation("config-release", f"{key.group}/{key.name}", key.namespace, STOP, caller) as commit:
            file = structs.replace(self._without(before, slot), version=before.version + 1)
            file = desk.put_file(self._seen_anew(file, active.version))
            entry = structs.replace(
                entry_of(file, desk.number(), STOP, release.text, desk.stamp(caller)),
                release=release.name,
                gray=slot,
                rule=active.rule,
                priority=active.priority,
                comment=release.comment,
            )
            desk.record(entry)
        return Done(commit, file, release, before, entry.number)

    # ------------------------------------------------------------------ the end of releases

    def withdraw(self, key: FileKey, name: str, caller: Caller) -> Done:
        """Delete a release. An active one is no longer seen by anybody. ``Done.release`` is what it was; raises ``NotFound``."""
        return self._withdraw(key, [name], caller)

    def withdraw_all(self, key: FileKey, caller: Caller) -> Done:
        """Delete every release of a file; its draft stays. Raises ``NotFound`` without the file."""
        names = [release.name for _, release in self._desk.releases.newest_under(key)]
        return self._withdraw(key, names, caller)

    def _withdraw(self, key: FileKey, names: list[str], caller: Caller) -> Done:
        desk = self._desk
        before = desk.file(key)
        if before is None:
            raise NotFound(f"file {key.name}")
        gone = [self._found(key, name)[1] for name in names]
        if not gone:
            return Done(desk.nothing(), before, before=before)
        with desk.operation("config-release", f"{key.group}/{key.name}", key.namespace, WITHDRAW, caller) as commit:
            file = before
            ended = [a.version for a in (file.full, *file.grays) if a is not None and a.release in names]
            if ended:
                file = structs.replace(
                    file,
                    version=file.version + 1,
                    full=None if file.full is not None and file.full.release in names else file.full,
                    grays=tuple(g for g in file.grays if g.release not in names),
                )
                file = self._seen_anew(file, max(ended))
            if file.full is None:
                file = structs.replace(file, unreleased=True)
            number = 0
            for release in gone:
                desk.releases.drop(id_of(*key, release.name))
                number = desk.number()
                entry = entry_of(file, number, WITHDRAW, release.text, desk.stamp(caller))
                desk.record(structs.replace(entry, release=release.name, comment=release.comment))
            file = desk.put_file(file)
        return Done(commit, file, gone[-1], before, number)

    # ------------------------------------------------------------------ pieces

    def _found(self, key: FileKey, name: str) -> tuple[ConfigFile, Release]:
        file, release = self._desk.file(key), self._desk.release(key, name)
        if file is None or release is None:
            raise NotFound(f"release {name} of file {key.name}")
        return file, release

    def _gray(self, key: FileKey, slot: str) -> tuple[ConfigFile, Active, Release]:
        file = self._desk.file(key)
        active = next((g for g in file.grays if g.gray == slot), None) if file is not None else None
        if file is None or active is None:
            raise NotFound(f"gray release {slot} of file {key.name}")
        return file, active, self._found(key, active.release)[1]

    def _texts(self, file: ConfigFile | None) -> list[Text]:
        """The texts whose bodies a new one may share."""
        active = [a for a in (file.full, *file.grays) if a is not None] if file is not None else []
        found = [self._desk.release(file.key, a.release) for a in active] if file is not None else []
        return [release.text for release in found if release is not None]

    def _keep_draft(self, before: ConfigFile | None, text: Text) -> None:
        """A draft that was never released makes room: history keeps it."""
        if before is not None and before.unreleased and not says_same(before.draft, text):
            self._desk.record(entry_of(before, self._desk.number(), DRAFT, before.draft, before.modified))

    def _with_draft(self, key: FileKey, before: ConfigFile | None, texted: Texted, caller: Caller) -> ConfigFile:
        self._groups.ensure(key.parent, caller)
        return drafted(self._desk, key, before, self._desk.keep(key, texted, caller), caller)

    def _made(
        self,
        file: ConfigFile,
        name: str,
        text: Text,
        description: str,
        comment: str,
        caller: Caller,
        *,
        gray: bool = False,
    ) -> Release:
        """A new release under the next version."""
        version, stamp = file.version + 1, self._desk.stamp(caller)
        chosen = name or self._free(file.key, f"{file.key.name}-{stamp.at_ms // 1000}-{version}")
        return Release(file.key, chosen, version, version, text, description, comment, bool(name), gray, stamp, stamp)

    def _free(self, key: FileKey, name: str) -> str:
        """A name for a release that nobody chose already."""
        while self._desk.release(key, name) is not None:
            name += "-"
        return name

    def _back(
        self,
        file: ConfigFile,
        release: Release,
        operation: str,
        caller: Caller,
        description: str,
        was: Active | None = None,
        before: ConfigFile | None = None,
    ) -> Done:
        """Make an existing release what everybody sees. ``was``: the gray slot that ended with it."""
        desk, key = self._desk, file.key
        before = before or file
        with desk.operation("config-release", f"{key.group}/{key.name}", key.namespace, operation, caller) as commit:
            stamp, version, first = desk.stamp(caller), file.version + 1, file.full is None
            release = structs.replace(release, version=version, activated=stamp)
            file = structs.replace(
                file,
                version=version,
                full=Active(release.name, version),
                unreleased=not says_same(release.text, file.draft),
                released=stamp,
            )
            if was is not None:
                file = self._seen_anew(file, was.version)
            desk.put_release(release)
            file = desk.put_file(file)
            entry = structs.replace(
                entry_of(file, desk.number(), operation, release.text, stamp),
                release=release.name,
                version=version,
                first=first,
                description=description or release.description,
                comment=release.comment,
                gray=was.gray if was else "",
                rule=was.rule if was else None,
                priority=was.priority if was else 0,
            )
            desk.record(entry)
        return Done(commit, file, release, before, entry.number)

    def _without(self, file: ConfigFile, slot: str) -> ConfigFile:
        return structs.replace(file, grays=tuple(g for g in file.grays if g.gray != slot))

    def _seen_anew(self, file: ConfigFile, ended: int, spare: str = "") -> ConfigFile:
        """Clients of a gray release that ended under a version see another one next: it gets a version above that."""
        version, grays = file.version, []
        for gray in file.grays:
            if gray.version < ended and gray.gray != spare:
                version += 1
                gray = structs.replace(gray, version=version)
                self._restamp(file.key, gray)
            grays.append(gray)
        full = file.full
        if full is not None and full.version < ended:
            version += 1
            full = structs.replace(full, version=version)
            self._restamp(file.key, full)
        return structs.replace(file, version=version, full=full, grays=_ordered(grays))

    def _restamp(self, key: FileKey, active: Active) -> None:
        release = self._desk.release(key, active.release)
        assert release is not None
        self._desk.put_release(structs.replace(release, version=active.version))


def _ordered(grays: list[Active]) -> tuple[Active, ...]:
    """As they are tried: the highest priority first, of equal ones as they stood."""
    return tuple(sorted(grays, key=lambda g: -g.priority))
