"""The values of routing: what can be called, what rules say, who calls, and what comes of it.

Labels are opaque texts: which of them stand for a header or a path is the adapter's business. Weights are shares, 100 is normal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec import Struct, field
from msgspec.structs import force_setattr

from ..model import NOWHERE, AddressKey, Location, ServiceKey

ANY: Final = "*"
"""A namespace, a service, or a value, whichever it is."""
_NO_PLACE: Final = AddressKey("", 0)

# -------------------------------------------------------------------------------------------------- what can be called


class Target(Struct, frozen=True, gc=False):
    """One instance of the called service."""

    id: str
    host: str = ""
    port: int = 0
    weight: int = 100
    healthy: bool = True
    isolated: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    location: Location = NOWHERE
    vpc: str = ""
    place: AddressKey = _NO_PLACE
    """Where it is reached. Follows from the others; made once, since lists are asked for it instance by instance."""

    def __post_init__(self) -> None:
        force_setattr(self, "place", AddressKey(self.host, self.port, self.vpc))

    @property
    def usable(self) -> bool:
        """Whether calls may go to it at all: it is not isolated and has a weight."""
        return not self.isolated and self.weight > 0


class Service(Struct, frozen=True):
    """The called service at one revision."""

    key: ServiceKey
    targets: tuple[Target, ...]
    nearby: bool = False
    """Whether it asks for callers to be kept near, whatever rules say."""
    canary: bool = False
    """Whether its instances are told apart by the canary label."""
    failover: str = ""
    """What happens when its rules match nothing: one of ``FAILOVERS``; empty: as ``Options`` say."""


# -------------------------------------------------------------------------------------------------- what rules say

EXACT: Final = "exact"
REGEX: Final = "regex"
NOT_EQUALS: Final = "not_equals"
IN: Final = "in"
NOT_IN: Final = "not_in"
RANGE: Final = "range"
OPERATORS: Final = (EXACT, REGEX, NOT_EQUALS, IN, NOT_IN, RANGE)

TEXT: Final = "text"
"""The value stands in the rule."""
PARAMETER: Final = "parameter"
"""In a source: the label has to be there. In a group: the value is that of the caller's label of this name."""
VARIABLE: Final = "variable"
"""The value is that of a variable of the caller's system."""


class Condition(Struct, frozen=True):
    """One condition on one label."""

    key: str
    value: str = ""
    operator: str = EXACT
    origin: str = TEXT


class Source(Struct, frozen=True):
    """Callers that a route is about; all conditions must hold."""

    namespace: str = ANY
    service: str = ANY
    conditions: tuple[Condition, ...] = ()


class Group(Struct, frozen=True):
    """Instances that a route sends calls to; all conditions must hold."""

    name: str = ""
    conditions: tuple[Condition, ...] = ()
    priority: int = 0
    weight: int = 100
    isolated: bool = False
    namespace: str = ANY
    service: str = ANY
    """The service that it is a part of, where a route of a caller names several."""
    transfer: str = ""
    """Another service that calls should go to instead. No SDK does it, nor is it done here."""


class Route(Struct, frozen=True):
    """Sources, one of which must match, and the groups that calls then go to. No sources: every call."""

    rule: str
    """Id of the rule that it is a part of."""
    name: str
    sources: tuple[Source, ...]
    groups: tuple[Group, ...]


CAMPUS: Final = 3
ZONE: Final = 2
REGION: Final = 1
EVERYWHERE: Final = 0
LEVELS: Final = {EVERYWHERE: "everywhere", REGION: "region", ZONE: "zone", CAMPUS: "campus"}
"""How near, from wide to narrow."""


class Nearby(Struct, frozen=True):
    """How near instances have to be."""

    rule: str = ""
    match: int = ZONE
    """Where to begin."""
    widest: int = EVERYWHERE
    """How far to go."""
    strict: bool = False
    """Whether a caller of whom nobody knows where it is gets nothing."""


ALL: Final = "all"
NONE: Final = "none"
OTHERS: Final = "others"
"""Those without any of the labels."""
OTHER_KEYS: Final = "other_keys"
"""Those that lack the keys."""
LABELLED: Final = "labelled"
"""Those with other labels, which are given."""
FAILOVERS: Final = (ALL, NONE)
METADATA_FAILOVERS: Final = (ALL, NONE, OTHERS, OTHER_KEYS, LABELLED)


class Labelled(Struct, frozen=True):
    """A rule for callers that ask for instances with labels: what they get when there are none."""

    rule: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    """Asked for when the caller asks for none."""
    failover: str = NONE
    failover_labels: dict[str, str] = field(default_factory=dict)


class Lane(Struct, frozen=True):
    """A group of instances for a kind of calls, which may go through several services."""

    name: str
    key: str = "lane"
    """Label by which instances belong to it."""
    value: str = ""
    conditions: tuple[Condition, ...] = ()
    any_of: bool = False
    """Whether one condition is enough."""
    strict: bool = False
    """Whether calls fail where it has no instance; otherwise they go to the base line."""
    priority: int = 0
    created: str = ""
    percent: int = 100
    """Of the matching calls, how many are taken."""
    warm_ms: int = 0
    """Above 0: ``percent`` is reached after so long, growing from nothing since ``since_ms``."""
    since_ms: int = 0
    curvature: int = 1


class LaneGroup(Struct, frozen=True):
    """Lanes with their entries: only calls of an entry are taken into one; who carries its name stays in it."""

    id: str
    name: str
    entries: tuple[Source, ...] = ()
    services: tuple[ServiceKey, ...] = ()
    """That have instances in the lanes; an empty namespace or name stands for any."""
    lanes: tuple[Lane, ...] = ()


class Unread(NamedTuple):
    """A part of a rule that cannot be evaluated here, and why."""

    rule: str
    where: str
    why: str


class Rules(Struct, frozen=True):
    """Everything that is said of the calls to a service, and of the calls that it makes."""

    inbound: tuple[Route, ...] = ()
    outbound: tuple[Route, ...] = ()
    nearby: Nearby | None = None
    labelled: Labelled | None = None
    lanes: tuple[LaneGroup, ...] = ()


NO_RULES: Final = Rules()

# -------------------------------------------------------------------------------------------------- who calls


class Traveller(Struct, frozen=True):
    """Who calls, and with what."""

    service: ServiceKey | None = None
    labels: Mapping[str, str] = {}
    """Of the caller and of its call."""
    location: Location = NOWHERE
    wanted: Mapping[str, str] = {}
    """Labels that instances must have: the caller's own wish."""
    variables: Mapping[str, str] = {}
    canary: str = ""
    stained: str = ""
    """The lane that the call was taken into before: ``group/lane``, or the value of the lane's label."""


class Options(Struct, frozen=True):
    """What does not stand in rules."""

    recover_all: bool = True
    """Whether all instances are used when none is healthy."""
    failover: str = ALL
    nearby: Nearby = Nearby()
    """For services that ask for it themselves."""
    degrade_percent: int = 100
    """A place is left when so many of its instances are unhealthy: 1 to 100."""
    canary_key: str = "canary"
    set_switch: str = ""
    """Label with which a caller or an instance says that it is in a set; empty: there are none."""
    set_name: str = ""


NO_OPTIONS: Final = Options()


# -------------------------------------------------------------------------------------------------- what comes of it


class Share(Struct, frozen=True):
    """One group with the instances that may be used now."""

    name: str
    weight: int
    targets: tuple[Target, ...]


class Tier(Struct, frozen=True):
    """Groups of one priority; calls are spread over them by weight."""

    priority: int
    shares: tuple[Share, ...]


class Step(Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    text: str
    rule: str = ""
    left: int = 0
    """How many instances are left."""


class Decision(Struct, frozen=True):
    """The groups that calls may go to, best first; the ones behind the first are for whoever cannot use those before."""

    tiers: tuple[Tier, ...]
    rule: str = ""
    """The rule that decided; empty: none did."""
    why: str = ""
    """Why there are no instances; empty when there are."""
    stain: str = ""
    """The lane that the call was taken into, for it to carry on."""
    steps: tuple[Step, ...] = ()

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every instance of the best groups."""
        return tuple(target for share in self.tiers[0].shares for target in share.targets) if self.tiers else ()
