"""Eureka over REST: everything once, then the delta, whose hash says whether it was enough; copies are leased like any client's.

As a client and not as a peer, so that a cluster of Eureka servers passes copies on by itself. What a lease says of its status
is believed more than what a registration repeats, so withdrawing a copy is an override there (eureka-core 1.10, 2.0).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import structs

from polaris_bridge.adapters.eureka.settings import EurekaSettings
from polaris_bridge.adapters.eureka.translate import Marks, lift, render_foreign, service_hint
from polaris_bridge.adapters.eureka.wire import (
    Applications,
    InstanceInfo,
    Malformed,
    count_statuses,
    decode_applications,
    hash_code,
    json_full,
)
from polaris_bridge.core.model import DOWN, UP, Registration, ServiceKey
from polaris_bridge.migration.engine import markers
from polaris_bridge.migration.engine.diff import Copy
from polaris_bridge.migration.engine.reduce import DOWN as AS_DOWN
from polaris_bridge.migration.engine.reduce import IN_METADATA, NONE, Abilities
from polaris_bridge.migration.model import EUREKA, Instance, LeaseTerms, Record, RegistryEntry, Services
from polaris_bridge.migration.ports import About, Changes, RefusedThere, Unusable

from .base import Remote, marked, place_id, record
from .web import Answer, Web, segment

_SETTINGS: Final = EurekaSettings()
_NOBODY: Final = Marks()
_JSON: Final = {"Accept": "application/json"}
_TYPED: Final = {"Content-Type": "application/json", "Accept": "application/json"}
_STATES: Final = {"UP": (True, True), "DOWN": (False, False)}
"""Enabled and healthy; every other word is a withdrawal of a healthy instance."""


class Eureka(Remote):
    """One Eureka server or cluster."""

    kind = EUREKA
    can = Abilities(weight=NONE, health=AS_DOWN, location=IN_METADATA)
    usual = LeaseTerms(interval_s=30, duration_s=90)

    def __init__(self, entry: RegistryEntry, web: Web, now_ms: Callable[[], int]) -> None:
        super().__init__(entry, web)
        self._now_ms = now_ms
        self._namespace = next(iter(entry.namespaces.values()), "default")
        self._infos: dict[tuple[str, str], InstanceInfo] = {}

    async def probe(self) -> About:
        """See ``Connector``. The delta is the smallest list that a server gives."""
        self._decoded(await self._answer("/apps/delta"))
        return About(address=self.web.address)

    async def read(self) -> Services:
        """See ``Connector``."""
        answer = await self._answer("/apps")
        # tens of megabytes in a large registry: beside the event loop
        self._infos, self.known = await asyncio.to_thread(self._everything, answer)
        return dict(self.known)

    async def changes(self) -> Changes:
        """See ``Connector``."""
        await asyncio.sleep(self.entry.poll_s)
        changes = await asyncio.to_thread(self._follow, await self._answer("/apps/delta"))
        if changes is not None:
            return changes
        known = self.known
        now = await self.read()
        self.known = known
        return Changes(self.compared(now))

    def _follow(self, answer: Answer) -> Changes | None:
        """What a delta changes; None when its hash says that it is not all. Its entries of three minutes come again and again."""
        delta = self._decoded(answer)
        infos = dict(self._infos)
        touched: set[ServiceKey] = set()
        ended = []
        for info in delta.instances:
            key = (info.app, info.id or "")
            before = infos.get(key)
            if info.action_type == "DELETED":
                if before is not None:
                    del infos[key]
                    touched.add(self._service(before))
                    ended.append((self._service(before), key[1]))
            elif before != info:
                infos[key] = info
                touched |= {self._service(i) for i in (before, info) if i is not None}
        if delta.hash_code is not None and delta.hash_code != hash_code(count_statuses(list(infos.values()))):
            return None
        self._infos = infos
        if not touched:
            return Changes()
        apps = {service.name.upper() for service in touched}
        now = {**self.known, **dict.fromkeys(touched, ())}
        now.update(self._services(info for info in infos.values() if info.app in apps))
        return Changes(self.compared({key: records for key, records in now.items() if records}), frozenset(ended))

    # ------------------------------------------------------------------ one copy

    async def put(self, service: ServiceKey, copy: Copy, before: Record | None) -> str:
        """See ``Remote``."""
        instance, id = copy.instance, place_id(service, copy)
        if before is not None and before.id != id:
            await self.remove(service, before)
            before = None
        r = Registration(
            source=EUREKA,
            namespace=service.namespace,
            key=id,
            service=service.name,
            host=instance.host,
            port=instance.port,
            protocol=instance.protocol,
            metadata=marked(copy),
            location=instance.location,
        )
        now_ms = self._now_ms()
        info = render_foreign(r, id, UP if instance.healthy else DOWN, "ADDED", _SETTINGS)
        lease = structs.replace(info.lease, renewal_s=self.lease.interval_s, duration_s=self.lease.duration_s)
        info = structs.replace(info, lease=lease, last_dirty_ms=now_ms, last_updated_ms=now_ms)
        path = f"/apps/{segment(info.app)}"
        await self.web.good("POST", path, body=b'{"instance":%b}' % json_full(info), headers=_TYPED)
        withdrawn = instance.healthy and not instance.enabled
        was = before is not None and before.instance.healthy and not before.instance.enabled
        if withdrawn:
            await self.web.good("PUT", f"{path}/{segment(id)}/status", {"value": "OUT_OF_SERVICE"})
        elif was:
            status = "UP" if instance.healthy else "DOWN"
            await self.web.good("DELETE", f"{path}/{segment(id)}/status", {"value": status})
        return id

    async def remove(self, service: ServiceKey, record: Record) -> None:
        """See ``Remote``."""
        path = f"/apps/{segment(service.name.upper())}/{segment(record.id)}"
        answer = await self.web.ask("DELETE", path)
        if answer.status not in (200, 204, 404):
            raise RefusedThere(f"DELETE {path} answers {answer.status}: {answer.text}")

    async def beat(self, service: ServiceKey, record: Record) -> bool:
        """See ``Remote``."""
        path = f"/apps/{segment(service.name.upper())}/{segment(record.id)}"
        answer = await self.web.ask("PUT", path)
        if answer.status == 404:
            return False
        if answer.status != 200:
            raise Unusable(f"PUT {path} answers {answer.status}: {answer.text}")
        return True

    # ------------------------------------------------------------------ reading

    async def _answer(self, path: str) -> Answer:
        return await self.web.good("GET", path, headers=_JSON)

    def _decoded(self, answer: Answer) -> Applications:
        try:
            return decode_applications(answer.body, answer.headers.get("content-type", ""))
        except Malformed as error:
            raise Unusable(f"{self.web.address} answers no list of applications: {error}") from None

    def _everything(self, answer: Answer) -> tuple[dict[tuple[str, str], InstanceInfo], Services]:
        infos = {(info.app, info.id or ""): info for info in self._decoded(answer).instances}
        return infos, self._services(infos.values())

    def _service(self, info: InstanceInfo) -> ServiceKey:
        """As its owner spells it where that can be known; else lower case."""
        hint = service_hint(info)
        return ServiceKey(self._namespace, hint if hint.upper() == info.app else info.app.lower())

    def _services(self, infos: Iterable[InstanceInfo]) -> Services:
        found: dict[ServiceKey, list[Record]] = {}
        for info in infos:
            service = self._service(info)
            found.setdefault(service, []).append(_record(info, service))
        return {service: tuple(sorted(records, key=lambda r: r.id)) for service, records in found.items()}


def _record(info: InstanceInfo, service: ServiceKey) -> Record:
    r = lift(info, service.namespace, service.name, UP, _NOBODY, _SETTINGS)
    enabled, healthy = _STATES.get(info.status, (False, True))
    instance = Instance(
        host=r.host or info.host_name or "",
        port=r.port,
        enabled=enabled,
        healthy=healthy,
        metadata=markers.own(info.metadata),
        location=r.location,
        protocol="https" if r.protocol == "https" else "",
    )
    return record(info.id or "", instance, info.metadata)
