"""A real Envoy in front of the echo server: its configuration, and the process."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx

from ..server import free_port
from ..waiting import until
from . import programs
from .server import EchoServer

STARTS_WITHIN_S = 30
EXTENSIONS = "type.googleapis.com/envoy.extensions"
ECHO = "echo"
# As many calls at once as the clients make, and silence and answers of any length.
UNLIMITED = {"thresholds": [{"max_requests": 10_000, "max_pending_requests": 10_000}]}


def socket_address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def asking_echo(**more: Any) -> dict[str, Any]:
    """Envoy's own gRPC client, calling the echo server; by itself it waits 200 ms, too little for a thousand at once."""
    service = {"envoy_grpc": {"cluster_name": ECHO}, "timeout": "20s"}
    return {"transport_api_version": "V3", "grpc_service": service, **more}


def cluster(server: EchoServer) -> dict[str, Any]:
    """The echo server, asked every second by the standard health service whether it serves."""
    described: dict[str, Any] = {
        "name": ECHO,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": UNLIMITED,
        "load_assignment": {
            "cluster_name": ECHO,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(server.port)}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": {"connection_keepalive": {"interval": "1s", "timeout": "5s"}}
                },
            }
        },
        "health_checks": [
            {
                "timeout": "5s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                "healthy_threshold": 1,
                "unhealthy_threshold": 1,
                "grpc_health_check": {"service_name": "live.Echo"},
            }
        ],
    }
    if server.certificate is not None:
        described["transport_socket"] = {
            "name": "tls",
            "typed_config": {
                "@type": f"{EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2"],
                    "validation_context": {"trusted_ca": {"filename": str(server.certificate.ca)}},
                },
            },
        }
    return described


def proxy(port: int) -> dict[str, Any]:
    """Passes every call on once the echo server has allowed it, and tells it of all that passed."""
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": ECHO, "timeout": "0s"}}]
    authorization = {
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {"@type": f"{EXTENSIONS}.filters.http.ext_authz.v3.ExtAuthz"} | asking_echo(),
    }
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"},
    }
    told = {
        "name": "envoy.access_loggers.http_grpc",
        "typed_config": {
            "@type": f"{EXTENSIONS}.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
            "common_config": asking_echo(log_name="live"),
        },
    }
    connections = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "live",
        "codec_type": "HTTP2",
        "stream_idle_timeout": "0s",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [authorization, router],
        "access_log": [told],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connections}]}
    return {"name": "live", "address": socket_address(port), "filter_chains": [chain]}


class Envoy:
    """One process, whose clusters come from the echo server as well."""

    def __init__(self, server: EchoServer, folder: Path) -> None:
        self.port, self._admin = free_port(), free_port()
        self.server = server
        self._folder = folder
        self._configuration = {
            "node": {"id": "live", "cluster": "live"},
            "admin": {"address": socket_address(self._admin)},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "GRPC",
                    "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": ECHO}}],
                },
                "cds_config": {"resource_api_version": "V3", "ads": {}},
            },
            "static_resources": {"clusters": [cluster(server)], "listeners": [proxy(self.port)]},
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        configuration = self._folder / "envoy.json"
        configuration.write_text(json.dumps(self._configuration))
        command = [*programs.ENVOY.command, "-c", str(configuration), "--concurrency", "1", "--log-level", "warning"]
        with (self._folder / "envoy.log").open("ab") as log:
            self._process = subprocess.Popen([*command, "--disable-hot-restart"], stdout=log, stderr=log)
        until(self._is_ready, STARTS_WITHIN_S, "Envoy is ready")

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.last_words()
        try:
            return httpx.get(f"http://127.0.0.1:{self._admin}/ready", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def counter(self, name: str) -> int:
        """One of Envoy's statistics; 0 when there is none."""
        text = httpx.get(f"http://127.0.0.1:{self._admin}/stats?filter=^{name}$", timeout=5).text
        return int(text.rpartition(" ")[2]) if text.strip() else 0

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        return (self._folder / "envoy.log").read_text(errors="replace")[-4000:]
