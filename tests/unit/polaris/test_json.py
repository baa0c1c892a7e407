"""Protobuf JSON: the recorded bytes of a real server, any message there and back, and input that is wrong."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import TYPES, messages

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.adapters.polaris.wire.json import Malformed, decode, decode_list, encode, fragment, parts
from polaris_bridge.adapters.polaris.wire.newer import NEWER, OLDER

DATA = Path(__file__).parent / "data"
ANSWERS = [
    json.loads(line) for line in (DATA / "polaris-server-1.19.0-answers.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer["call"])
def test_a_real_servers_answer_is_written_back_to_the_same_bytes(answer: dict[str, str]) -> None:
    body = answer["body"].encode()
    assert encode(decode(v1.MESSAGES.message(answer["message"]), body)) == body


def test_the_recorded_answers_show_every_kind_of_value() -> None:
    everything = "\n".join(answer["body"] for answer in ANSWERS)
    for sign in (": null", "{\n", "[\n  ]", '": "1', ": true", "@type", '"RulePolicy"', 's"'):
        assert sign in everything


@given(data=st.data(), descriptor=st.sampled_from(TYPES))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_message_comes_back_and_other_readers_understand_it(data: st.DataObject, descriptor: Descriptor) -> None:
    message = data.draw(messages(descriptor))
    document = encode(message)
    assert decode(type(message), document) == message
    if b"12345" not in document:  # Google's reader refuses numbers of enums that it does not know inside maps and lists
        google = json_format.Parse(
            document, type(message)(), ignore_unknown_fields=True, descriptor_pool=v1.MESSAGES.pool
        )
        assert google == message


@given(data=st.data(), descriptor=st.sampled_from(TYPES))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_googles_compact_form_is_read_by_both_names(data: st.DataObject, descriptor: Descriptor) -> None:
    message = data.draw(messages(descriptor))
    for proto_names in (False, True):
        document = json_format.MessageToJson(
            message, preserving_proto_field_name=proto_names, indent=None, descriptor_pool=v1.MESSAGES.pool
        )
        assert decode(type(message), document.encode()) == message


@given(st.lists(messages(v1.Instance.DESCRIPTOR), max_size=4), st.lists(messages(v1.Service.DESCRIPTOR), max_size=2))
@settings(max_examples=50, deadline=None)
def test_kept_fragments_make_the_same_document(instances: list[Any], services: list[Any]) -> None:
    head = v1.BatchQueryResponse(code={"value": 200000}, info={"value": "<>"})
    whole = v1.BatchQueryResponse()
    whole.CopyFrom(head)
    whole.instances.extend(instances)
    whole.services.extend(services)
    pieces = {"instances": [fragment(item) for item in instances], "services": [fragment(item) for item in services]}
    assert encode(head, pieces) == encode(whole)


@given(st.lists(messages(v1.Service.DESCRIPTOR), max_size=6), st.integers(1, 2000))
@settings(max_examples=50, deadline=None)
def test_a_document_in_parts_is_the_same_document(services: list[Any], size: int) -> None:
    whole = v1.DiscoverResponse(code={"value": 200000}, info={"value": "<>"}, service={"name": {"value": "a"}})
    pieces = [fragment(item) for item in services]
    made = list(parts(whole, "services", pieces, size))
    whole.services.extend(services)
    assert b"".join(made) == encode(whole)
    assert all(len(part) >= size for part in made[:-1])
    assert b"".join(parts(v1.RateLimit(), "rules", ())) == encode(v1.RateLimit())


def test_a_fragment_may_stand_in_the_first_field() -> None:
    assert encode(v1.RateLimit(), {"rules": []}) == encode(v1.RateLimit())
    assert encode(v1.RateLimit(), {"rules": [fragment(v1.Rule())]}) == encode(v1.RateLimit(rules=[v1.Rule()]))


def test_fields_that_the_original_does_not_know_are_written_when_set() -> None:
    assert b"service_status" not in encode(v1.Service())
    assert b'"service_status": "OFFLINE"' in encode(v1.Service(service_status=2))
    empty, filled = encode(v1.DiscoverResponse()), encode(v1.DiscoverResponse(lossless={}))
    assert b'"losslessRules": [\n ]' in empty
    assert b"losslessRules" not in filled


def test_the_tables_of_newer_and_older_fields_name_fields_that_exist() -> None:
    for name, numbers in (*NEWER.items(), *((name, set(older)) for name, older in OLDER.items())):
        assert numbers <= set(v1.MESSAGES.message(name).DESCRIPTOR.fields_by_number), name


def test_the_newer_fields_are_those_of_the_specifications_table() -> None:
    rows = [row.split("\t") for row in (DATA / "polaris-messages.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    absent = [row for row in rows if row[0] == "message" and "absent from the spec of server 1.18/1.19" in row[-1]]
    whole = {row[1] for row in absent if not row[2]}
    expected: dict[str, set[int]] = {}
    for row in absent:
        if row[2] and row[1] not in whole:
            expected.setdefault(row[1], set()).add(int(row[3]))
    assert {name: set(numbers) for name, numbers in NEWER.items()} == expected


@pytest.mark.parametrize(
    ("given_", "seen"),
    [
        (b'{"port": "80"}', v1.Instance(port={"value": 80})),
        (b'{"port": 80.0}', v1.Instance(port={"value": 80})),
        (b'{"port": null, "metadata": null, "location": null}', v1.Instance()),
        (b'{"host": ""}', v1.Instance(host={"value": ""})),
        (b'{"vpc_id": "a"}', v1.Instance(vpc_id={"value": "a"})),
        (b'{"vpcId": "a"}', v1.Instance(vpc_id={"value": "a"})),
        (b'{"enableHealthCheck": true}', v1.Instance(enable_health_check={"value": True})),
        (b'{"enable_health_check": true}', v1.Instance(enable_health_check={"value": True})),
        (b'{"health_check": {"type": 1}}', v1.Instance(health_check={"type": 1})),
        (b'{"health_check": {"type": "HEARTBEAT"}}', v1.Instance(health_check={"type": 1})),
        (b'{"health_check": {"type": 77}}', v1.Instance(health_check={"type": 77})),
        (b'{"healthCheck": {}}', v1.Instance(health_check={})),
        (b'{"metadata": {"a": null, "b": "c"}}', v1.Instance(metadata={"a": "", "b": "c"})),
        (b'{"nobody": {"knows": ["this"]}}', v1.Instance()),
        (b' {"host": "a", "host": "b"} ', v1.Instance(host={"value": "b"})),
    ],
)
def test_what_is_understood(given_: bytes, seen: Any) -> None:
    assert decode(v1.Instance, given_) == seen


@pytest.mark.parametrize(
    ("given_", "where"),
    [
        (b"", ""),
        (b"{bad", ""),
        (b"[]", ""),
        (b"null", ""),
        (b'"text"', ""),
        (b'{"host": 1}', "host"),
        (b'{"host": ["a"]}', "host"),
        (b'{"host": {"value": "a"}}', "host"),
        (b'{"host": "\xff"}', ""),
        (b'{"host": "\\ud800"}', ""),
        (b'{"port": "eighty"}', "port"),
        (b'{"port": -1}', "port"),
        (b'{"port": 4294967296}', "port"),
        (b'{"port": 1e400}', ""),
        (b'{"port": 99999999999999999999999999999999}', "port"),
        (b'{"port": true}', "port"),
        (b'{"port": 1.5}', "port"),
        (b'{"healthy": "true"}', "healthy"),
        (b'{"metadata": []}', "metadata"),
        (b'{"metadata": {"a": 1}}', "metadata['a']"),
        (b'{"health_check": {"type": "PING"}}', "health_check.type"),
        (b'{"health_check": {"heartbeat": {"ttl": {}}}}', "health_check.heartbeat.ttl"),
        (b'{"health_check": []}', "health_check"),
        (b"[" * 5000, ""),
        (b'{"host":' * 5000, ""),
    ],
)
def test_what_is_malformed_is_named(given_: bytes, where: str) -> None:
    with pytest.raises(Malformed) as refused:
        decode(v1.Instance, given_)
    assert refused.value.where == where
    assert refused.value.why


def test_batches_are_arrays_of_messages() -> None:
    assert decode_list(v1.Instance, b'[{"host": "a"}, null]') == [v1.Instance(host={"value": "a"}), v1.Instance()]
    assert decode_list(v1.Instance, b"[]") == []
    with pytest.raises(Malformed, match="array"):
        decode_list(v1.Instance, b"{}")
    with pytest.raises(Malformed) as refused:
        decode_list(v1.Instance, b'[{}, {"port": "x"}]')
    assert refused.value.where == "[1].port"


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("1s", 10**9),
        ("1.5h", 5400 * 10**9),
        ("1m30s", 90 * 10**9),
        ("200ms", 2 * 10**8),
        ("-1.5s", -15 * 10**8),
        ("0", 0),
        ("1us2ns", 1002),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, nanos: int) -> None:
    amount = decode(v1.Amount, json.dumps({"validDuration": text}).encode())
    assert amount.validDuration.ToNanoseconds() == nanos  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["", "1", "s", "1 s", "1d", "--1s", "1s1", 1, "99999999999999999999h"])
def test_other_durations_are_malformed(text: Any) -> None:
    with pytest.raises(Malformed):
        decode(v1.Amount, json.dumps({"validDuration": text}).encode())


@pytest.mark.parametrize(
    ("nanos", "text"),
    [(10**9, "1s"), (15 * 10**8, "1.500s"), (1000, "0.000001s"), (1, "0.000000001s"), (0, "0s"), (-(10**6), "-0.001s")],
)
def test_durations_are_written_with_groups_of_three_digits(nanos: int, text: str) -> None:
    amount = v1.Amount()
    amount.validDuration.FromNanoseconds(nanos)  # type: ignore[attr-defined]
    assert f'"validDuration": "{text}"'.encode() in encode(amount)


def test_a_routing_rule_may_leave_out_the_type_of_its_configuration() -> None:
    config = {"rules": [{"name": "a"}]}
    for policy, kind in (("RulePolicy", v1.RuleRoutingConfig), (0, v1.RuleRoutingConfig), (None, v1.RuleRoutingConfig)):
        rule = decode(v1.RouteRule, json.dumps({"routing_config": config, "routing_policy": policy}).encode())
        assert rule.routing_config.type_url == f"type.googleapis.com/{kind.DESCRIPTOR.full_name}"
        assert v1.RuleRoutingConfig.FromString(rule.routing_config.value).rules[0].name == "a"
    for policy, name in (("NearbyPolicy", "NearbyRoutingConfig"), ("MetadataPolicy", "MetadataRoutingConfig")):
        rule = decode(v1.RouteRule, json.dumps({"routingPolicy": policy, "routing_config": {}}).encode())
        assert rule.routing_config.type_url.endswith(name)


def test_an_unknown_type_is_refused_and_shown_as_what_it_is() -> None:
    with pytest.raises(Malformed) as refused:
        decode(v1.RouteRule, b'{"routing_config": {"@type": "type.googleapis.com/v1.Nothing"}}')
    assert refused.value.where == "routing_config.@type"
    shown = json.loads(encode(v1.RouteRule(routing_config={"type_url": "a/b.C", "value": b"\x01"})))
    assert shown["routing_config"] == {"@type": "a/b.C", "value": "AQ=="}


def test_messages_nested_without_end_are_refused_and_never_written() -> None:
    with pytest.raises(Malformed, match="deep"):
        decode(v1.Response, b'{"data": ' + b'{"@type": "x/v1.Response", "data": ' * 300 + b"null" + b"}" * 301)
    message = v1.Response()
    for _ in range(300):
        outer = v1.Response()
        outer.data.type_url, outer.data.value = "x/v1.Response", message.SerializeToString()
        message = outer
    assert json.loads(encode(message))["data"]["@type"] == "x/v1.Response"


_NAMES = sorted({name for kind in TYPES for field in kind.fields for name in (field.name, field.json_name)})
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1s", "EXACT", "-1"])
)
_KEYS = st.sampled_from(_NAMES) | st.sampled_from(["@type", "value", "x"])
_TREES = st.recursive(
    _LEAVES
    | st.fixed_dictionaries({"@type": st.sampled_from(["a/v1.Instance", "a/google.protobuf.Any", "v1.Nope", ""])}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=12,
)


@given(st.sampled_from(TYPES), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_is_a_message_or_malformed(descriptor: Descriptor, data: st.DataObject) -> None:
    kind = v1.MESSAGES.message(descriptor.full_name)
    own = st.sampled_from([field.json_name for field in descriptor.fields] or ["x"])
    tree = data.draw(st.dictionaries(own, _TREES, max_size=4))
    try:
        message = decode(kind, json.dumps(tree).encode())
    except Malformed:
        return
    assert decode(kind, encode(message)) == message


@given(st.binary(max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_message_or_malformed(body: bytes) -> None:
    for read in (decode, decode_list):
        with suppress(Malformed):
            read(v1.Instance, body)
