"""How the registry behaves: values from the configuration file."""

from __future__ import annotations

from msgspec import Struct, field

from .batches import BatchTerms
from .protection import ProtectionTerms


class Terms(Struct, frozen=True):
    """How the registry behaves; the defaults are those of the configuration file."""

    auto_create_namespace: bool = True
    auto_create_service: bool = True
    batch: BatchTerms = field(default_factory=BatchTerms)
    """Of the queue of writes."""
    deregistration: BatchTerms = field(default_factory=BatchTerms)
    """The same for deregistrations, which share the queue but are bounded on their own."""
    protection: ProtectionTerms = field(default_factory=ProtectionTerms)
    session_grace_s: float = 45.0
    """After a start, how long what a connection held waits for its client to come back. The slowest client known looks every
    30 seconds whether it has to register again."""
    caseless: frozenset[str] = frozenset()
    """Sources whose readers do not know the case of a name. Others keep their services in lower case: that stays an alias."""
    linger_s: float = 60.0
    """How long switches stay on an address whose connection was lost."""
