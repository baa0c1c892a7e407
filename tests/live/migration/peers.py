"""Registries to migrate from and to: Spring Cloud's Eureka server as a process that can be stopped, frozen and killed."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx

from ..server import STOPS_WITHIN_S, free_port
from ..waiting import until
from .programs import EUREKA

STARTS_WITHIN_S = 120
SETTINGS = {
    "eureka.client.register-with-eureka": "false",
    "eureka.client.fetch-registry": "false",
    "eureka.server.use-read-only-response-cache": "false",
    "eureka.server.enable-self-preservation": "false",
    "eureka.server.eviction-interval-timer-in-ms": "1000",
    "eureka.server.wait-time-in-ms-when-sync-empty": "0",
    "spring.main.banner-mode": "off",
    "server.address": "127.0.0.1",
}
"""No caches and no waiting at the start: what is tested is what a server does, not how late it says so."""


class EurekaClients:
    """What applications and operators do with a Eureka server, ours or a real one."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def register(self, app: str, host: str, port: int, *, duration_s: int = 600, **metadata: str) -> None:
        """As a client does it; its lease is long, for nobody renews it."""
        info = {
            "instanceId": f"{host}:{app}:{port}",
            "hostName": host,
            "app": app.upper(),
            "ipAddr": host,
            "vipAddress": app,
            "status": "UP",
            "port": {"$": port, "@enabled": "true"},
            "securePort": {"$": 443, "@enabled": "false"},
            "dataCenterInfo": {
                "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
                "name": "MyOwn",
            },
            "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": duration_s},
            "metadata": metadata,
        }
        answer = self.client.post(f"/apps/{app.upper()}", json={"instance": info})
        assert answer.status_code == 204, answer.text

    def deregister(self, app: str, host: str, port: int) -> None:
        assert self.client.delete(f"/apps/{app.upper()}/{host}:{app}:{port}").status_code == 200

    def override(self, app: str, host: str, port: int, word: str | None) -> None:
        """An operator's status; None ends it."""
        path = f"/apps/{app.upper()}/{host}:{app}:{port}/status"
        answer = (
            self.client.delete(path, params={"value": "UP"})
            if word is None
            else self.client.put(path, params={"value": word})
        )
        assert answer.status_code == 200

    def instances(self) -> dict[str, dict[str, Any]]:
        """Everything that is listed, by instance id."""
        answer = self.client.get("/apps", headers={"Accept": "application/json"})
        applications = answer.json()["applications"]["application"]
        return {i["instanceId"]: i for a in applications for i in a["instance"]}


class EurekaServer(EurekaClients):
    """One of them, on a port that it keeps."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log = folder / "eureka.log"
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__(httpx.Client(base_url=self.url, timeout=20))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/eureka"

    def start(self) -> None:
        """Returns when it answers. It always begins empty."""
        command = [*EUREKA.command, f"--server.port={self.port}", *(f"--{k}={v}" for k, v in SETTINGS.items())]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, STARTS_WITHIN_S, "the Eureka server answers")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text(errors="replace")[-3000:]
        try:
            return httpx.get(f"{self.url}/apps", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def send(self, what: signal.Signals) -> None:
        """SIGSTOP, SIGCONT, SIGKILL."""
        assert self._process is not None
        self._process.send_signal(what)
        if what is signal.SIGKILL:
            self._process.wait(STOPS_WITHIN_S)

    def close(self) -> None:
        self.client.close()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
