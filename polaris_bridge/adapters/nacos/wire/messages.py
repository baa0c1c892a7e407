"""What Nacos clients say, decoded, whatever they said it with (HTTP parameters of three generations, JSON in gRPC payloads)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

DEFAULT_GROUP: Final = "DEFAULT_GROUP"
DEFAULT_CLUSTER: Final = "DEFAULT"
PUBLIC: Final = "public"


class Instance(Struct, frozen=True, gc=False):
    """One instance as a client describes it."""

    ip: str
    port: int
    weight: float = 1.0
    healthy: bool = True
    enabled: bool = True
    ephemeral: bool = True
    cluster: str | None = None
    """As sent: None when the field was absent, "" when it was empty; both mean ``DEFAULT``."""
    metadata: dict[str, str] = {}
    instance_id: str | None = None
    """Given by the client; None or "": the server makes one."""
    app: str = ""


class Beat(Struct, frozen=True, gc=False):
    """The body of a 1.x heartbeat; a light one has none."""

    ip: str = ""
    port: int = 0
    cluster: str | None = None
    weight: float = 1.0
    metadata: dict[str, str] = {}
    service_name: str = ""


class Host(Struct, frozen=True, gc=False):
    """One instance as readers get it (``hosts[]`` of a ServiceInfo)."""

    instance_id: str | None
    """None: left out, as HTTP v2 and v3 registrations do it."""
    ip: str
    port: int
    weight: float
    healthy: bool
    enabled: bool
    ephemeral: bool
    cluster: str
    service_name: str
    """Always grouped: ``group@@service``."""
    metadata: dict[str, str]
    beat_interval_ms: int = 5000
    beat_timeout_ms: int = 15000
    delete_timeout_ms: int = 30000
    id_generator: str | None = None
    """``instanceIdGenerator``, present only when the client's metadata named one."""


class Refused(Exception):
    """A call that the protocol's real server refuses, in a form that every generation can say.

    ``status``: HTTP status of v1, v2 and v3. ``code``: the code of v2 and v3 envelopes (``wire.codes``). ``text``: the v1 body
    and ``data`` of the envelope. ``grpc``: ``errorCode`` over gRPC (``resultCode`` is 500 when the two differ; see the sheet).
    """

    def __init__(self, status: int, code: int, text: str, *, grpc: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text
        self.grpc = status if grpc is None else grpc
