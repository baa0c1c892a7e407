"""The MYSQL check: log in, run a query, look at what it says. In threads, because the client library blocks."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from polaris_bridge.core.health import Check, Outcome
from polaris_bridge.core.model import CRITICAL, PASSING

THREADS: Final = 8
"""Queries at once; further ones wait, and their time does not run meanwhile."""
ONE_ROW: Final = "SET SQL_SELECT_LIMIT=1"
"""Said after the login, so that a careless query does not bring a whole table here."""


class MysqlProbes:
    """A bounded number of threads that each ask one server at a time."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mysql-check")
        self._free = asyncio.Semaphore(threads)

    async def perform(self, check: Check) -> Outcome:
        """Ask. Raises ``OSError`` (``TimeoutError`` included) when there is no connection or no answer in time."""
        await self._free.acquire()
        question = _Question(check)
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._pool, question.ask)
        work.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(check.timeout_ms / 1000):
                return await asyncio.shield(work)
        finally:
            question.give_up()

    def _ended(self, work: asyncio.Future[Outcome]) -> None:
        self._free.release()
        if not work.cancelled():
            work.exception()  # of a question given up nobody asks

    def close(self) -> None:
        """Begin nothing more; threads end with the questions that they have."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Question:
    """One query at one server; ``ask`` runs in a thread, ``give_up`` ends its wait from outside."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._socket: socket.socket | None = None
        self._over = False

    def ask(self) -> Outcome:
        """Connect, log in, query."""
        import pymysql

        check, timeout_s = self._check, self._check.timeout_ms / 1000
        found = self._socket = socket.create_connection((check.host, check.port), timeout_s)
        with found:
            if self._over:
                return Outcome(CRITICAL, "too late")
            connection = pymysql.connect(
                host=check.host,
                user=check.user,
                password=check.password,
                read_timeout=timeout_s,
                write_timeout=timeout_s,
                init_command=ONE_ROW,
                defer_connect=True,
            )
            try:
                connection.connect(found)
                with connection.cursor() as cursor:
                    cursor.execute(check.query)
                    row = cursor.fetchone()
            except pymysql.err.MySQLError as error:
                return Outcome(CRITICAL, str(error.args[-1] if error.args else error))
            finally:
                with suppress(pymysql.err.MySQLError):
                    connection.close()
        said = str(row[1]) if isinstance(row, tuple) and len(row) > 1 else ""
        if said and said in check.unwanted:
            return Outcome(CRITICAL, f"it says {row[0]}={said}" if row else said)
        return Outcome(PASSING, "the query succeeded")

    def give_up(self) -> None:
        """Whoever still waits for an answer is told that none will come."""
        self._over = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
