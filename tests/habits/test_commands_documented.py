"""Commands that documents name exist, and commands that exist are in documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from polaris_bridge.cli import app

from .repository import ROOT, code_blocks, documents, make_targets, text

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
"""Groups of commands among them: ``migrate plan``."""


def options(command: Any) -> set[str]:
    """The long options of a command, or of all commands of a group."""
    own = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    return own.union(*map(options, getattr(command, "commands", {}).values()))


OPTIONS = {name: options(command) for name, command in COMMANDS.items()}


@pytest.mark.parametrize("target", sorted(make_targets()))
def test_every_make_target_is_in_contributing(target: str) -> None:
    assert f"`make {target}`" in text("CONTRIBUTING.md")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_in_readme_or_operations(command: str) -> None:
    assert f"polaris-bridge {command}" in text("README.md") + text("docs/operations.md")


@pytest.mark.parametrize("option", sorted(OPTIONS["serve"]))
def test_every_option_of_serve_is_in_operations(option: str) -> None:
    assert f"`{option}" in text("docs/operations.md")


def test_contributing_and_readme_name_the_first_two_commands() -> None:
    assert re.search(r"^    make run$", text("README.md"), re.MULTILINE)
    assert {
        "run",
        "test",
        "test-live",
        "bench",
        "soak",
        "lint",
        "format",
        "protos",
        "lock",
        "clean",
        "help",
    } == make_targets()


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_documents_exist(document: Path) -> None:
    for block in code_blocks(document):
        assert set(re.findall(r"(?:^|&& )make ([a-z][a-z-]*)", block, re.MULTILINE)) <= make_targets()
        for command, rest in re.findall(r"(?:^|/)polaris-bridge ([a-z-]+)([^\n`|]*)", block, re.MULTILINE):
            assert command in COMMANDS
            within = getattr(COMMANDS[command], "commands", None)
            if within is not None and rest.split():
                assert rest.split()[0] in within
            assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= OPTIONS[command]


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_files_in_documents_exist(document: Path) -> None:
    body = document.read_text("utf-8")
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", body)
    assert [target for target in targets if not (document.parent / target).exists()] == []
