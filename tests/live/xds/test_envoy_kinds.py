"""Envoys that are no plain sidecar: a gateway, one that fetches on demand, one that registers its application."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..conftest import build
from ..polaris.console import Console
from ..server import Server
from ..waiting import until
from . import rules
from .backends import HttpBackend
from .callers import CONNECTS_WITHIN_S
from .conftest import RUN
from .programs import ENVOY
from .sidecar import Sidecar, source

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]
NewBackend = Callable[[str], HttpBackend]
Start = Callable[..., Sidecar]


@pytest.fixture
def envoy(server: Server, tmp_path: Path) -> Iterator[Start]:
    """Starts Envoys that end with the test, having taken everything that they were sent."""
    build(ENVOY)
    made: list[Sidecar] = []

    def start(name: str, change: Callable[[Sidecar], None] = lambda _one: None, **more: Any) -> Sidecar:
        made.append(Sidecar(name, server.port, tmp_path / name, **more))
        change(made[-1])
        made[-1].start()
        return made[-1]

    try:
        yield start
        for one in made:
            assert one.complaints() == []
            assert one.warnings() == []
    finally:
        for one in made:
            one.close()


def test_a_gateway_goes_by_its_rules(envoy: Start, console: Console, service: str, http_backend: NewBackend) -> None:
    gateway = f"edge-{service}"
    for name in ("v1", "v2"):
        console.register(service, http_backend(name).port, metadata={"version": name})
    console.register(gateway, 1)
    paid = rules.route([rules.argument("PATH", "", "/pay")], rules.group(service, version="v2"))
    paid["sources"][0] |= {"service": gateway, "namespace": "default"}
    rule = console.add_rule(rules.ROUTINGS, rules.routing(service, paid))
    keys = {"gateway.polarismesh.cn/serviceName": gateway, "gateway.polarismesh.cn/serviceNamespace": "default"}
    one = envoy("gateway", run_type="gateway", metadata=keys)
    one.reaches("shop.example", {"v2"}, CONNECTS_WITHIN_S, path="/pay")
    assert one.get("shop.example", "/look").status_code == 503
    console.remove_rule(rules.ROUTINGS, rule)
    one.reaches("shop.example", {"503"}, path="/pay")


def test_connections_may_be_redirected_to_it(
    envoy: Start, console: Console, service: str, http_backend: NewBackend
) -> None:
    """As PolarisMesh starts it; a request that says whom it is for needs no redirection."""
    console.register(service, http_backend("a").port)
    one = envoy("redirected", style="polaris", metadata={"sidecar.polarismesh.cn/redirected": "true"})
    one.reaches(service, {"a"}, CONNECTS_WITHIN_S)
    assert one.get("elsewhere.example").status_code == 503


def test_clusters_on_demand(envoy: Start, console: Console, service: str, http_backend: NewBackend) -> None:
    """Nothing is fetched before somebody calls; then all follows as ever."""
    first = http_backend("first")
    console.register(service, first.port)
    one = envoy("demand", style="on demand", metadata={"sidecar.polarismesh.cn/openOnDemand": "true"})
    assert not any(service in name for name in one.stats(r"^cluster\..*membership_total$"))
    one.reaches(f"{service}.default", {"first"}, CONNECTS_WITHIN_S)
    console.register(service, http_backend("second").port)
    one.reaches(f"{service}.default", {"first", "second"})
    assert one.get("nobody.default").status_code == 503


def test_an_application_is_registered_by_its_envoy(
    envoy: Start, console: Console, service: str, http_backend: NewBackend
) -> None:
    mine = http_backend("mine")
    described = [
        {"name": service, "ports": {"TCP": [mine.port]}, "health_check_path": "/health", "health_check_port": mine.port}
    ]

    def reports(one: Sidecar) -> None:
        one.bootstrap["hds_config"] = source("GRPC")

    keys = {"sidecar.polarismesh.cn/registerServices": json.dumps(described)}
    one = envoy(f"hds-{RUN}", reports, metadata=keys)

    def healthy() -> bool | None:
        found = console.instances(service).get(mine.port)
        return None if found is None else bool(found["healthy"])

    until(lambda: healthy() is True, CONNECTS_WITHIN_S, "it is registered, and well")
    one.reaches(service, {"mine"})
    mine.fails = True
    until(lambda: healthy() is False, 30, "it is told to be sick")
    mine.fails = False
    until(lambda: healthy() is True, 30, "and well again")
