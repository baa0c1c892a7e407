"""HTTP v3, configurations: the clients' API, the administration and the console. Answers of Nacos 3.x.

The console's paths are those of its own port (8080, 3.x); here they are beneath the context path as well. Its "roll back" is a
publication of what a row of the history keeps.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.nacos.service.config.history import Row
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.config import check_names, check_tag, tags_of
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.model import Caller

from . import cs_shown
from .answers import Answer, Later, Reply, Sliced, failure, result, summary
from .call import HttpCall, Names, Route, Routes
from .cs_calls import (
    cloned,
    clones,
    entry,
    exported,
    history,
    imported,
    known,
    listed,
    policy,
    previous,
    removed,
    searched,
    usage,
)
from .forms_cs import (
    LONG,
    MAX_HISTORY,
    by_name_v3,
    by_space,
    form_key,
    ids,
    needed,
    number,
    part,
    publication,
    space,
    spelled,
    wanted,
)
from .forms_cs import searched as by_search
from .operators import CLIENTS, SWITCHES, Run, operated
from .routes_cs_admin import capacity_limits, held_by, held_key
from .routes_cs_v1 import named, the_asker

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

# ---------------------------------------------------------------------- clients


def client_read(service: NacosService, call: HttpCall) -> Answer:
    """GET config of clients; one that is not there is a success of HTTP with code 20004."""
    key, tag = form_key(call), call.params.raw("tag") or ""
    found = service.configs.query(key, the_asker(call, tag), tag)
    if found is None:
        return _failed(codes.RESOURCE_NOT_FOUND, None)
    return result(
        {
            "resultCode": 200,
            "errorCode": 0,
            "message": None,
            "requestId": None,
            "content": found.content.decode("utf-8", "replace"),
            "encryptedDataKey": found.encrypted_data_key,
            "contentType": found.type,
            "md5": found.md5,
            "lastModified": found.modified_ms,
            "tag": found.tag or None,
            "beta": found.beta,
            "success": True,
        }
    )


def _failed(code: int, data: object) -> Answer:
    return failure(200, code, summary(code), data)


# ---------------------------------------------------------------------- one configuration


def detail(service: NacosService, call: HttpCall) -> Answer:
    """GET config of operators: all that is known of it."""
    key = form_key(call)
    found = service.configs.detail(key)
    if found is None or found.full is None:
        raise Refused(404, codes.RESOURCE_NOT_FOUND, "Config not exist, please publish Config first.")
    return result(cs_shown.detail_v3(found, found.full, spelled(service, call)))


def console_detail(service: NacosService, call: HttpCall) -> Answer:
    """GET config of the console: null when there is none."""
    found = service.configs.detail(form_key(call))
    if found is None or found.full is None:
        return result(None)
    return result(cs_shown.detail_v3(found, found.full, spelled(service, call)))


def publish(service: NacosService, call: HttpCall) -> Answer:
    """POST config: for everybody, or (header ``betaIps``, parameter ``tag``) for some."""
    key, said = form_key(call), publication(call)
    check_names(key.name, key.group)
    return result(True, service.configs.publish(key, said, named(call.caller, said.src_user)).commit)


def remove(service: NacosService, call: HttpCall) -> Answer:
    """DELETE config: all of it, or what was published for a ``tag``; fine too when there is none."""
    key, tag = form_key(call), call.params.raw("tag") or ""
    check_tag(tag)
    return result(True, service.configs.remove(key, tag, _user(call)))


def metadata(service: NacosService, call: HttpCall) -> Answer:
    """PUT config/metadata (3.1): description and tags, under the same content."""
    key = form_key(call)
    raw = call.params.raw
    commit = service.config_admin.describe(key, raw("desc"), tags_of(raw("configTags")), _user(call))
    if commit is None:
        raise Refused(404, codes.RESOURCE_NOT_FOUND, "Config not exist, please publish Config first.")
    return result(True, commit)


def beta(service: NacosService, call: HttpCall) -> Answer:
    """GET config/beta: what is published for addresses."""
    key = form_key(call)
    seen = service.configs.beta(key)
    if seen is None:
        raise Refused(404, codes.RESOURCE_NOT_FOUND, "Config is not in beta.")
    snapshot = service.registry.config.reading.snapshot(key)
    return result(cs_shown.gray_v3(snapshot, seen, spelled(service, call)))


def console_beta(service: NacosService, call: HttpCall) -> Answer:
    """The same of the console: null when there is nothing."""
    return result(None) if service.configs.beta(form_key(call)) is None else beta(service, call)


def console_stop_beta(service: NacosService, call: HttpCall) -> Answer:
    """DELETE config/beta of the console"""
    commit = service.configs.stop_beta(form_key(call), _user(call))
    return failure(200, 500, "Internal Server Error", False) if commit is None else result(True, commit)


def stop_beta(service: NacosService, call: HttpCall) -> Answer:
    """DELETE config/beta"""
    commit = service.configs.stop_beta(form_key(call), _user(call))
    if commit is None:
        return failure(200, codes.SERVER_ERROR, "remove beta data error", False)
    return result(True, commit)


def _user(call: HttpCall) -> Caller:
    return named(call.caller, call.params.raw("srcUser") or call.params.raw("username") or "")


# ---------------------------------------------------------------------- several


def _find(service: NacosService, call: HttpCall, *, blur: bool, content: str) -> Sliced:
    asked = part(call)
    look = wanted(call, group="groupName", tags="configTags", types="type", content=content, blur=blur)
    return Sliced(searched(service, call, look, asked, spelled(service, call), cs_shown.basic, result))


def search(service: NacosService, call: HttpCall) -> Sliced:
    """GET config/list of the administration, config/searchDetail of the console: also by what contents say."""
    blur = (call.params.raw("search") or _BLUR) == _BLUR
    return _find(service, call, blur=blur, content="configDetail")


def console_search(service: NacosService, call: HttpCall) -> Sliced:
    """GET config/list of the console."""
    return _find(service, call, blur=True, content="")


def remove_by_ids(service: NacosService, call: HttpCall) -> Sliced:
    """DELETE config/batch"""
    return Sliced(removed(service, call, ids(call, must=True), _user(call), lambda: result(True)))


def export(service: NacosService, call: HttpCall) -> Sliced:
    """GET config/export of the administration, config/export2 of the console"""
    look = wanted(call, group="groupName", tags="", types="", content="", blur=False)
    return Sliced(exported(service, call, look, ids(call, must=False), newer=True))


def _say(code: int, data: object) -> Answer:
    return result(data) if code == codes.OK else _failed(code, data)


def bring_in(service: NacosService, call: HttpCall) -> Reply:
    """POST config/import: an archive of the newer form as the uploaded ``file``."""
    taken = policy(call)
    data = call.params.file("file")
    if data is None:
        return _failed(codes.DATA_EMPTY, {})
    if not known(service, call.scope.namespace_id):
        return _failed(codes.NAMESPACE_NOT_EXIST, {"succCount": 0})
    caller = named(call.caller, call.params.raw("src_user") or call.params.raw("srcUser") or "")
    return Sliced(imported(service, call, data, taken, caller, _say, newer=True))


def _clone(service: NacosService, call: HttpCall, target: str) -> Reply:
    needed(call, target)
    taken, asked = policy(call), clones(call)
    if not asked:
        return _failed(codes.NOTHING_SELECTED, {"succCount": 0})
    if not known(service, call.scope.namespace_id):
        return _failed(codes.NAMESPACE_NOT_EXIST, {"succCount": 0})
    caller = named(call.caller, call.params.raw("src_user") or call.params.raw("srcUser") or "")
    return Sliced(cloned(service, call, asked, taken, caller, _say))


def clone(service: NacosService, call: HttpCall) -> Reply:
    """POST config/clone: the body lists ids of configurations, and what their clones are to be called."""
    return _clone(service, call, "namespaceId")


def console_clone(service: NacosService, call: HttpCall) -> Reply:
    """The same of the console."""
    return _clone(service, call, "targetNamespaceId")


# ---------------------------------------------------------------------- history


def history_list(service: NacosService, call: HttpCall) -> Sliced:
    """GET history/list"""
    key, asked = form_key(call), part(call, most=MAX_HISTORY)
    return Sliced(history(service, key, asked, spelled(service, call), cs_shown.row_v3, result))


def _shown(service: NacosService, call: HttpCall, absent: str, row: Row | None) -> Answer:
    if row is None:
        raise Refused(404, codes.RESOURCE_NOT_FOUND, absent)
    content = service.config_admin.history.content(row.text)
    return result(cs_shown.row_v3(row, spelled(service, call), content))


def history_one(service: NacosService, call: HttpCall) -> Sliced:
    """GET history"""
    key, id = form_key(call), number(call, "nid", None, LONG)
    absent = f"certain config history for nid = {id} not exist"
    return Sliced(entry(service, key, id, partial(_shown, service, call, absent)))


def history_previous(service: NacosService, call: HttpCall) -> Sliced:
    """GET history/previous: by the configuration's id, the newest row."""
    key, id = form_key(call), number(call, "id", None, LONG)
    absent = f"previous config history for id = {id} not exist"
    return Sliced(previous(service, key, id, partial(_shown, service, call, absent)))


def history_configs(service: NacosService, call: HttpCall) -> Sliced:
    """GET history/configs: all of a namespace."""
    needed(call, "namespaceId")
    return Sliced(listed(service, call, spelled(service, call), cs_shown.basic, result))


# ---------------------------------------------------------------------- capacity, listeners, the server

_NEITHER: Final = "At least one of the parameters (groupName or namespaceId) must be provided"


def _subject(service: NacosService, call: HttpCall) -> tuple[str, str, bool]:
    """What capacity is asked or set: its name as sent, its name here, and whether it is a namespace."""
    group, space = call.params.text("groupName"), call.params.text("namespaceId")
    if not group and not space:
        raise Refused(400, codes.PARAMETER_MISSING, _NEITHER)
    return (space, service.configs.namespace(space), True) if space else (group, group, False)


def capacity(service: NacosService, call: HttpCall) -> Sliced:
    """GET capacity: of a namespace, or of a group"""
    sent, name, of_space = _subject(service, call)

    def show(usage: int) -> Answer:
        found = service.config_admin.capacities.get(name, space=of_space, usage=usage)
        return result(cs_shown.capacity(found, "namespaceId" if of_space else "groupName", sent))

    namespace = name if of_space else service.configs.namespace("")
    return Sliced(usage(service, namespace, "" if of_space else name, show))


def set_capacity(service: NacosService, call: HttpCall) -> Answer:
    """POST capacity"""
    _, name, of_space = _subject(service, call)
    limits = capacity_limits(call)
    if not limits:
        text = "The parameters quota, maxSize, maxAggrCount, maxAggrSize cannot be empty at the same time"
        raise Refused(400, codes.PARAMETER_MISSING, text)
    commit = service.config_admin.capacities.set(name, call.caller, space=of_space, limits=limits)
    return result(True, commit)


def listeners(service: NacosService, call: HttpCall) -> Answer:
    """GET config/listener: who listens to a configuration."""
    status = service.config_admin.listeners.of(form_key(call))
    return result({"queryType": "config", "listenersStatus": status})


def listened(service: NacosService, call: HttpCall) -> Answer:
    """GET listener: what the clients at an address listen to, of the default namespace and of the one that is named, or
    ``all``."""
    ip, space = needed(call, "ip"), call.params.text("namespaceId")
    status = held_by(service, ip, space, every=call.params.boolean("all", False), named=True)
    return result({"queryType": "ip", "listenersStatus": status})


def metrics(service: NacosService, call: HttpCall) -> Later:
    """GET metrics/cluster and metrics/ip: what the clients at an address say of a configuration that they hold."""
    ip, key = needed(call, "ip"), held_key(service, call, "groupName")
    return Later(lambda done: service.client_metrics.ask(ip, key, lambda found: done(result(found))))


def local_cache(_service: NacosService, _call: HttpCall) -> Answer:
    """POST ops/localCache: what is stored and what is read is one here."""
    return result("Local cache updated from store successfully!")


def derby(_service: NacosService, call: HttpCall) -> Answer:
    """GET ops/derby: there is no such database."""
    needed(call, "sql")
    return failure(200, codes.SERVER_ERROR, "The current storage mode is not Derby", None)


def derby_import(_service: NacosService, _call: HttpCall) -> Answer:
    """POST ops/derby/import: neither."""
    return failure(200, 500, "Limited to embedded storage mode", None)


# ---------------------------------------------------------------------- routes

_BLUR: Final = "blur"
_SEARCH: Final = by_search("namespaceId", "groupName")
_TARGET: Final = space("targetNamespaceId")


def _read(run: Run, names: Names = by_name_v3) -> Route:
    return Route(run, "r", names, 3, "config")


def _write(run: Run, names: Names = by_name_v3) -> Route:
    return Route(run, "w", names, 3, "config")


_ADMIN: Final = "/v3/admin/cs"
_CONSOLE: Final = "/v3/console/cs"

ROUTES: Final[Routes] = {
    ("GET", "/v3/client/cs/config"): _read(client_read),
    **{
        (method, f"{base}{path}"): route
        for base in (_ADMIN, _CONSOLE)
        for (method, path), route in {
            ("POST", "/config"): _write(publish),
            ("DELETE", "/config"): _write(remove),
            ("POST", "/config/import"): _write(bring_in, by_space),
            ("GET", "/config/listener"): _read(listeners),
            ("GET", "/history"): _read(history_one),
            ("GET", "/history/list"): _read(history_list),
            ("GET", "/history/previous"): _read(history_previous),
            ("GET", "/history/configs"): _read(history_configs, by_space),
        }.items()
    },
    ("GET", f"{_ADMIN}/config"): _read(detail),
    ("GET", f"{_ADMIN}/config/beta"): _read(beta),
    ("DELETE", f"{_ADMIN}/config/beta"): _write(stop_beta),
    ("GET", f"{_CONSOLE}/config/beta"): _read(console_beta),
    ("DELETE", f"{_CONSOLE}/config/beta"): _write(console_stop_beta),
    ("GET", f"{_ADMIN}/config/list"): _read(search, _SEARCH),
    ("PUT", f"{_ADMIN}/config/metadata"): _write(metadata),
    ("DELETE", f"{_ADMIN}/config/batch"): _write(remove_by_ids, by_space),
    ("GET", f"{_ADMIN}/config/export"): _read(export, _SEARCH),
    ("POST", f"{_ADMIN}/config/clone"): _write(clone, by_space),
    ("GET", f"{_ADMIN}/listener"): operated(CLIENTS, listened, 3, kind="config", names=by_space),
    ("GET", f"{_ADMIN}/capacity"): _read(capacity, by_space),
    ("POST", f"{_ADMIN}/capacity"): _write(set_capacity, by_space),
    ("GET", f"{_ADMIN}/metrics/cluster"): operated(CLIENTS, metrics, 3, kind="config", names=by_name_v3),
    ("GET", f"{_ADMIN}/metrics/ip"): operated(CLIENTS, metrics, 3, kind="config", names=by_name_v3),
    ("POST", f"{_ADMIN}/ops/localCache"): operated(SWITCHES, local_cache, 3, kind="config"),
    ("GET", f"{_ADMIN}/ops/derby"): operated(SWITCHES, derby, 3, kind="config"),
    ("POST", f"{_ADMIN}/ops/derby/import"): operated(SWITCHES, derby_import, 3, kind="config"),
    ("GET", f"{_CONSOLE}/config"): _read(console_detail),
    ("GET", f"{_CONSOLE}/config/list"): _read(console_search, _SEARCH),
    ("GET", f"{_CONSOLE}/config/searchDetail"): _read(search, _SEARCH),
    ("DELETE", f"{_CONSOLE}/config/batchDelete"): _write(remove_by_ids, by_space),
    ("GET", f"{_CONSOLE}/config/export2"): _read(export, _SEARCH),
    ("POST", f"{_CONSOLE}/config/clone"): _write(console_clone, _TARGET),
    ("GET", f"{_CONSOLE}/config/listener/ip"): operated(CLIENTS, listened, 3, kind="config", names=by_space),
}
