"""A task at work: what it does when its registries are slow, away, wrong, emptied or back, and when it dies itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from model_registries import at
from registries import Bench, until

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.migration.engine.diff import CREATE, SKIP
from polaris_bridge.migration.model import Bounds
from polaris_bridge.migration.ports import Unreachable, Unusable
from polaris_bridge.migration.worker import PlanChanged

ORDERS = ServiceKey("default", "orders")
AWAY = Unreachable("nobody answers")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.worker.close()


def fill(bench: Bench, n: int = 10) -> None:
    for host in range(1, n + 1):
        bench.a.register(ORDERS, at(host))


async def mirrored(bench: Bench, n: int = 10) -> None:
    """A running worker that has copied everything."""
    fill(bench, n)
    bench.worker.start()
    await until(lambda: bench.worker.progress.complete and len(bench.there(ORDERS)) == n)


async def test_everything_is_copied_and_changes_follow(bench: Bench) -> None:
    await mirrored(bench)
    bench.a.register(ORDERS, at(1, weight=7, enabled=False))
    bench.a.register(ORDERS, at(11))
    await until(lambda: len(bench.there(ORDERS)) == 11 and bench.there(ORDERS)["10.0.0.1:80"].weight == 7)
    assert bench.worker.progress.writes == {CREATE: 11, "update": 1}
    bench.a.deregister(ORDERS, "10.0.0.11:80")
    await until(lambda: len(bench.there(ORDERS)) == 10)


async def test_nothing_is_removed_before_the_first_complete_list(bench: Bench) -> None:
    await mirrored(bench)
    await bench.worker.close()
    bench.source.hold = asyncio.Event()
    bench.restart()
    reads = bench.source.reads
    await until(lambda: bench.source.reads > reads)
    assert len(bench.there(ORDERS)) == 10
    assert not bench.worker.progress.complete
    bench.source.hold.set()
    await until(lambda: bench.worker.progress.complete)
    assert len(bench.there(ORDERS)) == 10


@pytest.mark.parametrize("error", [AWAY, Unusable("half a list")])
async def test_a_source_that_is_away_or_wrong_changes_nothing_and_is_told(bench: Bench, error: Exception) -> None:
    await mirrored(bench)
    bench.source.error = error  # type: ignore[assignment]
    await until(lambda: bench.worker.progress.stale_since_ms > 0)
    assert bench.worker.progress.error == str(error)
    bench.a.register(ORDERS, at(11))
    bench.a.deregister(ORDERS, "10.0.0.1:80")
    assert len(bench.there(ORDERS)) == 10
    bench.source.error = None
    bench.worker.hurry()
    await until(lambda: bench.worker.progress.stale_since_ms == 0 and "10.0.0.11:80" in bench.there(ORDERS))
    await until(lambda: "10.0.0.1:80" not in bench.there(ORDERS))
    assert len(bench.there(ORDERS)) == 10


async def test_a_source_that_comes_back_empty_empties_nothing_for_long(bench: Bench) -> None:
    await mirrored(bench, 4)
    bench.a.records.clear()
    await until(lambda: len(bench.worker.progress.held) == 4)
    for _ in range(3):
        bench.clock.now_s += 61
        reads = bench.source.reads
        await until(lambda reads=reads: bench.source.reads > reads)
    assert len(bench.there(ORDERS)) == 4
    fill(bench, 3)
    await until(lambda: len(bench.worker.progress.held) == 1)
    fill(bench, 4)
    await until(lambda: not bench.worker.progress.held)
    assert bench.worker.progress.writes == {CREATE: 4}


async def test_too_many_removals_wait_until_they_are_allowed(bench: Bench) -> None:
    await mirrored(bench, 20)
    for host in range(1, 11):
        bench.a.deregister(ORDERS, f"10.0.0.{host}:80")
    await until(lambda: len(bench.worker.progress.held) == 10)
    assert len(bench.there(ORDERS)) == 20
    bench.worker.allow = True
    bench.worker.hurry()
    await until(lambda: len(bench.there(ORDERS)) == 10)
    assert not bench.worker.allow


async def test_what_the_source_says_has_ended_goes_at_once(bench: Bench) -> None:
    await mirrored(bench, 20)
    bench.source.ended = frozenset((ORDERS, f"10.0.0.{host}:80") for host in range(1, 21))
    bench.a.records.clear()
    await until(lambda: not bench.there(ORDERS))


async def test_after_a_death_exactly_what_went_meanwhile_goes() -> None:
    bench = Bench(bounds=Bounds(mass_percent=50))
    await mirrored(bench, 40)
    await bench.worker.close()
    for host in range(1, 11):
        bench.a.deregister(ORDERS, f"10.0.0.{host}:80")
    bench.b.writes.clear()
    bench.restart()
    await until(lambda: bench.worker.progress.complete)
    assert len(bench.there(ORDERS)) == 30
    assert len(bench.b.writes) == 10
    await bench.worker.close()


async def test_a_removed_copy_is_named_and_put_back_by_the_next_comparison(bench: Bench) -> None:
    await mirrored(bench)
    copy = next(r for r in bench.b.copies()[ORDERS] if r.origin is not None)
    bench.b.deregister(ORDERS, copy.id)
    bench.clock.now_s += 61
    await until(lambda: len(bench.there(ORDERS)) == 10)
    progress = bench.worker.progress
    await until(lambda: progress.repaired == 1)
    assert copy.origin is not None
    assert [(d.id, d.kind) for d in progress.found] == [(copy.origin.id, "missing")]


async def test_a_write_that_is_refused_is_tried_again_and_holds_nobody_up(bench: Bench) -> None:
    bench.target.refuses = lambda step: step.name == "10.0.0.3:80"
    fill(bench)
    bench.worker.start()
    await until(lambda: len(bench.there(ORDERS)) == 9)
    assert "10.0.0.3" in bench.worker.progress.error
    assert bench.worker.progress.queue == 1
    bench.target.refuses = lambda _step: False
    bench.clock.now_s += 2
    await until(lambda: len(bench.there(ORDERS)) == 10)


async def test_a_target_that_is_away_is_told_and_gets_everything_later(bench: Bench) -> None:
    bench.target.error = AWAY
    fill(bench)
    bench.worker.start()
    await until(lambda: bench.worker.progress.target_lost_ms > 0)
    bench.target.error = None
    bench.worker.hurry()
    await until(lambda: len(bench.there(ORDERS)) == 10)
    assert bench.worker.progress.target_lost_ms == 0


async def test_copies_are_kept_alive_even_while_the_source_is_away_and_written_again_when_forgotten() -> None:
    bench = Bench(renew_s=5)
    await mirrored(bench)
    await bench.worker.close()
    bench.source.error = AWAY
    bench.target.renewed.clear()
    bench.restart()
    await until(lambda: len(set(bench.target.renewed)) == 10)
    bench.source.error = None
    bench.worker.hurry()
    await until(lambda: bench.worker.progress.complete)
    for copy in [r for r in bench.b.copies()[ORDERS] if r.origin is not None][:2]:
        bench.b.deregister(ORDERS, copy.id)
    bench.clock.now_s += 6
    await until(lambda: len(bench.there(ORDERS)) == 10 and bench.worker.progress.revived >= 1)
    await bench.worker.close()


async def test_a_paused_task_writes_nothing_and_still_compares() -> None:
    bench = Bench()
    bench.worker.task = bench.task = type(bench.task)(id="t", source="a", target="b", paused=True)
    fill(bench)
    bench.worker.start()
    await until(lambda: bench.worker.progress.audit is not None)
    assert not bench.there(ORDERS)
    assert len(bench.worker.progress.audit.differences) == 10  # type: ignore[union-attr]
    await bench.worker.close()


async def test_a_plan_is_applied_exactly_or_not_at_all(bench: Bench) -> None:
    fill(bench, 3)
    bench.b.register(ORDERS, at(3))
    reviewed = await bench.worker.plan()
    assert [s.action for s in reviewed.steps] == [CREATE, CREATE, SKIP]
    assert not bench.b.writes
    assert (await bench.worker.plan()).digest == reviewed.digest
    bench.a.register(ORDERS, at(9))
    with pytest.raises(PlanChanged):
        await bench.worker.apply(reviewed)
    assert not bench.b.writes
    bench.a.deregister(ORDERS, "10.0.0.9:80")
    await bench.worker.apply(reviewed)
    assert [s.name for s in bench.b.writes] == ["10.0.0.1:80", "10.0.0.2:80"]


async def test_withdrawing_removes_copies_and_nothing_else(bench: Bench) -> None:
    await mirrored(bench, 3)
    bench.b.register(ORDERS, at(50))
    await bench.worker.stop()
    await bench.worker.withdraw()
    assert [r.instance.host for r in bench.b.copies()[ORDERS]] == ["10.0.0.50"]
