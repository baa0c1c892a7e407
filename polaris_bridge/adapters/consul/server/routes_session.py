"""Sessions: ``/v1/session/``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.consul.service.movers import Watch
from polaris_bridge.adapters.consul.wire import session as wire
from polaris_bridge.adapters.consul.wire.refusals import bad, missing
from polaris_bridge.adapters.consul.wire.session import SessionShape

from .answers import TRUE, Answer, true
from .call import ConsulCall, Route, Routes

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService


def _create(service: ConsulService, call: ConsulCall) -> Answer:
    asked = wire.request(call.body)
    call.require("session:write", asked.node or call.node)
    id, commit = service.sessions.create(call.namespace, asked, call.caller)
    return Answer(b'{"ID":"' + id.encode() + b'"}', commit=commit)


def _destroy(service: ConsulService, call: ConsulCall) -> Answer:
    id = _id(call)
    node = service.sessions.node_of(call.namespace, id)
    if node is None:
        return TRUE
    call.require("session:write", node)
    return true(service.sessions.destroy(call.namespace, id, call.caller))


def _renew(service: ConsulService, call: ConsulCall) -> Answer:
    id = _id(call)
    node = service.sessions.node_of(call.namespace, id)
    if node is not None:
        call.require("session:write", node)
    found = service.sessions.renew(call.namespace, id)
    if found is None:
        raise missing(f"Session id '{id}' not found")
    return Answer(wire.encode([found]))


def _info(service: ConsulService, call: ConsulCall) -> Answer:
    return _listed(service, call, service.sessions.get(call.namespace, _id(call)))


def _of_node(service: ConsulService, call: ConsulCall) -> Answer:
    if not call.rest:
        raise bad("Missing node name")
    return _listed(service, call, service.sessions.of_node(call.namespace, call.rest))


def _all(service: ConsulService, call: ConsulCall) -> Answer:
    return _listed(service, call, service.sessions.all(call.namespace))


def _listed(service: ConsulService, call: ConsulCall, found: Sequence[SessionShape]) -> Answer:
    seen = [each for each in found if call.may("session:read", each.Node)] if service.admission.on else found
    return Answer(wire.encode(seen), service.sessions.index, filtered=len(seen) < len(found))


def _id(call: ConsulCall) -> str:
    if not call.rest:
        raise wire.missing_session()
    return call.rest


def _watched(service: ConsulService, call: ConsulCall, fire: Callable[[], None]) -> Watch:
    return service.sessions.watch(call.namespace, fire)


ROUTES: Final[Routes] = {
    ("PUT", "/v1/session/create"): Route(_create),
    ("PUT", "/v1/session/destroy/"): Route(_destroy),
    ("PUT", "/v1/session/renew/"): Route(_renew, reads=True),
    ("GET", "/v1/session/info/"): Route(_info, reads=True, blocking=_watched),
    ("GET", "/v1/session/node/"): Route(_of_node, reads=True, blocking=_watched),
    ("GET", "/v1/session/list"): Route(_all, reads=True, blocking=_watched),
}
