"""Prepared queries: ``/v1/query``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.consul.service.queries import Result
from polaris_bridge.adapters.consul.view_instances import joined
from polaris_bridge.adapters.consul.wire import query as wire
from polaris_bridge.adapters.consul.wire.refusals import Refused, bad

from .answers import Answer, Reply, done, json
from .call import EVERYTHING, ConsulCall, Route, Routes

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService

_EXECUTE: Final = "/execute"
_EXPLAIN: Final = "/explain"


def _create(service: ConsulService, call: ConsulCall) -> Reply:
    query = wire.query(call.body)
    call.require("query:write", query.name)
    id, commit = service.queries.create(call.namespace, query, call.caller)
    return json({"ID": id}, commit=commit)


def _all(service: ConsulService, call: ConsulCall) -> Reply:
    found = [q for q in service.queries.all(call.namespace) if call.may("query:read", q.name)]
    return Answer(wire.encode(found), service.queries.index)


def _get(service: ConsulService, call: ConsulCall) -> Reply:
    rest = call.rest
    if rest.endswith(_EXECUTE):
        return _execute(service, call, rest[: -len(_EXECUTE)])
    if rest.endswith(_EXPLAIN):
        return _explain(service, call, rest[: -len(_EXPLAIN)])
    query = service.queries.get(call.namespace, rest)
    call.require("query:read", query.name)
    return Answer(wire.encode([query]), service.queries.index)


def _put(service: ConsulService, call: ConsulCall) -> Reply:
    query = wire.query(call.body)
    call.require("query:write", query.name)
    return done(service.queries.update(call.namespace, call.rest, query, call.caller))


def _delete(service: ConsulService, call: ConsulCall) -> Reply:
    try:
        known = service.queries.get(call.namespace, call.rest)
    except Refused:
        return done()
    call.require("query:write", known.name)
    return done(service.queries.delete(call.rest, call.caller))


def _execute(service: ConsulService, call: ConsulCall, name: str) -> Reply:
    limit = call.params.text("limit")
    if limit and not (limit.lstrip("-").isdigit() and len(limit) < 19):
        raise bad("Bad limit")
    namespace = call.namespace
    query = service.queries.find(namespace, name)
    if query is None:
        raise wire.NOT_FOUND
    call.require("query:read", query.name)
    if call.params.has("connect"):
        return Answer(wire.executed(query, b"[]", call.datacenter, 0))
    near = call.params.text("near")
    result = service.queries.execute(call.seen, namespace, query, near, int(limit or 0), call.caller.address)
    return Answer(_executed(result, call))


def _executed(result: Result, call: ConsulCall) -> bytes:
    allowed = call.may("service:read", result.query.service.service)
    nodes = joined(i.health for i in result.instances) if allowed else b"[]"
    return wire.executed(result.query, nodes, result.datacenter, result.failovers)


def _explain(service: ConsulService, call: ConsulCall, name: str) -> Reply:
    query = service.queries.find(call.namespace, name)
    if query is None:
        raise wire.NOT_FOUND
    call.require("query:read", query.name)
    if not query.template.type:
        service.queries.rendered(query, name)  # says that it is no template
    return Answer(b'{"Query":' + wire.encode(query) + b"}")


ROUTES: Final[Routes] = {
    ("GET", "/v1/query"): Route(_all, reads=True, blocking=EVERYTHING),
    ("POST", "/v1/query"): Route(_create),
    ("GET", "/v1/query/"): Route(_get, reads=True, blocking=EVERYTHING),
    ("PUT", "/v1/query/"): Route(_put),
    ("DELETE", "/v1/query/"): Route(_delete),
}
