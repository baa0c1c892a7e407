"""Who may do what with configurations as operators use them, when credentials are demanded."""

from __future__ import annotations

import json

import pytest
from cs_bottle import ADMIN, BOUNDARY, CONSOLE, V1, V2, form_of, unzipped, zipped
from guarded_nacos import PASSWORD, GuardedNacos, body, document

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters.nacos.server.routes_cs_admin import ROUTES as OPERATORS
from polaris_bridge.adapters.nacos.server.routes_cs_v2 import ROUTES as SECOND
from polaris_bridge.adapters.nacos.server.routes_cs_v3 import ROUTES as THIRD

CALLS = sorted({*OPERATORS, *SECOND, *THIRD} - {("GET", "/v1/cs/health")})
NAMED = {"dataId": "a", "group": "g", "groupName": "g", "ip": "1.2.3.4"}


class World(GuardedNacos):
    """``reader`` may read groups ``g*`` of the default namespace, ``writer`` may write there, ``keeper`` everything in it,
    ``nobody`` nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.root = self.login("root")
        for name, action in (("reader", "r"), ("writer", "rw"), ("nobody", "")):
            self.user(name)
            if action:
                self.admin("POST", "/v1/auth/roles", username=name, role=f"R_{name}")
                self.admin("POST", "/v1/auth/permissions", role=f"R_{name}", resource=":g*:config/*", action=action)
        self.user("keeper")
        self.admin("POST", "/v1/auth/roles", username="keeper", role="R_keeper")
        self.admin("POST", "/v1/auth/permissions", role="R_keeper", resource=":*:*", action="rw")
        self.admin("POST", "/v1/console/namespaces", customNamespaceId="dev", namespaceName="dev")
        self.admin("POST", V1, dataId="d", group="g", content="secret", tenant="dev")
        for group, data_id in (("g", "a"), ("g2", "b"), ("other", "c")):
            self.admin("POST", V1, dataId=data_id, group=group, content="x")

    def admin(self, method: str, path: str, **params: str) -> Response:
        response = self.ask(method, path, accessToken=self.root, **params)
        assert response.status == 200, body(response)
        return response

    def by(self, user: str, method: str, path: str, **params: str) -> Response:
        return self.ask(method, path, username=user, password=PASSWORD, **params)

    def post(self, user: str, path: str, kind: str, content: bytes, query: str) -> Response:
        sent = ((b"content-type", kind.encode()), (b"username", b""), (b"accesstoken", self.login(user).encode()))
        got: list[Response] = []
        reply = self.http.handle(Request("POST", f"/nacos{path}", query, sent, content, "10.9.9.9"))
        if isinstance(reply, Response):
            return reply
        reply.then(got.append)
        self.turns.settle()
        return got[0]

    def id(self, group: str, data_id: str, tenant: str = "") -> str:
        found: str = document(self.admin("GET", V1, show="all", dataId=data_id, group=group, tenant=tenant))["id"]
        return found


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_nobody_may_do_anything(world: World, method: str, path: str) -> None:
    assert world.ask(method, path, **NAMED).status == 403
    assert world.by("nobody", method, path, **NAMED).status == 403


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("GET", {"show": "all"}),
        ("GET", {"search": "blur"}),
        ("GET", {"search": "accurate"}),
        ("GET", {"export": "true"}),
        ("GET", {"exportV2": "true"}),
        ("GET", {"beta": "true"}),
        ("POST", {"import": "true"}),
        ("POST", {"clone": "true"}),
        ("DELETE", {"delType": "ids", "ids": "1"}),
        ("DELETE", {"beta": "true"}),
    ],
)
def test_nobody_may_do_what_shares_a_path(world: World, method: str, params: dict[str, str]) -> None:
    response = world.by("nobody", method, V1, **NAMED, **params)
    assert (response.status, document(response)["message"]) == (403, "authorization failed!")


def test_reading_by_group(world: World) -> None:
    assert world.by("reader", "GET", V1, show="all", dataId="a", group="g").status == 200
    assert world.by("reader", "GET", V1, show="all", dataId="c", group="other").status == 403
    assert world.by("reader", "GET", V2, dataId="a", group="g").status == 200
    assert world.by("reader", "GET", f"{ADMIN}/config", dataId="c", groupName="other").status == 403
    assert world.by("reader", "POST", V2, dataId="a", group="g", content="y").status == 403
    assert world.by("writer", "POST", V2, dataId="a", group="g", content="x").status == 200


def test_lists_hold_what_one_may_read(world: World) -> None:
    def found(user: str, path: str, **params: str) -> list[str]:
        said = document(world.by(user, "GET", path, **params))
        page = said.get("data", said) if isinstance(said, dict) else said
        return [item["dataId"] for item in (page["pageItems"] if isinstance(page, dict) else page)]

    search = {"search": "blur", "dataId": "", "group": "", "pageNo": "1", "pageSize": "9"}
    assert found("root", V1, **search) == ["a", "b", "c"]
    assert found("reader", V1, **search) == ["a", "b"]
    assert found("reader", f"{ADMIN}/config/list") == found("reader", f"{CONSOLE}/config/list") == ["a", "b"]
    assert found("reader", "/v1/cs/history/configs", tenant="") == ["a", "b"]
    assert found("reader", f"{ADMIN}/history/configs", namespaceId="") == ["a", "b"]


def test_archives_hold_what_one_may_read(world: World) -> None:
    def exported(user: str, **params: str) -> list[str]:
        response = world.by(user, "GET", V1, export="true", **params)
        assert isinstance(response.body, bytes)
        return sorted(unzipped(response.body))

    assert exported("root") == ["g/a", "g2/b", "other/c"]
    assert exported("reader") == ["g/a", "g2/b"]
    assert exported("reader", ids=world.id("g", "a")) == ["g/a"]
    assert world.by("reader", "GET", V1, export="true", ids=world.id("other", "c")).status == 403


def test_ids_give_no_rights(world: World) -> None:
    """Who may do everything in one namespace reaches nothing in another by the ids of its configurations."""
    secret, own = world.id("g", "d", "dev"), world.id("other", "c")
    clone = json.dumps([{"cfgId": secret, "group": "g", "dataId": "stolen"}]).encode()
    assert world.post("keeper", V1, "application/json", clone, "clone=true&tenant=").status == 403
    assert world.by("keeper", "GET", V1, export="true", ids=secret).status == 403
    assert world.by("keeper", "DELETE", V1, delType="ids", ids=f"{own},{secret}").status == 403
    assert world.by("keeper", "DELETE", f"{ADMIN}/config/batch", ids=secret).status == 403
    assert (world.id("g", "d", "dev"), world.id("other", "c")) == (secret, own)
    clone = json.dumps([{"cfgId": own, "group": "g", "dataId": "copy"}]).encode()
    assert world.post("keeper", V1, "application/json", clone, "clone=true&tenant=dev").status == 403
    assert document(world.post("keeper", V1, "application/json", clone, "clone=true&tenant="))["data"]["succCount"] == 1
    world.admin("DELETE", V1, dataId="copy", group="g")


def test_bringing_in_takes_the_right_to_all_of_the_namespace(world: World) -> None:
    kind, form = f"multipart/form-data; boundary={BOUNDARY}", form_of({"file": zipped(("g/new", "1"))})
    assert world.post("writer", V1, kind, form, "import=true").status == 403
    assert document(world.post("root", V1, kind, form, "import=true"))["data"]["succCount"] == 1


def test_what_shows_clients_of_everywhere_takes_more(world: World) -> None:
    for path in ("/v1/cs/listener", f"{ADMIN}/listener", f"{CONSOLE}/config/listener/ip", "/v1/cs/metrics/cluster"):
        assert world.by("writer", "GET", path, **NAMED).status == 403
        assert world.by("root", "GET", path, **NAMED).status == 200


def test_who_writes_the_first_file_of_a_group_does_not_own_the_group(world: World) -> None:
    world.user("narrow")
    world.admin("POST", "/v1/auth/roles", username="narrow", role="R_narrow")
    world.admin("POST", "/v1/auth/permissions", role="R_narrow", resource=":fresh:config/mine*", action="rw")
    assert world.by("narrow", "POST", V1, dataId="mine-1", group="fresh", content="x").status == 200
    assert world.by("narrow", "POST", V1, dataId="other", group="fresh", content="x").status == 403
    assert world.by("narrow", "DELETE", V1, dataId="other", group="fresh").status == 403
    assert world.by("narrow", "POST", V1, dataId="mine-2", group="fresh", content="x").status == 200


def test_health_is_everybodys(world: World) -> None:
    assert world.ask("GET", "/v1/cs/health").status == 200
