"""Random clients, outages and crashes on model registries joined by bridges in any shape: everything comes to rest with each
instance listed once, nothing echoes, and no bridge ever touches what a client registered."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from model_registries import Bridge, Crash, ModelRegistry, at

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.migration.model import Bounds, Instance, Place, Task

SERVICES = (ServiceKey("default", "orders"), ServiceKey("default", "users"))
GENEROUS = Bounds(hold_s=60, confirm_s=30, mass_least=1000)
HOSTS = st.integers(1, 4)


class Bridged(RuleBasedStateMachine):
    """Three registries, of which one keeps shadows, and any set of tasks between them."""

    @initialize(edges=st.sets(st.permutations(range(3)).map(lambda p: (p[0], p[1])), min_size=1))
    def start(self, edges: set[tuple[int, int]]) -> None:
        self.registries = [ModelRegistry("a"), ModelRegistry("b"), ModelRegistry("c", shadows=True)]
        self.clients: dict[tuple[int, ServiceKey, str], Instance] = {}
        self.now_ms = 1_000_000
        self.bridges = []
        for i, j in sorted(edges):
            source, target = self.registries[i], self.registries[j]
            task = Task(id=f"{source.id}-{target.id}", source=source.id, target=target.id, bounds=GENEROUS)
            self.bridges.append(Bridge(task, source, target))

    # ------------------------------------------------------------------ what happens

    @rule(where=st.integers(0, 2), service=st.sampled_from(SERVICES), host=HOSTS, weight=st.sampled_from((50, 100)))
    def register(self, where: int, service: ServiceKey, host: int, weight: int) -> None:
        """A client registers, or changes what it says."""
        instance = at(host, weight=weight)
        self.registries[where].register(service, instance)
        self.clients[(where, service, f"{instance.host}:{instance.port}")] = instance

    @rule(data=st.data())
    def deregister(self, data: st.DataObject) -> None:
        """A client leaves."""
        if self.clients:
            where, service, id = data.draw(st.sampled_from(sorted(self.clients)))
            self.registries[where].deregister(service, id)
            del self.clients[(where, service, id)]

    @rule(where=st.integers(0, 2), up=st.booleans())
    def outage(self, where: int, up: bool) -> None:
        """A registry does not answer, or answers again."""
        self.registries[where].up = up

    @rule(which=st.integers(0, 5), after=st.integers(0, 3))
    def crash(self, which: int, after: int) -> None:
        """A bridge dies in the middle of its round."""
        left = iter([True] * after)
        bridge = self.bridges[which % len(self.bridges)]
        try:
            bridge.run(self.now_ms, lambda: next(left, False))
        except Crash:
            bridge.missing = {}

    @rule(which=st.integers(0, 5), seconds=st.integers(0, 90))
    def round(self, which: int, seconds: int) -> None:
        """A bridge works."""
        self.now_ms += seconds * 1000
        self.bridges[which % len(self.bridges)].run(self.now_ms)

    @rule()
    def rest(self) -> None:
        """Nothing changes for long: both sides of every bridge agree, and then nobody writes any more."""
        for registry in self.registries:
            registry.up = True
        for _ in range(12):
            self.now_ms += 61_000
            written = [bridge.run(self.now_ms) for bridge in self.bridges]
        assert written == [0] * len(self.bridges), "somebody still writes"
        self._each_once()

    # ------------------------------------------------------------------ what holds

    @invariant()
    def natives_untouched(self) -> None:
        """What clients registered is there as they said it, and nothing else counts as registered."""
        for where, registry in enumerate(getattr(self, "registries", ())):
            expected = {
                (service, instance.place): instance
                for (at_, service, _), instance in self.clients.items()
                if at_ == where
            }
            assert registry.natives() == expected

    def _each_once(self) -> None:
        reach = self._reach()
        for where, registry in enumerate(self.registries):
            expected = {
                (service, instance.place)
                for (at_, service, _), instance in self.clients.items()
                if at_ == where or where in reach[at_]
            }
            listed = [
                (service, Place(*record.instance.place))
                for service, records in registry.listed().items()
                for record in records
            ]
            assert len(listed) == len(set(listed)), f"{registry.id} lists an instance twice"
            assert set(listed) == expected, registry.id

    def _reach(self) -> list[set[int]]:
        """Where an instance of each registry gets by the tasks."""
        reach = []
        for start in range(3):
            found, todo = {start}, [start]
            while todo:
                i = todo.pop()
                for bridge in self.bridges:
                    j = self.registries.index(bridge.target)
                    if bridge.source is self.registries[i] and j not in found:
                        found.add(j)
                        todo.append(j)
            reach.append(found)
        return reach


Bridged.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestBridged = Bridged.TestCase
