"""What waits for the store: commands gathered into batches, the fate of a batch, and services as pending commands left them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from .model import (
    Address,
    AddressKey,
    Document,
    NamespaceRecord,
    Registration,
    RegistrationKey,
    ServiceKey,
    ServiceRecord,
)
from .ports import Row

log = logging.getLogger(__name__)

REGISTER: Final = "register"
DEREGISTER: Final = "deregister"
"""Kinds of commands, each with bounds of its own in the one queue."""


class BatchTerms(Struct, frozen=True):
    """Bounds of the queue of writes (``naming.batch`` of the configuration file)."""

    queue_size: int = 10240
    """Commands that may wait; one more is refused with ``Busy``."""
    max_batch_count: int = 128
    """Commands in one transaction."""
    drop_expired: bool = True
    task_life_s: float = 30.0
    """A command that the writer did not take for so long fails, when ``drop_expired``."""


class Commit:
    """The fate of one batch: shared by all commands in it. ``then`` calls back once, when it is durable or has failed."""

    __slots__ = ("_waiting", "done", "error")

    def __init__(self, done: bool = False) -> None:
        self.done = done
        self.error: Exception | None = None
        self._waiting: list[Callable[[Exception | None], None]] = []

    def then(self, call: Callable[[Exception | None], None]) -> None:
        """Call back with None (durable, published) or the reason; at once when that is known already."""
        if self.done:
            call(self.error)
        else:
            self._waiting.append(call)

    def settle(self, error: Exception | None) -> None:
        """Called by the ledger."""
        self.done, self.error = True, error
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            try:
                call(error)
            except Exception:  # one caller's fault must not keep the others from their answer
                log.exception("a caller failed to take its answer")


SETTLED: Final = Commit(done=True)
"""The commit of a command that changed nothing."""


class Draft:
    """A service as the newest commands left it; owned by one batch, immutable once that batch is closed."""

    __slots__ = ("addresses", "batch", "record", "revision")

    def __init__(
        self, batch: Batch, record: ServiceRecord | None, addresses: dict[AddressKey, Address], revision: int
    ) -> None:
        self.batch = batch
        self.record = record
        self.addresses = addresses
        self.revision = revision


class Batch:
    """The commands that share one transaction."""

    __slots__ = ("commit", "counts", "documents", "drafts", "index", "namespaces", "opened", "rows", "sent", "touched")

    def __init__(self, now: float) -> None:
        self.opened = now
        self.sent = False
        self.counts: dict[str, int] = {}
        """Commands by kind."""
        self.commit = Commit()
        self.drafts: dict[ServiceKey, Draft] = {}
        self.touched: dict[tuple[ServiceKey, AddressKey], None] = {}
        self.index: dict[RegistrationKey, Registration | None] = {}
        self.namespaces: dict[str, NamespaceRecord | None] = {}
        self.documents: dict[tuple[str, str], Document | None] = {}
        self.rows: dict[tuple[Any, ...], Row] = {}
