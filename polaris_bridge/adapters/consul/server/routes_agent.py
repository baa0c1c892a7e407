"""The agent's services and checks: what is registered from the caller's host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.consul.filters import BadFilter, Record
from polaris_bridge.adapters.consul.filters.records import AGENT_SERVICE, CHECK
from polaris_bridge.adapters.consul.service.agent import (
    NO_NODE_REASON,
    NO_SERVICE_REASON,
    NODE_MAINTENANCE,
    SERVICE_MAINTENANCE,
)
from polaris_bridge.adapters.consul.translate.checks import records_of
from polaris_bridge.adapters.consul.translate.keys import NodeKey, registration_key
from polaris_bridge.adapters.consul.wire import definitions, definitions_in
from polaris_bridge.adapters.consul.wire.durations import quoted
from polaris_bridge.adapters.consul.wire.params import boolean
from polaris_bridge.adapters.consul.wire.refusals import Refused, bad, failed, missing
from polaris_bridge.core.model import Registration
from polaris_bridge.core.watching import Scope

from .answers import JSON, Answer, Later, Reply, done, encode, json
from .call import ConsulCall, Route, Routes, watching

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from polaris_bridge.adapters.consul.service.consul import ConsulService
    from polaris_bridge.adapters.consul.service.index import LiveCheck
    from polaris_bridge.adapters.consul.wire.agent import Plain
    from polaris_bridge.adapters.consul.wire.definitions import ServiceDefinition

NO_FILTER: Final = "Failed to create boolean expression evaluator: "


_LONG: Final = 100
"""Services and checks on a node from which on they are listed in slices."""


def node_of(service: ConsulService, call: ConsulCall) -> NodeKey:
    """The caller's node."""
    return service.nodes.key_of(call.caller)


def filtered(service: ConsulService, call: ConsulCall, record: Record) -> Callable[[Plain], bool]:
    """Which answers the ``filter`` parameter lets through. Raises ``Refused``."""
    text = call.params.text("filter")
    if not text:
        return lambda _plain: True
    try:
        return service.filters.get(text, record)
    except BadFilter as error:
        raise failed(f"{NO_FILTER}{error}") from None


# ---------------------------------------------------------------------- services


def services(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/agent/services"""
    keeps = filtered(service, call, AGENT_SERVICE)
    shown = (
        (plain["ID"], plain, lambda r=r: call.may("service:read", r.service, r.namespace))
        for r, plain in service.agent.services(node_of(service, call))
    )
    return _listed(service, call, keeps, shown)


Entry = tuple[str, "Plain", "Callable[[], bool]"]
"""What is listed under which id, and whether the caller may see it."""


def _listed(service: ConsulService, call: ConsulCall, keeps: Callable[[Plain], bool], shown: Iterator[Entry]) -> Reply:
    """A map of what is wanted and the caller may see; in slices when it is long."""
    standing = service.index.on(node_of(service, call))
    work = _list(call, keeps, shown)
    if standing is None or len(standing.services) + len(standing.checks) < _LONG:
        try:
            while True:
                next(work)
        except StopIteration as stop:
            made: Answer = stop.value
            return made

    def begin(done: Callable[[Answer | Exception], None]) -> None:
        service.slices.run(object(), lambda: work, lambda made: done(made or RuntimeError("it failed")))

    return Later(begin)


def _list(call: ConsulCall, keeps: Callable[[Plain], bool], shown: Iterator[Entry]) -> Generator[None, None, Answer]:
    """Anonymous callers are not told that there is more than they may see."""
    parts: list[bytes] = []
    hidden = False
    for id, plain, may in shown:
        yield
        if not keeps(plain):
            continue
        if may():
            parts.append(encode(id) + b":" + encode(plain))
        else:
            hidden = True
    more = ((b"X-Consul-Results-Filtered-By-ACLs", b"true"),) if hidden and call.caller.principal else ()
    return Answer(b"{" + b",".join(parts) + b"}", headers=(*JSON, *more) if more else JSON)


def one_service(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/agent/service/:id: with ``hash`` it waits until the service is another one."""
    r = service.index.service(node_of(service, call), call.rest)
    if r is None:
        raise missing(f"unknown service ID: {call.rest}")
    call.require("service:read", r.service, r.namespace)
    plain = service.agent.plain(r)
    hash = service.agent.content_hash(plain)
    plain["ContentHash"] = hash
    headers = (*JSON, (b"X-Consul-ContentHash", hash.encode()))
    return Answer(encode(plain), headers=headers, unchanged=call.params.text("hash") == hash)


def _service_scope(service: ConsulService, call: ConsulCall) -> tuple[Scope, ...]:
    r = service.index.service(node_of(service, call), call.rest)
    return (None,) if r is None else (r.service_key,)


def register(service: ConsulService, call: ConsulCall) -> Reply:
    """PUT /v1/agent/service/register"""
    found = definitions_in.service(call.body)
    definitions.check_service(found)
    node = node_of(service, call)
    call.require("service:write", found.name, node.namespace)
    if service.admission.on:
        _check_taken(service, call, node, found)
    params = call.params
    replace = bool(params) and params.has("replace-existing-checks")
    replace = replace and params.text("replace-existing-checks") in ("", "true")
    return done(service.registering.register(node, found, call.caller, replace_checks=replace))


def _check_taken(service: ConsulService, call: ConsulCall, node: NodeKey, found: ServiceDefinition) -> None:
    """Ids of services and checks that are somebody else's are not to be taken away. Raises ``Refused``."""
    known = service.registry.newest(registration_key(node, found.id))
    if known is not None and known.service != found.name:
        call.require("service:write", known.service, node.namespace)
    for record, _ in records_of(found):
        live = service.index.check(node, record.id)
        if live is not None:
            _check_right(service, call, live)


def deregister(service: ConsulService, call: ConsulCall) -> Reply:
    """PUT /v1/agent/service/deregister/:id"""
    _known_service(service, call)
    return done(service.registering.deregister(node_of(service, call), call.rest, call.caller))


def _known_service(service: ConsulService, call: ConsulCall) -> Registration:
    """The service that a call is about, which the caller may change. Raises ``Refused``."""
    node = node_of(service, call)
    r = service.registry.newest(registration_key(node, call.rest))
    if r is None:
        hint = "Ensure that the service ID is passed, not the service name."
        raise missing(f"Unknown service ID {quoted(call.rest)}. {hint}")
    call.require("service:write", r.service, r.namespace)
    return r


def service_maintenance(service: ConsulService, call: ConsulCall) -> Reply:
    """PUT /v1/agent/service/maintenance/:id"""
    if not call.rest:
        raise bad("Missing service ID")
    enable = _enable(call)
    _known_service(service, call)
    reason = call.params.text("reason") or NO_SERVICE_REASON
    node = node_of(service, call)
    return done(service.registering.maintain(node, call.rest, reason if enable else None, call.caller))


def node_maintenance(service: ConsulService, call: ConsulCall) -> Reply:
    """PUT /v1/agent/maintenance"""
    enable = _enable(call)
    node = node_of(service, call)
    call.require("node:write", node.name, node.namespace)
    reason = call.params.text("reason") or NO_NODE_REASON
    return done(service.registering.maintain_node(node, reason if enable else None, call.caller))


def _enable(call: ConsulCall) -> bool:
    if not call.params.has("enable"):
        raise bad("Missing value for enable")
    value = call.params.text("enable")
    found = boolean(value)
    if found is None:
        raise bad(f"Invalid value for enable: {quoted(value)}")
    return found


# ---------------------------------------------------------------------- checks


def checks(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/agent/checks"""
    keeps = filtered(service, call, CHECK)
    node = node_of(service, call)
    shown = (
        (plain["CheckID"], plain, lambda name=name: _may_see(call, node, name))
        for name, plain in service.agent.checks(node)
    )
    return _listed(service, call, keeps, shown)


def _may_see(call: ConsulCall, node: NodeKey, service_name: str) -> bool:
    if service_name:
        return call.may("service:read", service_name, node.namespace)
    return call.may("node:read", node.name, node.namespace)


def register_check(service: ConsulService, call: ConsulCall) -> Reply:
    """PUT /v1/agent/check/register"""
    found = definitions_in.check(call.body)
    definitions.check_check(found)
    node = node_of(service, call)
    name = ""
    if found.service_id:
        r = service.registry.newest(registration_key(node, found.service_id))
        if r is None:
            raise missing(f"ServiceID {quoted(found.service_id)} does not exist")
        name = r.service
    _require_check(call, node, name)
    known = service.index.check(node, found.id or found.name)
    if known is not None:
        _check_right(service, call, known)
    return done(service.checks.register(node, found, call.caller))


def _require_check(call: ConsulCall, node: NodeKey, service_name: str) -> None:
    if service_name:
        call.require("service:write", service_name, node.namespace)
    else:
        call.require("node:write", node.name, node.namespace)


def _check_right(service: ConsulService, call: ConsulCall, live: LiveCheck) -> None:
    if service.admission.on:
        r = None if live.owner is None else service.registry.newest(live.owner)
        _require_check(call, live.node, "" if r is None else r.service)


def _known_check(service: ConsulService, call: ConsulCall) -> LiveCheck:
    live = service.checks.find(service.nodes.key_of(call.caller), call.rest)
    _check_right(service, call, live)
    return live


def deregister_check(service: ConsulService, call: ConsulCall) -> Reply:
    """PUT /v1/agent/check/deregister/:id"""
    live = _maintenance_ends(service, call)
    if live is not None:
        return live
    _known_check(service, call)
    return done(service.checks.deregister(node_of(service, call), call.rest, call.caller))


def _maintenance_ends(service: ConsulService, call: ConsulCall) -> Answer | None:
    """Whoever deregisters the check that stands for maintenance ends the maintenance."""
    node = node_of(service, call)
    if call.rest == NODE_MAINTENANCE and service.agent.node_maintenance(node) is not None:
        _require_check(call, node, "")
        return done(service.registering.maintain_node(node, None, call.caller))
    r = service.index.service(node, call.rest.removeprefix(SERVICE_MAINTENANCE))
    if r is None or not call.rest.startswith(SERVICE_MAINTENANCE) or not service.agent.maintained(r):
        return None
    _require_check(call, node, r.service)
    id = call.rest.removeprefix(SERVICE_MAINTENANCE)
    return done(service.registering.maintain(node, id, None, call.caller))


def _told(status: str) -> Callable[[ConsulService, ConsulCall], Reply]:
    def told(service: ConsulService, call: ConsulCall) -> Reply:
        note = call.params.text("note") if call.params else ""
        return done(service.checks.heard(_known_check(service, call), status, note, call.caller))

    told.__doc__ = f"PUT /v1/agent/check/...: it is {status}"
    return told


def update_check(service: ConsulService, call: ConsulCall) -> Reply:
    """PUT /v1/agent/check/update/:id"""
    status, output = definitions_in.update(call.body)
    return done(service.checks.heard(_known_check(service, call), status, output, call.caller))


# ---------------------------------------------------------------------- health

_CODES: Final = {definitions.PASSING: 200, definitions.WARNING: 429}


def health_by_id(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/agent/health/service/id/:id"""
    if not call.rest:
        raise Refused(400, "Missing serviceID")
    r = service.index.service(node_of(service, call), call.rest)
    if r is None:
        reason = f"ServiceId {call.rest} not found"
        return _health(call, 404, reason, {"AggregatedStatus": "critical", "Service": None, "Checks": None})
    call.require("service:read", r.service, r.namespace)
    status, info = _info(service, call, r)
    return _health(call, _CODES.get(status, 503), status, info)


def health_by_name(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/agent/health/service/name/:name"""
    if not call.rest:
        raise Refused(400, "Missing service Name")
    node = node_of(service, call)
    call.require("service:read", call.rest, node.namespace)
    code, reason = 404, f"ServiceName {call.rest} Not Found"
    found = []
    for r in service.index.services(node):
        if r.service != call.rest:
            continue
        status, info = _info(service, call, r)
        found.append(info)
        if code == 404 or code < _CODES.get(status, 503):
            code, reason = _CODES.get(status, 503), status
    return _health(call, code, reason, found)


def _info(service: ConsulService, call: ConsulCall, r: Registration) -> tuple[str, Plain]:
    found = service.agent.checks_of(node_of(service, call), r)
    status = service.agent.aggregated(found)
    return status, {"AggregatedStatus": status, "Service": service.agent.plain(r), "Checks": found}


def _health(call: ConsulCall, code: int, reason: str, found: object) -> Answer:
    headers = ((b"X-Consul-Reason", reason.encode("latin-1", "replace")),)
    accept = call.request.header(b"accept") or ""
    if accept.startswith("text/plain") or call.params.text("format") == "text":
        return Answer(reason.encode("utf-8", "replace"), 0, code, ((b"Content-Type", b"text/plain"), *headers))
    return Answer(json(found).body, 0, code, (*JSON, *headers))


ROUTES: Final[Routes] = {
    ("GET", "/v1/agent/services"): Route(services, local=True),
    ("GET", "/v1/agent/service/"): Route(one_service, reads=True, local=True, blocking=watching(_service_scope)),
    ("PUT", "/v1/agent/service/register"): Route(register, local=True),
    ("PUT", "/v1/agent/service/deregister/"): Route(deregister, local=True),
    ("PUT", "/v1/agent/service/maintenance/"): Route(service_maintenance, local=True),
    ("PUT", "/v1/agent/maintenance"): Route(node_maintenance, local=True),
    ("GET", "/v1/agent/checks"): Route(checks, local=True),
    ("PUT", "/v1/agent/check/register"): Route(register_check, local=True),
    ("PUT", "/v1/agent/check/deregister/"): Route(deregister_check, local=True),
    ("PUT", "/v1/agent/check/pass/"): Route(_told(definitions.PASSING), local=True),
    ("PUT", "/v1/agent/check/warn/"): Route(_told(definitions.WARNING), local=True),
    ("PUT", "/v1/agent/check/fail/"): Route(_told(definitions.CRITICAL), local=True),
    ("PUT", "/v1/agent/check/update/"): Route(update_check, local=True),
    ("GET", "/v1/agent/health/service/id/"): Route(health_by_id, local=True),
    ("GET", "/v1/agent/health/service/name/"): Route(health_by_name, local=True),
}
