"""A real Envoy before an application: whom it calls for it, what it lets in, and how soon after a change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..conftest import build
from ..polaris.console import Console
from ..server import Server
from ..waiting import until
from . import rules
from .backends import HttpBackend
from .callers import CHANGES_WITHIN_S, PLACE
from .conftest import RUN
from .programs import ENVOY
from .sidecar import STYLES, Sidecar

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]
NewBackend = Callable[[str], HttpBackend]
ME = f"web-{RUN}"


@pytest.fixture(scope="module", params=STYLES)
def shared(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sidecar]:
    build(ENVOY)
    folder = tmp_path_factory.mktemp(f"envoy-{request.param}")
    made = Sidecar(ME, server.port, folder, style=request.param, locality=PLACE)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def sidecar(shared: Sidecar) -> Iterator[Sidecar]:
    """Whatever a test did, Envoy has taken everything that it was sent."""
    yield shared
    assert shared.complaints() == []
    assert shared.warnings() == []


def test_calls_are_balanced_by_weight(
    sidecar: Sidecar, console: Console, service: str, http_backend: NewBackend
) -> None:
    light, heavy = http_backend("light"), http_backend("heavy")
    console.register(service, light.port, weight=50)
    console.register(service, heavy.port, weight=150)
    sidecar.reaches(service, {"light", "heavy"})
    outcome = sidecar.call(service, 100)
    assert outcome.failures == {}
    assert 70 <= outcome.answers["heavy"] <= 80, outcome
    console.change(service, light.port, weight=1350)
    until(lambda: sidecar.call(service, 40).answers.get("light", 0) > 30, CHANGES_WITHIN_S, "most go to the light one")


def test_every_form_of_a_name(sidecar: Sidecar, console: Console, service: str, http_backend: NewBackend) -> None:
    port = http_backend("a").port
    console.register(service, port)
    sidecar.reaches(service, {"a"})
    for form in ("{}", "{}.default", "{}.default.svc", "{}.default.svc.cluster", "{}.default.svc.cluster.local"):
        for host in (form.format(service), form.format(service).upper(), f"{form.format(service)}:{port}"):
            assert sidecar.call(host, 2).names == {"a"}, host


def test_namespaces_are_apart_unless_one_exports(
    sidecar: Sidecar, console: Console, service: str, http_backend: NewBackend
) -> None:
    namespace = f"far-{service}"
    console.write("POST", "/naming/v1/namespaces", {"name": namespace})
    console.register(service, http_backend("there").port, namespace)
    console.register(f"{service}-mine", http_backend("here").port)
    sidecar.reaches(f"{service}-mine", {"here"})
    assert sidecar.call(f"{service}.{namespace}", 2).names == {"503"}
    exported = {"name": service, "namespace": namespace, "export_to": ["default"]}
    console.write("PUT", "/naming/v1/services", exported)
    sidecar.reaches(f"{service}.{namespace}", {"there"})
    console.write("PUT", "/naming/v1/services", exported | {"export_to": []})
    sidecar.reaches(f"{service}.{namespace}", {"503"})


def test_what_nobody_offers_is_passed_through(sidecar: Sidecar) -> None:
    """To where the connection was going, which without a redirection is nowhere."""
    assert sidecar.get("elsewhere.example").status_code == 503
    assert sidecar.stats(r"^cluster\.PassthroughCluster\.upstream_cx_none_healthy$|PassthroughCluster\.upstream_rq_503")


def test_traffic_follows_who_comes_and_goes(
    sidecar: Sidecar, console: Console, service: str, http_backend: NewBackend
) -> None:
    first, second = http_backend("first"), http_backend("second")
    console.register(service, first.port)
    sidecar.reaches(service, {"first"})
    console.register(service, second.port)
    sidecar.reaches(service, {"first", "second"})
    for away in ({"isolate": True}, {"healthy": False}, {"weight": 0}):
        console.change(service, first.port, **away)
        sidecar.reaches(service, {"second"})
        console.change(service, first.port, isolate=False, healthy=True, weight=100)
        sidecar.reaches(service, {"first", "second"})
    console.delete(service, first.port)
    sidecar.reaches(service, {"second"})
    console.delete(service, second.port)
    sidecar.reaches(service, {"503"})
    console.register(service, first.port)
    sidecar.reaches(service, {"first"})


def test_a_service_is_deleted_and_made_again(
    sidecar: Sidecar, console: Console, service: str, http_backend: NewBackend
) -> None:
    first, other = http_backend("first"), f"{service}-other"
    console.register(service, first.port)
    console.register(other, http_backend("neighbour").port)
    sidecar.reaches(service, {"first"})
    sidecar.reaches(other, {"neighbour"})
    console.delete(service, first.port)
    console.write("POST", "/naming/v1/services/delete", {"name": service, "namespace": "default"})
    sidecar.reaches(service, {"503"})
    assert sidecar.call(other, 10).names == {"neighbour"}
    console.register(service, first.port)
    sidecar.reaches(service, {"first"})
    assert sidecar.call(other, 10).names == {"neighbour"}


BY: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "header": (rules.argument("HEADER", "x-user", "jane"), {"x_user": "jane"}, {"x_user": "john"}),
    "header pattern": (rules.argument("HEADER", "x-user", "^ja.*", "REGEX"), {"x_user": "jane"}, {"x_user": "john"}),
    "header among": (rules.argument("HEADER", "x-user", "jane,joe", "IN"), {"x_user": "joe"}, {"x_user": "john"}),
    "other header": (rules.argument("HEADER", "x-user", "john", "NOT_EQUALS"), {"x_user": "jane"}, {"x_user": "john"}),
    "path": (rules.argument("PATH", "", "/pay"), {"path": "/pay"}, {"path": "/look"}),
    "path pattern": (rules.argument("PATH", "", "^/pay/[0-9]+$", "REGEX"), {"path": "/pay/7"}, {"path": "/pay/x"}),
    "query": (rules.argument("QUERY", "user", "jane"), {"path": "/?user=jane"}, {"path": "/?user=john"}),
    "method": (rules.argument("METHOD", "", "POST"), {}, {}),
    "cookie": (rules.argument("COOKIE", "user", "jane"), {"cookie": "a=b; user=jane"}, {"cookie": "user=john"}),
}
"""What a rule may look at: its argument, a request that has it, and one that does not."""


@pytest.mark.parametrize("by", [name for name in BY if name != "method"])
def test_a_rule_moves_calls(
    sidecar: Sidecar, console: Console, service: str, http_backend: NewBackend, by: str
) -> None:
    argument, fits, fails = BY[by]
    for version in ("v1", "v2"):
        console.register(service, http_backend(version).port, metadata={"version": version})
    sidecar.reaches(service, {"v1", "v2"}, **fits)
    to_second = rules.route([argument], rules.group(service, version="v2"))
    rule = console.add_rule(rules.ROUTINGS, rules.routing(service, to_second))
    sidecar.reaches(service, {"v2"}, **fits)
    sidecar.reaches(service, {"v1", "v2"}, **fails)
    console.remove_rule(rules.ROUTINGS, rule)
    sidecar.reaches(service, {"v1", "v2"}, **fits)


def test_a_rule_has_shares_and_is_changed(
    sidecar: Sidecar, console: Console, service: str, http_backend: NewBackend
) -> None:
    for version in ("v1", "v2"):
        console.register(service, http_backend(version).port, metadata={"version": version})
    groups = rules.group(service, 90, version="v1"), rules.group(service, 10, version="v2")
    rule = rules.routing(service, rules.route([], *groups))
    rule["id"] = console.add_rule(rules.ROUTINGS, rule)
    until(lambda: sidecar.call(service, 60).answers.get("v1", 0) > 40, CHANGES_WITHIN_S, "most go to the first")
    # Of 300 calls 30 are expected at the second, with a deviation of 5.2.
    outcome = sidecar.call(service, 300)
    assert outcome.failures == {}
    assert 5 <= outcome.answers.get("v2", 0) <= 60, outcome
    rule["routing_config"]["rules"] = [rules.route([], rules.group(service, version="v2"))]
    console.write("PUT", rules.ROUTINGS, rule)
    sidecar.reaches(service, {"v2"})
    console.remove_rule(rules.ROUTINGS, rule["id"])


def test_a_lane_keeps_its_calls(sidecar: Sidecar, console: Console, service: str, http_backend: NewBackend) -> None:
    console.register(service, http_backend("base").port)
    console.register(service, http_backend("blue").port, metadata={"lane": "blue"})
    sidecar.reaches(service, {"base", "blue"})
    blue = rules.lane("blue", rules.argument("HEADER", "x-user", "jane"))
    group = rules.lanes(service, ME, service, blue)
    created = console.add_rule(rules.LANES, group)
    sidecar.reaches(service, {"blue"}, x_user="jane")
    sidecar.reaches(service, {"base"}, x_user="john")
    sidecar.reaches(service, {"blue"}, service_lane="blue")
    sidecar.reaches(service, {"base"}, x_user="jane", service_lane="elsewhere/red")
    console.write("POST", f"{rules.LANES}/delete", {"id": created, "name": group["name"]})
    sidecar.reaches(service, {"base", "blue"}, x_user="jane")


def test_calls_stay_nearby(sidecar: Sidecar, console: Console, service: str, http_backend: NewBackend) -> None:
    near, far, (region, zone, _) = http_backend("near"), http_backend("far"), PLACE
    console.register(service, near.port, location={"region": region, "zone": zone, "campus": "another"})
    console.register(service, far.port, location={"region": "west", "zone": "west-1", "campus": "west-1-a"})
    sidecar.reaches(service, {"near", "far"})
    rule = console.add_rule(rules.ROUTINGS, rules.nearby(service))
    sidecar.reaches(service, {"near"})
    console.change(service, near.port, healthy=False)
    sidecar.reaches(service, {"far"})
    console.change(service, near.port, healthy=True)
    sidecar.reaches(service, {"near"})
    console.remove_rule(rules.ROUTINGS, rule)
    sidecar.reaches(service, {"near", "far"})


def test_one_that_fails_is_put_aside(
    sidecar: Sidecar, console: Console, service: str, http_backend: NewBackend
) -> None:
    good, bad = http_backend("good"), http_backend("bad")
    for one in (good, bad):
        console.register(service, one.port)
    rule = console.add_rule(rules.BREAKERS, rules.breaker(service, 3))
    sidecar.reaches(service, {"good", "bad"})
    bad.fails = True
    sidecar.reaches(service, {"good"}, 5)
    ejected = sidecar.stats(rf"^cluster\..*{service}.*outlier_detection.ejections_active$")
    assert sum(ejected.values()) == 1, ejected
    console.remove_rule(rules.BREAKERS, rule)


def test_one_that_does_not_look_well_is_put_aside(
    sidecar: Sidecar, console: Console, service: str, http_backend: NewBackend
) -> None:
    """A rule says how instances are looked at: Envoy does it."""
    good, sick = http_backend("good"), http_backend("sick")
    for one in (good, sick):
        console.register(service, one.port)
    sidecar.reaches(service, {"good", "sick"})
    rule = console.add_rule(rules.DETECTORS, rules.detector(service))
    checked = rf"^cluster\..*{service}.*health_check.success$"
    until(lambda: sum(sidecar.stats(checked).values()) >= 2, 10, "both were looked at")
    sick.fails = True
    sidecar.reaches(service, {"good"}, 15)
    console.remove_rule(rules.DETECTORS, rule)


@pytest.fixture
def offered(sidecar: Sidecar, console: Console, http_backend: NewBackend) -> Iterator[HttpBackend]:
    """The application behind the sidecar."""
    made = http_backend("me")
    console.register(ME, made.port)
    sidecar.reaches(ME, {"me"}, inbound=True)
    yield made
    left = console.read(rules.RATE_LIMITS, service=ME, namespace="default").get("rateLimits") or []
    for rule in left:
        console.remove_rule(rules.RATE_LIMITS, rule["id"])
    console.delete(ME, made.port)


def test_so_many_are_let_in(sidecar: Sidecar, console: Console, offered: HttpBackend) -> None:
    rule = rules.limit(ME, 3, "/pay")
    rule["id"] = console.add_rule(rules.RATE_LIMITS, rule)
    sidecar.reaches(ME, {"429"}, inbound=True, path="/pay")
    assert sidecar.call(ME, 10, "/look", inbound=True).names == {"me"}
    rule["amounts"] = [{"maxAmount": 1000, "validDuration": "1s"}]
    console.write("PUT", rules.RATE_LIMITS, rule)
    sidecar.reaches(ME, {"me"}, inbound=True, path="/pay")
    console.remove_rule(rules.RATE_LIMITS, rule["id"])


def test_every_limit_counts_for_itself(sidecar: Sidecar, console: Console, offered: HttpBackend) -> None:
    """Several rules of one service: what one lets in, another may refuse."""
    jane = rules.argument("HEADER", "x-user", "jane")
    created = [
        console.add_rule(rules.RATE_LIMITS, rule)
        for rule in (
            rules.limit(ME, 2, "/refund", name="refund"),
            rules.limit(ME, 5, "/pay", "LOCAL", jane, name="jane"),
        )
    ]
    until(
        lambda: sidecar.call(ME, 12, "/pay", inbound=True, x_user="jane").failures.get("429", 0) >= 7,
        CHANGES_WITHIN_S,
        "the user is limited",
    )
    assert sidecar.call(ME, 12, "/pay", inbound=True, x_user="john").names == {"me"}
    refunds = sidecar.call(ME, 6, "/refund", inbound=True)
    assert (refunds.answers, refunds.failures) == ({"me": 2}, {"429": 4})
    for one in created:
        console.remove_rule(rules.RATE_LIMITS, one)


def test_all_together_are_let_in(sidecar: Sidecar, console: Console, offered: HttpBackend) -> None:
    """A global limit: Envoy asks the server."""
    rule = console.add_rule(rules.RATE_LIMITS, rules.limit(ME, 4, "/all", "GLOBAL"))
    sidecar.reaches(ME, {"429"}, inbound=True, path="/all")
    assert sidecar.call(ME, 10, "/look", inbound=True).names == {"me"}
    console.remove_rule(rules.RATE_LIMITS, rule)
    sidecar.reaches(ME, {"me"}, inbound=True, path="/all")
