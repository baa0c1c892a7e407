"""What names ask for: the labels below the domain as a kind, what stands before it and what behind; addresses backwards."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final, NamedTuple

_KINDS: Final = frozenset({"service", "connect", "ingress", "virtual", "node", "query", "addr"})
_KEPT: Final = 4096
"""Names that are kept apart: clients ask for the same ones again and again."""


class Name(NamedTuple):
    """A name below the domain."""

    kind: str
    """The last label that is one of the kinds; empty: there is none, and everything stands in ``parts``."""
    parts: tuple[str, ...]
    """The labels before it."""
    suffix: tuple[str, ...]
    """The labels behind it."""


@lru_cache(maxsize=_KEPT)
def name_of(text: str) -> Name:
    """The parts of a name, lower case, without the domain."""
    labels = tuple(text.split("."))
    for at in range(len(labels) - 1, -1, -1):
        if labels[at] in _KINDS:
            return Name(labels[at], labels[:at], labels[at + 1 :])
    return Name("", labels, ())


def is_rfc2782(parts: tuple[str, ...]) -> bool:
    """Whether labels are ``_service._protocol``, perhaps with more behind."""
    return len(parts) > 1 and parts[0][:1] == parts[1][:1] == "_"


def service_and_tag(parts: tuple[str, ...]) -> tuple[str, str]:
    """The service that the labels before ``service`` mean, and the tag; empty: none was asked for."""
    if len(parts) == 2 and is_rfc2782(parts):
        tag = parts[1][1:]
        return parts[0][1:], "" if tag == "tcp" else tag
    return parts[-1], ".".join(parts[:-1])


def label_of(name: str) -> str:
    """The label under which a name with characters that no label has is found (mapping.md section 1.3)."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())[:63]


def reversed_address(name: str) -> str:
    """The address that a name below ``in-addr.arpa`` or ``ip6.arpa`` means; empty when it means none."""
    labels = name.split(".")[:-3][::-1]
    try:
        if name.endswith(".in-addr.arpa."):
            return str(ipaddress.IPv4Address(".".join(labels)))
        if len(labels) != 32 or any(len(label) != 1 for label in labels):
            return ""
        return str(ipaddress.IPv6Address(bytes.fromhex("".join(labels))))
    except ValueError:
        return ""
