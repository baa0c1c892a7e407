"""A cluster with a MYSQL ``healthChecker``, through the whole server: what Nacos readers see of a database's state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ...server import Server, free_port
from ...waiting import until
from .database import PASSWORD, USER, MariaDb

TURNS_WITHIN_S = 40
"""The first probe within 7 s, three results, 3 s apart; and a busy machine."""
NAME = {"serviceName": "databases", "groupName": "DEFAULT_GROUP"}
PLACE = {**NAME, "clusterName": "DEFAULT", "ip": "127.0.0.1"}


class Nacos:
    """Our server, over its HTTP API."""

    def __init__(self, server: Server) -> None:
        self._url = f"http://127.0.0.1:{server.port}/nacos/v1/ns"

    def call(self, method: str, path: str, **params: Any) -> str:
        answer = httpx.request(method, self._url + path, params=params, timeout=5)
        assert answer.status_code == 200, answer.text
        return answer.text

    def register(self, port: int) -> None:
        assert self.call("POST", "/instance", **PLACE, port=port, ephemeral="false") == "ok"

    def check_with(self, **checker: Any) -> None:
        described = {"checkPort": 80, "useInstancePort4Check": "true", "healthChecker": json.dumps(checker)}
        assert self.call("PUT", "/cluster", **NAME, clusterName="DEFAULT", **described) == "ok"

    def healthy(self, port: int) -> bool:
        answer = httpx.get(f"{self._url}/instance/list", params=NAME, timeout=5).json()
        (host,) = (host for host in answer["hosts"] if host["port"] == port)
        healthy: bool = host["healthy"]
        return healthy


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path, "service-nacos")
    try:
        found.start()
        yield found
    finally:
        found.close()


def test_a_database_that_turns_into_a_replica_and_one_that_is_not_there(database: MariaDb, server: Server) -> None:
    nacos, nobody = Nacos(server), free_port()
    nacos.register(database.port)
    nacos.register(nobody)
    nacos.check_with(type="MYSQL", user=USER, pwd=PASSWORD, cmd="show global variables where variable_name='read_only'")
    assert nacos.healthy(database.port)
    assert nacos.healthy(nobody), "the state at the start is what was registered"
    until(lambda: not nacos.healthy(nobody), TURNS_WITHIN_S, "an address where nobody listens turns unhealthy")
    assert nacos.healthy(database.port)
    database.say("SET GLOBAL read_only=1")
    until(lambda: not nacos.healthy(database.port), TURNS_WITHIN_S, "a replica turns unhealthy")
    database.say("SET GLOBAL read_only=0")
    until(lambda: nacos.healthy(database.port), TURNS_WITHIN_S, "a primary turns healthy")


def test_a_wrong_password_and_its_correction(database: MariaDb, server: Server) -> None:
    nacos = Nacos(server)
    nacos.register(database.port)
    nacos.check_with(type="MYSQL", user=USER, pwd="wrong", cmd="select 1")
    until(lambda: not nacos.healthy(database.port), TURNS_WITHIN_S, "who is not let in finds it unhealthy")
    nacos.check_with(type="MYSQL", user=USER, pwd=PASSWORD, cmd="select 1")
    until(lambda: nacos.healthy(database.port), TURNS_WITHIN_S, "who is let in finds it healthy")
    assert "wrong" not in server.log.read_text()
    assert PASSWORD not in server.log.read_text()
