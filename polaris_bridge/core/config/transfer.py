"""Files as plain values, out and in: for archives of any form, for cloning, and for migration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct, field

from ..batches import Commit
from ..errors import Conflict, Invalid, NotFound
from ..model import Caller
from .desk import Desk
from .files import Files
from .model import OPEN, Change, Door, FileKey, GroupKey
from .reading import Reading
from .releases import Releases

ABORT: Final = "abort"
"""Stop at the first file that exists: what came before it is in, it has failed, the rest is skipped."""
SKIP: Final = "skip"
"""Leave a file that exists as it is."""
OVERWRITE: Final = "overwrite"
"""Replace a file that exists."""


class Carried(Struct, frozen=True):
    """One file on its way."""

    key: FileKey
    content: bytes
    """In the clear, unless clients encrypted it themselves."""
    format: str = "text"
    comment: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    ext: dict[str, Any] = field(default_factory=dict)
    algorithm: str = ""
    client_key: str = ""


class Failure(Struct, frozen=True):
    """A file that did not get in, and why."""

    key: FileKey
    why: str


class Report(Struct, frozen=True):
    """What became of an import. Not to be told to anybody before ``commit`` is."""

    commit: Commit
    created: tuple[FileKey, ...] = ()
    overwritten: tuple[FileKey, ...] = ()
    skipped: tuple[FileKey, ...] = ()
    failed: tuple[Failure, ...] = ()


class Transfer:
    """Export and import."""

    def __init__(self, desk: Desk, reading: Reading, files: Files, releases: Releases) -> None:
        self._desk = desk
        self._reading = reading
        self._files = files
        self._releases = releases

    def export(self, keys: Iterable[FileKey], *, drafts: bool = False) -> list[Carried]:
        """Files as everybody sees them; those without a full release, and (``drafts``) all, as their drafts. Absent ones are
        left out."""
        found = []
        for key in keys:
            snapshot = self._reading.snapshot(key)
            if snapshot.file is None:
                continue
            text = snapshot.full.release.text if snapshot.full is not None and not drafts else snapshot.file.draft
            found.append(
                Carried(
                    key,
                    self._desk.plain(text),
                    text.format,
                    text.comment,
                    text.tags,
                    text.ext,
                    text.algorithm,
                    text.client_key,
                )
            )
        return found

    def select(self, namespace: str, groups: Iterable[str] = (), names: Iterable[str] = ()) -> list[FileKey]:
        """The files of a namespace, of some groups (none named: all), with some names (none named: any)."""
        wanted = list(groups) or [group.key.group for group in self._reading.groups(namespace)]
        called = set(names)
        found = [s.key for group in wanted for s in self._reading.files(GroupKey(namespace, group))]
        return [key for key in found if not called or key.name in called]

    def bring_in(
        self,
        files: Iterable[Carried],
        policy: str,
        caller: Caller,
        *,
        publish: bool = True,
        door: Door = OPEN,
    ) -> Report:
        """Take files in, all in one commit; ``publish`` False: as drafts. A file that is refused is reported and does not
        keep the others out. Raises ``Busy``, and ``Invalid`` for a policy that does not exist."""
        if policy not in (ABORT, SKIP, OVERWRITE):
            raise Invalid("policy", f"{ABORT}, {SKIP} or {OVERWRITE}")
        created: list[FileKey] = []
        overwritten: list[FileKey] = []
        skipped: list[FileKey] = []
        failed: list[Failure] = []
        stopped = False
        with self._desk.ledger.command() as commit:
            for file in files:
                known = self._desk.file(file.key) is not None
                if stopped or (known and policy == SKIP):
                    skipped.append(file.key)
                elif known and policy == ABORT:
                    failed.append(Failure(file.key, "exists"))
                    stopped = True
                else:
                    try:
                        self._take(file, caller, publish, door)
                    except (Invalid, Conflict, NotFound) as error:  # refused before it wrote anything
                        failed.append(Failure(file.key, str(error)))
                    else:
                        (overwritten if known else created).append(file.key)
        return Report(commit, tuple(created), tuple(overwritten), tuple(skipped), tuple(failed))

    def _take(self, file: Carried, caller: Caller, publish: bool, door: Door) -> None:
        change = Change(file.content, file.format, file.comment, file.tags, file.ext, file.algorithm, file.client_key)
        if publish:
            self._releases.publish(file.key, caller, change=change, door=door)
        else:
            self._files.put(file.key, change, caller, door=door)
