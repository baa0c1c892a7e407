"""Nacos' names and the core's: namespace ids, and services that have a group. Lossless both ways. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_GROUP, PUBLIC
from polaris_bridge.core.model import ServiceKey

_SEPARATOR: Final = "@@"
_JOINT: Final = "__"
"""What stands between group and service in a name of the core, as on polaris-server."""
_APART: Final = "nacos."
"""Begins the core's name of a namespace whose id means another one there. No Nacos id holds a dot."""

_LEGAL_GROUP: Final = re.compile(r"[0-9A-Za-z\-_:.]{1,128}\Z", re.ASCII)
_LEGAL_ID: Final = re.compile(r"[0-9A-Za-z_\-]+\Z", re.ASCII)
_ESCAPES: Final = re.compile(r"(?:-x[0-9A-F]{2}-)+", re.ASCII)
_KEPT: Final = 10_000
"""Translations that are remembered."""


# ---------------------------------------------------------------- escapes


def escape(text: str, illegal: Callable[[int, str], bool]) -> str:
    """``-xHH-`` for each UTF-8 byte of an illegal character; the ``-`` of every ``-x`` is escaped too.

    ``illegal`` is asked with the place of a character and the text.
    """
    found = []
    for at, character in enumerate(text):
        if illegal(at, text) or text.startswith("-x", at):
            found += [f"-x{byte:02X}-" for byte in character.encode("utf-8", "surrogatepass")]
        else:
            found.append(character)
    return "".join(found)


def unescape(text: str) -> str:
    """Every ``-xHH-`` as what it stands for, left to right. What is no UTF-8 stays as it is."""
    return _ESCAPES.sub(_decoded, text) if "-x" in text else text


def _decoded(match: re.Match[str]) -> str:
    try:
        return bytes(int(match[0][at : at + 2], 16) for at in range(2, len(match[0]), 5)).decode()
    except UnicodeDecodeError:
        return match[0]


# ---------------------------------------------------------------- services


def split(service_name: str, group: str = "") -> tuple[str, str]:
    """Group and service of a name that may be grouped (``group@@service``); else the group given, or the default one."""
    head, separator, tail = service_name.partition(_SEPARATOR)
    return (head, tail) if separator else (group or DEFAULT_GROUP, service_name)


def encode(group: str, name: str) -> str:
    """The core's name of a service: ``name`` in the default group, else ``group__name``; no two are the same.

    The default group is written out when the name alone would read as one with a group.
    """
    if group != DEFAULT_GROUP:
        return f"{_escaped_group(group)}{_JOINT}{name}"
    if _JOINT not in name or decode(name) == (DEFAULT_GROUP, name):
        return name
    return f"{DEFAULT_GROUP}{_JOINT}{name}"


def decode(native: str) -> tuple[str, str]:
    """Group and service of a name of the core: what ``encode`` makes it of. Split at the first ``__`` where that can be."""
    head, joint, name = native.partition(_JOINT)
    if joint and head and name:
        group = unescape(head)
        if _LEGAL_GROUP.match(group) and encode(group, name) == native:
            return group, name
    return DEFAULT_GROUP, native


def service_key(namespace: str, group: str, name: str) -> ServiceKey:
    """Where a service lives in the core."""
    return ServiceKey(namespace, encode(group, name))


@lru_cache(maxsize=1024)
def _escaped_group(group: str) -> str:
    if _JOINT not in group and not group.endswith("_") and unescape(group) == group:
        return group
    return escape(group, _joins)


def _joins(at: int, group: str) -> bool:
    """Whether an underscore could be taken for part of the joint."""
    return group[at] == "_" and (at == len(group) - 1 or (at > 0 and group[at - 1] == "_"))


# ---------------------------------------------------------------- namespaces


class Spaces:
    """Namespace ids of one server's clients, and what they mean in the core.

    ``public`` and "" are the default namespace, a table of the settings goes first, and every other id and every other
    namespace has exactly one counterpart. An id that reads as a namespace which another id means already (``default`` beside
    ``public``) stands apart there as ``nacos.<id>``.
    """

    def __init__(self, settings: NacosSettings) -> None:
        self._default = settings.namespaces.get(PUBLIC, settings.default_namespace)
        self._cores = {**settings.namespaces, PUBLIC: self._default, "": self._default}
        self._ids = {core: id for id, core in reversed(settings.namespaces.items())} | {self._default: PUBLIC}
        if settings.default_is_public:
            self._cores.setdefault("default", self._default)
        self._known = dict(self._cores)

    def core(self, id: str) -> str:
        """The namespace that an id means."""
        found = self._known.get(id)
        if found is None:
            found = self._core(id)
            if len(self._known) < _KEPT:
                self._known[id] = found
        return found

    def id(self, core: str) -> str:
        """The id of a namespace; ``public`` for the default one."""
        known = self._ids.get(core)
        if known is not None:
            return known
        if core.startswith(_APART):
            apart = core[len(_APART) :]
            if _LEGAL_ID.match(apart) and self.core(apart) == core:
                return apart
        if core in self._cores:  # another one has that id
            return escape(core, _first)
        if _LEGAL_ID.match(core) and unescape(core) == core:
            return core
        return escape(core, _no_id)

    def _core(self, id: str) -> str:
        meant = unescape(id)
        return meant if meant and self.id(meant) == id else _APART + id


def _first(at: int, _text: str) -> bool:
    return at == 0


def _no_id(at: int, text: str) -> bool:
    return not _LEGAL_ID.match(text[at])
