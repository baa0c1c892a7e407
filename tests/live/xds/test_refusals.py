"""What a client refuses is kept and shown, and nothing but that client suffers from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..polaris.console import Console
from ..server import Server
from ..waiting import until
from .ads import LISTENER, AdsStream
from .callers import CHANGES_WITHIN_S
from .conftest import RUN

pytestmark = [pytest.mark.live, pytest.mark.timeout(60)]
NODE = f"sidecar~default/refuses-{RUN}~127.0.0.1"


@pytest.fixture
def stream(server: Server) -> Iterator[AdsStream]:
    made = AdsStream(server.port, NODE)
    yield made
    made.close()


def test_a_refusal_is_shown(stream: AdsStream, console: Console, service: str) -> None:
    console.register(service, 8001)
    name = f"{service}.default"
    stream.ask(LISTENER, name)
    answer = stream.hear()
    stream.ask(LISTENER, name, after=answer, refusing="I do not like it")

    refusing = {"node": NODE, "refusing": "true"}
    until(lambda: console.read("/xds/v1/clients", **refusing)["amount"], CHANGES_WITHIN_S, "it is shown")
    [mine] = console.read("/xds/v1/clients", **refusing)["clients"]
    assert mine["types"]["lds"]["refused"]["text"] == "I do not like it"
    kept = console.read("/xds/v1/refusals")["refusals"][0]
    assert (kept["node"], kept["type"], kept["text"]) == (NODE, "lds", "I do not like it")
    stream.close()
    until(lambda: not console.read("/xds/v1/clients", node=NODE)["amount"], CHANGES_WITHIN_S, "the client is gone")
    assert console.read("/xds/v1/refusals")["refusals"][0] == kept
