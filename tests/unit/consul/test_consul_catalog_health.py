"""Reads of catalog and health: own instances, those of other protocols, tags, filters, indexes and who is woken."""

from __future__ import annotations

import pytest
from consul_bottle import STRANGER, ConsulBottle

from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.core.model import DOWN, OUT_OF_SERVICE, Checks, Lease, Switch

WEB1 = {"ID": "web-1", "Tags": ["v1", "Blue"], "Address": "10.1.2.3", "Port": 8001, "Meta": {"a": "1"}}
WEB2 = {"ID": "web-2", "Tags": ["v2"], "Port": 8002, "Check": {"TTL": "30s"}}


@pytest.fixture
def bottle():
    bottle = ConsulBottle()
    bottle.register("web", **WEB1)
    bottle.register("web", **WEB2)
    bottle.register("api", Port=9001)
    return bottle


def ids(answer) -> list[str]:
    return [entry.get("ServiceID") or entry["Service"]["ID"] for entry in answer.json]


# ---------------------------------------------------------------------- shapes


def test_catalog_service_as_an_agent_writes_it(bottle):
    answer = bottle.get("/v1/catalog/service/web")
    assert answer.headers["x-consul-index"] == str(answer.index)
    one = answer.json[0]
    index = one["ModifyIndex"]
    assert one == {
        "ID": one["ID"],
        "Node": "here",
        "Address": "10.0.0.9",
        "Datacenter": "dc1",
        "TaggedAddresses": {"lan": "10.0.0.9", "lan_ipv4": "10.0.0.9", "wan": "10.0.0.9", "wan_ipv4": "10.0.0.9"},
        "NodeMeta": {"consul-network-segment": "", "consul-version": one["NodeMeta"]["consul-version"]},
        "ServiceKind": "",
        "ServiceID": "web-1",
        "ServiceName": "web",
        "ServiceTags": ["v1", "Blue"],
        "ServiceAddress": "10.1.2.3",
        "ServiceTaggedAddresses": {
            "lan_ipv4": {"Address": "10.1.2.3", "Port": 8001},
            "wan_ipv4": {"Address": "10.1.2.3", "Port": 8001},
        },
        "ServiceWeights": {"Passing": 1, "Warning": 1},
        "ServiceMeta": {"a": "1"},
        "ServicePort": 8001,
        "ServiceSocketPath": "",
        "ServiceEnableTagOverride": False,
        "ServiceProxy": {"Mode": "", "MeshGateway": {}, "Expose": {}},
        "ServiceConnect": {},
        "CreateIndex": index,
        "ModifyIndex": index,
    }


def test_health_service_as_an_agent_writes_it(bottle):
    entry = next(e for e in bottle.get("/v1/health/service/web").json if e["Service"]["ID"] == "web-2")
    assert list(entry) == ["Node", "Service", "Checks"]
    assert entry["Node"]["Node"] == "here"
    service = entry["Service"]
    assert service["Service"] == "web"
    assert service["Address"] == ""
    assert service["Tags"] == ["v2"]
    assert service["Meta"] == {}
    assert service["PeerName"] == ""
    assert "TaggedAddresses" not in service
    serf, ttl = entry["Checks"]
    assert (serf["CheckID"], serf["Name"], serf["Status"]) == ("serfHealth", "Serf Health Status", "passing")
    assert (ttl["CheckID"], ttl["Type"], ttl["Status"]) == ("service:web-2", "ttl", "critical")
    assert (ttl["ServiceID"], ttl["ServiceName"], ttl["ServiceTags"]) == ("web-2", "web", ["v2"])
    assert ttl["Definition"] == {}


def test_what_is_not_there(bottle):
    assert bottle.get("/v1/catalog/service/nosuch").json == []
    assert bottle.get("/v1/health/service/nosuch").json == []
    assert bottle.get("/v1/health/checks/nosuch").json == []
    assert bottle.get("/v1/health/node/nosuch").json == []
    assert bottle.get("/v1/catalog/node/nosuch").body == b"null"
    assert bottle.get("/v1/catalog/node-services/nosuch").json == {"Node": None, "Services": None}
    assert bottle.get("/v1/catalog/service/nosuch").index >= 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/v1/catalog/service/", "Missing service name"),
        ("/v1/health/service/", "Missing service name"),
        ("/v1/health/checks/", "Missing service name"),
        ("/v1/catalog/node/", "Missing node name"),
        ("/v1/health/node/", "Missing node name"),
        ("/v1/health/state/", "Missing check state"),
        ("/v1/health/service/web?passing=maybe", "Invalid value for ?passing"),
    ],
)
def test_what_is_refused(bottle, path, text):
    answer = bottle.get(path)
    assert (answer.status, answer.text) == (400, text)


def test_a_bad_filter(bottle):
    for path in ("catalog/service/web", "health/service/web", "catalog/nodes", "health/state/any", "catalog/services"):
        answer = bottle.get(f"/v1/{path}?filter=Foo+%3D%3D+1")
        assert answer.status == 500, path
        assert answer.text == 'Failed to create boolean expression evaluator: Selector "Foo" is not valid'


# ---------------------------------------------------------------------- choosing


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["web-1", "web-2"]),
        ("?tag=v1", ["web-1"]),
        ("?tag=V1&tag=blue", ["web-1"]),
        ("?tag=v1&tag=v2", []),
        ("?passing", ["web-1"]),
        ("?passing=0", ["web-1", "web-2"]),
        ("?node-meta=consul-network-segment:", ["web-1", "web-2"]),
        ("?node-meta=a:b", []),
        ("?filter=Service.Port+%3D%3D+8002", ["web-2"]),
        ("?filter=Checks.Status+%3D%3D+critical", ["web-2"]),
        ("?filter=Service.Meta.a+%3D%3D+1+and+Node.Node+%3D%3D+here", ["web-1"]),
        ("?near=_agent", ["web-1", "web-2"]),
    ],
)
def test_health_service_chooses(bottle, query, found):
    assert ids(bottle.get(f"/v1/health/service/web{query}")) == found
    assert ids(bottle.get(f"/v1/health/service/WEB{query}")) == found


def test_catalog_service_chooses(bottle):
    assert ids(bottle.get("/v1/catalog/service/web?tag=v2")) == ["web-2"]
    assert ids(bottle.get("/v1/catalog/service/web?filter=ServiceMeta.a+%3D%3D+2")) == []
    assert ids(bottle.get("/v1/catalog/service/web?filter=a+in+ServiceMeta")) == ["web-1"]


def test_lists(bottle):
    assert bottle.get("/v1/catalog/services").json == {"consul": [], "api": [], "web": ["v1", "Blue", "v2"]}
    assert bottle.get("/v1/catalog/services?filter=ServicePort+%3D%3D+8002").json == {"web": ["v2"]}
    assert bottle.get("/v1/catalog/datacenters").json == ["dc1"]
    assert [n["Node"] for n in bottle.get("/v1/catalog/nodes").json] == ["here"]
    assert bottle.get("/v1/catalog/nodes?node-meta=x:y").json == []
    node = bottle.get("/v1/catalog/node/HERE").json
    assert sorted(node["Services"]) == ["api", "consul", "web-1", "web-2"]
    assert node["Services"]["consul"]["Port"] == 8300
    services = bottle.get("/v1/catalog/node-services/here?filter=Port+%3D%3D+9001").json
    assert [s["ID"] for s in services["Services"]] == ["api"]
    assert ids(bottle.get("/v1/catalog/service/consul")) == ["consul"]
    assert ids(bottle.get("/v1/health/service/consul?passing")) == ["consul"]
    assert [c["CheckID"] for c in bottle.get("/v1/health/node/here").json] == ["serfHealth", "service:web-2"]
    assert [c["CheckID"] for c in bottle.get("/v1/health/checks/web").json] == ["service:web-2"]
    assert [c["CheckID"] for c in bottle.get("/v1/health/state/critical").json] == ["service:web-2"]
    assert {c["CheckID"] for c in bottle.get("/v1/health/state/any").json} == {"serfHealth", "service:web-2"}
    assert bottle.get("/v1/health/state/nonsense").json == []


def test_every_caller_has_a_node(bottle):
    bottle.register("web", peer="10.0.0.5", ID="web-1", Port=80)
    bottle.register("web", peer="10.0.0.6", ID="web-1", Port=80)
    entries = bottle.get("/v1/health/service/web?tag=").json
    assert [(e["Node"]["Node"], e["Service"]["ID"]) for e in entries] == [
        ("here", "web-1"),
        ("here", "web-2"),
        ("node-10-0-0-5", "web-1"),
        ("node-10-0-0-6", "web-1"),
    ]
    near = bottle.get("/v1/health/service/web?near=node-10-0-0-6").json
    assert near[0]["Node"]["Node"] == "node-10-0-0-6"
    assert [n["Node"] for n in bottle.get("/v1/catalog/nodes").json] == ["here", "node-10-0-0-5", "node-10-0-0-6"]
    assert list(bottle.get("/v1/catalog/node/node-10-0-0-5").json["Services"]) == ["web-1"]
    bottle.done("/v1/agent/service/deregister/web-1", peer="10.0.0.5")
    assert [n["Node"] for n in bottle.get("/v1/catalog/nodes").json] == ["here", "node-10-0-0-6"]


# ---------------------------------------------------------------------- other protocols


def test_an_instance_of_another_protocol(bottle):
    bottle.foreign(metadata={"version": "2"}, weight=200, tags=("x",))
    (entry,) = bottle.get("/v1/health/service/orders").json
    assert entry["Node"]["Node"] == "polaris-bridge"
    service = entry["Service"]
    assert (service["ID"], service["Address"], service["Port"]) == ("orders-10.0.0.1-8080", "10.0.0.1", 8080)
    assert service["Meta"] == {"version": "2"}
    assert service["Weights"] == {"Passing": 2, "Warning": 1}
    assert [(c["CheckID"], c["Status"]) for c in entry["Checks"]] == [
        ("serfHealth", "passing"),
        ("service:orders-10.0.0.1-8080", "passing"),
    ]
    assert [n["Node"] for n in bottle.get("/v1/catalog/nodes").json] == ["here", "polaris-bridge"]
    assert list(bottle.get("/v1/catalog/node/polaris-bridge").json["Services"]) == ["orders-10.0.0.1-8080"]
    assert "orders" not in str(bottle.get("/v1/agent/services").json)


def test_weights_of_other_protocols_keep_their_proportions(bottle):
    bottle.foreign(key="a", weight=150)
    bottle.foreign(key="b", host="10.0.0.2", weight=50)
    weights = [e["ServiceWeights"]["Passing"] for e in bottle.get("/v1/catalog/service/orders").json]
    assert weights == [3, 1]
    bottle.foreign(key="b", host="10.0.0.2", weight=100)
    bottle.foreign(key="a", weight=300)
    assert [e["ServiceWeights"]["Passing"] for e in bottle.get("/v1/catalog/service/orders").json] == [3, 1]


def test_states_of_other_protocols(bottle):
    def checks() -> dict[str, str]:
        (entry,) = bottle.get("/v1/health/service/orders").json
        return {c["CheckID"]: c["Status"] for c in entry["Checks"] if c["CheckID"] != "serfHealth"}

    id = "orders-10.0.0.1-8080"
    r = bottle.foreign(liveness=Lease(5000, 15000, 0))
    assert checks() == {f"service:{id}": "passing"}
    bottle.registry.switch(r.service_key, r.address, Switch("polaris", "", OUT_OF_SERVICE), STRANGER, on=True)
    bottle.timers.settle()
    assert checks() == {f"service:{id}": "passing", f"_service_maintenance:{id}": "critical"}
    bottle.registry.switch(r.service_key, r.address, Switch("polaris", "", OUT_OF_SERVICE), STRANGER, on=False)
    bottle.timers.settle()
    bottle.move(16)
    assert checks() == {f"service:{id}": "critical"}
    bottle.foreign(reported=DOWN)
    assert checks() == {f"service:{id}": "critical"}
    bottle.foreign(weight=0)
    assert checks() == {f"service:{id}": "passing", f"drained:{id}": "critical"}


def test_an_instance_that_both_registered_is_shown_once_and_as_ones_own(bottle):
    bottle.foreign(service="api", host="10.0.0.9", port=9001, metadata={"by": "nacos"})
    assert ids(bottle.get("/v1/health/service/api")) == ["api"]
    bottle.done("/v1/agent/service/deregister/api")
    assert ids(bottle.get("/v1/health/service/api")) == ["api-10.0.0.9-9001"]


def test_services_equal_ignoring_case_are_one(bottle):
    bottle.move(1)
    bottle.foreign(service="WEB", host="10.0.0.7")
    assert ids(bottle.get("/v1/health/service/web")) == ["web-1", "web-2", "WEB-10.0.0.7-8080"]
    assert list(bottle.get("/v1/catalog/services").json) == ["consul", "api", "web"]


def test_other_datacenters_are_other_namespaces():
    bottle = ConsulBottle(ConsulSettings(datacenters={"dc1": "default", "dc2": "prod"}))
    bottle.foreign(namespace="prod")
    bottle.foreign(namespace="hidden")
    assert bottle.get("/v1/catalog/service/orders").json == []
    (one,) = bottle.get("/v1/catalog/service/orders?dc=dc2").json
    assert one["Datacenter"] == "dc2"
    assert bottle.get("/v1/catalog/datacenters").json == ["dc1", "dc2"]
    answer = bottle.get("/v1/catalog/service/orders?dc=dc9")
    assert (answer.status, answer.text) == (500, "No path to datacenter")


# ---------------------------------------------------------------------- indexes


READS = {
    "health": "/v1/health/service/web",
    "catalog": "/v1/catalog/service/web",
    "services": "/v1/catalog/services",
    "nodes": "/v1/catalog/nodes",
    "state": "/v1/health/state/any",
    "node": "/v1/health/node/here",
    "checks": "/v1/health/checks/web",
    "other": "/v1/health/service/api",
    "missing": "/v1/health/service/nosuch",
}


def woken(bottle, act) -> set[str]:
    """Which blocking reads return by what is done."""
    for path in READS.values():
        bottle.get(path)
    waiting = {
        name: bottle.begin("GET", f"{path}?index={bottle.get(path).index}&wait=60s") for name, path in READS.items()
    }
    bottle.timers.settle()
    assert not any(w.answered for w in waiting.values())
    act()
    bottle.timers.settle()
    bottle.timers.until(bottle.clock.now_s + 0.2)
    bottle.timers.settle()
    found = {name for name, w in waiting.items() if w.answered}
    for w in waiting.values():
        if not w.answered:
            w.hang_up()
    return found


EVERYTHING_OF_WEB = {"health", "catalog", "services", "state", "node", "checks"}


def test_who_is_woken_by_what(bottle):
    assert woken(bottle, lambda: bottle.register("web", ID="web-3", Port=1)) == EVERYTHING_OF_WEB
    assert woken(bottle, lambda: bottle.done("/v1/agent/check/pass/service:web-2")) == {
        "health",
        "state",
        "node",
        "checks",
    }
    assert woken(bottle, lambda: bottle.done("/v1/agent/check/pass/service:web-2?note=again")) == set()
    assert woken(bottle, lambda: bottle.register("web", **WEB1)) == set()
    assert woken(bottle, lambda: bottle.done("/v1/agent/service/deregister/web-3")) == EVERYTHING_OF_WEB
    assert woken(bottle, lambda: bottle.foreign(service="elsewhere")) == {"services", "state", "nodes"}
    assert woken(bottle, lambda: bottle.register("web", peer="10.0.0.5", ID="x", Port=3)) == {
        "health", "catalog", "services", "state", "checks", "nodes",
    }  # fmt: skip


def test_a_service_that_is_awaited_appears_and_goes(bottle):
    index = bottle.get("/v1/health/service/later").index
    waiting = bottle.begin("GET", f"/v1/health/service/later?index={index}")
    bottle.register("web", ID="web-9", Port=4)
    assert not waiting.answered
    bottle.register("Later", Port=5)
    bottle.timers.settle()
    assert ids(waiting.answer) == ["Later"]
    index = waiting.answer.index
    waiting = bottle.begin("GET", f"/v1/health/service/later?index={index}")
    bottle.done("/v1/agent/service/deregister/Later")
    bottle.timers.settle()
    assert waiting.answer.json == []
    assert waiting.answer.index > index


def test_indexes_never_go_back_over_a_restart(bottle):
    before = {name: bottle.get(path).index for name, path in READS.items()}
    bottle.restart()
    bottle.timers.settle()
    for name, path in READS.items():
        answer = bottle.get(path)
        assert answer.index >= before[name], name
        again = bottle.begin("GET", f"{path}?index={answer.index}&wait=10s")
        bottle.timers.settle()
        assert not again.answered, "no busy loop after a restart"
        again.hang_up()


def test_nothing_is_left_when_waiters_go(bottle):
    waiting = [
        bottle.begin("GET", f"/v1/health/service/web?index={bottle.get('/v1/health/service/web').index}")
        for _ in range(5)
    ]
    assert len(bottle.service.view.watches) == 5
    for one in waiting:
        one.hang_up()
    assert len(bottle.service.view.watches) == 0


def test_a_node_that_turns_critical_takes_its_services_along(bottle):
    assert ids(bottle.get("/v1/health/service/api?passing")) == ["api"]
    waiting = bottle.begin("GET", f"/v1/health/service/api?index={bottle.get('/v1/health/service/api').index}")
    bottle.done("/v1/agent/check/register", {"Name": "disk", "TTL": "10s"})
    bottle.timers.settle()
    assert waiting.answered
    assert bottle.get("/v1/health/service/api?passing").json == []
    assert [c["CheckID"] for c in bottle.get("/v1/health/service/api").json[0]["Checks"]] == ["serfHealth", "disk"]
    bottle.done("/v1/agent/check/pass/disk")
    assert ids(bottle.get("/v1/health/service/api?passing")) == ["api"]
    bottle.done("/v1/agent/maintenance?enable=true&reason=why")
    (entry,) = bottle.get("/v1/health/service/api").json
    assert [(c["CheckID"], c["Notes"]) for c in entry["Checks"] if c["Status"] == "critical"] == [
        ("_node_maintenance", "why")
    ]


def test_a_change_costs_one_instance(bottle):
    for number in range(50):
        bottle.foreign(service="many", key=f"k{number}", host=f"10.2.0.{number}", liveness=Checks({}))
    view = bottle.service.view.service("default", "many")
    before = {id(i) for i in view.instances}
    bottle.foreign(service="many", key="k7", host="10.2.0.7", liveness=Checks({}), metadata={"new": "1"})
    after = {id(i) for i in bottle.service.view.service("default", "many").instances}
    assert len(before & after) == 49


def test_the_server_has_another_address(bottle, monkeypatch):
    bottle.foreign()
    assert bottle.get("/v1/catalog/service/api").json[0]["Address"] == "10.0.0.9"
    monkeypatch.setattr(bottle.service.nodes, "_address", lambda: "10.0.0.10")
    bottle.move(1)
    assert bottle.get("/v1/catalog/service/api").json[0]["Address"] == "10.0.0.10"
    assert {n["Address"] for n in bottle.get("/v1/catalog/nodes").json} == {"10.0.0.10"}
    assert bottle.get("/v1/health/service/orders").json[0]["Node"]["Address"] == "10.0.0.10"
