"""gRPC's own xDS clients as running processes, each with a bootstrap that names our server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..building import Program
from ..talking import Talker
from .backends import ECHO

CHANGES_WITHIN_S = 2.0
"""From the answer to a write until calls go where they should."""
PLACE = ("east", "east-1", "east-1-a")
"""Region, zone and campus of every caller."""
CONNECTS_WITHIN_S = 20.0
"""A first call, which resolves and connects; on a machine where everything starts at once."""


@dataclass(frozen=True)
class Outcome:
    """What some calls came to: how many each back-end answered, how many ended with each status, the last one's message."""

    answers: dict[str, int]
    failures: dict[str, int]
    reason: str

    @property
    def names(self) -> set[str]:
        """Who answered; a status stands for calls that nobody did."""
        return set(self.answers) | set(self.failures)


def settled(calls: Callable[[], Outcome], names: set[str], within_s: float, what: str) -> Outcome:
    """Calls until exactly these answer."""
    deadline = time.monotonic() + within_s
    while True:
        outcome = calls()
        if outcome.names == names:
            return outcome
        late = time.monotonic() > deadline
        assert not late, f"{what}, wants {sorted(names)} within {within_s} s, and came to {outcome}"


def node_id(name: str) -> str:
    return f"sidecar~default/{name}~127.0.0.1"


def bootstrap(port: int, name: str) -> dict[str, object]:
    """What a gRPC client is told of its control plane."""
    region, zone, sub_zone = PLACE
    return {
        "xds_servers": [
            {
                "server_uri": f"127.0.0.1:{port}",
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }
        ],
        "node": {
            "id": node_id(name),
            "cluster": name,
            "locality": {"region": region, "zone": zone, "sub_zone": sub_zone},
        },
    }


class Caller:
    """One process of a client."""

    def __init__(self, name: str, program: Program, folder: Path, described: dict[str, object]) -> None:
        self.name, self.node = name, node_id(name)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "bootstrap.json"
        file.write_text(json.dumps(described))
        command = ["env", f"GRPC_XDS_BOOTSTRAP={file}", *program.command]
        self.talker = Talker(name, command, folder, folder / "stderr.log")

    def call(self, target: str, times: int = 1, *, path: str = ECHO, within_s: float = 5.0, **metadata: str) -> Outcome:
        """Calls one after the other on the channel of the target, which the first call opens."""
        order = {
            "do": "call",
            "target": target,
            "times": times,
            "path": path,
            "within_ms": int(within_s * 1000),
            "metadata": {name.replace("_", "-"): value for name, value in metadata.items()},
        }
        return Outcome(**self._ask(order))

    def hang_up(self, target: str) -> None:
        """Closes the channel of a target."""
        self._ask({"do": "hang up", "target": target})

    def reaches(
        self, target: str, names: set[str], within_s: float = CHANGES_WITHIN_S, times: int = 12, **metadata: str
    ) -> Outcome:
        """Returns as soon as a dozen calls are answered by exactly these (or end with these statuses)."""
        return settled(lambda: self.call(target, times, **metadata), names, within_s, f"{self.name} calls {target}")

    def _ask(self, order: dict[str, object]) -> dict[str, object]:
        answer = self.talker.say(json.dumps(order))
        assert "error" not in answer, (self.name, order, answer)
        return answer
