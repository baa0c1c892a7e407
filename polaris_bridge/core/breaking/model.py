"""The values of circuit breaking: rules, calls that were made, and what became of them. Codes and names are opaque texts."""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

from ..model import AddressKey, ServiceKey
from ..routing.model import Condition

SERVICE: Final = "service"
INTERFACE: Final = "interface"
INSTANCE: Final = "instance"
LEVELS: Final = (SERVICE, INTERFACE, INSTANCE)
"""What calls are counted for, and stop to, as a whole."""

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half-open"

BROKEN_CODE: Final = "-1"
"""The code of a call without an answer. It is an error wherever codes are looked at."""

# -------------------------------------------------------------------------------------------------- what rules say


class BadCode(Struct, frozen=True):
    """Calls with such a code are errors."""

    condition: Condition


class Slow(Struct, frozen=True):
    """Calls that take longer are errors."""

    above_ms: int


Error = BadCode | Slow


class InARow(Struct, frozen=True):
    """So many errors one after the other. 0: never."""

    errors: int


class Share(Struct, frozen=True):
    """So many errors within a stretch of time, which are so many percent of the calls, if there were so many calls."""

    interval_ms: int
    percent: int = 0
    calls: int = 0
    errors: int = 1


Trigger = InARow | Share


class Interface(Struct, frozen=True):
    """Which calls a part of a rule is about. Empty: all."""

    protocol: str = ""
    method: str = ""
    path: Condition | None = None


class Part(Struct, frozen=True):
    """What an error is, and when there are too many."""

    triggers: tuple[Trigger, ...]
    """One is enough."""
    errors: tuple[Error, ...] = ()
    """One is enough. None: what the caller took for one."""
    name: str = ""
    interface: Interface | None = None
    """Looked at on the level of interfaces only, as polaris-go 1.7.0 does."""


class Fallback(Struct, frozen=True):
    """What a caller is to get instead of a call."""

    code: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


class BreakerRule(Struct, frozen=True):
    """One rule. An empty namespace or name of a service stands for any, like ``*``."""

    id: str
    name: str
    revision: str
    """Differs when the rule does: what was counted by another one counts no more."""
    level: str
    service: ServiceKey
    caller: ServiceKey
    parts: tuple[Part, ...]
    priority: int = 0
    """The smallest is asked first."""
    sleep_ms: int = 0
    """How long calls stop."""
    successes: int = 1
    """How many calls must then succeed, none failing."""
    percent: int = 0
    """At most so many percent of the instances are left alone at a time; 0: as ``BreakingTerms`` say."""
    probed: bool = False
    """Whether the server's own probes count as calls."""
    fallback: Fallback | None = None


class BreakingTerms(Struct, frozen=True):
    """How the server applies rules."""

    reporters: int = 2
    """How many callers must have found the same before calls stop. A probe of the server's own is believed alone."""
    percent: int = 50
    """Ceiling of ejected instances of a service where a rule states none."""
    resources: int = 10_000
    """Breakers kept on each level; the one that was used longest ago goes first."""


# -------------------------------------------------------------------------------------------------- what happened


class Resource(NamedTuple):
    """What calls are counted for."""

    level: str
    service: ServiceKey
    path: str = ""
    """Of an interface."""
    place: AddressKey | None = None
    """Of an instance."""


class Calls(Struct, frozen=True, gc=False):
    """Calls that came to the same."""

    well: int = 0
    failed: int = 0
    """As the caller took it; conditions of a rule on codes and times go before it, where both are known."""
    code: str | None = None
    """None: only counts are known."""
    delay_ms: int = 0


class Told(Struct, frozen=True, gc=False):
    """Calls to one service as one caller tells of them."""

    voice: str
    """Who is answerable for it."""
    service: ServiceKey
    calls: Calls
    caller: ServiceKey | None = None
    path: str = ""
    """Interface or path that was called."""
    method: str = ""
    protocol: str = ""
    place: AddressKey | None = None
    """Instance that was called."""


class Turn(Struct, frozen=True, gc=False):
    """A breaker changed its state."""

    at_ms: int
    resource: Resource
    rule: str
    name: str
    before: str
    after: str
    why: str
