"""Checks that this server performs for agents that are not there: who is asked what, and what the answers come to.

Thresholds and outputs as an agent 1.20 has them: so many successes in a row before it passes, so many failures before it warns
or is critical.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from msgspec import structs

from polaris_bridge.adapters._shared import checks as kinds
from polaris_bridge.adapters.consul.translate.keys import CheckRecord
from polaris_bridge.core.health import Check, HealthEngine, Outcome
from polaris_bridge.core.model import CRITICAL, WARNING, ServiceKey

from .index import LiveCheck
from .outcomes import Outcomes

_MS: Final = 1_000_000
_LEAST_INTERVAL_MS: Final = 1000
_TIMEOUT_MS: Final = 10_000
_REDIRECTS: Final = 10
_AGENT: Final = ("User-Agent", "Consul Health Check")
_ACCEPT: Final = ("Accept", "text/plain, text/*, */*")
_PORTS: Final = {"http": 80, "https": 443}


class Probing:
    """Keeps the engine's checks in step with those that are registered."""

    def __init__(self, engine: HealthEngine, outcomes: Outcomes) -> None:
        self._engine = engine
        self._outcomes = outcomes

    def came(self, live: LiveCheck) -> None:
        """A check is there, or is another one than before."""
        wanted = check_of(live.record)
        if wanted is None:
            self._engine.unwatch(live)
            return
        judge = _Judge(live, self._outcomes)
        group = ServiceKey(live.node.namespace, live.owner.key if live.owner is not None else live.node.name)
        self._engine.watch(live, group, wanted, judge.told)

    def went(self, live: LiveCheck) -> None:
        """A check is gone."""
        self._engine.unwatch(live)


class _Judge:
    """Counts the results of one check."""

    __slots__ = ("_failures", "_live", "_outcomes", "_successes")

    def __init__(self, live: LiveCheck, outcomes: Outcomes) -> None:
        self._live = live
        self._outcomes = outcomes
        self._successes = 0
        self._failures = 0

    def told(self, outcome: Outcome) -> None:
        """One result."""
        live, record = self._live, self._live.record
        output = said(record, outcome)
        if outcome.state != CRITICAL:
            self._successes += 1
            self._failures = 0
            if self._successes >= record.success_before_passing:
                self._outcomes.tell(live, outcome.state, output)
            return
        self._failures += 1
        self._successes = 0
        if self._failures >= record.failures_before_critical:
            self._outcomes.tell(live, CRITICAL, output)
        elif self._failures >= record.failures_before_warning:
            self._outcomes.tell(live, WARNING, output)


def check_of(record: CheckRecord) -> Check | None:
    """What the engine is to do for a check; None: it is none that is performed."""
    made = _MAKE.get(record.type)
    if made is None or record.interval_ns <= 0:
        return None
    try:
        check = made(record)
    except ValueError:  # a target that is none fails when it is asked, as any other does
        check = Check(kinds.TCP, "", 0)
    interval = max(_LEAST_INTERVAL_MS, record.interval_ns // _MS)
    timeout = max(1, record.timeout_ns // _MS) if record.timeout_ns > 0 else _TIMEOUT_MS
    return structs.replace(check, first_ms=(0, interval), interval_ms=interval, timeout_ms=timeout)


def said(record: CheckRecord, outcome: Outcome) -> str:
    """The output of a check."""
    target, why = record.target, outcome.why
    if record.type == "http":
        if why.startswith("HTTP "):
            return f"HTTP {record.method or 'GET'} {target}{why[why.index(': ') :]}" if ": " in why else why
        return f'{(record.method or "GET").title()} "{target}": {_dialled(record, why)}'
    if outcome.state != CRITICAL:
        return _SUCCESS.get(record.type, "{}").format(target)
    return _dialled(record, why)


def _dialled(record: CheckRecord, why: str) -> str:
    """What Go says of a connection that did not come about, as far as it is one."""
    reason = _REASONS.get(why)
    if reason is None:
        return why
    try:
        host, port = (_url_place(record.target) if record.type == "http" else _place(record.target))[:2]
    except ValueError:
        return f"dial tcp: address {record.target}: {reason}"
    return f"dial {'udp' if record.type == 'udp' else 'tcp'} {host}:{port}: connect: {reason}"


def _web(record: CheckRecord) -> Check:
    host, port, tls = _url_place(record.target)
    url = urlsplit(record.target)
    headers = tuple((name, value) for name, values in record.headers.items() for value in values)
    given = {name.lower() for name, _ in headers}
    usual = tuple(pair for pair in (_AGENT, _ACCEPT) if pair[0].lower() not in given)
    return Check(
        kinds.WEB,
        host,
        port,
        (url.path or "/") + (f"?{url.query}" if url.query else ""),
        record.method or "GET",
        (*usual, *headers),
        body=record.body,
        tls=tls,
        verify=not record.tls_skip_verify,
        server_name=record.tls_server_name,
        redirects=0 if record.disable_redirects else _REDIRECTS,
        kept_bytes=record.output_max,
    )


def _plain(kind: str, record: CheckRecord) -> Check:
    host, port, service = _place(record.target)
    return Check(
        kind,
        host,
        port,
        tls=record.tls,
        verify=not record.tls_skip_verify,
        server_name=record.tls_server_name,
        service=service,
    )


def _place(target: str) -> tuple[str, int, str]:
    """Host, port and service of ``host:port[/service]``. Raises ``ValueError``."""
    address, _, service = target.partition("/")
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"no host:port: {target!r}")
    return host.strip("[]") or "127.0.0.1", int(port), service


def _url_place(target: str) -> tuple[str, int, bool]:
    """Host, port and whether it is TLS, of a URL. Raises ``ValueError``."""
    url = urlsplit(target)
    if url.scheme not in _PORTS or not url.hostname:
        raise ValueError(f"no URL: {target!r}")
    return url.hostname, url.port or _PORTS[url.scheme], url.scheme == "https"


_MAKE: Final[dict[str, Callable[[CheckRecord], Check]]] = {
    "http": _web,
    "tcp": lambda record: _plain(kinds.TCP, record),
    "udp": lambda record: _plain(kinds.UDP, record),
    "grpc": lambda record: _plain(kinds.GRPC, record),
    "h2ping": lambda record: _plain(kinds.H2PING, record),
}
_SUCCESS: Final = {
    "tcp": "TCP connect {}: Success",
    "udp": "UDP connect {}: Success",
    "grpc": "gRPC check {}: success",
    "h2ping": "HTTP2 ping was successful",
}
_REASONS: Final = {
    "Connection refused": "connection refused",
    "No route to host": "no route to host",
    "Network is unreachable": "network is unreachable",
}
