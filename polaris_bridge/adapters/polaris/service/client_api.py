"""The calls of clients over HTTP: one message in, one message out, as over gRPC."""

from __future__ import annotations

from typing import Protocol

from polaris_bridge.adapters.polaris.settings import DISCOVER, HEALTHCHECK, REGISTER
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Caller

from .operations import discover_operation
from .registration import Registering
from .routes import CLIENT, Handle, Result, Route


class Discovering(Protocol):
    """Answers what a client wants to know."""

    def discover_json(self, request: v1.DiscoverRequest, caller: Caller, /) -> Result:
        """A ``DiscoverResponse``, encoded; later when it takes a while to put together."""
        ...


class Clients(Protocol):
    """Keeps the clients that report."""

    def report(self, client: v1.Client, caller: Caller, /) -> Result:
        """ReportClient."""
        ...


def client_routes(registering: Registering, discovering: Discovering, clients: Clients) -> tuple[Route, ...]:
    """The client API."""
    instance = "Instance"
    return (
        _route(
            "ReportClient", "ReportClient", clients.report, "Client", DISCOVER, "Tell that a client runs; learn where."
        ),
        _route(
            "RegisterInstance",
            "RegisterInstance",
            registering.register,
            instance,
            REGISTER,
            "Make or replace an instance.",
        ),
        _route(
            "DeregisterInstance", "DeregisterInstance", registering.deregister, instance, REGISTER, "End an instance."
        ),
        _route("Heartbeat", "Heartbeat", registering.heartbeat, instance, HEALTHCHECK, "A sign of life."),
        _route(
            "Discover",
            "Discover",
            discovering.discover_json,
            "DiscoverRequest",
            DISCOVER,
            "Instances, services, rules.",
        ),
    )


def _route(name: str, operation: str, handle: Handle, request: str, include: str, about: str) -> Route:
    return Route(
        method="POST",
        path=f"/v1/{name}",
        operation=operation,
        handle=handle,
        named=discover_operation if name == "Discover" else None,
        takes="one",
        request=request,
        response="DiscoverResponse" if request == "DiscoverRequest" else "Response",
        group=CLIENT,
        include=frozenset({include}),
        about=about,
    )
