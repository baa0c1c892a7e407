"""Groups of configuration files: create, change, delete, list."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from polaris_bridge.adapters.polaris.answers import Outcome
from polaris_bridge.adapters.polaris.service.config.writing import GROUP_MAX, NAMESPACE_MAX
from polaris_bridge.adapters.polaris.service.console.filters import single
from polaris_bridge.adapters.polaris.service.console.names import is_name
from polaris_bridge.adapters.polaris.service.queries import Page, wild
from polaris_bridge.adapters.polaris.service.routes import Query, Result
from polaris_bridge.adapters.polaris.translate import config_shown
from polaris_bridge.adapters.polaris.translate.config import group_key
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config.model import ConfigGroup, GroupKey
from polaris_bridge.core.config.shelf import GROUP
from polaris_bridge.core.errors import Conflict, NotFound
from polaris_bridge.core.model import Caller

from .answers import OK, guarded, listed, said
from .office import BadPage, Office, page_of

_MOST_METADATA: Final = 64
FILTERS: Final = (
    "namespace",
    "group",
    "name",
    "business",
    "department",
    "order_field",
    "order_type",
    "offset",
    "limit",
)


class Groups:
    """Calls about groups."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._centre = office.centre

    # ------------------------------------------------------------------ commands

    def create(self, m: v1.ConfigFileGroup, caller: Caller) -> Outcome:
        """Create, with its namespace when that is not there; 400201 when it exists."""
        code = _fault(m)
        if len(m.name.value) > GROUP_MAX:
            code = v1.InvalidConfigFileGroupName
        elif len(m.namespace.value) > NAMESPACE_MAX:
            code = v1.InvalidNamespaceName
        if code:
            return Outcome(said(code))

        def do() -> Outcome:
            group = ConfigGroup(
                group_key(m),
                comment=m.comment.value,
                owners=m.owner.value or m.create_by.value,
                business=m.business.value,
                department=m.department.value,
                metadata=dict(m.metadata),
            )
            try:
                with self._office.registry.transaction() as commit:
                    self._centre.groups.create(group, caller)
            except Conflict:
                return Outcome(said(v1.ExistedResource))
            except NotFound:
                return Outcome(said(v1.NotFoundNamespace))
            return Outcome(said(OK), commit)

        return guarded(do)

    def update(self, m: v1.ConfigFileGroup, caller: Caller) -> Outcome:
        """Comment, business and department become what is given, or nothing; metadata is exchanged when there is some.
        200002 when nothing changes by it."""
        code = _fault(m)
        if code:
            return Outcome(said(code))

        def do() -> Outcome:
            before = self._centre.groups.newest(group_key(m))
            if before is None:
                return Outcome(said(v1.NotFoundResource))
            changes: dict[str, object] = {
                "comment": m.comment.value,
                "business": m.business.value,
                "department": m.department.value,
                "metadata": dict(m.metadata) or before.metadata,
            }
            if all(getattr(before, name) == value for name, value in changes.items()):
                return Outcome(said(v1.NoNeedUpdate))
            with self._office.registry.transaction() as commit:
                self._centre.groups.update(group_key(m), caller, **changes)
            return Outcome(said(OK), commit)

        return guarded(do)

    def delete(self, query: Query, caller: Caller) -> Outcome:
        """Delete one without files; 400201 while it has some, 400202 when there is none."""
        asked = single(query)
        key = GroupKey(asked.get("namespace", ""), asked.get("group", ""))
        if not is_name(key.namespace):
            return Outcome(said(v1.InvalidNamespaceName))
        if not key.group:
            return Outcome(said(v1.InvalidConfigFileGroupName))

        def do() -> Outcome:
            try:
                commit = self._centre.groups.delete(key, caller)
            except Conflict:
                return Outcome(said(v1.ExistedResource))
            return Outcome(said(v1.NotFoundResource)) if commit is None else Outcome(said(OK), commit)

        return guarded(do)

    # ------------------------------------------------------------------ queries

    def find(self, query: Query, caller: Caller) -> Result:
        """Groups by name, business and department (``*`` at either end), the one changed last first, or by name. Unknown
        filters are passed over."""
        asked = single(query)
        try:
            page = page_of(asked)
        except BadPage as error:
            return listed(v1.BadRequest, str(error))
        return self._office.listed(self._find(asked, page, caller), self._office.count(GROUP))

    def _find(self, asked: dict[str, str], page: Page, caller: Caller) -> Generator[None, None, Any]:
        visible = self._office.visible
        sees = visible.config_groups(caller, "DescribeConfigFileGroups")
        edits = visible.config_groups(caller, "UpdateConfigFileGroup")
        deletes = visible.config_groups(caller, "DeleteConfigFileGroup")
        names = [asked[name] for name in ("group", "name") if asked.get(name)]
        found: list[ConfigGroup] = []
        for group in self._centre.reading.walk_groups():
            if (
                _fits(asked.get("namespace"), group.key.namespace)
                and all(wild(name, group.key.group) for name in names)
                and _fits(asked.get("business"), group.business)
                and _fits(asked.get("department"), group.department)
                and sees(group.key)
            ):
                found.append(group)
            yield
        _sort(found, asked.get("order_field", ""), asked.get("order_type", ""))
        answer = listed(OK, total=len(found))
        for group in found[page.offset : page.offset + page.limit]:
            m = config_shown.group(group, self._centre.reading.count(group.key), self._office.named)
            m.editable.value = m.editable.value and edits(group.key)
            m.deleteable.value = deletes(group.key)
            answer.configFileGroups.append(m)
            yield
        return answer


def _fault(m: v1.ConfigFileGroup) -> int:
    """0, or what is wrong with a group that is to be written."""
    if not is_name(m.name.value):
        return v1.InvalidConfigFileGroupName
    if not is_name(m.namespace.value):
        return v1.InvalidNamespaceName
    return v1.InvalidMetadata if len(m.metadata) > _MOST_METADATA else 0


def _fits(pattern: str | None, value: str) -> bool:
    return not pattern or wild(pattern, value)


def _sort(found: list[ConfigGroup], field: str, order: str) -> None:
    """In the original ``asc`` of the time is the newest first, and ``desc`` no order at all; here it is the other way round."""
    found.sort(key=lambda group: group.id)
    backwards = order.lower() not in ("", "asc")
    if field.lower() == "name":
        found.sort(key=lambda group: group.key.group, reverse=backwards)
    else:
        found.sort(key=lambda group: group.modified.at_ms, reverse=not backwards)
