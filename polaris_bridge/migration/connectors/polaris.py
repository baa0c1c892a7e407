"""A PolarisMesh server over HTTP: Discover with revisions every few seconds, as SDKs ask, and copies as a client registers them.

An unhealthy copy gets no heartbeats: then its server says so by itself, after three of its intervals at the latest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from polaris_bridge.adapters.polaris.translate.keys import instance_id
from polaris_bridge.adapters.polaris.wire import json as native_json
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Location, ServiceKey
from polaris_bridge.migration.engine import markers
from polaris_bridge.migration.engine.diff import Copy
from polaris_bridge.migration.engine.reduce import APART, Abilities, Room, unrepeated
from polaris_bridge.migration.model import POLARIS, Instance, LeaseTerms, Record, RegistryEntry, Services
from polaris_bridge.migration.ports import About, Changes, RefusedThere, Unauthorised, Unusable

from .base import Remote, marked, record
from .web import Web, each

_TYPED: Final = {"Content-Type": "application/json"}
_OK: Final = 200000
_NO_CHANGE: Final = 200001
_KNOWN: Final = 400201
_UNKNOWN: Final = 400202
_DENIED: Final = 401
"""First digits of the codes that deny."""
_INSTANCES: Final = "/naming/v1/instances"
_DISCOVER: Final = "/v1/Discover"


class Polaris(Remote):
    """One PolarisMesh server or cluster."""

    kind = POLARIS
    can = Abilities(
        repeats=False,
        location=APART,
        version=True,
        twins=False,
        max_weight=65_535,
        room=Room(pairs=58, key=128, value=4096),
    )
    usual = LeaseTerms(interval_s=5)

    def __init__(self, entry: RegistryEntry, secret: str) -> None:
        super().__init__(entry, Web(entry, {"X-Polaris-Token": secret} if secret else None))
        self._here = dict(entry.namespaces)
        self._read: dict[tuple[str, str], tuple[str, tuple[Record, ...]]] = {}
        """By namespace and service there: the revision and the records that were read last."""
        self._there = {here: there for there, here in entry.namespaces.items()}

    async def probe(self) -> About:
        """See ``Connector``."""
        await self._discover("SERVICES", next(iter(self._here), "default"))
        return About(address=self.web.address)

    async def read(self) -> Services:
        """See ``Connector``."""
        self.known = await self._everything()
        return self.known

    async def changes(self) -> Changes:
        """See ``Connector``."""
        await asyncio.sleep(self.entry.poll_s)
        return Changes(self.compared(await self._everything()))

    # ------------------------------------------------------------------ reading

    async def _everything(self) -> Services:
        asked = list(self._here) or [""]
        named = [s for namespace in asked for s in (await self._discover("SERVICES", namespace)).services]
        wanted = list(dict.fromkeys((s.namespace.value, s.name.value) for s in named))
        found: Services = {}
        for (namespace, name), records in zip(wanted, await each(wanted, self._records), strict=True):
            if records:
                found[ServiceKey(self._here.get(namespace, namespace), name)] = records
        gone = self._read.keys() - set(wanted)
        for key in gone:
            del self._read[key]
        return found

    async def _records(self, service: tuple[str, str]) -> tuple[Record, ...]:
        """The instances of a service; those read before when nothing changed."""
        revision, known = self._read.get(service, ("", ()))
        answer = await self._discover("INSTANCE", *service, revision=revision)
        if answer.code.value == _NO_CHANGE:
            return known
        # an alias shows what stands behind it, which is read by its own name
        alias = answer.HasField("aliasFor") and answer.aliasFor.name.value != service[1]
        records = () if alias else tuple(sorted(map(_record, answer.instances), key=lambda r: r.id))
        self._read[service] = (answer.service.revision.value, records)
        return records

    async def _discover(self, kind: str, namespace: str, name: str = "", *, revision: str = "") -> Any:
        asked: Any = v1.DiscoverRequest(type=getattr(v1.DiscoverRequest, kind))
        asked.service.namespace.value = namespace
        if name:
            asked.service.name.value, asked.service.revision.value = name, revision
        answer = await self.web.ask("POST", _DISCOVER, body=native_json.encode(asked), headers=_TYPED)
        found = self._decoded(v1.DiscoverResponse, answer.body, _DISCOVER)
        if found.code.value not in (_NO_CHANGE, _UNKNOWN):
            self._check(found.code.value, found.info.value, f"{kind} of {namespace}/{name}")
        return found

    def _decoded(self, kind: Any, body: bytes, path: str) -> Any:
        try:
            return native_json.decode(kind, body)
        except native_json.Malformed as error:
            raise Unusable(f"{self.web.address}{path} answers something else: {error}") from None

    def _check(self, code: int, info: str, what: str) -> None:
        if code == _OK:
            return
        said = f"{what} at {self.web.address} answers {code}: {info}"
        if code // 1000 == _DENIED or code == 0:
            raise Unauthorised(f"{said}; check the token of this registry")
        raise Unusable(said) if code >= 500000 else RefusedThere(said)

    # ------------------------------------------------------------------ one copy

    async def put(self, service: ServiceKey, copy: Copy, before: Record | None) -> str:
        """See ``Remote``. A real server keeps isolation over a registration that says nothing of it, so it is always said."""
        if before is not None and before.instance.place != copy.instance.place:
            await self.remove(service, before)
        message = self._message(service, copy.instance, marked(copy), self.lease.interval_s)
        code, info = await self._tell("/v1/RegisterInstance", message)
        if code == _KNOWN:  # an older server does not take a repeated registration as a change
            answer = await self.web.ask("PUT", _INSTANCES, body=b"[%b]" % native_json.encode(message), headers=_TYPED)
            found = self._decoded(v1.BatchWriteResponse, answer.body, _INSTANCES)
            code, info = found.code.value, found.info.value
        self._check(code, info, f"registering {copy.instance.host}:{copy.instance.port} of {service.name}")
        return instance_id(message.namespace.value, service.name, copy.instance.host, copy.instance.port, "")

    async def remove(self, service: ServiceKey, record: Record) -> None:
        """See ``Remote``."""
        code, info = await self._tell("/v1/DeregisterInstance", self._message(service, record.instance))
        if code != _UNKNOWN:
            self._check(code, info, f"deregistering {record.instance.host}:{record.instance.port} of {service.name}")

    async def beat(self, service: ServiceKey, record: Record) -> bool:
        """See ``Remote``."""
        if not record.instance.healthy:
            return True
        code, info = await self._tell("/v1/Heartbeat", self._message(service, record.instance))
        if code == _UNKNOWN:
            return False
        self._check(code, info, f"heartbeat of {record.instance.host}:{record.instance.port} of {service.name}")
        return True

    async def _tell(self, path: str, message: Any) -> tuple[int, str]:
        answer = await self.web.ask("POST", path, body=native_json.encode(message), headers=_TYPED)
        found = self._decoded(v1.Response, answer.body, path)
        return found.code.value, found.info.value

    def _message(
        self, service: ServiceKey, instance: Instance, metadata: Mapping[str, str] | None = None, ttl_s: int = 0
    ) -> Any:
        m = v1.Instance()
        m.namespace.value = self._there.get(service.namespace, service.namespace)
        m.service.value, m.host.value, m.port.value = service.name, instance.host, instance.port
        if metadata is None:
            return m
        m.weight.value, m.isolate.value, m.healthy.value = instance.weight, not instance.enabled, instance.healthy
        m.protocol.value, m.version.value = instance.protocol, instance.version
        m.enable_health_check.value = True
        m.health_check.type = v1.HealthCheck.HEARTBEAT
        m.health_check.heartbeat.ttl.value = ttl_s
        m.metadata.update(metadata)
        for name in ("region", "zone", "campus"):
            value = getattr(instance.location, name)
            if value:
                getattr(m.location, name).value = value
        return m


def _record(m: Any) -> Record:
    location = Location(m.location.region.value, m.location.zone.value, m.location.campus.value)
    instance = Instance(
        host=m.host.value,
        port=m.port.value,
        weight=m.weight.value if m.HasField("weight") else 100,
        enabled=not m.isolate.value,
        healthy=not m.HasField("healthy") or m.healthy.value,
        metadata=unrepeated(markers.own(m.metadata), location, m.protocol.value, m.version.value),
        location=location,
        cluster=m.metadata.get("internal-nacos-cluster", "").removeprefix("DEFAULT"),
        protocol="https" if m.protocol.value.lower() in ("https", "grpcs") else "",
        version=m.version.value,
    )
    return record(m.id.value, instance, m.metadata)
