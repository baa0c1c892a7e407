"""Namespaces: the listener's option, the header, the URL; each with its own applications, hash, versions and deltas."""

from __future__ import annotations

import pytest
from lone_server import JavaClient, LoneServer, document

from polaris_bridge.adapters.eureka.settings import EurekaSettings
from polaris_bridge.core.model import SYSTEM, NamespaceRecord
from polaris_bridge.core.terms import Terms


@pytest.fixture
def server() -> LoneServer:
    return LoneServer()


def test_the_option_names_the_listeners_own() -> None:
    server = LoneServer(EurekaSettings(namespace="prod"))
    server.register()
    assert [s.key.namespace for s in server.registry.services()] == ["prod"]
    assert server.statuses() == server.statuses("/ns/prod/eureka") == {("ORDERS", "i1"): "UP"}
    assert server.statuses("/ns/default/eureka") == {}


WAYS = [
    # base, header -> namespace
    ("/eureka", "", "default"),
    ("/eureka/v2", "", "default"),
    ("/eureka", "blue", "blue"),
    ("/ns/green/eureka", "", "green"),
    ("/ns/green/eureka/v2", "", "green"),
    ("/ns/green/eureka", "blue", "green"),  # the URL is what a client can be told
    ("/ns/a%2Eb%3Ac/eureka", "", "a.b:c"),
    ("/ns/%67reen/eureka", "", "green"),
]


@pytest.mark.parametrize(("base", "header", "namespace"), WAYS)
@pytest.mark.parametrize("ending", ["", "/"])
def test_ways_to_name_one(server: LoneServer, base: str, header: str, namespace: str, ending: str) -> None:
    named = {"x-namespace": header} if header else {}
    answer = server.post(f"{base}/apps/ORDERS{ending}", {"instance": document()}, **named)
    assert answer.status == 204
    assert [s.key.namespace for s in server.registry.services()] == [namespace]
    for target in (
        "apps",
        "apps/delta",
        "apps/ORDERS",
        "apps/ORDERS/i1",
        "instances/i1",
        "vips/x",
        "svips/x",
        "status",
    ):
        assert server.get(f"{base}/{target}{ending}", **named).status == 200, target
    for method, target in (
        ("PUT", "apps/ORDERS/i1"),
        ("PUT", "apps/ORDERS/i1/status?value=DOWN"),
        ("DELETE", "apps/ORDERS/i1/status?value=UP"),
        ("PUT", "apps/ORDERS/i1/metadata?a=b"),
        ("DELETE", "apps/ORDERS/i1"),
    ):
        path, mark, query = target.partition("?")
        assert server.ask(method, f"{base}/{path}{ending}{mark}{query}", headers=named).status == 200, target
    assert server.statuses(f"/ns/{namespace}/eureka") == {}


def test_each_has_its_own_state(server: LoneServer) -> None:
    bases = ("/eureka", "/ns/blue/eureka", "/ns/green/eureka")
    for base in bases:
        server.register(base=base)
    clients = {base: JavaClient(server, base) for base in bases}
    versions = {base: server.version(base) for base in bases}
    server.ask("PUT", "/ns/blue/eureka/apps/ORDERS/i1/status?value=DOWN")
    assert [server.statuses(base)["ORDERS", "i1"] for base in bases] == ["UP", "DOWN", "UP"]
    assert {base for base in bases if server.version(base) != versions[base]} == {"/ns/blue/eureka"}
    server.register("ONLY", "i2", base="/ns/green/eureka")
    server.ask("DELETE", "/eureka/apps/ORDERS/i1")
    assert [len(server.statuses(base)) for base in bases] == [0, 1, 2]
    for client in clients.values():
        client.poll()
    assert [len(client.copy) for client in clients.values()] == [0, 1, 2]
    assert server.get("/eureka/instances/i2").status == 404
    assert server.get("/ns/green/eureka/vips/ONLY").status == 200


def test_batches_too(server: LoneServer) -> None:
    item = {"appName": "ORDERS", "id": "i1", "action": "Register", "instanceInfo": document()}
    answer = server.post("/ns/blue/eureka/peerreplication/batch/", {"replicationList": [item]})
    assert answer.status == 200
    assert server.statuses("/ns/blue/eureka") == {("ORDERS", "i1"): "UP"}
    assert server.statuses() == {}


@pytest.mark.parametrize("target", ["apps", "apps/delta", "apps/A", "apps/A/i", "instances/i", "vips/v", "status"])
def test_reading_creates_nothing(server: LoneServer, target: str) -> None:
    for number in range(50):
        assert server.get(f"/ns/unknown-{number}/eureka/{target}").status in (200, 404)
    for method, path in (("PUT", "apps/A/i"), ("DELETE", "apps/A/i"), ("PUT", "apps/A/i/status?value=UP")):
        assert server.ask(method, f"/ns/unknown/eureka/{path}").status == 404
    assert server.registry.namespaces() == []
    assert len(list(server.service.views)) == 1, "nor is anything kept of it"


ILLEGAL = ["", "%20", "a%20b", "%E4%B8%AD", "a%2Fb", "x" * 65, "a%00", "%", "%zz", "a%0Ab", "a%22", "<a>", "a,b"]


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_names_are_refused(server: LoneServer, name: str) -> None:
    assert server.get(f"/ns/{name}/eureka/apps").status == 400
    assert server.post(f"/ns/{name}/eureka/apps/ORDERS", {"instance": document()}).status == 400
    assert server.registry.namespaces() == []


@pytest.mark.parametrize("header", ["a b", "x" * 65, "\xe4", "a/../b c", "a\tb"])
def test_illegal_headers_are_refused(server: LoneServer, header: str) -> None:
    assert server.get("/eureka/apps", x_namespace=header).status == 400


@pytest.mark.parametrize(
    "path", ["/ns", "/ns/", "/ns/a", "/ns/a/", "/ns/a/apps", "/ns/a/b/eureka/apps", "/ns/eureka/apps"]
)
def test_half_a_prefix_is_nothing(server: LoneServer, path: str) -> None:
    assert server.get(path).status == 404


def test_where_namespaces_are_made_by_hand() -> None:
    server = LoneServer(terms=Terms(auto_create_namespace=False))
    server.registry.put_namespace(NamespaceRecord("known"), SYSTEM)
    server.queue.settle()
    assert server.register(base="/ns/known/eureka").status == 204
    for number in range(20):
        answer = server.register(base=f"/ns/unknown-{number}/eureka")
        assert answer.status == 400
        assert b"unknown-" in answer.body
    assert [n.name for n in server.registry.namespaces()] == ["known"]
    assert len(list(server.service.views)) <= 3, "refused names do not fill memory"
