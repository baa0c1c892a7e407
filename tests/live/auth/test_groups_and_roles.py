"""Native clients with what groups and roles give: a group's own token, membership, a role of a user or of its group."""

from __future__ import annotations

import pytest

from ..polaris.members import HOST, NOTICES_WITHIN_S, Client, Member
from ..waiting import until
from .accounts import READING, WRITING
from .conftest import Servers, Start
from .test_native import OWN, REFUSED

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def refused_writing(member: Member, service: str) -> bool:
    """Whether every call that changes something is refused."""
    return all(
        REFUSED in member.refusal(call, service=service, **OWN) for call in ("register", "heartbeat", "deregister")
    )


def test_a_groups_token_may_do_what_the_groups_policies_say(
    sdk: Client, servers: Servers, start: Start, service: str
) -> None:
    guarded, other = servers["strict"], f"{service}.other"
    for name in (service, other):
        guarded.console.register(name, 8001)
    group = guarded.accounts.group()
    (member,) = start(sdk, guarded, group.token)
    assert member.ports("all", service) == set()
    assert refused_writing(member, service)

    guarded.accounts.allow(group, READING + WRITING, service)
    member.ask("register", service=service, **OWN)
    member.ask("heartbeat", service=service, **OWN)
    until(lambda: member.ports("all", service) == {8001, 8002}, NOTICES_WITHIN_S, "the group's token counts")
    assert refused_writing(member, other), "outside of its rights"
    assert refused_writing(member, f"{service}.new")
    assert member.ports("all", other) == set()
    assert set(guarded.console.instances(other)) == {8001}

    guarded.accounts.delete_group(group)
    for call in ("register", "heartbeat", "deregister"):
        assert "401" in member.refusal(call, service=service, **OWN), "its token ended with it"
    assert set(guarded.console.instances(service)) == {8001, 8002}


def test_members_have_the_groups_rights_while_they_are_members(
    sdk: Client, servers: Servers, start: Start, service: str
) -> None:
    guarded = servers["strict"]
    guarded.console.register(service, 8001)
    user, group = guarded.accounts.create(), guarded.accounts.group()
    guarded.accounts.allow(group, READING + WRITING)
    (member,) = start(sdk, guarded, user.token)
    assert refused_writing(member, service)
    guarded.accounts.join(group, user)
    member.ask("register", service=service, **OWN)
    until(lambda: member.ports("all", service) == {8001, 8002}, NOTICES_WITHIN_S, "a member finds both")
    guarded.accounts.leave(group, user)
    assert refused_writing(member, service), "at once"
    guarded.accounts.join(group, user)
    member.ask("deregister", service=service, **OWN)


def test_a_roles_policy_counts_for_who_has_the_role(sdk: Client, servers: Servers, start: Start, service: str) -> None:
    """A user, and a member of a group, have the same role; each way it ends is felt with the next call."""
    guarded = servers["strict"]
    accounts = guarded.accounts
    guarded.console.register(service, 8001)
    user, other, group, role = accounts.create(), accounts.create(), accounts.group(), accounts.role()
    accounts.join(group, other)
    policy = accounts.allow(role, READING + WRITING, service)
    own, through_group = start(sdk, guarded, user.token, other.token)
    assert refused_writing(own, service)
    assert refused_writing(through_group, service)

    accounts.give(role, user, group)
    second = {"host": HOST, "port": 8003, "ttl": 5}
    own.ask("register", service=service, **OWN)
    through_group.ask("register", service=service, **second)
    for member in (own, through_group):
        until(
            lambda member=member: member.ports("all", service) == {8001, 8002, 8003},  # type: ignore[misc]
            NOTICES_WITHIN_S,
            "who has the role finds all",
        )
        assert refused_writing(member, f"{service}.other"), "outside of its rights"

    accounts.give(role, group)
    assert refused_writing(own, service), "taken away at once"
    through_group.ask("heartbeat", service=service, **second)
    accounts.delete_policy(policy)
    assert refused_writing(through_group, service), "without the policy the role says nothing"
    accounts.allow(role, WRITING, service)
    through_group.ask("heartbeat", service=service, **second)
    accounts.delete_role(role)
    assert refused_writing(through_group, service)
