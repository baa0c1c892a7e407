"""The agent API: services of a caller's host, maintenance, health, the agent itself."""

from __future__ import annotations

from typing import Any

import pytest
from consul_bottle import HERE, OWN, ConsulBottle

from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.translate.keys import NODE
from polaris_bridge.adapters.consul.translate.services import native_pairs
from polaris_bridge.core.model import RegistrationKey, ServiceKey

REGISTER = "/v1/agent/service/register"
ELSEWHERE = "10.0.0.5"
NOT_DECODED = "Request decode failed: json: cannot unmarshal "
UNKNOWN = 'Unknown service ID "{}". Ensure that the service ID is passed, not the service name.'


@pytest.fixture
def bottle() -> ConsulBottle:
    return ConsulBottle()


def registered(bottle: ConsulBottle, id: str = "web", node: str = "here") -> Any:
    return bottle.registry.registration(RegistrationKey("consul", "default", f"{node}|{id}"))


# ---------------------------------------------------------------------- registration


def test_a_service_as_it_is_shown(bottle: ConsulBottle) -> None:
    bottle.register(
        "web", ID="web-1", Tags=["v1", "a"], Address="10.1.2.3", Port=8001, Meta={"k": "v"},
        Weights={"Passing": 7, "Warning": 2}, EnableTagOverride=True,
    )  # fmt: skip
    place = {"Address": "10.1.2.3", "Port": 8001}
    assert bottle.get("/v1/agent/services").json == {
        "web-1": {
            "ID": "web-1",
            "Service": "web",
            "Tags": ["v1", "a"],
            "Meta": {"k": "v"},
            "Port": 8001,
            "Address": "10.1.2.3",
            "TaggedAddresses": {"lan_ipv4": place, "wan_ipv4": place},
            "Weights": {"Passing": 7, "Warning": 2},
            "EnableTagOverride": True,
            "Datacenter": "dc1",
        }
    }


def test_the_least_that_can_be_said(bottle: ConsulBottle) -> None:
    bottle.register("web")
    assert bottle.get("/v1/agent/services").json["web"] == {
        "ID": "web",
        "Service": "web",
        "Tags": [],
        "Meta": {},
        "Port": 0,
        "Address": "",
        "Weights": {"Passing": 1, "Warning": 1},
        "EnableTagOverride": False,
        "Datacenter": "dc1",
    }
    assert registered(bottle).host == OWN


def test_it_is_an_ordinary_registration_of_the_core(bottle: ConsulBottle) -> None:
    bottle.register("Web", ID="w", Tags=["t"], Address="10.1.2.3", Port=80, Meta={"k": "v"}, Weights={"Passing": 3})
    r = registered(bottle, "w")
    assert (r.service, r.host, r.port, r.tags, r.metadata, r.weight) == ("Web", "10.1.2.3", 80, ("t",), {"k": "v"}, 300)
    assert ServiceKey("default", "Web") in bottle.registry.ledger.services


def test_what_native_readers_find_in_its_metadata(bottle: ConsulBottle) -> None:
    bottle.register("web", ID="w", Tags=["v1", "zone=a", "k=tag", "=x", "internal-a=b"], Meta={"k": "meta"})
    assert native_pairs(registered(bottle, "w")) == {
        "internal-consul-id": "w",
        "internal-consul-tags": '["v1","zone=a","k=tag","=x","internal-a=b"]',
        "zone": "a",
    }
    bottle.register("web", ID="plain")
    assert native_pairs(registered(bottle, "plain")) == {"internal-consul-id": "plain"}
    assert native_pairs(bottle.foreign()) == {}


@pytest.mark.parametrize("key", ["name", "NAME", "Name"])
def test_names_are_found_in_any_case(bottle: ConsulBottle, key: str) -> None:
    bottle.done(REGISTER, {key: "web", "id": "i", "PORT": 1, "tags": None, "Checks": None, "check": None})
    assert bottle.get("/v1/agent/services").json["i"]["Port"] == 1


def test_the_content_type_is_not_looked_at(bottle: ConsulBottle) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"):
        assert bottle.put(REGISTER, {"Name": "web"}, content_type=kind).status == 200


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "Request decode failed: EOF"),
        (b"{", "Request decode failed: unexpected EOF"),
        (b"x", "Request decode failed: invalid character 'x' looking for beginning of value"),
        ({"Nam": "web"}, 'Request decode failed: json: unknown field "Nam"'),
        ({"Name": 1}, f"{NOT_DECODED}number into Go struct field .Name of type string"),
        ({"Name": "web", "Port": "80"}, f"{NOT_DECODED}string into Go struct field .Port of type int"),
        ({"Name": "web", "Check": {"TTL": "x"}}, 'Request decode failed: time: invalid duration "x"'),
        ({}, "Missing service name"),
        ({"Name": ""}, "Missing service name"),
        ({"Name": "web", "Address": "0.0.0.0"}, "Invalid service address"),
        ({"Name": "web", "Address": "::"}, "Invalid service address"),
        ({"Name": "web", "Weights": {"Passing": 0}}, "Invalid Weights: Passing must be greater than 0"),
        ({"Name": "web", "Weights": {"Passing": 1, "Warning": -1}}, "Invalid Weights: Warning must be greater or equal than 0"),
        ({"Name": "web", "Weights": {"Passing": 65536}}, "Invalid Weights: DNS Weight must be between 0 and 65535"),
        ({"Name": "web", "Meta": {str(n): "" for n in range(65)}},
         "Invalid Service Meta: Node metadata cannot contain more than 64 key/value pairs"),
        ({"Name": "web", "Meta": {"a.b": "c"}},
         "Invalid Service Meta: Couldn't load metadata pair ('a.b', 'c'): Key contains invalid characters"),
        ({"Name": "web", "Meta": {"": "c"}}, "Invalid Service Meta: Couldn't load metadata pair ('', 'c'): Key cannot be blank"),
        ({"Name": "web", "Meta": {"consul-x": "c"}},
         "Invalid Service Meta: Couldn't load metadata pair ('consul-x', 'c'): "
         "Key prefix 'consul-' is reserved for internal use"),
        ({"Name": "web", "Port": 1, "SocketPath": "/s"},
         "Validation failed: 1 error occurred:\n\t* Only one of port or socketPath can be set\n\n"),
        ({"Name": "web", "Check": {"TTL": "1s", "Interval": "1s", "HTTP": "x"}},
         "Invalid check: Interval and TTL cannot both be specified"),
        ({"Name": "web", "Check": {"HTTP": "x"}},
         "Invalid check: Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"),
        ({"Name": "web", "Check": {"Name": "x"}}, "Invalid check: TTL must be > 0 for TTL checks"),
        ({"Name": "web", "Checks": [{"TTL": "1s", "Status": "ok"}]}, "Status for checks must 'passing', 'warning', 'critical'"),
    ],
)  # fmt: skip
def test_what_is_refused(bottle: ConsulBottle, body: object, text: str) -> None:
    answer = bottle.put(REGISTER, body)
    assert (answer.status, answer.text) == (400, text)
    assert bottle.get("/v1/agent/services").json == {}


def test_long_keys_and_values_of_meta_are_refused(bottle: ConsulBottle) -> None:
    assert bottle.put(REGISTER, {"Name": "web", "Meta": {"k" * 129: ""}}).text.endswith(
        "Key is too long (limit: 128 characters)"
    )
    assert bottle.put(REGISTER, {"Name": "web", "Meta": {"k": "é" * 257}}).text.endswith(
        "Value is too long (limit: 512 characters)"
    )
    assert bottle.put(REGISTER, {"Name": "web", "Meta": {"k" * 128: "v" * 512}}).status == 200


def test_commands_are_not_run_for_strangers(bottle: ConsulBottle) -> None:
    answer = bottle.put(REGISTER, {"Name": "web", "Check": {"Args": ["true"], "Interval": "1s"}})
    assert answer.status == 500
    assert answer.text == (
        "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true"
    )
    assert bottle.get("/v1/agent/services").json == {}


def test_a_host_name_adds_no_tagged_addresses_and_given_ones_stay(bottle: ConsulBottle) -> None:
    bottle.register("web", Address="db.internal", Port=1)
    assert "TaggedAddresses" not in bottle.get("/v1/agent/services").json["web"]
    bottle.register("six", Address="fd00::1", Port=1, TaggedAddresses={"wan_ipv6": {"Address": "fd00::2", "Port": 2}})
    assert bottle.get("/v1/agent/services").json["six"]["TaggedAddresses"] == {
        "lan_ipv6": {"Address": "fd00::1", "Port": 1},
        "wan_ipv6": {"Address": "fd00::2", "Port": 2},
    }
    answer = bottle.put(REGISTER, {"Name": "bad", "TaggedAddresses": {"lan_ipv4": {"Address": "fd00::1"}}})
    assert (answer.status, answer.text) == (500, 'Service tagged address "lan_ipv4" must be a valid ipv4 address')


def test_a_service_with_several_ports_has_its_default_one(bottle: ConsulBottle) -> None:
    bottle.register("web", Ports=[{"Name": "a", "Port": 1}, {"Name": "b", "Port": 2, "Default": True}])
    assert bottle.get("/v1/agent/services").json["web"]["Port"] == 2
    assert bottle.get("/v1/agent/services").json["web"]["Ports"][0] == {"Name": "a", "Port": 1}


def test_the_same_again_changes_nothing(bottle: ConsulBottle) -> None:
    fields: dict[str, Any] = {"Tags": ["a"], "Port": 1, "Meta": {"k": "v"}, "Check": {"TTL": "10s"}}
    bottle.register("web", **fields)
    before = bottle.registry.revision
    bottle.register("web", **fields)
    assert bottle.registry.revision == before
    bottle.register("web", **(fields | {"Tags": ["b"]}))
    assert bottle.registry.revision > before


def test_another_definition_replaces_the_old_one_and_may_rename_it(bottle: ConsulBottle) -> None:
    bottle.register("web", ID="i", Tags=["a"], Port=1)
    bottle.register("shop", ID="i", Port=2)
    assert bottle.get("/v1/agent/services").json["i"]["Service"] == "shop"
    assert not bottle.registry.snapshot(ServiceKey("default", "web")).addresses


def test_two_ids_at_one_place_are_two_services(bottle: ConsulBottle) -> None:
    for id in ("a", "b"):
        bottle.register("web", ID=id, Address="10.1.1.1", Port=80)
    assert set(bottle.get("/v1/agent/services").json) == {"a", "b"}


# ---------------------------------------------------------------------- deregistration


def test_deregistration_takes_the_checks_along(bottle: ConsulBottle) -> None:
    bottle.register("web", Check={"TTL": "10s"})
    bottle.done("/v1/agent/service/deregister/web")
    assert (bottle.get("/v1/agent/services").json, bottle.get("/v1/agent/checks").json) == ({}, {})
    answer = bottle.put("/v1/agent/service/deregister/web")
    assert (answer.status, answer.text) == (404, UNKNOWN.format("web"))


@pytest.mark.parametrize("id", ["a/b", "a b", "ä", 'a"b', "x:1"])
def test_ids_may_hold_anything(bottle: ConsulBottle, id: str) -> None:
    from urllib.parse import quote

    bottle.register("web", ID=id, Check={"TTL": "10s"})
    bottle.done(f"/v1/agent/check/pass/{quote(f'service:{id}', safe='')}")
    assert bottle.get(f"/v1/agent/service/{quote(id, safe='')}").json["ID"] == id
    bottle.done(f"/v1/agent/service/deregister/{quote(id, safe='/')}")
    assert bottle.get("/v1/agent/services").json == {}


# ---------------------------------------------------------------------- whose services


def test_every_host_has_its_own_agent(bottle: ConsulBottle) -> None:
    bottle.register("web", ID="web-8080", Port=8080)
    bottle.register("web", ELSEWHERE, ID="web-8080", Port=8080)
    assert len(bottle.registry.snapshot(ServiceKey("default", "web")).addresses) == 2
    assert registered(bottle, "web-8080", "node-10-0-0-5").host == ELSEWHERE
    bottle.done("/v1/agent/service/deregister/web-8080", peer=ELSEWHERE)
    assert set(bottle.get("/v1/agent/services").json) == {"web-8080"}
    assert bottle.get("/v1/agent/services", ELSEWHERE).json == {}


def test_callers_of_this_machine_share_the_own_node(bottle: ConsulBottle) -> None:
    for peer in ("127.0.0.1", "::1", "127.8.8.8", OWN):
        assert bottle.get("/v1/agent/self", peer).json["Config"]["NodeName"] == "here"
    assert bottle.get("/v1/agent/self", "fd00::5").json["Config"]["NodeName"] == "node-fd00-5"


def test_one_node_for_all_when_it_is_asked_for() -> None:
    bottle = ConsulBottle(ConsulSettings(single_node=True, node_name="only"))
    bottle.register("web", ELSEWHERE, Port=1)
    assert set(bottle.get("/v1/agent/services").json) == {"web"}
    assert bottle.get("/v1/agent/self", ELSEWHERE).json["Config"]["NodeName"] == "only"


def test_instances_of_other_protocols_are_not_the_agents(bottle: ConsulBottle) -> None:
    bottle.foreign(host=OWN)
    assert bottle.get("/v1/agent/services").json == {}
    assert bottle.put("/v1/agent/service/deregister/orders").status == 404


def test_a_host_that_holds_nothing_any_more_is_forgotten(bottle: ConsulBottle) -> None:
    def nodes() -> set[str]:
        return {document.name for document in bottle.registry.documents.all(NODE)}

    for peer in ("10.0.0.5", "10.0.0.6", "10.0.0.7"):
        bottle.register("web", peer)
    bottle.done("/v1/agent/maintenance?enable=true", peer="10.0.0.7")
    for peer in ("10.0.0.5", "10.0.0.7"):
        bottle.done("/v1/agent/service/deregister/web", peer=peer)
    assert nodes() == {"node-10-0-0-5", "node-10-0-0-6", "node-10-0-0-7"}
    bottle.move(125)
    assert nodes() == {"node-10-0-0-6", "node-10-0-0-7"}
    bottle.register("web", "10.0.0.5")
    assert "node-10-0-0-5" in nodes()


def test_the_own_address_may_turn_out_later(bottle: ConsulBottle) -> None:
    assert bottle.get("/v1/agent/self", "10.0.0.77").json["Config"]["NodeName"] == "node-10-0-0-77"
    bottle.service.nodes._address = lambda: "10.0.0.77"
    assert bottle.get("/v1/agent/self", "10.0.0.77").json["Config"]["NodeName"] == "here"


def test_long_lists_are_made_in_slices_and_are_whole(bottle: ConsulBottle) -> None:
    for number in range(150):
        bottle.register("web", ID=f"w{number}", Port=number, Check={"TTL": "100s"})
    for path, prefix in (("services", "w"), ("checks", "service:w")):
        waiting = bottle.begin("GET", f"/v1/agent/{path}")
        assert not waiting.answered
        bottle.timers.settle()
        assert set(waiting.answer.json) == {f"{prefix}{number}" for number in range(150)}
    assert set(bottle.get("/v1/agent/services?filter=Port+==+7").json) == {"w7"}


def test_everything_is_there_after_a_restart(bottle: ConsulBottle) -> None:
    bottle.register("web", Tags=["a"], Address="10.1.1.1", Check={"TTL": "10s", "Notes": "n"}, Connect={"Native": True})
    bottle.done("/v1/agent/check/pass/service:web?note=fine")
    bottle.done("/v1/agent/service/maintenance/web?enable=true&reason=why")
    before = bottle.get("/v1/agent/services").json, bottle.get("/v1/agent/checks").json
    assert before[0]["web"]["Connect"] == {"Native": True}
    bottle.restart()
    assert (bottle.get("/v1/agent/services").json, bottle.get("/v1/agent/checks").json) == before


# ---------------------------------------------------------------------- one service


def test_one_service_with_its_hash(bottle: ConsulBottle) -> None:
    bottle.register("web", Port=1)
    answer = bottle.get("/v1/agent/service/web")
    assert answer.json["ContentHash"] == answer.headers["x-consul-contenthash"]
    assert len(answer.json["ContentHash"]) == 16
    missing = bottle.get("/v1/agent/service/nope")
    assert (missing.status, missing.text) == (404, "unknown service ID: nope")


def test_with_its_hash_it_waits_for_another_one(bottle: ConsulBottle) -> None:
    bottle.register("web", Port=1, Check={"TTL": "10s"})
    hash = bottle.get("/v1/agent/service/web").json["ContentHash"]
    waiting = bottle.begin("GET", f"/v1/agent/service/web?hash={hash}&wait=20s")
    bottle.done("/v1/agent/check/pass/service:web")  # checks are no part of it
    bottle.register("other", Port=2)
    bottle.move(1)
    assert not waiting.answered
    bottle.register("web", Port=3, Check={"TTL": "10s"})
    bottle.move(0.1)
    assert waiting.answer.json["Port"] == 3
    assert waiting.answer.json["ContentHash"] != hash
    assert bottle.begin("GET", f"/v1/agent/service/web?hash={hash}").answered


def test_it_answers_the_same_after_its_time_and_404_when_it_went(bottle: ConsulBottle) -> None:
    bottle.register("web", Port=1)
    hash = bottle.get("/v1/agent/service/web").json["ContentHash"]
    waiting = bottle.begin("GET", f"/v1/agent/service/web?hash={hash}&wait=5s")
    bottle.move(5.1)
    assert waiting.answer.json["ContentHash"] == hash
    waiting = bottle.begin("GET", f"/v1/agent/service/web?hash={hash}")
    bottle.done("/v1/agent/service/deregister/web")
    bottle.move(0.1)
    assert waiting.answer.status == 404


# ---------------------------------------------------------------------- filters


def test_filters(bottle: ConsulBottle) -> None:
    bottle.register("web", ID="a", Port=1, Meta={"v": "1"})
    bottle.register("web", ID="b", Port=2, Meta={"v": "2"}, Check={"TTL": "1s"})
    assert set(bottle.get("/v1/agent/services?filter=Meta.v+==+2").json) == {"b"}
    assert set(bottle.get("/v1/agent/checks?filter=ServiceName+==+web").json) == {"service:b"}
    assert bottle.get("/v1/agent/checks?filter=Status+==+passing").json == {}
    answer = bottle.get("/v1/agent/services?filter=nonsense")
    assert (answer.status, answer.text.startswith("Failed to create boolean expression evaluator: ")) == (500, True)


# ---------------------------------------------------------------------- maintenance


def test_a_service_in_maintenance(bottle: ConsulBottle) -> None:
    bottle.register("web", Port=1)
    bottle.done("/v1/agent/service/maintenance/web?enable=true&reason=deploy")
    check = bottle.get("/v1/agent/checks").json["_service_maintenance:web"]
    assert (check["Name"], check["Status"], check["Notes"], check["Type"], check["ServiceID"]) == (
        "Service Maintenance Mode", "critical", "deploy", "maintenance", "web",
    )  # fmt: skip
    (address,) = bottle.registry.snapshot(ServiceKey("default", "web")).addresses.values()
    assert [switch.on for switch in address.switches] == [True]
    bottle.done("/v1/agent/service/maintenance/web?enable=true&reason=another")
    assert bottle.get("/v1/agent/checks").json["_service_maintenance:web"]["Notes"] == "deploy"
    bottle.register("web", Port=2)
    assert "_service_maintenance:web" in bottle.get("/v1/agent/checks").json
    bottle.done("/v1/agent/service/maintenance/web?enable=false")
    assert bottle.get("/v1/agent/checks").json == {}
    (address,) = bottle.registry.snapshot(ServiceKey("default", "web")).addresses.values()
    assert address.switches == ()


def test_maintenance_without_a_reason_gives_the_default_one(bottle: ConsulBottle) -> None:
    bottle.register("web")
    bottle.done("/v1/agent/service/maintenance/web?enable=1")
    bottle.done("/v1/agent/maintenance?enable=T")
    notes = {id: check["Notes"] for id, check in bottle.get("/v1/agent/checks").json.items()}
    ending = "but no reason was provided. This is a default message."
    assert notes == {
        "_service_maintenance:web": f"Maintenance mode is enabled for this service, {ending}",
        "_node_maintenance": f"Maintenance mode is enabled for this node, {ending}",
    }


@pytest.mark.parametrize("path", ["/v1/agent/service/maintenance/web", "/v1/agent/maintenance"])
@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "Missing value for enable"),
        ("?enable=", 'Invalid value for enable: ""'),
        ("?enable=yes", 'Invalid value for enable: "yes"'),
    ],
)
def test_maintenance_needs_to_know_which_way(bottle: ConsulBottle, path: str, query: str, text: str) -> None:
    bottle.register("web")
    answer = bottle.put(f"{path}{query}")
    assert (answer.status, answer.text) == (400, text)


def test_maintenance_of_what_is_not_there(bottle: ConsulBottle) -> None:
    assert bottle.put("/v1/agent/service/maintenance/?enable=true").text == "Missing service ID"
    answer = bottle.put("/v1/agent/service/maintenance/web?enable=true")
    assert (answer.status, answer.text) == (404, UNKNOWN.format("web"))


def test_a_node_in_maintenance_withdraws_what_stands_on_it_and_what_comes(bottle: ConsulBottle) -> None:
    def off(name: str) -> bool:
        (address,) = bottle.registry.snapshot(ServiceKey("default", name)).addresses.values()
        return any(switch.on for switch in address.switches)

    bottle.register("web", ELSEWHERE, Port=1)
    bottle.register("alone", Port=1)
    bottle.done("/v1/agent/maintenance?enable=true&reason=kernel", peer=ELSEWHERE)
    bottle.register("late", ELSEWHERE, Port=2)
    assert (off("web"), off("late"), off("alone")) == (True, True, False)
    assert bottle.get("/v1/agent/checks", ELSEWHERE).json["_node_maintenance"]["Node"] == "node-10-0-0-5"
    assert bottle.get("/v1/agent/checks").json == {}
    bottle.done("/v1/agent/service/maintenance/web?enable=true", peer=ELSEWHERE)
    bottle.done("/v1/agent/maintenance?enable=false", peer=ELSEWHERE)
    assert (off("web"), off("late")) == (True, False)
    bottle.done("/v1/agent/service/maintenance/web?enable=false", peer=ELSEWHERE)
    assert not off("web")


def test_the_own_node_in_maintenance_stays_where_the_machine_is(bottle: ConsulBottle) -> None:
    bottle.done("/v1/agent/maintenance?enable=true")
    bottle.restart()
    assert "_node_maintenance" in bottle.get("/v1/agent/checks").json
    assert bottle.get("/v1/agent/self").json["Member"]["Addr"] == OWN
    bottle.done("/v1/agent/maintenance?enable=false")
    assert bottle.get("/v1/agent/checks").json == {}


def test_who_deregisters_the_check_ends_the_maintenance(bottle: ConsulBottle) -> None:
    bottle.register("web", Port=1)
    bottle.done("/v1/agent/service/maintenance/web?enable=true")
    bottle.done("/v1/agent/maintenance?enable=true")
    bottle.done("/v1/agent/check/deregister/_service_maintenance:web")
    assert set(bottle.get("/v1/agent/checks").json) == {"_node_maintenance"}
    bottle.done("/v1/agent/check/deregister/_node_maintenance")
    (address,) = bottle.registry.snapshot(ServiceKey("default", "web")).addresses.values()
    assert (bottle.get("/v1/agent/checks").json, address.switches) == ({}, ())


# ---------------------------------------------------------------------- health


@pytest.mark.parametrize(
    ("word", "status", "code"), [("pass", "passing", 200), ("warn", "warning", 429), ("fail", "critical", 503)]
)
def test_health_of_a_service(bottle: ConsulBottle, word: str, status: str, code: int) -> None:
    bottle.register("web", ID="w", Check={"TTL": "10s"})
    bottle.done(f"/v1/agent/check/{word}/service:w")
    for path in ("id/w", "name/web"):
        answer = bottle.get(f"/v1/agent/health/service/{path}")
        found = answer.json if path == "id/w" else answer.json[0]
        assert (answer.status, found["AggregatedStatus"], answer.headers["x-consul-reason"]) == (code, status, status)
        assert (found["Service"]["ID"], [check["CheckID"] for check in found["Checks"]]) == ("w", ["service:w"])
        for plain in (bottle.get(f"/v1/agent/health/service/{path}?format=text"),
                      bottle.get(f"/v1/agent/health/service/{path}", accept="text/plain")):  # fmt: skip
            assert (plain.status, plain.text, plain.headers["content-type"]) == (code, status, "text/plain")


def test_health_of_what_is_not_there(bottle: ConsulBottle) -> None:
    answer = bottle.get("/v1/agent/health/service/id/w")
    assert (answer.status, answer.json) == (404, {"AggregatedStatus": "critical", "Service": None, "Checks": None})
    assert bottle.get("/v1/agent/health/service/id/w?format=text").text == "ServiceId w not found"
    answer = bottle.get("/v1/agent/health/service/name/web")
    assert (answer.status, answer.json) == (404, [])
    assert bottle.get("/v1/agent/health/service/name/web?format=text").text == "ServiceName web Not Found"
    assert bottle.get("/v1/agent/health/service/id/").text == "Missing serviceID"
    assert bottle.get("/v1/agent/health/service/name/").text == "Missing service Name"


def test_the_worst_instance_of_a_name_counts(bottle: ConsulBottle) -> None:
    bottle.register("web", ID="a")
    bottle.register("web", ID="b", Check={"TTL": "10s", "Status": "warning"})
    assert bottle.get("/v1/agent/health/service/name/web").status == 429
    bottle.done("/v1/agent/service/maintenance/a?enable=true")
    answer = bottle.get("/v1/agent/health/service/name/web?format=text")
    assert (answer.status, answer.text) == (503, "maintenance")
    assert bottle.get("/v1/agent/health/service/id/b?format=text").text == "warning"


# ---------------------------------------------------------------------- the agent itself


def test_the_agent_on_itself(bottle: ConsulBottle) -> None:
    found = bottle.get("/v1/agent/self").json
    assert set(found) == {"Config", "DebugConfig", "Coord", "Member", "Stats", "Meta", "xDS"}
    assert (found["Config"]["Datacenter"], found["Config"]["NodeName"], found["Config"]["Server"]) == (
        "dc1",
        "here",
        True,
    )
    assert found["Member"]["Addr"] == OWN
    assert found["Config"]["NodeID"] == found["Member"]["Tags"]["id"]
    assert len(found["Coord"]["Vec"]) == 8
    bottle.restart()
    assert bottle.get("/v1/agent/self").json["Config"]["NodeID"] == found["Config"]["NodeID"]


def test_members_are_the_server_and_the_hosts_that_hold_something(bottle: ConsulBottle) -> None:
    bottle.get("/v1/agent/self", ELSEWHERE)
    assert [member["Name"] for member in bottle.get("/v1/agent/members").json] == ["here"]
    bottle.register("web", ELSEWHERE)
    found = bottle.get("/v1/agent/members").json
    assert [(m["Name"], m["Addr"], m["Tags"]["role"], m["Status"]) for m in found] == [
        ("here", OWN, "consul", 1),
        ("node-10-0-0-5", ELSEWHERE, "node", 1),
    ]
    assert [m["Name"] for m in bottle.get("/v1/agent/members?wan=1").json] == ["here.dc1"]
    assert bottle.get("/v1/agent/members?wan=1&segment=a").text == "Cannot provide a segment with wan=true"
    bottle.done("/v1/agent/service/deregister/web", peer=ELSEWHERE)
    assert len(bottle.get("/v1/agent/members").json) == 1


def test_version_and_host(bottle: ConsulBottle) -> None:
    found = bottle.get("/v1/agent/version").json
    assert set(found) == {"SHA", "BuildDate", "HumanVersion", "FIPS"}
    assert found["HumanVersion"].startswith("1.20.")
    assert set(bottle.get("/v1/agent/host").json) == {"Memory", "CPU", "Host", "Disk", "CollectionTime", "Errors"}


def test_metrics(bottle: ConsulBottle) -> None:
    bottle.register("web")
    found = bottle.get("/v1/agent/metrics").json
    assert set(found) == {"Timestamp", "Gauges", "Points", "Counters", "Samples"}
    assert {"Name": "consul.state.service_instances", "Value": 1, "Labels": {}} in found["Gauges"]
    for answer in (
        bottle.get("/v1/agent/metrics?format=prometheus"),
        bottle.get("/v1/agent/metrics", accept="text/html, text/plain; version=0.4.0"),
        bottle.get("/v1/agent/metrics", accept="application/openmetrics-text;version=1.0.0"),
    ):
        assert answer.status == 415
        assert answer.text == "Prometheus is not enabled since its retention time is not positive"
    assert bottle.get("/v1/agent/metrics", accept="text/plain").status == 200


def test_commands_for_operators(bottle: ConsulBottle) -> None:
    for path in ("reload", "leave", "join/10.0.0.1", "force-leave/here"):
        answer = bottle.put(f"/v1/agent/{path}")
        assert (answer.status, answer.body) == (200, b"")
    answer = bottle.put("/v1/agent/force-leave/nobody")
    assert (answer.status, answer.text) == (500, "agent: No node found with name 'nobody'")
    answer = bottle.put("/v1/agent/token/default", {"Token": "x"})
    assert (answer.status, answer.text) == (401, "ACL support disabled")


def test_the_log_is_followed_with_a_known_level(bottle: ConsulBottle) -> None:
    assert bottle.get("/v1/agent/monitor?loglevel=warn&logjson").status == 200
    answer = bottle.get("/v1/agent/monitor?loglevel=loud")
    assert (answer.status, answer.text) == (400, "Unknown log level: loud")


def test_status(bottle: ConsulBottle) -> None:
    assert bottle.get("/v1/status/leader", HERE).json == f"{OWN}:8300"
    assert bottle.get("/v1/status/peers").json == [f"{OWN}:8300"]
