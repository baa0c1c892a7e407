"""Turns the bytes of an answer into a tree that can be compared: JSON and XML by structure, everything else as text."""

from __future__ import annotations

import gzip
import json
from collections.abc import Container
from typing import Any
from xml.parsers import expat

Tree = Any
"""dict, list, str, int, float, bool or None, as JSON has them."""

ListTags = Container[tuple[str, str]]
"""XML (parent, child) pairs whose children form a list however many there are."""


def decode(body: bytes, encoding: str | None, lists: ListTags = ()) -> tuple[str, Tree]:
    """The format (``empty``, ``json``, ``xml``, ``text`` or ``bytes``) and the tree of one body.

    The format is taken from the content, not from Content-Type: a wrong label must show as a difference of its own.
    """
    if encoding == "gzip" and body:
        body = gzip.decompress(body)
    if not body:
        return "empty", None
    head = body.lstrip()[:1]
    if head in (b"{", b"["):
        return _json(body)
    if head == b"<" and not body.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return "xml", read_xml(body, lists)
    try:
        return "text", body.decode()
    except UnicodeDecodeError:
        return "bytes", body.hex()


def _json(body: bytes) -> tuple[str, Tree]:
    try:
        return "json", json.loads(body)
    except ValueError:
        return "text", body.decode(errors="replace")


def read_xml(body: bytes, lists: ListTags = ()) -> Tree:
    """``{root: content}``: text for a leaf, else a dict of ``@attributes``, children by tag, and ``#text``.

    Names are read without namespaces: real servers write metadata keys with colons as they are.
    """
    root: dict[str, Any] = {}
    stack: list[tuple[str, dict[str, Any], list[str]]] = [("", root, [])]

    def start(tag: str, attributes: dict[str, str]) -> None:
        stack.append((tag, {f"@{name}": value for name, value in attributes.items()}, []))

    def end(tag: str) -> None:
        _, content, parts = stack.pop()
        parent, into, _ = stack[-1]
        value = _element(content, "".join(parts))
        if (parent, tag) in lists:
            into.setdefault(tag, []).append(value)
        elif tag in into:
            into[tag] = [*into[tag], value] if isinstance(into[tag], list) else [into[tag], value]
        else:
            into[tag] = value

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda text: stack[-1][2].append(text)
    parser.Parse(body, True)
    return root


def _element(content: dict[str, Any], text: str) -> Tree:
    if content:
        return content | {"#text": text} if text.strip() else content
    return "" if text.isspace() and "\n" in text else text
