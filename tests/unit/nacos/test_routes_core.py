"""Beside naming: health, state, the cluster of one, connections, and namespaces in the words of every generation."""

from __future__ import annotations

from typing import Any

import pytest
from every_generation import Everything
from http_bottle import STRANGER

from polaris_bridge.adapters.nacos.service.cluster_nodes import Place
from polaris_bridge.core.model import NamespaceRecord


@pytest.fixture
def port() -> Everything:
    found = Everything()
    found.service.place = Place("10.1.1.1", 8848)
    return found


# ---------------------------------------------------------------------- health, state, nodes


@pytest.mark.parametrize("base", ["/v2/console/health", "/v3/console/health", "/v3/admin/core/state"])
@pytest.mark.parametrize("what", ["liveness", "readiness"])
def test_health(port: Everything, base: str, what: str) -> None:
    assert port.data("GET", f"{base}/{what}") == "ok"


def test_state(port: Everything) -> None:
    state = port.data("GET", "/v3/admin/core/state")
    assert state["version"] == "2.5.1"
    assert state["startup_mode"] == "standalone"
    assert state["auth_enabled"] == "false"
    assert all(isinstance(value, str | None) for value in state.values())
    assert port.call("GET", "/v3/console/server/state").json == state
    assert port.call("GET", "/v1/console/server/state").json == state
    assert port.data("GET", "/v3/console/server/announcement") is None
    assert port.call("GET", "/v1/console/server/guide").json == {"code": 200, "message": None, "data": None}


@pytest.mark.parametrize("base", ["/v2/core/cluster/node", "/v3/admin/core/cluster/node"])
def test_the_cluster_is_this_server(port: Everything, base: str) -> None:
    node = port.data("GET", f"{base}/self")
    assert (node["ip"], node["port"], node["address"], node["state"]) == ("10.1.1.1", 8848, "10.1.1.1:8848", "UP")
    assert node["extendInfo"]["version"] == "2.5.1"
    assert node["extendInfo"]["raftPort"] == "7848"
    assert port.data("GET", f"{base}/list") == [node]
    assert port.data("GET", f"{base}/list", address="10.1", state="up") == [node]
    assert port.data("GET", f"{base}/list", address="10.2") == []
    assert port.data("GET", f"{base}/list", state="DOWN") == []
    found = port.refused("GET", f"{base}/list", state="what")
    assert found == (400, 23000, "illegal state", "Illegal state: what")
    assert port.data("GET", f"{base}/self/health") == "UP"


def test_nodes_in_other_words(port: Everything) -> None:
    assert port.call("GET", "/v1/core/cluster/simple/nodes").json["data"] == ["10.1.1.1:8848"]
    assert port.data("GET", "/v3/console/core/cluster/nodes")[0]["address"] == "10.1.1.1:8848"


def test_ids(port: Everything) -> None:
    assert port.call("GET", "/v2/core/ops/ids").json == {"code": 200, "message": None, "data": []}
    assert port.call("GET", "/v1/core/ops/idInfo").json["data"] == {}
    assert port.data("GET", "/v3/admin/core/ops/ids") == []


# ---------------------------------------------------------------------- connections


def test_connections_are_shown(port: Everything) -> None:
    assert port.call("GET", "/v2/core/loader/current").json == {}
    connection = port.connect()
    found = port.call("GET", "/v2/core/loader/current").json
    assert found == port.data("GET", "/v3/admin/core/loader/current")
    meta = found[connection.id]["metaInfo"]
    assert (meta["clientIp"], meta["remotePort"], meta["appName"]) == ("10.0.0.7", 40001, "shop")
    assert (meta["sdkSource"], meta["clusterSource"], meta["localPort"]) == (True, False, 9848)
    found = port.call("GET", "/v2/core/loader/cluster").json
    assert (found["total"], found["detail"][0]["metric"]["sdkConCount"]) == (1, "1")
    found = port.data("GET", "/v3/admin/core/loader/cluster")
    assert (found["threshold"], found["detail"][0]["sdkConCount"]) == ("1.1", 1)


def _told(connection: Any) -> list[bytes]:
    sent: list[bytes] = connection.stream.sent
    return [message for message in sent if b"ConnectResetRequest" in message]


def test_clients_are_sent_away(port: Everything) -> None:
    first, second = port.connect(port=1), port.connect(port=2)
    answer = port.call("GET", "/v2/core/loader/reloadClient", connectionId=first.id, redirectAddress="10.2.2.2:8848")
    assert answer.text == "success"
    (message,) = _told(first)
    assert b'"serverIp":"10.2.2.2","serverPort":"8848"' in message
    assert _told(second) == []
    assert port.data("POST", "/v3/admin/core/loader/reloadClient", connectionId="nobody") is None
    assert port.data("POST", "/v3/admin/core/loader/reloadCurrent", count=1) is None
    assert (len(_told(first)), len(_told(second))) == (1, 1), "the oldest stay"
    assert port.call("GET", "/v2/core/loader/reloadCurrent", count=0).text == "success"
    assert (len(_told(first)), len(_told(second))) == (2, 2)
    assert port.call("GET", "/v2/core/loader/smartReloadCluster").text == "Ok"
    assert port.data("POST", "/v3/admin/core/loader/smartReloadCluster") is None
    assert port.refused("GET", "/v2/core/loader/reloadClient")[:2] == (400, 10000)


# ---------------------------------------------------------------------- namespaces: v1

V1 = "/v1/console/namespaces"
PUBLIC = {
    "namespaceShowName": "public",
    "namespaceDesc": "Default Namespace",
    "quota": 200,
    "configCount": 0,
    "type": 0,
}
DEV = {"namespaceShowName": "Dev", "namespaceDesc": "for all", "quota": 200, "configCount": 0, "type": 2}


def test_namespaces_of_v1(port: Everything) -> None:
    assert port.call("GET", V1).json == {"code": 200, "message": None, "data": [{"namespace": ""} | PUBLIC]}
    made = port.call("POST", V1, customNamespaceId="dev", namespaceName="Dev", namespaceDesc="for all")
    assert (made.status, made.json) == (200, True)
    assert port.call("POST", V1, customNamespaceId="dev", namespaceName="Dev").json is False, "it is there"
    assert port.call("POST", V1, customNamespaceId="dev2", namespaceName="").json is False, "no name"
    assert port.call("GET", V1).json["data"][1] == {"namespace": "dev"} | DEV
    assert port.call("GET", V1, show="all", namespaceId="dev").json == {"namespace": "dev"} | DEV
    assert port.call("GET", V1, show="all", namespaceId="").json == {"namespace": ""} | PUBLIC
    for id, there in (("dev", True), ("other", False), ("", False)):
        assert port.call("GET", V1, checkNamespaceIdExist="true", customNamespaceId=id).json is there
    assert port.call("PUT", V1, namespace="dev", namespaceShowName="Devs", namespaceDesc="").json is True
    found = port.call("GET", V1, show="all", namespaceId="dev").json
    assert (found["namespaceShowName"], found["namespaceDesc"]) == ("Devs", None)
    assert port.call("PUT", V1, namespace="dev", namespaceShowName="a@b").json is False
    assert port.call("PUT", V1, namespace="nobody", namespaceShowName="x").json is True
    assert port.call("DELETE", V1, namespaceId="dev").json is True
    assert port.call("DELETE", V1, namespaceId="dev").json is True
    assert len(port.call("GET", V1).json["data"]) == 1


def test_namespaces_of_v1_object_in_the_old_way(port: Everything) -> None:
    answer = port.call("GET", V1, show="all", namespaceId="nobody")
    assert (answer.status, answer.text) == (500, "caused: namespaceId [ nobody ] not exist;")
    answer = port.call("DELETE", V1)
    text = "caused: Required request parameter &#39;namespaceId&#39; for method parameter type String is not present;"
    assert (answer.status, answer.text) == (500, text)
    text = "Param 'namespaceId/tenant' is illegal, illegal characters should not appear in the param."
    assert port.objected("POST", V1, customNamespaceId="a b", namespaceName="x") == text
    text = "Param 'namespaceShowName' is illegal, illegal characters should not appear in the param."
    assert port.objected("POST", V1, customNamespaceId="ab", namespaceName="x@y") == text


def test_a_namespace_without_an_id_gets_one(port: Everything) -> None:
    assert port.call("POST", V1, customNamespaceId="", namespaceName="Dev").json is True
    found = port.call("GET", V1).json["data"][1]
    assert found["namespaceShowName"] == "Dev"
    assert [len(part) for part in found["namespace"].split("-")] == [8, 4, 4, 4, 12]


# ---------------------------------------------------------------------- namespaces: v2 and v3


@pytest.mark.parametrize(
    ("base", "public"),
    [("/v2/console/namespace", ""), ("/v3/admin/core/namespace", "public"), ("/v3/console/core/namespace", "public")],
)
def test_namespaces_of_v2_and_v3(port: Everything, base: str, public: str) -> None:
    id = "customNamespaceId" if "console/core" in base else "namespaceId"
    assert port.data("GET", f"{base}/list") == [{"namespace": public} | PUBLIC]
    assert port.data("POST", base, **{id: "dev"}, namespaceName="Dev", namespaceDesc="for all") is True
    assert port.data("GET", f"{base}/list")[1] == {"namespace": "dev"} | DEV
    assert port.data("GET", base, namespaceId="dev") == {"namespace": "dev"} | DEV
    assert port.data("GET", base, namespaceId="public") == {"namespace": "public"} | PUBLIC
    status, code, _, text = port.refused("POST", base, **{id: "dev"}, namespaceName="Dev")
    if base.startswith("/v2"):
        assert (status, code, text) == (400, 22000, "the namespaceId is existed, namespaceId: dev")
    else:
        assert (status, code) == (400, 22002)
    assert port.data("PUT", base, namespaceId="dev", namespaceName="Devs") is True
    assert port.data("GET", base, namespaceId="dev")["namespaceShowName"] == "Devs"
    assert port.data("DELETE", base, namespaceId="dev") is True
    found = port.refused("GET", base, namespaceId="dev")
    assert found == (404, 22001, "namespace not exist", "namespaceId [ dev ] not exist")
    text = "required parameter 'namespaceName' is missing"
    assert port.refused("POST", base, **{id: "x"}) == (400, 10000, "parameter missing", text)
    found = port.refused("POST", base, **{id: "x"}, namespaceName="")
    assert found == (400, 22000, "illegal namespace", "namespaceName [] contains illegal char")


def test_whether_an_id_is_taken(port: Everything) -> None:
    port.data("POST", "/v3/admin/core/namespace", namespaceId="dev", namespaceName="Dev")
    for id, there in (("dev", True), ("x", False)):
        assert port.data("GET", "/v3/admin/core/namespace/check", namespaceId=id) == int(there)
        assert port.data("GET", "/v3/console/core/namespace/exist", customNamespaceId=id) is there


def test_the_default_namespace_stays_as_it_is(port: Everything) -> None:
    base = "/v3/admin/core/namespace"
    assert port.refused("POST", base, namespaceId="public", namespaceName="x")[:2] == (400, 22002)
    assert port.data("PUT", base, namespaceId="public", namespaceName="x") is True
    assert port.data("DELETE", base, namespaceId="public") is True
    assert port.data("GET", base, namespaceId="public") == {"namespace": "public"} | PUBLIC


def test_an_id_in_use_can_still_be_made_and_keeps_its_services_when_it_is_deleted(port: Everything) -> None:
    base = "/v3/admin/core/namespace"
    one = {"serviceName": "orders", "ip": "10.0.0.1", "port": 8080, "namespaceId": "dev"}
    port.data("POST", "/v2/ns/instance", **one)
    assert len(port.data("GET", f"{base}/list")) == 1, "nobody made it"
    assert port.data("POST", base, namespaceId="dev", namespaceName="Dev") is True
    assert len(port.data("GET", f"{base}/list")) == 2
    assert port.data("DELETE", base, namespaceId="dev") is True
    assert len(port.data("GET", f"{base}/list")) == 1
    assert len(port.data("GET", "/v2/ns/instance/list", serviceName="orders", namespaceId="dev")["hosts"]) == 1


def test_namespaces_of_other_protocols_are_listed(port: Everything) -> None:
    port.registry.put_namespace(NamespaceRecord("prod", comment="of the native console"), STRANGER)
    port.timers.settle()
    assert port.data("GET", "/v3/admin/core/namespace", namespaceId="prod")["namespaceDesc"] == "of the native console"
