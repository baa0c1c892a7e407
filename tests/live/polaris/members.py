"""The client programs as running processes, and what is particular about each library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..building import Program
from ..server import free_ports
from ..talking import Answer, Talker
from . import programs

TTL_S = 1
# Beats missing for three times the ttl make an instance unhealthy.
LOST_AFTER_S = 3 * TTL_S
# Libraries read again every 2 s; the rest is slack for a busy machine.
NOTICES_WITHIN_S = 12
# After an outage a library waits before it connects again.
RECOVERS_WITHIN_S = 40
OWN_TIMEOUT = "ERR-1004(API_TIMEOUT)"
"""What polaris-java says when its own time ran out."""
ATTEMPTS = 5
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Client:
    """A client library and what is particular about it."""

    name: str
    program: Program
    # Every kind of rule can be asked for by itself.
    tells_any_rule: bool = False
    reports_contracts: bool = False


SDKS = {
    client.name: client
    for client in (
        Client("polaris-go-1.6", programs.GO_1_6),
        Client("polaris-go-1.7", programs.GO_1_7),
        Client("polaris-java", programs.JAVA, tells_any_rule=True, reports_contracts=True),
    )
}
GRPC = Client("grpc-go-polaris", programs.GO_GRPC)
SPRING = Client("spring-cloud-tencent", programs.SPRING)
SPRING_CONFIG = Client("spring-cloud-tencent-config", programs.SPRING_CONFIG)


class RefusedError(AssertionError):
    """The library answered with an error; ``answer`` is what it said."""

    def __init__(self, name: str, order: Answer, answer: Answer) -> None:
        super().__init__(f"{name} {order}: {answer}")
        self.answer = answer


class Member:
    """One process of a client on one server."""

    def __init__(self, client: Client, address: str, folder: Path, *arguments: str) -> None:
        self.client = client
        self.name = client.name
        self.folder = own = folder / client.name
        own.mkdir(exist_ok=True)
        command = [*client.program.command, "--polaris", address, "--folder", str(own), *arguments]
        self.talker = Talker(client.name, command, own, own / "stderr.log")

    def ask(self, do: str, **arguments: Any) -> Answer:
        """One call of the library. Raises RefusedError when the library answers an error."""
        order = {"do": do, **arguments}
        answer = self.talker.say(json.dumps(order))
        if "error" in answer:
            raise RefusedError(self.name, order, answer)
        return answer

    def refusal(self, do: str, **arguments: Any) -> str:
        """The error that the server answers a call with; empty when it ends well.

        A library that is new in its process may run out of its own time first (polaris-java: a second): it is asked again.
        """
        error = ""
        for _ in range(ATTEMPTS):
            try:
                self.ask(do, **arguments)
            except RefusedError as refused:
                error = str(refused.answer["error"])
            else:
                return ""
            if OWN_TIMEOUT not in error:
                break
        return error

    def ports(self, do: str, service: str, **arguments: Any) -> set[int]:
        """Ports of the instances that a call answers; none for an unknown service."""
        try:
            answer = self.ask(do, service=service, **arguments)
        except RefusedError:
            return set()
        return {one["port"] for one in answer["instances"]}

    def instance(self, service: str, port: int, **arguments: Any) -> dict[str, Any] | None:
        """An instance as the library sees it, healthy or not."""
        try:
            answer = self.ask("all", service=service, **arguments)
        except RefusedError:
            return None
        return next((one for one in answer["instances"] if one["port"] == port), None)


def instance_id(service: str, port: int, namespace: str = "default") -> str:
    """The id that a real server gives."""
    return hashlib.sha1(f"{namespace}##{service}##{HOST}##{port}".encode()).hexdigest()


class Fleet:
    """The members on one server, each started once. Started together, since starting is what costs."""

    def __init__(self, address: str, folder: Path) -> None:
        self._address, self._folder = address, folder
        self._members: dict[str, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def muster(self, clients: list[Client]) -> None:
        """Starts those that do not run, all at the same time, and waits until each has started."""
        started = [self._new(client) for client in clients if not self._runs(client)]
        for member in started:
            member.talker.launch()
        for member in started:
            member.talker.greet()

    def __getitem__(self, client: Client) -> Member:
        self.muster([client])
        return self._members[client.name]

    def close(self) -> None:
        for member in self:
            member.talker.close()

    def _runs(self, client: Client) -> bool:
        return client.name in self._members and self._members[client.name].talker.running

    def _new(self, client: Client) -> Member:
        arguments: list[str] = []
        if client is SPRING:
            # Without one of its own every application would listen for administrators at the same port.
            port, admin = free_ports(2)
            arguments = ["--app", "live-spring", "--port", str(port), "--admin", str(admin)]
        member = self._members[client.name] = Member(client, self._address, self._folder, *arguments)
        return member
