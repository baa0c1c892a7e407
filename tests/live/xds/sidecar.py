"""A real Envoy as a sidecar of PolarisMesh: its bootstrap in the three ways it is written, the process, and calls through it."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from ..envoy.programs import ENVOY
from ..server import free_ports
from ..waiting import until
from .callers import CHANGES_WITHIN_S, Outcome, settled

STARTS_WITHIN_S = 30
STYLES = ("sotw", "delta", "polaris")
"""ADS state of the world, ADS incremental (the node is told once), and as PolarisMesh writes it: incremental, with listeners on a
stream of their own. There is ``on demand`` as well."""
SERVER = "polaris_xds_server"
LIMITER = "polaris_ratelimit"
Document = dict[str, Any]


def at(port: int) -> Document:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def http2_cluster(name: str, port: int) -> Document:
    """A gRPC server of the loopback."""
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": at(port)}}]}]
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {"@type": f"type.googleapis.com/{options}", "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        "typed_extension_protocol_options": {options: http2},
    }


def source(api_type: str, **more: Any) -> Document:
    """The server, by gRPC."""
    return {
        "api_type": api_type,
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": SERVER}}],
        **more,
    }


ADS: Document = {"resource_api_version": "V3", "ads": {}}


def dynamic_resources(style: str) -> Document:
    """Where resources come from. On demand no cluster is asked for before somebody calls it."""
    api_type = "GRPC" if style == "sotw" else "DELTA_GRPC"
    if style == "delta":
        return {
            "ads_config": source(api_type, set_node_on_first_message_only=True),
            "cds_config": ADS,
            "lds_config": ADS,
        }
    own: Document = {"resource_api_version": "V3", "api_config_source": source(api_type)}
    found = {"ads_config": source(api_type), "cds_config": ADS, "lds_config": ADS if style == "sotw" else own}
    if style == "on demand":
        del found["cds_config"]
    return found


class Sidecar:
    """One process. ``service`` is whom it stands before, whose rules its inbound listener keeps; ``metadata`` is of the node."""

    def __init__(
        self,
        name: str,
        port: int,
        folder: Path,
        *,
        style: str = "sotw",
        service: str = "",
        namespace: str = "default",
        run_type: str = "sidecar",
        locality: tuple[str, str, str] = ("", "", ""),
        metadata: dict[str, str] | None = None,
    ) -> None:
        self.outbound, self.inbound, self._admin = free_ports(3)
        self._folder, self.name = folder, name
        region, zone, sub_zone = locality
        told = {
            "sidecar.polarismesh.cn/serviceName": service or name,
            "sidecar.polarismesh.cn/serviceNamespace": namespace,
            "sidecar.polarismesh.cn/outboundPort": str(self.outbound),
            "sidecar.polarismesh.cn/inboundPort": str(self.inbound),
            "sidecar.polarismesh.cn/listenAddress": "127.0.0.1",
            "sidecar.polarismesh.cn/redirected": "false",
            "gateway.polarismesh.cn/listenPort": str(self.outbound),
            **(metadata or {}),
        }
        self.node: Document = {
            "id": f"{run_type}~{namespace}/{name}~127.0.0.1",
            "cluster": name,
            "metadata": told,
            "locality": {"region": region, "zone": zone, "sub_zone": sub_zone},
        }
        self.bootstrap: Document = {
            "node": self.node,
            "admin": {"address": at(self._admin)},
            "dynamic_resources": dynamic_resources(style),
            "static_resources": {"clusters": [http2_cluster(SERVER, port), http2_cluster(LIMITER, port)]},
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(timeout=10)

    def show(self, key: str, value: str) -> None:
        """Sends metadata with every stream; before it is started."""
        sources = [self.bootstrap["dynamic_resources"]["ads_config"]]
        own = self.bootstrap["dynamic_resources"]["lds_config"].get("api_config_source")
        for each in sources if own is None else [*sources, own]:
            each["grpc_services"][0]["initial_metadata"] = [{"key": key, "value": value}]

    def start(self) -> None:
        """Returns when Envoy is ready: everything that it waits for was sent."""
        self.launch()
        until(self._is_ready, STARTS_WITHIN_S, f"Envoy {self.name} is ready")

    def launch(self) -> None:
        """Returns when the process runs; what it waits for may never come."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "bootstrap.json"
        file.write_text(json.dumps(self.bootstrap))
        command = [*ENVOY.command, "-c", str(file), "--concurrency", "1", "-l", "warning", "--disable-hot-restart"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(lambda: self._readiness() > 0, STARTS_WITHIN_S, f"Envoy {self.name} runs")

    def close(self) -> None:
        self._http.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def _log(self) -> Path:
        return self._folder / "envoy.log"

    def _is_ready(self) -> bool:
        return self._readiness() == httpx.codes.OK

    def _readiness(self) -> int:
        """Status of its admin port; 0: none yet."""
        assert self._process is not None
        assert self._process.poll() is None, self.said()[-4000:]
        try:
            return httpx.get(f"http://127.0.0.1:{self._admin}/ready", timeout=2).status_code
        except httpx.TransportError:
            return 0

    def get(self, host: str, path: str = "/", inbound: bool = False, **headers: str) -> httpx.Response:
        """One request, as an application's reaches its sidecar (or another's reaches this one's)."""
        port = self.inbound if inbound else self.outbound
        dashed = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._http.get(f"http://127.0.0.1:{port}{path}", headers={"host": host, **dashed})

    def call(self, host: str, times: int = 12, path: str = "/", inbound: bool = False, **headers: str) -> Outcome:
        """Requests one after the other: bodies of good ones, and how often each bad status came."""
        answers, failures, reason = Counter[str](), Counter[str](), ""
        for _ in range(times):
            answer = self.get(host, path, inbound, **headers)
            if answer.status_code == 200:
                answers[answer.text] += 1
            else:
                failures[str(answer.status_code)] += 1
                reason = answer.text
        return Outcome(answers, failures, reason)

    def reaches(
        self, host: str, names: set[str], within_s: float = CHANGES_WITHIN_S, times: int = 12, **headers: Any
    ) -> Outcome:
        """Returns as soon as a dozen requests are answered by exactly these (or with these statuses)."""
        return settled(lambda: self.call(host, times, **headers), names, within_s, f"{self.name} asks for {host}")

    def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose name matches."""
        text = self._ask("stats", filter=pattern).text
        pairs = (line.partition(": ") for line in text.splitlines())
        return {name: int(value) for name, _, value in pairs if value.isdigit()}

    def complaints(self) -> list[str]:
        """Everything that Envoy refused: updates, and resources with their error."""
        refused = [
            f"{name}: {count}" for name, count in self.stats(r"update_rejected|init_fetch_timeout").items() if count
        ]
        return refused + list(error_states(self._ask("config_dump", include_eds="").json()))

    def said(self) -> str:
        """Its log."""
        return self._log.read_text(errors="replace")

    def warnings(self) -> list[str]:
        """Lines of the log that speak of what we sent: deprecated fields, refused updates."""
        lines = self.said().splitlines()
        return [line for line in lines if "deprecated" in line.lower() or "rejected" in line or "[critical]" in line]

    def _ask(self, path: str, **query: str) -> httpx.Response:
        answer = self._http.get(f"http://127.0.0.1:{self._admin}/{path}", params=query)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        return answer


def error_states(dumped: Any) -> list[str]:
    """Every ``error_state`` of a dump."""
    if isinstance(dumped, list):
        return [found for each in dumped for found in error_states(each)]
    if not isinstance(dumped, dict):
        return []
    own = [str(dumped["error_state"])] if "error_state" in dumped else []
    return own + [found for each in dumped.values() for found in error_states(each)]
