"""Every call of a Eureka client, one by one: the tables of the protocol as cases."""

from __future__ import annotations

import gzip

import pytest
from lone_server import MY_OWN, START_MS, JavaClient, LoneServer, document

from polaris_bridge.adapters.eureka.settings import EurekaSettings
from polaris_bridge.core.ports import Resource

UP, DOWN, STARTING, OUT, UNKNOWN = "UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "UNKNOWN"
WORDS = (UP, DOWN, STARTING, OUT, UNKNOWN)


@pytest.fixture
def server() -> LoneServer:
    return LoneServer()


# ---------------------------------------------------------------- register


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ({"instanceId": None, "hostName": None}, "Missing instanceId"),
        ({"hostName": None}, "Missing hostname"),
        ({"ipAddr": None}, "Missing ip address"),
        ({"app": ""}, "Missing appName"),
        ({"app": "other"}, "Mismatched appName, expecting ORDERS but was OTHER"),
        ({"dataCenterInfo": None}, "Missing dataCenterInfo"),
        ({"dataCenterInfo": {"@class": MY_OWN["@class"]}}, "Missing dataCenterInfo Name"),
    ],
)
def test_an_incomplete_registration_says_what_is_missing(
    server: LoneServer, missing: dict[str, object], text: str
) -> None:
    sent = {k: v for k, v in (document("orders") | missing).items() if v is not None}
    answer = server.post("/eureka/apps/orders", {"instance": sent})
    assert (answer.status, answer.body.decode()) == (400, text)
    assert server.statuses() == {}
    assert server.registry.services() == []


def test_a_registration_is_there_for_the_next_request(server: LoneServer) -> None:
    answer = server.register("orders", "i1")
    assert (answer.status, answer.body) == (204, b"")
    assert server.statuses() == {("ORDERS", "i1"): UP}
    one = server.one("orders")
    assert (one["app"], one["hostName"], one["ipAddr"], one["port"]) == (
        "ORDERS", "host-1", "10.0.0.1", {"$": 8080, "@enabled": "true"},
    )  # fmt: skip
    assert one["leaseInfo"] == {
        "renewalIntervalInSecs": 30, "durationInSecs": 90, "registrationTimestamp": START_MS,
        "lastRenewalTimestamp": START_MS, "evictionTimestamp": 0, "serviceUpTimestamp": START_MS,
    }  # fmt: skip
    assert one["lastDirtyTimestamp"] == "100"
    assert one["lastUpdatedTimestamp"] == str(START_MS)
    assert one["actionType"] == "ADDED"
    assert server.get("/eureka/instances/i1").instance == one


@pytest.mark.parametrize("content_type", ["application/json;charset=UTF-8", "application/json", "APPLICATION/JSON"])
def test_content_types_that_are_read(server: LoneServer, content_type: str) -> None:
    assert server.post("/eureka/apps/ORDERS", {"instance": document()}, **{"content-type": content_type}).status == 204


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_other_content_types_are_415(server: LoneServer, content_type: str) -> None:
    answer = server.post("/eureka/apps/ORDERS", {"instance": document()}, **{"content-type": content_type})
    assert (answer.status, answer.body) == (415, b"")


def test_without_an_id_the_host_name_is_the_id(server: LoneServer) -> None:
    server.register(id=None)
    assert server.renew(id="host-1").status == 200
    assert "instanceId" not in server.one(id="host-1")


def test_amazons_instance_id_is_the_id(server: LoneServer) -> None:
    center = {"@class": "com.netflix.appinfo.AmazonInfo", "name": "Amazon", "metadata": {"instance-id": "i-0abc"}}
    server.register(id=None, dataCenterInfo=center)
    assert server.renew(id="i-0abc").status == 200


def test_missing_values_get_the_servers(server: LoneServer) -> None:
    server.register(lastDirtyTimestamp=None, port=None, leaseInfo={"renewalIntervalInSecs": 0, "durationInSecs": -1})
    one = server.one()
    assert one["lastDirtyTimestamp"] == str(START_MS)
    assert (one["port"], one["securePort"]) == (
        {"$": 7001, "@enabled": "true"}, {"$": 7002, "@enabled": "false"},
    )  # fmt: skip
    assert (one["leaseInfo"]["renewalIntervalInSecs"], one["leaseInfo"]["durationInSecs"]) == (30, 90)


STATUS_RULES = [
    # existing, override by an operator, incoming, replicated -> status, overriddenStatus
    (None, None, UP, False, UP, UNKNOWN),
    (None, None, STARTING, False, STARTING, UNKNOWN),
    (UP, None, DOWN, False, DOWN, UNKNOWN),  # (a) what withdraws is believed
    (UP, None, STARTING, False, STARTING, UNKNOWN),
    (UP, None, UNKNOWN, False, UNKNOWN, UNKNOWN),
    (UP, OUT, UP, False, OUT, OUT),  # (b) the override
    (UP, OUT, OUT, False, OUT, OUT),
    (UP, OUT, DOWN, False, DOWN, OUT),  # (a) before (b), the override stays
    (UP, OUT, STARTING, False, STARTING, OUT),
    (UP, OUT, UP, True, OUT, OUT),
    (UP, None, OUT, False, UP, UNKNOWN),  # (c) what the lease says
    (OUT, None, UP, False, OUT, UNKNOWN),
    (UP, None, OUT, True, OUT, UNKNOWN),  # (d) a peer is believed
    (OUT, None, UP, True, UP, UNKNOWN),
    (DOWN, None, UP, False, UP, UNKNOWN),  # (d)
    (STARTING, None, OUT, False, OUT, UNKNOWN),
    (UNKNOWN, None, UP, False, UP, UNKNOWN),
    (DOWN, UP, OUT, False, UP, UP),
    (UP, DOWN, UP, False, DOWN, DOWN),
]


@pytest.mark.parametrize(("existing", "override", "incoming", "replicated", "status", "overridden"), STATUS_RULES)
def test_the_status_rule(
    server: LoneServer,
    existing: str | None,
    override: str | None,
    incoming: str,
    replicated: bool,
    status: str,
    overridden: str,
) -> None:
    if existing is not None:
        server.register(status=existing)
    if override is not None:
        assert server.ask("PUT", f"/eureka/apps/ORDERS/i1/status?value={override}").status == 200
    assert server.register(status=incoming, lastDirtyTimestamp="200", replicated=replicated).status == 204
    one = server.one()
    assert (one["status"], one["overriddenStatus"]) == (status, overridden)
    assert server.statuses() == {("ORDERS", "i1"): status}


def test_an_override_in_the_document_counts_when_there_is_none(server: LoneServer) -> None:
    server.register(overriddenStatus=OUT)
    assert (server.one()["status"], server.one()["overriddenStatus"]) == (OUT, OUT)
    server.register(overriddenStatus=DOWN, lastDirtyTimestamp="200")
    assert (server.one()["status"], server.one()["overriddenStatus"]) == (OUT, OUT)


def test_an_older_document_does_not_replace_a_newer_one(server: LoneServer) -> None:
    server.register(lastDirtyTimestamp="200", hostName="new")
    server.pass_time(60)
    assert server.register(lastDirtyTimestamp="199", hostName="old", overriddenStatus=OUT).status == 204
    one = server.one()
    assert (one["hostName"], one["lastDirtyTimestamp"]) == ("new", "200")
    assert (one["status"], one["overriddenStatus"]) == (UP, UNKNOWN)
    server.pass_time(60)  # but its lease began anew
    assert server.statuses() == {("ORDERS", "i1"): UP}
    server.register(lastDirtyTimestamp="200", hostName="same")
    assert server.one()["hostName"] == "same"


def test_registering_again(server: LoneServer) -> None:
    server.register(status=STARTING)
    assert server.one()["leaseInfo"]["serviceUpTimestamp"] == 0
    server.pass_time(10)
    server.register(status=UP, lastDirtyTimestamp="200")
    server.pass_time(10)
    server.register(status=UP, lastDirtyTimestamp="300")
    lease = server.one()["leaseInfo"]
    assert lease["serviceUpTimestamp"] == START_MS + 10_000
    assert lease["registrationTimestamp"] == START_MS + 20_000
    assert server.delta() == {("ORDERS", "i1"): "MODIFIED"}


# ---------------------------------------------------------------- renew


RENEWALS = [
    # query, replicated -> status
    ("", False, 200),
    ("status=UP", False, 200),
    ("status=DOWN&lastDirtyTimestamp=100", False, 200),
    ("lastDirtyTimestamp=100", True, 200),
    ("lastDirtyTimestamp=101", False, 404),
    ("lastDirtyTimestamp=101", True, 404),
    ("lastDirtyTimestamp=99", False, 200),
    ("lastDirtyTimestamp=99", True, 409),
    ("lastDirtyTimestamp=", False, 500),
    ("lastDirtyTimestamp=abc", False, 500),
    ("lastDirtyTimestamp=99999999999999999999", False, 500),
    ("lastDirtyTimestamp=-1", False, 200),
    ("lastDirtyTimestamp=%31%30%30", False, 200),
    ("lastDirtyTimestamp=100&lastDirtyTimestamp=101", False, 200),
]


@pytest.mark.parametrize(("query", "replicated", "status"), RENEWALS)
def test_renewals(server: LoneServer, query: str, replicated: bool, status: int) -> None:
    server.register()
    server.pass_time(80)
    answer = server.renew(query=query, replicated=replicated)
    assert answer.status == status
    if status == 409:
        assert answer.instance == server.one() | {"leaseInfo": answer.instance["leaseInfo"]}
    else:
        assert answer.body == b"", "1.x clients take a body for an instance"
    server.pass_time(80)
    assert server.one()["status"] == UP, "the lease was renewed whatever the answer"


@pytest.mark.parametrize("target", ["OTHER/i1", "ORDERS/I1", "ORDERS/i2"])
def test_renewals_of_the_unknown_are_404_without_a_body(server: LoneServer, target: str) -> None:
    server.register()
    answer = server.renew(*target.split("/"))
    assert (answer.status, answer.body, answer.headers) == (404, b"", {})


def test_ids_in_paths(server: LoneServer) -> None:
    server.register("orders", "host 1:orders:80@x$y")
    for app in ("ORDERS", "orders", "Orders", "%4Frders"):
        for id in ("host%201:orders:80@x$y", "host%201%3Aorders%3a80%40x%24y"):
            assert server.renew(app, id).status == 200, (app, id)
    assert server.renew("ORDERS", "HOST%201:orders:80@x$y").status == 404


def test_a_status_of_unknown_asks_for_a_new_registration(server: LoneServer) -> None:
    server.register()
    server.ask("PUT", "/eureka/apps/ORDERS/i1/status?value=OUT_OF_SERVICE")
    assert server.ask("DELETE", "/eureka/apps/ORDERS/i1/status").status == 200
    assert (server.one()["status"], server.one()["overriddenStatus"]) == (UNKNOWN, UNKNOWN)
    answer = server.renew()
    assert (answer.status, answer.body) == (404, b"")
    server.register(lastDirtyTimestamp="200")
    assert server.one()["status"] == UP
    assert server.renew().status == 200


def test_a_peers_override_counts_when_it_has_newer_data(server: LoneServer) -> None:
    server.register()
    assert server.renew(query="lastDirtyTimestamp=200&overriddenstatus=DOWN", replicated=True).status == 404
    server.register(lastDirtyTimestamp="200")
    assert (server.one()["status"], server.one()["overriddenStatus"]) == (DOWN, DOWN)


def test_a_clients_override_in_a_renewal_is_not_heard(server: LoneServer) -> None:
    server.register()
    assert server.renew(query="lastDirtyTimestamp=200&overriddenstatus=DOWN").status == 404
    server.register(lastDirtyTimestamp="200")
    assert (server.one()["status"], server.one()["overriddenStatus"]) == (UP, UNKNOWN)


# ---------------------------------------------------------------- cancel


def test_cancel(server: LoneServer) -> None:
    server.register()
    client = JavaClient(server)
    server.ask("PUT", "/eureka/apps/ORDERS/i1/status?value=OUT_OF_SERVICE")
    answer = server.ask("DELETE", "/eureka/apps/orders/i1")
    assert (answer.status, answer.body) == (200, b"")
    assert server.statuses() == {}
    assert server.delta() == {("ORDERS", "i1"): "DELETED"}
    client.poll()
    assert client.copy == {}
    for target in ("/eureka/apps/ORDERS", "/eureka/apps/ORDERS/i1", "/eureka/instances/i1"):
        answer = server.get(target)
        assert (answer.status, answer.body) == (404, b"")
    assert server.ask("DELETE", "/eureka/apps/orders/i1").status == 404
    server.register(lastDirtyTimestamp="200")
    assert (server.one()["status"], server.one()["overriddenStatus"]) == (UP, UNKNOWN), "the override went with it"


# ---------------------------------------------------------------- status override


STATUS_CALLS = [
    ("PUT", "?value=OUT_OF_SERVICE", 200, OUT, OUT),
    ("PUT", "?value=DOWN", 200, DOWN, DOWN),
    ("PUT", "?value=STARTING", 200, STARTING, STARTING),
    ("PUT", "?value=UNKNOWN", 200, UNKNOWN, UNKNOWN),
    ("PUT", "?value=UP", 200, UP, UNKNOWN),  # the same status: no override is recorded
    ("PUT", "", 500, UP, UNKNOWN),
    ("PUT", "?value=", 500, UP, UNKNOWN),
    ("PUT", "?value=out_of_service", 500, UP, UNKNOWN),
    ("PUT", "?value=GONE", 500, UP, UNKNOWN),
    ("PUT", "?value=DOWN&lastDirtyTimestamp=x", 500, UP, UNKNOWN),
    ("DELETE", "", 200, UP, UNKNOWN),  # no override: nothing changes
    ("DELETE", "?value=DOWN", 200, UP, UNKNOWN),
    ("DELETE", "?value=GONE", 500, UP, UNKNOWN),
]


@pytest.mark.parametrize(("method", "query", "status", "word", "overridden"), STATUS_CALLS)
def test_status_calls(server: LoneServer, method: str, query: str, status: int, word: str, overridden: str) -> None:
    server.register()
    answer = server.ask(method, f"/eureka/apps/orders/i1/status{query}")
    assert (answer.status, answer.body) == (status, b"")
    assert (server.one()["status"], server.one()["overriddenStatus"]) == (word, overridden)
    assert server.statuses() == {("ORDERS", "i1"): word}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_status_of_the_unknown_is_404(server: LoneServer, method: str) -> None:
    assert server.ask(method, "/eureka/apps/orders/i1/status?value=UP").status == 404


@pytest.mark.parametrize(("value", "word"), [("", UNKNOWN), ("?value=UP", UP), ("?value=DOWN", DOWN)])
def test_the_end_of_an_override(server: LoneServer, value: str, word: str) -> None:
    server.register()
    server.ask("PUT", "/eureka/apps/ORDERS/i1/status?value=OUT_OF_SERVICE")
    assert server.ask("DELETE", f"/eureka/apps/ORDERS/i1/status{value}").status == 200
    assert (server.one()["status"], server.one()["overriddenStatus"]) == (word, UNKNOWN)
    assert server.delta() == {("ORDERS", "i1"): "MODIFIED"}


def test_an_override_survives_renewals_a_new_place_and_restarts(server: LoneServer) -> None:
    server.register()
    server.ask("PUT", "/eureka/apps/ORDERS/i1/status?value=OUT_OF_SERVICE")
    server.pass_time(600, server.renew)
    server.register(lastDirtyTimestamp="200", ipAddr="10.0.0.7", port={"$": 9999, "@enabled": "true"})
    server.restart()
    one = server.one()
    assert (one["ipAddr"], one["status"], one["overriddenStatus"]) == ("10.0.0.7", OUT, OUT)
    server.ask("DELETE", "/eureka/apps/ORDERS/i1/status?value=UP")
    assert (server.one()["status"], server.one()["overriddenStatus"]) == (UP, UNKNOWN)


def test_the_dirty_timestamp_of_a_status_call_only_rises(server: LoneServer) -> None:
    server.register()
    server.ask("PUT", "/eureka/apps/ORDERS/i1/status?value=DOWN&lastDirtyTimestamp=50")
    assert server.one()["lastDirtyTimestamp"] == "100"
    server.ask("PUT", "/eureka/apps/ORDERS/i1/status?value=OUT_OF_SERVICE&lastDirtyTimestamp=150")
    assert server.one()["lastDirtyTimestamp"] == "150"
    server.ask("DELETE", "/eureka/apps/ORDERS/i1/status?value=UP&lastDirtyTimestamp=170")
    assert server.one()["lastDirtyTimestamp"] == "170"


def test_status_calls_renew(server: LoneServer) -> None:
    server.register()
    server.pass_time(80)
    server.ask("PUT", "/eureka/apps/ORDERS/i1/status?value=UP")
    server.pass_time(80)
    server.ask("DELETE", "/eureka/apps/ORDERS/i1/status?value=UP")
    server.pass_time(80)
    assert server.statuses() == {("ORDERS", "i1"): UP}


# ---------------------------------------------------------------- metadata


def test_metadata_is_merged(server: LoneServer) -> None:
    server.register(metadata={"keep": "1", "change": "2"}, vipAddress="Orders")
    server.pass_time(80)
    answer = server.ask("PUT", "/eureka/apps/ORDERS/i1/metadata?change=3&new=a%20b+c&new=second&empty=")
    assert (answer.status, answer.body) == (200, b"")
    one = server.one()
    assert one["metadata"] == {"keep": "1", "change": "3", "new": "a b c", "empty": ""}
    assert (one["hostName"], one["vipAddress"], one["lastDirtyTimestamp"]) == ("host-1", "Orders", "100")
    server.pass_time(80)
    assert server.one()["metadata"]["new"] == "a b c", "a new lease began"
    server.register(metadata={"own": "1"}, lastDirtyTimestamp="101")
    assert server.one()["metadata"] == {"own": "1"}


def test_metadata_changes_reach_clients(server: LoneServer) -> None:
    server.register()
    client = JavaClient(server)
    client.poll()
    server.ask("PUT", "/eureka/apps/ORDERS/i1/metadata?a=b")
    client.poll()
    assert client.copy["ORDERS", "i1"]["metadata"] == {"a": "b"}


@pytest.mark.parametrize(("known", "query", "status"), [(True, "", 200), (False, "", 404), (False, "?a=b", 404)])
def test_metadata_of_nothing(server: LoneServer, known: bool, query: str, status: int) -> None:
    if known:
        server.register()
    assert server.ask("PUT", f"/eureka/apps/ORDERS/i1/metadata{query}").status == status


# ---------------------------------------------------------------- ids, vips


def test_one_id_in_two_applications(server: LoneServer) -> None:
    server.register("A", "i1", ipAddr="10.0.0.1")
    server.register("B", "i1", ipAddr="10.0.0.2")
    assert server.statuses() == {("A", "i1"): UP, ("B", "i1"): UP}
    server.ask("DELETE", "/eureka/apps/A/i1")
    assert server.one("B")["ipAddr"] == "10.0.0.2"
    assert server.get("/eureka/instances/i1").instance["app"] == "B"


def test_two_ids_at_one_address(server: LoneServer) -> None:
    server.register(id="i1")
    server.register(id="i2")
    server.ask("PUT", "/eureka/apps/ORDERS/i1/status?value=OUT_OF_SERVICE")
    assert server.statuses() == {("ORDERS", "i1"): OUT, ("ORDERS", "i2"): UP}
    server.ask("DELETE", "/eureka/apps/ORDERS/i1")
    assert server.statuses() == {("ORDERS", "i2"): UP}


VIPS = [
    # resource, asked -> ids
    ("vips", "UserService", {"a", "b"}),
    ("vips", "userservice", {"c"}),  # exactly this spelling
    ("vips", "USERSERVICE", {"a", "b", "c"}),  # else whatever its case
    ("vips", "second", {"b"}),
    ("svips", "UserService", {"a"}),
    ("svips", "second", set()),
    ("vips", "nobody", set()),
    ("vips", "User%53ervice", {"a", "b"}),
]


@pytest.mark.parametrize(("resource", "asked", "ids"), VIPS)
def test_vips(server: LoneServer, resource: str, asked: str, ids: set[str]) -> None:
    server.register("X", "a", vipAddress="UserService", secureVipAddress="UserService")
    server.register("Y", "b", vipAddress="UserService, second", status=DOWN)
    server.register("Y", "c", vipAddress="userservice")
    applications = server.get(f"/eureka/{resource}/{asked}").json["applications"]
    found = {i["instanceId"]: i["status"] for a in applications["application"] for i in a["instance"]}
    assert set(found) == ids
    words = sorted(found.values())
    assert applications["apps__hashcode"] == "".join(f"{w}_{words.count(w)}_" for w in dict.fromkeys(words))
    assert applications["versions__delta"] == "-1"


def test_a_vip_follows_its_instance(server: LoneServer) -> None:
    def ids(vip: str) -> list[str]:
        found = server.get(f"/eureka/vips/{vip}").json["applications"]["application"]
        return [i["instanceId"] for a in found for i in a["instance"]]

    server.register(vipAddress="one")
    assert (ids("one"), ids("two")) == (["i1"], [])
    server.register(vipAddress="two", lastDirtyTimestamp="200")
    assert (ids("one"), ids("two")) == ([], ["i1"])
    server.ask("PUT", "/eureka/apps/ORDERS/i1/status?value=DOWN")
    found = server.get("/eureka/vips/two").json["applications"]
    assert found["apps__hashcode"] == "DOWN_1_"
    server.ask("DELETE", "/eureka/apps/ORDERS/i1")
    assert ids("two") == []


# ---------------------------------------------------------------- the rest of the table


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("PUT", "/eureka/asg/x/status?value=ENABLED", 400),
        ("GET", "/eureka/status", 200),
        ("GET", "/eureka/serverinfo/statusoverrides", 404),
        ("GET", "/eureka/", 404),
        ("GET", "/eureka/v1/apps", 404),
        ("GET", "/eureka/apps?regions=us-east-1,nowhere", 200),
        ("GET", "/eureka/apps/delta?regions=", 200),
        ("GET", "/", 200),
        ("GET", "/lastn", 200),
        ("GET", "/apps", 404),
        ("GET", "/eureka/apps/a/b/c", 404),
        ("GET", "/eureka/apps/a/b/status", 405),
        ("GET", "/eureka/apps//x", 404),
        ("GET", "/eureka/apps/%zz", 400),
        ("GET", "/eureka/apps/a%2Fb", 400),
        ("GET", "/eureka/apps/a%00b", 400),
        ("POST", "/eureka/apps", 405),
        ("POST", "/eureka/apps/delta", 405),
        ("DELETE", "/eureka/apps/a", 405),
        ("PATCH", "/eureka/apps/a/b", 405),
        ("HEAD", "/eureka/apps", 200),
        ("OPTIONS", "/eureka/apps", 200),
        ("OPTIONS", "/eureka/nothing", 404),
    ],
)
@pytest.mark.parametrize("ending", ["", "/"])
def test_paths_and_methods(server: LoneServer, method: str, target: str, status: int, ending: str) -> None:
    path, mark, query = target.partition("?")
    answer = server.ask(method, (path.rstrip("/") + ending or "/") + mark + query)
    assert answer.status == status, answer
    if status >= 400:
        assert answer.body == b""
    if status == 405:
        assert "OPTIONS" in answer.headers["allow"]


def test_what_405_allows(server: LoneServer) -> None:
    assert server.ask("PUT", "/eureka/apps").headers["allow"] == "GET,OPTIONS"
    assert server.ask("PUT", "/eureka/apps/A").headers["allow"] == "POST,GET,OPTIONS"


ACCEPTS = [
    # Accept, X-Eureka-Accept -> type, compact; None = 406
    ("", "", "application/xml", False),
    ("*/*", "", "application/xml", False),
    ("application/xml", "compact", "application/xml", True),
    ("application/json", "COMPACT", "application/json", True),
    ("application/json, application/*+json", "", "application/json", False),
    ("application/xml, application/json", "full", "application/json", False),
    ("text/html", "", None, False),
]


@pytest.mark.parametrize(("accept", "detail", "content_type", "compact"), ACCEPTS)
@pytest.mark.parametrize("target", ["apps", "apps/delta", "apps/ORDERS", "vips/v", "svips/v"])
def test_formats_of_lists(
    server: LoneServer, target: str, accept: str, detail: str, content_type: str | None, compact: bool
) -> None:
    server.register(vipAddress="v", secureVipAddress="v")
    answer = server.ask("GET", f"/eureka/{target}", headers={"accept": accept, "x-eureka-accept": detail})
    if content_type is None:
        assert (answer.status, answer.body) == (406, b"")
        return
    assert (answer.status, answer.headers["content-type"]) == (200, content_type)
    assert (answer.body[:1] == b"{") == (content_type == "application/json")
    assert (b"leaseInfo" in answer.body) != compact


def test_gzip_is_for_the_large_lists(server: LoneServer) -> None:
    server.register()
    for target in ("apps", "apps/", "apps/delta", "apps/delta?regions=x"):
        for accept in ("application/json", "application/xml"):
            plain = server.get(f"/eureka/{target}", accept=accept)
            packed = server.get(f"/eureka/{target}", accept=accept, accept_encoding="gzip, deflate")
            assert packed.headers == {"content-encoding": "gzip", "content-type": accept}
            assert gzip.decompress(packed.body) == plain.body
    assert "content-encoding" not in server.get("/eureka/apps/ORDERS", accept_encoding="gzip").headers


# ---------------------------------------------------------------- credentials


class Guard:
    """Knows one name; its ``reader`` may only read."""

    def authenticate(self, credential: object) -> str | None:
        name, password = getattr(credential, "name", ""), getattr(credential, "password", "")
        return name if password == "pw" else None

    def allow(self, principal: str, operation: str, resource: Resource) -> bool:
        return principal == "writer" or not operation.endswith(":write")


BASIC = {"writer": "Basic d3JpdGVyOnB3", "reader": "basic cmVhZGVyOnB3", "wrong": "Basic d3JpdGVyOm5v"}
CREDENTIALS = [
    # credentials, demanded -> read, write
    (BASIC["writer"], True, 200, 204),
    (BASIC["reader"], True, 200, 403),
    (BASIC["wrong"], True, 401, 401),
    (BASIC["wrong"], False, 401, 401),
    ("", True, 401, 401),
    ("", False, 200, 403),
    ("Basic d3JpdGVy", True, 401, 401),  # no colon
    ("Basic %%%", True, 401, 401),
    ("Basic ////", True, 401, 401),
    ("Bearer x", True, 401, 401),
]


@pytest.mark.parametrize(("header", "demanded", "read", "write"), CREDENTIALS)
def test_credentials(header: str, demanded: bool, read: int, write: int) -> None:
    server = LoneServer(EurekaSettings(auth=demanded), authority=Guard())
    assert server.get("/eureka/apps", authorization=header).status == read
    answer = server.post("/eureka/apps/ORDERS", {"instance": document()}, authorization=header)
    assert answer.status == write
    if write == 401:
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert (server.registry.services() != []) == (write == 204)
