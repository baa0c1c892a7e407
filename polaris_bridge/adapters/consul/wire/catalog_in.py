"""Bodies of catalog/register and catalog/deregister, read. Rules and complaints of Consul 1.20."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from . import json_in
from .definitions import is_any
from .json_in import BadJson, Table
from .refusals import bad, failed
from .txn import CHECK_FIELDS, SERVICE_FIELDS, CheckOp, NodeOp, ServiceOp, check_op, service_op

_SET: Final = "set"
_REGISTER: Final[Table] = json_in.table(
    {
        "ID": ("id", json_in.text),
        "Node": ("node", json_in.text),
        "Address": ("address", json_in.text),
        "Datacenter": ("datacenter", json_in.text),
        "TaggedAddresses": ("tagged", json_in.text_map),
        "NodeMeta": ("meta", json_in.text_map),
        "Service": ("service", json_in.nested(SERVICE_FIELDS)),
        "Check": ("check", json_in.nested(CHECK_FIELDS)),
        "Checks": ("checks", json_in.many(CHECK_FIELDS)),
        "SkipNodeUpdate": ("skip", json_in.flag),
        "Locality": ("locality", json_in.ignored),
        "PeerName": ("peer", json_in.text),
        "Partition": ("partition", json_in.text),
        "Namespace": ("namespace", json_in.text),
        "WriteRequest": ("ignored", json_in.ignored),
    }
)
_DEREGISTER: Final[Table] = json_in.table(
    {
        "Node": ("node", json_in.text),
        "Address": ("address", json_in.text),
        "Datacenter": ("datacenter", json_in.text),
        "ServiceID": ("service_id", json_in.text),
        "CheckID": ("check_id", json_in.text),
        "PeerName": ("peer", json_in.text),
        "Partition": ("partition", json_in.text),
        "Namespace": ("namespace", json_in.text),
        "WriteRequest": ("ignored", json_in.ignored),
    }
)


class Registration(Struct, frozen=True):
    """What is to be put into the catalog."""

    node: NodeOp
    skip_node: bool
    """A node that is there stays as it is."""
    service: ServiceOp | None
    checks: tuple[CheckOp, ...]
    datacenter: str


class Deregistration(Struct, frozen=True):
    """What is to be taken out; neither service nor check: the whole node."""

    node: str
    service_id: str
    check_id: str
    datacenter: str


def register(body: bytes) -> Registration:
    """Raises ``Refused``."""
    try:
        said = json_in.members(json_in.value(body), _REGISTER)
    except BadJson as error:
        raise bad(f"Request decode failed: {error}") from None
    name, skip = said.get("node", ""), said.get("skip", False)
    if not name:
        raise failed("Must provide node")
    if not said.get("address") and not skip:
        raise failed("Must provide address if SkipNodeUpdate is not set")
    node = NodeOp(_SET, name, said.get("id", ""), said.get("address", ""), said.get("tagged"), said.get("meta"))
    service = None
    if said.get("service") is not None:
        service = service_op(said["service"], _SET, name)
        if service.id and not service.name:
            raise failed("Must provide service name (Service.Service) when service ID is provided")
        if is_any(service.address):
            raise failed("Invalid service address")
        service = structs.replace(service, id=service.id or service.name) if service.name else None
    given = ([said["check"]] if said.get("check") is not None else []) + said.get("checks", [])
    checks = (check_op(each, _SET) for each in given)
    named = (structs.replace(c, node=c.node or name, id=c.id or c.name) for c in checks)
    return Registration(node, skip, service, tuple(named), said.get("datacenter", ""))


def deregister(body: bytes) -> Deregistration:
    """Raises ``Refused``."""
    try:
        said = json_in.members(json_in.value(body), _DEREGISTER)
    except BadJson as error:
        raise bad(f"Request decode failed: {error}") from None
    if not said.get("node"):
        raise failed("Must provide node")
    return Deregistration(
        said["node"], said.get("service_id", ""), said.get("check_id", ""), said.get("datacenter", "")
    )
