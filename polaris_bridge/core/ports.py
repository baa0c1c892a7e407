"""What the core needs from outside, as protocols. Each has a real and an in-memory form under one contract test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from .model import Document, NamespaceRecord, Registration, RegistrationKey, ServiceRecord, SwitchRow

NAMESPACE = "namespace"
SERVICE = "service"
REGISTRATION = "registration"
SWITCH = "switch"
DOCUMENT = "document"
TABLES = (NAMESPACE, SERVICE, REGISTRATION, SWITCH, DOCUMENT)

Value = NamespaceRecord | ServiceRecord | Registration | SwitchRow | Document


class Row(Struct, frozen=True, gc=False):
    """One stored fact: its new value, or None for a tombstone (kept until a maintain job purges it).

    ``key`` by table: namespace (name,); service (namespace, name); registration (source, namespace, key);
    switch (namespace, service, host, port, vpc, source, key); document (kind, id).
    """

    table: str
    key: tuple[str | int, ...]
    revision: int
    value: Value | None
    changed_ms: int = 0


class Ended(Struct, frozen=True, gc=False):
    """A registration that is gone: for readers who may not have heard of it yet."""

    source: str
    namespace: str
    key: str
    changed_ms: int


class Loaded(Struct):
    """Everything that is alive in a store. ``reserved`` is the highest revision that may have been used so far."""

    rows: Iterable[Value]
    reserved: int
    epoch: int
    """How often this store was opened, this time included."""
    node: str
    """Id of this node, made once and kept in the store."""
    ended: Sequence[Ended] = ()
    """Registrations that ended before this opening, the latest first; those the store still remembers, up to a bound."""


class ExtTypes:
    """The structs that adapters declared for ``Registration.ext`` and ``marks``, by source. Stores decode with them."""

    def __init__(self) -> None:
        self.ext: dict[str, type[Struct]] = {}
        self.marks: dict[str, type[Struct]] = {}

    def declare(self, source: str, ext: type[Struct], marks: type[Struct]) -> None:
        """Make a source's structs known. Called by the adapter's set-up, before the store is loaded."""
        self.ext[source] = ext
        self.marks[source] = marks


class Store(Protocol):
    """Durable rows. Reads happen once, at the start; afterwards the core holds everything in memory."""

    def load(self) -> Loaded:
        """Everything alive. Raises ``StoreRefused`` (damaged, newer, held elsewhere) and leaves the files untouched."""
        ...

    def append(self, rows: Sequence[Row], reserve: int, done: Callable[[Exception | None], None]) -> None:
        """Write rows in one transaction, all or none, in the order of calls.

        ``reserve`` > 0 also stores the new high-water mark of revisions. ``done`` is called exactly once, on the
        core's thread, with None when the rows are durable, else with the reason. Never blocks.
        """
        ...

    def reserve(self, revision: int) -> None:
        """Store the high-water mark at once and wait for it. Raises when the store does not take it."""
        ...

    def purge(
        self,
        before_ms: int,
        tables: Sequence[str] = TABLES,
        limit: int = 0,
        done: Callable[[int], None] | None = None,
    ) -> None:
        """Forget tombstones of some tables older than a time, at most ``limit`` of them (0: all).

        In the background; failures are logged, not raised. ``done`` is told how many, once, on the core's thread.
        """
        ...

    def flush(self) -> None:
        """Wait until everything appended so far is durable or has failed."""
        ...

    def close(self) -> None:
        """Flush and let go of the files. Idempotent."""
        ...


class StoreRefused(Exception):
    """A store that must not be opened; the text says why and what to do."""


class Clock(Protocol):
    """Time. ``monotonic`` (seconds) for leases, ``wall_ms`` (milliseconds since 1970) for what people see."""

    def monotonic(self) -> float: ...

    def wall_ms(self) -> int: ...


class Scheduler(Protocol):
    """When something is to run later on the core's thread."""

    def soon(self, run: Callable[[], None]) -> None:
        """After what runs now."""
        ...

    def later(self, delay_s: float, run: Callable[[], None]) -> Any:
        """After a delay."""
        ...


class Ids(Protocol):
    """Randomness."""

    def unique(self) -> str:
        """32 hexadecimal digits that nobody else has."""
        ...


class Witness(Protocol):
    """A place outside where heartbeats are kept, so that other nodes' hearing counts too. Calls never block nor raise."""

    def heard(self, key: RegistrationKey) -> None:
        """A sign of life came in here."""
        ...

    def gone(self, key: RegistrationKey) -> None:
        """The registration ended."""
        ...

    def ask(
        self, keys: Sequence[RegistrationKey], answer: Callable[[Mapping[RegistrationKey, float] | None], None]
    ) -> None:
        """How many seconds ago each was last heard of by anybody; keys it knows nothing of are left out.

        ``answer`` is called exactly once, on the core's thread. None: it cannot say, so nothing may be concluded.
        """
        ...


class Authority(Protocol):
    """The auth seam: one user directory for all protocols."""

    def authenticate(self, credential: Credential) -> str | None:
        """The principal a credential proves; None when it proves nothing; "" (anonymous) without a credential.

        Raises ``TokenDisabled``, ``TokenReplaced``, ``Throttled``; ``Undecided`` when the answer takes a while.
        """
        ...

    def allow(self, principal: str, operation: str, resource: Resource) -> bool:
        """Whether a principal may do an operation (named as its protocol names it) on a resource."""
        ...


class Undecided(Exception):
    """A password is being checked. ``then`` calls back once, on the core's thread: then the same question has an answer."""

    def __init__(self, then: Callable[[Callable[[], None]], None]) -> None:
        super().__init__("ask again")
        self.then = then


class Credential(Struct, frozen=True, gc=False):
    """What a client showed: a name with a password, or a token, or neither."""

    name: str = ""
    password: str = ""
    """May be a token too: clients that know nothing but passwords show it there, with any name."""
    token: str = ""
    address: str = ""
    """Where it came from: failed tries are counted by it."""

    def __repr__(self) -> str:
        """Without secrets."""
        return f"Credential(name={self.name!r}, address={self.address!r})"


class Resource(Struct, frozen=True, gc=False):
    """What an operation is about: one service, namespace, rule ...; ``kind`` empty: nothing in particular."""

    kind: str
    namespace: str = ""
    name: str = ""
    id: str = ""


class OpenDoor:
    """The first authority: everybody may do everything, under the name given."""

    def authenticate(self, credential: Credential) -> str | None:
        """The name as it stands; no password is asked for."""
        return credential.name

    def allow(self, principal: str, operation: str, resource: Resource) -> bool:
        """Always."""
        return True
