"""The lock when its holder leaves in the very moment in which the next one comes."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from polaris_bridge.storage.lockfile import Held, LockFile


def test_a_lock_on_a_file_that_went_away_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.db.lock"
    leaving, coming, third = (LockFile(path, lambda: 0) for _ in range(3))
    leaving.take()
    real = fcntl.flock
    tries = []

    def flock(descriptor: int, how: int) -> None:
        tries.append(descriptor)
        if len(tries) == 1:
            leaving.release()  # after the file was opened, before it was locked
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    coming.take()
    assert len(tries) == 2
    assert path.exists()
    with pytest.raises(Held, match=r"process \d+ on .* since 1970-01-01 00:00:00 UTC"):
        third.take()
    coming.release()
    assert not path.exists()
    third.take()
    third.release()
