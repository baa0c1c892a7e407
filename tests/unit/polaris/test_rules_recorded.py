"""What a real console sent to a real server about rules, and what that server told polaris-go 1.6.1: ours says the same."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from ruled import Ruled

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.adapters.polaris.wire.json import encode
from polaris_bridge.core.model import ServiceKey

LINES = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "polaris-go-1.6.1-rules.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
CALLS = [line for line in LINES if "method" in line]
DISCOVERED = {
    line["t"]: v1.DiscoverResponse.FromString(base64.b64decode(line["discover"])) for line in LINES if "t" in line
}
SERVICE = ServiceKey("default", "go-driver-357818285")

IDS = {
    "/naming/v2/routings": ("90278307c38145b08b2342ded68c6b75", "9c9f1c57ce6944dfbec436c56cc6c44f"),
    "/naming/v1/ratelimits": ("709176d8bcc04b18905c7e052ff4f30e", "0b1c36ad779b4069aff3d095fe86bb7b"),
    "/naming/v1/circuitbreaker/rules": ("4c97745dc30049d08c4eeba956530c3e", "0370936a05004917bbc3bbaada8f3191"),
}
"""What the real server made up, in the order in which ours asks: the id, the revision."""


def replay(ruled: Ruled, call: dict[str, Any]) -> Any:
    """Send a recorded call at its time."""
    target = urlsplit(call["target"])
    at = parsedate_to_datetime(call["at"]).replace(tzinfo=None)  # recorded where the server's time zone was UTC
    ruled.bottle.clock.now_ms = int(at.timestamp() * 1000)
    if call["method"] == "POST" and target.path in IDS:
        ruled.ids.next.extend(IDS[target.path])
    return ruled.call(call["method"], target.path, call["request"], **dict(parse_qsl(target.query)))


def until(ruled: Ruled, count: int) -> None:
    for call in CALLS[:count]:
        replay(ruled, call)


def test_every_answer_to_the_console_has_the_real_servers_bytes() -> None:
    ruled = Ruled()
    assert len(CALLS) == 7
    for call in CALLS:
        assert encode(replay(ruled, call)).decode() == call["answer"], call["target"]


@pytest.mark.parametrize(
    ("type", "at", "field"),
    [
        (v1.DiscoverRequest.ROUTING, 8.8838, "routing"),
        (v1.DiscoverRequest.RATE_LIMIT, 35.5074, "rateLimit"),
        (v1.DiscoverRequest.CIRCUIT_BREAKER, 38.5309, "circuitBreaker"),
    ],
)
def test_clients_are_told_what_the_real_server_told_them(type: int, at: float, field: str) -> None:
    ruled = Ruled()
    until(ruled, 4)
    told = ruled.told(type, SERVICE)
    recorded = DISCOVERED[at]
    assert getattr(told.message, field) == getattr(recorded, field)
    assert told.revision == recorded.service.revision.value
    assert [f.name for f, _ in told.message.ListFields()] == [field], "and nothing else"


def test_without_rules_only_routing_has_a_field_and_a_revision() -> None:
    ruled = Ruled()
    empty = ruled.told(v1.DiscoverRequest.ROUTING, SERVICE)
    assert empty.message.routing == DISCOVERED[5.4549].routing
    assert empty.revision == DISCOVERED[5.4549].service.revision.value
    until(ruled, 4)
    nothing = ruled.told(v1.DiscoverRequest.FAULT_DETECTOR, SERVICE)
    assert (nothing.revision, nothing.message.ByteSize()) == ("", 0)


def test_the_deletes_of_the_recording_leave_nothing() -> None:
    ruled = Ruled()
    until(ruled, len(CALLS))
    for type in (v1.DiscoverRequest.RATE_LIMIT, v1.DiscoverRequest.CIRCUIT_BREAKER):
        assert ruled.told(type, SERVICE).revision == ""
    assert not ruled.told(v1.DiscoverRequest.ROUTING, SERVICE).message.routing.inbounds


def test_the_recorded_time_zone_is_the_one_that_is_assumed() -> None:
    recorded = DISCOVERED[38.5309].circuitBreaker.rules[0].ctime
    call = next(c for c in CALLS if c["target"] == "/naming/v1/circuitbreaker/rules")
    at = parsedate_to_datetime(call["at"]).astimezone(UTC)
    assert datetime.strptime(recorded, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) == at
