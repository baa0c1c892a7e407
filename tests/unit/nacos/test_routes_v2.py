"""HTTP v2: the envelope, its codes and texts, as Nacos 2.5.1 answers them."""

from __future__ import annotations

import json

import pytest
from every_generation import Everything
from naming_bottle import instance

NS = "/v2/ns"
INSTANCE = f"{NS}/instance"
SERVICE = f"{NS}/service"
ONE = {"serviceName": "orders", "ip": "10.0.0.1", "port": 8080}


@pytest.fixture
def port() -> Everything:
    return Everything()


# ---------------------------------------------------------------------- instances


def test_an_instance_is_registered_read_listed_and_ended(port: Everything) -> None:
    assert port.data("POST", INSTANCE, **ONE, weight="2.5", metadata='{"zone":"a"}', clusterName="c1") == "ok"
    assert port.data("GET", INSTANCE, **ONE, clusterName="c1") == {
        "serviceName": "DEFAULT_GROUP@@orders",
        "ip": "10.0.0.1",
        "port": 8080,
        "clusterName": "c1",
        "weight": 2.5,
        "healthy": True,
        "instanceId": None,
        "metadata": {"zone": "a"},
    }
    found = port.data("GET", f"{INSTANCE}/list", serviceName="orders")
    assert (found["name"], found["groupName"], found["clusters"]) == ("DEFAULT_GROUP@@orders", "DEFAULT_GROUP", "")
    (host,) = found["hosts"]
    assert "instanceId" not in host, "over v2 nobody gives it one"
    assert (host["weight"], host["clusterName"], host["serviceName"]) == (2.5, "c1", "DEFAULT_GROUP@@orders")
    assert port.data("GET", f"{INSTANCE}/list", serviceName="orders", clusterName="c2")["hosts"] == []
    assert port.data("DELETE", INSTANCE, **ONE, clusterName="c1") == "ok"
    assert port.data("GET", f"{INSTANCE}/list", serviceName="orders")["hosts"] == []
    assert port.data("DELETE", INSTANCE, **ONE) == "ok", "an unknown one is fine too"


def test_group_and_namespace(port: Everything) -> None:
    port.data("POST", INSTANCE, **ONE, groupName="g1", namespaceId="dev")
    assert port.data("GET", f"{INSTANCE}/list", serviceName="orders")["hosts"] == []
    found = port.data("GET", f"{INSTANCE}/list", serviceName="orders", groupName="g1", namespaceId="dev")
    assert [host["serviceName"] for host in found["hosts"]] == ["g1@@orders"]
    for space in ("", "public"):
        port.data("POST", INSTANCE, **ONE, namespaceId=space)
    assert len(port.data("GET", f"{INSTANCE}/list", serviceName="orders")["hosts"]) == 1


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ("serviceName", "Required parameter 'serviceName' type String is not present"),
        ("ip", "Required parameter 'ip' type String is not present"),
        ("port", "Required parameter 'port' type Integer is not present"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_form_needs_its_members(port: Everything, method: str, missing: str, text: str) -> None:
    params = {name: value for name, value in ONE.items() if name != missing}
    assert port.refused(method, INSTANCE, **params) == (400, 10000, "parameter missing", text)


def test_parameters_that_are_none_of_a_form_are_missed_in_other_words(port: Everything) -> None:
    text = "Required request parameter 'port' for method parameter type Integer is not present"
    assert port.refused("GET", INSTANCE, serviceName="s", ip="1.1.1.1") == (400, 10000, "parameter missing", text)
    text = "Required request parameter 'serviceName' for method parameter type String is not present"
    assert port.refused("GET", f"{INSTANCE}/list") == (400, 10000, "parameter missing", text)


@pytest.mark.parametrize("weight", ["-0.1", "10000.5"])
def test_a_weight_has_bounds(port: Everything, weight: str) -> None:
    text = "instance format invalid: The weights range from 0.0 to 10000.0"
    assert port.refused("POST", INSTANCE, **ONE, weight=weight) == (400, 21001, "weight error", text)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"port": 65536}, "Param 'port' is illegal, the value should be between 0 and 65535."),
        ({"port": "abc"}, "Param 'port' is illegal, the value should be between 0 and 65535."),
        (
            {"namespaceId": "a b"},
            "Param 'namespaceId/tenant' is illegal, illegal characters should not appear in the param.",
        ),
        (
            {"metadata": json.dumps({"k": "v" * 1100})},
            "Param 'Metadata' is illegal, the param length should not exceed 1024.",
        ),
    ],
)
def test_illegal_parameters_are_plain_text(port: Everything, params: dict[str, object], text: str) -> None:
    assert port.objected("POST", INSTANCE, **ONE | params) == text


def test_metadata_that_is_neither_json_nor_pairs(port: Everything) -> None:
    found = port.refused("POST", INSTANCE, **ONE, metadata="what")
    assert found == (400, 21002, "instance metadata error", "metadata format incorrect:what")


def test_an_instance_that_is_not_there(port: Everything) -> None:
    text = "no ips found for cluster DEFAULT in service DEFAULT_GROUP@@orders"
    assert port.refused("GET", INSTANCE, **ONE) == (404, 20004, "resource not found", text)
    port.data("POST", INSTANCE, **ONE)
    found = port.refused("GET", INSTANCE, **ONE | {"port": 1})
    assert found == (404, 20004, "resource not found", "no matched ip found!")


def test_an_update_overrides_what_the_client_says(port: Everything) -> None:
    status, code, _, text = port.refused("PUT", INSTANCE, **ONE)
    assert (status, code) == (400, 21004)
    assert text.startswith("service not found, namespace: public, service: Service{namespace='public'")
    port.data("POST", INSTANCE, **ONE)
    assert port.data("PUT", INSTANCE, **ONE, enabled="false", weight=3) == "ok"
    assert port.data("GET", f"{INSTANCE}/list", serviceName="orders")["hosts"] == []
    assert port.data("GET", INSTANCE, **ONE)["weight"] == 3.0, "a disabled one is still found"
    port.data("POST", INSTANCE, **ONE)
    assert port.data("GET", f"{INSTANCE}/list", serviceName="orders")["hosts"] == [], "registering does not undo it"


def test_a_patch_is_bare_and_needs_everything(port: Everything) -> None:
    port.data("POST", INSTANCE, **ONE)
    said = ONE | {"serviceName": "DEFAULT_GROUP@@orders", "weight": 4, "enabled": "true", "metadata": "a=1"}
    text = "Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'"
    assert port.refused("PATCH", INSTANCE, **said | {"serviceName": "orders"}) == (
        400, 20002, "parameter validate error", text,
    )  # fmt: skip
    missed = {name: value for name, value in said.items() if name != "weight"}
    assert port.refused("PATCH", INSTANCE, **missed)[1:] == (
        10000,
        "parameter missing",
        "Required request parameter 'weight' for method parameter type Double is not present",
    )
    answer = port.call("PATCH", INSTANCE, **said)
    assert (answer.status, answer.text) == (200, "ok")
    found = port.data("GET", INSTANCE, **ONE)
    assert (found["weight"], found["metadata"]) == (4.0, {"a": "1"})


def test_heartbeats_are_answered_as_in_v1(port: Everything) -> None:
    said = ONE | {"serviceName": "DEFAULT_GROUP@@orders"}
    answer = port.call("PUT", f"{INSTANCE}/beat", **said)
    assert answer.json == {"clientBeatInterval": 5000, "code": 20404, "lightBeatEnabled": True}
    port.data("POST", INSTANCE, **ONE, metadata='{"preserved.heart.beat.interval":"3000"}')
    answer = port.call("PUT", f"{INSTANCE}/beat", **said)
    assert answer.json == {"clientBeatInterval": 3000, "code": 10200, "lightBeatEnabled": True}
    assert port.beats == ["unknown", "ok"]
    assert port.refused("PUT", f"{INSTANCE}/beat", **ONE)[:2] == (400, 20002)


def test_metadata_of_many_instances(port: Everything) -> None:
    for number in (1, 2):
        port.data("POST", INSTANCE, **ONE | {"port": number})
    path = f"{INSTANCE}/metadata/batch"
    assert port.data("PUT", path, serviceName="orders", metadata='{"a":"1"}') == {
        "updated": ["10.0.0.1:1:unknown:DEFAULT:ephemeral", "10.0.0.1:2:unknown:DEFAULT:ephemeral"]
    }
    targets = json.dumps([{"ip": "10.0.0.1", "port": 2, "clusterName": "DEFAULT"}, {"ip": "10.9.9.9", "port": 2}])
    found = port.data("DELETE", path, serviceName="orders", metadata='{"a":""}', instances=targets)
    assert found == {"updated": ["10.0.0.1:2:unknown:DEFAULT:ephemeral"]}
    hosts = port.data("GET", f"{INSTANCE}/list", serviceName="orders")["hosts"]
    assert {host["port"]: host["metadata"] for host in hosts} == {1: {"a": "1"}, 2: {}}
    assert port.refused("PUT", path, serviceName="orders")[:2] == (400, 10000)


# ---------------------------------------------------------------------- services


def test_a_service_is_made_changed_read_and_deleted(port: Everything) -> None:
    assert port.data("POST", SERVICE, serviceName="a", protectThreshold=0.5, metadata="k=v") == "ok"
    assert port.refused("POST", SERVICE, serviceName="a") == (
        400, 21007, "service already exist", "specified service DEFAULT_GROUP@@a already exists!",
    )  # fmt: skip
    assert port.data("GET", SERVICE, serviceName="a") == {
        "namespace": "public",
        "serviceName": "a",
        "groupName": "DEFAULT_GROUP",
        "clusterMap": {},
        "metadata": {"k": "v"},
        "protectThreshold": 0.5,
        "selector": {"type": "none", "contextType": "NONE"},
        "ephemeral": False,
    }
    assert port.data("PUT", SERVICE, serviceName="a", protectThreshold=0.25) == "ok"
    assert port.data("GET", SERVICE, serviceName="a")["protectThreshold"] == 0.25
    assert port.data("GET", f"{SERVICE}/list") == {"count": 1, "services": ["a"]}
    assert port.data("GET", f"{SERVICE}/list", pageNo=2) == {"count": 1, "services": []}
    assert port.data("GET", f"{SERVICE}/list", groupName="other") == {"count": 0, "services": []}
    assert port.data("DELETE", SERVICE, serviceName="a") == "ok"
    assert port.refused("DELETE", SERVICE, serviceName="a")[:2] == (400, 21008)
    assert port.refused("PUT", SERVICE, serviceName="a")[3] == "service DEFAULT_GROUP@@a not found!"
    assert port.refused("GET", SERVICE, serviceName="a") == (
        400, 21008, "service not exist", "service not found, namespace: public, serviceName: DEFAULT_GROUP@@a",
    )  # fmt: skip


@pytest.mark.parametrize("said", ["-0.1", "1.5", "nan", "inf"])
def test_a_threshold_is_a_share(port: Everything, said: str) -> None:
    text = "Param 'protectThreshold' is illegal, the value should be between 0 and 1."
    for method in ("POST", "PUT"):
        found = port.refused(method, SERVICE, serviceName="a", protectThreshold=said)
        assert found == (400, 21005, "service metadata error", text)


def test_a_service_with_instances_stays(port: Everything) -> None:
    port.data("POST", INSTANCE, **ONE, clusterName="c1")
    text = "Service DEFAULT_GROUP@@orders is not empty, can't be delete. Please unregister instance first"
    assert port.refused("DELETE", SERVICE, serviceName="orders") == (400, 21009, "service delete failure", text)
    assert port.data("GET", SERVICE, serviceName="orders")["clusterMap"] == {
        "c1": {"clusterName": "c1", "healthChecker": {"type": "TCP"}, "metadata": {}, "hosts": None}
    }


def test_the_kind_of_a_service_is_asked_for(port: Everything) -> None:
    port.data("POST", SERVICE, serviceName="orders")
    text = "errCode: 400, errMsg: Current service DEFAULT_GROUP@@orders is persistent service, "
    text += "can't register ephemeral instance. "
    assert port.refused("POST", INSTANCE, **ONE) == (400, 30000, "server error", text)
    assert port.data("POST", INSTANCE, **ONE, ephemeral="false") == "ok"
    port.data("POST", SERVICE, serviceName="short", ephemeral="true")
    assert port.data("POST", INSTANCE, **ONE | {"serviceName": "short"}) == "ok"


def test_selectors(port: Everything) -> None:
    said = '{"type":"label","expression":"CONSUMER.label.A=PROVIDER.label.A"}'
    port.data("POST", SERVICE, serviceName="a", selector=said)
    assert port.data("GET", SERVICE, serviceName="a")["selector"]["type"] == "label"
    found = port.refused("POST", SERVICE, serviceName="b", selector='{"type":"nope"}')
    assert found == (400, 21006, "selector error", "not match any type of selector!")


def test_the_catalog_shows_the_disabled_too(port: Everything) -> None:
    path = f"{NS}/catalog/instances"
    for number in (1, 2, 3):
        port.data("POST", INSTANCE, **ONE | {"port": number}, enabled=str(number != 2).lower())
    found = port.data("GET", path, serviceName="orders", pageNo=1, pageSize=2)
    assert (found["count"], [h["port"] for h in found["instances"]]) == (3, [1, 2])
    found = port.data("GET", path, serviceName="orders", pageNo=1, pageSize=9, enabledOnly="true")
    assert (found["count"], [h["port"] for h in found["instances"]]) == (2, [1, 3])
    assert port.data("GET", path, serviceName="nobody", pageNo=1, pageSize=9) == {"count": 0}
    assert port.refused("GET", path, serviceName="orders", pageSize=9)[:2] == (400, 10000)


# ---------------------------------------------------------------------- health and operators


def test_the_health_of_an_instance_is_set_only_where_nobody_looks(port: Everything) -> None:
    path = f"{NS}/health/instance"
    port.data("POST", INSTANCE, **ONE, ephemeral="false")
    text = "health check is still working, service: DEFAULT_GROUP@@orders, cluster: DEFAULT"
    assert port.refused("PUT", path, **ONE, healthy="false") == (400, 30000, "server error", text)
    text = "Required parameter 'healthy' type Boolean is not present"
    assert port.refused("PUT", path, **ONE) == (400, 10000, "parameter missing", text)
    port.data(
        "PUT", "/v3/admin/ns/cluster", serviceName="orders", clusterName="DEFAULT", checkPort=80,
        useInstancePort4Check="true", healthChecker='{"type":"NONE"}',
    )  # fmt: skip
    assert port.data("PUT", path, **ONE, healthy="false") == "ok"
    assert port.data("GET", INSTANCE, **ONE)["healthy"] is False


@pytest.mark.parametrize("operator", ["operator", "ops"])
def test_switches_and_metrics(port: Everything, operator: str) -> None:
    base = f"{NS}/{operator}"
    assert port.data("GET", f"{base}/switches")["clientBeatInterval"] == 5000
    assert port.data("PUT", f"{base}/switches", entry="clientBeatInterval", value="7000") == "ok"
    assert port.data("GET", f"{base}/switches")["clientBeatInterval"] == 7000
    found = port.refused("PUT", f"{base}/switches", entry="clientBeatInterval", value="0")
    assert found == (500, 30000, "server error", "illegal clientBeatInterval")
    assert port.data("GET", f"{base}/metrics") == {"status": "UP"}
    port.data("POST", INSTANCE, **ONE)
    port.connect()
    found = port.data("GET", f"{base}/metrics", onlyStatus="false")
    assert {k: v for k, v in found.items() if k not in ("cpu", "load", "mem")} == {
        "status": "UP",
        "serviceCount": 1,
        "instanceCount": 1,
        "subscribeCount": 0,
        "clientCount": 2,
        "connectionBasedClientCount": 1,
        "ephemeralIpPortClientCount": 1,
        "persistentIpPortClientCount": 0,
        "responsibleClientCount": 2,
    }


# ---------------------------------------------------------------------- clients


def test_clients_and_what_they_do(port: Everything) -> None:
    port.data("POST", INSTANCE, **ONE)
    connection = port.connect()
    port.publish(connection, instance(port=1), instance(port=2, cluster="c1"), service="carts")
    port.subscribe(connection.id, "10.0.0.7", 40_001, agent="Nacos-Java-Client:v2.5.1", app="shop")
    base = f"{NS}/client"
    assert port.data("GET", f"{base}/list") == [connection.id, "10.0.0.1:8080#true"]
    assert port.data("GET", base, clientId=connection.id) == {
        "clientId": connection.id,
        "ephemeral": True,
        "lastUpdatedTime": port.clock.now_ms,
        "clientType": "connection",
        "connectType": "GRPC",
        "appName": "shop",
        "version": "Nacos-Java-Client:v2.5.1",
        "clientIp": "10.0.0.7",
        "clientPort": "40001",
    }
    assert port.data("GET", base, clientId="10.0.0.1:8080#true") == {
        "clientId": "10.0.0.1:8080#true",
        "ephemeral": True,
        "lastUpdatedTime": port.clock.now_ms,
        "clientType": "ipPort",
        "clientIp": "10.0.0.1",
        "clientPort": "8080",
    }
    carts = {"namespace": "public", "group": "DEFAULT_GROUP", "serviceName": "carts"}
    assert port.data("GET", f"{base}/publish/list", clientId=connection.id) == [
        carts | {"registeredInstance": {"ip": "10.0.0.1", "port": 1, "cluster": "DEFAULT"}},
        carts | {"registeredInstance": {"ip": "10.0.0.1", "port": 2, "cluster": "c1"}},
    ]
    assert port.data("GET", f"{base}/subscribe/list", clientId=connection.id) == [
        carts
        | {
            "serviceName": "orders",
            "subscriberInfo": {"app": "shop", "agent": "Nacos-Java-Client:v2.5.1", "addr": "10.0.0.7:40001"},
        }
    ]
    found = port.data("GET", f"{base}/service/publisher/list", serviceName="carts", ip="10.0.0.1", port=2)
    assert found == [{"ip": "10.0.0.1", "port": 2, "cluster": "c1", "clientId": connection.id}]
    assert len(port.data("GET", f"{base}/service/publisher/list", serviceName="carts")) == 2
    found = port.data("GET", f"{base}/service/subscriber/list", serviceName="orders")
    assert found == [{"clientId": connection.id, "ip": "10.0.0.7", "port": 40001}]
    assert port.data("GET", f"{base}/service/subscriber/list", serviceName="orders", port=1) == []


@pytest.mark.parametrize("path", ["", "/publish/list", "/subscribe/list"])
def test_an_unknown_client(port: Everything, path: str) -> None:
    for id in ("10.0.0.1:8080#true", "1_2_3", "x"):
        found = port.refused("GET", f"{NS}/client{path}", clientId=id)
        assert found == (404, 20004, "resource not found", f"clientId [ {id} ] not exist")
    assert port.refused("GET", f"{NS}/client{path}")[:2] == (400, 10000)


# ---------------------------------------------------------------------- what is not there


def test_what_nobody_answers(port: Everything) -> None:
    answer = port.call("GET", f"{NS}/nothing")
    assert answer.status == 404
    assert (answer.json["error"], answer.json["path"]) == ("Not Found", "/nacos/v2/ns/nothing")
    answer = port.call("POST", f"{SERVICE}/list")
    assert (answer.status, answer.json["error"]) == (405, "Method Not Allowed")
