"""Taking configurations out and in: archives, clones, and removing many at once.

Conflict policies as Nacos 2.5.1 means them: ``ABORT`` stops at the first configuration that is there (what came before it is in,
it has failed, the rest is skipped), ``SKIP`` leaves what is there, ``OVERWRITE`` replaces it. Each configuration is a commit of
its own, so that thousands of them hold up nobody, and no more than ``AHEAD`` of them wait for the store; the answer waits for
all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.translate.config import attributes_of, shown_type
from polaris_bridge.adapters.nacos.translate.keys import SOURCE
from polaris_bridge.adapters.nacos.wire.config import MAX_CONTENT, TEXT
from polaris_bridge.adapters.nacos.wire.config_archive import Packed
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.config.centre import ConfigCentre
from polaris_bridge.core.config.model import Door, FileKey
from polaris_bridge.core.config.reading import FileSnapshot
from polaris_bridge.core.config.transfer import ABORT, OVERWRITE, SKIP, Carried
from polaris_bridge.core.model import Caller

AHEAD: Final = 256
"""Commits of one call that wait for the store: the queue of writes is everybody's."""
POLICIES: Final = {"ABORT": ABORT, "SKIP": SKIP, "OVERWRITE": OVERWRITE}
"""By their names on the wire."""


class Report(Struct, frozen=True):
    """What became of it. Not to be told to anybody before ``commits`` are."""

    commits: tuple[Commit, ...]
    succeeded: int = 0
    skipped: tuple[FileKey, ...] = ()
    failed: tuple[FileKey, ...] = ()


class CloneOf(Struct, frozen=True):
    """One configuration to be cloned, and what it is to be called; empty: as it is."""

    source: FileSnapshot
    group: str = ""
    data_id: str = ""


class Carrying:
    """Commands on many configurations."""

    def __init__(self, centre: ConfigCentre, settings: NacosSettings) -> None:
        self._centre = centre
        self._door = Door(content_bytes=MAX_CONTENT, validate=settings.validate_format)

    def packed(self, snapshots: Iterable[FileSnapshot]) -> Iterator[Packed]:
        """Configurations as they go into an archive: the bytes that their readers get."""
        for snapshot in snapshots:
            if snapshot.full is None:
                continue
            text, key = snapshot.full.release.text, snapshot.key
            yield Packed(
                group=key.group,
                data_id=key.name,
                content=snapshot.full.content,
                type=shown_type(text),
                desc=text.comment or None,
                app=attributes_of(text).app,
            )

    def bring_in(
        self, configs: Sequence[Packed], namespace: str, policy: str, caller: Caller
    ) -> Generator[Commit | None, None, Report]:
        """Take configurations of an archive in and publish them. Raises ``Busy``."""
        return (yield from self._take((_carried(config, namespace) for config in configs), policy, caller))

    def clone(
        self, clones: Sequence[CloneOf], namespace: str, policy: str, caller: Caller
    ) -> Generator[Commit | None, None, Report]:
        """Publish what everybody sees of configurations in a namespace. What the server has encrypted it encrypts again."""
        return (yield from self._take(self._cloned(clones, namespace), policy, caller))

    def remove(self, keys: Iterable[FileKey], caller: Caller) -> Generator[Commit | None, None, tuple[Commit, ...]]:
        """Remove configurations. Raises ``Busy``."""
        commits: dict[int, Commit] = {}
        waiting: deque[Commit] = deque()
        for key in keys:
            commit = self._centre.files.delete(key, caller).commit
            commits[id(commit)] = commit
            yield _next(waiting, commit)
        return tuple(commits.values())

    def _take(self, files: Iterable[Carried], policy: str, caller: Caller) -> Generator[Commit | None, None, Report]:
        commits: dict[int, Commit] = {}
        waiting: deque[Commit] = deque()
        succeeded = 0
        skipped: list[FileKey] = []
        failed: list[FileKey] = []
        stopped = False
        for file in files:
            if stopped:
                skipped.append(file.key)
                continue
            there = self._centre.files.newest(file.key) is not None
            report = self._centre.transfer.bring_in([file], policy, caller, door=self._door)
            commits[id(report.commit)] = report.commit
            succeeded += len(report.created) + len(report.overwritten)
            skipped += report.skipped
            failed += [failure.key for failure in report.failed]
            stopped = bool(report.failed) and there and policy == ABORT
            yield _next(waiting, report.commit)
        return Report(tuple(commits.values()), succeeded, tuple(skipped), tuple(failed))

    def _cloned(self, clones: Sequence[CloneOf], namespace: str) -> Iterable[Carried]:
        for clone in clones:
            source = clone.source.key
            for file in self._centre.transfer.export([source]):
                yield Carried(
                    FileKey(namespace, clone.group or source.group, clone.data_id or source.name),
                    file.content,
                    file.format,
                    file.comment,
                    file.tags,
                    file.ext,
                    file.algorithm,
                    file.client_key,
                )


def _next(waiting: deque[Commit], commit: Commit) -> Commit | None:
    """Enter a commit; the one that has to be done before there is another."""
    waiting.append(commit)
    return waiting.popleft() if len(waiting) > AHEAD else None


def _carried(config: Packed, namespace: str) -> Carried:
    ext = {SOURCE: {"app": config.app}} if config.app and not config.app.isspace() else {}
    key = FileKey(namespace, config.group, config.data_id)
    return Carried(key, config.content, config.type or TEXT, config.desc or "", ext=ext)
