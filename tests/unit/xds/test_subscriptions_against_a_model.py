"""Whatever clients subscribe to and whatever changes: when all is said, a client has what it wants as the world has it."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from xds_stage import Client, Response, Stage

from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.adapters.xds.wire.types import ASSIGNMENT, CLUSTER, LISTENER, ROUTES

TYPES = (CLUSTER, ASSIGNMENT, LISTENER, ROUTES)
NAMES = ("a", "b", "c", "d")
kinds = st.sampled_from(TYPES)
sets = st.frozensets(st.sampled_from(NAMES), max_size=4)


class Wish:
    """What a client wants of one type, and what it has."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self.star = False
        self.named = False
        self.nonce = ""
        self.has: dict[str, str] = {}
        self.unsaid: Response | None = None


class Conversation(RuleBasedStateMachine):
    """One client of either variant against one world."""

    delta = False

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.client: Client = self.stage.client(delta=self.delta)
        self.wishes: dict[str, Wish] = {}
        self.content = 0

    # -------------------------------------------------------------- the world

    @rule(changes=st.lists(st.tuples(kinds, st.sampled_from(NAMES), st.booleans()), min_size=1, max_size=6))
    def change(self, changes: list[tuple[str, str, bool]]) -> None:
        self.content += 1
        self.stage.world.put(*((kind, name, str(self.content) if there else None) for kind, name, there in changes))

    @rule()
    def time_passes(self) -> None:
        self.stage.scheduler.settle(1.0)

    @rule()
    def one_thing_runs(self) -> None:
        self.stage.scheduler.step()

    # -------------------------------------------------------------- the client

    @rule()
    def reads(self) -> None:
        for response in self.client.take():
            self._apply(response)

    def _apply(self, response: Response) -> None:
        wish = self.wishes[response.type_url]
        wanted = {n: v for n, v in response.contents.items() if self._wants(response.type_url, wish, n)}
        if not self.delta and response.type_url in types.FULL:
            wish.has = wanted
        else:
            wish.has |= wanted
        for name in response.removed:
            wish.has.pop(name, None)
        wish.nonce = response.nonce
        wish.unsaid = response

    def _wants(self, type_url: str, wish: Wish, name: str) -> bool:
        return name in wish.names or self._wild(type_url, wish)

    def _wild(self, type_url: str, wish: Wish) -> bool:
        if self.delta:
            return wish.star
        return wish.star or (not wish.named and type_url in types.FULL)

    @rule(kind=kinds, refuses=st.booleans())
    def says_something(self, kind: str, refuses: bool) -> None:
        wish = self.wishes.get(kind)
        if wish is not None and wish.unsaid is not None:
            self._say(kind, wish, "no" if refuses else None)

    def _say(self, kind: str, wish: Wish, error: str | None = None) -> None:
        said, wish.unsaid = wish.unsaid, None
        assert said is not None
        if self.delta:
            self._send(type_url=kind, response_nonce=said.nonce, error=error)
        else:
            self._send(type_url=kind, resource_names=self._names(wish), response_nonce=said.nonce, error=error)

    def _names(self, wish: Wish) -> list[str]:
        return [*sorted(wish.names), *(["*"] if wish.star else [])]

    def _send(self, error: str | None = None, **fields: Any) -> None:
        from polaris_bridge.adapters.xds.wire import messages

        kind = messages.discovery.DeltaDiscoveryRequest if self.delta else messages.discovery.DiscoveryRequest
        request = kind(**fields)
        if error is not None:
            request.error_detail.message = error
        answer = self.client.stream.receive(request.SerializeToString())
        if answer is not None:
            self.client.sink.send(answer)

    # -------------------------------------------------------------- the end

    def teardown(self) -> None:
        for _ in range(40):
            self.stage.scheduler.settle(1.0)
            self.reads()
            for kind, wish in self.wishes.items():
                if wish.unsaid is not None:
                    self._say(kind, wish)
        view = self.stage.world.at()
        for kind, wish in self.wishes.items():
            everything = view.all(kind)
            names = set(everything) if self._wild(kind, wish) else set()
            want = {n: r.version for n in names | wish.names if (r := everything.get(n)) is not None}
            if not self.delta and kind not in types.FULL:
                wish.has = {n: v for n, v in wish.has.items() if n in want}  # it cannot be told that something is gone
            assert wish.has == want, kind
        self.client.stream.close()
        assert self.stage.world.at().users == 0


class StateOfTheWorld(Conversation):
    """A client that names everything it wants each time."""

    @rule(kind=kinds, names=sets, star=st.booleans())
    def wants(self, kind: str, names: frozenset[str], star: bool) -> None:
        wish = self.wishes.setdefault(kind, Wish())
        self.reads()
        wish.names, wish.star = names, star
        wish.named = wish.named or bool(names) or star
        wish.has = {n: v for n, v in wish.has.items() if self._wants(kind, wish, n)}
        wish.unsaid = None
        self._send(type_url=kind, resource_names=self._names(wish), response_nonce=wish.nonce)


class Delta(Conversation):
    """A client that names what differs."""

    delta = True

    @rule(kind=kinds, names=sets, star=st.booleans(), known=st.booleans())
    def begins(self, kind: str, names: frozenset[str], star: bool, known: bool) -> None:
        if kind in self.wishes:
            return
        wish = self.wishes[kind] = Wish()
        wish.names = names
        wish.star = star or (not names and kind in types.FULL)
        if known:
            wish.has = {name: "elsewhere" for name in NAMES if wish.star or name in names}
        subscribe = [*names, *(["*"] if star else [])]
        self._send(type_url=kind, resource_names_subscribe=subscribe, initial_resource_versions=wish.has)

    @precondition(lambda self: self.wishes)
    @rule(data=st.data(), names=sets, star=st.booleans())
    def subscribes(self, data: st.DataObject, names: frozenset[str], star: bool) -> None:
        kind = data.draw(st.sampled_from(sorted(self.wishes)))
        wish = self.wishes[kind]
        wish.names |= names
        wish.star = wish.star or star
        self._send(type_url=kind, resource_names_subscribe=[*names, *(["*"] if star else [])])

    @precondition(lambda self: self.wishes)
    @rule(data=st.data(), names=sets, star=st.booleans())
    def unsubscribes(self, data: st.DataObject, names: frozenset[str], star: bool) -> None:
        kind = data.draw(st.sampled_from(sorted(self.wishes)))
        wish = self.wishes[kind]
        self.reads()
        wish.names -= names
        wish.star = wish.star and not star
        wish.has = {n: v for n, v in wish.has.items() if self._wants(kind, wish, n)}
        self._send(type_url=kind, resource_names_unsubscribe=[*names, *(["*"] if star else [])])


limits = settings(max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
TestStateOfTheWorld = StateOfTheWorld.TestCase
TestStateOfTheWorld.settings = limits
TestDelta = Delta.TestCase
TestDelta.settings = limits
