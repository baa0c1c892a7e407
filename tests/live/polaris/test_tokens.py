"""SDKs with tokens: what they may do with one, without one, with one that ends under them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import build
from ..server import Server
from ..waiting import until
from .console import TOKEN, Console
from .members import HOST, NOTICES_WITHIN_S, SDKS, Member

STRICT = {"lenient": "false", "strict": "true"}


class Guarded:
    """A server that asks SDKs for tokens, and SDKs of one kind on it."""

    def __init__(self, server: Server, client: str, folder: Path) -> None:
        self.server = server
        self.console = Console(f"http://{HOST}:{server.http_port}")
        self._client, self._folder = client, folder
        self._members: list[Member] = []

    def member(self, token: str) -> Member:
        folder = self._folder / f"m{len(self._members)}"
        folder.mkdir(parents=True)
        arguments = ("--token", token) if token else ()
        member = Member(SDKS[self._client], f"{HOST}:{self.server.port}", folder, *arguments)
        self._members.append(member)
        member.talker.launch()
        member.talker.greet()
        return member

    def user(self, name: str) -> tuple[str, str]:
        """Id and token of a new sub user."""
        made = self.console.write("POST", "/core/v1/users", {"name": name, "password": "secret-1", "source": "live"})
        id = made[0]["user"]["id"]
        return id, self.console.read("/core/v1/user/token", id=id)["user"]["auth_token"]

    def close(self) -> None:
        for member in self._members:
            member.talker.close()
        self.console.close()


@pytest.fixture(scope="module", params=STRICT)
def asking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    option = "auth.strategy.option"
    settings = (
        f"{option}.clientOpen=true",
        f"{option}.clientStrict={STRICT[request.param]}",
        f"{option}.consoleOpen=true",
    )
    server = Server(tmp_path_factory.mktemp(request.param), "service-grpc", settings)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(params=list(SDKS))
def guarded(request: pytest.FixtureRequest, asking: Server, tmp_path: Path) -> Iterator[Guarded]:
    build(SDKS[request.param].program)
    found = Guarded(asking, request.param, tmp_path)
    try:
        yield found
    finally:
        found.close()


def test_tokens(guarded: Guarded, request: pytest.FixtureRequest) -> None:
    service = "tokens-" + request.node.callspec.id
    for wrong in ("", "garbage"):
        outsider = guarded.member(wrong)
        refusal = outsider.refusal("register", service=service, host=HOST, port=7001)
        assert "access is not approved" in refusal or "401001" in refusal, "nobody registers without a right"
        assert outsider.ports("all", service) == set()
    main = guarded.member(TOKEN)
    main.ask("register", service=service, host=HOST, port=7002)
    until(lambda: main.ports("all", service) == {7002}, NOTICES_WITHIN_S, "the main user sees what it registered")

    id, token = guarded.user("u-" + request.node.callspec.id.replace("/", "-"))
    user = guarded.member(token)
    assert user.refusal("register", service=service, host=HOST, port=7003), "no policy speaks of it yet"
    found = guarded.console.read("/naming/v1/services", namespace="default", name=service)["services"]
    policy = {
        "name": service, "action": "ALLOW", "functions": ["*"], "principals": {"users": [{"id": id}]},
        "resources": {"services": [{"id": found[0]["id"]}]},
    }  # fmt: skip
    assert guarded.console.post("/core/v1/auth/strategy", policy)["code"] == 200000
    user.ask("register", service=service, host=HOST, port=7003)
    until(lambda: user.ports("all", service) == {7002, 7003}, NOTICES_WITHIN_S, "the user sees the service that it may")

    assert guarded.console.put("/core/v1/user/token/refresh", {"id": id})["code"] == 200000
    assert user.refusal("register", service=service, host=HOST, port=7004), "its token ended"
    assert user.refusal("deregister", service=service, host=HOST, port=7003)
    main.ask("deregister", service=service, host=HOST, port=7003)
    until(lambda: main.ports("all", service) == {7002}, NOTICES_WITHIN_S, "others go on")
