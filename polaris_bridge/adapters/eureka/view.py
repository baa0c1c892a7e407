"""One namespace as Eureka readers see it, kept in step with every publication of the core.

Applications are the services of a namespace, those equal ignoring case together, under their upper-case name. What is kept
per instance is a reference to its registration; documents are encoded when somebody reads, and a change costs the
encoding of the instance that changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Final, TypeVar

from msgspec import Struct, structs

from polaris_bridge.adapters._shared import gzip_parts
from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.core.events import AddressChange, Published
from polaris_bridge.core.model import DOWN, Address, AddressKey, Registration, RegistrationKey, ServiceKey
from polaris_bridge.core.pieces import Pieces
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.views import Shown, shown

from .settings import DELTA_RETENTION_S, EurekaSettings
from .translate import (
    SOURCE,
    STATUSES,
    app_of,
    farewell,
    foreign_id,
    override_of,
    own_id,
    render_foreign,
    render_own,
    shown_status,
)
from .wire.messages import InstanceInfo, hash_code
from .wire.variants import Variant

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"

_LEFT: Final = float("-inf")
"""Deadline of an address that left already: it stays away until it is heard of again or gone."""
LONG_ITEMS: Final = 400
"""More instances than this to encode for one answer are encoded in slices (10 microseconds each, compression included 20)."""
LONG_BYTES: Final = 128 * 1024
"""Compressed at a time within a slice."""
JOIN_BYTES: Final = 4 * 1024 * 1024
"""Documents up to this size are kept in one piece, larger ones as references to the parts they are made of."""
FULL_FETCH_VERSION: Final = 1
"""``versions__delta`` of full lists, as on a real server."""
SUBSET_VERSION: Final = -1
"""``versions__delta`` of VIP answers, as on a real server."""

Body = bytes | tuple[bytes, ...]
T = TypeVar("T")


class Entry(Struct, frozen=True, gc=False):
    """One instance in a list."""

    id: str
    service: ServiceKey
    place: AddressKey
    registration: Registration
    word: str
    override: str | None
    own: bool
    action: str = ADDED
    gone_ms: int = 0
    """When it left; 0 while it is there."""

    @property
    def status(self) -> str:
        """Its status as readers see it."""
        return STATUSES[self.word]


class Application:
    """One application: its instances with their encodings, and the frames around them."""

    __slots__ = ("_frames", "entries", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: Pieces[Entry] = Pieces()
        self._frames: dict[Hashable, tuple[gzip_parts.Segment, gzip_parts.Segment]] = {}

    def frames(self, variant: Variant, first: bool) -> tuple[gzip_parts.Segment, gzip_parts.Segment]:
        """What stands before and after its instances in a list, compressed."""
        key = (variant.format, variant.detail, first)
        found = self._frames.get(key)
        if found is None:
            before = (b"" if first else variant.application_separator) + variant.application_open(self.name)
            found = self._frames[key] = (gzip_parts.compress(before), gzip_parts.compress(variant.application_close))
        return found


class Delta:
    """One recent change, with its encodings. Later changes of the same instance take its place."""

    __slots__ = ("at", "encoded", "entry")

    def __init__(self, entry: Entry, at: float) -> None:
        self.entry = entry
        self.at = at
        self.encoded: dict[Hashable, bytes] = {}


class NamespaceView:
    """The readable state of one namespace."""

    def __init__(self, registry: Registry, namespace: str, settings: EurekaSettings) -> None:
        self.namespace = namespace
        self._registry = registry
        self._settings = settings
        self.applications: dict[str, Application] = {}
        self.counts: dict[str, int] = {}
        """Instances per status, for the hash code."""
        self.version = max(1, registry.revision)
        """``versions__delta``: grows with every visible change, across restarts too."""
        self._keep_s = max(DELTA_RETENTION_S, settings.delta_expire_s)
        self._deltas: dict[tuple[str, str], Delta] = {}
        self._vips: dict[tuple[bool, str], dict[str, None]] = {}
        self._leaving: dict[tuple[ServiceKey, AddressKey], float] = {}
        """When (monotonic) addresses of other protocols that were lost leave."""
        self._shadowed: dict[tuple[str, str], tuple[ServiceKey, AddressKey]] = {}
        """Ids of this protocol's own that other protocols' addresses would carry too."""
        self._documents: dict[Hashable, tuple[tuple[int, int], Body]] = {}
        self._changes = 0
        self._forgotten = 0
        for snapshot in registry.services(namespace):
            for place, address in snapshot.addresses.items():
                self._apply(AddressChange(snapshot.key, place, None, address), self.version, recent=False)
        self._recall()

    def _recall(self) -> None:
        """The delta as it was before this view began (a restart, as a rule): clients may not have heard of it yet."""
        now, now_ms = self._registry.clock.monotonic(), self._registry.clock.wall_ms()
        known: list[tuple[int, str, Entry]] = []
        for ended in self._registry.ended_before:
            if ended.source == SOURCE and ended.namespace == self.namespace:
                r = farewell(RegistrationKey(ended.source, ended.namespace, ended.key))
                gone = Entry(own_id(r), r.service_key, r.address, r, DOWN, None, True, DELETED, ended.changed_ms)
                known.append((ended.changed_ms, app_of(ended.key), gone))
        for application in self.applications.values():
            for entry in application.entries:
                changed = structs.replace(entry, action=MODIFIED)
                known.append((entry.registration.updated_ms, application.name, changed))
        oldest_ms = now_ms - self._keep_s * 1000
        for changed_ms, app, entry in sorted((k for k in known if k[0] >= oldest_ms), key=lambda k: k[0]):
            if entry.action != DELETED or self.entry(app, entry.id) is None:
                self._deltas[(app, entry.id)] = Delta(entry, now - max(0, now_ms - changed_ms) / 1000)

    # ------------------------------------------------------------------ keeping in step

    def published(self, published: Published) -> None:
        """Take over the changes of one publication."""
        for change in published.changes:
            if change.service.namespace == self.namespace:
                self._apply(change, published.revision, recent=True)

    def sweep(self) -> None:
        """Once a second: instances of other protocols that are lost for too long leave."""
        now = self._registry.clock.monotonic()
        for where in [where for where, due in self._leaving.items() if _LEFT < due <= now]:
            self._leaving[where] = _LEFT
            self._look_again(*where, self._registry.revision, recent=True)
        self._forget_deltas()

    def _look_again(self, service: ServiceKey, place: AddressKey, revision: int, *, recent: bool) -> None:
        address = self._registry.snapshot(service).addresses.get(place)
        self._apply(AddressChange(service, place, address, address), revision, recent=recent)

    def _apply(self, change: AddressChange, revision: int, *, recent: bool) -> None:
        name = change.service.name.upper()
        application = self.applications.get(name)
        if application is None:
            application = Application(name)
        after = {e.id: e for e in self._entries(application, change.service, change.address, change.after)}
        again: list[tuple[ServiceKey, AddressKey]] = []
        where = (change.service, change.address)
        if change.after is None:
            self._leaving.pop(where, None)
        for r in change.before.registrations if change.before is not None else ():
            for id in (own_id(r),) if r.source == SOURCE else (foreign_id(r, True), foreign_id(r, False)):
                if id not in after and self._drop(application, id, change, revision):
                    shadowed = self._shadowed.pop((name, id), None)
                    if shadowed is not None and shadowed != where:
                        again.append(shadowed)
                elif self._shadowed.get((name, id)) == where:
                    del self._shadowed[(name, id)]
        for entry in after.values():
            under = application.entries.get(entry.id)
            if under is not None and not under.own and (under.service, under.place) != (entry.service, entry.place):
                again.append((under.service, under.place))
            self._put(application, entry, revision, recent)
        if len(application.entries):
            self.applications[name] = application
        else:
            self.applications.pop(name, None)
        for service, place in again:
            self._look_again(service, place, revision, recent=recent)

    def _entries(
        self, application: Application, service: ServiceKey, place: AddressKey, address: Address | None
    ) -> Iterator[Entry]:
        if address is None:
            return
        first = True
        for s in shown(address, SOURCE):
            r = s.registration
            if s.own:
                yield Entry(own_id(r), service, place, r, s.word, override_of(address, r.key), True)
                continue
            if not self._stays(service, place, s):
                continue
            id = foreign_id(r, first)
            holder = application.entries.get(id)
            if holder is not None and holder.own and (holder.service, holder.place) != (service, place):
                self._shadowed[(application.name, id)] = (service, place)
                id = foreign_id(r, False)
            yield Entry(id, service, place, r, shown_status(s), override_of(address, ""), False)
            first = False

    def _stays(self, service: ServiceKey, place: AddressKey, s: Shown) -> bool:
        """Whether another protocol's instance is listed still: it is for a while after it was lost."""
        if s.live:
            self._leaving.pop((service, place), None)
            return True
        now = self._registry.clock.monotonic()
        due = self._leaving.get((service, place))
        if due is None:  # seen lost for the first time: just now, or, after a start, some time ago
            age_s = max(0.0, (self._registry.clock.wall_ms() - s.registration.lost_ms) / 1000)
            due = self._leaving[(service, place)] = now + self._settings.unhealthy_expire_s - age_s
        return due > now

    def _put(self, application: Application, entry: Entry, revision: int, recent: bool) -> None:
        old = application.entries.get(entry.id)
        if old is not None:
            if _looks_the_same(old, entry):
                return
            self.counts[old.status] -= 1
            entry = structs.replace(entry, action=MODIFIED if recent else ADDED)
        application.entries.put(entry.id, entry)
        self.counts[entry.status] = self.counts.get(entry.status, 0) + 1
        self._index_vips(application.name, entry)
        self._changed(application.name, entry, revision, recent)

    def _drop(self, application: Application, id: str, change: AddressChange, revision: int) -> bool:
        old = application.entries.get(id)
        if old is None or old.place != change.address or old.service != change.service:
            return False
        application.entries.drop(id)
        self.counts[old.status] -= 1
        gone = structs.replace(old, action=DELETED, gone_ms=self._registry.clock.wall_ms())
        self._changed(application.name, gone, revision, True)
        return True

    def _changed(self, app: str, entry: Entry, revision: int, recent: bool) -> None:
        self._changes += 1
        if not recent:
            return
        self.version = max(self.version + 1, revision)
        self._deltas.pop((app, entry.id), None)
        self._deltas[(app, entry.id)] = Delta(entry, self._registry.clock.monotonic())

    def _forget_deltas(self) -> None:
        oldest = self._registry.clock.monotonic() - self._keep_s
        gone: deque[tuple[str, str]] = deque()
        for key, delta in self._deltas.items():
            if delta.at >= oldest:
                break
            gone.append(key)
        for key in gone:
            del self._deltas[key]
        self._forgotten += len(gone)

    def _index_vips(self, app: str, entry: Entry) -> None:
        for secure in (False, True):
            for vip in _vips(entry, secure):
                self._vips.setdefault((secure, vip.lower()), {})[app] = None

    # ------------------------------------------------------------------ reading

    @property
    def hash_code(self) -> str:
        """``apps__hashcode`` of everything visible."""
        return hash_code(self.counts)

    def info(self, entry: Entry) -> InstanceInfo:
        """The document of an entry, as of now."""
        r = entry.registration
        if entry.own:
            renewed_ms = self._registry.last_renewed_ms(r)
            return render_own(r, entry.word, entry.override, entry.action, renewed_ms, entry.gone_ms)
        return render_foreign(r, entry.id, entry.word, entry.action, self._settings)

    def entry(self, app: str, id: str) -> Entry | None:
        """One instance of one application."""
        application = self.applications.get(app)
        return None if application is None else application.entries.get(id)

    def entry_anywhere(self, id: str) -> Entry | None:
        """The first instance with an id, whatever its application."""
        return next((e for app in self.applications.values() if (e := app.entries.get(id)) is not None), None)

    def all(self, variant: Variant, gzipped: bool) -> Body:
        """``GET apps``."""
        return self._kept(("apps", variant.format, variant.detail, gzipped), lambda: self._all(variant, gzipped))

    def delta(self, variant: Variant, gzipped: bool) -> Body:
        """``GET apps/delta``: content, version and hash code of one moment."""
        key = ("delta", variant.format, variant.detail, gzipped)
        return self._kept(key, lambda: self._delta(variant, gzipped), recent=True)

    def long_work(self, what: str, variant: Variant, gzipped: bool) -> Callable[[], Work] | None:
        """How to make ``all`` ("apps") or ``delta`` in slices when there is much to encode; None when there is little."""
        key = (what, variant.format, variant.detail, gzipped)
        kept = self._documents.get(key)
        if kept is not None and kept[0] == self._stamp(recent=what == "delta"):
            return None
        if what == "apps":
            items = 0
            for _, count, _ in self._blocks(variant, gzipped):
                items += count
                if items > LONG_ITEMS:
                    return lambda: self._all_in_slices(variant, gzipped)
            return None
        form = (variant.format, variant.detail)
        if len(self._deltas) > LONG_ITEMS and sum(form not in d.encoded for d in self._deltas.values()) > LONG_ITEMS:
            return lambda: self._delta_in_slices(variant, gzipped)
        return None

    def _blocks(self, variant: Variant, gzipped: bool) -> Iterator[tuple[str, int, Callable[[], object]]]:
        """The blocks that are not encoded: application, how many items, what encodes them."""
        derive = gzip_parts.compress if gzipped else None
        encode, form = self._encode(variant), (variant.format, variant.detail)
        for application in list(self.applications.values()):
            for count, do in application.entries.work(form, encode, variant.separator, derive):
                yield application.name, count, do

    def _all_in_slices(self, variant: Variant, gzipped: bool) -> Work:
        for _, _, do in list(self._blocks(variant, gzipped)):
            do()
            yield
        return self.all(variant, gzipped)

    def _delta_in_slices(self, variant: Variant, gzipped: bool) -> Work:
        form = (variant.format, variant.detail)
        for delta in list(self._deltas.values()):
            if form not in delta.encoded:
                delta.encoded[form] = variant.fragment(self.info(delta.entry))
                yield
        plain = self.delta(variant, False)
        if not gzipped:
            return plain
        segments = []
        body = plain if isinstance(plain, bytes) else b"".join(plain)
        for start in range(0, len(body), LONG_BYTES):
            segments.append(gzip_parts.compress(body[start : start + LONG_BYTES]))
            yield
        return tuple(gzip_parts.join(segments))

    def application(self, app: str, variant: Variant) -> Body | None:
        """``GET apps/{app}``; None when there is none."""
        application = self.applications.get(app)
        if application is None:
            return None
        return self._kept(("app", app, variant.format, variant.detail), lambda: self._application(application, variant))

    def vip(self, vip: str, secure: bool, variant: Variant) -> Body:
        """``GET vips/{vip}`` and ``svips/{vip}``: exactly this spelling, else whatever its case."""
        kept = ("vip", vip, secure, variant.format, variant.detail)
        return self._kept(kept, lambda: self._vip(vip, secure, variant))

    def _kept(self, key: Hashable, make: Callable[[], Body], *, recent: bool = False) -> Body:
        kept = self._documents.get(key)
        stamp = self._stamp(recent=recent)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        if len(self._documents) > 64:  # keys may hold what clients ask for: bounded, not kept for ever
            self._documents.clear()
        body = make()
        self._documents[key] = (stamp, body)
        return body

    def _stamp(self, *, recent: bool) -> tuple[int, int]:
        return (self._changes, self._forgotten if recent else 0)

    def _encode(self, variant: Variant) -> Callable[[Entry], bytes]:
        return lambda entry: variant.fragment(self.info(entry))

    def _all(self, variant: Variant, gzipped: bool) -> Body:
        head = variant.applications_open(FULL_FETCH_VERSION, self.hash_code)
        tail = variant.applications_close(FULL_FETCH_VERSION, self.hash_code)
        encode, key, separator = self._encode(variant), (variant.format, variant.detail), variant.separator
        if gzipped:
            between = gzip_parts.compress(separator)
            segments = [gzip_parts.compress(head)]
            first = True
            for application in self.applications.values():
                opening, closing = application.frames(variant, first)
                first = False
                blocks = application.entries.derived(key, encode, separator, gzip_parts.compress)
                segments.append(opening)
                segments.extend(_interleave(blocks, between) if separator else blocks)
                segments.append(closing)
            segments.append(gzip_parts.compress(tail))
            return _whole(gzip_parts.join(segments))
        parts = [head]
        for application in self.applications.values():
            if len(parts) > 1:
                parts.append(variant.application_separator)
            parts.append(variant.application_open(application.name))
            plain = application.entries.encoded(key, encode, separator)
            parts.extend(_interleave(plain, separator) if separator else plain)
            parts.append(variant.application_close)
        parts.append(tail)
        return _whole(parts)

    def _application(self, application: Application, variant: Variant) -> Body:
        blocks = application.entries.encoded((variant.format, variant.detail), self._encode(variant), variant.separator)
        return variant.application_document(application.name, blocks)

    def _delta(self, variant: Variant, gzipped: bool) -> Body:
        key = (variant.format, variant.detail)
        by_app: dict[str, list[bytes]] = {}
        for (app, _), delta in self._deltas.items():
            encoded = delta.encoded.get(key)
            if encoded is None:
                encoded = delta.encoded[key] = variant.fragment(self.info(delta.entry))
            by_app.setdefault(app, []).append(encoded)
        parts = (variant.application(app, fragments) for app, fragments in by_app.items())
        body = variant.applications_document(parts, self.version, self.hash_code)
        return _whole(gzip_parts.join([gzip_parts.compress(body)])) if gzipped else body

    def _vip(self, vip: str, secure: bool, variant: Variant) -> Body:
        apps = self._vips.get((secure, vip.lower()), {})
        entries = [
            (app, entry, spelling)
            for app in apps
            if app in self.applications
            for entry in self.applications[app].entries
            for spelling in _vips(entry, secure)
            if spelling.lower() == vip.lower()
        ]
        exact = [(app, entry) for app, entry, spelling in entries if spelling == vip]
        chosen = exact or [(app, entry) for app, entry, _ in entries]
        by_app: dict[str, dict[str, bytes]] = {}
        counts: dict[str, int] = {}
        for app, entry in chosen:
            if entry.id not in by_app.setdefault(app, {}):
                by_app[app][entry.id] = variant.fragment(self.info(entry))
                counts[entry.status] = counts.get(entry.status, 0) + 1
        parts = (variant.application(app, list(fragments.values())) for app, fragments in by_app.items())
        return variant.applications_document(parts, SUBSET_VERSION, hash_code(counts))


class Views:
    """The views of one listener, by namespace. A namespace is followed from its first reader or writer on."""

    def __init__(self, registry: Registry, settings: EurekaSettings) -> None:
        self._registry = registry
        self._settings = settings
        self._views: dict[str, NamespaceView] = {}
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

    def __iter__(self) -> Iterator[NamespaceView]:
        return iter(self._views.values())

    def sweep(self) -> None:
        """Once a second."""
        for view in self._views.values():
            view.sweep()

    def _published(self, published: Published) -> None:
        for view in self._views.values():
            view.published(published)


def _vips(entry: Entry, secure: bool) -> Sequence[str]:
    if not entry.own:
        return (entry.registration.service,)
    document = entry.registration.ext
    vips = document.secure_vip_address if secure else document.vip_address
    return [vip.strip() for vip in vips.split(",")] if vips else ()


def _looks_the_same(a: Entry, b: Entry) -> bool:
    """Whether nothing that readers see differs, so that a change of liveness alone tells nobody anything."""
    x, y = a.registration, b.registration
    return a.word == b.word and a.override == b.override and x.seq == y.seq and x.marks == y.marks


def _interleave(blocks: list[T], between: T) -> Iterator[T]:
    for index, block in enumerate(blocks):
        if index:
            yield between
        yield block


def _whole(parts: list[bytes]) -> Body:
    return b"".join(parts) if sum(map(len, parts)) <= JOIN_BYTES else tuple(parts)
