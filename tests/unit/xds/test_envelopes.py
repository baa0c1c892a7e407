"""The envelopes of discovery: our reading and writing against the real messages."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as Packed
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.xds.wire import discovery, messages
from polaris_bridge.adapters.xds.wire.fields import Malformed
from polaris_bridge.adapters.xds.wire.node import read_node

texts = st.text(max_size=12)
names = st.lists(st.text(min_size=1, max_size=200), max_size=12)
nodes = st.binary(max_size=300).map(lambda blob: messages.base.Node(id="n", cluster=blob.hex()))
errors = st.one_of(st.none(), st.tuples(st.integers(0, 16), texts))


def status(error: tuple[int, str] | None) -> dict[str, Any]:
    from google.rpc.status_pb2 import Status

    return {} if error is None else {"error_detail": Status(code=error[0], message=error[1])}


@given(texts, st.one_of(st.none(), nodes), names, texts, texts, errors)
def test_a_request_is_read_as_the_real_message(
    version: str, node: Any, wanted: list[str], type_url: str, nonce: str, error: tuple[int, str] | None
) -> None:
    message = messages.discovery.DiscoveryRequest(
        version_info=version,
        node=node,
        resource_names=wanted,
        type_url=type_url,
        response_nonce=nonce,
        **status(error),
    )
    data = message.SerializeToString()
    read = discovery.read_request(data)
    assert (read.version, read.type_url, read.nonce) == (version, type_url, nonce)
    assert read.names == frozenset(wanted)
    assert read.node == (None if node is None else node.SerializeToString())
    assert read.error == (None if error is None else error[1] or f"code {error[0]}")
    again = discovery.read_request(data, {read.size: read.mark} if read.mark else None)
    assert again.names == (None if read.mark else read.names)
    assert again.mark == read.mark


@given(st.one_of(st.none(), nodes), texts, names, names, st.dictionaries(texts, texts, max_size=5), texts, errors)
def test_a_delta_request_is_read_as_the_real_message(
    node: Any,
    type_url: str,
    subscribe: list[str],
    unsubscribe: list[str],
    initial: dict[str, str],
    nonce: str,
    error: tuple[int, str] | None,
) -> None:
    message = messages.discovery.DeltaDiscoveryRequest(
        node=node,
        type_url=type_url,
        resource_names_subscribe=subscribe,
        resource_names_unsubscribe=unsubscribe,
        initial_resource_versions=initial,
        response_nonce=nonce,
        **status(error),
    )
    read = discovery.read_delta(message.SerializeToString())
    assert (read.type_url, read.nonce, read.initial) == (type_url, nonce, initial)
    assert read.subscribe == frozenset(subscribe)
    assert read.unsubscribe == frozenset(unsubscribe)
    assert read.node == (None if node is None else node.SerializeToString())


@given(texts, texts, st.lists(st.tuples(texts, texts, st.binary(max_size=300)), max_size=6), texts)
def test_responses_are_read_by_the_real_messages(
    type_url: str, version: str, resources: list[tuple[str, str, bytes]], nonce: str
) -> None:
    packed = [Packed(type_url=type_url, value=value) for _, _, value in resources]
    body = discovery.response(type_url, version, [discovery.framed(p.SerializeToString()) for p in packed])
    found = messages.discovery.DiscoveryResponse.FromString(discovery.with_nonce(body, nonce.encode()))
    assert (found.type_url, found.version_info, found.nonce) == (type_url, version, nonce)
    assert list(found.resources) == packed

    parts = [
        discovery.framed_delta(name, kept, p.SerializeToString())
        for (name, kept, _), p in zip(resources, packed, strict=True)
    ]
    gone = [discovery.removed(f"{name}x") for name, _, _ in resources]
    delta = messages.discovery.DeltaDiscoveryResponse.FromString(
        discovery.with_nonce(discovery.delta_response(type_url, version, [*parts, *gone]), nonce.encode())
    )
    assert (delta.type_url, delta.system_version_info, delta.nonce) == (type_url, version, nonce)
    assert [(r.name, r.version, r.resource) for r in delta.resources] == [
        (name, kept, p) for (name, kept, _), p in zip(resources, packed, strict=True)
    ]
    assert list(delta.removed_resources) == [f"{name}x" for name, _, _ in resources]


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    for read in (discovery.read_request, discovery.read_delta, read_node, discovery.assignment_of):
        try:
            read(data)
        except Malformed:
            continue


def test_a_cut_request_is_malformed() -> None:
    data = messages.discovery.DiscoveryRequest(type_url="t" * 20).SerializeToString()
    for length in range(1, len(data)):
        with pytest.raises(Malformed):
            discovery.read_request(data[:length])


def test_names_of_another_type_are_not_taken_for_those_that_were_read() -> None:
    long = [f"cluster-{i:04}" for i in range(100)]
    first = messages.discovery.DiscoveryRequest(resource_names=long, type_url="a").SerializeToString()
    read = discovery.read_request(first)
    longer = messages.discovery.DiscoveryRequest(resource_names=[*long, "one more"], type_url="a").SerializeToString()
    assert discovery.read_request(longer, {read.size: read.mark}).names == frozenset((*long, "one more"))
    other = messages.discovery.DiscoveryRequest(resource_names=long[::-1], type_url="a").SerializeToString()
    assert discovery.read_request(other, {read.size: read.mark}).names == frozenset(long)


def test_a_node_is_read_without_its_extensions() -> None:
    node = messages.base.Node(
        id="sidecar~default/pod-1~10.0.0.1",
        cluster="c",
        user_agent_name="envoy",
        client_features=["f", "g"],
    )
    node.metadata.update({"a": "b", "on": True, "n": 1.0, "deep": {"x": "y"}, "list": ["z"]})
    node.locality.region, node.locality.zone, node.locality.sub_zone = "r", "z", "s"
    node.user_agent_build_version.version.major_number = 1
    node.user_agent_build_version.version.minor_number = 40
    for i in range(500):
        node.extensions.add(name=f"envoy.filters.{i}", category="envoy.filters")
    read = read_node(node.SerializeToString())
    assert (read.id, read.cluster, read.agent, read.agent_version) == (node.id, "c", "envoy", "1.40.0")
    assert read.metadata == {"a": "b", "on": "true"}
    assert (read.region, read.zone, read.sub_zone) == ("r", "z", "s")
    assert read.features == {"f", "g"}


@pytest.mark.parametrize(("service", "expected"), [("", "c"), ("elsewhere", "elsewhere")])
def test_a_cluster_names_its_assignment(service: str, expected: str) -> None:
    cluster = messages.cluster.Cluster(name="c", type="EDS")
    cluster.eds_cluster_config.service_name = service
    cluster.connect_timeout.seconds = 5
    packed = Packed()
    packed.Pack(cluster)
    assert discovery.assignment_of(packed.SerializeToString()) == expected
