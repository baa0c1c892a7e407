"""The adapter's page explains the listener's options and no others, and the paths in its examples are served."""

from __future__ import annotations

import re
from pathlib import Path

from polaris_bridge.adapters.consul.server.paths import Paths
from polaris_bridge.adapters.consul.server.routes import ROUTES
from polaris_bridge.runtime.config.consul import ConsulOptions
from polaris_bridge.runtime.config.listener_options import ListenerOptions

ROOT = Path(__file__).parents[3]
README = (ROOT / "polaris_bridge" / "adapters" / "consul" / "README.md").read_text("utf-8")
HEADINGS = ["Name", "Ports", "What is covered", "What differs on purpose", "Options", "Metrics", "Try it"]


def test_the_usual_headings() -> None:
    assert re.findall(r"^# (.+)$", README, re.MULTILINE) == HEADINGS


def test_options_are_explained() -> None:
    own = {field.alias or name for name, field in ConsulOptions.model_fields.items()}
    common = {field.alias or name for name, field in ListenerOptions.model_fields.items()}
    table = README.partition("# Options")[2].partition("# Metrics")[0]
    named = {
        name for row in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert named - {"auth"} == own - common


def test_paths_in_examples_are_served() -> None:
    paths = Paths(ROUTES)
    block = README.partition("```sh")[2].partition("```")[0]
    asked = re.findall(r"\$U(/[\w/]+)", block)
    assert len(asked) >= 5
    assert [path for path in asked if paths.find(f"/v1{path}") is None] == []
