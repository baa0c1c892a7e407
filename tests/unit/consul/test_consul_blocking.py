"""Blocking reads: when they wait, what wakes them, how long they wait, and what they leave behind."""

from __future__ import annotations

import pytest
from consul_bottle import ConsulBottle, Waiting

from polaris_bridge.adapters.consul.server.answers import Answer, json
from polaris_bridge.adapters.consul.server.call import EVERYTHING, ConsulCall, Route, Routes, namespace_scope, watching
from polaris_bridge.adapters.consul.server.http import ConsulHttp
from polaris_bridge.adapters.consul.service.consul import ConsulService
from polaris_bridge.adapters.consul.wire.refusals import missing
from polaris_bridge.core.model import Ejection, ServiceKey


def _service(service: ConsulService, call: ConsulCall) -> Answer:
    key = ServiceKey("default", call.rest)
    snapshot = service.registry.snapshot(key)
    return json([place.host for place in sorted(snapshot.addresses)], snapshot.revision)


def _every_second(service: ConsulService, _call: ConsulCall) -> Answer:
    """An index that every second instance moves."""
    found = service.registry.snapshot(ServiceKey("default", "web"))
    return json([], 10 + (len(found.addresses) - 1) // 2)


def _vanishing(service: ConsulService, call: ConsulCall) -> Answer:
    if len(service.registry.snapshot(ServiceKey("default", "web")).addresses) > 1:
        raise missing("gone")
    return json([], 1)


WEB = watching(lambda _service, _call: (ServiceKey("default", "web"),))
MORE: Routes = {
    ("GET", "/t/service/"): Route(
        _service, reads=True, blocking=watching(lambda _service, call: (ServiceKey("default", call.rest),))
    ),
    ("GET", "/t/second"): Route(_every_second, reads=True, blocking=WEB),
    ("GET", "/t/vanishing"): Route(_vanishing, reads=True, blocking=WEB),
    ("GET", "/t/space"): Route(lambda service, _call: json([], service.registry.revision_of("default")), reads=True,
                               blocking=watching(namespace_scope)),
    ("GET", "/t/all"): Route(lambda service, _call: json([], service.registry.revision), reads=True, blocking=EVERYTHING),
    ("GET", "/t/never"): Route(lambda service, _call: json([], service.registry.revision), reads=True),
}  # fmt: skip


@pytest.fixture
def bottle() -> ConsulBottle:
    made = ConsulBottle(more=MORE)
    made.register("first", Address="10.1.1.9", Port=80)  # a server has written something before anybody asks
    made.register("web", Address="10.1.1.1", Port=80)
    return made


def wait(bottle: ConsulBottle, path: str = "/t/service/web", **more: str) -> Waiting:
    index = bottle.get(path).index
    query = "&".join(f"{name}={value}" for name, value in {"index": index, **more}.items())
    return bottle.begin("GET", f"{path}?{query}")


def test_it_answers_at_once_without_an_index_and_with_an_older_one(bottle: ConsulBottle) -> None:
    index = bottle.get("/t/service/web").index
    for asked in (0, 1, index - 1):
        assert bottle.begin("GET", f"/t/service/web?index={asked}&wait=10s").answered


def test_it_waits_with_the_current_index_and_with_a_future_one(bottle: ConsulBottle) -> None:
    index = bottle.get("/t/service/web").index
    assert not bottle.begin("GET", f"/t/service/web?index={index}").answered
    assert not bottle.begin("GET", f"/t/service/web?index={index + 1000}").answered
    assert bottle.begin("GET", f"/t/never?index={index + 1000}").answered


def test_a_change_wakes_it_with_what_is_new(bottle: ConsulBottle) -> None:
    before = bottle.get("/t/service/web").index
    waiting = wait(bottle)
    bottle.register("web", ID="web-2", Address="10.1.1.2", Port=80)
    assert waiting.answer.json == ["10.1.1.1", "10.1.1.2"]
    assert waiting.answer.index > before


def test_a_change_of_something_else_does_not(bottle: ConsulBottle) -> None:
    waiting = wait(bottle)
    for port in range(5):
        bottle.register("other", ID=f"o-{port}", Address="10.1.1.3", Port=port)
    assert not waiting.answered


def test_writes_that_change_nothing_wake_nobody(bottle: ConsulBottle) -> None:
    waiting = [wait(bottle), wait(bottle, "/t/all")]
    bottle.register("web", Address="10.1.1.1", Port=80)
    bottle.move(1)
    assert not any(each.answered for each in waiting)


def test_a_wake_up_with_nothing_newer_waits_on_and_misses_nothing(bottle: ConsulBottle) -> None:
    waiting = wait(bottle, "/t/second")
    bottle.register("web", ID="web-2", Address="10.1.1.2", Port=80)
    bottle.move(1)
    assert not waiting.answered
    bottle.register("web", ID="web-3", Address="10.1.1.3", Port=80)
    bottle.move(1)
    assert waiting.answer.index == 11


def test_a_change_between_the_read_and_the_wait_is_not_missed(bottle: ConsulBottle) -> None:
    """The watch is armed with the revision of before the read."""
    index = bottle.get("/t/service/web").index

    def changes(service: ConsulService, call: ConsulCall) -> Answer:
        answer = _service(service, call)
        if not done:
            done.append(1)
            service.registry.deregister(service.index.service(service.nodes.key_of(call.caller), "web").id, call.caller)  # type: ignore[union-attr]
            bottle.timers.settle()
        return answer

    done: list[int] = []
    web = watching(lambda _service, _call: (ServiceKey("default", "web"),))
    bottle.http = ConsulHttp(
        bottle.service, {("GET", "/t/racing/"): Route(changes, reads=True, blocking=web)}, random=lambda: 0.0
    )
    waiting = bottle.begin("GET", f"/t/racing/web?index={index}")
    bottle.move(1)
    assert waiting.answer.json == []


@pytest.mark.parametrize(
    ("given", "random", "seconds"), [("", 0.0, 300.0), ("10s", 0.0, 10.0), ("16s", 0.5, 16.5), ("1h", 1.0, 637.5)]
)
def test_after_its_time_it_answers_the_same(given: str, random: float, seconds: float) -> None:
    bottle = ConsulBottle(more=MORE, random=lambda: random)
    bottle.register("web", Address="10.1.1.1", Port=80)
    before = bottle.get("/t/service/web")
    waiting = wait(bottle, wait=given)
    start = bottle.clock.now_s
    bottle.timers.until(start + seconds - 0.01)
    assert not waiting.answered
    bottle.timers.until(start + seconds + 0.01)
    assert (waiting.answer.status, waiting.answer.body, waiting.answer.index) == (200, before.body, before.index)


def test_who_hangs_up_leaves_nothing_behind(bottle: ConsulBottle) -> None:
    pending = bottle.timers.pending
    waiting = wait(bottle)
    assert bottle.http.blocked
    assert len(bottle.registry.watches) == 1
    waiting.hang_up()
    assert (len(bottle.http.blocked), len(bottle.registry.watches), bottle.timers.pending) == (0, 0, pending)
    bottle.register("web", ID="web-2", Address="10.1.1.2", Port=80)
    bottle.move(700)
    assert not waiting.answered


def test_who_was_answered_leaves_nothing_behind(bottle: ConsulBottle) -> None:
    pending = bottle.timers.pending
    wait(bottle)
    bottle.register("web", ID="web-2", Address="10.1.1.2", Port=80)
    assert (len(bottle.http.blocked), len(bottle.registry.watches), bottle.timers.pending) == (0, 0, pending)


def test_a_stop_answers_everybody_and_nobody_waits_any_more(bottle: ConsulBottle) -> None:
    waiting = [wait(bottle), wait(bottle, "/t/all")]
    bottle.http.leave()
    assert all(each.answer.status == 200 for each in waiting)
    assert wait(bottle).answered


def test_what_became_an_error_meanwhile_is_told(bottle: ConsulBottle) -> None:
    waiting = wait(bottle, "/t/vanishing")
    bottle.register("web", ID="web-2", Address="10.1.1.2", Port=80)
    assert (waiting.answer.status, waiting.answer.text) == (404, "gone")


def test_a_whole_namespace_and_everything_can_be_watched(bottle: ConsulBottle) -> None:
    waiting = [wait(bottle, "/t/space"), wait(bottle, "/t/all")]
    bottle.done("/v1/config", {"Kind": "service-defaults", "Name": "web"})
    assert [each.answered for each in waiting] == [False, True]
    bottle.foreign()
    assert waiting[0].answered


def test_many_wait_and_only_theirs_wakes_them(bottle: ConsulBottle) -> None:
    for number in range(20):
        bottle.register(f"s{number}", Address="10.1.1.1", Port=1000 + number)
    waiting = [wait(bottle, f"/t/service/s{number}") for number in range(20)]
    bottle.register("s7", Address="10.1.1.1", Port=2000)
    assert [number for number, each in enumerate(waiting) if each.answered] == [7]


@pytest.mark.parametrize("own", [True, False], ids=["own", "foreign"])
def test_an_ejection_wakes_who_waits_for_health_and_names_its_rule(bottle: ConsulBottle, own: bool) -> None:
    if own:
        bottle.register("shop")
    else:
        bottle.foreign(service="shop")
    service = ServiceKey("default", "shop")
    [place] = bottle.registry.snapshot(service).addresses
    health = bottle.get("/v1/health/service/shop?passing")
    names = bottle.get("/v1/catalog/service/shop").index
    assert len(health.json) == 1
    waiting = bottle.begin("GET", f"/v1/health/service/shop?passing&index={health.index}")
    bottle.registry.ejections.put(service, {place: Ejection("r", "no 500", "2 callers: 5 errors in a row")})
    bottle.move(0.1)
    assert waiting.answer.json == []
    assert bottle.get("/v1/catalog/service/shop").index == names, "its address is what it was"
    [one] = bottle.get("/v1/health/service/shop").json
    [failing] = [check for check in one["Checks"] if check["Status"] == "critical"]
    assert failing["Output"] == "ejected by the circuit breaker rule no 500: 2 callers: 5 errors in a row"
    bottle.registry.ejections.put(service, {place: None})
    bottle.move(0.1)
    assert len(bottle.get("/v1/health/service/shop?passing").json) == 1
