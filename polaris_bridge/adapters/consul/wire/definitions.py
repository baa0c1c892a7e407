"""What clients register: services and checks, as values, and what an agent has to say against them.

Defaults and complaints of an agent 1.20; ``definitions_in`` reads them.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

from msgspec import Struct

from . import durations
from .refusals import Refused, bad

PASSING: Final = "passing"
WARNING: Final = "warning"
CRITICAL: Final = "critical"
STATUSES: Final = frozenset({PASSING, WARNING, CRITICAL})

TTL: Final = "ttl"
SCRIPTS: Final = frozenset({"script", "docker"})

_META_PAIRS: Final = 64
_META_KEY: Final = re.compile(r"[a-zA-Z0-9_-]+")
_META_KEY_LENGTH: Final = 128
_META_VALUE_LENGTH: Final = 512
_MOST_WEIGHT: Final = 65535
_FAMILIES: Final = (("lan_ipv4", 4), ("wan_ipv4", 4), ("lan_ipv6", 6))


class CheckDefinition(Struct, frozen=True, gc=False):
    """A check as it is registered. Durations are nanoseconds; 0 = not given."""

    id: str = ""
    name: str = ""
    notes: str = ""
    status: str = ""
    service_id: str = ""
    token: str = ""
    ttl_ns: int = 0
    interval_ns: int = 0
    timeout_ns: int = 0
    deregister_ns: int = 0
    http: str = ""
    method: str = ""
    header: dict[str, tuple[str, ...]] = {}
    body: str = ""
    disable_redirects: bool = False
    tcp: str = ""
    tcp_tls: bool = False
    udp: str = ""
    grpc: str = ""
    grpc_tls: bool = False
    h2ping: str = ""
    h2ping_tls: bool = True
    os_service: str = ""
    alias_node: str = ""
    alias_service: str = ""
    args: tuple[str, ...] = ()
    docker: str = ""
    """``DockerContainerID``."""
    shell: str = ""
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    success_before_passing: int = 0
    failures_before_warning: int = 0
    failures_before_critical: int = 0
    output_max: int = 0

    @property
    def probed(self) -> bool:
        """Whether it is of a kind that has an interval."""
        return bool(self.args or self.http or self.tcp or self.udp or self.grpc or self.h2ping or self.os_service)

    @property
    def aliased(self) -> bool:
        """Whether it follows another service's or node's checks."""
        return bool(self.alias_node or self.alias_service)

    @property
    def type(self) -> str:
        """The kind, when it is valid; the first that fits, as the agent asks for them."""
        if self.interval_ns > 0:
            if self.grpc:
                return "grpc"
            if self.http:
                return "http"
        if self.ttl_ns > 0:
            return TTL
        if self.interval_ns > 0:
            if self.tcp:
                return "tcp"
            if self.udp:
                return "udp"
        if self.aliased:
            return "alias"
        if self.args:
            return "docker" if self.docker else "script"
        if self.h2ping:
            return "h2ping"
        return "os_service" if self.os_service else ""

    @property
    def target(self) -> str:
        """What it asks: URL, host:port, or the service an alias follows."""
        of_kind = {
            "grpc": self.grpc,
            "http": self.http,
            "tcp": self.tcp,
            "udp": self.udp,
            "alias": self.alias_service,
            "h2ping": self.h2ping,
            "os_service": self.os_service,
        }
        return of_kind.get(self.type, "")

    @property
    def tls(self) -> bool:
        """Whether the target is spoken to over TLS, for the kinds whose target does not say so."""
        return {"tcp": self.tcp_tls, "grpc": self.grpc_tls, "h2ping": self.h2ping_tls}.get(self.type, False)


class ServiceDefinition(Struct, frozen=True, gc=False):
    """A service as it is registered."""

    name: str
    id: str
    kind: str = ""
    tags: tuple[str, ...] = ()
    address: str = ""
    port: int = 0
    socket_path: str = ""
    tagged: dict[str, tuple[str, int]] = {}
    """Tagged addresses: name -> address and port."""
    meta: dict[str, str] = {}
    weights: tuple[int, int] | None = None
    """Passing and warning; None: not given, which counts as 1 and 1."""
    tag_override: bool = False
    checks: tuple[CheckDefinition, ...] = ()
    """``Check``, then ``Checks``."""
    extra: dict[str, bytes] = {}
    """Proxy, Connect, Locality, Ports: JSON as it came, by its documented name."""
    proxied: str = ""
    """``Proxy.DestinationServiceName``."""


EMPTY_CHECK: Final = CheckDefinition()

# ---------------------------------------------------------------------- judging


def check_service(found: ServiceDefinition) -> None:
    """Hold a registration to the agent's rules, in the agent's order. Raises ``Refused``."""
    if not found.name:
        raise bad("Missing service name")
    if is_any(found.address):
        raise bad("Invalid service address")
    if found.weights is not None:
        objection = weights_objection(*found.weights)
        if objection:
            raise bad(f"Invalid Weights: {objection}")
    objection = meta_objection(found.meta)
    if objection:
        raise bad(f"Invalid Service Meta: {objection}")
    objections = service_objections(found)
    if objections:
        raise bad(f"Validation failed: {listed(objections)}")
    for each in found.checks:
        objection = check_objection(each)
        if objection:
            raise bad(f"Invalid check: {objection}")
    for each in found.checks:
        if each.status and each.status not in STATUSES:
            raise bad("Status for checks must 'passing', 'warning', 'critical'")
    objection = _tagged_objection(found.tagged)
    if objection:
        raise Refused(500, objection)


def check_check(found: CheckDefinition) -> None:
    """Hold a check to the agent's rules. Raises ``Refused``."""
    if not found.name:
        raise bad("Missing check name")
    if found.status and found.status not in STATUSES:
        raise bad("Bad check status")
    objection = check_objection(found)
    if objection:
        raise bad(f"Invalid check: {objection}")


def check_objection(found: CheckDefinition) -> str:
    """What speaks against a check; "" = nothing."""
    if found.interval_ns > 0 and found.ttl_ns > 0:
        return "Interval and TTL cannot both be specified"
    if found.probed and found.interval_ns <= 0:
        return "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"
    if found.probed and found.aliased:
        return "Interval cannot be set for Alias checks"
    if found.aliased and found.ttl_ns > 0:
        return "TTL must be not be set for Alias checks"
    if not found.probed and not found.aliased and found.ttl_ns <= 0:
        return "TTL must be > 0 for TTL checks"
    if found.output_max < 0:
        return "MaxOutputMaxSize must be positive"
    if found.failures_before_warning > found.failures_before_critical:
        return "FailuresBeforeWarning can't be higher than FailuresBeforeCritical"
    return ""


def weights_objection(passing: int, warning: int) -> str:
    """What speaks against weights; "" = nothing."""
    if passing < 1:
        return "Passing must be greater than 0"
    if warning < 0:
        return "Warning must be greater or equal than 0"
    if passing > _MOST_WEIGHT or warning > _MOST_WEIGHT:
        return "DNS Weight must be between 0 and 65535"
    return ""


def meta_objection(meta: dict[str, str]) -> str:
    """What speaks against metadata, of services and nodes alike; "" = nothing."""
    if len(meta) > _META_PAIRS:
        return f"Node metadata cannot contain more than {_META_PAIRS} key/value pairs"
    for key, value in meta.items():
        objection = _pair_objection(key, value)
        if objection:
            return f"Couldn't load metadata pair ('{key}', '{value}'): {objection}"
    return ""


def _pair_objection(key: str, value: str) -> str:
    if not key:
        return "Key cannot be blank"
    if not _META_KEY.fullmatch(key):
        return "Key contains invalid characters"
    if len(key) > _META_KEY_LENGTH:
        return f"Key is too long (limit: {_META_KEY_LENGTH} characters)"
    if key.startswith("consul-"):
        return "Key prefix 'consul-' is reserved for internal use"
    if len(value) > _META_VALUE_LENGTH // 4 and len(value.encode("utf-8", "replace")) > _META_VALUE_LENGTH:
        return f"Value is too long (limit: {_META_VALUE_LENGTH} characters)"
    return ""


def service_objections(found: ServiceDefinition) -> list[str]:
    """What else speaks against a service: its place, and what a proxy has to say."""
    objections = []
    if found.kind == "connect-proxy":
        if not found.port and not found.socket_path:
            objections.append("Port or SocketPath must be set for a connect-proxy")
        if not found.proxied.strip():
            objections.append("Proxy.DestinationServiceName must be non-empty for Connect proxy services")
    elif found.port and found.socket_path:
        objections.append("Only one of port or socketPath can be set")
    return objections


def _tagged_objection(tagged: dict[str, tuple[str, int]]) -> str:
    for name, version in _FAMILIES:
        if name in tagged and ip_version(tagged[name][0]) != version:
            return f'Service tagged address "{name}" must be a valid ipv{version} address'
    return ""


def listed(objections: list[str]) -> str:
    """Several objections in one text, as the agent's library prints them."""
    what = "1 error" if len(objections) == 1 else f"{len(objections)} errors"
    return f"{what} occurred:\n\t" + "\n\t".join(f"* {each}" for each in objections) + "\n\n"


def is_any(address: str) -> bool:
    """Whether it stands for every address of a machine."""
    return address in ("0.0.0.0", "::", "[::]")


@lru_cache(maxsize=4096)
def ip_version(address: str) -> int:
    """4 or 6; 0 for what is no IP address."""
    if not address or not (address[-1].isdigit() or ":" in address):
        return 0
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return 0


def interval_text(ns: int) -> str:
    """An interval as checks show it: "" when there is none."""
    return durations.text(ns) if ns else ""
