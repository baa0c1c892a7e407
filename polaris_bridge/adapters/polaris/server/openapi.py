"""The description of the HTTP API as an OpenAPI 3.0 document: calls from the table of routes, messages from their descriptors.

Made when somebody asks for it the first time. Sentences about messages are the comments of the .proto files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from polaris_bridge import __version__
from polaris_bridge.adapters.polaris.service.routes import EVERYBODY, Query, Route, Text
from polaris_bridge.adapters.polaris.wire import codes, v1
from polaris_bridge.core.model import Caller

PATH: Final = "/apidocs.json"
"""Where the original has its own description."""

_SCALARS: Final[dict[int, dict[str, Any]]] = {
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    FieldDescriptor.CPPTYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "string", "format": "uint64"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
}
_GOOGLE: Final = "google.protobuf."
_ANY: Final = {
    "type": "object",
    "nullable": True,
    "required": ["@type"],
    "properties": {"@type": {"type": "string", "example": "type.googleapis.com/v1.RuleRoutingConfig"}},
    "additionalProperties": True,
}
_DURATION: Final = {"type": "string", "nullable": True, "example": "1s"}
_CODE: Final = "v1.Code"
_TOKEN: Final = "token"


class Description:
    """The document of one listener, and the route that serves it."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """``routes``: what the listener serves."""
        self._routes = tuple(routes)
        self._document = b""

    def route(self) -> Route:
        """The call that gives the document."""
        return Route(
            method="GET",
            path=PATH,
            operation="DescribeApi",
            handle=self._answer,
            response="",
            door=EVERYBODY,
            about="This description.",
        )

    def _answer(self, _query: Query, _caller: Caller) -> Text:
        self._document = self._document or document(self._routes)
        return Text(self._document)


def document(routes: Iterable[Route]) -> bytes:
    """The OpenAPI document of some routes."""
    calls = tuple(routes)
    paths: dict[str, dict[str, Any]] = {}
    taken: set[str] = set()
    for route in calls:
        paths.setdefault(route.path, {}).setdefault(route.method.lower(), _operation(route, taken))
    schemas: dict[str, Any] = {_CODE: _codes()}
    for name in {name for route in calls for name in (route.request, route.response) if name}:
        _describe(getattr(v1, name).DESCRIPTOR, schemas)
    content = {
        "openapi": "3.0.3",
        "info": {
            "title": "polaris-bridge",
            "version": __version__,
            "description": "The HTTP API of PolarisMesh. Bodies are protobuf JSON: answers show every field, unset ones as "
            "null; requests may leave out fields, and write 64-bit numbers as text or number.",
        },
        "tags": [{"name": name, "description": text} for name, text in _groups(calls)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {_TOKEN: {"type": "apiKey", "in": "header", "name": "X-Polaris-Token"}},
        },
        "security": [{}, {_TOKEN: []}],
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)


def _groups(routes: Iterable[Route]) -> list[tuple[str, str]]:
    there = {route.group for route in routes}
    return [(name, text) for name, text in _GROUPS.items() if name in there]


_GROUPS: Final = {
    "client": "What SDKs call: registration, heartbeats, discovery.",
    "console": "What people and their tools call: namespaces, services, instances, rules.",
    "admin": "What operators of this server call.",
}


# ---------------------------------------------------------------------- calls


def _operation(route: Route, taken: set[str]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _unique(route, taken),
        "tags": [route.group],
        "summary": route.about or route.operation,
    }
    if route.query:
        described["parameters"] = [
            {"name": name, "in": "query", "required": False, "schema": {"type": "string"}} for name in route.query
        ]
    if route.takes != "query":
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": _body(route)}}}
    described["responses"] = _responses(route)
    return described


def _unique(route: Route, taken: set[str]) -> str:
    """The operation's name, with the place of the path for the second of two that do the same."""
    name = route.operation
    if name in taken:
        name = f"{name}.{route.method.lower()}{route.path.replace('/', '.')}"
    taken.add(name)
    return name


def _body(route: Route) -> dict[str, Any]:
    if not route.request:
        return {"type": "object"}
    message = _reference(f"v1.{route.request}")
    return {"type": "array", "items": message} if route.takes == "list" else message


def _responses(route: Route) -> dict[str, Any]:
    if not route.response:
        return {"200": {"description": "Done.", "content": {"application/json": {"schema": {}}}}}
    content = {"application/json": {"schema": _reference(f"v1.{route.response}")}}
    return {
        "200": {"description": "Done: code 200000, 200001 or 200002.", "content": content},
        "default": {
            "description": "Refused or failed: the status is the first three digits of the code.",
            "headers": {
                "X-Polaris-Code": {"description": "The code.", "schema": _reference(_CODE)},
                "X-Polaris-Message": {"description": "The code's text.", "schema": {"type": "string"}},
            },
            "content": content,
        },
    }


# ---------------------------------------------------------------------- messages


def _describe(message: Descriptor, schemas: dict[str, Any]) -> None:
    """Add the schema of a message, and of those that it has."""
    if message.full_name in schemas:
        return
    schema: dict[str, Any] = {"type": "object"}
    schemas[message.full_name] = _commented(message.full_name, schema)
    schema["properties"] = {
        field.json_name: _commented(field.full_name, _field(field, schemas)) for field in message.fields
    }


def _field(field: FieldDescriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _single(message.fields_by_name["value"], schemas)}
    single = _single(field, schemas)
    return {"type": "array", "items": single} if field.is_repeated else single


def _single(field: FieldDescriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema of one value."""
    if field.message_type is not None:
        return _of_message(field.message_type, schemas)
    if field.enum_type is not None:
        return _of_enum(field.enum_type)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return {"type": "string", "format": "byte"}
    return dict(_SCALARS.get(field.cpp_type, {"type": "string"}))


def _of_message(message: Descriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    name = message.full_name
    if name == f"{_GOOGLE}Any":
        return dict(_ANY)
    if name == f"{_GOOGLE}Duration":
        return dict(_DURATION)
    if name.startswith(_GOOGLE):
        return {**_single(message.fields_by_name["value"], schemas), "nullable": True}
    _describe(message, schemas)
    return _reference(name)


def _of_enum(enum: EnumDescriptor) -> dict[str, Any]:
    """By name; what the names mean stands in the description."""
    meanings = [f"{value.name}: {_comments().get(f'{enum.full_name}.{value.name}', '')}" for value in enum.values]
    return {"type": "string", "enum": [value.name for value in enum.values], "description": " ".join(meanings)}


def _codes() -> dict[str, Any]:
    known = sorted(v1.MESSAGES.enum(_CODE).items(), key=lambda item: item[1])
    lines = [f"- {number} {codes.name(number)}: {_comments().get(f'{_CODE}.{name}', '')}" for name, number in known]
    return {
        "type": "integer",
        "enum": [number for _, number in known],
        "x-enum-varnames": [name for name, _ in known],
        "description": "\n".join((_comments()[_CODE], *lines)),
    }


def _commented(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its sentence. A reference may have no neighbours, so it is wrapped then."""
    sentence = _comments().get(name)
    if not sentence:
        return schema
    if "$ref" in schema:
        return {"allOf": [schema], "nullable": True, "description": sentence}
    own = schema.get("description")
    schema["description"] = f"{sentence} {own}" if own else sentence
    return schema


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


@cache
def _comments() -> Mapping[str, str]:
    """Sentences by full name, see ``protos/generate.py``."""
    text = files("polaris_bridge.adapters.polaris.wire").joinpath("v1.comments.json").read_bytes()
    found: dict[str, str] = orjson.loads(text)
    return found
