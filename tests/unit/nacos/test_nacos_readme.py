"""The adapter's page names every deliberate difference that the compatibility suite allows, and no other.

The guide explains every option, and the paths in examples are served.
"""

from __future__ import annotations

import re
from pathlib import Path

from polaris_bridge.adapters.nacos.server.routes import ROUTES
from polaris_bridge.runtime.config.nacos import NacosOptions

ROOT = Path(__file__).parents[3]
README = (ROOT / "polaris_bridge" / "adapters" / "nacos" / "README.md").read_text("utf-8")
GUIDE = (ROOT / "docs" / "nacos.md").read_text("utf-8")


def test_differences_on_purpose() -> None:
    table = README.partition("# What differs on purpose")[2].partition("Not in recordings")[0]
    named = [
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([^`]+)`", row.split("|")[1])
    ]
    rules = (ROOT / "tests" / "compat" / "rules_nacos.py").read_text("utf-8")
    assert named == re.findall(r'    Rule\(\s+"([a-z0-9.-]+)"', rules)


def test_options_are_explained() -> None:
    own = [field.alias or name for name, field in NacosOptions.model_fields.items()]
    for name in own:
        if name in ("serverService", "serverNamespace"):
            continue
        assert f"`{name}`" in GUIDE, name
    table = README.partition("# Options")[2].partition("# Metrics")[0]
    for row in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE):
        assert set(re.findall(r"`(\w+)`", row)) <= set(own), row


def test_paths_in_examples_are_served() -> None:
    served = {path for _, path in ROUTES}
    for text in (GUIDE, README):
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            variables = dict(re.findall(r"^(\w)=http://[^/\s]+(/nacos\S*)$", block, re.MULTILINE))
            for name, base in variables.items():
                block = re.sub(rf"\${name}\b", base, block)
            for path in re.findall(r"/nacos(/v\d/[\w/]*)", block):
                assert path in served or path in ("/v3/client/ns/instance", "/v3/admin"), path
