"""HTTP v1 naming as 1.x clients and consoles use it. Expected answers are those of Nacos 2.5.1."""

from __future__ import annotations

import json
from typing import Any

import pytest
from http_bottle import JAVA, NS, STRANGER, HttpBottle, Ids
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.server import routes_v1, routes_v1_services
from polaris_bridge.adapters.nacos.service.nacos import NacosService
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.core.model import AddressKey, Lease, Registration, ServiceKey
from polaris_bridge.core.ports import OpenDoor

GROUPED = "DEFAULT_GROUP@@orders"
JAVA_ACCEPT = "text/html, image/gif, image/jpeg, */*; q=0.2"


@pytest.fixture
def bottle() -> HttpBottle:
    return HttpBottle()


# ---------------------------------------------------------------------- instances


def test_java_registers_lists_and_leaves(bottle: HttpBottle) -> None:
    query = {
        "app": "unknown", "groupName": "DEFAULT_GROUP", "metadata": '{"version":"2.0"}', "namespaceId": "public",
        "port": "8081", "enable": "true", "healthy": "true", "clusterName": "DEFAULT", "ip": "127.0.0.1",
        "weight": "3.0", "ephemeral": "true", "serviceName": GROUPED,
    }  # fmt: skip
    empty = bottle.list(GROUPED, namespaceId="public")
    assert (empty["name"], empty["groupName"], empty["hosts"], empty["cacheMillis"]) == (
        GROUPED,
        "DEFAULT_GROUP",
        [],
        10000,
    )
    answer = bottle.ask("POST", f"{NS}/instance", query, accept=JAVA_ACCEPT)
    assert (answer.status, answer.text, answer.headers["content-type"]) == (200, "ok", "text/html;charset=UTF-8")
    listed = bottle.ask(
        "GET", f"{NS}/instance/list", {"serviceName": GROUPED, "healthyOnly": "false"}, accept=JAVA_ACCEPT
    )
    assert listed.headers["content-type"] == "application/json"
    assert listed.json["hosts"] == [{
        "instanceId": f"127.0.0.1#8081#DEFAULT#{GROUPED}", "ip": "127.0.0.1", "port": 8081, "weight": 3.0, "healthy": True,
        "enabled": True, "ephemeral": True, "clusterName": "DEFAULT", "serviceName": GROUPED,
        "metadata": {"version": "2.0"}, "instanceHeartBeatInterval": 5000, "instanceHeartBeatTimeOut": 15000,
        "ipDeleteTimeout": 30000,
    }]  # fmt: skip
    assert listed.json["lastRefTime"] >= empty["lastRefTime"]
    gone = bottle.deregister(8081, GROUPED, "127.0.0.1", namespaceId="public", clusterName="DEFAULT", ephemeral="true")
    assert (gone.status, gone.text) == (200, "ok")
    assert bottle.hosts(GROUPED) == []
    assert bottle.deregister(1, "orders-none").text == "ok"


def test_python_spells_it_its_own_way(bottle: HttpBottle) -> None:
    answer = bottle.register(
        7002, "rec.py", "127.0.0.1", weight="1.0", enable="True", healthy="True", clusterName="None", ephemeral="True",
        groupName="DEFAULT_GROUP", metadata="{}",
    )  # fmt: skip
    assert (answer.text, answer.headers["content-type"]) == ("ok", "text/plain;charset=UTF-8")
    assert [h["clusterName"] for h in bottle.hosts("rec.py", healthyOnly="False")] == ["None"]
    assert bottle.hosts("rec.py", healthyOnly="True")[0]["instanceId"] == "127.0.0.1#7002#None#DEFAULT_GROUP@@rec.py"
    beat = json.dumps({"serviceName": "DEFAULT_GROUP@@rec.py", "ip": "127.0.0.1", "port": 7002, "metadata": {}})
    params = {"serviceName": "DEFAULT_GROUP@@rec.py", "beat": beat, "groupName": "DEFAULT_GROUP"}
    assert bottle.ask("PUT", f"{NS}/instance/beat", params).json["code"] == 10200
    assert [h["clusterName"] for h in bottle.hosts("rec.py")] == ["None"]
    found = {"serviceName": "rec.py", "ip": "127.0.0.1", "port": 7002, "cluster": "None"}
    assert bottle.ask("GET", f"{NS}/instance", found | {"clusterName": "None"}).json["weight"] == 1.0
    assert bottle.ask("GET", f"{NS}/instance", found).status == 404  # ``cluster`` is not read here


def test_parameters_may_be_a_form(bottle: HttpBottle) -> None:
    form = {"serviceName": "orders", "ip": "10.0.0.1", "port": 80, "groupName": "G", "metadata": "a=1,b=2"}
    for method in ("POST", "DELETE", "POST"):
        assert bottle.ask(method, f"{NS}/instance", form=form).text == "ok"
    (host,) = bottle.hosts("G@@orders")
    assert (host["metadata"], host["serviceName"]) == ({"a": "1", "b": "2"}, "G@@orders")


@pytest.mark.parametrize(
    ("changed", "status", "text"),
    [
        ({"serviceName": ""}, 400, "Param 'serviceName' is required."),
        ({"ip": ""}, 400, "Param 'ip' is required."),
        ({"port": ""}, 400, "Param 'port' is required."),
        ({"port": "70000"}, 400, "Param 'port' is illegal, the value should be between 0 and 65535.\r\n"),
        ({"port": "x"}, 400, "Param 'port' is illegal, the value should be between 0 and 65535.\r\n"),
        ({"ip": "1 2"}, 400, "Param 'ip' is illegal, illegal characters should not appear in the param.\r\n"),
        (
            {"clusterName": "a.b"},
            400,
            "Param 'cluster' is illegal, illegal characters should not appear in the param.\r\n",
        ),
        (
            {"clusterName": "a_b"},
            400,
            "Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: a_b)",
        ),
        (
            {"namespaceId": "n" * 65},
            400,
            "Param 'namespaceId/tenant' is illegal, the param length should not exceed 64.\r\n",
        ),
        ({"groupName": "a b"}, 400, "Param 'group' is illegal, illegal characters should not appear in the param.\r\n"),
        (
            {"serviceName": "a b"},
            400,
            "Param 'serviceName' is illegal, illegal characters should not appear in the param.\r\n",
        ),
        ({"weight": "20000.0"}, 400, "instance format invalid: The weights range from 0.0 to 10000.0"),
        ({"weight": "-1"}, 400, "instance format invalid: The weights range from 0.0 to 10000.0"),
        ({"weight": "nan"}, 400, "instance format invalid: The weights range from 0.0 to 10000.0"),
        ({"weight": "x"}, 400, 'For input string: "x"'),
        ({"metadata": "a"}, 400, "metadata format incorrect:a"),
        (
            {"metadata": "k=" + "v" * 1100},
            400,
            "Param 'Metadata' is illegal, the param length should not exceed 1024.\r\n",
        ),
    ],
)
def test_registrations_that_are_refused(bottle: HttpBottle, changed: dict[str, str], status: int, text: str) -> None:
    params = {"serviceName": "orders", "ip": "10.0.0.1", "port": "80"} | changed
    answer = bottle.ask("POST", f"{NS}/instance", {k: v for k, v in params.items() if v})
    assert (answer.status, answer.text) == (status, text)
    assert bottle.hosts() == []


def test_a_service_holds_instances_of_one_kind(bottle: HttpBottle) -> None:
    bottle.register(8080)
    answer = bottle.register(8085, ephemeral="false")
    assert answer.status == 400
    assert (
        answer.text
        == f"errCode: 400, errMsg: Current service {GROUPED} is ephemeral service, can't register persistent instance. "
    )


def test_groups_and_namespaces_are_apart(bottle: HttpBottle) -> None:
    bottle.register(1)
    bottle.register(2, groupName="G")
    bottle.register(3, namespaceId="n1")
    bottle.register(4, namespaceId="default")
    assert [h["port"] for h in bottle.hosts()] == [1]
    assert [h["port"] for h in bottle.hosts("DEFAULT_GROUP@@orders", namespaceId="")] == [1]
    assert [h["port"] for h in bottle.hosts("G@@orders")] == [2]
    assert [h["port"] for h in bottle.hosts(namespaceId="n1")] == [3]
    assert [h["port"] for h in bottle.hosts(namespaceId="default")] == [4]


def test_lists_are_narrowed_by_cluster_and_health(bottle: HttpBottle) -> None:
    bottle.register(1, clusterName="A")
    bottle.register(2, clusterName="B")
    bottle.register(3, enabled="false")
    found = bottle.list(clusters="A,B")
    assert (found["clusters"], sorted(h["port"] for h in found["hosts"])) == ("A,B", [1, 2])
    assert [h["port"] for h in bottle.hosts(clusters="B")] == [2]
    for at in range(4):
        bottle.move(4)
        bottle.beat(1, clusterName="A")
        assert [h["port"] for h in bottle.hosts()] == [1, 2], at
    assert [h["healthy"] for h in bottle.hosts()] == [True, False]
    assert [h["port"] for h in bottle.hosts(healthyOnly="true")] == [1]
    illegal = bottle.ask("GET", f"{NS}/instance/list", {"serviceName": "orders", "clusters": "a.b"})
    assert (illegal.status, illegal.text[:25]) == (400, "Param 'cluster' is illega")


def test_one_instance(bottle: HttpBottle) -> None:
    place = {"serviceName": "orders", "ip": "10.0.0.1", "port": 8080}
    nothing = bottle.ask("GET", f"{NS}/instance", place)
    assert (nothing.status, nothing.text) == (404, f"no ips found for cluster DEFAULT in service {GROUPED}")
    bottle.register(8080, enabled="false", weight="2.5", metadata='{"version":"1"}')
    assert bottle.ask("GET", f"{NS}/instance", place).json == {
        "service": GROUPED, "ip": "10.0.0.1", "port": 8080, "clusterName": "DEFAULT", "weight": 2.5, "healthy": True,
        "instanceId": f"10.0.0.1#8080#DEFAULT#{GROUPED}", "metadata": {"version": "1"},
    }  # fmt: skip
    for other in ({"port": 1}, {"clusterName": "B"}, {"ip": "10.0.0.2"}):
        answer = bottle.ask("GET", f"{NS}/instance", place | other)
        assert (answer.status, answer.text) == (404, "no matched ip found!")


# ---------------------------------------------------------------------- heartbeats


def test_heartbeats(bottle: HttpBottle) -> None:
    unknown = bottle.beat(8080)
    assert unknown.json == {"clientBeatInterval": 5000, "code": 20404, "lightBeatEnabled": True}
    bottle.register(8080)
    known = bottle.beat(8080)
    assert known.json == {"clientBeatInterval": 5000, "code": 10200, "lightBeatEnabled": True}
    assert known.body == b'{"clientBeatInterval":5000,"code":10200,"lightBeatEnabled":true}'
    assert known.headers["content-type"] == "application/json"
    assert bottle.beats == ["unknown", "ok"]
    bottle.move(31)
    assert bottle.hosts() == []
    assert bottle.beat(8080).json["code"] == 20404


def test_a_body_makes_an_instance_known(bottle: HttpBottle) -> None:
    body = {
        "serviceName": GROUPED, "ip": "10.0.0.7", "port": 77, "cluster": "A", "weight": 2, "scheduled": False, "period": 5000,
        "metadata": {"preserved.heart.beat.interval": "3000"}, "stopped": False,
    }  # fmt: skip
    answer = bottle.ask("PUT", f"{NS}/instance/beat", {"serviceName": GROUPED}, {"beat": json.dumps(body)})
    assert answer.json == {"clientBeatInterval": 3000, "code": 10200, "lightBeatEnabled": True}
    (host,) = bottle.hosts()
    assert (host["ip"], host["port"], host["clusterName"], host["weight"]) == ("10.0.0.7", 77, "A", 2.0)
    assert bottle.beat(77, ip="10.0.0.7", clusterName="A").json["clientBeatInterval"] == 3000


def test_heartbeats_that_cannot_be_read(bottle: HttpBottle) -> None:
    assert bottle.ask("PUT", f"{NS}/instance/beat", {"serviceName": "orders", "beat": "{"}).status == 500
    assert bottle.ask("PUT", f"{NS}/instance/beat", {"ip": "1.1.1.1"}).text == "Param 'serviceName' is required."
    assert bottle.beat(70000).status == 400


# ---------------------------------------------------------------------- operators change instances


def test_put_lays_something_over_an_instance(bottle: HttpBottle) -> None:
    place = {"serviceName": "orders", "ip": "10.0.0.1", "port": 8080}
    missing = bottle.ask("PUT", f"{NS}/instance", place)
    assert (missing.status, missing.text[:38]) == (400, "service not found, namespace: public, ")
    bottle.register(8080, metadata="a=1")
    assert bottle.ask("PUT", f"{NS}/instance", place | {"weight": "3", "metadata": '{"b":"2"}'}).text == "ok"
    (host,) = bottle.hosts()
    assert (host["weight"], host["metadata"]) == (3.0, {"a": "1", "b": "2"})
    assert bottle.ask("PATCH", f"{NS}/instance", place | {"enabled": "false"}).text == "ok"
    assert bottle.hosts() == []
    assert bottle.ask("GET", f"{NS}/instance", place).json["weight"] == 3.0
    assert bottle.ask("PATCH", f"{NS}/instance", place | {"enabled": "true", "weight": "4"}).text == "ok"
    assert [h["weight"] for h in bottle.hosts()] == [4.0]
    assert bottle.hosts()[0]["metadata"] == {"a": "1", "b": "2"}
    assert bottle.ask("PATCH", f"{NS}/instance", place | {"port": 9}).text == "no matched ip found!"
    assert bottle.ask("PATCH", f"{NS}/instance", place | {"weight": "10001"}).status == 400


def test_metadata_of_many(bottle: HttpBottle) -> None:
    bottle.register(1, metadata="a=1")
    bottle.register(2)
    batch = f"{NS}/instance/metadata/batch"
    all_of_them = bottle.ask(
        "PUT", batch, {"serviceName": GROUPED, "metadata": '{"x":"1"}', "consistencyType": "ephemeral"}
    )
    assert sorted(all_of_them.json["updated"]) == [f"10.0.0.1:{port}:unknown:DEFAULT:ephemeral" for port in (1, 2)]
    targets = json.dumps([{"ip": "10.0.0.1", "port": 2}])
    one = bottle.ask("DELETE", batch, {"serviceName": GROUPED, "metadata": '{"x":"1"}', "instances": targets})
    assert one.json == {"updated": ["10.0.0.1:2:unknown:DEFAULT:ephemeral"]}
    assert [h["metadata"] for h in bottle.hosts()] == [{"a": "1", "x": "1"}, {}]
    assert bottle.ask("PUT", batch, {"serviceName": GROUPED}).text == "Param 'metadata' is required."


def test_statuses(bottle: HttpBottle) -> None:
    bottle.register(1)
    bottle.register(2, namespaceId="n1")
    assert bottle.ask("GET", f"{NS}/instance/statuses", {"key": GROUPED}).json == {"ips": ["10.0.0.1:1_true"]}
    assert bottle.ask("GET", f"{NS}/instance/statuses", {"key": f"n1##{GROUPED}"}).json == {"ips": ["10.0.0.1:2_true"]}
    assert bottle.ask("GET", f"{NS}/instance/statuses").status == 400


# ---------------------------------------------------------------------- services


def test_services_made_by_hand(bottle: HttpBottle) -> None:
    path = f"{NS}/service"
    assert bottle.ask("POST", path, {"serviceName": "s", "metadata": "k=v", "protectThreshold": "0.5"}).text == "ok"
    again = bottle.ask("POST", path, {"serviceName": "s"})
    assert (again.status, again.text) == (400, "specified service DEFAULT_GROUP@@s already exists!")
    assert bottle.ask("GET", path, {"serviceName": "s"}).json == {
        "namespaceId": "public", "groupName": "DEFAULT_GROUP", "name": "s", "protectThreshold": 0.5, "metadata": {"k": "v"},
        "selector": {"type": "none", "contextType": "NONE"}, "clusters": [],
    }  # fmt: skip
    assert bottle.register(1, "s").text.startswith(
        "errCode: 400, errMsg: Current service DEFAULT_GROUP@@s is persistent"
    )
    assert bottle.ask("PUT", path, {"serviceName": "s", "protectThreshold": "0.1"}).text == "ok"
    assert bottle.ask("PUT", path, {"serviceName": "s"}).text == "Param 'protectThreshold' is required."
    assert bottle.ask("GET", path, {"serviceName": "s"}).json["metadata"] == {}
    assert bottle.register(1, "s", ephemeral="false").text == "ok"
    full = bottle.ask("DELETE", path, {"serviceName": "s"})
    text = "Service DEFAULT_GROUP@@s is not empty, can't be delete. Please unregister instance first"
    assert (full.status, full.text) == (400, text)
    assert bottle.deregister(1, "s", ephemeral="false").text == "ok"
    assert bottle.ask("DELETE", path, {"serviceName": "s"}).text == "ok"
    unknown = bottle.ask("DELETE", path, {"serviceName": "s"})
    assert (unknown.status, unknown.text) == (400, "service DEFAULT_GROUP@@s not found!")
    assert bottle.ask("PUT", path, {"serviceName": "s", "protectThreshold": "0"}).status == 400
    missing = bottle.ask("GET", path, {"serviceName": "s"})
    assert missing.text == "service not found, namespace: public, serviceName: DEFAULT_GROUP@@s"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ('{"type":"none"}', {"type": "none", "contextType": "NONE"}),
        (
            '{"type":"label","expression":"CONSUMER.label.z = PROVIDER.label.z & CONSUMER.label.a=PROVIDER.label.a"}',
            {
                "type": "label",
                "contextType": "CMDB",
                "expression": "CONSUMER.label.z = PROVIDER.label.z & CONSUMER.label.a=PROVIDER.label.a",
                "labels": ["a", "z"],
            },
        ),
        ('{"type":"label"}', {"type": "label", "contextType": "CMDB", "labels": []}),
        ("%7B%22type%22%3A%22none%22%7D", {"type": "none", "contextType": "NONE"}),
        ('{"type":"odd"}', None),
        ("[]", None),
        ("{", None),
    ],
)
def test_selectors(bottle: HttpBottle, selector: str, expected: Any) -> None:
    answer = bottle.ask("POST", f"{NS}/service", {"serviceName": "s", "selector": selector})
    assert answer.status == (400 if expected is None else 200)
    if expected is not None:
        assert bottle.ask("GET", f"{NS}/service", {"serviceName": "s"}).json["selector"] == expected
    assert bottle.ask("GET", f"{NS}/service/selector/types").json == {
        "code": 200,
        "message": None,
        "data": ["label", "none"],
    }


def test_names_of_services(bottle: HttpBottle) -> None:
    for name in ("b", "a", "c"):
        bottle.register(1, name)
    bottle.register(1, "x", groupName="G")
    bottle.register(1, "y", namespaceId="n1")
    page = bottle.ask("GET", f"{NS}/service/list", {"pageNo": 1, "pageSize": 2})
    assert page.json == {"count": 3, "doms": ["a", "b"]}
    assert bottle.ask("GET", f"{NS}/service/list", {"pageNo": 2, "pageSize": 2}).json == {"count": 3, "doms": ["c"]}
    assert bottle.ask("GET", f"{NS}/service/list", {"pageNo": 1, "pageSize": 9, "groupName": "G"}).json["doms"] == ["x"]
    assert bottle.ask("GET", f"{NS}/service/list", {"pageNo": 1}).text == "Param 'pageSize' is required."
    assert bottle.ask("GET", f"{NS}/service/list", {"pageNo": 1, "pageSize": 9, "groupName": "H"}).json["count"] == 0
    found = bottle.ask("GET", f"{NS}/service/names").json
    assert found["count"] == 5
    assert found["META-INF/services"]["n1"] == ["DEFAULT_GROUP@@y"]
    one = bottle.ask("GET", f"{NS}/service/names", {"namespaceId": "public", "expr": "G@@"}).json
    assert one == {"META-INF/services": {"public": ["G@@x"]}, "count": 1}


# ---------------------------------------------------------------------- catalog, clusters, health


def test_catalog(bottle: HttpBottle) -> None:
    bottle.register(1, "s", metadata="k=v")
    bottle.register(2, "s", clusterName="B", enabled="false")
    bottle.ask("POST", f"{NS}/service", {"serviceName": "empty"})
    params = {"pageNo": 1, "pageSize": 10}
    listed = bottle.ask("GET", f"{NS}/catalog/services", params).json
    assert listed["count"] == 2
    assert listed["serviceList"][1] == {
        "name": "s", "groupName": "DEFAULT_GROUP", "clusterCount": 2, "ipCount": 2, "healthyInstanceCount": 2,
        "triggerFlag": "false",
    }  # fmt: skip
    filled = bottle.ask("GET", f"{NS}/catalog/services", params | {"hasIpCount": "true"}).json
    assert [row["name"] for row in filled["serviceList"]] == ["s"]
    assert bottle.ask("GET", f"{NS}/catalog/services", params | {"serviceNameParam": "mpt"}).json["count"] == 1
    detailed = bottle.ask("GET", f"{NS}/catalog/services", params | {"withInstances": "true"}).json
    assert [row["serviceName"] for row in detailed] == ["empty", "s"]
    address = {"valid": True, "metadata": {"k": "v"}, "port": 1, "ip": "10.0.0.1", "weight": 1.0, "enabled": True}
    assert detailed[1]["clusterMap"]["DEFAULT"] == {
        "clusterName": None, "healthChecker": None, "metadata": None, "hosts": [address]
    }  # fmt: skip
    found = bottle.ask("GET", f"{NS}/catalog/service", {"serviceName": "s"}).json
    assert found["service"]["name"] == "s"
    assert found["clusters"][0] == {
        "serviceName": "DEFAULT_GROUP@@s", "name": "B", "healthChecker": {"type": "TCP"}, "defaultPort": 80,
        "defaultCheckPort": 80, "useIPPort4Check": True, "metadata": {},
    }  # fmt: skip
    assert (
        bottle.ask("GET", f"{NS}/catalog/service", {"serviceName": "t"}).text
        == "service DEFAULT_GROUP@@t is not found!"
    )
    instances = {"serviceName": "s", "clusterName": "B", "pageNo": 1, "pageSize": 10}
    page = bottle.ask("GET", f"{NS}/catalog/instances", instances).json
    assert (page["count"], [(h["port"], h["enabled"]) for h in page["list"]]) == (1, [(2, False)])
    assert bottle.ask("GET", f"{NS}/catalog/instances", instances | {"pageNo": 2}).json == {"list": [], "count": 1}
    assert bottle.ask("GET", f"{NS}/catalog/instances", instances | {"pageNo": 0}).json == {"list": [], "count": 1}
    unknown = bottle.ask("GET", f"{NS}/catalog/instances", instances | {"clusterName": "X"})
    assert (unknown.status, unknown.text) == (404, "cluster X is not found!")


def test_clusters_are_described_and_people_judge_what_nobody_probes(bottle: HttpBottle) -> None:
    bottle.register(1, "s", ephemeral="false")
    health = {"serviceName": "s", "ip": "10.0.0.1", "port": 1, "healthy": "false"}
    busy = bottle.ask("PUT", f"{NS}/health/instance", health)
    text = "health check is still working, service: DEFAULT_GROUP@@s, cluster: DEFAULT"
    assert (busy.status, busy.text) == (400, text)
    cluster = {
        "serviceName": "s", "clusterName": "DEFAULT", "checkPort": 81, "useInstancePort4Check": "false",
        "healthChecker": '{"type":"NONE"}', "metadata": "a=b",
    }  # fmt: skip
    assert bottle.ask("PUT", f"{NS}/cluster", cluster).text == "ok"
    shown = bottle.ask("GET", f"{NS}/catalog/service", {"serviceName": "s"}).json["clusters"][0]
    assert (shown["healthChecker"], shown["defaultCheckPort"], shown["useIPPort4Check"]) == (
        {"type": "NONE"},
        81,
        False,
    )
    assert shown["metadata"] == {"a": "b"}
    assert bottle.ask("PUT", f"{NS}/health/instance", health).text == "ok"
    assert [h["healthy"] for h in bottle.hosts("s")] == [False]
    assert bottle.ask("PUT", f"{NS}/health", health | {"healthy": "", "valid": "true"}).text == "ok"
    assert [h["healthy"] for h in bottle.hosts("s")] == [True]
    assert bottle.ask("PUT", f"{NS}/health/instance", {"serviceName": "s"}).text == "Param 'healthy' is required."
    assert bottle.ask("PUT", f"{NS}/cluster", cluster | {"healthChecker": "{"}).status == 400
    assert set(bottle.ask("GET", f"{NS}/health/checkers").json) == {"TCP", "HTTP", "MYSQL", "NONE"}


# ---------------------------------------------------------------------- operator


def test_switches(bottle: HttpBottle) -> None:
    path = f"{NS}/operator/switches"
    before = bottle.ask("GET", path).json
    assert (before["clientBeatInterval"], before["pushEnabled"], before["pushCSharpVersion"]) == (5000, True, "0.9.0")
    bottle.register(1)
    assert bottle.ask("PUT", path, {"entry": "clientBeatInterval", "value": "7000"}).text == "ok"
    assert bottle.ask("PUT", path, {"entry": "lightBeatEnabled", "value": "false"}).text == "ok"
    assert bottle.beat(1).json == {"clientBeatInterval": 7000, "code": 10200, "lightBeatEnabled": False}
    assert bottle.ask("PUT", path, {"entry": "overriddenServerStatus", "value": "DOWN", "debug": "true"}).text == "ok"
    assert bottle.ask("GET", f"{NS}/operator/metrics").json == {"status": "DOWN"}
    assert bottle.ask("PUT", path, {"entry": "defaultInstanceEphemeral", "value": "false"}).text == "ok"
    bottle.register(2, "other")
    assert [h["ephemeral"] for h in bottle.hosts("other")] == [False]
    assert bottle.ask("PUT", path, {"entry": "pushVersion", "value": "java:9.9.9"}).text == "ok"
    assert bottle.ask("GET", path).json["pushJavaVersion"] == "9.9.9"
    assert bottle.ask("PUT", path, {"entry": "no-such", "value": "1"}).text == "ok"
    assert _asked(bottle, bottle.service)
    assert bottle.ask("PUT", path, {"entry": "check", "value": "false"}).text == "ok"
    assert not _asked(bottle, bottle.service)


def _asked(bottle: HttpBottle, service: NacosService) -> bool:
    """Whether the instances of the service ``other``, which are persistent, are probed."""
    bottle.register(2, "other", ephemeral="false")
    (address,) = bottle.registry.snapshot(ServiceKey("default", "other")).addresses.values()
    return bool(service.checks.of(address.registrations[0]))


def test_switches_last_unless_they_were_set_for_a_trial(bottle: HttpBottle) -> None:
    path = f"{NS}/operator/switches"
    bottle.ask("PUT", path, {"entry": "check", "value": "false"})
    bottle.ask("PUT", path, {"entry": "pushEnabled", "value": "false", "debug": "true"})
    other = NacosService(bottle.registry, OpenDoor(), NacosSettings(), ids=Ids())
    assert (_asked(bottle, other), other.operator.switches.push_enabled) == (False, True)
    assert not bottle.service.operator.switches.push_enabled


@pytest.mark.parametrize(
    ("entry", "value", "text"),
    [
        ("pushCacheMillis", "9999", "min cache time for http or tcp is too small(<10000)"),
        ("clientBeatInterval", "x", 'For input string: "x"'),
        ("healthCheckTimes", "0", "illegal healthCheckTimes"),
        ("distroThreshold", "0", "distroThreshold can not be zero or negative: 0.0"),
        ("pushVersion", "java:1", r"illegal version, must match: \d+\.\d+\.\d+"),
        ("pushVersion", "perl:1.0.0", "unsupported client type: perl"),
        ("limitedUrlMap", "a", "invalid input for limited urls"),
        ("tcpHealthParams", "{", "json param invalid."),
        ("tcpHealthParams", '{"max":1,"min":2}', "malformed health params"),
    ],
)
def test_switches_that_are_refused(bottle: HttpBottle, entry: str, value: str, text: str) -> None:
    answer = bottle.ask("PUT", f"{NS}/operator/switches", {"entry": entry, "value": value})
    assert (answer.status, answer.text) == (400, text)
    missing = bottle.ask("PUT", f"{NS}/operator/switches", {"entry": entry})
    assert missing.text == "Parameter 'value' is missing"


def test_metrics(bottle: HttpBottle) -> None:
    bottle.register(1)
    bottle.register(2, "p", ephemeral="false")
    assert bottle.ask("GET", f"{NS}/operator/metrics").body == b'{"status":"UP"}'
    found = bottle.ask("GET", f"{NS}/operator/metrics", {"onlyStatus": "false"}).json
    counts = {name: found[name] for name in found if name.endswith("Count")}
    assert counts == {
        "serviceCount": 2, "instanceCount": 2, "subscribeCount": 0, "responsibleInstanceCount": 2, "clientCount": 2,
        "connectionBasedClientCount": 0, "ephemeralIpPortClientCount": 1, "persistentIpPortClientCount": 1,
        "responsibleClientCount": 2,
    }  # fmt: skip
    assert {"cpu", "load", "mem"} <= set(found)
    state = bottle.ask("GET", f"{NS}/operator/push/state", {"detail": "true"}).json
    assert (state["total"], state["ratio"]) == (0, 0)
    assert bottle.ask("GET", f"{NS}/operator/distro/client", {"ip": "1", "port": "2"}, host="h:1").json == {
        "responsibleServer": "h:1"
    }


# ---------------------------------------------------------------------- beside naming


def test_what_is_gone_and_what_is_beside(bottle: HttpBottle) -> None:
    for path in ("raft/leader", "operator/servers", "instance/statuses/K", "api/hosts"):
        answer = bottle.ask("GET", f"{NS}/{path}")
        assert (answer.status, answer.json["message"]) == (501, f"no such api:GET:{NS}/{path}")
    for probe in ("liveness", "readiness"):
        assert bottle.ask("GET", f"/nacos/v1/console/health/{probe}").text == "OK"
    state = bottle.ask("GET", "/nacos/v1/console/server/state").json
    assert (state["version"], state["startup_mode"]) == ("2.5.1", "standalone")
    nodes = bottle.ask("GET", "/nacos/v1/core/cluster/nodes").json
    assert (nodes["code"], [node["state"] for node in nodes["data"]]) == (200, ["UP"])
    assert bottle.ask("GET", "/nacos/v1/core/cluster/self").json["data"]["state"] == "UP"
    assert bottle.ask("GET", "/nacos/serverlist", host="registry:8848").text == "registry:8848\n"
    assert bottle.ask("GET", "/nacos/serverlist", host="<script>").text == "127.0.0.1:8848\n"
    page = bottle.ask("GET", "/nacos/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html;charset=UTF-8")
    assert "polaris-bridge" in page.text


def test_subscribers_are_who_listens_for_pushes(bottle: HttpBottle) -> None:
    bottle.service.udp.attach(lambda _packet, _ip, _port: None)
    bottle.list(GROUPED, udpPort=5000, clientIP="10.1.1.1", app="shop", clusters="A")
    found = bottle.ask("GET", f"{NS}/service/subscribers", {"serviceName": "orders"}).json
    assert found == {
        "subscribers": [{
            "addrStr": "10.1.1.1:5000", "agent": JAVA, "app": "shop", "ip": "10.1.1.1", "port": 5000,
            "namespaceId": "public", "serviceName": GROUPED, "cluster": "A",
        }],
        "count": 1,
    }  # fmt: skip
    second = {"serviceName": "orders", "pageNo": 2, "pageSize": 1}
    assert bottle.ask("GET", f"{NS}/service/subscribers", second).json == {"subscribers": [], "count": 1}


# ---------------------------------------------------------------------- other protocols, long lists, settings


def test_instances_of_other_protocols_are_listed(bottle: HttpBottle) -> None:
    registration = Registration(
        key="k", source="other", namespace="default", service="orders", host="10.5.5.5", port=55, weight=100,
        liveness=Lease(5000, 15000, 15000, protectable=False),
    )  # fmt: skip
    bottle.registry.register(registration, STRANGER)
    bottle.timers.settle()
    (host,) = bottle.hosts()
    assert (host["ip"], host["instanceId"], host["clusterName"]) == (
        "10.5.5.5",
        f"10.5.5.5#55#DEFAULT#{GROUPED}",
        "DEFAULT",
    )
    bottle.deregister(55, ip="10.5.5.5")
    key = ServiceKey("default", "orders")
    assert AddressKey("10.5.5.5", 55) in bottle.registry.snapshot(key).addresses


def test_a_list_that_is_long_is_made_in_slices(bottle: HttpBottle) -> None:
    for port in range(1, 401):
        bottle.register(port)
    assert len(bottle.hosts()) == 400
    assert bottle.seen[-1] == ("GET /v1/ns/instance/list", 200)


def test_public_may_be_called_otherwise() -> None:
    bottle = HttpBottle(NacosSettings(default_namespace="main", default_is_public=True))
    bottle.register(1)
    assert [h["port"] for h in bottle.hosts(namespaceId="default")] == [1]
    assert ServiceKey("main", "orders") in [snapshot.key for snapshot in bottle.registry.services()]


# ---------------------------------------------------------------------- any input

VALUES = st.one_of(
    st.sampled_from([
        "", " ", "orders", "G@@orders", "@@", "@", "n1##G@@s", "##", "true", "False", "0", "1", "-1", "70000", "99999999999",
        "1e400", "nan", "{}", "[]", "[1]", "null", '{"type":"none"}', '{"type":"HTTP","path":5}', "a=b", "k=v,x", "10.0.0.1",
        '{"a":{"b":1}}', '[{"ip":1}]', '{"ip":"10.0.0.1","port":"80"}', "java:1.2.3", "check", "limitedUrlMap", "a:1,b:0",
    ]),
    st.text(max_size=8),
)  # fmt: skip
PARAMS = st.dictionaries(
    st.sampled_from([
        "serviceName", "ip", "port", "groupName", "namespaceId", "clusterName", "cluster", "clusters", "weight", "enabled",
        "ephemeral", "metadata", "beat", "instances", "consistencyType", "udpPort", "clientIP", "key", "pageNo", "pageSize",
        "protectThreshold", "selector", "expr", "withInstances", "hasIpCount", "serviceNameParam", "groupNameParam",
        "healthChecker", "checkPort", "useInstancePort4Check", "healthy", "valid", "entry", "value", "debug", "onlyStatus",
    ]),
    VALUES,
    max_size=12,
)  # fmt: skip


def test_no_input_is_unexpected() -> None:
    bottle = HttpBottle()
    bottle.service.udp.attach(lambda _packet, _ip, _port: None)
    bottle.register(80)
    routes = sorted({**routes_v1.ROUTES, **routes_v1_services.ROUTES})

    @settings(max_examples=1500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(routes), PARAMS)
    @example(("PUT", "/v1/ns/instance/beat"), {"serviceName": "orders", "beat": "orders"})
    def answered(route: tuple[str, str], params: dict[str, str]) -> None:
        answer = bottle.ask(route[0], "/nacos" + route[1], params)
        if answer.status == 500:
            assert json.loads(answer.text)["message"].startswith("invalid beat: ")
        else:
            assert answer.status in (200, 400, 404)

    answered()
