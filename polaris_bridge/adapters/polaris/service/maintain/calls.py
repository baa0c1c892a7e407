"""The maintain API as a table of calls: ``/maintain/v1``, Prometheus' discovery, profiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from polaris_bridge.adapters._shared.host import Host
from polaris_bridge.adapters.polaris.service.clients import Clients
from polaris_bridge.adapters.polaris.service.index import InstanceIndex
from polaris_bridge.adapters.polaris.service.routes import ADMIN, CONSOLE, EVERYBODY, Handle, Query, Route, Takes, Text
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Caller, Registration, ServiceKey
from polaris_bridge.core.registry import Registry

from . import functions, targets
from .connections import Connections
from .instances import Upkeep
from .plain import DONE, BadBody, member, read, refused, shown, time_text
from .profiling import Profiling

CHECKER: Final = ServiceKey("Polaris", "polaris.checker")
"""The service that the nodes of a cluster register in."""
HTTP: Final = "api-http"
"""Name of the main HTTP ports."""


class Maintain:
    """What operators may do."""

    def __init__(
        self,
        registry: Registry,
        settings: PolarisSettings,
        index: InstanceIndex,
        clients: Clients,
        pairs: Mapping[str, Callable[[Registration], Mapping[str, str]]],
        host: Host,
    ) -> None:
        """``pairs``: see ``translate.shown``; ``host`` is the process."""
        self._registry = registry
        self._clients = clients
        self._host = host
        self.connections = Connections(host, registry.clock)
        self.upkeep = Upkeep(registry, settings, index, pairs)
        self.profiling = Profiling(host)

    # ------------------------------------------------------------------ the process

    def free_memory(self, _body: bytes, _caller: Caller) -> Text:
        """POST memory/free."""
        self._host.free_memory()
        return DONE

    def log_levels(self, _query: Query, _caller: Caller) -> Text:
        """GET log/outputlevel: of every scope."""
        return shown([{"Name": name, "Level": level} for name, level in self._host.log_levels().items()])

    def set_log_level(self, body: bytes, _caller: Caller) -> Text:
        """PUT log/outputlevel ``{scope, level}``: until the process ends."""
        try:
            asked = read(body)
            self._host.set_log_level(member(asked, "scope", str, ""), member(asked, "level", str, ""))
        except BadBody as error:
            return refused(str(error))
        except KeyError:
            return refused("invalid scope name")
        except ValueError:
            return refused("invalid log level")
        return shown("ok")

    # ------------------------------------------------------------------ the cluster

    def leaders(self, _query: Query, _caller: Caller) -> Text:
        """GET leaders: what one node does for all. There is one node, so it is this one."""
        started_ms, now_ms = self._host.started_ms, self._registry.clock.wall_ms()
        return shown(
            [
                {
                    "ElectKey": name,
                    "Host": self._host.address,
                    "Ctime": started_ms // 1000,
                    "CreateTime": time_text(started_ms),
                    "Mtime": now_ms // 1000,
                    "ModifyTime": time_text(now_ms),
                    "Valid": True,
                }
                for name in self._host.elections()
            ]
        )

    def release_leader(self, body: bytes, _caller: Caller) -> Text:
        """POST leaders/release ``{electKey}``: another node may take over. Without another one, this node is elected again."""
        try:
            name = member(read(body), "electKey", str, "")
        except BadBody as error:
            return refused(str(error))
        if name not in self._host.elections():
            return refused(f"LeaderElection({name}) not started")
        return shown("ok")

    def locations(self, _query: Query, _caller: Caller) -> Text:
        """GET cmdb/info: the single addresses that the cmdb knows. It has no numbers for places, so those are 0."""
        return shown(
            [
                {
                    "IP": ip, "Region": where.region, "Zone": where.zone, "Campus": where.campus,
                    "RegionID": 0, "ZoneID": 0, "CampusID": 0,
                }
                for ip, where in self._host.locations().items()
            ]
        )  # fmt: skip

    def functions(self, _query: Query, _caller: Caller) -> Text:
        """GET server/functions."""
        return shown(functions.listed())

    # ------------------------------------------------------------------ metrics of others

    def prometheus(self, _query: Query, _caller: Caller) -> Text:
        """GET /prometheus/v1/clients: for Prometheus' HTTP discovery."""
        return shown(self._targets())

    def reported(self, _query: Query, _caller: Caller) -> Text:
        """GET report/clients: the same under a code."""
        return shown({"Code": v1.ExecuteSuccess, "Response": self._targets()})

    def _targets(self) -> list[dict[str, Any]]:
        port = next((p.number for p in self._host.ports() if p.name == HTTP), None)
        return targets.listed(self._clients, self._registry, CHECKER, port)

    # ------------------------------------------------------------------ routes

    def routes(self, *, pprof: bool = False) -> tuple[Route, ...]:
        """All calls. ``pprof``: whether profiles are among them (``enablePprof``)."""
        found = [
            _read("/apiserver/conn", "DescribeServerConnections", self.connections.count,
                  "Connections of a protocol by client address.", "protocol", "host"),
            _read("/apiserver/conn/stats", "DescribeServerConnStats", self.connections.stats,
                  "Connections of a protocol with ports and times.", "protocol", "host", "amount"),
            _write("POST", "/apiserver/conn/close", "CloseConnections", self.connections.close,
                   "Connections of client addresses are ended: `[{Protocol, Host, Port}]`."),
            _write("POST", "/memory/free", "FreeOSMemory", self.free_memory, "Unneeded memory is given back."),
            _write("POST", "/instance/clean", "CleanInstance", self.upkeep.clean,
                   "What is left of an instance that is gone is removed.", takes="one"),
            _write("POST", "/instance/batchclean", "BatchCleanInstances", self.upkeep.batch_clean,
                   "What is left of so many instances that are gone is removed: `{batch_size}`."),
            _read("/instance/heartbeat", "DescribeInstanceLastHeartbeat", self.upkeep.last_heartbeat,
                  "When an instance was last heard of.", "id", "service", "namespace", "host", "port", "vpc_id",
                  response="Response"),
            _read("/log/outputlevel", "DescribeGetLogOutputLevel", self.log_levels, "Levels of the log scopes."),
            _write("PUT", "/log/outputlevel", "UpdateLogOutputLevel", self.set_log_level,
                   "The level of a log scope is changed until the server ends: `{scope, level}`."),
            _read("/leaders", "DescribeLeaderElections", self.leaders, "Which node does what for all."),
            _write("POST", "/leaders/release", "ReleaseLeaderElection", self.release_leader,
                   "A node gives up what it does for all: `{electKey}`."),
            _read("/cmdb/info", "DescribeCMDBInfo", self.locations, "Addresses whose place is known."),
            _read("/report/clients", "DescribeReportClients", self.reported, "Where metrics of SDKs and nodes are."),
            _read("/server/functions", "DescribeServerFunctions", self.functions, "Names that policies use."),
            *(_targets_route(path, self.prometheus if bare else self.reported) for path, bare in _DISCOVERY.items()),
        ]  # fmt: skip
        if pprof:
            profiling = self.profiling
            found += [
                _write(
                    "POST",
                    "/pprof/enable",
                    "EnablePprof",
                    profiling.enable,
                    "Profiles are switched on or off: `{enable}`.",
                ),
                _profile("/", profiling.index, "What profiles there are."),
                _profile("/profile", profiling.profile, "Where the threads spend their time.", "seconds"),
                _profile("/goroutine", profiling.stacks, "Where threads and tasks are just now."),
                _profile("/cmdline", profiling.command_line, "How the process was started."),
            ]
        else:
            found.append(_write("POST", "/pprof/enable", "EnablePprof", _no_profiles, "Refused: `enablePprof` is off."))
        return tuple(found)


_DISCOVERY: Final = {"/prometheus/v1/clients": True, "/core/v1/clients": False}
"""Paths of the targets, and whether they are answered without a code around them."""


def _no_profiles(_body: bytes, _caller: Caller) -> Text:
    return refused("profiles are off: set apiservers.api-http.option.enablePprof to true")


def _read(path: str, operation: str, handle: Handle, about: str, *query: str, response: str = "") -> Route:
    return Route(
        method="GET",
        path="/maintain/v1" + path,
        operation=operation,
        handle=handle,
        response=response,
        group=ADMIN,
        include=frozenset(),
        about=about,
        query=query,
    )


def _write(method: str, path: str, operation: str, handle: Handle, about: str, takes: Takes = "bytes") -> Route:
    return Route(
        method=method,
        path="/maintain/v1" + path,
        operation=operation,
        handle=handle,
        takes=takes,
        request="Instance" if takes == "one" else "",
        response="Response" if takes == "one" else "",
        group=ADMIN,
        include=frozenset(),
        about=about,
    )


def _targets_route(path: str, handle: Handle) -> Route:
    return Route(
        method="GET",
        path=path,
        operation="DescribeReportClients",
        handle=handle,
        response="",
        group=CONSOLE,
        include=frozenset(),
        door=EVERYBODY,  # a scraper has no token, and the original asks for none
        about="Where metrics of SDKs and nodes are, for Prometheus' HTTP discovery.",
    )


def _profile(path: str, handle: Handle, about: str, *query: str) -> Route:
    return Route(
        method="GET",
        path="/debug/pprof" + path,
        operation="DescribeProfile",
        handle=handle,
        response="",
        group=ADMIN,
        include=frozenset(),
        about=about,
        query=query,
    )
