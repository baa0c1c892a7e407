"""What every Eureka answer must satisfy whatever was recorded: hash codes agree with content, delta versions move with it."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from .bodies import Tree
from .exchange import Exchange
from .rules import Invariant, Story


def _path(exchange: Exchange) -> str:
    return urlsplit(exchange.request.target).path.rstrip("/")


def _instances(applications: dict[str, Any]) -> list[dict[str, Any]]:
    return [instance for app in applications.get("application", ()) for instance in app["instance"]]


def hash_agrees(exchange: Exchange, got: Tree, story: Story) -> str | None:
    """A full list (or a vip's) carries the status counts of exactly what it lists."""
    if not isinstance(got, dict) or "applications" not in got or _path(exchange).endswith("/delta"):
        return None
    counts = Counter(instance["status"] for instance in _instances(got["applications"]))
    right = "".join(f"{status}_{count}_" for status, count in sorted(counts.items()))
    said = got["applications"]["apps__hashcode"]
    return None if said == right else f"apps__hashcode is {said!r}, the content is {right!r}"


def delta_version_moves(exchange: Exchange, got: Tree, story: Story) -> str | None:
    """A delta whose content changed has a greater version; it never falls and is never -1 (in one format and form)."""
    if not isinstance(got, dict) or "applications" not in got or not _path(exchange).endswith("/delta"):
        return None
    version = int(got["applications"]["versions__delta"])
    content = sorted(
        (
            str(one.get("app")),
            str(one.get("instanceId")),
            one["status"],
            one["actionType"],
            int(one["lastUpdatedTimestamp"]),
        )
        for one in _instances(got["applications"])
    )
    asked = exchange.request
    slot = ("delta", asked.target, asked.header("accept"), asked.header("x-eureka-accept"))
    before = story.notes.get(slot)
    story.notes[slot] = (version, content)
    if version < 0:
        return f"versions__delta is {version}: clients take that for a server without deltas"
    if before is not None and version < before[0]:
        return f"versions__delta fell from {before[0]} to {version}"
    if before is not None and content != before[1] and version == before[0]:
        return f"the delta changed, but versions__delta is still {version}"
    return None


INVARIANTS = (
    Invariant("hash-agrees-with-content", "a mismatch makes every client fetch everything", hash_agrees),
    Invariant("delta-version-moves", "clients skip a delta whose version did not move", delta_version_moves),
)
