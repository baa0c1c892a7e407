"""Performs the checks that ``core.health`` decides on: one performer a kind, each a coroutine, each with a timeout."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from polaris_bridge.adapters._shared.checks import GRPC, H2PING, HTTP, MYSQL, TCP, TCP_TALK, UDP, UDP_TALK, WEB
from polaris_bridge.core.health import Check, Outcome
from polaris_bridge.core.model import CRITICAL

from . import grpc, h2ping, http, talk, tcp, udp, web
from .mysql import THREADS, MysqlProbes

KINDS: Final[Mapping[str, int]] = {
    TCP: 256,
    HTTP: 256,
    WEB: 256,
    UDP: 256,
    GRPC: 64,
    H2PING: 64,
    TCP_TALK: 256,
    UDP_TALK: 256,
    MYSQL: THREADS,
}
"""What is performed, and how many at once: a dead network keeps each place for the whole timeout."""
UNPERFORMED: Final = "the probe failed: "


class Probes:
    """``core.health.Probe`` on one event loop. To be made and used on that loop; ``close`` when it ends."""

    def __init__(self) -> None:
        self._mysql = MysqlProbes()
        self._performers = {
            TCP: tcp.perform,
            HTTP: http.perform,
            WEB: web.perform,
            UDP: udp.perform,
            GRPC: grpc.perform,
            H2PING: h2ping.perform,
            TCP_TALK: talk.over_tcp,
            UDP_TALK: talk.over_udp,
            MYSQL: self._mysql.perform,
        }
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def kinds(self) -> Mapping[str, int]:
        """See ``core.health.Probe``."""
        return KINDS

    def begin(self, check: Check, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """Perform a check; see ``core.health.Probe``."""
        task = asyncio.get_running_loop().create_task(self._run(check, done))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return lambda: _cancel(task)

    async def _run(self, check: Check, done: Callable[[Outcome], None]) -> None:
        try:
            outcome = await self._performers[check.kind](check)
        except TimeoutError:
            outcome = Outcome(CRITICAL, f"no answer within {check.timeout_ms} ms")
        except OSError as error:
            outcome = Outcome(CRITICAL, error.strerror or str(error))
        except Exception as error:  # noqa: BLE001  # whatever a stranger's answer provokes here is his check's result
            outcome = Outcome(CRITICAL, f"{UNPERFORMED}{error!r}")
        done(outcome)

    def close(self) -> None:
        """Cancel what is under way and let go of the threads, without waiting for them."""
        for task in self._under_way:
            task.cancel()
        self._mysql.close()


def _cancel(task: asyncio.Task[None]) -> None:
    """Unless it is the task itself that ends: its answer may be why."""
    if task is not asyncio.current_task():
        task.cancel()
