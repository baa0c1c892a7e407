"""Consul over HTTP: the catalog with all checks, blocking queries for what changes, and copies as services of the agent.

Through the agent and not the catalog, for what stands on an agent's node and not in the agent is removed by anti-entropy. Each
copy has one TTL check, so that it turns critical when we die and is removed some time after.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from polaris_bridge.adapters.nacos.translate.names import escape, unescape
from polaris_bridge.core.model import NORMAL_WEIGHT, ServiceKey
from polaris_bridge.migration.engine import markers
from polaris_bridge.migration.engine.diff import Copy
from polaris_bridge.migration.engine.reduce import HUNDREDS, Abilities, Room
from polaris_bridge.migration.model import CONSUL, Instance, LeaseTerms, Record, RegistryEntry, Services
from polaris_bridge.migration.ports import About, Changes, RefusedThere, Unusable

from .base import Remote, marked, place_id, record
from .web import Params, Web, each, segment

_WAIT_S: Final = 50
_LEGAL: Final = re.compile(r"[a-zA-Z0-9_-]", re.ASCII)
_RESERVED: Final = "consul-"
_MAINTENANCE: Final = ("_service_maintenance:", "_node_maintenance")
_OWN: Final = "consul"
"""The service that the servers themselves are."""


class _Weights(Struct):
    passing: int = field(name="Passing", default=1)


class _Service(Struct):
    id: str = field(name="ID")
    address: str = field(name="Address", default="")
    port: int = field(name="Port", default=0)
    tags: list[str] | None = field(name="Tags", default=None)
    meta: dict[str, str] | None = field(name="Meta", default=None)
    weights: _Weights | None = field(name="Weights", default=None)


class _Node(Struct):
    name: str = field(name="Node")
    address: str = field(name="Address", default="")


class _Check(Struct):
    id: str = field(name="CheckID", default="")
    status: str = field(name="Status", default="")
    node: str = field(name="Node", default="")
    service: str = field(name="ServiceName", default="")


class _Entry(Struct):
    node: _Node = field(name="Node")
    service: _Service = field(name="Service")
    checks: list[_Check] | None = field(name="Checks", default=None)


_Tagged = dict[str, list[str] | None]
_States = dict[str, frozenset[tuple[str, str, str]]]
"""By service: node, check and state of every check."""


class _Seen(Struct):
    """What the two blocking queries of one datacenter last said."""

    services: _Tagged = {}
    services_index: str = ""
    states: _States = {}
    states_index: str = ""


class Consul(Remote):
    """One Consul agent, and the datacenters that it knows."""

    kind = CONSUL
    can = Abilities(
        weight=HUNDREDS,
        tags=True,
        secure=True,
        max_weight=65_535 * NORMAL_WEIGHT,
        room=Room(pairs=58, key=40, value=128),
    )
    usual = LeaseTerms(interval_s=10, duration_s=30)

    def __init__(self, entry: RegistryEntry, secret: str) -> None:
        super().__init__(entry, Web(entry, {"X-Consul-Token": secret} if secret else None))
        self._centers = dict(entry.namespaces) or {"": "default"}
        """Datacenter (empty: the agent's own) -> namespace of the core."""
        self._seen: dict[str, _Seen] = {}

    async def probe(self) -> About:
        """See ``Connector``."""
        found = await self.web.json(dict[str, Any], "GET", "/v1/agent/self")
        config = found.get("Config")
        version = config.get("Version", "") if isinstance(config, dict) else ""
        await self._names(next(iter(self._centers)))
        return About(str(version), self.web.address)

    async def read(self) -> Services:
        """See ``Connector``."""
        found: Services = {}
        for center in self._centers:
            seen = _Seen()
            seen.services, seen.services_index = await self._names(center)
            seen.states, seen.states_index = await self._states(center)
            self._seen[center] = seen
            found.update(await self._services(center, seen.services))
        self.known = found
        return found

    async def changes(self) -> Changes:
        """See ``Connector``."""
        if not self._seen:
            await self.read()
        waiting = {asyncio.ensure_future(self._changed(center)): center for center in self._centers}
        try:
            done, _ = await asyncio.wait(waiting, timeout=_WAIT_S + 10, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each_ in waiting:
                each_.cancel()
        changed: Services = {}
        for one in done:
            changed.update(one.result())
        for key, records in changed.items():
            if records:
                self.known[key] = records
            else:
                self.known.pop(key, None)
        return Changes(changed)

    async def _changed(self, center: str) -> Services:
        """Wait for a change in one datacenter; the services that became different."""
        seen = self._seen[center]
        names = asyncio.ensure_future(self._names(center, seen.services_index))
        states = asyncio.ensure_future(self._states(center, seen.states_index))
        try:
            await asyncio.wait({names, states}, return_when=asyncio.FIRST_COMPLETED)
            suspects: set[str] = set()
            if names.done():
                now, index = names.result()
                differing = {
                    name for name in now.keys() | seen.services.keys() if now.get(name) != seen.services.get(name)
                }
                # what came or went without a new name or tag is not told: any service may be it
                suspects |= differing or (set(now) if index != seen.services_index else set())
                seen.services, seen.services_index = now, index
            if states.done():
                then, (seen.states, seen.states_index) = seen.states, states.result()
                suspects |= {n for n in then.keys() | seen.states.keys() if then.get(n) != seen.states.get(n)}
                if "" in suspects:  # a check of a node counts for every service on it
                    suspects |= seen.services.keys()
        finally:
            names.cancel()
            states.cancel()
        suspects.discard("")
        namespace = self._centers[center]
        now_found = await self._services(center, suspects)
        found: Services = {}
        for name in suspects:
            key = ServiceKey(namespace, name)
            records = now_found.get(key, ())
            if records != self.known.get(key, ()):
                found[key] = records
        return found

    # ------------------------------------------------------------------ reading

    async def _names(self, center: str, index: str = "") -> tuple[_Tagged, str]:
        answer = await self.web.good(
            "GET", "/v1/catalog/services", _blocking(center, index), wait_s=_WAIT_S if index else 0
        )
        found = self.web.decoded(_Tagged, answer, "/v1/catalog/services")
        found.pop(_OWN, None)
        return found, answer.headers.get("x-consul-index", "")

    async def _states(self, center: str, index: str = "") -> tuple[_States, str]:
        path = "/v1/health/state/any"
        answer = await self.web.good("GET", path, _blocking(center, index), wait_s=_WAIT_S if index else 0)
        found: dict[str, set[tuple[str, str, str]]] = {}
        for check in self.web.decoded(list[_Check], answer, path):
            found.setdefault(check.service, set()).add((check.node, check.id, check.status))
        return {name: frozenset(s) for name, s in found.items()}, answer.headers.get("x-consul-index", "")

    async def _services(self, center: str, names: Iterable[str]) -> Services:
        namespace = self._centers[center]
        listed = sorted(names)

        async def one(name: str) -> list[_Entry]:
            path = f"/v1/health/service/{segment(name)}"
            return await self.web.json(list[_Entry], "GET", path, _blocking(center, ""))

        found = await each(listed, one)
        return {
            ServiceKey(namespace, name): tuple(sorted(map(_record, entries), key=lambda r: r.id))
            for name, entries in zip(listed, found, strict=True)
            if entries
        }

    # ------------------------------------------------------------------ one copy

    async def put(self, service: ServiceKey, copy: Copy, before: Record | None) -> str:
        """See ``Remote``."""
        instance, id = copy.instance, place_id(service, copy, "{name}-{host}-{port}")
        if before is not None and _service_id(before) != id:
            await self.remove(service, before)
        meta = {escape(key, _illegal): value for key, value in marked(copy).items()}
        check = {
            "CheckID": _check_id(id),
            "Name": "what its registry says",
            "TTL": f"{self.lease.duration_s}s",
            "Status": "passing" if instance.healthy else "critical",
        }
        if instance.healthy:  # one that is not is kept as long as its registry keeps it
            check["DeregisterCriticalServiceAfter"] = f"{max(60, self.lease.remove_s)}s"
        definition = {
            "ID": id,
            "Name": service.name,
            "Address": instance.host,
            "Port": instance.port,
            "Tags": list(instance.tags),
            "Meta": {**meta, markers.EXTERNAL: markers.OURS},
            "Weights": {"Passing": max(1, instance.weight // NORMAL_WEIGHT), "Warning": 1},
            "Check": check,
        }
        path = "/v1/agent/service/register"
        await self.web.good("PUT", path, {"replace-existing-checks": "true"}, body=msgspec.json.encode(definition))
        if not instance.enabled or (before is not None and not before.instance.enabled):
            enable = "false" if instance.enabled else "true"
            reason = {"enable": enable, "reason": "withdrawn in its registry"}
            await self.web.good("PUT", f"/v1/agent/service/maintenance/{segment(id)}", reason)
        return f"/{id}"

    async def remove(self, service: ServiceKey, record: Record) -> None:
        """See ``Remote``."""
        path = f"/v1/agent/service/deregister/{segment(_service_id(record))}"
        answer = await self.web.ask("PUT", path)
        if answer.status not in (200, 404) and b"Unknown service" not in answer.body:
            raise RefusedThere(f"PUT {path} answers {answer.status}: {answer.text}")

    async def beat(self, service: ServiceKey, record: Record) -> bool:
        """See ``Remote``. An unhealthy copy is told so again: then its check does not change and nothing is pushed."""
        word = "pass" if record.instance.healthy else "fail"
        path = f"/v1/agent/check/{word}/{segment(_check_id(_service_id(record)))}"
        answer = await self.web.ask("PUT", path)
        if answer.status == 404 or b"nknown check" in answer.body:
            return False
        if answer.status != 200:
            raise Unusable(f"PUT {path} answers {answer.status}: {answer.text}")
        return True


def _blocking(center: str, index: str) -> Params:
    found: dict[str, str | int] = {"dc": center} if center else {}
    if index:
        found |= {"index": index, "wait": f"{_WAIT_S}s"}
    return found


def _illegal(at: int, text: str) -> bool:
    """Whether a character cannot stand in a key; the reserved beginning is broken up by its first one."""
    return not _LEGAL.match(text[at]) or (at == 0 and text.startswith(_RESERVED))


def _check_id(id: str) -> str:
    return f"service:{id}"


def _service_id(record: Record) -> str:
    """The id on its node, of an id that begins with the node's name."""
    return record.id.partition("/")[2]


def _record(entry: _Entry) -> Record:
    service = entry.service
    meta: Mapping[str, str] = service.meta or {}
    tags = tuple(service.tags or ())
    ours = markers.origin_of(meta) is not None
    metadata = markers.own(meta)
    if ours:
        metadata = {unescape(key): value for key, value in metadata.items()}
    checks = entry.checks or ()
    instance = Instance(
        host=service.address or entry.node.address,
        port=service.port,
        weight=(service.weights.passing if service.weights is not None else 1) * NORMAL_WEIGHT,
        enabled=not any(check.id.startswith(_MAINTENANCE) for check in checks),
        healthy=not any(check.status == "critical" and not check.id.startswith(_MAINTENANCE) for check in checks),
        metadata=metadata,
        tags=tags,
        protocol="https" if metadata.get("secure") == "true" else "",
    )
    return record(f"{entry.node.name}/{service.id}", instance, meta, tags)
