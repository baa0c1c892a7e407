"""The route table of all services that callers in one namespace see, for Envoy: joined of virtual hosts that are kept encoded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Final

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.xds.resources import Resource
from polaris_bridge.adapters.xds.translate.hosts import (
    allow_any,
    framed,
    host_json,
    is_plain,
    plain_host,
    table,
    unframed,
)
from polaris_bridge.adapters.xds.translate.names import outbound, outbound_routes
from polaris_bridge.adapters.xds.translate.packing import packed
from polaris_bridge.adapters.xds.translate.routes import envoy_route, fetching
from polaris_bridge.adapters.xds.translate.rules.labels import ENVOY
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.adapters.xds.wire.encoding import encoded
from polaris_bridge.core.model import ServiceKey

from .changes import Log
from .making import Maker
from .services import Services, Turn
from .shelves import FEW
from .spaces import Space

MANY: Final = 1000
"""Services above which a table is joined in steps."""
MOST_ASKED: Final = 10_000
"""Hosts asked for whose changes are followed."""


class Table:
    """One table. Callers who are named by a rule have their own version of it."""

    def __init__(self, space: Space, services: Services, maker: Maker, now: int, *, demand: str) -> None:
        """``demand``: the cluster where clusters are fetched from with the first call to them; empty: they are not."""
        self.name = outbound_routes(space.namespace, demand=bool(demand))
        self.log = Log(now)
        self.hosts_log = Log(now)
        self._space = space
        self._services = services
        self._maker = maker
        self._demand = demand
        self._parts: dict[ServiceKey, dict[ServiceKey | None, bytes]] = {}
        """By name, and by caller where a rule makes a difference: the virtual host."""
        self._order: list[ServiceKey] = []
        self._ordered = False
        self._choosy: dict[ServiceKey, None] = {}
        """Names whose rules name callers."""
        self._good: dict[tuple[ServiceKey, ServiceKey | None], tuple[list[str], bytes]] = {}
        """Virtual hosts made of rules that passed last, with their hosts."""
        self._tables: dict[ServiceKey | None, Resource] = {}
        self._asked: dict[str, ServiceKey | None] = {}
        """Virtual hosts that were asked for by a host, and whose they were."""

    # ------------------------------------------------------------------ reading

    def read(self, caller: ServiceKey | None) -> Resource:
        """The table as a caller is told it."""
        for _ in self._fill():
            pass
        asked = caller if self._differs(caller) else None
        found = self._tables.get(asked)
        if found is None:
            content = table(self.name, [*self._hosts(asked), self._rest])
            found = self._tables[asked] = packed(types.ROUTES, self.name, content)
        return found

    @cached_property
    def _rest(self) -> bytes:
        """The virtual host of what is meant by nobody else."""
        return framed(encoded(types.VIRTUAL_HOST, allow_any(fetching(self._demand))))

    def _hosts(self, caller: ServiceKey | None) -> Iterator[bytes]:
        """All virtual hosts by name of the service, as a caller is told them."""
        if not self._ordered:
            self._order = sorted(self._space.shown)
            self._ordered = True
        choosy = self._choosy if caller is not None else {}
        for name in self._order:
            part = None if name in choosy else self._parts[name].get(None)
            yield self._part(name, caller) if part is None else part

    def host(self, name: str, caller: ServiceKey | None) -> Resource | None:
        """The virtual host of a host, by ``table/host``."""
        prefix, _, host = name.partition("/")
        if prefix != self.name or not host:
            return None
        for _ in self._space.fill():
            pass
        owner = self._space.hosts.owner(host)
        if name in self._asked or len(self._asked) < MOST_ASKED:
            self._asked[name] = owner
        part = b"" if owner is None else self._part(owner, caller)
        return packed(types.VIRTUAL_HOST, name, unframed(part)) if part else None

    def ahead(self) -> Work | None:
        """What makes the parts, in slices; None when it is not worth it."""
        missing = not self._space.filled or len(self._space.shown) - len(self._parts) > FEW
        return self._work() if missing or (len(self._space.shown) > MANY and not self._tables) else None

    def _work(self) -> Work:
        """The parts, then the table: its hosts in order, joined, and with their version, each in a step of its own."""
        yield from self._fill()
        at = self.log.stamp
        hosts = list(self._hosts(None))
        yield
        content = table(self.name, [*hosts, self._rest])
        yield
        if at == self.log.stamp and not self._tables:
            self._tables[None] = packed(types.ROUTES, self.name, content)
        return None

    def _fill(self) -> Work:
        yield from self._space.fill()
        if len(self._parts) < len(self._space.shown):
            for name in [name for name in self._space.shown if name not in self._parts]:
                target = self._space.shown.get(name)
                if target is not None:
                    yield from self._services.read(target)
                    self._part(name, None)
                    yield
        return None

    def _differs(self, caller: ServiceKey | None) -> bool:
        if caller is None:
            return False
        for name in self._choosy:
            target = self._space.shown.get(name)
            called = None if target is None else self._services.get(target)
            if called is not None and called.asked_by(caller) is not None:
                return True
        return False

    def _part(self, name: ServiceKey, caller: ServiceKey | None) -> bytes:
        """The virtual host of a service under a name, as a part of the table; empty when it has no host, or is not there."""
        target = self._space.shown.get(name)
        called = None if target is None else self._services.get(target)
        if called is None:
            return b""
        asked = called.asked_by(caller)
        parts = self._parts.setdefault(name, {})
        found = parts.get(asked)
        if found is None:
            if called.callers():
                self._choosy[name] = None
            made = self._made(name, called.key, asked)
            found = parts[asked] = framed(made) if made else b""
        return found

    def _made(self, name: ServiceKey, target: ServiceKey, caller: ServiceKey | None) -> bytes:
        called = self._services.get(target)
        assert called is not None
        hosts = self._space.hosts.of(name, called.ports)
        if not hosts:
            others = sorted({outbound(owner) for _, owner in self._space.hosts.lost(name)})
            self._maker.say(
                types.VIRTUAL_HOST, outbound(name), f"no host is its own: {', '.join(others) or 'none is legal'}"
            )
            return b""
        host = outbound(name)
        plan = called.plan(ENVOY, caller)
        if is_plain(plan) and not self._demand:
            return plain_host(host, target, hosts)
        more = fetching(self._demand)
        routes = [envoy_route(target, way) for way in plan.ways]
        made = self._maker.part(types.VIRTUAL_HOST, host, host_json(host, hosts, routes, more))
        if made is None:
            good = self._good.get((name, caller))
            return good[1] if good is not None and good[0] == hosts else plain_host(host, target, hosts)
        self._good[name, caller] = hosts, made
        return made

    # ------------------------------------------------------------------ after a publication

    def follow(self, turns: Mapping[ServiceKey, Turn], names: Collection[ServiceKey], now: int) -> bool:
        """What changed, and the names that mean something else or have other hosts; whether that concerns this."""
        changed = set(names)
        for key, turn in turns.items():
            if turn.shape or turn.existence:
                changed.update(self._space.names.get(key, ()))
        if not changed:
            return False
        self._ordered = self._ordered and not names
        for name in changed:
            self._parts.pop(name, None)
            self._choosy.pop(name, None)
        self._tables.clear()
        self.log.add(now, {self.name})
        self.hosts_log.add(now, self._turned(changed))
        return True

    def _turned(self, changed: Collection[ServiceKey]) -> set[str]:
        """The hosts asked for that may be another service's, or another virtual host's, now."""
        found: set[str] = set()
        for name, before in self._asked.items():
            owner = self._space.hosts.owner(name.partition("/")[2])
            if owner != before or owner in changed:
                self._asked[name] = owner
                found.add(name)
        return found
