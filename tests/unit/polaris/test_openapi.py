"""The description of the HTTP API: complete, resolvable, and true to what the server takes and gives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from http_world import World

from polaris_bridge.adapters.polaris.settings import GroupSettings
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.adapters.polaris.wire.json import encode


@pytest.fixture(scope="module")
def world() -> World:
    return World(groups=GroupSettings(swagger=True))


@pytest.fixture(scope="module")
def document(world: World) -> dict[str, Any]:
    answer = world.send("GET", "/apidocs.json")
    assert answer.status == 200
    assert (b"Content-Type", b"application/json") in answer.headers
    assert isinstance(answer.body, bytes)
    found: dict[str, Any] = json.loads(answer.body)
    return found


def test_it_is_there_only_when_the_listener_says_so(world: World) -> None:
    assert World().send("GET", "/apidocs.json").status == 404
    only = World(groups=GroupSettings(client=frozenset(), console=frozenset(), admin=False, swagger=True))
    answer = only.send("GET", "/apidocs.json")
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body)["paths"] == {}


def test_every_route_is_described_and_no_other(world: World, document: dict[str, Any]) -> None:
    described = {(path, method.upper()) for path, calls in document["paths"].items() for method in calls}
    assert described == {(route.path, route.method) for route in world.http.routes if route.path != "/apidocs.json"}
    assert len(described) > 40


def test_operations_have_names_of_their_own_and_a_sentence(document: dict[str, Any]) -> None:
    calls = [call for item in document["paths"].values() for call in item.values()]
    names = [call["operationId"] for call in calls]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)
    assert all(call["summary"] for call in calls)
    assert {tag for call in calls for tag in call["tags"]} <= {tag["name"] for tag in document["tags"]}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            assert set(node) == {"$ref"}, "a reference has no neighbours"
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_every_reference_leads_somewhere_and_everything_is_referred_to(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    used = {reference.removeprefix("#/components/schemas/") for reference in _references(document)}
    assert used == set(schemas)


def test_every_member_is_explained(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert schema["description"], name
        for member, described in schema.get("properties", {}).items():
            assert described["description"], (name, member)


def _fits(document: dict[str, Any], schema: dict[str, Any], value: Any) -> bool:
    """What an OpenAPI reader would say of a value, as far as our schemas go."""
    if "$ref" in schema:
        return _fits(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], value)
    if value is None:
        return bool(schema.get("nullable"))
    if "allOf" in schema:
        return all(_fits(document, part, value) for part in schema["allOf"])
    kind = schema["type"]
    if kind == "array":
        return isinstance(value, list) and all(_fits(document, schema["items"], item) for item in value)
    if kind == "object":
        more = schema.get("additionalProperties")
        for name, item in value.items():
            described = schema.get("properties", {}).get(name, more)
            if described is None or (described is not True and not _fits(document, described, item)):
                return False
        return True
    if not isinstance(value, {"string": str, "integer": int, "boolean": bool, "number": (int, float)}[kind]):
        return False
    return "enum" not in schema or value in schema["enum"]


@pytest.mark.parametrize(
    "message",
    [
        v1.Response(
            code={"value": 200000}, instance={"port": {"value": 1}, "metadata": {"a": "b"}, "health_check": {"type": 1}}
        ),
        v1.BatchWriteResponse(responses=[v1.Response(user={})]),
        v1.BatchQueryResponse(data=[{"type_url": "type.googleapis.com/v1.ServiceContract"}], summary={}),
        v1.DiscoverResponse(rateLimit={"rules": [{"amounts": [{"validDuration": {"seconds": 1}}]}]}, type=4),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_the_server_writes_fits_its_description(document: dict[str, Any], message: Any) -> None:
    written = json.loads(encode(message))
    written.pop("losslessRules", None)  # what the original writes there is no field of ours
    schema = document["components"]["schemas"][message.DESCRIPTOR.full_name]
    assert _fits(document, schema, written)
    assert not _fits(document, schema, {**written, "code": "text"})


def test_batches_take_arrays_and_queries_their_parameters(document: dict[str, Any]) -> None:
    create = document["paths"]["/naming/v1/services"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert create == {"type": "array", "items": {"$ref": "#/components/schemas/v1.Service"}}
    find = document["paths"]["/naming/v1/services"]["get"]
    assert {"offset", "limit", "name"} <= {parameter["name"] for parameter in find["parameters"]}
    assert "requestBody" not in find
