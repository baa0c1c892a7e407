"""A namespace as one kind of callers sees it whom rules send to some instances only: its own list, delta and hash code.

What rules leave alone is the namespace's own, encodings too; only applications of which something was taken away are kept
again. A list is brought up to date when it is read. A delta holds what changed for this kind: instances that rules took away
left it, instances that they gave came into it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Final

from msgspec import structs

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.ports import Clock
from polaris_bridge.core.routing.classes import RoutingClass
from polaris_bridge.core.routing.scope import Scope
from polaris_bridge.core.routing.subset import Subset

from .listing import ADDED, DELETED, MODIFIED, Application, Body, Entry, LayeredListing
from .reading import LONG_APPLICATIONS, Readable
from .view import NamespaceView
from .wire.messages import InstanceInfo

PIECE: Final = 16
"""Applications that are brought up to date before a slice may end: 10 microseconds each, 100 where something changed."""
REFETCH: Final = "REFETCH_1_"
"""Stands in a hash code that no list of instances has, so that who compares it fetches everything."""


class RoutedView(Readable):
    """What one kind of callers sees of a namespace."""

    def __init__(
        self, whole: NamespaceView, scope: Scope, kind: RoutingClass, clock: Clock, count: Callable[[], int]
    ) -> None:
        """``count`` counts all views of a listener, and what changes in them."""
        self.namespace, self.reader = whole.namespace, whole.reader
        self.kind = kind
        self.number = self._counted = count()
        """Another one for each view of a listener."""
        self._whole = whole
        self._scope = scope
        self._clock = clock
        self._count = count
        self.full_list: LayeredListing = LayeredListing(whole.full_list)
        self.recent: LayeredListing = LayeredListing(whole.recent)
        self._documents: dict[Hashable, tuple[Hashable, Body]] = {}
        self._hidden: dict[str, Counter[str]] = {}
        """By application: instances that are taken away, per status."""
        self._lately: deque[tuple[float, str, Entry]] = deque()
        self._changes = self._delta_changes = 0
        self._generation = -1
        self._reach: frozenset[str] | None = frozenset()
        self._stale: set[str] = set()
        self._recent = False
        """Whether there were readers before: what is taken away is to be told then."""
        self.unproven = Unproven(self)
        """The same for callers who may hold something else."""

    # ------------------------------------------------------------------ for ``Readable``

    @property
    def identity(self) -> Hashable:
        """See ``Readable``."""
        return self.namespace, self.reader, self.number

    @property
    def version(self) -> int:
        """See ``Readable``."""
        return self._whole.version + self._counted

    @property
    def stamp(self) -> Hashable:
        """See ``Readable``."""
        self._refresh()
        return self._whole.stamp, self._changes

    @property
    def delta_stamp(self) -> Hashable:
        """See ``Readable``."""
        self._refresh()
        return self._whole.delta_stamp, self._delta_changes

    @property
    def applications(self) -> Mapping[str, Application]:
        """See ``Readable``."""
        self._refresh()
        return self.full_list.applications

    @property
    def counts(self) -> Mapping[str, int]:
        """See ``Readable``."""
        self._refresh()
        found = Counter(self._whole.counts)
        for hidden in self._hidden.values():
            found.subtract(hidden)
        return found

    def info(self, entry: Entry) -> InstanceInfo:
        """See ``Readable``."""
        return self._whole.info(entry)

    def with_vip(self, vip: str, secure: bool) -> Iterable[str]:
        """See ``Readable``."""
        return self._whole.with_vip(vip, secure)

    @property
    def differs(self) -> bool:
        """Whether something is taken away, or was lately, or may be: all that may differ was not looked at yet."""
        self._look()
        return bool(self.full_list.own) or bool(self._stale)

    def forget_documents(self) -> None:
        """Give up what can be put together again."""
        self._documents.clear()
        self.unproven.forget_documents()

    # ------------------------------------------------------------------ keeping in step

    def note(self, app: str) -> None:
        """Something about an application may be another thing now."""
        self._stale.add(app)

    def overtake(self) -> None:
        """Somebody comes from another view: the version is to be greater than that of any other view before."""
        self._counted = self._count()
        self._delta_changes += 1

    def sweep(self, oldest: float, most: int) -> None:
        """Forget changes from before a time, at most so many, and applications that are the namespace's own again."""
        for _ in range(min(most, len(self._lately))):
            if self._lately[0][0] >= oldest:
                break
            _, app, entry = self._lately.popleft()
            application = self.recent.own.get(app)
            if application is not None and application.get(entry.id) is entry:
                application.drop(entry.id)
                self._delta_changes += 1
        for app in [app for app, application in self.recent.own.items() if not len(application.entries)]:
            if not self._hidden.get(app) and app not in self._stale:
                del self.full_list.own[app], self.recent.own[app]
                self._changes += 1
                self._delta_changes += 1

    def ahead(self) -> Work | None:
        """See ``Readable``."""
        self._look()
        return self._catch_up() if len(self._stale) > LONG_APPLICATIONS else None

    def _catch_up(self) -> Work:
        done = 0
        while self._stale:
            self._consider(self._stale.pop())
            done += 1
            if done % PIECE == 0:
                yield
                self._look()

    def _refresh(self) -> None:
        self._look()
        while self._stale:
            self._consider(self._stale.pop())
        self._recent = True

    def _consider(self, app: str) -> None:
        if self._reach is None or app in self._reach or app in self.full_list.own:
            self._follow(app)

    def _look(self) -> None:
        """When rules changed, or what services say: all that may differ has to be looked at."""
        generation = self._scope.generation
        if generation == self._generation:
            return
        self._generation = generation
        reach = self._scope.reach(self.kind)
        self._reach = None if reach is None else frozenset(key.name.upper() for key in reach)
        self._stale |= self.full_list.own.keys()
        self._stale |= self._whole.applications.keys() if self._reach is None else self._reach

    def _follow(self, app: str) -> None:
        given, hidden = self._split(app)
        full = self.full_list.own.get(app)
        if full is None:
            if not hidden:
                return
            full = self._begin(app, given, hidden)
        else:
            self._change(app, full, given)
        counts = Counter(entry.status for entry in hidden)
        if counts:
            self._hidden[app] = counts
        else:
            self._hidden.pop(app, None)

    def _split(self, app: str) -> tuple[dict[str, Entry], list[Entry]]:
        """The instances of an application that are given, by id, and those that are taken away."""
        application = self._whole.applications.get(app)
        given: dict[str, Entry] = {}
        hidden: list[Entry] = []
        subsets: dict[ServiceKey, Subset | None] = {}
        for entry in () if application is None else application.entries:
            service = entry.service
            if service not in subsets:
                subsets[service] = self._scope.subset(service, self.kind)
            subset = subsets[service]
            if subset is None or subset.whole or entry.place in subset.addresses:
                given[entry.id] = entry
            else:
                hidden.append(entry)
        return given, hidden

    def _begin(self, app: str, given: Mapping[str, Entry], hidden: Iterable[Entry]) -> Application:
        """An application is another one here from now on."""
        full = self.full_list.own[app] = Application(app)
        delta = self.recent.own[app] = Application(app)
        for entry in given.values():
            full.put(entry)
        before = self._whole.recent.applications.get(app)
        for entry in () if before is None else before.entries:
            if entry.action == DELETED or entry.id in given:
                self._remember(delta, entry)
        if self._recent:
            for entry in hidden:
                self._remember(delta, self._gone(entry))
        self._changed()
        return full

    def _change(self, app: str, full: Application, given: Mapping[str, Entry]) -> None:
        delta = self.recent.own[app]
        before = {entry.id: entry for entry in full.entries}
        for id, entry in before.items():
            if id not in given:
                full.drop(id)
                self._remember(delta, self._gone(entry))
        for id, entry in given.items():
            known = before.get(id)
            if known is not entry:
                full.put(entry)
                self._remember(delta, structs.replace(entry, action=ADDED if known is None else MODIFIED))
        self._changed()

    def _gone(self, entry: Entry) -> Entry:
        return structs.replace(entry, action=DELETED, gone_ms=self._clock.wall_ms())

    def _remember(self, delta: Application, entry: Entry) -> None:
        delta.put(entry)
        self._lately.append((self._clock.monotonic(), delta.name, entry))

    def _changed(self) -> None:
        self._changes += 1
        self._delta_changes += 1
        self._counted = self._count()


class Unproven(Readable):
    """A view for callers of whom nobody knows what they hold: by its hash code they hold something else, and fetch everything."""

    def __init__(self, view: RoutedView) -> None:
        self.namespace, self.reader = view.namespace, view.reader
        self.full_list, self.recent = view.full_list, view.recent
        self._view = view
        self._documents: dict[Hashable, tuple[Hashable, Body]] = {}

    @property
    def identity(self) -> Hashable:
        """See ``Readable``."""
        return self._view.identity, REFETCH

    @property
    def hash_code(self) -> str:
        """See ``Readable``."""
        return self._view.hash_code + REFETCH

    @property
    def version(self) -> int:
        """See ``Readable``."""
        return self._view.version

    @property
    def stamp(self) -> Hashable:
        """See ``Readable``."""
        return self._view.stamp

    @property
    def delta_stamp(self) -> Hashable:
        """See ``Readable``."""
        return self._view.delta_stamp

    @property
    def counts(self) -> Mapping[str, int]:
        """See ``Readable``."""
        return self._view.counts

    def ahead(self) -> Work | None:
        """See ``Readable``."""
        return self._view.ahead()

    def info(self, entry: Entry) -> InstanceInfo:
        """See ``Readable``."""
        return self._view.info(entry)

    def with_vip(self, vip: str, secure: bool) -> Iterable[str]:
        """See ``Readable``."""
        return self._view.with_vip(vip, secure)

    def forget_documents(self) -> None:
        """Give up what can be put together again."""
        self._documents.clear()
