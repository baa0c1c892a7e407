"""Runs the recordings of one protocol against a live server, once each, and keeps what came out for the tests to look at."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from .compare import Reading, Report, compare
from .plan import Plan, Target
from .recording import Recording, load, recordings
from .replay import Replay
from .rules import RuleBook

Start = Callable[[Path], AbstractContextManager[Target]]
"""Brings up an empty server, its files under the given folder, for the length of one recording."""

RECORDINGS = Path(__file__).parent / "recordings"


class Suite:
    """One protocol: its recordings, plan, reading and rules, and the reports so far."""

    def __init__(self, folder: str, plan: Plan, reading: Reading, book: RuleBook, start: Start, work: Path) -> None:
        self.paths = {path.stem: path for path in recordings(RECORDINGS / folder)}
        self.plan, self.reading, self.book = plan, reading, book
        self.used: Counter[str] = Counter()
        """Entries of the plan by how often they changed something."""
        self._start, self._work = start, work
        self._reports: dict[str, Report] = {}

    def report(self, name: str) -> Report:
        """Replay a recording against a fresh server, at the first call."""
        if name not in self._reports:
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._work))
            with self._start(folder) as target:
                self._reports[name] = asyncio.run(self._replay(load(self.paths[name]), target))
        return self._reports[name]

    def unused(self) -> list[str]:
        """Names of rules and of plan entries that no recording of the whole protocol needed; replays what is missing."""
        for name in self.paths:
            self.report(name)
        return self.book.unused() + [name for name in self.plan.names() if not self.used[name]]

    async def _replay(self, recording: Recording, target: Target) -> Report:
        run = Replay(recording, target, self.plan, self.reading.decode)
        exchanges = await run.run()
        self.used += run.used
        return compare(recording, exchanges, self.reading, self.book, run.known)


def given(target: Target) -> Start:
    """A server that runs already."""
    return lambda folder: contextlib.nullcontext(target)
