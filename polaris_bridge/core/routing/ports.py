"""What routing needs from outside: regular expressions, rules, services, and chance."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Protocol

from ..model import AddressKey, ServiceKey
from .model import Rules, Service, Target

Find = Callable[[str], str | None]
"""The first part of a text that matches; None: no part does. Does not raise."""


class Patterns(Protocol):
    """Regular expressions that no text can hold up."""

    def compile(self, pattern: str) -> Find:
        """Raises ``ValueError``, whose text says what cannot be evaluated."""
        ...


class NoPatterns:
    """Knows none."""

    def compile(self, pattern: str) -> Find:
        """Refuses."""
        raise ValueError("regular expressions are not available")


class Rulebook(Protocol):
    """Where rules come from."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of documents that rules are."""
        ...

    def revision(self) -> int:
        """The publication that last changed a rule."""
        ...

    def of(self, service: ServiceKey) -> tuple[object, Callable[[], Rules]]:
        """What says which rules there are for a service (equal: the same ones), and what reads them."""
        ...


class Services(Protocol):
    """Where services come from."""

    def revision(self, key: ServiceKey) -> object:
        """Differs when the service does."""
        ...

    def read(self, key: ServiceKey) -> Service:
        """The service as it is now; one that is not there has no instances."""
        ...


class Standing(Protocol):
    """Services as they stand in the registry, without aliases and without what others export."""

    def outline(self, key: ServiceKey) -> Service:
        """What a service says of itself, without its instances."""
        ...

    def read(self, key: ServiceKey) -> Service:
        """The service as it is now."""
        ...

    def ahead(self, key: ServiceKey) -> Generator[None, None, object] | None:
        """What makes ``read`` cheap, and yields where it may be interrupted; None: it is cheap already."""
        ...

    def at(self, key: ServiceKey, place: AddressKey) -> tuple[Target, ...]:
        """What stands at one of its addresses."""
        ...

    def labels(self, metadata: Mapping[str, str], host: str) -> Mapping[str, str]:
        """The labels that rules know a caller by who has this metadata and this address."""
        ...


Chance = Callable[[int], int]
"""A number from 0 to below the one given, each as likely."""
