"""A load of DNS questions over UDP from ``LOAD_CORE``, so many under way at once, each asked again when it was answered."""

from __future__ import annotations

import json
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bridge import fine_cpu_seconds
from measure import LOAD_CORE, median_of

_LOST_S = 1.0
"""Without an answer for so long, what is under way is asked again."""
_ID = struct.Struct("!H")


@dataclass(frozen=True)
class Asked:
    """What a load achieved."""

    answers: int
    duration_us: int
    lost: int
    wrong: int
    """Answers to nothing that was asked, or with another length than the first one's."""
    p50_us: int
    p99_us: int


@dataclass(frozen=True)
class Figure:
    """Median of several runs."""

    cpu_us: float
    per_second: float
    p50_us: float
    p99_us: float
    spread: float
    lost: int
    wrong: int


def ask(address: tuple[str, int], message: bytes, seconds: float, at_once: int = 32) -> Asked:
    """Ask the same again and again."""
    arguments = json.dumps([address, message.hex(), seconds, at_once])
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, __file__, arguments]
    return Asked(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def measure_dns(
    pid: int | None,
    address: tuple[str, int],
    message: bytes,
    *,
    seconds: float = 5,
    runs: int = 3,
    warm_up_s: float = 1,
) -> Figure:
    """Server CPU per answer: median of ``runs`` runs of ``seconds`` each after a warm-up. Without a process id: 0."""
    if warm_up_s:
        ask(address, message, warm_up_s)
    results: list[tuple[float, Asked]] = []
    for _ in range(runs):
        before = fine_cpu_seconds(pid) if pid else 0.0
        done = ask(address, message, seconds)
        spent = fine_cpu_seconds(pid) - before if pid else 0.0
        results.append((spent * 1e6 / max(1, done.answers), done))
    cpu = [cpu_us for cpu_us, _ in results]
    middle = median_of(results, lambda result: result[0])
    return Figure(
        middle,
        median_of(results, lambda result: result[1].answers * 1e6 / result[1].duration_us),
        median_of(results, lambda result: result[1].p50_us),
        median_of(results, lambda result: result[1].p99_us),
        (max(cpu) - min(cpu)) / middle if middle else 0.0,
        sum(done.lost for _, done in results),
        sum(done.wrong for _, done in results),
    )


def _connected(address: Sequence[object]) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((str(address[0]), int(str(address[1]))))
    sock.setblocking(False)
    return sock


def _load(address: Sequence[object], message: bytes, seconds: float, at_once: int) -> Asked:
    with _connected(address) as sock:
        return _by(sock, message, seconds, at_once)


def _by(sock: socket.socket, message: bytes, seconds: float, at_once: int) -> Asked:
    tail = message[2:]
    sent: dict[int, float] = {}
    latencies: list[float] = []
    answers = lost = wrong = 0
    length = 0
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    began = time.perf_counter()
    end = began + seconds
    number = 0
    while (now := time.perf_counter()) < end:
        while len(sent) < at_once:
            number = number + 1 & 0xFFFF
            sent[number] = now
            sock.send(_ID.pack(number) + tail)
        if not poll.poll(_LOST_S * 1000):
            lost += len(sent)
            sent.clear()
            continue
        now = time.perf_counter()
        for _ in range(at_once):
            try:
                data = sock.recv(65_535)
            except BlockingIOError:
                break
            asked = sent.pop(_ID.unpack_from(data)[0], None)
            if asked is None:
                wrong += 1
                continue
            length = length or len(data)
            wrong += len(data) != length
            answers += 1
            latencies.append(now - asked)
    latencies.sort()
    took = round((time.perf_counter() - began) * 1e6)
    p50, p99 = (round(latencies[len(latencies) * part // 100] * 1e6) if latencies else 0 for part in (50, 99))
    return Asked(answers, took, lost, wrong, p50, p99)


if __name__ == "__main__":
    where, text, how_long, many = json.loads(sys.argv[1])
    print(json.dumps(_load(where, bytes.fromhex(text), how_long, many).__dict__))
