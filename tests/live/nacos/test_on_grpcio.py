"""The same port on grpcio: it stays the reference and the fallback of our own transport."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ..server import Server
from ..waiting import until
from .conftest import needed
from .members import NOTICES_WITHIN_S, SDKS, Fleet, Member
from .registry import Registry
from .telling import Watch

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]
CHOSEN = [SDKS[name] for name in ("java-3", "go-2", "python-3")]
ANCHOR = 8009


@pytest.fixture
def guests(
    tmp_path_factory: pytest.TempPathFactory, buildable: dict[str, str]
) -> Iterator[tuple[Registry, list[Member]]]:
    for client in CHOSEN:
        needed(client, buildable)
    folder = tmp_path_factory.mktemp("grpcio")
    with ExitStack() as stack:
        server = Server(folder, "service-nacos", ("apiservers.service-nacos.option.transport=grpcio",))
        stack.callback(server.close)
        server.start()
        registry = Registry(f"http://127.0.0.1:{server.port}/nacos")
        stack.callback(registry.close)
        fleet = Fleet("127.0.0.1", server.port, folder)
        stack.callback(fleet.close)
        fleet.muster(CHOSEN)
        yield registry, list(fleet)


def test_registers_is_told_and_leaves_with_its_connection(guests: tuple[Registry, list[Member]]) -> None:
    registry, members = guests
    service = "on-grpcio"
    registry.register(service, ANCHOR)
    watches = [Watch(member, service) for member in members]
    for watch in watches:
        until(watch.all, NOTICES_WITHIN_S, f"{watch.member.name} is told of what there is")
    for member in members:
        watches[0].expect_port(lambda member=member: member.register(service), member.port)  # type: ignore[misc]
    ports = {ANCHOR, *(member.port for member in members)}
    for member in members:
        member.sees(service, ports)
        until(
            lambda member=member: {one["port"] for one in member.changes(service)[-1]["instances"]} == ports,  # type: ignore[misc]
            NOTICES_WITHIN_S,
            f"{member.name} is told of all",
        )
    for member in members:
        member.talker.close()
    until(lambda: registry.ports(service) == {ANCHOR}, NOTICES_WITHIN_S, "connections end, instances go")
