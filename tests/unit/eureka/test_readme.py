"""The adapter's page names every deliberate difference that the compatibility suite allows, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_differences_on_purpose() -> None:
    readme = (ROOT / "polaris_bridge" / "adapters" / "eureka" / "README.md").read_text("utf-8")
    table = readme.partition("# What differs on purpose")[2].partition("Not in recordings")[0]
    named = [
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([^`]+)`", row.split("|")[1])
    ]
    rules = (ROOT / "tests" / "compat" / "rules_eureka.py").read_text("utf-8")
    assert named == re.findall(r'    Rule\(\s+"([a-z0-9-]+)"', rules)
