"""What persistent instances are asked: the cluster's ``healthChecker`` as a check of the core's engine.

Seen in Nacos 2.5.1: the first probe 2 to 7 s after the registration, three results in a row turn an instance, TCP unless the
cluster says otherwise, with the instance's own port unless it says otherwise. Its interval follows the answer times, between
1 and 5 s for TCP, 0.5 and 5 s for HTTP, 2 and 3 s for MYSQL; ours is one number between these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct, structs

from polaris_bridge.adapters._shared.checks import HTTP, MYSQL, TCP
from polaris_bridge.adapters.nacos.translate.keys import SOURCE, http_key
from polaris_bridge.adapters.nacos.translate.names import service_key
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, Refused
from polaris_bridge.core.events import Published
from polaris_bridge.core.health import Check, HealthEngine
from polaris_bridge.core.model import CRITICAL, PASSING, Checks, Registration, ServiceKey
from polaris_bridge.core.registry import Registry

from .scope import Scope

CHECK: Final = "nacos"
"""The name of the one check of an instance."""

FIRST_MS: Final = (2000, 7000)
INTERVAL_MS: Final = 3000
TIMES: Final = 3
"""``checkTimes`` of the real server's switches."""
TCP_MS: Final = 500
HTTP_MS: Final = 1000
"""500 for the connection and 500 for the answer on the real server."""
MYSQL_MS: Final = 1500
"""500 for the connection, a second for the query on the real server."""

READ_ONLY: Final = "show global variables where variable_name='read_only'"
"""The default query; where it says ON the instance is a replica, which counts as unhealthy."""

TYPES: Final = ("TCP", "HTTP", "MYSQL", "NONE")


class Checker(Struct, frozen=True, gc=False):
    """The ``healthChecker`` of one cluster."""

    type: str = "TCP"
    port: int = 0
    """What is asked instead of the instance's own port; 0: that one."""
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    expected: int = 200
    user: str = ""
    password: str = ""
    query: str = READ_ONLY

    def __repr__(self) -> str:
        """Without secrets."""
        return f"Checker({self.type} {self.port})"


DEFAULT: Final = Checker()


class ClusterChecks:
    """The checks of all persistent Nacos instances. One a server; ``engine`` None: nothing is ever asked."""

    def __init__(self, registry: Registry, engine: HealthEngine | None) -> None:
        self._registry = registry
        self._engine = engine
        self._enabled = True
        self._times = TIMES
        self._known: dict[ServiceKey, tuple[object, dict[str, Checker]]] = {}
        """The checkers of a service with the stored attributes that they were read from."""
        self._reviewed: dict[ServiceKey, object] = {}
        """The stored attributes by which each service is checked."""
        if engine is not None:
            registry.observe(self._published)
            engine.follow(SOURCE, self.of)

    def obey(self, enabled: bool, times: int) -> None:
        """The operator's switches ``healthCheckEnabled`` and ``checkTimes``: whether instances are asked at all, and how many
        results in a row turn one."""
        if (enabled, times) != (self._enabled, self._times):
            self._enabled, self._times = enabled, times
            if self._engine is not None:
                self._engine.review_source(SOURCE)

    def of(self, r: Registration) -> Mapping[str, Check]:
        """The checks of a registration: none unless it is persistent and its cluster has a checker that asks."""
        if not self._enabled or not isinstance(r.liveness, Checks):
            return {}
        checker = self.checker(r.service_key, r.cluster)
        make = _CHECKS.get(checker.type)
        if make is None:
            return {}
        check = make(checker, r.host, checker.port or r.port)
        return {CHECK: structs.replace(check, rise=self._times, fall=self._times)}

    def checker(self, service: ServiceKey, cluster: str) -> Checker:
        """What a cluster of a service was given, else TCP to the port of each instance."""
        return self._checkers(service).get(cluster or DEFAULT_CLUSTER, DEFAULT)

    def set_health(self, scope: Scope, ip: str, port: int, cluster: str, healthy: bool) -> bool:
        """``PUT /health/instance``: a person's word, where nothing else judges. False when there is no such instance.

        Raises ``Refused`` unless the cluster's checker is NONE.
        """
        key = http_key(scope.namespace, scope.grouped, ip, port, ephemeral=False)
        r = self._registry.newest(key)
        service = r.service_key if r is not None else service_key(scope.namespace, scope.group, scope.name)
        if self.checker(service, cluster).type != "NONE":
            cluster = cluster or DEFAULT_CLUSTER
            text = f"health check is still working, service: {scope.grouped}, cluster: {cluster}"
            raise Refused(400, codes.SERVER_ERROR, text)
        return self._registry.set_check(key, CHECK, PASSING if healthy else CRITICAL)

    # ------------------------------------------------------------------ what is stored

    def _published(self, published: Published) -> None:
        """A service whose attributes changed may ask its instances otherwise now."""
        assert self._engine is not None
        for key in published.services:
            stored = self._stored(key)
            if stored is self._reviewed.get(key, _NOTHING):
                continue
            if stored:
                self._reviewed[key] = stored
            else:
                del self._reviewed[key]
            self._engine.review(key)

    def _checkers(self, service: ServiceKey) -> dict[str, Checker]:
        stored = self._stored(service)
        known = self._known.get(service)
        if known is not None and known[0] is stored:
            return known[1]
        if not stored:
            self._known.pop(service, None)
            return {}
        checkers = {name: _checker(cluster) for name, cluster in stored.items() if isinstance(cluster, dict)}
        self._known[service] = (stored, checkers)
        return checkers

    def _stored(self, service: ServiceKey) -> dict[str, Any]:
        record = self._registry.snapshot(service).record
        found = record.ext.get(SOURCE) if record is not None else None
        clusters = found.get("clusters") if isinstance(found, dict) else None
        return clusters if clusters and isinstance(clusters, dict) else _NOTHING


_NOTHING: Final[dict[str, Any]] = {}


# ---------------------------------------------------------------------- forms


def checker(given: Mapping[str, Any], port: int = 0) -> Checker:
    """A ``healthChecker`` as it is stored. What is missing or no value of its kind has the default."""
    type = str(given.get("type") or "TCP").upper()
    return Checker(
        type=type if type in TYPES else "TCP",
        port=port,
        path=_text(given.get("path")) or "/",
        headers=headers(_text(given.get("headers"))),
        expected=_number(given.get("expectedResponseCode"), 200),
        user=_text(given.get("user")),
        password=_text(given.get("pwd")),
        query=_text(given.get("cmd")) or READ_ONLY,
    )


def headers(text: str) -> tuple[tuple[str, str], ...]:
    """``name:value|name:value``, as the real server reads it: what has no colon is left out."""
    pairs = (part.partition(":") for part in text.split("|"))
    return tuple((name.strip(), value.strip()) for name, colon, value in pairs if colon and name.strip())


def _checker(cluster: Mapping[str, Any]) -> Checker:
    own_port = cluster.get("useInstancePort", True)
    given = cluster.get("healthChecker")
    port = 0 if own_port else _number(cluster.get("checkPort"), 0)
    return checker(given if isinstance(given, dict) else {}, port)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object, default: int) -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if isinstance(value, int) else default


# ---------------------------------------------------------------------- checks


def _tcp(_checker: Checker, host: str, port: int) -> Check:
    return _check(TCP, host, port, TCP_MS)


def _http(checker: Checker, host: str, port: int) -> Check:
    common = _check(HTTP, host, port, HTTP_MS)
    return structs.replace(common, path=checker.path, headers=checker.headers, expected=(checker.expected,))


def _mysql(checker: Checker, host: str, port: int) -> Check:
    common = _check(MYSQL, host, port, MYSQL_MS)
    unwanted = ("ON",) if checker.query == READ_ONLY else ()
    return structs.replace(common, user=checker.user, password=checker.password, query=checker.query, unwanted=unwanted)


def _check(kind: str, host: str, port: int, timeout_ms: int) -> Check:
    return Check(kind, host, port, first_ms=FIRST_MS, interval_ms=INTERVAL_MS, timeout_ms=timeout_ms)


_CHECKS: Final[dict[str, Callable[[Checker, str, int], Check]]] = {"TCP": _tcp, "HTTP": _http, "MYSQL": _mysql}
"""By type of checker; what is not here asks nobody."""
