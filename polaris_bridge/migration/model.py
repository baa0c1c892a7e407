"""The values of migration: registries, tasks, and instances as every registry can say them.

Everything is frozen. Weights: 100 is normal. Times ending in ``_ms`` are wall-clock milliseconds since 1970, those in ``_s``
durations in seconds. Services are named as the core names them, whatever registry they stand in.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

from polaris_bridge.core.model import NORMAL_WEIGHT, NOWHERE, Location, ServiceKey

HERE: Final = "here"
"""Id of our own registry, and its kind."""

EUREKA: Final = "eureka"
NACOS: Final = "nacos"
CONSUL: Final = "consul"
POLARIS: Final = "polaris"
KINDS: Final = (EUREKA, NACOS, CONSUL, POLARIS)
"""Kinds of registries elsewhere."""

LONGEST_PATH: Final = 8
"""A copy that came through so many registries goes no further."""


class Place(NamedTuple):
    """Where traffic can be sent to, within one service."""

    host: str
    port: int


class Instance(Struct, frozen=True, gc=False):
    """One instance in canonical form: what all registries have in common, and nothing of the bookkeeping of one."""

    host: str
    port: int
    weight: int = NORMAL_WEIGHT
    enabled: bool = True
    """Whether it asks for traffic; False: withdrawn, by itself or by an operator."""
    healthy: bool = True
    """Whether it is heard of and its checks do not fail."""
    metadata: dict[str, str] = {}
    """The user's; keys that bridges write are left out."""
    tags: tuple[str, ...] = ()
    location: Location = NOWHERE
    cluster: str = ""
    protocol: str = ""
    """``https`` when the port speaks TLS, else what the registry says, else empty."""
    version: str = ""

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.host, self.port)


class Origin(Struct, frozen=True, gc=False):
    """Where a copy comes from."""

    kind: str
    """Kind of the registry that the instance registered in."""
    registry: str
    """Its id."""
    id: str
    """What the instance is called there."""
    path: tuple[str, ...] = ()
    """Ids of the registries that it was read from, the origin first."""


class Record(Struct, frozen=True, gc=False):
    """An instance as it stands in a registry."""

    id: str
    """What it is called there, unique within its service."""
    instance: Instance
    origin: Origin | None = None
    """None: it registered there itself."""
    foreign: str = ""
    """Name of another product's marker, when one says that it is a copy."""
    task: str = ""
    """The task that wrote it, where the registry keeps that (ours does)."""

    @property
    def native(self) -> bool:
        """Whether it is no copy of anybody's."""
        return self.origin is None and not self.foreign


Services = dict[ServiceKey, tuple[Record, ...]]
"""What a registry holds, or a part of it."""


class RegistryEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A registry that somebody told us of. ``secret`` is sealed and never shown."""

    id: str
    kind: str
    addresses: tuple[str, ...]
    """Base URLs; any of them answers for all."""
    user: str = ""
    secret: bytes = b""
    """Password or token, sealed."""
    namespaces: dict[str, str] = {}
    """What it calls a namespace (Consul: datacenter) -> the core's name; what is not named keeps its name."""
    ca_file: str = ""
    """Whose certificates are believed; empty: the machine's."""
    timeout_s: float = 10.0
    poll_s: float = 5.0
    """How often it is asked for changes, where it does not tell of them."""
    created_ms: int = 0


class Selector(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which services and instances a task is about. Patterns as of a shell: ``*``, ``?``, ``[a-z]``; case counts."""

    namespaces: tuple[str, ...] = ("*",)
    services: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ("consumers:*", "Polaris/*")
    """Services left out, by name or as ``namespace/name``; by default those that Dubbo's consumers make, and the servers' own."""
    metadata: dict[str, str] = {}
    """What an instance's metadata must hold."""


class NameRules(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What services are called in the target."""

    services: dict[str, str] = {}
    """Exact name -> name."""
    namespaces: dict[str, str] = {}
    """Namespace -> namespace."""
    prefix: str = ""
    suffix: str = ""


class Bounds(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a task does when much is missing at once."""

    hold_s: float = 600.0
    """How long an empty registry is not believed."""
    confirm_s: float = 30.0
    """How far apart two complete readings lie that show a service without instances before that is believed."""
    mass_least: int = 5
    mass_percent: int = 20
    """More removals in one go than both of these (percent of the task's copies) wait for an operator."""


class LeaseTerms(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How long copies elsewhere outlive us."""

    interval_s: int = 0
    """Between signs of life; 0: as is usual there (Eureka 30, Consul 10, Nacos 5, Polaris 5)."""
    duration_s: int = 0
    """0: as is usual there (Eureka 90, Consul 30)."""
    remove_s: int = 600
    """Consul: removed after being critical for so long."""


WITHDRAW: Final = "withdraw"
ADOPT: Final = "adopt"
LEAVE: Final = "leave"
REMOVALS: Final = (WITHDRAW, ADOPT, LEAVE)
"""What becomes of a task's copies when the task goes: they go too, they become native, they stay as they are."""


class Task(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One direction of synchronisation: what stands in ``source`` is to stand in ``target``."""

    id: str
    source: str
    target: str
    selector: Selector = Selector()
    names: NameRules = NameRules()
    bounds: Bounds = Bounds()
    lease: LeaseTerms = LeaseTerms()
    chain: bool = False
    """Whether copies that another product made in the source are copied on."""
    audit_s: float = 60.0
    """How often both sides are read anew, compared, and put right."""
    paused: bool = True
    """A new task does nothing until its plan is applied."""
    stage: str = "discovered"
    stage_ms: int = 0
    """Since when it has its stage."""
    created_ms: int = 0
