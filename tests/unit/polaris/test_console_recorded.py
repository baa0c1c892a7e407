"""What a real server answered to console and client calls over HTTP, and what is answered here to the same calls in their order.

Compared field by field, headers included. What a server draws or reads off a clock is compared by its form; owners are compared
where accounts do not write them (the recorded server overwrites them with the id of who is logged in).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bottle import CALLER
from http_world import World, document

from polaris_bridge.core.model import NamespaceRecord

RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "polaris-server-1.19.0-console.jsonl").read_text("utf-8").splitlines()
]
STORIES = sorted({exchange["story"] for exchange in RECORDED})

FORMS = {
    "ctime": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    "mtime": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    "revision": r"[0-9a-f]{32}|[0-9a-f]{40}",
    "token": r"[0-9a-f]{32}",
    "service_token": r"[0-9a-f]{32}",
    "id": r"[0-9a-f]{32}",
}
LOGGED_IN = "65e4789a6d5b49669adf1e9e8387549c"


def normal(value: Any, name: str = "") -> Any:
    """A document without what differs from run to run."""
    if isinstance(value, dict):
        return {key: normal(item, key) for key, item in value.items()}
    if isinstance(value, list):
        items = [normal(item, name) for item in value]
        return sorted(items, key=repr) if name in ("instances", "services") else items
    if isinstance(value, str) and name in FORMS and re.fullmatch(FORMS[name], value):
        return f"<{name}>"
    if name == "owners":
        return None if value in (LOGGED_IN, "", None) else value
    return value


def keeps_metadata(answer: dict[str, Any]) -> None:
    """The original forgets the metadata of a service when its comment changes (its store is given none). Here it stays."""
    for service in (*answer.get("services", ()), answer.get("service"), answer.get("aliasFor")):
        if service and service["metadata"] == {"a": "b"}:
            service["metadata"] = {}


def wanted(exchange: dict[str, Any]) -> bool:
    """Whether an answer is to be the same. LANE is served here, where the original says that it cannot be asked for."""
    return '"LANE"' not in exchange["body"]


@pytest.mark.parametrize("story", STORIES)
def test_a_recorded_story_gets_the_recorded_answers(story: str) -> None:
    world = World()
    world.answer_all(world.registry.put_namespace(NamespaceRecord(name), CALLER) for name in ("default", "Polaris"))
    compared = 0
    for exchange in RECORDED:
        if exchange["story"] != story:
            continue
        response = world.send(exchange["method"], exchange["target"], exchange["body"].encode(), exchange["headers"])
        if not wanted(exchange):
            continue
        where = f"line {exchange['line']}: {exchange['method']} {exchange['target']}"
        mine, theirs = normal(document(response)), normal(exchange["answer"])
        if exchange["target"].endswith("/count"):
            assert mine.pop("amount") > 0
            theirs.pop("amount")
        keeps_metadata(mine)
        assert mine == theirs, where
        assert response.status == exchange["status"], where
        assert {key.decode(): value.decode() for key, value in response.headers} == exchange["answer_headers"], where
        compared += 1
    assert compared >= 14
