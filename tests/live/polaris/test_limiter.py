"""A limit that several processes of a real library keep together, by counting at our limiter."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ..building import BuildFailedError, MissingToolsError
from ..conftest import lacking
from ..server import Server
from ..waiting import until
from .console import Console
from .members import NOTICES_WITHIN_S, SDKS, Member
from .test_rules import RATE_LIMITS, exact

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

LIMIT = 50
PROCESSES = 3
EVERY_MS = 30
"""100 calls a second of the three together, twice what is allowed."""
SECONDS = 10


@pytest.fixture(params=["polaris-go-1.6", "polaris-go-1.7", "polaris-java"])
def processes(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Iterator[list[Member]]:
    """Three processes of one library."""
    client = SDKS[request.param]
    try:
        client.program.ready()
    except (MissingToolsError, BuildFailedError) as reason:
        lacking(str(reason))
    members = []
    for n in range(PROCESSES):
        folder = tmp_path / str(n)
        folder.mkdir()
        members.append(Member(client, f"127.0.0.1:{server.port}", folder))
    try:
        for member in members:
            member.talker.launch()
        for member in members:
            member.talker.greet()
        yield members
    finally:
        for member in members:
            member.talker.close()


def test_three_processes_keep_one_limit(processes: list[Member], console: Console, service: str) -> None:
    console.register(service, 8001)
    rule = console.add_rule(
        RATE_LIMITS,
        {
            "name": service[:64],
            "service": service,
            "namespace": "default",
            "method": exact("/together"),
            "resource": "QPS",
            "type": "GLOBAL",
            "amounts": [{"maxAmount": LIMIT, "validDuration": "1s"}],
            "action": "REJECT",
            "failover": "FAILOVER_LOCAL",
            "disable": False,
        },
    )
    calls = {"service": service, "method": "/together", "count": SECONDS * 1000 // EVERY_MS, "every": EVERY_MS}

    def known(member: Member) -> bool:
        return bool(member.ask("quota", service=service, method="/together", count=3 * LIMIT)["passed"] < 3 * LIMIT)

    for member in processes:
        until(lambda member=member: known(member), NOTICES_WITHIN_S, "the limit is known")
    with ThreadPoolExecutor(PROCESSES) as pool:
        answers: list[dict[str, Any]] = list(pool.map(lambda member: member.ask("pace", **calls), processes))
    passed = sorted(at for answer in answers for at in answer["passed"])
    begin = max(min(answer["passed"]) for answer in answers) + 2000
    end = begin + (SECONDS - 4) * 1000
    counted = [sum(begin + n * 1000 <= at < begin + (n + 1) * 1000 for at in passed) for n in range(SECONDS - 4)]
    rate = sum(begin <= at < end for at in passed) / (SECONDS - 4)
    print(f"passed in each second: {counted}, {rate:.1f} a second")
    assert 0.9 * LIMIT <= rate <= 1.1 * LIMIT, counted
    assert max(counted) <= 1.3 * LIMIT, counted
    assert all(answer["limited"] > 0 for answer in answers)
    console.remove_rule(RATE_LIMITS, rule)
