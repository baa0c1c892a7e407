"""Service contracts: their ids, what a report or a console changes in one, and how it is shown. Pure.

What is kept of a contract is the native message itself: every interface with its id, source, revision and times. Where both
have one for the same path and method, the interface that a person wrote is shown instead of the one that a client reported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final

from ..wire import v1

MANUAL: Final[int] = v1.InterfaceDescriptor.Manual
CLIENT: Final[int] = v1.InterfaceDescriptor.Client

_STAMPED: Final = ("revision", "ctime", "mtime")


class BadInterface(Exception):
    """An interface that names no path."""


def contract_id(m: v1.ServiceContract) -> str:
    """The id of a contract: the given one, else what polaris-server makes of its five names (40 hexadecimal digits)."""
    return m.id or _digest(f"{m.namespace}##{m.service}##{title(m)}##{m.protocol}##{m.version}")


def interface_id(contract: str, m: v1.InterfaceDescriptor, source: int) -> str:
    """The id of an interface of a contract: the given one, else from its names. Raises ``BadInterface``."""
    if m.id:
        return m.id
    if not m.path:
        raise BadInterface
    return _digest(f"{contract}##{m.method}##{m.path}##{m.name}##{source}")


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def title(m: v1.ServiceContract) -> str:
    """The name of a contract; newer clients call it its type."""
    return m.name or m.type


def label(m: v1.ServiceContract) -> str:
    """What tells the contracts of one service apart."""
    return "##".join((m.type or m.name, m.protocol, m.version))


def asked_label(m: v1.ServiceContract) -> str:
    """The label of the contract that a reader asks for."""
    return "##".join((title(m), m.protocol, m.version))


def made(
    contract: str, given: Iterable[v1.InterfaceDescriptor], source: int, unique: Callable[[], str], now: str
) -> list[v1.InterfaceDescriptor]:
    """Interfaces as they are kept; of two with one id the later. Raises ``BadInterface``."""
    found: dict[str, v1.InterfaceDescriptor] = {}
    for item in given:
        m = v1.InterfaceDescriptor()
        m.CopyFrom(item)
        m.id = interface_id(contract, item, source)
        m.source = source
        m.revision, m.ctime, m.mtime = unique(), now, now
        found[m.id] = m
    return list(found.values())


def replaced(
    before: Iterable[v1.InterfaceDescriptor], new: Iterable[v1.InterfaceDescriptor], source: int
) -> list[v1.InterfaceDescriptor]:
    """All interfaces of one source exchanged for new ones. One that says the same as before stays as it is."""
    before = list(before)
    ids = {m.id for m in new}
    return [m for m in before if m.source != source and m.id not in ids] + _renewed(before, new)


def appended(
    before: Iterable[v1.InterfaceDescriptor], new: Iterable[v1.InterfaceDescriptor]
) -> list[v1.InterfaceDescriptor]:
    """New interfaces beside those that are there, instead of those with the same ids."""
    before = list(before)
    ids = {m.id for m in new}
    return [m for m in before if m.id not in ids] + _renewed(before, new)


def _renewed(
    before: Iterable[v1.InterfaceDescriptor], new: Iterable[v1.InterfaceDescriptor]
) -> list[v1.InterfaceDescriptor]:
    known = {m.id: m for m in before}
    result = []
    for m in new:
        old = known.get(m.id)
        if old is not None:
            if _said(old) == _said(m):
                m = old
            else:
                m.ctime = old.ctime
        result.append(m)
    return result


def _said(m: v1.InterfaceDescriptor) -> v1.InterfaceDescriptor:
    """An interface without what the server adds."""
    bare = v1.InterfaceDescriptor()
    bare.CopyFrom(m)
    for field in _STAMPED:
        bare.ClearField(field)
    return bare


def adopt(kept: v1.ServiceContract, given: v1.ServiceContract) -> None:
    """Take over what a request says of a contract besides its names and interfaces. Of the original's clients none says
    more than the content; what a request leaves out of the rest stays."""
    kept.content = given.content
    if given.metadata:
        kept.ClearField("metadata")
        kept.metadata.update(given.metadata)
    if given.content_digest:
        kept.content_digest = given.content_digest
    if given.service_features:
        kept.ClearField("service_features")
        kept.service_features.extend(given.service_features)


def shown(kept: v1.ServiceContract, created: str, updated: str, *, full: bool = True) -> v1.ServiceContract:
    """A contract for readers; not ``full``: without its content and interfaces."""
    m = v1.ServiceContract()
    m.CopyFrom(kept)
    m.ctime, m.mtime = created, updated
    m.name = m.type = kept.type or kept.name
    m.ClearField("interfaces")
    if not full:
        m.ClearField("content")
        return m
    written = {(i.path, i.method) for i in kept.interfaces if i.source == MANUAL}
    for item in kept.interfaces:
        if item.source == MANUAL or (item.path, item.method) not in written:
            one = m.interfaces.add()
            one.CopyFrom(item)
            one.name = one.type = item.type or item.name
    return m
