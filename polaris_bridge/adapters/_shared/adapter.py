"""What every adapter is to the runtime: an entry in one list, built into something that listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from polaris_bridge.core.ports import Authority
from polaris_bridge.core.registry import Registry

from .listener import HttpListener
from .settings import HttpSettings


class Surroundings(Struct, frozen=True):
    """What an adapter is given: the core, who judges credentials, and where to count."""

    registry: Registry
    authority: Authority
    allow: Callable[[str], bool] | None
    """Whether a client address may speak to us; None = all may."""
    observe: Callable[[str, str, int, float], None]
    """Every finished call: protocol, operation, status, seconds."""
    heartbeat: Callable[[str, str], None]
    """Every heartbeat: protocol, result (ok, unknown, stale)."""
    registered: Callable[[float], None]
    """Every finished registration: seconds."""
    discovered: Callable[[str, str, str], None] | None
    """Every read, when somebody wants to know: protocol, namespace, service ("*" = all)."""


class Face(Protocol):
    """One listener of one protocol."""

    @property
    def listener(self) -> HttpListener:
        """Where it listens; not started yet when it is built."""
        ...

    def sweep(self) -> None:
        """Called once a second."""
        ...


class Adapter(Struct, frozen=True):
    """One protocol. ``name`` is that of its ``apiservers`` entries."""

    name: str
    source: str
    """What its registrations are marked with."""
    claim: str
    """The server and version whose answers it gives."""
    ext: type[Struct]
    marks: type[Struct]
    """The structs it keeps with a registration, for the store."""
    build: Callable[[Surroundings, HttpSettings, Any], Face]
    """From the surroundings, the listener's settings and its own settings."""
