"""One process as its owner sees it: what it prints, which files it writes, what its options move."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from child import ROOT, Child, ask, free_ports, until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "server"


@pytest.fixture
def child(folder: Path) -> Iterator[Child]:
    started = Child(folder, "naming.selfProtection.open=false", "plugin.statis.entries.local.option.interval=1")
    yield started
    started.end(signal.SIGKILL)
    assert "Traceback" not in started.output


def lines(folder: Path, name: str) -> list[list[str]]:
    """Fields of every line of a plugin's file."""
    return [line.split("|") for file in folder.rglob(name) for line in file.read_text("utf-8").splitlines()]


def test_plugins_write_their_files(child: Child) -> None:
    lease = {"durationInSecs": 1, "renewalIntervalInSecs": 1}
    assert child.register("gone", leaseInfo=lease) == 204
    assert child.register("stays", ipAddr="10.0.0.2") == 204
    assert ask(child.port, "PUT", "/eureka/apps/APP/stays/status?value=OUT_OF_SERVICE")[0] == 200
    assert ask(child.port, "DELETE", "/eureka/apps/APP/stays/status?value=UP")[0] == 200
    assert ask(child.port, "GET", "/eureka/apps/APP")[0] == 200
    until(lambda: "gone" not in child.apps(), 8, "it expired")
    assert ask(child.port, "DELETE", "/eureka/apps/APP/stays")[0] == 200
    assert child.end() == 0
    logs = child.folder / "data" / "log"

    history = lines(logs, "*history*.log")
    assert all(len(fields) == 8 for fields in history)
    told = [(f[1], f[2], f[3], f[4]) for f in history if "stays" in f[6] or "10.0.0.2" in f[2]]
    assert ("Instance", "app", "default", "Create") in told
    assert ("Instance", "app", "default", "Delete") in told
    assert any(f[4] == "UpdateIsolate" for f in history)
    assert any(f[4] == "Expire" and f[5] == "system" for f in history)
    assert all("result=ok" in f[6] for f in history)

    events = [(f[1], f[2], f[3], f[4], f[7]) for f in lines(logs, "*discoverevent*.log")]
    own = [kind for kind, *_, id in events if id == "APP/stays"]
    assert own == ["InstanceOnline", "InstanceOpenIsolate", "InstanceCloseIsolate", "InstanceOffline"]
    assert ("InstanceOffline", "default", "app", "10.0.0.1", "APP/gone") in events

    calls = {
        (f[1], f[2], f[3]): int(f[4]) for f in lines(logs, "*statis*.log") + lines(logs, "*local*.log") if len(f) == 8
    }
    assert any(api == "POST app" and protocol == "eureka" and code == "204" for api, protocol, code in calls)
    discovered = {(f[1], f[2].lower(), f[3]) for f in lines(logs, "*discoverstat*.log")}
    assert {("default", "*", "eureka"), ("default", "app", "eureka")} <= discovered


def test_what_it_prints(child: Child) -> None:
    out = child.output
    assert "is ready after" in out
    assert f"http://127.0.0.1:{child.port}" in out
    assert f"http://127.0.0.1:{child.front}" in out
    (line,) = [line for line in out.splitlines() if line.startswith("accepted, without effect here: ")]
    assert "healthcheck.slotNum" in line
    assert "service-nacos" not in line
    assert "service-eureka.option.listenPort" not in line
    assert "open files: limit" in out


def test_ports_move_together(folder: Path) -> None:
    eureka, front = sorted(free_ports(2))
    offset = 1000 if front < 60_000 else 0
    folder.mkdir()
    (folder / "c.yaml").write_text(
        f"apiservers:\n- {{name: service-eureka, option: {{listenIP: 0.0.0.0, listenPort: {eureka - offset}}}}}\n"
        f"- {{name: api-http, option: {{listenPort: {front - offset}}}}}\nstore: {{name: memoryStore}}\n"
    )
    command = [
        sys.executable,
        "-m",
        "polaris_bridge",
        "serve",
        "--config",
        "c.yaml",
        "--data",
        "d",
        "--listen",
        "127.0.0.1",
    ]
    with (folder / "out.txt").open("wb") as out:
        process = subprocess.Popen(
            [*command, "--port-offset", str(offset)], cwd=folder, stdout=out, stderr=out, env={"PYTHONPATH": str(ROOT)}
        )
    try:
        until(lambda: answers(front), 20, "ready")
        assert ask(eureka, "GET", "/eureka/apps")[0] == 200
        assert "127.0.0.1" in (folder / "out.txt").read_text()
        assert "0.0.0.0" not in (folder / "out.txt").read_text()
    finally:
        process.terminate()
        assert process.wait(15) == 0


def answers(port: int) -> bool:
    try:
        return ask(port, "GET", "/readyz")[0] == 200
    except OSError:
        return False


def test_logs_that_cannot_be_opened_do_not_stop_a_start(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "log").write_text("a file where the folder should be")
    child = Child(folder)
    try:
        assert child.register("i1") == 204
        assert child.renew("i1") == 200
    finally:
        assert child.end() == 0
    assert "log" in child.output
    assert "Traceback" not in child.output


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "data").write_text("a file")
    child = Child(tmp_path / "server", ready=False)
    assert child.process.wait(20) in (1, 2)
    assert "data" in child.output
    assert "Traceback" not in child.output


def test_a_damaged_store_is_refused_untouched(folder: Path) -> None:
    child = Child(folder)
    assert child.register("i1") == 204
    assert child.end() == 0
    (database,) = [p for p in (folder / "data").rglob("*") if p.suffix in (".db", ".bolt") and p.is_file()]
    damaged = b"nonsense" * 4096
    database.write_bytes(damaged)
    again = Child(folder, ready=False)
    assert again.process.wait(20) == 1
    assert database.name in again.output
    assert "Traceback" not in again.output
    assert database.read_bytes() == damaged


def test_check_config(tmp_path: Path) -> None:
    def check(text: str) -> tuple[int, str]:
        file = tmp_path / "c.yaml"
        file.write_text(text)
        command = [sys.executable, "-m", "polaris_bridge", "check-config", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=False)
        return done.returncode, done.stdout + done.stderr

    code, said = check((ROOT / "conf" / "polaris-server.yaml").read_text())
    assert code == 0, said
    code, said = check("apiservers:\n- name: service-eureka\n  option: {listenPort: 99999}\nnameing: {}\n")
    assert code == 1
    assert "c.yaml:3:" in said
    assert "listenPort" in said
    assert "naming" in said, "the nearest known key"
