"""What is asked over gRPC: a request as its handler sees it, and the table that handlers stand in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from polaris_bridge.adapters.nacos.service.connections import Connection
from polaris_bridge.core.model import Caller
from polaris_bridge.transport.rpc import Later

from .grpc_answers import Written

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService


class Asked(Struct, frozen=True, gc=False):
    """One request as its handler sees it."""

    connection: Connection
    headers: Mapping[str, str]
    body: bytes
    """JSON."""
    caller: Caller
    shown: Callable[[Literal["r", "w"], str, str], Caller]
    """The caller with its principal, if it may read or write a service (namespace and name of the core; "": a list) or a
    configuration file (namespace of the core, ``admission.file_name``).
    Raises ``Forbidden``."""


Reply = bytes | Written | Later
"""The JSON of an answer; JSON to be given when a write is durable; or a whole payload that comes later."""


class Kind(Struct, frozen=True):
    """What answers one type of requests."""

    answer: str
    """The type of the answer."""
    run: Callable[[NacosService, Asked], Reply]
    """Raises ``Refused``, ``CoreError``, ``Malformed``, ``Undecided``."""
    refused: bytes = b""
    """What the answer has besides when it says no: JSON members that begin with a comma."""
    kind: Literal["naming", "config", ""] = "naming"
    """What rights are asked for; empty: none."""
    discovers: bool = False
    """Whether it is a read of instances, for the records of who looks for what."""


Kinds = Mapping[str, Kind]
"""By type of request."""
