"""Kinds of callers: what the rules about a call look at of who makes it, and no more. Equal ones get equal answers."""

from __future__ import annotations

from typing import Final, NamedTuple

from ..model import NOWHERE, Location, ServiceKey
from .callers import is_service
from .compiled import Compiled
from .model import ANY, Traveller

_SOME: Final = "\0"
"""Stands for labels that nobody asks for by name, where it counts that there are some."""


class RoutingClass(NamedTuple):
    """One kind of callers."""

    service: ServiceKey | None = None
    """Left out when no rule asks for it."""
    labels: tuple[tuple[str, str], ...] = ()
    location: Location = NOWHERE

    @property
    def who(self) -> Traveller:
        """Somebody of this kind."""
        return Traveller(self.service, dict(self.labels), self.location)


EVERYBODY: Final = RoutingClass()
"""Callers of whom nothing is looked at."""


class Concern(NamedTuple):
    """What rules look at of callers: labels, and services by namespace and name."""

    keys: tuple[str, ...]
    callers: tuple[tuple[str, str], ...]


def class_of(callee: Compiled | Concern, caller: Compiled | None, who: Traveller, *, near: bool) -> RoutingClass:
    """The kind that a caller is of in calls to a service.

    ``caller``: the rules of the calling service where they count; ``near``: whether it counts where a caller is.

    Discovery knows no variables, wishes, canaries and lanes of a call: they are not looked at.
    """
    service = who.service if caller is not None or _named(callee, who.service) else None
    labels = who.labels
    keys = callee.keys if caller is None else dict.fromkeys((*callee.keys, *caller.keys))
    found = tuple((key, labels[key]) for key in keys if key in labels)
    if not found and labels and ANY in keys:
        found = ((_SOME, ""),)
    return RoutingClass(service, found, who.location if near else NOWHERE)


def _named(callee: Compiled | Concern, service: ServiceKey | None) -> bool:
    return service is not None and any(is_service(service, *name) for name in callee.callers)
