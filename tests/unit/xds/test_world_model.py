"""A world that follows changes is the same as one that is made anew, and tells of everything that differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from worlds import CALLER, Bottle, Reported, decoded, node, somewhere

from polaris_bridge.adapters.polaris.service.governance import governance
from polaris_bridge.adapters.polaris.service.rules.kinds import KINDS
from polaris_bridge.adapters.xds.node import ENVOY, GRPC
from polaris_bridge.adapters.xds.resources import Resource, View
from polaris_bridge.adapters.xds.service.world import RegistryWorld
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.model import NamespaceRecord, ServiceKey

KIND = {kind.name: kind for kind in KINDS}
NAMES = ("shop", "Shop", "cart", "a.b", "cart.default")
SPACES = ("default", "east", "b")
SIDECAR = "sidecar.polarismesh.cn/"
BESIDE = {f"{SIDECAR}serviceName": "shop", f"{SIDECAR}serviceNamespace": "default"}
NODES = (
    node(ENVOY),
    node(ENVOY, BESIDE, locality=somewhere("r", "z")),
    node(ENVOY, {**BESIDE, f"{SIDECAR}openOnDemand": "true", "polarismesh.cn/tls-mode": "permissive"}),
    node(ENVOY, namespace="east"),
    node(GRPC),
    node(GRPC, locality=somewhere("r", "z"), cluster="cart"),
)
ASKED = {
    types.LISTENER: ("shop", "shop.default", "SHOP.default", "a.b", "cart.default", "cart.east:80", "nobody.b"),
    types.ROUTES: ("polaris-outbound-router|shop.default", "polaris-outbound-router|a.b.default"),
    types.CLUSTER: ("OUTBOUND|default|shop", "OUTBOUND|east|cart", "OUTBOUND|default|shop|none"),
    types.ASSIGNMENT: ("OUTBOUND|default|shop", "OUTBOUND|east|cart", "OUTBOUND|default|a.b"),
    types.VIRTUAL_HOST: ("polaris-outbound-router/shop", "polaris-outbound-router/cart.east"),
}
services, spaces = st.sampled_from(NAMES), st.sampled_from(SPACES)
hosts = st.sampled_from([f"10.0.0.{i}" for i in range(1, 5)])
ports = st.sampled_from([80, 8080])


def seen(view: View, type_url: str, parts: Iterable[str] = ()) -> dict[str, Resource]:
    """What a view holds of a type, and what is asked for by name."""
    found = dict(view.all(type_url))
    named = parts if type_url in (types.CLUSTER, types.ASSIGNMENT) else ()
    for name in (*ASKED.get(type_url, ()), *named):
        resource = view.read(type_url, name)
        if resource is not None:
            found[name] = resource
    return found


def referred(view: View) -> set[str]:
    """The clusters that the tables asked for by name point at."""
    tables = [view.read(types.ROUTES, name) for name in ASKED[types.ROUTES]]
    found = set()
    for table in tables:
        if table is not None:
            for route in decoded(types.ROUTES, table).virtual_hosts[0].routes:
                found.add(route.route.cluster)
                found |= {each.name for each in route.route.weighted_clusters.clusters}
    for name in found - {""}:
        assert view.read(types.CLUSTER, name) is not None
        assert view.read(types.ASSIGNMENT, name) is not None
    return found - {""}


def versions(found: Mapping[str, Resource]) -> dict[str, str]:
    return {name: resource.version for name, resource in found.items()}


class Following(RuleBasedStateMachine):
    """Operations of all kinds, in any order."""

    @initialize()
    def begin(self) -> None:
        self.b = Bottle(governance)
        self.views = [(each, self.b.world.view(each)) for each in NODES]
        self.known = {
            (i, t): (versions(seen(v, t)), v.stamp(t)) for i, (_, v) in enumerate(self.views) for t in types.ORDER
        }
        self.parts: dict[int, set[str]] = {i: set() for i in range(len(NODES))}
        self.b.told.clear()

    @rule(name=services, space=spaces, host=hosts, port=ports, weight=st.sampled_from([0, 50, 100]), zone=st.booleans(),
          version=st.sampled_from(["", "v1", "v2"]))  # fmt: skip
    def register(self, name: str, space: str, host: str, port: int, weight: int, zone: bool, version: str) -> None:
        place = somewhere("r", "z", "c") if zone else somewhere()
        labels = {"version": version} if version else {}
        with suppress(CoreError):
            self.b.put(name, host, port, space, weight=weight, location=place, metadata=labels)

    @rule(name=services, space=spaces, host=hosts, port=ports)
    def deregister(self, name: str, space: str, host: str, port: int) -> None:
        self.b.end(name, host, port, space)

    @rule(name=services, space=spaces)
    def delete(self, name: str, space: str) -> None:
        with suppress(CoreError):
            self.b.drop(name, space)

    @rule(name=services, space=spaces, to=spaces)
    def export(self, name: str, space: str, to: str) -> None:
        self.b.record(name, space, export_to=(to,))

    @rule(name=services, space=spaces)
    def change(self, name: str, space: str) -> None:
        self.b.record(name, space, metadata={"internal-enable-nearby": "true"})

    @rule(space=spaces, to=spaces)
    def export_all(self, space: str, to: str) -> None:
        self.b.registry.put_namespace(NamespaceRecord(space, export_to=(to,)), CALLER)
        self.b.queue.settle()

    @rule(name=st.sampled_from(["nick", "cart"]), space=spaces, meant=services, home=spaces)
    def alias(self, name: str, space: str, meant: str, home: str) -> None:
        here = self.b.registry.snapshot(ServiceKey(space, name))
        if not here.addresses and (name, space) != (meant, home):
            self.b.record(name, space, reference=ServiceKey(home, meant))

    @rule(
        name=services,
        header=st.sampled_from(["1", "("]),
        caller=st.sampled_from(["*", "shop"]),
        how=st.sampled_from(["EXACT", "REGEX", "NOT_EQUALS"]),
        to=st.sampled_from(["v1", "v2"]),
    )
    def route(self, name: str, header: str, caller: str, how: str, to: str) -> None:
        """What is chosen by patterns has a cluster of its own."""
        match = {"type": "EXACT", "value_type": "TEXT", "value": header}
        group = {"type": how, "value_type": "TEXT", "value": to}
        sub = {
            "name": "sub",
            "sources": [
                {"service": caller, "namespace": "*", "arguments": [{"type": "HEADER", "key": "k", "value": match}]}
            ],
            "destinations": [{"service": name, "namespace": "default", "labels": {"version": group}, "weight": 100}],
        }
        config = {"@type": "type.googleapis.com/v1.RuleRoutingConfig", "rules": [sub]}
        self.b.rule(
            KIND["routing"],
            {"id": f"r-{name}", "name": f"r-{name}", "namespace": "default", "enable": True, "routing_config": config},
        )

    @rule(name=services)
    def unroute(self, name: str) -> None:
        self.b.unrule(KIND["routing"], f"r-{name}")

    @rule(amount=st.integers(1, 3))
    def limit(self, amount: int) -> None:
        self.b.rule(
            KIND["rate_limit"],
            {
                "service": "shop",
                "namespace": "default",
                "type": "LOCAL",
                "amounts": [{"maxAmount": amount, "validDuration": "1s"}],
            },
        )

    @invariant()
    def it_is_as_if_made_anew(self) -> None:
        if not hasattr(self, "b"):
            return
        fresh = RegistryWorld(self.b.registry, Reported(), governance(self.b.registry))
        told = {(id(view), type_url) for view, changed in self.b.told for type_url in changed}
        self.b.told.clear()
        for i, (each, view) in enumerate(self.views):
            new = fresh.view(each)
            for type_url in types.ORDER:
                now = versions(seen(view, type_url, self.parts[i]))
                assert now == versions(seen(new, type_url, self.parts[i] & set(now))), (each, type_url)
                before, stamp = self.known[i, type_url]
                different = {name for name in {*before, *now} if before.get(name) != now.get(name)}
                if different:
                    assert (id(view), type_url) in told
                    changed = view.changed(type_url, stamp)
                    assert changed is None or different <= changed
            self.parts[i] |= referred(view) if each.kind == GRPC else set()
            for type_url in types.ORDER:
                self.known[i, type_url] = versions(seen(view, type_url, self.parts[i])), view.stamp(type_url)
        self._legal()
        self.b.registry.ledger.observers.pop()  # the fresh world's
        self.b.registry.ledger.observers.pop()  # and its catalogue's

    def _legal(self) -> None:
        for each, view in self.views:
            if each.kind != ENVOY:
                continue
            for resource in view.all(types.ROUTES).values():
                table = decoded(types.ROUTES, resource)
                domains = [domain.lower() for host in table.virtual_hosts for domain in host.domains]
                assert len(domains) == len(set(domains))
                assert all(host.domains for host in table.virtual_hosts)
                clusters = {route.route.cluster for host in table.virtual_hosts for route in host.routes} - {""}
                clusters |= {
                    one.name
                    for host in table.virtual_hosts
                    for route in host.routes
                    for one in route.route.weighted_clusters.clusters
                }
                assert clusters <= set(view.all(types.CLUSTER)), "no route to a cluster that is not told"
            for name, resource in view.all(types.CLUSTER).items():
                cluster = decoded(types.CLUSTER, resource)
                if cluster.type == cluster.EDS:
                    wanted = cluster.eds_cluster_config.service_name or name
                    assert view.read(types.ASSIGNMENT, wanted) is not None


TestFollowing = Following.TestCase
TestFollowing.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)
