"""The server's own pages, and what clients hear when a write cannot be taken."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from lone_server import JavaClient, LoneServer, document

from polaris_bridge.core.batches import BatchTerms
from polaris_bridge.core.terms import Terms


@pytest.fixture
def server() -> LoneServer:
    return LoneServer()


# ---------------------------------------------------------------- pages


def test_the_page_shows_what_is_registered(server: LoneServer) -> None:
    server.register("ORDERS", "i1", statusPageUrl="http://10.0.0.1:8080/info", metadata={"zone": "z1"})
    server.register("ORDERS", "i2", status="DOWN", ipAddr="10.0.0.2")
    server.foreign(service="users", host="10.0.0.3")
    answer = server.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    page = answer.body.decode()
    for text in (
        "System Status",
        "DS Replicas",
        "Instances currently registered with Eureka",
        "General Info",
        "ORDERS",
        "USERS",
    ):
        assert text in page
    assert 'href="http://10.0.0.1:8080/info"' in page
    assert "<b>DOWN</b> (1)" in page
    assert "z1 (1)" in page


def test_hostile_names_stay_text(server: LoneServer) -> None:
    evil = "<script>alert(1)</script>"
    server.register("ORDERS", evil, statusPageUrl="javascript:alert(1)", metadata={"zone": evil})
    server.register("ORDERS", "i2", statusPageUrl='http://x/"onmouseover="alert(1)')
    server.foreign(service=evil)
    for path in ("/", "/lastn"):
        page = server.get(path).body.decode()
        assert "&lt;script&gt;" in page
        assert "<script>" not in page
        assert "javascript:" not in page
        assert '"onmouseover=' not in page


def test_the_latest_changes(server: LoneServer) -> None:
    server.register("ORDERS", "came")
    server.register("ORDERS", "went")
    server.ask("DELETE", "/eureka/apps/ORDERS/went")
    page = server.get("/lastn").body.decode()
    cancelled, _, registered = page.partition("newly registered")
    assert "ORDERS(went)" in cancelled
    assert "ORDERS(came)" not in cancelled
    assert "ORDERS(came)" in registered


def test_the_status_document(server: LoneServer) -> None:
    root = ElementTree.fromstring(server.get("/eureka/status", accept="application/xml").body)
    assert root.tag == "com.netflix.eureka.util.StatusInfo"
    general = root.find("generalStats")
    assert general is not None
    assert {child.tag for child in general} >= {"environment", "num-of-cpus", "current-memory-usage", "server-uptime"}
    assert server.get("/eureka/status").json["generalStats"]["environment"]


def test_renewals_of_the_last_minute_are_shown(server: LoneServer) -> None:
    server.register()
    server.pass_time(30, server.renew)
    assert "<td>Renews (last min)</td><td>30</td>" in server.get("/").body.decode()
    server.pass_time(61)
    assert "<td>Renews (last min)</td><td>0</td>" in server.get("/").body.decode()


# ---------------------------------------------------------------- refused


WRITES = [
    ("POST", "/eureka/apps/ORDERS"),
    ("DELETE", "/eureka/apps/ORDERS/i1"),
    ("PUT", "/eureka/apps/ORDERS/i1/status?value=DOWN"),
    ("PUT", "/eureka/apps/ORDERS/i1/metadata?a=b"),
]


@pytest.mark.parametrize(("method", "target"), WRITES)
def test_a_store_that_takes_nothing(server: LoneServer, method: str, target: str) -> None:
    server.register()
    client, version = JavaClient(server), server.version()
    before = server.one()
    server.store.close()
    if method == "POST":
        answer = server.register(lastDirtyTimestamp="200", metadata={"new": "1"})
    else:
        answer = server.ask(method, target)
    assert (answer.status, answer.body) == (503, b"")
    assert server.one() == before
    assert server.version() == version, "nobody saw any of it"
    assert server.renew().status == 200
    client.poll()
    server.store.load()  # there is room again
    assert server.register("OTHER", "i2").status == 204
    assert server.statuses() == {("ORDERS", "i1"): "UP", ("OTHER", "i2"): "UP"}


def test_a_batch_that_the_store_refuses(server: LoneServer) -> None:
    server.store.close()
    item = {"appName": "ORDERS", "id": "i1", "action": "Register", "instanceInfo": document()}
    assert server.post("/eureka/peerreplication/batch/", {"replicationList": [item]}).status == 503
    assert server.statuses() == {}


def test_a_full_queue_is_503() -> None:
    server = LoneServer(terms=Terms(batch=BatchTerms(queue_size=2)))
    waiting = []
    for n in range(4):
        answer = server.ask_later("POST", "/eureka/apps/ORDERS", {"instance": document(id=f"i{n}")})
        waiting.append(answer)
    server.queue.settle()
    assert [found[0].status for found in waiting] == [204, 204, 503, 503]
    assert set(server.statuses()) == {("ORDERS", "i0"), ("ORDERS", "i1")}
    assert server.register(id="i9").status == 204
