"""What operators see: who is connected, what each was told and accepted, what was refused, and what could not be sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from polaris_bridge.adapters.xds.wire import types

from .problems import Problems
from .stream import Stream
from .subscription import Refusal, Subscription
from .telling import Telling

MOST_NAMES: Final = 20
"""Names of refused resources that are shown."""


def clients(telling: Telling, node: str = "", refusing: bool = False) -> Iterator[dict[str, Any]]:
    """Streams whose node's id holds a text, in the order in which they came; only those with something against what they
    were sent last, if ``refusing``."""
    for stream in list(telling.streams):
        known = stream.node
        if known is None or node not in known.id:
            continue
        if refusing and not any(sub.refusal for sub in stream.subscriptions.values()):
            continue
        yield _client(stream)


def _client(stream: Stream) -> dict[str, Any]:
    node = stream.node
    assert node is not None
    return {
        "node": node.id,
        "kind": node.kind,
        "agent": node.agent,
        "namespace": node.namespace,
        "peer": stream.peer,
        "sinceMs": stream.began_ms,
        "delta": stream.delta,
        "unreadBytes": stream.backlog,
        "types": {
            short: _subscription(stream.subscriptions[type_url])
            for type_url, short in types.SHORT.items()
            if type_url in stream.subscriptions
        },
    }


def _subscription(sub: Subscription) -> dict[str, Any]:
    return {
        "wildcard": sub.group.scope.wildcard,
        "names": len(sub.group.scope.names),
        "resources": len(sub.held.resources),
        "sent": sub.version,
        "accepted": sub.accepted,
        "waiting": sub.waiting,
        "refused": None if sub.refusal is None else _refusal(sub.refusal) | {"names": sorted(sub.refused)[:MOST_NAMES]},
    }


def _refusal(refusal: Refusal) -> dict[str, Any]:
    return {"version": refusal.version, "text": refusal.text, "atMs": refusal.at_ms}


def refusals(telling: Telling) -> list[dict[str, Any]]:
    """What clients had against responses, newest first; also of clients that are gone."""
    return [
        {
            "node": each.node,
            "peer": each.peer,
            "type": each.type,
            "version": each.version,
            "text": each.text,
            "atMs": each.at_ms,
        }
        for each in reversed(telling.refusals)
    ]


def problems(found: Problems) -> list[dict[str, str]]:
    """What could not be sent as it is meant, oldest first."""
    return [{"type": kind, "name": name, "text": text} for kind, name, text in list(found.known)]
