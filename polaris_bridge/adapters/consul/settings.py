"""Options of one Consul listener (``apiservers[].option`` of a ``service-consul`` entry)."""

from __future__ import annotations

from msgspec import Struct, field

from polaris_bridge.adapters._shared.settings import HttpSettings


class DnsSettings(Struct, frozen=True, kw_only=True):
    """How names are answered."""

    domain: str = "consul."
    """Under which everything stands; lower case, with the final dot."""
    alt_domain: str = ""
    """A second one, answered alike; empty: none."""
    node_ttl_s: int = 0
    """How long answers about nodes may be kept."""
    service_ttl_s: dict[str, int] = {}
    """The same for services by name; a name that ends in ``*`` means all that begin so."""
    only_passing: bool = False
    """Whether instances with a warning are left out too."""
    udp_answer_limit: int = 3
    """Answers over UDP to clients without EDNS."""
    a_record_limit: int = 0
    """Address records of any answer; 0: no bound."""
    enable_truncate: bool = False
    """Whether an answer over UDP that leaves something out says so."""
    node_meta_txt: bool = True
    """Whether answers about nodes bring the nodes' metadata along."""
    recursors: tuple[str, ...] = ()
    """Servers (``host`` or ``host:port``) that resolve other names; none: they are refused."""
    recursor_timeout_s: float = 2.0


class ListenerSettings(Struct, frozen=True, kw_only=True):
    """The ports of one listener."""

    http: HttpSettings
    dns: HttpSettings | None = None
    """None: names are not answered."""


class ConsulSettings(Struct, frozen=True, kw_only=True):
    """How one listener behaves."""

    datacenter: str = "dc1"
    """The datacenter that this listener is the agent of."""
    datacenters: dict[str, str] = field(default_factory=lambda: {"dc1": "default"})
    """Every datacenter that clients may name -> core namespace. A namespace that is not among them is not shown."""
    node_name: str = ""
    """The server's own node, on which callers of this machine register; empty: the host name."""
    foreign_node: str = "polaris-bridge"
    """The node on which instances of other protocols stand."""
    single_node: bool = False
    """Whether all callers register on the server's own node, instead of one node for each caller address."""
    routing: bool = False
    """Whether rules are applied to what clients look up, of services that do not say so themselves."""
    auth: bool = False
    """Whether tokens are demanded. Off as ACLs on a real agent."""
    server_port: int = 8300
    """The port of the built-in service ``consul``; nothing listens there, a real server's RPC port."""
    max_body_bytes: int = 10 * 1024 * 1024
    metadata_as_tags: tuple[str, ...] = ()
    """Metadata of instances of other protocols that are shown as tags ``key=value`` too."""
    spring_layout: bool = False
    """Whether ``config/<application>[,<profile>]/data`` are the files of group ``config`` (Spring Cloud Consul's layout)."""
    config_open: bool = True
    """Whether there are files of the configuration centre at all."""
    validate_format: bool = False
    """Whether a file that is not what its format says is refused."""
    dns: DnsSettings = DnsSettings()

    @property
    def namespace(self) -> str:
        """The core namespace of the own datacenter."""
        return self.datacenters.get(self.datacenter, "default")
