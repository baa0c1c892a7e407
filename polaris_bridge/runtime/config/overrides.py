"""``--set a.b.c=value``: one key of the file from the command line."""

from __future__ import annotations

from .problems import Place, Problem
from .tree import Node, read


def override(root: Node, setting: str) -> list[Problem]:
    """Set one key of the tree in place.

    The value is YAML; empty means the key's default. Mappings on the way are made. Elements of lists are named by their ``name``
    (all of that name), by index, or ``*`` for all, and must exist. A key with a dot in it is set through the mapping above it.
    """
    path, equals, text = setting.partition("=")
    place = Place(f"--set {path}")
    parts = path.split(".")
    if not equals or not all(parts):
        return [Problem(place, "", "expected a.b.c=value")]
    value, problems = read(text, lambda index: place)
    if problems:
        return [Problem(place, path, problem.message) for problem in problems]
    if not text.strip():
        value = Node(None, place)
    return _set(root, parts, value, place, "")


def _set(node: Node, parts: list[str], value: Node, place: Place, walked: str) -> list[Problem]:
    part, rest = parts[0], parts[1:]
    if isinstance(node.value, list):
        chosen = _elements(node, part)
        if not chosen:
            names = ", ".join(dict.fromkeys(item.text("name") for item in node.items if item.text("name"))) or "none"
            there = f"{len(node.items)} elements, names: {names}"
            return [
                Problem(
                    place, walked, f"no element {part} in this list ({there}); name one by its name, its index or *"
                )
            ]
        if not rest:
            for index in chosen:
                node.items[index] = value
            return []
        return [
            problem for index in chosen for problem in _set(node.items[index], rest, value, place, f"{walked}.{part}")
        ]
    if node.value is None:
        node.value = {}
    if not isinstance(node.value, dict):
        return [Problem(place, walked, f"this is a single value and has no key {part}")]
    if not rest:
        node.value[part] = Node(value.value, value.place, place)
        return []
    child = node.value.setdefault(part, Node({}, place))
    return _set(child, rest, value, place, f"{walked}.{part}" if walked else part)


def _elements(node: Node, part: str) -> list[int]:
    if part == "*":
        return list(range(len(node.items)))
    named = [index for index, item in enumerate(node.items) if item.text("name") == part]
    if not named and part.isdecimal() and int(part) < len(node.items):
        return [int(part)]
    return named
