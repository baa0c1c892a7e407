"""The instances of services as Discover writes them, kept encoded and in step with the core at the price of what changed.

A view is made when somebody reads its service, follows every publication by noting which addresses it touched, and encodes
those anew with the next read. One that nobody reads for a while is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.polaris.translate.shown import Pairs, instances
from polaris_bridge.adapters.polaris.wire import json, v1
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import AddressKey, ServiceKey
from polaris_bridge.core.registry import Registry

NOTHING: Final = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
"""The revision of nothing: SHA-1 of no bytes, as the real server has it."""
KEEP_S: Final = 300.0
"""How long what nobody reads is kept. SDKs ask every two seconds."""
LONG: Final = 256
"""More addresses than this to encode for one answer are encoded in slices (20 microseconds each on a slow machine)."""
PIECE: Final = 32
"""Addresses that are encoded before a slice may end."""

_INSTANCES: Final[int] = v1.DiscoverResponse.DESCRIPTOR.fields_by_name["instances"].number
_MASK: Final = (1 << 128) - 1


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    if number < 0x80:
        return bytes((number,))
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def field(number: int, content: bytes) -> bytes:
    """A message (or text) as a field of the one that it stands in."""
    return b"".join((varint(number << 3 | 2), varint(len(content)), content))


class Item(Struct, gc=False):
    """One instance, encoded. Out of the collector's sight, for there are as many as instances."""

    content: bytes
    """Its field of a ``DiscoverResponse``."""
    digest: int
    """Of what its revision covers."""
    healthy: bool
    port: int
    json: bytes | None = None
    """It as an item of a JSON answer; None until somebody asks (``ServiceView.json_items``)."""

    @property
    def message(self) -> v1.Instance:
        """It as a message."""
        [instance] = v1.DiscoverResponse.FromString(self.content).instances
        return instance


class ServiceView:
    """The instances of one service."""

    def __init__(self, registry: Registry, key: ServiceKey, pairs: Pairs) -> None:
        self.key = key
        self.read_at = registry.clock.monotonic()
        self.dropped = False
        """Whether it is followed no more."""
        self.changes = 0
        """How often its content changed."""
        self._registry = registry
        self._pairs = pairs
        self._items: dict[AddressKey, tuple[Item, ...]] = {}
        self._outdated: dict[AddressKey, None] = dict.fromkeys(registry.snapshot(key).addresses)
        self._count = 0
        self._sum = 0
        """Of the digests: whatever the order, equal instances have an equal sum."""
        self._ports: Counter[int] = Counter()
        self._ports_text: str | None = ""
        self._all_json = 0
        """``changes`` when all instances were known to have their JSON."""

    def __len__(self) -> int:
        """How many instances there are."""
        return self._count

    @property
    def outdated(self) -> int:
        """How many addresses have to be encoded before it may be read."""
        return len(self._outdated)

    def touched(self, place: AddressKey) -> None:
        """An address changed."""
        self._outdated[place] = None

    def refresh(self) -> None:
        """Take over what changed. Everything below is as of the last call."""
        while self._outdated:
            self._encode(PIECE)

    def refresh_in_slices(self, *, as_json: bool) -> Work:
        """The same for whoever has much to do: yields wherever others may run. ``as_json``: the JSON of each, too."""
        while self._outdated:
            self._encode(PIECE)
            yield
        if as_json:
            for item in list(self):
                if item.json is None:
                    item.json = json.fragment(item.message)
                    yield
        return True

    def without_json(self) -> int:
        """How many instances have no JSON yet."""
        return 0 if self._all_json == self.changes else sum(item.json is None for item in self)

    def json_items(self, *, healthy_only: bool) -> list[bytes]:
        """The instances as items of a JSON answer."""
        found = []
        for item in self:
            if item.json is None:
                item.json = json.fragment(item.message)
            if item.healthy or not healthy_only:
                found.append(item.json)
        self._all_json = self.changes
        return found

    def contents(self) -> list[bytes]:
        """Each instance as a field of a ``DiscoverResponse``, to be joined by whoever keeps the whole."""
        return [item.content for items in self._items.values() for item in items]

    @property
    def digest(self) -> bytes:
        """Equal for equal instances, in whatever order they came; empty when there are none."""
        return b"%d:%032x" % (self._count, self._sum) if self._count else b""

    @property
    def ports(self) -> str:
        """The ports in use, ascending, separated by commas."""
        if self._ports_text is None:
            self._ports_text = ",".join(map(str, sorted(self._ports)))
        return self._ports_text

    def __iter__(self) -> Iterator[Item]:
        for items in self._items.values():
            yield from items

    def _encode(self, most: int) -> None:
        addresses = self._registry.snapshot(self.key).addresses
        for place in list(self._outdated)[:most]:
            del self._outdated[place]
            address = addresses.get(place)
            before = self._items.get(place, ())
            after: tuple[Item, ...] = ()
            if address is not None:
                after = tuple(
                    Item(
                        field(_INSTANCES, m.SerializeToString(deterministic=True)),
                        int(m.revision.value, 16),
                        m.healthy.value,
                        m.port.value,
                    )
                    for _, m in instances(address, self._pairs, discovered=True)
                )
            if after:
                self._items[place] = after
            elif before:
                del self._items[place]
            self.changes += 1
            self._ports_text = None
            for item in before:
                self._count -= 1
                self._sum -= item.digest
                self._ports[item.port] -= 1
                if not self._ports[item.port]:
                    del self._ports[item.port]
            for item in after:
                self._count += 1
                self._sum += item.digest
                self._ports[item.port] += 1
            self._sum &= _MASK


class Views:
    """The views of all services that somebody reads."""

    def __init__(self, registry: Registry, pairs: Pairs) -> None:
        self._registry = registry
        self._pairs = pairs
        self._views: dict[ServiceKey, ServiceView] = {}
        registry.observe(self._published)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._views)

    def of(self, key: ServiceKey) -> ServiceView:
        """The view of a service, followed from now on."""
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = ServiceView(self._registry, key, self._pairs)
        return view

    def sweep(self, now: float) -> None:
        """Drop what nobody read for ``KEEP_S``."""
        for key in [key for key, view in self._views.items() if view.read_at < now - KEEP_S]:
            self._views.pop(key).dropped = True

    def _published(self, published: Published) -> None:
        for change in published.changes:
            view = self._views.get(change.service)
            if view is not None:
                view.touched(change.address)
