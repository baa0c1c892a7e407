"""One log file: appended to, begun anew by size and by hours, with old ones limited in number and age."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

RETRY_S: Final = 30.0
"""How often a file that could not be opened or written is tried again."""
_STAMP: Final = "%Y-%m-%dT%H-%M-%S"
_STAMP_PATTERN: Final = r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}"
_DAY_S: Final = 86_400
_HOUR_S: Final = 3_600


@dataclass(frozen=True, slots=True)
class Limits:
    """When a file is finished and how long finished ones are kept; 0 = no limit."""

    size_bytes: int = 0
    period_s: int = 0
    backups: int = 0
    age_s: int = 0
    compress: bool = False


class RotatingFile:
    """Used by the writer thread only. ``complain`` is told once when the file fails, and once when it works again."""

    def __init__(
        self, path: Path, limits: Limits, complain: Callable[[str], None], wall: Callable[[], float] = time.time
    ) -> None:
        self.path = path
        self._limits = limits
        self._complain = complain
        self._wall = wall
        self._file: IO[bytes] | None = None
        self._size = 0
        self._period = 0
        self._failed_at: float | None = None
        self._backup = re.compile(f"{re.escape(path.stem)}{_STAMP_PATTERN}{re.escape(path.suffix)}(\\.gz)?")

    def write(self, lines: bytes) -> bool:
        """Append whole lines. False when the file cannot be had now, so that they can be written elsewhere."""
        if self._file is None and not self._may_try():
            return False
        try:
            if self._file is None:
                self._open()
            if self._due(len(lines)):
                self._rotate()
            assert self._file is not None
            self._file.write(lines)
        except OSError as error:
            self._fail(error)
            return False
        self._size += len(lines)
        if self._failed_at is not None:
            self._failed_at = None
            self._complain(f"log file {self.path} is written again")
        return True

    def open(self) -> bool:
        """Open now rather than with the first line, so that a wrong path shows at the start."""
        try:
            self._open()
        except OSError as error:
            self._fail(error)
            return False
        return True

    def reopen(self) -> None:
        """Open the path afresh: somebody else moved the file away."""
        self.close()
        self._failed_at = None
        self.open()

    def close(self) -> None:
        """Let go of the file. A later write opens it again."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - it stays open
        found = os.fstat(self._file.fileno())
        self._size = found.st_size
        self._period = self._period_of(found.st_mtime if found.st_size else self._wall())

    def _period_of(self, when: float) -> int:
        return int(when // self._limits.period_s) if self._limits.period_s else 0

    def _due(self, more: int) -> bool:
        if not self._size:
            self._period = self._period_of(self._wall())
            return False
        if self._limits.size_bytes and self._size + more > self._limits.size_bytes:
            return True
        return self._period_of(self._wall()) != self._period

    def _rotate(self) -> None:
        self.close()
        now = self._wall()
        stamp = time.strftime(_STAMP, time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}"
        finished = self.path.with_name(f"{self.path.stem}-{stamp}{self.path.suffix}")
        with contextlib.suppress(FileNotFoundError):  # moved away by somebody else: nothing to keep
            os.replace(self.path, finished)
            if self._limits.compress:
                _gzip(finished)
        self._open()
        self._prune()

    def _prune(self) -> None:
        finished = sorted(p for p in self.path.parent.iterdir() if self._backup.fullmatch(p.name))
        doomed = finished[: -self._limits.backups] if self._limits.backups else []
        if self._limits.age_s:
            oldest = self._wall() - self._limits.age_s
            doomed += [p for p in finished if p.stat().st_mtime < oldest]
        for path in doomed:
            with contextlib.suppress(OSError):  # tried again at the next rotation
                path.unlink()

    def _may_try(self) -> bool:
        return self._failed_at is None or time.monotonic() - self._failed_at >= RETRY_S

    def _fail(self, error: OSError) -> None:
        first = self._failed_at is None
        self._failed_at = time.monotonic()
        self.close()
        if first:
            self._complain(
                f"log file {self.path} cannot be written ({error.strerror or error}); its lines go to stderr until it can"
            )


def limits_of(size_mb: int, hours: int, backups: int, days: int, compress: bool) -> Limits:
    """The limits in the units of the configuration file."""
    return Limits(size_mb * 1024 * 1024, hours * _HOUR_S, backups, days * _DAY_S, compress)


def _gzip(path: Path) -> None:
    """Replace a finished file by its gzipped form; on a full disk it stays as it is."""
    target = path.with_name(path.name + ".gz")
    try:
        with open(path, "rb") as source, gzip.open(target, "wb", compresslevel=6) as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        shutil.copystat(path, target)
        path.unlink()
    except OSError:
        target.unlink(missing_ok=True)
