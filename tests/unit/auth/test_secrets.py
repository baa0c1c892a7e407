"""Tokens, passwords, and how many tries somebody has."""

from __future__ import annotations

import base64
from queue import Queue

import pytest
from chamber import COST, SALT, Chamber, Clock
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.core.auth.values import Group, User
from polaris_bridge.core.errors import Busy, Throttled, TokenDisabled, TokenReplaced
from polaris_bridge.core.model import SYSTEM
from polaris_bridge.core.ports import Credential, Undecided
from polaris_bridge.runtime.auth import passwords as hashing
from polaris_bridge.runtime.auth.first_start import SEEDED
from polaris_bridge.runtime.auth.passwords import Passwords, hash_now, verify_now
from polaris_bridge.runtime.auth.tokens import MAX_TOKEN, Tokens
from polaris_bridge.runtime.auth.tries import PER_ADDRESS, PER_NAME, Tries

REAL_USER = "L4qxB5BxTjZpUiGFdD15fAi2o5JnAWTE9wPJjqD5GkVLXXzZvjyYN0hUq4BdZWnG1/lTesPxdn4JC2vmL3k="
REAL_GROUP = "0xmIsY4Oer0K8TjkPPppgbNY9CTYvWrpWYJDALZuas6t/GdrID04W6+dXvaA2bhPEnwjWjurGc3X3LkSj++SDRDv"
NACOS_HASH = "$2a$10$EuWPZHzz32dJN7jexM34MOeYirDdFAZm2kuWj7VEOJhhZkDrxfvUu"
"""Of the password nacos, as Nacos ships it."""


# ---------------------------------------------------------------------- tokens


def test_tokens_of_a_real_server_are_read() -> None:
    tokens = Tokens(SALT)
    assert tokens.read(SEEDED.token) == (User, SEEDED.id)
    assert tokens.read(REAL_USER) == (User, "d30fa93b91b54cfa8e23558bae42c5b1")
    assert tokens.read(REAL_GROUP) == (Group, "cd1e384ca60a43e48e2d9c70da1bd335")


@given(
    st.sampled_from((User, Group)), st.text("0123456789abcdef", min_size=1, max_size=64), st.sampled_from((16, 24, 32))
)
def test_what_is_made_can_be_read(owner: type[User] | type[Group], id: str, size: int) -> None:
    tokens = Tokens("s" * size)
    made = tokens.make(owner, id)
    assert tokens.read(made) == (owner, id)
    assert made != tokens.make(owner, id)


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda b: base64.b64encode(b).decode())))
def test_anything_is_a_token_or_none(text: str) -> None:
    found = Tokens(SALT).read(text)
    assert found is None or found[1]


@pytest.mark.parametrize("token", ["", "garbage", "A" * (MAX_TOKEN + 1), "AAAA", "é", " " + REAL_USER])
def test_malformed_tokens_prove_nothing(token: str) -> None:
    assert Tokens(SALT).read(token) is None
    assert Chamber().judge.authenticate(Credential(token=token or "x")) is None


def test_a_token_of_another_salt_proves_nothing() -> None:
    chamber = Chamber()
    ann = chamber.user("ann")
    assert chamber.judge.authenticate(Credential(token=Tokens("another-salt-123").make(User, ann.id))) is None


@pytest.mark.parametrize("salt", ["", "short", "seventeen-bytes!!", "é" * 16 + "x"])
def test_a_salt_is_a_key(salt: str) -> None:
    with pytest.raises(ValueError, match="16, 24 or 32"):
        Tokens(salt)


def test_only_the_stored_token_counts() -> None:
    chamber = Chamber()
    ann = chamber.user("ann")
    assert chamber.judge.authenticate(Credential(token=ann.token)) == ann.id
    with pytest.raises(TokenReplaced):
        chamber.judge.authenticate(Credential(token=chamber.tokens.make(User, ann.id)))
    assert chamber.judge.authenticate(Credential(token=chamber.tokens.make(User, "nobody"))) is None


def test_a_disabled_token_is_named_so() -> None:
    chamber = Chamber()
    ann = chamber.user("ann", token_enabled=False)
    with pytest.raises(TokenDisabled):
        chamber.judge.authenticate(Credential(token=ann.token))


def test_values_do_not_show_their_secrets() -> None:
    chamber = Chamber()
    ann, team = chamber.user("ann", password="secret-1"), chamber.group("team")
    shown = f"{ann!r} {team!r} {Credential('ann', 'secret-1', ann.token)!r}"
    for secret in (ann.token, ann.password, team.token, "secret-1"):
        assert secret not in shown


# ---------------------------------------------------------------------- passwords


def test_hashes_of_others_verify() -> None:
    assert verify_now(NACOS_HASH, "nacos")
    assert verify_now(SEEDED.password, "polaris")
    assert not verify_now(NACOS_HASH, "Nacos")


@pytest.mark.parametrize("hashed", ["", "plain", "$2a$", "$1$salt$hash", "$2b$99$" + "x" * 53])
def test_what_is_no_hash_verifies_nothing(hashed: str) -> None:
    assert not verify_now(hashed, "plain")


def test_long_passwords_are_not_cut() -> None:
    hashed = hash_now("x" * 72, COST)
    assert verify_now(hashed, "x" * 72)
    assert not verify_now(hashed, "x" * 73)


def test_what_was_verified_is_known_for_a_while() -> None:
    clock, inbox = Clock(), Queue()  # type: ignore[var-annotated]
    passwords = Passwords(inbox.put, clock.monotonic, COST)
    hashed, found = hash_now("secret", COST), []
    passwords.check(hashed, "secret", found.append)
    passwords.check(hashed, "wrong", found.append)
    passwords.check("", "secret", found.append)
    for _ in range(3):
        inbox.get(timeout=30)()
    assert found == [True, False, False]
    assert passwords.known(hashed, "secret")
    assert not passwords.known(hashed, "wrong")
    assert not passwords.known(hash_now("secret", COST), "secret"), "another hash: the password was set anew"
    clock.now_s += hashing.KNOWN_S
    assert not passwords.known(hashed, "secret")
    passwords.close()


def test_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "MAX_WAITING", 2)
    inbox: Queue[object] = Queue()
    passwords = Passwords(inbox.put, Clock().monotonic, COST)
    for _ in range(2):
        passwords.make("secret", lambda _hashed: None)
    with pytest.raises(Busy):
        passwords.make("secret", lambda _hashed: None)
    inbox.get(timeout=30)()  # type: ignore[operator]
    passwords.make("secret", lambda _hashed: None)
    passwords.close()


def test_a_name_and_its_password_prove_a_user() -> None:
    chamber = Chamber()
    ann = chamber.user("ann", password="secret-1")
    bob = chamber.user("bob", owner=ann.id, password="secret-2")
    assert chamber.login("ann", "secret-1") == ann.id
    assert chamber.login("ann", "secret-2") is None
    assert chamber.login("bob", "secret-2") == bob.id
    assert chamber.login("ann/bob", "secret-2") == bob.id
    assert chamber.login("bob/ann", "secret-1") is None
    assert chamber.login("nobody", "secret-1") is None


def test_a_name_that_two_have_needs_its_owner() -> None:
    chamber = Chamber()
    ann, eve = chamber.user("ann"), chamber.user("eve")
    chamber.user("bob", owner=ann.id, password="secret-1")
    other = User(id="other", name="bob", owner=eve.id, password=hash_now("secret-2", COST))
    chamber.directory.put(other, SYSTEM)
    chamber.settle()
    assert chamber.login("bob", "secret-2") is None
    assert chamber.login("eve/bob", "secret-2") == "other"


def test_a_token_is_a_password_for_any_name() -> None:
    chamber = Chamber()
    ann = chamber.user("ann")
    assert chamber.judge.authenticate(Credential("whatever", ann.token)) == ann.id


def test_a_known_password_is_answered_at_once_until_it_changes() -> None:
    chamber = Chamber()
    chamber.user("ann", password="secret-1")
    assert chamber.login("ann", "secret-1") == "id-ann"
    assert chamber.judge.authenticate(Credential("ann", "secret-1", address="10.0.0.2")) == "id-ann"
    chamber.user("ann", password="secret-2")
    with pytest.raises(Undecided):
        chamber.judge.authenticate(Credential("ann", "secret-1", address="10.0.0.2"))


def test_many_who_ask_the_same_cost_one_check() -> None:
    chamber = Chamber()
    chamber.user("ann", password="secret-1")
    told: list[int] = []
    for number in range(20):
        with pytest.raises(Undecided) as raised:
            chamber.judge.authenticate(Credential("ann", "secret-1"))
        raised.value.then(lambda number=number: told.append(number))
    chamber.arrive()
    assert told == list(range(20))
    assert chamber.inbox.empty()


# ---------------------------------------------------------------------- brute force


def test_tries_are_limited_per_name_and_address() -> None:
    chamber = Chamber()
    chamber.user("ann", password="secret-1")
    chamber.user("bob", password="secret-2")
    for number in range(PER_NAME):
        assert chamber.login("ann", f"guess-{number}") is None
    with pytest.raises(Throttled):
        chamber.login("ann", "secret-1")
    assert chamber.login("ann", "secret-1", "10.0.0.2") == "id-ann", "others are not affected"
    assert chamber.login("bob", "secret-2") == "id-bob"
    chamber.clock.now_s += 61
    assert chamber.login("ann", "secret-1") == "id-ann"


def test_tries_of_one_address_are_limited_over_all_names() -> None:
    clock = Clock()
    tries = Tries(clock.monotonic)
    for number in range(PER_ADDRESS):
        assert not tries.blocked(f"name-{number}", "10.0.0.1")
        tries.failed(f"name-{number}", "10.0.0.1")
    assert tries.blocked("one more", "10.0.0.1")
    assert not tries.blocked("one more", "10.0.0.2")
    clock.now_s += 61
    assert not tries.blocked("one more", "10.0.0.1")


def test_the_right_password_ends_the_count() -> None:
    tries = Tries(Clock().monotonic)
    for _ in range(PER_NAME - 1):
        tries.failed("ann", "10.0.0.1")
    tries.succeeded("ann", "10.0.0.1")
    tries.failed("ann", "10.0.0.1")
    assert not tries.blocked("ann", "10.0.0.1")


def test_counts_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polaris_bridge.runtime.auth.tries.MAX_KEPT", 100)
    tries = Tries(Clock().monotonic)
    for number in range(1000):
        tries.failed(f"n{number}", f"a{number}")
    assert len(tries._failed) <= 102
