"""What HTTP parameters of naming calls say, as values: instances, heartbeats, metadata, services.

Names, aliases and defaults as Nacos 2.5.1 reads them. The functions raise ``Refused``.
"""

from __future__ import annotations

from typing import Any, Final

from polaris_bridge.adapters.nacos.wire import codes, json_in
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, Beat, Instance, Refused
from polaris_bridge.adapters.nacos.wire.params import Params, check, naming_objection
from polaris_bridge.adapters.nacos.wire.payload import Malformed

from .call import HttpCall

_MAX_WEIGHT: Final = 10_000.0
_NO_SELECTOR: Final = "not match any type of selector!"


def cluster(params: Params, default: str = DEFAULT_CLUSTER) -> str:
    """``clusterName``, or its alias ``cluster``."""
    return params.text("clusterName") or params.text("cluster") or default


def enabled(params: Params) -> bool:
    """``enabled``, or its alias ``enable``."""
    return params.boolean("enabled", params.boolean("enable", True))


def metadata(params: Params) -> dict[str, str]:
    """``metadata``, as JSON or ``k=v,k2=v2``."""
    text = params.text("metadata")
    if not text:
        return {}
    try:
        return json_in.metadata(text)
    except Malformed as error:
        raise Refused(400, codes.INSTANCE_METADATA, str(error)) from None


def checked(call: HttpCall, *, with_metadata: bool = True) -> dict[str, str]:
    """Hold a call about instances to the rules of names and numbers; its metadata, which was read on the way."""
    scope, params = call.scope, call.params
    found = metadata(params) if with_metadata else {}
    check(
        naming_objection(
            scope.namespace_id,
            scope.name,
            scope.group,
            cluster=params.text("clusterName") or params.text("cluster"),
            ip=params.raw("ip"),
            port=params.text("port") or params.text("checkPort"),
            metadata=found,
        )
    )
    return found


def checked_list(call: HttpCall, clusters: str) -> None:
    """Hold a call about a list to the rules."""
    scope = call.scope
    check(naming_objection(scope.namespace_id, scope.name, scope.group, clusters=clusters))


def weight(params: Params) -> float:
    """0 to 10000."""
    found = params.number("weight", 1.0)
    if not 0.0 <= found <= _MAX_WEIGHT:
        text = "instance format invalid: The weights range from 0.0 to 10000.0"
        raise Refused(400, codes.WEIGHT, text)
    return found


def instance(call: HttpCall, *, ephemeral: bool) -> Instance:
    """The instance that a call registers, changes or ends. ``ephemeral``: what it is when it does not say."""
    params = call.params
    pairs = checked(call)
    return Instance(
        ip=params.required("ip"),
        port=params.integer("port"),
        weight=weight(params),
        healthy=params.boolean("healthy", True),
        enabled=enabled(params),
        ephemeral=params.boolean("ephemeral", ephemeral),
        cluster=cluster(params),
        metadata=pairs,
        app=params.text("app"),
    )


def beat(params: Params) -> Beat | None:
    """The ``beat`` of a heartbeat; None for a light one. Bad JSON is a server error on the real server too."""
    text = params.text("beat")
    if not text:
        return None
    try:
        return json_in.beat(text)
    except Malformed as error:
        raise Refused(500, codes.SERVER_ERROR, f"invalid beat: {error}") from None


def targets(params: Params) -> tuple[Instance, ...]:
    """The ``instances`` of a metadata batch; what cannot be read counts as none, which means all."""
    text = params.text("instances")
    if not text:
        return ()
    try:
        return json_in.instances(text)
    except Malformed:
        return ()


def json_object(text: str, name: str) -> dict[str, Any]:
    """A parameter that is a JSON object."""
    try:
        return json_in.json_object(text)
    except Malformed as error:
        raise Refused(400, codes.PARAMETER_VALIDATE, f"Param '{name}' is illegal: {error}") from None


def selector(params: Params) -> dict[str, Any] | None:
    """``selector``: None when there is none."""
    text = params.text("selector")
    if not text:
        return None
    found = json_object(text, "selector")
    kind = found.get("type")
    if kind == "none":
        return {"type": "none"}
    if kind == "label":
        return {"type": "label", "expression": str(found.get("expression") or "")}
    raise Refused(400, codes.SELECTOR, _NO_SELECTOR)
