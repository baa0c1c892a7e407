"""What Eureka readers see of instances that other protocols registered, alone and beside Eureka's own."""

from __future__ import annotations

from typing import Any

import pytest
from lone_server import MY_OWN, START_MS, JavaClient, LoneServer

from polaris_bridge.adapters.eureka.settings import EurekaSettings
from polaris_bridge.core.model import Checks, Ejection, Location, Port, ServiceKey, Session

UP, DOWN, OUT = "UP", "DOWN", "OUT_OF_SERVICE"
ID = "10.0.0.1:orders:8080"
STANDING: dict[str, Any] = {"liveness": None}


@pytest.fixture
def server() -> LoneServer:
    return LoneServer()


# ---------------------------------------------------------------- documents


def test_the_fields_made_up_for_it(server: LoneServer) -> None:
    server.foreign(metadata={"team": "a"})
    one = server.one(id=ID)
    assert one == {
        "instanceId": ID, "hostName": "10.0.0.1", "app": "ORDERS", "ipAddr": "10.0.0.1",
        "status": UP, "overriddenStatus": "UNKNOWN",
        "port": {"$": 8080, "@enabled": "true"}, "securePort": {"$": 443, "@enabled": "false"},
        "countryId": 1, "dataCenterInfo": MY_OWN,
        "leaseInfo": {
            "renewalIntervalInSecs": 30, "durationInSecs": 90, "registrationTimestamp": START_MS,
            "lastRenewalTimestamp": START_MS, "evictionTimestamp": 0, "serviceUpTimestamp": START_MS,
        },
        "metadata": {"team": "a"}, "homePageUrl": "http://10.0.0.1:8080/",
        "statusPageUrl": "http://10.0.0.1:8080/actuator/info",
        "healthCheckUrl": "http://10.0.0.1:8080/actuator/health",
        "vipAddress": "orders", "secureVipAddress": "orders", "isCoordinatingDiscoveryServer": "false",
        "lastUpdatedTimestamp": str(START_MS), "lastDirtyTimestamp": str(START_MS), "actionType": "ADDED",
    }  # fmt: skip
    assert server.get(f"/eureka/instances/{ID}").instance == one
    assert server.statuses() == {("ORDERS", ID): UP}


DOCUMENTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"protocol": "https", "port": 8443}, {
        "port": {"$": 8443, "@enabled": "false"}, "securePort": {"$": 8443, "@enabled": "true"},
        "homePageUrl": "https://10.0.0.1:8443/", "healthCheckUrl": "https://10.0.0.1:8443/actuator/health",
    }),
    ({"metadata": {"secure": "true"}, "port": 8443}, {"securePort": {"$": 8443, "@enabled": "true"}}),
    ({"ports": (Port("https", 8443, "https"),)}, {
        "port": {"$": 8080, "@enabled": "true"}, "securePort": {"$": 8443, "@enabled": "true"},
    }),
    ({"metadata": {"management.port": "9000", "management.context-path": "/m"}}, {
        "statusPageUrl": "http://10.0.0.1:9000/m/actuator/info",
        "healthCheckUrl": "http://10.0.0.1:9000/m/actuator/health",
    }),
    ({"location": Location("r", "z", "c")}, {"metadata": {"region": "r", "zone": "z", "campus": "c"}}),
    ({"location": Location("r", "z"), "metadata": {"zone": "mine"}}, {"metadata": {"zone": "mine", "region": "r"}}),
    ({"service": "UserService"}, {
        "app": "USERSERVICE", "vipAddress": "UserService", "secureVipAddress": "UserService",
        "instanceId": "10.0.0.1:UserService:8080",
    }),
    ({"weight": 0}, {"status": OUT}),
    ({"reported": "down"}, {"status": DOWN}),
    ({"reported": "starting"}, {"status": "STARTING"}),
    ({"reported": "unknown"}, {"status": "UNKNOWN"}),
    ({"reported": "out_of_service"}, {"status": OUT}),
    ({"liveness": Checks({"ttl": "passing", "http": "warning"})}, {"status": UP}),
    ({"liveness": Checks({"ttl": "passing", "http": "critical"})}, {"status": DOWN}),
    ({"host": "2001:db8::1"}, {"ipAddr": "2001:db8::1", "homePageUrl": "http://[2001:db8::1]:8080/"}),
]  # fmt: skip


@pytest.mark.parametrize(("members", "shown"), DOCUMENTS)
def test_documents(server: LoneServer, members: dict[str, Any], shown: dict[str, Any]) -> None:
    r = server.foreign(**members)
    id = f"{r.host}:{r.service}:{r.port}"
    one = server.one(r.service, id)
    assert {key: one[key] for key in shown} == shown


def test_the_data_centre_is_configurable() -> None:
    server = LoneServer(EurekaSettings(data_center_class="x.Own", data_center_name="Netflix"))
    server.foreign()
    assert server.one(id=ID)["dataCenterInfo"] == {"@class": "x.Own", "name": "Netflix"}


def test_several_at_one_address(server: LoneServer) -> None:
    first = server.foreign(key="n1")
    second = server.foreign(key="n2")
    ids = set(server.statuses())
    assert len(ids) == 2
    assert ("ORDERS", ID) in ids
    (other,) = ids - {("ORDERS", ID)}
    assert other[1].startswith(f"{ID}:")
    assert len(other[1]) == len(ID) + 5
    client = JavaClient(server)
    server.forget(first)
    client.poll()
    assert server.statuses() == {("ORDERS", ID): UP}
    assert set(client.copy) == {("ORDERS", ID)}
    server.forget(second)
    client.poll()
    assert client.copy == {}


def test_services_equal_ignoring_case_are_one_application(server: LoneServer) -> None:
    server.foreign(service="orders", host="10.0.0.1")
    server.foreign(service="Orders", host="10.0.0.2", key="k2")
    server.register(ipAddr="10.0.0.3")
    assert set(server.statuses()) == {
        ("ORDERS", "10.0.0.1:orders:8080"), ("ORDERS", "10.0.0.2:Orders:8080"), ("ORDERS", "i1"),
    }  # fmt: skip
    found = server.get("/eureka/vips/Orders").json["applications"]["application"]
    assert [i["ipAddr"] for a in found for i in a["instance"]] == ["10.0.0.2"], "the exact spelling"


def test_what_eureka_readers_cannot_do_to_it(server: LoneServer) -> None:
    server.foreign(**STANDING)
    for method, target in (
        ("PUT", f"/eureka/apps/ORDERS/{ID}"),
        ("DELETE", f"/eureka/apps/ORDERS/{ID}"),
        ("PUT", f"/eureka/apps/ORDERS/{ID}/metadata?a=b"),
    ):
        answer = server.ask(method, target)
        assert (answer.status, answer.body) == (404, b"")
    assert server.statuses() == {("ORDERS", ID): UP}


# ---------------------------------------------------------------- silence


@pytest.mark.parametrize("shown_s", [180.0, 5.0, 0.0])
def test_the_lost_are_down_and_then_leave(shown_s: float) -> None:
    server = LoneServer(EurekaSettings(unhealthy_expire_s=shown_s))
    r = server.foreign()
    client = JavaClient(server)
    server.pass_time(17)
    client.poll()
    if shown_s:
        assert server.statuses() == {("ORDERS", ID): DOWN}
        assert client.copy["ORDERS", ID]["status"] == DOWN
        server.pass_time(max(0, shown_s - 5))
        assert server.statuses() == {("ORDERS", ID): DOWN}
        server.pass_time(6)
    assert server.statuses() == {}
    assert server.get(f"/eureka/apps/ORDERS/{ID}").status == 404
    assert server.delta()["ORDERS", ID] == "DELETED"
    client.poll()
    assert client.copy == {}
    server.beat(r)
    assert server.statuses() == {("ORDERS", ID): UP}
    client.poll()
    assert client.copy["ORDERS", ID]["status"] == UP


def test_the_lost_come_back(server: LoneServer) -> None:
    r = server.foreign()
    server.pass_time(100)
    assert server.statuses() == {("ORDERS", ID): DOWN}
    server.beat(r)
    server.pass_time(100, lambda: server.beat(r))
    assert server.statuses() == {("ORDERS", ID): UP}
    server.pass_time(100)
    assert server.statuses() == {("ORDERS", ID): DOWN}, "the time of being lost begins anew"


def test_a_restart_does_not_bring_the_long_lost_back(server: LoneServer) -> None:
    server.foreign()
    server.pass_time(230)
    assert server.statuses() == {}
    server.restart()
    assert server.statuses() == {}


def test_a_connection_that_ends(server: LoneServer) -> None:
    server.registry.open_session("s")
    server.foreign(liveness=Session("s"))
    server.register(ipAddr="10.0.0.1")
    client = JavaClient(server)
    server.registry.close_session("s")
    server.queue.settle()
    client.poll()
    assert set(client.copy) == {("ORDERS", "i1")}


# ---------------------------------------------------------------- both at one address


def test_an_application_that_registers_twice_is_seen_once(server: LoneServer) -> None:
    server.foreign(**STANDING)
    client = JavaClient(server)
    server.register(metadata={"own": "1"})
    client.poll()
    assert server.statuses() == {("ORDERS", "i1"): UP}
    server.foreign(metadata={"changed": "1"}, **STANDING)
    assert server.one()["metadata"] == {"own": "1"}
    server.ask("DELETE", "/eureka/apps/ORDERS/i1")
    client.poll()
    assert server.statuses() == {("ORDERS", ID): UP}
    assert set(client.copy) == {("ORDERS", ID)}


def test_with_the_same_id_nothing_leaves(server: LoneServer) -> None:
    server.register(id=ID, metadata={"own": "1"})
    server.foreign(metadata={"theirs": "1"}, **STANDING)
    client = JavaClient(server)
    assert server.one(id=ID)["metadata"] == {"own": "1"}
    server.ask("DELETE", f"/eureka/apps/ORDERS/{ID}")
    assert server.one(id=ID)["metadata"] == {"theirs": "1"}
    assert server.delta() == {("ORDERS", ID): "MODIFIED"}
    client.poll()
    server.register(id=ID, lastDirtyTimestamp="200", metadata={"own": "2"})
    client.poll()
    assert client.copy["ORDERS", ID]["metadata"] == {"own": "2"}


def test_the_same_id_at_another_address(server: LoneServer) -> None:
    server.register(id=ID, port={"$": 9090, "@enabled": "true"})
    client = JavaClient(server)
    r = server.foreign(**STANDING)
    client.poll()
    assert len(server.statuses()) == 2
    assert server.one(id=ID)["port"]["$"] == 9090, "the own one has its id"
    server.forget(r)
    client.poll()
    assert server.statuses() == {("ORDERS", ID): UP}
    r = server.foreign(**STANDING)
    server.ask("DELETE", f"/eureka/apps/ORDERS/{ID}")
    client.poll()
    assert server.statuses() == {("ORDERS", ID): UP}
    assert server.one(id=ID)["port"]["$"] == 8080
    server.register(id=ID, port={"$": 9090, "@enabled": "true"})
    client.poll()
    assert len(server.statuses()) == 2


def test_the_same_id_in_two_spellings_of_a_service(server: LoneServer) -> None:
    """Found by the model: the lost foreign one comes back into sight when the own one has gone."""
    server.foreign()
    server.pass_time(17)
    server.register(id=ID, vipAddress="Orders", leaseInfo={"durationInSecs": 20})
    client = JavaClient(server)
    server.pass_time(25)
    client.poll()
    assert server.statuses() == {("ORDERS", ID): DOWN}
    assert set(client.copy) == {("ORDERS", ID)}


def test_two_others_under_an_own_id(server: LoneServer) -> None:
    """Found by the model: both protocols' instances stand where the own one's id points."""
    server.register(id=ID, vipAddress="Orders", leaseInfo={"durationInSecs": 20})
    server.foreign("nacos", **STANDING)
    server.foreign("consul", **STANDING)
    client = JavaClient(server)
    assert len(server.statuses()) == 2
    server.pass_time(25)
    client.poll()
    assert server.statuses() == {("ORDERS", ID): UP}
    assert set(client.copy) == {("ORDERS", ID)}


def test_silence_in_eureka_while_another_speaks(server: LoneServer) -> None:
    server.register()
    server.foreign(**STANDING)
    client = JavaClient(server)
    server.pass_time(95)
    client.poll()
    assert server.statuses() == {("ORDERS", ID): UP}, "their instance, without a gap"
    assert server.renew().status == 404


def test_a_heartbeat_of_one_does_not_renew_the_other(server: LoneServer) -> None:
    r = server.foreign()
    server.register()
    server.pass_time(60, server.renew)
    assert server.statuses() == {("ORDERS", "i1"): UP}
    server.ask("DELETE", "/eureka/apps/ORDERS/i1")
    assert server.statuses() == {("ORDERS", ID): DOWN}
    server.beat(r)
    assert server.statuses() == {("ORDERS", ID): UP}


def test_a_guessed_spelling_gives_way(server: LoneServer) -> None:
    server.register("USERSERVICE")
    server.ask("PUT", "/eureka/apps/USERSERVICE/i1/status?value=OUT_OF_SERVICE")
    client = JavaClient(server)
    server.foreign(service="UserService", host="10.0.0.9", **STANDING)
    client.poll()
    both = {("USERSERVICE", "i1"): OUT, ("USERSERVICE", "10.0.0.9:UserService:8080"): UP}
    assert server.statuses() == both
    assert [s.key.name for s in server.registry.services("default")] == ["UserService"]
    server.restart()
    assert server.statuses() == both
    client = JavaClient(server)
    server.ask("DELETE", "/eureka/apps/USERSERVICE/i1")
    client.poll()
    assert server.statuses() == {("USERSERVICE", "10.0.0.9:UserService:8080"): UP}


# ---------------------------------------------------------------- switches


def test_anothers_switch_withdraws_for_eureka_too(server: LoneServer) -> None:
    r = server.foreign(**STANDING)
    server.switch(r)
    assert server.statuses() == {("ORDERS", ID): OUT}
    server.register()
    assert server.statuses() == {("ORDERS", "i1"): OUT}, "own readers too"
    assert server.one()["overriddenStatus"] == "UNKNOWN"
    assert server.renew().status == 200
    server.switch(r, on=False)
    assert server.statuses() == {("ORDERS", "i1"): UP}


def test_a_status_call_on_anothers_instance(server: LoneServer) -> None:
    r = server.foreign(**STANDING)
    client = JavaClient(server)
    assert server.ask("PUT", f"/eureka/apps/orders/{ID}/status?value=OUT_OF_SERVICE").status == 200
    client.poll()
    assert server.statuses() == {("ORDERS", ID): OUT}
    server.foreign(metadata={"again": "1"}, **STANDING)
    assert server.statuses() == {("ORDERS", ID): OUT}, "registering again does not release it"
    server.restart()
    assert server.statuses() == {("ORDERS", ID): OUT}
    server.switch(r, on=False)
    assert server.statuses() == {("ORDERS", ID): OUT}, "only who set it releases it"
    assert server.ask("DELETE", f"/eureka/apps/orders/{ID}/status?value=UP").status == 200
    assert server.statuses() == {("ORDERS", ID): UP}
    assert server.ask("PUT", f"/eureka/apps/orders/{ID}/status?value=nonsense").status == 500


def test_releasing_what_another_set_changes_nothing(server: LoneServer) -> None:
    r = server.foreign(**STANDING)
    server.switch(r)
    before = server.registry.counters.ignored_releases
    for call in (("PUT", "?value=UP"), ("DELETE", "?value=UP")):
        assert server.ask(call[0], f"/eureka/apps/orders/{ID}/status{call[1]}").status == 200
    assert server.statuses() == {("ORDERS", ID): OUT}
    assert server.registry.counters.ignored_releases == before + 2, "but it is counted"


def test_one_switch_of_two_ids_acts_on_that_id(server: LoneServer) -> None:
    server.register(id="i1")
    server.register(id="i2")
    r = server.foreign(**STANDING)
    server.ask("PUT", "/eureka/apps/ORDERS/i1/status?value=OUT_OF_SERVICE")
    assert server.statuses() == {("ORDERS", "i1"): OUT, ("ORDERS", "i2"): UP}
    server.ask("DELETE", "/eureka/apps/ORDERS/i2")
    server.ask("DELETE", "/eureka/apps/ORDERS/i1/status?value=UP")
    assert server.statuses() == {("ORDERS", "i1"): UP}
    assert r.id


# ---------------------------------------------------------------- ejections


@pytest.mark.parametrize("own", [True, False], ids=["own", "foreign"])
def test_an_ejected_one_is_down_for_as_long_as_it_lasts(server: LoneServer, own: bool) -> None:
    if own:
        server.register()
    else:
        server.foreign(**STANDING)
    [(_, key)] = [(app, id) for app, id in server.statuses()]
    service = ServiceKey("default", "orders")
    [place] = server.registry.snapshot(service).addresses
    server.registry.ejections.put(service, {place: Ejection("r", "no 500")})
    server.queue.settle()
    assert server.statuses() == {("ORDERS", key): DOWN}
    assert server.delta() == {("ORDERS", key): "MODIFIED"}
    server.pass_time(60)
    assert server.statuses() == {("ORDERS", key): DOWN}, "it does not leave the list as a lost one would"
    server.registry.ejections.put(service, {place: None})
    server.queue.settle()
    assert server.statuses() == {("ORDERS", key): UP}
