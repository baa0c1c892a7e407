"""Searching configurations: names, patterns, attributes, contents, pages; and what is never found."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest
from cs_bottle import ADMIN, CONSOLE, GROUP, V1, V2, ConfigBottle
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.service.config.search import LONGEST_PATTERN, Like, Wanted

ANY = {"dataId": "", "group": "", "pageNo": 1, "pageSize": 10}


@pytest.fixture(scope="module")
def port() -> ConfigBottle:
    port = ConfigBottle()
    port.publish_config("a.json", '{"a":1}', type="json", appName="shop", config_tags="t1,t2", desc="de")
    port.publish_config("b.txt", "plain\nü")
    port.publish_config("c_x", "x", type="yaml", group="G2")
    port.publish_config("a.json", "{}", tenant="dev")
    port.natively("draft", "plain", release=False)
    port.natively("not nameable", "plain")
    port.publish_config("beta", "plain", betaIps="1.2.3.4")
    return port


def found(port: ConfigBottle, search: str = "blur", **more: object) -> list[str]:
    page = port.get(V1, search=search, **(ANY | more))
    assert page["totalCount"] == len(page["pageItems"])
    return [item["dataId"] for item in page["pageItems"]]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ["a.json", "b.txt", "c_x"]),
        ({"dataId": "a.json"}, ["a.json"]),
        ({"dataId": "a"}, []),
        ({"group": "G2"}, ["c_x"]),
        ({"appName": "shop"}, ["a.json"]),
        ({"appName": "sho"}, []),
        ({"config_tags": "t1"}, ["a.json"]),
        ({"config_tags": "t2,zz"}, ["a.json"]),
        ({"config_tags": "t"}, []),
        ({"tenant": "dev"}, ["a.json"]),
        ({"tenant": "none"}, []),
    ],
)
def test_both_kinds(port: ConfigBottle, more: dict[str, object], expected: list[str]) -> None:
    assert found(port, "accurate", **more) == expected
    assert found(port, "blur", **more) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"dataId": "a*"}, ["a.json"]),
        ({"dataId": "*.js*"}, ["a.json"]),
        ({"dataId": "a_json"}, ["a.json"]),
        ({"dataId": "%"}, ["a.json", "b.txt", "c_x"]),
        ({"dataId": "*x*", "group": "G*"}, ["c_x"]),
        ({"group": "DEF*"}, ["a.json", "b.txt"]),
        ({"types": "json,yaml"}, ["a.json", "c_x"]),
        ({"appName": "s*"}, []),
    ],
)
def test_patterns(port: ConfigBottle, more: dict[str, object], expected: list[str]) -> None:
    assert found(port, "blur", **more) == expected


def test_an_exact_search_takes_no_pattern(port: ConfigBottle) -> None:
    answer = port.objected("GET", V1, **(ANY | {"search": "accurate", "dataId": "a*"}))
    assert answer == "Param 'dataId' is illegal, illegal characters should not appear in the param."
    assert len(found(port, "accurate", types="json")) == 3


def test_an_item(port: ConfigBottle) -> None:
    page = port.get(V1, search="blur", **(ANY | {"dataId": "a.json"}))
    [item] = page["pageItems"]
    assert item == {
        "id": port.id("a.json"), "dataId": "a.json", "group": GROUP, "content": '{"a":1}', "md5": None,
        "encryptedDataKey": "", "tenant": "", "appName": "shop", "type": "json",
    }  # fmt: skip
    [item] = port.data("GET", f"{ADMIN}/config/list", dataId="a.json")["pageItems"]
    assert item == {
        "id": port.id("a.json"), "namespaceId": "public", "groupName": GROUP, "dataId": "a.json",
        "md5": "bb6cb5c68df4652941caf652a366f2d8", "type": "json", "appName": "shop",
        "createTime": 1_700_000_000_000, "modifyTime": 1_700_000_000_000,
    }  # fmt: skip


def test_pages(port: ConfigBottle) -> None:
    page = port.get(V1, search="blur", **(ANY | {"pageNo": 2, "pageSize": 2}))
    assert (page["totalCount"], page["pageNumber"], page["pagesAvailable"]) == (3, 2, 2)
    assert [item["dataId"] for item in page["pageItems"]] == ["c_x"]
    assert port.get(V1, search="blur", **(ANY | {"pageNo": 9}))["pageItems"] == []
    answer = port.call("GET", V1, search="blur", **(ANY | {"pageSize": 0}))
    said = "serialize page error, dataId=, group=;caused: pageNo and pageSize must be greater than zero"
    assert (answer.status, answer.text) == (400, f"caused: {said};")
    answer = port.call("GET", V1, search="blur", dataId="", group="")
    assert (answer.status, "&#39;pageNo&#39; for method parameter type int" in answer.text) == (500, True)
    assert port.refused("GET", f"{ADMIN}/config/list", pageNo=0)[0:2] == (400, 20002)


@pytest.mark.parametrize(
    ("search", "content", "expected"),
    [
        ("blur", "*lai*", ["b.txt"]),
        ("blur", "lai", []),
        ("blur", "*", ["a.json", "b.txt", "c_x"]),
        ("blur", "*\nü", ["b.txt"]),
        ("blur", "_", []),
        ("accurate", "x", ["c_x"]),
        ("accurate", "*x*", []),
        ("accurate", "%lai%", ["b.txt"]),
        ("other", "x", ["c_x"]),
    ],
)
def test_contents(port: ConfigBottle, search: str, content: str, expected: list[str]) -> None:
    page = port.get(f"{V2}/searchDetail", search=search, config_detail=content, **ANY)
    assert [item["dataId"] for item in page["pageItems"]] == expected
    for path in (f"{ADMIN}/config/list", f"{CONSOLE}/config/searchDetail"):
        page = port.data("GET", path, search=search, configDetail=content)
        assert [item["dataId"] for item in page["pageItems"]] == expected


def test_a_search_of_contents_must_say_what_for(port: ConfigBottle) -> None:
    said = "Required request parameter 'config_detail' for method parameter type String is not present"
    assert port.refused("GET", f"{V2}/searchDetail", **ANY) == (400, 10000, "parameter missing", said)


def test_v3_by_type_tags_and_application(port: ConfigBottle) -> None:
    def listed(**more: object) -> list[str]:
        return [item["dataId"] for item in port.data("GET", f"{CONSOLE}/config/list", **more)["pageItems"]]

    assert listed() == ["a.json", "b.txt", "c_x"]
    assert listed(configTags="t*", search="blur") == ["a.json"]
    assert listed(type="json") == listed(configTags="t2") == listed(appName="shop") == ["a.json"]
    assert listed(groupName="G*", search="blur") == ["c_x"]
    assert listed(namespaceId="dev") == ["a.json"]


def test_all_of_a_namespace(port: ConfigBottle) -> None:
    listed = port.get("/v1/cs/history/configs", tenant="")
    assert [item["dataId"] for item in listed] == ["a.json", "b.txt", "c_x"]
    assert listed[0] == {
        "id": "0", "dataId": "a.json", "group": GROUP, "content": None, "md5": None, "encryptedDataKey": None,
        "tenant": "", "appName": "shop", "type": "json", "lastModified": 1_700_000_000_000,
    }  # fmt: skip
    assert port.data("GET", "/v2/cs/history/configs", namespaceId="") == listed
    named = port.data("GET", f"{ADMIN}/history/configs", namespaceId="public")
    assert [item["dataId"] for item in named] == ["a.json", "b.txt", "c_x"]
    assert named[0]["md5"] == "bb6cb5c68df4652941caf652a366f2d8"


@pytest.mark.parametrize(
    ("wanted", "expected"), [(Wanted(), 300), (Wanted(data_id="f7"), 1), (Wanted(content="x"), 300)]
)
def test_a_search_gives_way_to_others(wanted: Wanted, expected: int) -> None:
    """Of thousands of configurations only some are looked at before others get their turn."""
    port = ConfigBottle()
    for number in range(300):
        port.natively(f"f{number}", "x")
    admin = port.service.config_admin
    work = admin.search.find(port.service.spaces.core(""), wanted)
    turns = 0
    found: list[Any] = []
    while True:
        try:
            next(work)
            turns += 1
        except StopIteration as stop:
            found = stop.value
            break
    assert len(found) == expected
    assert turns >= (300 if wanted.content else 4)


# ---------------------------------------------------------------------- patterns


@given(st.text("ab*%_.", max_size=12), st.text("ab_.", max_size=12))
def test_a_pattern_is_one_of_sql(pattern: str, text: str) -> None:
    shell = "".join({"*": "*", "%": "*", "_": "?", ".": "."}.get(each, each) for each in pattern)
    assert Like(pattern)(text) is fnmatch.fnmatchcase(text, shell)


@given(st.text("ab%_", max_size=12), st.text("ab_", max_size=12))
def test_a_pattern_without_single_characters(pattern: str, text: str) -> None:
    assert Like(pattern, "%", single=False)(text) is fnmatch.fnmatchcase(text, pattern.replace("%", "*"))


def test_patterns_that_want_much() -> None:
    text = "a" * 256
    assert not Like("*a" * 200 + "*b")(text)
    assert not Like("*" + "_" * 255 + "b*")(text)
    assert Like("*a" * 200 + "*")(text)
    assert not Like("a" * (LONGEST_PATTERN + 1))("a" * (LONGEST_PATTERN + 1))
