"""Migration in a server: whose addresses are our own, and who seals the secrets of registries elsewhere."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from polaris_bridge.core.errors import Invalid

from .metrics.census import TaskCount
from .own_address import is_loopback, is_wildcard

if TYPE_CHECKING:
    from polaris_bridge.migration.desk import Desk

    from .configcentre.serverkey import ServerKeys

FORM: Final = b"\x01"
NONCE_SIZE: Final = 12
ID_SIZE: Final = 8
PURPOSE: Final = b"polaris-bridge secret of a registry"
"""What the seal is bound to besides."""


class SecretSealer:
    """``migration.ports.Sealer`` with the server's own key: one byte of form, the key's id, a nonce, AES-256-GCM."""

    def __init__(self, keys: Callable[[], ServerKeys]) -> None:
        """``keys`` is asked when the first secret is sealed or opened."""
        self._keys = keys

    def seal(self, secret: str) -> bytes:
        """See ``Sealer``."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        id, key = self._keys().first()
        nonce = secrets.token_bytes(NONCE_SIZE)
        return FORM + id + nonce + AESGCM(key).encrypt(nonce, secret.encode(), FORM + id + PURPOSE)

    def open(self, sealed: bytes) -> str:
        """See ``Sealer``."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        start, end = len(FORM) + ID_SIZE, len(FORM) + ID_SIZE + NONCE_SIZE
        id, nonce, rest = sealed[len(FORM) : start], sealed[start:end], sealed[end:]
        try:
            return AESGCM(self._keys().find(id)).decrypt(nonce, rest, FORM + id + PURPOSE).decode()
        except (InvalidTag, ValueError):
            raise Invalid("secret", "it was changed since it was sealed; tell it again") from None


def task_counts(desk: Desk) -> list[TaskCount]:
    """The tasks at work, for metrics. May be read beside the core's thread."""
    found = []
    for worker in desk.workers():
        p, audit = worker.progress, worker.progress.audit
        counted = TaskCount(
            task=worker.task.id,
            stage=worker.task.stage,
            services=len(audit.services) if audit is not None else 0,
            copies=p.copies,
            differences=audit.open if audit is not None else 0,
            held=len(p.held),
            queue=p.queue,
            errors=p.errors,
            lag_s=p.lag_s,
            stale=p.stale_since_ms > 0,
            clean=audit is not None and audit.clean_since_ms > 0 and not p.stale_since_ms,
            writes=dict(p.writes),
        )
        found.append(counted)
    return found


class OwnAddresses:
    """Which hosts and ports lead back to us."""

    def __init__(self, ports: Callable[[], Iterable[int]]) -> None:
        self._ports = ports

    async def is_ours(self, host: str, port: int) -> bool:
        """Whether something that listens here answers there. Names are looked up; one that nobody knows is not ours."""
        if port not in set(self._ports()):
            return False
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return False
        return any(_is_local(str(address[0])) for *_, address in found)


def _is_local(address: str) -> bool:
    """Whether an address is this machine's: only such a one can be bound."""
    if is_loopback(address) or is_wildcard(address):
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
