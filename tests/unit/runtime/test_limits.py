"""The limit of open files."""

from __future__ import annotations

import resource

import pytest

from polaris_bridge.runtime.limits import CEILING, RESERVED, OpenFiles, raise_open_files

Set = list[tuple[int, int]]


def limits(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, error: Exception | None = None) -> Set:
    given: Set = []

    def setrlimit(_: int, pair: tuple[int, int]) -> None:
        if error:
            raise error
        given.append(pair)

    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    return given


def test_soft_is_raised_to_hard(monkeypatch: pytest.MonkeyPatch) -> None:
    given = limits(monkeypatch, 1024, 65_536)
    files = raise_open_files()
    assert given == [(65_536, 65_536)]
    assert files.connections == 65_536 - RESERVED
    assert str(files) == f"open files: limit raised from 1024 to 65536, which allows {files.connections} connections"


def test_an_unlimited_hard_limit_is_not_taken_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    given = limits(monkeypatch, 1024, resource.RLIM_INFINITY)
    assert raise_open_files().soft == CEILING
    assert given == [(CEILING, resource.RLIM_INFINITY)]


@pytest.mark.parametrize("soft", [resource.RLIM_INFINITY, CEILING, CEILING * 2])
def test_a_limit_that_is_high_already_stays(monkeypatch: pytest.MonkeyPatch, soft: int) -> None:
    given = limits(monkeypatch, soft, resource.RLIM_INFINITY)
    assert raise_open_files().soft >= CEILING
    assert given == []


@pytest.mark.parametrize("error", [OSError("not permitted"), ValueError("not permitted")])
def test_a_refusal_is_said_and_not_raised(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    limits(monkeypatch, 1024, 4096, error)
    files = raise_open_files()
    assert files.connections == 1024 - RESERVED
    assert "not permitted" in str(files)
    assert "ulimit -n" in str(files)


def test_a_tiny_limit_still_allows_a_connection() -> None:
    assert OpenFiles(64, 64, 64).connections == 1
