"""Addresses, host names and metadata of nodes as DNS records."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from polaris_bridge.adapters.consul.wire import dns
from polaris_bridge.adapters.consul.wire.dns import Record


def packed_ip(address: str) -> bytes:
    """The bytes of an IP address; empty for anything else."""
    try:
        return ipaddress.ip_address(address).packed
    except ValueError:
        return b""


def same_ip(a: str, b: str) -> bool:
    """Whether two texts are the same IP address."""
    packed = packed_ip(a)
    return bool(packed) and packed == packed_ip(b)


def address_record(address: str, ttl: int, owner: bytes = b"") -> Record | None:
    """The A or AAAA record of an address; None for a host name."""
    packed = packed_ip(address)
    return Record(dns.A if len(packed) == 4 else dns.AAAA, packed, ttl, owner) if packed else None


def host_wire(name: str) -> bytes:
    """A host name in wire form; empty when it is none."""
    try:
        return dns.name_wire(name)
    except ValueError:
        return b""


def meta_records(meta: Mapping[str, str] | None, ttl: int, owner: bytes) -> list[Record]:
    """A node's metadata as TXT records (RFC 1464); keys that begin with ``rfc1035-`` give the value alone."""
    pairs = (meta or {}).items()
    texts = (value if key.lower().startswith("rfc1035-") else f"{_attribute(key)}={value}" for key, value in pairs)
    return [Record(dns.TXT, dns.txt(text), ttl, owner) for text in texts]


def _attribute(key: str) -> str:
    return key.replace("`", "``").replace("=", "`=")
