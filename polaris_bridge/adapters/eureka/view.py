"""One namespace as Eureka readers see it, kept in step with every publication of the core.

Applications are the services of a namespace, those equal ignoring case together, under their upper-case name. What is kept
per instance is a reference to its registration; documents are encoded when somebody reads (see ``listing``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Final, Protocol

from msgspec import structs

from polaris_bridge.core.events import AddressChange, Published
from polaris_bridge.core.model import DOWN, Address, AddressKey, RegistrationKey, ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.views import Shown, shown

from .listing import DELETED, MODIFIED, Body, Entry, Listing
from .reading import Readable, vip_keys
from .settings import DELTA_RETENTION_S, EurekaSettings
from .translate import (
    SOURCE,
    app_of,
    farewell,
    foreign_id,
    override_of,
    own_id,
    render_foreign,
    render_own,
    shown_status,
)
from .wire.messages import InstanceInfo

FORGET_ITEMS: Final = 1000
"""Old changes that leave the delta at a time: a few milliseconds. The rest stays a second longer."""
MAX_PARTIAL: Final = 64
"""Views of readers who may not see everything; the one that was read longest ago makes room."""
_LEFT: Final = float("-inf")
"""Deadline of an address that left already: it stays away until it is heard of again or gone."""

Where = tuple[ServiceKey, AddressKey]


class Follower(Protocol):
    """Who makes something of a view."""

    def note(self, app: str) -> None:
        """An application changed, or was published anew."""
        ...

    def sweep(self, oldest: float, most: int) -> None:
        """Once a second: changes from before a time (monotonic) are forgotten, at most so many."""
        ...


class NamespaceView(Readable):
    """The readable state of one namespace."""

    full_list: Listing
    recent: Listing

    def __init__(
        self,
        registry: Registry,
        namespace: str,
        settings: EurekaSettings,
        sees: Callable[[ServiceKey], bool] | None = None,
        reader: str = "",
    ) -> None:
        """``sees``: which services are in it, when not all; ``reader``: who may see just these."""
        self.namespace = namespace
        self.reader = reader
        self._sees = sees
        self._registry = registry
        self._settings = settings
        self.full_list = Listing()
        self.recent = Listing()
        self._lately: deque[tuple[float, str, Entry]] = deque()
        """When (monotonic) which entry came into the delta, oldest first; one that was replaced since is stale."""
        self._keep_s = max(DELTA_RETENTION_S, settings.delta_expire_s)
        self._counts: dict[str, int] = {}
        self._version = max(1, registry.revision)
        self._vips: dict[tuple[bool, str], dict[str, int]] = {}
        """(secure, VIP in lower case) -> application -> how many of its instances have it."""
        self._leaving: dict[Where, float] = {}
        """When (monotonic) addresses of other protocols that were lost leave."""
        self._shadowed: dict[tuple[str, str], Where] = {}
        """Ids of this protocol's own that other protocols' addresses would carry too."""
        self._documents: dict[Hashable, tuple[Hashable, Body]] = {}
        self._changes = 0
        self._delta_changes = 0
        self.followers: list[Follower] = []
        for snapshot in registry.services(namespace):
            if sees is not None and not sees(snapshot.key):
                continue
            for place, address in snapshot.addresses.items():
                self._apply(AddressChange(snapshot.key, place, None, address), self._version, recent=False)
        self._recall()

    @property
    def stamp(self) -> int:
        """See ``Readable``."""
        return self._changes

    @property
    def delta_stamp(self) -> int:
        """See ``Readable``."""
        return self._delta_changes + self._changes

    @property
    def version(self) -> int:
        """See ``Readable``."""
        return self._version

    @property
    def counts(self) -> Mapping[str, int]:
        """See ``Readable``."""
        return self._counts

    def info(self, entry: Entry) -> InstanceInfo:
        """See ``Readable``."""
        r = entry.registration
        if entry.own:
            renewed_ms = self._registry.last_renewed_ms(r)
            return render_own(r, entry.word, entry.override, entry.action, renewed_ms, entry.gone_ms)
        return render_foreign(r, entry.id, entry.word, entry.action, self._settings)

    def with_vip(self, vip: str, secure: bool) -> Iterable[str]:
        """See ``Readable``."""
        return self._vips.get((secure, vip), ())

    # ------------------------------------------------------------------ keeping in step

    def published(self, published: Published) -> None:
        """Take over the changes of one publication."""
        if self.followers:
            for key in published.services:
                if key.namespace == self.namespace:
                    self._note(key.name.upper())
        for change in published.changes:
            if change.service.namespace == self.namespace and (self._sees is None or self._sees(change.service)):
                self._apply(change, published.revision, recent=True)

    def sweep(self) -> None:
        """Once a second: instances of other protocols that are lost for too long leave, old changes are forgotten."""
        now = self._registry.clock.monotonic()
        for where in [where for where, due in self._leaving.items() if _LEFT < due <= now]:
            self._leaving[where] = _LEFT
            self._look_again(where, self._registry.revision, recent=True)
        oldest = now - self._keep_s
        for _ in range(min(FORGET_ITEMS, len(self._lately))):
            if self._lately[0][0] >= oldest:
                break
            _, app, entry = self._lately.popleft()
            if self.recent.get(app, entry.id) is entry:
                self.recent.drop(app, entry.id)
                self._delta_changes += 1
        for follower in self.followers:
            follower.sweep(oldest, FORGET_ITEMS)

    def _look_again(self, where: Where, revision: int, *, recent: bool) -> None:
        address = self._registry.snapshot(where[0]).addresses.get(where[1])
        self._apply(AddressChange(*where, address, address), revision, recent=recent)

    def _apply(self, change: AddressChange, revision: int, *, recent: bool) -> None:
        app = change.service.name.upper()
        where = (change.service, change.address)
        before = change.before.registrations if change.before is not None else ()
        for r in before:
            if r.source != SOURCE and self._shadowed.get((app, foreign_id(r, True))) == where:
                del self._shadowed[(app, foreign_id(r, True))]  # noted anew if it is so still
        after = {e.id: e for e in self._entries(app, *where, change.after)}
        again: list[Where] = []
        if change.after is None:
            self._leaving.pop(where, None)
        for r in before:
            for id in (own_id(r),) if r.source == SOURCE else (foreign_id(r, True), foreign_id(r, False)):
                if id not in after and self._leave(app, id, where, revision):
                    shadowed = self._shadowed.pop((app, id), None)
                    if shadowed is not None and shadowed != where:
                        again.append(shadowed)
        for entry in after.values():
            under = self.full_list.get(app, entry.id)
            if under is not None and not under.own and (under.service, under.place) != where:
                again.append((under.service, under.place))
            self._come(app, entry, under, revision, recent)
        for other in again:
            self._look_again(other, revision, recent=recent)

    def _entries(self, app: str, service: ServiceKey, place: AddressKey, address: Address | None) -> Iterator[Entry]:
        """What this namespace's readers see at an address."""
        if address is None:
            return
        first = True
        for s in shown(_without_own_overrides(address), SOURCE):
            r = s.registration
            if s.own:
                yield Entry(r.key, service, place, r, s.word, override_of(address, r.key), True)
                continue
            if not self._stays((service, place), s):
                continue
            id = foreign_id(r, first)
            holder = self.full_list.get(app, id)
            if holder is not None and holder.own and (holder.service, holder.place) != (service, place):
                self._shadowed[(app, id)] = (service, place)
                id = foreign_id(r, False)
            yield Entry(f"{app}/{id}", service, place, r, shown_status(s), override_of(address, ""), False)
            first = False

    def _stays(self, where: Where, s: Shown) -> bool:
        """Whether another protocol's instance is listed still: it is for a while after it was lost, and while it is ejected."""
        if s.registration.live:
            self._leaving.pop(where, None)
            return True
        now = self._registry.clock.monotonic()
        due = self._leaving.get(where)
        if due is None:  # seen lost for the first time: just now, or, after a start, some time ago
            age_s = max(0.0, (self._registry.clock.wall_ms() - s.registration.lost_ms) / 1000)
            due = self._leaving[where] = now + self._settings.unhealthy_expire_s - age_s
        return due > now

    def _come(self, app: str, entry: Entry, old: Entry | None, revision: int, recent: bool) -> None:
        if old is not None:
            if _looks_the_same(old, entry):
                return
            self._uncount(app, old)
            if recent:
                entry = structs.replace(entry, action=MODIFIED)
        self.full_list.put(app, entry)
        self._counts[entry.status] = self._counts.get(entry.status, 0) + 1
        for key in vip_keys(entry):
            apps = self._vips.setdefault(key, {})
            apps[app] = apps.get(app, 0) + 1
        self._changed(app, entry, revision, recent)

    def _leave(self, app: str, id: str, where: Where, revision: int) -> bool:
        old = self.full_list.get(app, id)
        if old is None or (old.service, old.place) != where:
            return False
        self.full_list.drop(app, id)
        self._uncount(app, old)
        gone = structs.replace(old, action=DELETED, gone_ms=self._registry.clock.wall_ms())
        self._changed(app, gone, revision, True)
        return True

    def _uncount(self, app: str, entry: Entry) -> None:
        self._counts[entry.status] -= 1
        for key in vip_keys(entry):
            apps = self._vips[key]
            apps[app] -= 1
            if not apps[app]:
                del apps[app]
                if not apps:
                    del self._vips[key]

    def _changed(self, app: str, entry: Entry, revision: int, recent: bool) -> None:
        self._changes += 1
        if self.followers:
            self._note(app)
        if recent:
            self._version = max(self._version + 1, revision)
            self._remember(app, entry, self._registry.clock.monotonic())

    def _remember(self, app: str, entry: Entry, at: float) -> None:
        self._lately.append((at, self.recent.put(app, entry), entry))
        self._delta_changes += 1

    def _note(self, app: str) -> None:
        for follower in self.followers:
            follower.note(app)

    def _recall(self) -> None:
        """The delta as it was before this view began (a restart, as a rule): clients may not have heard of it yet."""
        now, now_ms = self._registry.clock.monotonic(), self._registry.clock.wall_ms()
        oldest_ms = now_ms - self._keep_s * 1000
        known: list[tuple[int, str, Entry]] = []
        for ended in self._registry.ended_before:
            if ended.source == SOURCE and ended.namespace == self.namespace and ended.changed_ms >= oldest_ms:
                r = farewell(RegistrationKey(ended.source, ended.namespace, ended.key))
                if self._sees is not None and not self._sees(r.service_key):
                    continue
                gone = Entry(r.key, r.service_key, r.address, r, DOWN, None, True, DELETED, ended.changed_ms)
                if self.full_list.get(app_of(ended.key), gone.id) is None:
                    known.append((ended.changed_ms, app_of(ended.key), gone))
        for application in self.applications.values():
            for entry in application.entries:
                switches = self._registry.snapshot(entry.service).addresses[entry.place].switches
                switched_ms = max((switch.changed_ms for switch in switches), default=0)
                changed_ms = max(entry.registration.updated_ms, entry.registration.lost_ms, switched_ms)
                if changed_ms >= oldest_ms:
                    known.append((changed_ms, application.name, structs.replace(entry, action=MODIFIED)))
        known.sort(key=lambda k: k[0])
        for changed_ms, app, entry in known:
            self._remember(app, entry, now - max(0, now_ms - changed_ms) / 1000)


class Views:
    """The views of one listener, by namespace. A namespace is followed from its first reader or writer on."""

    def __init__(self, registry: Registry, settings: EurekaSettings) -> None:
        self._registry = registry
        self._settings = settings
        self._views: dict[str, NamespaceView] = {}
        self._partial: dict[tuple[str, str], tuple[int, NamespaceView]] = {}
        """By namespace and reader: the views of those who may not see everything, and when their rights were looked at."""
        registry.observe(self._published)
        self.keep(settings.namespace)

    def keep(self, namespace: str) -> NamespaceView:
        """The view of a namespace, followed from now on: before something is written there, so that the delta has it."""
        view = self._views.get(namespace)
        if view is None:
            view = self._views[namespace] = NamespaceView(self._registry, namespace, self._settings)
        return view

    def of(self, namespace: str) -> NamespaceView:
        """The view of a namespace; of one that holds nothing a passing empty one, so that readers cannot fill memory."""
        view = self._views.get(namespace)
        if view is not None:
            return view
        if self._registry.services(namespace):
            return self.keep(namespace)
        return NamespaceView(self._registry, namespace, self._settings)

    def partial(self, namespace: str, reader: str, rights: int, sees: Callable[[ServiceKey], bool]) -> NamespaceView:
        """The view of a reader who may see some services only. ``rights``: a number that moves when these may be others."""
        kept = self._partial.pop((namespace, reader), None)
        if kept is None or kept[0] != rights:
            kept = rights, NamespaceView(self._registry, namespace, self._settings, sees, reader)
        if len(self._partial) >= MAX_PARTIAL:
            del self._partial[next(iter(self._partial))]
        self._partial[namespace, reader] = kept
        return kept[1]

    def _followed(self) -> Iterator[NamespaceView]:
        yield from self._views.values()
        for _, view in self._partial.values():
            yield view

    def __iter__(self) -> Iterator[NamespaceView]:
        return iter(self._views.values())

    def sweep(self) -> None:
        """Once a second."""
        for view in self._followed():
            view.sweep()

    def _published(self, published: Published) -> None:
        for view in self._followed():
            view.published(published)


def _without_own_overrides(address: Address) -> Address:
    """An override is in what its registration reports already, and sometimes later: when a peer only told of it."""
    keys = {r.key for r in address.registrations if r.source == SOURCE}
    if not any(s.source == SOURCE and s.key in keys for s in address.switches):
        return address
    others = tuple(s for s in address.switches if s.source != SOURCE or s.key not in keys)
    return structs.replace(address, switches=others)


def _looks_the_same(a: Entry, b: Entry) -> bool:
    """Whether nothing that readers see differs, so that a change of liveness alone tells nobody anything."""
    x, y = a.registration, b.registration
    return a.word == b.word and a.override == b.override and x.seq == y.seq and x.marks == y.marks
