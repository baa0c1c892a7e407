"""A real Envoy asks us whether requests may go ahead, configured as polaris-server configures its ``rate_limits``."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..building import BuildFailedError, MissingToolsError
from ..conftest import lacking
from ..server import Server, free_port
from ..waiting import until
from .programs import ENVOY

SECONDS = 4.0
RULE = {"name": "pay", "namespace": "default", "service": "shop", "type": "GLOBAL", "method": {"value": "/pay"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"), "service-grpc")
    made.start()
    yield made
    made.close()


def matched(name: str, key: str, value: str) -> dict[str, Any]:
    """What polaris-server makes of a condition on a header, or on the path."""
    headers = [{"name": name, "string_match": {"exact": value}}]
    return {"header_value_match": {"descriptor_key": key, "descriptor_value": value, "headers": headers}}


TYPES = "type.googleapis.com/envoy.extensions."


def listener(name: str, port: int, host: dict[str, Any], *filters: dict[str, Any]) -> dict[str, Any]:
    """HTTP on a port of the loopback."""
    router = {"name": "router", "typed_config": {"@type": f"{TYPES}filters.http.router.v3.Router"}}
    manager = {
        "@type": f"{TYPES}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], **host}]},
        "http_filters": [*filters, router],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {"name": name, "address": at(port), "filter_chains": [chain]}


def cluster(name: str, port: int, **more: Any) -> dict[str, Any]:
    """A server of the loopback."""
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": at(port)}}]}]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        **more,
    }


def at(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def configuration(port: int, limiter: int, actions: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """A listener that asks, and one behind it that serves: what a listener answers itself is not limited."""
    behind = free_port()
    ask = {
        "@type": f"{TYPES}filters.http.ratelimit.v3.RateLimit",
        "domain": "shop.default",
        "timeout": "2s",
        "failure_mode_deny": True,
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "rate_limit_service": {
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": "limiter"}},
        },
    }
    passing = {
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "behind"}}],
        "rate_limits": [{"actions": each} for each in actions],
    }
    served = {"status": 200, "body": {"inline_string": "served"}}
    serving = {"routes": [{"match": {"prefix": "/"}, "direct_response": served}]}
    options = f"{TYPES}upstreams.http.v3.HttpProtocolOptions"
    http2 = {"@type": options, "explicit_http_config": {"http2_protocol_options": {}}}
    named = options.partition("/")[2]
    return {
        "static_resources": {
            "listeners": [
                listener("in", port, passing, {"name": "envoy.filters.http.ratelimit", "typed_config": ask}),
                listener("behind", behind, serving),
            ],
            "clusters": [
                cluster("limiter", limiter, typed_extension_protocol_options={named: http2}),
                cluster("behind", behind),
            ],
        }
    }


@contextmanager
def envoy(folder: Path, number: int, limiter: int, actions: list[list[dict[str, Any]]]) -> Iterator[str]:
    """Envoy as a process; its URL."""
    try:
        ENVOY.ready()
    except (MissingToolsError, BuildFailedError) as error:
        lacking(f"Envoy: {error}")
    port = free_port()
    file = folder / f"envoy-{number}.json"
    file.write_text(json.dumps(configuration(port, limiter, actions)))
    command = [*ENVOY.command, "-c", str(file), "--base-id", str(port), "--concurrency", "1", "-l", "warning"]
    with (folder / f"envoy-{number}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"

        def listens() -> bool:
            assert process.poll() is None, (folder / f"envoy-{number}.log").read_text()[-2000:]
            try:
                return httpx.get(f"{url}/ready", timeout=2).status_code < 500
            except httpx.TransportError:
                return False

        try:
            until(listens, 20, "Envoy serves")
            yield url
        finally:
            process.terminate()
            process.wait(10)


def put(server: Server, *rules: dict[str, Any]) -> None:
    """Make these the rules of the service."""
    url = f"http://127.0.0.1:{server.http_port}/naming/v1/ratelimits"
    listed = httpx.get(f"{url}?service=shop&namespace=default").json()["rateLimits"] or []
    if listed:
        httpx.post(f"{url}/delete", json=[{"id": rule["id"]} for rule in listed]).raise_for_status()
    httpx.post(url, json=list(rules)).raise_for_status()


def test_a_refusal_and_what_is_told_of_the_limit(server: Server, tmp_path: Path) -> None:
    user = {"type": "HEADER", "key": "x-user", "value": {"value": "u1"}}
    put(
        server,
        RULE | {"amounts": [{"maxAmount": 3, "validDuration": "60s"}], "custom_response": {"body": "pay later"}},
        RULE | {"name": "u1", "arguments": [user], "amounts": [{"maxAmount": 1, "validDuration": "60s"}]},
    )
    path = matched(":path", ":path", "/pay")
    actions = [[path], [path, matched("x-user", "header.x-user", "u1")]]
    with envoy(tmp_path, 1, server.port, actions) as url:
        assert httpx.get(f"{url}/other").status_code == 200
        first = httpx.get(f"{url}/pay", headers={"x-user": "u1"})
        assert (first.status_code, first.text) == (200, "served")
        assert first.headers["x-ratelimit-remaining"] == "0"
        second = httpx.get(f"{url}/pay", headers={"x-user": "u1"})
        assert second.status_code == 429
        assert "x-envoy-ratelimited" in second.headers
        rest = [httpx.get(f"{url}/pay") for _ in range(3)]
        assert [answer.status_code for answer in rest] == [200, 200, 429]
        assert rest[2].text == "pay later"
        assert rest[0].headers["x-ratelimit-limit"].startswith("3, 3;w=60")


def test_three_envoys_keep_one_limit(server: Server, tmp_path: Path) -> None:
    """Never more than the limit within any second, and nearly all of it in total, whatever each of them lets through."""
    amount = 50
    put(server, RULE | {"amounts": [{"maxAmount": amount, "validDuration": "1s"}]})
    actions = [[matched(":path", ":path", "/pay")]]
    passed: list[float] = []
    stop = threading.Event()

    def press(url: str) -> None:
        with httpx.Client() as client:
            while not stop.is_set():
                if client.get(f"{url}/pay").status_code == 200:
                    passed.append(time.monotonic())
                stop.wait(0.004)

    ports = (server.port, server.ports["service-limiter"], server.port)
    with (
        envoy(tmp_path, 1, ports[0], actions) as one,
        envoy(tmp_path, 2, ports[1], actions) as two,
        envoy(tmp_path, 3, ports[2], actions) as three,
    ):
        threads = [threading.Thread(target=press, args=(url,)) for url in (one, two, three)]
        for thread in threads:
            thread.start()
        stop.wait(SECONDS)
        stop.set()
        for thread in threads:
            thread.join(15)
    times = sorted(passed)
    # Seen from here answers are late by different amounts: windows of this clock are a little shorter than a second.
    most = max(bisect_left(times, start + 0.9) - at for at, start in enumerate(times))
    assert most <= amount
    assert len(times) >= 0.9 * amount * SECONDS
