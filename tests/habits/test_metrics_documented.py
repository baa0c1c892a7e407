"""Metric names follow Prometheus' habits and are described for operators."""

from __future__ import annotations

import re

import pytest

from polaris_bridge.runtime.metrics.names import OWN, POLARIS, PREFIX, SERVER, Name

from .repository import text

UNITLESS = {"build_info", "services", "instances", "watchers", "store_writes_waiting", "cache_revision", "connections",
            "health_checks", "config_files", "config_gray_releases", "config_holders",
            "limiter", "routing_kinds", "limiter_redis_up", "self_protection",
            "self_protection_held", "instances_ejected", "circuit_breakers", "fault_detection_checks", "xds_streams",
            "sync_queue", "sync_differences", "sync_stale", "sync_held", "sync_copies", "sync_stage_services",
            "audit_clean"}  # fmt: skip
"""Gauges that count things or are a state, and so have no unit."""
FORBIDDEN_LABELS = {"instance", "instance_id", "id", "key", "host", "ip", "address", "path", "url"}


def rows() -> dict[str, list[str]]:
    """Name -> cells of its row in the tables of docs/operations.md."""
    found = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*) ?\| (.+) \|$", text("docs/operations.md"), re.MULTILINE)
    return {name: [kind, labels.strip(), meaning] for name, kind, labels, meaning in found}


@pytest.mark.parametrize("name", OWN, ids=lambda name: name.name)
def test_own_names_follow_the_rules(name: Name) -> None:
    assert re.fullmatch(f"{PREFIX}[a-z]+(_[a-z]+)*", name.name)
    assert (name.kind == "counter") == name.name.endswith("_total")
    if name.kind == "histogram":
        assert name.name.endswith(("_seconds", "_bytes"))
    if name.kind == "gauge":
        assert name.name.endswith(("_seconds", "_bytes")) or name.name.removeprefix(PREFIX) in UNITLESS


@pytest.mark.parametrize("name", [*OWN, *POLARIS], ids=lambda name: name.name)
def test_labels_are_bounded(name: Name) -> None:
    assert FORBIDDEN_LABELS.isdisjoint(name.labels)
    assert len(set(name.labels)) == len(name.labels)


@pytest.mark.parametrize("name", POLARIS, ids=lambda name: name.name)
def test_names_of_polaris_carry_its_label(name: Name) -> None:
    assert not name.name.startswith(PREFIX)
    assert name.labels[-1] == SERVER


@pytest.mark.parametrize("name", [*OWN, *POLARIS], ids=lambda name: name.name)
def test_every_metric_is_described_for_operators(name: Name) -> None:
    labels = ", ".join(label for label in name.labels if label != SERVER)
    assert rows().get(name.name) == [name.kind, labels, name.meaning]


def test_no_metric_is_described_that_does_not_exist() -> None:
    assert set(rows()) == {name.name for name in (*OWN, *POLARIS)}
