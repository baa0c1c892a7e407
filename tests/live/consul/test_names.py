"""Names as ``dig`` resolves them, over UDP and TCP: instances, nodes, tags, and what is not there."""

from __future__ import annotations

import pytest

from ..waiting import until
from .conftest import RUN
from .members import NOTICES_WITHIN_S
from .names import Resolver
from .registry import Document, Registry

pytestmark = [pytest.mark.live, pytest.mark.timeout(60)]
FIRST, SECOND, THIRD = "10.1.2.3", "10.1.2.4", "10.1.2.5"
TRANSPORTS = pytest.mark.parametrize("transport", ["+notcp", "+tcp"], ids=["udp", "tcp"])


@pytest.fixture
def web(registry: Registry, request: pytest.FixtureRequest) -> str:
    """A service: one that passes, one with a warning, one that is critical."""
    name = f"{request.node.originalname.removeprefix('test_')[:20].strip('_').replace('_', '-')}-{RUN}"
    weights: Document = {"Passing": 7, "Warning": 2}
    registry.register(name, 8001, Address=FIRST, Tags=["v1"], Weights=weights)
    registry.register(
        name, 8002, Address=SECOND, Tags=["v2"], Weights=weights, Check={"TTL": "600s", "Status": "warning"}
    )
    registry.register(name, 8003, Address=THIRD, Tags=["v3"], Check={"TTL": "600s"})
    return name


@TRANSPORTS
def test_addresses(names: Resolver, web: str, transport: str) -> None:
    reply = names.ask(f"{web}.service.consul", "A", transport)
    assert reply.status == "NOERROR"
    assert "aa" in reply.flags
    assert "ra" not in reply.flags
    assert reply.data("A") == [FIRST, SECOND]
    assert {line[1] for line in reply.answer} == {"0"}
    assert names.addresses(f"v1.{web}.service.consul", transport) == {FIRST}
    assert names.addresses(f"{web}.service.dc1.consul", transport) == {FIRST, SECOND}
    assert names.addresses(f"{web.upper()}.SERVICE.consul", transport) == {FIRST, SECOND}


@TRANSPORTS
def test_places(names: Resolver, web: str, transport: str) -> None:
    reply = names.ask(f"{web}.service.consul", "SRV", transport)
    assert reply.data("SRV") == [
        "1 2 8002 0a010204.addr.dc1.consul.",
        "1 7 8001 0a010203.addr.dc1.consul.",
    ]
    assert reply.data("A", "ADDITIONAL") == [FIRST, SECOND]
    by_tag = names.ask(f"_{web}._v1.service.consul", "SRV", transport)
    assert by_tag.data("SRV") == ["1 7 8001 0a010203.addr.dc1.consul."]
    assert len(names.ask(f"_{web}._tcp.service.consul", "SRV", transport).data("SRV")) == 2
    assert names.addresses("0a010203.addr.dc1.consul", transport) == {FIRST}


@TRANSPORTS
def test_what_is_not_there(names: Resolver, web: str, transport: str) -> None:
    for name in (f"no-{web}.service.consul", f"v3.{web}.service.consul", f"{web}.service.dc9.consul", "x.node.consul"):
        reply = names.ask(name, "A", transport)
        assert (reply.status, reply.answer) == ("NXDOMAIN", []), name
        assert reply.sections["AUTHORITY"][0][3] == "SOA"
    nothing = names.ask(f"{web}.service.consul", "AAAA", transport)
    assert (nothing.status, nothing.answer) == ("NOERROR", [])
    assert nothing.sections["AUTHORITY"][0][3] == "SOA"
    assert names.ask("example.org", "A", transport).status == "REFUSED"


def test_nodes(names: Resolver, registry: Registry) -> None:
    me = registry.read("agent/self")["Config"]["NodeName"]
    [node] = [one for one in registry.read("catalog/nodes") if one["Node"] == me]
    assert names.addresses(f"{me}.node.consul") == {node["Address"]}
    texts = names.ask(f"{me}.node.consul", "TXT").data("TXT")
    assert any(text.startswith('"consul-version=') for text in texts)
    backwards = ".".join(reversed(node["Address"].split("."))) + ".in-addr.arpa"
    # The node of other protocols' instances has the same address.
    assert f"{me}.node.dc1.consul." in names.ask(backwards, "PTR").data("PTR")


def test_the_zone(names: Resolver) -> None:
    assert names.ask("consul", "SOA").data("SOA")[0].startswith("ns.consul. hostmaster.consul. ")
    assert all(name.endswith(".node.dc1.consul.") for name in names.ask("consul", "NS").data("NS"))


def test_many_instances(names: Resolver, registry: Registry) -> None:
    """Three without EDNS over UDP, all over TCP and to whom can take long answers; in another order each time."""
    name = f"many-{RUN}"
    everywhere = {f"10.2.0.{n}" for n in range(1, 41)}
    for n, address in enumerate(sorted(everywhere)):
        registry.register(name, 8000 + n, Address=address)
    few = [names.ask(f"{name}.service.consul", "A", "+noedns", "+ignore").data("A") for _ in range(5)]
    assert {len(addresses) for addresses in few} == {3}
    assert len({tuple(addresses) for addresses in few}) > 1
    assert names.addresses(f"{name}.service.consul", "+bufsize=4096") == everywhere
    assert names.addresses(f"{name}.service.consul", "+tcp") == everywhere
    assert len(names.places(name)) == 40


def test_answers_follow_changes(names: Resolver, registry: Registry, web: str) -> None:
    registry.deregister(web, 8001)
    assert names.addresses(f"{web}.service.consul") == {SECOND}
    registry.deregister(web, 8003)
    registry.register(web, 8003, Address=THIRD)
    registry.deregister(web, 8002)
    registry.register(web, 8002, Address=SECOND, Check={"TTL": "1s", "Status": "passing"})
    until(
        lambda: names.addresses(f"{web}.service.consul") == {THIRD},
        NOTICES_WITHIN_S,
        "who does not beat is not answered any more",
    )


def test_prepared_queries(names: Resolver, registry: Registry, web: str) -> None:
    body = {"Name": f"q-{web}", "Service": {"Service": web, "OnlyPassing": True}, "DNS": {"TTL": "11s"}}
    answer = registry._http.post("/query", json=body)
    assert answer.status_code == 200, answer.text
    reply = names.ask(f"q-{web}.query.consul", "A")
    assert reply.data("A") == [FIRST]
    assert [line[1] for line in reply.answer] == ["11"]
    assert names.ask(f"q-{web}.query.consul", "SRV").data("SRV") == ["1 7 8001 0a010203.addr.dc1.consul."]
