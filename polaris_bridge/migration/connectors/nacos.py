"""Nacos over HTTP: services with their instances page by page, compared every few seconds; copies live by heartbeats.

Reads the catalog, which lists instances that are switched off too: 1.x and 2.x under ``/v1/ns/catalog``, 3.x under ``/v3/admin``.
Writes what the 1.x clients write, which every generation takes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct, field, structs

from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.translate.instances import core_weight
from polaris_bridge.adapters.nacos.translate.names import Spaces, decode, encode
from polaris_bridge.core.model import NORMAL_WEIGHT, ServiceKey
from polaris_bridge.migration.engine import markers
from polaris_bridge.migration.engine.diff import Copy
from polaris_bridge.migration.engine.reduce import DISABLES, Abilities, Room
from polaris_bridge.migration.model import NACOS, Instance, LeaseTerms, Record, RegistryEntry, Services
from polaris_bridge.migration.ports import About, Changes, RefusedThere, Unauthorised, Unusable

from .base import Remote, marked, record
from .web import Answer, Web

_PAGE: Final = 100
_MOST_PAGES: Final = 10_000
_TRUE: Final = "true"
_BEAT_OK: Final = 10200
_BEAT_UNKNOWN: Final = 20404


class _Host(Struct):
    ip: str
    port: int
    valid: bool | None = None
    healthy: bool | None = None
    enabled: bool = True
    weight: float = 1.0
    metadata: dict[str, str] | None = None


class _Cluster(Struct):
    hosts: list[_Host] | None = None


class _Detail(Struct):
    name: str = field(name="serviceName")
    group: str = field(name="groupName")
    clusters: dict[str, _Cluster] | None = field(name="clusterMap", default=None)


class _Space(Struct):
    id: str = field(name="namespace", default="")


class _Spaces(Struct):
    data: list[_Space] = []


class _Page(Struct):
    items: list[_Detail] = field(name="pageItems", default_factory=list)


class _Envelope(Struct):
    data: _Page = field(default_factory=_Page)


class _Login(Struct):
    token: str = field(name="accessToken", default="")


class _Beat(Struct):
    code: int = 0


class Nacos(Remote):
    """One Nacos server or cluster."""

    kind = NACOS
    can = Abilities(health=DISABLES, cluster=True, secure=True, twins=False, room=Room(total=600))
    usual = LeaseTerms(interval_s=5)

    def __init__(self, entry: RegistryEntry, secret: str) -> None:
        super().__init__(entry, Web(_rooted(entry)))
        self._secret = secret
        self._spaces = Spaces(NacosSettings(namespaces=dict(entry.namespaces)))
        self._access = ""
        """What the last login gave."""
        self._third = False
        """Whether it is a 3.x, which has its lists elsewhere."""

    async def probe(self) -> About:
        """See ``Connector``."""
        await self._call("GET", "/v1/ns/operator/metrics")
        version = ""
        answer = await self.web.ask("GET", "/v1/console/server/state")
        if answer.status == 200:
            found = self.web.decoded(dict[str, Any], answer, "state")
            version = str(found.get("version") or "")
        await self._page("public", 1)
        return About(version, self.web.address)

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
        found: Services = {}
        for id in await self._ids():
            namespace = self._spaces.core(id)
            for number in range(1, _MOST_PAGES):
                page = await self._page(id, number)
                for detail in page:
                    records = _records(detail)
                    if records:
                        found[ServiceKey(namespace, encode(detail.group, detail.name))] = records
                if len(page) < _PAGE:
                    break
        return found

    async def _ids(self) -> list[str]:
        """The namespaces to read: those that were named, else all."""
        if self.entry.namespaces:
            return list(self.entry.namespaces)
        answer = await self.web.ask("GET", "/v1/console/namespaces", headers=self._token())
        if answer.status in (404, 410):
            answer = await self._call("GET", "/v3/admin/core/namespace/list")
        elif answer.status != 200:
            answer = await self._call("GET", "/v1/console/namespaces")
        found = self.web.decoded(_Spaces, answer, "the list of namespaces")
        return list(dict.fromkeys(space.id or "public" for space in found.data)) or ["public"]

    async def _page(self, id: str, number: int) -> list[_Detail]:
        """One page of a namespace's services with their instances."""
        params: dict[str, str | int] = {"namespaceId": id, "pageNo": number, "pageSize": _PAGE, "withInstances": _TRUE}
        if not self._third:
            path = "/v1/ns/catalog/services"
            answer = await self.web.ask("GET", path, params, headers=self._token())
            if answer.status not in (404, 410):
                answer = await self._accepted(answer, "GET", path, params)
                return self.web.decoded(list[_Detail], answer, path)
            self._third = True
        path = "/v3/admin/ns/service/list"
        return self.web.decoded(_Envelope, await self._call("GET", path, params), path).data.items

    # ------------------------------------------------------------------ one copy

    async def put(self, service: ServiceKey, copy: Copy, before: Record | None) -> str:
        """See ``Remote``."""
        instance = copy.instance
        if before is not None and before.id != _id(instance):
            await self.remove(service, before)
        params = {
            **self._named(service, instance),
            "weight": repr(instance.weight / NORMAL_WEIGHT),
            "enabled": str(instance.enabled).lower(),
            "healthy": _TRUE,
            "ephemeral": _TRUE,
            "metadata": json.dumps(marked(copy)),
        }
        await self._call("POST", "/v1/ns/instance", params)
        return _id(instance)

    async def remove(self, service: ServiceKey, record: Record) -> None:
        """See ``Remote``."""
        await self._call("DELETE", "/v1/ns/instance", {**self._named(service, record.instance), "ephemeral": _TRUE})

    async def beat(self, service: ServiceKey, record: Record) -> bool:
        """See ``Remote``. Without a body, for with one an unknown instance would be registered without its markers."""
        path = "/v1/ns/instance/beat"
        found = self.web.decoded(_Beat, await self._call("PUT", path, self._named(service, record.instance)), path)
        if found.code not in (_BEAT_OK, _BEAT_UNKNOWN):
            raise Unusable(f"{path} answers code {found.code}")
        return found.code == _BEAT_OK

    def _named(self, service: ServiceKey, instance: Instance) -> dict[str, str]:
        group, name = decode(service.name)
        return {
            "namespaceId": self._spaces.id(service.namespace),
            "serviceName": f"{group}@@{name}",
            "groupName": group,
            "ip": instance.host,
            "port": str(instance.port),
            "clusterName": instance.cluster or "DEFAULT",
        }

    # ------------------------------------------------------------------ calls

    def _token(self) -> Mapping[str, str]:
        return {"accessToken": self._access} if self._access else {}

    async def _call(self, method: str, path: str, params: Mapping[str, str | int] | None = None) -> Answer:
        answer = await self.web.ask(method, path, params, headers=self._token())
        return await self._accepted(answer, method, path, params)

    async def _accepted(self, answer: Answer, method: str, path: str, params: Mapping[str, str | int] | None) -> Answer:
        """An answer, or the one after a login when it says that we are nobody."""
        if answer.status in (401, 403) and self.entry.user:
            await self._login()
            answer = await self.web.ask(method, path, params, headers=self._token())
        if 200 <= answer.status < 300:
            return answer
        said = f"{method} {self.web.address}{path} answers {answer.status}: {answer.text}"
        if answer.status in (401, 403):
            raise Unauthorised(f"{said}; check user and password of this registry")
        raise RefusedThere(said) if 400 <= answer.status < 500 else Unusable(said)

    async def _login(self) -> None:
        path = "/v1/auth/login"
        answer = await self.web.ask("POST", path, form={"username": self.entry.user, "password": self._secret})
        if answer.status != 200:
            raise Unauthorised(f"{self.web.address} does not let {self.entry.user} in: {answer.status} {answer.text}")
        self._access = self.web.decoded(_Login, answer, path).token


def _rooted(entry: RegistryEntry) -> RegistryEntry:
    """With the context path that Nacos has unless an address names one."""
    addresses = tuple(
        address if urlsplit(address).path.strip("/") else f"{address.rstrip('/')}/nacos" for address in entry.addresses
    )
    return structs.replace(entry, addresses=addresses)


def _id(instance: Instance) -> str:
    return f"{instance.host}#{instance.port}#{instance.cluster or 'DEFAULT'}"


def _records(detail: _Detail) -> tuple[Record, ...]:
    found = []
    for cluster, content in (detail.clusters or {}).items():
        for host in content.hosts or ():
            metadata = host.metadata or {}
            healthy = host.healthy if host.valid is None else host.valid
            own = markers.own(metadata)
            instance = Instance(
                host=host.ip,
                port=host.port,
                weight=core_weight(host.weight),
                enabled=host.enabled,
                healthy=healthy is not False,
                metadata=own,
                cluster="" if cluster == "DEFAULT" else cluster,
                protocol="https" if own.get("secure") == _TRUE else "",
            )
            found.append(record(_id(instance), instance, metadata))
    return tuple(sorted({r.id: r for r in found}.values(), key=lambda r: r.id))
