"""Our server as people run it: a process of its own with the shipped configuration, a SQLite store and all its logs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from measure import SERVER_CORE, cpu_seconds, rss_bytes
from plain_http import Connection

ROOT = Path(__file__).resolve().parent.parent


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def free_pair(*others: int) -> int:
    """A port nobody listens on just now, nor on the one 1000 above it. They are not among the others."""
    while True:
        (port,) = free_ports(1)
        if port + 1000 <= 65535 and not {port, port + 1000} & set(others):
            with socket.socket() as above:
                try:
                    above.bind(("127.0.0.1", port + 1000))
                except OSError:
                    continue
            return port


class Bridge:
    """A running server, pinned to ``SERVER_CORE``. ``data`` is its folder; without one it gets a new, passing one."""

    def __init__(self, data: Path | None = None, *, ready_within_s: float = 120, options: Sequence[str] = ()) -> None:
        """``options``: more of ``--set``."""
        self._scratch = None if data else tempfile.TemporaryDirectory(prefix="bench-")
        self.data = data or Path(self._scratch.name)
        eureka, front, grpc, config, consul, dns, limiter, xds = free_ports(8)
        self.eureka = f"http://127.0.0.1:{eureka}"
        """Base URL of the Eureka port, without ``/eureka``."""
        self.front = f"http://127.0.0.1:{front}"
        self.grpc = f"127.0.0.1:{grpc}"
        """Address of the native gRPC port."""
        self.config = f"127.0.0.1:{config}"
        """Address of the native gRPC port of the configuration centre."""
        self.limiter = f"127.0.0.1:{limiter}"
        """Address of the limiter's own gRPC port."""
        self.xds = f"127.0.0.1:{xds}"
        """Address of the xDS port."""
        nacos = free_pair(eureka, front, grpc, config, consul, dns, limiter, xds)
        self.nacos = f"127.0.0.1:{nacos}"
        """Address of the Nacos HTTP port; gRPC is 1000 above."""
        self.consul = f"127.0.0.1:{consul}"
        """Address of the Consul HTTP port."""
        self.dns = f"127.0.0.1:{dns}"
        """Address of the DNS port, UDP and TCP."""
        settings = {
            "service-eureka": eureka,
            "api-http": front,
            "service-grpc": grpc,
            "config-grpc": config,
            "service-limiter": limiter,
            "xds-v3": xds,
            "service-nacos": nacos,
            "service-consul": consul,
        }
        sets = [
            part for name, port in settings.items() for part in ("--set", f"apiservers.{name}.option.listenPort={port}")
        ]
        sets += ["--set", f"apiservers.service-consul.option.dnsPort={dns}"]
        sets += [part for option in options for part in ("--set", option)]
        command = [
            sys.executable,
            "-m",
            "polaris_bridge",
            "serve",
            "--data",
            str(self.data),
            "--listen",
            "127.0.0.1",
            *sets,
        ]
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - until stop
        began = time.monotonic()
        self._process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=self._complaints
        )
        self.pid = self._process.pid
        try:
            self._await_ready(began + ready_within_s)
        except BaseException:
            self.stop()
            raise
        self.start_cpu_s = cpu_seconds(self.pid)
        """CPU seconds from the first instruction to ready."""
        self.start_wall_s = time.monotonic() - began

    def _await_ready(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                self._complaints.seek(0)
                raise RuntimeError(f"the server ended at its start: {self._complaints.read().decode()[-2000:]}")
            try:
                with Connection(self.front, 30) as connection:
                    if connection.call("GET", "/readyz").status == 200:
                        return
            except OSError:
                pass  # not listening yet
            time.sleep(0.02)
        raise RuntimeError("the server did not get ready")

    @property
    def rss(self) -> int:
        """Its resident size now, in bytes."""
        return rss_bytes(self.pid)

    def stall_ms(self) -> float:
        """The longest stall of its event loop since this was last asked."""
        with Connection(self.front) as connection:
            text = connection.call("GET", "/metrics").body.decode()
        found = re.search(r'polaris_bridge_event_loop_stall_seconds\{since="scrape"\} (\S+)', text)
        if found is None:
            raise RuntimeError("/metrics has no polaris_bridge_event_loop_stall_seconds")
        return float(found[1]) * 1000

    def stop(self) -> None:
        """SIGTERM, SIGKILL after 15 s; a passing folder goes."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._complaints.close()
        if self._scratch is not None:
            self._scratch.cleanup()

    def __enter__(self) -> Bridge:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def fine_cpu_seconds(pid: int) -> float:
    """User + system time of a process, all threads, in nanosecond steps (``/proc`` counts in steps of 10 ms).

    Linux names the CPU clock of another process by its id: see clock_getcpuclockid(3).
    """
    return time.clock_gettime((~pid << 3) | 2)


def pin_process(pid: int, core: int) -> None:
    """Bind every thread of a process to one core."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {core})


def favour(pid: int) -> bool:
    """Let a process run whenever it can, whatever else runs on this machine, so that a latency is its own.

    By real-time scheduling, since a nice value only counts within one session; the main thread, which runs the event
    loop, goes before the others, as it would on a core of its own. False when that is not permitted.
    """
    try:
        for thread in map(int, os.listdir(f"/proc/{pid}/task")):
            os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(2 if thread == pid else 1))
    except PermissionError:
        return False
    return True
