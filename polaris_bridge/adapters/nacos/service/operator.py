"""What operators ask of and set on a running server: switches, and numbers about what it holds.

Names, defaults and refusals are those of Nacos 2.5.1. A switch set for good is kept in a document of the core; one set with
``debug`` lasts until the next start.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import Caller, Document
from polaris_bridge.core.registry import Registry

KIND: Final = "nacos-switches"
_ID: Final = "switches"
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
_TRUE: Final = frozenset({"y", "yes", "on", "true", "t"})


class HttpProbe(Struct, frozen=True, rename="camel"):
    """How long the probes of a kind take and how often they come, in milliseconds."""

    max: int = 5000
    min: int = 500
    factor: float = 0.85


class TcpProbe(HttpProbe, frozen=True, rename="camel"):
    """The same for TCP."""

    min: int = 1000
    factor: float = 0.75


class MysqlProbe(HttpProbe, frozen=True, rename="camel"):
    """The same for MYSQL."""

    max: int = 3000
    min: int = 2000
    factor: float = 0.65


class Switches(Struct, frozen=True, rename="camel"):
    """All switches, in the order and with the names in which they are shown. Those that say so have an effect here."""

    masters: list[str] | None = None
    ad_weight_map: dict[str, int] = {}
    default_push_cache_millis: int = 10_000
    client_beat_interval: int = 5_000
    """Milliseconds between heartbeats that clients are told. Has an effect."""
    default_cache_millis: int = 3_000
    distro_threshold: float = 0.7
    health_check_enabled: bool = True
    """Whether persistent instances are probed. Has an effect."""
    auto_change_health_check_enabled: bool = True
    distro_enabled: bool = True
    enable_standalone: bool = True
    push_enabled: bool = True
    """Whether lists are pushed over UDP. Has an effect."""
    check_times: int = 3
    http_health_params: HttpProbe = HttpProbe()
    tcp_health_params: TcpProbe = TcpProbe()
    mysql_health_params: MysqlProbe = MysqlProbe()
    incremental_list: list[str] = []
    server_status_synchronization_period_millis: int = 2_000
    service_status_synchronization_period_millis: int = 5_000
    disable_add_ip: bool = msgspec.field(default=False, name="disableAddIP")
    send_beat_only: bool = False
    light_beat_enabled: bool = True
    """Whether clients are told to leave the body out of further heartbeats. Has an effect."""
    limited_url_map: dict[str, int] = {}
    distro_server_expired_millis: int = 10_000
    push_go_version: str = "0.1.0"
    push_java_version: str = "0.1.0"
    push_python_version: str = "0.4.3"
    push_c_version: str = msgspec.field(default="1.0.12", name="pushCVersion")
    push_csharp_version: str = msgspec.field(default="0.9.0", name="pushCSharpVersion")
    enable_authentication: bool = False
    overridden_server_status: str | None = None
    """What ``metrics`` says of the server's status instead of ``UP``. Has an effect."""
    default_instance_ephemeral: bool = True
    """What an instance is whose registration does not say. Has an effect."""
    health_check_white_list: list[str] = []


DEFAULTS: Final = Switches()


def _illegal(text: str) -> Refused:
    return Refused(400, codes.PARAMETER_VALIDATE, text)


def _whole(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise _illegal(f'For input string: "{value}"') from None


def _flag(value: str) -> bool:
    return value.lower() == "true"


def _loose(value: str) -> bool:
    return value.lower() in _TRUE


def _at_least(least: int, objection: str) -> Callable[[str], int]:
    def read(value: str) -> int:
        number = _whole(value)
        if number < least:
            raise _illegal(objection)
        return number

    return read


def _threshold(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise _illegal(f'For input string: "{value}"') from None
    if not number > 0:
        raise _illegal(f"distroThreshold can not be zero or negative: {number}")
    return number


def _limits(value: str) -> dict[str, int]:
    found = {}
    for part in value.split(",") if value else ():
        url, colon, status = part.partition(":")
        if not colon:
            raise _illegal("invalid input for limited urls")
        if not url:
            raise _illegal(f"url can not be empty, url: {url}")
        number = _whole(status)
        if number <= 0:
            raise _illegal(f"illegal normal status code: {number}")
        found[url] = number
    return found


def _probe(kind: type[HttpProbe]) -> Callable[[str], HttpProbe]:
    def read(value: str) -> HttpProbe:
        try:
            found = msgspec.json.decode(value, type=kind, strict=False)
        except (msgspec.DecodeError, UnicodeError):
            raise _illegal("json param invalid.") from None
        if found.max < found.min or not 0 <= found.factor <= 1:
            raise _illegal("malformed health params")
        return found

    return read


_ENTRIES: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    # entry: (field, how its value is read)
    "distroThreshold": ("distro_threshold", _threshold),
    "clientBeatInterval": ("client_beat_interval", _at_least(1, "illegal clientBeatInterval")),
    "pushCacheMillis": (
        "default_push_cache_millis",
        _at_least(10_000, "min cache time for http or tcp is too small(<10000)"),
    ),
    "defaultCacheMillis": ("default_cache_millis", _at_least(1_000, "min default cache time  is too small(<1000)")),
    "masters": ("masters", lambda value: value.split(",")),
    "distro": ("distro_enabled", _flag),
    "check": ("health_check_enabled", _flag),
    "pushEnabled": ("push_enabled", _flag),
    "serviceStatusSynchronizationPeriodMillis": (
        "service_status_synchronization_period_millis",
        _at_least(5_000, "serviceStatusSynchronizationPeriodMillis is too small(<5000)"),
    ),
    "serverStatusSynchronizationPeriodMillis": (
        "server_status_synchronization_period_millis",
        _at_least(15_000, "serverStatusSynchronizationPeriodMillis is too small(<15000)"),
    ),
    "healthCheckTimes": ("check_times", _at_least(1, "illegal healthCheckTimes")),
    "disableAddIP": ("disable_add_ip", _flag),
    "sendBeatOnly": ("send_beat_only", _flag),
    "limitedUrlMap": ("limited_url_map", _limits),
    "enableStandalone": ("enable_standalone", _flag),
    "overriddenServerStatus": ("overridden_server_status", lambda value: "" if value == "NULL" else value),
    "defaultInstanceEphemeral": ("default_instance_ephemeral", _flag),
    "distroServerExpiredMillis": ("distro_server_expired_millis", _whole),
    "lightBeatEnabled": ("light_beat_enabled", _loose),
    "autoChangeHealthCheckEnabled": ("auto_change_health_check_enabled", _loose),
    "httpHealthParams": ("http_health_params", _probe(HttpProbe)),
    "tcpHealthParams": ("tcp_health_params", _probe(TcpProbe)),
    "mysqlHealthParams": ("mysql_health_params", _probe(MysqlProbe)),
}

_PUSH_VERSIONS: Final = {
    "java": "push_java_version",
    "python": "push_python_version",
    "c": "push_c_version",
    "go": "push_go_version",
    "csharp": "push_csharp_version",
}

_decoder: Final = msgspec.json.Decoder(Switches)


class Operator:
    """Switches and numbers of one server."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._debug: dict[str, Any] = {}
        """What was set for this process only."""
        self._seen = -1
        self._switches = DEFAULTS
        self._followers: list[Callable[[Switches], None]] = []
        registry.observe(self._published)

    def follow(self, tell: Callable[[Switches], None]) -> None:
        """Tell somebody how the switches are now, and whenever one was set."""
        self._followers.append(tell)
        tell(self.switches)

    @property
    def switches(self) -> Switches:
        """As they are now."""
        revision = self._registry.documents.revision(KIND)
        if revision != self._seen:
            self._seen = revision
            self._switches = structs.replace(self._stored(), **self._debug)
        return self._switches

    def set(self, entry: str, value: str, debug: bool, caller: Caller) -> Commit:
        """Set one switch; an unknown one changes nothing, as on the real server. Raises Refused for an illegal value."""
        if entry == "pushVersion":
            kind, _, version = value.partition(":")
            if not _VERSION.fullmatch(version):
                raise _illegal("illegal version, must match: \\d+\\.\\d+\\.\\d+")
            if kind not in _PUSH_VERSIONS:
                raise _illegal(f"unsupported client type: {kind}")
            name, read = _PUSH_VERSIONS[kind], version
        elif entry in _ENTRIES:
            name, reader = _ENTRIES[entry]
            read = reader(value)
        else:
            return SETTLED
        commit = SETTLED
        if debug:
            self._debug[name] = read
            self._told()
        else:
            self._debug.pop(name, None)
            body = msgspec.json.encode(structs.replace(self._newest(), **{name: read}))
            commit = self._registry.documents.put(Document(KIND, _ID, body=body), caller)
        return commit

    def _published(self, published: Published) -> None:
        if any(change.kind == KIND for change in published.documents):
            self._told()

    def _told(self) -> None:
        self._seen = -1
        for tell in self._followers:
            tell(self.switches)

    def _stored(self) -> Switches:
        document = self._registry.documents.get(KIND, _ID)
        return DEFAULTS if document is None else _decoder.decode(document.body)

    def _newest(self) -> Switches:
        document = self._registry.documents.newest(KIND, _ID)
        return DEFAULTS if document is None else _decoder.decode(document.body)

    @property
    def status(self) -> str:
        """What clients are told of the server: ``UP``, unless an operator wants something else."""
        return self.switches.overridden_server_status or "UP"


class Machine(Struct, frozen=True):
    """How busy the machine is."""

    cpu: float
    """Share of its processors that is in use, by the load of the last minute."""
    load: float
    mem: float
    """Share of its memory that is in use."""


def machine() -> Machine:
    """As it is now; -1 for what the system does not say."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        return Machine(-1.0, -1.0, -1.0)
    try:
        mem = 1 - os.sysconf("SC_AVPHYS_PAGES") / os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, ZeroDivisionError):
        mem = -1.0
    return Machine(min(1.0, load / (os.cpu_count() or 1)), load, mem)
