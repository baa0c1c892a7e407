"""What every adapter is to the runtime: an entry in one list, built into something that listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from msgspec import Struct, field

from polaris_bridge.core.auth.ports import Accounts, Doors
from polaris_bridge.core.health import HealthEngine
from polaris_bridge.core.limiting.limiter import Limiter
from polaris_bridge.core.model import Location, Registration
from polaris_bridge.core.ports import Authority, Ids
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.discovery import DiscoveryRouting
from polaris_bridge.transport.rpc import Methods

from .exchange import Handler
from .governance import Governance
from .host import Host
from .listener import Connected, ListenerCounters, ListenerDescription
from .throttle import CallLimits

T = TypeVar("T")

PROXY_LIMITS: Final = "proxy-limits"
"""Whether a request is too many: what proxies ask, where their configuration comes from too."""

Pairs = Callable[[Registration], dict[str, str]]
"""How an adapter's own attributes of a registration read as metadata, for protocols that have nothing but metadata."""


class Surroundings(Struct, frozen=True):
    """What an adapter is given: the core, who judges credentials, and where to count."""

    registry: Registry
    authority: Authority
    """Who judges the callers of ports that ask for credentials."""
    ids: Ids
    allow: Callable[[str], bool] | None
    """Whether a client address may speak to us; None = all may."""
    observe: Callable[[str, str, int, float], None]
    """Every finished call: protocol, operation, status, seconds."""
    heartbeat: Callable[[str, str], None]
    """Every heartbeat: protocol, result (ok, unknown, stale)."""
    registered: Callable[[float], None]
    """Every finished registration: seconds."""
    discovered: Callable[[str, str, str], None] | None
    """Every read, when somebody wants to know: protocol, namespace, service ("*" = all)."""
    pushed: Callable[[str, str, float, float], None] = lambda *_: None
    """Every change that all who subscribe were told of: protocol of the change, protocol told, seconds that the telling took,
    seconds since the publication."""
    pairs: Mapping[str, Pairs] = {}
    """By source: what its registrations say besides metadata."""
    locate: Callable[[str], Location | None] = lambda _address: None
    """Where a client address is, as far as somebody knows."""
    host: Host | None = None
    """The process, for those who operate it; None: there is nobody to ask."""
    doors: Doors | None = None
    """Who judges native callers; None: ``authority`` all of them."""
    accounts: Accounts | None = None
    """The directory of accounts, for calls that change it; None: there is none."""
    throttle: CallLimits | None = None
    """How often we may be called; None: as often as anybody likes."""
    limiter: Limiter[Any] | None = None
    """Who counts for clients that limit themselves; None: nobody."""
    health: HealthEngine | None = None
    """Who runs checks of instances; None: nobody."""
    detections: HealthEngine | None = None
    """Who runs probes that circuit breakers want, so many a second at most; None: nobody."""
    governance: Governance | None = None
    """Rules as values; None: there are none."""
    routing: DiscoveryRouting | None = None
    """Which instances look-ups are answered with, where rules are applied to them; None: nowhere."""
    offers: Mapping[str, Callable[[Surroundings], Methods]] = {}
    """gRPC methods that an adapter lets others answer on their ports, by name."""
    shared: dict[str, Any] = field(default_factory=dict)
    """What the listeners of one protocol have in common, by source."""

    def share(self, source: str, make: Callable[[], T]) -> T:
        """The one object of a protocol for all its listeners; made when the first of them is built."""
        if source not in self.shared:
            self.shared[source] = make()
        found: T = self.shared[source]
        return found


class ListenerSettings(Protocol):
    """What the settings of every listener say."""

    @property
    def name(self) -> str:
        """Name of the ``apiservers`` entry."""
        ...


class Listener(Protocol):
    """Something that listens, whatever it speaks."""

    @property
    def settings(self) -> ListenerSettings:
        """As it was built."""
        ...

    @property
    def port(self) -> int:
        """The port in use."""
        ...

    def describe(self) -> ListenerDescription:
        """For the table of listeners at start-up."""
        ...

    def counters(self) -> ListenerCounters:
        """For metrics."""
        ...

    def connected(self) -> Connected:
        """Who is connected."""
        ...

    def cut(self, host: str, port: int = 0) -> int:
        """End the connections of a client address, or the one from this port; how many were ended."""
        ...

    async def start(self) -> None:
        """Bind and accept. OSError when that is not possible."""
        ...

    async def drain(self) -> None:
        """Stop accepting and answer what is in flight."""
        ...

    async def stop(self, grace: float) -> None:
        """``drain`` for at most ``grace`` seconds, then cut what is left."""
        ...

    def reload_tls(self) -> bool:
        """Read the certificate files now."""
        ...


class Face(Protocol):
    """One entry of ``apiservers``: one protocol on its port or ports."""

    @property
    def listeners(self) -> Sequence[Listener]:
        """Where it listens; not started yet when it is built."""
        ...

    async def start(self) -> None:
        """Bind all of them and accept. OSError when that is not possible; then none is left bound."""
        ...

    def sweep(self) -> None:
        """Called once a second."""
        ...

    def leave(self) -> None:
        """Called once when the server begins to stop, before the listeners drain: say goodbye to whoever is connected."""
        ...

    def close(self) -> None:
        """Called when the listeners have stopped: let go of what else there is."""
        ...


class OnePort:
    """What faces with a single port have in common."""

    listener: Listener

    @property
    def listeners(self) -> Sequence[Listener]:
        """See ``Face``."""
        return (self.listener,)

    async def start(self) -> None:
        """See ``Face``."""
        await self.listener.start()

    def leave(self) -> None:
        """See ``Face``: the listener says it."""

    def close(self) -> None:
        """See ``Face``: there is nothing else."""


class Adapter(Struct, frozen=True):
    """One protocol. ``name`` is that of its ``apiservers`` entries."""

    name: str
    source: str
    """What its registrations are marked with."""
    claim: str
    """The server and version whose answers it gives."""
    ext: type[Struct]
    marks: type[Struct]
    """The structs it keeps with a registration, for the store."""
    build: Callable[[Surroundings, Any, Any], Face]
    """From the surroundings, the listener's settings (``HttpSettings``, ``GrpcSettings``) and its own settings."""
    pairs: Pairs | None = None
    """How its own attributes of a registration read as metadata; None: it has none that others should see."""
    caseless: bool = False
    """Whether its clients do not know the case of a service's name."""
    routes: Callable[[Surroundings, Any], Handler] | None = None
    """What it answers on the main HTTP port, from its settings there; a path that is not its own is answered 404."""
    paths: tuple[str, ...] = ()
    """How the paths begin that ``routes`` is asked for; none: all that nobody else has."""
    offers: Mapping[str, Callable[[Surroundings, Any], Methods]] = {}
    """gRPC methods that it lets others answer, from settings of its own; see ``Surroundings.offers``."""
    others: Mapping[str, Callable[[Surroundings, Any, Any], Face]] = {}
    """What builds its further kinds of ``apiservers`` entries, by their name."""
