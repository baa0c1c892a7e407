"""Writes of the catalog: nodes with a service and checks come and go, each request in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from polaris_bridge.adapters.consul.translate.keys import NodeKey
from polaris_bridge.adapters.consul.wire.catalog_in import Deregistration, Registration
from polaris_bridge.adapters.consul.wire.refusals import failed
from polaris_bridge.adapters.consul.wire.txn import CheckOp, NodeOp, ServiceOp
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.model import Caller

from .txn_catalog import CatalogOps

if TYPE_CHECKING:
    from .consul import ConsulService


class Cataloging:
    """See the module."""

    def __init__(self, service: ConsulService) -> None:
        self._service = service
        self._registry = service.registry
        self._operations = CatalogOps(service)

    def register(self, namespace: str, asked: Registration, caller: Caller) -> Commit:
        """Put a node, and what comes with it. Raises ``Refused``; then nothing was done."""
        operations: list[NodeOp | ServiceOp | CheckOp] = [asked.node]
        if asked.service is not None:
            operations.append(asked.service)
        for operation in (*operations, *asked.checks):
            objection = self._operations.objection(operation)
            if objection:
                raise failed(objection)
        afterwards: list[Callable[[], None]] = []
        node = NodeKey(namespace, asked.node.node)
        with self._registry.transaction() as commit:
            known = self._service.nodes.newest(node)
            if known is None or not (asked.skip_node or self._service.nodes.is_own(node)):
                self._operations.node(namespace, asked.node, caller)
            if asked.service is not None:
                self._operations.service(namespace, asked.service, caller)
            for check in asked.checks:
                if check.node.lower() != asked.node.node.lower():
                    raise failed(f"check node '{check.node}' does not match node '{asked.node.node}'")
                self._operations.check(namespace, check, caller, afterwards.append)

        def durable(error: Exception | None) -> None:
            for run in afterwards if error is None else ():
                run()

        commit.then(durable)
        return commit

    def deregister(self, namespace: str, asked: Deregistration, caller: Caller) -> Commit:
        """Take out a service, a check, or a whole node; what is not there is gone already."""
        with self._registry.transaction() as commit:
            if asked.service_id:
                gone = ServiceOp("delete", asked.node, asked.service_id, asked.service_id)
                self._operations.service(namespace, gone, caller)
            elif asked.check_id:
                gone_check = CheckOp("delete", asked.node, asked.check_id, asked.check_id)
                self._operations.check(namespace, gone_check, caller, lambda _: None)
            else:
                self._operations.node(namespace, NodeOp("delete", asked.node), caller)
        return commit
