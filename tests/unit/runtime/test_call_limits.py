"""Token buckets: what they let through, what they remember, what they say."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters._shared.throttle import Excess
from polaris_bridge.runtime.plugins.ratelimit import (
    Bucket,
    Buckets,
    Rate,
    RateLimits,
    RateLimitSettings,
    ResourceRates,
)


class World:
    """Limits with a clock by hand."""

    def __init__(self, settings: RateLimitSettings) -> None:
        self.now_s = 1000.0
        self.refused: Counter[tuple[str, str]] = Counter()
        self.limits = RateLimits(settings, lambda: self.now_s, self._note)

    def _note(self, *labels: str) -> None:
        self.refused[labels] += 1  # type: ignore[index]


def allowed(bucket: Bucket, now_s: float, tries: int = 100) -> int:
    return sum(bucket.take(now_s) for _ in range(tries))


def test_a_bucket_is_full_at_first_and_fills_up_again():
    bucket = Bucket(Rate(5, 2))
    assert allowed(bucket, 100.0) == 5
    assert allowed(bucket, 100.4) == 0
    assert allowed(bucket, 100.5) == 1
    assert allowed(bucket, 102.0) == 3
    assert allowed(bucket, 1000.0) == 5


@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 60)), min_size=1, max_size=30),
)
def test_never_more_than_the_bucket_and_its_rate(size, rate, steps):
    each = Rate(size, rate)
    alone, shared, now_s = Bucket(each), Buckets(ResourceRates(each, 10)), 50.0
    taken: list[float] = []
    for wait_s, tries in steps:
        now_s += wait_s
        for _ in range(tries):
            let = alone.take(now_s)
            assert shared.take("a", now_s) == let  # one of many is as one alone
            if let:
                taken.append(now_s)
    for at, first in enumerate(taken):
        for count, last in enumerate(taken[at:], 1):
            assert count <= size + (last - first) * rate + 0.01


@given(st.integers(1, 20), st.integers(1, 20))
def test_who_keeps_to_the_rate_is_never_refused(size, rate):
    bucket = Bucket(Rate(size, rate))
    assert all(bucket.take(7.0 + n / rate) for n in range(200))


def test_only_so_many_are_kept_and_the_one_heard_last_stays():
    buckets = Buckets(ResourceRates(Rate(1, 1), 3))
    for key in ("a", "b", "c"):
        assert buckets.take(key, 10.0)
    assert not buckets.take("a", 10.0)  # heard again, though in vain
    for n in range(2):
        buckets.take(f"new{n}", 10.0)
    assert len(buckets) == 3
    assert not buckets.take("a", 10.0)
    assert buckets.take("b", 10.0)  # forgotten, so it begins anew


def test_a_hundred_thousand_addresses_take_no_more_room_than_one_thousand():
    buckets = Buckets(ResourceRates(Rate(1, 1), 1000))
    for n in range(100_000):
        buckets.take(str(n), 10.0)
    assert len(buckets) == 1000


def test_who_is_exempt_takes_nothing():
    buckets = Buckets(ResourceRates(Rate(1, 1), 10, frozenset({"10.0.0.1"})))
    assert all(buckets.take("10.0.0.1", 10.0) for _ in range(20))
    assert len(buckets) == 0


def test_an_address_is_cut_and_others_are_not():
    w = World(RateLimitSettings(addresses=ResourceRates(Rate(2, 1), 10)))
    found = [w.limits.excess("eureka", "10.0.0.1", "GET:/a") for _ in range(3)]
    assert found == [None, None, Excess.ADDRESS]
    assert w.limits.excess("consul", "10.0.0.1", "DNS") is Excess.ADDRESS  # all listeners together
    assert w.limits.excess("eureka", "10.0.0.2", "GET:/a") is None
    assert w.refused == {("eureka", "ip"): 1, ("consul", "ip"): 1}


def test_an_api_is_cut_for_everybody_and_other_apis_are_not():
    w = World(RateLimitSettings(apis={"GET:/a": Rate(1, 1)}))
    assert w.limits.excess("nacos", "10.0.0.1", "GET:/a") is None
    assert w.limits.excess("nacos", "10.0.0.2", "GET:/a") is Excess.API
    assert w.limits.excess("nacos", "10.0.0.2", "GET:/b") is None
    w.now_s += 1
    assert w.limits.excess("nacos", "10.0.0.2", "GET:/a") is None
    assert w.refused == {("nacos", "api"): 1}


def test_who_calls_too_often_uses_up_nothing_of_an_api():
    w = World(RateLimitSettings(addresses=ResourceRates(Rate(1, 1), 10), apis={"GET:/a": Rate(2, 1)}))
    assert [w.limits.excess("x", "10.0.0.1", "GET:/a") for _ in range(3)] == [None, Excess.ADDRESS, Excess.ADDRESS]
    assert w.limits.excess("x", "10.0.0.2", "GET:/a") is None


def test_instances():
    w = World(RateLimitSettings(instances=ResourceRates(Rate(1, 1), 10)))
    assert [w.limits.too_often("polaris", "i1") for _ in range(2)] == [False, True]
    assert not w.limits.too_often("polaris", "i2")
    assert w.limits.excess("polaris", "10.0.0.1", "GET:/a") is None
    assert w.refused == {("polaris", "instance"): 1}
    assert not World(RateLimitSettings(apis={"a": Rate(1, 1)})).limits.too_often("polaris", "i1")


def test_a_flood_is_named_once_a_minute(caplog: pytest.LogCaptureFixture):
    w: Any = World(RateLimitSettings(addresses=ResourceRates(Rate(1, 1), 10)))
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            w.limits.excess("eureka", "10.0.0.1", "GET:/a")
        assert len(caplog.records) == 1
        assert "10.0.0.1" in caplog.text
        w.now_s += 60
        for _ in range(5):
            w.limits.excess("eureka", "10.0.0.1", "GET:/a")
        assert len(caplog.records) == 2
