"""Groups of configuration files as resources: who may do what with which, what lists leave out, who owns what is made."""

from __future__ import annotations

from typing import Any

import pytest
from bottle import CALLER
from config_console import F, G, R, zipped
from config_native import draft
from guarded import MAIN, Guarded
from msgspec import structs

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.auth.values import User
from polaris_bridge.core.config.model import FileKey
from polaris_bridge.runtime.configcentre import equip

REFUSED = 401001
OK = 200000


class World(Guarded):
    """Two groups of the main user's: ``d/one`` and ``d/two``, a file in each."""

    def __init__(self) -> None:
        super().__init__()
        equip(self.registry.config, None, True)
        for group in ("one", "two"):
            assert self.write(group, MAIN.token) == OK
            assert (
                self.ask("POST", R, {"namespace": "d", "group": group, "file_name": "f", "name": group})["code"] == OK
            )

    def write(self, group: str, token: str, name: str = "f") -> int:
        return self.code_of("POST", F, {"namespace": "d", "group": group, "name": name, "content": group}, token)

    def group_id(self, name: str) -> str:
        [group] = self.ask("GET", f"{G}?name={name}")["configFileGroups"]
        return str(group["id"])

    def may(self, user: User, functions: list[str], *groups: str) -> str:
        """A policy about groups by their ids."""
        entries = [{"id": self.group_id(name)} for name in groups]
        return self.policy(
            f"policy-{user.name}-{len(groups)}",
            principals={"users": [{"id": user.id}]},
            resources={"config_groups": entries},
            functions=functions,
        )


@pytest.fixture
def world() -> World:
    return World()


def seen(world: World, token: str) -> list[set[str]]:
    """The groups that somebody sees in each list."""
    found = []
    for path in (G, f"{F}/search", f"{F}/releases", f"{F}/releasehistory"):
        answer = world.ask("GET", path, token=token)
        assert answer["code"] == OK, path
        [items] = [value for value in answer.values() if isinstance(value, list) and value] or [[]]
        assert answer["total"] == len(items)
        found.append({item["name"] if path == G else item["group"] for item in items})
    return found


def test_lists_show_what_their_reader_may_see(world: World) -> None:
    ann = world.user("ann")
    assert world.code_of("GET", G, token=ann.token) == REFUSED
    world.may(ann, ["*"], "one")
    assert seen(world, ann.token) == [{"one"}] * 4
    assert seen(world, MAIN.token) == [{"one", "two"}] * 4
    versions = f"{R}/versions?namespace=d&group=two&file_name=f"
    assert world.ask("GET", versions, token=ann.token)["total"] == 0
    assert world.ask("GET", versions)["total"] == 1


def test_a_group_says_what_its_reader_may_do(world: World) -> None:
    ann = world.user("ann")
    world.may(ann, ["Describe*", "DeleteConfigFileGroup"], "one")
    [group] = world.ask("GET", G, token=ann.token)["configFileGroups"]
    assert (group["name"], group["editable"], group["deleteable"]) == ("one", False, True)


def test_calls_are_judged_by_their_group(world: World) -> None:
    ann = world.user("ann")
    world.may(ann, ["*"], "one")
    named = {"namespace": "d", "name": "f", "file_name": "f"}
    for group, refused in (("one", False), ("two", True)):
        query = f"namespace=d&group={group}&name=f"
        release = [{"namespace": "d", "group": group, "fileName": "f", "name": "none"}]
        for method, path, body in (
            ("GET", f"{F}?{query}", None),
            ("GET", f"{R}?{query}", None),
            ("GET", f"{F}/releases/diff?{query}&file_name=f", None),
            ("PUT", F, {"namespace": "d", "group": group, "name": "f", "content": group}),
            ("POST", F, {**named, "group": group}),
            ("POST", R, {**named, "group": group}),
            ("POST", f"{F}/createandpub", {**named, "group": group}),
            ("POST", f"{F}/export", {"namespace": "d", "groups": ["one", group], "names": []}),
            ("POST", f"{F}/batchdelete", [{"namespace": "d", "group": group, "name": "none"}]),
            ("PUT", f"{F}/releases/rollback", release),
            ("POST", f"{F}/releases/delete", release),
            ("POST", f"{F}/releases/stopbeta", release),
            ("PUT", G, {"namespace": "d", "name": group, "comment": "x"}),
            ("DELETE", f"{F}?namespace=d&group={group}&name=none", None),
            ("DELETE", f"{G}?namespace=d&group={group}", None),
        ):
            if path.startswith(f"{F}/export") and not refused:
                continue
            answer = world.ask(method, path, body, ann.token)
            assert (answer["code"] == REFUSED) == refused, (method, path, answer)
    assert world.write("new", ann.token) == REFUSED, "a group that is not there is its namespace's"


def test_who_makes_a_group_owns_it(world: World) -> None:
    ann = world.user("ann")
    world.policy("make", principals={"users": [{"id": ann.id}]}, resources={"namespaces": [{"id": "d"}]},
                 functions=["CreateConfigFileGroup", "Describe*"])  # fmt: skip
    assert world.code_of("POST", G, {"namespace": "d", "name": "mine"}, ann.token) == OK
    [group] = world.ask("GET", f"{G}?name=mine")["configFileGroups"]
    assert (group["createBy"], group["editable"]) == ("ann", True)
    assert world.write("mine", ann.token) == OK
    assert world.write("one", ann.token) == REFUSED
    assert world.code_of("DELETE", f"{F}?namespace=d&group=mine&name=f", token=ann.token) == OK
    assert world.code_of("DELETE", f"{G}?namespace=d&group=mine", token=ann.token) == OK
    assert world.code_of("POST", G, {"namespace": "d", "name": "mine"}) == OK
    assert world.write("mine", ann.token) == REFUSED, "another group of the same name is somebody else's"


def test_a_group_is_given_away_with_the_call_that_changes_it(world: World) -> None:
    ann = world.user("ann")
    change: dict[str, Any] = {"namespace": "d", "name": "one", "comment": "1", "user_ids": [ann.id]}
    assert world.code_of("PUT", G, change) == OK
    assert world.write("one", ann.token, "g") == OK
    change = {"namespace": "d", "name": "one", "comment": "2", "remove_user_ids": [ann.id]}
    assert world.code_of("PUT", G, change) == OK
    assert world.write("one", ann.token, "h") == REFUSED


def test_policies_show_groups_by_id_and_name(world: World) -> None:
    ann = world.user("ann")
    id = world.may(ann, ["*"], "one")
    shown = world.ask("GET", f"/core/v1/auth/strategy/detail?id={id}")["authStrategy"]["resources"]["config_groups"]
    assert shown == [{"id": world.group_id("one"), "namespace": "d", "name": "one"}]


def test_an_archive_is_judged_by_the_groups_in_it(world: World) -> None:
    ann = world.user("ann")
    world.may(ann, ["*"], "one")

    def upload(files: dict[str, str | bytes], query: str) -> int:
        body = b'--m\r\nContent-Disposition: form-data; name="config"; filename="a.zip"\r\n\r\n'
        headers = [(b"content-type", b"multipart/form-data; boundary=m"), (b"x-polaris-token", ann.token.encode())]
        whole = body + zipped(files) + b"\r\n--m--\r\n"
        reply = world.http.handle(Request("POST", f"{F}/import", query, headers, whole, "10.9.9.9"))
        found: list[Response] = []
        if isinstance(reply, Response):
            found.append(reply)
        else:
            reply.then(found.append)
        world.queue.settle()
        [answer] = found
        return answer.status

    assert upload({"x/new": "1"}, "namespace=d&group=one") == 200
    assert upload({"x/new": "1"}, "namespace=d&group=two") == 401
    assert upload({"one/more": "1"}, "namespace=d") == 200
    assert upload({"one/most": "1", "two/new": "1"}, "namespace=d") == 401
    assert [f["name"] for f in world.ask("GET", f"{F}/search?namespace=d")["configFiles"]] == ["more", "new", "f", "f"]


def test_algorithms_are_told_to_everybody(world: World) -> None:
    assert world.ask("GET", f"{F}/encryptalgorithm", token="")["algorithms"] == ["AES"]


@pytest.mark.parametrize("path", ["configfilegroups", "configfiles/releases", "configfiles/releasehistory"])
def test_refusals_have_the_shape_of_the_answer(world: World, path: str) -> None:
    answer = world.ask("GET", f"/config/v1/{path}", token="")
    assert (answer["code"], answer["info"], answer["total"]) == (REFUSED, "access is not approved", None)
    answer = world.ask("POST", f"{F}/export", {"namespace": "d", "groups": ["one"]}, "")
    assert (answer["code"], answer["data"]) == (REFUSED, None)
    assert world.ask("PUT", f"{F}/releases/rollback", [{}], "")["total"] is None


def test_a_group_that_a_native_client_made_belongs_to_the_same_name(world: World) -> None:
    """Not to the account's id: both ways show who made it alike."""
    assert world.code_of("POST", F, {"namespace": "d", "group": "by-hand", "name": "f", "content": "1"}) == OK
    asks = structs.replace(CALLER, principal=MAIN.id)
    for made in (
        world.service.config.create(draft("1", FileKey("d", "created", "f")), asks),
        world.service.config.upsert_and_publish(
            v1.ConfigFilePublishInfo(
                namespace={"value": "d"}, group={"value": "upserted"}, file_name={"value": "f"}, content={"value": "1"}
            ),
            asks,
        ),
    ):
        assert made.response.code.value == OK
    world.queue.settle()
    owners = {one["name"]: one["owner"] for one in world.ask("GET", G)["configFileGroups"]}
    assert owners["created"] == owners["upserted"] == owners["by-hand"] == MAIN.name
