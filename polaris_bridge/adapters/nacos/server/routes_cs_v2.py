"""HTTP v2, configurations: ``/nacos/v2/cs``. Answers of Nacos 2.5.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.nacos.service.config.history import Row
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.config import NOT_FOUND, check_names, check_tag
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.config.model import FileKey

from . import cs_shown
from .answers import JSON_UTF8, Answer, Reply, Sliced, encode, json, result
from .call import HttpCall, Route, Routes
from .cs_calls import entry, history, listed, previous, searched
from .forms_cs import (
    LONG,
    MAX_HISTORY,
    by_name_v2,
    by_space,
    file_key,
    member,
    needed,
    number,
    part,
    publication,
    wanted,
)
from .forms_cs import searched as by_search
from .routes_cs_v1 import content_headers, named, the_asker

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

# ---------------------------------------------------------------------- one configuration


def read(service: NacosService, call: HttpCall) -> Answer:
    """GET config: the content in the envelope, what is said of it in headers."""
    key, tag = file_key(call), call.params.raw("tag") or ""
    check_names(key.name, key.group)
    check_tag(tag)
    found = service.configs.query(key, the_asker(call, tag), tag)
    if found is None:
        raise Refused(404, codes.RESOURCE_NOT_FOUND, NOT_FOUND)
    content = encode(found.content.decode("utf-8", "replace"))
    return Answer(b'{"code":0,"message":"success","data":%b}' % content, content_headers(found, JSON_UTF8))


def publish(service: NacosService, call: HttpCall) -> Answer:
    """POST config: for everybody, or (header ``betaIps``, parameter ``tag``) for some."""
    data_id, group = member(call, "dataId"), member(call, "group")
    said = publication(call)
    check_names(data_id, group)
    key = FileKey(call.scope.namespace, group, data_id)
    done = service.configs.publish(key, said, named(call.caller, said.src_user))
    return result(True, done.commit)


def remove(service: NacosService, call: HttpCall) -> Answer:
    """DELETE config: all of it, or what was published for a ``tag``; fine too when there is none."""
    key, tag = file_key(call), call.params.raw("tag") or ""
    check_names(key.name, key.group)
    check_tag(tag)
    caller = named(call.caller, call.params.raw("username") or "")
    return result(True, service.configs.remove(key, tag, caller))


def search_detail(service: NacosService, call: HttpCall) -> Reply:
    """GET config/searchDetail: also by what contents say; the answer is bare, and its parameters are those of v1."""
    data_id, group = needed(call, "dataId"), needed(call, "group")
    needed(call, "config_detail")
    asked = part(call, must=True, head=f"serialize page error, dataId={data_id}, group={group};caused: ")
    blur = (call.params.raw("search") or "blur") == "blur"
    look = wanted(call, group="group", tags="config_tags", types="", content="config_detail", blur=blur)
    item = cs_shown.item if blur else cs_shown.exact_item
    return Sliced(searched(service, call, look, asked, call.scope.namespace_id, item, json))


# ---------------------------------------------------------------------- history


def history_list(service: NacosService, call: HttpCall) -> Sliced:
    """GET history/list"""
    key = file_key(call)
    asked = part(call, most=MAX_HISTORY, kind="Integer")
    return Sliced(history(service, key, asked, call.scope.namespace_id, cs_shown.row, result))


def _shown(service: NacosService, call: HttpCall, row: Row | None) -> Answer:
    if row is None:
        return result(None)
    content = service.config_admin.history.content(row.text)
    return result(cs_shown.row(row, call.scope.namespace_id, content))


def history_one(service: NacosService, call: HttpCall) -> Sliced:
    """GET history"""
    key, id = file_key(call), number(call, "nid", None, LONG)
    return Sliced(entry(service, key, id, lambda row: _shown(service, call, row)))


def history_detail(service: NacosService, call: HttpCall) -> Sliced:
    """GET history/detail: what was there before and after."""
    key, id = file_key(call), number(call, "nid", None, LONG)
    content = service.config_admin.history.content

    def show(row: Row | None) -> Answer:
        if row is None:
            return result(None)
        before = None if row.operation == "I" else content(row.text)
        after = None if row.after is None else content(row.after)
        return result(cs_shown.compared(row, call.scope.namespace_id, before, after))

    return Sliced(entry(service, key, id, show))


def history_previous(service: NacosService, call: HttpCall) -> Sliced:
    """GET history/previous: by the configuration's id, the newest row."""
    key, id = file_key(call), number(call, "id", None, LONG)
    return Sliced(previous(service, key, id, lambda row: _shown(service, call, row)))


def history_configs(service: NacosService, call: HttpCall) -> Sliced:
    """GET history/configs: all of a namespace, by name."""
    needed(call, "namespaceId")
    return Sliced(listed(service, call, call.scope.namespace_id, cs_shown.named, result))


_CONFIG: Final = "/v2/cs/config"
_HISTORY: Final = "/v2/cs/history"

ROUTES: Final[Routes] = {
    ("GET", _CONFIG): Route(read, "r", by_name_v2, 2, "config"),
    ("POST", _CONFIG): Route(publish, "w", by_name_v2, 2, "config"),
    ("DELETE", _CONFIG): Route(remove, "w", by_name_v2, 2, "config"),
    ("GET", f"{_CONFIG}/searchDetail"): Route(search_detail, "r", by_search("tenant", "group"), 2, "config"),
    ("GET", _HISTORY): Route(history_one, "r", by_name_v2, 2, "config"),
    ("GET", f"{_HISTORY}/list"): Route(history_list, "r", by_name_v2, 2, "config"),
    ("GET", f"{_HISTORY}/detail"): Route(history_detail, "r", by_name_v2, 2, "config"),
    ("GET", f"{_HISTORY}/previous"): Route(history_previous, "r", by_name_v2, 2, "config"),
    ("GET", f"{_HISTORY}/configs"): Route(history_configs, "r", by_space, 2, "config"),
}
