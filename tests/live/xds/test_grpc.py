"""gRPC's own xDS clients: whom they call, and how soon after a change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ..polaris.console import Console
from ..server import Server
from ..waiting import until
from . import rules
from .backends import ECHO, GrpcBackend
from .callers import CHANGES_WITHIN_S, CONNECTS_WITHIN_S, PLACE, Caller
from .conftest import RUN
from .registries import Door, doors

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]
KEEPS_THE_LAST = {"grpc-java-1.84.0"}
"""A library that goes on calling endpoints that it was told are gone, as long as they answer."""
MISSES_WHAT_COMES_BACK = {"grpc-js"}
"""A library that keeps what was deleted, and so finds nothing new when the same comes again; a new channel does."""
NewBackend = Callable[[str], GrpcBackend]


@pytest.fixture(scope="module")
def entrances(server: Server) -> Iterator[dict[str, Door]]:
    with ExitStack() as stack:
        yield doors(server, stack)


@pytest.fixture
def target(service: str) -> str:
    return f"xds:///{service}.default"


def test_calls_are_balanced(
    caller: Caller, console: Console, service: str, target: str, grpc_backend: NewBackend
) -> None:
    for name in "abc":
        console.register(service, grpc_backend(name).port)
    caller.reaches(target, {"a", "b", "c"}, CONNECTS_WITHIN_S)
    outcome = caller.call(target, 60)
    assert outcome.failures == {}
    assert all(15 <= outcome.answers[name] <= 25 for name in "abc"), outcome


def test_weights_are_honoured_and_change(
    caller: Caller, console: Console, service: str, target: str, grpc_backend: NewBackend
) -> None:
    """A weight of its own puts an instance into a locality of its own; localities are drawn."""
    light, heavy = grpc_backend("light"), grpc_backend("heavy")
    console.register(service, light.port, weight=50)
    console.register(service, heavy.port, weight=150)
    caller.reaches(target, {"light", "heavy"}, CONNECTS_WITHIN_S)
    # Of 200 calls 150 are expected, with a deviation of 6.1.
    outcome = caller.call(target, 200)
    assert outcome.failures == {}
    assert 119 <= outcome.answers["heavy"] <= 181, outcome
    console.change(service, light.port, weight=1350)
    until(
        lambda: caller.call(target, 40).answers.get("light", 0) > 28, CHANGES_WITHIN_S, "most calls go to the light one"
    )


@pytest.mark.parametrize(
    "form", ["{}", "{}.default", "{}.default.svc", "{}.default.svc.cluster.local", "{}.default:80"]
)
def test_every_form_of_a_name(
    caller: Caller, console: Console, service: str, grpc_backend: NewBackend, form: str
) -> None:
    console.register(service, grpc_backend("a").port)
    caller.reaches(f"xds:///{form.format(service)}", {"a"}, CONNECTS_WITHIN_S)
    caller.hang_up(f"xds:///{form.format(service)}")


def test_names_with_dots_and_capitals(caller: Caller, console: Console, grpc_backend: NewBackend) -> None:
    service = f"Team.Shop_{RUN}-{caller.name}"
    console.register(service, grpc_backend("a").port)
    caller.reaches(f"xds:///{service}.default", {"a"}, CONNECTS_WITHIN_S)


def test_namespaces_are_apart(
    caller: Caller, console: Console, service: str, target: str, grpc_backend: NewBackend
) -> None:
    namespace = f"far-{service}"
    console.write("POST", "/naming/v1/namespaces", {"name": namespace})
    console.register(service, grpc_backend("here").port)
    console.register(service, grpc_backend("there").port, namespace)
    caller.reaches(target, {"here"}, CONNECTS_WITHIN_S)
    caller.reaches(f"xds:///{service}.{namespace}", {"there"}, CONNECTS_WITHIN_S)


@pytest.mark.parametrize("protocol", ["native", "eureka", "nacos", "consul"])
def test_traffic_follows_who_comes_and_goes(
    caller: Caller, entrances: dict[str, Door], service: str, grpc_backend: NewBackend, protocol: str
) -> None:
    door, first, second = entrances[protocol], grpc_backend("first"), grpc_backend("second")
    target = f"xds:///{door.named(service)}"
    door.register(service, first.port)
    caller.reaches(target, {"first"}, CONNECTS_WITHIN_S)
    door.register(service, second.port)
    caller.reaches(target, {"first", "second"})
    door.deregister(service, first.port)
    caller.reaches(target, {"second"})
    assert caller.call(target, 20).failures == {}


def test_one_service_of_several_registries(
    caller: Caller, entrances: dict[str, Door], service: str, grpc_backend: NewBackend
) -> None:
    """Names of Eureka are those of the other protocols where they differ only in case."""
    for protocol in ("native", "nacos", "consul"):
        entrances[protocol].register(service, grpc_backend(protocol).port)
    caller.reaches(f"xds:///{service}.default", {"native", "nacos", "consul"}, CONNECTS_WITHIN_S)


@pytest.mark.parametrize(
    "away", [{"isolate": True}, {"healthy": False}, {"weight": 0}], ids=["isolated", "sick", "weightless"]
)
def test_who_should_not_be_called_is_not(
    caller: Caller, console: Console, service: str, target: str, grpc_backend: NewBackend, away: dict[str, object]
) -> None:
    ports = [grpc_backend(name).port for name in ("good", "bad")]
    for port in ports:
        console.register(service, port)
    caller.reaches(target, {"good", "bad"}, CONNECTS_WITHIN_S)
    console.change(service, ports[1], **away)
    caller.reaches(target, {"good"})
    console.change(service, ports[1], isolate=False, healthy=True, weight=100)
    caller.reaches(target, {"good", "bad"})


def test_a_rule_by_header_moves_calls(
    caller: Caller, console: Console, service: str, target: str, grpc_backend: NewBackend
) -> None:
    for version in ("v1", "v2"):
        console.register(service, grpc_backend(version).port, metadata={"version": version})
    caller.reaches(target, {"v1", "v2"}, CONNECTS_WITHIN_S)
    to_second = rules.route([rules.argument("HEADER", "x-user", "jane")], rules.group(service, version="v2"))
    rule = console.add_rule(rules.ROUTINGS, rules.routing(service, to_second))
    caller.reaches(target, {"v2"}, x_user="jane")
    caller.reaches(target, {"v1", "v2"}, x_user="john")
    console.remove_rule(rules.ROUTINGS, rule)
    caller.reaches(target, {"v1", "v2"}, x_user="jane")


def test_a_rule_by_method_moves_calls(
    caller: Caller, console: Console, service: str, target: str, grpc_backend: NewBackend
) -> None:
    for version in ("v1", "v2"):
        console.register(service, grpc_backend(version).port, metadata={"version": version})
    caller.reaches(target, {"v1", "v2"}, CONNECTS_WITHIN_S)
    to_second = rules.route([rules.argument("PATH", "", "/live.Echo/Pay")], rules.group(service, version="v2"))
    rule = console.add_rule(rules.ROUTINGS, rules.routing(service, to_second))
    until(lambda: caller.call(target, 12, path="/live.Echo/Pay").names == {"v2"}, CHANGES_WITHIN_S, "paid at v2")
    assert caller.call(target, 20, path=ECHO).names == {"v1", "v2"}
    console.remove_rule(rules.ROUTINGS, rule)


def test_a_rule_has_shares(
    caller: Caller, console: Console, service: str, target: str, grpc_backend: NewBackend
) -> None:
    for version in ("v1", "v2"):
        console.register(service, grpc_backend(version).port, metadata={"version": version})
    caller.reaches(target, {"v1", "v2"}, CONNECTS_WITHIN_S)
    groups = rules.group(service, 90, version="v1"), rules.group(service, 10, version="v2")
    rule = console.add_rule(rules.ROUTINGS, rules.routing(service, rules.route([], *groups)))

    def shared() -> bool:
        return caller.call(target, 100).answers.get("v1", 0) > 70

    until(shared, CHANGES_WITHIN_S, "most calls go to the first")
    # Of 300 calls 30 are expected at the second, with a deviation of 5.2.
    outcome = caller.call(target, 300)
    assert outcome.failures == {}
    assert 5 <= outcome.answers.get("v2", 0) <= 60, outcome
    console.remove_rule(rules.ROUTINGS, rule)


def test_a_lane_keeps_its_calls(
    caller: Caller, console: Console, service: str, target: str, grpc_backend: NewBackend
) -> None:
    """Which service a gRPC client is, is said by the name of its cluster."""
    console.register(service, grpc_backend("base").port)
    console.register(service, grpc_backend("blue").port, metadata={"lane": "blue"})
    caller.reaches(target, {"base", "blue"}, CONNECTS_WITHIN_S)
    blue = rules.lane("blue", rules.argument("HEADER", "x-user", "jane"))
    group = rules.lanes(service, caller.name, service, blue)
    created = console.add_rule(rules.LANES, group)
    caller.reaches(target, {"blue"}, x_user="jane")
    caller.reaches(target, {"base"}, x_user="john")
    caller.reaches(target, {"blue"}, service_lane="blue")
    caller.reaches(target, {"base"}, x_user="jane", service_lane="elsewhere/red")
    console.write("POST", f"{rules.LANES}/delete", {"id": created, "name": group["name"]})
    caller.reaches(target, {"base", "blue"}, x_user="jane")


def test_calls_stay_nearby(
    caller: Caller, console: Console, service: str, target: str, grpc_backend: NewBackend
) -> None:
    near, far, (region, zone, _) = grpc_backend("near"), grpc_backend("far"), PLACE
    console.register(service, near.port, location={"region": region, "zone": zone, "campus": "another"})
    console.register(service, far.port, location={"region": "west", "zone": "west-1", "campus": "west-1-a"})
    caller.reaches(target, {"near", "far"}, CONNECTS_WITHIN_S)
    rule = console.add_rule(rules.ROUTINGS, rules.nearby(service))
    caller.reaches(target, {"near"})
    console.change(service, near.port, healthy=False)
    caller.reaches(target, {"far"})
    console.change(service, near.port, healthy=True)
    caller.reaches(target, {"near"})
    console.remove_rule(rules.ROUTINGS, rule)
    caller.reaches(target, {"near", "far"})


def test_a_service_is_emptied_and_refilled(
    caller: Caller, console: Console, service: str, target: str, grpc_backend: NewBackend
) -> None:
    first, second = grpc_backend("first"), grpc_backend("second")
    console.register(service, first.port)
    caller.reaches(target, {"first"}, CONNECTS_WITHIN_S)
    console.delete(service, first.port)
    if caller.name not in KEEPS_THE_LAST:
        caller.reaches(target, {"UNAVAILABLE"}, times=2)
    console.register(service, second.port)
    caller.reaches(target, {"second"})


def test_a_service_is_deleted_and_made_again(
    caller: Caller, console: Console, service: str, target: str, grpc_backend: NewBackend
) -> None:
    first, neighbour = grpc_backend("first"), grpc_backend("neighbour")
    other = f"xds:///{service}-other.default"
    console.register(service, first.port)
    console.register(f"{service}-other", neighbour.port)
    caller.reaches(target, {"first"}, CONNECTS_WITHIN_S)
    caller.reaches(other, {"neighbour"}, CONNECTS_WITHIN_S)
    console.delete(service, first.port)
    console.write("POST", "/naming/v1/services/delete", {"name": service, "namespace": "default"})
    caller.reaches(target, {"UNAVAILABLE"}, times=2)
    assert caller.call(other, 20).names == {"neighbour"}
    if caller.name in MISSES_WHAT_COMES_BACK:
        caller.hang_up(target)
    console.register(service, grpc_backend("again").port)
    caller.reaches(target, {"again"}, CONNECTS_WITHIN_S)
    assert caller.call(other, 20).names == {"neighbour"}


def test_a_service_that_comes_later(
    caller: Caller, console: Console, service: str, target: str, grpc_backend: NewBackend
) -> None:
    """A name that is not there is no answer for ever; calls wait or fail, and begin when it comes."""
    outcome = caller.call(target, 1, within_s=1)
    assert outcome.answers == {}
    console.register(service, grpc_backend("late").port)
    started = time.monotonic()
    caller.reaches(target, {"late"}, CONNECTS_WITHIN_S)
    assert time.monotonic() - started < CONNECTS_WITHIN_S


def test_one_that_fails_is_put_aside(
    caller: Caller, console: Console, service: str, target: str, grpc_backend: NewBackend
) -> None:
    """gRPC counts shares of failures only; it looks every ten seconds unless a rule says otherwise."""
    good, bad = grpc_backend("good"), grpc_backend("bad")
    for one in (good, bad):
        console.register(service, one.port)
    rule = rules.breaker(service, 5)
    rule["block_configs"][0]["trigger_conditions"] = [rules.by_share(50, 5) | {"interval": 1}]
    created = console.add_rule(rules.BREAKERS, rule)
    caller.reaches(target, {"good", "bad"}, CONNECTS_WITHIN_S)
    bad.fails = True
    caller.reaches(target, {"good"}, 15, times=40)
    console.remove_rule(rules.BREAKERS, created)
