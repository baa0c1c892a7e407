"""HTTP v3: the clients' API, the administration and the console, as Nacos 3.x answers them."""

from __future__ import annotations

import pytest
from every_generation import Everything
from naming_bottle import instance

CLIENT = "/v3/client/ns/instance"
ADMIN = "/v3/admin/ns"
CONSOLE = "/v3/console/ns"
ONE = {"serviceName": "orders", "ip": "10.0.0.1", "port": 8080}


@pytest.fixture
def port() -> Everything:
    return Everything()


# ---------------------------------------------------------------------- the clients' API


def test_a_client_registers_beats_lists_and_leaves(port: Everything) -> None:
    found = port.refused("POST", CLIENT, **ONE, heartBeat="true")
    assert found == (200, 21003, "instance not found", None), "a success of HTTP, a failure of the envelope"
    assert port.data("POST", CLIENT, **ONE) == "ok"
    assert port.data("POST", CLIENT, **ONE, heartBeat="true") == "ok"
    assert port.beats == ["unknown", "ok"]
    (host,) = port.data("GET", f"{CLIENT}/list", serviceName="orders")
    assert (host["ip"], host["serviceName"], host["ephemeral"]) == ("10.0.0.1", "DEFAULT_GROUP@@orders", True)
    assert "instanceId" not in host
    assert port.data("DELETE", CLIENT, **ONE) == "ok"
    assert port.data("GET", f"{CLIENT}/list", serviceName="orders") == []


def test_heartbeats_keep_it(port: Everything) -> None:
    port.data("POST", CLIENT, **ONE)
    for _ in range(4):
        port.move(10)
        port.data("POST", CLIENT, **ONE, heartBeat="true")
    assert [h["healthy"] for h in port.data("GET", f"{CLIENT}/list", serviceName="orders")] == [True]
    port.move(16)
    assert [h["healthy"] for h in port.data("GET", f"{CLIENT}/list", serviceName="orders")] == [False]
    port.move(15)
    assert port.data("GET", f"{CLIENT}/list", serviceName="orders") == []


def test_a_list_is_of_the_default_cluster_unless_it_says_another(port: Everything) -> None:
    port.data("POST", CLIENT, **ONE, clusterName="c1")
    assert port.data("GET", f"{CLIENT}/list", serviceName="orders") == []
    assert len(port.data("GET", f"{CLIENT}/list", serviceName="orders", clusterName="c1")) == 1


@pytest.mark.parametrize(("missing", "kind"), [("serviceName", "String"), ("ip", "String"), ("port", "Integer")])
@pytest.mark.parametrize("path", [CLIENT, f"{ADMIN}/instance"])
def test_a_form_needs_its_members(port: Everything, path: str, missing: str, kind: str) -> None:
    params = {name: value for name, value in ONE.items() if name != missing}
    text = f"Required parameter '{missing}' type {kind} is not present"
    assert port.refused("POST", path, **params) == (400, 10000, "parameter missing", text)


# ---------------------------------------------------------------------- administration: instances


def test_operators_see_all_of_a_cluster(port: Everything) -> None:
    path = f"{ADMIN}/instance"
    text = "service DEFAULT_GROUP@@orders is not found!"
    assert port.refused("GET", f"{path}/list", serviceName="orders") == (404, 30000, "server error", text)
    port.data("POST", path, **ONE, enabled="false")
    (host,) = port.data("GET", f"{path}/list", serviceName="orders")
    assert host["enabled"] is False
    found = port.refused("GET", f"{path}/list", serviceName="orders", clusterName="c1")
    assert found == (404, 30000, "server error", "cluster c1 is not found!")


def test_one_instance_is_a_whole_one(port: Everything) -> None:
    path = f"{ADMIN}/instance"
    text = "no ips found for cluster DEFAULT in service DEFAULT_GROUP@@orders"
    assert port.refused("GET", path, **ONE) == (404, 20004, "resource not found", text)
    port.data("POST", path, **ONE, metadata="a=1")
    found = port.data("GET", path, **ONE)
    assert (found["clusterName"], found["metadata"], found["ipDeleteTimeout"]) == ("DEFAULT", {"a": "1"}, 30000)


def test_a_part_of_an_instance_is_changed(port: Everything) -> None:
    path = f"{ADMIN}/instance"
    assert port.refused("PUT", f"{path}/partial", **ONE)[:2] == (404, 20004)
    port.data("POST", path, **ONE, weight=2)
    assert port.data("PUT", f"{path}/partial", **ONE, metadata="a=1") == "ok"
    assert port.data("PUT", f"{path}/partial", **ONE, enabled="false") == "ok"
    found = port.data("GET", path, **ONE)
    assert (found["weight"], found["enabled"], found["metadata"]) == (2.0, False, {"a": "1"})
    assert port.data("PUT", path, **ONE) == "ok"
    found = port.data("GET", path, **ONE)
    assert (found["weight"], found["enabled"], found["metadata"]) == (1.0, True, {})
    found = port.data("PUT", f"{path}/metadata/batch", serviceName="orders", metadata="b=2")
    assert found == {"updated": ["10.0.0.1:8080:unknown:DEFAULT:ephemeral"]}
    assert port.data("GET", path, **ONE)["metadata"] == {"b": "2"}
    port.data("DELETE", f"{path}/metadata/batch", serviceName="orders", metadata="b=2")
    assert port.data("GET", path, **ONE)["metadata"] == {}


# ---------------------------------------------------------------------- administration and console: services


@pytest.mark.parametrize("base", [ADMIN, CONSOLE])
def test_a_service_is_made_changed_read_and_deleted(port: Everything, base: str) -> None:
    path = f"{base}/service"
    assert port.data("POST", path, serviceName="a", groupName="g", metadata="k=v") == "ok"
    assert port.refused("POST", path, serviceName="a", groupName="g")[:2] == (400, 21007)
    assert port.data("PUT", path, serviceName="a", groupName="g", protectThreshold=0.5) == "ok"
    assert port.data("GET", path, serviceName="a", groupName="g") == {
        "namespaceId": "public",
        "serviceName": "a",
        "groupName": "g",
        "clusterMap": {},
        "metadata": {},
        "protectThreshold": 0.5,
        "selector": {"type": "none", "contextType": "NONE"},
        "ephemeral": False,
    }
    assert port.data("DELETE", path, serviceName="a", groupName="g") == "ok"
    assert port.refused("GET", path, serviceName="a", groupName="g")[:2] == (400, 21008)
    assert port.data("GET", f"{path}/selector/types") == ["label", "none"]


@pytest.mark.parametrize("base", [ADMIN, CONSOLE])
def test_pages_of_services(port: Everything, base: str) -> None:
    path = f"{base}/service/list"
    assert port.data("GET", path) == {"totalCount": 0, "pageNumber": 1, "pagesAvailable": 0, "pageItems": []}
    for number in range(5):
        port.data("POST", CLIENT, **ONE | {"serviceName": f"s{number}"}, clusterName="c1")
    port.data("POST", f"{base}/service", serviceName="empty")
    found = port.data("GET", path, pageNo=2, pageSize=4)
    assert (found["totalCount"], found["pageNumber"], found["pagesAvailable"]) == (6, 2, 2)
    assert [item["name"] for item in found["pageItems"]] == ["s3", "s4"]
    assert found["pageItems"][0] == {
        "name": "s3",
        "groupName": "DEFAULT_GROUP",
        "clusterCount": 1,
        "ipCount": 1,
        "healthyInstanceCount": 1,
        "triggerFlag": "false",
    }
    assert port.data("GET", path, ignoreEmptyService="true")["totalCount"] == 5
    assert port.data("GET", path, serviceNameParam="s4")["totalCount"] == 1
    (item,) = port.data("GET", path, serviceNameParam="s4", withInstances="true")["pageItems"]
    assert item["clusterMap"]["c1"]["hosts"][0]["ip"] == "10.0.0.1"
    for name in ("pageNo", "pageSize"):
        text = f"Required parameter '{name}' should be positive integer, current is 0"
        assert port.refused("GET", path, **{name: 0}) == (400, 20002, "parameter validate error", text)


def test_clusters(port: Everything) -> None:
    port.data("POST", f"{ADMIN}/instance", **ONE, ephemeral="false")
    said = {"serviceName": "orders", "clusterName": "DEFAULT", "checkPort": 81, "healthChecker": '{"type":"HTTP"}'}
    text = "Required parameter 'useInstancePort4Check' type Boolean is not present"
    assert port.refused("PUT", f"{ADMIN}/cluster", **said) == (400, 10000, "parameter missing", text)
    for path in (f"{ADMIN}/cluster", f"{CONSOLE}/service/cluster"):
        assert port.data("PUT", path, **said, useInstancePort4Check="false", metadata="m=1") == "ok"
    cluster = port.data("GET", f"{ADMIN}/service", serviceName="orders")["clusterMap"]["DEFAULT"]
    assert cluster["healthChecker"]["type"] == "HTTP"
    assert (cluster["healthyCheckPort"], cluster["useInstancePortForCheck"], cluster["metadata"]) == (
        81,
        False,
        {"m": "1"},
    )
    found = port.data("GET", f"{ADMIN}/health/checkers")
    assert set(found) == {"TCP", "HTTP", "MYSQL", "NONE"}
    assert port.refused("PUT", f"{ADMIN}/health/instance", **ONE, healthy="true")[:2] == (400, 30000)


def test_subscribers(port: Everything) -> None:
    port.subscribe("1_2_3", "10.0.0.7", 40_001, agent="Nacos-Java-Client:v3.1.1", app="shop")
    for base in (ADMIN, CONSOLE):
        found = port.data("GET", f"{base}/service/subscribers", serviceName="orders")
        assert found == {
            "totalCount": 1,
            "pageNumber": 1,
            "pagesAvailable": 1,
            "pageItems": [
                {
                    "namespaceId": "public",
                    "groupName": "DEFAULT_GROUP",
                    "serviceName": "orders",
                    "ip": "10.0.0.7",
                    "port": 40001,
                    "agent": "Nacos-Java-Client:v3.1.1",
                    "appName": "shop",
                }
            ],
        }


# ---------------------------------------------------------------------- clients, switches, the console


def test_clients_and_what_they_do(port: Everything) -> None:
    connection = port.connect()
    port.publish(connection, instance(port=1))
    port.subscribe(connection.id, "10.0.0.7", 40_001, agent="a", app="shop")
    base = f"{ADMIN}/client"
    assert port.data("GET", f"{base}/list") == [connection.id]
    found = port.data("GET", base, clientId=connection.id)
    assert (found["clientType"], found["connectType"], found["clientPort"]) == ("connection", "GRPC", 40001)
    (published,) = port.data("GET", f"{base}/publish/list", clientId=connection.id)
    assert published["publisherInfo"] == {"clientId": None, "ip": "10.0.0.1", "port": 1, "clusterName": "DEFAULT"}
    (subscribed,) = port.data("GET", f"{base}/subscribe/list", clientId=connection.id)
    assert subscribed["subscriberInfo"]["address"] == "10.0.0.7:40001"
    (publisher,) = port.data("GET", f"{base}/service/publisher/list", serviceName="orders")
    assert publisher["clientId"] == connection.id
    (subscriber,) = port.data("GET", f"{base}/service/subscriber/list", serviceName="orders", ip="10.0.0.7")
    assert subscriber == {"clientId": connection.id, "appName": "shop", "agent": "a", "address": "10.0.0.7:40001"}
    found = port.data("GET", f"{base}/distro", ip="10.0.0.1", port="1")
    assert found == {"responsibleServer": port.service.nodes.place.address}
    assert port.refused("GET", base, clientId="x")[:2] == (404, 20004)


def test_switches_and_metrics(port: Everything) -> None:
    assert port.data("PUT", f"{ADMIN}/ops/switches", entry="pushEnabled", value="false") == "ok"
    assert port.data("GET", f"{ADMIN}/ops/switches")["pushEnabled"] is False
    assert port.data("GET", f"{ADMIN}/ops/metrics") == {"status": "UP"}
    found = port.data("GET", f"{ADMIN}/ops/metrics", onlyStatus="false")
    assert found["serviceCount"] == 0
    assert "cpu" not in found


def test_pages_of_instances_in_the_console(port: Everything) -> None:
    for number in (1, 2, 3):
        port.data("POST", CLIENT, **ONE | {"port": number})
    found = port.data("GET", f"{CONSOLE}/instance/list", serviceName="orders", pageSize=2, pageNo=2)
    assert (found["totalCount"], found["pagesAvailable"]) == (3, 2)
    assert [item["port"] for item in found["pageItems"]] == [3]
    assert port.data("PUT", f"{CONSOLE}/instance", **ONE | {"port": 3}, enabled="false") == "ok"
    assert port.data("GET", f"{ADMIN}/instance", **ONE | {"port": 3})["enabled"] is False


def test_the_console_is_found_without_the_context_path_too(port: Everything) -> None:
    assert port.ask("GET", "/v3/console/health/liveness").json["data"] == "ok"
    assert port.ask("GET", "/v3/admin/ns/ops/metrics").status == 404


@pytest.mark.parametrize("path", ["/v3/admin/ai/mcp/list", "/v3/console/ai/mcp", "/v3/admin/ns/nothing", "/v3/"])
def test_what_is_not_there(port: Everything, path: str) -> None:
    answer = port.call("GET", path)
    assert (answer.status, answer.json["error"]) == (404, "Not Found")
