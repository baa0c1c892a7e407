"""The canonical values: namespaces, services, addresses and the registrations that protocols make at them.

Everything here is frozen: a change is a new value (copy on write), so a reader may hold what it was given for ever.
Weights: 100 is normal. Times ending in ``_ms`` are wall-clock milliseconds since 1970, durations are milliseconds.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Final, NamedTuple

from msgspec import Struct, field

UP: Final = "up"
STARTING: Final = "starting"
UNKNOWN: Final = "unknown"
OUT_OF_SERVICE: Final = "out_of_service"
DOWN: Final = "down"

SEVERITY: Final = {UP: 0, UNKNOWN: 1, STARTING: 2, OUT_OF_SERVICE: 3, DOWN: 4}
"""Which word wins when several registrations of one address disagree: who says "no traffic" once is believed."""

CRITICAL: Final = "critical"
WARNING: Final = "warning"
PASSING: Final = "passing"

NORMAL_WEIGHT: Final = 100


class ServiceKey(NamedTuple):
    """Where a service lives. Names keep their case."""

    namespace: str
    name: str


class AddressKey(NamedTuple):
    """A place traffic can be sent to, within one service."""

    host: str
    port: int
    vpc: str = ""


class RegistrationKey(NamedTuple):
    """One protocol's own name for one of its statements; ``key`` is opaque and unique per (source, namespace)."""

    source: str
    namespace: str
    key: str


_tuple: Final = tuple.__new__
"""Makes a key at half the price of its constructor; a registration is asked for its keys at every turn."""


class Lease(Struct, frozen=True, gc=False, tag="lease", array_like=True):
    """Liveness by heartbeats. ``delete_ms`` 0 means never deleted for silence."""

    interval_ms: int
    unhealthy_ms: int
    delete_ms: int
    protectable: bool = True
    """Whether self-protection may hold its deletion back."""


class Session(Struct, frozen=True, gc=False, tag="session", array_like=True):
    """Liveness by a connection: its end removes the registration."""

    id: str


class Checks(Struct, frozen=True, gc=False, tag="checks", array_like=True):
    """Liveness by named checks; the worst of ``states`` (passing, warning, critical) wins."""

    states: dict[str, str]
    deregister_ms: int = 0
    """Removed after being critical for so long; 0 means never."""
    critical_ms: int = 0
    """Since when one of them is critical; 0 while none is."""

    @property
    def critical(self) -> bool:
        """Whether one of them fails."""
        return CRITICAL in self.states.values()


Liveness = Lease | Session | Checks | None


class Port(Struct, frozen=True, gc=False, array_like=True):
    """A further named port of an instance."""

    name: str
    number: int
    protocol: str = ""
    enabled: bool = True


class Location(Struct, frozen=True, gc=False, array_like=True):
    """Where an instance runs, from wide to narrow."""

    region: str = ""
    zone: str = ""
    campus: str = ""


NOWHERE: Final = Location()


class Registration(Struct, frozen=True, gc=False):
    """One protocol's own statement about one address, under its own key, with its own liveness.

    Registrations of several protocols at one address are never merged; ``core.views`` decides which one a reader sees.
    """

    source: str
    """The protocol (or sync task) that made it."""
    namespace: str
    key: str
    service: str
    host: str
    port: int
    vpc: str = ""
    liveness: Liveness = None
    reported: str = UP
    """The status word it last said of itself."""
    protocol: str = ""
    version: str = ""
    weight: int = NORMAL_WEIGHT
    priority: int = 0
    logic_set: str = ""
    ports: tuple[Port, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    """The user's, and only the user's."""
    tags: tuple[str, ...] = ()
    location: Location = NOWHERE
    cluster: str = ""
    ephemeral: bool = True
    copied_from: str = ""
    """Id of the registry it was copied from; empty for a statement made here."""
    ext: Any = None
    """The protocol's own attributes: a struct it declared (``core.ports.ExtTypes``); bytes when it is switched off."""
    marks: Any = None
    """The protocol's own bookkeeping (times, flags): opaque like ``ext``, not compared by ``same_document``."""
    created_ms: int = 0
    updated_ms: int = 0
    lost_ms: int = 0
    """When its liveness ran out; 0 while it is live."""
    held: bool = False
    """Lost, but kept by self-protection. Never stored."""
    seq: int = 0
    """Revision of the register call that last changed the document."""
    revision: int = 0

    @property
    def id(self) -> RegistrationKey:
        """Its identity across the registry."""
        return _tuple(RegistrationKey, (self.source, self.namespace, self.key))

    @property
    def address(self) -> AddressKey:
        """Where it says traffic should go."""
        return _tuple(AddressKey, (self.host, self.port, self.vpc))

    @property
    def service_key(self) -> ServiceKey:
        """The service it belongs to."""
        return _tuple(ServiceKey, (self.namespace, self.service))

    @property
    def live(self) -> bool:
        """Whether its lease runs, its connection is open or its checks do not fail."""
        return self.lost_ms == 0


DOCUMENT_FIELDS: Final = (
    "service", "host", "port", "vpc", "reported", "protocol", "version", "weight", "priority", "logic_set",
    "ports", "metadata", "tags", "location", "cluster", "ephemeral", "copied_from", "ext",
)  # fmt: skip


_document = attrgetter(*DOCUMENT_FIELDS)


def same_document(a: Registration, b: Registration) -> bool:
    """Whether two registrations say the same, their times, bookkeeping and check results apart."""
    return _terms(a.liveness) == _terms(b.liveness) and _document(a) == _document(b)


def _terms(liveness: Liveness) -> object:
    """What a registration says of its liveness, without how its checks fare just now."""
    return (sorted(liveness.states), liveness.deregister_ms) if isinstance(liveness, Checks) else liveness


class Switch(Struct, frozen=True, gc=False):
    """An operator's withdrawal of an address (or of one registration at it), set through one protocol.

    An interlock: it holds until the protocol that set it releases it. ``key`` empty = the whole address.
    ``word`` UP is an operator's explicit "on": it withdraws nothing but is remembered.
    """

    source: str
    key: str
    word: str
    lingers: bool = False
    """Kept for a while after the address became empty, whatever ended its last registration."""
    revision: int = 0
    changed_ms: int = 0
    """When it was set."""

    @property
    def on(self) -> bool:
        """Whether it withdraws."""
        return self.word != UP


class Ejection(Struct, frozen=True, gc=False):
    """Nobody should call an address for a while: callers, or the server's own probes, found that calls to it fail.

    A passing fact, never stored: after a restart nothing is ejected until it is found out again.
    """

    rule: str
    """Id of the rule that it follows from."""
    name: str
    """Name of the rule, for people."""
    why: str = ""
    """What was found, for people."""
    since_ms: int = 0


class Address(Struct, frozen=True, gc=False):
    """What is known of one place: the registrations at it, oldest first, the switches on it, and whether it is ejected."""

    host: str
    port: int
    vpc: str
    registrations: tuple[Registration, ...] = ()
    switches: tuple[Switch, ...] = ()
    ejection: Ejection | None = None

    @property
    def key(self) -> AddressKey:
        """Its place in the service."""
        return AddressKey(self.host, self.port, self.vpc)


class ServiceRecord(Struct, frozen=True, gc=False):
    """What is stored of a service besides its instances."""

    namespace: str
    name: str
    metadata: dict[str, str] = field(default_factory=dict)
    business: str = ""
    department: str = ""
    owners: str = ""
    comment: str = ""
    reference: ServiceKey | None = None
    """The service this one is an alias of."""
    export_to: tuple[str, ...] = ()
    """Namespaces in which it is visible besides its own; ``*`` = all."""
    protect_threshold: float = 0.0
    auto_created: bool = False
    guessed: bool = False
    """The spelling of its name is a guess by a case-insensitive protocol; an exact one takes its registrations over."""
    ext: dict[str, Any] = field(default_factory=dict)
    """Attributes of single protocols, by source."""
    created_ms: int = 0
    updated_ms: int = 0
    revision: int = 0

    @property
    def key(self) -> ServiceKey:
        """Its identity."""
        return ServiceKey(self.namespace, self.name)


class NamespaceRecord(Struct, frozen=True, gc=False):
    """What is stored of a namespace."""

    name: str
    comment: str = ""
    owners: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    export_to: tuple[str, ...] = ()
    auto_created: bool = False
    created_ms: int = 0
    updated_ms: int = 0
    revision: int = 0
    ext: dict[str, Any] = field(default_factory=dict)
    """Attributes of single protocols, by source."""


class Document(Struct, frozen=True, gc=False):
    """Something kept beside the registrations: a governance rule, a contract, a client. ``id`` is unique within ``kind``."""

    kind: str
    id: str
    namespace: str = ""
    name: str = ""
    targets: tuple[ServiceKey, ...] = ()
    """The services it is about; ``*`` as a namespace or a name means all."""
    enabled: bool = True
    priority: int = 0
    body: bytes = b""
    """What it says, in the canonical encoding of its kind."""
    lease_ms: int = 0
    """Above 0: forgotten when nothing was heard of it for so long."""
    created_ms: int = 0
    updated_ms: int = 0
    enabled_ms: int = 0
    """When ``enabled`` last changed."""
    revision: int = 0


class SwitchRow(Struct, frozen=True, gc=False):
    """A switch as it is stored: with the address that it stands on."""

    namespace: str
    service: str
    host: str
    port: int
    vpc: str
    switch: Switch


class Caller(Struct, frozen=True, gc=False):
    """Who asks: an argument of every command, for records, limits and server-side routing."""

    protocol: str
    """The adapter the call came through."""
    address: str = ""
    principal: str = ""
    client: str = ""
    """The client's own id, when its protocol has one."""
    agent: str = ""
    service: ServiceKey | None = None
    """The service that calls, as far as the call says so."""
    labels: dict[str, str] = field(default_factory=dict)
    """What the call says of the caller's metadata."""
    location: Location = NOWHERE
    """Where the caller is, as far as the call says so."""


SYSTEM: Final = Caller("system", principal="system")
"""The caller of what nobody asked for: expiry and maintain jobs."""
