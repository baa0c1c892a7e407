"""What there is at the moment of a scrape: counted by the wiring from immutable snapshots, in a worker thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from polaris_bridge.core.config.reading import GroupCount


class ServiceCount(NamedTuple):
    """The addresses of one service. Each is counted once: isolated before abnormal before online."""

    namespace: str
    service: str
    online: int
    """Live and not withdrawn."""
    abnormal: int
    """Without a live registration."""
    isolated: int
    """Withdrawn by a switch or by its own word."""

    @property
    def total(self) -> int:
        """All addresses."""
        return self.online + self.abnormal + self.isolated


class SourceCount(NamedTuple):
    """The registrations of one protocol in one service."""

    namespace: str
    service: str
    source: str
    healthy: int
    unhealthy: int
    isolated: int


class BreakingCount(NamedTuple):
    """Circuit breaking."""

    ejected: Mapping[str, int]
    """Namespace -> ejected instances."""
    breakers: Mapping[tuple[str, str], int]
    """(level, state) -> breakers that are not closed."""
    turns: Mapping[tuple[str, str], int]
    """(level, new state) -> changes of state since the start."""
    reports: Mapping[str, int]
    """Result (told: results; malformed, too_many: reports) -> since the start."""
    held_back: int
    """How often the ceiling kept an instance from being ejected."""
    probes: Mapping[tuple[str, str], int]
    """(kind of check, result) -> finished probes since the start."""
    checks: Mapping[str, int]
    """State (all, running, waiting, left_out) -> probes that are to be made again and again."""


@dataclass(slots=True)
class XdsCount:
    """Streams of xDS, and what went over them since the start."""

    streams: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(kind of client, variant) -> streams."""
    responses: Mapping[str, int] = field(default_factory=dict)
    """By type, as the next ones."""
    refused: Mapping[str, int] = field(default_factory=dict)
    problems: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    """By reason."""
    oversized: int = 0


class TaskCount(NamedTuple):
    """One task of migration."""

    task: str
    stage: str
    services: int
    copies: int
    differences: int
    held: int
    queue: int
    errors: int
    lag_s: float
    stale: bool
    clean: bool
    writes: Mapping[str, int]
    """By action."""


@dataclass(slots=True)
class Census:
    """One moment. Everything may be left empty; what is left empty does not appear."""

    revision: int = 0
    limiter: Mapping[str, int] = field(default_factory=dict)
    """Kind (clients, counters) -> how many."""
    limited: Mapping[str, int] = field(default_factory=dict)
    """Result (passed, limited) -> requests that clients of the limiter told of since the start."""
    limiter_redis: tuple[int, int] | None = None
    """Whether it answers, and failed exchanges; None when the limiter's counters are not shared."""
    breaking: BreakingCount | None = None
    """None when the server breaks no circuits."""
    xds: XdsCount | None = None
    """None: nobody listens."""
    tasks: Sequence[TaskCount] = ()
    """Tasks of migration that are at work."""
    routing: tuple[int, int] = (0, 0)
    """Kinds of callers that look-ups are routed for, and decisions made for them since the start."""
    services: Sequence[ServiceCount] = ()
    """Every service, empty ones too."""
    sources: Sequence[SourceCount] = ()
    watchers: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By (protocol, kind: service, namespace or all)."""
    probes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(kind of check, result) -> finished probes since the start."""
    checks: Mapping[str, int] = field(default_factory=dict)
    """State (all, running, waiting) -> checks."""
    protected: Mapping[str, bool] = field(default_factory=dict)
    """Namespace -> whether self-protection holds deletions back now."""
    held: Mapping[str, int] = field(default_factory=dict)
    """Namespace -> registrations that ran out and are kept by self-protection."""
    connections: Mapping[str, int] = field(default_factory=dict)
    """Listener -> open connections."""
    writes_waiting: int = 0
    """Writes that are queued and not durable yet."""
    clients: int = 0
    """Clients known through any protocol."""
    sdk_clients: int = 0
    redis: tuple[int, int, int] | None = None
    """Whether it answers, failed reads, failed writes; None when heartbeats are kept elsewhere."""
    """Those of them that report themselves through a native SDK."""
    discovery_connections: int = 0
    config_connections: int = 0
    config_groups: Sequence[GroupCount] = ()
    """Files by group."""
    config_holders: int = 0
    """Clients that said what they have."""
