"""Nacos v1, configurations over HTTP: every call as its clients make it, answers as the real server gives them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest
from http_bottle import STRANGER, Answer, HttpBottle

from polaris_bridge.adapters._shared.exchange import Request
from polaris_bridge.adapters.nacos.server.answers import Held
from polaris_bridge.adapters.nacos.server.routes import without_config
from polaris_bridge.adapters.nacos.server.routes_cs_v1 import ROUTES
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.core.config.model import Change, FileKey, GrayRule, Match

CS = "/nacos/v1/cs/configs"
JSON = "application/json;charset=UTF-8"
NO_CACHE = {
    "pragma": "no-cache",
    "expires": "Thu, 01 Jan 1970 00:00:00 GMT",
    "cache-control": "no-cache,no-store",
}
JAVA_ACCEPT = "text/html, image/gif, image/jpeg, */*; q=0.2"


class Bottle(HttpBottle):
    """The port with words for what config clients do."""

    def __init__(self, settings: NacosSettings | None = None) -> None:
        super().__init__(settings, ROUTES)

    def get(
        self, data_id: str = "a.yaml", group: str = "G", params: Mapping[str, object] | None = None, **h: str
    ) -> Answer:
        return self.ask("GET", CS, {"dataId": data_id, "group": group, **(params or {})}, **h)

    def publish(
        self,
        content: str = "a: 1",
        data_id: str = "a.yaml",
        group: str = "G",
        headers: Mapping[str, str] | None = None,
        **form: str,
    ) -> Answer:
        said = {"dataId": data_id, "group": group, "content": content} | form
        return self.ask("POST", CS, form=said, **(headers or {}))

    def delete(self, data_id: str = "a.yaml", group: str = "G", **params: str) -> Answer:
        return self.ask("DELETE", CS, {"dataId": data_id, "group": group} | params)


@pytest.fixture
def bottle() -> Bottle:
    return Bottle()


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


# ---------------------------------------------------------------------- reading


def test_what_is_not_there(bottle: Bottle) -> None:
    answer = bottle.get()
    assert (answer.status, answer.text, answer.headers) == (404, "config data not exist\n", {"content-type": JSON})


def test_what_was_published_is_read_with_its_headers(bottle: Bottle) -> None:
    answer = bottle.publish("a: 中", type="yaml")
    assert (answer.status, answer.text, answer.headers) == (200, "true", {"content-type": JSON})
    found = bottle.get()
    assert (found.status, found.text) == (200, "a: 中")
    assert found.headers == NO_CACHE | {
        "config-type": "yaml",
        "content-md5": md5("a: 中"),
        "last-modified": "Tue, 14 Nov 2023 22:13:20 GMT",
        "encrypted-data-key": "",
        "content-type": "text/plain;charset=UTF-8",
    }
    assert bottle.ask("HEAD", CS, {"dataId": "a.yaml", "group": "G"}).status == 200
    assert bottle.ask("GET", CS + "/", {"dataId": "a.yaml", "group": "G"}).text == "a: 中"


@pytest.mark.parametrize("type", ["json", "xml", "html", "toml", "properties", "unset"])
def test_a_type_is_named_and_every_content_is_a_plain_text(bottle: Bottle, type: str) -> None:
    bottle.publish(type=type)
    found = bottle.get(accept="application/json")
    assert (found.headers["config-type"], found.headers["content-type"]) == (type, "text/plain;charset=UTF-8")


def test_a_type_that_is_not_known_or_not_said_is_text(bottle: Bottle) -> None:
    bottle.publish(type="json")
    for form in ({"type": "nope"}, {"type": "JSON"}, {"type": ""}, {}):
        bottle.publish(**form)
        assert bottle.get().headers["config-type"] == "text"


@pytest.mark.parametrize("tenant", ["", "public", "PUBLIC", "null", " "])
def test_all_spellings_of_the_default_namespace_are_one(bottle: Bottle, tenant: str) -> None:
    bottle.publish("one")
    assert bottle.get(params={"tenant": tenant}).text == "one"
    bottle.publish("two", tenant=tenant)
    assert bottle.get().text == "two"
    assert bottle.get(params={"tenant": "dev"}).status == 404
    assert bottle.get(params={"namespaceId": "dev"}).status == 404


def test_contents_are_kept_to_the_byte(bottle: Bottle) -> None:
    for content in ("a\r\nb\n", "😀é", "a\0b", "﻿x", " padded "):
        bottle.publish(content)
        assert bottle.get().body == content.encode()
        assert bottle.get().headers["content-md5"] == md5(content)


def test_a_query_can_carry_the_publication(bottle: Bottle) -> None:
    answer = bottle.ask("POST", CS, {"dataId": "rec.json", "group": "PY", "content": '{"a":"é"}', "type": "json"})
    assert answer.text == "true"
    assert bottle.get("rec.json", "PY").text == '{"a":"é"}'


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("method", "params", "status", "text"),
    [
        ("GET", {"dataId": "a"}, 500, "group"),
        ("GET", {"group": "a"}, 500, "dataId"),
        ("DELETE", {"dataId": "a"}, 500, "group"),
        ("POST", {"dataId": "a", "group": "g"}, 500, "content"),
        ("POST", {"group": "g", "content": "x"}, 500, "dataId"),
    ],
)
def test_what_is_missing(bottle: Bottle, method: str, params: dict[str, str], status: int, text: str) -> None:
    answer = bottle.ask(method, CS, params)
    said = f"caused: Required request parameter &#39;{text}&#39; for method parameter type String is not present;"
    assert (answer.status, answer.text) == (status, said)
    assert answer.headers["content-type"] == "text/plain;charset=UTF-8"
    assert bottle.ask(method, CS, params, accept=JAVA_ACCEPT).headers["content-type"] == "text/html;charset=UTF-8"


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"dataId": ""}, "invalid dataId : "),
        ({"group": ""}, "invalid group : "),
        ({"content": ""}, "content is blank : "),
        ({"content": "  "}, "content is blank :   "),
        ({"config_tags": "1,2,3,4,5,6"}, "too much config_tags, over 5"),
        ({"config_tags": "x" * 65}, "too long tag, over 64"),
        ({"desc": "d" * 129}, "too long desc, over 128"),
        ({"use": "d" * 33}, "too long use, over 32"),
        ({"effect": "d" * 33}, "too long effect, over 32"),
        ({"schema": "d" * 32769}, "too long schema, over 32768"),
        ({"tag": "d" * 17}, "too long tag, over 16"),
        ({"tag": "d e"}, "invalid tag : d e"),
        ({"content": "x" * (10 * 1024 * 1024 + 1)}, "invalid content, over 10485760"),
    ],
)
def test_what_is_against_the_rules(bottle: Bottle, said: dict[str, str], text: str) -> None:
    answer = bottle.ask("POST", CS, form={"dataId": "a.yaml", "group": "G", "content": "x"} | said)
    assert (answer.status, answer.text) == (400, f"caused: {text};")
    assert bottle.get().status == 404


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"dataId": "a b"}, "'dataId' is illegal, illegal characters should not appear in the param."),
        ({"dataId": "é"}, "'dataId' is illegal, illegal characters should not appear in the param."),
        ({"dataId": "d" * 257}, "'dataId' is illegal, the param length should not exceed 256."),
        ({"group": " g "}, "'group' is illegal, illegal characters should not appear in the param."),
        ({"tenant": "x" * 65}, "'namespaceId/tenant' is illegal, the param length should not exceed 64."),
        ({"tenant": "x.y"}, "'namespaceId/tenant' is illegal, illegal characters should not appear in the param."),
        ({"ip": "中"}, "'ip' is illegal, illegal characters should not appear in the param."),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_names_that_are_none(bottle: Bottle, method: str, said: dict[str, str], text: str) -> None:
    answer = bottle.ask(method, CS, {"dataId": "a", "group": "g", "content": "x"} | said)
    assert (answer.status, answer.text) == (400, f"Param {text}\r\n")
    assert answer.headers == NO_CACHE | {"content-type": JSON}


def test_methods_and_paths_that_are_none(bottle: Bottle) -> None:
    answer = bottle.ask("PUT", CS)
    assert (answer.status, answer.text) == (500, "caused: Request method &#39;PUT&#39; not supported;")
    answer = bottle.ask("GET", "/nacos/v1/cs/nope")
    assert (answer.status, answer.json["message"]) == (404, "No message available")


def test_a_format_that_is_held_to_is_refused_with_its_place() -> None:
    from polaris_bridge.runtime.configcentre.formats import Parsers

    bottle = Bottle(NacosSettings(validate_format=True))
    bottle.registry.config.use(formats=Parsers())
    answer = bottle.publish('{"a": }', type="json")
    assert answer.status == 400
    assert answer.text.startswith("caused: content is not json: line 1, column ")
    assert bottle.publish('{"a": 1}', type="json").status == 200


# ---------------------------------------------------------------------- writing


def test_a_publication_with_everything(bottle: Bottle) -> None:
    bottle.publish(
        "x", appName="app", desc="D", use="U", effect="E", schema="S", config_tags="t1,t2", type="yaml",
        src_user="su", encryptedDataKey="EK",
    )  # fmt: skip
    file = bottle.registry.config.reading.snapshot(FileKey("default", "G", "a.yaml")).file
    assert file is not None
    text = file.draft
    assert (text.format, text.comment, text.tags, text.client_key) == ("yaml", "D", {"t1": "", "t2": ""}, "EK")
    assert text.ext == {"nacos": {"app": "app", "use": "U", "effect": "E", "schema": "S"}}
    assert (file.released.by, file.released.address, file.released.via) == ("su", "10.9.9.9", "nacos")
    assert bottle.get().headers["encrypted-data-key"] == "EK"
    bottle.publish("y")
    file = bottle.registry.config.reading.snapshot(FileKey("default", "G", "a.yaml")).file
    assert file is not None
    text = file.draft
    assert (text.format, text.comment, text.tags, text.client_key) == ("text", "", {"t1": "", "t2": ""}, "")
    assert text.ext == {"nacos": {"app": "app"}}


def test_cas(bottle: Bottle) -> None:
    assert bottle.publish("one", headers={"casMd5": "x"}).text == "true", "nothing is there to differ from"
    answer = bottle.publish("two", headers={"casMd5": "x"})
    assert (answer.status, answer.text) == (500, "caused: Cas publish fail, server md5 may have changed.;")
    assert bottle.get().text == "one"
    assert bottle.publish("two", headers={"casMd5": md5("one")}).text == "true"
    assert bottle.get().text == "two"


def test_a_draft_of_another_protocol_is_not_seen(bottle: Bottle) -> None:
    key = FileKey("default", "G", "a.yaml")
    bottle.registry.config.files.create(key, Change(content=b"draft"), STRANGER)
    bottle.timers.settle()
    assert bottle.get().status == 404
    bottle.publish("released")
    assert bottle.get().text == "released"
    history = bottle.registry.config.history
    assert b"draft" in [history.content(entry) for entry in history.of(key).entries]


def test_removing(bottle: Bottle) -> None:
    assert bottle.delete().text == "true"
    bottle.publish()
    answer = bottle.delete()
    assert (answer.status, answer.text, answer.headers) == (200, "true", {"content-type": JSON})
    assert bottle.get().status == 404


# ---------------------------------------------------------------------- beta and tag


def test_a_beta_is_for_its_addresses(bottle: Bottle) -> None:
    bottle.publish("formal", type="json")
    assert bottle.publish("beta", headers={"betaIps": "10.9.9.9, 1.2.3.4"}).text == "true"
    found = bottle.get()
    assert (found.text, found.headers["isbeta"], found.headers["config-type"]) == ("beta", "true", "json")
    assert "encrypted-data-key" not in found.headers
    answer = bottle.get(params={"beta": "true"})
    file = bottle.registry.config.reading.snapshot(FileKey("default", "G", "a.yaml")).file
    assert file is not None
    assert answer.headers == {"content-type": JSON}
    assert answer.json == {
        "code": 200,
        "message": "query beta ok",
        "data": {
            "id": str(file.id), "dataId": "a.yaml", "group": "G", "content": "beta", "md5": md5("beta"),
            "encryptedDataKey": None, "tenant": "", "appName": "", "type": None, "betaIps": "10.9.9.9,1.2.3.4",
        },
    }  # fmt: skip
    assert bottle.delete(beta="true").json == {"code": 200, "message": "stop beta ok", "data": True}
    assert bottle.get().text == "formal"
    assert bottle.get(params={"beta": "true"}).json == {"code": 200, "message": "query beta ok", "data": None}
    said = {"code": 500, "message": "remove beta data error", "data": False}
    assert bottle.delete(beta="true").json == said
    assert bottle.get(params={"beta": "false"}).text == "formal"


def test_a_beta_for_others_is_not_seen(bottle: Bottle) -> None:
    bottle.publish("formal")
    bottle.publish("beta", headers={"betaIps": "1.2.3.4"})
    assert bottle.get().text == "formal"


def test_a_beta_with_nothing_for_everybody(bottle: Bottle) -> None:
    bottle.publish("beta", headers={"betaIps": "10.9.9.9"})
    assert bottle.get().text == "beta"
    assert bottle.delete(beta="true").json["data"] is True
    assert bottle.get().status == 404


def test_a_beta_is_compared_with_the_beta(bottle: Bottle) -> None:
    bottle.publish("formal")
    bottle.publish("beta", headers={"betaIps": "10.9.9.9", "casMd5": "x"})
    answer = bottle.publish("two", headers={"betaIps": "10.9.9.9", "casMd5": "x"})
    assert (answer.status, answer.text) == (500, "caused: Cas publish gray config fail, server md5 may have changed.;")
    assert bottle.publish("two", headers={"betaIps": "10.9.9.9", "casMd5": md5("beta")}).text == "true"


def test_a_tag(bottle: Bottle) -> None:
    bottle.publish("formal")
    bottle.publish("for T1", tag="T1")
    assert bottle.get().text == "formal"
    for found in (bottle.get(params={"tag": "T1"}), bottle.get(vipserver_tag="T1")):
        assert (found.text, found.headers["tag"]) == ("for T1", "T1")
    assert bottle.get(vipserver_tag="T2").text == "formal"
    assert bottle.get(params={"tag": "T2"}).status == 404, "who asks for a tag gets nothing else"
    bottle.publish("beta", headers={"betaIps": "10.9.9.9"})
    assert bottle.get(params={"tag": "T1"}).text == "beta", "addresses count before tags"
    bottle.delete(beta="true")
    assert bottle.delete(tag="T1").text == "true"
    assert bottle.get(params={"tag": "T1"}).status == 404
    assert bottle.get().text == "formal"
    assert bottle.delete(tag="T1").text == "true", "there is nothing to remove"


def test_a_tag_by_the_name_that_lists_show(bottle: Bottle) -> None:
    bottle.publish("for T1", tag="T1")
    bottle.delete(tag="tag_T1")
    assert bottle.get(params={"tag": "T1"}).status == 404


def test_ten_gray_releases_are_enough(bottle: Bottle) -> None:
    for n in range(10):
        assert bottle.publish(tag=f"t{n}").status == 200
    answer = bottle.publish(tag="t10")
    assert (answer.status, answer.text) == (400, "caused: gray config version is over max count :10;")
    assert bottle.publish("again", tag="t3").status == 200


def test_a_gray_release_that_nacos_cannot_say_is_not_for_its_clients(bottle: Bottle) -> None:
    bottle.publish("formal")
    rule = GrayRule(labels=(Match("env", values=("test",)),))
    key = FileKey("default", "G", "a.yaml")
    bottle.registry.config.releases.publish_gray(key, STRANGER, "gray", rule, change=Change(content=b"gray"))
    bottle.timers.settle()
    assert bottle.get().text == "formal"
    assert bottle.get(params={"tag": "env"}).status == 404


# ---------------------------------------------------------------------- the long poll

HELD = {"Long_Pulling_Timeout": "30000"}
NEWS = NO_CACHE | {"content-type": JSON}


def listen(bottle: Bottle, body: str, **headers: str) -> Answer:
    return bottle.ask("POST", f"{CS}/listener", body=f"Listening-Configs={body}".encode(), **headers)


class Parked:
    """A poll under way."""

    def __init__(self, bottle: Bottle, body: str, **headers: str) -> None:
        self.bottle = bottle
        self.answers: list[Answer] = []
        raw = tuple((n.replace("_", "-").lower().encode(), v.encode()) for n, v in (HELD | headers).items())
        raw += ((b"content-type", b"application/x-www-form-urlencoded"),)
        text = f"Listening-Configs={body}".encode()
        reply = bottle.http.handle(Request("POST", f"{CS}/listener", "", raw, text, "10.9.9.9"))
        assert isinstance(reply, Held)
        self.held = reply
        reply.then(lambda response: self.answers.append(Answer(response)))
        bottle.timers.settle()

    @property
    def answer(self) -> Answer:
        self.bottle.timers.settle()
        assert len(self.answers) == 1, self.answers
        return self.answers[0]


def test_what_differs_is_answered_at_once(bottle: Bottle) -> None:
    bottle.publish("one")
    answer = listen(bottle, "a.yaml%02G%02%01b.yaml%02G%02%01a.yaml%02G%02x%02public%01&", **HELD)
    assert (answer.status, answer.headers) == (200, NEWS)
    assert answer.text == "a.yaml%02G%01a.yaml%02G%02public%01\n"
    assert bottle.seen[-1] == ("POST /v1/cs/configs/listener", 200)


def test_what_was_removed_differs(bottle: Bottle) -> None:
    assert listen(bottle, f"a.yaml%02G%02{md5('one')}%02dev%01", **HELD).text == "a.yaml%02G%02dev%01\n"


def test_who_has_the_newest_waits_half_a_second_less_than_it_can(bottle: Bottle) -> None:
    bottle.publish("one")
    poll = Parked(bottle, f"a.yaml%02G%02{md5('one')}%01b.yaml%02G%02%01&")
    bottle.move(29.4)
    assert not poll.answers
    assert bottle.service.polling.waiting == 1
    bottle.move(0.2)
    assert (poll.answer.status, poll.answer.text, poll.answer.headers) == (200, "", {"content-type": JSON})
    assert bottle.service.polling.waiting == 0
    assert len(bottle.registry.config.watches) == 0


def test_a_client_in_a_hurry_waits_ten_seconds(bottle: Bottle) -> None:
    poll = Parked(bottle, "a.yaml%02G%02%01", Long_Pulling_Timeout="1000")
    bottle.move(9.9)
    assert not poll.answers
    bottle.move(0.2)
    assert poll.answer.text == ""


@pytest.mark.parametrize("md5_then", ["", md5("one")])
def test_a_change_is_told_at_once(bottle: Bottle, md5_then: str) -> None:
    if md5_then:
        bottle.publish("one")
    poll = Parked(bottle, f"b%02G%02%01a.yaml%02G%02{md5_then}%02%01")
    bottle.publish("two")
    assert (poll.answer.text, poll.answer.headers) == ("a.yaml%02G%01\n", NEWS)
    bottle.move(40)
    assert len(poll.answers) == 1


def test_a_removal_is_told(bottle: Bottle) -> None:
    bottle.publish("one")
    poll = Parked(bottle, f"a.yaml%02G%02{md5('one')}%02public%01")
    bottle.delete()
    assert poll.answer.text == "a.yaml%02G%02public%01\n"


def test_what_leaves_a_client_with_what_it_has_is_not_told(bottle: Bottle) -> None:
    bottle.publish("one")
    poll = Parked(bottle, f"a.yaml%02G%02{md5('one')}%01")
    bottle.publish("one")
    bottle.publish("beta", headers={"betaIps": "1.2.3.4"})
    bottle.publish("tag", tag="T")
    bottle.move(1)
    assert not poll.answers
    bottle.publish("beta", headers={"betaIps": "10.9.9.9"})
    assert poll.answer.text == "a.yaml%02G%01\n"


def test_the_end_of_a_beta_is_told_to_its_clients(bottle: Bottle) -> None:
    bottle.publish("one")
    bottle.publish("beta", headers={"betaIps": "10.9.9.9"})
    poll = Parked(bottle, f"a.yaml%02G%02{md5('beta')}%01")
    bottle.delete(beta="true")
    assert poll.answer.text == "a.yaml%02G%01\n"


def test_a_tag_of_the_client_counts(bottle: Bottle) -> None:
    bottle.publish("one")
    bottle.publish("for T", tag="T")
    assert listen(bottle, f"a.yaml%02G%02{md5('one')}%01", vipserver_tag="T", **HELD).text == "a.yaml%02G%01\n"
    poll = Parked(bottle, f"a.yaml%02G%02{md5('for T')}%01", vipserver_tag="T")
    bottle.publish("two")
    bottle.move(1)
    assert not poll.answers
    bottle.publish("for T 2", tag="T")
    assert poll.answer.text == "a.yaml%02G%01\n"


def test_no_hangup(bottle: Bottle) -> None:
    answer = listen(bottle, "a.yaml%02G%02%01", Long_Pulling_Timeout_No_Hangup="TRUE", **HELD)
    assert (answer.status, answer.text, answer.headers) == (200, "", {"content-type": JSON})
    Parked(bottle, "a.yaml%02G%02%01", Long_Pulling_Timeout_No_Hangup="false")


def test_clients_of_old_are_answered_in_headers(bottle: Bottle) -> None:
    answer = listen(bottle, "a.yaml%02G%02x%01b%02G%02y%02dev%01c%02G%02%01")
    assert (answer.status, answer.text) == (200, "")
    assert answer.headers == NEWS | {
        "probe-modify-response": "a.yaml:G;b:G;",
        "probe-modify-response-new": "a.yaml%02G%01b%02G%02dev%01",
    }
    answer = listen(bottle, "c%02G%02%01")
    assert answer.headers == NEWS | {"probe-modify-response": "", "probe-modify-response-new": ""}


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ("", 400, "invalid probeModify"),
        ("a%02g%01", 400, "invalid probeModify"),
        ("%01", 400, "invalid probeModify"),
        ("a%ZZ%02g%02x%01", 400, "invalid probeModify"),
        ("a", 500, "invalid probeModify"),
        ("a%02g%02x%02t%02u%01", 500, "invalid probeModify"),
        ("%02%02%01", 500, "invalid probeModify"),
        ("a%02g%02x%01b", 500, "invalid probeModify"),
        ("a%25ZZ%02g%02x%01", 500, "URLDecoder: Illegal hex characters in escape (%) pattern"),
        ("no%20pe%02g%02x%01", 400, "'dataId' is illegal, illegal characters should not appear in the param."),
        ("a+b%02g%02x%01", 400, "'dataId' is illegal, illegal characters should not appear in the param."),
        ("a%2525%02g%02x%01", 400, "'dataId' is illegal, illegal characters should not appear in the param."),
        ("%E4%B8%AD%02g%02x%01", 400, "'dataId' is illegal, illegal characters should not appear in the param."),
        (
            "a%02g%02x%02x.y%01",
            400,
            "'namespaceId/tenant' is illegal, illegal characters should not appear in the param.",
        ),
        ("".join(f"a{n}%02g%02x%01" for n in range(10_001)), 400, "invalid probeModify"),
    ],
)
def test_lists_that_are_none(bottle: Bottle, body: str, status: int, text: str) -> None:
    answer = listen(bottle, body, **HELD)
    assert answer.status == status
    if status == 500:
        assert (answer.json["message"], answer.headers["content-type"]) == (text, JSON)
    elif text.startswith("'"):
        assert answer.text == f"Param {text}\r\n"
    else:
        assert answer.text == f"caused: {text};"
    assert bottle.service.polling.waiting == 0


def test_what_is_no_list_but_is_passed_over(bottle: Bottle) -> None:
    for body in ("a%02g", "a%02g%02x"):
        assert listen(bottle, body).headers["probe-modify-response"] == ""
    assert listen(bottle, "a%02g%02x%01b%02g%02", **HELD).text == "a%02g%01\n"
    assert bottle.ask("POST", f"{CS}/listener", {"Listening-Configs": "a\2g\2x\1"}, **HELD).text == "a%02g%01\n"
    assert listen(bottle, "a%2502g%2502x%2501", **HELD).text == "a%02g%01\n", "encoded twice"


@pytest.mark.parametrize("timeout", ["abc", "", "1e3", "9" * 19, "٣"])
def test_a_timeout_that_is_none_matters_when_there_is_something_to_wait_for(bottle: Bottle, timeout: str) -> None:
    raw = ((b"long-pulling-timeout", timeout.encode()), (b"content-type", b"application/x-www-form-urlencoded"))
    for body, status in ((b"a%02g%02x%01", 200), (b"a%02g%02%01", 400)):
        reply = bottle.http.handle(Request("POST", f"{CS}/listener", "", raw, b"Listening-Configs=" + body, "::1"))
        assert getattr(reply, "status", None) == status


def test_ten_thousand_are_looked_at_in_slices(bottle: Bottle) -> None:
    bottle.publish("one", "a7", "g")
    body = "".join(f"a{n}%02g%02%01" for n in range(10_000))
    answer = listen(bottle, body, **HELD)
    assert answer.text == "a7%02g%01\n"
    assert listen(bottle, body + "b%02g%02x%02x.y%01a%02g%01", **HELD).status == 400
    poll = Parked(bottle, body.replace("a7%02g%02%01", f"a7%02g%02{md5('one')}%01"))
    assert not poll.answers
    assert poll.held.refuse is None, "nothing of the request is kept"
    bottle.publish("two", "a9999", "g")
    assert poll.answer.text == "a9999%02g%01\n"


def test_who_hangs_up_is_forgotten(bottle: Bottle) -> None:
    poll = Parked(bottle, "a.yaml%02G%02%01")
    poll.held.abandon()
    assert (bottle.service.polling.waiting, len(bottle.registry.config.watches)) == (0, 0)
    bottle.publish("one")
    bottle.move(40)
    assert not poll.answers
    poll.held.abandon()


def test_shutdown_answers_everybody_and_holds_nobody(bottle: Bottle) -> None:
    polls = [Parked(bottle, f"a{n}%02G%02%01") for n in range(100)]
    bottle.service.polling.leave()
    assert [poll.answer.text for poll in polls] == [""] * 100
    assert Parked(bottle, "a%02G%02%01").answer.text == ""
    assert (bottle.service.polling.waiting, len(bottle.registry.config.watches)) == (0, 0)


def test_the_last_answer_when_nobody_said_goodbye(bottle: Bottle) -> None:
    poll = Parked(bottle, "a%02G%02%01")
    bottle.registry.release_watchers()
    assert poll.answer.text == ""


def test_two_thousand_are_told_the_same_bytes(bottle: Bottle) -> None:
    polls = [Parked(bottle, "b%02G%02%01a.yaml%02G%02%01") for _ in range(2000)]
    bottle.publish("one")
    assert {poll.answer.text for poll in polls} == {"a.yaml%02G%01\n"}
    assert bottle.service.polling.waiting == 0


def test_who_has_what_is_noted(bottle: Bottle) -> None:
    bottle.publish("one")
    listen(bottle, "a.yaml%02G%02old%01", **HELD)
    key = FileKey("default", "G", "a.yaml")
    (holding,) = bottle.registry.config.holders.of(key)
    assert (holding.client, holding.has, holding.via, holding.ip, holding.late) == (
        "10.9.9.9", "old", "nacos", "10.9.9.9", True,
    )  # fmt: skip
    Parked(bottle, f"a.yaml%02G%02{md5('one')}%01")
    (holding,) = bottle.registry.config.holders.of(key)
    assert (holding.has, holding.late) == (md5("one"), False)


def test_a_server_without_configurations_has_none_of_these_paths() -> None:
    assert without_config(ROUTES) == {}


def test_the_hot_path_claims_configurations(bottle: Bottle) -> None:
    assert bottle.http.hot(b"GET", b"/nacos/v1/cs/configs?dataId=a") is not None
    assert bottle.http.hot(b"POST", b"/nacos/v1/cs/configs/listener") is not None
