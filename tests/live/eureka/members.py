"""The client programs as running members of a fleet."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..building import Program
from ..server import free_port
from ..waiting import until
from . import programs
from .relay import Exchange, Relay, RelayLoop

RENEW_S = 1
LEASE_S = 6
FETCH_S = 1
# A client is told of a change at its next read; the rest is slack for a busy machine.
NOTICES_WITHIN_S = FETCH_S + 9
RENEWS_WITHIN_S = RENEW_S + 9
STARTS_WITHIN_S = 60
ANSWERS_WITHIN_S = 20
METADATA = {"zone": "live", "with.dot": "a b"}

Seen = dict[str, Any]


@dataclass(frozen=True)
class Client:
    """A client library and what is particular about it."""

    name: str
    program: Program
    arguments: tuple[str, ...] = ()
    # Reads deltas and compares their hash: a full read after the first says that a delta and its hash disagreed.
    verifies_deltas: bool = False
    # Passes over ADDED for an instance that it knows already.
    ignores_repeated_added: bool = False
    # A renewal that could not be sent is followed by a registration.
    registers_after_outage: bool = False
    # The library can change the status of its own instance.
    changes_status: bool = True
    # Decodes the body of a 404 on renewal as an instance; a document of another kind ends its registrations.
    chokes_on_404_body: bool = False


CLIENTS = {
    client.name: client
    for client in (
        Client("netflix1", programs.NETFLIX1, verifies_deltas=True, chokes_on_404_body=True),
        Client("netflix2", programs.NETFLIX2, verifies_deltas=True, chokes_on_404_body=True),
        Client("spring", programs.SPRING, verifies_deltas=True),
        Client("py", programs.PYTHON, registers_after_outage=True),
        Client("node", programs.NODE, changes_status=False),
        Client("node-delta", programs.NODE, ("--delta", "true"), ignores_repeated_added=True, changes_status=False),
        Client("fargo", programs.GO),
    )
}


@dataclass
class Member:
    """One process of a client, behind a relay of its own."""

    client: Client
    relay: Relay
    folder: Path
    user: str
    path: str
    ip: str = ""
    """The address that it says it has, when not the loopback's usual one."""
    port: int = field(default_factory=free_port)
    # It was waited for in vain.
    lost: bool = False
    _process: subprocess.Popen[bytes] | None = None
    _answers: queue.Queue[Seen] = field(default_factory=queue.Queue)

    @property
    def app(self) -> str:
        return f"live-{self.client.name}"

    @property
    def instance_id(self) -> str:
        return f"127.0.0.1:{self.app}:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Starts the process; ``greet`` waits for it."""
        arguments = ["--eureka", f"http://{self.user}127.0.0.1:{self.relay.port}{self.path}", "--app", self.app]
        arguments += ["--id", self.instance_id, "--port", str(self.port)]
        arguments += ["--renew", str(RENEW_S), "--lease", str(LEASE_S), "--fetch", str(FETCH_S)]
        arguments += ["--ip", self.ip] if self.ip else []
        self._answers = queue.Queue()
        with (self.folder / f"{self.client.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self.client.program.command, *arguments, *self.client.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.client.program.source,
            )
        threading.Thread(target=collect, args=(self._process, self._answers), daemon=True).start()

    def greet(self) -> None:
        """Returns when the library has started."""
        answer = self._next_answer(STARTS_WITHIN_S)
        assert answer == {"ready": True}, (self.client.name, answer)

    def ask(self, command: str) -> Seen:
        """Sends a command and returns its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()
        answer = self._next_answer(ANSWERS_WITHIN_S)
        assert "error" not in answer, (self.client.name, command, answer)
        return answer

    def view(self, app: str) -> dict[str, Seen]:
        """Instances of an application in the client's own copy of the registry, by id."""
        return {one["id"]: one for one in self.ask(f"view {app}")["instances"]}

    def up(self, app: str) -> set[str]:
        """Ids of the instances that the client would call (some libraries keep the others too)."""
        return {instance_id for instance_id, one in self.view(app).items() if one["status"] == "UP"}

    def call(self, app: str) -> str:
        """What ``/hello`` of an application answers when the client looks it up by name."""
        body: str = self.ask(f"call {app}")["body"]
        return body

    def leave(self) -> None:
        """Lets the client end as its library is meant to, and waits for the process."""
        self.ask("leave")
        assert self._process is not None
        assert self._process.wait(ANSWERS_WITHIN_S) == 0

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def close(self) -> None:
        """Kills what still runs."""
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()

    def wait_for_renewals(self, count: int, after: int) -> list[Exchange]:
        """Own exchanges since the position ``after`` of the relay, as soon as ``count`` renewals are among them."""

        def enough() -> list[Exchange]:
            since = self.own_exchanges(after)
            return since if sum(one.method == "PUT" for one in since) >= count else []

        return until(enough, count * RENEWS_WITHIN_S, f"{count} renewals of {self.client.name}")

    def own_exchanges(self, after: int) -> list[Exchange]:
        """Writes about the own instance, in order: registrations and renewals."""
        return [one for one in self.relay.exchanges[after:] if one.method != "GET"]

    def _next_answer(self, within_s: float) -> Seen:
        try:
            return self._answers.get(timeout=within_s)
        except queue.Empty:
            state = "runs" if self.running else "has ended"
            log = (self.folder / f"{self.client.name}.log").read_text(errors="replace")[-4000:]
            raise AssertionError(f"{self.client.name} {state} and does not answer:\n{log}") from None


def collect(process: subprocess.Popen[bytes], answers: queue.Queue[Seen]) -> None:
    """Reads the answers of a process until it ends."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            answers.put(json.loads(line))


class Fleet:
    """The members on one server, all at once: each sees the others. Started together, since starting is what costs."""

    def __init__(
        self, host: str, port: int, folder: Path, user: str = "", path: str = "/eureka", *, apart: bool = False
    ) -> None:
        """``user`` (``name:password@``) and ``path`` become part of the URL that the clients are given. ``apart``: each calls
        from an address of its own, and registers it."""
        self._apart = apart
        self._address = (host, port)
        self._folder = folder
        self._user = user
        self._path = path
        self._loop = RelayLoop()
        self._members: dict[str, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def muster(self, names: set[str]) -> None:
        """Starts those that do not run, all at the same time, and waits until each has started."""
        idle = [self._member(name) for name in sorted(names)]
        started = [member for member in idle if not member.running]
        for member in started:
            member.launch()
        for member in started:
            member.greet()

    def __getitem__(self, name: str) -> Member:
        self.muster({name})
        return self._members[name]

    def shut_out(self) -> None:
        """No member reaches the server until ``let_in``."""
        for member in self:
            member.relay.close()

    def let_in(self) -> None:
        for member in self:
            member.relay.open()

    def close(self) -> None:
        for member in self:
            member.close()
            member.relay.close()
        self._loop.close()

    def _member(self, name: str) -> Member:
        if name not in self._members:
            ip = f"127.0.0.{20 + len(self._members)}" if self._apart else ""
            relay = Relay(self._loop, *self._address, source=ip)
            self._members[name] = Member(CLIENTS[name], relay, self._folder, self._user, self._path, ip)
        return self._members[name]
