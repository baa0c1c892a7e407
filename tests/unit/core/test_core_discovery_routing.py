"""Rules applied to look-ups: who callers are taken for, what they are given, and who hears of a change."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_core_routing import Regex, groups, labels, lane_groups, places, routes
from world import CALLER, CONNECTED, LEASED, NAMESPACE, STANDING, Ear, World, doc

from polaris_bridge.core.model import (
    AddressKey,
    Caller,
    Document,
    Location,
    Registration,
    ServiceKey,
    ServiceRecord,
    Session,
)
from polaris_bridge.core.routing import known, model
from polaris_bridge.core.routing.classes import EVERYBODY
from polaris_bridge.core.routing.discovery import SWITCH, DiscoveryRouting
from polaris_bridge.core.routing.evaluate import evaluate
from polaris_bridge.core.routing.index import Index
from polaris_bridge.core.routing.lanes import Moment
from polaris_bridge.core.routing.model import (
    Condition,
    Group,
    Lane,
    LaneGroup,
    Nearby,
    Options,
    Route,
    Rules,
    Service,
    Source,
    Target,
)
from polaris_bridge.core.routing.ready import ReadyRules
from polaris_bridge.core.routing.scope import Scope
from polaris_bridge.core.routing.weights import HEAVIEST, best, place_of

SHOP, CART, WEB = (ServiceKey(NAMESPACE, name) for name in ("shop", "cart", "web"))
KIND = "rule"


class Plain:
    """Services as they stand: metadata are labels, an instance that is lost is not healthy."""

    def __init__(self, world: World) -> None:
        self._registry = world.registry
        self.nearby: set[ServiceKey] = set()
        self.read_ahead = 0

    def outline(self, key: ServiceKey) -> Service:
        return Service(key, (), nearby=key in self.nearby)

    def read(self, key: ServiceKey) -> Service:
        found = [t for place in self._registry.snapshot(key).addresses for t in self.at(key, place)]
        return Service(key, tuple(found), nearby=key in self.nearby)

    def ahead(self, key: ServiceKey) -> Generator[None, None, None] | None:
        return self._steps(key) if len(self._registry.snapshot(key).addresses) > 10 else None

    def _steps(self, key: ServiceKey) -> Generator[None, None, None]:
        for _ in self._registry.snapshot(key).addresses:
            self.read_ahead += 1
            yield

    def at(self, key: ServiceKey, place: AddressKey) -> tuple[Target, ...]:
        address = self._registry.snapshot(key).addresses.get(place)
        return tuple(map(_target, () if address is None else address.registrations[:1]))

    def labels(self, metadata: Mapping[str, str], host: str) -> Mapping[str, str]:
        return {**metadata, **({"$caller_ip": host} if host else {})}


def _target(r: Registration) -> Target:
    return Target(
        r.key, r.host, r.port, r.weight, r.lost_ms == 0 and "sick" not in r.metadata, r.reported != "up", r.metadata,
        r.location, r.vpc,
    )  # fmt: skip


class Book:
    """Rules that a test writes; a document tells that they changed."""

    kinds = frozenset({KIND})

    def __init__(self, world: World) -> None:
        self._world = world
        self.rules: dict[ServiceKey, Rules] = {}
        self._marks: dict[ServiceKey, int] = {}

    def revision(self) -> int:
        return self._world.registry.documents.revision(KIND)

    def of(self, service: ServiceKey) -> tuple[object, Callable[[], Rules]]:
        return self._marks.get(service, 0), lambda: self.rules.get(service, model.NO_RULES)

    def write(self, service: ServiceKey, rules: Rules, *about: ServiceKey) -> None:
        self.rules[service] = rules
        self._marks[service] = self._marks.get(service, 0) + 1
        document = Document(KIND, f"{service.name}", targets=(service, *about))
        self._world.registry.documents.put(document, CALLER)


class Town:
    """A registry with look-ups by rules."""

    def __init__(self, *, everywhere: bool = True, options: Options | None = None) -> None:
        self.world = World()
        self.registry = self.world.registry
        self.standing = Plain(self.world)
        self.book = Book(self.world)
        self.located: dict[str, Location] = {}
        self.routing = DiscoveryRouting(
            self.registry,
            self.standing,
            ReadyRules(self.book, Regex(), options),
            self.located.get,
            everywhere=everywhere,
        )

    def stand(self, service: ServiceKey, host: str, port: int = 80, source: str = STANDING, **changes: Any) -> None:
        key = f"{service.name}-{host}-{port}"
        self.world.register(doc(source, key, service=service.name, host=host, port=port, **changes))

    def write(self, service: ServiceKey, rules: Rules, *about: ServiceKey) -> None:
        self.book.write(service, rules, *about)
        self.world.settle()

    def given(self, caller: Caller, service: ServiceKey = SHOP) -> list[str]:
        subset = self.routing.subset(service, self.routing.classify(service, caller))
        return sorted(place.host for place in subset.addresses)


def to(version: str, **more: Any) -> Group:
    return Group(version, (Condition("version", version),), **more)


def by(service: str, *conditions: Condition) -> Source:
    return Source(NAMESPACE, service, conditions)


def route(*groups: Group, sources: tuple[Source, ...] = ()) -> Rules:
    return Rules((Route("r", "r.s", sources, groups),))


@pytest.fixture
def town() -> Town:
    """A shop of two versions, and two services that look for it."""
    town = Town()
    town.stand(SHOP, "1.0.0.1", metadata={"version": "v1"})
    town.stand(SHOP, "1.0.0.2", metadata={"version": "v2"})
    town.stand(CART, "2.0.0.1", metadata={"tier": "gold"})
    town.stand(CART, "2.0.0.2", metadata={"tier": "tin"})
    town.stand(WEB, "3.0.0.1")
    return town


def from_(address: str, **more: Any) -> Caller:
    return Caller("p", address, **more)


# -------------------------------------------------------------------------------------------------- whether


def test_a_service_says_itself_whether_it_is_routed() -> None:
    town = Town(everywhere=False)
    town.registry.put_service(ServiceRecord(NAMESPACE, "shop", {SWITCH: "true"}), CALLER)
    town.registry.put_service(ServiceRecord(NAMESPACE, "cart", {SWITCH: "false"}), CALLER)
    town.world.settle()
    on = town.routing.on
    assert [on(key, switched) for key in (SHOP, CART, WEB) for switched in (False, True)] == [
        True, True, False, False, False, True,
    ]  # fmt: skip
    assert town.routing.any_on(False)
    town.registry.put_service(ServiceRecord(NAMESPACE, "cart", {SWITCH: "perhaps"}), CALLER)
    town.world.settle()
    assert [on(CART, switched) for switched in (False, True)] == [False, True], "no word at all"
    town.registry.put_service(ServiceRecord(NAMESPACE, "shop"), CALLER)
    town.world.settle()
    assert not on(SHOP, False)
    assert not town.routing.any_on(False)


# -------------------------------------------------------------------------------------------------- who


def test_a_caller_is_who_registered_at_its_address(town: Town) -> None:
    town.write(SHOP, route(to("v2"), sources=(by("cart"),)))
    assert town.given(from_("2.0.0.1")) == ["1.0.0.2"]
    assert town.given(from_("3.0.0.1")) == ["1.0.0.1", "1.0.0.2"]
    assert town.given(from_("9.9.9.9")) == ["1.0.0.1", "1.0.0.2"]


def test_a_caller_is_who_its_connection_registered(town: Town) -> None:
    town.write(SHOP, route(to("v2"), sources=(by("cart"),)))
    town.registry.open_session("s9")
    town.stand(CART, "2.0.0.9", source=CONNECTED, liveness=Session("s9"))
    assert town.given(from_("127.0.0.1", client="s9")) == ["1.0.0.2"]
    assert town.given(from_("127.0.0.1", client="s8")) == ["1.0.0.1", "1.0.0.2"]


def test_what_a_call_says_goes_before_what_is_registered(town: Town) -> None:
    gold = by("cart", Condition("tier", "gold"))
    town.write(SHOP, route(to("v2"), sources=(gold,)))
    assert town.given(from_("2.0.0.1")) == ["1.0.0.2"]
    assert town.given(from_("2.0.0.2")) == ["1.0.0.1", "1.0.0.2"]
    assert town.given(from_("2.0.0.2", labels={"tier": "gold"})) == ["1.0.0.2"]
    assert town.given(from_("9.9.9.9", service=CART, labels={"tier": "gold"})) == ["1.0.0.2"]
    assert town.given(from_("2.0.0.1", service=WEB)) == ["1.0.0.1", "1.0.0.2"]


def test_of_several_services_at_one_address_none_is_taken_unless_one_protocol_names_one(town: Town) -> None:
    here = Location("r", "z", "c")
    town.stand(CART, "4.0.0.1", 81, source=LEASED, location=here)
    town.stand(WEB, "4.0.0.1", 82, location=here)
    town.write(SHOP, route(to("v2"), sources=(by("cart"),)))
    known = town.routing.known.who(from_("4.0.0.1"))
    assert known.who.service is None
    assert known.who.location == here
    assert "default/cart, default/web" in known.said
    assert town.given(Caller(LEASED, "4.0.0.1")) == ["1.0.0.2"]


def test_who_is_there_is_read_in_pieces_while_things_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "PIECE", 1)
    town = Town()
    for n in range(4):
        town.stand(CART, f"2.0.0.{n}")
    steps = town.routing.prepare()
    next(steps)
    town.world.deregister(doc(STANDING, "cart-2.0.0.3-80").id)
    town.world.deregister(doc(STANDING, "cart-2.0.0.0-80").id)
    town.stand(CART, "2.0.0.5")
    for _ in steps:
        pass
    there = [n for n in range(7) if town.routing.known.who(from_(f"2.0.0.{n}")).who.service == CART]
    assert there == [1, 2, 5]


def test_many_may_stand_at_one_address() -> None:
    town = Town()
    town.routing.known.who(from_("4.0.0.1"))
    for n in range(20):
        town.stand(CART, "4.0.0.1", n + 1)
    for n in range(20):
        assert town.routing.known.who(from_("4.0.0.1")).who.service == CART
        town.world.deregister(doc(STANDING, f"cart-4.0.0.1-{n + 1}").id)
    assert town.routing.known.who(from_("4.0.0.1")).who.service is None


def test_of_very_many_at_one_address_nobody_is_taken_for_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "MOST", 2)
    town = Town()
    town.registry.open_session("s9")
    for n in range(3):
        town.stand(CART, "4.0.0.1", n + 1)
        town.stand(CART, "2.0.0.9", n + 1, source=CONNECTED, liveness=Session("s9"))
    for caller in (from_("4.0.0.1"), from_("4.0.0.1", client="s9")):
        found = town.routing.known.who(caller)
        assert found.who.service is None
        assert "too many" in found.said
    assert town.routing.known.who(from_("4.0.0.1", service=WEB)).who.service == WEB


def test_what_the_server_registers_of_itself_does_not_count() -> None:
    town = Town()
    routing = DiscoveryRouting(
        town.registry, town.standing, town.routing.rules, town.located.get, everywhere=True, servers="servers"
    )
    town.stand(CART, "4.0.0.1", 81)
    town.stand(WEB, "4.0.0.1", 82, namespace="servers")
    assert routing.known.who(from_("4.0.0.1")).who.service == CART
    town.stand(WEB, "4.0.0.1", 83, namespace="servers")
    town.stand(WEB, "4.0.0.2", 83, namespace="servers")
    assert routing.known.who(from_("4.0.0.1")).who.service == CART
    assert routing.known.who(from_("4.0.0.2")).who.service is None
    assert town.routing.known.who(from_("4.0.0.1")).who.service is None


def test_labels_are_those_that_all_instances_at_an_address_have(town: Town) -> None:
    town.stand(CART, "2.0.0.1", 81, metadata={"tier": "gold", "env": "x"})
    who = town.routing.known.who(from_("2.0.0.1")).who
    assert who.labels == {"tier": "gold", "$caller_ip": "2.0.0.1"}


def test_a_place_is_what_the_call_says_else_what_is_registered_else_what_somebody_knows(town: Town) -> None:
    own, told, known = (Location(name) for name in ("own", "told", "known"))
    town.stand(CART, "5.0.0.1", location=own)
    town.located.update({"5.0.0.1": known, "6.0.0.1": known})
    place = lambda caller: town.routing.known.who(caller).who.location  # noqa: E731
    assert place(from_("5.0.0.1", location=told)) == told
    assert place(from_("5.0.0.1")) == own
    assert place(from_("6.0.0.1")) == known
    town.located["6.0.0.1"] = told
    assert place(from_("6.0.0.1")) == told


def test_whose_registration_changes_is_of_another_kind(town: Town) -> None:
    gold = by("cart", Condition("tier", "gold"))
    town.write(SHOP, route(to("v2"), sources=(gold,)))
    caller, told = from_("2.0.0.2"), []
    town.routing.known.followers.append(told.append)
    assert town.given(caller) == ["1.0.0.1", "1.0.0.2"]
    before = town.routing.moved(caller)
    town.stand(SHOP, "1.0.0.3", metadata={"version": "v1"})
    assert town.routing.moved(caller) == before
    town.stand(CART, "2.0.0.2", metadata={"tier": "gold"})
    assert town.routing.moved(caller) == town.registry.revision > before
    assert town.given(caller) == ["1.0.0.2"]
    town.world.deregister(doc(STANDING, "cart-2.0.0.2-80").id)
    assert town.given(caller) == ["1.0.0.1", "1.0.0.2", "1.0.0.3"]
    assert told == [("1.0.0.3",), ("2.0.0.2",), ("2.0.0.2",)]


def test_equal_kinds_are_one_object_and_hold_no_more_than_rules_look_at(town: Town) -> None:
    classify = town.routing.classify
    assert classify(SHOP, from_("2.0.0.1")) is EVERYBODY
    town.write(SHOP, route(to("v2"), sources=(by("cart", Condition("tier", "gold")),)))
    town.stand(CART, "2.0.0.3", metadata={"tier": "gold", "other": "1"})
    gold = classify(SHOP, from_("2.0.0.1"))
    assert gold is classify(SHOP, from_("2.0.0.3"))
    assert gold == (CART, (("tier", "gold"),), model.NOWHERE)
    assert classify(SHOP, from_("3.0.0.1")) is EVERYBODY
    assert classify(SHOP, from_("2.0.0.2")) is not gold
    assert town.routing.kinds == 2


def test_rules_of_a_caller_about_other_services_do_not_make_it_another_kind(town: Town) -> None:
    other = ServiceKey(NAMESPACE, "other")
    out = Group("v1", (Condition("version", "v1"),), namespace=NAMESPACE, service="other")
    town.write(CART, Rules(outbound=(Route("r", "r.s", (), (out,)),)))
    assert town.routing.classify(SHOP, from_("2.0.0.1")) is EVERYBODY
    assert town.routing.classify(other, from_("2.0.0.1")).service == CART


# -------------------------------------------------------------------------------------------------- what


def test_without_rules_the_whole_is_given(town: Town) -> None:
    subset = town.routing.subset(SHOP, EVERYBODY)
    snapshot = town.registry.snapshot(SHOP)
    assert subset.whole
    assert subset.of(snapshot) is snapshot
    assert dict(subset.addresses) == dict.fromkeys(snapshot.addresses, 100)
    assert town.routing.evaluations == 0


def test_a_rule_that_takes_nobody_away_leaves_the_whole(town: Town) -> None:
    town.write(SHOP, route(Group("all")))
    assert town.routing.subset(SHOP, EVERYBODY).whole


def test_who_belongs_to_a_group_stays_in_it_however_it_is(town: Town) -> None:
    for host, more in (("1.0.0.3", {"reported": "out_of_service"}), ("1.0.0.4", {"weight": 0})):
        town.stand(SHOP, host, metadata={"version": "v2"}, **more)
    town.stand(SHOP, "1.0.0.5", metadata={"version": "v2", "sick": ""})
    town.stand(SHOP, "1.0.0.6", metadata={"version": "v1"}, reported="out_of_service")
    town.write(SHOP, route(to("v2")))
    subset = town.routing.subset(SHOP, EVERYBODY)
    assert {place.host: weight for place, weight in subset.addresses.items()} == {
        "1.0.0.2": 100, "1.0.0.3": 100, "1.0.0.4": 0, "1.0.0.5": 100,
    }  # fmt: skip
    assert not subset.weighted


def test_groups_are_chosen_as_for_a_call(town: Town) -> None:
    """One in which nobody may be used is none; of several priorities, the first in which somebody is healthy."""
    town.stand(SHOP, "1.0.0.3", metadata={"version": "v3"}, reported="out_of_service")
    town.stand(SHOP, "1.0.0.4", metadata={"version": "v4", "sick": ""})
    town.write(SHOP, route(to("v3"), to("v4", priority=1), to("v2", priority=2)))
    assert town.given(from_("9.9.9.9")) == ["1.0.0.2"]
    town.write(SHOP, route(to("v3"), to("v4", priority=1)))
    assert town.given(from_("9.9.9.9")) == ["1.0.0.4"]
    town.write(SHOP, route(to("v3")))
    assert len(town.given(from_("9.9.9.9"))) == 4, "the route has nobody, so it does not count"


def test_nobody_is_given_when_the_rules_say_so() -> None:
    town = Town(options=Options(failover=model.NONE))
    town.stand(SHOP, "1.0.0.1", metadata={"version": "v1"})
    town.write(SHOP, route(to("v1"), sources=(by("cart"),)))
    subset = town.routing.subset(SHOP, EVERYBODY)
    assert (dict(subset.addresses), subset.whole) == ({}, False)
    assert "no failover" in subset.why
    assert subset.of(town.registry.snapshot(SHOP)).addresses == {}


def test_where_nobody_may_be_used_nothing_is_taken_away(town: Town) -> None:
    for host in ("1.0.0.1", "1.0.0.2"):
        town.stand(SHOP, host, reported="out_of_service", metadata={"version": "v1"})
    town.write(SHOP, route(to("v2")))
    assert town.routing.subset(SHOP, EVERYBODY).whole


def test_shares_become_weights(town: Town) -> None:
    town.stand(SHOP, "1.0.0.3", metadata={"version": "v1"})
    town.write(SHOP, route(to("v1", weight=90), to("v2", weight=10)))
    subset = town.routing.subset(SHOP, EVERYBODY)
    assert {place.host: weight for place, weight in subset.addresses.items()} == {
        "1.0.0.1": 450, "1.0.0.3": 450, "1.0.0.2": 100,
    }  # fmt: skip
    routed = subset.of(town.registry.snapshot(SHOP))
    assert [address.registrations[0].weight for address in routed.addresses.values()] == [450, 100, 450]
    town.stand(SHOP, "1.0.0.4", metadata={"version": "v3"})
    again = town.routing.subset(SHOP, EVERYBODY)
    assert again.revision == subset.revision, "nothing else is given"
    other = again.of(town.registry.snapshot(SHOP))
    assert all(other.addresses[place] is address for place, address in routed.addresses.items())


def test_shares_that_are_the_weights_already_leave_the_whole(town: Town) -> None:
    town.write(SHOP, route(to("v1", weight=50), to("v2", weight=50)))
    assert town.routing.subset(SHOP, EVERYBODY).whole


def test_a_lane_that_takes_some_calls_takes_none_until_it_takes_all(town: Town) -> None:
    town.stand(SHOP, "1.0.0.3", metadata={"lane": "blue"})
    gold = (Condition("tier", "gold"),)
    enter = (by("cart"),)

    def of(**more: Any) -> Rules:
        lane = Lane("blue", value="blue", conditions=gold, **more)
        return Rules(lanes=(LaneGroup("i", "team", enter, (SHOP,), (lane,)),))

    town.write(SHOP, of())
    assert town.given(from_("2.0.0.1")) == ["1.0.0.3"]
    assert town.given(from_("2.0.0.2")) == ["1.0.0.1", "1.0.0.2"]
    town.write(SHOP, of(percent=99))
    assert town.given(from_("2.0.0.1")) == ["1.0.0.1", "1.0.0.2"]
    town.write(SHOP, of(warm_ms=60_000, since_ms=town.world.clock.wall_ms()))
    assert town.given(from_("2.0.0.1")) == ["1.0.0.1", "1.0.0.2"]
    ear = Ear(town.registry, SHOP)
    ear.arm()
    town.world.pass_time(61)
    assert ear.fired == 1
    assert town.given(from_("2.0.0.1")) == ["1.0.0.3"]


# -------------------------------------------------------------------------------------------------- who hears of it


def test_whoever_waits_for_a_routed_service_hears_of_its_rules(town: Town) -> None:
    ears = [Ear(town.registry, key) for key in (SHOP, WEB)]
    for ear in ears:
        ear.arm()
    town.write(SHOP, route(to("v2")), CART)
    assert [ear.fired for ear in ears] == [1, 0]
    subset = town.routing.subset(SHOP, EVERYBODY)
    assert subset.revision >= town.book.revision()
    assert town.registry.snapshot(SHOP).revision >= subset.revision


def test_a_service_published_anew_is_as_it_was_and_nothing_is_stored(town: Town) -> None:
    registry, before = town.registry, town.registry.snapshot(SHOP)
    ear, told = Ear(registry, SHOP), []
    ear.arm()
    registry.observe(told.append)
    written = len(town.world.store.appends)
    with town.world.slow_store():
        town.stand(SHOP, "1.0.0.9")
        assert registry.touch([SHOP, ServiceKey(NAMESPACE, "nobody")]) == registry.revision
        after = registry.snapshot(SHOP)
        assert (after.revision, after.addresses) == (registry.revision, before.addresses)
        assert (told[0].services, told[0].changes) == ((SHOP,), ())
        assert ear.fired == 1
    assert AddressKey("1.0.0.9", 80) in registry.snapshot(SHOP).addresses, "what was under way is not lost"
    assert registry.snapshot(SHOP).revision > after.revision
    assert len(town.world.store.appends) == written + 1
    assert registry.touch([]) == registry.revision
    assert len(told) == 2


def test_many_instances_are_read_in_pieces_before_anybody_hears(town: Town) -> None:
    for n in range(30):
        town.stand(SHOP, f"1.0.1.{n}")
    ear = Ear(town.registry, SHOP)
    ear.arm()
    town.book.write(SHOP, route(to("v2")))
    turns = 0
    while not ear.fired:
        assert town.world.runs.step()
        turns += 1
    assert town.standing.read_ahead == 32
    assert turns >= 5
    for _ in town.routing.prepare():
        pass
    assert town.standing.read_ahead == 64, "before the listeners open, too"


def test_nobody_hears_of_rules_about_what_is_not_routed() -> None:
    town = Town(everywhere=False)
    town.stand(SHOP, "1.0.0.1")
    before = town.registry.snapshot(SHOP)
    town.write(SHOP, route(to("v2")))
    assert town.registry.snapshot(SHOP) is before


def test_rules_for_a_whole_namespace_are_heard_by_all_of_it(town: Town) -> None:
    before = {key: town.registry.revision_of(key) for key in (SHOP, WEB)}
    town.write(ServiceKey(NAMESPACE, "*"), model.NO_RULES)
    assert all(town.registry.revision_of(key) > before[key] for key in before)


def test_rules_of_a_caller_are_heard_by_who_waits_for_what_it_calls(town: Town) -> None:
    out = Rules(outbound=(Route("r", "r.s", (), (to("v1"),)),))
    town.write(CART, out)
    assert town.given(from_("2.0.0.1")) == ["1.0.0.1"]
    ear = Ear(town.registry, SHOP)
    ear.arm()
    town.write(CART, Rules(outbound=(Route("r", "r.s", (), (to("v2"),)),)))
    assert ear.fired == 1
    assert town.given(from_("2.0.0.1")) == ["1.0.0.2"]


def test_revisions_grow_when_something_else_is_given_and_only_then(town: Town) -> None:
    subset = lambda: town.routing.subset(SHOP, EVERYBODY)  # noqa: E731
    seen = [subset().revision]
    for version in ("v1", "v2", "v2"):
        town.write(SHOP, route(to(version)))
        seen.append(subset().revision)
    town.stand(SHOP, "1.0.0.9", metadata={"version": "v1"})
    seen.append(subset().revision)
    town.write(SHOP, model.NO_RULES)
    seen.append(subset().revision)
    assert seen == sorted(seen)
    assert [a < b for a, b in pairwise(seen)] == [True, True, False, False, True]


# -------------------------------------------------------------------------------------------------- why


def test_what_is_given_is_explained(town: Town) -> None:
    town.write(SHOP, route(to("v2"), sources=(by("cart", Condition("$header.user", "x")),)))
    told = town.routing.explain(SHOP, from_("2.0.0.1"))
    assert told.on
    assert told.said == "default/cart, by what 2.0.0.1 registered"
    assert told.subset.whole
    assert any("the call does not tell $header.user" in step.text for step in told.decision.steps)


# -------------------------------------------------------------------------------------------------- any rules

found = st.lists(
    st.tuples(st.sampled_from((0, 1, 100, 10_000)), st.booleans(), st.booleans(), labels, places), max_size=6
)
callers = st.tuples(st.sampled_from((None, CART)), labels, places)
rulesets = st.builds(
    Rules,
    st.lists(routes, max_size=3).map(tuple),
    st.lists(routes, max_size=2).map(tuple),
    st.none() | st.builds(Nearby, st.just("n"), st.integers(0, 3), st.just(0)),
    st.none(),
    st.lists(lane_groups, max_size=1).map(tuple),
)


def populated(instances: list[tuple[int, bool, bool, dict[str, str], Location]]) -> Town:
    town = Town()
    for n, (weight, healthy, isolated, metadata, place) in enumerate(instances):
        metadata = metadata if healthy else {**metadata, "sick": ""}
        word = "out_of_service" if isolated else "up"
        town.stand(SHOP, f"1.0.0.{n}", metadata=metadata, weight=weight, reported=word, location=place)
    return town


@given(found, rulesets, rulesets, callers)
@settings(max_examples=80, deadline=None)
def test_a_kind_is_given_what_any_caller_of_it_is_sent_to(
    instances: list[Any], callee: Rules, caller: Rules, who: tuple[ServiceKey | None, dict[str, str], Location]
) -> None:
    town = populated(instances)
    town.write(SHOP, callee)
    town.write(CART, caller)
    service, metadata, place = who
    asker = Caller("p", "", service=service, labels=metadata, location=place)
    traveller = town.routing.known.who(asker).who
    subset = town.routing.subset(SHOP, town.routing.classify(SHOP, asker))
    scope = Scope(town.routing, NAMESPACE, True)
    kind = scope.kind_of(asker)
    given = scope.subset(SHOP, kind)
    assert given is not None
    assert given.same(subset), "one of many in one answer"
    reach = scope.reach(kind)
    assert subset.whole or reach is None or SHOP in reach
    index = Index(town.standing.read(SHOP))
    ready = town.routing.rules.of
    calling = None if service is None else ready(CART)
    moment = Moment(town.world.clock.wall_ms(), lambda below: below - 1)
    decision = evaluate(index, ready(SHOP), calling, traveller, Options(), Regex(), moment)
    tier = best(decision.tiers)
    sent = set() if tier is None else {place_of(t) for share in tier.shares for t in share.targets}
    usable = {place_of(target) for target in index.targets if target.usable}
    assert sent <= set(subset.addresses)
    if not usable:
        assert subset.whole
    elif not sent:
        assert subset.addresses == {}
        assert subset.why
    healthy = {place_of(target) for target in index.targets if target.usable and target.healthy}
    if sent & healthy:
        assert set(subset.addresses) & healthy == sent, "nobody healthy is given whom calls are not sent to"
    if usable and not (callee.lanes or caller.lanes):
        assert subset.addresses, "nobody is left without anybody unless a rule says so"


@given(found, st.lists(groups, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_weights_keep_the_proportions_of_groups(instances: list[Any], among: list[Group]) -> None:
    town = populated(instances)
    town.write(SHOP, route(*among))
    subset = town.routing.subset(SHOP, EVERYBODY)
    if not subset.weighted:
        return
    index = Index(town.standing.read(SHOP))
    decision = evaluate(
        index, town.routing.rules.of(SHOP), None, model.Traveller(), Options(), Regex(), Moment(0, lambda n: n - 1)
    )
    tier = best(decision.tiers)
    assert tier is not None
    total = sum(share.weight for share in tier.shares)
    wanted: dict[AddressKey, float] = {}
    for share in tier.shares:
        own = sum(t.weight for t in share.targets)
        for t in share.targets:
            wanted[place_of(t)] = wanted.get(place_of(t), 0) + share.weight / total * t.weight / own
    got = {place: subset.addresses[place] for place in wanted}
    heaviest = max(subset.addresses.values())
    assert 0 < min(got.values()) <= heaviest <= HEAVIEST
    least = min(got.values())
    for place, part in wanted.items():
        share = got[place] / sum(got.values())
        assert share == pytest.approx(part, rel=0.02) or least == 1 or heaviest == HEAVIEST
