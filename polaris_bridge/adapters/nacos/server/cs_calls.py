"""Calls of operators about configurations that every generation has in its own words: searches, archives, clones, removals.

Each returns work that is done a few milliseconds at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from polaris_bridge.adapters._shared import zips
from polaris_bridge.adapters._shared.exchange import Headers
from polaris_bridge.adapters.nacos.service.config.history import Row
from polaris_bridge.adapters.nacos.service.config.search import Wanted
from polaris_bridge.adapters.nacos.service.config.transfer import POLICIES, CloneOf, Report
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.config import invalid, nameable
from polaris_bridge.adapters.nacos.wire.config_archive import IllegalMetadata, pack, unpack
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.config.model import FileKey, Seen
from polaris_bridge.core.config.reading import FileSnapshot
from polaris_bridge.core.model import Caller

from . import cs_shown
from .answers import Answer, encode
from .call import HttpCall
from .forms_cs import Part, Work, Writing, check_may, together

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

_AT_ONCE: Final = 16
"""Items that are encoded before others get their turn."""

Item = Callable[[FileSnapshot, Seen, str], cs_shown.Shown]
Show = Callable[[bytes], Answer]
"""JSON as an answer."""
Say = Callable[[int, object], Answer]
"""An answer with a code, 0 for success, and data."""

# ---------------------------------------------------------------------- lists


def searched(
    service: NacosService, call: HttpCall, wanted: Wanted, part: Part, tenant: str, item: Item, show: Show
) -> Work:
    """A page of what a search finds."""
    admin, namespace = service.config_admin, call.scope.namespace
    found = yield from admin.search.find(namespace, wanted, admin.sees(call.caller, namespace))
    shown: list[bytes] = []
    for snapshot in found[part.span]:
        if snapshot.full is not None:
            shown.append(encode(item(snapshot, snapshot.full, tenant)))
        yield
    return show(part.of(len(found), shown))


def listed(service: NacosService, call: HttpCall, tenant: str, item: Item, show: Show) -> Work:
    """All configurations of a namespace."""
    admin, namespace = service.config_admin, call.scope.namespace
    found = yield from admin.search.find(namespace, Wanted(), admin.sees(call.caller, namespace))
    shown: list[bytes] = []
    for index, snapshot in enumerate(found):
        if snapshot.full is not None:
            shown.append(encode(item(snapshot, snapshot.full, tenant)))
        if index % _AT_ONCE == 0:
            yield
    return show(b"[%b]" % b",".join(shown))


# ---------------------------------------------------------------------- history

_NOT_THAT: Final = "Please check dataId, group or namespaceId."

RowItem = Callable[[Row, str, bytes | None], cs_shown.Shown]


def history(service: NacosService, key: FileKey, part: Part, tenant: str, item: RowItem, show: Show) -> Work:
    """A page of rows."""
    rows = yield from service.config_admin.history.rows(key)
    shown: list[bytes] = []
    for index, row in enumerate(rows[part.span]):
        shown.append(encode(item(row, tenant, None)))
        if index % _AT_ONCE == 0:
            yield
    return show(part.of(len(rows), shown))


def entry(service: NacosService, key: FileKey, number: int, show: Callable[[Row | None], Answer]) -> Work:
    """One row, None when there is none. Refused when it is about another configuration."""
    admin = service.config_admin.history
    about = admin.of_number(number)
    if about is None:
        return show(None)
    if about != key:
        raise Refused(403, codes.ACCESS_DENIED, _NOT_THAT)
    rows = yield from admin.rows(key)
    return show(next((row for row in rows if row.number == number), None))


def previous(service: NacosService, key: FileKey, id: int, show: Callable[[Row | None], Answer]) -> Work:
    """The newest row of the configuration with an id, whose content is what was there before; or the row before the one with
    that number. None when there is none."""
    rows = yield from service.config_admin.history.rows(key)
    own = next((row for row in rows if row.file == id), None)
    if own is None:
        at = next((index for index, row in enumerate(rows) if row.number == id), len(rows))
        own = rows[at + 1] if at + 1 < len(rows) else None
    return show(own)


# ---------------------------------------------------------------------- archives


def exported(service: NacosService, call: HttpCall, wanted: Wanted, ids: Sequence[int], *, newer: bool) -> Work:
    """An archive: of the configurations with these ids, or, without any, of those that are looked for."""
    admin, namespace = service.config_admin, call.scope.namespace
    if ids:
        by_id = yield from admin.search.by_id(set(ids))
        found = [by_id[id] for id in dict.fromkeys(ids) if id in by_id]
        check_may(service, call, [snapshot.key for snapshot in found], "r")
    else:
        found = yield from admin.search.find(namespace, wanted, admin.sees(call.caller, namespace))
    files = yield from pack(admin.carrying.packed(found), newer=newer)
    try:
        data = yield from zips.write(files)
    except zips.BadZip as error:
        raise Refused(400, codes.PARAMETER_VALIDATE, str(error)) from None
    return Answer(data, _archive(service.now_ms(), b"" if call.generation == 3 else b";charset=UTF-8"))


def _archive(now_ms: int, charset: bytes) -> Headers:
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(now_ms // 1000))
    name = f"attachment;filename=nacos_config_export_{stamp}.zip"
    return ((b"Content-Disposition", name.encode()), (b"Content-Type", b"application/octet-stream" + charset))


def policy(call: HttpCall) -> str:
    """What is done with a configuration that is there."""
    name = call.params.raw("policy") or "ABORT"
    if name not in POLICIES:
        text = f"No enum constant com.alibaba.nacos.config.server.model.SameConfigPolicy.{name[:100]}"
        raise Refused(400, codes.PARAMETER_VALIDATE, text)
    return POLICIES[name]


def known(service: NacosService, namespace_id: str) -> bool:
    """Whether somebody made a namespace; the default one is always there."""
    return not namespace_id.strip() or service.namespaces.find(namespace_id.strip()) is not None


def imported(
    service: NacosService, call: HttpCall, data: bytes, policy: str, caller: Caller, say: Say, *, newer: bool
) -> Writing:
    """Take an archive in. ``newer``: only one of the newer form."""
    try:
        files = (yield from zips.read(data)) if data.startswith(b"PK") else []
        if not files:
            return say(codes.DATA_EMPTY, {"succCount": 0})
        unpacked = yield from unpack(files, newer_only=newer)
    except IllegalMetadata:
        return say(codes.METADATA_ILLEGAL, {"succCount": 0})
    except zips.BadZip:
        return say(codes.PARSING_FAILED, {"succCount": 0})
    if not unpacked.configs:
        return say(codes.DATA_EMPTY, {"succCount": 0})
    found = yield from service.config_admin.carrying.bring_in(unpacked.configs, call.scope.namespace, policy, caller)
    return _reported(say(codes.OK, cs_shown.report(found, unpacked.unrecognized)), found)


def _reported(answer: Answer, found: Report) -> Answer:
    return Answer(answer.body, answer.headers, answer.status, together(found.commits))


# ---------------------------------------------------------------------- clones


class _Clone(Struct):
    """One configuration to be cloned, as v1 and the console of v3 name it, and as the administration of v3 does."""

    cfg_id: int | str | None = msgspec.field(default=None, name="cfgId")
    data_id: str | None = msgspec.field(default=None, name="dataId")
    group: str | None = None
    config_id: int | str | None = msgspec.field(default=None, name="configId")
    target_data_id: str | None = msgspec.field(default=None, name="targetDataId")
    target_group: str | None = msgspec.field(default=None, name="targetGroupName")

    @property
    def id(self) -> int:
        """Of the configuration; -1 for what is no number."""
        said = str(self.cfg_id if self.cfg_id is not None else self.config_id)
        return int(said) if said.isdecimal() and said.isascii() and len(said) < 20 else -1


_MAX_CLONES: Final = 10_000
_clones: Final = msgspec.json.Decoder(list[_Clone | None]).decode


def clones(call: HttpCall) -> list[_Clone]:
    """What the body of a call says is to be cloned. Raises ``Refused``."""
    try:
        found = _clones(call.request.body)
    except msgspec.DecodeError as error:
        raise Refused(400, codes.PARAMETER_VALIDATE, f"JSON parse error: {error}") from None
    if len(found) > _MAX_CLONES:
        raise Refused(400, codes.PARAMETER_VALIDATE, f"more than {_MAX_CLONES} configurations")
    return [clone for clone in found if clone is not None]


def cloned(
    service: NacosService, call: HttpCall, wanted: list[_Clone], policy: str, caller: Caller, say: Say
) -> Writing:
    """Publish configurations once more in the namespace of the call, some under other names."""
    admin, namespace = service.config_admin, call.scope.namespace
    by_id: dict[int, _Clone] = {}
    for clone in wanted:
        by_id.setdefault(clone.id, clone)
    sources = yield from admin.search.by_id(set(by_id))
    if not sources:
        return say(codes.DATA_EMPTY, {"succCount": 0})
    found: list[CloneOf] = []
    targets: list[FileKey] = []
    for id, clone in by_id.items():
        source = sources.get(id)
        if source is None:
            continue
        group = _first(clone.target_group, clone.group) or source.key.group
        data_id = _first(clone.target_data_id, clone.data_id) or source.key.name
        if not nameable(group, data_id):
            raise invalid(f"invalid dataId : {data_id}" if nameable(group, "a") else f"invalid group : {group}")
        targets.append(FileKey(namespace, group, data_id))
        found.append(CloneOf(source, group, data_id))
    check_may(service, call, [clone.source.key for clone in found], "r")
    check_may(service, call, targets, "w")
    report = yield from admin.carrying.clone(found, namespace, policy, caller)
    return _reported(say(codes.OK, cs_shown.report(report)), report)


def _first(*texts: str | None) -> str:
    return next((text.strip() for text in texts if text and text.strip()), "")


# ---------------------------------------------------------------------- removals


def removed(
    service: NacosService, call: HttpCall, ids: Sequence[int], caller: Caller, done: Callable[[], Answer]
) -> Writing:
    """Remove the configurations with these ids; those that are not there are passed over."""
    admin = service.config_admin
    found = yield from admin.search.by_id(set(ids))
    keys = [snapshot.key for snapshot in found.values()]
    check_may(service, call, keys, "w")
    commits = yield from admin.carrying.remove(keys, caller)
    answer = done()
    return Answer(answer.body, answer.headers, answer.status, together(commits))


def usage(service: NacosService, namespace: str | None, group: str, show: Callable[[int], Answer]) -> Work:
    """How many configurations a namespace (None: all of them), or a group of it, has."""
    count = yield from service.config_admin.search.count(namespace, group)
    return show(count)
