"""The history of configurations, as three generations tell it: a row keeps what was there before."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cs_bottle import ADMIN, CONSOLE, GROUP, NATIVE, ConfigBottle

H1, H2, H3 = "/v1/cs/history", "/v2/cs/history", f"{ADMIN}/history"


@pytest.fixture
def port() -> ConfigBottle:
    return ConfigBottle()


def rows(port: ConfigBottle, data_id: str = "a", **more: object) -> list[Any]:
    page = port.get(H1, search="accurate", dataId=data_id, group=GROUP, **more)
    assert page["totalCount"] == len(page["pageItems"])
    return list(page["pageItems"])


def kept(port: ConfigBottle, data_id: str = "a") -> list[tuple[str, str, str]]:
    """Operation, kind and content of each row, newest first."""
    found = []
    for row in rows(port, data_id):
        one = port.get(H1, dataId=data_id, group=GROUP, nid=row["id"])
        found.append((row["opType"].strip(), row["grayName"] or row["publishType"], one["content"]))
    return found


def test_a_row_keeps_what_was_there_before(port: ConfigBottle) -> None:
    for content in ("one", "two", "three"):
        port.publish_config("a", content)
    port.remove("a")
    port.publish_config("a", "four")
    assert kept(port) == [
        ("I", "formal", "four"),
        ("D", "formal", "three"),
        ("U", "formal", "two"),
        ("U", "formal", "one"),
        ("I", "formal", "one"),
    ]


def test_gray_releases_have_rows_of_their_own(port: ConfigBottle) -> None:
    port.publish_config("a", "one")
    port.publish_config("a", "beta", betaIps="1.2.3.4,5.6.7.8")
    port.publish_config("a", "tagged", tag="t")
    port.publish_config("a", "beta 2", betaIps="1.2.3.4")
    port.publish_config("a", "two")
    port.call("DELETE", "/v1/cs/configs", dataId="a", group=GROUP, beta="true")
    assert kept(port) == [
        ("D", "beta", "beta 2"),
        ("U", "formal", "one"),
        ("U", "beta", "beta"),
        ("I", "tag_t", "tagged"),
        ("I", "beta", "beta"),
        ("I", "formal", "one"),
    ]
    first = rows(port)[-2]
    assert first["publishType"] == "gray"
    rule = json.loads(json.loads(first["extInfo"])["gray_rule"])
    assert (rule["type"], rule["expr"]) == ("beta", "1.2.3.4,5.6.7.8")


def test_a_row(port: ConfigBottle) -> None:
    said = {"type": "json", "appName": "shop", "config_tags": "x,y", "desc": "d", "src_user": "ann", "use": "u"}
    port.publish_config("a", "{}", **said)
    port.publish_config("a", "[]", type="json", src_user="bob")
    new, old = rows(port)
    assert old == {
        "id": old["id"], "lastId": -1, "dataId": "a", "group": GROUP, "tenant": "", "appName": "shop", "md5": None,
        "content": None, "srcIp": "10.9.9.9", "srcUser": "ann", "opType": "I         ", "publishType": "formal",
        "grayName": "", "extInfo": old["extInfo"], "createdTime": "2023-11-14T22:13:20.000+00:00",
        "lastModifiedTime": "2023-11-14T22:13:20.000+00:00", "encryptedDataKey": None,
    }  # fmt: skip
    assert (new["srcUser"], new["opType"].strip()) == ("bob", "U")
    told = {"type": "json", "config_tags": "x,y", "src_user": "ann", "c_desc": "d", "c_use": "u"}
    assert json.loads(old["extInfo"]) == json.loads(new["extInfo"]) == told
    one = port.get(H1, dataId="a", group=GROUP, nid=new["id"])
    assert (one["content"], one["md5"], one["encryptedDataKey"]) == ("{}", "99914b932bd37a50b983c5e7c90ae93b", "")


def test_pages(port: ConfigBottle) -> None:
    for number in range(5):
        port.publish_config("a", f"{number}")
    page = port.get(H1, search="accurate", dataId="a", group=GROUP, pageNo=2, pageSize=2)
    assert (page["totalCount"], page["pageNumber"], page["pagesAvailable"], len(page["pageItems"])) == (5, 2, 3, 2)
    assert port.get(H1, search="accurate", dataId="zz", group=GROUP) == {
        "totalCount": 0, "pageNumber": 1, "pagesAvailable": 0, "pageItems": [],
    }  # fmt: skip
    answer = port.call("GET", H1, search="accurate", dataId="a", group=GROUP, pageNo=0)
    assert (answer.status, answer.text) == (400, "caused: pageNo and pageSize must be greater than zero;")
    assert port.data("GET", f"{H2}/list", dataId="a", group=GROUP, pageSize=9999)["pagesAvailable"] == 1


def test_a_row_that_is_not_there_and_one_of_another_configuration(port: ConfigBottle) -> None:
    port.publish_config("a", "one")
    [row] = rows(port)
    assert port.call("GET", H1, dataId="a", group=GROUP, nid=99).body == b""
    assert port.data("GET", H2, dataId="a", group=GROUP, nid=99) is None
    absent = port.refused("GET", H3, dataId="a", groupName=GROUP, nid=99)
    assert absent == (404, 20004, "resource not found", "certain config history for nid = 99 not exist")
    assert port.call("GET", H1, dataId="b", group=GROUP, nid=row["id"]).status == 403
    other = port.refused("GET", H2, dataId="b", group=GROUP, nid=row["id"])
    assert other == (403, 10001, "access denied", "Please check dataId, group or namespaceId.")


@pytest.mark.parametrize("name", ["dataId", "group", "nid"])
def test_what_must_be_said(port: ConfigBottle, name: str) -> None:
    params = {"dataId": "a", "group": GROUP, "nid": "1"}
    del params[name]
    kind = "Long" if name == "nid" else "String"
    answer = port.call("GET", H1, **params)
    said = f"Required request parameter &#39;{name}&#39; for method parameter type {kind} is not present"
    assert (answer.status, answer.text) == (500, f"caused: {said};")
    assert port.refused("GET", H2, **params) == (400, 10000, "parameter missing", said.replace("&#39;", "'"))


def test_a_number_that_is_none(port: ConfigBottle) -> None:
    answer = port.call("GET", H1, dataId="a", group=GROUP, nid="x")
    said = 'For input string: "x"'
    text = "Failed to convert value of type 'java.lang.String' to required type 'java.lang.Long'"
    exception = "nested exception is java.lang.NumberFormatException"
    assert (answer.status, answer.text) == (400, f"caused: {text}; {exception}: {said};caused: {said};")
    assert port.refused("GET", H2, dataId="a", group=GROUP, nid="x")[0:2] == (400, 20002)


def test_the_newest_row_of_a_configuration_by_its_id(port: ConfigBottle) -> None:
    port.publish_config("a", "one")
    port.publish_config("a", "two")
    id = port.id("a")
    assert port.get(f"{H1}/previous", dataId="a", group=GROUP, id=id)["content"] == "one"
    assert port.data("GET", f"{H2}/previous", dataId="a", group=GROUP, id=id)["content"] == "one"
    assert port.data("GET", f"{H3}/previous", dataId="a", groupName=GROUP, id=id)["content"] == "one"
    assert port.call("GET", f"{H1}/previous", dataId="a", group=GROUP, id=99).body == b""
    assert port.refused("GET", f"{H3}/previous", dataId="a", groupName=GROUP, id=99)[0:2] == (404, 20004)


def test_the_row_before_a_row(port: ConfigBottle) -> None:
    port.publish_config("a", "one")
    port.publish_config("a", "two")
    new, old = rows(port)
    assert port.get(f"{H1}/previous", dataId="a", group=GROUP, id=new["id"])["id"] == old["id"]
    assert port.call("GET", f"{H1}/previous", dataId="a", group=GROUP, id=old["id"]).body == b""


def test_what_was_there_before_and_after(port: ConfigBottle) -> None:
    port.publish_config("a", "one")
    port.publish_config("a", "two", desc="d")
    port.remove("a")
    found = [port.data("GET", f"{H2}/detail", dataId="a", group=GROUP, nid=row["id"]) for row in reversed(rows(port))]
    assert [(d["opType"], d["originalContent"], d["updatedContent"]) for d in found] == [
        ("I", "", "one"),
        ("U", "one", "two"),
        ("D", "two", None),
    ]
    assert isinstance(found[0]["id"], int)
    assert (found[0]["originalMd5"], found[2]["updatedMd5"]) == ("", None)
    assert json.loads(found[1]["updateExtInfo"])["c_desc"] == "d"


def test_v3_and_the_console(port: ConfigBottle) -> None:
    port.publish_config("a", "one", type="yaml")
    port.publish_config("a", "two")
    for base in (ADMIN, CONSOLE):
        page = port.data("GET", f"{base}/history/list", dataId="a", groupName=GROUP, namespaceId="")
        assert page["totalCount"] == 2
        row = page["pageItems"][0]
        assert (row["namespaceId"], row["groupName"], row["opType"].strip(), row["type"]) == (
            "public",
            GROUP,
            "U",
            "yaml",
        )
        assert row["createTime"] == row["modifyTime"] == 1_700_000_001_000
        one = port.data("GET", f"{base}/history", dataId="a", groupName=GROUP, nid=row["id"])
        assert (one["content"], one["grayName"]) == ("one", "")
    missing = port.refused("GET", f"{H3}/list", dataId="a")
    assert missing == (400, 10000, "parameter missing", "Required parameter 'groupName' type String is not present")


def test_back_to_a_row_as_the_console_goes(port: ConfigBottle) -> None:
    """It publishes what the row keeps: after an update the content before it; after a removal the last one."""
    port.publish_config("a", "one")
    port.publish_config("a", "two")
    page = port.data("GET", f"{CONSOLE}/history/list", dataId="a", groupName=GROUP)
    one = port.data("GET", f"{CONSOLE}/history", dataId="a", groupName=GROUP, nid=page["pageItems"][0]["id"])
    form = {"dataId": "a", "groupName": GROUP, "content": one["content"], "type": one["type"]}
    assert port.ask("POST", f"/nacos{CONSOLE}/config", form=form).json["data"] is True
    assert port.data("GET", f"{CONSOLE}/config", dataId="a", groupName=GROUP)["content"] == "one"
    assert [row[2] for row in kept(port)] == ["two", "one", "one"]


# ---------------------------------------------------------------------- other protocols


def test_drafts_of_others_are_not_told_and_their_releases_are(port: ConfigBottle) -> None:
    key = port.natively("a", "draft 1", release=False)
    port.natively("a", "draft 2", release=False)
    assert rows(port) == []
    port.natively("a", "released")
    port.natively("a", "again")
    centre = port.registry.config
    first = centre.reading.releases(key)[-1]
    centre.releases.rollback(key, first.name, NATIVE)
    port.timers.settle()
    assert kept(port) == [("U", "formal", "again"), ("U", "formal", "released"), ("I", "formal", "released")]
    assert rows(port)[0]["srcUser"] == "admin"
    active = centre.reading.snapshot(key).full
    assert active is not None
    centre.releases.withdraw(key, active.release.name, NATIVE)
    port.timers.settle()
    assert kept(port)[0] == ("D", "formal", "released")


def test_history_that_was_tidied_away(port: ConfigBottle) -> None:
    """The first row that is left still knows what was before it, by the release that is there."""
    port.publish_config("a", "one")
    port.publish_config("a", "two")
    port.publish_config("a", "three")
    centre = port.registry.config
    centre.tidy(1_700_000_000_500)
    port.timers.settle()
    assert len(rows(port)) == 2
    assert kept(port)[-1][0] == "U"
    assert kept(port)[0] == ("U", "formal", "two")
