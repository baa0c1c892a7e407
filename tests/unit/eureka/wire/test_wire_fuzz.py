"""Any bytes are read or raise Malformed, and what was read can be written in every form."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from wire_instances import instances
from wire_recordings import ALL

from polaris_bridge.adapters.eureka.wire import (
    VARIANTS,
    InstanceInfo,
    Malformed,
    decode_applications,
    decode_batch,
    decode_instance,
    gunzip,
)
from polaris_bridge.adapters.eureka.wire.json_in import _Instance, _Lease

BODIES = sorted({body for e in ALL for body in (e.request, e.response) if 0 < len(body) < 4000})
CONTENT_TYPES = ("application/json", "application/xml")
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
known = st.sampled_from((*_Instance.__struct_fields__, *_Lease.__struct_fields__, "$", "@enabled", "@class", "name"))
members = st.dictionaries(known, values | st.dictionaries(known, values, max_size=4), max_size=8)


def read_all(body: bytes) -> None:
    """The invariant; anything but Malformed fails the test."""
    for content_type in CONTENT_TYPES:
        with suppress(Malformed):
            write_all(decode_instance(body, content_type))
        with suppress(Malformed):
            for info in decode_applications(body, content_type).instances:
                write_all(info)
    with suppress(Malformed):
        decode_batch(body)
    with suppress(Malformed):
        gunzip(body, 10_000)


def write_all(info: InstanceInfo) -> None:
    for variant in VARIANTS.values():
        variant.instance_document(info).decode()


@given(st.binary(max_size=300))
def test_any_bytes(body: bytes) -> None:
    read_all(body)


@given(st.data())
def test_recorded_bodies_with_damage(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(BODIES)))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(body)))
        length = data.draw(st.integers(0, 5))
        body[position : position + length] = data.draw(st.binary(max_size=5) | st.just(b"\\ud800") | st.just(b"&e;"))
    read_all(bytes(body))


@given(members)
def test_any_json_value_in_any_member(document: dict[str, Any]) -> None:
    for body in (
        {"instance": document},
        {"instance": {"app": "a", **document}},
        {"replicationList": [{"instanceInfo": document}]},
    ):
        read_all(json.dumps(body).encode())


@given(
    instances,
    st.randoms(use_true_random=False),
    st.dictionaries(st.text(max_size=4).map("x-".__add__), values, max_size=3),
)
def test_order_and_unknown_members_do_not_matter(
    info: InstanceInfo, order: random.Random, unknown: dict[str, Any]
) -> None:
    document = orjson.loads(VARIANTS["json", "full"].instance_document(info))["instance"]

    def shuffled(value: Any, *, with_unknown: bool) -> Any:
        if not isinstance(value, dict):
            return value
        pairs = [
            (name, shuffled(item, with_unknown=name not in ("metadata", "dataCenterInfo")))
            for name, item in value.items()
        ]
        pairs += list(unknown.items()) if with_unknown else []
        order.shuffle(pairs)
        return dict(pairs)

    metadata = document["metadata"]
    body = shuffled(document, with_unknown=True) | {"metadata": metadata}
    text = json.dumps({"x": 1, "instance": body}, allow_nan=True)
    if "NaN" in text or "Infinity" in text:
        return
    assert decode_instance(text.encode(), "application/json") == info


@given(st.text(st.sampled_from("<>/&;![]-?=\"' \nabinstcepor:x"), max_size=60))
def test_anything_like_xml(text: str) -> None:
    read_all(text.encode())
    read_all(f"<instance><app>a</app>{text}</instance>".encode())


@given(instances)
def test_both_paths_read_the_same(info: InstanceInfo) -> None:
    """A number as a text member sends a document through the tolerant path, which must agree with the quick one."""
    document = orjson.loads(VARIANTS["json", "full"].instance_document(info))
    quick = decode_instance(orjson.dumps({"instance": document["instance"] | {"asgName": "1.5"}}), "application/json")
    tolerant = decode_instance(orjson.dumps({"instance": document["instance"] | {"asgName": 1.5}}), "application/json")
    assert tolerant == quick
