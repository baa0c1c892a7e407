"""GET /v1/health/…"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.consul.filters.records import CHECK, INSTANCE

from .answers import Answer, Reply
from .call import ConsulCall, Route, Routes
from .reading import BY_NAME, BY_NAMESPACE, filter_of, listed, named, wanted

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService


def instances(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/health/service/:name"""
    name = named(call, "service name")
    asked = wanted(service, call, INSTANCE, tags=True)
    return listed(service.health.service(call.namespace, name, asked, call.may))


def connect(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/health/connect/:name and /v1/health/ingress/:name: nothing takes part in a mesh here."""
    named(call, "service name")
    return Answer(b"[]", service.view.space(call.namespace).any)


def node(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/health/node/:node"""
    name = named(call, "node name")
    keeps = filter_of(service, call, CHECK)
    return listed(service.health.node(call.namespace, name, keeps, call.may))


def checks(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/health/checks/:service"""
    name = named(call, "service name")
    keeps = filter_of(service, call, CHECK)
    return listed(service.health.checks(call.namespace, name, wanted(service, call, None), keeps, call.may))


def state(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/health/state/:state. Nothing is in a state that does not exist."""
    asked = named(call, "check state")
    keeps = filter_of(service, call, CHECK)
    return listed(service.health.state(call.namespace, asked, wanted(service, call, None), keeps, call.may))


ROUTES: Final[Routes] = {
    ("GET", "/v1/health/service/"): Route(instances, reads=True, blocking=BY_NAME, streams=True),
    ("GET", "/v1/health/connect/"): Route(connect, reads=True, blocking=BY_NAMESPACE),
    ("GET", "/v1/health/ingress/"): Route(connect, reads=True, blocking=BY_NAMESPACE),
    ("GET", "/v1/health/node/"): Route(node, reads=True, blocking=BY_NAMESPACE),
    ("GET", "/v1/health/checks/"): Route(checks, reads=True, blocking=BY_NAME),
    ("GET", "/v1/health/state/"): Route(state, reads=True, blocking=BY_NAMESPACE),
}
