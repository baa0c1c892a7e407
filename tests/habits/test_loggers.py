"""A logger that is named otherwise than its module or a scope would write nowhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from polaris_bridge.runtime.logs import ROOT as LOG_ROOT
from polaris_bridge.runtime.logs import SCOPES

from .repository import PACKAGE, modules

ALLOWED = {LOG_ROOT, *(f"{LOG_ROOT}.{scope}" for scope in SCOPES)}
"""The root is for those who follow every line, such as a log that is read over HTTP."""


def wrong_names(source: str) -> list[str]:
    wrong = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "getLogger":
            argument = node.args[0] if node.args else None
            by_module = isinstance(argument, ast.Name) and argument.id == "__name__"
            by_scope = isinstance(argument, ast.Constant) and argument.value in ALLOWED
            if not (by_module or by_scope):
                wrong.append(f"line {node.lineno}: {ast.unparse(node)}")
    return wrong


@pytest.mark.parametrize(
    "path",
    [path for path in modules(PACKAGE) if "logs" not in path.parts],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_loggers_are_named_after_module_or_scope(path: Path) -> None:
    """Write ``logging.getLogger(__name__)`` or ``logging.getLogger("polaris_bridge.<scope>")``."""
    assert wrong_names(path.read_text("utf-8")) == []


def test_a_bare_scope_is_seen() -> None:
    assert wrong_names("import logging\nlogging.getLogger('naming')")
    assert not wrong_names("import logging\nlogging.getLogger('polaris_bridge.naming')\nlogging.getLogger(__name__)")
