"""Leases that run out, what is held back, and what deltas tell of it."""

from __future__ import annotations

import gzip
import json

import pytest
from lone_server import START_MS, UNPROTECTED, JavaClient, LoneServer, document

from polaris_bridge.adapters.eureka.settings import EurekaSettings
from polaris_bridge.core.terms import Terms

UP = "UP"


@pytest.fixture
def server() -> LoneServer:
    return LoneServer()


def lease(duration_s: int, renewal_s: int = 30) -> dict[str, int]:
    return {"renewalIntervalInSecs": renewal_s, "durationInSecs": duration_s}


# ---------------------------------------------------------------- expiry


@pytest.mark.parametrize(("duration_s", "factor"), [(6, 1.0), (90, 1.0), (90, 2.0), (300, 1.0), (6, 1.5)])
@pytest.mark.parametrize("renewed", [False, True])
def test_a_lease_lasts_its_duration(duration_s: int, factor: float, renewed: bool) -> None:
    server = LoneServer(EurekaSettings(lease_factor=factor))
    server.register(leaseInfo=lease(duration_s))
    if renewed:
        server.pass_time(duration_s / 2)
        server.renew()
    server.pass_time(duration_s * factor - 0.5)
    assert server.statuses() == {("ORDERS", "i1"): UP}
    assert server.one()["leaseInfo"]["durationInSecs"] == duration_s, "documents say what the client asked for"
    server.pass_time(2.5)
    assert server.statuses() == {}
    assert server.delta() == {("ORDERS", "i1"): "DELETED"}
    assert server.get("/eureka/apps/ORDERS/i1").status == 404
    assert (server.renew().status, server.renew().body) == (404, b"")


def test_the_dead_say_when_they_went(server: LoneServer) -> None:
    server.register(leaseInfo=lease(10))
    server.pass_time(13)
    (application,) = server.get("/eureka/apps/delta").json["applications"]["application"]
    (instance,) = application["instance"]
    assert START_MS + 10_000 <= instance["leaseInfo"]["evictionTimestamp"] <= START_MS + 12_000


def test_an_override_ends_with_its_lease(server: LoneServer) -> None:
    server.register(leaseInfo=lease(10))
    server.ask("PUT", "/eureka/apps/ORDERS/i1/status?value=OUT_OF_SERVICE")
    server.pass_time(13)
    server.register(lastDirtyTimestamp="200")
    assert (server.one()["status"], server.one()["overriddenStatus"]) == (UP, "UNKNOWN")


def test_renewal_times_grow(server: LoneServer) -> None:
    server.register()
    seen = []
    for _ in range(4):
        server.pass_time(20)
        server.renew()
        seen.append(server.one()["leaseInfo"]["lastRenewalTimestamp"])
    assert seen == [START_MS + 20_000 * n for n in (1, 2, 3, 4)]


def test_a_late_server_extends_all_leases(server: LoneServer) -> None:
    server.register()
    server.pass_time(30)
    server.clock.move(500)  # stopped, and continued
    server.tick()
    assert server.statuses() == {("ORDERS", "i1"): UP}
    server.pass_time(50)
    assert server.statuses() == {("ORDERS", "i1"): UP}
    server.pass_time(15)
    assert server.statuses() == {}


@pytest.mark.parametrize("jump_s", [-7200, 7200])
def test_a_wall_clock_that_jumps_changes_nothing(server: LoneServer, jump_s: int) -> None:
    server.register(leaseInfo=lease(30))
    lost = server.foreign(service="other")
    server.pass_time(20)
    assert server.statuses()["OTHER", "10.0.0.1:other:8080"] == "DOWN"
    server.renew()
    server.clock.now_ms += jump_s * 1000
    server.pass_time(20)
    assert server.statuses() == {("ORDERS", "i1"): UP, ("OTHER", "10.0.0.1:other:8080"): "DOWN"}
    server.pass_time(180)
    assert server.statuses() == {}
    assert lost.id


def test_a_restart_gives_every_lease_its_full_length(server: LoneServer) -> None:
    server.register(leaseInfo=lease(30))
    server.pass_time(25)
    server.restart()
    server.pass_time(25)
    assert server.statuses() == {("ORDERS", "i1"): UP}
    server.pass_time(8)
    assert server.statuses() == {}


# ---------------------------------------------------------------- self-protection


def many(server: LoneServer, count: int) -> None:
    for n in range(count):
        server.register(id=f"i{n}", ipAddr=f"10.0.1.{n}", leaseInfo=lease(30))


def test_when_many_fall_silent_at_once_nobody_goes() -> None:
    server = LoneServer(terms=Terms())
    many(server, 20)
    server.pass_time(40, server.renew)
    assert len(server.statuses()) == 20
    assert set(server.statuses().values()) == {UP}, "Eureka readers see the word that was reported"
    page = server.get("/").body.decode()
    assert "EMERGENCY" in page
    assert "Lease expiration enabled" in page
    assert server.registry.protections()["default"].active
    assert server.ask("DELETE", "/eureka/apps/ORDERS/i7").status == 200, "saying good-bye always works"
    assert len(server.statuses()) == 19
    server.renew(id="i8")
    server.pass_time(900, server.renew, lambda: server.renew(id="i8"))
    assert server.statuses() == {("ORDERS", "i1"): UP, ("ORDERS", "i8"): UP}, "after 15 minutes they go"


@pytest.mark.parametrize(
    ("settings", "terms"), [(EurekaSettings(self_preservation=False), Terms()), (EurekaSettings(), UNPROTECTED)]
)
def test_self_protection_can_be_off(settings: EurekaSettings, terms: Terms) -> None:
    server = LoneServer(settings, terms)
    many(server, 20)
    server.pass_time(40, server.renew)
    assert server.statuses() == {("ORDERS", "i1"): UP}
    page = server.get("/").body.decode()
    assert "SELF PRESERVATION MODE IS TURNED OFF" in page
    assert "EMERGENCY" not in page


def test_what_is_held_tells_no_client_anything() -> None:
    server = LoneServer(terms=Terms())
    many(server, 20)
    client = JavaClient(server)
    client.poll()
    version = server.version()
    server.pass_time(40, server.renew)
    client.poll()
    assert server.version() == version
    assert {i["status"] for i in client.copy.values()} == {UP}


# ---------------------------------------------------------------- deltas


@pytest.mark.parametrize(("configured_s", "kept_s"), [(60, 180), (0, 180), (400, 400)])
def test_a_change_stays_in_the_delta(configured_s: float, kept_s: float) -> None:
    server = LoneServer(EurekaSettings(delta_expire_s=configured_s))
    server.register(leaseInfo=lease(3600))
    server.pass_time(kept_s - 1)
    assert server.delta() == {("ORDERS", "i1"): "ADDED"}
    server.pass_time(2)
    assert server.delta() == {}
    assert server.statuses() == {("ORDERS", "i1"): UP}
    server.renew()
    assert server.delta() == {}, "a renewal is no change"


def test_came_and_went_is_told_once(server: LoneServer) -> None:
    client = JavaClient(server)
    server.register()
    server.ask("DELETE", "/eureka/apps/ORDERS/i1")
    assert server.delta() == {("ORDERS", "i1"): "DELETED"}
    client.poll()
    server.register(lastDirtyTimestamp="200")
    server.ask("PUT", "/eureka/apps/ORDERS/i1/status?value=DOWN")
    assert set(server.delta()) == {("ORDERS", "i1")}
    client.poll()
    assert client.copy["ORDERS", "i1"]["status"] == "DOWN"


def test_what_was_there_long_before_the_start_is_no_news(server: LoneServer) -> None:
    server.register(leaseInfo=lease(3600))
    server.pass_time(200)
    version = server.version()
    server.restart()
    assert server.delta() == {}
    assert server.version() >= version
    client = JavaClient(server)
    server.register(id="i2")
    assert server.version() > version
    client.poll()
    assert server.delta() == {("ORDERS", "i2"): "ADDED"}


def test_a_change_just_before_the_start_is_told_after_it(server: LoneServer) -> None:
    server.register("A", "stays")
    server.register("B", "changes")
    server.register("C", "leaves")
    server.pass_time(
        60, *(lambda a=a, i=i: server.renew(a, i) for a, i in (("A", "stays"), ("B", "changes"), ("C", "leaves")))
    )
    client = JavaClient(server)
    client.poll()
    server.register("B", "changes", lastDirtyTimestamp="200", port={"$": 9999, "@enabled": "true"})
    server.ask("DELETE", "/eureka/apps/C/leaves")
    server.register("D", "comes")
    server.restart()
    client.poll()
    assert set(client.copy) == {("A", "stays"), ("B", "changes"), ("D", "comes")}
    assert client.copy["B", "changes"]["port"]["$"] == 9999
    server.pass_time(
        125, *(lambda a=a, i=i: server.renew(a, i) for a, i in (("A", "stays"), ("B", "changes"), ("D", "comes")))
    )
    assert ("A", "stays") not in server.delta(), "it counts from the change, not from the start"


def test_every_visible_change_raises_the_version(server: LoneServer) -> None:
    seen = [server.version()]
    changes = [
        lambda: server.register(),
        lambda: server.register(lastDirtyTimestamp="200"),
        lambda: server.ask("PUT", "/eureka/apps/ORDERS/i1/metadata?a=b"),
        lambda: server.ask("PUT", "/eureka/apps/ORDERS/i1/status?value=DOWN"),
        lambda: server.ask("DELETE", "/eureka/apps/ORDERS/i1/status?value=UP"),
        lambda: server.ask("DELETE", "/eureka/apps/ORDERS/i1"),
        lambda: server.foreign(),
        lambda: server.pass_time(17),
        lambda: server.pass_time(185),
    ]
    for number, change in enumerate(changes):
        change()
        seen.append(server.version())
        assert seen[-1] > seen[-2], f"change {number}"
    server.renew()
    assert server.version() == seen[-1]


def test_full_lists_have_version_one(server: LoneServer) -> None:
    server.register()
    assert server.get("/eureka/apps").json["applications"]["versions__delta"] == "1"
    assert server.version() > 1


def test_an_empty_registry_has_an_empty_hash(server: LoneServer) -> None:
    for target in ("apps", "apps/delta"):
        applications = server.get(f"/eureka/{target}").json["applications"]
        assert (applications["apps__hashcode"], applications["application"]) == ("", [])
        assert b"<apps__hashcode></apps__hashcode>" in server.get(f"/eureka/{target}", accept="application/xml").body


# ---------------------------------------------------------------- peers


def test_a_batch_is_its_single_calls_in_order(server: LoneServer) -> None:
    info = {
        "instanceId": "p1", "hostName": "h", "app": "PEER", "ipAddr": "10.0.0.5", "status": "UP",
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "lastDirtyTimestamp": "500",
    }  # fmt: skip

    def item(action: str, **more: object) -> dict[str, object]:
        return {"appName": "PEER", "id": "p1", "action": action, "lastDirtyTimestamp": 500} | more

    answers = server.batch(
        item("Heartbeat"),
        item("Register", instanceInfo=info),
        item("Heartbeat"),
        item("Heartbeat", lastDirtyTimestamp=400),
        item("Heartbeat", lastDirtyTimestamp=600, overriddenStatus="OUT_OF_SERVICE"),
        item("StatusUpdate", status="DOWN"),
        item("StatusUpdate", status="NONSENSE"),
        item("StatusUpdate", id="unknown", status="DOWN"),
        item("DeleteStatusOverride", status="UP"),
        item("Cancel", id="unknown"),
        item("Cancel"),
        item("Cancel"),
        {"appName": "PEER", "id": "p1"},
    )
    assert [a["statusCode"] for a in answers] == [404, 200, 200, 409, 404, 200, 500, 404, 200, 404, 200, 404, 500]
    assert answers[3]["responseEntity"]["instanceId"] == "p1"
    assert [n for n, a in enumerate(answers) if "responseEntity" in a] == [3]
    assert server.statuses() == {}
    assert server.delta() == {}, "came and went between two reads: nobody can have it"


def test_a_refused_item_does_not_stop_the_batch() -> None:
    server = LoneServer(terms=Terms(auto_create_service=False))
    answers = server.batch(
        {"appName": "NEW", "id": "i1", "action": "Register", "instanceInfo": document("NEW")},
        {"appName": "NEW", "id": "i1", "action": "Heartbeat", "lastDirtyTimestamp": 1},
    )
    assert len(answers) == 2
    assert answers[1]["statusCode"] == 404


@pytest.mark.parametrize("members", [{"ipAddr": None}, {"app": "OTHER"}, {"hostName": None}])
def test_a_peers_incomplete_registration_is_200_and_nothing(server: LoneServer, members: dict[str, object]) -> None:
    info = {k: v for k, v in (document() | members).items() if v is not None}
    answers = server.batch({"appName": "ORDERS", "id": "i1", "action": "Register", "instanceInfo": info})
    assert answers == [{"statusCode": 200}]
    assert server.statuses() == {}


def test_a_gzipped_batch(server: LoneServer) -> None:
    body = json.dumps({"replicationList": [{"appName": "A", "id": "i", "action": "Cancel"}]}).encode()
    fields = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = server.ask("POST", "/eureka/peerreplication/batch/", gzip.compress(body), fields)
    assert answer.json == {"responseList": [{"statusCode": 404}]}
    bomb = gzip.compress(b" " * (11 * 1024 * 1024) + body)
    assert server.ask("POST", "/eureka/peerreplication/batch/", bomb, fields).status in (400, 413, 500)
    assert server.ask("POST", "/eureka/peerreplication/batch/", body, fields).status in (400, 500)
