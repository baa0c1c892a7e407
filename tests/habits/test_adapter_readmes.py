"""Every adapter explains itself under the same headings, so that who knows one can read all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from polaris_bridge.runtime.about import ADAPTERS

from .repository import adapters

HEADINGS = ["Name", "Ports", "What is covered", "What differs on purpose", "Options", "Metrics", "Try it"]


@pytest.mark.parametrize("adapter", adapters(), ids=lambda path: path.name)
def test_headings(adapter: Path) -> None:
    readme = adapter / "README.md"
    assert readme.is_file()
    found = re.findall(r"^#{1,3} (.+?)\s*$", readme.read_text("utf-8"), re.MULTILINE)
    assert [heading for heading in HEADINGS if heading in found] == HEADINGS


def test_version_names_every_adapter() -> None:
    assert sorted(ADAPTERS) == [path.name for path in adapters()]
