"""JSON bodies: names in any case, what counts as absent, complaints in the words of Go's decoder."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters.consul.wire import definitions_in, json_in
from polaris_bridge.adapters.consul.wire.definitions import CheckDefinition, ServiceDefinition
from polaris_bridge.adapters.consul.wire.json_in import BadJson
from polaris_bridge.adapters.consul.wire.refusals import Refused

NAMES = st.text(st.characters(codec="utf-8"), max_size=8)
SERVICES = st.fixed_dictionaries(
    {"Name": NAMES},
    optional={
        "ID": NAMES,
        "Tags": st.lists(NAMES, max_size=3) | st.none(),
        "Address": NAMES,
        "Port": st.integers(0, 65535),
        "Meta": st.dictionaries(NAMES, NAMES, max_size=3),
        "EnableTagOverride": st.booleans(),
        "Weights": st.fixed_dictionaries({"Passing": st.integers(0, 9), "Warning": st.integers(0, 9)}),
        "TaggedAddresses": st.dictionaries(
            NAMES, st.fixed_dictionaries({"Address": NAMES, "Port": st.integers(0, 9)}), max_size=2
        ),
        "Checks": st.lists(
            st.fixed_dictionaries({"TTL": st.sampled_from(["1s", "90s", 5])}, optional={"Notes": NAMES}), max_size=2
        ),
    },
)


def _recased(found: Any, swap: bool) -> Any:
    """The same document with its known names in another case."""
    if isinstance(found, list):
        return [_recased(each, swap) for each in found]
    if not isinstance(found, dict):
        return found
    plain = {"Meta", "TaggedAddresses"}
    return {
        (key.swapcase() if swap else key.lower()): (
            {name: _recased(each, swap) for name, each in value.items()} if key in plain else _recased(value, swap)
        )
        for key, value in found.items()
    }


@settings(deadline=None)
@given(SERVICES, st.booleans())
def test_the_case_of_names_makes_no_difference(found: dict[str, Any], swap: bool) -> None:
    as_documented = definitions_in.service(json.dumps(found).encode())
    assert definitions_in.service(json.dumps(_recased(found, swap)).encode()) == as_documented
    assert as_documented.tags == tuple(found.get("Tags") or ())
    assert as_documented.meta == found.get("Meta", {})
    assert as_documented.id == (found.get("ID") or found["Name"])


def test_null_is_absent() -> None:
    said = {
        "Name": "web",
        **dict.fromkeys(("ID", "Tags", "Port", "Meta", "Check", "Checks", "Weights", "Proxy", "Connect")),
    }
    assert definitions_in.service(json.dumps(said).encode()) == ServiceDefinition("web", "web")


def test_an_empty_check_is_none() -> None:
    assert definitions_in.service(b'{"Name":"web","Check":{}}').checks == ()
    assert definitions_in.service(b'{"Name":"web","Check":{},"Checks":[{}]}').checks == (CheckDefinition(),)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"DeregisterCriticalServiceAfter": "1m"}, {"deregister_ns": 60_000_000_000}),
        ({"deregister_critical_service_after": "1m"}, {"deregister_ns": 60_000_000_000}),
        ({"args": ["a"]}, {"args": ("a",)}),
        ({"script_args": ["a"]}, {"args": ("a",)}),
        ({"ScriptArgs": ["b"], "args": ["a"]}, {"args": ("b",)}),
        ({"docker_container_id": "d"}, {"docker": "d"}),
        ({"tls_server_name": "s", "tls_skip_verify": True}, {"tls_server_name": "s", "tls_skip_verify": True}),
        ({"grpc_use_tls": True}, {"grpc_tls": True}),
        ({"H2PING": "x"}, {"h2ping": "x", "h2ping_tls": True}),
        ({"H2PING": "x", "h2ping_use_tls": False}, {"h2ping": "x", "h2ping_tls": False}),
        ({"H2PING": "x", "H2PingUseTLS": False}, {"h2ping": "x", "h2ping_tls": False}),
        ({"service_id": "w"}, {"service_id": "w"}),
        ({"CheckID": "c"}, {"id": "c"}),
        ({"Header": {"A": ["b"], "C": None}}, {"header": {"A": ("b",), "C": ()}}),
        ({"TTL": 1e9}, {"ttl_ns": 1_000_000_000}),
        ({"TTL": True}, {}),
        ({"Interval": 5, "Timeout": "0"}, {"interval_ns": 5}),
    ],
)
def test_members_of_checks(body: dict[str, Any], found: dict[str, Any]) -> None:
    assert definitions_in.check(json.dumps(body).encode()) == CheckDefinition(**found)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "EOF"),
        (b"  \n", "EOF"),
        (b"{", "unexpected EOF"),
        (b'{"Name":', "unexpected EOF"),
        (b'{"Name":"a', "unexpected EOF"),
        (b"[", "unexpected EOF"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b"'a'", "invalid character '\\'' looking for beginning of value"),
        (b"{x}", "invalid character 'x' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 2}', "invalid character '2' after object key:value pair"),
        (b"NaN", "invalid character 'N' looking for beginning of value"),
    ],
)
def test_what_is_no_json(body: bytes, why: str) -> None:
    with pytest.raises(BadJson) as error:
        json_in.value(body)
    assert str(error.value) == why


def test_what_follows_the_first_value_is_not_looked_at() -> None:
    assert json_in.value(b'{"a":1}\n') == {"a": 1}
    assert json_in.value(b'{"a":1} nonsense') == {"a": 1}


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert json_in.value(b'{"\\ud800":["\\ud83d\\ude00 \\udc00"]}') == {"\ufffd": ["\U0001f600 \ufffd"]}


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000])
def test_a_bottomless_body_is_refused(body: bytes) -> None:
    with pytest.raises(BadJson):
        json_in.value(body)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"[]", "json: cannot unmarshal array into Go value"),
        (b'"a"', "json: cannot unmarshal string into Go value"),
        (b'{"Nam":1}', 'json: unknown field "Nam"'),
        (b'{"Tags":"a"}', "json: cannot unmarshal string into Go struct field .Tags of type []string"),
        (b'{"Tags":[1]}', "json: cannot unmarshal number into Go struct field .Tags of type string"),
        (b'{"Meta":[]}', "json: cannot unmarshal array into Go struct field .Meta of type map[string]string"),
        (b'{"Meta":{"a":1}}', "json: cannot unmarshal number into Go struct field .Meta of type string"),
        (b'{"Port":1.5}', "json: cannot unmarshal number 1.5 into Go struct field .Port of type int"),
        (b'{"Port":true}', "json: cannot unmarshal bool into Go struct field .Port of type int"),
        (
            b'{"Port":99999999999999999999}',
            "json: cannot unmarshal number 99999999999999999999 into Go struct field .Port of type int",
        ),
        (
            b'{"EnableTagOverride":1}',
            "json: cannot unmarshal number into Go struct field .EnableTagOverride of type bool",
        ),
        (b'{"Check":[]}', "json: cannot unmarshal array into Go value"),
        (b'{"Checks":{}}', "json: cannot unmarshal object into Go struct field .Checks of type []object"),
    ],
)
def test_what_is_not_expected(body: bytes, why: str) -> None:
    with pytest.raises(Refused) as error:
        definitions_in.service(body)
    assert (error.value.status, error.value.text) == (400, f"Request decode failed: {why}")


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        definitions_in.service(body)
        definitions_in.check(body)
    except Refused as error:
        assert error.status == 400  # noqa: PT017 - either outcome is right


def test_bytes_that_are_no_utf_8_are_replaced_as_in_go() -> None:
    assert json_in.value(b'{"Name":"\xff\xfe"}') == {"Name": "��"}
