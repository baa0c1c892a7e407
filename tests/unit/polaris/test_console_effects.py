"""What console calls change, and who sees it: lists, Discover, other protocols' instances, another process on the same store."""

from __future__ import annotations

from typing import Any

import pytest
from bottle import CALLER
from http_world import World, document
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters.polaris.translate.keys import Document, instance_id
from polaris_bridge.core.model import OUT_OF_SERVICE, AddressKey, Lease, Registration, ServiceKey, ServiceRecord, Switch
from polaris_bridge.core.views import shown

SERVICES = "/naming/v1/services"
INSTANCES = "/naming/v1/instances"
CART = ServiceKey("shop", "cart")
AT = {"namespace": "shop", "service": "cart", "host": "10.0.0.1", "port": 80}


@pytest.fixture
def world() -> World:
    return World()


def register(world: World, **fields: Any) -> str:
    """An instance made through the console; its id."""
    answer = world.call("POST", INSTANCES, [{**AT, **fields}])
    assert answer["code"] == 200000
    id: str = answer["responses"][0]["instance"]["id"]
    return id


def foreign(world: World, source: str = "eureka", key: str = "CART/i-1", **fields: Any) -> None:
    """An instance of another protocol at the same place."""
    r = Registration(
        source, "shop", key, "cart", "10.0.0.1", 80, **{"liveness": Lease(30_000, 90_000, 90_000), **fields}
    )
    world.answer_all([world.registry.register(r, CALLER).commit])


def listed(world: World, **filters: object) -> list[Any]:
    """What the console lists."""
    query = "&".join(f"{key}={value}" for key, value in {"service": "cart", **filters}.items())
    found: list[Any] = world.call("GET", f"{INSTANCES}?{query}")["instances"]
    return found


def discovered(world: World, name: str = "cart") -> list[Any]:
    """What Discover shows."""
    asked = {"type": "INSTANCE", "service": {"name": name, "namespace": "shop"}}
    found: list[Any] = world.call("POST", "/v1/Discover", asked)["instances"]
    return found


def put(world: World, **fields: Any) -> int:
    """The code of an update."""
    return world.code("PUT", INSTANCES, [{**AT, **fields}])


# ---------------------------------------------------------------------- services, namespaces, aliases


def test_ids_and_tokens_stay(world: World) -> None:
    made = world.call("POST", SERVICES, [{"namespace": "shop", "name": "cart"}])["responses"][0]["service"]
    namespace = world.call("GET", "/core/v1/namespaces/token?name=shop")["namespace"]["token"]
    again = world.call("POST", SERVICES, [{"namespace": "shop", "name": "cart"}])["responses"][0]["service"]
    assert again["id"] == made["id"]
    assert len({made["id"], made["token"], namespace}) == 3
    register(world)
    assert listed(world)[0]["service_token"] == made["token"]
    renewed = world_of(world).call("PUT", "/naming/v1/service/token", {"namespace": "shop", "name": "cart"})
    assert renewed["service"]["token"] != made["token"]


def world_of(old: World) -> World:
    """Another process on the same store."""
    new = World.__new__(World)
    new.__dict__.update(old.__dict__)
    new.restart()
    new.open()
    return new


def test_another_process_shows_the_same(world: World) -> None:
    world.call("POST", "/naming/v1/namespaces", [{"name": "shop", "metadata": {"a": "b"}, "service_export_to": ["x"]}])
    world.call(
        "POST",
        SERVICES,
        [
            {
                "namespace": "shop",
                "name": "cart",
                "ports": "1,2",
                "cmdb_mod1": "m",
                "platform_id": "p",
                "export_to": ["*"],
            }
        ],
    )
    register(world)  # makes nothing new of the service
    world.call("POST", "/v1/RegisterInstance", {**AT, "service": "on-the-way"})
    targets = (
        f"{SERVICES}?namespace=shop",
        "/core/v1/namespaces",
        "/core/v1/namespaces/token?name=shop",
        "/naming/v1/service/token?namespace=shop&name=cart",
        "/naming/v1/service/token?namespace=shop&name=on-the-way",
        f"{INSTANCES}?service=cart",
        f"{INSTANCES}/count",
    )
    before = [world.call("GET", target) for target in targets]
    assert [world_of(world).call("GET", target) for target in targets] == before
    assert before[0]["services"][0]["export_to"] in (["*"], [])
    assert before[1]["namespaces"][0]["service_export_to"] == ["x"]


def test_writes_are_read_at_once(world: World) -> None:
    for n in range(5):
        world.call("POST", SERVICES, [{"namespace": "shop", "name": f"s{n}"}])
        assert world.call("GET", f"{SERVICES}?namespace=shop")["amount"] == n + 1
        assert world.call("GET", f"{SERVICES}/count")["amount"] == n + 1


def test_namespaces_count_what_is_in_them(world: World) -> None:
    register(world)
    register(world, port=81)
    world.call("POST", SERVICES, [{"namespace": "empty", "name": "s"}])
    assert put(world, isolate=True) == 200000
    answer = world.call("GET", "/naming/v1/namespaces?name=sh*&name=emp*")
    counts = {
        n["name"]: [n[f"total_{what}_count"] for what in ("service", "instance", "health_instance")]
        for n in answer["namespaces"]
    }
    assert counts == {"shop": [1, 2, 1], "empty": [1, 0, 0]}
    assert answer["summary"] == {"total_service_count": 2, "total_instance_count": 2, "total_health_instance_count": 1}
    assert [s["healthy_instance_count"] for s in world.call("GET", f"{SERVICES}?name=cart")["services"]] == [1]


def test_an_update_of_a_namespace_replaces_metadata_and_visibility(world: World) -> None:
    given = {"name": "n", "comment": "c", "owners": "o", "metadata": {"a": "b"}, "service_export_to": ["x", "x", "y"]}
    world.call("POST", "/core/v1/namespaces", [given])
    shown = world.call("GET", "/core/v1/namespaces?name=n")["namespaces"][0]
    assert {key: shown[key] for key in given} == {**given, "service_export_to": ["x", "y"]}
    world.call("PUT", "/core/v1/namespaces", [{"name": "n", "comment": ""}])
    shown = world.call("GET", "/core/v1/namespaces?name=n")["namespaces"][0]
    assert {key: shown[key] for key in given} == {
        "name": "n", "comment": "", "owners": "o", "metadata": {}, "service_export_to": [],
    }  # fmt: skip


def test_what_a_registration_made_on_the_way_belongs_to_the_server(world: World) -> None:
    place = {"namespace": "made", "service": "cart", "host": "10.0.0.1", "port": 80}
    assert world.code("POST", INSTANCES, [place]) == 200000
    assert world.call("GET", "/core/v1/namespaces?name=made")["namespaces"][0]["owners"] == "Polaris"
    assert world.call("GET", f"{SERVICES}?name=cart")["services"][0]["owners"] == "Polaris"
    assert world.code("POST", "/core/v1/namespaces", [{"name": "given"}]) == 200000
    assert world.call("GET", "/core/v1/namespaces?name=given")["namespaces"][0]["owners"] == ""


def test_metadata_of_a_service_can_be_emptied(world: World) -> None:
    world.call("POST", SERVICES, [{"namespace": "shop", "name": "cart", "metadata": {"a": "b"}}])
    key = {"namespace": "shop", "name": "cart"}
    assert world.code("PUT", SERVICES, [{**key, "comment": "c"}]) == 200000
    assert world.call("GET", f"{SERVICES}?name=cart")["services"][0]["metadata"] == {"a": "b"}
    assert world.code("PUT", SERVICES, [{**key, "metadata": {}}]) == 200000
    assert world.call("GET", f"{SERVICES}?name=cart")["services"][0]["metadata"] == {}
    assert world.code("PUT", SERVICES, [{**key, "metadata": {}}]) == 200002


def test_ports_are_those_that_are_seen_unless_somebody_wrote_them(world: World) -> None:
    def ports() -> list[str]:
        found = world.call("GET", f"{SERVICES}?name=cart")["services"][0]["ports"]
        told = world.call("POST", "/v1/Discover", {"type": 1, "service": {"name": "cart", "namespace": "shop"}})
        return [found, told["service"]["ports"]]

    for port, host in ((8080, "10.0.0.1"), (443, "10.0.0.1"), (443, "10.0.0.2")):
        register(world, port=port, host=host)
    assert ports() == ["443,8080"] * 2
    assert world.code("POST", f"{INSTANCES}/delete", [{**AT, "port": 443}, {**AT, "port": 8080}]) == 200000
    assert ports() == ["443"] * 2
    assert world_of(world).call("GET", f"{SERVICES}?name=cart")["services"][0]["ports"] == "443"
    assert world.code("PUT", SERVICES, [{"namespace": "shop", "name": "cart", "ports": "80"}]) == 200000
    assert ports() == ["80"] * 2


def test_every_text_of_a_service_can_be_set_and_filtered(world: World) -> None:
    texts = {
        name: f"the {name}" for name in ("business", "department", "cmdb_mod1", "cmdb_mod2", "cmdb_mod3", "platform_id")
    }
    world.call("POST", SERVICES, [{"namespace": "shop", "name": "cart"}, {"namespace": "shop", "name": "till"}])
    assert world.code("PUT", SERVICES, [{"namespace": "shop", "name": "cart", "owners": "ann,bob", **texts}]) == 200000
    shown = world.call("GET", f"{SERVICES}?name=cart")["services"][0]
    assert {name: shown[name] for name in texts} == texts
    for name, value in {**texts, "owner": "bob", "business": "THE BUS"}.items():
        found = world.call("GET", f"{SERVICES}?{name}={value.replace(' ', '+')}")
        assert [s["name"] for s in found["services"]] == ["cart"], name


SERVICE_FILTERS = [
    ("name=cart", {"cart"}),
    ("name=CART", set()),
    ("name=CAR*", {"cart", "cart2"}),
    ("name=*T2", {"cart2"}),
    ("name=*ar*", {"cart", "cart2"}),
    ("namespace=shop", {"cart", "till"}),
    ("namespace=sh*", {"cart", "till"}),
    ("namespace=zz", set()),
    ("namespace=*&name=cart", {"cart"}),
    ("keys=a&values=b", {"cart"}),
    ("keys=a&values=c", set()),
    ("keys=a&values=", set()),
    ("host=10.0.0.1", {"cart"}),
    ("host=10.0.0.9,10.0.0.1&port=80,81", {"cart"}),
    ("host=10.0.0.1&port=81", set()),
    ("instance_keys=zone&instance_values=z*", {"cart"}),
    ("instance_keys=zone,x&instance_values=z1,y", set()),
    ("only_exist_health_instance=true", {"cart"}),
    ("only_exist_instance=true", {"cart"}),
    ("offset=1&limit=1&namespace=shop", {"till"}),
    ("limit=0", set()),
]


@pytest.mark.parametrize(("query", "names"), SERVICE_FILTERS)
def test_services_by_filter(world: World, query: str, names: set[str]) -> None:
    world.call("POST", SERVICES, [{"namespace": "shop", "name": "till"}])
    world.clock.now_ms += 1000
    world.call("POST", SERVICES, [{"namespace": "shop", "name": "cart", "metadata": {"a": "b"}}])
    world.call("POST", SERVICES, [{"namespace": "other", "name": "cart2"}])
    world.call(
        "POST",
        "/naming/v1/service/alias",
        {"service": "cart", "namespace": "shop", "alias": "cart-alias", "alias_namespace": "shop"},
    )
    register(world, metadata={"zone": "z1"})
    assert {s["name"] for s in world.call("GET", f"{SERVICES}?{query}")["services"]} == names


def test_aliases_lead_to_a_service(world: World) -> None:
    register(world)
    alias = {"service": "cart", "namespace": "shop", "alias": "basket", "alias_namespace": "shop"}
    assert world.code("POST", "/naming/v1/service/alias", alias) == 200000
    assert [i["port"] for i in discovered(world, "basket")] == [80]
    found = world.call("GET", "/naming/v1/service/aliases?alias=bas*&namespace=shop&owner=&service=cart")["aliases"]
    assert [(a["alias"], a["service"]) for a in found] == [("basket", "cart")]
    assert world.call("GET", "/naming/v1/service/aliases?service=zz")["amount"] == 0
    assert {s["name"] for s in world.call("GET", f"{SERVICES}/all?namespace=shop")["services"]} == {"cart", "basket"}
    world.call("POST", SERVICES, [{"namespace": "shop", "name": "till"}])
    assert world.code("PUT", "/naming/v1/service/alias", {**alias, "service": "till"}) == 200000
    assert discovered(world, "basket") == []
    assert world.code("POST", f"{SERVICES}/delete", [{"namespace": "shop", "name": "till"}]) == 400210


def test_cl5_names_are_never_given_twice(world: World) -> None:
    register(world)
    given = {"service": "cart", "namespace": "shop", "alias_namespace": "Production", "type": "CL5SID"}
    first, second = (world.call("POST", "/naming/v1/service/alias", given)["alias"]["alias"] for _ in range(2))
    third = world_of(world).call("POST", "/naming/v1/service/alias", given)["alias"]["alias"]
    assert [first, second, third] == [f"{(3000001 << 6) + 1}:{(1 << 16) + n}" for n in (1, 2, 3)]
    assert [i["port"] for i in world_of(world).call("POST", "/v1/Discover", {
        "type": 1, "service": {"name": second, "namespace": "Production"}})["instances"]] == [80]  # fmt: skip


# ---------------------------------------------------------------------- instances


def test_an_update_changes_what_is_given(world: World) -> None:
    id = register(world, metadata={"a": "b", "internal-x": "y"}, weight=10, version="1")
    before = listed(world)[0]
    world.clock.now_ms += 5000
    location = {"region": "r", "zone": "z", "campus": "c"}
    changes = {
        "weight": 0,
        "priority": 3,
        "protocol": "grpc",
        "logic_set": "l",
        "location": location,
        "metadata": {"c": "d"},
    }
    assert put(world, **changes) == 200000
    after = listed(world)[0]
    assert {key: after[key] for key in changes} == changes
    assert (after["id"], after["version"], after["healthy"], after["ctime"]) == (id, "1", True, before["ctime"])
    assert after["revision"] != before["revision"]
    assert after["mtime"] > before["mtime"]
    assert put(world, **changes) == 200002
    assert put(world, metadata={}) == 200000
    assert listed(world)[0]["metadata"] == {}
    assert [i["weight"] for i in discovered(world)] == [0]


def test_an_operator_switches_health(world: World) -> None:
    register(world)
    assert put(world, healthy=False) == 200000
    assert [i["healthy"] for i in discovered(world)] == [False]
    assert put(world, healthy=False) == 200002
    assert put(world, healthy=True) == 200000
    assert listed(world)[0]["healthy"] is True


def test_heartbeats_can_be_asked_for_later(world: World) -> None:
    register(world)
    beats = {"enable_health_check": True, "health_check": {"type": 1, "heartbeat": {"ttl": 2}}}
    assert put(world, **beats) == 200000
    assert listed(world)[0]["healthy"] is False, "until the first heartbeat"
    assert put(world, **beats) == 200002
    assert world.code("POST", "/v1/Heartbeat", AT) == 200000
    assert (listed(world)[0]["healthy"], listed(world)[0]["healthCheck"]["heartbeat"]["ttl"]) == (True, 2)
    world.pass_time(8)
    assert listed(world)[0]["healthy"] is False
    assert put(world, enable_health_check=False) == 200000
    assert (listed(world)[0]["healthy"], listed(world)[0]["healthCheck"]) == (False, None)
    assert [i["enableHealthCheck"] for i in (*listed(world), *discovered(world))] == [False, False]
    assert put(world, enable_health_check=False) == 200002
    assert put(world, healthy=True) == 200000
    world.pass_time(8)
    assert listed(world)[0]["healthy"] is True


def test_that_health_is_not_checked_is_shown_when_an_update_said_so(world: World) -> None:
    def shown() -> list[bool | None]:
        return [i["enableHealthCheck"] for i in (*listed(world), *discovered(world))]

    register(world, enable_health_check=False)
    assert shown() == [None, None], "as when nothing was said"
    assert put(world, enable_health_check=False) == 200002
    assert put(world, enable_health_check=False, weight=7) == 200000
    assert shown() == [False, False]
    world.restart()
    world.open()
    assert shown() == [False, False]
    assert put(world, health_check={"heartbeat": {"ttl": 5}}) == 200000
    assert shown() == [True, True]
    assert put(world, enable_health_check=False) == 200000
    assert shown() == [False, False]
    register(world)
    assert shown() == [None, None]


def test_isolation_survives_registration_and_ends_when_it_is_released(world: World) -> None:
    register(world)
    register(world, host="10.0.0.2")
    host = {"namespace": "shop", "service": "cart", "host": "10.0.0.1"}
    assert world.code("PUT", f"{INSTANCES}/isolate/host", [{**host, "isolate": True}]) == 200000
    register(world)
    assert {i["host"]: i["isolate"] for i in discovered(world)} == {"10.0.0.1": True, "10.0.0.2": False}
    assert [i["host"] for i in listed(world, isolate="true")] == ["10.0.0.1"]
    assert put(world, isolate=False) == 200000
    assert listed(world, isolate="true") == []


def test_instances_of_other_protocols_are_listed_corrected_isolated_and_deleted(world: World) -> None:
    foreign(world, metadata={"a": "b"})
    shown_here = listed(world)[0]
    assert shown_here["metadata"]["internal-register-from"] == "eureka"
    assert put(world, weight=7, isolate=True, metadata={**shown_here["metadata"], "c": "d"}) == 200000
    after = listed(world)[0]
    assert (after["weight"], after["isolate"], after["metadata"]["c"]) == (7, True, "d")
    address = world.registry.snapshot(CART).addresses[AddressKey("10.0.0.1", 80)]
    assert address.registrations[0].metadata == {"a": "b", "c": "d"}, "what is shown in addition is not kept"
    assert shown(address, "nacos")[0].word == OUT_OF_SERVICE
    assert put(world, isolate=False) == 200000
    assert listed(world)[0]["isolate"] is False
    by_id = world.code("POST", f"{INSTANCES}/delete", [{"id": after["id"]}])
    assert (by_id, listed(world)) == (200000, [])
    assert world.registry.snapshot(CART).addresses == {}


def test_another_protocols_withdrawal_is_not_ended_here(world: World) -> None:
    foreign(world)
    place = AddressKey("10.0.0.1", 80)
    switch = Switch("eureka", "CART/i-1", OUT_OF_SERVICE)
    world.answer_all([world.registry.switch(CART, place, switch, CALLER) or pytest.fail("no address")])
    assert put(world, isolate=False) == 200000, "accepted"
    assert listed(world)[0]["isolate"] is True, "and without effect"
    assert world.registry.counters.ignored_releases == 1


def test_a_delete_ends_everything_at_the_address_but_other_native_ids(world: World) -> None:
    foreign(world)
    register(world)
    register(world, id="mine")
    assert {i["id"] for i in listed(world)} == {"mine", instance_id("shop", "cart", "10.0.0.1", 80)}
    assert world.code("POST", f"{INSTANCES}/delete", [{"id": "mine"}]) == 200000
    left = world.registry.snapshot(CART).addresses[AddressKey("10.0.0.1", 80)].registrations
    assert sorted(r.source for r in left) == ["eureka", "polaris"]
    assert world.code("POST", f"{INSTANCES}/delete", [AT]) == 200000
    assert world.registry.snapshot(CART).addresses == {}


def test_a_whole_host_is_deleted(world: World) -> None:
    foreign(world)
    register(world, port=81)
    register(world, host="10.0.0.2")
    host = {"namespace": "shop", "service": "cart", "host": "10.0.0.1"}
    assert world.code("POST", f"{INSTANCES}/delete/host", [host]) == 200000
    assert [i["host"] for i in listed(world)] == ["10.0.0.2"]


INSTANCE_FILTERS = [
    ("service=cart", {80, 81, 82}),
    ("service=ca*", {80, 81, 82, 83}),
    ("service=*&namespace=other", {83}),
    ("namespace=shop", {80, 81, 82}),
    ("host=10.0.0.1", {80, 81}),
    ("host=10.0.0.1,+10.0.0.2", {80, 81, 82}),
    ("host=10.0.0.1&port=81", {81}),
    ("port=x&service=cart", {80, 81, 82}),
    ("keys=a&values=b", {80}),
    ("keys=a,e&values=b,f", {80}),
    ("keys=a&keys=e&values=b&values=f", {80}),
    ("keys=a&values=zz", set()),
    ("protocol=grpc", {81}),
    ("version=2", {81}),
    ("weight=7", {81}),
    ("logic_set=l", {81}),
    ("priority=1", {81}),
    ("cmdb_region=r", {82}),
    ("cmdb_region=r&cmdb_zone=z&cmdb_idc=c", {82}),
    ("cmdb_idc=zz", set()),
    ("healthy=false", {82}),
    ("healthy=true&health_status=false", {80, 81, 83}),
    ("health_status=0", {82}),
    ("isolate=true", {83}),
    ("isolate=maybe&service=cart", {80, 81, 82}),
    ("id=given", {83}),
    ("id=giv*", {83}),
    ("service=cart&offset=1&limit=1", {81}),
    ("service=cart&limit=0", set()),
    ("service=cart&offset=9", set()),
]


@pytest.mark.parametrize(("query", "ports"), INSTANCE_FILTERS)
def test_instances_by_filter(world: World, query: str, ports: set[int]) -> None:
    register(world, metadata={"a": "b", "e": "f"})
    world.clock.now_ms += 1000
    register(world, port=81, protocol="grpc", version="2", weight=7, logic_set="l", priority=1)
    world.clock.now_ms += 1000
    location = {"region": "r", "zone": "z", "campus": "c"}
    register(world, host="10.0.0.2", port=82, location=location, healthy=False)
    register(world, namespace="other", service="cat", host="10.0.0.3", port=83, id="given", isolate=True)
    answer = world.call("GET", f"{INSTANCES}?{query}")
    assert {i["port"] for i in answer["instances"]} == ports
    assert answer["size"] == len(ports)
    assert answer["amount"] >= answer["size"]


def test_lists_say_when_an_instance_was_heard_of_and_at_which_revision_the_service_is(world: World) -> None:
    register(world, health_check={"heartbeat": {"ttl": 5}})
    register(world, port=81)
    answer = world.call("GET", f"{INSTANCES}?service=cart&show_last_heartbeat=true&show_service_revision=true")
    beats = {i["port"]: i["metadata"].get("last-heartbeat-timestamp") for i in answer["instances"]}
    assert beats == {80: str(world.clock.now_ms // 1000), 81: None}
    assert [s["name"] for s in answer["services"]] == ["cart"]


def test_keys_that_discover_copies_are_not_listed(world: World) -> None:
    register(world, version="1", protocol="grpc", location={"region": "r"})
    assert listed(world)[0]["metadata"] == {}
    assert {"version", "protocol", "region"} <= set(discovered(world)[0]["metadata"])
    labels = world.call("GET", f"{INSTANCES}/labels?namespace=shop&service=cart")["instanceLabels"]["labels"]
    assert labels["version"]["values"] == ["1"]
    id = world.call("GET", f"{SERVICES}?name=cart")["services"][0]["id"]
    assert world.call("GET", f"{INSTANCES}/labels?service_id={id}")["instanceLabels"]["labels"] == labels


# ---------------------------------------------------------------------- counts


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["register", "foreign", "isolate", "restore", "delete", "time"]), st.integers(0, 2)),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(ACTIONS)
def test_counts_are_those_of_the_lists(actions: list[tuple[str, int]]) -> None:
    world = World()
    world.call("GET", f"{INSTANCES}/count")
    for action, n in actions:
        place = {**AT, "port": 80 + n}
        match action:
            case "register":
                register(world, port=80 + n, health_check={"heartbeat": {"ttl": 1}})
            case "foreign":
                r = Registration(
                    "eureka", "shop", f"i{n}", "cart", "10.0.0.1", 80 + n, liveness=Lease(1000, 3000, 6000)
                )
                world.answer_all([world.registry.register(r, CALLER).commit])
            case "isolate":
                world.call("PUT", INSTANCES, [{**place, "isolate": True}])
            case "restore":
                world.call("PUT", INSTANCES, [{**place, "isolate": False}])
            case "delete":
                world.call("POST", f"{INSTANCES}/delete", [place])
            case "time":
                world.pass_time(2)
    found = listed(world)
    serving = [i for i in found if i["healthy"] and not i["isolate"]]
    assert world.call("GET", f"{INSTANCES}/count")["amount"] == len(found)
    for service in world.call("GET", f"{SERVICES}?name=cart")["services"]:
        assert (service["total_instance_count"], service["healthy_instance_count"]) == (len(found), len(serving))


# ---------------------------------------------------------------------- many


def test_a_search_through_many_instances_is_done_in_slices(world: World) -> None:
    rows = [
        Registration("polaris", "shop", f"{n:040x}", "cart", f"10.0.{n // 256}.{n % 256}", 80, ext=Document())
        for n in range(1500)
    ]
    for r in rows:
        world.registry.register(r, CALLER)
    world.queue.settle()
    reply = world.http.handle(Request("GET", INSTANCES, "service=cart&offset=1400&limit=100", (), b"", "10.9.9.9"))
    assert not isinstance(reply, Response), "nobody waits for it"
    answer = world.call("GET", f"{INSTANCES}?service=cart&offset=1400&limit=100")
    assert (answer["amount"], answer["size"]) == (1500, 100)
    assert [i["id"] for i in answer["instances"]] == [f"{n:040x}" for n in reversed(range(100))]
    labels = world.call("GET", f"{INSTANCES}/labels?namespace=shop&service=cart")
    assert labels["instanceLabels"]["labels"] == {}


def test_the_revision_of_a_service_that_nobody_read_is_made_in_slices(world: World) -> None:
    for n in range(1500):
        r = Registration("polaris", "shop", f"{n:040x}", "cart", f"10.0.{n // 256}.{n % 256}", 80, ext=Document())
        world.registry.register(r, CALLER)
    world.queue.settle()
    encoded: list[int] = []
    view = world.service.discovering._views.of(ServiceKey("shop", "cart"))
    reply = world.http.handle(
        Request("GET", INSTANCES, "service=cart&namespace=shop&show_service_revision=true", (), b"", "10.9.9.9")
    )
    assert not isinstance(reply, Response)
    found: list[Response] = []
    reply.then(found.append)
    while not found:
        before = view.outdated
        world.queue.step()
        encoded.append(before - view.outdated)
    assert sum(encoded) == 1500
    assert max(encoded) < 1500
    revision = document(found[0])["services"][0]["revision"]
    asked = {"type": "INSTANCE", "service": {"name": "cart", "namespace": "shop"}}
    assert world.call("POST", "/v1/Discover", asked)["service"]["revision"] == revision


def test_all_services_are_listed_in_slices_when_there_are_many(world: World) -> None:
    for n in range(1001):
        world.registry.put_service(ServiceRecord("shop", f"s{n}", metadata={"n": str(n)}), CALLER)
    world.queue.settle()
    assert not isinstance(world.http.handle(Request("GET", f"{SERVICES}/all", "", (), b"", "10.9.9.9")), Response)
    answer = world.call("GET", f"{SERVICES}/all?namespace=shop")
    assert (answer["amount"], answer["size"]) == (1001, 1001)
    assert {s["name"]: s["metadata"] for s in answer["services"]} == {f"s{n}": {"n": str(n)} for n in range(1001)}
    assert world.call("GET", f"{SERVICES}/all?namespace=zz")["services"] == []
