"""The history of releases, and templates to begin files with."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from polaris_bridge.adapters.polaris.answers import Outcome, text
from polaris_bridge.adapters.polaris.service.console.filters import single
from polaris_bridge.adapters.polaris.service.queries import Page
from polaris_bridge.adapters.polaris.service.routes import Encoded, Query, Result
from polaris_bridge.adapters.polaris.translate import config_shown
from polaris_bridge.adapters.polaris.wire import json, v1
from polaris_bridge.core.config.model import DELETE, Door, Entry
from polaris_bridge.core.config.ports import TooLong
from polaris_bridge.core.config.shelf import HISTORY
from polaris_bridge.core.errors import Conflict
from polaris_bridge.core.model import Caller

from .answers import OK, guarded, listed, said
from .office import BadPage, Office, page_of

FILTERS: Final = ("namespace", "group", "name", "endId", "end_id", "offset", "limit")


class Histories:
    """What happened to releases."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._centre = office.centre

    def find(self, query: Query, caller: Caller) -> Result:
        """Lines of a namespace, of groups and files whose names contain what is asked for, with ids below ``endId``; the
        newest first. Unknown filters are passed over."""
        asked = single(query)
        try:
            page = page_of(asked)
        except BadPage as error:
            return listed(v1.BadRequest, str(error))
        return self._office.listed(self._find(asked, page, caller), self._office.count(HISTORY))

    def _find(self, asked: dict[str, str], page: Page, caller: Caller) -> Generator[None, None, Any]:
        sees = self._office.visible.config_groups(caller, "DescribeConfigFileReleaseHistories")
        namespace, group, name = (asked.get(part, "") for part in ("namespace", "group", "name"))
        end = asked.get("endId") or asked.get("end_id") or ""
        below = int(end) if end.isascii() and end.isdigit() and len(end) < 20 else 0
        found: list[Entry] = []
        total = 0
        for entry in self._centre.history.newest_first(namespace, (group, name)):
            fits = entry is not None and group in entry.key.group and name in entry.key.name
            if entry is None or not fits:
                yield
                continue
            if (not below or entry.number < below) and _is_shown(entry) and sees(entry.key.parent):
                if page.offset <= total < page.offset + page.limit:
                    found.append(entry)
                total += 1
            yield
        items = []
        for entry in found:
            items.append(json.fragment(config_shown.history(entry, self._office.plain(entry.text), self._office.named)))
            yield
        return Encoded(OK, tuple(json.parts(listed(OK, total=total), "configFileReleaseHistories", items)))


def _is_shown(entry: Entry) -> bool:
    """What is about drafts alone is no release; the deletion of a file counts when something of it was released."""
    return entry.operation in config_shown.TYPES and (entry.operation != DELETE or bool(entry.release))


class Templates:
    """Contents to begin files with."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._centre = office.centre

    def create(self, m: v1.ConfigFileTemplate, caller: Caller) -> Outcome:
        """A new template; 400201 when there is one of its name."""
        if not m.name.value:
            return Outcome(said(v1.InvalidConfigFileTemplateName))
        content = m.content.value.encode()
        if not content:
            return Outcome(said(v1.BadRequest, f"{text(v1.BadRequest)}:content can not be blank."))

        def do() -> Outcome:
            try:
                _, commit = self._centre.templates.put(
                    m.name.value,
                    content,
                    caller,
                    format=m.format.value,
                    comment=m.comment.value,
                    fresh=True,
                    door=Door(content_chars=self._office.settings.content_max),
                )
            except TooLong:
                return Outcome(said(v1.InvalidConfigFileContentLength))
            except Conflict:
                return Outcome(said(v1.ExistedResource))
            return Outcome(said(OK), commit)

        return guarded(do)

    def find(self, _query: Query, _caller: Caller) -> v1.ConfigBatchQueryResponse:
        """All of them, oldest first (in the original in no order)."""
        found = self._centre.templates.all()
        answer = listed(OK, total=len(found))
        answer.configFileTemplates.extend(config_shown.template(each, self._office.named) for each in found)
        return answer
