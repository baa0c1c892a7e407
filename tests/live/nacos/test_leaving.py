"""Clients end without a word: those with a connection are gone with it, those that beat when their beats are missed."""

from __future__ import annotations

import pytest

from ..waiting import until
from .conftest import RUN
from .members import NOTICES_WITHIN_S, Member
from .registry import Registry

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]
ANCHOR = 8009
UNHEALTHY_AFTER_S, GONE_AFTER_S = 7, 12
TIMES = {
    "preserved.heart.beat.timeout": f"{UNHEALTHY_AFTER_S}000",
    "preserved.ip.delete.timeout": f"{GONE_AFTER_S}000",
}
"""Less than the 15 and 30 s that count otherwise, more than the 5 s between beats."""
LOOKS_EVERY_S = 5
SLACK_S = 5


def test_processes_that_die_are_missed(sdks: list[Member], registry: Registry) -> None:
    service = f"died-{RUN}"
    registry.register(service, ANCHOR)
    for member in sdks:
        member.register(service, metadata=TIMES)
    connected = {member.port for member in sdks if member.client.keeps_connection}
    beating = {member.port for member in sdks if not member.client.keeps_connection}
    until(lambda: registry.ports(service) == {ANCHOR, *connected, *beating}, NOTICES_WITHIN_S, "all are listed")
    for member in sdks:
        member.talker.close()  # kills
    until(lambda: registry.ports(service) == {ANCHOR, *beating}, NOTICES_WITHIN_S, "connections end, instances go")

    def unhealthy() -> set[int]:
        return {port for port, one in registry.instances(service).items() if not one["healthy"]}

    until(lambda: unhealthy() == beating, UNHEALTHY_AFTER_S + LOOKS_EVERY_S + SLACK_S, "beats are missed")
    gone_s = GONE_AFTER_S - UNHEALTHY_AFTER_S + LOOKS_EVERY_S + SLACK_S
    until(lambda: registry.ports(service) == {ANCHOR}, gone_s, "they are gone")
