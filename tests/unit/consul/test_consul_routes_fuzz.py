"""Whatever is asked, every route answers with a status of its own, and what was refused changed nothing by half."""

from __future__ import annotations

import json
from typing import Any

from consul_bottle import ConsulBottle
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters.consul.server.monitor import PATH
from polaris_bridge.adapters.consul.server.routes import ROUTES

ASKED = sorted({path for _, path in ROUTES} - {PATH})
METHODS = st.sampled_from(["GET", "PUT", "POST", "DELETE"])
RESTS = st.sampled_from(["", "web", "a/b", "%2F", "service:web", "default", "x" * 300, "any", "%F0%9F%98%80"])
PARAMETERS = st.lists(
    st.tuples(
        st.sampled_from(["index", "wait", "dc", "filter", "node-meta", "tag", "near", "passing", "cas", "flags", "recurse",
                         "keys", "separator", "raw", "acquire", "release", "enable", "reason", "format", "hash", "stale",
                         "consistent", "cached", "max_stale", "note", "pretty", "limit", "name", "segment", "wan"]),
        st.sampled_from(["", "0", "1", "-1", "x", "true", "10s", "1e9", "web", "a:b", "Service == web", "dc1", "ü",
                         "18446744073709551615"]),
    ),
    max_size=4,
)  # fmt: skip
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(allow_nan=False), st.text(max_size=4),
                   st.sampled_from(["10s", "web", "a", "passing", "set", "10.0.0.1", "x|y"]))  # fmt: skip
NAMES = st.sampled_from(
    ["Name", "ID", "Node", "Address", "Service", "Check", "Checks", "Tags", "Meta", "Port", "TTL", "Status", "Datacenter",
     "CheckID", "ServiceID", "Weights", "Kind", "Behavior", "LockDelay", "KV", "Verb", "Key", "Value", "Session", "Index",
     "Definition", "NodeMeta", "Output", "DNS", "Template", "Token", "Interval", "HTTP", "Passing"]
)  # fmt: skip
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=10
)
BODIES = st.one_of(st.binary(max_size=20), TREES.map(lambda tree: json.dumps(tree).encode()), st.just(b""))


def _ask(bottle: ConsulBottle, method: str, target: str, body: bytes) -> Any:
    waiting = bottle.begin(method, target, body)
    bottle.timers.settle()
    if not waiting.answered:
        waiting.hang_up()
        return None
    return waiting.answer


@settings(max_examples=300, deadline=None)
@given(METHODS, st.sampled_from(ASKED), RESTS, PARAMETERS, BODIES)
def test_anything_is_answered(
    method: str, path: str, rest: str, parameters: list[tuple[str, str]], body: bytes
) -> None:
    from urllib.parse import urlencode

    bottle = _bottle()
    target = f"{path}{rest if path.endswith('/') else ''}?{urlencode(parameters)}"
    answer = _ask(bottle, method, target, body)
    if answer is None:
        assert any(name in ("index", "hash") for name, _ in parameters), target
        return
    assert answer.status in (200, 301, 400, 401, 403, 404, 405, 409, 413, 415, 429, 500, 503), answer
    assert "Traceback" not in answer.body.decode("utf-8", "replace")
    if answer.headers.get("content-type") == "application/json" and answer.body:
        json.loads(answer.body)


_KEPT: list[ConsulBottle] = []


def _bottle() -> ConsulBottle:
    """One for many examples: what earlier ones left behind is part of the test."""
    if not _KEPT:
        _KEPT.append(ConsulBottle())
        _KEPT[0].register("web", Address="10.1.1.1", Port=80, Tags=["a"], Check={"TTL": "10s"})
    return _KEPT[0]
