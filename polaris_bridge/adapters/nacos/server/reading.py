"""What HTTP parameters of naming calls say, as values: instances, heartbeats, metadata, services.

Names, aliases and defaults as Nacos 2.5.1 reads them. The functions raise ``Refused``.
"""

from __future__ import annotations

from typing import Any, Final

from polaris_bridge.adapters.nacos.wire import codes, json_in
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, Beat, Instance, Refused
from polaris_bridge.adapters.nacos.wire.params import (
    Params,
    check,
    metadata_text_objection,
    naming_objection,
    port_objection,
    unquoted,
)
from polaris_bridge.adapters.nacos.wire.payload import Malformed

from .answers import Contained
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
    check(metadata_text_objection(text))
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
            _as_sent(params, "namespaceId", scope.namespace_id),
            scope.name,
            _as_sent(params, "groupName", scope.group),
            cluster=_either(params, "clusterName", "cluster"),
            ip=params.raw("ip"),
            port=_either(params, "port", "checkPort"),
            metadata=found,
        )
    )
    return found


def _as_sent(params: Params, name: str, read: str) -> str:
    """A parameter with the spaces around it, which are against the rules; what was read when that is of elsewhere."""
    value = params.raw(name)
    return value if value and value.strip() == read else read


def _either(params: Params, name: str, other: str) -> str | None:
    """The first of two that has a value, as it was sent."""
    return params.raw(name if params.text(name) else other)


def checked_list(call: HttpCall, clusters: str) -> None:
    """Hold a call about a list to the rules."""
    scope, params = call.scope, call.params
    space, group = _as_sent(params, "namespaceId", scope.namespace_id), _as_sent(params, "groupName", scope.group)
    check(naming_objection(space, scope.name, group, clusters=clusters))


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


def port(params: Params) -> int:
    """``port``, 0 when it is not given."""
    check(port_objection(params.raw("port")))
    return params.integer("port", 0)


def beat(params: Params) -> Beat | None:
    """The ``beat`` of a heartbeat; None for a light one. Nobody catches bad JSON on the real server either."""
    text = params.text("beat")
    if not text:
        return None
    try:
        return json_in.beat(text)
    except Malformed as error:
        raise Contained(500, f"invalid beat: {error}") from None


def targets(params: Params) -> tuple[Instance, ...]:
    """The ``instances`` of a metadata batch; none means all, and what cannot be read is refused."""
    text = params.text("instances")
    if not text:
        return ()
    try:
        return json_in.instances(text)
    except Malformed as error:
        raise Refused(400, codes.PARAMETER_VALIDATE, f"Param 'instances' is illegal: {error}") from None


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
    try:
        found = json_in.json_object(unquoted(text) or "")
    except Malformed:
        found = {}
    kind = found.get("type")
    if kind == "none":
        return {"type": "none"}
    if kind == "label":
        return {"type": "label", "expression": str(found.get("expression") or "")}
    raise Refused(400, codes.SELECTOR, _NO_SELECTOR)
