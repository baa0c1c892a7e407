"""Long polls: whatever happens, who polls as 1.x clients do ends up with what is there, and with no more than it may see."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from typing import Any
from urllib.parse import quote, unquote_plus

import pytest
from guarded_nacos import PASSWORD, GuardedNacos, body, document
from http_bottle import STRANGER, Answer, HttpBottle
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters._shared.exchange import Request, Response, abandoning
from polaris_bridge.adapters.nacos.server.answers import Held
from polaris_bridge.adapters.nacos.server.routes_cs_v1 import ROUTES
from polaris_bridge.adapters.nacos.service.config.polling import Looked, Polling, hold_s
from polaris_bridge.adapters.nacos.translate.config import asker_of
from polaris_bridge.adapters.nacos.wire.config import Has
from polaris_bridge.core.config.model import Asker, Change

CS = "/nacos/v1/cs/configs"
FILES = ["a", "b", "c.yaml"]
FORM = (b"content-type", b"application/x-www-form-urlencoded")


class Client:
    """Does what a 1.x client does: polls, reads what it is told of, polls again."""

    def __init__(self, bottle: HttpBottle, ip: str, tag: str = "", tenant: str = "") -> None:
        self.bottle, self.ip, self.tag, self.tenant = bottle, ip, tag, tenant
        self.has: dict[str, str | None] = dict.fromkeys(FILES)
        self.held: Held | None = None
        self.polls = 0
        self.poll()

    def send(self, method: str, path: str, query: str, body: bytes, *headers: tuple[bytes, bytes]) -> Any:
        tag = ((b"vipserver-tag", self.tag.encode()),) if self.tag else ()
        return self.bottle.http.handle(Request(method, path, query, (FORM, *headers, *tag), body, self.ip))

    def poll(self) -> None:
        self.polls += 1
        items = "".join(f"{name}\2G\2{md5(text)}\2{self.tenant}\1" for name, text in self.has.items())
        said = f"Listening-Configs={quote(items)}&".encode()
        reply = self.send("POST", f"{CS}/listener", "", said, (b"long-pulling-timeout", b"30000"))
        self.held = None
        if isinstance(reply, Response):
            self.told(reply)
        else:
            assert isinstance(reply, Held)
            self.held = reply
            reply.then(self.told)

    def told(self, response: Response) -> None:
        assert response.status == 200
        for line in unquote_plus(Answer(response).text).rstrip("\n").split("\1")[:-1]:
            name, group, *tenant = line.split("\2")
            assert (group, tenant) == ("G", [self.tenant] if self.tenant else [])
            self.read(name)
        self.bottle.timers.soon(self.poll)

    def read(self, name: str) -> None:
        found = self.send("GET", CS, f"dataId={name}&group=G&tenant={self.tenant}", b"")
        self.has[name] = Answer(found).text if found.status == 200 else None


def md5(text: str | None) -> str:
    return "" if text is None else hashlib.md5(text.encode()).hexdigest()


names = st.sampled_from(FILES)
contents = st.sampled_from(["one", "two", "three"])
steps = st.one_of(
    st.tuples(st.just("publish"), names, contents),
    st.tuples(st.just("beta"), names, contents),
    st.tuples(st.just("tag"), names, contents),
    st.tuples(st.just("stop"), names, st.just("")),
    st.tuples(st.just("untag"), names, st.just("")),
    st.tuples(st.just("delete"), names, st.just("")),
    st.tuples(st.just("wait"), st.just(""), st.just("")),
    st.tuples(st.just("hurry"), st.just(""), st.just("")),
)


def do(bottle: HttpBottle, step: tuple[str, str, str]) -> None:
    what, name, content = step
    file = {"dataId": name, "group": "G"}
    match what:
        case "publish":
            bottle.ask("POST", CS, form=file | {"content": content})
        case "beta":
            bottle.ask("POST", CS, form=file | {"content": content}, betaIps="10.0.0.2")
        case "tag":
            bottle.ask("POST", CS, form=file | {"content": content, "tag": "T"})
        case "stop":
            bottle.ask("DELETE", CS, file | {"beta": "true"})
        case "untag":
            bottle.ask("DELETE", CS, file | {"tag": "T"})
        case "delete":
            bottle.ask("DELETE", CS, file)
        case "wait":
            bottle.move(31)
        case "hurry":
            bottle.move(0.01)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=20))
def test_nothing_is_missed_and_nobody_polls_in_vain(story: list[tuple[str, str, str]]) -> None:
    bottle = HttpBottle(more=ROUTES)
    clients = [Client(bottle, "10.0.0.1"), Client(bottle, "10.0.0.2", tenant="public"), Client(bottle, "10.0.0.3", "T")]
    for step in story:
        before = [dict(client.has) for client in clients], [client.polls for client in clients]
        do(bottle, step)
        bottle.timers.settle()
        for client, had, polls in zip(clients, *before, strict=True):
            have = dict(client.has)
            for name in FILES:
                client.read(name)
            assert client.has == have, "it has what is there without being asked"
            if have == had and step[0] != "wait":
                assert client.polls == polls, "it was not told of what is not for it"
            assert client.held is not None
    assert bottle.service.polling.waiting == len(clients)


def test_a_change_between_the_look_and_the_wait_is_not_missed() -> None:
    bottle = HttpBottle(more=ROUTES)
    polling, asker = bottle.service.polling, asker_of("10.0.0.1")
    looked = run(polling.look([Has("a", "G", "", ""), Has("b", "G", "dev", "")], asker))
    bottle.ask("POST", CS, form={"dataId": "b", "group": "G", "tenant": "dev", "content": "x"})
    told: list[Sequence[bytes]] = []
    polling.hold(looked, asker, 10.0, told.append)
    bottle.timers.settle()
    assert told == [[b"b%02G%02dev%01"]]


def run(work: Generator[None, None, Looked]) -> Looked:
    while True:
        try:
            next(work)
        except StopIteration as stop:
            found: Looked = stop.value
            return found


def held(
    polling: Polling, told: list[Sequence[bytes]], *asked: Has, seconds: float = 10.0, asker: Asker | None = None
) -> Any:
    asker = asker or asker_of("10.0.0.1")
    return polling.hold(run(polling.look(asked, asker)), asker, seconds, told.append)


def test_many_of_many_are_told_of_all_that_changed_together() -> None:
    bottle = HttpBottle(more=ROUTES)
    told: list[Sequence[bytes]] = []
    held(bottle.service.polling, told, *(Has(f"f{n}", "G", "", "") for n in range(300)), Has("f7", "G", "public", ""))
    centre = bottle.registry.config
    with bottle.registry.transaction():
        for n in (7, 299, 5, 400):
            publish(bottle, f"f{n}")
    bottle.timers.settle()
    assert told == [[b"f5%02G%01", b"f7%02G%01", b"f299%02G%01", b"f7%02G%02public%01"]]
    assert len(centre.watches) == 0


def test_more_changes_than_are_searched_for_one_by_one() -> None:
    bottle = HttpBottle(more=ROUTES)
    told: list[Sequence[bytes]] = []
    held(bottle.service.polling, told, *(Has(f"f{n}", "G", "", "") for n in range(300)))
    with bottle.registry.transaction():
        for n in range(10, 30):
            publish(bottle, f"f{n}")
    bottle.timers.settle()
    assert told == [[b"f%d%%02G%%01" % n for n in range(10, 30)]]


def publish(bottle: HttpBottle, name: str) -> None:
    key = bottle.service.configs.key(name, "G")
    bottle.registry.config.releases.publish(key, STRANGER, change=Change(content=b"x"))


def test_polls_of_different_patience_end_in_their_order() -> None:
    bottle = HttpBottle(more=ROUTES)
    ends: list[tuple[float, int]] = []
    began = bottle.clock.now_s
    asker = asker_of("10.0.0.1")
    for number, seconds in enumerate((30.0, 10.0, 20.0, 10.01, 10.0)):
        looked = run(bottle.service.polling.look([Has("a", "G", "", "")], asker))
        bottle.service.polling.hold(
            looked, asker, seconds, lambda _, number=number: ends.append((bottle.clock.now_s - began, number))
        )
    bottle.move(40)
    assert [number for _, number in ends] == [1, 4, 3, 2, 0]
    for (at, _), seconds in zip(ends, (10, 10, 10.01, 20, 30), strict=True):
        assert seconds - 0.002 <= at <= seconds + 0.1


def test_those_told_long_ago_are_not_remembered() -> None:
    bottle = HttpBottle(more=ROUTES)
    polling = bottle.service.polling
    for _ in range(3000):
        held(polling, [], Has("a", "G", "", ""), seconds=1000.0).cancel()
    assert polling.waiting == 0
    assert len(polling._ends) <= 1001


@pytest.mark.parametrize(("ms", "seconds"), [(30000, 29.5), (10500, 10.0), (1, 10.0), (-5, 10.0), (100_000, 99.5)])
def test_how_long_a_poll_waits(ms: int, seconds: float) -> None:
    assert hold_s(ms) == seconds


# ---------------------------------------------------------------------- who may


@pytest.fixture
def guarded() -> GuardedNacos:
    nacos = GuardedNacos()
    nacos.user("bob", owner="")
    root = nacos.login("root")
    as_root = {"accessToken": root}
    assert nacos.ask("POST", "/v1/auth/roles", as_root, role="dev-role", username="bob").status == 200
    file = {"tenant": "dev", "group": "G", "dataId": "z", "content": "x"}
    assert nacos.ask("POST", "/v1/cs/configs", as_root, **file).status == 200, "or the group were its first user's own"
    for resource, action in (("dev:G:config/a*", "rw"), (":PUB:*", "r")):
        done = nacos.ask("POST", "/v1/auth/permissions", as_root, role="dev-role", resource=resource, action=action)
        assert done.status == 200, body(done)
    return nacos


def test_without_a_token_nothing_is_served(guarded: GuardedNacos) -> None:
    for method, path in (("GET", CS), ("POST", CS), ("DELETE", CS), ("POST", f"{CS}/listener")):
        said = {"dataId": "a", "group": "G", "content": "x", "Listening-Configs": "a\2G\2\1"}
        answer = guarded.ask(method, path.removeprefix("/nacos"), **said)
        assert answer.status == 403
        assert document(answer)["message"] == "user not found!"
        assert document(answer)["path"] == path


def test_rights_are_by_namespace_group_and_data_id(guarded: GuardedNacos) -> None:
    bob = {"accessToken": guarded.login("bob")}
    cases = [
        ("POST", "dev", "G", "a1", 200),
        ("GET", "dev", "G", "a1", 200),
        ("POST", "dev", "G", "b1", 403),
        ("GET", "dev", "H", "a1", 403),
        ("POST", "", "PUB", "x", 403),
        ("GET", "public", "PUB", "x", 404),
        ("GET", "", "G", "a1", 403),
        ("DELETE", "dev", "G", "a1", 200),
    ]
    for method, tenant, group, data_id, status in cases:
        said = {"tenant": tenant, "group": group, "dataId": data_id, "content": "x"}
        assert guarded.ask(method, "/v1/cs/configs", bob, **said).status == status, said
    guarded.ask("POST", "/v1/cs/configs", bob, tenant="dev", group="G", dataId="a2", content="x", src_user="mallory")
    file = guarded.registry.config.reading.snapshot(guarded.service.configs.key("a2", "G", "dev")).file
    assert file is not None
    assert file.released.by not in ("", "mallory"), "who had to prove a name has that one"


@pytest.mark.parametrize(
    ("listed", "status"),
    [
        ("a1\2G\2x\2dev\1", 200),
        ("a1\2G\2x\2dev\1x\2PUB\2x\1", 200),
        ("a1\2G\2x\2dev\1b1\2G\2x\2dev\1", 403),
        ("b1\2G\2x\2dev\1", 403),
        ("".join(f"a{n}\2G\2x\2dev\1" for n in range(500)), 200),
        ("".join(f"a{n}\2G\2x\2dev\1" for n in range(500)) + "b\2G\2\2dev\1", 403),
    ],
)
def test_a_poll_asks_for_nothing_that_its_client_may_not_read(guarded: GuardedNacos, listed: str, status: int) -> None:
    sent = {"accessToken": guarded.login("bob"), "Long-Pulling-Timeout": "30000"}
    answer = guarded.ask("POST", "/v1/cs/configs/listener", sent, form=True, **{"Listening-Configs": listed})
    assert answer.status == status
    if status == 403:
        assert document(answer)["message"] == "authorization failed!"


def test_who_shows_a_password_and_hangs_up_waits_no_more() -> None:
    guarded = GuardedNacos()
    headers = (FORM, (b"long-pulling-timeout", b"30000"))
    said = quote("a1\2G\2\2dev\1")
    text = f"username=polaris&password={PASSWORD}&Listening-Configs={said}".encode()
    reply = guarded.http.handle(Request("POST", f"{CS}/listener", "", headers, text, "10.9.9.9"))
    assert not isinstance(reply, Response | Held), "the password is being looked at"
    told: list[Response] = []
    reply.then(told.append)
    guarded.turns.settle()
    guarded.inbox.get(timeout=60)()
    guarded.turns.settle()
    assert (told, guarded.service.polling.waiting) == ([], 1)
    let_go = abandoning(reply)
    assert let_go is not None
    let_go()
    assert guarded.service.polling.waiting == 0
