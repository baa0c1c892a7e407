"""Who is let in through the Nacos ports, and what for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from guarded_nacos import PASSWORD, START_MS, GuardedNacos, body, document
from msgspec import structs

from polaris_bridge.adapters.nacos.service.admission import TRUSTED, Forbidden, Kind, Shown
from polaris_bridge.adapters.nacos.service.nacos import NacosService
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.wire.tokens import Signer, key_of
from polaris_bridge.core.auth.values import DENY, SERVICE, Grant, Policy, User
from polaris_bridge.core.errors import Throttled
from polaris_bridge.core.model import SYSTEM, Caller, NamespaceRecord, ServiceKey, ServiceRecord
from polaris_bridge.core.ports import Credential, Resource, Undecided

KEY = "a2V5LW9mLXRoaXJ0eS10d28tYnl0ZXMtb3ItbW9yZSEh"
CALLER = Caller("nacos", "10.9.9.9")


@pytest.fixture
def nacos() -> Iterator[GuardedNacos]:
    world = GuardedNacos(token_key=KEY)
    for space in ("default", "dev"):
        world.registry.put_namespace(NamespaceRecord(space), SYSTEM)
    for space, name in (("default", "orders"), ("dev", "orders"), ("dev", "G__bills")):
        world.registry.put_service(ServiceRecord(space, name), SYSTEM)
    world.turns.settle()
    yield world
    world.passwords.close()


def _may(
    world: GuardedNacos, shown: Shown | None, action: Any, namespace: str, service: str, kind: Kind = "naming"
) -> str:
    """``ok``, or the text of the refusal."""
    try:
        world.service.admission.admit(shown, action, kind, namespace, service, CALLER)
    except Forbidden as error:
        return error.text
    return "ok"


def _token(world: GuardedNacos, name: str = "polaris") -> Shown:
    return Shown(token=world.login(name), address="10.9.9.9")


def _grant(world: GuardedNacos, user: str, *permissions: tuple[str, str]) -> None:
    """Permissions of a role that a user has, made through Nacos."""
    token = world.login("root")
    world.ask("POST", "/v1/auth/roles", role=f"r-{user}", username=user, accessToken=token)
    for resource, action in permissions:
        response = world.ask(
            "POST", "/v1/auth/permissions", role=f"r-{user}", resource=resource, action=action, accessToken=token
        )
        assert response.status == 200, body(response)


def test_everybody_comes_in_when_nobody_is_asked() -> None:
    world = GuardedNacos(auth=False)
    caller = world.service.admission.admit(Shown(token="nonsense"), "w", "naming", "x", "y", CALLER)
    assert caller is CALLER
    assert world.service.admission.sees(CALLER) is None
    assert world.ask("GET", "/v1/ns/instance/list", serviceName="s").status == 200


def test_nothing_shown(nacos: GuardedNacos) -> None:
    assert (Forbidden("").status, Forbidden("").code, Forbidden("").grpc) == (403, 10001, 403)
    assert _may(nacos, None, "r", "default", "orders") == "user not found!"
    response = nacos.ask("GET", "/v1/ns/instance/list", serviceName="orders")
    assert response.status == 403
    said = document(response)
    assert said.pop("timestamp").startswith("2023-11-14T22:13:20")
    assert said == {
        "status": 403, "error": "Forbidden", "message": "user not found!", "path": "/nacos/v1/ns/instance/list",
    }  # fmt: skip
    record = nacos.records[-1]
    assert (record.operation, record.result, record.caller.address) == ("DiscoverInstances", "Denied", "10.9.9.9")


@pytest.mark.parametrize("where", ["query", "form", "header", "bearer"])
def test_where_a_token_is_shown(nacos: GuardedNacos, where: str) -> None:
    token = nacos.login()
    headers = {"header": {"accessToken": token}, "bearer": {"Authorization": f"Bearer {token}"}}.get(where)
    shown = {"accessToken": token} if headers is None else {}
    instance = {"serviceName": "orders", "ip": "10.0.0.1", "port": "80", **shown}
    response = nacos.ask("POST", "/v1/ns/instance", headers, form=where == "form", **instance)
    assert (response.status, body(response)) == (200, "ok")


def test_payload_headers(nacos: GuardedNacos) -> None:
    admission, token = nacos.service.admission, nacos.login()
    shown = admission.shown_in_payload({"accessToken": token, "app": "x"}.get, "10.9.9.9")
    assert _may(nacos, shown, "w", "default", "orders") == "ok"
    shown = admission.shown_in_payload({"Authorization": f"Bearer {token}"}.get, "10.9.9.9")
    assert _may(nacos, shown, "w", "default", "orders") == "ok"
    assert admission.shown_in_payload({"app": "x"}.get, "10.9.9.9") is None


def test_name_and_password_with_any_call(nacos: GuardedNacos) -> None:
    listed = nacos.ask("GET", "/v1/ns/instance/list", serviceName="orders", username="polaris", password=PASSWORD)
    assert listed.status == 200
    wrong = nacos.ask("GET", "/v1/ns/instance/list", serviceName="orders", username="polaris", password="wrong-1")
    assert (wrong.status, document(wrong)["message"]) == (403, "user not found!")
    nobody = nacos.ask("GET", "/v1/ns/instance/list", serviceName="orders", username="nobody", password="wrong-1")
    assert (nobody.status, document(nobody)["message"]) == (403, "user not found!")
    for half in ({"username": "polaris"}, {"password": PASSWORD}):
        assert nacos.ask("GET", "/v1/ns/instance/list", serviceName="orders", **half).status == 403


def test_a_password_is_checked_off_the_thread(nacos: GuardedNacos) -> None:
    with pytest.raises(Undecided):
        _may(nacos, Shown(name="root", password=PASSWORD), "r", "default", "orders")


def test_a_native_token_does(nacos: GuardedNacos) -> None:
    main = nacos.directory.snapshot.users["main-id"]
    assert _may(nacos, Shown(token=main.token), "w", "default", "orders") == "ok"
    assert _may(nacos, Shown(name="whoever", password=main.token), "w", "default", "orders") == "ok"
    assert nacos.login("whoever", main.token).count(".") == 2
    nacos.directory.put(structs.replace(main, token=nacos.tokens.make(User, main.id)), SYSTEM)
    nacos.turns.settle()
    assert _may(nacos, Shown(token=main.token), "w", "default", "orders") == "token invalid!"
    assert _may(nacos, Shown(token="nonsense"), "w", "default", "orders") == "token invalid!"


def test_what_tokens_say(nacos: GuardedNacos) -> None:
    signer = Signer(key_of(KEY))
    now_s = START_MS // 1000
    assert _may(nacos, Shown(token=signer.sign("polaris", now_s)), "r", "default", "orders") == "ok"
    assert _may(nacos, Shown(token=signer.sign("polaris", now_s - 1)), "r", "default", "orders") == "token expired!"
    assert _may(nacos, Shown(token=signer.sign("nobody", now_s + 9)), "r", "default", "orders") == "token invalid!"
    forged = Signer(b"f" * 32).sign("polaris", now_s + 9)
    assert _may(nacos, Shown(token=forged), "r", "default", "orders") == "token invalid!"
    assert _may(nacos, Shown(token="a.b.c"), "r", "default", "orders") == "unsupported signature algorithm"


def test_tokens_end(nacos: GuardedNacos) -> None:
    """In time, with the user's being switched off, and with the user."""
    user = nacos.user("ann")
    _grant(nacos, "ann", ("dev:*:*", "rw"))
    shown = _token(nacos, "ann")
    assert _may(nacos, shown, "w", "dev", "orders") == "ok"
    nacos.clock.now_ms += 18_001_000
    assert _may(nacos, shown, "w", "dev", "orders") == "token expired!"
    shown = _token(nacos, "ann")
    nacos.directory.put(structs.replace(user, token_enabled=False), SYSTEM)
    nacos.turns.settle()
    assert _may(nacos, shown, "w", "dev", "orders") == "token invalid!"
    nacos.directory.put(user, SYSTEM)
    nacos.turns.settle()
    assert _may(nacos, shown, "w", "dev", "orders") == "ok"
    nacos.directory.delete(user, SYSTEM)
    nacos.turns.settle()
    assert _may(nacos, shown, "w", "dev", "orders") == "token invalid!"


def test_tokens_outlive_a_restart_and_their_key_is_kept() -> None:
    world = GuardedNacos()
    first = world.login()
    world.restart()
    assert _may(world, Shown(token=first), "r", "default", "orders") == "ok"
    stored = world.registry.documents.get("nacos-token-key", "key")
    assert stored is not None
    assert len(stored.body) == 32
    assert GuardedNacos().login() != first, "every installation has a key of its own"


def test_two_listeners_have_one_key() -> None:
    world = GuardedNacos(auth=False)
    settings = NacosSettings(auth=True)
    accounts = world.service.accounts
    made = [NacosService(world.registry, world.judge, settings, ids=world.ids, accounts=accounts) for _ in range(2)]
    world.turns.settle()
    first, second = (service.admission.proof for service in made)
    token = first.issue("main-id", "")
    assert token is not None
    assert second.of_token(token, "") == "main-id"


def test_a_bad_key_ends_the_start() -> None:
    with pytest.raises(ValueError, match="manuals"):
        GuardedNacos(token_key="SecretKey012345678901234567890123456789012345678901234567890123456789")
    with pytest.raises(ValueError, match="at least 32"):
        GuardedNacos(token_key="c2hvcnQ=")


def test_identity_header_counts_only_when_configured() -> None:
    world = GuardedNacos(identity_key="Example-Server", identity_value="s3cret")
    admission = world.service.admission
    listed = {"serviceName": "orders"}
    assert world.ask("GET", "/v1/ns/instance/list", {"example-server": "s3cret"}, **listed).status == 200
    assert world.ask("GET", "/v1/ns/instance/list", {"example-server": "other"}, **listed).status == 403
    assert (
        world.ask("GET", "/v1/auth/users", {"example-server": "s3cret"}, pageNo="1", pageSize="9", search="blur").status
        == 200
    )
    assert admission.shown_in_payload({"Example-Server": "s3cret"}.get, "") is None
    assert admission.sees(Caller("nacos", principal=TRUSTED)) is None
    for half in ({"identity_key": "k"}, {"identity_value": "v"}, {}):
        bare = GuardedNacos(**half)
        assert bare.ask("GET", "/v1/ns/instance/list", {"k": "v", "": ""}, **listed).status == 403
        assert bare.ask("GET", "/v1/ns/instance/list", {"k": ""}, **listed).status == 403


def test_an_account_with_the_name_of_the_trusted_one_gains_nothing() -> None:
    world = GuardedNacos(identity_key="k", identity_value="v")
    world.directory.put(User(id=TRUSTED, name="evil", owner="main-id", token=world.tokens.make(User, TRUSTED)), SYSTEM)
    world.turns.settle()
    evil = world.directory.snapshot.users[TRUSTED]
    assert _may(world, Shown(token=evil.token), "w", "default", "orders") == "authorization failed!"


# ---------------------------------------------------------------------- rights


@pytest.mark.parametrize(
    ("resource", "action", "may", "may_not"),
    [
        ("dev:*:*", "rw", ["r dev orders", "w dev orders", "w dev new", "r dev"], ["r default orders", "w other new"]),
        ("dev:*:*", "r", ["r dev orders", "r dev"], ["w dev orders", "w dev new"]),
        ("dev:*:*", "w", ["w dev orders", "w dev new"], ["r dev orders", "r dev"]),
        (":*:*", "r", ["r default orders", "r default"], ["r dev orders"]),
        ("public:*:*", "r", ["r default orders"], ["r dev orders"]),
        ("*:*:*", "rw", ["w dev orders", "w default new", "w unborn new", "r unborn"], []),
        ("dev:DEFAULT_GROUP:naming/orders", "rw", ["w dev orders", "r dev"], ["r dev G__bills", "r default orders", "w dev"]),
        ("dev:DEFAULT_GROUP:naming/new", "w", ["w dev new"], ["w dev orders", "r dev new"]),
        ("unborn:DEFAULT_GROUP:naming/new", "rw", ["w unborn new", "r unborn new"], ["w dev new"]),
        ("dev:G:naming/bills", "r", ["r dev G__bills"], ["r dev orders", "r dev bills"]),
        ("dev:G:naming/*", "rw", ["r dev G__bills", "w dev G__x", "r dev"], ["r dev orders"]),
        ("dev:*:naming/ord*", "r", ["r dev orders", "r dev ord"], ["w dev orders", "r dev G__bills"]),
        ("d*:*:naming/orders", "r", ["r dev orders"], ["r default orders"]),
        ("*:DEFAULT_GROUP:naming/orders", "r", ["r dev orders", "r default orders"], ["r dev G__bills"]),
        ("dev:*:naming/*", "rw", ["w dev orders", "r dev", "w dev G__x"], ["w default orders"]),
        ("dev:*:config/*", "rw", [], ["r dev orders", "w dev orders"]),
        ("dev.*", "rw", [], ["r dev orders"]),
        ("nonsense", "rw", [], ["r dev orders", "w unborn new"]),
    ],
)  # fmt: skip
def test_permissions(nacos: GuardedNacos, resource: str, action: str, may: list[str], may_not: list[str]) -> None:
    nacos.user("ann")
    _grant(nacos, "ann", (resource, action))
    shown = _token(nacos, "ann")
    for asked in (*may, *may_not):
        wanted, namespace, *service = asked.split()
        core = nacos.service.spaces.core("public" if namespace == "default" else namespace)
        found = _may(nacos, shown, wanted, core, service[0] if service else "")
        assert found == ("ok" if asked in may else "authorization failed!"), asked


@pytest.mark.parametrize(
    ("resource", "action", "may", "may_not"),
    [
        ("dev:*:*", "rw", ["r dev G/orders", "w dev G/new", "r dev"], ["r default G/orders"]),
        ("dev:*:config/*", "rw", ["r dev G/orders", "w dev H/x", "r dev"], ["r default G/orders"]),
        ("dev:*:naming/*", "rw", [], ["r dev G/orders", "w dev G/orders"]),
        ("dev:G:config/*", "r", ["r dev G/orders", "r dev G/new", "r dev"], ["w dev G/orders", "r dev H/x", "r default G/x"]),
        ("dev:G:config/*", "w", ["w dev G/orders"], ["r dev G/orders", "w dev H/orders"]),
        ("dev:G:config/ord*", "r", ["r dev G/orders"], ["r dev G/bills", "w dev G/orders", "r dev H/orders"]),
        (":DEFAULT_GROUP:config/a.yaml", "rw", ["w default DEFAULT_GROUP/a.yaml"], ["w default DEFAULT_GROUP/a_yaml"]),
    ],
)  # fmt: skip
def test_permissions_for_configuration(
    nacos: GuardedNacos, resource: str, action: str, may: list[str], may_not: list[str]
) -> None:
    """By group and data id. Of a group that is granted whole other protocols know too."""
    nacos.user("ann")
    _grant(nacos, "ann", (resource, action))
    shown = _token(nacos, "ann")
    for asked in (*may, *may_not):
        wanted, namespace, *file = asked.split()
        core = nacos.service.spaces.core("public" if namespace == "default" else namespace)
        found = _may(nacos, shown, wanted, core, file[0] if file else "", kind="config")
        assert found == ("ok" if asked in may else "authorization failed!"), asked


def test_what_the_directory_can_say_holds_elsewhere(nacos: GuardedNacos) -> None:
    """The judge of all protocols knows namespaces and services; patterns are for Nacos clients."""
    user = nacos.user("ann")
    _grant(nacos, "ann", ("dev:DEFAULT_GROUP:naming/orders", "r"), ("dev:*:naming/G*", "rw"))
    allow = nacos.judge.allow
    assert allow(user.id, "service:read", Resource(SERVICE, "dev", "orders"))
    assert not allow(user.id, "registration:write", Resource(SERVICE, "dev", "orders"))
    assert not allow(user.id, "service:read", Resource(SERVICE, "dev", "G__bills"))
    assert not allow(user.id, "DeleteNamespaces", Resource("namespace", "dev", "dev"))


def test_denied_stays_denied(nacos: GuardedNacos) -> None:
    user = nacos.user("ann")
    _grant(nacos, "ann", ("dev:*:naming/*", "rw"), ("dev:DEFAULT_GROUP:naming/orders", "rw"))
    shown = _token(nacos, "ann")
    assert _may(nacos, shown, "w", "dev", "orders") == "ok"
    denial = Policy(id="no", name="no", effect=DENY, users=(user.id,), grants=(Grant(SERVICE, "", "dev", "orders"),))
    nacos.directory.put(denial, SYSTEM)
    nacos.turns.settle()
    assert _may(nacos, shown, "w", "dev", "orders") == "authorization failed!"
    assert _may(nacos, shown, "w", "dev", "G__bills") == "ok"


def test_policies_of_other_protocols_hold_here(nacos: GuardedNacos) -> None:
    user = nacos.user("ann")
    shown = _token(nacos, "ann")
    assert _may(nacos, shown, "r", "dev", "orders") == "authorization failed!"
    policy = Policy(
        id="p", name="p", users=(user.id,), functions=("DiscoverInstances",), grants=(Grant("namespace", "dev"),)
    )
    before = nacos.service.admission.revision
    nacos.directory.put(policy, SYSTEM)
    nacos.turns.settle()
    assert nacos.service.admission.revision > before
    assert _may(nacos, shown, "r", "dev", "orders") == "ok"
    assert _may(nacos, shown, "w", "dev", "orders") == "authorization failed!"
    assert _may(nacos, shown, "r", "elsewhere", "x") == "authorization failed!", "a namespace that is not there"


def test_lists_show_what_may_be_seen(nacos: GuardedNacos) -> None:
    nacos.user("ann")
    _grant(nacos, "ann", ("dev:*:naming/ord*", "r"))
    admission = nacos.service.admission
    caller = admission.admit(_token(nacos, "ann"), "r", "naming", "dev", "", CALLER)
    sees = admission.sees(caller)
    assert sees is not None
    assert [sees(ServiceKey("dev", name)) for name in ("orders", "G__bills")] == [True, False]
    assert admission.sees(admission.admit(_token(nacos), "r", "naming", "dev", "", CALLER)) is None


@pytest.mark.parametrize("path", ["/v1/ns/service/list", "/v2/ns/service/list", "/v1/ns/catalog/services", "/v1/ns/service/names",
                                  "/v3/admin/ns/service/list"])  # fmt: skip
def test_lists_over_http(nacos: GuardedNacos, path: str) -> None:
    nacos.user("ann")
    token = nacos.login()
    for name in ("orders", "ordinary", "G@@bills"):
        instance = {"serviceName": name, "namespaceId": "dev", "ip": "10.0.0.1", "port": "80"}
        assert nacos.ask("POST", "/v1/ns/instance", accessToken=token, **instance).status == 200
    _grant(nacos, "ann", ("dev:*:naming/orders", "r"))
    asked = {"namespaceId": "dev", "pageNo": "1", "pageSize": "9", "groupName": "DEFAULT_GROUP"}
    everything = body(nacos.ask("GET", path, accessToken=token, **asked))
    part = body(nacos.ask("GET", path, accessToken=nacos.login("ann"), **asked))
    assert ("orders" in everything, "ordinary" in everything) == (True, True)
    assert ("orders" in part, "ordinary" in part, "bills" in part) == (True, False, False)


def test_the_whole_of_a_namespace(nacos: GuardedNacos) -> None:
    """A watch of patterns tells of services that are not there yet: it needs all of the namespace."""
    admission = nacos.service.admission
    for user, resource, whole in (
        ("ann", "dev:*:*", True), ("bob", "dev:*:naming/*", True), ("eve", "dev:G:naming/*", False),
        ("joe", "dev:DEFAULT_GROUP:naming/orders", False), ("kim", "*:*:*", True),
    ):  # fmt: skip
        nacos.user(user)
        _grant(nacos, user, (resource, "r"))
        caller = admission.admit(_token(nacos, user), "r", "naming", "dev", "", CALLER)
        if whole:
            admission.check_whole(caller, "dev")
        else:
            with pytest.raises(Forbidden, match="authorization failed!"):
                admission.check_whole(caller, "dev")


def test_calls_of_consoles_go_by_their_names(nacos: GuardedNacos) -> None:
    """Writing to a namespace is no right to delete it."""
    nacos.user("ann")
    _grant(nacos, "ann", ("dev:*:*", "rw"))
    admission, target = nacos.service.admission, Resource("namespace", "dev", "dev")
    with pytest.raises(Forbidden, match="authorization failed!"):
        admission.admit_operation(_token(nacos, "ann"), "DeleteNamespaces", target, CALLER)
    found = admission.admit_operation(_token(nacos), "DeleteNamespaces", target, CALLER)
    assert found.principal == "main-id"
    with pytest.raises(Forbidden, match="user not found!"):
        admission.admit_operation(None, "DeleteNamespaces", target, CALLER)


def test_tries_are_limited(nacos: GuardedNacos) -> None:
    for at in range(10):
        nacos.ask("POST", "/v1/auth/login", username="polaris", password=f"wrong-{at}")
    with pytest.raises(Throttled):
        nacos.judge.authenticate(Credential("polaris", "other", address="10.9.9.9"))
    refused = nacos.ask("POST", "/v1/auth/login", username="polaris", password="other")
    assert (refused.status, body(refused)) == (429, "too many failed tries")
    assert nacos.login("root"), "nobody else is affected"
