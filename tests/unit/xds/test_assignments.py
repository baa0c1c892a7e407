"""Assignments as bytes are what the real messages say, legal for Envoy and gRPC clients, and one text for one content."""

from __future__ import annotations

from envoy.config.endpoint.v3 import endpoint_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters.xds.translate.assignments import assignment, nearness
from polaris_bridge.adapters.xds.translate.endpoints import Endpoint, is_literal, merged
from polaris_bridge.adapters.xds.wire import assignments as wire
from polaris_bridge.core.model import Location
from polaris_bridge.core.routing.model import CAMPUS, EVERYWHERE, Nearby

texts = st.text(max_size=8)
words = st.sampled_from(["", "a", "b"])
places = st.builds(Location, words, words, words)
endpoints = st.builds(
    Endpoint,
    st.sampled_from(["10.0.0.1", "10.0.0.2", "::1", "fe80::2"]),
    st.integers(1, 65535),
    st.sampled_from([1, 100, 100, 100, 50, 1_000_000, 2**32 - 1]),
    st.dictionaries(texts, texts, max_size=3),
    places,
    healthy=st.booleans(),
)
quickly = settings(max_examples=80, deadline=None)


def decoded(content: bytes) -> endpoint_pb2.ClusterLoadAssignment:
    return endpoint_pb2.ClusterLoadAssignment.FromString(content)


@quickly
@given(texts, texts, st.integers(1, 65535), st.integers(1, 2**32 - 1), st.booleans(), st.dictionaries(texts, texts))
def test_an_endpoint_is_what_the_message_says(
    name: str, host: str, port: int, weight: int, healthy: bool, labels: dict[str, str]
) -> None:
    metadata = {"envoy.lb": labels} if labels else {}
    one = wire.endpoint(host, port, weight, healthy=healthy, metadata=metadata)
    content = wire.assignment(name, [wire.Locality("r", "", "s", 3, weight, (one,))])
    expected = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    locality = expected.endpoints.add(priority=3)
    locality.locality.region, locality.locality.sub_zone = "r", "s"
    locality.load_balancing_weight.value = weight
    found = locality.lb_endpoints.add(health_status=1 if healthy else 2)
    found.endpoint.address.socket_address.address = host
    found.endpoint.address.socket_address.port_value = port
    found.load_balancing_weight.value = weight
    if labels:
        found.metadata.filter_metadata["envoy.lb"].update(labels)
    assert decoded(content) == expected


@quickly
@given(st.lists(endpoints, max_size=12), st.booleans(), st.none() | places, st.randoms())
def test_what_is_told_is_legal_and_whole(
    found: list[Endpoint], rich: bool, place: Location | None, chance: object
) -> None:
    rank = None if place is None else nearness(Nearby(match=CAMPUS, widest=EVERYWHERE), place)
    content = assignment("c", merged(found), rank, rich=rich)
    again = list(reversed(found)) if len({each.order for each in found}) == len(found) else found
    assert assignment("c", merged(again), rank, rich=rich) == content
    message = decoded(content)
    priorities = sorted({locality.priority for locality in message.endpoints})
    assert priorities == list(range(len(priorities))), "no gaps"
    for priority in priorities:
        here = [locality for locality in message.endpoints if locality.priority == priority]
        named = [(each.locality.region, each.locality.zone, each.locality.sub_zone) for each in here]
        assert len(named) == len(set(named)), "a locality is told once"
        assert sum(each.load_balancing_weight.value for each in here) <= 2**32 - 1
    told = [
        (each.endpoint.address.socket_address.address, each.endpoint.address.socket_address.port_value)
        for locality in message.endpoints
        for each in locality.lb_endpoints
    ]
    assert len(told) == len(set(told))
    assert set(told) == {each.order for each in found}, "everywhere is within reach"
    for locality in message.endpoints:
        assert locality.HasField("locality")
        assert locality.load_balancing_weight.value > 0
        weights = [each.load_balancing_weight.value for each in locality.lb_endpoints]
        assert min(weights) > 0
        assert sum(weights) <= 2**32 - 1
        if not rich:
            assert len(set(weights)) == 1, "gRPC clients look at weights of localities alone"


@given(
    st.sampled_from(
        ["1.2.3.4", "::1", "fe80::1%eth0", "a.b", "", "1.2.3", "1.2.3.4.5", "[::1]", "::ffff:1.2.3.4", "١.2.3.4"]
    )
)
def test_addresses_in_digits(host: str) -> None:
    assert is_literal(host) == (host in ("1.2.3.4", "::1", "::ffff:1.2.3.4"))
