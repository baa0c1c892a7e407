"""The wiring of one server: order of the start, listeners, limits, certificates, metrics, jobs."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from polaris_bridge.core.config.model import Change, FileKey
from polaris_bridge.core.model import Lease, Registration, ServiceKey
from polaris_bridge.runtime import server as wiring
from polaris_bridge.runtime.config import load
from polaris_bridge.runtime.server import Server
from polaris_bridge.storage import open_store
from polaris_bridge.testing import server

EUREKA = "apiservers.service-eureka.option"
DOCUMENT: dict[str, Any] = {
    "instanceId": "i1", "hostName": "h", "app": "APP", "ipAddr": "10.0.0.1", "status": "UP",
    "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
}  # fmt: skip


def call(url: str, method: str, target: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    host, port = url.removeprefix("http://").partition("/")[0].split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=8)
    try:
        connection.request(method, target, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


async def ask(url: str, method: str, target: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    return await asyncio.to_thread(call, url, method, target, body, **headers)


async def register(url: str, target: str = "/eureka/apps/APP", **members: Any) -> int:
    body = json.dumps({"instance": DOCUMENT | members}).encode()
    return (await ask(url, "POST", target, body, content_type="application/json"))[0]


async def until(condition: Callable[[], object], seconds: float = 8) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not come about"
        await asyncio.sleep(0.01)


async def sample(front: str) -> dict[str, float]:
    """Metrics: sample with labels -> value."""
    status, body = await ask(front, "GET", "/metrics")
    assert status == 200
    lines = [line.rpartition(" ") for line in body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


# ---------------------------------------------------------------- start and stop


@contextlib.asynccontextmanager
async def beginning(*sets: str) -> AsyncIterator[Server]:
    loaded = load(
        None,
        sets=[
            "apiservers.*.option.listenPort=0",
            "apiservers.service-consul.option.dnsPort=0",
            "store={name: memoryStore}",
            *sets,
        ],
        data_dir=Path("/nowhere"), listen="127.0.0.1",
    )  # fmt: skip
    made = Server(loaded.config)
    try:
        yield made
    finally:
        await made.stop()


async def test_nothing_is_bound_before_the_store_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def slow(*args: Any, **options: Any) -> Any:
        store = open_store(*args, **options)
        load_at_once = store.load

        def wait_and_load() -> Any:
            assert go.wait(20)
            return load_at_once()

        store.load = wait_and_load  # type: ignore[method-assign]
        return store

    monkeypatch.setattr(wiring, "open_store", slow)
    async with beginning() as made:
        starting = asyncio.create_task(made.start())
        await until(lambda: made._fronts and made.front_port)
        front = f"http://127.0.0.1:{made.front_port}"
        assert (await ask(front, "GET", "/livez"))[0] == 200
        status, body = await ask(front, "GET", "/readyz")
        assert (status, json.loads(body)["missing"]) == (503, ["store", "listeners"])
        assert (await ask(front, "GET", "/"))[0] == 503
        assert made.listeners == []
        go.set()
        await starting
        assert (await ask(front, "GET", "/readyz"))[0] == 200
        assert (await ask(front, "GET", "/"))[0] == 200
        assert [d.partition(" ")[0] for d in made.describe()] == [
            "service-eureka",
            "service-grpc",
            "config-grpc",
            "service-limiter",
            "xds-v3",
            "service-nacos",
            "service-nacos",
            "service-consul",
            "service-consul-dns",
            "api-http",
        ]


async def test_a_taken_port_ends_the_start_and_lets_go() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with beginning(f"{EUREKA}.listenPort={port}") as made:
            with pytest.raises(OSError, match=str(port)):
                await made.start()
            assert made.readiness.missing == ("listeners",)


def databases(folder: Path) -> list[Path]:
    return list(folder.rglob("*.db"))


async def test_state_lies_under_its_folder(tmp_path: Path) -> None:
    async with server(data=tmp_path) as first:
        assert await register(first.eureka) == 204
    assert databases(tmp_path)
    async with server(data=tmp_path) as second:
        assert (await ask(second.eureka, "PUT", "/eureka/apps/APP/i1"))[0] == 200


async def test_two_in_one_process() -> None:
    async with server() as one, server() as other:
        assert await register(one.eureka) == 204
        assert (await ask(other.eureka, "GET", "/eureka/apps/APP"))[0] == 404
        assert one.eureka != other.eureka


async def test_namespaces_are_there_from_the_first_start(tmp_path: Path) -> None:
    async with server(data=tmp_path) as running:
        await until(running.server.registry.namespaces)
        assert [n.name for n in running.server.registry.namespaces()] == ["default", "Polaris"]


# ---------------------------------------------------------------- listeners


TWO = (
    "apiservers=[{name: service-eureka, option: {listenPort: 0}}, "
    "{name: service-eureka, option: {listenPort: 0, namespace: prod, connLimit: {openConnLimit: true, maxConnPerHost: 1}}}, "
    "{name: api-http, option: {listenPort: 0}}]"
)


async def test_one_name_twice(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    async with server(sets=[TWO]) as running:
        first, second = (f"http://127.0.0.1:{x.port}" for x in running.server.listeners)
        assert await register(first) == 204
        assert await register(second, instanceId="i2") == 204
        found = {(s.key.namespace, s.key.name) for s in running.server.registry.services()}
        assert found == {("default", "app"), ("prod", "app")}
        held = [socket.create_connection(("127.0.0.1", running.server.listeners[1].port)) for _ in range(3)]
        others = [socket.create_connection(("127.0.0.1", running.server.listeners[0].port)) for _ in range(2)]
        await until(lambda: sum(running.server.listeners[1].counters().connections_refused.values()) == 2)
        for _ in range(3):
            running.server._tick()
        metrics = await sample(running.front)
        refused = {k: v for k, v in metrics.items() if k.startswith("polaris_bridge_connections_refused_total")}
        assert refused == {
            'polaris_bridge_connections_refused_total{listener="service-eureka",reason="max_conn_per_host"}': 2.0
        }
        assert metrics['polaris_bridge_connections{listener="service-eureka"}'] == 3.0
        for s in (*held, *others):
            s.close()
    assert caplog.records == []


@pytest.mark.parametrize(("address", "status"), [("127.0.0.1", 200), ("10.0.0.0/8", 403), ("127.0.0.0/8", 200)])
async def test_the_whitelist(address: str, status: int) -> None:
    async with server(sets=[f"plugin.whitelist={{name: whitelist, option: {{ip: [{address}]}}}}"]) as running:
        assert (await ask(running.eureka, "GET", "/eureka/apps"))[0] == status
        assert (await ask(running.eureka, "GET", "/eureka/status"))[0] == status
        assert (await ask(running.front, "GET", "/livez"))[0] == status


@pytest.mark.parametrize(("trusted", "believed"), [("[127.0.0.1]", True), ("[10.0.0.1]", False)])
async def test_trusted_proxies(trusted: str, believed: bool) -> None:
    sets = [f"{EUREKA}.trustedProxies={trusted}", "plugin.whitelist={name: whitelist, option: {ip: [10.1.2.3]}}"]
    async with server(sets=sets) as running:
        for target in ("/eureka/apps", "/eureka/vips/x"):
            status, _ = await ask(running.eureka, "GET", target, x_forwarded_for="10.1.2.3")
            assert status == (200 if believed else 403)


async def test_who_called_is_recorded() -> None:
    async with server() as running:
        seen = []
        running.server.registry.operations.append(seen.append)
        body = json.dumps({"instance": DOCUMENT}).encode()
        credentials = "Basic dXNlcjpwdw=="
        status, _ = await ask(
            running.eureka, "POST", "/eureka/apps/APP", body, content_type="application/json",
            authorization=credentials, discoveryidentity_id="10.0.0.7", user_agent="Java-EurekaClient/v1.10.18",
        )  # fmt: skip
        assert status == 204
        caller = seen[-1].caller
        assert (caller.protocol, caller.principal, caller.client, caller.address) == (
            "eureka",
            "user",
            "10.0.0.7",
            "127.0.0.1",
        )
        assert caller.agent == "Java-EurekaClient/v1.10.18"
        assert (seen[-1].operation, seen[-1].result) == ("register", "ok")


async def test_eureka_over_tls(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is needed to make a certificate")
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "1"]
    await asyncio.to_thread(
        subprocess.run, [*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True
    )
    async with server(sets=[f"{EUREKA}.tls={{certFile: {cert}, keyFile: {key}}}"]) as running:
        port = running.server.listeners[0].port
        context = ssl.create_default_context(cafile=str(cert))

        def get() -> tuple[int, bytes]:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=8, context=context)
            try:
                connection.request("GET", "/eureka/apps", headers={"Accept": "application/json"})
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        status, body = await asyncio.to_thread(get)
        assert status == 200
        assert json.loads(body)["applications"]["application"] == []
        assert running.server.describe()[0].split()[1].startswith("https://")
        running.server.reload()
        assert (await asyncio.to_thread(get))[0] == 200


# ---------------------------------------------------------------- metrics


async def test_metrics_of_real_traffic() -> None:
    async with server() as running:
        url = running.eureka
        assert await register(url) == 204
        assert await register(url, instanceId="i2", ipAddr="10.0.0.2", status="DOWN") == 204
        assert (await ask(url, "PUT", "/eureka/apps/APP/i1"))[0] == 200
        assert (await ask(url, "PUT", "/eureka/apps/APP/nobody"))[0] == 404
        assert (await ask(url, "PUT", "/eureka/apps/APP/i1?lastDirtyTimestamp=9999999999999999"))[0] == 404
        assert (await ask(url, "GET", "/eureka/apps"))[0] == 200
        assert (await ask(url, "GET", "/nothing"))[0] == 404
        assert (await ask(url, "GET", "/eureka/apps/%zz"))[0] == 400
        m = await sample(running.front)
        calls = {k: v for k, v in m.items() if k.startswith("polaris_bridge_requests_total")}

        def count(operation: str, code: int) -> float:
            return calls[f'polaris_bridge_requests_total{{code="{code}",operation="{operation}",protocol="eureka"}}']

        assert count("POST app", 204) == 2
        assert count("PUT instance", 200) == 1
        assert count("PUT instance", 404) == 2
        assert count("GET apps", 200) == 1
        assert m['polaris_bridge_heartbeats_total{protocol="eureka",result="ok"}'] == 1
        assert m['polaris_bridge_heartbeats_total{protocol="eureka",result="unknown"}'] == 2
        assert m['polaris_bridge_services{namespace="default",source="eureka"}'] == 1
        assert m['polaris_bridge_instances{namespace="default",source="eureka",state="healthy"}'] == 1
        assert m['polaris_bridge_instances{namespace="default",source="eureka",state="isolated"}'] == 1
        assert m["polaris_bridge_store_writes_waiting"] == 0
        assert m['polaris_bridge_store_duration_seconds_count{op="commit"}'] >= 2
        assert m["polaris_bridge_cache_revision"] == running.server.registry.revision
        assert m['polaris_bridge_self_protection{namespace="default"}'] == 0
        assert m['polaris_bridge_request_duration_seconds_count{operation="POST app",protocol="eureka"}'] == 2
        assert m["polaris_bridge_event_loop_lag_seconds"] >= 0
        own = socket.gethostname()
        statis = f'polaris_server_instance="{own}"'
        assert m[f'instance_online_count{{namespace="default",{statis},service="app"}}'] == 1
        assert m[f'instance_isolate_count{{namespace="default",{statis},service="app"}}'] == 1
        assert m[f'service_count{{namespace="default",{statis}}}'] == 1


async def test_expired_leases_are_counted() -> None:
    async with server(sets=["naming.selfProtection.open=false"]) as running:
        lease = {"durationInSecs": 1, "renewalIntervalInSecs": 1}
        assert await register(running.eureka, leaseInfo=lease) == 204
        await until(lambda: running.server.registry.counters.expired.get("eureka") == 1)
        running.server._tick()
        assert (await sample(running.front))['polaris_bridge_leases_expired_total{protocol="eureka"}'] == 1
        assert (await ask(running.eureka, "GET", "/eureka/apps/APP"))[0] == 404


# ---------------------------------------------------------------- jobs, plugins


async def test_maintain_jobs_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "JOBS_S", 0.05)
    jobs = "maintain.jobs=[{name: DeleteUnHealthyInstance, enable: true, option: {instanceDeleteTimeout: 1s}}]"
    async with server(sets=[jobs]) as running:
        registry = running.server.registry
        r = Registration("other", "default", "k", "s", "h", 80, liveness=Lease(100, 300, 0))
        registry.register(r, wiring.SYSTEM)
        await until(lambda: not registry.snapshot(ServiceKey("default", "s")).addresses)


async def test_old_history_goes_bit_by_bit_without_waiting_for_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "MORE_S", 0.01)
    jobs = "maintain.jobs=[{name: CleanConfigReleaseHistory, enable: true, option: {retentionDays: 1h, batchSize: 3}}]"
    async with server(sets=[jobs]) as running:
        registry, now_ms = running.server.registry, running.server.clock.wall_ms()
        monkeypatch.setattr(running.server.clock, "wall_ms", lambda: now_ms - 7_200_000)
        for n in range(10):
            key = FileKey("default", "g", "app.yaml")
            registry.config.releases.publish(key, wiring.SYSTEM, change=Change(b"%d" % n))
            registry.config.holders.report("silent", [(key, "")], via="x")
        monkeypatch.setattr(running.server.clock, "wall_ms", lambda: now_ms)
        registry.config.holders.report("heard of", [(key, "")], via="x")
        await until(lambda: registry.idle)
        assert registry.config.history.of(key).total == 10
        running.server._maintain()
        await until(lambda: registry.config.history.of(key).total == 0)
        await until(lambda: len(registry.config.reading.releases(key)) == 1)
        assert [holding.client for holding in registry.config.holders.of(key)] == ["heard of"]


async def test_a_round_that_fails_is_logged_and_comes_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wiring, "TICK_S", 0.02)
    async with server() as running:
        rounds: list[int] = []

        def broken() -> None:
            rounds.append(1)
            raise RuntimeError("on purpose")

        monkeypatch.setattr(running.server.registry, "tick", broken)
        await until(lambda: len(rounds) >= 2)
    assert "on purpose" in caplog.text
