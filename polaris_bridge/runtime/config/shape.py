"""The declared shape of the file beside a tree: which section describes which mapping."""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from .fields import HONOURED, Section
from .tree import Node

Model = type[Section]


@cache
def keys(model: Model) -> dict[str, FieldInfo]:
    """The declared keys of a section as they stand in the file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def honoured(field: FieldInfo) -> bool:
    """Whether the key does anything."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get(HONOURED) is True


def sections(annotation: Any) -> list[Model]:
    """The sections that a value of this type may be: none for scalars, several where ``name`` decides."""
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType):
        return [model for member in get_args(annotation) for model in sections(member)]
    return []


def element(annotation: Any) -> Any:
    """The type of the elements of a list or the values of a mapping with free keys; None for anything else."""
    annotation = _bare(annotation)
    if get_origin(annotation) in (list, dict):
        return get_args(annotation)[-1]
    return None


def names(model: Model) -> tuple[str, ...]:
    """The values of ``name`` that choose this section."""
    annotation = _bare(model.model_fields["name"].annotation) if "name" in model.model_fields else None
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def choose(annotation: Any, node: Node) -> Model | None:
    """The section that describes this node, or None when none does (a scalar, an unknown name)."""
    if not isinstance(node.value, dict):
        return None
    found = sections(annotation)
    if len(found) == 1:
        return found[0]
    return next((model for model in found if node.text("name") in names(model)), None)


def members(annotation: Any, node: Node) -> Iterator[tuple[str | int, FieldInfo | None, Any, Node]]:
    """The known parts of a node: (key or index, declaration where there is one, type, node)."""
    if model := choose(annotation, node):
        declared = keys(model)
        for name, child in node.children.items():
            if name in declared:
                yield name, declared[name], declared[name].annotation, child
        return
    item = element(annotation)
    if item is not None:
        parts: Iterator[tuple[str | int, Node]] = iter(node.children.items() or enumerate(node.items))
        yield from ((name, None, item, child) for name, child in parts)


def drop_nulls(annotation: Any, node: Node) -> None:
    """Remove keys without a value: they mean the default, as in the original. Unknown keys stay, to be reported."""
    for name, field, inner, child in list(members(annotation, node)):
        if child.value is None and isinstance(name, str) and (field is not None or sections(inner)):
            del node.children[name]
        else:
            drop_nulls(inner, child)


def label(parent: Node, name: str | int) -> str:
    """How a part is called in a dotted path: a list element by its ``name`` when only it has that name, else by index."""
    if isinstance(name, str):
        return name
    own = parent.items[name].text("name")
    unique = own and sum(item.text("name") == own for item in parent.items) == 1
    return own if unique else str(name)


def dotted(prefix: str, part: str) -> str:
    """Join two parts of a path."""
    return f"{prefix}.{part}" if prefix else part


def find(root: Node, path: str) -> Node | None:
    """The node at a dotted path, list elements by name or index; None when the file does not set it."""
    node = root
    for part in path.split("."):
        child = node.children.get(part) or _item(node, part)
        if child is None:
            return None
        node = child
    return node


def _item(node: Node, part: str) -> Node | None:
    by_name = next((item for item in node.items if item.text("name") == part), None)
    if by_name or not part.isdecimal() or int(part) >= len(node.items):
        return by_name
    return node.items[int(part)]


def without_effect(annotation: Any, node: Node, path: str = "") -> Iterator[str]:
    """Dotted paths of what a file sets and this server does not use; a whole section is named once."""
    for name, field, inner, child in members(annotation, node):
        own = dotted(path, label(node, name))
        section = choose(inner, child)
        if child.value == {}:
            continue
        if (field is not None and not honoured(field)) or (section is not None and not section.effective):
            yield own
        else:
            yield from without_effect(inner, child, own)


@cache
def all_keys(model: Model, path: str = "") -> tuple[str, ...]:
    """Every key of the format as a dotted path, ``*`` for names of list elements and free keys."""
    found: list[str] = []
    for name, field in keys(model).items():
        own = dotted(path, name)
        found.append(own)
        inner = field.annotation
        while (item := element(inner)) is not None:
            inner, own = item, f"{own}.*"
        for section in sections(inner):
            found.extend(all_keys(section, own))
    return tuple(dict.fromkeys(found))


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation
