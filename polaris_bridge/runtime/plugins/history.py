"""Plugin ``history``, implementation ``HistoryLogger``: one line per operation in the scope of that name.

``time|type|name|namespace|operation|operator|detail|server``, in the words of polaris-server where it has one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from polaris_bridge.core.events import OperationRecord
from polaris_bridge.core.model import Caller

from ..logs import scope
from .text import line, utc

SCOPE: Final = "HistoryLogger"

_OPERATIONS: Final = {
    "register": "Create", "deregister": "Delete", "isolate": "UpdateIsolate",
    "gray": "PublishGray", "stop": "StopGray", "promote": "PromoteGray", "withdraw": "Delete",
}  # fmt: skip
"""Words of the core that polaris-server has another word for; the others are capitalised."""

_RESOURCES: Final = {
    "config-group": "ConfigGroup", "config-file": "ConfigFile", "config-release": "ConfigFileRelease",
    "config-template": "ConfigFileTemplate",
}  # fmt: skip
"""Likewise of what an operation is on."""


class HistoryLog:
    """A sink of operation records. ``server`` is this server's own address, the last field of each line; ``name_of`` tells
    the name of a principal."""

    def __init__(
        self,
        server: str,
        logger: logging.Logger | None = None,
        name_of: Callable[[str], str] = lambda principal: principal,
    ) -> None:
        self._server = server
        self._name_of = name_of
        self._logger = logger or scope(SCOPE)

    def __call__(self, record: OperationRecord) -> None:
        """Write one operation."""
        if self._logger.isEnabledFor(logging.INFO):
            self._logger.info(_Line(record, _operator(record.caller, self._name_of), self._server))


class _Line:
    """Becomes text in the log thread; record and server never change."""

    __slots__ = ("_operator", "_record", "_server")

    def __init__(self, record: OperationRecord, operator: str, server: str) -> None:
        self._record = record
        self._operator = operator
        self._server = server

    def __str__(self) -> str:
        r = self._record
        resource = _RESOURCES.get(r.resource) or r.resource.capitalize()
        operation = _OPERATIONS.get(r.operation, r.operation.capitalize())
        return line(
            utc(r.wall_ms), resource, r.name, r.namespace, operation, self._operator, _detail(r), self._server,
        )  # fmt: skip


def _operator(caller: Caller, name_of: Callable[[str], str]) -> str:
    return name_of(caller.principal) if caller.principal else caller.address or caller.protocol


def _detail(record: OperationRecord) -> str:
    """What was written, then through which protocol, from where, and how it ended."""
    caller = record.caller
    parts = [record.detail, f"protocol={caller.protocol}"]
    if caller.address:
        parts.append(f"address={caller.address}")
    if caller.client:
        parts.append(f"client={caller.client}")
    parts.append(f"result={record.result}")
    return " ".join(part for part in parts if part)
