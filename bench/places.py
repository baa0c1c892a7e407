"""The servers under measurement: ours, and the real one that the environment names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from bridge import Bridge, pin_process
from fleet import Fleet, cancel
from measure import SERVER_CORE
from plain_http import Connection


@dataclass(frozen=True)
class Place:
    """A server to measure: ``base`` + ``prefix`` + ``/apps``."""

    base: str
    prefix: str
    pid: int | None
    """None: its CPU cannot be known."""
    warm_up_s: float = 0
    """More than for ours: a Java server compiles while it runs."""
    growth_s: float = 2
    """How long it may be given new instances at full speed."""


def peer_place() -> Place | None:
    """The server at ``PEER_EUREKA``; ``PEER_EUREKA_PID`` is its process when it runs here, which is then pinned as ours is."""
    url = os.environ.get("PEER_EUREKA")
    if not url:
        return None
    where = urlsplit(url)
    pid = int(os.environ["PEER_EUREKA_PID"]) if os.environ.get("PEER_EUREKA_PID") else None
    if pid is not None:
        pin_process(pid, SERVER_CORE)
    return Place(f"{where.scheme}://{where.netloc}", where.path.rstrip("/"), pid, warm_up_s=8, growth_s=1)


@contextmanager
def seeded(fleet: Fleet, peer: Place | None) -> Iterator[Place]:
    """Our server with a fleet in it; the peer gets the same one, and loses it again at the end."""
    with Bridge() as server:
        ours = Place(server.eureka, "/eureka", server.pid)
        for place in (ours, peer):
            if place is not None:
                with Connection(place.base) as connection:
                    fleet.seed(connection, f"{place.prefix}/peerreplication/batch/")
        try:
            yield ours
        finally:
            if peer is not None:
                clear(peer, fleet.label)


def clear(place: Place, label: str) -> None:
    """End every registration whose application begins with a label."""
    with Connection(place.base) as connection:
        answer = connection.call("GET", f"{place.prefix}/apps", {"Accept": "application/json"})
        applications = json.loads(answer.body)["applications"]["application"]
        members = [
            (application["name"], instance["instanceId"])
            for application in applications
            if application["name"].startswith(label.upper())
            for instance in application["instance"]
        ]
        cancel(connection, members, f"{place.prefix}/peerreplication/batch/")
