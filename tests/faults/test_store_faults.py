"""What the store makes of a full disk, a read-only one, a write that fails, and a kill, all of them real."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from polaris_bridge.core.model import Lease, Registration
from polaris_bridge.core.ports import REGISTRATION, ExtTypes, Row, Store, StoreRefused
from polaris_bridge.storage import open_store

Outcomes = list[Exception | None]


def store_at(path: Path) -> Store:
    return open_store(
        "sqlite",
        path=path,
        synchronous="normal",
        ext_types=ExtTypes(),
        post=lambda run: run(),
        unique=lambda: "n",
        wall_ms=lambda: 1_700_000_000_000,
    )


def row(key: str, size: int = 100) -> Row:
    value = Registration(
        "s", "n", key, "service", "10.0.0.1", 80, liveness=Lease(1, 2, 3), metadata={"k": "v" * size}, revision=1
    )
    return Row(REGISTRATION, ("s", "n", key), 1, value)


def append(store: Store, *rows: Row) -> Exception | None:
    outcomes: Outcomes = []
    store.append(rows, 0, outcomes.append)
    store.flush()
    assert len(outcomes) == 1
    return outcomes[0]


def stored(store: Store) -> set[str]:
    """Keys that are there after opening again."""
    store.close()
    return {value.key for value in store.load().rows if isinstance(value, Registration)}


def fill(store: Store) -> tuple[set[str], Exception]:
    """Append until an append fails: what was acknowledged, and the failure."""
    acknowledged = set()
    for number in range(2000):
        key = f"row-{number}"
        error = append(store, row(key, 3000), row(key + "-twin", 3000))
        if error is not None:
            return acknowledged, error
        acknowledged |= {key, key + "-twin"}
    raise AssertionError("it never became full")


def reserve_until_full(store: Store) -> None:
    """Take what room is left between the pages of the log, then the mark has none either."""
    for mark in range(1, 2000):
        append(store, row(f"more-{mark}", 3000))
        store.reserve(mark)


def write_until_full(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small file system needs root; the limit of file sizes below tests the same path")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True, timeout=30)


def test_a_full_disk_fails_writes_until_there_is_space(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_000_000)
    store = store_at(small_disk / "r.db")
    store.load()
    acknowledged, error = fill(store)
    assert "full" in str(error)
    assert acknowledged
    with pytest.raises(sqlite3.OperationalError, match=r"full|disk|unable"):
        reserve_until_full(store)
    for number in range(3):
        assert append(store, row(f"still-{number}", 3000)) is not None
    ballast.unlink()
    assert append(store, row("again", 3000)) is None
    store.reserve(5000)
    keys = stored(store)
    assert acknowledged | {"again"} <= keys
    assert not keys & {"still-0", "still-1", "still-2"}
    assert len([key for key in keys if key.startswith("row-")]) == len(acknowledged), "no group is there by half"
    store.close()


def test_a_disk_that_is_full_at_the_start_refuses_a_new_store(small_disk: Path) -> None:
    with pytest.raises(OSError, match="space"):
        write_until_full(small_disk / "ballast")
    with pytest.raises(StoreRefused, match="free space"):
        store_at(small_disk / "r.db").load()
    assert os.listdir(small_disk) == ["ballast"]


def test_a_read_only_disk_is_refused_at_the_start_and_taken_when_it_is_repaired(small_disk: Path) -> None:
    path = small_disk / "r.db"
    store = store_at(path)
    store.load()
    assert append(store, row("before")) is None
    store.close()
    remount(small_disk, "ro")
    with pytest.raises(StoreRefused, match=r"[Rr]ead-only") as caught:
        store.load()
    assert "write the file and its directory" in str(caught.value)
    remount(small_disk, "rw")
    assert stored(store) == {"before"}
    store.close()


def remount(place: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(place)], check=True, timeout=30)


@pytest.fixture
def file_limit() -> Iterator[None]:
    """No file of this process may grow beyond 256 KiB: writes fail as on a broken disk, for every user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_and_works_again(tmp_path: Path, file_limit: None) -> None:
    store = store_at(tmp_path / "r.db")
    store.load()
    acknowledged, error = fill(store)
    assert "disk" in str(error)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert append(store, row("again", 3000)) is None
    assert stored(store) == acknowledged | {"again"}
    store.close()


def test_a_file_that_vanished_does_not_come_back_empty(tmp_path: Path, file_limit: None) -> None:
    path = tmp_path / "r.db"
    store = store_at(path)
    store.load()
    fill(store)
    path.unlink()
    for _ in range(2):
        assert append(store, row("lost", 3000)) is not None
    assert not path.exists()
    store.close()


@pytest.fixture
def somebody() -> Iterator[Path]:
    """A directory that the tests' user may read but not write; root becomes nobody meanwhile."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o555)
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        yield Path(place)
        os.seteuid(before)
        os.chmod(place, 0o700)


def test_a_directory_that_may_not_be_written_is_refused(somebody: Path) -> None:
    with pytest.raises(StoreRefused, match=rf"Permission denied.* \(id {os.geteuid()}\) may read and write"):
        store_at(somebody / "r.db").load()
    with pytest.raises(StoreRefused, match="Permission denied"):
        store_at(somebody / "deeper" / "r.db").load()
    assert os.listdir(somebody) == []


def test_somebody_elses_transaction_fails_writes_until_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polaris_bridge.storage.sqlite._PATIENCE_S", 0.05)
    path = tmp_path / "r.db"
    store = store_at(path)
    store.load()
    shell = sqlite3.connect(path, isolation_level=None)
    try:
        shell.execute("BEGIN IMMEDIATE")
        assert "locked" in str(append(store, row("a")))
        shell.execute("ROLLBACK")
    finally:
        shell.close()
    assert append(store, row("b")) is None
    assert stored(store) == {"b"}
    store.close()


WRITER = """
import sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_store_faults import row, store_at

store = store_at(Path(sys.argv[1]))
store.load()
lines = threading.Lock()
room = threading.Semaphore(64)

def acknowledged(number, error):
    room.release()
    if error is None:
        with lines:
            sys.stdout.write(f"{number}\\n")
            sys.stdout.flush()

number = 0
while True:
    room.acquire()
    rows = [row(f"{number}-{part}", 400) for part in "abc"]
    store.append(rows, number + 1, lambda error, number=number: acknowledged(number, error))
    number += 1
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_loses_nothing_acknowledged_and_leaves_nothing_half(tmp_path: Path, seed: int) -> None:
    path, told = tmp_path / "r.db", tmp_path / "told"
    enough = random.Random(seed).randrange(100, 6000)
    with told.open("wb") as output:
        command = [sys.executable, "-c", WRITER, str(path), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=output) as process:
            try:
                deadline = time.monotonic() + 60
                while told.read_bytes().count(b"\n") < enough:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
    acknowledged = [int(line) for line in told.read_text().split("\n")[:-1]]
    assert acknowledged == list(range(len(acknowledged))), "outcomes come in order"
    store = store_at(path)
    loaded = store.load()
    keys = {value.key for value in loaded.rows if isinstance(value, Registration)}
    groups = {int(key.partition("-")[0]) for key in keys}
    assert set(acknowledged) <= groups
    assert keys == {f"{number}-{part}" for number in groups for part in "abc"}
    assert groups == set(range(len(groups))), "in order, without a gap"
    assert loaded.reserved == len(groups)
    assert append(store, row("after")) is None
    store.close()
    assert sorted(os.listdir(tmp_path)) == [path.name, told.name]
