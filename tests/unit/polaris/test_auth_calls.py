"""The accounts API as its users see it: codes and shapes of polaris-server 1.19, seen in recordings and on a running one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from guarded import ALL, MAIN, PASSWORD, Guarded

from polaris_bridge.adapters.polaris.service.auth.names import is_group_name, is_name, is_password
from polaris_bridge.runtime.auth.tries import PER_NAME

OK = 200000
USERS, GROUP, GROUPS = "/core/v1/users", "/core/v1/usergroup", "/core/v1/usergroups"
STRATEGY, STRATEGIES = "/core/v1/auth/strategy", "/core/v1/auth/strategies"
LOGIN = "/core/v1/user/login"


@pytest.fixture
def world() -> Guarded:
    return Guarded()


def stripped(value: Any) -> Any:
    """A document without what is empty."""
    if isinstance(value, dict):
        return {key: stripped(item) for key, item in value.items() if item not in (None, [], {})}
    return [stripped(item) for item in value] if isinstance(value, list) else value


# ---------------------------------------------------------------------- logging in


def test_login(world: Guarded) -> None:
    answer = world.ask("POST", LOGIN, {"name": "polaris", "password": "polaris"}, token="")
    assert answer["loginResponse"] == {
        "user_id": MAIN.id, "name": "polaris", "role": "main", "owner_id": "", "token": MAIN.token, "options": {},
    }  # fmt: skip


def test_sub_users_say_whose_they_are(world: Guarded) -> None:
    ann = world.user("ann")
    asked = {"name": "ann", "password": PASSWORD}
    assert world.code_of("POST", LOGIN, asked, token="") == 400312
    answer = world.ask("POST", LOGIN, {**asked, "owner": "polaris"}, token="")
    assert answer["loginResponse"]["role"] == "sub"
    assert answer["loginResponse"]["owner_id"] == MAIN.id
    assert answer["loginResponse"]["token"] == ann.token


@pytest.mark.parametrize(
    ("asked", "status", "code", "info"),
    [
        ({"name": "polaris", "password": "bad"}, 401, 401001, "access is not approved:name or password is wrong"),
        ({"name": "polaris"}, 401, 401001, "access is not approved:name or password is wrong"),
        ({"name": "nobody", "password": "bad"}, 400, 400312, "not found user"),
        ({"name": "polaris", "password": "polaris", "owner": "x"}, 400, 400312, "not found user"),
        ({}, 400, 400312, "not found user"),
    ],
)
def test_who_cannot_log_in(world: Guarded, asked: Any, status: int, code: int, info: str) -> None:
    answer = world.ask("POST", LOGIN, asked, token="")
    assert (world.status, answer["code"], answer["info"], answer["loginResponse"]) == (status, code, info, None)


def test_guessing_ends_after_some_tries_and_for_nobody_else(world: Guarded) -> None:
    guess = {"name": "polaris", "password": "guess-1"}
    right = {"name": "polaris", "password": "polaris"}
    for _ in range(PER_NAME):
        assert world.code_of("POST", LOGIN, guess, token="") == 401001
    for asked in (guess, right):
        assert world.code_of("POST", LOGIN, asked, token="") == 429002
        assert world.status == 429
    assert world.ask("POST", LOGIN, right, token="", peer="10.1.1.1")["code"] == OK
    world.clock.now_s += 61
    assert world.code_of("POST", LOGIN, right, token="") == OK


def test_tries_are_records(world: Guarded) -> None:
    for name, password in (("polaris", "guess-1"), ("nobody", "x")):
        world.ask("POST", LOGIN, {"name": name, "password": password}, token="")
    tries = [(r.name, r.operation, r.caller.address, r.result) for r in world.records if r.operation == "login"]
    assert tries == [("polaris", "login", "10.9.9.9", "Denied"), ("nobody", "login", "10.9.9.9", "NotFound")]


def test_whether_one_has_to(world: Guarded) -> None:
    options = world.ask("GET", "/core/v1/auth/status", token="")["optionSwitch"]["options"]
    assert options == {"auth": "true", "clientOpen": "true", "consoleOpen": "true"}


# ---------------------------------------------------------------------- users


def test_users_are_created_and_listed_as_recorded(world: Guarded) -> None:
    asked = [{"name": "hp", "password": "pass1234", "comment": "x", "source": "Polaris"}]
    answer = stripped(world.ask("POST", USERS, asked))
    [made] = answer["responses"]
    id = made["user"].pop("id")
    assert made == {
        "code": OK, "info": "execute success",
        "user": {"name": "hp", "owner": "", "source": "Polaris", "comment": "x"},
    }  # fmt: skip
    [shown] = stripped(world.ask("GET", f"{USERS}?name=hp"))["users"]
    assert {key: value for key, value in shown.items() if key not in ("ctime", "mtime")} == {
        "id": id, "name": "hp", "owner": MAIN.id, "source": "Polaris", "token_enable": True, "comment": "x",
        "user_type": "sub",
    }  # fmt: skip
    assert world.code_of("POST", USERS, asked) == 400215


@pytest.mark.parametrize(
    ("user", "code"),
    [
        ({"name": "bad name", "password": "pass1234"}, 400101),
        ({"name": "", "password": "pass1234"}, 400101),
        ({"password": "pass1234"}, 400101),
        ({"name": "polariadmin", "password": "pass1234"}, 400101),
        ({"name": "x" * 65, "password": "pass1234"}, 400101),
        ({"name": "pоlaris", "password": "pass1234"}, 400101),  # a Cyrillic letter that looks like an o
        ({"name": "polaris", "password": "pass1234"}, 400215),
        ({"name": "v", "password": "short"}, 400412),
        ({"name": "v", "password": "x" * 18}, 400412),
        ({"name": "v"}, 400412),
        ({"name": "v", "password": "pass1234"}, 400103),
    ],
)
def test_users_that_cannot_be(world: Guarded, user: dict[str, str], code: int) -> None:
    answer = world.ask("POST", USERS, [user])
    assert answer["code"] == answer["responses"][0]["code"] == code
    assert user.get("password", "-") not in json.dumps(answer), "no answer repeats a password"


def test_a_batch_is_answered_item_by_item(world: Guarded) -> None:
    asked = [{"name": name, "password": PASSWORD, "source": "t"} for name in ("a", "b c", "d", "a")]
    answer = world.ask("POST", USERS, asked)
    assert [item["code"] for item in answer["responses"]] == [OK, 400101, OK, 400215]
    assert answer["code"] == 400215
    assert world.code_of("POST", USERS, []) == OK
    assert world.code_of("POST", USERS, asked * 26) == 400003


def test_administrators_create_main_users(world: Guarded) -> None:
    eve = world.user("eve", world.admin.token)
    assert (eve.rank, eve.owner) == ("main", "")
    eves = world.ask("POST", USERS, [{"name": "kid", "password": PASSWORD, "source": "t"}], eve.token)
    assert eves["code"] == 401001, "a new main user has no policy that lets it create users"
    shown = world.ask("GET", USERS, token=world.admin.token)["users"]
    assert {user["name"] for user in shown} == {"polaris", "eve"}, "administrators are not listed"


def test_who_sees_whom(world: Guarded) -> None:
    ann, _bob = world.user("ann"), world.user("bob")
    assert [u["name"] for u in world.ask("GET", USERS, token=ann.token)["users"]] == ["ann"]
    world.policy(
        "sees-all",
        principals={"users": [{"id": ann.id}]},
        functions=["DescribeUsers"],
        resources={"users": [{"id": "*"}]},
    )
    assert {u["name"] for u in world.ask("GET", USERS, token=ann.token)["users"]} == {"ann", "bob", "polaris"}


def test_tokens_are_shown_to_who_may_see_them(world: Guarded) -> None:
    ann = world.user("ann")
    path = "/core/v1/user/token?id="
    answer = stripped(world.ask("GET", path + ann.id, token=ann.token))
    assert answer["user"] == {"id": ann.id, "name": "ann", "auth_token": ann.token, "token_enable": True}
    assert world.code_of("GET", path + MAIN.id, token=ann.token) == 401001
    assert world.code_of("GET", path + "nope") == 400312


def test_a_refreshed_token_ends_the_old_one_at_once(world: Guarded) -> None:
    ann = world.user("ann")
    answer = world.ask("PUT", "/core/v1/user/token/refresh", {"id": ann.id})
    new = answer["user"]["auth_token"]
    assert world.code_of("GET", USERS, token=ann.token) == 401004
    assert world.code_of("GET", USERS, token=new) == OK


def test_a_token_is_switched_off_and_on(world: Guarded) -> None:
    ann = world.user("ann")
    status = "/core/v1/user/token/status"
    assert world.code_of("PUT", status, {"id": ann.id, "token_enable": False}) == OK
    assert world.code_of("GET", USERS, token=ann.token) == 401003
    assert world.code_of("PUT", status, {"id": ann.id, "token_enable": True}) == OK
    assert world.code_of("GET", USERS, token=ann.token) == OK
    assert world.code_of("PUT", status, {"id": MAIN.id, "token_enable": False}) == 401001, "nobody could undo it"


def test_passwords_change(world: Guarded) -> None:
    ann = world.user("ann")
    path, login = "/core/v1/user/password", {"name": "ann", "owner": "polaris"}

    def change(token: str, **what: str) -> int:
        return world.code_of("PUT", path, {"id": ann.id, **what}, token)

    assert change(MAIN.token, new_password="by-main") == OK
    assert change(ann.token, new_password="by-ann") == 400412
    assert change(ann.token, old_password="wrong-1", new_password="by-ann") == 400412
    assert change(ann.token, old_password="by-main", new_password="short") == 400412
    assert change(ann.token, old_password="by-main", new_password="by-ann") == OK
    assert world.code_of("POST", LOGIN, {**login, "password": "by-main"}, token="") == 401001
    assert world.code_of("POST", LOGIN, {**login, "password": "by-ann"}, token="") == OK
    assert world.code_of("PUT", path, {"id": "nope", "new_password": "secret-9"}) == 400312


def test_old_passwords_cannot_be_guessed_either(world: Guarded) -> None:
    ann = world.user("ann")
    asked = {"id": ann.id, "old_password": "guess-1", "new_password": "secret-9"}
    codes = [world.code_of("PUT", "/core/v1/user/password", asked, ann.token) for _ in range(PER_NAME + 1)]
    assert codes == [400412] * PER_NAME + [429002]


def test_users_are_deleted(world: Guarded) -> None:
    ann = world.user("ann")
    path = f"{USERS}/delete"
    answer = world.ask("POST", path, [{"id": ann.id}, {"id": "nope"}])
    assert (answer["code"], answer["size"], answer["responses"]) == (400312, 0, [])
    assert world.code_of("POST", path, [{"id": MAIN.id}]) == 401001
    assert world.code_of("POST", path, [{"id": MAIN.id}], world.admin.token) == 400218
    assert world.code_of("POST", path, [{"id": ann.id}]) == OK
    assert world.code_of("GET", USERS, token=ann.token) == 401001
    assert world.code_of("POST", path, [{"id": MAIN.id}], world.admin.token) == OK


def test_the_last_who_could_come_in_stays(world: Guarded) -> None:
    world.ask("POST", f"{USERS}/delete", [{"id": MAIN.id}], world.admin.token)
    assert world.code_of("POST", f"{USERS}/delete", [{"id": world.admin.id}], world.admin.token) == 401001


@pytest.mark.parametrize("path", [USERS, GROUPS, STRATEGIES, "/core/v1/roles"])
def test_bad_queries(world: Guarded, path: str) -> None:
    answer = world.ask("GET", f"{path}?foo=1")
    assert (answer["code"], answer["info"]) == (400103, "invalid parameter: foo is not allowed")
    assert world.code_of("GET", f"{path}?limit=x") == 400103
    assert world.code_of("GET", f"{path}?limit=-1") == 400103


# ---------------------------------------------------------------------- groups


def test_groups(world: Guarded) -> None:
    ann = world.user("ann")
    member = {"users": [{"id": ann.id}]}
    answer = stripped(world.ask("POST", GROUP, {"name": "g", "comment": "x", "relation": member}))["userGroup"]
    id = answer.pop("id")
    assert answer == {"name": "g", "owner": MAIN.id, "comment": "x", "relation": member}
    assert world.code_of("POST", GROUP, {"name": "g"}) == 400216
    assert world.code_of("POST", GROUP, {"name": ""}) == 400103
    assert world.code_of("POST", GROUP, {"name": "h", "relation": {"users": [{"id": "nope"}]}}) == 400312
    [shown] = world.ask("GET", f"{GROUPS}?user_id={ann.id}")["userGroups"]
    assert (shown["name"], shown["user_count"], shown["auth_token"]) == ("g", 1, None)
    bob = world.user("bob")
    both = {"users": [{"id": ann.id}, {"id": bob.id}]}
    world.policy("details", principals=both, functions=["DescribeUserGroupDetail"])
    detail = world.ask("GET", f"{GROUP}/detail?id={id}", token=ann.token)["userGroup"]
    assert [user["name"] for user in detail["relation"]["users"]] == ["ann"]
    assert world.code_of("GET", f"{GROUP}/detail?id={id}", token=bob.token) == 401001
    assert [u["name"] for u in world.ask("GET", f"{USERS}?group_id={id}")["users"]] == ["ann"]

    changes: list[tuple[dict[str, Any], int]] = [
        ({"comment": "y"}, OK),
        ({"comment": "y"}, 200002),
        ({"add_relations": {"users": [{"id": "nope"}]}}, 400312),
        ({"add_relations": {"users": [{"id": bob.id}]}}, OK),
        ({"remove_relations": {"users": [{"id": ann.id}]}}, OK),
    ]
    for change, code in changes:
        assert world.ask("PUT", GROUPS, [{"id": id, **change}])["responses"][0]["code"] == code
    assert world.directory.snapshot.groups[id].members == (bob.id,)
    assert world.code_of("PUT", GROUPS, [{"id": "nope"}]) == 400314

    token = world.ask("GET", f"{GROUP}/token?id={id}")["userGroup"]["auth_token"]
    assert world.judge.directory.snapshot.groups[id].token == token
    new = world.ask("PUT", f"{GROUP}/token/refresh", {"id": id})["userGroup"]["auth_token"]
    assert world.code_of("GET", USERS, token=token) == 401004
    assert world.code_of("GET", USERS, token=new) == OK
    assert world.code_of("PUT", f"{GROUP}/token/status", {"id": id, "token_enable": False}) == OK
    assert world.code_of("GET", USERS, token=new) == 401003
    for path in ("detail", "token"):
        assert world.code_of("GET", f"{GROUP}/{path}?id=nope") == 400314
        assert world.code_of("GET", f"{GROUP}/{path}") == 400314

    assert world.code_of("POST", f"{GROUPS}/delete", [{"id": "nope"}]) == 400314
    assert world.code_of("POST", f"{GROUPS}/delete", [{"id": id}]) == OK
    assert world.ask("GET", GROUPS)["amount"] == 0


# ---------------------------------------------------------------------- policies


def test_policies(world: Guarded) -> None:
    ann = world.user("ann")
    world.ask("POST", "/naming/v1/services", [{"name": "orders", "namespace": "default"}])
    [service] = world.ask("GET", "/naming/v1/services?name=orders")["services"]
    resources = {"namespaces": [{"id": "default"}], "services": [{"id": service["id"]}]}
    id = world.policy(
        "p", principals={"users": [{"id": ann.id}]}, resources=resources, functions=["DescribeServices"], comment="c",
        resource_labels=[{"key": "a", "value": "b", "compare_type": "string_equal"}], metadata={"m": "n"},
    )  # fmt: skip
    shown = stripped(world.ask("GET", f"{STRATEGY}/detail?id={id}"))["authStrategy"]
    assert {key: value for key, value in shown.items() if key not in ("ctime", "mtime")} == {
        "id": id, "name": "p", "action": "ALLOW", "comment": "c", "owner": MAIN.id, "default_strategy": False,
        "principals": {"users": [{"id": ann.id, "name": "ann"}]},
        "resources": {
            "namespaces": [{"id": "default", "namespace": "default", "name": "default"}],
            "services": [{"id": service["id"], "namespace": "default", "name": "orders"}],
        },
        "functions": ["DescribeServices"],
        "resource_labels": [{"key": "a", "value": "b", "compare_type": "string_equal"}],
        "metadata": {"m": "n"},
    }  # fmt: skip
    found = world.ask("GET", f"{STRATEGIES}?res_type=service&res_id={service['id']}")["authStrategies"]
    assert [each["id"] for each in found] == [id]
    of_ann = world.ask("GET", "/core/v1/auth/principal/resources?principal_id=" + ann.id)["resources"]
    assert [each["id"] for each in of_ann["services"]] == [service["id"]]
    assert [each["name"] for each in of_ann["users"]] == ["ann"]


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"name": "a b"}, 400101),
        ({"name": "p", "principals": {"users": [{"id": "nope"}]}}, 400312),
        ({"name": "p", "principals": {"groups": [{"id": "nope"}]}}, 400314),
        ({"name": "p", "principals": {"roles": [{"id": "nope"}]}}, 400202),
        ({"name": "p", "resources": {"namespaces": [{"id": "nope"}]}}, 400305),
        ({"name": "p", "resources": {"services": [{"id": "nope"}]}}, 400301),
        ({"name": "p"}, OK),
    ],
)
def test_policies_that_cannot_be(world: Guarded, policy: Any, code: int) -> None:
    assert world.code_of("POST", STRATEGY, policy) == code


def test_policies_change(world: Guarded) -> None:
    ann, bob = world.user("ann"), world.user("bob")
    id = world.policy("p", principals={"users": [{"id": ann.id}]}, resources=ALL, functions=["*"])

    def change(**what: Any) -> int:
        code: int = world.ask("PUT", STRATEGIES, [{"id": id, **what}])["responses"][0]["code"]
        return code

    assert change() == 200002, "an action that is not given stays"
    assert change(action="ALLOW") == 200002
    assert change(add_principals={"users": [{"id": bob.id}]}, remove_principals={"users": [{"id": ann.id}]}) == OK
    assert world.code_of("GET", "/naming/v1/services", token=ann.token) == 401001
    assert world.code_of("GET", "/naming/v1/services", token=bob.token) == OK
    assert change(action="DENY") == OK
    assert world.code_of("GET", "/naming/v1/services", token=bob.token) == 401001
    assert (
        change(
            action="ALLOW", remove_resources={"services": [{"id": "*"}]}, add_resources={"namespaces": [{"id": "x"}]}
        )
        == 400305
    )
    assert change(action="ALLOW", remove_resources={"services": [{"id": "*"}]}) == OK
    assert stripped(world.ask("GET", f"{STRATEGY}/detail?id={id}"))["authStrategy"][
        "resources"
    ].keys() == ALL.keys() - {"services"}
    assert world.code_of("PUT", STRATEGIES, [{"id": "nope"}]) == 400315


def test_a_policy_speaks_of_callers_who_show_nothing() -> None:
    world = Guarded(strict=False)
    services = "/naming/v1/services"
    assert world.code_of("POST", services, [{"name": "orders", "namespace": "shop"}]) == OK
    assert world.code_of("GET", services, token="") == 401001
    nobody = {"id": "__anonymous__"}
    id = world.policy("open", principals={"users": [nobody]}, resources=ALL, functions=["DescribeServices"])
    assert world.code_of("GET", services, token="") == OK
    assert world.code_of("POST", services, [{"name": "b", "namespace": "shop"}], token="") == 401001
    assert world.code_of("GET", services, token="no token") == OK, "not strict: the same as nothing"
    shown = world.ask("GET", f"{STRATEGY}/detail?id={id}")["authStrategy"]
    assert [(user["id"], user["name"]) for user in shown["principals"]["users"]] == [("__anonymous__", "__anonymous__")]
    found = world.ask("GET", f"{STRATEGIES}?principal_id=__anonymous__&principal_type=user")
    assert [policy["id"] for policy in found["authStrategies"]] == [id]
    change = {"id": id, "remove_principals": {"users": [nobody]}}
    assert world.code_of("PUT", STRATEGIES, [change]) == OK
    assert world.code_of("GET", services, token="") == 401001
    assert world.code_of("PUT", STRATEGIES, [{"id": id, "add_principals": {"users": [nobody]}}]) == OK
    assert world.code_of("GET", services, token="") == OK
    for path, who in (("usergroup", {"relation": {"users": [nobody]}}), ("roles", {"users": [nobody]})):
        named = {"name": "g", **who}
        assert world.code_of("POST", f"/core/v1/{path}", [named] if path == "roles" else named) >= 400000, path
    for token in ("", "__anonymous__"):
        assert world.code_of("GET", "/core/v1/users", token=token) == 401001, "accounts need one"


def test_default_policies(world: Guarded) -> None:
    ann = world.user("ann")
    [own] = world.ask("GET", f"{STRATEGIES}?default=true&principal_id={ann.id}&principal_type=user")["authStrategies"]
    assert own["name"] == "(用户) ann的默认策略"
    assert world.code_of("POST", f"{STRATEGIES}/delete", [{"id": own["id"]}]) == 400000
    asked = {"id": own["id"], "add_principals": {"users": [{"id": MAIN.id}]}}
    assert world.code_of("PUT", STRATEGIES, [asked]) == 400508
    [mine] = world.ask("GET", f"{STRATEGIES}?default=true&principal_id={MAIN.id}&principal_type=user")["authStrategies"]
    assert world.code_of("PUT", STRATEGIES, [{"id": mine["id"], "comment": "x"}]) == 400509
    seen = world.ask("GET", STRATEGIES, token=ann.token)["authStrategies"]
    assert [policy["id"] for policy in seen] == [own["id"]], "sub users see what speaks of them"
    assert world.code_of("GET", f"{STRATEGY}/detail?id={own['id']}", token=ann.token) == OK
    assert world.code_of("GET", f"{STRATEGY}/detail?id={mine['id']}", token=ann.token) == 401001


def test_what_is_created_is_its_creators(world: Guarded) -> None:
    ann, bob = world.user("ann"), world.user("bob")
    both = {"users": [{"id": ann.id}, {"id": bob.id}]}
    world.policy("create", principals=both, functions=["CreateNamespaces", "CreateServices", "DescribeServices"])
    shop = [{"name": "orders", "namespace": "shop"}]
    assert world.code_of("POST", "/naming/v1/namespaces", [{"name": "shop"}], ann.token) == OK
    assert world.code_of("POST", "/naming/v1/services", shop, bob.token) == 401001, "the namespace is ann's"
    assert world.code_of("POST", "/naming/v1/services", shop, ann.token) == OK
    assert world.code_of("POST", "/naming/v1/services/delete", shop, bob.token) == 401001
    assert world.code_of("POST", "/naming/v1/services/delete", shop, ann.token) == OK


def test_what_names_no_owner_belongs_to_the_main_user_of_who_made_it(world: Guarded) -> None:
    ann = world.user("ann")
    made = ["CreateNamespaces", "CreateServices", "CreateServiceAlias"]
    world.policy("makes", principals={"users": [{"id": ann.id}]}, resources=ALL, functions=made)
    for token, suffix in ((MAIN.token, ""), (ann.token, "-hers")):
        said = [({}, MAIN.id), ({"owners": ""}, MAIN.id), ({"owners": "polaris-controller"}, "polaris-controller")]
        for at, (given, owner) in enumerate(said):
            name = f"made-{at}{suffix}"
            services, namespaces = "/naming/v1/services", "/naming/v1/namespaces"
            assert world.code_of("POST", namespaces, [{"name": name, **given}], token) == OK
            assert world.code_of("POST", services, [{"name": name, "namespace": "shop", **given}], token) == OK
            world.ask("POST", services, [{"name": "orders", "namespace": "shop"}])
            alias = {"service": "orders", "namespace": "shop", "alias_namespace": "shop", "alias": f"{name}-alias"}
            assert world.code_of("POST", "/naming/v1/service/alias", {**alias, **given}, token) == OK
            assert [n["owners"] for n in world.ask("GET", f"{namespaces}?name={name}")["namespaces"]] == [owner]
            assert [s["owners"] for s in world.ask("GET", f"{services}?name={name}")["services"]] == [owner]
            shown = world.ask("GET", f"/naming/v1/service/aliases?alias={name}-alias")["aliases"]
            assert [a["owners"] for a in shown] == [owner]
    refused = world.ask("POST", "/naming/v1/namespaces", [{"name": "bad name"}])["responses"][0]
    assert (refused["code"], refused["namespace"]["owners"]) == (400110, MAIN.id)


def test_without_an_account_what_names_no_owner_has_none() -> None:
    world = Guarded(console=False)
    assert world.code_of("POST", "/naming/v1/services", [{"name": "a", "namespace": "shop"}], token="") == OK
    assert [s["owners"] for s in world.ask("GET", "/naming/v1/services?name=a")["services"]] == [""]


def test_the_directory_is_guarded_when_nothing_else_is() -> None:
    world = Guarded(console=False, client=False)
    assert world.code_of("GET", "/naming/v1/services", token="") == OK
    for path in (USERS, f"/core/v1/user/token?id={MAIN.id}", STRATEGIES):
        assert world.code_of("GET", path, token="") == 401001
        assert world.code_of("GET", path) == OK


def test_strict_or_not_somebody_without_a_right_is_refused() -> None:
    lenient = Guarded(strict=False)
    ann = lenient.user("ann")
    lenient.ask("PUT", "/core/v1/user/token/refresh", {"id": ann.id})
    assert lenient.code_of("GET", "/naming/v1/services", token=ann.token) == 401001, "nobody in particular, not 401004"
    assert lenient.code_of("GET", USERS, token=ann.token) == 401004, "the directory is strict always"
    lenient.ask("PUT", "/core/v1/user/token/status", {"id": ann.id, "token_enable": False})
    new = lenient.directory.snapshot.users[ann.id].token
    assert lenient.code_of("GET", "/naming/v1/services", token=new) == 401003


# ---------------------------------------------------------------------- records, and secrets in them


def test_refusals_and_changes_are_records_without_secrets(world: Guarded) -> None:
    ann = world.user("ann")
    world.ask("POST", "/naming/v1/services", [{"name": "x", "namespace": "default"}], ann.token)
    world.ask("PUT", "/core/v1/user/token/refresh", {"id": ann.id})
    refusal = next(r for r in world.records if r.result == "Denied")
    assert (refusal.operation, refusal.caller.principal, refusal.caller.address) == (
        "CreateServices",
        ann.id,
        "10.9.9.9",
    )
    changes = [(r.resource, r.operation, r.caller.principal) for r in world.records if r.resource == "user"]
    assert ("user", "create", MAIN.id) in changes
    assert ("user", "update", MAIN.id) in changes
    user = world.directory.snapshot.users[ann.id]
    for secret in (ann.token, user.token, user.password, PASSWORD):
        assert all(secret not in repr(record) for record in world.records)


def test_no_list_shows_a_secret(world: Guarded) -> None:
    world.user("ann")
    world.ask("POST", GROUP, {"name": "g"})
    snapshot = world.directory.snapshot
    secrets = [each.token for each in (*snapshot.users.values(), *snapshot.groups.values())]
    secrets += [user.password for user in snapshot.users.values()]
    for path in (USERS, GROUPS, f"{STRATEGIES}?show_detail=true", "/core/v1/roles"):
        shown = json.dumps(world.ask("GET", path))
        assert all(secret not in shown for secret in secrets), path


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "token", ["x" * 60_000, "nu/0WRA4", "\xff\xfe", MAIN.token + " ", MAIN.token[:-1] + "A", "AAAA" * 16]
)
def test_tokens_that_are_none(world: Guarded, token: str) -> None:
    answer = world.ask("GET", "/naming/v1/services", token=token)
    assert (world.status, answer["code"], answer["info"]) == (401, 401001, "access is not approved") or answer[
        "code"
    ] == 401004


@pytest.mark.parametrize("body", [b"{bad", b"[]", b"null", b"{}"])
def test_bodies_that_are_none(world: Guarded, body: bytes) -> None:
    for route in world.service.accounts.routes():  # type: ignore[union-attr]
        if route.takes == "query":
            continue
        reply = world.send(route.method, route.path, body, {"x-polaris-token": MAIN.token})
        assert reply.status < 500, (route.path, body)


def test_names() -> None:
    for good in ("a", "张三", "A-b_c.9", "x" * 64):
        assert is_name(good)
    for bad in ("", "a b", "a/b", "x" * 65, "a\n", "аdmin", "polariadmin"):
        assert not is_name(bad), bad
    assert is_group_name("a b")
    assert not is_group_name("a\nb")
    assert is_password("123456")
    assert not is_password("x" * 18)


# ---------------------------------------------------------------------- what lists show


def test_lists_show_what_their_reader_may_see(world: Guarded) -> None:
    ann = world.user("ann")
    for namespace in ("mine", "theirs"):
        for name in ("a", "b"):
            service = {"name": name, "namespace": namespace}
            assert world.code_of("POST", "/naming/v1/services", [service]) == OK
            instance = {"service": name, "namespace": namespace, "host": f"10.0.0.{name == 'a':d}", "port": 80}
            assert world.code_of("POST", "/naming/v1/instances", [instance]) == OK
        rule = {
            "name": f"r-{namespace}",
            "namespace": namespace,
            "service": "a",
            "amounts": [{"maxAmount": 1, "validDuration": "1s"}],
        }
        assert world.code_of("POST", "/naming/v1/ratelimits", [rule]) == OK
        alias = {"service": "a", "namespace": namespace, "alias": "other", "alias_namespace": namespace}
        assert world.code_of("POST", "/naming/v1/service/alias", alias) == OK
    [b] = world.ask("GET", "/naming/v1/services?namespace=theirs&name=b")["services"]
    resources = {"namespaces": [{"id": "mine"}], "services": [{"id": b["id"]}]}
    world.policy("reads", principals={"users": [{"id": ann.id}]}, functions=["Describe*"], resources=resources)

    def seen(path: str, field: str) -> set[str]:
        answer = world.ask("GET", path, token=ann.token)
        assert (answer["amount"], answer["size"]) == (len(answer[field]),) * 2
        return {
            f"{each.get('namespace') or each.get('alias_namespace') or ''}/{each.get('name') or each.get('service')}"
            for each in answer[field]
        }

    assert seen("/naming/v1/services", "services") == {"mine/a", "mine/b", "theirs/b"}
    assert seen("/naming/v1/services/all", "services") == {"mine/a", "mine/b", "mine/other", "theirs/b"}
    assert world.ask("GET", "/naming/v1/services/count", token=ann.token)["amount"] == 4
    assert {each["name"] for each in world.ask("GET", "/core/v1/namespaces", token=ann.token)["namespaces"]} == {"mine"}
    assert seen("/naming/v1/instances?host=10.0.0.0", "instances") == {"mine/b", "theirs/b"}
    assert seen("/naming/v1/instances?host=10.0.0.1", "instances") == {"mine/a"}
    assert world.ask("GET", "/naming/v1/instances/count", token=ann.token)["amount"] == 3
    assert {each["name"] for each in world.ask("GET", "/naming/v1/ratelimits", token=ann.token)["rateLimits"]} == {
        "r-mine"
    }
    assert {
        each["alias_namespace"] for each in world.ask("GET", "/naming/v1/service/aliases", token=ann.token)["aliases"]
    } == {"mine"}
    token = "/naming/v1/service/token?name={}&namespace=theirs"
    assert world.code_of("GET", token.format("a"), token=ann.token) == 401001
    assert world.code_of("GET", token.format("b"), token=ann.token) == OK
    assert len(world.ask("GET", "/naming/v1/services")["services"]) == 4, "the main user sees everything"


def test_an_instance_that_only_its_id_names_belongs_to_its_service(world: Guarded) -> None:
    ann = world.user("ann")
    for name in ("a", "b"):
        instance = {"service": name, "namespace": "default", "host": "10.0.0.1", "port": 80, "id": f"id-{name}"}
        assert world.code_of("POST", "/v1/RegisterInstance", instance) == OK
    [a] = world.ask("GET", "/naming/v1/services?namespace=default&name=a")["services"]
    world.policy(
        "a", principals={"users": [{"id": ann.id}]}, functions=["*"], resources={"services": [{"id": a["id"]}]}
    )
    assert world.code_of("POST", "/v1/DeregisterInstance", {"id": "id-b"}, ann.token) == 401001
    assert world.code_of("POST", "/naming/v1/instances/delete", [{"id": "id-b"}], ann.token) == 401001
    assert world.code_of("POST", "/v1/DeregisterInstance", {"id": "id-a"}, ann.token) == OK


def test_a_service_is_given_to_others_with_the_call_that_writes_it(world: Guarded) -> None:
    ann, bob = world.user("ann"), world.user("bob")
    service = {"name": "orders", "namespace": "shop"}
    given = {"user_ids": [ann.id, "nobody"], "group_ids": []}
    assert world.code_of("POST", "/naming/v1/services", [{**service, **given}]) == OK

    def may(user: Any) -> bool:
        return world.code_of("PUT", "/naming/v1/services", [{**service, "comment": user.id}], user.token) == OK

    assert (may(ann), may(bob)) == (True, False)
    changed = {"remove_user_ids": [ann.id], "user_ids": [bob.id], "comment": "x"}
    assert world.code_of("PUT", "/naming/v1/services", [{**service, **changed}]) == OK
    assert (may(ann), may(bob)) == (False, True)
    assert world.code_of("PUT", "/core/v1/namespaces", [{"name": "shop", "user_ids": [ann.id]}]) == OK
    assert may(ann), "what is in the namespace too"


def test_tokens_in_messages_count_for_clients_only(world: Guarded) -> None:
    instance = {
        "service": "orders",
        "namespace": "shop",
        "host": "10.0.0.1",
        "port": 80,
        "service_token": "polaris@12345678",
    }
    assert world.code_of("POST", "/naming/v1/instances", [instance]) == OK
    assert world.code_of("POST", "/v1/RegisterInstance", instance) == 401001
    assert world.code_of("POST", "/v1/RegisterInstance", {**instance, "service_token": MAIN.token}, token="") == OK
    assert (
        world.code_of("POST", "/naming/v1/instances", [{**instance, "service_token": MAIN.token}], token="") == 401001
    )


def test_sdks_find_the_services_and_namespaces_that_they_may_see(world: Guarded) -> None:
    ann = world.user("ann")
    for namespace in ("mine", "theirs"):
        assert world.code_of("POST", "/naming/v1/services", [{"name": "a", "namespace": namespace}]) == OK
    mine = {"namespaces": [{"id": "mine"}]}
    world.policy("reads", principals={"users": [{"id": ann.id}]}, functions=["Discover*"], resources=mine)

    def found(type: str, field: str, token: str, **service: str) -> tuple[set[str], str]:
        answer = world.ask("POST", "/v1/Discover", {"type": type, "service": service}, token)
        assert answer["code"] == OK
        return {f"{each.get('namespace', '')}/{each['name']}" for each in answer[field]}, answer["service"]["revision"]

    everything, revision = found("SERVICES", "services", MAIN.token, namespace="")
    assert everything >= {"mine/a", "theirs/a"}
    part, own = found("SERVICES", "services", ann.token, namespace="")
    assert part == {"mine/a"}
    assert own != revision
    again = world.ask(
        "POST", "/v1/Discover", {"type": "SERVICES", "service": {"namespace": "", "revision": own}}, ann.token
    )
    assert again["code"] == 200001
    assert found("SERVICES", "services", ann.token, namespace="mine")[0] == {"mine/a"}
    assert (
        world.code_of("POST", "/v1/Discover", {"type": "SERVICES", "service": {"namespace": "theirs"}}, ann.token)
        == 401001
    )
    assert found("NAMESPACES", "namespaces", ann.token)[0] == {"/mine"}
    assert found("NAMESPACES", "namespaces", MAIN.token)[0] >= {"/mine", "/theirs"}
