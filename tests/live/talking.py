"""A client program as a running process: a line in, one JSON line out."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

STARTS_WITHIN_S = 60
ANSWERS_WITHIN_S = 30

Answer = dict[str, Any]


class Talker:
    """One process of a program that says ``{"ready": true}`` and then answers each line with one line."""

    def __init__(self, name: str, command: list[str], cwd: Path, log: Path) -> None:
        self.name = name
        self._command, self._cwd, self._log = command, cwd, log
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[Answer | None] = queue.Queue()
        self._turn = threading.Lock()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Starts the process; ``greet`` waits for it."""
        self._answers = queue.Queue()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=self._cwd
            )
        threading.Thread(target=collect, args=(self._process, self._answers), daemon=True).start()

    def greet(self) -> None:
        """Returns when the library has started."""
        answer = self._next_answer(STARTS_WITHIN_S)
        assert answer == {"ready": True}, (self.name, answer)

    def say(self, line: str) -> Answer:
        """Sends a line and returns its answer, which may be an error. Threads take turns."""
        assert self._process is not None
        assert self._process.stdin is not None
        with self._turn:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
            return self._next_answer(ANSWERS_WITHIN_S)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def wait(self) -> int:
        """The exit code of a process that ends by itself."""
        assert self._process is not None
        return self._process.wait(ANSWERS_WITHIN_S)

    def close(self) -> None:
        """Kills what still runs."""
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()

    def _next_answer(self, within_s: float) -> Answer:
        try:
            answer = self._answers.get(timeout=within_s)
        except queue.Empty:
            answer = None
        if answer is None:
            state = "runs" if self.running else "has ended"
            log = self._log.read_text(errors="replace")[-4000:]
            raise AssertionError(f"{self.name} {state} and does not answer:\n{log}")
        return answer


def collect(process: subprocess.Popen[bytes], answers: queue.Queue[Answer | None]) -> None:
    """Reads the answers of a process until it ends, which is told by None."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            answers.put(json.loads(line))
    answers.put(None)
