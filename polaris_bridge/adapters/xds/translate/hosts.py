"""Virtual hosts and route tables: encoded in pieces, so that a table of thousands of services costs the one that changed. Pure.

The messages are ``VirtualHost`` and ``RouteConfiguration`` of ``envoy.config.route.v3``, whose numbers of fields stand here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from polaris_bridge.adapters.xds.wire.assignments import delimited, text
from polaris_bridge.core.model import ServiceKey

from .names import PASSTHROUGH, outbound
from .rules.routing import ANYTHING, Plan, Share, Way

Json = dict[str, Any]

ALLOW_ANY: Final = "allow_any"
PLAIN: Final = (Way(ANYTHING, (Share(),)),)
"""Without rules."""
_NO_TIMEOUT: Final = b"\x42\x00"
_EVERYTHING: Final = b"\x0a\x03\x0a\x01/"


def is_plain(plan: Plan) -> bool:
    """Whether all calls go to the whole service."""
    return plan.ways == PLAIN


def plain_host(name: str, service: ServiceKey, domains: Sequence[str], cluster: str = "") -> bytes:
    """The virtual host of a service without rules, encoded."""
    action = text(b"\x0a", cluster or outbound(service)) + _NO_TIMEOUT
    route = _EVERYTHING + delimited(b"\x12", action)
    return text(b"\x0a", name) + b"".join(text(b"\x12", host) for host in domains) + delimited(b"\x1a", route)


def host_json(name: str, domains: Sequence[str], routes: Sequence[Json], more: Json | None = None) -> Json:
    """A virtual host in the JSON of its message."""
    return {"name": name, "domains": list(domains), "routes": list(routes), **(more or {})}


def allow_any(more: Json | None = None) -> Json:
    """The virtual host of all that nobody else is meant by."""
    route = {"match": {"prefix": "/"}, "route": {"cluster": PASSTHROUGH, "timeout": "0s"}}
    return host_json(ALLOW_ANY, ["*"], [route], more)


def framed(host: bytes) -> bytes:
    """An encoded virtual host as a part of a table."""
    return delimited(b"\x12", host)


def unframed(part: bytes) -> bytes:
    """The virtual host in a part of a table."""
    at = 1
    while part[at] & 0x80:
        at += 1
    return part[at + 1 :]


def table(name: str, parts: Iterable[bytes]) -> bytes:
    """A route table, encoded, of parts. Clusters may come later than it."""
    return b"".join([text(b"\x0a", name), *parts, b"\x3a\x00"])
