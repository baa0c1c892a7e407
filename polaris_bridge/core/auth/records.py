"""Refusals as operation records: who was turned away, from what, and why."""

from __future__ import annotations

from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.events import OperationRecord
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Resource
from polaris_bridge.core.registry import Registry


def tell_refusal(registry: Registry, caller: Caller, operation: str, resource: Resource, error: CoreError) -> None:
    """Tell everybody who keeps operation records. The result is the name of the error; no credential is in it."""
    if not registry.operations:
        return
    record = OperationRecord(
        registry.clock.wall_ms(),
        resource.kind or "call",
        resource.name or resource.id,
        resource.namespace,
        operation,
        caller,
        " ".join(filter(None, (resource.kind, resource.id))),
        type(error).__name__,
    )
    for told in registry.operations:
        told(record)
