"""The agent itself: who it is, its members, its metrics, its host; and the commands for operators of real agents."""

from __future__ import annotations

import os
import platform
import re
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from polaris_bridge.adapters.consul.service.agent import BUILD
from polaris_bridge.adapters.consul.translate.keys import NodeKey
from polaris_bridge.adapters.consul.wire import json_in
from polaris_bridge.adapters.consul.wire.durations import quoted
from polaris_bridge.adapters.consul.wire.json_in import BadJson
from polaris_bridge.adapters.consul.wire.refusals import Refused, bad, failed, missing

from .answers import DONE, Answer, Reply, json
from .call import ConsulCall, Route, Routes
from .monitor import LEVELS, PATH

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService

_NO_PROMETHEUS: Final = b"Prometheus is not enabled since its retention time is not positive"
_PROMETHEUS: Final = re.compile(r" *(application/openmetrics-text *(;|$)|text/plain *; *version=0\.4\.0 *(;|$))")
_TOKENS: Final = frozenset(
    {
        "acl_token",
        "default",
        "acl_agent_token",
        "agent",
        "acl_agent_master_token",
        "agent_master",
        "agent_recovery",
        "acl_replication_token",
        "replication",
        "config_file_service_registration",
        "dns_token",
        "dns",
    }
)
_TOKEN: Final = json_in.table({"Token": ("token", json_in.text)})


def itself(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/agent/self"""
    return json(service.agent.self(service.nodes.key_of(call.caller), call.caller.address))


def members(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/agent/members"""
    wan = bool(call.params.text("wan"))
    segment = call.params.text("segment")
    if wan and segment not in ("", "_all"):
        raise bad("Cannot provide a segment with wan=true")
    namespace = service.settings.namespace
    found = service.agent.members(wan=wan) if segment in ("", "_all") else []
    return json([each for each in found if call.may("node:read", each["Name"], namespace)])


def version(_service: ConsulService, _call: ConsulCall) -> Reply:
    """GET /v1/agent/version"""
    return json(BUILD)


def host(service: ConsulService, _call: ConsulCall) -> Reply:
    """GET /v1/agent/host"""
    wall_ms = service.registry.clock.wall_ms()
    return json(_host(wall_ms))


def _host(wall_ms: int) -> dict[str, Any]:
    page = os.sysconf("SC_PAGE_SIZE")
    total, available = os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page
    disk = os.statvfs("/")
    size, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    return {
        "Memory": {
            "total": total,
            "available": available,
            "used": total - available,
            "usedPercent": 100 * (total - available) / total,
            "free": available,
        },
        "CPU": [{"cpu": number, "cores": 1} for number in range(os.cpu_count() or 1)],
        "Host": {
            "hostname": socket.gethostname(),
            "uptime": int(time.monotonic()),
            "os": sys.platform,
            "platform": platform.system().lower(),
            "kernelVersion": platform.release(),
            "kernelArch": platform.machine(),
        },
        "Disk": {
            "path": "/",
            "total": size,
            "free": free,
            "used": size - free,
            "usedPercent": 100 * (size - free) / size if size else 0.0,
        },
        "CollectionTime": wall_ms * 1_000_000,
        "Errors": None,
    }


def metrics(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/agent/metrics: numbers of what there is. Everything else is on the main port's ``/metrics``."""
    accept = (call.request.header(b"accept") or "").lower()
    if call.params.text("format") == "prometheus" or any(map(_PROMETHEUS.match, accept.split(","))):
        headers = ((b"Content-Type", b"text/plain"), (b"X-Consul-Reason", _NO_PROMETHEUS))
        return Answer(_NO_PROMETHEUS, 0, 415, headers)
    seconds = service.registry.clock.wall_ms() // 1000
    stamp = time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(seconds - seconds % 10))
    counted = {
        "consul.state.nodes": sum(1 for _ in service.nodes.listed(service.settings.namespace)),
        "consul.state.services": sum(1 for _ in service.registry.services(service.settings.namespace)),
        "consul.state.service_instances": service.index.size(service.settings.namespace),
    }
    gauges = [{"Name": name, "Value": value, "Labels": {}} for name, value in counted.items()]
    return json({"Timestamp": stamp, "Gauges": gauges, "Points": [], "Counters": [], "Samples": []})


def monitor(_service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/agent/monitor: whether the log may be followed; ``monitor.Monitor`` carries it."""
    level = call.params.text("loglevel") or "INFO"
    if level.upper() not in LEVELS:
        raise bad(f"Unknown log level: {level}")
    return DONE


def accepted(_service: ConsulService, _call: ConsulCall) -> Reply:
    """PUT /v1/agent/reload, leave and join: there is nothing to reload, and one client does not stop everybody's server."""
    return DONE


def force_leave(service: ConsulService, call: ConsulCall) -> Reply:
    """PUT /v1/agent/force-leave/:node: a node that is reachable stays, as on a real agent."""
    if service.nodes.get(NodeKey(service.settings.namespace, call.rest)) is None:
        raise failed(f"agent: No node found with name '{call.rest}'")
    return DONE


def token(service: ConsulService, call: ConsulCall) -> Reply:
    """PUT /v1/agent/token/:kind: an agent's own tokens; nothing here asks on its own, so they are not kept."""
    if not service.admission.on:
        raise Refused(401, "ACL support disabled")
    call.require("agent:write", call.node, service.settings.namespace)
    try:
        json_in.members(json_in.value(call.body), _TOKEN)
    except BadJson as error:
        raise json_in.decode_failed(error) from None
    if call.rest not in _TOKENS:
        raise missing(f"Token {quoted(call.rest)} is unknown")
    return DONE


ROUTES: Final[Routes] = {
    ("GET", "/v1/agent/self"): Route(itself, "agent:read", local=True),
    ("GET", "/v1/agent/members"): Route(members, local=True),
    ("GET", "/v1/agent/version"): Route(version, local=True),
    ("GET", "/v1/agent/host"): Route(host, "operator:read", local=True),
    ("GET", "/v1/agent/metrics"): Route(metrics, "agent:read", local=True),
    ("GET", PATH): Route(monitor, "agent:read", local=True),
    ("PUT", "/v1/agent/reload"): Route(accepted, "agent:write", local=True),
    ("PUT", "/v1/agent/leave"): Route(accepted, "agent:write", local=True),
    ("PUT", "/v1/agent/join/"): Route(accepted, "agent:write", local=True),
    ("PUT", "/v1/agent/force-leave/"): Route(force_leave, "operator:write", local=True),
    ("PUT", "/v1/agent/token/"): Route(token, local=True),
}
