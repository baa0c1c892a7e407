"""Who leads: this server, always."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .answers import Reply, json
from .call import ConsulCall, Route, Routes

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService


def leader(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/status/leader"""
    call.namespace_of(call.datacenter)
    return json(service.server_address)


def peers(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/status/peers"""
    call.namespace_of(call.datacenter)
    return json([service.server_address])


ROUTES: Final[Routes] = {
    ("GET", "/v1/status/leader"): Route(leader),
    ("GET", "/v1/status/peers"): Route(peers),
}
