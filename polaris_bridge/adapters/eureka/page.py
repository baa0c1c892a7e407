"""The server's own pages: the dashboard at / in the shape that people and scrapers know, /lastn, and the status document."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

import orjson
from msgspec import Struct

from polaris_bridge.core.events import OFFLINE, ONLINE, InstanceEvent

from .wire.messages import Format

if TYPE_CHECKING:
    from .service import EurekaService
    from .view import NamespaceView

_STYLE = (
    "body{font-family:sans-serif;margin:2em;color:#222}table{border-collapse:collapse;margin:.5em 0 1.5em}"
    "td,th{border:1px solid #ccc;padding:.25em .6em;text-align:left}h4{color:#b00}"
)


class Facts(Struct, frozen=True):
    """What both pages say of the server. Rates are per minute."""

    environment: str
    data_center: str
    now: str
    uptime: str
    expiration: bool
    """Whether leases that run out are deleted now (self-protection does not hold)."""
    threshold: int
    """Renewals below which self-protection would have reason to hold."""
    renewals: int
    warning: str
    processors: int
    memory_mb: int
    namespace: str


def facts(service: EurekaService, namespace: str) -> Facts:
    """The state of the server as of now."""
    registry = service.registry
    wall_ms = registry.clock.wall_ms()
    protection = registry.protections().get(namespace)
    held = protection is not None and protection.active
    leased = protection.leased if protection else 0
    terms = registry.terms.protection
    seconds = max(0, (wall_ms - service.started_ms) // 1000)
    return Facts(
        environment="prod",
        data_center="default",
        now=datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="seconds"),
        uptime=f"{seconds // 86400:02}:{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}",
        expiration=not held,
        threshold=int(leased * 2 * (100 - terms.percent) / 100) if terms.enabled else 0,
        renewals=service.renewals_last_minute,
        warning=(
            "EMERGENCY! EUREKA MAY BE INCORRECTLY CLAIMING INSTANCES ARE UP WHEN THEY'RE NOT. RENEWALS ARE LESSER THAN "
            "THRESHOLD AND HENCE THE INSTANCES ARE NOT BEING EXPIRED JUST TO BE SAFE."
            if held
            else "THE SELF PRESERVATION MODE IS TURNED OFF. THIS MAY NOT PROTECT INSTANCE EXPIRY IN CASE OF "
            "NETWORK/OTHER PROBLEMS."
            if not terms.enabled or not service.settings.self_preservation
            else ""
        ),
        processors=os.cpu_count() or 1,
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        namespace=namespace,
    )


def home(f: Facts, view: NamespaceView) -> bytes:
    """GET /"""
    status = _table(
        (),
        (
            ("Environment", f.environment),
            ("Data center", f.data_center),
            ("Current time", f.now),
            ("Uptime", f.uptime),
            ("Lease expiration enabled", str(f.expiration).lower()),
            ("Renews threshold", str(f.threshold)),
            ("Renews (last min)", str(f.renewals)),
        ),
    )
    warning = f'<h4 id="uptime"><strong>{escape(f.warning)}</strong></h4>' if f.warning else ""
    applications = _applications(view)
    general = _table(
        ("Name", "Value"),
        (
            ("num-of-cpus", str(f.processors)),
            ("current-memory-usage", f"{f.memory_mb}mb"),
            ("server-uptime", f.uptime),
            ("registered-replicas", ""),
            ("unavailable-replicas", ""),
            ("available-replicas", ""),
        ),
    )
    instance = _table(("Name", "Value"), (("ipAddr", platform.node()), ("status", "UP"), ("namespace", f.namespace)))
    return _page(
        "Eureka",
        f"<h1>System Status</h1>{status}{warning}<h1>DS Replicas</h1>"
        f"<h1>Instances currently registered with Eureka</h1>{applications}"
        f'<p><a href="/lastn">Last 1000 since startup</a></p>'
        f"<h1>General Info</h1>{general}<h1>Instance Info</h1>{instance}",
    )


def last_changes(changes: Iterable[InstanceEvent]) -> bytes:
    """GET /lastn"""
    events = list(changes)[::-1]
    parts = []
    for title, kind in (("Last 1000 cancelled leases", OFFLINE), ("Last 1000 newly registered leases", ONLINE)):
        rows = [
            (_time(e.wall_ms), f"{e.service.upper()}({e.key.partition('/')[2] or e.key})")
            for e in events
            if e.kind == kind
        ]
        parts.append(f"<h1>{title}</h1>{_table(('Timestamp', 'Lease'), rows)}")
    return _page("Eureka - Last N events", "".join(parts))


def status_document(f: Facts, form: Format) -> bytes:
    """GET status: StatusInfo of eureka-core."""
    general = {
        "environment": f.environment,
        "num-of-cpus": str(f.processors),
        "current-memory-usage": f"{f.memory_mb}mb",
        "server-uptime": f.uptime,
    }
    application = {"registered-replicas": "", "unavailable-replicas": "", "available-replicas": ""}
    if form == "json":
        return orjson.dumps({"generalStats": general, "applicationStats": application, "instanceInfo": None})
    root = "com.netflix.eureka.util.StatusInfo"
    lines = [f"<{root}>"]
    for name, pairs in (("generalStats", general), ("applicationStats", application)):
        lines.append(f"  <{name}>")
        lines += [f"    <{key}>{escape(value)}</{key}>" for key, value in pairs.items()]
        lines.append(f"  </{name}>")
    return "\n".join((*lines, f"</{root}>")).encode()


def _applications(view: NamespaceView) -> str:
    rows = []
    for name in sorted(view.applications):
        entries = list(view.applications[name].entries)
        zones: dict[str, int] = {}
        by_status: dict[str, list[str]] = {}
        for entry in entries:
            zone = entry.registration.location.zone or "default"
            zones[zone] = zones.get(zone, 0) + 1
            url = view.info(entry).status_page_url or ""
            link = (
                f'<a href="{escape(url)}" target="_blank">{escape(entry.id)}</a>'
                if url.startswith("http")
                else escape(entry.id)
            )
            by_status.setdefault(entry.status, []).append(link)
        states = "".join(
            f"<b>{status}</b> ({len(links)}) - {', '.join(links)}<br/>" for status, links in sorted(by_status.items())
        )
        rows.append(
            f"<tr><td><b>{escape(name)}</b></td><td>n/a ({len(entries)})</td>"
            f"<td>{', '.join(f'{escape(zone)} ({count})' for zone, count in sorted(zones.items()))}</td><td>{states}</td></tr>"
        )
    body = "".join(rows) or '<tr><td colspan="4">No instances available</td></tr>'
    heads = "<tr><th>Application</th><th>AMIs</th><th>Availability Zones</th><th>Status</th></tr>"
    return f'<table id="instances"><thead>{heads}</thead><tbody>{body}</tbody></table>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = f"<thead><tr>{''.join(f'<th>{escape(h)}</th>' for h in heads)}</tr></thead>" if heads else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{head}<tbody>{body}</tbody></table>"


def _page(title: str, body: str) -> bytes:
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    ).encode()


def _time(wall_ms: int) -> str:
    return datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="seconds")
