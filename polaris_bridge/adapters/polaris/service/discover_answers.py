"""What every answer to Discover is made of: its beginning, "unchanged", refusals. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.polaris.answers import bare
from polaris_bridge.adapters.polaris.service.routes import Encoded
from polaris_bridge.adapters.polaris.view import PIECE, field
from polaris_bridge.adapters.polaris.wire import json, v1

DEFAULT_NAMESPACE: Final = "default"
"""Where instances are looked for when a request names no namespace."""

OK: Final[int] = v1.ExecuteSuccess
UNCHANGED: Final[int] = v1.DataNoChange
INSTANCE: Final[int] = v1.DiscoverRequest.INSTANCE
SERVICES: Final[int] = v1.DiscoverRequest.SERVICES
NAMESPACES: Final[int] = v1.DiscoverRequest.NAMESPACES
ROUTING: Final[int] = v1.DiscoverRequest.ROUTING
RULES: Final = frozenset(
    {
        ROUTING,
        v1.DiscoverRequest.RATE_LIMIT,
        v1.DiscoverRequest.CIRCUIT_BREAKER,
        v1.DiscoverRequest.FAULT_DETECTOR,
        v1.DiscoverRequest.LANE,
        v1.DiscoverRequest.CUSTOM_ROUTE_RULE,
        v1.DiscoverRequest.NEARBY_ROUTE_RULE,
        v1.DiscoverRequest.LOSSLESS,
        v1.DiscoverRequest.BLOCK_ALLOW_RULE,
        v1.DiscoverRequest.TRAFFIC_MIRRORING,
        v1.DiscoverRequest.FAULT_INJECTION,
    }
)
"""Types that ask for governance rules."""
SERVED: Final = frozenset({INSTANCE, SERVICES, NAMESPACES}) | RULES
"""All types but UNKNOWN and CLUSTER, for which there is nothing."""

SERVICE: Final[int] = v1.DiscoverResponse.DESCRIPTOR.fields_by_name["service"].number
"""The field of the answer that says what it is about."""


@lru_cache(maxsize=256)
def begin(code: int, type: int) -> bytes:
    """Code, text and type, encoded: what every answer begins with."""
    return bare(code) + v1.DiscoverResponse(type=type).SerializeToString()


def headed(type: int, service: v1.Service, now: str) -> bytes:
    """An answer before its content: the service has the names that were asked for, and the revision."""
    m = v1.Service()
    m.name.value, m.namespace.value, m.revision.value = service.name.value, service.namespace.value, now
    return begin(OK, type) + field(SERVICE, m.SerializeToString())


def unchanged(request: v1.DiscoverRequest) -> bytes:
    """The reader has it already: the service is the request's, as it came."""
    head = begin(UNCHANGED, request.type) + field(SERVICE, request.service.SerializeToString())
    return head + direction(request) if request.Direction else head


def direction(request: v1.DiscoverRequest) -> bytes:
    """Newer clients say whether they call or are called; the answer says it again."""
    return v1.DiscoverResponse(Direction=request.Direction).SerializeToString()


def fault(request: v1.DiscoverRequest) -> int:
    """What is wrong with a request that cannot be answered. Names are looked at in the order of the real server."""
    if request.type not in SERVED:
        return v1.InvalidDiscoverResource
    if not request.HasField("service"):
        return v1.EmptyRequest
    return v1.InvalidNamespaceName if request.service.name.value else v1.InvalidServiceName


def refusal(request: v1.DiscoverRequest, code: int) -> bytes:
    """An error. The service is the request's; a type that is not served is answered with another one, as on the real server."""
    type = request.type if code != v1.InvalidDiscoverResource else ROUTING
    head = begin(code, type)
    if not request.HasField("service"):
        return head
    service = request.service
    if type == INSTANCE and not service.namespace.value:
        echoed = v1.Service()
        echoed.CopyFrom(service)
        echoed.namespace.value = DEFAULT_NAMESPACE
        service = echoed
    return head + field(SERVICE, service.SerializeToString())


def as_json(body: bytes) -> Encoded:
    """An encoded answer as JSON."""
    message = v1.DiscoverResponse.FromString(body)
    return Encoded(message.code.value, json.encode(message))


def services_as_json(body: bytes) -> Work:
    """The same in slices, for an answer that lists many services."""
    message = v1.DiscoverResponse.FromString(body)
    items = []
    for service in message.services:
        items.append(json.fragment(service))
        if len(items) % PIECE == 0:
            yield
    message.ClearField("services")
    return (yield from joined(message, "services", items))


def joined(message: v1.DiscoverResponse, name: str, items: Iterable[bytes]) -> Work:
    """An answer with the items of one of its lists, put together in slices."""
    parts = []
    for part in json.parts(message, name, items):
        parts.append(part)
        yield
    return Encoded(message.code.value, tuple(parts))
