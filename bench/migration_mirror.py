"""What it costs to copy another registry and to keep it equal: the first copy, comparisons, changes, memory, stalls."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from bridge import Bridge, favour, fine_cpu_seconds, pin_process
from fleet import DIRTY_MS, REGISTER_HEADERS, Fleet
from measure import LOAD_CORE
from plain_http import Connection
from report import Row

_PER_APP = 20
_ROOT = "/migration/v1"
_OPEN = "auth.strategy.option.consoleOpen=false"
_POLL_S = 1.0
_CHANGES = 20
_JSON = {"Content-Type": "application/json"}


class _Desk:
    """The API of a server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._connection.call(
            method, _ROOT + path, _JSON, json.dumps(body).encode() if body is not None else b""
        )
        if answer.status != 200:
            raise RuntimeError(f"{method} {path} got {answer.status}: {answer.body[:200].decode()}")
        return json.loads(answer.body)


def rows(size: int, seconds: float) -> Iterator[Row]:
    """All rows: a server full of instances on one core is copied by another on the other core."""
    fleet = Fleet(size, per_app=_PER_APP)
    with (
        Bridge() as old,
        Bridge(options=[_OPEN]) as new,
        Connection(old.eureka) as clients,
        Connection(new.front, 600) as front,
    ):
        pin_process(old.pid, LOAD_CORE)
        fleet.seed(clients)
        desk = _Desk(front)
        spec = {"id": "old", "kind": "eureka", "addresses": [f"{old.eureka}/eureka"], "poll_s": _POLL_S}
        desk.ask("POST", "/registries", spec)
        desk.ask("POST", "/tasks", {"id": "t", "source": "old", "target": "here", "audit_s": 10})
        plan = desk.ask("POST", "/tasks/t/plan")
        if plan["counts"]["create"] != size:
            raise RuntimeError(f"the plan says {plan['counts']}")
        favour(new.pid)
        new.stall_ms()
        rss, cpu, began = new.rss, fine_cpu_seconds(new.pid), time.perf_counter()
        desk.ask("POST", "/tasks/t/apply", {"digest": plan["digest"]})
        took, cpu = time.perf_counter() - began, fine_cpu_seconds(new.pid) - cpu
        yield Row(f"first copy of {size:,}: CPU an instance", "µs", cpu / size * 1e6, 400)
        yield Row(
            f"first copy of {size:,}: time an instance", "µs", took / size * 1e6, 500, note=f"{size / took:,.0f}/s"
        )
        yield Row(f"first copy of {size:,}: longest stall", "ms", new.stall_ms(), 20)
        yield Row(
            f"memory a copied instance, of {size:,}", "KiB", (new.rss - rss) / size / 1024, note="instance included"
        )
        began = time.perf_counter()
        audit = desk.ask("POST", "/tasks/t/verify")
        if audit["differences"]:
            raise RuntimeError(f"{len(audit['differences'])} differences")
        yield Row(f"comparison of {size:,}", "s", time.perf_counter() - began, 5)
        yield Row(f"comparison of {size:,}: longest stall", "ms", new.stall_ms(), 20)
        cpu, began = fine_cpu_seconds(new.pid), time.perf_counter()
        time.sleep(seconds)
        share = (fine_cpu_seconds(new.pid) - cpu) / (time.perf_counter() - began) * 100
        yield Row(
            f"at rest with {size:,}, compared every 10 s", "% of a core", share, note="10 at every 60 s is the aim"
        )
        yield Row(f"at rest with {size:,}: longest stall", "ms", new.stall_ms(), 20)
        yield _lag(old, new, fleet)


def _lag(old: Bridge, new: Bridge, fleet: Fleet) -> Row:
    """From a change at the source until our clients see it, the source being asked every ``_POLL_S``."""
    lags = []
    with Connection(old.eureka) as source, Connection(new.eureka) as target:
        for n in range(_CHANGES):
            instance = fleet[n]
            body = instance.document(DIRTY_MS + 1 + n).replace("3.14.2", f"lag-{n}")
            began = time.perf_counter()
            answer = source.call(
                "POST", f"/eureka/apps/{instance.app}", REGISTER_HEADERS, f'{{"instance":{body}}}'.encode()
            )
            if answer.status != 204:
                raise RuntimeError(f"a change got {answer.status}")
            while f"lag-{n}".encode() not in _application(target, instance.app):
                time.sleep(0.002)
            lags.append(time.perf_counter() - began)
    aim = _POLL_S * 1000 + 50
    return Row("a change is seen after, at worst", "ms", max(lags) * 1000, aim, note=f"asked every {_POLL_S:.0f} s")


def _application(connection: Connection, app: str) -> bytes:
    return connection.call("GET", f"/eureka/apps/{app}", {"Accept": "application/json"}).body
