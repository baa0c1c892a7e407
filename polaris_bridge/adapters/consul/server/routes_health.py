"""GET /v1/health/…"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.consul.filters.records import CHECK, INSTANCE
from polaris_bridge.adapters.consul.service.catalog import Listed
from polaris_bridge.adapters.consul.view import Found, Indexes
from polaris_bridge.adapters.consul.view_instances import Instance

from .answers import Answer, Reply
from .call import ConsulCall, Route, Routes
from .reading import BY_NAME, BY_NAMESPACE, filter_of, named, of_instances, shared, stepwise, wanted

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService

HEALTH: Final = "health"
PLAIN: Final = "health, plain"
"""The forms of an instance that lists are made of."""


def instances(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/health/service/:name"""
    name = named(call, "service name")
    asked = wanted(service, call, INSTANCE, tags=True)

    def read(found: Found) -> Listed:
        return service.health.service(found, call.namespace, name, asked, call.may)

    variant, encode = (PLAIN, _plain) if asked.filter else (HEALTH, _encoded)
    return of_instances(service, call, call.seen, name, variant, encode, read, _index)


def _encoded(instance: Instance) -> object:
    return instance.health


def _plain(instance: Instance) -> object:
    return instance.health_plain


def _index(indexes: Indexes) -> int:
    return indexes.any


def connect(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/health/connect/:name and /v1/health/ingress/:name: nothing takes part in a mesh here."""
    named(call, "service name")
    return Answer(b"[]", service.view.space(call.namespace).any)


def node(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/health/node/:node"""
    name = named(call, "node name")
    namespace, keeps = call.namespace, filter_of(service, call, CHECK)
    index = service.health.node_index(namespace, name)
    return stepwise(service, call, index, lambda: service.health.node(namespace, name, keeps, call.may))


def checks(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/health/checks/:service"""
    name = named(call, "service name")
    keeps = filter_of(service, call, CHECK)
    asked = wanted(service, call, None)

    def read(found: Found) -> Listed:
        return service.health.checks(found, name, asked, keeps, call.may)

    return of_instances(service, call, service.view, name, HEALTH, _encoded, read, _index)


def state(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/health/state/:state. Nothing is in a state that does not exist."""
    asked = named(call, "check state")
    namespace, keeps, choice = call.namespace, filter_of(service, call, CHECK), wanted(service, call, None)
    index = service.view.space(namespace).any
    key = shared(service, call, "state", namespace, asked, index)
    work = service.health.state
    return stepwise(service, call, index, lambda: work(namespace, asked, choice, keeps, call.may), key)


ROUTES: Final[Routes] = {
    ("GET", "/v1/health/service/"): Route(instances, reads=True, blocking=BY_NAME, streams=True),
    ("GET", "/v1/health/connect/"): Route(connect, reads=True, blocking=BY_NAMESPACE),
    ("GET", "/v1/health/ingress/"): Route(connect, reads=True, blocking=BY_NAMESPACE),
    ("GET", "/v1/health/node/"): Route(node, reads=True, blocking=BY_NAMESPACE),
    ("GET", "/v1/health/checks/"): Route(checks, reads=True, blocking=BY_NAME),
    ("GET", "/v1/health/state/"): Route(state, reads=True, blocking=BY_NAMESPACE),
}
