"""A running client: registered, renewing, seeing others, calling them, obeying overrides, coming back."""

from __future__ import annotations

import signal

import pytest

from ..waiting import until
from .conftest import Target
from .members import CLIENTS, LEASE_S, METADATA, NOTICES_WITHIN_S, RENEW_S, RENEWS_WITHIN_S, Fleet, Member
from .registry import Registry
from .relay import Exchange

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]


def skip_if_404_ends_it(member: Member, target: Target) -> None:
    """Ours answers an unknown renewal with an empty body, the real server with one that some clients cannot read."""
    if member.client.chokes_on_404_body and not target.ours:
        pytest.skip("this client never registers again after the real server's 404")


def test_registration_is_listed_in_both_formats(member: Member, registry: Registry) -> None:
    listed = registry.instance(member.instance_id)
    assert listed is not None
    alone = registry.instance_alone(member.app, member.instance_id)
    for document in (listed, alone):
        assert document["app"] == member.app.upper()
        assert document["hostName"] == document["ipAddr"] == "127.0.0.1"
        assert document["port"] == {"$": member.port, "@enabled": "true"}
        assert document["status"] == "UP"
        assert document["vipAddress"] == member.app
        assert METADATA.items() <= document["metadata"].items()
        assert document["leaseInfo"]["renewalIntervalInSecs"] == RENEW_S
        assert document["leaseInfo"]["durationInSecs"] == LEASE_S
    in_xml = registry.all_in_xml()[member.instance_id]
    assert in_xml.findtext("port") == str(member.port)
    assert in_xml.findtext("metadata/with.dot") == METADATA["with.dot"]
    assert member.instance_id in until(lambda: member.up(member.app), NOTICES_WITHIN_S, "the client sees itself")


def test_renewals_are_accepted_and_counted(member: Member, registry: Registry) -> None:
    def last_renewal() -> int:
        # The real server's lists are cached until the next write; one instance alone is always fresh.
        alone = registry.instance_alone(member.app, member.instance_id)
        renewed: int = alone["leaseInfo"]["lastRenewalTimestamp"]
        return renewed

    position = len(member.relay.exchanges)
    first = last_renewal()
    until(lambda: last_renewal() > first, RENEWS_WITHIN_S, "the time of the last renewal grows")
    second = last_renewal()
    until(lambda: last_renewal() > second, RENEWS_WITHIN_S, "it grows again")
    writes = member.own_exchanges(position)
    assert {(one.method, one.status) for one in writes} == {("PUT", 200)}
    assert {one.answer_size for one in writes} == {0}


def test_another_comes_changes_and_goes(member: Member, registry: Registry, target: Target) -> None:
    app, first, second = f"neighbour-of-{member.client.name}", "neighbour:1", f"neighbour:2:{member.client.name}"
    first = f"{first}:{member.client.name}"
    position = len(member.relay.exchanges)

    registry.register(app, first, port=8081, metadata={"release": "1"})
    seen = until(lambda: member.view(app), NOTICES_WITHIN_S, "a new application is seen")[first]
    assert (seen["status"], seen["host"], seen["port"]) == ("UP", "127.0.0.1", 8081)
    assert seen["metadata"]["release"] == "1"

    registry.put_metadata(app, first, "release", "2")
    if target.ours or not member.client.ignores_repeated_added:
        until(lambda: member.view(app)[first]["metadata"]["release"] == "2", NOTICES_WITHIN_S, "new metadata is seen")

    registry.register(app, second, port=8082)
    until(lambda: member.up(app) == {first, second}, NOTICES_WITHIN_S, "a second instance is seen")

    registry.override(app, second, "OUT_OF_SERVICE")
    until(lambda: member.up(app) == {first}, NOTICES_WITHIN_S, "a status change is seen")
    registry.end_override(app, second, "UP")
    until(lambda: member.up(app) == {first, second}, NOTICES_WITHIN_S, "the change back is seen")

    registry.cancel(app, first)
    until(lambda: set(member.view(app)) == {second}, NOTICES_WITHIN_S, "a leaving is seen")
    registry.cancel(app, second)
    until(lambda: not member.view(app), NOTICES_WITHIN_S, "the last one's leaving is seen")

    if target.ours and member.client.verifies_deltas:
        reads = {one.target.rsplit("/eureka/")[1] for one in member.relay.exchanges[position:] if one.method == "GET"}
        assert reads == {"apps/delta"}


def test_every_member_sees_every_other(member: Member, fleet: Fleet) -> None:
    for other in fleet:
        until(
            lambda other=other: other.instance_id in member.up(other.app),  # type: ignore[misc]
            NOTICES_WITHIN_S,
            f"{member.client.name} sees {other.client.name}",
        )


def test_calls_another_by_name(member: Member, registry: Registry, greeter: int) -> None:
    app, instance_id = f"greeter-for-{member.client.name}", f"greeter:{member.client.name}"
    registry.register(app, instance_id, port=greeter)
    until(lambda: member.up(app), NOTICES_WITHIN_S, "the greeter is seen")
    assert member.call(app) == "greetings at /hello"
    registry.cancel(app, instance_id)


def test_calls_the_spring_application_by_name(member: Member, fleet: Fleet) -> None:
    spring = [other for other in fleet if other.client.name == "spring"]
    if not spring:
        pytest.skip("the spring client is not among the selected ones")
    until(lambda: member.up(spring[0].app), NOTICES_WITHIN_S, "the spring application is seen")
    assert member.call(spring[0].app) == "hello from spring"


@pytest.mark.parametrize("member", [name for name, client in CLIENTS.items() if client.changes_status], indirect=True)
def test_changes_its_own_status(member: Member, registry: Registry, target: Target) -> None:
    skip_if_404_ends_it(member, target)  # Java sends a third change within a minute through the 404 of a renewal

    def status() -> str:
        listed = registry.instance(member.instance_id)
        assert listed is not None
        text: str = listed["status"]
        return text

    member.ask("status DOWN")
    until(lambda: status() == "DOWN", RENEWS_WITHIN_S, "the server lists the new status")
    position = len(member.relay.exchanges)
    member.wait_for_renewals(2, position)
    assert status() == "DOWN"
    member.ask("status UP")
    until(lambda: status() == "UP", RENEWS_WITHIN_S, "and the old one again")


def test_operators_override_holds_until_it_is_ended(member: Member, registry: Registry) -> None:
    position = len(member.relay.exchanges)
    registry.override(member.app, member.instance_id, "OUT_OF_SERVICE")
    writes = member.wait_for_renewals(3, position)
    listed = registry.instance(member.instance_id)
    assert listed is not None
    assert (listed["status"], listed["overriddenStatus"]) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")
    assert {one.status for one in writes if one.method == "PUT"} == {200}
    registry.end_override(member.app, member.instance_id, "UP")
    listed = registry.instance(member.instance_id)
    assert listed is not None
    assert (listed["status"], listed["overriddenStatus"]) == ("UP", "UNKNOWN")


def test_registers_again_when_the_server_forgot_it(member: Member, registry: Registry, target: Target) -> None:
    skip_if_404_ends_it(member, target)
    position = len(member.relay.exchanges)
    registry.cancel(member.app, member.instance_id)
    until(lambda: registry.instance(member.instance_id), 2 * RENEWS_WITHIN_S, "the client has registered again")

    def since_registered() -> list[Exchange]:
        """A registration is listed before its client has the answer."""
        writes = member.own_exchanges(position)
        return writes if any(one.method == "POST" for one in writes) else []

    writes = until(since_registered, RENEWS_WITHIN_S, "the registration is answered")
    assert ("PUT", 404) in {(one.method, one.status) for one in writes}
    assert [one.status for one in writes if one.method == "POST"] == [204]
    assert METADATA.items() <= registry.instance_alone(member.app, member.instance_id)["metadata"].items()


def test_a_silent_client_leaves_with_its_lease_and_returns(member: Member, registry: Registry, target: Target) -> None:
    skip_if_404_ends_it(member, target)
    doubled = 1 if target.ours else 2  # the real server adds the duration twice
    member.signal(signal.SIGSTOP)
    try:
        until(
            lambda: registry.instance(member.instance_id) is None, doubled * LEASE_S + 4, "the silent client is removed"
        )
    finally:
        member.signal(signal.SIGCONT)
    until(lambda: registry.instance(member.instance_id), 2 * RENEWS_WITHIN_S, "it has registered again")
