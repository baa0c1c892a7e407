"""The whole server, killed, stopped, starved and fooled: what clients were told stays true."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from child import Child, ask, document, free_pair, free_ports, until

JSON = {"Content-Type": "application/json"}
Start = Callable[..., Child]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts children in one folder; none outlives the test, and none of them ever shows a traceback."""
    children: list[Child] = []

    def begin(*sets: str, **options: Any) -> Child:
        children.append(Child(tmp_path / "server", *sets, **options))
        return children[-1]

    yield begin
    for child in children:
        child.end(signal.SIGKILL)
    if children:
        assert "Traceback" not in children[0].output


class Load:
    """Clients that register without end, and note what they were promised."""

    def __init__(self, child: Child, clients: int) -> None:
        self.child = child
        self.promised: list[str] = []
        self.refused: list[int] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.child.port, timeout=10)
        count = 0
        while not self._stop.is_set():
            id = f"c{number}-{count}"
            count += 1
            body = json.dumps({"instance": document(id) | {"ipAddr": f"10.1.{number}.{count % 250}"}})
            try:
                connection.request("POST", "/eureka/apps/APP", body, JSON)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                break
            if answer.status == 204:
                self.promised.append(id)
            else:
                self.refused.append(answer.status)
        connection.close()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(15)


# ---------------------------------------------------------------- ends and starts


def test_kill_9_loses_nothing_that_was_promised(start: Start) -> None:
    child = start()
    load = Load(child, 8)
    until(lambda: len(load.promised) > 300, 20, "load")
    child.send(signal.SIGKILL)
    load.end()
    assert child.end() == -signal.SIGKILL
    began_ms = time.time() * 1000
    child = start()
    found = child.apps()
    assert set(load.promised) <= found.keys()
    assert load.refused == []
    assert all(i["leaseInfo"]["lastRenewalTimestamp"] >= began_ms - 1000 for i in found.values()), "leases begin anew"
    assert {child.renew(id) for id in load.promised[:20]} == {200}


def test_a_restart_changes_nothing_that_readers_see(start: Start) -> None:
    child = start()
    for n in range(30):
        assert (
            child.register(f"i{n}", f"APP{n % 3}", metadata={"n": str(n), "x:y": "<&>"}, vipAddress=f"App{n % 3}")
            == 204
        )
    for target in ("APP1/i1/status?value=OUT_OF_SERVICE", "APP2/i2/metadata?a=b"):
        assert ask(child.port, "PUT", f"/eureka/apps/{target}")[0] == 200
    before = child.apps()
    assert child.end() == 0
    child = start()
    after = child.apps()
    for i in (*before.values(), *after.values()):
        for moved in ("leaseInfo", "actionType"):
            del i[moved]
    assert after == before
    assert after["i1"]["overriddenStatus"] == "OUT_OF_SERVICE"


def test_sigterm_answers_what_is_in_flight(start: Start) -> None:
    child = start()
    body = json.dumps({"instance": document("late")}).encode()
    head = f"POST /eureka/apps/APP HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with connected(child) as idle, connected(child) as half:
        half.sendall(head.encode() + body[:50])
        load = Load(child, 4)
        until(lambda: len(load.promised) > 50, 20, "load")
        began = time.monotonic()
        child.send(signal.SIGTERM)
        assert idle.recv(100) == b"", "an idle connection is ended"
        with pytest.raises(ConnectionRefusedError):
            connected(child)
        half.sendall(body[50:])
        with half.makefile("rb") as answers:
            answer = answers.read().lower()
    assert answer.startswith(b"http/1.1 204 ")
    assert b"connection: close" in answer
    assert child.end() == 0
    assert time.monotonic() - began < 10
    load.end()
    child = start()
    assert {"late", *load.promised} <= child.apps().keys()


def test_a_stop_does_not_wait_for_the_slow(start: Start) -> None:
    child = start()
    with connected(child) as silent, connected(child) as half_a_head, connected(child) as half_a_body:
        half_a_head.sendall(b"GET /eu")
        half_a_body.sendall(b"POST /eureka/apps/APP HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        began = time.monotonic()
        assert child.end(signal.SIGINT) == 0
        assert time.monotonic() - began < 10
        assert silent.recv(1) == b""


def connected(child: Child) -> socket.socket:
    return socket.create_connection(("127.0.0.1", child.port), 10)


def test_the_second_process_on_a_store_is_told_who_has_it(start: Start) -> None:
    first = start()
    assert first.register("i1") == 204
    second = start(ready=False)
    assert second.process.wait(20) == 1
    assert f"{first.process.pid}" in second.output
    assert "cannot start" in second.output
    assert first.renew("i1") == 200
    assert first.register("i2") == 204


def test_a_taken_port_is_named(start: Start) -> None:
    for index in (0, 1):
        ports = free_ports(2)
        with socket.create_server(("127.0.0.1", ports[index])):
            child = start(ports=tuple(ports), ready=False)
            assert child.process.wait(20) == 1
        assert f"{ports[index]}" in child.output.rpartition("cannot start")[2]
    child = start()
    assert child.register("i1") == 204


def test_a_taken_second_port_is_named(start: Start) -> None:
    port = free_pair()
    with socket.create_server(("127.0.0.1", port + 1000)):
        child = start(f"apiservers.service-nacos.option.listenPort={port}", ready=False)
        assert child.process.wait(20) == 1
    assert f"{port + 1000}" in child.output.rpartition("cannot start")[2]


WRONG = [
    # setting, said
    ("apiservers.service-eureka.option.tls={certFile: /nowhere/c.pem, keyFile: /nowhere/k.pem}", "/nowhere/c.pem"),
    ("apiservers.service-eureka.option.nonsense=1", "nonsense"),
    ("store={name: defaultStore}", "defaultStore"),
]


@pytest.mark.parametrize(("setting", "said"), WRONG)
def test_what_cannot_be_used_is_named(start: Start, setting: str, said: str) -> None:
    child = start(setting, ready=False)
    assert child.process.wait(20) == 1
    assert said in child.output


# ---------------------------------------------------------------- starved


def test_a_full_disk_and_room_again(start: Start) -> None:
    child = start()
    assert child.register("before", leaseInfo={"durationInSecs": 3600}) == 204
    with child.full_disk():
        statuses = [child.register(f"during-{n}", metadata={"pad": "x" * 3000}) for n in range(5)]
        assert set(statuses) == {503}
        for method, target in (("DELETE", "APP/before"), ("PUT", "APP/before/status?value=DOWN")):
            assert ask(child.port, method, f"/eureka/apps/{target}") == (503, b"")
        assert set(child.apps()) == {"before"}, "nobody saw any of it"
        assert child.renew("before") == 200
        assert ask(child.front, "GET", "/readyz")[0] == 200
        assert child.apps()["before"]["status"] == "UP"
    until(lambda: child.register("after") == 204, 5, "writes work again")
    assert set(child.apps()) == {"before", "after"}
    assert child.end() == 0
    child = start()
    assert set(child.apps()) == {"before", "after"}


def test_leases_run_out_on_a_full_disk_too(start: Start) -> None:
    child = start("naming.selfProtection.open=false")
    assert child.register("short", leaseInfo={"durationInSecs": 1, "renewalIntervalInSecs": 1}) == 204
    with child.full_disk():
        until(lambda: child.apps() == {}, 8, "it expired")
    until(lambda: child.register("after") == 204, 5, "writes work again")
    child.end()
    child = start()
    assert set(child.apps()) == {"after"}, "what expired did not come back"


# ---------------------------------------------------------------- stopped for a while


def test_a_stopped_process_expires_nobody(start: Start) -> None:
    child = start("naming.selfProtection.open=false")
    lease = {"durationInSecs": 2, "renewalIntervalInSecs": 1}
    for n in range(8):
        assert child.register(f"i{n}", leaseInfo=lease) == 204
    child.send(signal.SIGSTOP)
    time.sleep(3.5)  # longer than the leases: this is what is tested
    child.send(signal.SIGCONT)
    assert len(child.apps()) == 8
    assert {child.renew(f"i{n}") for n in range(8)} == {200}
    until(lambda: child.apps() == {}, 8, "silence counts again")


# ---------------------------------------------------------------- other signals


def test_sighup_reopens_log_files(start: Start) -> None:
    child = start()
    log = child.folder / "data" / "log" / "runtime"
    files = list(log.glob("*.log"))
    assert files
    for file in files:
        file.rename(file.with_suffix(".moved"))
    child.send(signal.SIGHUP)
    until(lambda: {f.name for f in log.glob("*.log")} >= {f.name for f in files}, 5, "new files")
    assert child.register("i1") == 204
