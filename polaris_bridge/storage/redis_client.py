"""Connections to Redis: one server, sentinels or a cluster. Only this imports the library, and only when it is wanted."""

from __future__ import annotations

import ssl
import time
from typing import Any, Final
from weakref import WeakKeyDictionary

import redis.asyncio as redis
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

from .redis_settings import RedisSettings

FAILURES: Final = (RedisError, OSError, TimeoutError)
"""What a command raises that Redis did not answer."""


def connect(settings: RedisSettings) -> Any:
    """A client of the deployment. It connects when the first command is given."""
    common: dict[str, Any] = {
        "username": settings.user or None,
        "password": settings.password or None,
        "socket_connect_timeout": settings.connect_s,
        "socket_timeout": max(settings.read_s, settings.write_s),
    }
    secure: dict[str, Any] = {"ssl": True, "ssl_min_version": ssl.TLSVersion.TLSv1_2} if settings.tls else {}
    if settings.mode == "cluster":
        nodes = [ClusterNode(*_host_port(address)) for address in settings.addresses]
        return RedisCluster(
            startup_nodes=nodes,
            read_from_replicas=settings.read_replicas,
            max_connections=settings.pool_size,
            **common,
            **secure,
        )
    if settings.mode == "sentinel":
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            [_host_port(address) for address in settings.addresses],
            sentinel_kwargs={
                "username": settings.sentinel_user or None,
                "password": settings.sentinel_password or None,
                "socket_connect_timeout": settings.connect_s,
                "socket_timeout": settings.read_s,
            },
            db=settings.db,
            max_connections=settings.pool_size,
            **common,
            **secure,
        )
        find = sentinel.slave_for if settings.replicas_only else sentinel.master_for
        return find(settings.master_name)
    host, port = _host_port(settings.address)
    pool = Pool(
        idle_s=settings.idle_s,
        max_age_s=settings.max_age_s,
        max_connections=settings.pool_size,
        timeout=settings.pool_s,
        connection_class=redis.SSLConnection if settings.tls else redis.Connection,
        host=host,
        port=port,
        db=settings.db,
        **common,
        **({"ssl_min_version": ssl.TLSVersion.TLSv1_2} if settings.tls else {}),
    )
    return redis.Redis.from_pool(pool)


def _host_port(address: str) -> tuple[str, int]:
    """ValueError when it is not host:port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


async def warm(client: Any, connections: int) -> None:
    """Open connections before they are needed, where the pool is ours."""
    if isinstance(client.connection_pool if hasattr(client, "connection_pool") else None, Pool):
        await client.connection_pool.warm(connections)


async def retire(client: Any) -> None:
    """Close idle and old connections, where the pool is ours."""
    if isinstance(client.connection_pool if hasattr(client, "connection_pool") else None, Pool):
        await client.connection_pool.retire()


class Pool(BlockingConnectionPool):
    """Lets go of idle and of old connections, which the library's own pools never do.

    ``idle_s`` and ``max_age_s`` in seconds, 0 = no limit.
    """

    def __init__(self, *, idle_s: float, max_age_s: float, **options: Any) -> None:
        super().__init__(**options)
        self._idle_s = idle_s or float("inf")
        self._max_age_s = max_age_s or float("inf")
        self._born: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._used: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    async def warm(self, connections: int) -> None:
        """Open so many connections. Raises what connecting raises."""
        taken = []
        try:
            for _ in range(connections):
                connection = await self.get_connection()  # type: ignore[no-untyped-call]
                taken.append(connection)
        finally:
            for connection in taken:
                await self.release(connection)

    async def release(self, connection: Any) -> None:
        """Give a connection back."""
        now = time.monotonic()
        self._born.setdefault(connection, now)
        self._used[connection] = now
        await super().release(connection)

    async def retire(self) -> int:
        """Close the free connections that are idle or old; how many. They open again when they are needed."""
        now = time.monotonic()
        closed = 0
        async with self._condition:
            for connection in list(self._get_free_connections()):
                born = self._born.get(connection)
                if born is None:
                    continue
                if now - self._used[connection] >= self._idle_s or now - born >= self._max_age_s:
                    del self._born[connection]
                    await connection.disconnect()
                    closed += 1
        return closed

    @property
    def open(self) -> int:
        """Connections that are open and free."""
        return sum(connection.is_connected for connection in self._get_free_connections())
