"""Config entries over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from polaris_bridge.adapters.consul.wire import json_in
from polaris_bridge.adapters.consul.wire.durations import quoted
from polaris_bridge.adapters.consul.wire.json_in import BadJson
from polaris_bridge.adapters.consul.wire.refusals import bad, failed, missing

from .answers import FALSE, Answer, Reply, json, true
from .call import EVERYTHING, ConsulCall, Route, Routes

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService

_EMPTY: Final = b"{}"


def put(service: ConsulService, call: ConsulCall) -> Reply:
    """PUT /v1/config"""
    try:
        said = json_in.value(call.body)
    except BadJson as error:
        raise bad(f"Request decoding failed: {error}") from None
    if not isinstance(said, dict):
        raise bad("Request decoding failed: an object was expected")
    call.require("operator:write")
    commit = service.config_entries.put(call.namespace, said, _cas(call), call.caller)
    return FALSE if commit is None else true(commit)


def get(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/config/:kind[/:name]"""
    call.require("operator:read")
    kind, slash, name = call.rest.partition("/")
    entries = service.config_entries
    if not slash:
        return json(entries.list(call.namespace, kind), entries.index)
    found: dict[str, Any] | None = entries.get(call.namespace, kind, name)
    if found is None:
        refused = missing(f"Config entry not found for {quoted(kind)} / {quoted(name)}")
        return Answer(
            refused.text.encode("utf-8", "replace"),
            entries.index,
            404,
            ((b"Content-Type", b"text/plain; charset=utf-8"),),
        )
    return json(found, found["ModifyIndex"])


def delete(service: ConsulService, call: ConsulCall) -> Reply:
    """DELETE /v1/config/:kind/:name"""
    kind, slash, name = call.rest.partition("/")
    if not slash:
        raise missing("Must provide both a kind and name to delete")
    call.require("operator:write")
    cas = _cas(call)
    commit = service.config_entries.delete(call.namespace, kind, name, cas, call.caller)
    if cas is None:
        return json(_EMPTY) if commit is None else Answer(_EMPTY, commit=commit)
    return FALSE if commit is None else true(commit)


def _cas(call: ConsulCall) -> int | None:
    text = call.params.text("cas")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise failed(f"strconv.ParseUint: parsing {quoted(text)}: invalid syntax")
    return int(text)


ROUTES: Final[Routes] = {
    ("PUT", "/v1/config"): Route(put),
    ("GET", "/v1/config/"): Route(get, reads=True, blocking=EVERYTHING),
    ("DELETE", "/v1/config/"): Route(delete),
}
