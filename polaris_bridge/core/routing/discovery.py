"""Rules applied where instances are looked up, for clients that do not know them: the instances of a service that one kind of
callers is given, and their weights.

What a look-up cannot know (headers, paths, wishes of a call) makes a source not match. Nothing is drawn: a lane that takes a
share of its calls takes none, so equal callers are always given the same. Health is left to the protocols: who belongs to the
groups that are chosen stays in them, however it is; groups are chosen as for a call.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Final

from msgspec import Struct

from ..events import Published
from ..model import Caller, Document, ServiceKey, ServiceRecord
from ..registry import Registry
from ..snapshot import ServiceSnapshot
from .callers import is_service
from .classes import EVERYBODY, RoutingClass, class_of
from .compiled import Compiled
from .evaluate import evaluate
from .index import Index
from .known import Acquaintances, Locate
from .lanes import Moment
from .model import ANY, NONE, Decision, Traveller, Unread
from .ports import Standing
from .ready import ReadyRules
from .record import LOOK_UP
from .subset import Subset, weight_of
from .weights import best, place_of, spread

SWITCH: Final = "polaris-bridge-discovery-routing"
"""Key of a service's metadata: ``true`` or ``false``, whatever the listener says."""
_WORDS: Final = dict.fromkeys(("true", "True", "TRUE", "t", "T", "1"), True) | dict.fromkeys(
    ("false", "False", "FALSE", "f", "F", "0"), False
)
"""As other switches in metadata are read; another word is none."""
KEPT_SERVICES: Final = 4096
KEPT_CLASSES: Final = 256
"""Kinds of callers whose instances are kept, for each service."""
STEPS: Final = 8
"""Steps of reading ahead before others have their turn: about 2 ms."""
KEPT_NAMES: Final = 65_536
"""Kinds of callers of which there is one object each."""


class Told(Struct, frozen=True):
    """Why a caller is given what it is given."""

    on: bool
    """Whether answers about the service are routed at all, as far as it says so itself, or all listeners do."""
    said: str
    """Who the caller is taken for."""
    kind: RoutingClass
    subset: Subset
    decision: Decision
    unread: tuple[Unread, ...]


class _Kept:
    """What one kind of callers was given last."""

    __slots__ = ("callee", "caller", "snapshot", "subset")

    def __init__(self, snapshot: ServiceSnapshot, callee: Compiled, caller: Compiled | None, subset: Subset) -> None:
        self.snapshot = snapshot
        """When it was decided; one that was only published anew since says the same."""
        self.callee = callee
        self.caller = caller
        self.subset = subset


class _Served:
    """One service: its instances ready to be asked for, and what callers are given of it."""

    __slots__ = ("index", "kinds", "snapshot")

    def __init__(self) -> None:
        self.snapshot: ServiceSnapshot | None = None
        self.index: Index | None = None
        self.kinds: OrderedDict[RoutingClass, _Kept] = OrderedDict()


class DiscoveryRouting:
    """Which instances look-ups are answered with. One for all listeners of a server."""

    def __init__(
        self,
        registry: Registry,
        standing: Standing,
        rules: ReadyRules,
        locate: Locate,
        *,
        everywhere: bool = False,
        servers: str = "",
    ) -> None:
        """``everywhere``: whether some listener routes every service; ``servers``: see ``Acquaintances``. Made when the registry
        is loaded."""
        self.rules = rules
        self.known = Acquaintances(registry, standing, locate, servers)
        self.evaluations = 0
        """Decisions made since the start; what was kept is not counted."""
        self.generation = 0
        """Moves when a rule changes, or what a service says of itself."""
        self._registry = registry
        self._standing = standing
        self._everywhere = everywhere
        self._words: dict[ServiceKey, bool] = {}
        """What services say themselves."""
        self._routed: set[ServiceKey] = set()
        """Those that say that they are routed."""
        self._wishing: set[ServiceKey] = set()
        """Those that ask for something themselves: nearness, canaries, nothing where no rule matches."""
        self._records: dict[ServiceKey, ServiceRecord] = {}
        self._served: OrderedDict[ServiceKey, _Served] = OrderedDict()
        self._names: dict[RoutingClass, RoutingClass] = {}
        self._ruled: dict[ServiceKey, int] = {}
        """The publication that last changed rules about a service."""
        self._due: dict[ServiceKey, None] = {}
        self._growing: dict[ServiceKey, int] = {}
        for snapshot in registry:
            self._hear(snapshot.key)
        registry.observe(self._published)

    # ------------------------------------------------------------------ whether

    def on(self, service: ServiceKey, switched: bool) -> bool:
        """Whether answers about a service are routed: as it says itself, else as the listener does (``switched``)."""
        return self._words.get(service, switched)

    def any_on(self, switched: bool) -> bool:
        """Whether answers about some service may be routed."""
        return switched or bool(self._routed)

    @property
    def kinds(self) -> int:
        """Kinds of callers that are known."""
        return len(self._names)

    # ------------------------------------------------------------------ who

    def classify(self, service: ServiceKey, caller: Caller) -> RoutingClass:
        """What kind of caller somebody is for a service. Equal kinds are one object."""
        who = self.known.who(caller).who
        callee = self.rules.of(service)
        return self.one(self._class_of(service, callee, who))

    def narrow(self, service: ServiceKey, kind: RoutingClass) -> RoutingClass:
        """Of a kind that more is known of: what makes a difference for one service."""
        if kind is EVERYBODY:
            return kind
        return self._class_of(service, self.rules.of(service), kind.who)

    def moved(self, caller: Caller) -> int:
        """The publication since which a caller may be of another kind: what it registered changed. 0: nobody asked yet."""
        return self.known.moved(caller)

    def one(self, kind: RoutingClass) -> RoutingClass:
        """The one object that is kept of a kind."""
        if kind == EVERYBODY:
            return EVERYBODY
        found = self._names.get(kind)
        if found is None:
            if len(self._names) >= KEPT_NAMES:
                self._names.clear()
            found = self._names[kind] = kind
        return found

    # ------------------------------------------------------------------ what

    def subset(self, service: ServiceKey, kind: RoutingClass, *, noted: bool = True) -> Subset:
        """What a kind of callers is given of a service as it is now. ``noted``: a decision that this takes is remembered."""
        snapshot = self._registry.snapshot(service)
        callee, caller = self.rules.of(service), self.rules_of(kind.service)
        served = self._served.get(service)
        kept = None if served is None else served.kinds.get(kind)
        if (
            kept is not None
            and kept.callee is callee
            and kept.caller is caller
            and (kept.snapshot is snapshot or _same(kept.snapshot, snapshot))
        ):
            return kept.subset
        if kept is None and kind == EVERYBODY and self._plain(service, callee):
            return Subset(snapshot, self._ruled.get(service, 0))
        if served is None:
            served = self._served[service] = _Served()
            if len(self._served) > KEPT_SERVICES:
                self._served.popitem(last=False)
        if served.index is None or served.snapshot is None or not _same(served.snapshot, snapshot):
            served.snapshot, served.index = snapshot, Index(self._standing.read(service))
        decision = self._evaluate(served.index, callee, caller, kind.who)
        if noted:
            self.rules.record.note(service, LOOK_UP, kind.who, decision, self._registry.clock.wall_ms())
        subset = self._subset(snapshot, served.index, decision, None if kept is None else kept.subset)
        served.kinds[kind] = _Kept(snapshot, callee, caller, subset)
        if len(served.kinds) > KEPT_CLASSES:
            served.kinds.popitem(last=False)
        self._await(service, callee, caller)
        return subset

    def ahead(self, service: ServiceKey) -> Generator[None, None, object] | None:
        """What should run before ``subset``, where a service is long and not read yet: it yields where it may be interrupted."""
        return self._standing.ahead(service)

    def explain(self, service: ServiceKey, caller: Caller) -> Told:
        """What a caller is given, and why: made anew, with every step said."""
        known, kind = self.known.who(caller), self.classify(service, caller)
        callee, calling = self.rules.of(service), self.rules_of(known.who.service)
        decision = self._evaluate(Index(self._standing.read(service)), callee, calling, known.who, explain=True)
        both = (*callee.unread, *(() if calling is None else calling.unread))
        return Told(
            self.on(service, self._everywhere),
            known.said,
            kind,
            self.subset(service, kind, noted=False),
            decision,
            tuple(dict.fromkeys(both)),
        )

    # ------------------------------------------------------------------ what there is to look at

    def ruled(self, namespace: str) -> Iterator[ServiceKey]:
        """The services of a namespace of which callers may not be given the whole, whatever they call as; some twice."""
        for kind in self.rules.rulebook.kinds:
            for document in self._registry.documents.all(kind):
                for target in document.targets:
                    if target.namespace not in (namespace, ANY):
                        continue
                    if target.name == ANY:
                        yield from (snapshot.key for snapshot in self._registry.services(namespace))
                    else:
                        yield ServiceKey(namespace, target.name)
        yield from (key for key in self._wishing if key.namespace == namespace)

    def reach(self, caller: Compiled) -> tuple[tuple[str, str], ...] | None:
        """Namespace and name of the services that the rules of a caller are about; None: of any."""
        return None if caller.rules.lanes or self.rules.options.failover == NONE else caller.callees

    def prepare(self) -> Iterator[None]:
        """Read who is there and what rules are about, step by step: before the first look-up has to."""
        if not self.any_on(self._everywhere):
            return
        yield from self.known.ahead()
        for namespace in self._registry.namespaces():
            for key in dict.fromkeys(self.ruled(namespace.name)):
                if self.on(key, self._everywhere):
                    yield from self._standing.ahead(key) or ()

    def near(self, service: ServiceKey, callee: Compiled) -> bool:
        """Whether it counts where callers are."""
        return callee.rules.nearby is not None or self._standing.outline(service).nearby

    def rules_of(self, service: ServiceKey | None) -> Compiled | None:
        """The rules of a calling service, when it is known."""
        return None if service is None else self.rules.of(service)

    # ------------------------------------------------------------------ deciding

    def _class_of(self, service: ServiceKey, callee: Compiled, who: Traveller) -> RoutingClass:
        caller = self.rules_of(who.service)
        if caller is not None and not self._counts(service, callee, caller):
            caller = None
        return class_of(callee, caller, who, near=self.near(service, callee))

    def _counts(self, service: ServiceKey, callee: Compiled, caller: Compiled) -> bool:
        """Whether the rules of a caller make a difference in its calls to a service."""
        if not caller.sends or (callee.inbound and not caller.rules.lanes):
            return False
        reach = None if self._standing.outline(service).failover == NONE else self.reach(caller)
        return reach is None or any(is_service(service, *name) for name in reach)

    def _evaluate(
        self, index: Index, callee: Compiled, caller: Compiled | None, who: Traveller, *, explain: bool = False
    ) -> Decision:
        self.evaluations += 1
        rules, moment = self.rules, Moment(self._registry.clock.wall_ms(), _unlucky)
        return evaluate(index, callee, caller, who, rules.options, rules.patterns, moment, explain=explain, listed=True)

    def _subset(self, snapshot: ServiceSnapshot, index: Index, decision: Decision, before: Subset | None) -> Subset:
        revision = max(snapshot.revision, self.rules.rulebook.revision())
        tier = best(decision.tiers)
        weighted, found = False, None
        if index.usable:  # where nobody may be used there is nothing to choose from
            weights = {} if tier is None else spread(tier)
            known = {place_of(target) for target in index.targets}
            found = {
                place: weights[place] if place in weights else weight_of(address)
                for place, address in snapshot.addresses.items()
                if place in weights or place not in known
            }
            if tier is not None and len(tier.shares) > 1:
                own = {place_of(target): target.weight for target in index.targets}
                weighted = any(own[place] != weight for place, weight in weights.items())
            if len(found) == len(snapshot.addresses) and not weighted:
                found = None
        subset = Subset(snapshot, revision, found, weighted=weighted, why=decision.why)
        if before is not None:
            if before.same(subset):
                subset.revision = before.revision
            subset.follow(before)
        return subset

    def _plain(self, service: ServiceKey, callee: Compiled) -> bool:
        """Whether there is nothing to decide, for callers of whom nothing is looked at."""
        if callee is not self.rules.nothing:
            return False
        outline = self._standing.outline(service)
        return not outline.nearby and not outline.canary

    # ------------------------------------------------------------------ changes

    def _published(self, published: Published) -> None:
        for key in published.services:
            self._hear(key)
        kinds = self.rules.rulebook.kinds if published.documents else ()
        changes = [change for change in published.documents if change.kind in kinds]
        if changes:
            self.generation += 1
            if self.any_on(self._everywhere):
                documents = [d for change in changes for d in (change.before, change.after) if d is not None]
                self._tell(self._about(documents), published.revision)

    def _hear(self, key: ServiceKey) -> None:
        """What a service says of itself."""
        record = self._registry.snapshot(key).record
        if record is self._records.get(key):
            return
        self.generation += 1
        if record is None:
            del self._records[key]
        else:
            self._records[key] = record
        outline = self._standing.outline(key)
        if outline.nearby or outline.canary or outline.failover == NONE:
            self._wishing.add(key)
        else:
            self._wishing.discard(key)
        word = None if record is None else _WORDS.get(record.metadata.get(SWITCH, ""))
        if word is not None:
            self._words[key] = word
        else:
            self._words.pop(key, None)
        if word:
            if not self._routed:
                self._in_steps(self.known.ahead(), lambda: None)
            self._routed.add(key)
        else:
            self._routed.discard(key)

    def _about(self, documents: Iterable[Document]) -> Iterator[ServiceKey]:
        """The routed services that rules are about: as the ones that are called, or of callers that somebody asked for."""
        named = {target for document in documents for target in document.targets}

        def is_named(key: ServiceKey) -> bool:
            return key in named or ServiceKey(key.namespace, ANY) in named or ServiceKey(ANY, ANY) in named

        exact = all(ANY not in key for key in named)
        for key in named if exact else [snapshot.key for snapshot in self._registry]:
            if is_named(key) and self.on(key, self._everywhere):
                yield key
        for key, served in self._served.items():
            if any(kind.service is not None and is_named(kind.service) for kind in served.kinds):
                yield key

    def _tell(self, services: Iterable[ServiceKey], revision: int) -> None:
        """Publish services anew, soon: whoever waits for them is to look again, though no instance changed."""
        idle = not self._due
        for key in services:
            self._ruled[key] = revision
            self._due[key] = None
        if idle and self._due:
            self._in_steps(self._read_due(), self._publish)

    def _read_due(self) -> Iterator[None]:
        """Read what is due ahead of those who will look again."""
        read: set[ServiceKey] = set()
        while waiting := [key for key in self._due if key not in read]:
            read.update(waiting)
            for key in waiting:
                yield from self._standing.ahead(key) or ()

    def _in_steps(self, steps: Iterator[None], done: Callable[[], None]) -> None:
        """Some steps at a time, soon, while others have their turns."""

        def some() -> None:
            for _ in range(STEPS):
                if next(steps, self) is self:
                    done()
                    return
            self._registry.scheduler.soon(some)

        self._registry.scheduler.soon(some)

    def _publish(self) -> None:
        due, self._due = self._due, {}
        revision = self._registry.touch(due)
        for key in due:
            if self._registry.snapshot(key).revision == revision:
                self._ruled[key] = revision
            else:
                self._ruled.pop(key, None)

    def _await(self, service: ServiceKey, callee: Compiled, caller: Compiled | None) -> None:
        """Look again when a lane that grows takes every call."""
        if not callee.lanes and (caller is None or not caller.lanes):
            return
        now_ms = self._registry.clock.wall_ms()
        both = (callee,) if caller is None else (callee, caller)
        ends = [end for end in (rules.warm_ms(now_ms) for rules in both) if end is not None]
        if ends and not now_ms < self._growing.get(service, 0) <= min(ends):
            self._growing[service] = min(ends)
            self._registry.scheduler.later((min(ends) - now_ms) / 1000, lambda: self._grown(service))

    def _grown(self, service: ServiceKey) -> None:
        self._growing.pop(service, None)
        self._served.pop(service, None)
        self._tell((service,), self._registry.revision)


def _same(a: ServiceSnapshot, b: ServiceSnapshot) -> bool:
    """Whether nothing changed but the revision."""
    return a.addresses is b.addresses and a.record is b.record


def _unlucky(below: int) -> int:
    """Nobody is drawn."""
    return below - 1
