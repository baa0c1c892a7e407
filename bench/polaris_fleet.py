"""Made-up native instances, their messages, and the servers that get them: ours, and the real one that the environment names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bridge import Bridge, pin_process
from grpc_floor import TRANSPORT
from grpc_load import send_all
from measure import SERVER_CORE

from polaris_bridge.adapters.polaris.wire import v1

REGISTER = "/v1.PolarisGRPC/RegisterInstance"
DEREGISTER = "/v1.PolarisGRPC/DeregisterInstance"
HEARTBEAT = "/v1.PolarisGRPC/Heartbeat"
DISCOVER = "/v1.PolarisGRPC/Discover"
BATCH = "/v1.PolarisHeartbeatGRPC/BatchHeartbeat"

SUCCESS = bytes.fromhex("0a0408c09a0c")
"""``code: 200000`` as every answer writes it."""
UNCHANGED = bytes.fromhex("0a0408c19a0c")
"""``code: 200001``."""
TTL_S = 60
CARRIED = (f"apiservers.service-grpc.option.transport={TRANSPORT}",)
"""Options of our server: which transport carries the port."""


def text(value: str) -> v1.StringValue:
    """A wrapped text."""
    return v1.StringValue(value=value)


@dataclass(frozen=True)
class NativeFleet:
    """``size`` instances of one service. Fleets of different ``service`` share no address."""

    service: str
    size: int
    beats: bool = False
    """Whether they ask for a health check (of ``TTL_S``)."""
    namespace: str = "default"
    subnet: int = field(default=0)

    def host(self, n: int) -> str:
        """The address of one."""
        return f"10.{100 + self.subnet}.{n >> 8 & 255}.{n & 255}"

    def id(self, n: int) -> str:
        """What both servers name it."""
        from polaris_bridge.adapters.polaris.translate.keys import instance_id

        return instance_id(self.namespace, self.service, self.host(n), 8080)

    def registration(self, n: int, version: str = "1.0.0") -> bytes:
        """A RegisterInstance of one, shaped as polaris-java's."""
        message = v1.Instance(
            service=text(self.service),
            namespace=text(self.namespace),
            host=text(self.host(n)),
            port=v1.UInt32Value(value=8080),
            protocol=text("http"),
            version=text(version),
            weight=v1.UInt32Value(value=100),
            metadata={"pod": f"{self.service}-6f9c7d5b8-{n:06d}", "stage": "prod", "framework": "spring-boot"},
        )
        message.location.CopyFrom(
            v1.Location(region=text("eu-central"), zone=text("eu-central-1"), campus=text("eu-central-1b"))
        )
        if self.beats:
            message.enable_health_check.value = True
            message.health_check.CopyFrom(
                v1.HealthCheck(heartbeat=v1.HeartbeatHealthCheck(ttl=v1.UInt32Value(value=TTL_S)))
            )
            message.health_check.type = 1
        return bytes(message.SerializeToString())

    def place(self, n: int) -> v1.Instance:
        """Where one is: all that a heartbeat or the end of a registration says."""
        return v1.Instance(
            service=text(self.service),
            namespace=text(self.namespace),
            host=text(self.host(n)),
            port=v1.UInt32Value(value=8080),
        )

    def heartbeats(self) -> list[bytes]:
        """One Heartbeat each, as polaris-go sends them: with the id."""
        found = []
        for n in range(self.size):
            message = self.place(n)
            message.id.value = self.id(n)
            found.append(bytes(message.SerializeToString()))
        return found

    def batches(self, size: int) -> list[bytes]:
        """BatchHeartbeats for ``size`` each."""
        found = []
        for start in range(0, self.size, size):
            message = v1.HeartbeatsRequest()
            for n in range(start, min(start + size, self.size)):
                message.heartbeats.add(
                    instanceId=self.id(n), service=self.service, namespace=self.namespace, host=self.host(n), port=8080
                )
            found.append(bytes(message.SerializeToString()))
        return found

    def question(self, revision: str = "") -> bytes:
        """A Discover for the instances."""
        service = v1.Service(name=text(self.service), namespace=text(self.namespace))
        if revision:
            service.revision.value = revision
        return bytes(v1.DiscoverRequest(type=1, service=service).SerializeToString())

    def seed(self, address: str) -> None:
        """Register all. RuntimeError when one is refused."""
        send_all(address, REGISTER, [self.registration(n) for n in range(self.size)], SUCCESS)

    def clear(self, address: str) -> None:
        """Deregister all."""
        send_all(address, DEREGISTER, [bytes(self.place(n).SerializeToString()) for n in range(self.size)], b"")


def answer(address: str, question: bytes) -> v1.DiscoverResponse:
    """One Discover, by a client of its own."""
    import grpc

    with grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        stream = channel.stream_stream(DISCOVER)(iter([question]), timeout=20)
        return v1.DiscoverResponse.FromString(next(iter(stream)))


@dataclass(frozen=True)
class Server:
    """One to measure."""

    address: str
    pid: int | None
    bridge: Bridge | None = None
    """Ours."""

    @property
    def warm_up_s(self) -> float:
        """A peer's caches follow its store within a second."""
        return 0 if self.bridge else 2


def peer_server() -> Server | None:
    """What ``PEER_POLARIS`` and ``PEER_POLARIS_PID`` name."""
    address, pid = os.environ.get("PEER_POLARIS"), os.environ.get("PEER_POLARIS_PID")
    if not address:
        return None
    if pid:
        pin_process(int(pid), SERVER_CORE)
    return Server(address, int(pid) if pid else None)


@contextmanager
def filled(*fleets: NativeFleet) -> Iterator[list[Server]]:
    """Our server, and the peer when there is one, with the fleets in them. The peer loses them again."""
    peer = peer_server()
    with Bridge(options=CARRIED) as bridge:
        servers = [Server(bridge.grpc, bridge.pid, bridge), *([peer] if peer else [])]
        try:
            for server in servers:
                for fleet in fleets:
                    fleet.seed(server.address)
            yield servers
        finally:
            for fleet in fleets if peer else ():
                fleet.clear(peer.address)
