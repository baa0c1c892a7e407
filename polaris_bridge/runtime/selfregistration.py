"""The server registers itself in itself: ``bootstrap.polaris_service``.

Exactly the services that the file lists, under each the listeners that it names, with the ports that they have, and the limiter.
SDKs told to look up ``polaris.discover``, ``polaris.healthcheck`` or ``polaris.config`` call what is registered there, so no
address is announced that others cannot reach: never a wildcard, and loopback only when this server listens on nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from msgspec import Struct

from polaris_bridge import __version__
from polaris_bridge.adapters.polaris.answers import Outcome
from polaris_bridge.adapters.polaris.service.registration import Registering
from polaris_bridge.adapters.polaris.translate.keys import SOURCE, instance_id
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import SYSTEM, Caller, NamespaceRecord
from polaris_bridge.core.registry import Registry

from .config.bootstrap import OwnService, PolarisService
from .own_address import is_loopback, is_wildcard, of_interface, outward, towards

NAMESPACE: Final = "Polaris"
DEFAULT_SERVICE: Final = "polaris.checker"
"""The service of an entry without a name."""
BUILD: Final = "build-revision"
MARK: Final = "polaris_service"
"""Keys in the metadata of a server's own instances."""
DEFAULT_BEAT_S: Final = 5

PROTOCOLS: Final = {
    "api-http": "http",
    "service-grpc": "grpc",
    "config-grpc": "grpc",
    "service-limiter": "grpc",
    "service-eureka": "eureka",
    "service-nacos": "service-nacos",
    "xds-v3": "xdsv3",
    "service-l5": "l5pb",
}
"""What polaris-server calls the protocol of each listener; another listener's is called as the listener."""

CALLER: Final = Caller(SOURCE, principal=SYSTEM.principal)

log = logging.getLogger(__name__)


class Listening(Struct, frozen=True):
    """One listener as it listens: name of its entry, address it is bound to, port in use."""

    name: str
    host: str
    port: int


LIMITER: Final = OwnService(name="polaris.limiter")
"""Where SDKs look for whoever counts global rate limits, unless a rule names another cluster."""
LIMITER_PORTS: Final = ("service-limiter", "service-grpc")
"""The listeners that have the limiter's calls; the first of these that listens is announced."""


def with_limiter(section: PolarisService, listeners: Sequence[Listening], counts: bool) -> PolarisService:
    """The section with the limiter among its services, if clients can count here and the file does not say where itself."""
    port = next((name for name in LIMITER_PORTS if any(one.name == name for one in listeners)), None)
    if port is None or not counts or any(service.name == LIMITER.name for service in section.services):
        return section
    own = LIMITER.model_copy(update={"protocols": [port]})
    return section.model_copy(update={"services": [*section.services, own]})


def ensure_namespace(registry: Registry) -> None:
    """The namespace that servers register in exists, as on every polaris-server."""
    if registry.ledger.namespace(NAMESPACE) is None:
        registry.put_namespace(NamespaceRecord(NAMESPACE, comment="Polaris-server", owners="polaris"), SYSTEM)


class SelfRegistration:
    """The server's own instances. ``start`` once, ``beat`` every ``interval_s`` seconds, ``stop`` once."""

    def __init__(
        self, section: PolarisService, registry: Registry, registering: Registering, listeners: Sequence[Listening]
    ) -> None:
        """``listeners``: all that listen."""
        self._section = section
        self._registry = registry
        self._registering = registering
        self._listeners = listeners
        self._mine: dict[str, v1.Instance] = {}
        self._missing: set[str] = set()
        self._stopped = False
        self.interval_s = section.heartbeat_interval.total_seconds() or float(DEFAULT_BEAT_S)

    @property
    def address(self) -> str:
        """The address that is announced; loopback when none is."""
        return next((message.host.value for message in self._mine.values()), "127.0.0.1")

    @property
    def instances(self) -> list[v1.Instance]:
        """What is announced."""
        return list(self._mine.values())

    async def start(self) -> None:
        """Find the address, announce the listeners, and end what an earlier process announced here and this one does not."""
        section = self._section
        if not section.enable_register:
            return
        given = await asyncio.to_thread(given_address, section, self._only_loopback)
        default = given or await asyncio.to_thread(outward)
        if self._stopped:
            return
        for service in section.services:
            for listening in self._named(service):
                host = given or bound_address(listening, default, self._only_loopback)
                if host is None:
                    log.warning(
                        "%s listens on %s, which others do not reach: it is not announced in %s",
                        listening.name, listening.host, service.name,
                    )  # fmt: skip
                    continue
                message = instance(section, service, listening, host, self.interval_s)
                self._mine[message.id.value] = message
        self._end_others()
        self._missing.update(self._mine)
        self._register_missing()

    def beat(self) -> None:
        """A sign of life of each; what is not registered (any more) is registered again."""
        if self._stopped:
            return
        if not self._section.disable_heartbeat:
            for id, message in self._mine.items():
                if id not in self._missing and self._registering.beat(message, CALLER) == v1.NotFoundResource:
                    self._missing.add(id)
        self._register_missing()

    def stop(self) -> None:
        """Deregister. It is durable when the registry is idle again."""
        self._stopped = True
        for message in self._mine.values():
            self._registering.deregister(message, CALLER)
        self._mine.clear()

    # ------------------------------------------------------------------ pieces

    @property
    def _only_loopback(self) -> bool:
        """Whether nobody but this machine can call us."""
        return all(is_loopback(listening.host) for listening in self._listeners)

    def _named(self, service: OwnService) -> Iterator[Listening]:
        """The listeners of a service; of one that names none, all."""
        for name in service.protocols:
            if not any(listening.name == name for listening in self._listeners):
                log.warning("polaris_service %s: no listener %s, so it is not announced", service.name, name)
        for listening in self._listeners:
            if not service.protocols or listening.name in service.protocols:
                yield listening

    def _register_missing(self) -> None:
        for id in sorted(self._missing):
            outcome: Outcome = self._registering.register(self._mine[id], CALLER)
            answer = outcome.response
            assert isinstance(answer, v1.Response)
            if answer.code.value != v1.ExecuteSuccess:
                log.error("%s: not registered: %s %s", self._place(id), answer.code.value, answer.info.value)
                continue
            self._missing.discard(id)
            outcome.commit.then(partial(self._settled, id))

    def _settled(self, id: str, error: Exception | None) -> None:
        if error is None:
            log.info("registered %s", self._place(id))
        elif not self._stopped:
            self._missing.add(id)
            log.error("%s: not registered, tried again with the next heartbeat: %s", self._place(id), error)

    def _place(self, id: str) -> str:
        message = self._mine.get(id)
        if message is None:
            return id
        return f"{message.host.value}:{message.port.value} in {message.namespace.value}/{message.service.value}"

    def _end_others(self) -> None:
        """A process that was killed leaves its instances; with another file, or other ports, they would stay for ever."""
        hosts = {message.host.value for message in self._mine.values()}
        namespaces = {NAMESPACE, *(service.namespace or NAMESPACE for service in self._section.services)}
        left = [
            r.id
            for snapshot in self._registry
            if snapshot.key.namespace in namespaces
            for address in snapshot.addresses.values()
            for r in address.registrations
            if r.source == SOURCE and r.host in hosts and r.metadata.get(MARK) == r.service and r.key not in self._mine
        ]
        for key in left:
            self._registry.deregister(key, CALLER)


def instance(
    section: PolarisService, service: OwnService, listening: Listening, host: str, interval_s: float
) -> v1.Instance:
    """What is announced of one listener in one service."""
    name, namespace = service.name or DEFAULT_SERVICE, service.namespace or NAMESPACE
    message = v1.Instance(
        id={"value": instance_id(namespace, name, host, listening.port)},
        service={"value": name},
        namespace={"value": namespace},
        host={"value": host},
        port={"value": listening.port},
        protocol={"value": PROTOCOLS.get(listening.name, listening.name)},
        version={"value": __version__},
        isolate={"value": section.isolated},
        metadata={**service.metadata, BUILD: __version__, MARK: name},
    )
    message.enable_health_check.value = not section.disable_heartbeat
    if not section.disable_heartbeat:
        message.health_check.type = v1.HealthCheck.HEARTBEAT
        message.health_check.heartbeat.ttl.value = max(1, round(interval_s))
    return message


def given_address(section: PolarisService, only_loopback: bool) -> str | None:
    """The address that the file leads to: ``self_address``, else ``network_inter``, else ``probe_address``. Blocks.

    None: it names none, or none that others could use.
    """
    ways: tuple[tuple[str, str, Callable[[str], str]], ...] = (
        ("self_address", section.self_address, str.strip),
        ("network_inter", section.network_inter, of_interface),
        ("probe_address", section.probe_address, towards),
    )
    for name, value, find in ways:
        if not value:
            continue
        try:
            found = find(value)
        except (OSError, ValueError) as error:
            log.warning("bootstrap.polaris_service.%s: %s", name, error)
            continue
        if not is_wildcard(found) and (only_loopback or not is_loopback(found)):
            return found
        log.warning("bootstrap.polaris_service.%s gives %s, which others do not reach", name, found)
    return None


def bound_address(listening: Listening, outward: str | None, only_loopback: bool) -> str | None:
    """Where others reach a listener when the file does not say. None: nowhere.

    ``outward`` is the machine's address towards others, which a listener on all addresses has.
    """
    if not is_wildcard(listening.host):
        return listening.host if only_loopback or not is_loopback(listening.host) else None
    if outward is None:  # a machine without a network: all that listens here listens on loopback
        return "::1" if listening.host == "::" else "127.0.0.1"
    return outward if listening.host != "0.0.0.0" or ":" not in outward else None
