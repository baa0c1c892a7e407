"""Rules for every live suite: what is missing is named, and missing anything is an error when CI=true."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from .building import BuildFailedError, MissingToolsError, Program

PEERS = ("PEER_EUREKA", "PEER_NACOS", "PEER_CONSUL", "PEER_POLARIS")


def pytest_report_header() -> list[str]:
    given = {name: os.environ.get(name) for name in PEERS}
    lines = [f"{name}: {address}" for name, address in given.items() if address]
    missing = [name for name, address in given.items() if not address]
    return [*lines, "real servers not given: " + (", ".join(missing) or "none")]


def of_folder(session: pytest.Session, conftest: str) -> Iterator[pytest.Item]:
    """The selected tests of one suite, given its conftest's own path: several suites run in one session."""
    folder = Path(conftest).parent
    return (item for item in session.items if item.path.is_relative_to(folder))


def build(program: Program) -> None:
    """Builds a program; ends the test with what is missing, or with what the build printed when it failed."""
    try:
        program.ready()
    except MissingToolsError as missing:
        lacking(str(missing))
    except BuildFailedError as failed:
        pytest.fail(str(failed), pytrace=False)


def can_be_built(program: Program) -> bool:
    """Builds as well; what fails is told by the tests that need it."""
    try:
        program.ready()
    except (MissingToolsError, BuildFailedError):
        return False
    return True


def lacking(what: str) -> NoReturn:
    """Skips a test on a developer's machine that lacks a toolchain, fails where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}; tests/live/install.sh brings it", pytrace=False)
    pytest.skip(f"{what}; tests/live/install.sh brings it")
