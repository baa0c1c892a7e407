"""One registry: what comes by Eureka or Nacos is found by Consul's clients and by name, and the reverse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from ..eureka.registry import Registry as EurekaRegistry
from ..nacos.registry import Registry as NacosRegistry
from ..polaris.console import Console
from ..server import Server
from ..waiting import until
from .conftest import RUN
from .members import NOTICES_WITHIN_S, Member
from .names import Resolver
from .registry import HOST, Registry
from .telling import Watch, by_port, of_ports

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]
PORT, ANCHOR = 8001, 8009
CACHED_S = 10
"""Eureka's answers come from a cache that is renewed in this time."""


@pytest.fixture(scope="module")
def console(server: Server) -> Iterator[Console]:
    console = Console(f"http://127.0.0.1:{server.http_port}")
    yield console
    console.close()


def test_what_comes_by_nacos_is_found(
    members: list[Member], registry: Registry, nacos: NacosRegistry, names: Resolver
) -> None:
    service = f"from-nacos-{RUN}"
    nacos.register(service, ANCHOR)
    watches = [Watch(member, service=service) for member in members]
    for watch in watches:
        assert of_ports({ANCHOR})(watch.all()[-1]), watch.member.name
    nacos.register(service, PORT, weight=2.5, metadata={"stage": "live"})
    for watch in watches:
        told = watch.hears(of_ports({ANCHOR, PORT}), "it comes")
        seen = by_port(told)[PORT]
        assert (seen["address"], seen["status"], seen["meta"]["stage"]) == (HOST, "passing", "live"), watch.member.name
        assert seen["node"] == "polaris-bridge"
    entry = registry.entries(service)[PORT]
    assert [check["CheckID"] for check in entry["Checks"]][-1] == f"service:{entry['Service']['ID']}"
    assert names.addresses(f"{service}.service.consul") == {HOST}
    assert names.places(service) == {ANCHOR, PORT}
    assert service in registry.read("catalog/services")

    nacos.change(service, PORT, enabled="false")
    for watch in watches:
        watch.hears(
            lambda change: by_port(change).get(PORT, {}).get("status") == "maintenance", "disabled: being maintained"
        )
        assert set(watch.member.instances(service, passing=True)) == {ANCHOR}
    assert names.places(service) == {ANCHOR}
    nacos.change(service, PORT, enabled="true")
    for watch in watches:
        watch.member.sees(service, {ANCHOR, PORT}, passing=True)
    nacos.deregister(service, PORT)
    for watch in watches:
        watch.member.sees(service, {ANCHOR})
        watch.close()


def test_what_comes_by_eureka_is_found(
    members: list[Member], registry: Registry, eureka: EurekaRegistry, names: Resolver
) -> None:
    app = f"from-eureka-{RUN}"
    eureka.register(app, f"{app}:1", port=PORT, metadata={"stage": "live"})
    for member in members:
        seen = member.instances(app)[PORT]
        assert (seen["address"], seen["status"], seen["meta"]["stage"]) == (HOST, "passing", "live"), member.name
    assert names.places(app) == {PORT}
    eureka.override(app, f"{app}:1", "OUT_OF_SERVICE")
    assert registry.ports(app, passing=1) == set()
    assert names.ask(f"{app}.service.consul").status == "NXDOMAIN"
    eureka.end_override(app, f"{app}:1", "UP")
    assert names.places(app) == {PORT}
    eureka.cancel(app, f"{app}:1")
    assert registry.entries(app) == {}
    assert names.ask(f"{app}.service.consul").status == "NXDOMAIN"


def test_what_comes_natively_is_found(members: list[Member], console: Console, names: Resolver) -> None:
    service = f"from-polaris-{RUN}"
    console.register(service, PORT)
    for member in members:
        member.sees(service, {PORT}, passing=True)
    assert names.places(service) == {PORT}
    console.change(service, PORT, isolate=True)
    for member in members:
        member.sees(service, set(), passing=True)
    assert names.ask(f"{service}.service.consul").status == "NXDOMAIN"


def test_what_comes_by_consul_is_found(
    member: Member, registry: Registry, nacos: NacosRegistry, eureka: EurekaRegistry, console: Console
) -> None:
    service = f"to-others-{member.name}-{RUN}"
    more = {"meta": {"stage": "live"}} if member.client.metadata else {}
    instance_id = member.register(service, ttl="60s", status="passing", **more)
    check = f"service:{instance_id}"
    port = member.port

    seen = until(lambda: nacos.instances(service).get(port), NOTICES_WITHIN_S, "Nacos lists it")
    assert (seen["ip"], seen["healthy"], seen["enabled"], seen["weight"]) == (HOST, True, True, 1.0)
    native = until(lambda: console.instances(service).get(port), NOTICES_WITHIN_S, "the console lists it")
    assert (native["host"], native["healthy"], native["isolate"], native["weight"]) == (HOST, True, False, 100)
    if more:
        assert seen["metadata"]["stage"] == native["metadata"]["stage"] == "live"
    one = until(partial(in_eureka, eureka, service), NOTICES_WITHIN_S + CACHED_S, "Eureka lists it")
    assert (one["status"], one["ipAddr"]) == ("UP", HOST)

    member.ask("check", id=check, status="warning")
    assert nacos.instances(service)[port]["healthy"]
    member.ask("check", id=check, status="critical")
    until(lambda: not nacos.instances(service)[port]["healthy"], NOTICES_WITHIN_S, "critical: unhealthy")
    assert not console.instances(service)[port]["healthy"]
    member.ask("check", id=check, status="passing")
    until(lambda: nacos.instances(service)[port]["healthy"], NOTICES_WITHIN_S, "healthy again")
    member.ask("maintain", id=instance_id, enable=True, reason="live")
    until(lambda: console.instances(service)[port]["isolate"], NOTICES_WITHIN_S, "maintained: isolated")
    assert port not in nacos.instances(service)
    member.ask("maintain", id=instance_id, enable=False)
    until(lambda: port in nacos.instances(service), NOTICES_WITHIN_S, "back")
    member.ask("deregister", id=instance_id)
    until(lambda: port not in nacos.instances(service), NOTICES_WITHIN_S, "gone")
    assert console.instances(service) == {}


def in_eureka(eureka: EurekaRegistry, service: str) -> dict[str, object] | None:
    found = [one for one in eureka.all().values() if one["app"] == service.upper()]
    return found[0] if found else None


class TestFiles:
    """Keys below ``config/`` are the files of the configuration centre."""

    @pytest.fixture
    def files(self, server: Server) -> Iterator[httpx.Client]:
        """Nacos' side of them."""
        base = f"http://127.0.0.1:{server.ports['service-nacos']}/nacos/v1/cs/configs"
        with httpx.Client(base_url=base, timeout=10) as client:
            yield client

    def test_a_key_is_a_file(self, member: Member, files: httpx.Client) -> None:
        file, group = f"{member.name}-{RUN}.yaml", f"group-{RUN}"
        member.ask("put", key=f"config/{group}/{file}", value="limit: é 1")
        answer = until(partial(published, files, file, group), NOTICES_WITHIN_S, "Nacos has it")
        assert answer == "limit: é 1"
        member.ask("put", key=f"config/{group}/{file}", value="limit: 2")
        until(lambda: published(files, file, group) == "limit: 2", NOTICES_WITHIN_S, "Nacos has the change")
        member.ask("delete", key=f"config/{group}/{file}")
        until(lambda: published(files, file, group) is None, NOTICES_WITHIN_S, "it is gone")

    def test_a_file_is_a_key(self, member: Member, files: httpx.Client) -> None:
        file, group = f"back-{member.name}-{RUN}.json", f"group-{RUN}"
        key = f"config/{group}/{file}"
        watch = Watch(member, key=key)

        def publish(value: object) -> None:
            answer = files.post("", data={"dataId": file, "group": group, "content": json.dumps(value)})
            assert answer.text == "true", answer.text

        watch.expect_value(partial(publish, {"limit": 1}), '{"limit": 1}')
        watch.expect_value(partial(publish, {"limit": 2}), '{"limit": 2}')
        assert key in member.ask("keys", key=f"config/{group}/")["keys"]
        watch.expect_value(partial(files.delete, "", params={"dataId": file, "group": group}), None)
        watch.close()


def published(files: httpx.Client, file: str, group: str) -> str | None:
    answer = files.get("", params={"dataId": file, "group": group})
    return None if answer.status_code == 404 else answer.text
