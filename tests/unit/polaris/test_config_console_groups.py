"""Groups of configuration files as a console makes, changes and lists them. Answers were seen on polaris-server 1.19."""

from __future__ import annotations

import pytest
from config_console import OK, Console, F, G

from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.core.terms import Terms


@pytest.fixture
def world() -> Console:
    return Console()


def test_a_group_as_it_is_shown(world: Console) -> None:
    sent = {"name": "g", "namespace": "d", "comment": "c", "business": "b", "department": "x", "metadata": {"a": "1"}}
    answer = world.call("POST", G, {**sent, "owner": "me"})
    assert answer == {
        "code": OK, "info": "execute success", "configFileGroup": None, "configFile": None, "configFileRelease": None,
        "configFileReleaseHistory": None, "configFileTemplate": None,
    }  # fmt: skip
    world.file()
    listed = world.get(G)
    assert {name: listed[name] for name in listed if name != "configFileGroups"} == {
        "code": OK, "info": "execute success", "total": 1, "configFiles": [], "configFileReleases": [],
        "configFileReleaseHistories": [], "configFileTemplates": [],
    }  # fmt: skip
    [group] = listed["configFileGroups"]
    assert group.pop("id").isdigit()
    assert group.pop("createTime") == group.pop("modifyTime") != ""
    assert group == {
        **sent, "createBy": "Polaris", "modifyBy": "Polaris", "fileCount": "1", "user_ids": [], "group_ids": [],
        "remove_user_ids": [], "remove_group_ids": [], "editable": True, "owner": "me", "deleteable": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({}, 400801),
        ({"namespace": "d"}, 400801),
        ({"name": "g"}, 400110),
        ({"name": "g g", "namespace": "d"}, 400801),
        ({"name": "g", "namespace": "d 1"}, 400110),
        ({"name": "g" * 129, "namespace": "d"}, 400801),
        ({"name": "g", "namespace": "d" * 65}, 400110),
        ({"name": "g", "namespace": "d", "metadata": {str(n): "x" for n in range(65)}}, 400150),
    ],
)
def test_what_is_no_group(world: Console, sent: object, code: int) -> None:
    answer = world.send("POST", G, sent)
    assert answer.status == 400
    assert world.code("POST", G, sent) == code
    assert world.get(G)["total"] == 0


def test_a_group_is_made_once(world: Console) -> None:
    assert world.code("POST", G, {"name": "g", "namespace": "d"}) == OK
    assert world.code("POST", G, {"name": "g", "namespace": "d"}) == 400201
    assert world.code("GET", "/core/v1/namespaces") == OK
    assert [n["name"] for n in world.call("GET", "/core/v1/namespaces?name=d")["namespaces"]] == ["d"]


def test_a_namespace_that_may_not_be_made() -> None:
    world = Console(terms=Terms(auto_create_namespace=False))
    assert world.code("POST", G, {"name": "g", "namespace": "d"}) == 400305
    world.file(code=400305)
    assert world.get(G)["total"] == 0


def test_a_change_replaces_what_is_given_and_keeps_owner_and_metadata(world: Console) -> None:
    world.call("POST", G, {"name": "g", "namespace": "d", "owner": "me", "business": "b", "metadata": {"a": "1"}})
    assert world.code("PUT", G, {"name": "g", "namespace": "d", "comment": "2"}) == OK
    [group] = world.get(G)["configFileGroups"]
    assert (group["comment"], group["business"], group["owner"], group["metadata"]) == ("2", "", "me", {"a": "1"})
    assert world.code("PUT", G, {"name": "g", "namespace": "d", "comment": "2"}) == 200002
    assert world.code("PUT", G, {"name": "other", "namespace": "d"}) == 400202
    assert world.code("PUT", G, {"namespace": "d"}) == 400801
    metadata = {"internal-3rd-platform": "k8s"}
    assert world.code("PUT", G, {"name": "g", "namespace": "d", "metadata": metadata}) == OK
    [group] = world.get(G)["configFileGroups"]
    assert (group["metadata"], group["editable"], group["deleteable"]) == (metadata, False, True)


def test_a_group_with_files_stays(world: Console) -> None:
    world.file()
    assert world.code("DELETE", f"{G}?namespace=d&group=g") == 400201
    assert world.code("DELETE", f"{F}?namespace=d&group=g&name=a.yaml") == OK
    assert world.code("DELETE", f"{G}?namespace=d&group=g") == OK
    assert world.code("DELETE", f"{G}?namespace=d&group=g") == 400202
    assert world.code("DELETE", G) == 400110
    assert world.code("DELETE", f"{G}?namespace=d") == 400801


def test_a_namespace_with_groups_stays(world: Console) -> None:
    world.call("POST", G, {"name": "g", "namespace": "d"})
    for path in ("/core/v1/namespaces/delete", "/naming/v1/namespaces/delete"):
        answer = world.call("POST", path, [{"name": "d"}])
        assert (answer["code"], answer["responses"][0]["code"]) == (400219, 400219)
    world.call("DELETE", f"{G}?namespace=d&group=g")
    assert world.code("POST", "/core/v1/namespaces/delete", [{"name": "d"}]) == OK


def test_filters_order_and_pages(world: Console) -> None:
    for n, (namespace, name) in enumerate((("d", "one"), ("d", "two"), ("e", "three"))):
        world.call("POST", G, {"name": name, "namespace": namespace, "business": f"b{n}", "department": "x"})
        world.pass_time(1)

    def names(**query: str) -> list[str]:
        answer = world.get(G, **query)
        assert answer["code"] == OK
        return [group["name"] for group in answer["configFileGroups"]]

    assert names() == ["three", "two", "one"], "the one changed last comes first"
    world.call("PUT", G, {"name": "one", "namespace": "d", "comment": "changed"})
    assert names() == ["one", "three", "two"]
    assert names(order_type="desc") == ["two", "three", "one"]
    assert names(order_field="name") == ["one", "three", "two"]
    assert names(order_field="name", order_type="desc") == ["two", "three", "one"]
    assert names(namespace="d", order_field="name") == ["one", "two"]
    assert names(group="t*", order_field="name") == names(name="t*", order_field="name") == ["three", "two"]
    assert names(name="*e", order_field="name") == ["one", "three"]
    assert names(name="*w*") == ["two"]
    assert names(business="b1", department="x") == ["two"]
    assert names(name="", bogus="1", order_field="name") == ["one", "three", "two"]
    assert names(order_field="name", limit="1", offset="1") == ["three"]
    assert names(limit="0") == []
    assert world.get(G, limit="0")["total"] == 3


@pytest.mark.parametrize(
    ("query", "info"),
    [
        ("limit=abc", 'strconv.ParseUint: parsing "abc": invalid syntax'),
        ("offset=-1", 'strconv.ParseUint: parsing "-1": invalid syntax'),
        ("offset=99999999999", 'strconv.ParseUint: parsing "99999999999": value out of range'),
        ("offset=%2B1", 'strconv.ParseUint: parsing "+1": invalid syntax'),
    ],
)
@pytest.mark.parametrize("path", [G, f"{F}/search", f"{F}/by-group", f"{F}/releases", f"{F}/releasehistory"])
def test_pages_that_are_no_numbers(world: Console, path: str, query: str, info: str) -> None:
    answer = world.call("GET", f"{path}?{query}")
    assert (answer["code"], answer["info"], answer["total"]) == (400000, info, None)


def test_bodies_that_cannot_be_read(world: Console) -> None:
    for method in ("POST", "PUT"):
        answer = world.call(method, G, b"{bad")
        assert answer["code"] == 400001
        assert answer["info"].startswith("request decode failed:") == (method == "POST")
        assert set(answer) == set(world.call("POST", G, {}))


def test_the_centre_can_be_switched_off() -> None:
    world = Console(PolarisSettings(config_open=False))
    assert [route.path for route in world.http.routes if route.path.startswith("/config/")] == []
    assert world.send("GET", G).status == 404
