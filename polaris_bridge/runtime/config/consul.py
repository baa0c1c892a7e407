"""Options of the listener ``service-consul``."""

from datetime import timedelta

from .fields import Section, key
from .listener_options import LookupOptions
from .values import Duration


class ConsulDns(Section):
    """How names are answered, in the words of Consul's `dns_config`."""

    domain: str = key("consul", "Domain under which everything stands.", min_length=1)
    alt_domain: str = key("", "A second one, answered alike.")
    node_ttl: Duration = key(timedelta(0), "How long answers about nodes may be kept.", alias="nodeTTL")
    service_ttl: dict[str, Duration] = key(
        {}, "The same for services by name; a name that ends in `*` means all that begin so.", alias="serviceTTL"
    )
    only_passing: bool = key(False, "Whether instances with a warning are left out too.")
    udp_answer_limit: int = key(3, "Answers over UDP to clients without EDNS.", ge=1, le=8)
    a_record_limit: int = key(0, "Address records of any answer; 0 = no bound.", ge=0)
    enable_truncate: bool = key(False, "Whether an answer over UDP that leaves something out says so.")
    enable_additional_node_meta_txt: bool = key(
        True, "Whether answers bring the metadata of nodes along.", alias="enableAdditionalNodeMetaTXT"
    )
    recursors: list[str] = key(
        [], "Servers (`host` or `host:port`) that resolve other names; none = those are refused."
    )
    recursor_timeout: Duration = key(timedelta(seconds=2), "How long each of them is waited for.")


class ConsulOptions(LookupOptions):
    """Options of Consul, in the style of the others; the original has no such listener."""

    listen_port: int = key(8500, "HTTP port; 0 = any free one, for tests.", ge=0, le=65535)
    dns_port: int = key(8600, "DNS port, UDP and TCP; 0 = any free one, for tests; -1 = none.", ge=-1, le=65535)
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
    metadata_as_tags: list[str] = key(
        [], "Metadata of instances of other protocols that Consul's clients are shown as tags `key=value` too."
    )
    spring_layout: bool = key(
        False,
        "Whether the keys `config/<application>[,<profile>]/data` are files of the configuration group `config`, as Spring Cloud "
        "Consul lays them out. Other keys below `config/` are `config/<group>/<file>` in either case.",
    )
    dns: ConsulDns = key(ConsulDns.model_construct(), "How names are answered.")
