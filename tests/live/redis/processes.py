"""Real Redis servers, sentinels and clusters on free ports, each ended with its test."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from ..conftest import lacking
from ..server import free_port, free_ports
from ..waiting import until

ANSWERS_WITHIN_S = 10


class Redis:
    """One process of ``redis-server``, or with ``sentinel`` of a sentinel, that keeps its port over restarts."""

    def __init__(
        self,
        folder: Path,
        *lines: str,
        sentinel: bool = False,
        secret: dict[str, str] | None = None,
        port: int = 0,
        bus: int | None = None,
    ) -> None:
        program = shutil.which("redis-server")
        if program is None:
            lacking("redis-server is not installed")
        self.port = port or free_port()
        self.bus = bus
        """The port that nodes of a cluster use among themselves."""
        self._secret = secret or {}
        self._folder = folder / f"redis-{self.port}"
        self._folder.mkdir()
        file = self._folder / "redis.conf"
        own = (f"port {self.port}", "bind 127.0.0.1", f"dir {self._folder}", 'logfile "redis.log"')
        kept = () if sentinel else ('save ""', "appendonly no")
        between = () if bus is None else (f"cluster-port {bus}",)
        file.write_text("\n".join((*own, *kept, *between, *lines)) + "\n")
        self._command = [program, str(file), *(["--sentinel"] if sentinel else [])]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def client(self, db: int = 0) -> redis.Redis:
        """A client to look at what is stored."""
        return redis.Redis(port=self.port, db=db, decode_responses=True, socket_timeout=2, **self._secret)

    def stored(self) -> list[str]:
        """Every key that this node holds."""
        with self.client() as client:
            return list(client.scan_iter())

    def start(self) -> None:
        """Start, on an empty store, and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, ANSWERS_WITHIN_S, f"redis at {self.address} answers")

    def kill(self) -> None:
        """As if its machine had lost power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False


@contextmanager
def running(*processes: Redis) -> Iterator[None]:
    """All of them, from here to the end."""
    try:
        for process in processes:
            process.start()
        yield
    finally:
        for process in processes:
            process.kill()


def cluster(folder: Path) -> list[Redis]:
    """Three nodes that are to share the slots among them; ``join`` makes them one when they run.

    The port they talk to each other by is named, because its default is the client port + 10,000, which may be above 65535.
    """
    ports = free_ports(6)
    lines = ("cluster-enabled yes", "cluster-node-timeout 2000")
    return [Redis(folder, *lines, port=port, bus=bus) for port, bus in zip(ports[:3], ports[3:], strict=True)]


def join(nodes: list[Redis]) -> None:
    """Give every node its part of the slots and introduce them to each other."""
    share = 16384 // len(nodes)
    for number, node in enumerate(nodes):
        last = 16383 if number == len(nodes) - 1 else (number + 1) * share - 1
        with node.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * share, last)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port, nodes[0].bus)
    for node in nodes:
        until(lambda node=node: _joined(node, len(nodes)), 30, "the cluster stands")


def _joined(node: Redis, nodes: int) -> bool:
    with node.client() as client:
        info = client.execute_command("CLUSTER", "INFO")
    text = "\n".join(f"{k}:{v}" for k, v in info.items()) if isinstance(info, dict) else str(info)
    return "cluster_state:ok" in text and f"cluster_known_nodes:{nodes}" in text
