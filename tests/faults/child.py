"""A server in a process of its own, and a client that says nothing it was not told to."""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
READY_S = 30.0
MY_OWN = {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports


def free_pair(*others: int) -> int:
    """A port that nobody listens on, nor on the one 1000 above it: Nacos' two. They are not among the others."""
    while True:
        (port,) = free_ports(1)
        if port + 1000 <= 65535 and not {port, port + 1000} & set(others):
            with socket.socket() as above:
                try:
                    above.bind(("127.0.0.1", port + 1000))
                except OSError:
                    continue
            return port


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Look again and again until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"within {seconds} s it did not come about: {what}"
        time.sleep(0.02)


class Child:
    """``polaris-bridge serve`` on loopback."""

    def __init__(
        self,
        folder: Path,
        *sets: str,
        ports: tuple[int, int] | None = None,
        nacos: int | None = None,
        ready: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        found = free_ports(8)
        self.port, self.front = ports or (found[0], found[1])
        self.grpc, self.config, self.consul, self.dns, self.limiter, self.xds = found[2:]
        self.nacos = nacos or free_pair(self.port, self.front, *found[2:])
        command = [
            *(sys.executable, "-m", "polaris_bridge", "serve", "--data", str(folder / "data"), "--listen", "127.0.0.1"),
            *("--set", f"apiservers.service-eureka.option.listenPort={self.port}"),
            *("--set", f"apiservers.api-http.option.listenPort={self.front}"),
            *("--set", f"apiservers.service-grpc.option.listenPort={self.grpc}"),
            *("--set", f"apiservers.config-grpc.option.listenPort={self.config}"),
            *("--set", f"apiservers.service-limiter.option.listenPort={self.limiter}"),
            *("--set", f"apiservers.xds-v3.option.listenPort={self.xds}"),
            *("--set", f"apiservers.service-nacos.option.listenPort={self.nacos}"),
            *("--set", f"apiservers.service-consul.option.listenPort={self.consul}"),
            *("--set", f"apiservers.service-consul.option.dnsPort={self.dns}"),
            *(part for value in sets for part in ("--set", value)),
        ]
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "output.txt").open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=os.environ | {"PYTHONPATH": str(ROOT)} | dict(env or {}),
            )  # fmt: skip
        if ready:
            self.wait_ready()

    @property
    def output(self) -> str:
        """What it wrote to its two streams, earlier processes in the folder included."""
        return (self.folder / "output.txt").read_text("utf-8", "replace")

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.output}"
            try:
                return ask(self.front, "GET", "/readyz")[0] == 200
            except OSError:
                return False

        until(ready, READY_S, "ready")

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait for its end; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end within 15 s: {self.output}") from None

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """No file of the process can grow, as on a full disk."""
        before = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (1, before[1]))
        try:
            yield
        finally:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, before)

    # ------------------------------------------------------------------ as an Eureka client

    def register(self, id: str, app: str = "APP", **members: Any) -> int:
        body = json.dumps({"instance": document(id, app) | members}).encode()
        return ask(self.port, "POST", f"/eureka/apps/{app}", body, {"Content-Type": "application/json"})[0]

    def renew(self, id: str, app: str = "APP") -> int:
        return ask(self.port, "PUT", f"/eureka/apps/{app}/{id}")[0]

    def apps(self) -> dict[str, Any]:
        """Instance id -> document."""
        status, body = ask(self.port, "GET", "/eureka/apps", headers={"Accept": "application/json"})
        assert status == 200
        return {i["instanceId"]: i for a in json.loads(body)["applications"]["application"] for i in a["instance"]}

    def metrics(self) -> dict[str, float]:
        """Sample with its labels as text -> value."""
        status, body = ask(self.front, "GET", "/metrics")
        assert status == 200
        pairs = re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", body.decode(), re.MULTILINE)
        return {name: float(value) for name, value in pairs}


def document(id: str, app: str = "APP") -> dict[str, Any]:
    return {
        "instanceId": id, "hostName": "h", "app": app, "ipAddr": "10.0.0.1", "status": "UP",
        "port": {"$": 8080, "@enabled": "true"}, "dataCenterInfo": MY_OWN, "lastDirtyTimestamp": 1,
    }  # fmt: skip


def ask(
    port: int, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
