"""The core knows no protocol, and what all adapters share knows none of them either."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from .repository import ADAPTERS, PACKAGE, modules

PROTOCOLS = ("eureka", "netflix", "spring", "nacos", "consul", "polarismesh", "xds", "envoy")
TRANSPORTS = ("http", "grpc", "websocket", "sqlite")

PLACES = [
    *((path, PROTOCOLS + TRANSPORTS) for path in modules(PACKAGE / "core")),
    *((path, PROTOCOLS) for path in modules(ADAPTERS / "_shared")),
    *((path, PROTOCOLS) for path in modules(PACKAGE / "storage")),
]


def words(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Identifiers and strings with their lines. Docstrings are comments: they may say where a fact comes from."""
    docstrings = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                docstrings.add(id(statement.value))
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in docstrings:
            yield line, node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        for field in ("id", "attr", "name", "arg", "module", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield line, value


def offences(source: str, forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"line {line}: {word!r} says {protocol!r}"
        for line, word in words(ast.parse(source))
        for protocol in forbidden
        if protocol in word.lower()
    ]


@pytest.mark.parametrize(("path", "forbidden"), PLACES, ids=[str(p.relative_to(PACKAGE)) for p, _ in PLACES])
def test_no_protocol_is_named(path: Path, forbidden: tuple[str, ...]) -> None:
    assert offences(path.read_text("utf-8"), forbidden) == []


@pytest.mark.parametrize(
    "source",
    ["eureka_id = 1", "def lift_nacos(): ...", "x.consul", "f(xds=1)", "import envoy", "x = 'Spring'", "x = b'nacos'"],
)
def test_every_place_of_a_word_is_seen(source: str) -> None:
    assert offences(source, PROTOCOLS)


def test_docstrings_may_name_sources() -> None:
    assert offences('"""As in Eureka."""\nclass A:\n    x = 1\n    """As in Nacos."""\n', PROTOCOLS) == []
