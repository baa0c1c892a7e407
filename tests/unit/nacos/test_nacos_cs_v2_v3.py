"""HTTP v2 and v3 about single configurations: read, publish, remove, beta, metadata."""

from __future__ import annotations

import pytest
from cs_bottle import ADMIN, CONSOLE, GROUP, V1, V2, ConfigBottle

CLIENT = "/v3/client/cs/config"


@pytest.fixture
def port() -> ConfigBottle:
    return ConfigBottle()


def publish(port: ConfigBottle, path: str, form: dict[str, object], **headers: str) -> object:
    answer = port.ask("POST", f"/nacos{path}", form=form, **headers)
    assert answer.status == 200, answer
    assert (answer.json["code"], answer.json["message"]) == (0, "success")
    return answer.json["data"]


# ---------------------------------------------------------------------- v2


def test_v2_publishes_and_reads(port: ConfigBottle) -> None:
    form = {"dataId": "a", "group": GROUP, "content": "a: ü", "type": "yaml", "configTags": "x,y", "appName": "ap"}
    assert publish(port, V2, form | {"desc": "d", "srcUser": "me"}) is True
    answer = port.call("GET", V2, dataId="a", group=GROUP)
    assert answer.json == {"code": 0, "message": "success", "data": "a: ü"}
    assert answer.headers["config-type"] == "yaml"
    assert answer.headers["content-md5"] == "ea6af936eedf558241910ed40a0af8e1"
    assert answer.headers["content-type"] == "application/json;charset=UTF-8"
    detail = port.get(V1, show="all", dataId="a", group=GROUP)
    assert (detail["configTags"], detail["appName"], detail["desc"], detail["createUser"]) == ("x,y", "ap", "d", "me")
    assert port.data("DELETE", V2, dataId="a", group=GROUP) is True
    assert port.data("DELETE", V2, dataId="a", group=GROUP) is True
    absent = port.refused("GET", V2, dataId="a", group=GROUP)
    assert absent == (404, 20004, "resource not found", "config data not exist")


def test_public_and_nothing_are_one_namespace(port: ConfigBottle) -> None:
    publish(port, V2, {"dataId": "a", "group": GROUP, "content": "x", "namespaceId": "public"})
    for space in ("", "public", "PUBLIC"):
        assert port.data("GET", V2, dataId="a", group=GROUP, namespaceId=space) == "x"
    assert port.call("GET", V1, dataId="a", group=GROUP).text == "x"


@pytest.mark.parametrize("name", ["dataId", "group", "content"])
def test_what_a_publication_must_say(port: ConfigBottle, name: str) -> None:
    form = {"dataId": "a", "group": GROUP, "content": "x"}
    del form[name]
    answer = port.ask("POST", f"/nacos{V2}", form=form)
    said = f"Required parameter '{name}' type String is not present"
    assert (answer.status, answer.json) == (400, {"code": 10000, "message": "parameter missing", "data": said})
    named = {"groupName" if key == "group" else key: value for key, value in form.items()}
    for base in (ADMIN, CONSOLE):
        answer = port.ask("POST", f"/nacos{base}/config", form=named)
        assert (answer.status, answer.json["data"]) == (400, said.replace("'group'", "'groupName'"))


def test_bad_names_and_tags(port: ConfigBottle) -> None:
    for path, group in ((V2, "group"), (f"{ADMIN}/config", "groupName"), (CLIENT, "groupName")):
        text = port.objected("GET", path, **{"dataId": "a b", group: GROUP})
        assert text == "Param 'dataId' is illegal, illegal characters should not appear in the param."
        assert "namespaceId/tenant" in port.objected("GET", path, **{"dataId": "a", group: GROUP, "namespaceId": "a b"})
    assert port.refused("GET", V2, dataId="a", group=GROUP, tag="n" * 17)[3] == "too long tag, over 16"
    assert port.refused("GET", V2, dataId="a", group=GROUP, tag="n n")[3] == "invalid tag : n n"
    assert port.refused("GET", V2, dataId="", group=GROUP) == (
        400,
        20002,
        "parameter validate error",
        "invalid dataId : ",
    )


def test_what_is_expected_to_be_there(port: ConfigBottle) -> None:
    form = {"dataId": "a", "group": GROUP, "content": "x"}
    publish(port, V2, form)
    answer = port.ask("POST", f"/nacos{V2}", form=form | {"content": "y"}, casmd5="0" * 32)
    said = {"code": 20005, "message": "resource conflict", "data": "Cas publish fail, server md5 may have changed."}
    assert (answer.status, answer.json) == (500, said)
    publish(port, V2, form | {"content": "y"}, casmd5="9dd4e461268c8034f5c8564e155c67a6")
    assert port.data("GET", V2, dataId="a", group=GROUP) == "y"


def test_v2_beta_and_tag(port: ConfigBottle) -> None:
    form = {"dataId": "a", "group": GROUP, "content": "all"}
    publish(port, V2, form)
    publish(port, V2, form | {"content": "tagged", "tag": "t"})
    assert port.data("GET", V2, dataId="a", group=GROUP, tag="t") == "tagged"
    publish(port, V2, form | {"content": "beta"}, betaips="10.9.9.9")
    answer = port.call("GET", V2, dataId="a", group=GROUP)
    assert (answer.json["data"], answer.headers["isbeta"]) == ("beta", "true")
    port.call("DELETE", V1, dataId="a", group=GROUP, beta="true")
    assert port.data("GET", V2, dataId="a", group=GROUP) == "all"
    assert port.data("DELETE", V2, dataId="a", group=GROUP, tag="t") is True
    assert port.refused("GET", V2, dataId="a", group=GROUP, tag="t")[0:2] == (404, 20004)


# ---------------------------------------------------------------------- v3


@pytest.mark.parametrize("base", [ADMIN, CONSOLE])
def test_v3_publishes_and_shows(port: ConfigBottle, base: str) -> None:
    form = {"dataId": "a", "groupName": GROUP, "content": "{}", "type": "json", "configTags": "x", "desc": "d"}
    assert publish(port, f"{base}/config", form | {"srcUser": "me", "appName": "ap", "namespaceId": "dev"}) is True
    found = port.data("GET", f"{base}/config", dataId="a", groupName=GROUP, namespaceId="dev")
    assert found == {
        "id": found["id"], "namespaceId": "dev", "groupName": GROUP, "dataId": "a",
        "md5": "99914b932bd37a50b983c5e7c90ae93b", "type": "json", "appName": "ap", "createTime": 1_700_000_000_000,
        "modifyTime": 1_700_000_000_000, "content": "{}", "desc": "d", "encryptedDataKey": "", "createUser": "me",
        "createIp": "10.9.9.9", "configTags": "x",
    }  # fmt: skip
    assert isinstance(found["id"], str)
    assert port.data("DELETE", f"{base}/config", dataId="a", groupName=GROUP, namespaceId="dev") is True
    missing = port.refused("DELETE", f"{base}/config", dataId="a")
    assert missing == (400, 10000, "parameter missing", "Required parameter 'groupName' type String is not present")


def test_one_that_is_not_there(port: ConfigBottle) -> None:
    absent = port.refused("GET", f"{ADMIN}/config", dataId="a", groupName=GROUP)
    assert absent == (404, 20004, "resource not found", "Config not exist, please publish Config first.")
    assert port.data("GET", f"{CONSOLE}/config", dataId="a", groupName=GROUP) is None
    assert port.refused("GET", CLIENT, dataId="a", groupName=GROUP) == (200, 20004, "resource not found", None)


def test_the_console_has_no_context_path_of_its_own(port: ConfigBottle) -> None:
    port.publish_config("a", "x")
    answer = port.ask("GET", f"{CONSOLE}/config", {"dataId": "a", "groupName": GROUP})
    assert answer.json["data"]["content"] == "x"


def test_what_clients_of_v3_read(port: ConfigBottle) -> None:
    port.publish_config("a", "x", type="yaml", encryptedDataKey="key")
    found = port.data("GET", CLIENT, dataId="a", groupName=GROUP, namespaceId="public")
    assert found == {
        "resultCode": 200, "errorCode": 0, "message": None, "requestId": None, "content": "x", "encryptedDataKey": "key",
        "contentType": "yaml", "md5": "9dd4e461268c8034f5c8564e155c67a6", "lastModified": 1_700_000_000_000, "tag": None,
        "beta": False, "success": True,
    }  # fmt: skip
    port.publish_config("a", "b", betaIps="10.9.9.9")
    found = port.data("GET", CLIENT, dataId="a", groupName=GROUP)
    assert (found["content"], found["beta"]) == ("b", True)


@pytest.mark.parametrize("base", [ADMIN, CONSOLE])
def test_beta_of_v3(port: ConfigBottle, base: str) -> None:
    form = {"dataId": "a", "groupName": GROUP, "content": "all"}
    publish(port, f"{base}/config", form)
    place = {"dataId": "a", "groupName": GROUP}
    publish(port, f"{base}/config", form | {"content": "some", "srcUser": "me"}, betaips="1.2.3.4")
    found = port.data("GET", f"{base}/config/beta", **place)
    assert (found["content"], found["grayName"], found["createUser"]) == ("some", "beta", "me")
    assert '"expr":"1.2.3.4"' in found["grayRule"]
    assert port.data("DELETE", f"{base}/config/beta", **place) is True


def test_no_beta(port: ConfigBottle) -> None:
    port.publish_config("a", "all")
    place = {"dataId": "a", "groupName": GROUP}
    nothing = port.refused("GET", f"{ADMIN}/config/beta", **place)
    assert nothing == (404, 20004, "resource not found", "Config is not in beta.")
    assert port.data("GET", f"{CONSOLE}/config/beta", **place) is None
    assert port.refused("DELETE", f"{ADMIN}/config/beta", **place) == (200, 30000, "remove beta data error", False)
    assert port.refused("DELETE", f"{CONSOLE}/config/beta", **place) == (200, 500, "Internal Server Error", False)


def test_metadata(port: ConfigBottle) -> None:
    """Another description and other tags; content, type and the rest stay, and nobody who listens is woken."""
    port.publish_config("a", "x", type="yaml", appName="ap", desc="old", config_tags="t")
    place = {"dataId": "a", "groupName": GROUP}
    assert port.data("PUT", f"{ADMIN}/config/metadata", **place, desc="new", configTags="u,v") is True
    found = port.data("GET", f"{ADMIN}/config", **place)
    assert (found["desc"], found["configTags"], found["type"], found["content"]) == ("new", "u,v", "yaml", "x")
    assert port.data("PUT", f"{ADMIN}/config/metadata", **place, desc="") is True
    found = port.data("GET", f"{ADMIN}/config", **place)
    assert (found["desc"], found["configTags"], found["appName"]) == (None, "u,v", "ap")
    absent = port.refused("PUT", f"{ADMIN}/config/metadata", dataId="zz", groupName=GROUP)
    assert absent[0:2] == (404, 20004)


def test_metadata_does_not_release_a_draft(port: ConfigBottle) -> None:
    port.natively("n", "released", format="yaml", tags={"k": "v"})
    port.natively("n", "draft", release=False)
    assert port.data("PUT", f"{ADMIN}/config/metadata", dataId="n", groupName=GROUP, configTags="t") is True
    found = port.data("GET", f"{ADMIN}/config", dataId="n", groupName=GROUP)
    assert (found["content"], found["type"], found["configTags"]) == ("released", "yaml", "k=v,t")
