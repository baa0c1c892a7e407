"""Who is who: the keys of native registrations, and what the adapter keeps with one."""

from __future__ import annotations

import hashlib
from typing import Final

from msgspec import Struct, field

from polaris_bridge.core.model import RegistrationKey

SOURCE: Final = "polaris"
"""What registrations made through the native protocol are marked with."""


class Document(Struct, frozen=True, gc=False, array_like=True):
    """What a native registration says besides the canonical fields."""

    given_id: bool = False
    """Its id was chosen by the client; such an instance is not found by service, host and port."""
    internal: dict[str, str] = field(default_factory=dict)
    """Metadata whose keys begin with ``internal-``: kept apart from the user's, shown to native readers only."""
    health_check: bool = False
    """Whether heartbeats were asked for."""
    ttl_s: int = 0
    """Seconds between heartbeats, as kept (5 when the client said 0); may be above 60, which is what native readers see."""
    priority_given: bool = False
    weight_given: bool = False
    empty: int = 0
    """Which texts, and whether the location, were sent but empty, for absent is not the same: bits of ``EMPTY``. And
    ``SWITCHED_OFF``."""


EMPTY: Final = {"protocol": 1, "version": 2, "vpc_id": 4, "logic_set": 8, "location": 16}
"""The bit of each field in ``Document.empty``."""
SWITCHED_OFF: Final = 32
"""The bit for an update that ended the health check: polaris-server 1.19 shows ``false`` from then on. Who registers without
one is shown nothing, also when it says false."""


class Marks(Struct, frozen=True, gc=False, array_like=True):
    """The adapter's bookkeeping of a registration."""


def instance_id(namespace: str, service: str, host: str, port: int, vpc: str = "") -> str:
    """The id that polaris-server 1.19 makes up: 40 hexadecimal digits."""
    place = f"{vpc}##{host}##{port}" if vpc else f"{host}##{port}"
    return hashlib.sha1(f"{namespace}##{service}##{place}".encode()).hexdigest()


def registration_key(namespace: str, id: str) -> RegistrationKey:
    """The core's key of a native instance."""
    return RegistrationKey(SOURCE, namespace, id)
