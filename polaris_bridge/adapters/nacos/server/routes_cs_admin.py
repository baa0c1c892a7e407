"""HTTP v1, configurations as operators and consoles use them. Answers of Nacos 2.5.1.

Several calls share the path ``/v1/cs/configs`` and are told apart by a parameter (``VARIANTS``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.nacos.service.config.history import Row
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.config import check_names
from polaris_bridge.adapters.nacos.wire.config_payloads import group_key
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_GROUP, PUBLIC, Refused
from polaris_bridge.core.config.model import FileKey

from . import cs_shown
from .answers import JSON_UTF8, PLAIN, Answer, Later, Reply, Sliced, encode
from .call import HttpCall, Names, Route, Routes
from .cs_calls import (
    Say,
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
    bare,
    by_space_v1,
    empty,
    file_key,
    ids,
    needed,
    number,
    part,
    space,
    wanted,
)
from .forms_cs import searched as by_search
from .operators import CLIENTS, SWITCHES, Run, operated
from .routes_cs_v1 import by_file, named

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService


def envelope(code: int, data: object, message: str | None = None, status: int = 200) -> Answer:
    """The older envelope: ``code`` 200, ``message`` null."""
    return Answer(encode({"code": code, "message": message, "data": data}), JSON_UTF8, status)


# ---------------------------------------------------------------------- one configuration


def detail(service: NacosService, call: HttpCall) -> Answer:
    """GET configs?show=all: all that is known of one; nothing at all when there is none."""
    key = file_key(call)
    check_names(key.name, key.group)
    found = service.configs.detail(key)
    if found is None or found.full is None:
        return empty()
    return bare(cs_shown.detail(found, found.full, call.scope.namespace_id))


def catalog(service: NacosService, call: HttpCall) -> Answer:
    """GET configs/catalog: what is said of one."""
    found = service.configs.detail(file_key(call))
    return envelope(200, None if found is None or found.full is None else cs_shown.advance(found, found.full))


# ---------------------------------------------------------------------- searches


def _search(service: NacosService, call: HttpCall, *, blur: bool) -> Sliced:
    data_id, group = needed(call, "dataId"), needed(call, "group")
    asked = part(call, must=True, head=f"serialize page error, dataId={data_id}, group={group};caused: ")
    types = "types" if blur else ""
    look = wanted(call, group="group", tags="config_tags", types=types, content="", blur=blur)
    item = cs_shown.item if blur else cs_shown.exact_item
    return Sliced(searched(service, call, look, asked, call.scope.namespace_id, item, bare))


def search_accurate(service: NacosService, call: HttpCall) -> Sliced:
    """GET configs?search=accurate: those that are called so; an empty name is any."""
    return _search(service, call, blur=False)


def search_blur(service: NacosService, call: HttpCall) -> Sliced:
    """GET configs?search=blur: names are patterns."""
    return _search(service, call, blur=True)


# ---------------------------------------------------------------------- archives, clones, removals


def _say(success: str) -> Say:
    return lambda code, data: envelope(200, data, success) if code == codes.OK else envelope(code, data, _TEXTS[code])


def export(service: NacosService, call: HttpCall) -> Sliced:
    """GET configs?export=true"""
    return _export(service, call, newer=False)


def export_v2(service: NacosService, call: HttpCall) -> Sliced:
    """GET configs?exportV2=true"""
    return _export(service, call, newer=True)


def _export(service: NacosService, call: HttpCall, *, newer: bool) -> Sliced:
    look = wanted(call, group="group", tags="", types="", content="", blur=False)
    return Sliced(exported(service, call, look, ids(call, must=False), newer=newer))


def bring_in(service: NacosService, call: HttpCall) -> Reply:
    """POST configs?import=true: an archive as the uploaded ``file``."""
    taken = policy(call)
    data = call.params.file("file")
    say = _say("import success")
    if data is None:
        return say(codes.DATA_EMPTY, {})
    if not known(service, call.scope.namespace_id):
        return envelope(_NO_NAMESPACE, {"succCount": 0}, _TEXTS[_NO_NAMESPACE])
    caller = named(call.caller, call.params.raw("src_user") or "")
    return Sliced(imported(service, call, data, taken, caller, say, newer=False))


def clone(service: NacosService, call: HttpCall) -> Reply:
    """POST configs?clone=true: the body lists ids of configurations, and what their clones are to be called."""
    needed(call, "tenant")
    taken, asked = policy(call), clones(call)
    say = _say("Clone Completed Successfully")
    if not asked:
        return say(codes.NOTHING_SELECTED, {"succCount": 0})
    if not known(service, call.scope.namespace_id):
        return envelope(_NO_NAMESPACE, {"succCount": 0}, _TEXTS[_NO_NAMESPACE])
    caller = named(call.caller, call.params.raw("src_user") or "")
    return Sliced(cloned(service, call, asked, taken, caller, say))


_NO_NAMESPACE: Final = 100001
_TEXTS: Final = {
    _NO_NAMESPACE: "目标 namespace 不存在",
    codes.METADATA_ILLEGAL: "导入的元数据非法",
    codes.PARSING_FAILED: "解析数据失败",
    codes.DATA_EMPTY: "导入的文件数据为空",
    codes.NOTHING_SELECTED: "没有选择任何配置",
}
"""As 2.5.1 says them; 3.x has them in English."""


def remove_by_ids(service: NacosService, call: HttpCall) -> Sliced:
    """DELETE configs?delType=ids"""
    found = ids(call, must=True)
    caller = named(call.caller, call.params.raw("username") or "")
    return Sliced(removed(service, call, found, caller, lambda: envelope(200, True)))


# ---------------------------------------------------------------------- history


def history_page(service: NacosService, call: HttpCall) -> Sliced:
    """GET history?search=accurate"""
    key = file_key(call)
    asked = part(call, most=MAX_HISTORY, kind="Integer")
    return Sliced(history(service, key, asked, call.scope.namespace_id, cs_shown.row, bare))


def _shown(service: NacosService, call: HttpCall, row: Row | None) -> Answer:
    if row is None:
        return empty()
    content = service.config_admin.history.content(row.text)
    return bare(cs_shown.row(row, call.scope.namespace_id, content))


def history_one(service: NacosService, call: HttpCall) -> Sliced:
    """GET history?nid="""
    key, id = file_key(call), number(call, "nid", None, LONG)
    return Sliced(entry(service, key, id, lambda row: _shown(service, call, row)))


def history_previous(service: NacosService, call: HttpCall) -> Sliced:
    """GET history/previous: by the configuration's id, the newest row."""
    key, id = file_key(call), number(call, "id", None, LONG)
    return Sliced(previous(service, key, id, lambda row: _shown(service, call, row)))


def history_configs(service: NacosService, call: HttpCall) -> Sliced:
    """GET history/configs: all of a namespace, by name."""
    needed(call, "tenant")
    return Sliced(listed(service, call, call.scope.namespace_id, cs_shown.named, bare))


# ---------------------------------------------------------------------- capacity

_NEITHER: Final = "The parameter group and tenant cannot be empty at the same time"
_LIMITS: Final = {
    "quota": "quota",
    "maxSize": "max_size",
    "maxAggrCount": "max_aggr_count",
    "maxAggrSize": "max_aggr_size",
}


def capacity(service: NacosService, call: HttpCall) -> Reply:
    """GET capacity: of a namespace, of a group, or (a group without a name) of everything."""
    group, tenant = call.params.raw("group"), call.params.raw("tenant")
    if group is None and tenant is None:
        return envelope(400, None, _NEITHER, 400)
    if group is None and not (tenant or "").strip():
        return envelope(400, None, "tenant cannot be an empty string", 400)
    of_space = bool((tenant or "").strip())
    name, namespace = (tenant if of_space else group) or "", service.configs.namespace(tenant or "")

    def show(usage: int) -> Answer:
        found = service.config_admin.capacities.get(namespace if of_space else name, space=of_space, usage=usage)
        return envelope(200, cs_shown.capacity(found, "tenant" if of_space else "group", name))

    if of_space:
        return Sliced(usage(service, namespace, "", show))
    return Sliced(usage(service, service.configs.namespace("") if name else None, name, show))


def set_capacity(service: NacosService, call: HttpCall) -> Answer:
    """POST capacity"""
    raw = call.params.raw
    group, tenant = raw("group"), raw("tenant")
    if not (group or "").strip() and not (tenant or "").strip():
        return envelope(400, False, _NEITHER, 400)
    limits = capacity_limits(call)
    if not limits:
        text = "The parameters quota, maxSize, maxAggrCount, maxAggrSize cannot be empty at the same time"
        return envelope(400, False, text, 400)
    member, name = ("group", group or "") if tenant is None else ("tenant", tenant)
    if not name.strip():
        return envelope(400, False, f"parameter {member} is empty.", 400)
    key = name if tenant is None else service.configs.namespace(name)
    commit = service.config_admin.capacities.set(key, call.caller, space=tenant is not None, limits=limits)
    said = envelope(200, True, f"successfully updated the capacity information configuration of {member} to {name}")
    return Answer(said.body, said.headers, 200, commit)


def capacity_limits(call: HttpCall) -> dict[str, int]:
    """The numbers that a call sets, by the fields of ``Limits``."""
    given = [name for name in _LIMITS if (call.params.raw(name) or "").strip()]
    return {_LIMITS[name]: number(call, name, 0, "Integer") for name in given}


# ---------------------------------------------------------------------- listeners and clients


def _listening(status: dict[str, str]) -> Answer:
    return bare({"collectStatus": 200, "lisentersGroupkeyStatus": status})


def listeners(service: NacosService, call: HttpCall) -> Answer:
    """GET configs/listener: who listens to a configuration."""
    key = file_key(call)
    key = FileKey(key.namespace, key.group.strip() or DEFAULT_GROUP, key.name)
    return _listening(service.config_admin.listeners.of(key))


def listened(service: NacosService, call: HttpCall) -> Answer:
    """GET listener: what the clients at an address listen to, of the default namespace and of the one that is named, or
    ``all``."""
    ip, tenant = needed(call, "ip"), (call.params.raw("tenant") or "").strip()
    return _listening(held_by(service, ip, tenant, every=call.params.boolean("all", False), named=False))


def held_by(service: NacosService, ip: str, tenant: str, *, every: bool, named: bool) -> dict[str, str]:
    """Group keys and md5s of what the clients at an address listen to. ``named``: the default namespace is said by its name."""
    wanted = {service.configs.namespace(""), service.configs.namespace(tenant)}
    shown: dict[str, str] = {}
    for key, md5 in service.config_admin.listeners.at(ip).items():
        if every or key.namespace in wanted:
            id = service.spaces.id(key.namespace)
            shown[group_key(key.name, key.group, id if named or id != PUBLIC else "")] = md5
    return shown


def metrics(service: NacosService, call: HttpCall) -> Later:
    """GET metrics/cluster and metrics/current: what the clients at an address say of a configuration that they hold."""
    ip, key = needed(call, "ip"), held_key(service, call, "group")
    return Later(lambda done: service.client_metrics.ask(ip, key, lambda found: done(bare(found))))


def held_key(service: NacosService, call: HttpCall, group: str) -> str:
    """The configuration of a question to clients, as they name it."""
    raw = call.params.raw
    found = {name: raw(name) for name in ("dataId", group)}
    for name, value in found.items():
        if value is None or not value.strip():
            said = "null" if value is None else value
            raise Refused(
                400, codes.PARAMETER_VALIDATE, f"invalid {'dataId' if name == 'dataId' else 'group'} : {said}"
            )
    id = service.spaces.id(call.scope.namespace)
    return group_key(found["dataId"] or "", found[group] or "", "" if id == PUBLIC and call.generation == 1 else id)


# ---------------------------------------------------------------------- the server

_NO_DERBY: Final = "The current storage mode is not Derby"


def local_cache(_service: NacosService, _call: HttpCall) -> Answer:
    """POST ops/localCache: what is stored and what is read is one here."""
    return Answer(b"200", PLAIN)


def derby(_service: NacosService, call: HttpCall) -> Answer:
    """GET ops/derby: there is no such database."""
    needed(call, "sql")
    return envelope(500, None, _NO_DERBY)


def derby_import(_service: NacosService, _call: HttpCall) -> Answer:
    """POST ops/data/removal: neither."""
    return envelope(500, None, "Limited to embedded storage mode")


def health(_service: NacosService, _call: HttpCall) -> Answer:
    """GET health"""
    return Answer(b"UP", PLAIN)


def nothing(call: HttpCall) -> Scope:
    """Calls that are about no namespace in particular: the default one."""
    return call.filed("", "", "")


def _read(run: Run, names: Names = by_file) -> Route:
    return Route(run, "r", names, kind="config")


def _write(run: Run, names: Names) -> Route:
    return Route(run, "w", names, kind="config")


_SEARCH: Final = by_search("tenant", "group")
_TARGET: Final = space("namespace")

SHARED: Final = "/v1/cs/configs"
VARIANTS: Final[dict[str, tuple[tuple[str, str, Route], ...]]] = {
    "GET": (
        ("show", "all", _read(detail)),
        ("search", "accurate", _read(search_accurate, _SEARCH)),
        ("search", "blur", _read(search_blur, _SEARCH)),
        ("export", "true", _read(export, _SEARCH)),
        ("exportV2", "true", _read(export_v2, _SEARCH)),
    ),
    "POST": (
        ("import", "true", _write(bring_in, _TARGET)),
        ("clone", "true", _write(clone, by_space_v1)),
    ),
    "DELETE": (("delType", "ids", _write(remove_by_ids, by_space_v1)),),
}
"""Other calls of ``SHARED``, by method: parameter, value, route."""

ROUTES: Final[Routes] = {
    ("GET", "/v1/cs/configs/catalog"): _read(catalog),
    ("GET", "/v1/cs/configs/listener"): _read(listeners),
    ("GET", "/v1/cs/history"): Route(
        history_one, "r", by_file, kind="config", variants=(("search", "accurate", _read(history_page)),)
    ),
    ("GET", "/v1/cs/history/previous"): _read(history_previous),
    ("GET", "/v1/cs/history/configs"): _read(history_configs, by_space_v1),
    ("GET", "/v1/cs/capacity"): _read(capacity, by_space_v1),
    ("POST", "/v1/cs/capacity"): _write(set_capacity, by_space_v1),
    ("GET", "/v1/cs/listener"): operated(CLIENTS, listened, 1, kind="config", names=by_space_v1),
    ("GET", "/v1/cs/metrics/cluster"): operated(CLIENTS, metrics, 1, kind="config", names=by_file),
    ("GET", "/v1/cs/metrics/current"): operated(CLIENTS, metrics, 1, kind="config", names=by_file),
    ("POST", "/v1/cs/ops/localCache"): operated(SWITCHES, local_cache, 1, kind="config"),
    ("GET", "/v1/cs/ops/derby"): operated(SWITCHES, derby, 1, kind="config"),
    ("POST", "/v1/cs/ops/data/removal"): operated(SWITCHES, derby_import, 1, kind="config"),
    ("GET", "/v1/cs/health"): Route(health, "", nothing, kind="config"),
}
