"""``envoy.config.core.v3.Node`` on bytes: what of it may matter. Its list of extensions, nearly all of it, is stepped over."""

from __future__ import annotations

from msgspec import Struct

from .fields import FIXED64, LENGTH, VARINT, fields, number_of, utf8


class NodeFields(Struct, gc=False):
    """What a node says of itself."""

    id: str = ""
    cluster: str = ""
    metadata: dict[str, str] = {}
    """The texts among its values; what is nested is left out."""
    region: str = ""
    zone: str = ""
    sub_zone: str = ""
    agent: str = ""
    agent_version: str = ""
    features: frozenset[str] = frozenset()


def read_node(data: bytes) -> NodeFields:
    """Decode. ``Malformed`` for what is no node."""
    node = NodeFields(metadata={})
    features: list[str] = []
    for number, kind, value in fields(data):
        if kind != LENGTH or number == 9:
            continue
        if number == 1:
            node.id = utf8(value)
        elif number == 2:
            node.cluster = utf8(value)
        elif number == 3:
            node.metadata |= _texts(value)
        elif number == 4:
            _locality(node, value)
        elif number == 6:
            node.agent = utf8(value)
        elif number == 7:
            node.agent_version = utf8(value)
        elif number == 8:
            node.agent_version = _version(value)
        elif number == 10:
            features.append(utf8(value))
    node.features = frozenset(features)
    return node


def _locality(node: NodeFields, data: bytes) -> None:
    for number, kind, value in fields(data):
        if kind == LENGTH and number == 1:
            node.region = utf8(value)
        elif kind == LENGTH and number == 2:
            node.zone = utf8(value)
        elif kind == LENGTH and number == 3:
            node.sub_zone = utf8(value)


def _texts(data: bytes) -> dict[str, str]:
    """The texts, numbers excepted and switches as ``true`` and ``false``, of a ``google.protobuf.Struct``."""
    found = {}
    for number, kind, entry in fields(data):
        if number != 1 or kind != LENGTH:
            continue
        key, shown = "", None
        for part, wire, value in fields(entry):
            if part == 1 and wire == LENGTH:
                key = utf8(value)
            elif part == 2 and wire == LENGTH:
                shown = _text(value)
        if shown is not None:
            found[key] = shown
    return found


def _text(data: bytes) -> str | None:
    shown = None
    for number, kind, value in fields(data):
        if number == 3 and kind == LENGTH:
            shown = utf8(value)
        elif number == 4 and kind == VARINT:
            shown = "true" if number_of(value) else "false"
        elif number in (1, 2, 5, 6) and kind in (VARINT, FIXED64, LENGTH):
            shown = None
    return shown


def _version(data: bytes) -> str:
    """``BuildVersion.version`` as people write it."""
    parts = [0, 0, 0]
    for number, kind, value in fields(data):
        if number == 1 and kind == LENGTH:
            for place, wire, part in fields(value):
                if 1 <= place <= 3 and wire == VARINT:
                    parts[place - 1] = number_of(part)
    return ".".join(map(str, parts))
