"""What a call is about, and which connection it came over."""

from __future__ import annotations

from msgspec import Struct

from polaris_bridge.core.model import ServiceKey


class Scope(Struct, frozen=True, gc=False):
    """A service as a Nacos client names it."""

    namespace_id: str
    """As sent: "", ``public`` or an id."""
    namespace: str
    """Of the core."""
    group: str
    name: str
    """Without the group."""

    @property
    def grouped(self) -> str:
        """``group@@service``."""
        return f"{self.group}@@{self.name}"


class Held(Struct, eq=False):
    """What one gRPC connection publishes: a session of the core. Made by the connection layer, kept by ``Registering``."""

    id: str
    """The connection id; id of the core's session too."""
    client_ip: str
    client_port: int
    published: dict[ServiceKey, tuple[str, ...]] = {}
    """Keys (``RegistrationKey.key``) of what it registered, by service of the core: one, or the set of a batch."""
    back_at: float = float("-inf")
    """Monotonic seconds when its client last took over what another connection had left."""
    awaited_until: float = 0.0
    """Until when that would have waited for it."""
