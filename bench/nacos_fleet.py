"""Made-up Nacos instances, their calls over HTTP and gRPC, and the servers that get them: ours, and the real one that the
environment names.

Instances say that they need not be heard of for an hour, so that nothing expires under a benchmark.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from bridge import Bridge, pin_process
from grpc_floor import TRANSPORT
from grpc_load import Task
from measure import SERVER_CORE
from plain_http import Connection

from polaris_bridge.adapters.nacos.wire.payload import encode

REQUEST = "/Request/request"
SUCCESS = b'"resultCode":200'
LASTING = {"preserved.heart.beat.timeout": "3600000", "preserved.ip.delete.timeout": "3600000"}
HTTP_HEADERS = {
    "Accept-Charset": "UTF-8",
    "Accept-Encoding": "gzip,deflate,sdch",
    "Client-Version": "1.4.8",
    "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8",
    "Request-Module": "Naming",
    "RequestId": "c5af7327-5294-4337-8690-f904ecdf84ec",
    "User-Agent": "Nacos-Java-Client:v1.4.8",
    "Accept": "text/html, image/gif, image/jpeg, */*; q=0.2",
}
"""What the Java client 1.4 sends with every call."""
CARRIED = (f"apiservers.service-nacos.option.transport={TRANSPORT}",) if "TRANSPORT" in os.environ else ()


def payload(name: str, /, **body: object) -> bytes:
    """One message of a client, of that type."""
    return encode(name, json.dumps({"headers": {}, **body}, separators=(",", ":")).encode(), [("app", "bench")])


GREETING = (
    payload("ServerCheckRequest", module="internal"),
    payload(
        "ConnectionSetupRequest",
        clientVersion="Nacos-Java-Client:v2.5.1",
        labels={"source": "sdk", "module": "naming", "AppName": "bench", "tls.enable": "false"},
        abilityTable={},
        module="internal",
    ),
)
"""What a client says before it asks anything."""


@dataclass(frozen=True)
class NacosFleet:
    """``size`` instances of one service of the default group. Fleets of different ``subnet`` share no address."""

    service: str
    size: int
    subnet: int = 0

    def host(self, n: int) -> str:
        """The address of one."""
        return f"10.{120 + self.subnet}.{n >> 8 & 255}.{n & 255}"

    def metadata(self, n: int, version: str) -> dict[str, str]:
        """Five pairs, of which two keep it alive."""
        pod = f"{self.service}-6f9c7d5b8-{n:06d}"
        return {"pod": pod, "stage": "prod", "version": version, **LASTING}

    # ------------------------------------------------------------------ HTTP

    def place(self, n: int) -> dict[str, str | int]:
        """The parameters that name one."""
        return {
            "app": "bench", "namespaceId": "public", "port": 8080, "clusterName": "DEFAULT", "ip": self.host(n),
            "serviceName": f"DEFAULT_GROUP@@{self.service}",
        }  # fmt: skip

    def registration(self, n: int, version: str = "1.0.0") -> str:
        """Target of a POST."""
        document = json.dumps(self.metadata(n, version), separators=(",", ":"))
        said = {"groupName": "DEFAULT_GROUP", "metadata": document, "enable": "true", "healthy": "true"}
        return f"/nacos/v1/ns/instance?{urlencode({**said, 'weight': 1.0, 'ephemeral': 'true', **self.place(n)})}"

    def beat(self, n: int) -> str:
        """Target of a PUT: a light one."""
        return f"/nacos/v1/ns/instance/beat?{urlencode(self.place(n))}"

    def beat_body(self, n: int) -> str:
        """The form that goes with a heavy one."""
        beat = {
            "serviceName": f"DEFAULT_GROUP@@{self.service}", "ip": self.host(n), "port": 8080, "weight": 1.0,
            "cluster": "DEFAULT", "metadata": self.metadata(n, "1.0.0"), "scheduled": False, "period": 5000,
            "stopped": False,
        }  # fmt: skip
        return f"beat={quote(json.dumps(beat, separators=(',', ':')))}"

    @property
    def listing(self) -> str:
        """Target of a GET."""
        asked = {"healthyOnly": "false", "namespaceId": "public", "clientIP": "127.0.0.1", "udpPort": 0, "clusters": ""}
        name = f"DEFAULT_GROUP@@{self.service}"
        return f"/nacos/v1/ns/instance/list?{urlencode({'app': 'bench', **asked, 'serviceName': name})}"

    def seed(self, base: str) -> None:
        """Register all over HTTP. RuntimeError when one is refused."""
        with Connection(base) as connection:
            for n in range(self.size):
                answer = connection.call("POST", self.registration(n), HTTP_HEADERS)
                if answer.body != b"ok":
                    raise RuntimeError(f"a registration got {answer.status} {answer.body[:200]!r}")

    def clear(self, base: str) -> None:
        """Deregister all."""
        with Connection(base) as connection:
            for n in range(self.size):
                connection.call("DELETE", f"/nacos/v1/ns/instance?{urlencode({**self.place(n), 'ephemeral': 'true'})}")

    # ------------------------------------------------------------------ gRPC

    def _about(self) -> dict[str, str]:
        return {"namespace": "public", "serviceName": self.service, "groupName": "DEFAULT_GROUP", "module": "naming"}

    def register(self, n: int, version: str = "1.0.0") -> bytes:
        """An InstanceRequest."""
        instance = {
            "ip": self.host(n), "port": 8080, "weight": 1.0, "healthy": True, "enabled": True, "ephemeral": True,
            "clusterName": "DEFAULT", "metadata": self.metadata(n, version), "instanceHeartBeatInterval": 5000,
            "instanceHeartBeatTimeOut": 15000, "ipDeleteTimeout": 30000,
        }  # fmt: skip
        return payload("InstanceRequest", **self._about(), type="registerInstance", instance=instance)

    def query(self) -> bytes:
        """A ServiceQueryRequest."""
        return payload("ServiceQueryRequest", **self._about(), cluster="", healthyOnly=False, udpPort=0)

    def subscribe(self, on: bool = True) -> bytes:
        """A SubscribeServiceRequest."""
        return payload("SubscribeServiceRequest", **self._about(), subscribe=on, clusters="")


def greeted(mode: str, messages: Sequence[bytes], **more: object) -> Task:
    """A load by connections that are set up first."""
    options = ("-greet",) if mode == "unary" else ()
    return Task(mode, REQUEST, (*GREETING, *messages), SUCCESS, options=options, **more)


@dataclass(frozen=True)
class Server:
    """One to measure."""

    base: str
    """URL of the HTTP port."""
    pid: int | None
    bridge: Bridge | None = None
    """Ours."""

    @property
    def grpc(self) -> str:
        """Address of the gRPC port."""
        where = urlsplit(self.base)
        return f"{where.hostname}:{(where.port or 8848) + 1000}"

    @property
    def warm_up_s(self) -> float:
        """More than for ours: a Java server compiles while it runs."""
        return 0 if self.bridge else 8


def peer_server() -> Server | None:
    """The server at ``PEER_NACOS`` (``http://host:8848``); ``PEER_NACOS_PID`` is its process when it runs here, which is then
    pinned as ours is."""
    url, pid = os.environ.get("PEER_NACOS"), os.environ.get("PEER_NACOS_PID")
    if not url:
        return None
    where = urlsplit(url if "//" in url else f"http://{url}")
    if pid:
        pin_process(int(pid), SERVER_CORE)
    return Server(f"{where.scheme}://{where.netloc}", int(pid) if pid else None)


@contextmanager
def filled(*fleets: NacosFleet) -> Iterator[list[Server]]:
    """Our server, and the peer when there is one, with the fleets in them. The peer loses them again."""
    peer = peer_server()
    with Bridge(options=CARRIED) as bridge:
        servers = [Server(f"http://{bridge.nacos}", bridge.pid, bridge), *([peer] if peer else [])]
        try:
            for server in servers:
                for fleet in fleets:
                    fleet.seed(server.base)
            yield servers
        finally:
            for fleet in fleets if peer else ():
                fleet.clear(peer.base)
