"""The catalog: ``/v1/catalog/``."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.consul.filters.records import CATALOG_SERVICE, NODE, SERVICE
from polaris_bridge.adapters.consul.service.catalog import Listed
from polaris_bridge.adapters.consul.translate.keys import NodeKey
from polaris_bridge.adapters.consul.view import Found, Indexes
from polaris_bridge.adapters.consul.view_instances import Instance, joined
from polaris_bridge.adapters.consul.wire import catalog_in
from polaris_bridge.adapters.consul.wire.shapes import encode, service_json

from .answers import Answer, Later, Reply, json, true
from .call import ConsulCall, Route, Routes
from .reading import BY_NAME, BY_NAMESPACE, filter_of, listed, named, of_instances, shared, stepwise, wanted

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService


def datacenters(service: ConsulService, _call: ConsulCall) -> Reply:
    """GET /v1/catalog/datacenters"""
    return json(service.catalog.datacenters())


def services(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/catalog/services"""
    namespace = call.namespace
    asked = wanted(service, call, CATALOG_SERVICE)

    def answer() -> Answer:
        return listed(service.catalog.services(namespace, asked, call.may))

    if service.view.listed(namespace):
        return answer()

    def begin(done: Callable[[Answer | Exception], None]) -> None:
        work = service.view.list_names(namespace)
        service.slices.run(("names", namespace), lambda: work, lambda _: done(answer()))

    return Later(begin)


def register(service: ConsulService, call: ConsulCall) -> Reply:
    """PUT /v1/catalog/register"""
    asked = catalog_in.register(call.body)
    namespace = call.namespace_of(asked.datacenter or call.datacenter)
    if asked.service is None or asked.checks:
        call.require("node:write", asked.node.node, namespace)
    if asked.service is not None:
        call.require("service:write", asked.service.name, namespace)
    return true(service.cataloging.register(namespace, asked, call.caller))


def deregister(service: ConsulService, call: ConsulCall) -> Reply:
    """PUT /v1/catalog/deregister"""
    asked = catalog_in.deregister(call.body)
    namespace = call.namespace_of(asked.datacenter or call.datacenter)
    if service.admission.on:
        known = service.index.service(NodeKey(namespace, asked.node), asked.service_id) if asked.service_id else None
        if known is not None:
            call.require("service:write", known.service, namespace)
        else:
            call.require("node:write", asked.node, namespace)
    return true(service.cataloging.deregister(namespace, asked, call.caller))


def instances(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/catalog/service/:name"""
    name = named(call, "service name")
    asked = wanted(service, call, CATALOG_SERVICE, tags=True)

    def read(found: Found) -> Listed:
        return service.catalog.service(found, call.namespace, name, asked, call.may)

    variant, encode = ("catalog, plain", _plain) if asked.filter else ("catalog", _encoded)
    return of_instances(service, call, call.seen, name, variant, encode, read, _index)


def _encoded(instance: Instance) -> object:
    return instance.catalog


def _plain(instance: Instance) -> object:
    return instance.catalog_plain


def _index(indexes: Indexes) -> int:
    return indexes.catalog


def connect(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/catalog/connect/:name: nothing takes part in a mesh here."""
    named(call, "service name")
    return Answer(b"[]", service.view.space(call.namespace).catalog)


def nodes(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/catalog/nodes"""
    keeps = filter_of(service, call, NODE)
    namespace = call.namespace
    index = service.view.nodes_index(namespace)
    meta, near = call.params.pairs("node-meta"), call.near

    def work() -> Generator[None, None, Listed]:
        found, hidden = yield from service.catalog.nodes(namespace, meta, keeps, near, call.may)
        return Listed(joined(node.json for node in found), index, hidden)

    return stepwise(service, call, index, work, shared(service, call, "nodes", namespace, index))


def node(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/catalog/node/:node"""
    return _node(service, call, named(call, "node name"), as_list=False)


def node_services(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/catalog/node-services/:node"""
    return _node(service, call, named(call, "node name"), as_list=True)


def _node(service: ConsulService, call: ConsulCall, name: str, *, as_list: bool) -> Reply:
    keeps = filter_of(service, call, SERVICE)
    namespace = call.namespace
    found = service.catalog.node(namespace, name)
    if found is None or not call.may("node:read", found.shape.node):
        body = b'{"Node":null,"Services":null}' if as_list else b"null"
        return Answer(body, service.view.nodes_index(namespace), filtered=found is not None)
    index = service.view.node_indexes(NodeKey(namespace, found.shape.node)).catalog

    def work() -> Generator[None, None, Listed]:
        standing = yield from service.catalog.standing(found)
        chosen: list[bytes] = []
        hidden = False
        for s, i in standing:
            if not call.may("service:read", s.name):
                hidden = True
            elif keeps is None or keeps(i.health_plain["Service"]):
                chosen.append(service_json(s) if as_list else encode(s.id) + b":" + service_json(s))
            yield
        services = b",".join(chosen)
        services = b"[" + services + b"]" if as_list else b"{" + services + b"}"
        return Listed(b'{"Node":' + found.json + b',"Services":' + services + b"}", index, hidden)

    return stepwise(service, call, index, work)


ROUTES: Final[Routes] = {
    ("GET", "/v1/catalog/datacenters"): Route(datacenters),
    ("PUT", "/v1/catalog/register"): Route(register),
    ("PUT", "/v1/catalog/deregister"): Route(deregister),
    ("GET", "/v1/catalog/services"): Route(services, reads=True, blocking=BY_NAMESPACE),
    ("GET", "/v1/catalog/service/"): Route(instances, reads=True, blocking=BY_NAME),
    ("GET", "/v1/catalog/connect/"): Route(connect, reads=True, blocking=BY_NAMESPACE),
    ("GET", "/v1/catalog/nodes"): Route(nodes, reads=True, blocking=BY_NAMESPACE),
    ("GET", "/v1/catalog/node/"): Route(node, reads=True, blocking=BY_NAMESPACE),
    ("GET", "/v1/catalog/node-services/"): Route(node_services, reads=True, blocking=BY_NAMESPACE),
}
