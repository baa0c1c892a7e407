"""Every service that somebody calls, made when it is first asked for and kept in step with each publication."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from polaris_bridge.adapters._shared.catalog import Catalog
from polaris_bridge.adapters._shared.governance import Governance
from polaris_bridge.adapters.xds.translate.rules.subsets import Chooser
from polaris_bridge.core.events import DocumentChange, Published
from polaris_bridge.core.model import ServiceKey, ServiceRecord
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.model import ANY
from polaris_bridge.core.routing.ports import Patterns

from .called import LARGE, Called


class Turn(Struct):
    """What a publication changed of one service."""

    shape: bool = False
    """More than its endpoints: ports, rules, whether rules find somebody to choose."""
    existence: bool = False
    """It came or went, or something else stands behind its name."""
    subsets: tuple[str, ...] = ("",)
    """The names of its parts before."""


class Services:
    """By the key of the service that is called."""

    def __init__(
        self,
        registry: Registry,
        catalog: Catalog,
        governance: Governance | None,
        patterns: Patterns,
        report: Callable[[str, str], None],
    ) -> None:
        self.catalog = catalog
        self._registry = registry
        self._governance = governance
        self._patterns = patterns
        self._chooser = Chooser(patterns)
        self._report = report
        self._called: dict[ServiceKey, Called] = {}
        self._reading: dict[ServiceKey, tuple[Called, Iterator[None]]] = {}
        self._users: dict[ServiceKey, dict[ServiceKey, None]] = {}
        """By source of instances: the services that show them."""
        self._exported: dict[str, None] = {}
        """Names of services that are, or were, shown in other namespaces."""
        self._exports = self._exporting()
        """By namespace: where all of its services are shown, too."""
        self.opened = False
        """Whether the publication that is looked at changed that."""
        self.reshown = False
        """Whether it changed what names mean that are exported, in whatever namespace."""
        self._records: dict[ServiceKey, None] = {}
        """Whose record changed in this publication."""
        self._aliases: dict[ServiceKey, dict[ServiceKey, None]] = {}
        """By service: the names that are, or were, aliases of it."""
        for namespace in catalog.namespaces():
            for record in catalog.names(namespace):
                self._enter(record)
        catalog.followers.append(self._followed)

    # ------------------------------------------------------------------ reading

    def target(self, name: ServiceKey) -> ServiceKey | None:
        """The service that is called by a name; None when there is none."""
        sight = self.catalog.sight(name)
        if sight is None:
            return None
        return sight.of.key if sight.sources == (sight.of.key,) else name

    def get(self, key: ServiceKey) -> Called | None:
        """A service; None when there is none."""
        found = self._called.get(key)
        if found is not None:
            return found
        for _ in self.read(key):
            pass
        return self._called.get(key)

    def own(self, name: ServiceKey) -> ServiceKey | None:
        """The service of just this name, or what it is an alias of: nothing that others export. None when there is none."""
        return None if self.catalog.record(name) is None else self.target(name)

    def named(self, name: ServiceKey) -> Called:
        """The service of just this name, for its rules: also where there is none, for rules may come first."""
        target = self.own(name)
        found = None if target is None else self.get(target)
        if found is None:
            found = self._make(name)
            found.read_rules()
        return found

    def _make(self, key: ServiceKey) -> Called:
        return Called(key, self._registry, self._governance, self._patterns, self._chooser, self._report)

    def known(self, key: ServiceKey) -> Called | None:
        """A service that was asked for before."""
        return self._called.get(key)

    def spelling(self, name: ServiceKey) -> ServiceKey:
        """The oldest service whose name differs in case only; the name itself when there is none."""
        return next(iter(self._registry.same_name(*name)), name)

    def large(self, key: ServiceKey, *, rich: bool | None = None) -> bool:
        """Whether a service should be read in slices before it is asked for, or (``rich``: how) encoded."""
        called = self._called.get(key)
        if called is not None:
            return rich is not None and not called.encoded(rich=rich)
        sight = self.catalog.sight(key)
        sources = () if sight is None else sight.sources
        return sum(len(self._registry.snapshot(source).addresses) for source in sources) > LARGE

    def read(self, key: ServiceKey) -> Iterator[None]:
        """Read a service. Several may do it together."""
        if key in self._called:
            return
        if key not in self._reading:
            sight = self.catalog.sight(key)
            if sight is None:
                return
            called = self._make(key)
            self._reading[key] = called, called.look(sight)
            for source in sight.sources:
                self._users.setdefault(source, {})[key] = None
        while (reading := self._reading.get(key)) is not None:
            called, steps = reading
            if next(steps, called) is called:
                self._reading.pop(key, None)
                self._called[key] = called
            else:
                yield

    # ------------------------------------------------------------------ after a publication

    @property
    def recorded(self) -> list[ServiceKey]:
        """The names whose meaning may hang on records that changed in the publication that is looked at: theirs, and aliases."""
        return list(
            dict.fromkeys(name for record in self._records for name in (record, *self._aliases.get(record, ())))
        )

    def published(self, published: Published) -> dict[ServiceKey, Turn]:
        """Take a publication in; what it changed, of services that were asked for."""
        turns: dict[ServiceKey, Turn] = {}
        self.opened = self.reshown = False
        for change in published.changes:
            for key in self._users.get(change.service, ()):
                called = self._called.get(key) or self._reading[key][0]
                turn = turns.setdefault(key, Turn())
                turn.shape |= called.change(change.service, change.address, change.after)
        for name in self.recorded:
            self._recorded(name, turns)
        exports = self._exporting() if published.namespaces else self._exports
        if exports != self._exports:
            self._exports = exports
            self.opened = self.reshown = True
            for key in (*self._called, *self._reading):
                self._look_again(key, turns)
        for document in published.documents:
            for key in self._concerned(document):
                known = self._called.get(key)
                if known is not None:
                    known.read_rules()
                turns.setdefault(key, Turn()).shape = True
        return turns

    def settle(self) -> None:
        """Everybody heard of the publication."""
        self._records.clear()

    def _followed(self, key: ServiceKey) -> None:
        self._records[key] = None
        self._enter(self.catalog.record(key))

    def _enter(self, record: ServiceRecord | None) -> None:
        """Aliases and exported names are remembered for good: what they meant may change after they are gone."""
        if record is not None and record.reference is not None:
            self._aliases.setdefault(record.reference, {})[record.key] = None
        if record is not None and record.export_to:
            self._exported[record.name] = None

    def _recorded(self, record: ServiceKey, turns: dict[ServiceKey, Turn]) -> None:
        """What may look at a service: itself, those that show its instances, and those of its name elsewhere."""
        concerned = {record, *self._users.get(record, ())}
        if record.name in self._exported or self._exports:
            self.reshown = True
            concerned |= {key for key in (*self._called, *self._reading) if key.name == record.name}
        for key in concerned:
            if key in self._called or key in self._reading:
                self._look_again(key, turns)
            else:
                turns.setdefault(key, Turn()).existence = True

    def _exporting(self) -> dict[str, tuple[str, ...]]:
        return {space.name: space.export_to for space in self._registry.namespaces() if space.export_to}

    def _look_again(self, key: ServiceKey, turns: dict[ServiceKey, Turn]) -> None:
        """Its record is another one, or what stands behind its name."""
        reading = self._reading.pop(key, None)
        called = self._called.pop(key, None) or (None if reading is None else reading[0])
        sight = self.catalog.sight(key)
        turn = turns.setdefault(key, Turn())
        turn.shape = True
        if called is not None:
            turn.subsets = called.subset_ids
        if called is not None and sight is not None and (sight.of.key, sight.sources) == (called.of, called.sources):
            called.read_rules()
            if reading is None:
                self._called[key] = called
            else:
                self._reading[key] = reading
            return
        turn.existence = True
        for source in () if called is None else called.sources:
            users = self._users.get(source, {})
            users.pop(key, None)
            if not users:
                self._users.pop(source, None)

    def _concerned(self, change: DocumentChange) -> set[ServiceKey]:
        """The services that a rule is, or was, about."""
        if self._governance is None or change.kind not in self._governance.kinds:
            return set()
        found: set[ServiceKey] = set()
        for document in (change.before, change.after):
            for target in () if document is None else document.targets:
                if ANY in target:
                    found |= {key for key, called in self._called.items() if _means(target, called.of)}
                else:
                    found |= {target, *self._users.get(target, ())}
        return found


def _means(target: ServiceKey, key: ServiceKey) -> bool:
    return target.namespace in (ANY, key.namespace) and target.name in (ANY, key.name)
