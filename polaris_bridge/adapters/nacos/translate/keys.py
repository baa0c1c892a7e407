"""Who is who: the keys of Nacos registrations, and what the adapter keeps with one."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from polaris_bridge.core.model import RegistrationKey

SOURCE: Final = "nacos"
"""What registrations made through Nacos are marked with."""

EPHEMERAL: Final = "e|"
PERSISTENT: Final = "p|"
"""How the keys of what came over HTTP, or is persistent, begin. A connection id holds no ``|`` and is no single letter."""


class Sent(Struct, frozen=True, gc=False, array_like=True):
    """What a client sent where an operator's override says something else."""

    weight: float
    enabled: bool
    metadata: dict[str, str]


class Document(Struct, frozen=True, gc=False, array_like=True):
    """What only Nacos says of an instance: kept beside the canonical fields, returned as it came."""

    weight: float = 1.0
    """As Nacos readers see it; the core's is a hundred times as much, rounded."""
    enabled: bool = True
    healthy: bool = True
    """What an ephemeral instance said of itself; a persistent one is judged by its check."""
    cluster: str | None = None
    """As it was sent; the registration's own is what that means."""
    instance_id: str | None = ""
    """Empty: made of the place. None: it has none, as those registered over HTTP v2 and v3."""
    metadata: dict[str, str] | None = None
    """All of it, when some keys are no user's (``internal-…``); None: the registration's."""
    sent: Sent | None = None
    """Before an override was laid over it; None: there is none."""


class Marks(Struct, frozen=True, gc=False, array_like=True):
    """The adapter's bookkeeping of a registration."""

    turn: int = 0
    """A revision of the core: of the call by which its client last said something new. Of two at one place the greater one is
    listed; operators' overrides leave it."""


def grouped(group: str, name: str) -> str:
    """``group@@service``."""
    return f"{group}@@{name}"


def http_key(namespace: str, service: str, ip: str, port: int, *, ephemeral: bool = True) -> RegistrationKey:
    """What came over HTTP, and everything persistent: one a service (grouped), ip and port, whatever the cluster."""
    kind = EPHEMERAL if ephemeral else PERSISTENT
    return RegistrationKey(SOURCE, namespace, f"{kind}{service}|{ip}|{port}")


def grpc_key(namespace: str, connection: str, service: str, ip: str, port: int, cluster: str) -> RegistrationKey:
    """What a connection holds; two connections at one place are two registrations."""
    return RegistrationKey(SOURCE, namespace, f"{connection}|{service}|{ip}|{port}|{cluster}")


def connection_of(key: str) -> str:
    """The connection in a registration's key; "" when it holds none of it."""
    return "" if key.startswith((EPHEMERAL, PERSISTENT)) else key.partition("|")[0]
