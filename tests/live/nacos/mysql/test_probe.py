"""The MYSQL check against a real server: what passes, what does not, and why it says so."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from polaris_bridge.adapters._shared.checks import MYSQL
from polaris_bridge.adapters.nacos.service.checks import READ_ONLY
from polaris_bridge.core.health import Check, Outcome
from polaris_bridge.core.model import CRITICAL, PASSING
from polaris_bridge.runtime.probes import Probes

from .database import PASSWORD, USER, MariaDb


async def ask(database: MariaDb, **changes: object) -> Outcome:
    check = Check(
        MYSQL, "127.0.0.1", database.port, query=READ_ONLY, user=USER, password=PASSWORD, unwanted=("ON",), timeout_ms=5000
    )  # fmt: skip
    probes = Probes()
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    probes.begin(structs.replace(check, **changes), answer.set_result)
    try:
        return await answer
    finally:
        probes.close()


async def test_a_primary_passes_and_a_replica_does_not(database: MariaDb) -> None:
    assert (await ask(database)).state == PASSING
    database.say("SET GLOBAL read_only=1")
    found = await ask(database)
    assert found == Outcome(CRITICAL, "it says read_only=ON")


@pytest.mark.parametrize(
    ("query", "state"),
    [
        ("select 1", PASSING),
        ("select user from mysql.user", CRITICAL),
        ("select * from nowhere.nothing", CRITICAL),
        ("selec 1", CRITICAL),
        ("do 1", PASSING),
        ("select 1 where 1 = 0", PASSING),
        ("select 1 union all select 2 union all select 3", PASSING),
        ("select '%s %d %'", PASSING),
    ],
)
async def test_the_query_has_to_succeed(database: MariaDb, query: str, state: str) -> None:
    assert (await ask(database, query=query)).state == state


async def test_a_wrong_password(database: MariaDb) -> None:
    found = await ask(database, password="wrong")
    assert found.state == CRITICAL
    assert "Access denied" in found.why
    assert "wrong" not in found.why


async def test_a_query_that_takes_too_long(database: MariaDb) -> None:
    found = await ask(database, query="select sleep(30)", timeout_ms=300)
    assert found == Outcome(CRITICAL, "no answer within 300 ms")
    others = "select count(*) from information_schema.processlist where info like 'select sleep%'"
    assert (await ask(database, query=others)).state == PASSING, "the server is none the worse for it"


async def test_a_large_table_does_not_come_here(database: MariaDb) -> None:
    """One row is asked for, whatever the query says."""
    found = await ask(database, query="select seq, repeat('x', 1000) from things.seq_1_to_100000000", timeout_ms=3000)
    assert found.state == PASSING


async def test_a_hundred_at_once(database: MariaDb) -> None:
    probes = Probes()
    check = Check(MYSQL, "127.0.0.1", database.port, query="select 1", user=USER, password=PASSWORD, timeout_ms=5000)
    answers: list[Outcome] = []
    complete = asyncio.Event()

    def done(outcome: Outcome) -> None:
        answers.append(outcome)
        if len(answers) == 100:
            complete.set()

    for _ in range(100):
        probes.begin(check, done)
    await asyncio.wait_for(complete.wait(), 60)
    probes.close()
    assert {a.state for a in answers} == {PASSING}
