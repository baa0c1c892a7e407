"""Log files: form, scopes, rotation, failures. What a scope's keys promise is what is looked for on the disk."""

from __future__ import annotations

import gzip
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polaris_bridge.runtime.logs import SCOPES, LoggerOptions, Logs, scope
from polaris_bridge.runtime.logs.rotation import Limits, RotatingFile, limits_of

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\t(\w+)\t([\w-]+)\ttest_logs\.py:\d+\t(.*)")
HOUR_S = 3600
DAY_S = 86_400


class Stderr:
    def __init__(self) -> None:
        self.text = ""

    def __call__(self, lines: bytes) -> None:
        self.text += lines.decode()


@pytest.fixture
def stderr() -> Stderr:
    return Stderr()


@pytest.fixture
def logs(tmp_path: Path, stderr: Stderr) -> Iterator[Callable[..., Logs]]:
    made: list[Logs] = []

    def make(**scopes: LoggerOptions) -> Logs:
        made.append(Logs({name.replace("_", "-"): options for name, options in scopes.items()}, tmp_path, stderr))
        made[0].start()
        return made[0]

    yield make
    for one in made:
        one.close()


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_a_line_says_when_how_bad_where_and_what(logs: Callable[..., Logs], tmp_path: Path) -> None:
    running = logs(default=LoggerOptions("log/a.log"), eureka=LoggerOptions("log/e.log"))
    scope("naming").info("%s came", "foo")
    scope("eureka").warning("odd")
    assert running.flush()
    assert [LINE.fullmatch(line).groups() for line in lines_of(tmp_path / "log/a.log")] == [  # type: ignore[union-attr]
        ("info", "naming", "foo came")
    ]
    assert LINE.fullmatch(lines_of(tmp_path / "log/e.log")[0]).group(1, 2) == ("warn", "eureka")  # type: ignore[union-attr]


@pytest.mark.parametrize("name", SCOPES)
def test_every_scope_can_have_a_file_of_its_own(tmp_path: Path, stderr: Stderr, name: str) -> None:
    running = Logs({"default": LoggerOptions("default.log"), name: LoggerOptions("own.log")}, tmp_path, stderr)
    running.start()
    try:
        scope(name).info("here")
        running.flush()
        assert len(lines_of(tmp_path / "own.log")) == 1
    finally:
        running.close()


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("polaris_bridge.core.registry", "naming.log"),
        ("polaris_bridge.storage.sqlite", "store.log"),
        ("polaris_bridge.adapters.eureka.service", "eureka.log"),
        ("polaris_bridge.adapters._shared.http", "apiserver.log"),
        ("polaris_bridge.runtime.server", "default.log"),
        ("uvicorn.error", "apiserver.log"),
    ],
)
def test_a_module_logs_to_the_scope_of_its_package(
    logs: Callable[..., Logs], tmp_path: Path, module: str, file: str
) -> None:
    names = ("default", "naming", "store", "eureka", "apiserver")
    running = logs(**{name: LoggerOptions(f"{name}.log") for name in names})
    logging.getLogger(module).info("here")
    running.flush()
    assert {f"{name}.log": len(lines_of(tmp_path / f"{name}.log")) for name in names} == {
        f"{name}.log": int(f"{name}.log" == file) for name in names
    }


def test_errors_go_to_the_error_file_too(logs: Callable[..., Logs], tmp_path: Path) -> None:
    running = logs(default=LoggerOptions("a.log", "a-error.log"))
    scope("default").warning("almost")
    scope("default").error("broken")
    running.flush()
    assert len(lines_of(tmp_path / "a.log")) == 2
    assert [line.rsplit("\t", 1)[1] for line in lines_of(tmp_path / "a-error.log")] == ["broken"]


def test_output_level_and_only_content(logs: Callable[..., Logs], tmp_path: Path) -> None:
    running = logs(
        naming=LoggerOptions("n.log", output_level="warn", only_content=True),
        auth=LoggerOptions("auth.log", output_level="debug", only_content=True),
        store=LoggerOptions("s.log", output_level="none"),
    )
    for name in ("naming", "auth", "store"):
        scope(name).debug("quiet")
        scope(name).warning("loud")
    running.flush()
    assert lines_of(tmp_path / "n.log") == ["loud"]
    assert lines_of(tmp_path / "auth.log") == ["quiet", "loud"]
    assert lines_of(tmp_path / "s.log") == []


def test_what_a_client_sends_cannot_begin_a_line(logs: Callable[..., Logs], tmp_path: Path) -> None:
    running = logs(default=LoggerOptions("a.log"))
    scope("default").info("name %s", "x\n2026-01-01T00:00:00.000000Z\terror\tforged\r\x1b[31m")
    running.flush()
    (line,) = lines_of(tmp_path / "a.log")
    assert line.endswith("x\\n2026-01-01T00:00:00.000000Z\terror\tforged\\r\\x1b[31m")


def test_a_traceback_follows_its_line_indented(logs: Callable[..., Logs], tmp_path: Path) -> None:
    running = logs(default=LoggerOptions("a.log"))
    try:
        raise ValueError("inner")
    except ValueError:
        scope("default").exception("outer")
    running.flush()
    first, *rest = lines_of(tmp_path / "a.log")
    assert first.endswith("\touter")
    assert rest[-1] == "\tValueError: inner"
    assert all(line.startswith("\t") for line in rest)


def test_arguments_are_read_when_the_line_is_logged(logs: Callable[..., Logs], tmp_path: Path) -> None:
    running = logs(default=LoggerOptions("a.log", only_content=True))
    value = ["before"]
    scope("default").info("%s", value)
    value[0] = "after"
    running.flush()
    assert lines_of(tmp_path / "a.log") == ["['before']"]


def test_a_wrong_log_call_is_logged_and_not_raised(logs: Callable[..., Logs], tmp_path: Path) -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    running = logs(default=LoggerOptions("a.log", only_content=True))
    scope("default").info("%d", "text")
    scope("default").info(Mute())
    scope("default").info("still here")
    running.flush()
    wrong, mute, right = lines_of(tmp_path / "a.log")
    assert "text" in wrong
    assert "no words" in mute
    assert right == "still here"


def test_outputs_that_are_not_rotated(
    logs: Callable[..., Logs], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = logs(
        default=LoggerOptions(
            "a.log", only_content=True, output_paths=("stdout", "b.log"), error_output_paths=("stderr",)
        )
    )
    scope("default").info("fine")
    scope("default").error("bad")
    running.flush()
    seen = capsys.readouterr()
    assert seen.out == "fine\nbad\n"
    assert seen.err == "bad\n"
    assert lines_of(tmp_path / "a.log") == lines_of(tmp_path / "b.log") == ["fine", "bad"]


def test_a_scope_without_any_output_writes_to_stderr(
    logs: Callable[..., Logs], capsys: pytest.CaptureFixture[str]
) -> None:
    running = logs()
    scope("default").info("here")
    running.flush()
    assert "\there\n" in capsys.readouterr().err


def test_a_file_that_cannot_be_opened_is_named_once(logs: Callable[..., Logs], tmp_path: Path, stderr: Stderr) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    running = logs(default=LoggerOptions("taken/a.log", "taken/a-error.log", only_content=True))
    assert stderr.text.count("taken/a.log cannot be written") == 1
    scope("default").info("one")
    scope("default").error("two")
    running.flush()
    assert stderr.text.count("cannot be written") == 2
    assert stderr.text.endswith("one\ntwo\n")


def test_reopen_follows_a_file_that_was_moved_away(logs: Callable[..., Logs], tmp_path: Path) -> None:
    running = logs(default=LoggerOptions("a.log", only_content=True))
    scope("default").info("old")
    running.flush()
    os.rename(tmp_path / "a.log", tmp_path / "moved.log")
    scope("default").info("still old")
    running.reopen()
    scope("default").info("new")
    running.flush()
    assert lines_of(tmp_path / "moved.log") == ["old", "still old"]
    assert lines_of(tmp_path / "a.log") == ["new"]


def test_close_writes_everything_and_gives_the_loggers_back(tmp_path: Path, stderr: Stderr) -> None:
    running = Logs({"default": LoggerOptions("a.log", only_content=True)}, tmp_path, stderr)
    running.start()
    for number in range(5000):
        scope("naming").info("%d", number)
    running.close()
    assert lines_of(tmp_path / "a.log") == [str(number) for number in range(5000)]
    assert scope("naming").propagate
    assert not scope("naming").handlers


def test_more_lines_than_may_wait_are_dropped_and_counted(
    tmp_path: Path, stderr: Stderr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polaris_bridge.runtime.logs.writer.CAPACITY", 10)
    running = Logs({"default": LoggerOptions("a.log", only_content=True)}, tmp_path, stderr)
    running._attach("polaris_bridge.default", running._targets["default"], logging.INFO)
    for _ in range(25):
        scope("default").info("x")
    assert running.writer.dropped == 15
    running.writer.start()
    running.close()
    assert len(lines_of(tmp_path / "a.log")) == 10
    assert "15 log lines were dropped" in stderr.text


def test_a_line_costs_little_on_the_calling_thread(logs: Callable[..., Logs]) -> None:
    """15 µs are allowed; ten times that here, because this machine may be busy."""
    logs(default=LoggerOptions("a.log"))
    logger = scope("naming")
    best = float("inf")
    for _ in range(5):
        start = time.thread_time()
        for number in range(1000):
            logger.info("instance %s of %s", number, "service")
        best = min(best, (time.thread_time() - start) / 1000)
    assert best < 150e-6


class Wall:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def rotating(path: Path, limits: Limits, wall: Wall) -> RotatingFile:
    return RotatingFile(path, limits, lambda text: pytest.fail(text), wall)


def finished(path: Path) -> list[Path]:
    return sorted(p for p in path.parent.iterdir() if p != path)


def test_a_full_file_is_finished_and_the_oldest_are_removed(tmp_path: Path) -> None:
    wall = Wall(time.time())
    path = tmp_path / "a.log"
    file = rotating(path, Limits(size_bytes=10, backups=2), wall)
    for number in range(5):
        wall.now += 1
        assert file.write(f"line {number}\n".encode())
    file.close()
    assert path.read_text() == "line 4\n"
    assert [p.read_text() for p in finished(path)] == ["line 2\n", "line 3\n"]
    assert all(re.fullmatch(r"a-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log", p.name) for p in finished(path))


def test_finished_files_are_gzipped(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    file = rotating(path, Limits(size_bytes=4, compress=True), Wall(time.time()))
    file.write(b"one\n")
    file.write(b"two\n")
    file.close()
    (old,) = finished(path)
    assert old.name.endswith(".log.gz")
    assert gzip.decompress(old.read_bytes()) == b"one\n"


def test_a_file_that_cannot_be_gzipped_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full_disk)
    path = tmp_path / "a.log"
    file = rotating(path, Limits(size_bytes=4, compress=True), Wall(time.time()))
    file.write(b"one\n")
    assert file.write(b"two\n")
    file.close()
    (old,) = finished(path)
    assert old.read_bytes() == b"one\n"
    assert path.read_bytes() == b"two\n"


def test_a_new_file_is_begun_with_the_hour(tmp_path: Path) -> None:
    wall = Wall(time.time() // HOUR_S * HOUR_S + 10)
    path = tmp_path / "a.log"
    file = rotating(path, limits_of(0, 1, 0, 0, False), wall)
    file.write(b"this hour\n")
    wall.now += HOUR_S - 20
    file.write(b"still\n")
    assert finished(path) == []
    wall.now += 20
    file.write(b"next\n")
    file.close()
    assert path.read_text() == "next\n"
    assert [p.read_text() for p in finished(path)] == ["this hour\nstill\n"]


def test_a_file_of_an_earlier_period_is_finished_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("yesterday\n")
    wall = Wall(time.time() + DAY_S)
    file = rotating(path, limits_of(0, 1, 0, 0, False), wall)
    file.write(b"today\n")
    file.close()
    assert path.read_text() == "today\n"
    assert len(finished(path)) == 1


def test_files_older_than_the_age_are_removed_and_strangers_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    old, stranger = tmp_path / "a-2020-01-01T00-00-00.000.log.gz", tmp_path / "a-error.log"
    for file in (old, stranger):
        file.write_bytes(b"")
        os.utime(file, (0, 0))
    log = rotating(path, limits_of(0, 0, 0, 7, False), Wall(time.time()))
    log._rotate()
    log.close()
    assert not old.exists()
    assert stranger.exists()


def test_a_failing_file_is_tried_again_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polaris_bridge.runtime.logs.rotation.RETRY_S", 0.0)
    blocker = tmp_path / "folder"
    blocker.write_text("")
    said: list[str] = []
    file = RotatingFile(blocker / "a.log", Limits(), said.append)
    assert not file.write(b"lost\n")
    assert not file.write(b"lost\n")
    blocker.unlink()
    assert file.write(b"kept\n")
    file.close()
    assert ["cannot be written" in text for text in said] == [True, False]
    assert (blocker / "a.log").read_text() == "kept\n"
