"""Every library publishes configuration, reads it, is told of changes and of the end; across namespaces, restarts and resets."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from hashlib import md5

import httpx
import pytest

from ..server import Server
from ..waiting import until
from .conftest import RUN, Target, needed
from .files import Files, Hearing, asked, reads, see
from .members import LISTENS_WITHIN_S, NOTICES_WITHIN_S, RECOVERS_WITHIN_S, SDKS, SPRING_CONFIG, Member

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

TEXT = "shop:\n  limit: 1 # 中文 & ü = %7B"
SWAPPING = [name for name, client in SDKS.items() if client.swaps]
NOBODY = "203.0.113.9"
"""An address that no client has."""
MANY = 300
LISTENING = ("ConfigBatchListenRequest", "POST /v1/cs/configs/listener", "ConfigQueryRequest", "GET /v1/cs/configs")
"""What a client that listens asks for."""
WATCHED_S = 6
"""How long requests are counted."""
MOST_PER_S = 4
"""Requests of a client that listens to one file: in a busy loop there are hundreds."""

Placed = Callable[[Member, str], tuple[Member, dict[str, str]]]


@pytest.fixture(scope="module")
def files(target: Target) -> Iterator[Files]:
    files = Files(f"http://{target.address}/nacos")
    yield files
    files.close()
    target.fleet.rest()


def test_publishes_and_is_read_by_every_client(member: Member, sdks: list[Member], files: Files, service: str) -> None:
    assert member.ask("publish", service, content=TEXT, type="yaml")["done"]
    assert until(lambda: files.content(service), NOTICES_WITHIN_S, "it is published") == TEXT
    for other in sdks:
        see(other, service, TEXT)
    assert member.ask("remove", service)["done"]
    until(lambda: files.content(service) is None, NOTICES_WITHIN_S, "it is gone")
    for other in sdks:
        see(other, service, None)


def test_is_told_of_what_others_do(member: Member, files: Files, service: str) -> None:
    """A file that comes, changes, is published as it is, and goes."""
    hearing = Hearing(files, member, service)
    hearing.listens()
    hearing.expect(lambda: files.publish(service, "one"), "one")
    hearing.expect(lambda: files.publish(service, TEXT), TEXT)
    files.publish(service, TEXT, desc="the same once more")
    hearing.expect(lambda: files.publish(service, "three"), "three")
    contents = [one["content"] for one in hearing.all()]
    assert contents == ["one", TEXT, "three"]
    hearing.expect(lambda: files.remove(service), "")
    hearing.expect(lambda: files.publish(service, "again"), "again")
    hearing.close()


def test_what_one_publishes_is_told_to_all(sdks: list[Member], files: Files, service: str) -> None:
    files.publish(service, "before")
    hearings = [Hearing(files, other, service) for other in sdks]
    settle(hearings, files, service)
    for member in sdks:
        for hearing in hearings:
            hearing.skip()
        assert member.ask("publish", service, content=f"by {member.name}")["done"]
        for hearing in hearings:
            hearing.hears(f"by {member.name}")
    end(hearings)


def end(hearings: list[Hearing]) -> None:
    """When everybody has heard: the first that ends changes the file for all."""
    for hearing in hearings:
        hearing.close()


def settle(hearings: list[Hearing], files: Files, service: str) -> None:
    """Everybody listens: each has heard of a change."""
    for hearing in hearings:
        hearing.skip()
    files.publish(service, "settled")
    for hearing in hearings:
        hearing.hears("settled", within_s=LISTENS_WITHIN_S)


@pytest.mark.parametrize("member", SWAPPING, indirect=True)
def test_compares_and_sets(member: Member, files: Files, service: str) -> None:
    files.publish(service, "one")
    see(member, service, "one")
    wrong, right = (md5(text.encode()).hexdigest() for text in ("two", "one"))
    assert not member.refused("swap", service, content="three", md5=right)
    assert files.content(service) == "three"
    assert member.refused("swap", service, content="four", md5=wrong)
    assert files.content(service) == "three"


def test_a_beta_for_its_address_and_its_end(member: Member, files: Files, service: str) -> None:
    files.publish(service, "for all")
    hearing = Hearing(files, member, service)
    hearing.listens()
    own = files.listeners(service)
    see(member, service, "for all")
    files.publish(service, "for nobody", betas=NOBODY)
    assert reads(member, service) == "for all"
    files.stop_beta(service)
    hearing.expect(lambda: files.publish(service, "for some", betas=",".join([*own, "127.0.0.1"])), "for some")
    assert reads(member, service) == "for some"
    hearing.expect(lambda: files.stop_beta(service), "for all")
    assert reads(member, service) == "for all"
    assert "for nobody" not in [one["content"] for one in hearing.all()]
    hearing.close()


@pytest.fixture
def placed(target: Target) -> Placed:
    """A member and what it is told to speak of a namespace; npm's needs a process of its own for each."""

    def place(member: Member, namespace: str) -> tuple[Member, dict[str, str]]:
        if not member.client.one_namespace:
            return member, {"namespace": namespace}
        apart = target.fleet.start(member.client, f"{member.name}-{namespace}", "--namespace", namespace)
        apart.talker.greet()
        return apart, {}

    return place


def test_the_public_namespace_in_both_spellings(
    member: Member, files: Files, service: str, server: Server, placed: Placed
) -> None:
    """On Nacos 2.x a listener that calls it ``public`` asks and asks, and is never told."""
    files.publish(service, "one")
    member, place = placed(member, "public")
    see(member, service, "one", **place)
    hearing = Hearing(files, member, service, **place)
    hearing.listens()
    hearing.expect(lambda: files.publish(service, "two"), "two")
    assert member.ask("publish", service, content="three", **place)["done"]
    hearing.hears("three")
    assert files.content(service) == files.content(service, tenant="public") == "three"

    def count() -> int:
        return asked(httpx.get(f"http://127.0.0.1:{server.http_port}/metrics", timeout=10).text, LISTENING)

    before, since = count(), time.monotonic()
    until(lambda: time.monotonic() > since + WATCHED_S, WATCHED_S + 5, "requests are counted")
    assert count() - before < MOST_PER_S * WATCHED_S
    hearing.close()


def test_namespaces_and_groups_are_apart(member: Member, files: Files, service: str, placed: Placed) -> None:
    namespace = f"live-{RUN}"
    member, place = placed(member, namespace)
    place["group"] = "live-group"
    assert member.ask("publish", service, content="there", **place)["done"]
    assert files.content(service, tenant=namespace, group="live-group") == "there"
    assert files.content(service) is None
    assert files.content(service, tenant=namespace) is None
    see(member, service, "there", **place)
    assert member.ask("remove", service, **place)["done"]
    see(member, service, None, **place)


def test_many_files(member: Member, files: Files, service: str, target: Target) -> None:
    if member.client.forgets_pollers:
        member = target.fleet.start(member.client, f"{member.name}-many")
        member.talker.greet()
    names = [f"{service}.{number}" for number in range(MANY)]
    hearing = Hearing(files, member, *names)
    hearing.listens()
    for number in (0, 7, MANY - 1):  # one by one: what comes while nacos-sdk-go 2 asks it takes for asked already
        files.publish(names[number], str(number))
        hearing.hears(str(number), names[number], 2 * NOTICES_WITHIN_S)
    assert {one["file"] for one in hearing.all() if one["content"]} == {names[number] for number in (0, 7, MANY - 1)}
    hearing.close()


@pytest.mark.parametrize("member", ["java-3"], indirect=True)
def test_watches_files_by_pattern(member: Member, files: Files, service: str) -> None:
    def told() -> set[tuple[str, str]]:
        return {(one["file"], one["change"]) for one in member.ask("files")["changes"]}

    files.publish(f"{service}.before", "x")
    member.ask("filePattern", f"{service}*")
    until(lambda: (f"{service}.before", "ADD_CONFIG") in told(), NOTICES_WITHIN_S, "what there was is told")
    files.publish(f"{service}.after", "x")
    until(lambda: (f"{service}.after", "ADD_CONFIG") in told(), NOTICES_WITHIN_S, "what comes is told")
    files.remove(f"{service}.after")
    until(lambda: (f"{service}.after", "DELETE_CONFIG") in told(), NOTICES_WITHIN_S, "what goes is told")
    assert {name for name, _ in told()} == {f"{service}.before", f"{service}.after"}


# ---------------------------------------------------------------------- restarts and resets


def learn(hearings: list[Hearing], service: str, content: str) -> None:
    """Everybody is told; the library that may forget to listen again, and then does so after five minutes, can read it."""
    for hearing in hearings:
        if hearing.member.client.relistens:
            hearing.hears(content, within_s=RECOVERS_WITHIN_S)
        else:
            see(hearing.member, service, content, RECOVERS_WITHIN_S)


def test_listeners_go_on_across_a_restart(sdks: list[Member], files: Files, server: Server) -> None:
    service = f"config-restart-{RUN}"
    files.publish(service, "before")
    hearings = [Hearing(files, member, service) for member in sdks]
    settle(hearings, files, service)
    files.publish(service, "last moment")  # answered, and then at once the end
    server.end(signal.SIGKILL)
    server.start()
    assert files.content(service) == "last moment"
    learn(hearings, service, "last moment")
    files.publish(service, "after")
    learn(hearings, service, "after")
    end(hearings)
    told = {hearing.member.name: [one["content"] for one in hearing.all()] for hearing in hearings}
    assert all("" not in contents for contents in told.values()), "nobody is told that it was removed"


def test_listeners_go_on_after_a_reset(sdks: list[Member], files: Files) -> None:
    service = f"config-reset-{RUN}"
    files.publish(service, "before")
    hearings = [Hearing(files, member, service) for member in sdks]
    settle(hearings, files, service)
    for hearing in hearings:
        hearing.member.tunnel.reset()
    files.publish(service, "after")
    learn(hearings, service, "after")
    files.publish(service, "later")
    learn(hearings, service, "later")
    end(hearings)


# ---------------------------------------------------------------------- Spring


SPRING_APP = f"live-config-{RUN}"


@pytest.fixture(scope="module")
def spring_config(target: Target, files: Files, buildable: dict[str, str]) -> Member:
    """The application, and the file without which it does not start."""
    needed(SPRING_CONFIG, buildable)
    files.publish(f"{SPRING_APP}.yaml", "greeting: hello\nshop:\n  limit: 3\n", type="yaml")
    member = target.fleet.start(SPRING_CONFIG, "spring-config", "--app", SPRING_APP)
    member.talker.greet()
    return member


def test_spring_reads_its_settings_and_sees_them_change(spring_config: Member, files: Files) -> None:
    """``spring.config.import=nacos:``: ``@Value`` in ``@RefreshScope`` and ``@ConfigurationProperties`` alike."""

    def has(within_s: float = NOTICES_WITHIN_S, **wanted: object) -> None:
        until(
            lambda: wanted.items() <= spring_config.ask("settings").items(), within_s, f"the application has {wanted}"
        )

    has(greeting="hello", limit=3, owner="nobody")
    files.publish(f"{SPRING_APP}.yaml", "greeting: good evening\nshop:\n  limit: 4\n", type="yaml")
    has(greeting="good evening", limit=4)
    files.publish(f"{SPRING_APP}-extra.properties", "shop.owner=ann\n", type="properties", group="extra")
    has(owner="ann", limit=4)
    spring_config.tunnel.reset()
    files.publish(f"{SPRING_APP}.yaml", "shop:\n  limit: 5\n", type="yaml")
    has(RECOVERS_WITHIN_S, greeting="nothing", limit=5, owner="ann")
    spring_config.ask("leave")
