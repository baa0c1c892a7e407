"""Options of the listener ``service-consul``."""

from .fields import key, unused
from .listener_options import ListenerOptions


class ConsulOptions(ListenerOptions):
    """Options of Consul, in the style of the others; the original has no such listener."""

    listen_port: int = key(8500, "HTTP port; 0 = any free one, for tests.", ge=0, le=65535)
    dns_port: int = unused(8600, "DNS port, UDP and TCP.", ge=0, le=65535)
    datacenter: str = key("dc1", "Name of the datacenter that this listener is the agent of.", min_length=1)
    namespace: str = key("default", "Namespace of that datacenter, unless `datacenters` names one.", min_length=1)
    datacenters: dict[str, str] = key(
        {},
        "Datacenter: namespace here, for all that clients may name with `dc`. A namespace that is not named is not shown.",
    )
    node_name: str = key(
        "", "Name of this server's own node, on which callers of this machine register; empty = the host name."
    )
    foreign_node: str = key(
        "polaris-bridge", "Name of the node on which instances of other protocols are shown.", min_length=1
    )
    single_node: bool = key(
        False,
        "Whether all callers register on the own node. Off, each client address has a node, as each host has an agent; with one "
        "node the same service id on two hosts is one service.",
    )
