"""What ordinary clients rarely ask: coordinates, operators' calls, access control, and the mesh, which is off.

Answers of a single agent in server mode with Connect, peering and (without ``auth``) ACLs switched off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from polaris_bridge.adapters.consul.service.agent import coordinate
from polaris_bridge.adapters.consul.service.config_entries import NO_CONNECT
from polaris_bridge.adapters.consul.service.nodes import VERSION
from polaris_bridge.adapters.consul.wire.refusals import Refused, bad, denied, failed
from polaris_bridge.core.batches import SETTLED

from .answers import DONE, PLAIN, TRUE, Answer, Reply, json
from .call import EVERYTHING, ConsulCall, Route, Routes

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService

# ---------------------------------------------------------------------- coordinates


def coordinate_datacenters(service: ConsulService, _call: ConsulCall) -> Reply:
    """GET /v1/coordinate/datacenters"""
    found = []
    for datacenter in sorted({service.settings.datacenter, *service.settings.datacenters}):
        node = f"{service.nodes.own_name}.{datacenter}"
        found.append(
            {
                "Datacenter": datacenter,
                "AreaID": "wan",
                "Coordinates": [{"Node": node, "Segment": "", "Coord": coordinate()}],
            }
        )
    return json(found)


def coordinate_nodes(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/coordinate/nodes: of the server alone; nothing measures the way to others."""
    return json(_coordinates(service, call), max(1, service.registry.ledger.floor))


def coordinate_node(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/coordinate/node/:node"""
    own = call.rest.lower() == service.nodes.own_name.lower()
    found = _coordinates(service, call) if own else []
    index = max(1, service.registry.ledger.floor)
    return json(found, index) if found else Answer(b"", index, 404, PLAIN)


def _coordinates(service: ConsulService, call: ConsulCall) -> list[dict[str, Any]]:
    name = service.nodes.own_name
    if call.params.text("segment") or not call.may("node:read", name, call.namespace):
        return []
    return [{"Node": name, "Segment": "", "Coord": coordinate()}]


def coordinate_update(_service: ConsulService, _call: ConsulCall) -> Reply:
    """PUT /v1/coordinate/update: taken, and not looked at."""
    return DONE


# ---------------------------------------------------------------------- operators


def raft_configuration(service: ConsulService, _call: ConsulCall) -> Reply:
    """GET /v1/operator/raft/configuration"""
    server = {
        "ID": service.nodes.own_id,
        "Node": service.nodes.own_name,
        "Address": service.server_address,
        "Leader": True,
        "ProtocolVersion": "3",
        "Voter": True,
        "LastIndex": service.registry.revision,
    }
    return json({"Servers": [server], "Index": service.registry.revision})


def raft_peer(service: ConsulService, call: ConsulCall) -> Reply:
    """DELETE /v1/operator/raft/peer"""
    by_id, by_address = call.params.has("id"), call.params.has("address")
    if not by_id and not by_address:
        raise bad("Must specify either ?id with the server's ID or ?address with IP:port of peer to remove")
    if by_id and by_address:
        raise bad("Must specify only one of ?id or ?address")
    name, what = ("id", "id") if by_id else ("address", "address")
    raise failed(f'{what} "{call.params.text(name)}" was not found in the Raft configuration')


def raft_transfer(_service: ConsulService, _call: ConsulCall) -> Reply:
    """POST /v1/operator/raft/transfer-leader"""
    raise failed("cannot find peer")


def keyring(_service: ConsulService, _call: ConsulCall) -> Reply:
    """/v1/operator/keyring: members are not spoken to, so nothing is encrypted between them."""
    raise failed("keyring is empty: gossip encryption is not enabled")


_AUTOPILOT: Final[dict[str, Any]] = {
    "CleanupDeadServers": True,
    "LastContactThreshold": "200ms",
    "MaxTrailingLogs": 250,
    "MinQuorum": 0,
    "ServerStabilizationTime": "10s",
    "RedundancyZoneTag": "",
    "DisableUpgradeMigration": False,
    "UpgradeVersionTag": "",
    "CreateIndex": 5,
    "ModifyIndex": 5,
}


def autopilot(_service: ConsulService, _call: ConsulCall) -> Reply:
    """GET /v1/operator/autopilot/configuration"""
    return json(_AUTOPILOT)


def set_autopilot(_service: ConsulService, _call: ConsulCall) -> Reply:
    """PUT /v1/operator/autopilot/configuration: taken, and not looked at."""
    return TRUE


def _server(service: ConsulService) -> dict[str, Any]:
    return {
        "ID": service.nodes.own_id,
        "Name": service.nodes.own_name,
        "Address": service.server_address,
        "LastContact": "0s",
        "LastTerm": service.registry.epoch,
        "LastIndex": service.registry.revision,
        "Healthy": True,
        "StableSince": "1970-01-01T00:00:01Z",
        "Version": VERSION,
    }


def server_health(service: ConsulService, _call: ConsulCall) -> Reply:
    """GET /v1/operator/autopilot/health"""
    server = {**_server(service), "SerfStatus": "alive", "Leader": True, "Voter": True}
    return json({"Healthy": True, "FailureTolerance": 0, "Servers": [server]})


def autopilot_state(service: ConsulService, _call: ConsulCall) -> Reply:
    """GET /v1/operator/autopilot/state"""
    id = service.nodes.own_id
    server = {**_server(service), "NodeStatus": "alive", "Status": "leader", "NodeType": "voter", "Meta": {}}
    return json(
        {
            "Healthy": True,
            "FailureTolerance": 0,
            "OptimisticFailureTolerance": 0,
            "Servers": {id: server},
            "Leader": id,
            "Voters": [id],
        }
    )


def usage(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/operator/usage"""
    namespace = call.namespace
    counted = {
        "Nodes": sum(1 for _ in service.nodes.listed(namespace)),
        "Services": sum(1 for each in service.registry.services(namespace) if each.addresses) + 1,
        "ServiceInstances": service.index.size(namespace) + 1,
        "ConnectServiceInstances": {},
        "BillableServiceInstances": service.index.size(namespace),
    }
    return json({"Usage": {call.datacenter: counted}}, service.registry.revision)


def no_snapshot(_service: ConsulService, _call: ConsulCall) -> Reply:
    """/v1/snapshot: a real one is Raft's own file."""
    raise failed("snapshots are not available here: copy the server's store instead")


# ---------------------------------------------------------------------- access control

_ANONYMOUS: Final = "00000000-0000-0000-0000-000000000002"


def acl(service: ConsulService, _call: ConsulCall) -> Reply:
    """/v1/acl/...: accounts are administered through the console and the native API."""
    if not service.admission.on:
        raise Refused(401, "ACL support disabled")
    raise denied()


def acl_bootstrap(service: ConsulService, _call: ConsulCall) -> Reply:
    """PUT /v1/acl/bootstrap: the first account is made at the first start."""
    if not service.admission.on:
        raise Refused(401, "ACL support disabled")
    raise denied("Permission denied: ACL bootstrap no longer allowed (reset index: 1)")


def acl_self(service: ConsulService, call: ConsulCall) -> Reply:
    """GET /v1/acl/token/self: whose token it is."""
    if not service.admission.on:
        raise Refused(401, "ACL support disabled")
    principal = call.caller.principal
    described = {
        "AccessorID": principal or _ANONYMOUS,
        "SecretID": "anonymous" if not principal else "<hidden>",
        "Description": "" if principal else "Anonymous Token",
        "Local": False,
        "CreateTime": "1970-01-01T00:00:01Z",
        "Hash": "",
        "CreateIndex": 1,
        "ModifyIndex": 1,
    }
    return json(described, 1)


# ---------------------------------------------------------------------- the mesh


def no_connect(_service: ConsulService, _call: ConsulCall) -> Reply:
    """Calls of the mesh, which is switched off."""
    raise failed(NO_CONNECT)


def authorize(_service: ConsulService, _call: ConsulCall) -> Reply:
    """POST /v1/agent/connect/authorize"""
    raise failed(f"failed getting intention match: {NO_CONNECT}")


def no_peering(_service: ConsulService, _call: ConsulCall) -> Reply:
    """Calls of cluster peering, which is switched off."""
    raise failed("peering must be enabled to use this endpoint")


def nothing(service: ConsulService, call: ConsulCall) -> Reply:
    """Lists of what cannot exist without a mesh."""
    call.namespace_of(call.datacenter)
    return Answer(b"[]", max(1, service.registry.ledger.floor), commit=SETTLED)


_ACL: Final = (
    ("POST", "/v1/acl/login"),
    ("POST", "/v1/acl/logout"),
    ("GET", "/v1/acl/replication"),
    ("GET", "/v1/acl/policies"),
    ("PUT", "/v1/acl/policy"),
    *((method, "/v1/acl/policy/") for method in ("GET", "PUT", "DELETE")),
    ("GET", "/v1/acl/policy/name/"),
    ("GET", "/v1/acl/roles"),
    ("PUT", "/v1/acl/role"),
    *((method, "/v1/acl/role/") for method in ("GET", "PUT", "DELETE")),
    ("GET", "/v1/acl/role/name/"),
    ("GET", "/v1/acl/binding-rules"),
    ("PUT", "/v1/acl/binding-rule"),
    *((method, "/v1/acl/binding-rule/") for method in ("GET", "PUT", "DELETE")),
    ("GET", "/v1/acl/auth-methods"),
    ("PUT", "/v1/acl/auth-method"),
    *((method, "/v1/acl/auth-method/") for method in ("GET", "PUT", "DELETE")),
    ("GET", "/v1/acl/tokens"),
    ("PUT", "/v1/acl/token"),
    *((method, "/v1/acl/token/") for method in ("GET", "PUT", "DELETE")),
    ("GET", "/v1/acl/templated-policies"),
    ("GET", "/v1/acl/templated-policy/name/"),
    ("POST", "/v1/acl/templated-policy/preview/"),
    ("POST", "/v1/internal/acl/authorize"),
)
_CONNECT: Final = (
    ("GET", "/v1/agent/connect/ca/roots"),
    ("GET", "/v1/agent/connect/ca/leaf/"),
    ("GET", "/v1/connect/ca/roots"),
    ("GET", "/v1/connect/ca/configuration"),
    ("PUT", "/v1/connect/ca/configuration"),
    *((method, "/v1/connect/intentions") for method in ("GET", "POST")),
    ("GET", "/v1/connect/intentions/match"),
    ("GET", "/v1/connect/intentions/check"),
    *((method, "/v1/connect/intentions/exact") for method in ("GET", "PUT", "DELETE")),
    *((method, "/v1/connect/intentions/") for method in ("GET", "PUT", "DELETE")),
    *((method, "/v1/discovery-chain/") for method in ("GET", "POST")),
)
_PEERING: Final = (
    ("POST", "/v1/peering/token"),
    ("POST", "/v1/peering/establish"),
    *((method, "/v1/peering/") for method in ("GET", "DELETE")),
    ("GET", "/v1/peerings"),
)

ROUTES: Final[Routes] = {
    ("GET", "/v1/coordinate/datacenters"): Route(coordinate_datacenters),
    ("GET", "/v1/coordinate/nodes"): Route(coordinate_nodes, reads=True, blocking=EVERYTHING),
    ("GET", "/v1/coordinate/node/"): Route(coordinate_node, reads=True, blocking=EVERYTHING),
    ("PUT", "/v1/coordinate/update"): Route(coordinate_update, "node:write"),
    ("GET", "/v1/operator/raft/configuration"): Route(raft_configuration, "operator:read"),
    ("DELETE", "/v1/operator/raft/peer"): Route(raft_peer, "operator:write"),
    ("POST", "/v1/operator/raft/transfer-leader"): Route(raft_transfer, "operator:write"),
    ("GET", "/v1/operator/autopilot/configuration"): Route(autopilot, "operator:read"),
    ("PUT", "/v1/operator/autopilot/configuration"): Route(set_autopilot, "operator:write"),
    ("GET", "/v1/operator/autopilot/health"): Route(server_health, "operator:read"),
    ("GET", "/v1/operator/autopilot/state"): Route(autopilot_state, "operator:read"),
    ("GET", "/v1/operator/usage"): Route(usage, "operator:read", reads=True),
    **{
        (method, "/v1/operator/keyring"): Route(keyring, "operator:read") for method in ("GET", "POST", "PUT", "DELETE")
    },
    **{(method, "/v1/snapshot"): Route(no_snapshot, "operator:write") for method in ("GET", "PUT")},
    ("PUT", "/v1/acl/bootstrap"): Route(acl_bootstrap),
    ("GET", "/v1/acl/token/self"): Route(acl_self, reads=True),
    **{key: Route(acl) for key in _ACL},
    ("POST", "/v1/agent/connect/authorize"): Route(authorize, local=True),
    **{key: Route(no_connect, reads=True) for key in _CONNECT},
    **{key: Route(no_peering) for key in _PEERING},
    ("GET", "/v1/exported-services"): Route(nothing, reads=True),
    ("GET", "/v1/internal/federation-states"): Route(nothing, reads=True),
}
