"""Prepared queries: kept, found, executed, and refused."""

from __future__ import annotations

import pytest
from consul_bottle import ConsulBottle

from polaris_bridge.adapters.consul.settings import ConsulSettings


@pytest.fixture
def bottle():
    bottle = ConsulBottle(ConsulSettings(datacenters={"dc1": "default", "dc2": "prod"}))
    bottle.register("web", ID="web-1", Tags=["v1"], Port=1, Meta={"m": "1"})
    bottle.register("web", ID="web-2", Tags=["v2", "old"], Port=2, Check={"TTL": "1m", "Status": "warning"})
    bottle.register("web", ID="web-3", Port=3, Check={"TTL": "1m"})
    return bottle


def made(bottle, **members) -> str:
    answer = bottle.ask("POST", "/v1/query", members)
    assert answer.status == 200, answer
    return answer.json["ID"]


def executed(bottle, name: str, query: str = "") -> list[str]:
    return sorted(n["Service"]["ID"] for n in bottle.get(f"/v1/query/{name}/execute{query}").json["Nodes"])


def test_kept_shown_changed_and_forgotten(bottle):
    id = made(bottle, Name="q", Service={"Service": "web", "Tags": ["v1"]}, DNS={"TTL": "10s"})
    (shown,) = bottle.get(f"/v1/query/{id}").json
    index = shown["CreateIndex"]
    assert shown == {
        "ID": id,
        "Name": "q",
        "Session": "",
        "Token": "",
        "Template": {"Type": "", "Regexp": "", "RemoveEmptyTags": False},
        "Service": {
            "Service": "web",
            "Failover": {"NearestN": 0, "Datacenters": [], "Targets": []},
            "OnlyPassing": False,
            "IgnoreCheckIDs": [],
            "Near": "",
            "Tags": ["v1"],
            "NodeMeta": {},
            "ServiceMeta": {},
            "Connect": False,
            "Peer": "",
        },
        "DNS": {"TTL": "10s"},
        "CreateIndex": index,
        "ModifyIndex": shown["ModifyIndex"],
    }
    assert bottle.get("/v1/query").json == [shown]
    waiting = bottle.begin("GET", f"/v1/query?index={bottle.get('/v1/query').index}")
    bottle.done(f"/v1/query/{id}", {"Name": "q", "Service": {"Service": "web", "Tags": ["v2"]}})
    assert waiting.answer.json[0]["Service"]["Tags"] == ["v2"]
    assert waiting.answer.json[0]["CreateIndex"] == index
    bottle.restart()
    assert executed(bottle, "q") == ["web-2"]
    assert bottle.ask("DELETE", f"/v1/query/{id}").status == 200
    assert bottle.ask("DELETE", f"/v1/query/{id}").status == 200
    answer = bottle.get(f"/v1/query/{id}")
    assert (answer.status, answer.text) == (404, "Query not found")
    assert bottle.get("/v1/query").json == []


@pytest.mark.parametrize(
    ("service", "found"),
    [
        ({}, ["web-1", "web-2"]),
        ({"OnlyPassing": True}, ["web-1"]),
        ({"Tags": ["!old"]}, ["web-1"]),
        ({"Tags": ["V2", "old"]}, ["web-2"]),
        ({"ServiceMeta": {"m": "1"}}, ["web-1"]),
        ({"NodeMeta": {"no": "such"}}, []),
        ({"IgnoreCheckIDs": ["service:web-3"]}, ["web-1", "web-2", "web-3"]),
        ({"Connect": True}, []),
    ],
)
def test_what_is_found(bottle, service, found):
    id = made(bottle, Name="q", Service={"Service": "web", **service})
    assert executed(bottle, "q") == executed(bottle, id) == found
    answer = bottle.get("/v1/query/q/execute?limit=1").json
    assert len(answer["Nodes"]) == min(1, len(found))
    assert (answer["Service"], answer["Datacenter"], answer["Failovers"], answer["DNS"]) == (
        "web",
        "dc1",
        0,
        {"TTL": ""},
    )


def test_templates(bottle):
    made(bottle, Name="geo-", Template={"Type": "name_prefix_match"}, Service={"Service": "${name.suffix}"})
    made(
        bottle,
        Name="geo-tag-",
        Template={"Type": "name_prefix_match", "Regexp": "^geo-tag-(.*?)-([^\\-]+?)$"},
        Service={"Service": "${match(1)}", "Tags": ["${match(2)}"]},
    )
    assert executed(bottle, "geo-web") == ["web-1", "web-2"]
    assert executed(bottle, "geo-tag-web-v2") == ["web-2"]
    explained = bottle.get("/v1/query/geo-tag-web-v2/explain").json["Query"]["Service"]
    assert (explained["Service"], explained["Tags"]) == ("web", ["v2"])
    made(bottle, Name="plain", Service={"Service": "web"})
    assert bottle.get("/v1/query/plain/explain").status == 500


def test_other_datacenters(bottle):
    bottle.foreign(namespace="prod", service="db")
    made(bottle, Name="db", Service={"Service": "db", "Failover": {"NearestN": 3}})
    answer = bottle.get("/v1/query/db/execute").json
    assert [n["Service"]["Service"] for n in answer["Nodes"]] == ["db"]
    assert (answer["Datacenter"], answer["Failovers"]) == ("dc2", 1)
    made(bottle, Name="none", Service={"Service": "nothing", "Failover": {"Datacenters": ["dc9", "dc2"]}})
    answer = bottle.get("/v1/query/none/execute").json
    assert (answer["Nodes"], answer["Datacenter"], answer["Failovers"]) == ([], "dc1", 1)


@pytest.mark.parametrize(
    ("members", "status", "text"),
    [
        ({"Name": "x"}, 500, "Must provide a Service name to query"),
        ({"Service": {"Service": "web"}}, 500, "Must be bound to a session"),
        ({"Name": "x", "Service": {"Service": "web"}, "Template": {"Type": "other"}}, 500, "Bad Template.Type 'other'"),
        (
            {"Name": "x", "Service": {"Service": "web", "Failover": {"NearestN": -1}}},
            500,
            "Bad NearestN '-1', must be >= 0",
        ),
        ({"Name": "x", "Service": {"Service": "web"}, "DNS": {"TTL": "-5s"}}, 500, "DNS TTL '-5s', must be >=0"),
        ({"Name": "taken", "Service": {"Service": "web"}}, 500, "name 'taken' aliases an existing query name"),
        ({"Name": 5}, 400, "Request decode failed: "),
        ({"Nme": "x"}, 400, 'Request decode failed: json: unknown field "Nme"'),
        (
            {"Name": "x", "Service": {"Service": "web"}, "Template": {"Type": "name_prefix_match", "Regexp": "("}},
            500,
            "Bad template: Bad Regexp: ",
        ),
    ],
)
def test_what_is_refused(bottle, members, status, text):
    made(bottle, Name="taken", Service={"Service": "web"})
    answer = bottle.ask("POST", "/v1/query", members)
    assert answer.status == status
    assert answer.text.startswith(text)


def test_a_query_goes_with_its_session(bottle):
    session = bottle.put("/v1/session/create", {}).json["ID"]
    made(bottle, Session=session, Service={"Service": "web"})
    made(bottle, Name="stays", Service={"Service": "web"})
    assert len(bottle.get("/v1/query").json) == 2
    bottle.done(f"/v1/session/destroy/{session}")
    assert [q["Name"] for q in bottle.get("/v1/query").json] == ["stays"]
    answer = bottle.ask("POST", "/v1/query", {"Session": session, "Service": {"Service": "web"}})
    assert (answer.status, answer.text) == (500, f'invalid session "{session}"')


def test_one_query_is_waited_for(bottle):
    id = made(bottle, Name="q", Service={"Service": "web"})
    waiting = bottle.begin("GET", f"/v1/query/{id}?index={bottle.get(f'/v1/query/{id}').index}")
    bottle.register("other")
    bottle.timers.settle()
    assert not waiting.answered
    bottle.done(f"/v1/query/{id}", {"Name": "q", "Service": {"Service": "web", "OnlyPassing": True}})
    bottle.timers.until(bottle.clock.now_s + 0.2)
    bottle.timers.settle()
    assert waiting.answer.json[0]["Service"]["OnlyPassing"]


def test_what_is_not_there(bottle):
    for path in ("/v1/query/nosuch", "/v1/query/nosuch/execute", "/v1/query/nosuch/explain"):
        answer = bottle.get(path)
        assert (answer.status, answer.text) == (404, "Query not found"), path
    answer = bottle.put("/v1/query/nosuch", {"Name": "x", "Service": {"Service": "web"}})
    assert (answer.status, answer.text) == (500, "Cannot modify non-existent prepared query: 'nosuch'")
    assert bottle.get("/v1/query/x/execute?limit=many").status == 400
