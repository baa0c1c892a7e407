"""What adapters may ask of the process that they run in, for those who operate it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from polaris_bridge.core.model import Location

from .listener import Connected


class Port(Struct, frozen=True):
    """One listener: the name of its ``apiservers`` entry, its port, who is connected."""

    name: str
    number: int
    connected: Connected


class Host(Protocol):
    """The process. All methods belong to the event loop's thread and return at once."""

    @property
    def address(self) -> str:
        """Where others reach this machine."""
        ...

    @property
    def started_ms(self) -> int:
        """When this process began to serve."""
        ...

    def ports(self) -> Sequence[Port]:
        """Every listener, the main HTTP ports last."""
        ...

    def cut(self, name: str, host: str, port: int = 0) -> int:
        """End the connections of a client address (or the one from this port) to the listeners of a name; how many."""
        ...

    def log_levels(self) -> Mapping[str, str]:
        """The lowest level that each log scope writes: debug, info, warn, error, fatal or none."""
        ...

    def set_log_level(self, scope: str, level: str) -> None:
        """Change it until the end of the process. ``KeyError`` for an unknown scope, ``ValueError`` for an unknown level."""
        ...

    def free_memory(self) -> None:
        """Give back what is not needed. The system gets it a moment later."""
        ...

    def locations(self) -> Mapping[str, Location]:
        """Every single address that somebody knows the place of."""
        ...

    def elections(self) -> Sequence[str]:
        """What one node of several would do for all, and this one does."""
        ...

    def command_line(self) -> Sequence[str]:
        """How the process was started."""
        ...

    def stacks(self) -> str:
        """Where every thread and every task is just now, as text."""
        ...

    def profile(self, seconds: float, done: Callable[[str], None]) -> bool:
        """Watch where the threads spend their time, and tell it as collapsed stacks (one a line, frames parted by ``;``,
        then a count). ``done`` is called once. False when somebody watches already."""
        ...
