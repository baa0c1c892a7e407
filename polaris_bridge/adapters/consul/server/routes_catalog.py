"""The catalog: ``/v1/catalog/``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.consul.filters.records import CATALOG_SERVICE, NODE, SERVICE
from polaris_bridge.adapters.consul.service.catalog import Listed
from polaris_bridge.adapters.consul.translate.keys import NodeKey
from polaris_bridge.adapters.consul.view import joined
from polaris_bridge.adapters.consul.wire import catalog_in
from polaris_bridge.adapters.consul.wire.shapes import encode, service_json

from .answers import Answer, Later, Reply, json, true
from .call import ConsulCall, Route, Routes
from .reading import BY_NAME, BY_NAMESPACE, filter_of, listed, named, wanted

if TYPE_CHECKING:
    from collections.abc import Callable

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
    return listed(service.catalog.service(call.namespace, name, asked, call.may))


def connect(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/catalog/connect/:name: nothing takes part in a mesh here."""
    named(call, "service name")
    return Answer(b"[]", service.view.space(call.namespace).catalog)


def nodes(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/catalog/nodes"""
    keeps = filter_of(service, call, NODE)
    namespace = call.namespace
    found, hidden = service.catalog.nodes(namespace, call.params.pairs("node-meta"), keeps, call.near, call.may)
    return listed(Listed(joined(node.json for node in found), service.view.nodes_index(namespace), hidden))


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
    standing = service.catalog.standing(found)
    seen = [(s, i) for s, i in standing if call.may("service:read", s.name)]
    chosen = [(s.id, service_json(s)) for s, i in seen if keeps is None or keeps(i.health_plain["Service"])]
    if as_list:
        body = joined(encoded for _, encoded in chosen)
    else:
        body = b"{" + b",".join(encode(id) + b":" + encoded for id, encoded in chosen) + b"}"
    index = service.view.node_indexes(NodeKey(namespace, found.shape.node)).catalog
    return Answer(b'{"Node":' + found.json + b',"Services":' + body + b"}", index, filtered=len(seen) < len(standing))


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
