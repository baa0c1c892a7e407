"""Every code that console calls on namespaces, services, aliases and instances are answered with."""

from __future__ import annotations

from typing import Any

import pytest
from http_world import World

from polaris_bridge.core.terms import Terms

NS = "/naming/v1/namespaces"
CORE = "/core/v1/namespaces"
SERVICES = "/naming/v1/services"
ALIAS = "/naming/v1/service/alias"
ALIASES = "/naming/v1/service/aliases"
INSTANCES = "/naming/v1/instances"

SHOP = {"namespace": "shop", "name": "cart"}
AT = {"namespace": "shop", "service": "cart", "host": "10.0.0.1", "port": 80}
NAMED = {"service": "cart", "namespace": "shop", "alias": "cart-2", "alias_namespace": "shop"}
MANY = {f"k{n}": "v" for n in range(65)}


@pytest.fixture
def world() -> World:
    """Namespace shop with the service cart, its alias basket and one instance; and a service without any."""
    world = World()
    for method, path, body in (
        ("POST", NS, [{"name": "shop"}, {"name": "bare"}]),
        ("POST", SERVICES, [SHOP, {"namespace": "shop", "name": "till"}]),
        ("POST", INSTANCES, [AT]),
        ("POST", ALIAS, {**NAMED, "alias": "basket"}),
    ):
        assert world.code(method, path, body) == 200000
    return world


def text(length: int) -> str:
    return "x" * length


BATCHES = [
    # method, path, an item that is fine
    ("POST", NS, {"name": "new"}),
    ("POST", f"{NS}/delete", {"name": "bare"}),
    ("PUT", NS, {"name": "shop"}),
    ("POST", CORE, {"name": "new"}),
    ("POST", f"{CORE}/delete", {"name": "bare"}),
    ("PUT", CORE, {"name": "shop"}),
    ("POST", SERVICES, {"namespace": "shop", "name": "new"}),
    ("POST", f"{SERVICES}/delete", {"namespace": "shop", "name": "till"}),
    ("PUT", SERVICES, {**SHOP, "comment": "c"}),
    ("POST", f"{ALIASES}/delete", {"alias": "basket", "alias_namespace": "shop"}),
    ("POST", INSTANCES, {**AT, "port": 81}),
    ("POST", f"{INSTANCES}/delete", AT),
    ("POST", f"{INSTANCES}/delete/host", AT),
    ("PUT", INSTANCES, {**AT, "weight": 7}),
    ("PUT", f"{INSTANCES}/isolate/host", {**AT, "isolate": True}),
]


@pytest.mark.parametrize(("method", "path", "fine"), BATCHES)
def test_batches_hold_one_to_a_hundred_items(world: World, method: str, path: str, fine: dict[str, Any]) -> None:
    assert world.code(method, path, []) == 400002
    assert world.call(method, path, [fine] * 101) | {"info": ""} == {
        "code": 400003, "info": "", "size": 0, "responses": [],
    }  # fmt: skip
    assert world.code(method, path, b"{") == 400001
    assert world.code(method, path, b"{}") == 400001
    assert world.code(method, path, [fine]) == 200000


CODES = [
    # namespaces
    ("POST", NS, {"name": ""}, 400110),
    ("POST", NS, {}, 400110),
    ("POST", NS, {"name": "a b"}, 400110),
    ("POST", NS, {"name": "a\n"}, 400110),
    ("POST", NS, {"name": "ä"}, 400110),
    ("POST", NS, {"name": text(65)}, 400110),
    ("POST", NS, {"name": text(64)}, 200000),
    ("POST", NS, {"name": "shop"}, 400201),
    ("POST", NS, {"name": "new", "metadata": MANY}, 400150),
    ("POST", NS, {"name": "new", "comment": text(1025)}, 400103),
    ("POST", NS, {"name": "new", "owners": text(1025)}, 400111),
    ("PUT", NS, {"name": "zz"}, 400202),
    ("PUT", NS, {"name": "?"}, 400110),
    ("POST", f"{NS}/delete", {"name": "zz"}, 200000),
    ("POST", f"{NS}/delete", {"name": "shop"}, 400203),
    ("POST", f"{NS}/delete", {"name": "?"}, 400110),
    # services
    ("POST", SERVICES, {"namespace": "shop"}, 400120),
    ("POST", SERVICES, {"namespace": "shop", "name": "a@b"}, 400120),
    ("POST", SERVICES, {"namespace": "shop", "name": text(129)}, 400120),
    ("POST", SERVICES, {"namespace": "shop", "name": text(128)}, 200000),
    ("POST", SERVICES, {"name": "a"}, 400110),
    ("POST", SERVICES, {"namespace": "a b", "name": "a"}, 400110),
    ("POST", SERVICES, {"namespace": text(65), "name": "a"}, 400110),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "metadata": MANY}, 400150),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "metadata": {text(129): ""}}, 400150),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "metadata": {"a": text(4097)}}, 400150),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "metadata": {text(128): text(4096)}}, 200000),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "ports": text(8193)}, 400124),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "business": text(129)}, 400125),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "department": text(1025)}, 400126),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "cmdb_mod1": text(1025)}, 400127),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "cmdb_mod2": text(1025)}, 400127),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "cmdb_mod3": text(1025)}, 400127),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "comment": text(1025)}, 400128),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "owners": text(1025)}, 400121),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "token": text(2049)}, 400122),
    ("POST", SERVICES, {"namespace": "shop", "name": "a", "platform_id": text(33)}, 400180),
    ("POST", SERVICES, {"namespace": "fresh", "name": "a"}, 200000),
    ("POST", SERVICES, SHOP, 400201),
    ("POST", SERVICES, {"namespace": "shop", "name": "basket"}, 400201),
    ("PUT", SERVICES, {"namespace": "shop", "name": "zz"}, 400202),
    ("PUT", SERVICES, {**SHOP, "comment": "new"}, 200000),
    ("PUT", SERVICES, SHOP, 200002),
    ("PUT", SERVICES, {**SHOP, "metadata": MANY}, 400150),
    ("PUT", SERVICES, {"namespace": "shop", "name": "basket", "comment": "c"}, 400501),
    ("POST", f"{SERVICES}/delete", SHOP, 400204),
    ("POST", f"{SERVICES}/delete", {"namespace": "shop", "name": "zz"}, 200000),
    ("POST", f"{SERVICES}/delete", {"namespace": "shop", "name": "basket"}, 200000),
    ("POST", f"{SERVICES}/delete", {"namespace": "shop", "name": ""}, 400120),
    # aliases
    ("POST", f"{ALIASES}/delete", {"alias": "zz", "alias_namespace": "shop"}, 400304),
    ("POST", f"{ALIASES}/delete", {"alias": "cart", "alias_namespace": "shop"}, 400304),
    ("POST", f"{ALIASES}/delete", {"alias_namespace": "shop"}, 400133),
    ("POST", f"{ALIASES}/delete", {"alias": "basket"}, 400134),
    # instances: as RegisterInstance
    ("POST", INSTANCES, {**AT, "metadata": MANY}, 400150),
    ("POST", INSTANCES, {**AT, "service": text(129)}, 400120),
    ("POST", INSTANCES, {**AT, "namespace": text(65)}, 400110),
    ("POST", INSTANCES, {**AT, "host": text(129)}, 400131),
    ("POST", INSTANCES, {**AT, "protocol": text(33)}, 400136),
    ("POST", INSTANCES, {**AT, "version": text(33)}, 400137),
    ("POST", INSTANCES, {**AT, "logic_set": text(129)}, 400138),
    ("POST", INSTANCES, {**AT, "port": 65536}, 400132),
    ("POST", INSTANCES, {**AT, "weight": 65536}, 400103),
    ("POST", INSTANCES, {**AT, "host": ""}, 400131),
    ("POST", INSTANCES, {key: AT[key] for key in ("namespace", "service", "host")}, 400132),
    ("POST", INSTANCES, {**AT, "service": "basket"}, 400000),
    ("POST", INSTANCES, AT, 200000),
    ("POST", f"{INSTANCES}/delete", {**AT, "port": 99}, 200000),
    ("POST", f"{INSTANCES}/delete", {"id": "zz"}, 200000),
    ("POST", f"{INSTANCES}/delete", {"id": ""}, 400130),
    ("POST", f"{INSTANCES}/delete", {"host": "10.0.0.1"}, 400120),
    ("POST", f"{INSTANCES}/delete/host", {**AT, "service": "zz"}, 400301),
    ("POST", f"{INSTANCES}/delete/host", {**AT, "service": "basket"}, 400301),
    ("POST", f"{INSTANCES}/delete/host", {**AT, "host": "10.0.0.9"}, 200000),
    ("POST", f"{INSTANCES}/delete/host", {**AT, "host": ""}, 400131),
    ("POST", f"{INSTANCES}/delete/host", {**AT, "service": ""}, 400120),
    ("POST", f"{INSTANCES}/delete/host", {**AT, "namespace": ""}, 400110),
    ("PUT", INSTANCES, {**AT, "port": 99}, 400303),
    ("PUT", INSTANCES, {"id": "zz"}, 400303),
    ("PUT", INSTANCES, {"id": ""}, 400130),
    ("PUT", INSTANCES, AT, 200002),
    ("PUT", INSTANCES, {**AT, "weight": 100, "healthy": True, "isolate": False, "metadata": {}}, 200002),
    ("PUT", INSTANCES, {**AT, "metadata": MANY}, 400150),
    ("PUT", INSTANCES, {**AT, "weight": 65536}, 400103),
    ("PUT", f"{INSTANCES}/isolate/host", AT, 400139),
    ("PUT", f"{INSTANCES}/isolate/host", {}, 400139),
    ("PUT", f"{INSTANCES}/isolate/host", {**AT, "isolate": False}, 200002),
    ("PUT", f"{INSTANCES}/isolate/host", {**AT, "isolate": True, "service": "zz"}, 400301),
    ("PUT", f"{INSTANCES}/isolate/host", {**AT, "isolate": True, "host": "10.0.0.9"}, 400303),
    ("PUT", f"{INSTANCES}/isolate/host", {**AT, "isolate": True, "host": ""}, 400131),
]


@pytest.mark.parametrize(("method", "path", "item", "code"), CODES)
def test_an_item_is_answered_with_its_code(
    world: World, method: str, path: str, item: dict[str, Any], code: int
) -> None:
    answer = world.call(method, path, [item])
    assert (answer["code"], answer["size"], len(answer["responses"])) == (code, 1, 1)
    assert answer["responses"][0]["code"] == code
    assert answer["info"]
    if path == NS or path.startswith(f"{NS}/"):
        assert world.code(method, path.replace(NS, CORE), [item]) in (code, 400201, 200000)


ONES = [
    ("POST", ALIAS, NAMED, 200000),
    ("POST", ALIAS, {**NAMED, "service": ""}, 400120),
    ("POST", ALIAS, {**NAMED, "namespace": "a b"}, 400110),
    ("POST", ALIAS, {**NAMED, "alias_namespace": ""}, 400110),
    ("POST", ALIAS, {**NAMED, "alias": "a b"}, 400133),
    ("POST", ALIAS, {**NAMED, "alias": text(129)}, 400133),
    ("POST", ALIAS, {**NAMED, "alias_namespace": text(65)}, 400134),
    ("POST", ALIAS, {**NAMED, "comment": text(1025)}, 400129),
    ("POST", ALIAS, {**NAMED, "owners": text(1025)}, 400135),
    ("POST", ALIAS, {**NAMED, "service": "zz"}, 400301),
    ("POST", ALIAS, {**NAMED, "service": "basket"}, 400504),
    ("POST", ALIAS, {**NAMED, "alias": "basket"}, 400201),
    ("POST", ALIAS, {**NAMED, "alias": "cart"}, 400201),
    ("POST", ALIAS, {**NAMED, "alias": "", "type": "CL5SID"}, 400134),
    ("POST", ALIAS, {**NAMED, "alias": "", "alias_namespace": "Test", "type": 1}, 200000),
    ("PUT", ALIAS, {**NAMED, "alias": "basket"}, 200002),
    ("PUT", ALIAS, {**NAMED, "alias": "basket", "comment": "c"}, 200000),
    ("PUT", ALIAS, {**NAMED, "alias": "basket", "service": "till"}, 200000),
    ("PUT", ALIAS, {**NAMED, "alias": "zz"}, 400304),
    ("PUT", ALIAS, {**NAMED, "alias": "cart"}, 400304),
    ("PUT", ALIAS, {**NAMED, "alias": "basket", "service": "zz"}, 400301),
    ("PUT", ALIAS, {**NAMED, "alias": "basket", "service": "basket"}, 400504),
    ("PUT", ALIAS, {**NAMED, "alias": ""}, 400133),
    ("PUT", ALIAS, {**NAMED, "alias": "basket", "service": ""}, 400120),
    ("PUT", ALIAS, {**NAMED, "alias": "basket", "namespace": ""}, 400110),
    ("PUT", "/naming/v1/service/token", SHOP, 200000),
    ("PUT", "/naming/v1/service/token", {**SHOP, "name": "zz"}, 400202),
    ("PUT", "/naming/v1/service/token", {**SHOP, "name": ""}, 400120),
    ("PUT", "/naming/v1/namespace/token", {"name": "shop"}, 200000),
    ("PUT", "/naming/v1/namespace/token", {"name": "zz"}, 400202),
    ("PUT", "/core/v1/namespaces/token", {"name": ""}, 400110),
    ("GET", "/naming/v1/service/token?name=cart&namespace=shop", None, 200000),
    ("GET", "/naming/v1/service/token?name=basket&namespace=shop", None, 200000),
    ("GET", "/naming/v1/service/token?name=cart", None, 400110),
    ("GET", "/naming/v1/service/token?name=zz&namespace=shop", None, 400202),
    ("GET", "/naming/v1/namespace/token?name=shop", None, 200000),
    ("GET", "/core/v1/namespaces/token?name=zz", None, 400202),
    ("GET", "/core/v1/namespaces/token", None, 400110),
    ("POST", ALIAS, b"[]", 400001),
    ("POST", ALIAS, b"", 400001),
]  # fmt: skip


@pytest.mark.parametrize(("method", "target", "body", "code"), ONES)
def test_a_single_call_is_answered_with_its_code(world: World, method: str, target: str, body: Any, code: int) -> None:
    assert world.code(method, target, body) == code


QUERIES = [
    (f"{NS}?limit=x", 400103),
    (f"{NS}?offset=-1", 400103),
    (f"{NS}?limit=1&limit=2", 400103),
    (f"{NS}?offset=999&limit=1000", 200000),
    (f"{NS}?anything=1", 200000),
    (f"{SERVICES}?limit=x", 400103),
    (f"{SERVICES}?offset=-1", 400103),
    (f"{SERVICES}?limit=4294967296", 400103),
    (f"{SERVICES}?zz=1", 400103),
    (f"{SERVICES}?name=", 400103),
    (f"{SERVICES}?keys=a&values=", 200000),
    (f"{SERVICES}?port=80", 400103),
    (f"{SERVICES}?host=10.0.0.1&port=x", 400103),
    (f"{SERVICES}?instance_keys=a,b&instance_values=c", 400103),
    (f"{SERVICES}/count", 200000),
    (f"{SERVICES}/all", 200000),
    (ALIASES, 200000),
    (f"{ALIASES}?zz=1", 400103),
    (f"{ALIASES}?limit=x", 400103),
    (INSTANCES, 400104),
    (f"{INSTANCES}?zz=1", 400103),
    (f"{INSTANCES}?service=", 400103),
    (f"{INSTANCES}?keys=a", 400105),
    (f"{INSTANCES}?values=a", 400105),
    (f"{INSTANCES}?keys=a,b&values=c", 400105),
    (f"{INSTANCES}?service=cart&limit=x", 400103),
    (f"{INSTANCES}?service=cart&offset=1e3", 400103),
    (f"{INSTANCES}?service=cart&show_last_heartbeat=true&show_service_revision=true", 200000),
    (f"{INSTANCES}/count", 200000),
    (f"{INSTANCES}/labels", 200000),
]


@pytest.mark.parametrize(("target", "code"), QUERIES)
def test_a_query_is_answered_with_its_code(world: World, target: str, code: int) -> None:
    assert world.code("GET", target) == code


def test_refused_queries_say_what_is_wrong(world: World) -> None:
    assert world.call("GET", f"{SERVICES}?zz=1")["info"] == "invalid parameter: zz is not allowed"
    assert world.call("GET", f"{SERVICES}?name=")["info"] == "invalid parameter: the value for name is empty"


def test_owners_are_a_batch_that_is_answered_as_a_list(world: World) -> None:
    assert world.call("POST", "/naming/v1/service/owner", [])["code"] == 400002
    assert world.call("POST", "/naming/v1/service/owner", [SHOP] * 101)["code"] == 400003
    answer = world.call("POST", "/naming/v1/service/owner", [SHOP, {"namespace": "shop", "name": "zz"}])
    assert [service["name"] for service in answer["services"]] == ["cart"]


def test_a_service_with_aliases_or_route_rules_stays(world: World) -> None:
    assert world.code("POST", f"{INSTANCES}/delete", [AT]) == 200000
    assert world.code("POST", f"{SERVICES}/delete", [SHOP]) == 400210
    assert world.code("POST", f"{ALIASES}/delete", [{"alias": "basket", "alias_namespace": "shop"}]) == 200000
    source, destination = {"namespace": "*", "service": "*"}, {"namespace": "shop", "service": "cart"}
    config = {
        "@type": "type.googleapis.com/v1.RuleRoutingConfig",
        "rules": [{"name": "r", "sources": [source], "destinations": [destination]}],
    }
    rule = {"name": "r", "namespace": "shop", "routing_policy": "RulePolicy", "routing_config": config}
    made = world.call("POST", "/naming/v2/routings", [rule])["responses"][0]["data"]
    assert world.code("POST", f"{SERVICES}/delete", [SHOP]) == 400205
    assert world.code("POST", "/naming/v2/routings/delete", [{"id": made["id"]}]) == 200000
    assert world.code("POST", f"{SERVICES}/delete", [SHOP]) == 200000


def test_what_may_not_be_made_on_the_way() -> None:
    world = World(Terms(auto_create_namespace=False, auto_create_service=False))
    assert world.code("POST", SERVICES, [SHOP]) == 400305
    assert world.code("POST", INSTANCES, [AT]) == 400305
    assert world.code("POST", NS, [{"name": "shop"}]) == 200000
    assert world.code("POST", INSTANCES, [AT]) == 400301
    assert world.code("POST", SERVICES, [SHOP]) == 200000
    assert world.code("POST", INSTANCES, [AT]) == 200000
    assert world.code("POST", ALIAS, {**NAMED, "alias_namespace": "other"}) == 400305


def test_the_code_of_a_batch_is_that_of_its_items_or_the_class_of_the_worst(world: World) -> None:
    new = {"namespace": "shop", "name": "new"}
    mixed = world.call("POST", SERVICES, [new, SHOP])
    assert [item["code"] for item in mixed["responses"]] == [200000, 400201]
    assert (mixed["code"], mixed["size"]) == (400000, 2)
    same = world.call("PUT", SERVICES, [SHOP, new])
    assert (same["code"], same["size"]) == (200002, 2)
    refused = world.call("POST", SERVICES, [{**new, "name": "newer"}, {"name": "a"}, {**new, "name": ""}])
    assert [item["code"] for item in refused["responses"]] == [400110, 400120], "only what is wrong"
    assert (refused["code"], refused["size"]) == (400120, 2)
    assert world.code("PUT", SERVICES, [{**new, "name": "newer"}]) == 400202, "nothing was done"
    fine_and_not = world.call("POST", NS, [{"name": "shop"}, {"name": "fresh"}, {"name": "?"}])
    assert [item["code"] for item in fine_and_not["responses"]] == [400201, 200000, 400110]
    assert fine_and_not["code"] == 400201


def test_two_instances_of_one_id_in_a_batch(world: World) -> None:
    answer = world.call("POST", INSTANCES, [{**AT, "port": 1}, {**AT, "port": 2}, {**AT, "port": 1}])
    assert [item["code"] for item in answer["responses"]] == [200000, 200000, 400208]


def test_a_store_that_takes_nothing_is_told_in_every_item(world: World) -> None:
    world.store.broken = True
    answer = world.call("POST", SERVICES, [{"namespace": "shop", "name": "a"}, SHOP])
    assert [item["code"] for item in answer["responses"]] == [500001, 400201]
    assert answer["code"] == 500001
    world.store.broken = False
    assert world.call("GET", f"{SERVICES}?name=a&namespace=shop")["amount"] == 0
