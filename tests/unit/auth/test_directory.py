"""The directory follows what is published, survives restarts, and leaves nothing behind that points to nobody."""

from __future__ import annotations

import pytest
from chamber import Chamber, grant
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from polaris_bridge.core.auth.directory import OWN_FUNCTIONS, Directory, Unreadable
from polaris_bridge.core.auth.snapshot import Snapshot
from polaris_bridge.core.auth.values import (
    ADMINISTRATOR,
    ANONYMOUS,
    DENY,
    GROUP,
    POLICY,
    ROLE,
    USER,
    Condition,
    Grant,
    Group,
    Policy,
    Role,
    User,
    from_document,
    to_document,
)
from polaris_bridge.core.model import SYSTEM, Caller, Document, Registration, ServiceKey
from polaris_bridge.core.ports import Credential, Resource

ORDERS = Resource("service", "shop", "orders")
NOTHING = Resource("")

texts = st.text(max_size=8)
ids = st.lists(st.sampled_from("abc"), max_size=3, unique=True).map(tuple)
entries = st.one_of(
    st.builds(
        User,
        id=texts,
        name=texts,
        rank=st.sampled_from(("admin", "main", "sub")),
        password=texts,
        token=texts,
        metadata=st.dictionaries(texts, texts, max_size=2),
    ),
    st.builds(Group, id=texts, name=texts, members=ids),
    st.builds(Role, id=texts, name=texts, users=ids, groups=ids),
    st.builds(
        Policy,
        id=texts,
        name=texts,
        users=ids,
        functions=ids,
        grants=st.lists(st.builds(Grant, texts, texts, texts)).map(tuple),
        conditions=st.lists(st.builds(Condition, texts, texts, texts)).map(tuple),
    ),
)


@given(entries)
def test_entries_survive_their_documents(entry: User | Group | Role | Policy) -> None:
    assert from_document(to_document(entry)) == entry


@given(
    st.lists(
        st.tuples(st.sampled_from((USER, GROUP, ROLE, POLICY)), st.sampled_from("xyz"), st.booleans(), ids), max_size=30
    )
)
def test_indexes_never_differ_from_a_directory_made_anew(steps: list[tuple[str, str, bool, tuple[str, ...]]]) -> None:
    kept: dict[tuple[str, str], User | Group | Role | Policy] = {}
    grown = Snapshot()
    for number, (kind, id, there, members) in enumerate(steps):
        made = {
            USER: lambda id=id, m=members: User(id, f"n{len(m)}{id}"),
            GROUP: lambda id=id, m=members: Group(id, id, members=m),
            ROLE: lambda id=id, m=members: Role(id, id, users=m, groups=m),
            POLICY: lambda id=id, m=members: Policy(id, id, users=m, groups=m),
        }[kind]()
        kept.pop((kind, id), None)
        if there:
            kept[kind, id] = made
        grown = grown.changed(number, [(kind, id, made if there else None)])
    anew = Snapshot().changed(0, [(kind, id, entry) for (kind, id), entry in kept.items()])
    for who in "abcxyz":
        assert set(grown.groups_of(who)) == set(anew.groups_of(who))
        assert set(grown.roles_of(who)) == set(anew.roles_of(who))
        assert {p.id for p in grown.policies_of(who)} == {p.id for p in anew.policies_of(who)}
    assert grown.users == anew.users
    for user in grown.users.values():
        assert grown.user_named(user.name, user.name) == user


def test_everybody_is_there_after_a_restart() -> None:
    chamber = Chamber()
    ann = chamber.user("ann", password="secret-1")
    chamber.group("team", ann.id)
    chamber.policy("p", users=(ann.id,), functions=("*",), grants=(grant("namespace", "*"),))
    before = chamber.directory.snapshot
    chamber.restart()
    after = chamber.directory.snapshot
    assert dict(after.users) == dict(before.users)
    assert dict(after.groups) == dict(before.groups)
    assert dict(after.policies) == dict(before.policies)
    assert chamber.judge.allow(ann.id, "DescribeServices", NOTHING)


def test_a_directory_that_cannot_be_read_is_no_directory() -> None:
    chamber = Chamber()
    chamber.registry.documents.put(Document(USER, "broken", body=b"\xc1"), SYSTEM)
    chamber.settle()
    with pytest.raises(Unreadable, match="user broken"):
        Directory(chamber.registry, chamber.unique)


def test_what_users_groups_and_roles_are_given_adds_up() -> None:
    chamber = Chamber()
    ann = chamber.user("ann")
    team = chamber.group("team", ann.id)
    chamber.role("direct", users=(ann.id,))
    chamber.role("through", groups=(team.id,))
    chamber.service("shop", "orders")
    for number, (field, id) in enumerate(
        (("users", ann.id), ("groups", team.id), ("roles", "id-direct"), ("roles", "id-through"))
    ):
        function = f"F{number}"
        assert not chamber.judge.allow(ann.id, function, ORDERS)
        chamber.policy(function, functions=(function,), grants=(grant("service", "shop", "orders"),), **{field: (id,)})
        assert chamber.judge.allow(ann.id, function, ORDERS), field
    chamber.policy("no", effect=DENY, groups=(team.id,), functions=("F0",))
    assert not chamber.judge.allow(ann.id, "F0", ORDERS), "denials come first"
    assert chamber.judge.allow(team.id, "F3", ORDERS), "a group has roles too"
    assert not chamber.judge.allow(team.id, "F2", ORDERS)


def test_a_deleted_user_leaves_nothing_behind() -> None:
    chamber = Chamber()
    ann, bob = chamber.user("ann"), chamber.user("bob")
    chamber.group("team", ann.id, bob.id)
    chamber.role("role", users=(ann.id, bob.id))
    chamber.policy("p", users=(ann.id, bob.id))
    assert [p.default for p in chamber.directory.snapshot.policies_of(ann.id)] == [True, False]
    chamber.directory.delete(ann, SYSTEM)
    chamber.settle()
    snapshot = chamber.directory.snapshot
    assert snapshot.policies_of(ann.id) == []
    assert snapshot.groups_of(ann.id) == snapshot.roles_of(ann.id) == ()
    assert snapshot.groups["id-team"].members == snapshot.roles["id-role"].users == (bob.id,)
    assert snapshot.policies["id-p"].users == (bob.id,)
    assert chamber.judge.authenticate(Credential(token=ann.token)) is None


def test_everybody_may_do_with_itself_what_the_original_allows() -> None:
    chamber = Chamber()
    ann, bob = chamber.user("ann"), chamber.user("bob")
    for function in OWN_FUNCTIONS:
        about_users = "User" in function
        assert chamber.judge.allow(ann.id, function, Resource(USER, id=ann.id)) or not about_users
        assert not chamber.judge.allow(ann.id, function, Resource(USER, id=bob.id))
    assert not chamber.judge.allow(ann.id, "DeleteUsers", Resource(USER, id=ann.id))


def test_administrators_are_bound_by_nothing() -> None:
    chamber = Chamber()
    root = chamber.user("root", rank=ADMINISTRATOR)
    chamber.policy("no", effect=DENY, users=(root.id,))
    assert chamber.judge.allow(root.id, "DeleteUsers", Resource(USER, id="x"))


def test_nobody_in_particular_has_what_policies_give_it() -> None:
    chamber = Chamber()
    chamber.service("shop", "orders")
    assert not chamber.judge.allow("", "DiscoverInstances", ORDERS)
    chamber.policy("open", users=(ANONYMOUS,), functions=("Discover*",), grants=(grant("namespace", "shop"),))
    assert chamber.judge.allow("", "DiscoverInstances", ORDERS)
    assert not chamber.judge.allow("", "RegisterInstance", ORDERS)


# ---------------------------------------------------------------------- what a decision is about


def test_what_is_not_there_yet_belongs_to_its_namespace() -> None:
    chamber = Chamber()
    ann = chamber.user("ann")
    chamber.service("shop", "orders")
    chamber.policy("p", users=(ann.id,), functions=("*",), grants=(grant("namespace", "shop"),))
    chamber.policy("q", users=(ann.id,), functions=("Create*",))
    assert chamber.judge.allow(ann.id, "RegisterInstance", Resource("service", "shop", "new"))
    assert chamber.judge.allow(ann.id, "CreateNamespaces", Resource("namespace", "new", "new"))
    chamber.service("other", "orders")
    assert not chamber.judge.allow(ann.id, "RegisterInstance", Resource("service", "other", "new"))
    assert not chamber.judge.allow(ann.id, "CreateNamespaces", Resource("namespace", "other", "other"))


def test_labels_are_those_of_the_resource_now() -> None:
    chamber = Chamber()
    ann = chamber.user("ann")
    chamber.policy("p", users=(ann.id,), functions=("*",), conditions=(Condition("env", "test", "string_equal"),))
    chamber.service("shop", "orders", {"env": "test"})
    assert chamber.judge.allow(ann.id, "UpdateServices", ORDERS)
    chamber.service("shop", "orders", {"env": "prod"})
    assert not chamber.judge.allow(ann.id, "UpdateServices", ORDERS)


def test_a_rule_is_known_by_its_id_and_belongs_to_its_namespace() -> None:
    chamber = Chamber()
    ann, bob = chamber.user("ann"), chamber.user("bob")
    chamber.service("shop", "orders")
    chamber.registry.documents.put(Document("routing", "r1", "shop", "rule"), SYSTEM)
    chamber.settle()
    chamber.policy("p", users=(ann.id,), functions=("*",), grants=(Grant("routing", "r1"),))
    chamber.policy("q", users=(bob.id,), functions=("*",), grants=(grant("namespace", "shop"),))
    claimed = Resource("routing", "elsewhere", "rule", "r1")
    assert chamber.judge.allow(ann.id, "UpdateRouteRules", claimed)
    assert chamber.judge.allow(bob.id, "UpdateRouteRules", claimed), (
        "the stored namespace counts, not the one that is claimed"
    )


def test_decisions_change_with_the_directory() -> None:
    chamber = Chamber()
    ann = chamber.user("ann")
    chamber.service("shop", "orders")
    for effect in ("allow", "deny", "allow"):
        chamber.policy("p", effect=effect, users=(ann.id,), functions=("*",), grants=(grant("service", "*"),))
        assert chamber.judge.allow(ann.id, "UpdateServices", ORDERS) is (effect == "allow")


def test_ten_thousand_policies_decide_as_fast_as_ten() -> None:
    chamber = Chamber()
    ann = chamber.user("ann")
    chamber.service("shop", "orders")
    with chamber.directory.transaction():
        for number in range(10_000):
            chamber.directory.put(
                Policy(f"p{number}", f"p{number}", users=(ann.id,), functions=("Describe*",),
                       grants=(grant("service", "shop", f"s{number}"),)),
                SYSTEM,
            )  # fmt: skip
    chamber.settle()
    rights = chamber.directory.snapshot.rights(ann.id)
    assert not chamber.judge.allow(ann.id, "DescribeServices", ORDERS)
    assert len(rights._allow.by_key) >= 10_000, "one look at an index, not ten thousand at policies"


# ---------------------------------------------------------------------- ownership


def test_who_creates_something_may_use_it_at_once() -> None:
    chamber = Chamber()
    ann, bob = chamber.user("ann"), chamber.user("bob")
    chamber.service("shop", "orders", caller=Caller("polaris", principal=ann.id))
    assert chamber.judge.allow(ann.id, "UpdateServices", ORDERS)
    assert not chamber.judge.allow(bob.id, "UpdateServices", ORDERS)
    own = chamber.directory.snapshot.default_policy(ann.id)
    assert own is not None
    assert Grant("service", "", "shop", "orders") in own.grants


def test_between_the_creation_and_its_record_the_creator_is_known() -> None:
    chamber = Chamber()
    ann = chamber.user("ann")
    seen: list[bool] = []
    chamber.registry.operations.append(
        lambda record: (
            seen.append(chamber.judge.allow(ann.id, "UpdateServices", ORDERS)) if record.resource == "service" else None
        )
    )
    chamber.service("shop", "orders", caller=Caller("polaris", principal=ann.id))
    assert seen == [True]


def test_a_rule_belongs_to_who_made_it() -> None:
    chamber = Chamber()
    team = chamber.group("team")
    chamber.registry.documents.put(Document("routing", "r1", "", "rule"), Caller("polaris", principal=team.id))
    chamber.registry.documents.put(Document("client", "c1"), Caller("polaris", principal=team.id))
    chamber.settle()
    own = chamber.directory.snapshot.default_policy(team.id)
    assert own is not None
    assert own.grants == (Grant("routing", "r1"),)


def test_changing_something_makes_nobody_its_owner() -> None:
    chamber = Chamber()
    ann = chamber.user("ann")
    chamber.service("shop", "orders")
    chamber.service("shop", "orders", {"a": "b"}, caller=Caller("polaris", principal=ann.id))
    assert not chamber.judge.allow(ann.id, "UpdateServices", ORDERS)


def test_a_policy_of_its_own_is_replaced_whole() -> None:
    chamber = Chamber()
    ann = chamber.user("ann")
    policy = chamber.policy("p", users=(ann.id,), functions=("A",))
    assert chamber.judge.allow(ann.id, "A", NOTHING)
    chamber.directory.put(structs.replace(policy, functions=("B",)), SYSTEM)
    chamber.settle()
    assert (chamber.judge.allow(ann.id, "A", NOTHING), chamber.judge.allow(ann.id, "B", NOTHING)) == (False, True)


def test_what_is_deleted_belongs_to_nobody() -> None:
    chamber = Chamber()
    ann, bob = chamber.user("ann"), chamber.user("bob")
    as_ann, as_bob = (Caller("polaris", principal=user.id) for user in (ann, bob))
    chamber.service("shop", "orders", caller=as_ann)
    chamber.registry.documents.put(Document("routing", "r1"), as_ann)
    chamber.settle()
    chamber.registry.delete_service(ServiceKey("shop", "orders"), as_bob)
    chamber.registry.documents.delete("routing", "r1", as_bob)
    chamber.settle()
    assert [p.grants for p in chamber.directory.snapshot.policies_of(ann.id)] == [(Grant(USER, ann.id),)]
    chamber.service("shop", "orders", caller=as_bob)
    assert not chamber.judge.allow(ann.id, "UpdateServices", ORDERS)
    assert chamber.judge.allow(bob.id, "UpdateServices", ORDERS)


def test_who_registers_again_changes_nothing() -> None:
    chamber = Chamber()
    ann = chamber.user("ann")
    as_ann = Caller("polaris", principal=ann.id)
    one = Registration(source="polaris", namespace="shop", key="k", service="orders", host="10.0.0.1", port=1)
    revisions: set[int] = set()
    for port in (1, 2, 3):
        chamber.registry.register(structs.replace(one, port=port), as_ann)
        chamber.settle()
        own = chamber.directory.snapshot.default_policy(ann.id)
        assert own is not None
        assert Grant("service", "", "shop", "orders") in own.grants
        revisions.add(chamber.directory.snapshot.revision)
    assert len(revisions) == 1
