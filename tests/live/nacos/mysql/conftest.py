"""One MariaDB for all tests of the folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .database import MariaDb


@pytest.fixture(scope="session")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    server = MariaDb(tmp_path_factory.mktemp("mariadb"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def database(_running: MariaDb) -> Iterator[MariaDb]:
    """Writable, at the beginning and at the end."""
    _running.say("SET GLOBAL read_only=0")
    yield _running
    _running.say("SET GLOBAL read_only=0")
