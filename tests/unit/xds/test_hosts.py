"""Every host has one owner, whoever comes and goes in whatever order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters.xds.service.hosts import Hosts, fold
from polaris_bridge.core.model import ServiceKey

names = st.sampled_from(["a", "A", "a.default", "a:80", "b.a", "a.b", "ÄA", "x*", "default.svc", "a.default.svc"])
keys = st.builds(ServiceKey, st.sampled_from(["default", "b", "svc"]), names)
moves = st.lists(st.tuples(st.booleans(), keys, st.integers(0, 3)), max_size=25)


@settings(max_examples=150, deadline=None)
@given(moves)
def test_one_owner_whatever_the_order(steps: list[tuple[bool, ServiceKey, int]]) -> None:
    hosts = Hosts("default")
    there: dict[ServiceKey, int] = {}
    before: dict[ServiceKey, list[str]] = {}
    for comes, key, age in steps:
        changed = hosts.put(key, age) if comes else hosts.drop(key)
        if comes:
            there.setdefault(key, age)
        else:
            there.pop(key, None)
        now = {each: hosts.of(each, (80, 81)) for each in there}
        assert {each for each in {*before, *now} if before.get(each) != now.get(each)} <= changed
        before = now
    domains = [fold(host) for owned in before.values() for host in owned]
    assert len(domains) == len(set(domains))
    assert not any("*" in host for host in domains)
    again = Hosts("default")
    for key, age in sorted(there.items(), key=lambda pair: (pair[1], pair[0]), reverse=True):
        again.put(key, age)
    assert {key: again.of(key, (80, 81)) for key in there} == before
    for key, owned in before.items():
        assert all(hosts.owner(host) == key for host in owned)


def test_who_goes_first() -> None:
    hosts = Hosts("default")
    for key, age in (
        (ServiceKey("default", "Shop"), 1),
        (ServiceKey("default", "shop"), 9),
        (ServiceKey("default", "SHOP"), 0),
    ):
        hosts.put(key, age)
    assert hosts.owner("shop.default") == ServiceKey("default", "shop"), "lower case before older"
    hosts.drop(ServiceKey("default", "shop"))
    assert hosts.owner("Shop.default:80") == ServiceKey("default", "SHOP"), "else the older one"
    hosts.put(ServiceKey("default", "shop.default"), 0)
    assert hosts.owner("shop.default") == ServiceKey("default", "SHOP"), "the whole form before a mere name"
