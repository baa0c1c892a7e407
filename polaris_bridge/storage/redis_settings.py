"""How Redis is reached: the options of the checker ``heartbeatRedis``, as values."""

from __future__ import annotations

from msgspec import Struct


class RedisSettings(Struct, frozen=True, kw_only=True):
    """Options of the checker (``healthcheck.checkers[heartbeatRedis].option``). Times in seconds."""

    mode: str = "standalone"
    """``standalone``, ``sentinel`` or ``cluster``."""
    address: str = ""
    """host:port (standalone)."""
    addresses: tuple[str, ...] = ()
    """host:port of the sentinels or of nodes of the cluster."""
    user: str = ""
    password: str = ""
    db: int = 0
    tls: bool = False
    pool_size: int = 200
    """Connections at most."""
    min_idle: int = 30
    """Connections opened at the start."""
    idle_s: float = 120.0
    """An unused connection is closed after this."""
    max_age_s: float = 1800.0
    """A connection is closed at this age, when it is not in use."""
    connect_s: float = 0.2
    read_s: float = 0.2
    write_s: float = 0.2
    pool_s: float = 3.0
    """Longest wait for a free connection."""
    concurrency: int = 200
    """Round trips under way at most."""
    compatible: bool = False
    retries: int = 2
    """How often a failed round trip is tried again at once."""
    batch: int = 10
    """So many beats are written without waiting for more."""
    wait_s: float = 0.05
    """Longest that a beat waits for others."""
    master_name: str = ""
    sentinel_user: str = ""
    sentinel_password: str = ""
    replicas_only: bool = False
    read_replicas: bool = False
    """Ask replicas when the last beats are wanted (cluster)."""
