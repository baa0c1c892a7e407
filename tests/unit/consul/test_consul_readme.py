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


GUIDE = (ROOT / "docs" / "consul.md").read_text("utf-8")


def test_the_guide_asks_for_what_is_served() -> None:
    paths = Paths(ROUTES)
    asked = re.findall(r"\$U(/[\w/]+)", GUIDE)
    assert len(asked) >= 15
    assert [path for path in asked if paths.find(f"/v1{path}") is None] == []


def test_the_guide_names_options_that_there_are() -> None:
    known = {field.alias or name for name, field in ConsulOptions.model_fields.items()}
    known |= {field.alias or name for name, field in ListenerOptions.model_fields.items()}
    block = GUIDE.partition("## Datacenters")[2].partition("## Beside")[0]
    assert set(re.findall(r"^      (\w+):", block, re.MULTILINE)) <= known
    for name in (
        "nodeName",
        "singleNode",
        "foreignNode",
        "springLayout",
        "metadataAsTags",
        "trustedProxies",
        "maxBodySize",
    ):
        assert f"`{name}" in GUIDE
        assert name in known
