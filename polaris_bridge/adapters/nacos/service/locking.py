"""Locks of 3.x clients on the locks of the core.

Observed on Nacos 3.0.3: a lock is not re-entrant, whoever knows its key may release it, and it ends by itself: after 30 s
when the client gives a negative time, after 30 minutes at most.
"""

from __future__ import annotations

from typing import Final

from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.json_in import LockRequest
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.locks import LockKey, Locks

KIND: Final = "nacos"
"""In the keys of the core's locks."""
LOCK_TYPE: Final = "NACOS_LOCK"
"""The one kind of lock that the real server has."""
DEFAULT_MS: Final = 30_000
MOST_MS: Final = 30 * 60_000


class Locking:
    """What a ``LockOperationRequest`` does."""

    def __init__(self, locks: Locks) -> None:
        self._locks = locks

    def operate(self, request: LockRequest, owner: str) -> bool:
        """Whether the lock was taken, or let go. Raises ``Refused``, ``Busy``."""
        if not request.key:
            raise Refused(400, codes.PARAMETER_VALIDATE, "lockType or lockKey is null.")
        if request.lock_type != LOCK_TYPE:
            raise Refused(400, codes.PARAMETER_VALIDATE, f"lockType: {request.lock_type} is not exist.")
        key = LockKey(KIND, request.key)
        if request.operation == "ACQUIRE":
            wanted = request.expired_time_ms
            ms = DEFAULT_MS if wanted is None or wanted < 0 else min(wanted, MOST_MS)
            return self._locks.acquire(key, owner, ms / 1000) is not None
        if request.operation == "RELEASE":
            return self._locks.release(key)
        raise Refused(400, codes.PARAMETER_VALIDATE, f"Unsupported lock operation {request.operation}")
