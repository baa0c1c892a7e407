"""Metrics: what is counted is what Prometheus reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from prometheus_client.parser import text_string_to_metric_families

from polaris_bridge.core.config.reading import GroupCount
from polaris_bridge.runtime.metrics import CallStats, CallWindow, Census, LoopLag, Metrics, ServiceCount, SourceCount
from polaris_bridge.runtime.metrics.census import BreakingCount, TaskCount, XdsCount
from polaris_bridge.runtime.metrics.names import OWN, POLARIS, SERVER
from polaris_bridge.runtime.metrics.windows import Windows

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[(name, frozenset((key.rstrip("_"), text) for key, text in labels.items()))]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3", "10.0.0.1")


def test_calls_are_counted_by_code_and_timed_over_all_codes(metrics: Metrics) -> None:
    for code, seconds in ((200, 0.0002), (200, 0.003), ("404", 20.0)):
        metrics.calls.observe("eureka", "renew", code, seconds)
    found = samples(metrics)
    labels = {"protocol": "eureka", "operation": "renew"}
    assert value(found, "polaris_bridge_requests_total", code="200", **labels) == 2
    assert value(found, "polaris_bridge_requests_total", code="404", **labels) == 1
    name = "polaris_bridge_request_duration_seconds"
    assert value(found, f"{name}_count", **labels) == 3
    assert value(found, f"{name}_sum", **labels) == pytest.approx(20.0032)
    assert value(found, f"{name}_bucket", le="0.0001", **labels) == 0
    assert value(found, f"{name}_bucket", le="0.00025", **labels) == 1
    assert value(found, f"{name}_bucket", le="0.005", **labels) == 2
    assert value(found, f"{name}_bucket", le="10.0", **labels) == 2
    assert value(found, f"{name}_bucket", le="+Inf", **labels) == 3


def test_every_tally_and_spread_appears(metrics: Metrics) -> None:
    metrics.heartbeats.add("eureka", "ok", n=3)
    metrics.leases_expired.add("eureka")
    metrics.refused.add("service-eureka", "per host")
    metrics.registrations_expired.add(n=2)
    metrics.push.observe(0.001, "eureka")
    metrics.propagation.observe(0.001, "eureka", "nacos")
    metrics.store.observe(0.01, "append")
    metrics.registration.observe(0.004)
    metrics.publication.observe(0.002)
    metrics.log_lines_dropped = lambda: 7
    found = samples(metrics)
    own = {SERVER: "10.0.0.1"}
    assert value(found, "polaris_bridge_heartbeats_total", protocol="eureka", result="ok") == 3
    assert value(found, "polaris_bridge_leases_expired_total", protocol="eureka") == 1
    assert value(found, "polaris_bridge_connections_refused_total", listener="service-eureka", reason="per host") == 1
    assert value(found, "polaris_bridge_push_duration_seconds_count", protocol="eureka") == 1
    assert value(found, "polaris_bridge_propagation_seconds_count", from_="eureka", to="nacos") == 1
    assert value(found, "polaris_bridge_store_duration_seconds_sum", op="append") == 0.01
    assert value(found, "polaris_bridge_log_lines_dropped_total") == 7
    assert value(found, "instance_regis_task_expire", **own) == 2
    assert value(found, "instance_regis_cost_time_sum", **own) == 4
    assert value(found, "instance_regis_cost_time_bucket", le="5.0", **own) == 1
    assert value(found, "cache_update_cost_sum", **own) == 2
    assert value(found, "polaris_bridge_build_info", version="1.2.3") == 1


def test_the_census_is_taken_at_the_scrape(metrics: Metrics) -> None:
    metrics.census = lambda: Census(
        revision=42,
        services=[
            ServiceCount("default", "a", 2, 1, 1),
            ServiceCount("default", "b", 0, 1, 0),
            ServiceCount("default", "c", 0, 0, 0),
        ],
        sources=[SourceCount("default", "a", "eureka", 2, 1, 1), SourceCount("default", "b", "eureka", 0, 1, 0)],
        watchers={("eureka", "service"): 5},
        probes={("tcp", "passing"): 7},
        checks={"all": 3, "running": 1, "waiting": 2},
        protected={"default": True, "prod": False},
        connections={"service-eureka": 9},
        writes_waiting=3,
        clients=8,
        sdk_clients=4,
        discovery_connections=2,
        config_connections=1,
        redis=(1, 2, 3),
        config_groups=[GroupCount("default", "g", 5, 3, 1), GroupCount("default", "h", 1, 0, 0)],
        config_holders=6,
        limiter={"clients": 3, "counters": 9},
        limited={"passed": 40, "limited": 2},
        limiter_redis=(0, 5),
        routing=(3, 7),
        breaking=BreakingCount(
            {"default": 2},
            {("instance", "open"): 3},
            {("instance", "closed"): 4},
            {"told": 5, "malformed": 6},
            7,
            {("http", "critical"): 8},
            {"all": 9, "left_out": 1},
        ),
        tasks=[TaskCount("t", "mirrored", 7, 9, 1, 2, 3, 4, 0.5, True, False, {"create": 6})],
    )
    found = samples(metrics)
    own = {SERVER: "10.0.0.1"}
    assert value(found, "polaris_bridge_cache_revision") == 42
    assert value(found, "polaris_bridge_services", namespace="default", source="eureka") == 2
    for state, count in (("released", 3), ("draft", 3)):
        assert value(found, "polaris_bridge_config_files", namespace="default", state=state) == count
    assert value(found, "polaris_bridge_config_gray_releases", namespace="default") == 1
    assert value(found, "polaris_bridge_config_holders") == 6
    assert value(found, "polaris_bridge_limiter", kind="counters") == 9
    assert value(found, "polaris_bridge_limiter_requests_total", result="limited") == 2
    assert value(found, "polaris_bridge_limiter_redis_up") == 0
    assert value(found, "polaris_bridge_limiter_redis_failures_total") == 5
    assert value(found, "polaris_bridge_sync_writes_total", task="t", action="create") == 6
    assert value(found, "polaris_bridge_sync_stage_services", task="t", stage="mirrored") == 7
    gauges = {"lag_seconds": 0.5, "queue": 3, "differences": 1, "stale": 1, "held": 2, "copies": 9, "errors_total": 4}
    for name, expected in gauges.items():
        assert value(found, f"polaris_bridge_sync_{name}", task="t") == expected
    assert value(found, "polaris_bridge_audit_clean", task="t") == 0
    assert value(found, "polaris_bridge_routing_kinds") == 3
    assert value(found, "polaris_bridge_routing_decisions_total") == 7
    assert value(found, "polaris_bridge_instances_ejected", namespace="default") == 2
    assert value(found, "polaris_bridge_circuit_breakers", level="instance", state="open") == 3
    assert value(found, "polaris_bridge_circuit_breaker_turns_total", level="instance", state="closed") == 4
    assert value(found, "polaris_bridge_circuit_breaker_reports_total", result="malformed") == 6
    assert value(found, "polaris_bridge_circuit_breaker_held_back_total") == 7
    assert value(found, "polaris_bridge_fault_detection_probes_total", kind="http", result="critical") == 8
    assert value(found, "polaris_bridge_fault_detection_checks", state="left_out") == 1
    assert value(found, "config_group_count", namespace="default", **own) == 2
    assert value(found, "config_file_count", namespace="default", group="g", **own) == 5
    assert value(found, "config_release_file_count", namespace="default", group="h", **own) == 0
    for state, count in (("healthy", 2), ("unhealthy", 2), ("isolated", 1)):
        assert value(found, "polaris_bridge_instances", namespace="default", state=state, source="eureka") == count
    assert value(found, "polaris_bridge_watchers", protocol="eureka", kind="service") == 5
    assert value(found, "polaris_bridge_health_probes_total", kind="tcp", result="passing") == 7
    assert value(found, "polaris_bridge_health_checks", state="waiting") == 2
    assert value(found, "polaris_bridge_self_protection", namespace="default") == 1
    assert value(found, "polaris_bridge_self_protection", namespace="prod") == 0
    assert value(found, "polaris_bridge_connections", listener="service-eureka") == 9
    assert value(found, "polaris_bridge_store_writes_waiting") == 3
    for name, count in (("service", 3), ("service_online", 1), ("service_abnormal", 1), ("service_offline", 1)):
        assert value(found, f"{name}_count", namespace="default", **own) == count
    for name, count in (("instance", 4), ("instance_online", 2), ("instance_abnormal", 1), ("instance_isolate", 1)):
        assert value(found, f"{name}_count", namespace="default", service="a", **own) == count
    for name, count in (("client", 8), ("sdk_client", 4), ("discovery_conn", 2), ("config_conn", 1)):
        assert value(found, f"{name}_total", **own) == count
    assert value(found, "batch_job_unfinish", **own) == 3


def test_beyond_the_limit_services_are_no_label() -> None:
    metrics = Metrics("1", "s", service_labels=2)
    metrics.census = lambda: Census(services=[ServiceCount("n", name, 1, 0, 0) for name in "abc"])
    found = samples(metrics)
    assert value(found, "instance_count", namespace="n", service="", **{SERVER: "s"}) == 3
    assert ("instance_count", frozenset({("namespace", "n"), ("service", "a"), (SERVER, "s")})) not in found


def test_the_names_of_polaris_can_be_switched_off() -> None:
    metrics = Metrics("1", "s", polaris_names=False)
    metrics.census = lambda: Census(services=[ServiceCount("n", "a", 1, 0, 0)])
    families = {family.name for family in text_string_to_metric_families(metrics.render().decode())}
    assert families.isdisjoint(name.name for name in POLARIS)
    assert "polaris_bridge_cache_revision" in families


def test_what_is_listed_is_what_is_exposed(metrics: Metrics) -> None:
    metrics.census = lambda: Census(
        redis=(1, 0, 0),
        limiter_redis=(1, 0),
        breaking=BreakingCount({}, {}, {}, {}, 0, {}, {}),
        xds=XdsCount({("grpc", "state"): 1}, {"eds": 3}, {"eds": 1}, {"rds": 1}, {"slow_reader": 1}, 1),
    )
    text = metrics.render().decode()
    exposed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert {name.name for name in (*OWN, *POLARIS)} <= exposed
    foreign = exposed - {name.name for name in (*OWN, *POLARIS)}
    assert all(name.startswith(("process_", "python_")) for name in foreign)
    assert "process_resident_memory_bytes" in foreign


def test_two_servers_in_one_process_count_apart() -> None:
    one, other = Metrics("1", "one"), Metrics("1", "other")
    one.heartbeats.add("eureka", "ok")
    assert b"polaris_bridge_heartbeats_total{" in one.render()
    assert b"polaris_bridge_heartbeats_total{" not in other.render()


async def test_a_scrape_does_not_hold_the_loop(metrics: Metrics) -> None:
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def census() -> Census:
        loop.call_soon_threadsafe(reached.set)
        return Census(revision=int(asyncio.run_coroutine_threadsafe(turn(), loop).result(10)))

    async def turn() -> int:
        await reached.wait()
        return 7

    metrics.census = census
    assert b"polaris_bridge_cache_revision 7.0" in await metrics.scrape()


def test_a_window_holds_the_calls_of_its_interval_only() -> None:
    calls = CallStats()
    calls.observe("eureka", "renew", 200, 0.001)
    calls.observe("eureka", "renew", 200, 0.003)
    (first,) = calls.close_window()
    assert (first.calls, first.least, first.most, first.average) == (2, 0.001, 0.003, 0.002)
    calls.observe("eureka", "renew", 200, 0.005)
    calls.observe("eureka", "apps", 200, 0.005)
    calls.observe("eureka", "apps", 200, 0.007)
    apps, renew = calls.close_window()
    assert (apps.operation, apps.calls) == ("apps", 2)
    assert (renew.calls, renew.least, renew.most) == (1, 0.005, 0.005)
    assert renew.average == pytest.approx(0.005)
    assert calls.close_window() == ()
    assert calls.totals() == [(("eureka", "renew", "200"), 3), (("eureka", "apps", "200"), 2)]


async def test_windows_tell_their_readers_and_end_the_last_one(metrics: Metrics) -> None:
    told: list[int] = []
    once = asyncio.Event()

    def read(window: Sequence[CallWindow]) -> None:
        told.append(sum(call.calls for call in window))
        once.set()

    windows = Windows(metrics.calls, 0.01, [read])
    metrics.calls.observe("eureka", "renew", 200, 0.002)
    windows.start()
    await asyncio.wait_for(once.wait(), 10)
    assert told[0] == 1
    metrics.calls.observe("eureka", "renew", 200, 0.004)
    windows.stop()
    assert sum(told) == 2
    metrics.calls.observe("eureka", "renew", 200, 0.004)
    metrics.calls.close_window()
    own = {SERVER: "10.0.0.1", "api": "renew", "protocol": "eureka", "err_code": "200"}
    found = samples(metrics)
    assert value(found, "client_rq_interval_count", **own) == 1
    for name in ("timeout", "timeout_min", "timeout_max", "timeout_avg"):
        assert value(found, f"client_rq_{name}", **own) == pytest.approx(4)


async def test_a_stall_is_seen_by_length(metrics: Metrics) -> None:
    lag = LoopLag(0.002)
    lag.start()
    await asyncio.sleep(0.01)
    time.sleep(0.1)  # noqa: ASYNC251 - the stall
    await asyncio.sleep(0.01)
    lag.stop()
    assert lag.longest >= 0.09
    assert lag.take() == lag.longest
    assert lag.take() == 0.0


def test_observing_is_cheap() -> None:
    """A microsecond is allowed; ten here, because this machine may be busy."""
    observe = CallStats().observe
    best = float("inf")
    for _ in range(5):
        start = time.thread_time()
        for _ in range(10_000):
            observe("eureka", "renew", 200, 0.00031)
        best = min(best, (time.thread_time() - start) / 10_000)
    assert best < 10e-6
