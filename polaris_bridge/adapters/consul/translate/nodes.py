"""Nodes: what a caller's is called, what one is like, and how it is kept as a document."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import Final

import msgspec
from msgspec import Struct

from polaris_bridge.core.model import Document

from .keys import NODE, NodeKey

_NOT_IN_NAMES: Final = re.compile(r"[^0-9A-Za-z]+")


class NodeRecord(Struct, frozen=True, gc=False, omit_defaults=True):
    """A node as it is kept."""

    name: str
    """In its own spelling."""
    address: str
    id: str = ""
    """A UUID; empty: through the catalog without one."""
    tagged: dict[str, str] | None = None
    """Tagged addresses; None: none were given."""
    meta: dict[str, str] | None = None
    maintenance: str | None = None
    """Why all of it is in maintenance; None: it is not."""
    implied: bool = False
    """Whether it is there only for what a caller registered on it, and goes with that."""


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(NodeRecord).decode


def document(key: NodeKey, record: NodeRecord) -> Document:
    """The document of a node."""
    return Document(NODE, key.document, key.namespace, record.name, body=_encode(record))


def record(kept: Document) -> NodeRecord:
    """The node that a document describes."""
    return _decode(kept.body)


def caller_name(address: str) -> str:
    """The name of the node of callers from an address: ``node-10-0-0-5``."""
    return "node-" + _NOT_IN_NAMES.sub("-", address).strip("-")


def is_loopback(address: str) -> bool:
    """Whether a caller is on this machine."""
    if address.startswith("127."):
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address in ("", "localhost")


def stable_id(seed: str) -> str:
    """A UUID that is the same for the same words."""
    digest = hashlib.blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"


def tagged_of(address: str) -> dict[str, str]:
    """The tagged addresses of an agent's own node."""
    found = {"lan": address}
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return {**found, "wan": address}
    return {**found, f"lan_ipv{version}": address, "wan": address, f"wan_ipv{version}": address}
