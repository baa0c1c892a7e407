"""What the agent API answers: services, checks and members, as plain values in the order and with the omissions of 1.20."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

Plain = dict[str, Any]


class Weights(Struct, frozen=True, rename="pascal"):
    """How much traffic a service takes, by its state."""

    passing: int
    warning: int


def service(
    *,
    id: str,
    name: str,
    tags: tuple[str, ...],
    meta: dict[str, str],
    port: int,
    address: str,
    tagged: dict[str, tuple[str, int]],
    weights: Weights,
    tag_override: bool,
    datacenter: str,
    kind: str = "",
    socket_path: str = "",
    extra: Plain | None = None,
) -> Plain:
    """``AgentService``. ``extra``: Proxy, Connect, Locality and Ports as they came."""
    found: Plain = {"Kind": kind} if kind else {}
    found |= {"ID": id, "Service": name, "Tags": list(tags), "Meta": meta, "Port": port, "Address": address}
    if socket_path:
        found["SocketPath"] = socket_path
    if tagged:
        found["TaggedAddresses"] = {key: {"Address": at[0], "Port": at[1]} for key, at in sorted(tagged.items())}
    found["Weights"] = {"Passing": weights.passing, "Warning": weights.warning}
    found["EnableTagOverride"] = tag_override
    extra = extra or {}
    if "Ports" in extra:
        found["Ports"] = extra["Ports"]
    if kind and "Proxy" in extra:
        found["Proxy"] = extra["Proxy"]
    if extra.get("Connect", {}).get("Native"):
        found["Connect"] = {"Native": True}
    found["Datacenter"] = datacenter
    if "Locality" in extra:
        found["Locality"] = extra["Locality"]
    return found


def check(
    *,
    node: str,
    id: str,
    name: str,
    status: str,
    notes: str,
    output: str,
    service_id: str,
    service_name: str,
    tags: tuple[str, ...],
    type: str,
    interval: str = "",
    timeout: str = "",
) -> Plain:
    """``HealthCheck`` of agent/checks."""
    return {
        "Node": node,
        "CheckID": id,
        "Name": name,
        "Status": status,
        "Notes": notes,
        "Output": output,
        "ServiceID": service_id,
        "ServiceName": service_name,
        "ServiceTags": list(tags),
        "Type": type,
        "Interval": interval,
        "Timeout": timeout,
        "ExposedPort": 0,
        "Definition": {},
        "CreateIndex": 0,
        "ModifyIndex": 0,
    }


_API_CHECK = (
    "Node",
    "CheckID",
    "Name",
    "Status",
    "Notes",
    "Output",
    "ServiceID",
    "ServiceName",
    "ServiceTags",
)


def health_check(found: Plain) -> Plain:
    """A check as agent/health/service shows it: what the agent copies into the client's own type, the rest empty."""
    shown = {name: found[name] for name in _API_CHECK}
    return {
        **shown,
        "Type": "",
        "Interval": "",
        "Timeout": "",
        "ExposedPort": 0,
        "Definition": _EMPTY_DEFINITION,
        **_INDEXES,
    }


_INDEXES: Plain = {"CreateIndex": 0, "ModifyIndex": 0}
_EMPTY_DEFINITION: Plain = {}


def member(name: str, address: str, datacenter: str, id: str, version: str, *, server: bool) -> Plain:
    """One of agent/members. Status 1: alive."""
    tags = {
        "acls": "0",
        "build": f"{version}:",
        "dc": datacenter,
        "id": id,
        "role": "consul" if server else "node",
        "segment": "",
        "vsn": "2",
        "vsn_max": "3",
        "vsn_min": "2",
    }
    if server:
        tags |= {
            "bootstrap": "1",
            "expect": "1",
            "ft_fs": "1",
            "ft_si": "1",
            "grpc_port": "8502",
            "port": "8300",
            "raft_vsn": "3",
            "wan_join_port": "8302",
        }
    return {
        "Name": name,
        "Addr": address,
        "Port": 8301,
        "Tags": dict(sorted(tags.items())),
        "Status": 1,
        "ProtocolMin": 1,
        "ProtocolMax": 5,
        "ProtocolCur": 2,
        "DelegateMin": 2,
        "DelegateMax": 5,
        "DelegateCur": 4,
    }
