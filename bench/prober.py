"""How long one more client waits: a process that asks the same thing again and again until it is told to end."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from bridge import favour
from measure import LOAD_CORE
from plain_http import Connection

PAUSE_S = 0.002


@dataclass(frozen=True)
class Waited:
    """Milliseconds of its calls."""

    calls: int
    median_ms: float
    longest_ms: float


class Prober:
    """Use as a context manager; ``waited`` once it ended."""

    def __init__(self, base: str, target: str, headers: Mapping[str, str]) -> None:
        arguments = json.dumps([base, target, dict(headers)])
        self._command = ["taskset", "-c", str(LOAD_CORE), sys.executable, __file__, arguments]
        self.waited = Waited(0, 0, 0)

    def __enter__(self) -> Prober:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(self._command, text=True, **pipes)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the prober got no answer")
        return self

    def __exit__(self, *error: object) -> None:
        out, _ = self._process.communicate("\n", timeout=30)
        if not error[0]:
            self.waited = Waited(**json.loads(out))


def _probe(base: str, target: str, headers: dict[str, str]) -> Waited:
    times: list[float] = []
    favour(os.getpid())
    with Connection(base) as connection:
        connection.call("GET", target, headers)
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
            began = time.perf_counter()
            answer = connection.call("GET", target, headers)
            times.append((time.perf_counter() - began) * 1000)
            if answer.status != 200:
                raise RuntimeError(f"it got {answer.status}")
    times.sort()
    return Waited(len(times), times[len(times) // 2], times[-1])


if __name__ == "__main__":
    print(json.dumps(_probe(*json.loads(sys.argv[1])).__dict__))
