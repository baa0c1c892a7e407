"""Rules for every live suite: what is missing is named, and missing anything is an error when CI=true."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

PEERS = ("PEER_EUREKA", "PEER_NACOS", "PEER_CONSUL", "PEER_POLARIS")


def pytest_report_header() -> list[str]:
    given = {name: os.environ.get(name) for name in PEERS}
    lines = [f"{name}: {address}" for name, address in given.items() if address]
    missing = [name for name, address in given.items() if not address]
    return [*lines, "real servers not given: " + (", ".join(missing) or "none")]


def lacking(what: str) -> NoReturn:
    """Skips a test on a developer's machine that lacks a toolchain, fails where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}; tests/live/install.sh brings it", pytrace=False)
    pytest.skip(f"{what}; tests/live/install.sh brings it")
