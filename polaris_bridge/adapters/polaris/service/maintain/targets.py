"""Where a Prometheus server finds metrics: of SDKs that say so, and of the server's own nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from polaris_bridge.adapters.polaris.service.clients import Clients, Target
from polaris_bridge.adapters.polaris.translate.shown import healthy, isolated, seen, shown_id
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.registry import Registry


def nodes(registry: Registry, checker: ServiceKey, port: int) -> Iterator[Target]:
    """The nodes that share the work of health checks; each serves its metrics on its main HTTP port, which is ours too."""
    for address in registry.snapshot(checker).addresses.values():
        for index, s in enumerate(seen(address)):
            if healthy(s) and not isolated(s, address):
                yield Target(address.host, port, "/metrics", "http", shown_id(s, index == 0))


def listed(clients: Clients, registry: Registry, checker: ServiceKey, port: int | None) -> list[dict[str, Any]]:
    """All targets in the form of Prometheus' HTTP discovery. ``port``: of the main HTTP port; None: there is none."""
    own = nodes(registry, checker, port) if port is not None else ()
    return [_item(target) for target in (*clients.targets(), *own)]


def _item(target: Target) -> dict[str, Any]:
    host = f"[{target.host}]" if ":" in target.host else target.host
    labels = {
        "__meta_polaris_client_id": target.client,
        "__metrics_path__": target.path,
        "__scheme__": target.scheme,
    }
    return {"targets": [f"{host}:{target.port}"], "labels": labels}
