"""HTTP v1 about configurations beside what clients use: detail, catalog, beta, capacity, listeners, the server."""

from __future__ import annotations

import pytest
from cs_bottle import GROUP, V1, ConfigBottle

from polaris_bridge.core.config.model import Asker


@pytest.fixture
def port() -> ConfigBottle:
    return ConfigBottle()


def test_detail(port: ConfigBottle) -> None:
    said = {"type": "json", "appName": "ap", "config_tags": "t1,t2", "desc": "de", "use": "us", "effect": "ef"}
    port.publish_config("a", '{"a":1}', schema="sc", src_user="su", **said)
    found = port.get(V1, show="all", dataId="a", group=GROUP)
    assert found == {
        "id": found["id"], "dataId": "a", "group": GROUP, "content": '{"a":1}',
        "md5": "bb6cb5c68df4652941caf652a366f2d8", "encryptedDataKey": "", "tenant": "", "appName": "ap", "type": "json",
        "createTime": 1_700_000_000_000, "modifyTime": 1_700_000_000_000, "createUser": "su", "createIp": "10.9.9.9",
        "desc": "de", "use": "us", "effect": "ef", "schema": "sc", "configTags": "t1,t2",
    }  # fmt: skip
    assert list(found)[8:10] == ["type", "createTime"]
    port.publish_config("a", '{"a":2}')
    again = port.get(V1, show="all", dataId="a", group=GROUP)
    assert (again["id"], again["createTime"], again["modifyTime"]) == (
        found["id"],
        1_700_000_000_000,
        1_700_000_001_000,
    )
    assert (found["createUser"], again["createUser"]) == ("su", None)
    assert (again["type"], again["desc"], again["appName"], again["configTags"]) == ("text", None, "ap", "t1,t2")


def test_detail_of_nothing(port: ConfigBottle) -> None:
    answer = port.call("GET", V1, show="all", dataId="zz", group=GROUP)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"", "application/json;charset=UTF-8")
    port.natively("draft", "x", release=False)
    assert port.call("GET", V1, show="all", dataId="draft", group=GROUP).body == b""
    blank = port.call("GET", V1, show="all", dataId="", group=GROUP)
    assert (blank.status, blank.text) == (400, "caused: invalid dataId : ;")


def test_a_native_file(port: ConfigBottle) -> None:
    port.natively("n", "x", format="properties", tags={"k": "v", "bare": ""}, comment="c")
    found = port.get(V1, show="all", dataId="n", group=GROUP)
    assert (found["type"], found["configTags"], found["desc"]) == ("properties", "k=v,bare", "c")
    assert (found["createUser"], found["createIp"]) == ("admin", "10.0.0.2")


def test_catalog(port: ConfigBottle) -> None:
    port.publish_config("a", "x", desc="de", config_tags="t")
    found = port.get(f"{V1}/catalog", dataId="a", group=GROUP)
    assert found == {
        "code": 200,
        "message": None,
        "data": {
            "createTime": 1_700_000_000_000, "modifyTime": 1_700_000_000_000, "createUser": None, "createIp": "10.9.9.9",
            "desc": "de", "use": None, "effect": None, "type": "text", "schema": None, "configTags": "t",
        },
    }  # fmt: skip
    assert port.get(f"{V1}/catalog", dataId="zz", group=GROUP)["data"] is None
    assert port.call("GET", f"{V1}/catalog", dataId="zz").status == 500


# ---------------------------------------------------------------------- capacity

K = "/v1/cs/capacity"


def test_capacity_and_what_is_there(port: ConfigBottle) -> None:
    port.publish_config("a", "x")
    port.publish_config("a", "x", tenant="dev", group="G")
    port.publish_config("b", "x", tenant="dev")
    assert port.get(K, tenant="dev") == {
        "code": 200,
        "message": None,
        "data": {
            "id": "0", "quota": 200, "usage": 2, "maxSize": 102400, "maxAggrCount": 10000, "maxAggrSize": 1024,
            "gmtCreate": None, "gmtModified": None, "tenant": "dev",
        },
    }  # fmt: skip
    group = port.get(K, group=GROUP)["data"]
    assert (group["group"], group["usage"]) == (GROUP, 1)
    everything = port.get(K, group="")["data"]
    assert (everything["quota"], everything["usage"]) == (100_000, 3)
    assert port.get(K, group=GROUP, tenant="dev")["data"]["tenant"] == "dev"


def test_capacity_is_set_and_kept(port: ConfigBottle) -> None:
    done = port.call("POST", K, tenant="dev", quota=5, maxSize=1000)
    text = "successfully updated the capacity information configuration of tenant to dev"
    assert done.json == {"code": 200, "message": text, "data": True}
    port.call("POST", K, tenant="dev", maxAggrSize=7)
    found = port.get(K, tenant="dev")["data"]
    assert (found["quota"], found["maxSize"], found["maxAggrSize"], found["maxAggrCount"]) == (5, 1000, 7, 10000)
    port.call("POST", K, tenant="dev", quota=0)
    assert port.get(K, tenant="dev")["data"]["quota"] == 200
    port.call("POST", K, group="g", quota=9)
    assert port.get(K, group="g")["data"]["quota"] == 9
    assert port.data("GET", "/v3/admin/cs/capacity", groupName="g")["quota"] == 9
    assert port.data("POST", "/v3/admin/cs/capacity", namespaceId="dev", quota=11) is True
    assert port.data("GET", "/v3/admin/cs/capacity", namespaceId="dev")["quota"] == 11
    assert port.get(K, tenant="public")["data"]["quota"] == 200


def test_capacity_of_nothing(port: ConfigBottle) -> None:
    neither = "The parameter group and tenant cannot be empty at the same time"
    assert (port.call("GET", K).status, port.call("GET", K).json["message"]) == (400, neither)
    assert port.call("GET", K, tenant="").json["message"] == "tenant cannot be an empty string"
    assert port.call("POST", K).json == {"code": 400, "message": neither, "data": False}
    nothing = port.call("POST", K, tenant="dev").json["message"]
    assert nothing == "The parameters quota, maxSize, maxAggrCount, maxAggrSize cannot be empty at the same time"
    assert port.call("POST", K, group="g", tenant="", quota=1).json["message"] == "parameter tenant is empty."
    assert port.call("POST", K, tenant="dev", quota="x").status == 400
    assert port.refused("GET", "/v3/admin/cs/capacity")[0:2] == (400, 10000)
    assert port.refused("POST", "/v3/admin/cs/capacity", groupName="g")[0:2] == (400, 10000)


# ---------------------------------------------------------------------- listeners


def test_who_listens(port: ConfigBottle) -> None:
    port.publish_config("a", "x")
    port.publish_config("b", "x", tenant="dev")
    configs, holders = port.service.configs, port.registry.config.holders
    a, b, gone = configs.key("a", GROUP), configs.key("b", GROUP, "dev"), configs.key("c+d", "g")
    md5 = "9dd4e461268c8034f5c8564e155c67a6"
    holders.report("one", {a: md5, b: "old", gone: ""}.items(), via="nacos", asker=Asker(ip="10.0.0.7"))
    holders.report("two", {a: 1}.items(), via="polaris", asker=Asker(ip="10.0.0.8"))

    def listening(path: str, **params: object) -> object:
        found = port.get(path, **params)
        assert found["collectStatus"] == 200
        return found["lisentersGroupkeyStatus"]

    assert listening(f"{V1}/listener", dataId="a", group=GROUP) == {"10.0.0.7": md5, "10.0.0.8": md5}
    assert listening(f"{V1}/listener", dataId="b", group=GROUP, tenant="dev") == {"10.0.0.7": "old"}
    assert listening(f"{V1}/listener", dataId="zz", group=GROUP) == {}
    common = {f"a+{GROUP}": md5, "c%2Bd+g": ""}
    assert listening("/v1/cs/listener", ip="10.0.0.7") == common
    assert listening("/v1/cs/listener", ip="10.0.0.7", tenant="dev") == common | {f"b+{GROUP}+dev": "old"}
    assert listening("/v1/cs/listener", ip="10.0.0.7", all="true") == common | {f"b+{GROUP}+dev": "old"}
    assert listening("/v1/cs/listener", ip="10.0.0.9") == {}
    assert port.call("GET", "/v1/cs/listener").status == 500
    for base in ("/v3/admin/cs", "/v3/console/cs"):
        found = port.data("GET", f"{base}/config/listener", dataId="a", groupName=GROUP)
        assert found == {"queryType": "config", "listenersStatus": {"10.0.0.7": md5, "10.0.0.8": md5}}
    expected = {"queryType": "ip", "listenersStatus": {f"a+{GROUP}+public": md5, "c%2Bd+g+public": ""}}
    assert port.data("GET", "/v3/admin/cs/listener", ip="10.0.0.7") == expected
    assert port.data("GET", "/v3/console/cs/config/listener/ip", ip="10.0.0.7") == expected


def test_who_is_late_has_nothing_to_show(port: ConfigBottle) -> None:
    """A native client says versions; the md5 of an old one is not known."""
    port.publish_config("a", "x")
    port.publish_config("a", "y")
    key = port.service.configs.key("a", GROUP)
    port.registry.config.holders.report("two", {key: 1}.items(), via="polaris", asker=Asker(ip="10.0.0.8"))
    found = port.get(f"{V1}/listener", dataId="a", group=GROUP)
    assert found["lisentersGroupkeyStatus"] == {"10.0.0.8": ""}


def test_metrics_of_nobody(port: ConfigBottle) -> None:
    assert port.get("/v1/cs/metrics/cluster", ip="1.2.3.4", dataId="a", group="g") == {}
    assert port.get("/v1/cs/metrics/current", ip="1.2.3.4", dataId="a", group="g") == {}
    assert port.data("GET", "/v3/admin/cs/metrics/ip", ip="1.2.3.4", dataId="a", groupName="g") == {}
    answer = port.call("GET", "/v1/cs/metrics/cluster", ip="1.2.3.4")
    assert (answer.status, answer.text) == (400, "caused: invalid dataId : null;")


# ---------------------------------------------------------------------- the server


def test_the_server(port: ConfigBottle) -> None:
    assert port.call("GET", "/v1/cs/health").text == "UP"
    assert port.call("POST", "/v1/cs/ops/localCache").text == "200"
    assert port.get("/v1/cs/ops/derby", sql="select 1") == {
        "code": 500, "message": "The current storage mode is not Derby", "data": None,
    }  # fmt: skip
    assert port.call("POST", "/v1/cs/ops/data/removal").json["code"] == 500
    assert port.data("POST", "/v3/admin/cs/ops/localCache") == "Local cache updated from store successfully!"
    assert port.refused("GET", "/v3/admin/cs/ops/derby", sql="x")[0:2] == (200, 30000)
    assert port.refused("POST", "/v3/admin/cs/ops/derby/import")[0:2] == (200, 500)
    assert port.call("GET", "/v1/cs/nothing").status == 404


def test_namespaces_count_their_configurations(port: ConfigBottle) -> None:
    port.space("dev")
    port.publish_config("a", "x", tenant="dev")
    port.publish_config("b", "x", tenant="dev", group="G")
    counts = {one["namespace"]: one["configCount"] for one in port.get("/v1/console/namespaces")["data"]}
    assert counts == {"": 0, "dev": 2}
    assert port.data("GET", "/v3/admin/core/namespace", namespaceId="dev")["configCount"] == 2


def test_a_form_of_several_parts_is_a_publication(port: ConfigBottle) -> None:
    answer = port.upload(V1, {"dataId": "mp", "group": GROUP, "content": "multi\r\nline"})
    assert answer.body == b"true"
    assert port.call("GET", V1, dataId="mp", group=GROUP).body == b"multi\r\nline"


def test_a_namespace_that_is_merely_used_is_not_listed(port: ConfigBottle) -> None:
    port.publish_config("a", "x", tenant="ghost")
    assert [one["namespace"] for one in port.get("/v1/console/namespaces")["data"]] == [""]
    assert port.call("GET", V1, dataId="a", group=GROUP, tenant="ghost").text == "x"
    port.space("ghost")
    port.publish_config("b", "x", tenant="ghost")
    [_, ghost] = port.get("/v1/console/namespaces")["data"]
    assert (ghost["namespace"], ghost["configCount"]) == ("ghost", 2)
    refused = port.ask("POST", f"/nacos{V1}", form={"dataId": "a", "group": GROUP, "content": " ", "tenant": "new"})
    assert refused.status == 400
    assert port.registry.ledger.namespace("new") is None
