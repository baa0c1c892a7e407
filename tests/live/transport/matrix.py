"""Which client is asked which check over which connection, and how a client program is run."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import programs

SOAK_FACTOR = float(os.environ.get("SOAK_FACTOR", "1"))
PROGRAM_ENDS_WITHIN_S = 300 * max(1.0, SOAK_FACTOR / 4)

TRANSPORTS = ("grpcio", "native")
CLIENTS = tuple(programs.CLIENTS)
CHECKS = (
    "unary",
    "empty",
    "metadata",
    "statuses",
    "crash",
    "unknown",
    "big4",
    "big30",
    "limit",
    "gzip",
    "bomb",
    "push",
    "count",
    "chat",
    "early",
    "broken",
    "refused",
    "deadline",
    "deadline_of_stream",
    "cancel",
    "sequential",
    "parallel",
    "cancels",
    "idle",
)
# Once is enough: over TLS nothing is different about silence.
PLAIN_ONLY = {"idle"}

# Two libraries ping at most every 10 s. In a soak the silence lasts minutes.
IDLE_S = 11.0 * SOAK_FACTOR
# grpcio spends a millisecond of two processes on a call, and its core refuses a call when the last answers of a thousand
# others are still on their way, which it then reports as a failure: more than the limit at once is not for it.
SIZES = {
    "native": {"sequential": round(10_000 * SOAK_FACTOR), "parallel": 1_500},
    "grpcio": {"sequential": 1_000, "parallel": 900},
}
SEQUENTIAL_BY_TLS = 1_000


@dataclass(frozen=True)
class Case:
    """One run of a client program."""

    client: str
    transport: str
    tls: bool

    def arguments(self, address: str, ca: Path | None = None) -> list[str]:
        """``ca`` is the authority of a server that speaks TLS."""
        sizes = dict(SIZES[self.transport])
        checks = CHECKS
        if self.tls:
            sizes["sequential"] = min(sizes["sequential"], SEQUENTIAL_BY_TLS)
            checks = tuple(check for check in CHECKS if check not in PLAIN_ONLY)
        given = ["--address", address, "--checks", ",".join(checks), "--idle", str(IDLE_S)]
        for name, number in sizes.items():
            given += [f"--{name}", str(number)]
        if ca is not None:
            given += ["--ca", str(ca)]
        return given


@dataclass
class Outcome:
    """What a run of a client program said."""

    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    words: str = ""

    def assert_ok(self, check: str) -> dict[str, Any]:
        """Fails with the client's reason."""
        line = self.lines.get(check)
        assert line is not None, f"the client said nothing of {check}:\n{self.words}"
        assert line["ok"], line["why"]
        return line

    def told(self, check: str) -> tuple[str, int]:
        """Why a check failed, empty when it did not, and how many calls it made."""
        line = self.lines.get(check)
        if line is None:
            return f"the client said nothing of {check}: {self.words}", 0
        return line["why"], line["calls"]


def read(output: bytes, words: bytes) -> Outcome:
    """Lines that are no JSON are the client's words, as everything on its stderr."""
    outcome = Outcome()
    texts = []
    for text in output.decode(errors="replace").splitlines():
        try:
            line = json.loads(text)
            outcome.lines[line["check"]] = line
        except (ValueError, KeyError, TypeError):
            texts.append(text)
    outcome.words = "\n".join([*texts, words.decode(errors="replace")])[-4000:]
    return outcome


def run(client: str, arguments: list[str], cwd: Path) -> Outcome:
    """Runs a client program to its end."""
    command = [*programs.CLIENTS[client].command, *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, cwd=cwd, timeout=PROGRAM_ENDS_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired as late:
        outcome = read(late.stdout or b"", late.stderr or b"")
        outcome.words += f"\nthe client did not end within {PROGRAM_ENDS_WITHIN_S} s"
        return outcome
    return read(done.stdout, done.stderr)
