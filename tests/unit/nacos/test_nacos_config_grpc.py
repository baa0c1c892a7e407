"""Configuration over gRPC, one file at a time: queries, publications and removals, byte for byte where Nacos 2.5.1 was asked."""

from __future__ import annotations

import json
from hashlib import md5
from typing import Any

import pytest
from grpc_world import Client, World
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.wire import config_payloads
from polaris_bridge.adapters.nacos.wire.payload import Malformed, decode, encode

GROUP = "DEFAULT_GROUP"
ABSENT = (
    "ConfigQueryResponse",
    {
        "resultCode": 500,
        "errorCode": 300,
        "message": "config data not exist",
        "lastModified": 0,
        "beta": False,
        "success": False,
    },
)


def named(data_id: str = "orders.yaml", tenant: str = "", group: str = GROUP) -> dict[str, Any]:
    return {"dataId": data_id, "group": group, "tenant": tenant, "module": "config"}


def publish(client: Client, content: str | None, data_id: str = "orders.yaml", **more: Any) -> Any:
    cas, tenant = more.pop("cas", ""), more.pop("tenant", "")
    body = named(data_id, tenant) | {"content": content, "casMd5": cas, "additionMap": more}
    type, answer = client.ask("ConfigPublishRequest", body)
    assert type == "ConfigPublishResponse"
    return answer


def query(client: Client, data_id: str = "orders.yaml", tenant: str = "", **more: Any) -> Any:
    type, answer = client.ask("ConfigQueryRequest", named(data_id, tenant) | more)
    assert type == "ConfigQueryResponse"
    return answer


def remove(client: Client, data_id: str = "orders.yaml", tag: str = "") -> Any:
    type, answer = client.ask("ConfigRemoveRequest", named(data_id) | {"tag": tag})
    assert type == "ConfigRemoveResponse"
    return answer


OK = {"resultCode": 200, "errorCode": 0, "success": True}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> Client:
    return world.client()


def test_a_file_is_published_read_and_removed(world: World, client: Client) -> None:
    assert client.ask("ConfigQueryRequest", named()) == ABSENT
    assert publish(client, "a: 2 # 中文", type="yaml") == OK
    assert query(client) == {
        "resultCode": 200,
        "errorCode": 0,
        "content": "a: 2 # 中文",
        "encryptedDataKey": "",
        "contentType": "yaml",
        "md5": md5("a: 2 # 中文".encode()).hexdigest(),
        "lastModified": world.clock.now_ms,
        "beta": False,
        "success": True,
    }
    assert remove(client) == OK
    assert client.ask("ConfigQueryRequest", named()) == ABSENT
    assert remove(client) == OK, "also when there is nothing"


def test_an_answer_has_the_bytes_of_the_real_server(client: Client) -> None:
    publish(client, "a: 1", type="yaml")
    found = client.raw(encode("ConfigQueryRequest", json.dumps(named()).encode()))
    assert found is not None
    assert found.body == (
        b'{"resultCode":200,"errorCode":0,"content":"a: 1","encryptedDataKey":"","contentType":"yaml",'
        b'"md5":"270f9e65a80226eccd82c99cdd0dd2fb","lastModified":1700000000000,"beta":false,"success":true}'
    )


def test_all_spellings_of_the_public_namespace_are_one(client: Client) -> None:
    publish(client, "one", tenant="public")
    assert query(client)["content"] == query(client, tenant="public")["content"] == "one"
    assert query(client, tenant="dev")["errorCode"] == 300
    publish(client, "two", tenant="dev")
    assert (query(client)["content"], query(client, tenant="dev")["content"]) == ("one", "two")


def test_the_type_is_text_when_it_is_not_known(client: Client) -> None:
    publish(client, "x", type="yaml")
    publish(client, "y", type="nope")
    assert query(client)["contentType"] == "text"


def test_compare_and_set(client: Client) -> None:
    assert publish(client, "one", cas="0" * 32) == OK, "where nothing is there is nothing to compare with"
    assert publish(client, "two", cas="0" * 32) == {
        "resultCode": 500,
        "errorCode": 500,
        "message": "Cas publish fail, server md5 may have changed.",
        "success": False,
    }
    assert publish(client, "two", cas=md5(b"one").hexdigest()) == OK
    assert query(client)["content"] == "two"


@pytest.mark.parametrize(
    ("content", "more", "code", "message"),
    [
        (None, {}, 400, "content is blank : null"),
        (" ", {}, 400, "content is blank :  "),
        ("v", {"data_id": ""}, 400, "invalid dataId : "),
        ("v", {"config_tags": "a,b,c,d,e,f"}, 500, "too much config_tags, over 5"),
        ("v", {"tag": "t" * 17}, 500, "too long tag, over 16"),
        ("v", {"tag": "t!"}, 500, "invalid tag : t!"),
        (
            "v",
            {"data_id": "a b"},
            400,
            "Param check invalid:Param 'dataId' is illegal, illegal characters should not appear in the param.",
        ),
        (
            "v",
            {"tenant": "n" * 65},
            400,
            "Param check invalid:Param 'namespaceId/tenant' is illegal, the param length should not exceed 64.",
        ),
    ],
)
def test_what_may_not_be_published(
    client: Client, content: str | None, more: dict[str, str], code: int, message: str
) -> None:
    """As Nacos 2.5.1 says it."""
    answer = publish(client, content, **more)
    assert answer == {"resultCode": 500, "errorCode": code, "message": message, "success": False}
    assert query(client)["errorCode"] == 300


@pytest.mark.parametrize(
    ("data_id", "tag", "message"), [("", "", "invalid dataId : "), ("orders.yaml", "t!", "invalid tag : t!")]
)
def test_what_may_not_be_removed(client: Client, data_id: str, tag: str, message: str) -> None:
    publish(client, "v")
    assert remove(client, data_id, tag) == {"resultCode": 500, "errorCode": 0, "message": message, "success": False}
    assert query(client)["content"] == "v"


def test_bodies_that_cannot_be_read(client: Client) -> None:
    for type in ("Query", "Publish", "Remove", "BatchListen", "FuzzyWatch"):
        answer = client.ask(f"Config{type}Request", b'{"dataId":')
        assert answer[0] == "ErrorResponse"
        assert answer[1]["errorCode"] == 502
        assert answer[1]["message"] == "errCode: 101, errMsg: Nacos deserialize failed.  "


def test_a_centre_that_is_not_open_is_not_there() -> None:
    world = World(NacosSettings(config_open=False))
    answer = world.client().ask("ConfigQueryRequest", named())
    assert answer[1] == {"resultCode": 500, "errorCode": 302, "message": "RequestHandler Not Found", "success": False}
    assert world.client().register()[1]["success"] is True


# ---------------------------------------------------------------------- for some clients alone


def test_what_is_published_for_an_address(world: World, client: Client) -> None:
    """The address is the one that a client gives when it comes: others may stand between it and the server."""
    publish(client, "all")
    publish(client, "some", betaIps="10.0.0.9,192.168.1.1")
    assert query(client)["content"] == "all"
    found = query(world.client("10.0.0.9"))
    assert (found["content"], found["beta"], "tag" in found, "encryptedDataKey" in found) == (
        "some",
        True,
        False,
        False,
    )
    behind = world.client("172.16.0.1", setup=False)
    behind.ask("ServerCheckRequest")
    stream = behind.open()
    assert stream.handler is not None
    stream.handler.on_message(encode("ConnectionSetupRequest", b"{}", client_ip="192.168.1.1"))
    assert query(behind)["content"] == "some"


def test_what_is_published_for_a_tag(world: World, client: Client) -> None:
    assert query(client, tag="blue") == ABSENT[1], "the tag is not said of what is not there at all"
    publish(client, "all")
    assert query(client, tag="blue") == ABSENT[1] | {"tag": "blue"}
    publish(client, "some", tag="blue")
    assert query(client)["content"] == "all"
    found = query(client, tag="blue")
    assert (found["content"], found["tag"], found["beta"]) == ("some", "blue", False)
    client.headers = (("Vipserver-Tag", "blue"),)
    assert query(client)["content"] == "some"
    labelled = world.client(**{"app_Vipserver-Tag": "blue"})
    assert query(labelled)["content"] == "some"
    assert remove(client, tag="blue") == OK
    assert query(labelled)["content"] == "all"


def test_what_clients_encrypted_travels_untouched(client: Client) -> None:
    publish(client, "Zm9v", "cipher-aes-orders", encryptedDataKey="a2V5")
    found = query(client, "cipher-aes-orders")
    assert (found["content"], found["encryptedDataKey"]) == ("Zm9v", "a2V5")


# ---------------------------------------------------------------------- durable


def test_a_publication_is_answered_when_it_is_durable(world: World, client: Client) -> None:
    world.store.hold = True
    body = named() | {"content": "v", "additionMap": {}}
    assert client.ask("ConfigPublishRequest", body, settle=False) == ("", None)
    world.settle()
    assert client.later == []
    assert query(world.client())["errorCode"] == 300, "nobody sees what is not"
    world.store.answer()
    world.settle()
    assert decode(client.later[0]).type == "ConfigPublishResponse"
    assert query(client)["content"] == "v"


def test_a_publication_that_cannot_be_kept_is_refused(world: World, client: Client) -> None:
    world.store.broken = True
    type, answer = client.ask("ConfigPublishRequest", named() | {"content": "v"})
    assert (type, answer["success"]) == ("ErrorResponse", False)
    world.store.broken = False
    world.settle()
    assert query(client)["errorCode"] == 300


# ---------------------------------------------------------------------- bodies

texts = st.text(max_size=20)


@given(texts, texts, st.none() | texts, st.none() | texts, st.none() | st.dictionaries(texts, texts, max_size=3))
def test_publications_are_read_as_they_were_written(
    data_id: str, group: str, content: str | None, cas: str | None, additions: dict[str, str] | None
) -> None:
    body = json.dumps(
        {"dataId": data_id, "group": group, "content": content, "casMd5": cas, "additionMap": additions, "more": [1]}
    )
    read = config_payloads.publish_request(body.encode())
    assert (read.data_id, read.group, read.tenant, read.content) == (data_id, group, "", content)
    assert (read.cas_md5, read.additions) == (cas or "", additions or {})


@given(st.lists(st.tuples(texts, texts, st.none() | texts), max_size=4))
def test_what_changed_is_said_as_it_was_spelled(files: list[tuple[str, str, str | None]]) -> None:
    contexts = [
        {"dataId": data_id, "group": group} | ({} if tenant is None else {"tenant": tenant})
        for data_id, group, tenant in files
    ]
    read = config_payloads.batch_listen_request(json.dumps({"configListenContexts": contexts}).encode())
    assert read.listen
    assert json.loads(config_payloads.changed(read.contexts))["changedConfigs"] == contexts


@given(texts, texts, texts)
def test_a_file_in_one_word_is_of_no_other_file(data_id: str, group: str, namespace: str) -> None:
    word = config_payloads.group_key(data_id or "a", group or "b", namespace or "c")
    assert word.count("+") == 2
    parts = [part.replace("%2B", "+").replace("%25", "%") for part in word.split("+")]
    assert parts == [data_id or "a", group or "b", namespace or "c"]


@given(st.binary(max_size=40))
def test_any_bytes_are_a_body_or_malformed(body: bytes) -> None:
    for decoder in (
        config_payloads.query_request,
        config_payloads.publish_request,
        config_payloads.batch_listen_request,
        config_payloads.metrics_response,
    ):
        try:
            decoder(body)
        except Malformed:
            continue
