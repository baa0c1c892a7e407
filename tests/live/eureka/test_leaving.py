"""A client that is stopped properly is gone at once, for the server and for those who watch."""

from __future__ import annotations

import pytest

from ..waiting import until
from .members import NOTICES_WITHIN_S, Fleet, Member
from .registry import Registry

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]


def test_leaving_is_immediate(member: Member, fleet: Fleet, registry: Registry) -> None:
    others = [other for other in fleet if other is not member and other.running]
    for other in others:
        until(lambda other=other: other.up(member.app), NOTICES_WITHIN_S, "seen before it leaves")  # type: ignore[misc]
    position = len(member.relay.exchanges)

    member.leave()

    assert registry.instance(member.instance_id) is None
    until(
        lambda: ("DELETE", 200) in {(one.method, one.status) for one in member.own_exchanges(position)},
        NOTICES_WITHIN_S,
        "the client's cancellation is answered",
    )
    for other in others:
        until(lambda other=other: not other.view(member.app), NOTICES_WITHIN_S, f"{other.client.name} noticed")  # type: ignore[misc]
