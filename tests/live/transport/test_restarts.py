"""Restarts under load: SIGTERM answers what was accepted, and clients go on with the next process."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from . import programs
from .conftest import Servers, build
from .matrix import Outcome, read

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

RESTARTS = 3
BETWEEN_S = 1.0
ENDS_WITHIN_S = 60
# tonic has nothing that waits for a connection: each attempt during the restart is an error of its own.
CLIENTS = tuple(name for name in programs.CLIENTS if name != "tonic")


class Caller:
    """A client program that calls until it is told to stop."""

    def __init__(self, client: str, address: str, folder: Path) -> None:
        self._log = folder / f"{client}.log"
        command = [*programs.CLIENTS[client].command, "--address", address, "--mode", "load"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=folder
            )

    def wait_until_it_calls(self) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._log.read_text(errors="replace")
        assert json.loads(line)["ok"], line

    def goes_on_for(self, seconds: float) -> None:
        """Time under load is what is asked for here: callers tell at the end what they met."""
        with pytest.raises(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def stop(self) -> Outcome:
        output, _ = self._process.communicate(timeout=ENDS_WITHIN_S)
        return read(output, self._log.read_bytes())

    def close(self) -> None:
        with self._process as process:
            process.kill()


# grpcio is not asked: it ends a call that arrives while it leaves with CANCELLED, one of a hundred in this test.
@pytest.mark.parametrize("transport", ["native"])
def test_no_call_fails_while_the_server_is_restarted(transport: str, servers: Servers, tmp_path: Path) -> None:
    for client in CLIENTS:
        build(programs.CLIENTS[client])
    server = servers.new(transport)
    callers = {}
    with ExitStack() as stack:
        stack.callback(server.close)
        server.start()
        for client in CLIENTS:
            callers[client] = Caller(client, server.address, tmp_path)
            stack.callback(callers[client].close)
        for caller in callers.values():
            caller.wait_until_it_calls()
        for _ in range(RESTARTS):
            callers[CLIENTS[0]].goes_on_for(BETWEEN_S)
            assert server.stop() == 0, server.last_words()
            server.start()
        callers[CLIENTS[0]].goes_on_for(BETWEEN_S)
        said = {client: caller.stop().told("load") for client, caller in callers.items()}
    assert {client: why for client, (why, _) in said.items() if why} == {}
    assert {client: calls for client, (_, calls) in said.items() if calls < 10 * RESTARTS} == {}
