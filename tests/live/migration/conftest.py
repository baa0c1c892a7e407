"""Our server as a process, a Eureka server of Spring Cloud, and an operator who has the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..conftest import build
from ..server import Server
from .peers import EurekaServer
from .programs import EUREKA


class Operator:
    """Calls ``/migration/v1`` of a server, and looks at what its clients see."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{server.http_port}/migration/v1", timeout=60)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.client.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def registry(self, kind: str, address: str, id: str = "old") -> None:
        spec = {"id": id, "kind": kind, "addresses": [address], "poll_s": 0.2, "timeout_s": 3}
        self.ask("POST", "/registries", spec)

    def run(self, source: str, target: str, id: str = "t", **more: Any) -> None:
        """Make a task, plan and apply."""
        self.ask("POST", "/tasks", {"id": id, "source": source, "target": target, "audit_s": 2, **more})
        plan = self.ask("POST", f"/tasks/{id}/plan")
        done = self.ask("POST", f"/tasks/{id}/apply", {"digest": plan["digest"]})
        assert done["failed"] == []

    def status(self, id: str = "t") -> Any:
        return self.ask("GET", f"/tasks/{id}")

    def seen(self, app: str) -> dict[str, dict[str, Any]]:
        """An application as Eureka clients of our server see it, by address."""
        url = f"http://127.0.0.1:{self.server.ports['service-eureka']}/eureka/apps/{app.upper()}"
        answer = httpx.get(url, headers={"Accept": "application/json"}, timeout=20)
        if answer.status_code == 404:
            return {}
        found = answer.json()["application"]["instance"]
        listed = {f"{i['ipAddr']}:{i['port']['$']}": i for i in found}
        assert len(listed) == len(found), "an instance is listed twice"
        return listed


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path, "service-eureka")
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def operator(server: Server) -> Iterator[Operator]:
    made = Operator(server)
    yield made
    made.client.close()


@pytest.fixture
def eureka(tmp_path: Path) -> Iterator[EurekaServer]:
    build(EUREKA)
    made = EurekaServer(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.close()
