"""Names as ``dig`` resolves them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field

from ..conftest import lacking


@dataclass
class Reply:
    """One answer: ``answer`` and the other sections are lines of ``owner ttl class type data``."""

    status: str = ""
    flags: frozenset[str] = frozenset()
    sections: dict[str, list[list[str]]] = field(default_factory=dict)

    @property
    def answer(self) -> list[list[str]]:
        return self.sections.get("ANSWER", [])

    def data(self, kind: str, section: str = "ANSWER") -> list[str]:
        """The data of the records of a type, in order of the alphabet."""
        return sorted(line[4] for line in self.sections.get(section, ()) if line[3] == kind)


class Resolver:
    """The DNS port. ``more`` are further words to ``dig``, such as ``+tcp``."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port

    def ask(self, name: str, kind: str = "A", *more: str) -> Reply:
        if shutil.which("dig") is None:
            lacking("no dig on this machine")
        command = ["dig", f"@{self._host}", "-p", str(self._port), "+tries=2", "+time=3", *more, name, kind]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, (command, done.returncode, done.stdout[-500:], done.stderr[-500:])
        return read(done.stdout)

    def addresses(self, name: str, *more: str) -> set[str]:
        return set(self.ask(name, "A", *more).data("A"))

    def places(self, service: str) -> set[int]:
        """The ports that SRV records of a service name."""
        return {int(data.split()[2]) for data in self.ask(f"{service}.service.consul", "SRV", "+tcp").data("SRV")}


def read(text: str) -> Reply:
    """What ``dig`` printed."""
    reply, section = Reply(), ""
    for line in text.splitlines():
        if line.startswith(";; ->>HEADER<<-"):
            reply.status = line.split("status: ")[1].split(",")[0]
        elif line.startswith(";; flags: "):
            reply.flags = frozenset(line.removeprefix(";; flags: ").split(";")[0].split())
        elif line.startswith(";; ") and line.endswith(" SECTION:"):
            section = line.removeprefix(";; ").removesuffix(" SECTION:")
        elif line and not line.startswith(";") and section:
            reply.sections.setdefault(section, []).append(line.split(maxsplit=4))
    return reply
