"""What Consul's registrations are called in the core, and what is kept with them besides the canonical fields."""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

from polaris_bridge.core.model import RegistrationKey

SOURCE: Final = "consul"

NODE: Final = "consul-node"
"""Kind of documents that describe nodes."""
CHECK: Final = "consul-check"
"""Kind of documents that describe checks of nodes."""
NODE_STATE: Final = "node:"
"""Begins the names of a registration's checks that are its node's."""


class NodeKey(NamedTuple):
    """A node: its core namespace (one for each datacenter) and its name, whose case does not count (``folded``)."""

    namespace: str
    name: str

    @property
    def folded(self) -> NodeKey:
        """As it is looked up."""
        return NodeKey(self.namespace, self.name.lower())

    @property
    def document(self) -> str:
        """The id of its document."""
        return f"{self.namespace}|{self.name.lower()}"


def registration_key(node: NodeKey, service_id: str) -> RegistrationKey:
    """The key of a service on a node."""
    return RegistrationKey(SOURCE, node.namespace, f"{node.name.lower()}|{service_id}")


def check_document(node: NodeKey, check_id: str) -> str:
    """The id of the document of a check of a node."""
    return f"{node.document}|{check_id}"


class Tagged(Struct, frozen=True, gc=False, array_like=True):
    """One of the tagged addresses of a service."""

    address: str
    port: int


class CheckRecord(Struct, frozen=True, gc=False, omit_defaults=True):
    """A check as it is kept. Durations are nanoseconds, 0 = not given."""

    id: str
    name: str
    type: str
    """ttl, http, tcp, udp, grpc, h2ping, alias, script, docker, os_service, or "" (through the catalog)."""
    notes: str = ""
    ttl_ns: int = 0
    interval_ns: int = 0
    timeout_ns: int = 0
    deregister_ns: int = 0
    """``DeregisterCriticalServiceAfter``."""
    success_before_passing: int = 0
    failures_before_warning: int = 0
    failures_before_critical: int = 0
    output_max: int = 4096
    target: str = ""
    """URL, host:port or, for an alias, the service id."""
    method: str = ""
    headers: dict[str, tuple[str, ...]] = {}
    body: str = ""
    tls: bool = False
    """``TCPUseTLS``, ``GRPCUseTLS``, ``H2PingUseTLS``."""
    tls_skip_verify: bool = False
    tls_server_name: str = ""
    disable_redirects: bool = False
    alias_node: str = ""
    interval: str = ""
    """As it is shown; "" when there is none."""
    timeout: str = ""
    definition: bytes = b""
    """JSON of a definition that came through the catalog; shown there as it came."""
    status: str = ""
    """For checks of nodes, which no registration keeps the state of."""
    output: str = ""
    """For checks of nodes: the output at the last change of status."""


class Document(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a service says besides the canonical fields (``Registration.ext``)."""

    node: str
    """The name of its node, in its own spelling."""
    id: str
    address: str = ""
    """As it was given; the canonical ``host`` is the node's address when this is empty."""
    kind: str = ""
    socket_path: str = ""
    tagged: dict[str, Tagged] = {}
    passing: int = 1
    """``Weights.Passing``."""
    warning: int = 1
    tag_override: bool = False
    checks: tuple[CheckRecord, ...] = ()
    extra: bytes = b""
    """JSON object of further members as they came: Proxy, Connect, Locality, Ports; empty: none."""


class Marks(Struct, frozen=True, gc=False, omit_defaults=True):
    """Bookkeeping of a service (``Registration.marks``)."""

    created: int = 0
    """Revision at which its key was first registered; 0 = the one at which its document last changed."""
    outputs: dict[str, str] = {}
    """By check id: the output at the last change of a status."""
    maintenance: str | None = None
    """Why it is in maintenance; None: it is not."""
