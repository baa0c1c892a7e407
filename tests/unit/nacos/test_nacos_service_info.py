"""Lists as bytes: each that a real server sent is made again, byte for byte, of its values."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.wire import service_info
from polaris_bridge.adapters.nacos.wire.messages import Host
from polaris_bridge.adapters.nacos.wire.payload import decode
from polaris_bridge.adapters.nacos.wire.service_info import Form

RECORDINGS = Path(__file__).parents[2] / "compat" / "recordings" / "nacos"
BEGINNING = '{"name":"'


def _lists() -> Iterator[tuple[str, Form, str]]:
    for path in sorted(RECORDINGS.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            event = json.loads(line)
            match event.get("kind"):
                case "http" if "/instance/list" in event["request"]["target"]:
                    yield path.stem, "v1", event["response"]["body"]
                case "udp" if event["from"] == "server":
                    yield path.stem, "udp", json.loads(event["body"])["data"]
                case "message" if event["from"] == "server":
                    body = decode(base64.b64decode(event["base64"])).body.decode()
                    _, found, rest = body.partition('"serviceInfo":')
                    if found:
                        end = rest.index('"valid":true}') + len('"valid":true}')
                        yield path.stem, "grpc", rest[:end]


SEEN = sorted({(form, body) for _, form, body in _lists()})


def _host(h: dict[str, Any]) -> Host:
    return Host(
        h["instanceId"], h["ip"], h["port"], h["weight"], h["healthy"], h["enabled"], h["ephemeral"], h["clusterName"],
        h["serviceName"], h["metadata"], h["instanceHeartBeatInterval"], h["instanceHeartBeatTimeOut"],
        h["ipDeleteTimeout"],
    )  # fmt: skip


def test_there_are_lists_of_all_forms() -> None:
    assert {form for form, _ in SEEN} == {"v1", "grpc", "udp"}
    assert len(SEEN) > 30


@pytest.mark.parametrize(("form", "body"), SEEN)
def test_recorded_lists_are_made_again(form: Form, body: str) -> None:
    recorded = json.loads(body)
    group, separator, name = recorded["name"].partition("@@")
    if not separator:
        group, name = recorded["groupName"], group
    made = service_info.undated(
        form,
        group=group,
        name=name,
        clusters=recorded["clusters"],
        hosts=b",".join(service_info.host(_host(h)) for h in recorded["hosts"]),
        protected=recorded["reachProtectionThreshold"],
    ).at(recorded["lastRefTime"])
    assert made.decode() == body.replace('"allIps":', '"allIPs":'), "3.x spells this one otherwise"


def test_the_third_generation_gets_the_instances_alone() -> None:
    host = Host("i", "h", 1, 1.0, True, True, True, "DEFAULT", "g@@s", {"a": "b"})
    content = service_info.host(host)
    made = service_info.undated("v3", group="g", name="s", clusters="", hosts=content).at(7)
    assert json.loads(made) == [json.loads(content)]


def test_an_instance_without_an_id_has_no_member_for_it() -> None:
    host = Host(None, "h", 1, 1.0, True, True, True, "DEFAULT", "g@@s", {"a": "b"}, id_generator="snowflake")
    written = json.loads(service_info.host(host))
    assert "instanceId" not in written
    assert written["instanceIdGenerator"] == "snowflake"


TEXT = st.text(max_size=30) | st.sampled_from(
    ['","healthy":false,"', '\\","healthy":false,', '","weight":1,"', '\\","weight":1,', ',"weight":']
)


@given(TEXT, TEXT, st.dictionaries(TEXT, TEXT), st.booleans())
def test_called_healthy_changes_that_and_nothing_else(
    id: str, cluster: str, metadata: dict[str, str], healthy: bool
) -> None:
    host = Host(id, cluster, 1, 0.015, healthy, True, False, cluster, id, metadata)
    written = json.loads(service_info.host(host))
    assert json.loads(service_info.called_healthy(service_info.host(host))) == written | {"healthy": True}
    assert (written["instanceId"], written["metadata"], written["weight"]) == (id, metadata, 0.015)


@given(TEXT, TEXT, st.dictionaries(TEXT, TEXT), st.floats(0, 1e7), st.integers(0, 65_535))
def test_weighing_changes_the_weight_and_nothing_else(
    id: str, cluster: str, metadata: dict[str, str], before: float, after: int
) -> None:
    host = Host(id, cluster, 1, before, True, True, False, cluster, id, metadata)
    written = json.loads(service_info.host(host))
    weighed = json.loads(service_info.weighing(service_info.host(host), after))
    assert weighed == written | {"weight": after}
    assert isinstance(weighed["weight"], float)


@given(st.lists(st.integers(0, 65_535), min_size=1))
def test_whole_weights_keep_their_proportions(weights: list[int]) -> None:
    unit = service_info.whole(weights)
    small = [weight // unit for weight in weights]
    assert [each * unit for each in small] == weights
    assert service_info.whole(small) == 1
