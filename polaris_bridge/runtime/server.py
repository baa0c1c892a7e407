"""One running server: the registry, its store, the listeners, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from polaris_bridge import __version__
from polaris_bridge.adapters import ADAPTERS
from polaris_bridge.adapters._shared.adapter import Face, Listener, Surroundings
from polaris_bridge.adapters._shared.throttle import http_limit, limited
from polaris_bridge.adapters.eureka.build import EurekaFace
from polaris_bridge.adapters.polaris.service.breaking.breaking import CircuitBreaking
from polaris_bridge.adapters.polaris.service.governance import governance
from polaris_bridge.adapters.polaris.service.polaris import PolarisService
from polaris_bridge.adapters.polaris.service.routing.sources import discovery_routing
from polaris_bridge.adapters.polaris.service.rules.kinds import KINDS as RULES
from polaris_bridge.adapters.polaris.translate.keys import SOURCE
from polaris_bridge.adapters.xds.service.plane import Plane
from polaris_bridge.adapters.xds.translate.keys import SOURCE as XDS
from polaris_bridge.core.config.tidying import CleanHistory
from polaris_bridge.core.health import HealthEngine
from polaris_bridge.core.limiting.limiter import Limiter
from polaris_bridge.core.limiting.sharing import Sharer
from polaris_bridge.core.maintain import Job
from polaris_bridge.core.model import SYSTEM, Location, NamespaceRecord
from polaris_bridge.core.pacing import Paced
from polaris_bridge.core.ports import Authority, ExtTypes, OpenDoor, Store
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.discovery import DiscoveryRouting
from polaris_bridge.migration import copies
from polaris_bridge.migration.desk import Desk
from polaris_bridge.migration.peers import Peers
from polaris_bridge.migration.routes import ROOT as MIGRATION
from polaris_bridge.migration.routes import MigrationHttp, too_many
from polaris_bridge.storage import open_store
from polaris_bridge.transport.rpc import Methods

from . import translate
from .auth.access import Access
from .census import breaking_count, census, xds_count
from .config.listeners import EurekaListener
from .config.listeners import HttpListener as FrontEntry
from .config.plugin import LocalStatis, PrometheusStatis
from .config.root import Config
from .configcentre import equip, unreadable
from .front import Front, Readiness
from .host import ProcessHost
from .metrics.census import Census
from .metrics.exposition import Metrics
from .metrics.windows import Reader, Windows
from .migrating import OwnAddresses, SecretSealer, task_counts
from .own_address import outward
from .plugins.cmdb import Locations
from .plugins.discover_event import DiscoverEventLog
from .plugins.history import HistoryLog
from .plugins.ratelimit import RateLimits
from .plugins.statis import DiscoverStat
from .plugins.statis import LocalStatis as LocalStatisLog
from .plugins.whitelist import Whitelist
from .ports import LoopScheduler, RandomIds, SystemClock, unique
from .probes import Probes
from .selfregistration import Listening, SelfRegistration, ensure_namespace, with_limiter

if TYPE_CHECKING:
    from polaris_bridge.storage.heartbeats import RedisHeartbeats
    from polaris_bridge.storage.limits import RedisCounters

TICK_S: Final = 1.0
JOBS_S: Final = 30.0
"""How often maintain jobs look for work."""
MORE_S: Final = 0.25
"""How soon a job that left something goes on."""
SILENT_MS: Final = 120_000
"""A client that only polls is taken to hold nothing after this long: four long polls of the usual half minute."""
DRAIN_S: Final = 4.0
"""How long requests under way may take to end by themselves."""
STOP_S: Final = 9.0
"""A stop takes at most this long, so that it ends within the ten seconds supervisors give."""

log = logging.getLogger(__name__)


class Server:
    """A server that can be started once and stopped once, on the running event loop."""

    def __init__(self, config: Config, *, authority: Authority | None = None, data: Path | None = None) -> None:
        """``authority`` judges everybody instead of the directory of accounts. ``data``: where the first password is kept.

        Raises ``ValueError`` or ``OSError`` for settings that cannot be used (networks, certificates).
        """
        loop = asyncio.get_running_loop()
        self.config = config
        self.clock = SystemClock()
        shown = any(isinstance(entry, PrometheusStatis) for entry in config.plugin.statis.entries)
        self.metrics = Metrics(__version__, socket.gethostname(), polaris_names=shown)
        self.readiness = Readiness("store", "listeners")
        kind, path, synchronous = translate.store(config)
        ext_types = ExtTypes()
        for adapter in ADAPTERS:
            ext_types.declare(adapter.source, adapter.ext, adapter.marks)
        ext_types.declare(copies.SOURCE, copies.Document, copies.Marks)
        self.store: Store = open_store(
            kind,
            path=path,
            synchronous=synchronous,
            ext_types=ext_types,
            post=lambda call: _ignore(loop.call_soon_threadsafe(call)),
            unique=unique,
            wall_ms=self.clock.wall_ms,
        )
        self.registry = Registry(self.store, self.clock, LoopScheduler(loop), translate.terms(config))
        self.registry.ledger.committed = self._committed
        self._sealing = equip(
            self.registry.config, translate.server_key(config, data), bool(config.plugin.crypto.entries)
        )
        self._probes = Probes()
        self.health = HealthEngine(self.registry, self._probes, random.random)
        self.detections = self._detection()
        self.limiter = self._limits()
        self._authority = authority
        self._data = data
        self._post: Callable[[Callable[[], None]], None] = lambda call: _ignore(loop.call_soon_threadsafe(call))
        self._peers: list[Peers] = []
        self._own_addresses = OwnAddresses(lambda: (listener.port for listener in self.all_listeners))
        sealer = SecretSealer(lambda: self._sealing.keys)
        self.migration = Desk(self.registry, sealer, self._own_addresses.is_ours, config.migration.id)
        """Registries elsewhere, and what is copied from and to them."""
        self.access: Access | None = None
        """Access control; None until the store is loaded."""
        self.routing: DiscoveryRouting | None = None
        """Which instances look-ups are answered with; None until the store is loaded."""
        self.notices: list[str] = []
        """What has to be said to whoever starts the server, once it is ready."""
        self._jobs: list[Job] = list(translate.jobs(config))
        self._allow = self._whitelist()
        self._throttle = self._call_limits()
        self._locations = self._cmdb()
        known = self._locations
        self.host = ProcessHost(
            lambda: self.all_listeners, self.clock.wall_ms(), *(() if known is None else (known.hosts,))
        )
        self._heartbeats: RedisHeartbeats | None = None
        self._shared: tuple[Sharer, RedisCounters] | None = None
        self._own: SelfRegistration | None = None
        self._breaking: CircuitBreaking | None = None
        self._xds: Plane | None = None
        self._fronts: list[tuple[FrontEntry, Front]] = []
        self.listeners: list[Listener] = []
        self.faces: list[Face] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._cleaning: asyncio.TimerHandle | None = None
        self._discoverstat: DiscoverStat | None = None
        self._windows = self._statistics()
        self._counted: dict[tuple[str, ...], int] = {}
        self._plugins()

    # ------------------------------------------------------------------ start

    async def start(self) -> None:
        """Load the store, then listen. ``/livez`` and ``/readyz`` answer from the beginning.

        Raises ``StoreRefused`` or ``OSError`` (a port is taken); then ``stop`` is still to be called.
        """
        self.metrics.lag.start()
        self.metrics.census = self._census
        for entry in self.config.apiservers:
            if isinstance(entry, FrontEntry):
                settings = translate.http(entry.name, entry.option)
                front = Front(settings, self.readiness, self.metrics, allow=self._allow)
                self._fronts.append((entry, front))
                await front.listener.start()
        await asyncio.to_thread(self.registry.load)
        if warning := unreadable(self.registry.config, self._sealing):
            log.error(warning)
            self.notices.append(warning)
        self._ensure_namespaces()
        await self._open_accounts()
        await self._start_heartbeats()
        self._share_limits()
        self.readiness.done("store")
        self._later(TICK_S, self._tick)
        self._later(JOBS_S, self._maintain)
        self._windows.start()
        if self._locations is not None:
            self._locations.start()
        await self._start_adapters()
        self.readiness.done("listeners")
        self.health.start()
        if self.detections is not None:
            self.detections.start()
        await self.migration.start()

    async def _open_accounts(self) -> None:
        settings = translate.access(self.config)
        owned = frozenset(kind.name for kind in RULES)
        self.access = Access(self.registry, settings, unique=RandomIds().unique, post=self._post, owned=owned)
        self.notices += await self.access.begin(self._data)

    async def _start_adapters(self) -> None:
        stat, access = self._discoverstat, self.access
        pairs = {adapter.source: adapter.pairs for adapter in ADAPTERS if adapter.pairs is not None}
        pairs[copies.SOURCE] = copies.pairs
        locate = _nowhere if self._locations is None else self._locations.locate
        everywhere = translate.routes_everything(self.config)
        options = translate.routing_options(self.config)
        self.routing = discovery_routing(self.registry, pairs, locate, everywhere=everywhere, options=options)
        for _ in self.routing.prepare():
            await asyncio.sleep(0)
        judged = self._authority is None and access is not None
        around = Surroundings(
            registry=self.registry,
            authority=self._authority or (access.doors.strict if access is not None else OpenDoor()),
            ids=RandomIds(),
            allow=self._allow,
            observe=self.metrics.calls.observe,
            heartbeat=self.metrics.heartbeats.add,
            registered=self.metrics.registration.observe,
            discovered=None if stat is None else stat.observe,
            locate=locate,
            host=self.host,
            doors=access.doors if access is not None and judged else None,
            accounts=access.accounts if access is not None else None,
            throttle=self._throttle,
            limiter=self.limiter,
            health=self.health,
            detections=self.detections,
            pushed=self.metrics.pushed,
            pairs=pairs,
            routing=self.routing,
            offers=self._offers(),
            governance=governance(self.registry),
        )
        consoles = around.authority if around.doors is None else around.doors.console
        limit = http_limit(self._throttle, "migration", too_many)
        migrating = limited(MigrationHttp(self.migration, consoles).handle, limit)
        for entry, front in self._fronts:
            front.serve(migrating, (MIGRATION,))
            for adapter in ADAPTERS:
                if adapter.routes is not None:
                    settings = translate.ROUTES_SETTINGS[adapter.name](self.config, entry)
                    front.serve(adapter.routes(around, settings), adapter.paths)
        builders = {name: build for each in ADAPTERS for name, build in ((each.name, each.build), *each.others.items())}
        for listener in self.config.apiservers:
            build = builders.get(listener.name)
            if build is not None:
                endpoint, settings = translate.listener(self.config, listener)
                face = build(around, endpoint, settings)
                if isinstance(face, EurekaFace) and isinstance(listener, EurekaListener):
                    await self._join(face, listener)
                await face.start()
                self.faces.append(face)
                self.listeners += face.listeners
        self._xds = around.shared.get(XDS)
        service: PolarisService | None = around.shared.get(SOURCE)
        if service is not None:
            self._breaking = service.breaking
            await self._announce(service)

    async def _join(self, face: EurekaFace, listener: EurekaListener) -> None:
        """Become one of several Eureka servers, when the listener names others."""
        named = translate.eureka_peers(listener.option)
        if not named:
            return
        ports = {listener.option.listen_port}
        peers = Peers(named, face.service, self.clock)
        await peers.without_ourselves(OwnAddresses(lambda: ports).is_ours)
        await peers.pull()
        face.service.told.append(peers.tell)
        peers.start()
        self._peers.append(peers)

    def _offers(self) -> dict[str, Callable[[Surroundings], Methods]]:
        """What adapters let others answer, with the settings of their own."""
        given = ((adapter, name, offer) for adapter in ADAPTERS for name, offer in adapter.offers.items())
        return {name: _offered(offer, translate.OFFER_SETTINGS[each.name](self.config)) for each, name, offer in given}

    async def _announce(self, service: PolarisService) -> None:
        """Register this server in itself, and say so regularly."""
        first = [*(face.listeners[0] for face in self.faces), *(front.listener for _, front in self._fronts)]
        bound = [Listening(d.name, d.host, d.port) for d in (each.describe() for each in first)]
        section = with_limiter(self.config.bootstrap.polaris_service, bound, self.limiter is not None)
        self._own = SelfRegistration(section, self.registry, service.registering, bound)
        await self._own.start()
        self.host.address = self._own.address
        self._later(self._own.interval_s, self._own.beat)

    def _ensure_namespaces(self) -> None:
        if not self.registry.namespaces():
            default = NamespaceRecord("default", comment="Default Environment", owners="polaris")
            self.registry.put_namespace(default, SYSTEM)
        ensure_namespace(self.registry)

    async def _start_heartbeats(self) -> None:
        settings = translate.redis(self.config)
        if settings is not None:
            from polaris_bridge.storage.heartbeats import RedisHeartbeats

            server = await asyncio.to_thread(outward) or socket.gethostname()
            self._heartbeats = RedisHeartbeats(settings, server, self.clock)
            await self._heartbeats.start()
            self.registry.liveness.witnesses[SOURCE] = self._heartbeats

    def _share_limits(self) -> None:
        """Count together with other nodes. A Redis that is away now is waited for, like one that goes away later."""
        settings = translate.limiter_redis(self.config)
        if settings is None or self.limiter is None:
            return
        from polaris_bridge.storage.limits import RedisCounters

        place = RedisCounters(settings, self.clock, self.limiter.terms.node)
        scheduler, interval_s = (
            self.registry.scheduler,
            max(0.005, self.config.limiter.redis.flush_interval.total_seconds()),
        )
        self._shared = Sharer(self.limiter, place, self.clock, scheduler, interval_s), place
        self._shared[0].start()

    # ------------------------------------------------------------------ stop

    async def stop(self) -> None:
        """Stop accepting, answer what is in flight, make everything durable, let go. Takes at most ``STOP_S``."""
        deadline = time.monotonic() + STOP_S
        self.readiness.lost("listeners")
        self.health.stop()
        if self.detections is not None:
            self.detections.stop()
        await self.migration.stop()
        for peers in self._peers:
            await peers.close()
        self._probes.close()
        if self._own is not None:
            self._own.stop()
        if self._locations is not None:
            self._locations.stop()
        for face in self.faces:
            face.leave()
        drains = [asyncio.ensure_future(listener.drain()) for listener in self.listeners]
        if drains:  # who sends or reads too slowly for this is cut later
            await asyncio.wait(drains, timeout=DRAIN_S)
        self.registry.release_watchers()
        await self._stored(deadline - 2)
        for timer in (*self._timers, *([self._cleaning] if self._cleaning else [])):
            timer.cancel()
        self._windows.stop()
        grace = max(0.1, min(2.0, deadline - time.monotonic() - 1))
        await asyncio.gather(*(listener.stop(grace) for listener in self.all_listeners))
        for drain in drains:
            drain.cancel()
        for face in self.faces:
            face.close()
        if not self.registry.idle:
            log.error("the store did not take everything before the end: %s", self.registry.ledger.last_failure)
        if self._shared is not None:
            sharer, place = self._shared
            sharer.stop()
            await place.stop()
        if self._heartbeats is not None:
            await self._heartbeats.stop()
        if self.access is not None:
            self.access.close()
        await asyncio.to_thread(self.store.close)
        self.metrics.lag.stop()

    async def _stored(self, deadline: float) -> None:
        """Wait until everything that happened is in the store, or the time is up."""
        step = asyncio.Event()
        while not self.registry.idle and time.monotonic() < deadline:
            self.registry.ledger.retry()
            asyncio.get_running_loop().call_later(0.005, step.set)
            await step.wait()
            step.clear()

    def reload(self) -> None:
        """Read certificates again."""
        for listener in self.all_listeners:
            listener.reload_tls()

    # ------------------------------------------------------------------ time

    def _later(self, seconds: float, run: Callable[[], None]) -> None:
        def call() -> None:
            self._timers.remove(timer)
            self._later(seconds, run)
            try:
                run()
            except Exception:  # a fault in one round must not end all rounds
                log.exception("%s failed", run.__name__)

        timer = asyncio.get_running_loop().call_later(seconds, call)
        self._timers.append(timer)

    def _tick(self) -> None:
        self.registry.tick()
        if self.limiter is not None:
            self.limiter.sweep(self.clock.wall_ms())
        if self._breaking is not None:
            self._breaking.sweep()
        if self._heartbeats is not None:
            self._heartbeats.sweep()
        for face in self.faces:
            face.sweep()
        self._count()

    def _maintain(self) -> None:
        self.registry.config.holders.forget(self.clock.wall_ms() - SILENT_MS)
        for job in self._jobs:
            removed = job.run(self.registry)
            if removed:
                log.info("maintain job %s removed %d", job.name, removed)
            if isinstance(job, CleanHistory) and removed == job.most:
                self._clean_more(job)

    def _clean_more(self, job: CleanHistory) -> None:
        """Bit by bit, while there is more: files may be published faster than a bit every half minute."""
        if self._cleaning is not None:
            return

        def again() -> None:
            self._cleaning = None
            if job.run(self.registry) == job.most:
                self._clean_more(job)

        self._cleaning = asyncio.get_running_loop().call_later(MORE_S, again)

    # ------------------------------------------------------------------ counting

    def _committed(self, seconds: float) -> None:
        self.metrics.store.observe(seconds, "commit")

    def _count(self) -> None:
        """Carry absolute counts of others over into metrics."""
        for source, count in self.registry.counters.expired.items():
            self._grow(self.metrics.leases_expired.add, count, source)
        refused: Counter[tuple[str, str]] = Counter()  # one name may stand for several listeners
        for listener in self.all_listeners:
            for reason, count in listener.counters().connections_refused.items():
                refused[(listener.settings.name, reason)] += count
        for labels, count in refused.items():
            self._grow(self.metrics.refused.add, count, *labels)

    def _grow(self, add: Callable[..., None], count: int, *labels: str) -> None:
        new = count - self._counted.get(labels, 0)
        if new:
            self._counted[labels] = count
            add(*labels, n=new)

    def _census(self) -> Census:
        connections: Counter[str] = Counter()
        for listener in self.listeners:
            connections[listener.settings.name] += listener.counters().connections_open
        kept = self._heartbeats
        redis = None if kept is None else (int(kept.alive), kept.read_failures, kept.write_failures)
        found = census(self.registry, connections, redis, self.health)
        found.tasks = task_counts(self.migration)
        if self.routing is not None:
            found.routing = self.routing.kinds, self.routing.evaluations
        limiter = self.limiter
        if limiter is not None:
            found.limiter = {"clients": limiter.clients, "counters": limiter.counters}
            found.limited = {"passed": limiter.used_total, "limited": limiter.limited_total}
        if self._breaking is not None:
            found.breaking = breaking_count(self._breaking)
        if self._xds is not None:
            found.xds = xds_count(self._xds)
        if self._shared is not None:
            sharer, place = self._shared
            found.limiter_redis = int(place.alive), sharer.failures
        return found

    def _detection(self) -> HealthEngine | None:
        """Who probes for circuit breakers: apart from the checks that clients asked for, so that neither waits for the other."""
        section = self.config.circuit_breaker
        if not section.open:
            return None
        paced = Paced(self._probes, section.probes_per_second, self.clock, self.registry.scheduler)
        return HealthEngine(self.registry, paced, random.random)

    def _limits(self) -> Limiter[Any] | None:
        """Who counts for clients that limit themselves; whoever serves them says how they are told."""
        terms = translate.limiter(self.config)
        return None if terms is None else Limiter(terms, lambda *_: None)

    # ------------------------------------------------------------------ plugins

    def _whitelist(self) -> Callable[[str], bool] | None:
        plugin = self.config.plugin.whitelist
        return Whitelist(map(str, plugin.option.ip)).allow if plugin.name else None

    def _call_limits(self) -> RateLimits | None:
        limits = translate.call_limits(self.config)
        return None if limits is None else RateLimits(limits, self.clock.monotonic, self.metrics.limited.add)

    def _cmdb(self) -> Locations | None:
        cmdb = self.config.plugin.cmdb
        if not cmdb.name or not cmdb.option.url:
            return None
        option = cmdb.option
        return Locations(option.url, option.token.get_secret_value(), option.interval.total_seconds())

    def _plugins(self) -> None:
        plugin = self.config.plugin
        if plugin.history.entries:
            self.registry.operations.append(HistoryLog(socket.gethostname(), name_of=self._name_of))
        if plugin.discover_event.entries:
            self.registry.events.append(DiscoverEventLog())

    def _name_of(self, principal: str) -> str:
        """The name of who has an account, for people who read records."""
        found = None if self.access is None else self.access.directory.snapshot.principal(principal)
        return principal if found is None else f"{found.name}({principal})"

    def _statistics(self) -> Windows:
        local = [entry for entry in self.config.plugin.statis.entries if isinstance(entry, LocalStatis)]
        interval_s = local[0].option.interval.total_seconds() if local else 60.0
        wall_ms = self.clock.wall_ms
        readers: list[Reader] = []
        if local:
            self._discoverstat = DiscoverStat(wall_ms)
            readers = [LocalStatisLog(wall_ms), self._discoverstat]
        return Windows(self.metrics.calls, max(1.0, interval_s), readers)

    @property
    def all_listeners(self) -> list[Listener]:
        """Those of the protocols, then the main HTTP ports."""
        return [*self.listeners, *(front.listener for _, front in self._fronts)]

    @property
    def front_port(self) -> int:
        """Port of the main HTTP listener."""
        return self._fronts[0][1].listener.port

    def describe(self) -> list[str]:
        """One line a listener, for the table at start-up."""
        lines = []
        for listener in self.all_listeners:
            d = listener.describe()
            host = f"[{d.host}]" if ":" in d.host else d.host
            lines.append(f"{d.name:<16} {d.scheme}://{host}:{d.port}")
        return lines


def _nowhere(_address: str) -> Location | None:
    """Nobody knows where anything is."""
    return None


def _offered(offer: Callable[[Surroundings, Any], Methods], settings: object) -> Callable[[Surroundings], Methods]:
    return lambda around: offer(around, settings)


def _ignore(_result: object) -> None:
    """For callables that must return nothing."""
