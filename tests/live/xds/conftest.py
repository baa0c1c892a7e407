"""One server, its registries' own APIs as hands, the callers that the selected tests name, and back-ends by the dozen."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from ..conftest import build, can_be_built, of_folder
from ..polaris.console import Console
from ..server import Server
from . import programs
from .backends import Backend, GrpcBackend, HttpBackend
from .callers import Caller, bootstrap

RUN = f"{os.getpid():x}"
_numbers = count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"), "xds-v3")
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def console(server: Server) -> Iterator[Console]:
    made = Console(f"http://127.0.0.1:{server.http_port}")
    yield made
    made.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "caller" in metafunc.fixturenames:
        metafunc.parametrize("caller", list(programs.CALLERS), indirect=True)


def wanted(session: pytest.Session) -> list[str]:
    """Callers that the selected tests name."""
    found: dict[str, None] = {}
    for item in of_folder(session, __file__):
        spec = getattr(item, "callspec", None)
        if spec is not None and "caller" in spec.params:
            found[spec.params["caller"]] = None
        if "house" in getattr(item, "fixturenames", ()):
            found |= dict.fromkeys(programs.CALLERS)
    return list(found)


def muster(names: list[str], port: int, folder: Path) -> dict[str, Caller]:
    """Those that can be built, started at the same time, since starting is what costs."""
    made = {
        name: Caller(name, programs.CALLERS[name], folder / name, bootstrap(port, name))
        for name in names
        if can_be_built(programs.CALLERS[name])
    }
    for one in made.values():
        one.talker.launch()
    for one in made.values():
        one.talker.greet()
    return made


@pytest.fixture(scope="session")
def callers(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Caller]]:
    made = muster(wanted(request.session), server.port, tmp_path_factory.mktemp("callers"))
    yield made
    for one in made.values():
        one.talker.close()


@pytest.fixture
def caller(request: pytest.FixtureRequest, callers: dict[str, Caller], console: Console) -> Iterator[Caller]:
    """A running client of one of the libraries; whatever a test did, it has refused nothing."""
    build(programs.CALLERS[request.param])
    found = callers[request.param]
    yield found
    refused = console.read("/xds/v1/refusals")["refusals"]
    assert [each for each in refused if each["node"] == found.node] == []


@pytest.fixture
def grpc_backend() -> Iterator[Callable[[str], GrpcBackend]]:
    """Makes gRPC servers that end with the test."""
    made: list[GrpcBackend] = []

    def new(name: str) -> GrpcBackend:
        made.append(GrpcBackend(name))
        return made[-1]

    yield new
    close(made)


@pytest.fixture
def http_backend() -> Iterator[Callable[[str], HttpBackend]]:
    """Makes HTTP servers that end with the test."""
    made: list[HttpBackend] = []

    def new(name: str) -> HttpBackend:
        made.append(HttpBackend(name))
        return made[-1]

    yield new
    close(made)


def close(backends: list[GrpcBackend] | list[HttpBackend]) -> None:
    each: Backend
    for each in backends:
        each.close()


@pytest.fixture
def service() -> str:
    """A name that no other test has."""
    return f"shop-{RUN}-{next(_numbers)}"
