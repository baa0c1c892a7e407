"""What migration needs from outside, as protocols: a registry that can be read and written, and somebody who seals secrets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Struct

from polaris_bridge.core.model import ServiceKey

from .engine.diff import Step
from .engine.reduce import Abilities
from .model import LeaseTerms, Record, Services


class RegistryError(Exception):
    """A registry did not do what was asked of it; the text says what and what to do. Base of the others."""


class Unreachable(RegistryError):
    """Nobody answers, or not in time."""


class Unusable(RegistryError):
    """The answer cannot be used: half of one, another protocol's, an error of the server."""


class Unauthorised(RegistryError):
    """The credentials are not accepted."""


class RefusedThere(RegistryError):
    """A write was refused as it is."""


class About(Struct, frozen=True):
    """What a registry says of itself."""

    version: str = ""
    """Empty: it does not say."""
    address: str = ""
    """Which of its addresses answered."""


class Changes(Struct, frozen=True):
    """What became different since the last reading."""

    services: Services = {}
    """Contents of the services that changed, complete; empty ones are gone."""
    ended: frozenset[tuple[ServiceKey, str]] = frozenset()
    """Instances that the registry said explicitly have ended: service and id."""
    full: bool = False
    """Whether ``services`` is everything there is."""


class Written(Struct, frozen=True):
    """What became of one write."""

    step: Step
    record: Record | None = None
    """What stands there now; None after a removal, and when it did not happen."""
    error: RegistryError | None = None
    """Why it did not happen."""


class Connector(Protocol):
    """One registry. All methods raise ``RegistryError``; none answers with a part of what was asked for."""

    kind: str
    can: Abilities
    """What it can hold of an instance."""
    shadows: bool
    """Whether it keeps copies beside native registrations and hides them itself."""

    async def probe(self) -> About:
        """Whether it answers and takes our credentials."""
        ...

    async def read(self) -> Services:
        """Everything that its readers see."""
        ...

    async def changes(self) -> Changes:
        """Wait until something changed since the last ``read`` or ``changes``, at most about a minute; may be empty."""
        ...

    async def held(self, services: Collection[ServiceKey], source: str) -> Services:
        """What stands in some services, and in all others that hold a copy that was read from ``source``; hidden ones too."""
        ...

    async def write(self, steps: Sequence[Step], task: str, lease: LeaseTerms) -> list[Written]:
        """Do creations, changes and removals; what became of each. Done ones are durable where the registry can tell."""
        ...

    async def renew(self, copies: Sequence[tuple[ServiceKey, Record]]) -> list[tuple[ServiceKey, Record]]:
        """Signs of life of copies; those that the registry does not know any more. Nothing where none are needed."""
        ...

    def renew_s(self, lease: LeaseTerms) -> float:
        """Seconds between signs of life; 0: none are needed."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Sealer(Protocol):
    """Keeps secrets unreadable in the store."""

    def seal(self, secret: str) -> bytes:
        """Sealed form. Raises ``core.errors.Invalid`` when there is no key."""
        ...

    def open(self, sealed: bytes) -> str:
        """The secret. Raises ``core.errors.Invalid`` when its key is not here."""
        ...
