"""Transactions as JSON: lists of operations on keys, nodes, services and checks, and what came of them.

Rules and complaints of Consul 1.20.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, field

from .json_in import (
    BadJson,
    Table,
    duration,
    flag,
    ignored,
    integer,
    many,
    mapped,
    members,
    nested,
    raw,
    table,
    text,
    text_map,
    texts,
    texts_map,
    value,
    wrong,
)
from .refusals import Refused, bad

MAX_OPERATIONS: Final = 128
MAX_BYTES: Final = 524_288
"""Of a transaction, and of each value in it."""
_MAX_UINT: Final = (1 << 64) - 1

KV: Final = "KV"
NODE: Final = "Node"
SERVICE: Final = "Service"
CHECK: Final = "Check"

S = TypeVar("S", bound=Struct)

READS: Final = frozenset({"get", "get-tree", "get-or-empty", "check-index", "check-session", "check-not-exists"})
"""Verbs on keys that change nothing; of nodes, services and checks only ``get``."""


class KvOp(Struct, frozen=True):
    """An operation on a key."""

    verb: str = ""
    key: str = ""
    value: bytes = b""
    flags: int = 0
    index: int = 0
    session: str = ""


class NodeOp(Struct, frozen=True):
    """An operation on a node."""

    verb: str = ""
    node: str = ""
    id: str = ""
    address: str = ""
    tagged: dict[str, str] | None = None
    meta: dict[str, str] | None = None
    modify_index: int = 0


class ServiceOp(Struct, frozen=True):
    """An operation on a service of a node."""

    verb: str = ""
    node: str = ""
    id: str = ""
    name: str = ""
    kind: str = ""
    tags: tuple[str, ...] = ()
    address: str = ""
    port: int = 0
    meta: dict[str, str] = {}
    passing: int = 0
    warning: int = 0
    tag_override: bool = False
    modify_index: int = 0


class CheckOp(Struct, frozen=True):
    """An operation on a check of a node."""

    verb: str = ""
    node: str = ""
    id: str = ""
    name: str = ""
    status: str = ""
    notes: str = ""
    output: str = ""
    service_id: str = ""
    definition: bytes = b""
    """JSON as it came."""
    modify_index: int = 0


Operation = KvOp | NodeOp | ServiceOp | CheckOp


def writes(operation: Operation) -> bool:
    """Whether it changes something."""
    if isinstance(operation, KvOp):
        return operation.verb not in READS
    return operation.verb != "get"


# ---------------------------------------------------------------------- reading


def _unsigned(found: Any, name: str) -> int:
    if isinstance(found, bool) or not isinstance(found, int):
        if isinstance(found, float):
            raise BadJson(f"json: cannot unmarshal number {found:g} into Go struct field .{name} of type uint64")
        raise wrong(found, name, "uint64")
    if not 0 <= found <= _MAX_UINT:
        raise BadJson(f"json: cannot unmarshal number {found} into Go struct field .{name} of type uint64")
    return found


def _bytes(found: Any, name: str) -> bytes:
    if not isinstance(found, str):
        raise wrong(found, name, "[]uint8")
    compact = found.replace("\r", "").replace("\n", "")
    try:
        return base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        raise BadJson(f"illegal base64 data at input byte {_defect(compact)}") from None


_ALPHABET: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def _defect(found: str) -> int:
    """Where base64 goes wrong, as Go counts it."""
    for at, character in enumerate(found):
        if character not in _ALPHABET:
            return at
    return len(found) - len(found) % 4


_LOCALITY: Final = table({"Region": ("region", text), "Zone": ("zone", text)})
_INDEXES: Final = {"CreateIndex": ("create_index", _unsigned), "ModifyIndex": ("modify_index", _unsigned)}
_ENTERPRISE: Final = {"Namespace": ("namespace", text), "Partition": ("partition", text)}
_KV: Final = table(
    {
        "Verb": ("verb", text),
        "Key": ("key", text),
        "Value": ("value", _bytes),
        "Flags": ("flags", _unsigned),
        "Index": ("index", _unsigned),
        "Session": ("session", text),
        **_ENTERPRISE,
    }
)
_NODE: Final = table(
    {
        "ID": ("id", text),
        "Node": ("node", text),
        "Address": ("address", text),
        "Datacenter": ("datacenter", text),
        "TaggedAddresses": ("tagged", text_map),
        "Meta": ("meta", text_map),
        "PeerName": ("peer", text),
        "Locality": ("locality", nested(_LOCALITY)),
        "Partition": ("partition", text),
        **_INDEXES,
    }
)
_WEIGHTS: Final = table({"Passing": ("passing", integer), "Warning": ("warning", integer)})
_PLACE: Final = table({"Address": ("address", text), "Port": ("port", integer)})
SERVICE_FIELDS: Final[Table] = table(
    {
        "Kind": ("kind", text),
        "ID": ("id", text),
        "Service": ("name", text),
        "Tags": ("tags", texts),
        "Meta": ("meta", text_map),
        "Port": ("port", integer),
        "Address": ("address", text),
        "SocketPath": ("socket_path", text),
        "TaggedAddresses": ("tagged", mapped(_PLACE)),
        "Weights": ("weights", nested(_WEIGHTS)),
        "EnableTagOverride": ("tag_override", flag),
        "ContentHash": ("hash", text),
        "Proxy": ("proxy", raw),
        "Connect": ("connect", raw),
        "Locality": ("locality", nested(_LOCALITY)),
        "PeerName": ("peer", text),
        "Datacenter": ("datacenter", text),
        **_ENTERPRISE,
        **_INDEXES,
    }
)
_DEFINITION: Final = table(
    {
        "HTTP": ("http", text),
        "Header": ("header", texts_map),
        "Method": ("method", text),
        "Body": ("body", text),
        "TLSServerName": ("tls_server_name", text),
        "TLSSkipVerify": ("tls_skip_verify", flag),
        "TCP": ("tcp", text),
        "TCPUseTLS": ("tcp_tls", flag),
        "UDP": ("udp", text),
        "GRPC": ("grpc", text),
        "GRPCUseTLS": ("grpc_tls", flag),
        "OSService": ("os_service", text),
        "IntervalDuration": ("interval_duration", duration),
        "TimeoutDuration": ("timeout_duration", duration),
        "DeregisterCriticalServiceAfterDuration": ("deregister_duration", duration),
        "Interval": ("interval", duration),
        "Timeout": ("timeout", duration),
        "DeregisterCriticalServiceAfter": ("deregister", duration),
    }
)


def _definition(found: Any, _name: str) -> bytes:
    members(found, _DEFINITION)
    return msgspec.json.encode(found) if found else b""


CHECK_FIELDS: Final[Table] = table(
    {
        "Node": ("node", text),
        "CheckID": ("id", text),
        "Name": ("name", text),
        "Status": ("status", text),
        "Notes": ("notes", text),
        "Output": ("output", text),
        "ServiceID": ("service_id", text),
        "ServiceName": ("service_name", text),
        "ServiceTags": ("service_tags", texts),
        "Type": ("type", text),
        "ExposedPort": ("exposed_port", integer),
        "PeerName": ("peer", text),
        "Definition": ("definition", _definition),
        "Interval": ("interval", ignored),
        "Timeout": ("timeout", ignored),
        **_ENTERPRISE,
        **_INDEXES,
    }
)
_OPERATION: Final = table(
    {
        KV: (KV, nested(_KV)),
        NODE: (NODE, nested(table({"Verb": ("verb", text), "Node": ("inner", nested(_NODE))}))),
        SERVICE: (
            SERVICE,
            nested(
                table({"Verb": ("verb", text), "Node": ("node", text), "Service": ("inner", nested(SERVICE_FIELDS))})
            ),
        ),
        CHECK: (CHECK, nested(table({"Verb": ("verb", text), "Check": ("inner", nested(CHECK_FIELDS))}))),
    }
)
_read_all: Final = many(_OPERATION)


def operations(body: bytes) -> list[Operation]:
    """The operations of a body; entries that say nothing are passed over. Raises ``Refused`` (400, 413)."""
    if len(body) > MAX_BYTES:
        raise _too_large(f"Request body({len(body)} bytes) too large, max size: {MAX_BYTES} bytes. See {_PAGE}.")
    try:
        found = value(body)
        said = [] if found is None else _read_all(found, "")
    except BadJson as error:
        raise bad(f"Failed to parse body: {error}") from None
    if len(said) > MAX_OPERATIONS:
        raise _too_large(f"Transaction contains too many operations ({len(said)} > {MAX_OPERATIONS})")
    return [operation for each in said if (operation := _operation(each)) is not None]


_PAGE: Final = "https://www.consul.io/docs/agent/config/config-files#txn_max_req_len"


def _too_large(what: str) -> Refused:
    return Refused(413, what)


def _operation(said: dict[str, Any]) -> Operation | None:
    if KV in said:
        return _made(KvOp, said[KV])
    if NODE in said:
        return _made(NodeOp, {**said[NODE].get("inner", {}), "verb": said[NODE].get("verb", "")})
    if SERVICE in said:
        outer = said[SERVICE]
        return service_op(outer.get("inner", {}), outer.get("verb", ""), outer.get("node", ""))
    if CHECK in said:
        return check_op(said[CHECK].get("inner", {}), said[CHECK].get("verb", ""))
    return None


def service_op(said: dict[str, Any], verb: str, node: str) -> ServiceOp:
    """A service as ``SERVICE_FIELDS`` read it."""
    return _made(ServiceOp, {**said, **said.get("weights", {}), "verb": verb, "node": node})


def check_op(said: dict[str, Any], verb: str) -> CheckOp:
    """A check as ``CHECK_FIELDS`` read it."""
    return _made(CheckOp, {**said, "verb": verb})


def _made(kind: type[S], said: dict[str, Any]) -> S:
    return kind(**{name: said[name] for name in kind.__struct_fields__ if name in said})


# ---------------------------------------------------------------------- writing


class TxnError(Struct, frozen=True):
    """Why a transaction failed: which operation (from 0), and what it said."""

    index: int = field(name="OpIndex")
    what: str = field(name="What")


class _Read(Struct, frozen=True):
    """What a transaction that only reads says besides."""

    Index: int = 1
    LastContact: int = 0
    KnownLeader: bool = True
    ConsistencyLevel: str = ""
    NotModified: bool = False
    Backend: int = 0
    ResultsFilteredByACLs: bool = False


_encode: Final = msgspec.json.Encoder().encode


def result(kind: str, encoded: bytes) -> bytes:
    """One result of an operation."""
    return b'{"' + kind.encode() + b'":' + encoded + b"}"


def answer(
    results: Sequence[bytes] | None, errors: Sequence[TxnError], *, reads: bool, filtered: bool = False
) -> bytes:
    """The whole answer. ``results`` None: nothing was done."""
    found = b"null" if results is None else b"[" + b",".join(results) + b"]"
    body = b'{"Results":' + found + b',"Errors":' + (_encode(errors) if errors else b"null")
    if not reads:
        return body + b"}"
    return body + b"," + _encode(_Read(ResultsFilteredByACLs=filtered))[1:]
