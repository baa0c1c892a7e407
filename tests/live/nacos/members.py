"""The client programs as running processes, and what is particular about each library."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..building import Program
from ..eureka.relay import RelayLoop
from ..server import free_port
from ..talking import Answer, Talker
from ..waiting import until
from . import programs
from .registry import HOST, Document
from .tunnel import Tunnel

# A subscriber is told: from the write's answer to the callback in the library.
TOLD_WITHIN_S = 2
# Everything that a library does by itself some time later; the rest is slack for a busy machine.
NOTICES_WITHIN_S = 12
# After an outage libraries look for a server and do again what they had done; python-3 does so every 30 s.
RECOVERS_WITHIN_S = 45
# A library that polls begins to listen to a further file when its last poll is over, which takes 30 s.
LISTENS_WITHIN_S = 45


@dataclass(frozen=True)
class Client:
    """A client library and what is particular about it."""

    name: str
    program: Program
    speaks: str
    # A callback is given the whole list; otherwise one instance that came, changed or went.
    told_lists: bool = True
    # A subscription ends with the first poll that fails.
    told_for_ever: bool = True
    # An empty list is no news to it.
    ignores_empty: bool = False
    # A second registration of a service takes the place of the first; several are one batch.
    batches: bool = False
    # Has a call that chooses an instance by weight.
    chooses: bool = True
    lists_services: bool = True
    tells_status: bool = True
    # Publishes configuration if what is there has a certain MD5 sum.
    swaps: bool = False
    # Listens again at once after a lost connection.
    relistens: bool = True
    # Its clients of configuration all speak of the namespace of the first one in the process.
    one_namespace: bool = False
    # Once it has let go of several files at a time it hears of no further file: it gives it to a poller that has ended.
    forgets_pollers: bool = False
    # Once it has let go of its last file it asks itself without end what to listen to, and takes a whole core for it.
    spins: bool = False

    @property
    def keeps_connection(self) -> bool:
        return self.speaks == "gRPC"


SDKS = {
    client.name: client
    for client in (
        Client("java-1", programs.JAVA_1, "HTTP", spins=True),
        Client("java-2", programs.JAVA_2, "gRPC", batches=True, swaps=True),
        Client("java-3", programs.JAVA_3, "gRPC", batches=True, swaps=True),
        Client("go-1", programs.GO_1, "HTTP", tells_status=False),
        Client("go-2", programs.GO_2, "gRPC", batches=True, tells_status=False, swaps=True),
        Client(
            "python-1",
            programs.PYTHON_1,
            "HTTP",
            told_lists=False,
            told_for_ever=False,
            chooses=False,
            lists_services=False,
            tells_status=False,
            forgets_pollers=True,
        ),
        Client("python-3", programs.PYTHON_3, "gRPC", batches=True, chooses=False, swaps=True, relistens=False),
        Client(
            "node", programs.NODE, "HTTP", ignores_empty=True, chooses=False, lists_services=False, one_namespace=True
        ),
    )
}
SPRING = Client("spring", programs.SPRING, "gRPC")
SPRING_CONFIG = Client("spring-config", programs.SPRING_CONFIG, "gRPC")
DUBBO = Client("dubbo", programs.DUBBO, "gRPC")


class RefusedError(AssertionError):
    """The library answered with an error; ``answer`` is what it said."""

    def __init__(self, name: str, order: Answer, answer: Answer) -> None:
        super().__init__(f"{name} {order}: {answer}")
        self.answer = answer


class Member:
    """One process of a client, behind a tunnel of its own. ``port`` is of the instance that it registers."""

    def __init__(self, client: Client, tunnel: Tunnel, folder: Path, *arguments: str) -> None:
        self.client, self.tunnel = client, tunnel
        self.name = client.name
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        command = [*client.program.command, "--nacos", f"127.0.0.1:{tunnel.port}", "--folder", str(folder), *arguments]
        self.talker = Talker(client.name, command, folder, folder / "stderr.log")

    def ask(self, do: str, service: str = "", **arguments: Any) -> Answer:
        """One call of the library. Raises RefusedError when the library answers an error."""
        order = {"do": do, "service": service, **arguments}
        answer = self.talker.say(json.dumps(order))
        if "error" in answer:
            raise RefusedError(self.name, order, answer)
        return answer

    def refusal(self, do: str, service: str = "", **arguments: Any) -> str:
        """The error that a call ends with; empty when it ends well."""
        try:
            self.ask(do, service, **arguments)
        except RefusedError as refused:
            return str(refused.answer["error"])
        return ""

    def refused(self, do: str, service: str, **arguments: Any) -> bool:
        """Whether a call that answers ``done`` does not do it, whether it says so or fails."""
        try:
            return not self.ask(do, service, **arguments)["done"]
        except RefusedError:
            return True

    def register(self, service: str, port: int = 0, **more: Any) -> None:
        self.ask("register", service, ip=HOST, port=port or self.port, **more)

    def deregister(self, service: str, port: int = 0, **more: Any) -> None:
        self.ask("deregister", service, ip=HOST, port=port or self.port, **more)

    def instances(self, service: str, **more: Any) -> dict[int, Document]:
        """What a query of the library answers, by port."""
        return {one["port"]: one for one in self.ask("instances", service, **more)["instances"]}

    def sees(self, service: str, ports: set[int], within_s: float = NOTICES_WITHIN_S, **more: Any) -> None:
        """Returns as soon as exactly these ports are seen."""
        until(lambda: set(self.instances(service, **more)) == ports, within_s, f"{self.name} sees {ports} of {service}")

    def changes(self, service: str, **more: Any) -> list[Document]:
        """What callbacks were told: ``at`` in ms of the epoch, ``instances``."""
        changes: list[Document] = self.ask("changes", service, **more)["changes"]
        return changes


class Fleet:
    """The members on one server, each started once. Started together, since starting is what costs."""

    def __init__(self, host: str, port: int, folder: Path, *arguments: str) -> None:
        """``arguments`` are given to every client."""
        self._address, self._folder, self._arguments = (host, port), folder, arguments
        self._loop = RelayLoop()
        self._members: dict[str, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def muster(self, clients: list[Client]) -> None:
        """Starts those that do not run, all at the same time, and waits until each has started."""
        started = [self._member(client) for client in clients if not self._runs(client)]
        for member in started:
            member.talker.launch()
        for member in started:
            member.talker.greet()

    def __getitem__(self, client: Client) -> Member:
        self.muster([client])
        return self._members[client.name]

    def start(self, client: Client, name: str, *arguments: str) -> Member:
        """One more process of a client; the caller greets it."""
        member = self._members[name] = self._new(client, name, *arguments)
        member.talker.launch()
        return member

    def rest(self) -> None:
        """Ends the processes that would go on taking what others need; they start again when they are asked for."""
        for name, member in list(self._members.items()):
            if member.client.spins:
                del self._members[name]
                self._end(member)

    def close(self) -> None:
        for member in self:
            self._end(member)
        self._loop.close()

    @staticmethod
    def _end(member: Member) -> None:
        member.talker.close()
        member.tunnel.close()

    def _runs(self, client: Client) -> bool:
        return client.name in self._members and self._members[client.name].talker.running

    def _member(self, client: Client) -> Member:
        if client.name not in self._members:
            self._members[client.name] = self._new(client, client.name)
        return self._members[client.name]

    def _new(self, client: Client, name: str, *arguments: str) -> Member:
        tunnel = Tunnel(self._loop, *self._address)
        return Member(client, tunnel, self._folder / name, *self._arguments, *arguments)
