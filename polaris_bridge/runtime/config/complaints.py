"""Errors of the schema as problems of the file: with place, dotted key, what was expected, and the nearest known key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from .problems import Problem
from .shape import Model, all_keys, choose, dotted, element, keys, label, names, sections
from .tree import Node

_MAPPING = "expected a mapping of keys to values"
_EXPECTED: Mapping[str, str] = {
    "missing": "this key is needed",
    "bool_type": "expected true or false",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "string_type": "expected text",
    "list_type": "expected a list",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "literal_error": "expected {expected}",
    "greater_than_equal": "expected {ge} or more",
    "less_than_equal": "expected {le} or less",
    "string_too_short": "expected at least {min_length} characters",
}


def complaints(error: ValidationError, root: Node, model: Model) -> list[Problem]:
    """One problem for each error that pydantic found; nothing is said about what an unknown key holds."""
    details = error.errors(include_url=False)
    unknown = {detail["loc"][:-1] for detail in details if detail["loc"][-1:] == ("[key]",)}
    return [_problem(detail, root, model) for detail in details if not _within(detail["loc"], unknown)]


def _within(location: tuple[int | str, ...], unknown: set[tuple[int | str, ...]]) -> bool:
    return location[-1:] != ("[key]",) and any(location[: len(path)] == path for path in unknown)


def _problem(detail: ErrorDetails, root: Node, model: Model) -> Problem:
    node, annotation, path, secret = root, model, "", False
    parent: tuple[Node, Any, str] = (root, model, "")
    context = detail.get("ctx", {})
    for part in detail["loc"]:
        if part == "[key]":
            return _unknown(parent, node, path, model)
        child = _child(node, part)
        if child is None:
            if part != node.text("name"):
                path = dotted(path, str(part))
            continue  # a missing key, or pydantic's mark of the chosen alternative
        parent = (node, annotation, path)
        path = dotted(path, label(node, part))
        annotation, secret = _descend(annotation, node, part)
        node = child
    if detail["type"] == "extra_forbidden":
        return _unknown(parent, node, path, model)
    if detail["type"].startswith("union_tag"):
        return _unknown_name(node, annotation, path)
    if detail["type"] == "value_error":
        return Problem(node.place, path, str(context["error"]))
    message = _EXPECTED.get(detail["type"], detail["msg"]).format(**context)
    found = "" if detail["type"] == "missing" else f", found {'a hidden value' if secret else _describe(node.value)}"
    quotes = "; put it in quotes" if detail["type"] == "string_type" and isinstance(node.value, int | float) else ""
    return Problem(node.place, path, message + found + quotes)


def _child(node: Node, part: str | int) -> Node | None:
    if isinstance(part, int):
        return node.items[part] if part < len(node.items) else None
    return node.children.get(part)


def _descend(annotation: Any, node: Node, part: str | int) -> tuple[Any, bool]:
    section = choose(annotation, node)
    if section is None:
        return element(annotation), False
    field = keys(section).get(str(part))
    if field is None:
        return None, False
    return field.annotation, field.annotation is SecretStr


def _unknown(parent: tuple[Node, Any, str], node: Node, path: str, model: Model) -> Problem:
    holder, annotation, prefix = parent
    section = choose(annotation, holder)
    wrong = path.rpartition(".")[2]
    siblings = (
        list(keys(section)) if section else [key for key in all_keys(model) if key.count(".") == prefix.count(".") + 1]
    )
    if not section:
        siblings = list(_free_keys(annotation))
    near = nearest(wrong, siblings)
    if near:
        return Problem(node.key_place, path, "unknown key", f"nearest known key: {dotted(prefix, near)}")
    elsewhere = {key.rpartition(".")[2]: key for key in reversed(all_keys(model))}
    far = nearest(wrong, elsewhere, cutoff=0.8)
    hint = f"nearest known key: {elsewhere[far]}" if far else f"known here: {', '.join(siblings)}"
    return Problem(node.key_place, path, "unknown key", hint)


def _free_keys(annotation: Any) -> Iterable[str]:
    """The names that a mapping such as ``bootstrap.logger`` allows."""
    arguments = get_args(annotation)
    return get_args(arguments[0]) if arguments else ()


def _unknown_name(node: Node, annotation: Any, path: str) -> Problem:
    known = [name for section in sections(annotation) for name in names(section)]
    choices = ", ".join(known)
    named = node.children.get("name")
    if named is None:
        return Problem(node.place, path, f"expected a mapping with a name, one of {choices}")
    near = nearest(str(named.value), known)
    hint = f"nearest known name: {near}" if near else ""
    return Problem(
        named.place, dotted(path, "name"), f"expected one of {choices}, found {_describe(named.value)}", hint
    )


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known word most like this one, whatever its case; empty when none is."""
    folded = {item.casefold(): item for item in known}
    found = get_close_matches(word.casefold(), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else ""


def _describe(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, int | float):
        return f"the number {str(value)[:40]}"
    return {type(None): "nothing", dict: "a mapping", list: "a list"}.get(type(value), "something else")
