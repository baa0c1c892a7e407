"""Resources in the JSON of their messages, encoded. The real messages decide what is a field and what is not."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from . import messages, types

_PARTS: Final = (
    "fault",
    "file_log",
    "hcm",
    "http_inspector",
    "http_options",
    "local_ratelimit",
    "on_demand",
    "original_dst",
    "ratelimit",
    "raw_buffer",
    "router",
    "tcp_proxy",
    "tls",
    "tls_inspector",
)
"""Messages that stand in others as ``Any``."""


@cache
def message_type(type_url: str) -> type[Any]:
    """The class of the messages of a type; imports what may stand in them."""
    for part in _PARTS:
        getattr(messages, part)
    found: type[Any] = {
        types.LISTENER: lambda: messages.listener.Listener,
        types.ROUTES: lambda: messages.route.RouteConfiguration,
        types.VIRTUAL_HOST: lambda: messages.route_components.VirtualHost,
        types.CLUSTER: lambda: messages.cluster.Cluster,
        types.ASSIGNMENT: lambda: messages.endpoint.ClusterLoadAssignment,
        types.SECRET: lambda: messages.secret.Secret,
    }[type_url]()
    return found


def message(type_url: str, content: dict[str, Any]) -> Any:
    """The message of a type. Raises ``ValueError`` for what is none."""
    from google.protobuf.json_format import ParseDict, ParseError

    try:
        return ParseDict(content, message_type(type_url)())
    except ParseError as error:
        raise ValueError(str(error)) from error


def encoded(type_url: str, content: dict[str, Any]) -> bytes:
    """The same as bytes; equal content, equal bytes."""
    found: bytes = message(type_url, content).SerializeToString(deterministic=True)
    return found
