"""The auth seam of the native protocol: every operation passes here with its caller, whatever transport brought it.

polaris-server 1.19 judges console calls when ``consoleOpen`` and client calls when ``clientOpen``; a refusal is code 401001.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from google.protobuf.message import Message
from msgspec import structs

from polaris_bridge.core.errors import Denied
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Authority, Credential, Resource


class Admission:
    """Who may do what. ``operation`` is a function's name as ``/maintain/v1/server/functions`` lists it."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def admit(self, token: str, operation: str, messages: Iterable[Message], caller: Caller) -> Caller:
        """The caller with its principal. Raises ``Denied`` when it may not do this to every resource named.

        ``token`` is the header ``x-polaris-token``; one in a message (``service_token``, ``token``) counts instead.
        """
        messages = tuple(messages)
        shown = next(filter(None, map(_token_of, messages)), token)
        principal = self._authority.authenticate(Credential(token=shown)) if shown else ""
        if principal is None:
            raise Denied("the token is not known")
        for resource in resources_of(messages) or (NOTHING,):
            if not self._authority.allow(principal, operation, resource):
                raise Denied(f"{principal or 'anonymous'} may not {operation} {resource}")
        return structs.replace(caller, principal=principal) if principal else caller


NOTHING: Final = Resource("")
"""The resource of an operation that is about none."""


def resources_of(messages: Iterable[Message]) -> tuple[Resource, ...]:
    """What an operation is about, each once."""
    return tuple(dict.fromkeys(found for message in messages for found in _resources(message)))


def _resources(message: Any) -> Iterator[Resource]:
    finder = _FINDERS.get(message.DESCRIPTOR.name)
    if finder is not None:
        yield finder(message)


def _instance(m: Any) -> Resource:
    return Resource("service", m.namespace.value, m.service.value)


def _service(m: Any) -> Resource:
    return Resource("service", m.namespace.value, m.name.value, m.id.value)


def _rule(kind: str) -> Callable[[Any], Resource]:
    def find(m: Any) -> Resource:
        return Resource(kind, _text(m.namespace), _text(m.name), _text(m.id))

    return find


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value.value)


_FINDERS: Final[dict[str, Callable[[Any], Resource]]] = {
    "Instance": _instance,
    "Service": _service,
    "ServiceAlias": lambda m: Resource("service", m.alias_namespace.value, m.alias.value),
    "ServiceContract": lambda m: Resource("service", m.namespace, m.service),
    "DiscoverRequest": lambda m: Resource("service", m.service.namespace.value, m.service.name.value),
    "Namespace": lambda m: Resource("namespace", m.name.value, m.name.value),
    "RouteRule": _rule("routing"),
    "Rule": _rule("rate_limit"),
    "CircuitBreakerRule": _rule("circuit_breaker"),
    "FaultDetectRule": _rule("fault_detect"),
    "LaneGroup": lambda m: Resource("lane", "", m.name, m.id),
    "LosslessRule": lambda m: Resource("lossless", m.namespace, m.service, m.id),
    "BlockAllowListRule": _rule("block_allow"),
    "TrafficMirroring": lambda m: Resource("traffic_mirroring", m.namespace.value, m.service.value),
    "FaultInjection": lambda m: Resource("fault_injection", m.namespace.value, m.service.value),
    "Client": lambda m: Resource("client", "", "", m.id.value),
}


def _token_of(message: Any) -> str:
    match message.DESCRIPTOR.name:
        case "Instance":
            return str(message.service_token.value)
        case "Service":
            return str(message.token.value)
        case "DiscoverRequest":
            return str(message.service.token.value)
        case _:
            return ""
