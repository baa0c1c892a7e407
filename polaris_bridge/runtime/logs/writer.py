"""The one thread that writes log lines. Loggers hand it records and go on; it formats, gathers and writes."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

GATHER_S: Final = 0.02
"""How long lines are gathered before they are written together: a burst wakes this thread 50 times a second at most."""
CAPACITY: Final = 100_000
"""Lines that may wait for a slow disk; more are dropped and counted."""

_LEVEL_WORDS: Final = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warn",
    logging.ERROR: "error",
    logging.CRITICAL: "fatal",
}
_CONTROL: Final = {c: f"\\x{c:02x}" for c in (*range(32), 127)} | {9: "\t", 10: "\\n", 13: "\\r"}
"""What a client can put into a name must not begin a line of its own."""


class Output(Protocol):
    """Where lines end up."""

    def write(self, lines: bytes) -> bool:
        """Append whole lines; False when that is not possible now."""
        ...

    def reopen(self) -> None: ...

    def close(self) -> None: ...


class Target:
    """What becomes of one scope's records: two lists of outputs and a form."""

    __slots__ = ("_second", "_second_text", "content_only", "errors", "lines", "scope")

    def __init__(self, scope: str, lines: list[Output], errors: list[Output], content_only: bool) -> None:
        self.scope = scope
        self.lines = lines
        self.errors = errors
        self.content_only = content_only
        self._second = -1
        self._second_text = ""

    def format(self, record: logging.LogRecord) -> bytes:
        """``time level scope place message``, separated by tabs, or the message alone. One line, then any traceback."""
        message = str(record.msg).translate(_CONTROL)
        if not self.content_only:
            level = _LEVEL_WORDS.get(record.levelno, record.levelname.lower())
            message = (
                f"{self._time(record.created)}\t{level}\t{self.scope}\t{record.filename}:{record.lineno}\t{message}"
            )
        if record.exc_text:
            message += "\n\t" + record.exc_text.replace("\n", "\n\t")
        return f"{message}\n".encode("utf-8", "backslashreplace")

    def _time(self, created: float) -> str:
        """UTC with microseconds. Only the writer thread formats, so remembering the second needs no lock."""
        second = int(created)
        if self._second != second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{int((created - second) * 1_000_000):06d}Z"


Item = tuple[Target, logging.LogRecord] | Callable[[], None]
Batch = dict[int, tuple[Output, list[bytes]]]


class Writer:
    """Owns the outputs between ``start`` and ``stop``. Lines that no file takes go to ``fallback`` (stderr)."""

    def __init__(self, outputs: list[Output], fallback: Callable[[bytes], None]) -> None:
        self._outputs = outputs
        self._fallback = fallback
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self.dropped = 0
        """Lines lost since the start because the disk was slower than the server."""
        self._told = 0

    def put(self, target: Target, record: logging.LogRecord) -> None:
        """Hand over a record whose arguments are already in its message. Never blocks."""
        if self._queue.qsize() >= CAPACITY:
            self.dropped += 1
        else:
            self._queue.put((target, record))

    def start(self) -> None:
        """Begin writing."""
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def reopen(self) -> None:
        """Open all files afresh, after what is queued now. Returns at once."""
        self._queue.put(self._reopen)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything handed over so far is written. False when that took too long."""
        done = threading.Event()
        self._queue.put(done.set)
        return done.wait(timeout_s)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Write what is queued, close the files and end the thread."""
        if self._thread is not None:
            self._queue.put(self._stop)
            self._thread.join(timeout_s)
            self._thread = None

    def _run(self) -> None:
        while not self._stopping:
            first = self._queue.get()
            if isinstance(first, tuple):
                time.sleep(GATHER_S)
            batch: Batch = {}
            for item in (first, *self._waiting()):
                if isinstance(item, tuple):
                    _gather(batch, *item)
                else:
                    self._write(batch)
                    item()
            self._write(batch)
            self._tell_dropped()

    def _waiting(self) -> Iterator[Item]:
        for _ in range(self._queue.qsize()):
            yield self._queue.get()

    def _write(self, batch: Batch) -> None:
        homeless: dict[int, bytes] = {}
        for output, lines in batch.values():
            if not output.write(b"".join(lines)):
                homeless |= {id(line): line for line in lines}
        if homeless:
            self._fallback(b"".join(homeless.values()))
        batch.clear()

    def _tell_dropped(self) -> None:
        if self.dropped != self._told:
            self._fallback(f"{self.dropped - self._told} log lines were dropped: the disk is too slow\n".encode())
            self._told = self.dropped

    def _reopen(self) -> None:
        for output in self._outputs:
            output.reopen()

    def _stop(self) -> None:
        self._stopping = True
        for output in self._outputs:
            output.close()


def _gather(batch: Batch, target: Target, record: logging.LogRecord) -> None:
    try:
        line = target.format(record)
    except Exception as error:  # noqa: BLE001 - the thread outlives whatever a message's __str__ does
        line = f"{record.pathname}:{record.lineno}: log message cannot be shown: {error!r}\n".encode()
    outputs = target.lines + target.errors if record.levelno >= logging.ERROR else target.lines
    for output in outputs:
        batch.setdefault(id(output), (output, []))[1].append(line)
