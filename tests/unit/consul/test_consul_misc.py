"""Config entries, coordinates, operators' calls, and the mesh that is switched off."""

from __future__ import annotations

import pytest
from consul_bottle import OWN, ConsulBottle

from polaris_bridge.adapters.consul.settings import ConsulSettings

DEFAULTS = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}


@pytest.fixture
def bottle() -> ConsulBottle:
    return ConsulBottle(ConsulSettings(datacenters={"dc1": "default", "dc2": "second"}))


# ---------------------------------------------------------------------- config entries


def test_an_entry_is_kept_and_given_back(bottle: ConsulBottle) -> None:
    assert bottle.put("/v1/config", DEFAULTS).json is True
    answer = bottle.get("/v1/config/service-defaults/web")
    modified = answer.json["ModifyIndex"]
    assert answer.json == {**DEFAULTS, "CreateIndex": modified, "ModifyIndex": modified}
    assert answer.index == modified
    bottle.restart()
    assert bottle.get("/v1/config/service-defaults/web").json == answer.json


def test_the_same_again_changes_nothing_and_another_one_its_index(bottle: ConsulBottle) -> None:
    bottle.done("/v1/config", DEFAULTS)
    first = bottle.get("/v1/config/service-defaults/web").json
    bottle.done("/v1/config", {"kind": "service-defaults", "name": "web", "Protocol": "http", "ModifyIndex": 9})
    assert bottle.get("/v1/config/service-defaults/web").json == first
    bottle.done("/v1/config", DEFAULTS | {"Protocol": "grpc"})
    second = bottle.get("/v1/config/service-defaults/web").json
    assert second["Protocol"] == "grpc"
    assert (second["CreateIndex"], second["ModifyIndex"] > first["ModifyIndex"]) == (first["CreateIndex"], True)


def test_lists_are_by_kind_and_datacenter(bottle: ConsulBottle) -> None:
    for name in ("b", "a"):
        bottle.done("/v1/config", {"Kind": "service-resolver", "Name": name})
    bottle.done("/v1/config?dc=dc2", {"Kind": "service-resolver", "Name": "c"})
    assert [entry["Name"] for entry in bottle.get("/v1/config/service-resolver").json] == ["a", "b"]
    assert [entry["Name"] for entry in bottle.get("/v1/config/service-resolver?dc=dc2").json] == ["c"]
    assert bottle.get("/v1/config/service-router").json == []


def test_a_missing_entry_can_be_waited_for(bottle: ConsulBottle) -> None:
    bottle.done("/v1/config", DEFAULTS)
    answer = bottle.get("/v1/config/service-defaults/shop")
    assert (answer.status, answer.text) == (404, 'Config entry not found for "service-defaults" / "shop"')
    waiting = bottle.begin("GET", f"/v1/config/service-defaults/shop?index={answer.index}&wait=10s")
    assert not waiting.answered
    bottle.done("/v1/config", DEFAULTS | {"Name": "shop"})
    assert waiting.answer.json["Name"] == "shop"


def test_compare_and_set(bottle: ConsulBottle) -> None:
    assert bottle.put("/v1/config?cas=5", DEFAULTS).json is False
    assert bottle.put("/v1/config?cas=0", DEFAULTS).json is True
    assert bottle.put("/v1/config?cas=0", DEFAULTS | {"Protocol": "grpc"}).json is False
    index = bottle.get("/v1/config/service-defaults/web").json["ModifyIndex"]
    assert bottle.put(f"/v1/config?cas={index}", DEFAULTS | {"Protocol": "grpc"}).json is True
    assert bottle.put("/v1/config?cas=x", DEFAULTS).status == 500
    assert bottle.ask("DELETE", f"/v1/config/service-defaults/web?cas={index}").json is False
    index = bottle.get("/v1/config/service-defaults/web").json["ModifyIndex"]
    assert bottle.ask("DELETE", f"/v1/config/service-defaults/web?cas={index}").json is True
    assert bottle.get("/v1/config/service-defaults/web").status == 404


def test_deletion(bottle: ConsulBottle) -> None:
    bottle.done("/v1/config", DEFAULTS)
    for _ in range(2):
        answer = bottle.ask("DELETE", "/v1/config/service-defaults/web")
        assert (answer.status, answer.json) == (200, {})
    assert bottle.get("/v1/config/service-defaults").json == []
    answer = bottle.ask("DELETE", "/v1/config/service-defaults")
    assert (answer.status, answer.text) == (404, "Must provide both a kind and name to delete")
    assert bottle.ask("DELETE", "/v1/config/nonsense/web").text == "invalid config entry kind: nonsense"


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", 400, "Request decoding failed: EOF"),
        ([], 400, "Request decoding failed: an object was expected"),
        ({"Name": "a"}, 400, "Request decoding failed: Payload does not contain a kind/Kind key at the top level"),
        ({"Kind": "nonsense", "Name": "a"}, 400, "Request decoding failed: invalid config entry kind: nonsense"),
        ({"Kind": "service-defaults"}, 500, "Name is required"),
        ({"Kind": "proxy-defaults", "Name": "a"}, 500, 'invalid name ("a"), only "global" is supported'),
        ({"Kind": "service-intentions", "Name": "a"}, 500, "Connect must be enabled in order to use this endpoint"),
    ],
)
def test_entries_that_are_refused(bottle: ConsulBottle, body: object, status: int, text: str) -> None:
    answer = bottle.put("/v1/config", body)
    assert (answer.status, answer.text) == (status, text)


def test_entries_with_a_name_of_their_own(bottle: ConsulBottle) -> None:
    bottle.done("/v1/config", {"Kind": "proxy-defaults", "Name": "global"})
    bottle.done("/v1/config", {"Kind": "mesh"})
    assert bottle.get("/v1/config/mesh/mesh").json["Name"] == "mesh"


# ---------------------------------------------------------------------- coordinates, operators


def test_coordinates_are_those_of_one_server(bottle: ConsulBottle) -> None:
    (first, second) = bottle.get("/v1/coordinate/datacenters").json
    assert (first["Datacenter"], second["Datacenter"], first["Coordinates"][0]["Node"]) == ("dc1", "dc2", "here.dc1")
    (node,) = bottle.get("/v1/coordinate/nodes").json
    assert (node["Node"], len(node["Coord"]["Vec"])) == ("here", 8)
    assert bottle.get("/v1/coordinate/nodes?segment=a").json == []
    assert bottle.get("/v1/coordinate/node/HERE").json == [node]
    missing = bottle.get("/v1/coordinate/node/other")
    assert (missing.status, missing.body, missing.index > 0) == (404, b"", True)
    assert bottle.put("/v1/coordinate/update", {"Node": "a"}).status == 200


def test_operators_see_one_server_that_leads(bottle: ConsulBottle) -> None:
    (server,) = bottle.get("/v1/operator/raft/configuration").json["Servers"]
    assert (server["Node"], server["Address"], server["Leader"], server["Voter"]) == ("here", f"{OWN}:8300", True, True)
    assert bottle.get("/v1/operator/autopilot/health").json["Healthy"] is True
    state = bottle.get("/v1/operator/autopilot/state").json
    assert (list(state["Servers"]), state["Leader"]) == ([server["ID"]], server["ID"])
    assert bottle.get("/v1/operator/autopilot/configuration").json["CleanupDeadServers"] is True
    assert bottle.put("/v1/operator/autopilot/configuration", {}).json is True
    bottle.register("web")
    assert bottle.get("/v1/operator/usage").json["Usage"]["dc1"]["BillableServiceInstances"] == 1
    peer = bottle.ask("DELETE", "/v1/operator/raft/peer")
    assert (peer.status, peer.text.startswith("Must specify either ?id")) == (400, True)
    assert (
        bottle.ask("DELETE", "/v1/operator/raft/peer?id=a&address=b").text == "Must specify only one of ?id or ?address"
    )
    assert bottle.ask("DELETE", "/v1/operator/raft/peer?id=a").status == 500
    assert bottle.get("/v1/operator/keyring").status == 500
    assert bottle.get("/v1/snapshot").status == 500


# ---------------------------------------------------------------------- the mesh


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/agent/connect/ca/roots"),
        ("GET", "/v1/agent/connect/ca/leaf/web"),
        ("GET", "/v1/connect/ca/roots"),
        ("PUT", "/v1/connect/ca/configuration"),
        ("GET", "/v1/connect/intentions"),
        ("GET", "/v1/connect/intentions/match?by=source&name=web"),
        ("GET", "/v1/discovery-chain/web"),
    ],
)
def test_the_mesh_is_off(bottle: ConsulBottle, method: str, path: str) -> None:
    answer = bottle.ask(method, path)
    assert (answer.status, answer.text) == (500, "Connect must be enabled in order to use this endpoint")


def test_peering_is_off_and_nothing_is_exported(bottle: ConsulBottle) -> None:
    assert bottle.get("/v1/peerings").text == "peering must be enabled to use this endpoint"
    assert bottle.get("/v1/exported-services").json == []
    assert bottle.get("/v1/exported-services?dc=nope").status == 500
