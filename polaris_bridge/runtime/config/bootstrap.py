"""The section ``bootstrap``: log files, start order, and the server's own registration."""

from datetime import timedelta
from typing import Literal

from .fields import Level, Section, key, unused
from .values import DataPath, Seconds

ScopeName = Literal[
    "default",
    "naming",
    "healthcheck",
    "config",
    "auth",
    "store",
    "cache",
    "apiserver",
    "eureka",
    "nacos-apiserver",
    "xdsv3",
    "token-bucket",
    "cmdb",
    "discoverstat",
    "local",
    "HistoryLogger",
    "discoverEventLocal",
]
"""Log scopes of the original; the last four carry data (call statistics, operations, instance events), not messages."""


class LogScope(Section):
    """Where the lines of one scope go."""

    rotate_output_path: DataPath = key(
        None, "File for the scope's lines of every level. Unset: they go where those of `default` go."
    )
    error_rotate_output_path: DataPath = key(None, "File that gets the scope's error lines once more, for alerting.")
    rotation_max_size: int = key(100, "Size in MB at which the file is rotated; 0 = never by size.", ge=0)
    rotation_max_backups: int = key(30, "Rotated files kept; 0 = all, then only their age removes them.", ge=0)
    rotation_max_age: int = key(7, "Days after which a rotated file is removed; 0 = never.", ge=0)
    rotation_max_duration_for_hour: int = key(
        0, "Hours after which the file is rotated whatever its size; 0 = never.", ge=0
    )
    output_level: Level = key("info", "Lowest level written.")
    compress: bool = key(False, "Whether rotated files are compressed with gzip.")
    only_content: bool = key(
        False, "Write the bare line without time, level and place: the form that log collectors parse."
    )
    output_paths: list[str] = key([], "Further targets, not rotated; files, or the streams `stdout` and `stderr`.")
    error_output_paths: list[str] = key([], "The same for error lines alone.")
    json_encoding: bool = unused(False, "Write each line as one JSON object.")
    stack_trace_level: Level = unused("none", "Lowest level whose lines carry a stack trace.")
    disable_log_caller: bool = unused(False, "Leave out the place in the source.")


class StartInOrder(Section):
    """Nodes that share a store start one after another, so that a cold cluster does not read it all at once."""

    open: bool = key(True, "Take the start lock. One node alone gets it at once, so it costs nothing there.")
    key: str = key("sz", "Name of the lock; nodes with the same name start one at a time.", min_length=1)


class OwnService(Section):
    """One service under which the server registers itself."""

    name: str = key("", "Service name; empty = `polaris.checker`.")
    namespace: str = key("Polaris", "Namespace of that service.")
    protocols: list[str] = key([], "Names of the listeners whose addresses are registered; empty = all.")
    metadata: dict[str, str] = key({}, "Metadata of the registered instances, besides what the server adds.")


_CHECKER = OwnService.model_construct(name="polaris.checker", protocols=["service-grpc"])


class PolarisService(Section):
    """The server's registration in itself, with the ports that its listeners really have."""

    enable_register: bool = key(True, "Register the listeners as instances.", alias="enable_register")
    isolated: bool = key(False, "Register them isolated, so that no client is sent there.", alias="isolated")
    self_address: str = key(
        "",
        "Address to announce. Empty = the next rule's; so is one that others cannot reach (0.0.0.0, or loopback unless the"
        " server listens on nothing else).",
        alias="self_address",
    )
    network_inter: str = key("", "Network interface whose address is announced.", alias="network_inter")
    probe_address: str = key(
        "",
        "host:port; the own end of a TCP connection to it is announced. Empty = the address a listener is bound to, or that"
        " by which the machine reaches others.",
        alias="probe_address",
    )
    disable_heartbeat: bool = key(
        False,
        "Register without heartbeats: the instances stay healthy until the server stops.",
        alias="disable_heartbeat",
    )
    heartbeat_interval: Seconds = key(
        timedelta(seconds=5), "Interval of the server's own heartbeats, and their ttl.", alias="heartbeat_interval"
    )
    services: list[OwnService] = key(
        [_CHECKER],
        "Services to register under, and which listeners belong to each: exactly these. SDKs call what they find under"
        " `polaris.discover`, `polaris.healthcheck` and `polaris.config` when they are told to.",
    )


class Bootstrap(Section):
    """What is needed before anything else starts."""

    logger: dict[ScopeName, LogScope] = key(
        {},
        "Log scopes by name. A scope that is absent writes where `default` writes, `default` itself to standard error.",
    )
    start_in_order: StartInOrder = key(StartInOrder.model_construct(), "Start lock in the store.")
    polaris_service: PolarisService = key(
        PolarisService.model_construct(), "Self registration.", alias="polaris_service"
    )
