"""The naming requests of gRPC clients, and their locks: decode, check, ask the service, and say what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec import structs

from polaris_bridge.adapters.nacos.service.scope import Held, Scope
from polaris_bridge.adapters.nacos.wire import codes, json_in
from polaris_bridge.adapters.nacos.wire.messages import Instance, Refused
from polaris_bridge.adapters.nacos.wire.params import check, naming_objection
from polaris_bridge.adapters.nacos.wire.payload import encode
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Resource
from polaris_bridge.core.routing.classes import RoutingClass

from .grpc_answers import DONE, Pending, Written, json, success
from .grpc_kinds import Asked, Kind, Kinds, Reply

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

REGISTER: Final = "registerInstance"
DEREGISTER: Final = "deregisterInstance"
BATCH_REGISTER: Final = "batchRegisterInstance"
LOCK: Final = "LockOperation"
"""What policies call taking and giving back a lock."""

_SAID: Final = {type: success(b'"type":"%b"' % type.encode()) for type in (REGISTER, DEREGISTER, BATCH_REGISTER)}


# ---------------------------------------------------------------------- instances


def instance(service: NacosService, asked: Asked) -> Reply:
    """``InstanceRequest``: the one instance of a connection for a service. It is ephemeral whatever it says (2.5.1)."""
    request = json_in.instance_request(asked.body)
    return _instance(service, asked, request, ephemeral=True)


def persistent_instance(service: NacosService, asked: Asked) -> Reply:
    """``PersistentInstanceRequest``: an instance that outlives the connection."""
    request = json_in.instance_request(asked.body)
    return _instance(service, asked, request, ephemeral=False)


def _instance(service: NacosService, asked: Asked, request: json_in.InstanceRequest, *, ephemeral: bool) -> Reply:
    given = request.instance
    scope, caller = _enter(service, asked, "w", request, (given,) if given is not None else ())
    if given is None:
        raise Refused(400, codes.PARAMETER_VALIDATE, "Instance can not be null.")
    if given.ephemeral is not ephemeral:
        given = structs.replace(given, ephemeral=ephemeral)
    held = asked.connection.held if ephemeral else None
    if request.type == REGISTER:
        commit = service.registering.register(scope, given, caller, held)
    elif request.type == DEREGISTER:
        cluster = given.cluster or "DEFAULT"
        commit = service.registering.deregister(scope, given.ip, given.port, cluster, ephemeral, caller, held)
    else:
        raise _unsupported(request.type)
    return Written(_SAID[request.type], commit)


def batch_instance(service: NacosService, asked: Asked) -> Reply:
    """``BatchInstanceRequest``: the whole new set of a connection for a service."""
    request = json_in.batch_instance_request(asked.body)
    scope, caller = _enter(service, asked, "w", request, request.instances)
    if request.type != BATCH_REGISTER:
        raise _unsupported(request.type)
    instances = tuple(i if i.ephemeral else structs.replace(i, ephemeral=True) for i in request.instances)
    commit = service.registering.batch(scope, instances, caller, _held(asked))
    return Written(_SAID[BATCH_REGISTER], commit)


def _held(asked: Asked) -> Held:
    assert asked.connection.held is not None  # it is set up, or it would not have been let in
    return asked.connection.held


def _unsupported(type: str | None) -> Refused:
    return Refused(400, codes.PARAMETER_VALIDATE, f"Unsupported request type {'null' if type is None else type}")


# ---------------------------------------------------------------------- lists


def query(service: NacosService, asked: Asked) -> Reply:
    """``ServiceQueryRequest``: a list, once."""
    request = json_in.service_query_request(asked.body)
    scope, _ = _enter(service, asked, "r", request, clusters=request.cluster)
    kind = service.readers.connected(asked.connection, scope)
    return _list(service, scope, request.cluster, request.healthy_only, kind, "QueryServiceResponse", b"")


def subscribe(service: NacosService, asked: Asked) -> Reply:
    """``SubscribeServiceRequest``: a list, now and whenever it changes. The end of a subscription is answered alike."""
    request = json_in.subscribe_service_request(asked.body)
    scope, caller = _enter(service, asked, "r", request, clusters=request.clusters)
    if request.subscribe:
        service.endings.subscribed(asked.connection, scope, request.clusters, caller.principal)
        service.pushing.subscribe(asked.connection, scope, request.clusters)
    else:
        service.endings.unsubscribed(asked.connection, scope, request.clusters)
        service.pushing.unsubscribe(asked.connection, scope, request.clusters)
    kind = service.readers.connected(asked.connection, scope)
    return _list(service, scope, request.clusters, False, kind, "SubscribeServiceResponse", b'"message":"success",')


def _list(
    service: NacosService,
    scope: Scope,
    clusters: str,
    healthy: bool,
    kind: RoutingClass | None,
    type: str,
    before: bytes,
) -> Reply:
    discovery = service.discovery

    def body() -> bytes:
        return success(b'%b"serviceInfo":%b' % (before, discovery.info(scope, clusters, healthy, "grpc", kind)))

    if not discovery.long(scope, kind):
        return body()
    pending = Pending()
    service.slices.run(
        ("list", discovery.key(scope), kind is None),
        lambda: discovery.prepare(scope, kind),
        lambda _: pending.settle(encode(type, body())),
    )
    return pending


def service_list(service: NacosService, asked: Asked) -> Reply:
    """``ServiceListRequest``: names of a group's services."""
    request = json_in.service_list_request(asked.body)
    check(naming_objection(request.namespace, request.service_name, request.group_name))
    scope = service.scope(request.namespace, "", request.group_name)
    sees = service.admission.sees(asked.shown("r", scope.namespace, ""))
    wanted = (request.namespace, scope.group, request.page_no, request.page_size)
    if sees is None:
        return _names(*service.services.list(*wanted))
    pending = Pending()
    service.slices.run(
        ("names", pending),
        lambda: service.catalog.page(*wanted, sees),
        lambda found: pending.settle(encode("ServiceListResponse", _names(*(found or (0, ()))))),
    )
    return pending


def _names(count: int, names: Sequence[str]) -> bytes:
    return success(b'"count":%d,"serviceNames":%b' % (count, json(names)))


# ---------------------------------------------------------------------- 3.x


def fuzzy_watch(service: NacosService, asked: Asked) -> Reply:
    """``NamingFuzzyWatchRequest``."""
    request = json_in.fuzzy_watch_request(asked.body)
    namespace = service.spaces.core(request.group_key_pattern.partition(">>")[0])
    caller = asked.shown("r", namespace, "")
    service.admission.check_whole(caller, namespace)
    service.endings.watched(asked.connection, namespace, caller.principal)
    watching = service.fuzzy.request(asked.connection, request)
    if watching is not None:
        service.fuzzy.check_matches(watching)
    return DONE


def lock(service: NacosService, asked: Asked) -> Reply:
    """``LockOperationRequest``."""
    request = json_in.lock_request(asked.body)
    shown = service.admission.shown_in_payload(asked.headers.get, asked.caller.address)
    service.admission.admit_operation(shown, LOCK, Resource(""), asked.caller)
    taken = service.locking.operate(request, asked.connection.id)
    return success(b'"result":true' if taken else b'"result":false')


KINDS: Final[Kinds] = {
    "InstanceRequest": Kind("InstanceResponse", instance),
    "PersistentInstanceRequest": Kind("InstanceResponse", persistent_instance),
    "BatchInstanceRequest": Kind("BatchInstanceResponse", batch_instance),
    "ServiceQueryRequest": Kind("QueryServiceResponse", query, discovers=True),
    "SubscribeServiceRequest": Kind("SubscribeServiceResponse", subscribe, discovers=True),
    "ServiceListRequest": Kind("ServiceListResponse", service_list, b',"count":0'),
    "NamingFuzzyWatchRequest": Kind("NamingFuzzyWatchResponse", fuzzy_watch),
    "LockOperationRequest": Kind("LockOperationResponse", lock),
}


# ---------------------------------------------------------------------- pieces

_Named = (
    json_in.InstanceRequest
    | json_in.BatchInstanceRequest
    | json_in.ServiceQueryRequest
    | json_in.SubscribeServiceRequest
)


def _enter(
    service: NacosService,
    asked: Asked,
    action: str,
    request: _Named,
    instances: tuple[Instance, ...] = (),
    clusters: str | None = None,
) -> tuple[Scope, Caller]:
    """What a request is about and who asks: let in, and its parameters checked. Raises ``Refused``."""
    scope = service.scope(request.namespace, request.service_name, request.group_name)
    caller = asked.shown("w" if action == "w" else "r", scope.namespace, service.key(scope).name)
    check(naming_objection(request.namespace, request.service_name, request.group_name, clusters=clusters))
    for given in instances:
        check(naming_objection(ip=given.ip, port=given.port, cluster=given.cluster, metadata=given.metadata))
    for what, value in (("serviceName", request.service_name), ("groupName", request.group_name)):
        if not value or value.isspace():
            raise Refused(500, codes.SERVER_ERROR, f"Param '{what}' is illegal, {what} is blank")
    return scope, caller
