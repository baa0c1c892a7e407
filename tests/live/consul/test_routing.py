"""Rules of routing, written on the console's port, decide what Go's client and ``dig`` are given: at once, by who they are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from ..conftest import build
from ..polaris.console import Console
from ..server import Server
from .members import CLIENTS, Fleet, Member
from .names import Resolver
from .registry import Document, Registry
from .telling import Watch, of_ports

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]
CART, STRANGER = "127.0.0.7", "127.0.0.8"
"""Where the two callers call from: every address of 127.0.0.0/8 is this machine."""
OLD, NEW = 8001, 8002
RULES = "/naming/v2/routings"
WITHIN_S = 1.0


class Shop:
    """A server of its own whose look-ups are routed, a shop of two versions, and two callers on Go's library."""

    def __init__(self, server: Server, fleet: Fleet) -> None:
        go = CLIENTS["go"]
        self.cart = fleet.start(go, "cart", source=CART)
        self.stranger = fleet.start(go, "stranger", source=STRANGER)
        for member in (self.cart, self.stranger):
            member.talker.greet()
        self.registry = Registry(f"http://127.0.0.1:{server.port}")
        self.console = Console(f"http://127.0.0.1:{server.http_port}")
        self.names = Resolver("127.0.0.1", server.dns_port)
        self.registry.register("shop", OLD, Meta={"version": "v1"})
        self.registry.register("shop", NEW, Meta={"version": "v2"})
        self.enter(self.cart, CART)

    def close(self) -> None:
        self.registry.close()
        self.console.close()

    def enter(self, member: Member, address: str) -> None:
        """A caller registers itself."""
        member.ask("register", service="cart", id=f"cart-{address}", address=address, port=9000)

    def rule(self, *parts: Document) -> str:
        """A rule about calls to the shop; its id."""
        config = {"@type": "type.googleapis.com/v1.RuleRoutingConfig", "rules": list(parts)}
        own = {"name": "live", "namespace": "default", "enable": True, "routing_policy": "RulePolicy"}
        return self.console.add_rule(RULES, own | {"routing_config": config})

    def remove(self, rule: str) -> None:
        self.console.remove_rule(RULES, rule)

    def places(self, source: str, *more: str) -> dict[int, int]:
        """By port: the weight of its SRV record, for who asks from an address."""
        reply = self.names.ask("shop.service.consul", "SRV", "-b", source, *more)
        return {int(port): int(weight) for _, weight, port, _ in (data.split() for data in reply.data("SRV"))}


def part(callers: str, **shares: int) -> Document:
    """Calls of a service go to versions, by these shares."""
    return {
        "name": f"of {callers}",
        "sources": [{"namespace": "*", "service": callers}],
        "destinations": [
            {
                "namespace": "default",
                "service": "shop",
                "name": version,
                "labels": {"version": {"type": "EXACT", "value": version}},
                "weight": share,
            }
            for version, share in shares.items()
        ],
    }


CANARY = (part("cart", v2=100), part("*", v1=100))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    build(CLIENTS["go"].program)
    folder = tmp_path_factory.mktemp("routing")
    server = Server(folder, "service-consul", ("apiservers.service-consul.option.routing=true",))
    fleet = None
    try:
        server.start()
        fleet = Fleet("127.0.0.1", server.port, folder)
        shop = Shop(server, fleet)
        yield shop
        shop.close()
    finally:
        if fleet is not None:
            fleet.close()
        server.close()


def test_a_rule_reaches_who_waits(shop: Shop) -> None:
    assert shop.cart.instances("shop").keys() == {OLD, NEW}
    ours, theirs = Watch(shop.cart, service="shop"), Watch(shop.stranger, service="shop")
    written: list[str] = []
    ours.expect(lambda: written.append(shop.rule(*CANARY)), "the new version", of_ports({NEW}))
    theirs.hears(of_ports({OLD}), "the old version", WITHIN_S)
    assert shop.cart.instances("shop").keys() == {NEW}
    assert shop.stranger.instances("shop").keys() == {OLD}
    ours.expect(partial(shop.remove, written[0]), "both", of_ports({OLD, NEW}))
    theirs.hears(of_ports({OLD, NEW}), "both", WITHIN_S)
    ours.close()
    theirs.close()


def test_names_follow_who_asks(shop: Shop) -> None:
    rule = shop.rule(*CANARY)
    assert shop.places(CART).keys() == {NEW}
    assert shop.places(STRANGER).keys() == shop.places(STRANGER, "+tcp").keys() == {OLD}
    assert shop.places(STRANGER, f"+subnet={CART}/32").keys() == {NEW}
    shop.remove(rule)
    assert shop.places(STRANGER).keys() == {OLD, NEW}


def test_places_weigh_what_the_rule_says(shop: Shop) -> None:
    rule = shop.rule(part("*", v1=90, v2=10))
    assert shop.places(CART) == {OLD: 9, NEW: 1}
    weights = {port: entry["Service"]["Weights"]["Passing"] for port, entry in shop.registry.entries("shop").items()}
    assert weights == {OLD: 9, NEW: 1}
    shop.remove(rule)
    assert shop.places(CART) == {OLD: 1, NEW: 1}


def test_who_becomes_another_caller_is_told_at_once(shop: Shop) -> None:
    rule = shop.rule(*CANARY)
    watch = Watch(shop.stranger, service="shop")
    watch.hears(of_ports({OLD}), "the old version")
    watch.expect(lambda: shop.enter(shop.stranger, STRANGER), "it is a cart now", of_ports({NEW}))
    leave = partial(shop.stranger.ask, "deregister", id=f"cart-{STRANGER}")
    watch.expect(leave, "it is none any more", of_ports({OLD}))
    watch.close()
    shop.remove(rule)
