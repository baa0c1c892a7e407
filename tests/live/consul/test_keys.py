"""Keys, sessions and locks as the libraries use them."""

from __future__ import annotations

from functools import partial

import pytest

from ..waiting import until
from .members import NOTICES_WITHIN_S, Member
from .registry import Registry
from .telling import Watch

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]
FULL_FLAGS = 2**63 + 3
TTL_S = 10
"""The shortest that there is."""


def test_values(member: Member, members: list[Member], registry: Registry, key: str) -> None:
    assert member.entry(key) is None
    assert member.ask("put", key=key, value="é 1", flags=42)["done"]
    for other in members:
        found = other.entry(key)
        assert found is not None
        assert (found["value"], found["flags"], found["session"]) == ("é 1", 42, ""), other.name
    assert registry.entry(key)["Value"] == "é 1"  # type: ignore[index]
    member.ask("put", key=key, value="")
    assert member.entry(key)["value"] == ""  # type: ignore[index]
    assert member.ask("delete", key=key)["done"]
    assert member.entry(key) is None


def test_flags_of_64_bits(registry: Registry, key: str) -> None:
    """By plain HTTP: JavaScript has no such numbers."""
    assert registry.put(key, "x", flags=FULL_FLAGS)
    assert registry.entry(key)["Flags"] == FULL_FLAGS  # type: ignore[index]


def test_compare_and_set(member: Member, key: str) -> None:
    assert member.ask("put", key=key, value="1", cas=0)["done"]
    assert not member.ask("put", key=key, value="2", cas=0)["done"]
    first = member.entry(key)
    assert first is not None
    assert member.ask("put", key=key, value="3", cas=first["index"])["done"]
    assert not member.ask("put", key=key, value="4", cas=first["index"])["done"]
    now = member.entry(key)
    assert now is not None
    assert now["value"] == "3"
    assert not member.ask("delete", key=key, cas=first["index"])["done"]
    assert member.ask("delete", key=key, cas=now["index"])["done"]
    assert member.entry(key) is None


def test_trees(member: Member, key: str) -> None:
    names = [f"{key}/{name}" for name in ("a", "a/b", "a/c/d", "z é/x")]
    for name in names:
        member.ask("put", key=name, value=name)
    assert [one["key"] for one in member.ask("list", key=f"{key}/")["entries"]] == names
    assert member.ask("keys", key=f"{key}/")["keys"] == names
    assert member.ask("keys", key=f"{key}/", separator="/")["keys"] == [f"{key}/a", f"{key}/a/", f"{key}/z é/"]
    assert member.ask("delete", key=f"{key}/a", recurse=True)["done"]
    assert member.ask("keys", key=key)["keys"] == [f"{key}/z é/x"]
    assert member.ask("list", key=f"{key}/nothing")["entries"] == []
    assert member.ask("keys", key=f"{key}/nothing")["keys"] == []


def test_watchers_of_a_key_are_told(member: Member, registry: Registry, key: str) -> None:
    registry.put(key, "first")
    watch = Watch(member, key=key)
    watch.expect_value(partial(registry.put, key, "second"), "second")
    for turn in range(5):
        registry.put(f"{key}-neighbour", str(turn))
    before = len(watch.all())
    watch.expect_value(partial(registry.delete, key), None)
    assert len(watch.all()) == before + 1
    watch.expect_value(partial(registry.put, key, "again"), "again")
    watch.close()


def test_a_missing_key_is_watched(member: Member, registry: Registry, key: str) -> None:
    watch = Watch(member, key=key)
    watch.expect_value(partial(registry.put, key, "it came"), "it came")
    watch.close()


def test_locks_of_sessions(member: Member, members: list[Member], key: str) -> None:
    mine = member.ask("session", name=member.name, ttl="60s", delay="1s")["id"]
    theirs = members[0].ask("session", name="other", ttl="60s", delay="1s")["id"]
    assert member.ask("acquire", key=key, value="mine", session=mine)["done"]
    assert member.ask("acquire", key=key, value="mine", session=mine)["done"]
    assert not members[0].ask("acquire", key=key, value="theirs", session=theirs)["done"]
    held = member.entry(key)
    assert held is not None
    assert (held["session"], held["locks"], held["value"]) == (mine, 1, "mine")
    assert member.ask("renew", session=mine)["there"]
    assert not member.ask("release", key=key, value="", session=theirs)["done"]
    assert member.ask("release", key=key, value="free", session=mine)["done"]
    assert members[0].ask("acquire", key=key, value="theirs", session=theirs)["done"]
    held = member.entry(key)
    assert held is not None
    assert (held["session"], held["locks"], held["value"]) == (theirs, 2, "theirs")
    watch = Watch(member, key=key)
    watch.expect(
        partial(members[0].ask, "destroy", session=theirs), "it is free", lambda change: not change["entry"]["session"]
    )
    watch.close()
    # For as long as the destroyed session's lock-delay was.
    assert not member.ask("acquire", key=key, value="mine", session=mine)["done"]
    until(
        lambda: member.ask("acquire", key=key, value="mine", session=mine)["done"], NOTICES_WITHIN_S, "it can be taken"
    )
    member.ask("destroy", session=mine)
    assert not member.ask("renew", session=mine)["there"]


def test_a_session_deletes_its_keys(member: Member, key: str) -> None:
    session = member.ask("session", ttl="60s", behavior="delete")["id"]
    assert member.ask("acquire", key=key, value="mine", session=session)["done"]
    watch = Watch(member, key=key)
    watch.expect_value(partial(member.ask, "destroy", session=session), None)
    watch.close()


def test_sessions_that_nobody_renews_end(members: list[Member], registry: Registry, key: str) -> None:
    """Between once and twice their time to live."""
    sessions = {}
    for member in members:
        session = sessions[member.name] = member.ask("session", ttl=f"{TTL_S}s", behavior="delete")["id"]
        assert member.ask("acquire", key=f"{key}/{member.name}", value="x", session=session)["done"]
    kept = members[0].ask("session", ttl=f"{TTL_S}s")["id"]

    def gone() -> bool:
        assert members[0].ask("renew", session=kept)["there"]
        return not members[0].ask("keys", key=key)["keys"]

    until(gone, 2 * TTL_S + 2, "their keys are gone")
    left = {one["ID"] for one in registry.read("session/list")}
    assert not left & set(sessions.values())
    assert kept in left
    members[0].ask("destroy", session=kept)


@pytest.mark.parametrize("member", ["go", "node"], indirect=True)
def test_a_session_ends_with_a_check(member: Member, registry: Registry, service: str, key: str) -> None:
    registry.register(service, 8001, Check={"TTL": "60s", "Status": "passing"})
    check = f"service:{service}-8001"
    session = member.ask("session", checks=[check], delay="1ms")["id"]
    assert member.ask("acquire", key=key, value="mine", session=session)["done"]
    watch = Watch(member, key=key)
    watch.expect(
        partial(member.ask, "check", id=check, status="critical"),
        "it is free",
        lambda change: not change["entry"]["session"],
    )
    watch.close()
    assert registry.read(f"session/info/{session}") == []
    refusal = member.refusal("session", checks=[check])
    assert "critical" in refusal


def test_transactions(member: Member, key: str) -> None:
    def change(verb: str, name: str, **more: object) -> dict[str, object]:
        return {"KV": {"Verb": verb, "Key": f"{key}/{name}", **more}}

    done = member.ask("txn", ops=[change("set", "a", Value="MQ=="), change("set", "b", Value="Mg==")])
    assert (done["done"], done["results"]) == (True, 2)
    assert member.ask("keys", key=key)["keys"] == [f"{key}/a", f"{key}/b"]
    refused = [change("set", "a", Value="Mw=="), change("cas", "b", Value="NA==", Index=1)]
    if member.name == "go":
        answer = member.ask("txn", ops=refused)
        assert not answer["done"]
        assert answer["errors"][0]["OpIndex"] == 1
    else:
        assert member.refusal("txn", ops=refused)
    assert member.entry(f"{key}/a")["value"] == "1"  # type: ignore[index]


class TestLockRecipe:
    """The library's own lock, which only Go's has."""

    @pytest.fixture
    def pair(self, members: list[Member]) -> tuple[Member, Member]:
        """Who locks, and who looks on."""
        by_name = {member.name: member for member in members}
        return by_name["go"], by_name["node"]

    def test_is_taken_held_and_given_back(self, pair: tuple[Member, Member], registry: Registry, key: str) -> None:
        member, other = pair
        assert member.ask("lock", key=key, value="mine")["done"]
        assert member.ask("held", key=key)["held"]
        assert registry.entry(key)["Flags"] == 0x2DDCCBC058A50C18  # type: ignore[index]
        session = other.ask("session", ttl="60s")["id"]
        assert not other.ask("acquire", key=key, value="theirs", session=session)["done"]
        member.ask("unlock", key=key)
        assert other.ask("acquire", key=key, value="theirs", session=session)["done"]
        other.ask("destroy", session=session)

    def test_is_lost_with_its_session(self, pair: tuple[Member, Member], registry: Registry, key: str) -> None:
        member, other = pair
        assert member.ask("lock", key=key, value="mine")["done"]
        other.ask("destroy", session=registry.entry(key)["Session"])  # type: ignore[index]
        until(lambda: not member.ask("held", key=key)["held"], NOTICES_WITHIN_S, "the loss is told")

    def test_is_lost_when_the_key_is_deleted(self, pair: tuple[Member, Member], registry: Registry, key: str) -> None:
        member, _ = pair
        assert member.ask("lock", key=key, value="mine")["done"]
        registry.delete(key)
        until(lambda: not member.ask("held", key=key)["held"], NOTICES_WITHIN_S, "the loss is told")

    def test_is_waited_for(self, pair: tuple[Member, Member], registry: Registry, key: str) -> None:
        member, other = pair
        session = other.ask("session", ttl="60s", delay="1ms")["id"]
        # The recipe's flags: it does not take what is something else.
        assert registry.put(key, "x", acquire=session, flags=0x2DDCCBC058A50C18)
        assert not member.ask("lock", key=key, value="mine")["done"]
        registry.put(key, "x", release=session, flags=0x2DDCCBC058A50C18)
        assert member.ask("lock", key=key, value="mine")["done"]
        member.ask("unlock", key=key)
        other.ask("destroy", session=session)
