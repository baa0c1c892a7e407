"""Registries that answer rubbish, ask for credentials or hang: every outcome has a name, and nothing else comes out."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_connectors import address

from polaris_bridge import testing
from polaris_bridge.migration.connectors.kinds import connect
from polaris_bridge.migration.connectors.web import Answer
from polaris_bridge.migration.model import CONSUL, EUREKA, KINDS, NACOS, POLARIS, RegistryEntry
from polaris_bridge.migration.ports import RegistryError, Unauthorised, Unreachable

TYPES = ("application/json", "application/xml", "text/html", "")
WORDS = st.sampled_from(
    ("applications", "application", "instance", "name", "ip", "port", "serviceName", "groupName", "clusterMap", "hosts", "Node",
     "Service", "ID", "Checks", "Meta", "code", "services", "instances", "namespace", "data", "metadata", "status", "$", "UP")
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5) | WORDS
RUBBISH = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=4)
)
BODIES = RUBBISH.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)


def entry(kind: str, url: str, **more: Any) -> RegistryEntry:
    return RegistryEntry(id="x", kind=kind, addresses=(url,), timeout_s=2, **more)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(
    bodies=st.lists(
        st.tuples(BODIES, st.sampled_from(TYPES), st.sampled_from((200, 200, 200, 204, 302, 404))), min_size=1
    )
)
def test_no_answer_makes_anything_but_services_or_a_named_error(
    kind: str, bodies: list[tuple[bytes, str, int]]
) -> None:
    async def read() -> None:
        connector: Any = connect(entry(kind, "http://127.0.0.1:1"), "", lambda: 0)
        left = iter(bodies * 50)

        async def ask(*_: Any, **__: Any) -> Answer:
            body, type, status = next(left, bodies[0])
            return Answer(status, {"content-type": type, "x-consul-index": "1"}, body)

        connector.web.ask = ask
        try:
            async with asyncio.timeout(5):
                found = await connector.read()
        except RegistryError:
            pass  # it has a name
        else:
            assert all(record.instance.host for records in found.values() for record in records)
        finally:
            await connector.close()

    asyncio.run(read())


async def test_credentials_are_asked_for_and_taken() -> None:
    sets = [
        "auth.user.option.seedDefaultAdmin=true",
        "auth.strategy.option.clientOpen=true",
        *(f"apiservers.{name}.option.auth=true" for name in ("service-eureka", "service-nacos", "service-consul")),
    ]
    async with testing.server(sets=sets) as running:
        directory = running.server.access.directory  # type: ignore[union-attr]
        (user,) = [u for u in directory.snapshot.users.values() if u.name == "polaris"]
        good = {EUREKA: "polaris", NACOS: "polaris", CONSUL: user.token, POLARIS: user.token}
        for kind in KINDS:
            named = {"user": "polaris"} if kind in (EUREKA, NACOS) else {}
            for secret in ("wrong", good[kind]):
                connector = connect(entry(kind, address(kind, running), **named), secret, lambda: 0)
                if secret == good[kind]:
                    await connector.probe()
                    await connector.read()
                else:
                    with pytest.raises(Unauthorised):
                        await connector.probe()
                await connector.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_who_never_answers_is_given_up(kind: str) -> None:
    async def nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    held = asyncio.Event()
    server = await asyncio.start_server(nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    silent = RegistryEntry(id="x", kind=kind, addresses=(f"http://127.0.0.1:{port}",), timeout_s=0.1)
    connector = connect(silent, "", lambda: 0)
    with pytest.raises(Unreachable):
        await connector.read()
    held.set()
    await connector.close()
    server.close()
    await server.wait_closed()
