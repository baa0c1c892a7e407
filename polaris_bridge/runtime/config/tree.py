"""YAML text as a tree of nodes that know their place. Whatever the text holds, time and memory are bounded.

The tree is built from parser events: the C composer of PyYAML crashes the process on deep nesting, and aliases may not multiply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from .problems import Place, Problem

MAX_DEPTH = 32
MAX_NODES = 50_000
"""Nodes after aliases are followed. The shipped file has about 1,000."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_COLLECTION_TAGS = (None, "!", f"{_TAG}map", f"{_TAG}seq")
_TEXT_TAGS = (f"{_TAG}str", f"{_TAG}timestamp", f"{_TAG}value", f"{_TAG}merge")
"""Read as the text that stands there: no key of the file is a date."""

Scalar = str | int | float | bool | None


class Node:
    """One value: a scalar, a mapping of nodes, or a list of nodes."""

    __slots__ = ("key_place", "place", "value")

    def __init__(
        self, value: Scalar | dict[str, Node] | list[Node], place: Place, key_place: Place | None = None
    ) -> None:
        self.value = value
        self.place = place
        self.key_place = key_place or place

    @property
    def children(self) -> dict[str, Node]:
        """The mapping's nodes; empty when this is none."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The list's nodes; empty when this is none."""
        return self.value if isinstance(self.value, list) else []

    def text(self, key: str) -> str:
        """The text under a key of this mapping; empty when there is none."""
        child = self.children.get(key)
        return child.value if child and isinstance(child.value, str) else ""

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


class _Unreadable(Exception):
    def __init__(self, index: int, message: str) -> None:
        self.index = index
        self.message = message


def read(text: str, place: Callable[[int], Place]) -> tuple[Node, list[Problem]]:
    """Build the tree; an empty text is an empty mapping. ``place`` maps a character's index to where it came from.

    After an error of syntax the tree is empty; after a doubled key or a foreign tag, reading goes on.
    """
    builder = _Builder(text, place)
    try:
        node = builder.document()
    except _Unreadable as error:
        builder.problems.append(Problem(place(error.index), "", error.message))
    except yaml.MarkedYAMLError as error:
        index = error.problem_mark.index if error.problem_mark else 0
        builder.problems.append(
            Problem(place(min(index, len(text))), "", f"not YAML: {error.problem or error.context}")
        )
    except yaml.YAMLError as error:
        index = getattr(error, "position", 0)
        builder.problems.append(
            Problem(place(index), "", "not YAML: this character is not allowed; write it as an escape in quotes")
        )
    except UnicodeEncodeError as error:
        builder.problems.append(Problem(place(error.start), "", "not YAML: this character is not Unicode text"))
    else:
        return node, builder.problems
    finally:
        builder.close()
    return Node({}, place(0)), builder.problems


class _Builder:
    def __init__(self, text: str, place: Callable[[int], Place]) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._place = place
        self._loader: Any = None
        self._anchors: dict[str, Node] = {}
        self._left = MAX_NODES
        self._path: list[str] = []

    def close(self) -> None:
        if self._loader is not None:
            self._loader.dispose()

    def document(self) -> Node:
        self._loader = _Loader(self._text)
        self._next()  # stream start
        if isinstance(self._next(), StreamEndEvent):  # else document start
            return Node({}, self._place(0))
        node = self._node(self._next(), 0)
        while isinstance(event := self._next(), DocumentEndEvent):
            pass
        if not isinstance(event, StreamEndEvent):
            self._refuse(event, "expected one document, a second one begins here")
        return node

    def _next(self) -> Event:
        event: Event = self._loader.get_event()
        return event

    def _refuse(self, event: Event, message: str) -> NoReturn:
        raise _Unreadable(_start(event), message)

    def _complain(self, event: Event, message: str) -> None:
        self.problems.append(Problem(self._place(_start(event)), ".".join(self._path), message))

    def _count(self, event: Event, depth: int) -> None:
        self._left -= 1
        if self._left < 0:
            self._refuse(event, f"more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")

    def _node(self, event: Event, depth: int) -> Node:
        self._count(event, depth)
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                self._refuse(event, f"the alias *{event.anchor} names nothing above it")
            return self._copy(self._anchors[event.anchor], event, depth)
        node = Node(None, self._place(_start(event)))
        if isinstance(event, ScalarEvent):
            node.value = self._scalar(event)
        elif isinstance(event, SequenceStartEvent):
            self._check_tag(event)
            node.value = []
            while not isinstance(item := self._next(), SequenceEndEvent):
                self._path.append(str(len(node.value)))
                node.value.append(self._node(item, depth + 1))
                self._path.pop()
        elif isinstance(event, MappingStartEvent):
            self._check_tag(event)
            node.value = self._mapping(depth)
        anchor = getattr(event, "anchor", None)
        if anchor:
            self._anchors[anchor] = node
        return node

    def _copy(self, node: Node, event: Event, depth: int) -> Node:
        self._count(event, depth)
        copy = Node(node.value, node.place, node.key_place)
        if isinstance(node.value, dict):
            copy.value = {key: self._copy(child, event, depth + 1) for key, child in node.value.items()}
        elif isinstance(node.value, list):
            copy.value = [self._copy(child, event, depth + 1) for child in node.value]
        return copy

    def _mapping(self, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            if not isinstance(event, ScalarEvent) or event.value == "":
                self._complain(event, "expected a key of plain text")
                self._node(event, depth + 1)
                self._node(self._next(), depth + 1)
                continue
            self._path.append(event.value)
            child = self._node(self._next(), depth + 1)
            child.key_place = self._place(_start(event))
            if event.value == "<<" and event.implicit[0]:
                self._merge(child, event, merged)
            elif event.value in found:
                first = found[event.value].key_place
                self._complain(event, f"this key stands here a second time; the first is in line {first.line}")
            else:
                found[event.value] = child
            self._path.pop()
        return {**merged, **found}

    def _merge(self, node: Node, event: Event, into: dict[str, Node]) -> None:
        sources = node.items or [node]
        if not all(isinstance(source.value, dict) for source in sources):
            self._complain(event, "expected a mapping, or a list of mappings, after <<")
        for source in sources:
            for key, child in source.children.items():
                into.setdefault(key, child)

    def _check_tag(self, event: SequenceStartEvent | MappingStartEvent) -> None:
        if event.tag not in _COLLECTION_TAGS:
            self._complain(event, f"the tag {_short(event.tag)} has no meaning here")

    def _scalar(self, event: ScalarEvent) -> Scalar:
        tag = event.tag
        if tag is None:
            tag = (
                self._loader.resolve(yaml.ScalarNode, event.value, (True, False)) if event.implicit[0] else f"{_TAG}str"
            )
        if tag == "!" or tag in _TEXT_TAGS:
            return event.value
        try:
            return self._typed(tag, event.value)
        except (ValueError, KeyError, OverflowError):
            self._complain(event, f"cannot be read as {_short(tag)}")
            return event.value

    def _typed(self, tag: str, value: str) -> Scalar:
        if tag == f"{_TAG}null":
            return None
        if tag == f"{_TAG}bool":
            return bool(self._loader.bool_values[value.lower()])
        if tag not in (f"{_TAG}int", f"{_TAG}float"):
            raise ValueError(tag)
        if ":" in value or not value:
            return value  # base 60 is a surprise of YAML 1.1 (1:30 = 90) that Go's reader does not share
        node = yaml.ScalarNode(tag, value)
        number: int | float = (
            self._loader.construct_yaml_int(node) if tag.endswith("int") else self._loader.construct_yaml_float(node)
        )
        return number


def _start(event: Event) -> int:
    return event.start_mark.index if event.start_mark else 0


def _short(tag: str) -> str:
    return tag.replace(_TAG, "!!")
