"""The instances of services as Nacos lists them, kept encoded and in step with the core at the price of what changed.

A view is made when somebody reads its service, follows every publication by noting which addresses it touched, and encodes
those anew with the next read. One that nobody reads for a while is dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct, structs

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import Address, AddressKey, ServiceKey, ServiceRecord
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.classes import RoutingClass
from polaris_bridge.core.routing.subset import Subset

from .translate.instances import hosts
from .translate.keys import SOURCE, grouped
from .wire import service_info
from .wire.messages import Host
from .wire.service_info import Form, Undated

KEEP_S: Final = 300.0
"""How long what nobody reads is kept. Clients poll every ten seconds."""
VARIANTS: Final = 16
"""Lists of one service that are kept whole. Clients ask for a handful, but may spell ``clusters`` as they like."""
KINDS: Final = 256
"""Lists of one service that are kept for kinds of callers, where rules say what each is given."""
PIECE: Final = 64
"""Addresses that are encoded before a slice may end (10 microseconds each on a slow machine)."""


class Item(Struct, frozen=True, gc=False):
    """One instance that is listed, encoded. Out of the collector's sight, for there are as many as instances."""

    content: bytes
    cluster: str
    healthy: bool


def clusters_of(text: str) -> frozenset[str]:
    """The clusters that a comma list names; none: all are meant."""
    return frozenset(part for part in text.split(",") if part) if text else _ALL


_ALL: Final[frozenset[str]] = frozenset()


def too_few(healthy: int, all: int, threshold: float) -> bool:
    """Whether so few are healthy that all have to be called so.

    Nacos 2.5.1 does it at a threshold of 0 too, when none is healthy; that would call every dead service alive.
    """
    return threshold > 0 and all > 0 and healthy / all <= threshold


def kind_of(record: ServiceRecord | None) -> bool | None:
    """Whether a service is ephemeral; None when nothing says so."""
    own = record.ext.get(SOURCE) if record is not None else None
    kind = own.get("ephemeral") if isinstance(own, dict) else None
    return kind if isinstance(kind, bool) else None


class ServiceView:
    """The instances of one service, under the group and name that its readers know it by."""

    def __init__(
        self, registry: Registry, key: ServiceKey, group: str, name: str, moment: Callable[[int], int]
    ) -> None:
        self.key = key
        self.read_at = registry.clock.monotonic()
        self._registry = registry
        self._moment = moment
        snapshot = registry.snapshot(key)
        self._record = snapshot.record
        self._group, self._name = group, name
        self._service = grouped(group, name)
        self._items: dict[AddressKey, tuple[Item, ...]] = {}
        self._outdated: dict[AddressKey, None] = dict.fromkeys(snapshot.addresses)
        self._lists: dict[tuple[str, bool, Form], bytes] = {}
        self._routed: OrderedDict[tuple[RoutingClass | None, str, bool, Form], tuple[int, Undated]] = OrderedDict()
        """Lists for kinds of callers, each with its revision; None: the whole list, whoever is given it."""
        self._last_ref_ms = 0
        """When a list was first made after the last change; 0: not yet."""
        self._before_ms = 0
        """The latest time that a list said before that."""
        self._news = False
        """Whether the next routed list may say something else than its reader was told last."""

    def __iter__(self) -> Iterator[Item]:
        for items in self._items.values():
            yield from items

    @property
    def outdated(self) -> int:
        """How many addresses have to be encoded before it may be read."""
        return len(self._outdated)

    def touched(self, place: AddressKey) -> None:
        """An address changed."""
        self._outdated[place] = None

    def attributes_may_have_changed(self) -> None:
        """The service's own record may be another one: its threshold, or its kind, which all instances show."""
        self._news = True
        snapshot = self._registry.snapshot(self.key)
        if snapshot.record is self._record:
            return
        if kind_of(snapshot.record) is not kind_of(self._record):
            self._outdated.update(dict.fromkeys(snapshot.addresses))
        self._record = snapshot.record
        self._changed()

    def refresh(self) -> None:
        """Take over what changed."""
        while self._outdated:
            self._encode(PIECE)

    def refresh_in_slices(self) -> Work:
        """The same for whoever has much to do: yields wherever others may run."""
        while self._outdated:
            self._encode(PIECE)
            yield
        return True

    def hosts(self, clusters: str, healthy_only: bool) -> list[Host]:
        """The instances of a list, one by one: for those who need them as values, at the price of making each."""
        wanted = clusters_of(clusters)
        found = [
            h
            for address in self._registry.snapshot(self.key).addresses.values()
            for h in self.at(address)
            if h.enabled and (not wanted or h.cluster in wanted)
        ]
        if too_few(sum(h.healthy for h in found), len(found), self._threshold):
            return [h if h.healthy else structs.replace(h, healthy=True) for h in found]
        return [h for h in found if h.healthy] if healthy_only else found

    def at(self, address: Address) -> Iterator[Host]:
        """What its readers see at an address, the disabled included."""
        return hosts(address, self._service, kind_of(self._record))

    def info(self, clusters: str, healthy_only: bool, form: Form) -> bytes:
        """A whole list in one form: the same object until it changes."""
        if self._outdated:
            self.refresh()
        variant = (clusters, healthy_only, form)
        known = self._lists.get(variant)
        if known is None:
            if len(self._lists) >= VARIANTS:
                del self._lists[next(iter(self._lists))]
            known = self._lists[variant] = self._list(clusters, healthy_only, form)
        return known

    def routed(self, kind: RoutingClass, subset: Subset, clusters: str, healthy_only: bool, form: Form) -> bytes:
        """The list that one kind of callers is given. Clusters, the threshold and health count within what rules leave.

        It says that it was made now: its reader may have been of another kind a moment ago, and must not take it for older than
        what it was told as that.
        """
        if self._outdated:
            self.refresh()
        whole = subset.whole
        variant = (None if whole else kind, clusters, healthy_only, form)
        revision = 0 if whole else subset.revision
        known = self._routed.get(variant)
        if known is None or known[0] != revision:
            items = list(self) if whole else list(self._left(subset))
            known = self._routed[variant] = revision, self._undated(items, clusters, healthy_only, form)
            self._news = True
            if len(self._routed) > KINDS:
                self._routed.popitem(last=False)
        return known[1].at(self._now_ms())

    def renew(self) -> None:
        """What is given from now on counts as later than everything before."""
        self._news = True

    def _now_ms(self) -> int:
        """When a routed list is given. Read as often as anybody likes, it does not run ahead of the clock."""
        last = max(self._last_ref_ms, self._before_ms)
        self._before_ms = self._moment(last if self._news else last - 1)
        self._news = False
        return self._before_ms

    def _left(self, subset: Subset) -> Iterator[Item]:
        """What is left of the list for a kind of callers. Weights that are a rule's are said as whole numbers."""
        given = subset.addresses
        unit = service_info.whole(given.values()) if subset.weighted else 0
        for place, items in self._items.items():
            weight = given.get(place)
            if weight is None:
                continue
            for item in items:
                if unit:
                    content = service_info.weighing(item.content, weight // unit)
                    yield Item(content, item.cluster, item.healthy)
                else:
                    yield item

    @property
    def _threshold(self) -> float:
        return self._record.protect_threshold if self._record is not None else 0.0

    def _list(self, clusters: str, healthy_only: bool, form: Form) -> bytes:
        if not self._last_ref_ms:
            self._last_ref_ms = self._moment(self._before_ms)
        return self._undated(list(self), clusters, healthy_only, form).at(self._last_ref_ms)

    def _undated(self, items: list[Item], clusters: str, healthy_only: bool, form: Form) -> Undated:
        wanted = clusters_of(clusters)
        if wanted:
            items = [item for item in items if item.cluster in wanted]
        threshold = self._threshold
        protected = threshold > 0 and too_few(sum(item.healthy for item in items), len(items), threshold)
        if protected:
            listed = [i.content if i.healthy else service_info.called_healthy(i.content) for i in items]
        else:
            listed = [item.content for item in items if item.healthy or not healthy_only]
        return service_info.undated(
            form,
            group=self._group,
            name=self._name,
            clusters=clusters,
            hosts=b",".join(listed),
            protected=protected,
        )

    def _encode(self, most: int) -> None:
        addresses = self._registry.snapshot(self.key).addresses
        for place in list(self._outdated)[:most]:
            del self._outdated[place]
            address = addresses.get(place)
            before = self._items.get(place, ())
            after: tuple[Item, ...] = ()
            if address is not None:
                after = tuple(Item(service_info.host(h), h.cluster, h.healthy) for h in self.at(address) if h.enabled)
            if after == before:
                continue
            if after:
                self._items[place] = after
            else:
                del self._items[place]
            self._changed()

    def _changed(self) -> None:
        self._lists.clear()
        self._routed.clear()
        self._before_ms, self._last_ref_ms = max(self._before_ms, self._last_ref_ms), 0


class Views:
    """The views of all services that somebody reads."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._views: dict[tuple[ServiceKey, str, str], ServiceView] = {}
        self._of: dict[ServiceKey, tuple[ServiceView, ...]] = {}
        """The same by service. Nearly always one: only where groups are not told apart in names a service may have two."""
        self._latest_ms = 0
        registry.observe(self._published)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._views)

    def of(self, key: ServiceKey, group: str, name: str) -> ServiceView:
        """The view of a service, followed from now on."""
        view = self._views.get((key, group, name))
        if view is None:
            view = self._views[key, group, name] = ServiceView(self._registry, key, group, name, self._moment)
            self._of[key] = (*self._of.get(key, ()), view)
        else:
            view.read_at = self._registry.clock.monotonic()
        return view

    def sweep(self, now: float) -> None:
        """Drop what nobody read for ``KEEP_S``."""
        for full in [full for full, view in self._views.items() if view.read_at < now - KEEP_S]:
            dropped, key = self._views.pop(full), full[0]
            left = tuple(view for view in self._of[key] if view is not dropped)
            if left:
                self._of[key] = left
            else:
                del self._of[key]

    def _moment(self, after_ms: int) -> int:
        """When a list was made, in wall-clock milliseconds: later than the last time, whatever the clock says.

        Clients drop what is older than what they have, also when a view was dropped and made again meanwhile.
        """
        now = max(self._registry.clock.wall_ms(), after_ms + 1, self._latest_ms)
        self._latest_ms = now
        return now

    def _published(self, published: Published) -> None:
        for change in published.changes:
            for view in self._of.get(change.service, ()):
                view.touched(change.address)
        for key in published.services:
            for view in self._of.get(key, ()):
                view.attributes_may_have_changed()
