"""The server goes down, politely and by force: nothing that it acknowledged is lost, and clients go on as before."""

from __future__ import annotations

import signal
from dataclasses import dataclass

import pytest

from ..server import Server
from ..waiting import until
from .conftest import Target, wait_until_up
from .members import NOTICES_WITHIN_S, Fleet, Member
from .registry import Document, Registry

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

OVERRIDDEN = ("kept-overridden", "kept:overridden")
LAST_MOMENT = ("kept-last-moment", "kept:last-moment")
# What a new process may state anew.
MOVING = {"lastUpdatedTimestamp", "leaseInfo", "actionType"}


@dataclass(frozen=True)
class Restart:
    """What was listed before, what is listed by the new process before any client reached it, and since when."""

    ending: signal.Signals
    exit_code: int
    before: dict[str, Document]
    after: dict[str, Document]
    positions: dict[str, int]


@pytest.fixture(scope="module", params=[signal.SIGTERM, signal.SIGKILL], ids=lambda ending: ending.name)
def restart(request: pytest.FixtureRequest, target: Target, server: Server, fleet: Fleet) -> Restart:
    registry = target.registry
    for member in fleet:
        if not member.lost:  # its own tests say so
            wait_until_up(registry, member)
    registry.register(*OVERRIDDEN, metadata={"release": "1"})
    registry.put_metadata(*OVERRIDDEN, "release", "2")
    registry.override(*OVERRIDDEN, "OUT_OF_SERVICE")
    before = registry.all()
    registry.register(*LAST_MOMENT, metadata={"ending": request.param.name})

    exit_code = server.end(request.param)
    fleet.shut_out()
    positions = {member.client.name: len(member.relay.exchanges) for member in fleet}
    server.start()
    after = registry.all()
    fleet.let_in()
    return Restart(request.param, exit_code, before, after, positions)


def test_the_process_ended_as_it_was_told(restart: Restart) -> None:
    assert restart.exit_code == {signal.SIGTERM: 0, signal.SIGKILL: -signal.SIGKILL}[restart.ending]


def test_registration_is_listed_before_the_client_renews(restart: Restart, member: Member) -> None:
    before, after = restart.before[member.instance_id], restart.after[member.instance_id]
    assert {key: before[key] for key in before.keys() - MOVING} == {key: after[key] for key in after.keys() - MOVING}
    for key in ("renewalIntervalInSecs", "durationInSecs", "serviceUpTimestamp"):
        assert before["leaseInfo"][key] == after["leaseInfo"][key]


def test_writes_up_to_the_last_moment_are_kept(restart: Restart) -> None:
    overridden = restart.after[OVERRIDDEN[1]]
    assert overridden["metadata"] == {"release": "2"}
    assert (overridden["status"], overridden["overriddenStatus"]) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")
    assert LAST_MOMENT[1] in restart.after


def test_renewals_go_on(restart: Restart, member: Member) -> None:
    writes = member.wait_for_renewals(3, restart.positions[member.client.name])
    assert {one.status for one in writes if one.method == "PUT"} == {200}
    if not member.client.registers_after_outage:
        assert {one.method for one in writes} == {"PUT"}


def test_the_client_learns_what_changed_just_before(restart: Restart, member: Member) -> None:
    """Its next delta comes from the new process: nobody else can tell it."""
    app, instance_id = LAST_MOMENT
    ending = {"ending": restart.ending.name}
    until(
        lambda: ending.items() <= member.view(app).get(instance_id, {"metadata": {}})["metadata"].items(),
        NOTICES_WITHIN_S,
        "the last write before the restart is seen",
    )


def test_the_client_still_sees_changes(restart: Restart, member: Member, registry: Registry) -> None:
    app, instance_id = f"after-restart-for-{member.client.name}", f"after-restart:{member.client.name}"
    registry.register(app, instance_id)
    until(lambda: member.up(app), NOTICES_WITHIN_S, "a new instance is seen")
    registry.override(app, instance_id, "OUT_OF_SERVICE")
    until(lambda: not member.up(app), NOTICES_WITHIN_S, "a status change is seen")
    registry.cancel(app, instance_id)
    until(lambda: not member.view(app), NOTICES_WITHIN_S, "a leaving is seen")
