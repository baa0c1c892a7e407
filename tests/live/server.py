"""The server under test as a process that can be ended in every way and started again on the same data."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx

from .waiting import until

ROOT = Path(__file__).resolve().parents[2]
# Every listener of the shipped configuration: on ports of its own, several servers run beside each other.
LISTENERS = (
    "service-eureka",
    "api-http",
    "service-grpc",
    "config-grpc",
    "service-limiter",
    "xds-v3",
    "service-nacos",
    "service-consul",
)
PAIR_OFFSET = 1000
STOPS_WITHIN_S = 10
STARTS_WITHIN_S = 30


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different ones: asked for one after the other, the same port may come twice."""
    with ExitStack() as stack:
        return [bound(stack, 0) for _ in range(count)]


def free_pair() -> int:
    """A free port whose neighbour ``PAIR_OFFSET`` above is free too: Nacos' clients reckon with both."""
    while True:
        with ExitStack() as stack:
            port = bound(stack, 0)
            try:
                bound(stack, port + PAIR_OFFSET)
            except (OSError, OverflowError):
                continue
            return port


def free_listeners() -> dict[str, int]:
    """A free port for each listener, all of them different; Nacos' one is the lower of a pair."""
    with ExitStack() as stack:
        ports = {name: bound(stack, 0) for name in LISTENERS}
        while True:
            ports["service-nacos"] = bound(stack, 0)
            with suppress(OSError, OverflowError):
                bound(stack, ports["service-nacos"] + PAIR_OFFSET)
                return ports


def bound(stack: ExitStack, port: int) -> int:
    """Takes a port of the loopback until the stack ends. Raises OSError or OverflowError when it is not to be had."""
    probe = stack.enter_context(socket.socket())
    probe.bind(("127.0.0.1", port))
    return int(probe.getsockname()[1])


class Server:
    """``polaris-bridge serve`` with the shipped configuration, each listener on a free port that it keeps.

    Nacos' gRPC is ``PAIR_OFFSET`` above its port.
    ``listener`` is the name of the protocol listener that the tests are about; ``settings`` are further ``--set`` values.
    """

    def __init__(self, folder: Path, listener: str, settings: tuple[str, ...] = ()) -> None:
        self.ports = free_listeners()
        self.port = self.ports[listener]
        self.http_port = self.ports["api-http"]
        self.dns_port = free_port()
        self._folder = folder
        self._settings = (
            *(f"apiservers.{name}.option.listenPort={port}" for name, port in self.ports.items()),
            f"apiservers.service-consul.option.dnsPort={self.dns_port}",
            "auth.user.option.seedDefaultAdmin=true",
            "auth.strategy.option.consoleOpen=false",
            *settings,
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the process printed, over all its starts."""
        return self._folder / "server.log"

    def start(self) -> None:
        """Starts on the data of the last run and returns when ready."""
        command = [sys.executable, "-m", "polaris_bridge", "serve"]
        command += ["--data", str(self._folder / "data"), "--listen", "127.0.0.1"]
        for setting in self._settings:
            command += ["--set", setting]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        until(self._is_ready, STARTS_WITHIN_S, "GET /readyz answers 200")

    def end(self, ending: signal.Signals) -> int:
        """Sends the signal and returns the exit code (negative: died of that signal)."""
        process = self._running()
        process.send_signal(ending)
        return process.wait(STOPS_WITHIN_S)

    def close(self) -> None:
        """Ends the process if it still runs."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

    def _is_ready(self) -> bool:
        code = self._running().poll()
        if code is not None:
            raise AssertionError(f"the server ended with {code} while starting:\n{self.last_words()}")
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.http_port}/readyz", timeout=2)
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    def last_words(self) -> str:
        """The end of the log, for a failure's message."""
        with self.log.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 4000))
            return log.read().decode(errors="replace")
