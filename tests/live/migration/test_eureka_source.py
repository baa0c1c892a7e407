"""Spring Cloud's Eureka server is left for ours, which dies, and which it leaves alone: nobody loses an instance."""

from __future__ import annotations

import signal

import httpx
import pytest

from ..server import Server
from ..waiting import until
from .conftest import Operator
from .peers import EurekaClients, EurekaServer

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

SERVICES, EACH = 10, 30
APPS = [f"Service-{n}" for n in range(SERVICES)]
SOON_S = 20


def fill(eureka: EurekaServer) -> None:
    for app in APPS:
        for n in range(EACH):
            eureka.register(app, f"10.0.{n}.1", 8080, zone="z1")


def count(operator: Operator) -> int:
    return sum(len(operator.seen(app)) for app in APPS)


def test_everything_is_copied_and_every_change_follows(operator: Operator, eureka: EurekaServer) -> None:
    fill(eureka)
    operator.registry("eureka", eureka.url)
    operator.run("old", "here")
    assert count(operator) == SERVICES * EACH
    app, host = APPS[0], "10.0.0.1"
    key = f"{host}:8080"
    assert operator.seen(app)[key]["vipAddress"] == app
    assert operator.seen(app)[key]["metadata"]["zone"] == "z1"
    eureka.register(app, host, 8080, zone="z2", colour="blue")
    until(lambda: operator.seen(app)[key]["metadata"].get("colour") == "blue", SOON_S, "new metadata")
    eureka.register(app, host, 8080, zone="z2")
    until(lambda: "colour" not in operator.seen(app)[key]["metadata"], SOON_S, "removed metadata")
    eureka.override(app, host, 8080, "OUT_OF_SERVICE")
    until(lambda: operator.seen(app)[key]["status"] == "OUT_OF_SERVICE", SOON_S, "the override")
    eureka.override(app, host, 8080, None)
    until(lambda: operator.seen(app)[key]["status"] == "UP", SOON_S, "its end")
    eureka.deregister(app, host, 8080)
    until(lambda: key not in operator.seen(app), SOON_S, "the end of an instance")
    audit = operator.ask("POST", "/tasks/t/verify")
    assert (audit["differences"], audit["equal"]) == ([], SERVICES)


def test_a_killed_server_has_everything_at_once_and_goes_on(
    operator: Operator, server: Server, eureka: EurekaServer
) -> None:
    fill(eureka)
    operator.registry("eureka", eureka.url)
    operator.run("old", "here")
    server.end(signal.SIGKILL)
    gone = [(app, f"10.0.{n}.1") for app in APPS for n in range(3)]
    for app, host in gone:
        eureka.deregister(app, host, 8080)
    eureka.register(APPS[0], "10.9.9.9", 8080)
    server.start()
    assert count(operator) >= SERVICES * EACH - len(gone)
    until(lambda: count(operator) == SERVICES * EACH - len(gone) + 1, 30, "exactly what is left")
    assert operator.status()["held"] == 0


def test_a_frozen_a_killed_and_an_emptied_source_empty_nothing(operator: Operator, eureka: EurekaServer) -> None:
    fill(eureka)
    operator.registry("eureka", eureka.url)
    operator.run("old", "here")
    eureka.send(signal.SIGSTOP)
    until(lambda: operator.status()["stale_since_ms"], SOON_S, "the task is stale")
    assert count(operator) == SERVICES * EACH
    eureka.send(signal.SIGCONT)
    until(lambda: not operator.status()["stale_since_ms"], SOON_S, "it is not any more")
    eureka.send(signal.SIGKILL)
    until(lambda: operator.status()["stale_since_ms"], SOON_S, "stale again")
    eureka.start()
    until(lambda: operator.status()["held"] == SERVICES * EACH, 40, "an empty source is not believed")
    assert count(operator) == SERVICES * EACH
    fill(eureka)
    until(lambda: operator.status()["held"] == 0, 40, "it filled again")
    assert count(operator) == SERVICES * EACH
    eureka.deregister(APPS[0], "10.0.0.1", 8080)
    until(lambda: count(operator) == SERVICES * EACH - 1, SOON_S, "real ends still pass")


def test_both_ways_nothing_echoes_and_a_move_leaves_no_gap(operator: Operator, eureka: EurekaServer) -> None:
    eureka.register("orders", "10.0.0.1", 8080)
    operator.registry("eureka", eureka.url)
    operator.run("old", "here")
    operator.run("here", "old", "back")
    url = f"http://127.0.0.1:{operator.server.ports['service-eureka']}/eureka"
    other = EurekaClients(httpx.Client(base_url=url, timeout=20))
    other.register("orders", "10.0.0.2", 8080)
    until(lambda: len(eureka.instances()) == 2, SOON_S, "ours is seen there")
    copy = eureka.instances()["10.0.0.2:orders:8080"]
    assert copy["metadata"]["internal-sync-sourcecluster"] == "here"
    for task in ("t", "back") * 3:
        assert operator.ask("POST", f"/tasks/{task}/verify")["differences"] == []
    assert [operator.status(task)["writes"] for task in ("t", "back")] == [{"create": 1}, {"create": 1}]
    other.register("orders", "10.0.0.1", 8080)  # the application of the old side moves: first both, then ours alone
    assert list(operator.seen("orders")) == ["10.0.0.1:8080", "10.0.0.2:8080"]
    eureka.deregister("orders", "10.0.0.1", 8080)
    until(
        lambda: "internal-sync-id" in eureka.instances().get("10.0.0.1:orders:8080", {"metadata": {}})["metadata"],
        SOON_S,
        "readers of the old side see it as a copy now",
    )
    assert list(operator.seen("orders")) == ["10.0.0.1:8080", "10.0.0.2:8080"]
    other.client.close()
