"""Who holds a store: a lock that ends with its process, however that ends, on a file that says who it is."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

_LONGEST = 200
"""Bytes of a holder's line that are read: the file may be anybody's."""


class Held(Exception):
    """Somebody else holds it; the text says who."""


class LockFile:
    """``flock`` on a file beside the store: one holder in all processes, and one within a process.

    The file lives as long as the holder; one that stays behind after a kill is free for the next.
    """

    def __init__(self, path: Path, wall_ms: Callable[[], int]) -> None:
        self._path = path
        self._wall_ms = wall_ms
        self._descriptor: int | None = None

    def take(self) -> None:
        """Raises ``Held``, or ``OSError`` when the file cannot be written."""
        while self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # a holder that left in between took the file with it: then this lock is on nothing
                if _same_file(descriptor, self._path):
                    self._introduce(descriptor)
                    self._descriptor = descriptor
            except BlockingIOError:
                raise Held(_holder(descriptor)) from None
            finally:
                if self._descriptor is None:
                    os.close(descriptor)

    def release(self) -> None:
        """Let go, and leave nothing behind."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            pass  # it stays behind as after a kill, for instance when the file system became read-only
        finally:
            os.close(descriptor)

    def _introduce(self, descriptor: int) -> None:
        since = datetime.fromtimestamp(self._wall_ms() / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode(), 0)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, _LONGEST, 0).decode("utf-8", "replace").strip()
    return text or "a process that is just starting"
