"""Configuration files: drafts are created, changed, read, searched and deleted."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, Final

from polaris_bridge.adapters.polaris.answers import Outcome
from polaris_bridge.adapters.polaris.service.console.filters import single
from polaris_bridge.adapters.polaris.service.queries import Page, wild
from polaris_bridge.adapters.polaris.service.routes import Encoded, Query, Result
from polaris_bridge.adapters.polaris.translate import config_shown
from polaris_bridge.adapters.polaris.translate.config import draft_key
from polaris_bridge.adapters.polaris.wire import json, v1
from polaris_bridge.core.config.model import ConfigFile, Done, FileKey
from polaris_bridge.core.config.reading import FileSnapshot
from polaris_bridge.core.config.shelf import FILE
from polaris_bridge.core.model import Caller

from .answers import OK, guarded, listed, said, written
from .office import BadPage, Office, page_of

FILTERS: Final = ("namespace", "group", "name", "offset", "limit")


class Files:
    """Calls about drafts."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._centre = office.centre

    # ------------------------------------------------------------------ commands

    def create(self, m: v1.ConfigFile, caller: Caller) -> Outcome:
        """A new draft, with its namespace and group when they are not there; answers show what was sent. 400201: it exists."""
        m.create_by.value = m.modify_by.value = self._office.operator(caller)
        if not m.namespace.value or not m.group.value:
            return Outcome(said(v1.InvalidParameter, configFile=m))
        result = self._office.writing.create(m, caller)
        return written(result, configFile=m) if result.code in _ECHOED else written(result)

    def update(self, m: v1.ConfigFile, caller: Caller) -> Outcome:
        """Change a draft: what is not given becomes empty. Answers show the file."""
        result = self._office.writing.update(m, caller)
        if result.done is None:
            return written(result)
        return written(result, configFile=self._changed(result.done, m))

    def delete(self, query: Query, caller: Caller) -> Outcome:
        """Delete a file and everything released of it; what is not there is deleted too."""
        asked = single(query)
        return self._delete([FileKey(*(asked.get(name, "") for name in ("namespace", "group", "name")))], caller)

    def delete_all(self, files: Sequence[v1.ConfigFile], caller: Caller) -> Outcome:
        """Delete many, all of them or (when one is refused) none."""
        return self._delete([draft_key(m) for m in files], caller)

    def _delete(self, keys: Sequence[FileKey], caller: Caller) -> Outcome:
        def do() -> Outcome:
            with self._office.registry.transaction() as commit:
                for key in keys:
                    self._centre.files.delete(key, caller)
            return Outcome(said(OK), commit)

        return guarded(do)

    # ------------------------------------------------------------------ queries

    def get(self, query: Query, _caller: Caller) -> v1.ConfigResponse:
        """A file with its draft and how that stands to what is released."""
        asked = single(query)
        key = FileKey(*(asked.get(name, "") for name in ("namespace", "group", "name")))
        for name, code in zip(key, _MISSING, strict=True):
            if not name:
                return said(code)
        snapshot = self._centre.reading.snapshot(key)
        if snapshot.file is None:
            return said(v1.NotFoundResource)
        return said(OK, configFile=self._shown(snapshot))

    def find(self, query: Query, caller: Caller) -> Result:
        """Files by namespace, group and name (``*`` at either end), the newest first. Unknown filters are passed over."""
        asked = single(query)
        try:
            page = page_of(asked)
        except BadPage as error:
            return listed(v1.BadRequest, str(error))
        return self._office.listed(self._find(asked, page, caller), self._office.count(FILE))

    def _find(self, asked: dict[str, str], page: Page, caller: Caller) -> Generator[None, None, Any]:
        wanted = [(at, asked[name]) for at, name in enumerate(("namespace", "group", "name")) if asked.get(name)]
        sees = self._office.visible.config_groups(caller, "DescribeConfigFiles")
        found: list[FileSnapshot] = []
        for snapshot in self._candidates(asked.get("namespace", "")):
            if all(wild(pattern, snapshot.key[at]) for at, pattern in wanted) and sees(snapshot.key.parent):
                found.append(snapshot)
            yield
        found.sort(key=lambda s: -_file(s).id)
        answer = listed(OK, total=len(found))
        items = []
        for snapshot in found[page.offset : page.offset + page.limit]:
            items.append(json.fragment(self._shown(snapshot)))
            yield
        return Encoded(OK, tuple(json.parts(answer, "configFiles", items)))

    def algorithms(self, _query: Query, _caller: Caller) -> v1.ConfigEncryptAlgorithmResponse:
        """By what files can be encrypted."""
        answer = v1.ConfigEncryptAlgorithmResponse(code={"value": OK}, info={"value": said(OK).info.value})
        for name in self._centre.sealing.algorithms:
            answer.algorithms.add(value=name)
        return answer

    # ------------------------------------------------------------------ pieces

    def _candidates(self, namespace: str) -> Iterator[FileSnapshot]:
        """Every file that a pattern of a namespace can mean."""
        return self._centre.reading.walk(None if not namespace or "*" in namespace else namespace)

    def _shown(self, snapshot: FileSnapshot) -> v1.ConfigFile:
        content = self._office.plain(_file(snapshot).draft)
        return config_shown.file(snapshot, content, self._office.named)

    def _changed(self, done: Done, m: v1.ConfigFile) -> v1.ConfigFile:
        """A changed file in the answer: as the original has it, without its status."""
        assert done.file is not None
        snapshot = FileSnapshot(done.file.key, done.file.revision, done.file.version, done.file)
        shown = config_shown.file(snapshot, m.content.value.encode(), self._office.named)
        shown.status.value = ""
        return shown


_ECHOED: Final = frozenset({OK, v1.InvalidNamespaceName, v1.NotFoundNamespace})
"""Codes with which CreateConfigFile shows what was sent."""
_MISSING: Final = (v1.InvalidNamespaceName, v1.InvalidConfigFileGroupName, v1.InvalidConfigFileName)


def _file(snapshot: FileSnapshot) -> ConfigFile:
    assert snapshot.file is not None
    return snapshot.file
