"""Every adapter explains itself under the same headings, so that who knows one can read all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from polaris_bridge.adapters import ADAPTERS

from .repository import adapters

HEADINGS = ["Name", "Ports", "What is covered", "What differs on purpose", "Options", "Metrics", "Try it"]


@pytest.mark.parametrize("adapter", adapters(), ids=lambda path: path.name)
def test_headings(adapter: Path) -> None:
    readme = adapter / "README.md"
    assert readme.is_file()
    found = re.findall(r"^#{1,3} (.+?)\s*$", readme.read_text("utf-8"), re.MULTILINE)
    assert [heading for heading in HEADINGS if heading in found] == HEADINGS


def test_every_adapter_is_in_the_list() -> None:
    assert sorted(adapter.source for adapter in ADAPTERS) == [path.name for path in adapters()]
