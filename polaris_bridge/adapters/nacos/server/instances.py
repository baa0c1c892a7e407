"""What HTTP v2 and v3 do with instances: one function a call, which both generations' routes use.

Answers of Nacos 2.5.1 and 3.x. Instances that are registered here are shown without an instance id, as on the real server.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

from polaris_bridge.adapters.nacos.service.readers import Reader, asking
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, Host, Instance
from polaris_bridge.adapters.nacos.wire.params import check, naming_objection
from polaris_bridge.adapters.nacos.wire.service_info import Form, host
from polaris_bridge.core.batches import Commit

from . import reading
from .answers import Answer, Reply, Sliced, result
from .call import HttpCall
from .forms import the_one

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService


def said(service: NacosService, call: HttpCall) -> Instance:
    """The instance that a form describes."""
    return reading.instance(call, ephemeral=service.operator.switches.default_instance_ephemeral)


def register(service: NacosService, call: HttpCall) -> Answer:
    """POST instance"""
    return result("ok", service.registering.register(call.scope, said(service, call), call.caller, with_id=False))


def deregister(service: NacosService, call: HttpCall) -> Answer:
    """DELETE instance: fine too when it is unknown."""
    found = said(service, call)
    cluster = found.cluster or DEFAULT_CLUSTER
    commit = service.registering.deregister(call.scope, found.ip, found.port, cluster, found.ephemeral, call.caller)
    return result("ok", commit)


def update(service: NacosService, call: HttpCall) -> Answer:
    """PUT instance: an operator's override, whatever its client says from now on."""
    return result("ok", override(service, call))


def partial(service: NacosService, call: HttpCall) -> Answer:
    """PUT instance/partial of v3: an override of what is named, the rest stays."""
    return result("ok", override_named(service, call))


def override(service: NacosService, call: HttpCall) -> Commit:
    """Lay what a form says over an instance, in every generation."""
    found = said(service, call)
    return service.overrides.put(
        call.scope,
        found.ip,
        found.port,
        found.cluster or DEFAULT_CLUSTER,
        weight=found.weight,
        enabled=found.enabled,
        metadata=found.metadata or None,
        caller=call.caller,
    )


def override_named(service: NacosService, call: HttpCall) -> Commit:
    """The same with what the form names, the rest stays. Raises ``Refused`` when there is no such instance."""
    params = call.params
    pairs = reading.checked(call)
    ip, port, cluster = params.required("ip"), params.integer("port"), reading.cluster(params)
    one(service, call, ip, port, cluster)
    return service.overrides.patch(
        call.scope,
        ip,
        port,
        cluster,
        weight=reading.weight(params) if params.text("weight") else None,
        enabled=params.boolean("enabled", True) if params.text("enabled") else None,
        metadata=pairs if params.text("metadata") else None,
        caller=call.caller,
    )


def one(service: NacosService, call: HttpCall, ip: str, port: int, cluster: str) -> Host:
    """An instance, also one that is disabled. Raises ``Refused`` when there is none."""
    found = service.discovery.one(call.scope, ip, port, cluster)
    return the_one(found, call.scope, cluster, empty=found is None and not service.discovery.all(call.scope))


def metadata_batch(service: NacosService, call: HttpCall) -> Answer:
    """PUT instance/metadata/batch"""
    return _metadata_batch(service, call, remove=False)


def metadata_batch_delete(service: NacosService, call: HttpCall) -> Answer:
    """DELETE instance/metadata/batch"""
    return _metadata_batch(service, call, remove=True)


def _metadata_batch(service: NacosService, call: HttpCall, *, remove: bool) -> Answer:
    params, scope = call.params, call.scope
    params.required("metadata")
    targets, pairs = reading.targets(params), reading.metadata(params)
    check(naming_objection(scope.namespace_id, scope.name, scope.group, metadata=pairs))
    for target in targets:
        check(naming_objection(cluster=target.cluster, ip=target.ip, port=target.port))
    commit, updated = service.overrides.metadata_batch(scope, targets or None, pairs, remove, call.caller)
    return result({"updated": updated}, commit)


def reader_of(service: NacosService, call: HttpCall, ip: str = "ip") -> Reader | None:
    """Who asks for a list, where rules say what each kind of callers is given. ``ip``: the parameter that its address is in."""
    if not service.readers.any:
        return None
    return asking(call.caller, call.scope, call.params.text(ip), call.params.text("app"))


def listed(
    service: NacosService, call: HttpCall, clusters: str, healthy_only: bool, form: Form, reader: Reader | None
) -> Reply:
    """A list as clients get it; long ones are made in slices."""
    discovery, scope = service.discovery, call.scope
    kind = None if reader is None else service.readers.kind(reader)
    if not discovery.long(scope, kind):
        return result(discovery.info(scope, clusters, healthy_only, form, kind))

    def work() -> Generator[None, None, Answer]:
        yield from discovery.prepare(scope, kind)
        return result(discovery.info(scope, clusters, healthy_only, form, kind))

    return Sliced(work())


def encoded(hosts: Iterable[Host]) -> bytes:
    """Instances as a JSON list."""
    return b"[%b]" % b",".join([host(h) for h in hosts])
