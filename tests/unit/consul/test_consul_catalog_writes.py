"""catalog/register and catalog/deregister, and that agent and catalog are two views of one store."""

from __future__ import annotations

import pytest
from consul_bottle import ConsulBottle

DB = {
    "Node": "db1",
    "Address": "10.9.9.9",
    "NodeMeta": {"rack": "r1"},
    "Service": {"Service": "db", "ID": "db-1", "Port": 5432, "Tags": ["primary"]},
    "Check": {"Name": "alive", "Status": "passing", "ServiceID": "db-1", "Output": "fine"},
}


@pytest.fixture
def bottle():
    return ConsulBottle()


def put(bottle, **members) -> None:
    answer = bottle.put("/v1/catalog/register", {**DB, **members})
    assert (answer.status, answer.body) == (200, b"true"), answer


def test_a_node_with_its_service_and_check(bottle):
    put(bottle)
    (entry,) = bottle.get("/v1/health/service/db?passing").json
    assert (entry["Node"]["Node"], entry["Node"]["Address"], entry["Node"]["Meta"]) == (
        "db1",
        "10.9.9.9",
        {"rack": "r1"},
    )
    assert (entry["Service"]["ID"], entry["Service"]["Address"], entry["Service"]["Port"]) == ("db-1", "", 5432)
    check = entry["Checks"][-1]
    assert (check["CheckID"], check["Status"], check["Output"], check["ServiceName"]) == (
        "alive",
        "passing",
        "fine",
        "db",
    )
    assert [n["Node"] for n in bottle.get("/v1/catalog/nodes?node-meta=rack:r1").json] == ["db1"]
    put(bottle, Check={"CheckID": "alive", "Name": "alive", "Status": "critical", "ServiceID": "db-1"})
    assert bottle.get("/v1/health/service/db?passing").json == []
    assert bottle.get("/v1/agent/services").json == {}, "it stands on another node"


def test_an_identical_registration_wakes_nobody(bottle):
    put(bottle)
    index = bottle.get("/v1/health/service/db").index
    waiting = bottle.begin("GET", f"/v1/health/service/db?index={index}")
    put(bottle)
    bottle.timers.settle()
    assert not waiting.answered
    assert bottle.get("/v1/health/service/db").index == index
    put(bottle, Address="10.9.9.8")
    bottle.timers.settle()
    assert waiting.answer.json[0]["Node"]["Address"] == "10.9.9.8"


def test_a_node_alone_and_checks_of_it(bottle):
    put(bottle, Service=None, Check=None)
    assert list(bottle.get("/v1/catalog/node/db1").json["Services"]) == []
    put(bottle, Service=None, Check=None, Checks=[{"CheckID": "disk", "Name": "disk", "Status": "warning"}])
    assert [c["CheckID"] for c in bottle.get("/v1/health/node/db1").json] == ["serfHealth", "disk"]
    put(bottle, Check=None)
    assert bottle.get("/v1/health/service/db?passing").json == []
    put(bottle, Service=None, Check={"CheckID": "disk", "Name": "disk", "Status": "passing"})
    assert len(bottle.get("/v1/health/service/db?passing").json) == 1


def test_taking_out(bottle):
    put(bottle)
    take = lambda **members: bottle.put("/v1/catalog/deregister", {"Node": "db1", **members})  # noqa: E731
    assert take(CheckID="alive").body == b"true"
    assert [c["CheckID"] for c in bottle.get("/v1/health/service/db").json[0]["Checks"]] == ["serfHealth"]
    assert take(ServiceID="db-1", CheckID="alive").body == b"true"
    assert bottle.get("/v1/catalog/service/db").json == []
    assert bottle.get("/v1/catalog/node/db1").json is not None
    put(bottle)
    assert take().body == b"true"
    assert bottle.get("/v1/catalog/node/db1").json is None
    assert bottle.get("/v1/catalog/service/db").json == []
    assert take(ServiceID="nosuch").body == b"true"
    assert bottle.put("/v1/catalog/deregister", {"Node": "nosuch"}).body == b"true"


def test_what_either_wrote_either_removes(bottle):
    bottle.register("web", Port=1, Check={"TTL": "10s"})
    assert bottle.put("/v1/catalog/deregister", {"Node": "here", "ServiceID": "web"}).body == b"true"
    assert bottle.get("/v1/agent/services").json == {}
    put(bottle, Node="here", Address="10.0.0.9", Check=None)
    assert list(bottle.get("/v1/agent/services").json) == ["db-1"]
    bottle.move(120)
    assert list(bottle.get("/v1/agent/services").json) == ["db-1"], "no anti-entropy undoes it"
    bottle.done("/v1/agent/service/deregister/db-1")
    assert bottle.get("/v1/catalog/service/db").json == []


def test_skip_node_update(bottle):
    put(bottle)
    put(bottle, Address="", SkipNodeUpdate=True, NodeMeta={"other": "1"})
    assert bottle.get("/v1/catalog/node/db1").json["Node"]["Meta"] == {"rack": "r1"}


@pytest.mark.parametrize(
    ("members", "status", "text"),
    [
        ({"Node": ""}, 500, "Must provide node"),
        ({"Address": ""}, 500, "Must provide address if SkipNodeUpdate is not set"),
        ({"ID": "short"}, 500, "Bad node ID: uuid string is wrong length"),
        ({"Service": {"ID": "x"}}, 500, "Must provide service name (Service.Service) when service ID is provided"),
        ({"Service": {"Service": "x", "Address": "0.0.0.0"}}, 500, "Invalid service address"),
        ({"Check": {"Name": "c", "ServiceID": "nosuch"}}, 500, "Missing service registration"),
        ({"Datacenter": "dc9"}, 500, "No path to datacenter"),
        ({"Nodee": 1}, 400, 'Request decode failed: json: unknown field "Nodee"'),
        ({"Service": {"Service": "x", "Port": "80"}}, 400, "Request decode failed: json: cannot unmarshal string"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(bottle, members, status, text):
    answer = bottle.put("/v1/catalog/register", {**DB, **members})
    assert answer.status == status
    assert answer.text.startswith(text)
    assert bottle.get("/v1/catalog/node/db1").json is None
    assert bottle.get("/v1/catalog/service/db").json == []


def test_it_is_there_after_a_restart(bottle):
    put(bottle)
    before = bottle.get("/v1/health/service/db").json
    bottle.restart()
    assert bottle.get("/v1/health/service/db").json == before
