"""A Consul port whose answers follow rules of routing, which tests write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dns.edns
import dns.message
from consul_bottle import Answer, ConsulBottle

from polaris_bridge.adapters.consul.server.dns import Resolver
from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.translate.services import native_pairs
from polaris_bridge.adapters.polaris.service.routing.sources import ReadTargets, StandingServices
from polaris_bridge.core.model import SYSTEM, Document, ServiceKey, ServiceRecord
from polaris_bridge.core.routing.discovery import SWITCH, DiscoveryRouting
from polaris_bridge.core.routing.model import NO_RULES, Condition, Group, Route, Rules, Source
from polaris_bridge.core.routing.ports import NoPatterns
from polaris_bridge.core.routing.ready import ReadyRules

NAMESPACE = "default"
KIND = "rule"
SHOP = ServiceKey(NAMESPACE, "shop")


class Book:
    """Rules by service; a document tells that they changed."""

    kinds = frozenset({KIND})

    def __init__(self, bottle: ConsulBottle) -> None:
        self._bottle = bottle
        self.rules: dict[ServiceKey, Rules] = {}

    def revision(self) -> int:
        return self._bottle.registry.documents.revision(KIND)

    def of(self, service: ServiceKey) -> tuple[object, Callable[[], Rules]]:
        rules = self.rules.get(service, NO_RULES)
        return rules, lambda: rules


class RoutedBottle(ConsulBottle):
    """With words for rules and for questions."""

    def __init__(self, *, everywhere: bool = True, **settings: Any) -> None:
        super().__init__(ConsulSettings(node_name="n1", routing=everywhere, **settings))

    def routed(self) -> DiscoveryRouting:
        self.book = Book(self)
        standing = StandingServices(self.registry, ReadTargets(self.registry, {"consul": native_pairs}))
        return DiscoveryRouting(
            self.registry,
            standing,
            ReadyRules(self.book, NoPatterns()),
            self.located.get,
            everywhere=self.settings.routing,
        )

    # ------------------------------------------------------------------ what happens

    def rule(self, *routes: Route, service: ServiceKey = SHOP) -> None:
        """Rules about the calls to a service, in place of those before; none: they are deleted."""
        self.write(service, Rules(tuple(routes)))

    def write(self, service: ServiceKey, rules: Rules) -> None:
        """Everything that is said of a service."""
        self.book.rules[service] = rules
        body = repr(rules).encode()
        self.registry.documents.put(Document(KIND, service.name, targets=(service,), body=body), SYSTEM)
        self.timers.settle()

    def switch(self, service: ServiceKey, word: str) -> None:
        """The service says itself whether it is routed."""
        metadata = {SWITCH: word} if word else {}
        self.registry.put_service(ServiceRecord(*service, metadata), SYSTEM)
        self.timers.settle()

    def stand(self, version: str, address: str, **fields: object) -> None:
        """An instance of the shop, on a node of its own."""
        meta = {"version": version}
        self.register("shop", address, ID=f"shop-{address}", Port=80, Meta=meta, **fields)

    # ------------------------------------------------------------------ what is read

    def hosts(self, peer: str, path: str = "/v1/health/service/shop", **headers: str) -> list[str]:
        """The nodes' addresses in an answer."""
        return addresses(self.get(path, peer, **headers))

    def weights(self, peer: str) -> dict[str, tuple[int, int]]:
        """By the node's address: the weights in the answer."""
        return {
            each["Node"]["Address"]: (each["Service"]["Weights"]["Passing"], each["Service"]["Weights"]["Warning"])
            for each in self.get("/v1/health/service/shop", peer).json
        }

    def dig(
        self, name: str, type: str = "A", peer: str = "127.0.0.1", subnet: str = "", *, tcp: bool = False
    ) -> dns.message.Message:
        options = [dns.edns.ECSOption.from_text(subnet)] if subnet else []
        query = dns.message.make_query(name, type, use_edns=0, options=options, payload=4096)
        resolver = Resolver(self.service.names, self.settings.dns, prepare=self.service.slices.run)
        found = resolver.resolve(query.to_wire(), peer, tcp)
        if found is not None and not isinstance(found, bytes):
            got: list[bytes] = []
            found.then(got.append)
            self.timers.settle()
            (found,) = got
        assert found is not None
        return dns.message.from_wire(found, one_rr_per_rrset=True)

    def named(self, peer: str = "127.0.0.1", subnet: str = "") -> list[str]:
        """The addresses of the shop's A records."""
        return sorted(
            rr.to_text() for rrset in self.dig("shop.service.consul", "A", peer, subnet).answer for rr in rrset
        )


def addresses(answer: Answer) -> list[str]:
    """The nodes' addresses in an answer of health or catalog."""
    found = answer.json["Nodes"] if isinstance(answer.json, dict) else answer.json
    return sorted(each["Node"]["Address"] if isinstance(each["Node"], dict) else each["Address"] for each in found)


def to(version: str, weight: int = 100, **more: Any) -> Group:
    """Instances of a version."""
    return Group(version, (Condition("version", version),), weight=weight, **more)


def route(*groups: Group, callers: tuple[Source, ...] = ()) -> Route:
    """Calls of some callers go to groups."""
    return Route("r", "r.s", callers, groups)


def by(service: str, **labels: str) -> Source:
    """Callers of a service, with labels."""
    return Source(NAMESPACE, service, tuple(Condition(key, value) for key, value in labels.items()))
