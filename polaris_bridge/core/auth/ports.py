"""What access control needs from outside, and what adapters are given of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from msgspec import Struct

from polaris_bridge.core.ports import Authority

from .directory import Directory
from .values import Group, User


class Tokens(Protocol):
    """Makes the tokens of users and groups."""

    def make(self, owner: type[User] | type[Group], id: str, /) -> str:
        """A new token."""
        ...


class Passwords(Protocol):
    """Hashes and checks passwords without keeping the core's thread from its work."""

    def make(self, password: str, done: Callable[[str], None], /) -> None:
        """Hash; ``done`` is called once with the hash, empty when it failed. Raises ``Busy``."""
        ...

    def check(self, hashed: str, password: str, done: Callable[[bool], None], /) -> None:
        """Verify; ``done`` is called once. An empty hash takes as long and fails. Raises ``Busy``."""
        ...


class Tries(Protocol):
    """Counts failed tries to log in."""

    def blocked(self, name: str, address: str, /) -> bool:
        """Whether no further try is taken now."""
        ...

    def failed(self, name: str, address: str, /) -> None:
        """One more."""
        ...

    def succeeded(self, name: str, address: str, /) -> None:
        """The right password ends the count."""
        ...


@runtime_checkable
class Overseer(Protocol):
    """An authority that can tell when there is nothing to leave out, and when it may decide otherwise than before."""

    @property
    def revision(self) -> int:
        """Moves with everything that decisions depend on."""
        ...

    def oversees(self, principal: str, operation: str, /) -> bool:
        """Whether a principal may do an operation with every resource of every namespace."""
        ...


class Doors(Struct, frozen=True):
    """Who judges callers: one directory, asked in different ways."""

    console: Authority
    """Of consoles and scripts."""
    client: Authority
    """Of SDKs."""
    strict: Authority
    """Where nobody comes in without a right, whatever the configuration says: the directory itself, and ports that ask for
    credentials."""


class Accounts(Struct, frozen=True):
    """The directory and what its calls need."""

    directory: Directory
    judge: Authority
    """See ``Doors.strict``."""
    tokens: Tokens
    passwords: Passwords
    tries: Tries
    switches: Mapping[str, bool]
    """For consoles that ask: which calls are judged."""
