"""Who may do what, over HTTP and gRPC alike: every call passes here with what its client showed.

Texts and codes as in Nacos 2.5.1. With the listener's ``auth`` off everybody comes in and nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.model import Caller

Action = Literal["r", "w"]
Kind = Literal["naming", "config"]

NO_RIGHT: Final = "authorization failed!"
_ACCESS_DENIED: Final = 10001
_BEARER: Final = "Bearer "


class Shown(Struct, frozen=True, gc=False):
    """What a client showed: an access token, or a name with a password, or the servers' own header."""

    token: str = ""
    name: str = ""
    password: str = ""
    address: str = ""
    """Where it came from: failed tries are counted by it."""
    trusted: bool = False
    """Whether it showed the identity header of the settings."""

    def __repr__(self) -> str:
        """Without secrets."""
        return f"Shown(name={self.name!r}, address={self.address!r}, trusted={self.trusted!r})"


class Forbidden(Refused):
    """Not let in. HTTP of every generation says it as a servlet container does (JSON with ``timestamp``, ``status``, ``error``,
    ``message`` and ``path``), gRPC in the answer of the call with ``errorCode`` 403."""

    def __init__(self, text: str) -> None:
        super().__init__(403, _ACCESS_DENIED, text, grpc=403)


Look = Callable[[str], str | None]
"""Finds a parameter or a header by name; None when it is absent."""


class Admission:
    """Who may do what."""

    def shown(self, parameter: Look, header: Look, address: str) -> Shown | None:
        """What an HTTP request shows: ``header`` is asked with lower-case names, ``parameter`` for query and form.

        None: nothing.
        """
        return None

    def shown_in_payload(self, header: Look, address: str) -> Shown | None:
        """What a gRPC payload shows in its headers. None: nothing."""
        return None

    def admit(
        self, shown: Shown | None, action: Action, kind: Kind, namespace: str, service: str, caller: Caller
    ) -> Caller:
        """The caller with its principal, if it may read or write a service (of the core, as the core calls it; "": a list).

        Raises ``Forbidden``, ``Throttled``, and ``Undecided`` while a password is being checked.
        """
        return caller
