"""Consul: how its recordings are driven, how answers are read, and every deliberate difference as one named line.

There is no recording of a real agent yet. What stands here is what any other server than the recorded one chooses for itself.
Blocking reads: a recorded ``index=`` is sent as it is, so a recording with them needs a way to put the live one in its place.
"""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .compare import Reading
from .plan import Capture, Plan, Target
from .rules import Rule, Seen, Verdict
from .server import spawned_consul

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
STORY: tuple[tuple[str, str, Any], ...] = (
    ("PUT", "/v1/agent/service/register", {"Name": "web", "ID": "web-1", "Address": "10.0.0.1", "Port": 8001}),
    ("PUT", "/v1/agent/check/register", {"Name": "alive", "ServiceID": "web-1", "TTL": "60s"}),
    ("GET", "/v1/health/service/web", None),
    ("GET", "/v1/catalog/service/web", None),
    ("PUT", "/v1/session/create", {"TTL": "60s"}),
    ("PUT", "/v1/kv/a/b?acquire={session}", "one"),
    ("GET", "/v1/kv/a/b", None),
    ("GET", "/v1/session/info/{session}", None),
    ("GET", "/v1/kv/missing", None),
    ("PUT", "/v1/kv/a/b?release={session}", "two"),
    ("DELETE", "/v1/kv/a?recurse", None),
    ("PUT", "/v1/agent/service/deregister/web-1", None),
)
"""A short story to be recorded of ourselves."""


def key_of(path: str, item: Any) -> str | None:
    """Lists of instances are sets: their order is not fixed."""
    if path == "body" and isinstance(item, dict):
        if "Service" in item and isinstance(item["Service"], dict):
            return str(item["Service"]["ID"])
        return str(item["ServiceID"]) if "ServiceAddress" in item else None
    return None


READING = Reading(
    headers=("content-type", "allow", "x-consul-index", "x-consul-knownleader", "x-consul-effective-consistency"),
    key_of=key_of,
)
PLAN = Plan(
    captures=(
        Capture("session", r"body\.ID", "sessions, queries and events are called as the server chooses", UUID),
        Capture("node-id", r"body\[.*\](\.Node)?\.ID", "so are nodes", UUID),
    )
)


def grows(seen: Seen) -> bool:
    """An index: a positive number, also as text."""
    return int(seen.difference.got) > 0


RULES = (
    Rule(
        "index-header",
        path=r"header\.x-consul-index",
        verdict=Verdict.SHAPE,
        reason="indexes count what happened in a server",
        source="consul.md 3",
        allows=grows,
    ),
    Rule(
        "index-in-body",
        path=r"body.*\.(CreateIndex|ModifyIndex)",
        verdict=Verdict.SHAPE,
        reason="indexes count what happened in a server",
        source="consul.md 3",
        allows=grows,
    ),
)


@contextmanager
def fresh(folder: Path) -> Iterator[Target]:
    """A fresh, empty server of ours."""
    with spawned_consul(folder) as servers:
        yield servers.http


@contextmanager
def recorded(folder: Path) -> Iterator[Path]:
    """A folder with a recording of ``STORY``, told through the recorder to a server whose indexes are further on."""
    (folder / "server").mkdir()
    found = folder / "recordings"
    found.mkdir()
    with spawned_consul(folder / "server") as servers:
        assert servers.http.http is not None
        for turn in range(20):
            ask(servers.http.http, "PUT", f"/v1/kv/before/{turn}", "x")
        ask(servers.http.http, "DELETE", "/v1/kv/before?recurse", None)
        address = servers.proxy
        command = [sys.executable, str(Path(__file__).parent / "record.py"), "http"]
        command += ["--listen", "{}:{}".format(*address), "--upstream", "{}:{}".format(*servers.http.http)]
        command += [
            "--out",
            str(found / "own-story.jsonl"),
            "--client",
            "none",
            "--server",
            "own",
            "--scenario",
            "story",
        ]
        recorder = subprocess.Popen(command)
        try:
            tell(address)
        finally:
            recorder.send_signal(signal.SIGINT)
            recorder.wait(10)
    yield found


def tell(address: tuple[str, int]) -> None:
    """The story, over a new connection for each request; the first waits for the recorder."""
    session = ""
    deadline = time.monotonic() + 10
    while True:
        try:
            ask(address, "GET", "/v1/status/leader", None)
            break
        except OSError:
            assert time.monotonic() < deadline, "the recorder does not listen"
            time.sleep(0.05)
    for method, target, body in STORY:
        answer = ask(address, method, target.replace("{session}", session), body)
        if target == "/v1/session/create":
            session = json.loads(answer)["ID"]


def ask(address: tuple[str, int], method: str, target: str, body: Any) -> bytes:
    sent = body if body is None or isinstance(body, str) else json.dumps(body)
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request(method, target, sent)
        return connection.getresponse().read()
    finally:
        connection.close()
