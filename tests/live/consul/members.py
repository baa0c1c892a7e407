"""The client programs as running processes, and what is particular about each library."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..building import Program
from ..eureka.relay import Relay, RelayLoop
from ..server import free_port
from ..talking import Answer, Talker
from ..waiting import until
from . import programs
from .registry import HOST, Document

# A watcher is told: from the write's answer to the answer of the blocking read in the library.
TOLD_WITHIN_S = 2
# Everything that a library does by itself some time later; the rest is slack for a busy machine.
NOTICES_WITHIN_S = 15


@dataclass(frozen=True)
class Client:
    """A client library and what is particular about it."""

    name: str
    program: Program
    arguments: tuple[str, ...] = ()
    # Registers metadata, filters answers.
    metadata: bool = True
    filters: bool = True


CLIENTS = {
    client.name: client
    for client in (
        Client("go", programs.GO),
        Client("py-consul", programs.PY_CONSUL),
        Client("python-consul", programs.PYTHON_CONSUL, metadata=False, filters=False),
        Client("node", programs.NODE),
    )
}
SPRING = Client("spring", programs.SPRING)
PROMETHEUS = Client("prometheus", programs.PROMETHEUS)


class RefusedError(AssertionError):
    """The library answered with an error; ``answer`` is what it said."""

    def __init__(self, name: str, order: Answer, answer: Answer) -> None:
        super().__init__(f"{name} {order}: {answer}")
        self.answer = answer


class Member:
    """One process of a client, behind a relay of its own. ``port`` is of the instance that it registers."""

    def __init__(self, client: Client, relay: Relay, folder: Path, *arguments: str) -> None:
        self.client, self.relay = client, relay
        self.name = client.name
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        command = [*client.program.command, "--consul", f"127.0.0.1:{relay.port}", "--folder", str(folder)]
        command += [*client.arguments, *arguments]
        self.talker = Talker(client.name, command, folder, folder / "stderr.log")

    def ask(self, do: str, **arguments: Any) -> Answer:
        """One call of the library. Raises RefusedError when the library answers an error."""
        order = {"do": do, **arguments}
        answer = self.talker.say(json.dumps(order))
        if "error" in answer:
            raise RefusedError(self.name, order, answer)
        return answer

    def refusal(self, do: str, **arguments: Any) -> str:
        """The error that a call ends with; empty when it ends well."""
        try:
            self.ask(do, **arguments)
        except RefusedError as refused:
            return str(refused.answer["error"])
        return ""

    def register(self, service: str, port: int = 0, **more: Any) -> str:
        """The id of the instance."""
        port = port or self.port
        instance_id = f"{service}-{port}"
        self.ask("register", service=service, id=instance_id, address=HOST, port=port, **more)
        return instance_id

    def instances(self, service: str, **more: Any) -> dict[int, Document]:
        """What a query of the library answers, by port."""
        return {one["port"]: one for one in self.ask("instances", service=service, **more)["instances"]}

    def sees(self, service: str, ports: set[int], within_s: float = NOTICES_WITHIN_S, **more: Any) -> None:
        """Returns as soon as exactly these ports are seen."""
        until(lambda: set(self.instances(service, **more)) == ports, within_s, f"{self.name} sees {ports} of {service}")

    def entry(self, key: str) -> Document | None:
        found: Document | None = self.ask("get", key=key)["entry"]
        return found


class Fleet:
    """The members on one server, each started once. Started together, since starting is what costs."""

    def __init__(self, host: str, port: int, folder: Path) -> None:
        self._address, self._folder = (host, port), folder
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

    def start(self, client: Client, name: str, *arguments: str, source: str = "") -> Member:
        """One more process of a client; the caller greets it. ``source``: the address that the server sees it call from."""
        member = self._members[name] = self._new(client, name, *arguments, source=source)
        member.talker.launch()
        return member

    def relay(self) -> Relay:
        """A relay for somebody who is no member; closed by who asked for it."""
        return Relay(self._loop, *self._address)

    def close(self) -> None:
        for member in self:
            member.talker.close()
            member.relay.close()
        self._loop.close()

    def _runs(self, client: Client) -> bool:
        return client.name in self._members and self._members[client.name].talker.running

    def _member(self, client: Client) -> Member:
        if client.name not in self._members:
            self._members[client.name] = self._new(client, client.name)
        return self._members[client.name]

    def _new(self, client: Client, name: str, *arguments: str, source: str = "") -> Member:
        return Member(client, Relay(self._loop, *self._address, source), self._folder / name, *arguments)
