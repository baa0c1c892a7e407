"""The services of namespaces as Discover lists them, kept encoded and in step like the instances (see ``view``)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final

from polaris_bridge.adapters._shared.catalog import Catalog
from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.polaris.view import PIECE, field
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import ServiceKey, ServiceRecord

_SERVICES: Final[int] = v1.DiscoverResponse.DESCRIPTOR.fields_by_name["services"].number
_MASK: Final = (1 << 160) - 1


class NamespaceList:
    """The services of one namespace."""

    def __init__(self, catalog: Catalog, namespace: str) -> None:
        self._catalog = catalog
        self._namespace = namespace
        self._items: dict[str, tuple[bytes, int]] = {}
        """By name: the field of a ``DiscoverResponse`` and its digest."""
        self._outdated: dict[str, None] = dict.fromkeys(record.name for record in catalog.names(namespace))
        self.sum = 0
        """Of the digests: equal lists have an equal sum."""

    def __len__(self) -> int:
        """How many services there are."""
        return len(self._items)

    @property
    def outdated(self) -> int:
        """How many services have to be encoded before it may be read."""
        return len(self._outdated)

    def touched(self, name: str) -> None:
        """A service changed."""
        self._outdated[name] = None

    def refresh(self) -> None:
        """Take over what changed. Everything else is as of the last call."""
        while self._outdated:
            self.encode(PIECE)

    def encode(self, most: int) -> None:
        """Take over some of what changed."""
        for name in list(self._outdated)[:most]:
            del self._outdated[name]
            record = self._catalog.record(ServiceKey(self._namespace, name))
            _, digest = self._items.pop(name, (b"", 0))
            self.sum -= digest
            if record is not None:
                content = field(_SERVICES, _listed(record))
                digest = int.from_bytes(hashlib.blake2b(content, digest_size=20).digest(), "big")
                self._items[name] = (content, digest)
                self.sum += digest
            self.sum &= _MASK

    @property
    def content(self) -> bytes:
        """All services, as fields of a ``DiscoverResponse``."""
        return b"".join([content for content, _ in self._items.values()])

    def part(self, sees: Callable[[ServiceKey], bool]) -> tuple[int, list[bytes]]:
        """The sum and the contents of the services that a reader may see."""
        seen = [item for name, item in self._items.items() if sees(ServiceKey(self._namespace, name))]
        return sum(digest for _, digest in seen), [content for content, _ in seen]


def _listed(record: ServiceRecord) -> bytes:
    m = v1.Service()
    m.name.value = record.name
    m.namespace.value = record.namespace
    m.metadata.update(record.metadata)
    return m.SerializeToString(deterministic=True)


class ServiceLists:
    """The lists of all namespaces that somebody asked for. There are no more of them than namespaces with services."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lists: dict[str, NamespaceList] = {}
        catalog.followers.append(self._touched)

    def of(self, namespace: str) -> list[NamespaceList]:
        """The lists that a reader of a namespace ("" = of all) gets, one after another."""
        if not namespace:
            return [self._list(name) for name in sorted(self._catalog.namespaces())]
        return [self._list(namespace)] if self._catalog.has(namespace) else []

    def _list(self, namespace: str) -> NamespaceList:
        found = self._lists.get(namespace)
        if found is None:
            found = self._lists[namespace] = NamespaceList(self._catalog, namespace)
        return found

    def _touched(self, key: ServiceKey) -> None:
        found = self._lists.get(key.namespace)
        if found is not None:
            found.touched(key.name)
            if not self._catalog.has(key.namespace):
                del self._lists[key.namespace]


def refresh_in_slices(lists: Iterable[NamespaceList]) -> Work:
    """``refresh`` of all for whoever has much to do: yields wherever others may run."""
    for each in lists:
        while each.outdated:
            each.encode(PIECE)
            yield
    return True


def revision(lists: Iterable[NamespaceList]) -> str:
    """Of what several lists hold together; empty when that is nothing."""
    total, count = 0, 0
    for each in lists:
        total += each.sum
        count += len(each)
    return _revision(total, count)


def parts(lists: Iterable[NamespaceList], sees: Callable[[ServiceKey], bool]) -> tuple[str, bytes]:
    """The revision and the content of what a reader may see of several lists."""
    total, contents = 0, list[bytes]()
    for each in lists:
        more, found = each.part(sees)
        total += more
        contents += found
    return _revision(total, len(contents)), b"".join(contents)


def _revision(total: int, count: int) -> str:
    return f"{(total + count) & _MASK:040x}" if count else ""
