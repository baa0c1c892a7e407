"""What polaris-server 1.19.0-alpha.0 (embedded store) answered to a console of the configuration centre, call by call.

Each line of the file: method, path, body, status, answer without what is null or empty. They are sent in order; what is different
on purpose is named.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from guarded import Guarded

from polaris_bridge.runtime.configcentre import equip

RECORDED: Final = Path(__file__).parent / "data" / "config_console.jsonl"

# Numbers, times, and names made of them.
MADE: Final = frozenset({"id", "createTime", "modifyTime", "releaseTime"})
# Lost in the embedded store, or never filled in.
LOST: Final = frozenset({"status", "releaseBy", "modifyBy", "releaseDescription"})
# One counter for each file: gray releases have other versions, and another place in lists.
COUNTED: Final = frozenset({"version"})
# The bytes depend on a random key.
SEALED: Final = frozenset({"md5"})
# What a console never gets here.
SECRET: Final = "internal-datakey"

_SECRET_2 = '{"namespace":"d1","group":"g1","name":"enc","content":"secret 2","encrypted":true,"encryptAlgo":"AES"}'
_OPEN = '{"namespace":"d1","group":"g1","name":"enc","content":"open now"}'
_HISTORY = "GET configfiles/releasehistory"
DIFFERENT: Final = {
    ("PUT configfiles/releases/rollback", '{"namespace":"d1"}'): "words of our own",
    ("POST configfiles/batchdelete", '{"namespace":"d1"}'): "words of our own",
    ("GET configfiles/releases?namespace=d1&group=g1&file_name=f1.yaml", "null"): "gray releases in another place",
    ("GET configfiles/release?namespace=d1&group=g1&file_name=f1.yaml&release_name=gr1", "null"): "ended: no labels",
    ("PUT configfiles", _SECRET_2): "answered in the clear",
    ("PUT configfiles", _OPEN): "stays encrypted",
    ("GET configfiles?namespace=d1&group=g1&name=enc", "null"): "stayed encrypted",
    (_HISTORY, "null"): "a release that came back by its name has its own content",
    (f"{_HISTORY}?namespace=d1&group=g1&name=f1.yaml", "null"): "the same",
    (f"{_HISTORY}?namespace=d1&group=g&name=f1", "null"): "the same",
    (f"{_HISTORY}?namespace=d1&end_id=abc", "null"): "the same",
    (f"{_HISTORY}?namespace=d1&name=enc", "null"): "a deletion is a line",
    ("GET configfiletemplates", "null"): "in the order in which they came, with their makers",
}


def calls() -> list[tuple[str, str, Any, int, Any]]:
    return [tuple(json.loads(line)) for line in RECORDED.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def answered() -> list[tuple[int, Any]]:
    """What we answer to the same."""
    world = Guarded()
    equip(world.registry.config, None, True)
    found = []
    for method, path, body, _, _ in calls():
        answer = world.ask(method, path if path.startswith("/") else f"/config/v1/{path}", body)
        found.append((world.status, answer))
        world.pass_time(1)
    return found


def like(value: Any) -> Any:
    """An answer without what cannot be the same."""
    if isinstance(value, dict):
        told = {name: like(each) for name, each in value.items() if name not in MADE | LOST | COUNTED | SEALED}
        return {name: each for name, each in told.items() if each not in (None, [], {})}
    if isinstance(value, list):
        tags = [each for each in value if isinstance(each, dict) and "key" in each]
        return sorted((like(tag) for tag in tags if tag["key"] != SECRET), key=json.dumps) or [
            like(each) for each in value
        ]
    return re.sub(r"-\d{10}-\d+$", "-made", value) if isinstance(value, str) else value


def what(method: str, path: str, body: Any) -> tuple[str, str]:
    return f"{method} {path}", json.dumps(body, separators=(",", ":"))


def test_answers(answered: list[tuple[int, Any]]) -> None:
    differing = set()
    for (method, path, body, status, real), (ours, answer) in zip(calls(), answered, strict=True):
        if (status, like(real)) != (ours, like(answer)):
            assert what(method, path, body) in DIFFERENT, (method, path, body, like(real), like(answer))
            differing.add(what(method, path, body))
    assert differing == DIFFERENT.keys(), "what is named as different is"
