"""Logins, users, roles and permissions over HTTP, as Nacos answers them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from guarded_nacos import PASSWORD, GuardedNacos, body, document

from polaris_bridge.core.auth.values import ADMINISTRATOR, SUB, Role
from polaris_bridge.core.model import SYSTEM
from polaris_bridge.core.ports import Credential, Undecided

V1, V3 = "/v1/auth/users", "/v3/auth/user"
BAD_PASSWORD = "caused: the password must have 1 to 72 bytes, none of them 0;"


@pytest.fixture
def nacos() -> Iterator[GuardedNacos]:
    world = GuardedNacos()
    yield world
    world.passwords.close()


def _ask(world: GuardedNacos, method: str, path: str, who: str = "root", **parameters: str) -> Any:
    """Status and what was said."""
    response = world.ask(method, path, {"accessToken": world.login(who)}, **parameters)
    text = body(response)
    return response.status, document(response) if text.startswith(("{", "[")) else text


def _logs_in(world: GuardedNacos, name: str, password: str) -> bool:
    """Whether a name and a password prove something to the judge of all protocols."""
    credential = Credential(name, password, address="10.1.1.1")
    for _ in range(3):
        try:
            return world.judge.authenticate(credential) is not None
        except Undecided as undecided:
            done: list[None] = []
            undecided.then(lambda done=done: done.append(None))  # type: ignore[misc]
            while not done:
                world.inbox.get(timeout=60)()
    raise AssertionError("never decided")


# ---------------------------------------------------------------------- logging in


@pytest.mark.parametrize("path", ["/v1/auth/login", "/v1/auth/users/login", "/v3/auth/user/login"])
@pytest.mark.parametrize("auth", [True, False])
def test_login(path: str, auth: bool) -> None:
    """Also when nobody is asked for credentials."""
    world = GuardedNacos(auth=auth)
    response = world.ask("POST", path, username="polaris", password=PASSWORD)
    assert response.status == 200
    said = document(response)
    token = said["accessToken"]
    assert list(said.items()) == [
        ("accessToken", token), ("tokenTtl", 18000), ("globalAdmin", True), ("username", "polaris"),
    ]  # fmt: skip
    assert (b"Authorization", f"Bearer {token}".encode()) in tuple(response.headers)
    assert (b"Content-Type", b"application/json") in tuple(response.headers)
    assert world.ask("POST", path, form=True, username="polaris", password=PASSWORD).status == 200


def test_login_of_a_sub_user(nacos: GuardedNacos) -> None:
    nacos.user("ann")
    said = document(nacos.ask("POST", f"{V1}/login", username="ann", password=PASSWORD))
    assert (said["globalAdmin"], said["username"]) == (False, "ann")


def test_login_with_a_token(nacos: GuardedNacos) -> None:
    token = nacos.login()
    nacos.clock.now_ms += 1_000_000
    said = document(nacos.ask("POST", f"{V1}/login", {"Authorization": f"Bearer {token}"}))
    assert said == {"accessToken": token, "tokenTtl": 17_000, "globalAdmin": True, "username": "polaris"}
    response = nacos.ask("POST", f"{V1}/login", {"Authorization": "Bearer a.b"})
    assert (response.status, body(response)) == (403, "token invalid!")


@pytest.mark.parametrize(
    ("sent", "status", "text"),
    [
        ({"username": "polaris", "password": "wrong-1"}, 403, "user not found!"),
        ({"username": "polaris", "password": ""}, 403, "user not found!"),
        ({"username": "polaris"}, 403, "user not found!"),
        ({"password": PASSWORD}, 403, "user not found!"),
        ({}, 403, "user not found!"),
        ({"username": "nobody", "password": "x"}, 500, "caused: User nobody not found;"),
        ({"username": "<b>", "password": "x"}, 500, "caused: User &lt;b&gt; not found;"),
        ({"username": "polaris", "password": "x" * 100}, 403, "user not found!"),
    ],
)
def test_failed_logins(nacos: GuardedNacos, sent: dict[str, str], status: int, text: str) -> None:
    response = nacos.ask("POST", f"{V1}/login", **sent)
    assert (response.status, body(response)) == (status, text)
    record = nacos.records[-1]
    assert (record.operation, record.resource, record.result) == ("Login", "user", "Denied")
    assert PASSWORD not in repr(record)
    assert "wrong-1" not in repr(record)


def test_two_users_of_one_name(nacos: GuardedNacos) -> None:
    """Each is named with its owner, and its token is its own."""
    nacos.user("second", ADMINISTRATOR, owner="")
    mine, other = nacos.user("ann"), nacos.user("ann", owner="second-of-")
    assert nacos.ask("POST", f"{V1}/login", username="ann", password=PASSWORD).status == 500
    for name, user in (("polaris/ann", mine), ("second/ann", other)):
        said = document(nacos.ask("POST", f"{V1}/login", username=name, password=PASSWORD))
        assert said["username"] == name
        assert nacos.service.admission.proof.of_token(said["accessToken"], "") == user.id


def test_a_store_that_fails_gives_no_token() -> None:
    """Nothing is signed with a key that is not kept."""
    world = GuardedNacos(auth=False)
    real = world.store.append
    broken = True

    def append(rows: Any, reserve: Any, done: Any) -> None:
        done(OSError("no space left")) if broken else real(rows, reserve, done)

    world.store.append = append  # type: ignore[method-assign]
    assert world.ask("POST", f"{V1}/login", username="polaris", password=PASSWORD).status == 503
    broken = False
    assert world.login()


# ---------------------------------------------------------------------- users


@pytest.mark.parametrize("path", [V1, V3])
def test_a_user_comes_and_goes(nacos: GuardedNacos, path: str) -> None:
    """A user made here logs in everywhere."""
    code, message = (200, None) if path == V1 else (0, "success")

    def done(text: str) -> tuple[int, dict[str, Any]]:
        return 200, {"code": code, "message": message, "data": text}

    assert _ask(nacos, "POST", path, username="ann", password="first-1") == done("create user ok!")
    made = nacos.directory.snapshot.users_called("ann")[0]
    assert (made.rank, made.owner, made.source) == (SUB, "root-of-", "nacos")
    assert made.password.startswith("$2")
    assert "first-1" not in made.password
    assert nacos.directory.snapshot.default_policy(made.id) is not None
    assert _logs_in(nacos, "ann", "first-1")
    assert _logs_in(nacos, "whoever", made.token)
    twice = _ask(nacos, "POST", path, username="ann", password="first-1")
    assert twice == (400, "caused: user 'ann' already exist!;")
    assert _ask(nacos, "PUT", path, username="ann", newPassword="second-2") == done("update user ok!")
    assert _logs_in(nacos, "ann", "second-2")
    assert not _logs_in(nacos, "ann", "first-1")
    assert _ask(nacos, "PUT", path, username="bob", newPassword="x") == (400, "caused: user bob not exist!;")
    assert _ask(nacos, "DELETE", path, username="ann") == done("delete user ok!")
    assert not _logs_in(nacos, "ann", "second-2")
    assert _ask(nacos, "DELETE", path, username="ann") == done("delete user ok!")


def test_users_of_other_protocols_are_users(nacos: GuardedNacos) -> None:
    nacos.user("ann")
    assert _ask(nacos, "POST", V1, username="ann", password="x") == (400, "caused: user 'ann' already exist!;")
    assert _ask(nacos, "PUT", V1, username="ann", newPassword="new-1")[0] == 200
    assert _logs_in(nacos, "ann", "new-1")


def test_what_administrators_are_kept_from(nacos: GuardedNacos) -> None:
    assert _ask(nacos, "DELETE", V1, username="root") == (400, "caused: cannot delete admin: root;")
    assert _ask(nacos, "DELETE", V1, username="polaris") == (400, "caused: cannot delete admin: polaris;")
    assert _ask(nacos, "PUT", V1, "polaris", username="root", newPassword="x")[0] == 403


@pytest.mark.parametrize("auth", [True, False])
def test_directory_calls_need_a_right_always(auth: bool) -> None:
    world = GuardedNacos(auth=auth)
    world.user("ann")
    calls = [
        ("POST", V1, {"username": "x", "password": "y"}),
        ("PUT", V1, {"username": "root", "newPassword": "y"}),
        ("DELETE", V1, {"username": "ann"}),
        ("POST", "/v1/auth/roles", {"role": "r", "username": "ann"}),
        ("DELETE", "/v1/auth/roles", {"role": "r", "username": "ann"}),
        ("POST", "/v1/auth/permissions", {"role": "r", "resource": "*:*:*", "action": "rw"}),
        ("DELETE", "/v1/auth/permissions", {"role": "r", "resource": "*:*:*", "action": "rw"}),
    ]
    for method, path, parameters in calls:
        response = world.ask(method, path, **parameters)
        assert (response.status, document(response)["message"]) == (403, "user not found!"), (method, path)
        status, said = _ask(world, method, path, "ann", **parameters)
        assert (status, said["message"]) == (403, "authorization failed!"), (method, path)
    before = world.directory.snapshot.users
    assert {user.name for user in before.values()} == {"polaris", "root", "ann"}


def test_users_set_their_own_password(nacos: GuardedNacos) -> None:
    nacos.user("ann")
    nacos.user("bob")
    assert _ask(nacos, "PUT", V1, "ann", username="ann", newPassword="mine-1")[0] == 200
    assert _logs_in(nacos, "ann", "mine-1")
    nacos.clock.now_s += 1000
    token = nacos.login("ann", "mine-1")
    response = nacos.ask("PUT", V1, username="bob", newPassword="mine-1", accessToken=token)
    assert (response.status, document(response)["message"]) == (403, "authorization failed!")


def test_lists_of_users(nacos: GuardedNacos) -> None:
    for name in ("anna", "bert"):
        nacos.user(name)
    status, page = _ask(nacos, "GET", V1, search="blur", pageNo="1", pageSize="2", username="")
    assert status == 200
    assert page == {
        "totalCount": 4, "pageNumber": 1, "pagesAvailable": 2,
        "pageItems": [{"username": "polaris", "password": "******"}, {"username": "root", "password": "******"}],
    }  # fmt: skip
    page = _ask(nacos, "GET", f"{V3}/list", pageNo="2", pageSize="2")[1]
    assert (page["code"], [each["username"] for each in page["data"]["pageItems"]]) == (0, ["anna", "bert"])
    for search, filter_, found in (
        ("accurate", "anna", ["anna"]), ("accurate", "ann*", []), ("blur", "ann*", ["anna"]), ("blur", "*e*", ["bert"]),
        ("blur", "ann", []),
    ):  # fmt: skip
        page = _ask(nacos, "GET", V1, search=search, pageNo="1", pageSize="9", username=filter_)[1]
        assert [each["username"] for each in page["pageItems"]] == found
    assert _ask(nacos, "GET", f"{V1}/search", username="nn") == (200, ["anna"])
    assert _ask(nacos, "GET", f"{V3}/search", username="er")[1]["data"] == ["bert"]
    own = _ask(nacos, "GET", V1, "anna", search="blur", pageNo="1", pageSize="9")
    assert [each["username"] for each in own[1]["pageItems"]] == ["anna"], "what one may see"


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "text"),
    [
        ("POST", V1, {"password": "x"}, 500,
         "caused: Required request parameter &#39;username&#39; for method parameter type String is not present;"),
        ("GET", V1, {"pageSize": "1"}, 500,
         "caused: Required request parameter &#39;pageNo&#39; for method parameter type int is not present;"),
        ("GET", V1, {"pageNo": "0", "pageSize": "1"}, 400, "caused: pageNo and pageSize must be greater than zero;"),
        ("POST", V1, {"username": "a/b", "password": "x"}, 400, "caused: user name 'a/b' is illegal;"),
        ("POST", V1, {"username": "a" * 65, "password": "x"}, 400, f"caused: user name '{'a' * 65}' is illegal;"),
        ("POST", V1, {"username": "<i>", "password": " "}, 400, BAD_PASSWORD),
        ("POST", V1, {"username": "x", "password": "ü" * 37}, 400, BAD_PASSWORD),
        ("POST", V1, {"username": "<a b>", "password": "x"}, 400, "caused: user name '&lt;a b&gt;' is illegal;"),
    ],
)  # fmt: skip
def test_bad_parameters(
    nacos: GuardedNacos, method: str, path: str, sent: dict[str, str], status: int, text: str
) -> None:
    assert _ask(nacos, method, path, **sent) == (status, text)


def test_the_first_administrator() -> None:
    world = GuardedNacos(empty=True)
    response = world.ask("POST", f"{V1}/admin", password="chosen-1")
    assert (response.status, document(response)) == (200, {"username": "nacos", "password": "chosen-1"})
    said = document(world.ask("POST", f"{V1}/login", username="nacos", password="chosen-1"))
    assert (said["username"], said["globalAdmin"]) == ("nacos", True)
    again = document(world.ask("POST", f"{V1}/admin", password="chosen-2"))
    assert again == {"code": 409, "message": None, "data": "have admin user cannot use it"}
    again = document(world.ask("POST", f"{V3}/admin"))
    assert again == {"code": 409, "message": "have admin user cannot use it.", "data": None}
    other = GuardedNacos(empty=True)
    made = document(other.ask("POST", f"{V3}/admin"))["data"]
    assert made["username"] == "nacos"
    assert len(made["password"]) == 16
    assert other.login("nacos", made["password"])


def test_nobody_becomes_administrator_where_there_is_one(nacos: GuardedNacos) -> None:
    assert document(nacos.ask("POST", f"{V1}/admin", password="x"))["code"] == 409
    assert not nacos.directory.snapshot.users_called("nacos")


# ---------------------------------------------------------------------- roles and permissions


@pytest.mark.parametrize("generation", [1, 3])
def test_roles(nacos: GuardedNacos, generation: int) -> None:
    path = "/v1/auth/roles" if generation == 1 else "/v3/auth/role"
    listed = path if generation == 1 else f"{path}/list"
    nacos.user("ann")
    nacos.user("bob")
    assert _ask(nacos, "POST", path, role="R", username="ann")[1]["data"] == "add role ok!"
    assert _ask(nacos, "POST", path, role="R", username="bob")[1]["data"] == "add role ok!"
    role = next(iter(nacos.directory.snapshot.roles.values()))
    assert (role.name, role.users) == ("R", ("ann-of-main-id", "bob-of-main-id"))
    for sent, text in (
        ({"role": "R", "username": "ann"}, "caused: user 'ann' already bound to the role 'R'!;"),
        ({"role": "R", "username": "nobody"}, "caused: user 'nobody' not found!;"),
        ({"role": "ROLE_ADMIN", "username": "ann"}, "caused: role 'ROLE_ADMIN' is not permitted to create!;"),
    ):
        assert _ask(nacos, "POST", path, **sent) == (400, text)
    page = _ask(nacos, "GET", listed, search="accurate", pageNo="1", pageSize="9")[1]
    rows = (page if generation == 1 else page["data"])["pageItems"]
    assert rows == [
        {"role": "ROLE_ADMIN", "username": "polaris"}, {"role": "ROLE_ADMIN", "username": "root"},
        {"role": "R", "username": "ann"}, {"role": "R", "username": "bob"},
    ]  # fmt: skip
    page = _ask(nacos, "GET", listed, search="blur", pageNo="1", pageSize="9", username="b*", role="R")[1]
    assert (page if generation == 1 else page["data"])["totalCount"] == 1
    found = _ask(nacos, "GET", f"{path}/search", role="ROLE")[1]
    assert (found if generation == 1 else found["data"]) == ["ROLE_ADMIN"]
    gone = _ask(nacos, "DELETE", path, role="R", username="ann")[1]["data"]
    assert gone == "delete role of user ann ok!"
    assert nacos.directory.snapshot.roles[role.id].users == ("bob-of-main-id",)
    assert _ask(nacos, "DELETE", path, role="R")[1]["data"] == "delete role of user  ok!"
    assert not nacos.directory.snapshot.roles
    assert _ask(nacos, "DELETE", path, role="ROLE_ADMIN", username="root")[0] == 400


@pytest.mark.parametrize("generation", [1, 3])
def test_permissions(nacos: GuardedNacos, generation: int) -> None:
    path = "/v1/auth/permissions" if generation == 1 else "/v3/auth/permission"
    listed = path if generation == 1 else f"{path}/list"
    nacos.user("ann")
    one = {"role": "R", "resource": "dev:*:*", "action": "r"}
    assert _ask(nacos, "POST", path, **one) == (400, "caused: role R not found!;")
    _ask(nacos, "POST", "/v1/auth/roles", role="R", username="ann")
    assert _ask(nacos, "POST", path, **one)[1]["data"] == "add permission ok!"
    assert _ask(nacos, "POST", path, **one)[1]["data"] == "add permission ok!"
    assert _ask(nacos, "POST", path, **{**one, "action": "x"})[0] == 400
    _ask(nacos, "POST", path, **{**one, "resource": "dev:*:naming/a*", "action": "rw"})
    page = _ask(nacos, "GET", listed, search="accurate", pageNo="1", pageSize="9", role="R")[1]
    page = page if generation == 1 else page["data"]
    assert page["pageItems"] == [one, {"role": "R", "resource": "dev:*:naming/a*", "action": "rw"}]
    for sent, found in ((one, True), ({**one, "action": "w"}, False), ({**one, "resource": "x"}, False)):
        assert _ask(nacos, "GET", path, **sent)[1] == {"code": 0, "message": "success", "data": found}
    assert _ask(nacos, "GET", path, **{**one, "resource": "dev:*:naming/a*", "action": "w"})[1]["data"] is True
    assert _ask(nacos, "DELETE", path, **one)[1]["data"] == "delete permission ok!"
    assert _ask(nacos, "DELETE", path, **one)[1]["data"] == "delete permission ok!"
    page = _ask(nacos, "GET", listed, search="accurate", pageNo="1", pageSize="9")[1]
    assert (page if generation == 1 else page["data"])["totalCount"] == 1
    _ask(nacos, "DELETE", "/v1/auth/roles", role="R")
    assert not [p for p in nacos.directory.snapshot.policies.values() if p.source == "nacos"], "they end with the role"


def test_a_role_counts_at_once(nacos: GuardedNacos) -> None:
    nacos.user("ann")
    token = nacos.login("ann")
    listed = {"serviceName": "s", "namespaceId": "dev", "accessToken": token}
    assert nacos.ask("GET", "/v1/ns/instance/list", **listed).status == 403
    _ask(nacos, "POST", "/v1/auth/roles", role="R", username="ann")
    _ask(nacos, "POST", "/v1/auth/permissions", role="R", resource="dev:*:*", action="r")
    assert nacos.ask("GET", "/v1/ns/instance/list", **listed).status == 200
    _ask(nacos, "DELETE", "/v1/auth/roles", role="R", username="ann")
    assert nacos.ask("GET", "/v1/ns/instance/list", **listed).status == 403


def test_roles_of_other_protocols_are_roles(nacos: GuardedNacos) -> None:
    user = nacos.user("ann")
    nacos.directory.put(Role(id="n", name="native", owner="main-id", users=(user.id,)), SYSTEM)
    nacos.turns.settle()
    sent = {"role": "native", "resource": ":*:*", "action": "rw"}
    assert _ask(nacos, "POST", "/v1/auth/permissions", "polaris", **sent)[0] == 200
    assert nacos.directory.snapshot.rights(user.id).oversees("RegisterInstance") is False
    shown = {"accessToken": nacos.login("ann"), "serviceName": "s", "ip": "1.1.1.1", "port": "1"}
    assert nacos.ask("POST", "/v1/ns/instance", **shown).status == 200


def test_without_a_directory_there_is_only_the_login() -> None:
    world = GuardedNacos()
    service = world.service
    bare = type(service.auth)(world.registry, service.admission, world.judge, None, service.spaces)
    world.service.auth = bare
    token = world.login()
    response = world.ask("GET", V1, pageNo="1", pageSize="1", accessToken=token)
    assert (response.status, body(response)) == (501, "not support")


def test_nothing_secret_is_said(nacos: GuardedNacos) -> None:
    nacos.user("ann")
    user = nacos.directory.snapshot.users["ann-of-main-id"]
    pages = [
        _ask(nacos, "GET", path, search="blur", pageNo="1", pageSize="99")
        for path in (V1, f"{V3}/list", "/v1/auth/roles", "/v1/auth/permissions")
    ]
    said = repr(pages) + repr(nacos.records)
    for secret in (user.password, user.token, "$2"):
        assert secret not in said
