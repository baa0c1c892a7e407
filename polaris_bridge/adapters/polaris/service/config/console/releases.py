"""Releases of configuration files: publish, give to some clients, bring back, delete, list."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Final

from polaris_bridge.adapters.polaris.answers import Outcome
from polaris_bridge.adapters.polaris.service.batches import MAX_BATCH
from polaris_bridge.adapters.polaris.service.console.filters import single
from polaris_bridge.adapters.polaris.service.console.names import is_name
from polaris_bridge.adapters.polaris.service.queries import Page, wild
from polaris_bridge.adapters.polaris.service.routes import Encoded, Query, Result
from polaris_bridge.adapters.polaris.translate import config_shown
from polaris_bridge.adapters.polaris.translate.config import file_key
from polaris_bridge.adapters.polaris.wire import json, v1
from polaris_bridge.core.config.model import FileKey, Release
from polaris_bridge.core.config.reading import FileSnapshot
from polaris_bridge.core.config.shelf import RELEASE
from polaris_bridge.core.errors import NotFound
from polaris_bridge.core.model import Caller

from .answers import OK, Joined, collected, guarded, listed, said, written
from .office import BadPage, Office, page_of

FILTERS: Final = (
    "namespace", "group", "file_name", "fileName", "name", "release_name", "only_active", "order_field", "order_type",
    "offset", "limit",
)  # fmt: skip
VERSIONS: Final = ("namespace", "group", "file_name")

_MEANT: Final = {"fileName": "file_name", "name": "release_name"}
_SHARED: Final = {
    "namespace": "namespace", "group": "group", "file_name": "name", "content": "content", "format": "format",
    "comment": "comment",
}  # fmt: skip
_UNNAMED: Final = ("invalid namespace", "invalid config group", "invalid config file name")
_NO_BETA: Final = ("invalid config namespace", "invalid config group", "invalid config file_name")


class Releases:
    """Calls about releases."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._centre = office.centre

    # ------------------------------------------------------------------ commands

    def publish(self, m: v1.ConfigFileRelease, caller: Caller) -> Outcome:
        """Make a draft what clients see; with type ``gray`` what those with its labels see. The name of an existing release
        brings that one back. Answers show what was sent, with the name of the release. 409000 while a gray release is active.
        """
        result = self._office.writing.publish(m, caller)
        if result.done is None or result.done.release is None:
            return written(result)
        m.name.value = result.done.release.name
        return written(result, configFileRelease=m)

    def create_and_publish(self, m: v1.ConfigFilePublishInfo, caller: Caller) -> Outcome:
        """Create or change a draft, and make it what clients see, in one step. Nobody's change is looked for (the gRPC method
        of SDKs compares md5)."""
        if not m.namespace.value or not m.group.value:
            return Outcome(said(v1.InvalidParameter, configFile=self._draft(m, caller)))
        return written(self._office.writing.upsert_and_publish(m, caller, compare=False))

    def _draft(self, m: v1.ConfigFilePublishInfo, caller: Caller) -> v1.ConfigFile:
        """The file that a request means, as the original shows it when it cannot be made."""
        file = v1.ConfigFile(tags=m.tags)
        file.create_by.value = file.modify_by.value = self._office.operator(caller)
        file.release_time.value = m.release_description.value
        for field, into in _SHARED.items():
            if m.HasField(field):
                getattr(file, into).CopyFrom(getattr(m, field))
        return file

    def rollback(self, releases: Sequence[v1.ConfigFileRelease], caller: Caller) -> Result:
        """Bring releases back, each for itself."""

        def do(m: v1.ConfigFileRelease) -> Outcome:
            return Outcome(said(OK), self._centre.releases.rollback(file_key(m), m.name.value, caller).commit)

        return self._each(releases, do, v1.NotFoundResource)

    def delete(self, releases: Sequence[v1.ConfigFileRelease], caller: Caller) -> Result:
        """Delete releases, each for itself; what is not there is deleted too."""

        def do(m: v1.ConfigFileRelease) -> Outcome:
            return Outcome(said(OK), self._centre.releases.withdraw(file_key(m), m.name.value, caller).commit)

        return self._each(releases, do, OK)

    def stop_gray(self, files: Sequence[v1.ConfigFileRelease], caller: Caller) -> Result:
        """End every gray release of files; of a file without one nothing."""

        def do(m: v1.ConfigFileRelease) -> Outcome:
            key = file_key(m)
            wrong = (not is_name(key.namespace), not key.group, not key.name)
            if any(wrong):
                return Outcome(said(v1.BadRequest, _NO_BETA[wrong.index(True)]))
            file = self._centre.files.newest(key)
            with self._office.registry.transaction() as commit:
                for gray in file.grays if file is not None else ():
                    self._centre.releases.stop(key, gray.gray, caller)
            return Outcome(said(OK), commit)

        return self._each(files, do, OK)

    def _each(
        self, items: Sequence[v1.ConfigFileRelease], do: Callable[[v1.ConfigFileRelease], Outcome], absent: int
    ) -> Result:
        """One after another; ``absent``: what is answered for what is not there."""
        if len(items) > MAX_BATCH:
            return v1.ConfigBatchWriteResponse(
                code={"value": v1.BatchSizeOverLimit}, info=said(v1.BatchSizeOverLimit).info
            )

        def one(m: v1.ConfigFileRelease) -> Outcome:
            try:
                return do(m)
            except NotFound:
                return Outcome(said(absent))

        def work() -> Generator[None, None, Outcome]:
            joined = Joined()
            for m in items:
                joined.add(guarded(lambda m=m: one(m)))  # type: ignore[misc]
                yield
            return Outcome(collected(joined.answers), joined.commit)

        return self._office.worked(work())

    # ------------------------------------------------------------------ queries

    def get(self, query: Query, _caller: Caller) -> v1.ConfigResponse:
        """A release by its name; without one what everybody sees. 200000 without a release when there is none."""
        asked = single(query)
        key = FileKey(
            asked.get("namespace", ""), asked.get("group", ""), asked.get("file_name") or asked.get("name", "")
        )
        for name, info in zip(key, _UNNAMED, strict=True):
            if not name:
                return said(v1.BadRequest, info)
        snapshot = self._centre.reading.snapshot(key)
        release = snapshot.full.release if snapshot.full is not None else None
        if asked.get("release_name"):
            release = self._centre.reading.release(key, asked["release_name"])
        if release is None:
            return said(OK)
        shown = config_shown.release(release, snapshot, self._office.named, self._office.plain(release.text))
        return said(OK, configFileRelease=shown)

    def find(self, query: Query, caller: Caller) -> Result:
        """Releases by the names of their files and their own (``*`` at either end), the highest version first, or by name or
        time (``order_field`` name, mtime). Unknown filters are passed over."""
        asked = single(query)
        try:
            page = page_of(asked)
        except BadPage as error:
            return listed(v1.BadRequest, str(error))
        asked = {_MEANT.get(name, name): value for name, value in asked.items()}
        work = self._find(asked, page, caller, "DescribeConfigFileReleases")
        return self._office.listed(work, self._office.count(RELEASE))

    def versions(self, query: Query, caller: Caller) -> Result:
        """All releases of one file that everybody was given, without pages."""
        asked = single(query)
        asked = {name: asked.get(name) or asked.get("fileName" if name == "file_name" else "", "") for name in VERSIONS}
        for name, info in zip(VERSIONS, _UNNAMED, strict=True):
            if not asked[name]:
                return listed(v1.BadRequest, info)
        work = self._find(asked, None, caller, "DescribeConfigFileReleaseVersions")
        return self._office.listed(work, self._office.count(RELEASE))

    def _find(
        self, asked: dict[str, str], page: Page | None, caller: Caller, operation: str
    ) -> Generator[None, None, Any]:
        """``page`` None: everything but gray releases."""
        sees = self._office.visible.config_groups(caller, operation)
        names = [(at, asked[name]) for at, name in enumerate(VERSIONS) if asked.get(name)]
        own = asked.get("release_name")
        only_active = asked.get("only_active") == "true"
        found: list[tuple[Release, FileSnapshot]] = []
        for snapshot in self._candidates(asked):
            if all(wild(pattern, snapshot.key[at]) for at, pattern in names) and sees(snapshot.key.parent):
                for release in self._centre.reading.releases(snapshot.key):
                    hidden = (page is None and release.gray) or (only_active and not _is_active(release, snapshot))
                    if not hidden and (not own or wild(own, release.name)):
                        found.append((release, snapshot))
            yield
        _sort(found, asked.get("order_field", ""), asked.get("order_type", ""))
        answer = listed(OK, total=len(found))
        items = []
        for release, snapshot in found if page is None else found[page.offset : page.offset + page.limit]:
            items.append(json.fragment(config_shown.release(release, snapshot, self._office.named)))
            yield
        return Encoded(OK, tuple(json.parts(answer, "configFileReleases", items)))

    def _candidates(self, asked: dict[str, str]) -> Iterator[FileSnapshot]:
        """The files that what is asked can mean: one when it is named, else all of a namespace, or of all."""
        key = FileKey(*(asked.get(name, "") for name in VERSIONS))
        if all(key) and not any("*" in name for name in key):
            return iter([self._centre.reading.snapshot(key)])
        return self._centre.reading.walk(None if not key.namespace or "*" in key.namespace else key.namespace)


def _is_active(release: Release, snapshot: FileSnapshot) -> bool:
    seen = [seen.release.name for seen in (snapshot.full, *snapshot.grays) if seen is not None]
    return release.name in seen


def _sort(found: list[tuple[Release, FileSnapshot]], field: str, order: str) -> None:
    """Stable below the field that was asked for: files in the order of their names."""
    found.sort(key=lambda item: (item[0].key, item[0].name))
    falling = order.lower() != "asc"
    match field.lower():
        case "name":
            found.sort(key=lambda item: item[0].name, reverse=falling)
        case "mtime":
            found.sort(key=lambda item: item[0].activated.at_ms, reverse=falling)
        case _:
            found.sort(key=lambda item: item[0].version, reverse=falling)
