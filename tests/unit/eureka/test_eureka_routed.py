"""Rules applied to what Eureka clients read: each kind of callers has a list, a delta and a hash code of its own."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from lone_server import STRANGER, Answer, JavaClient, Json, LoneServer, hash_of, instances

from polaris_bridge.adapters._shared import slices
from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters.eureka import reading, routed
from polaris_bridge.adapters.eureka import routing as eureka_routing
from polaris_bridge.adapters.eureka.settings import EurekaSettings
from polaris_bridge.adapters.polaris.service.routing.sources import discovery_routing
from polaris_bridge.adapters.polaris.service.rules.kinds import ROUTING
from polaris_bridge.adapters.polaris.service.rules.records import document_of
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Caller, Registration, ServiceKey, ServiceRecord
from polaris_bridge.core.ports import Authority, OpenDoor, Resource
from polaris_bridge.core.routing.discovery import SWITCH

CART, WEB, NOBODY = "10.0.1.1", "10.0.2.1", "10.0.9.9"
"""Where two applications run, and where nothing does."""


def served(*, switched: bool = True, authority: Authority | None = None) -> LoneServer:
    return LoneServer(
        EurekaSettings(routing=switched),
        authority=authority,
        routing=lambda registry: discovery_routing(registry, {}, lambda _host: None, everywhere=switched),
    )


def write(server: LoneServer, to: str | dict[str, int], source: str = "*", id: str = "r1", **labels: str) -> None:
    """Callers of an application (with metadata) go to versions of SHOP, by weight."""
    config = v1.RuleRoutingConfig()
    sub = config.rules.add(name="s")
    caller = sub.sources.add(namespace="*" if source == "*" else "default", service=source)
    for key, value in labels.items():
        argument = caller.arguments.add(type=v1.SourceMatch.CALLER_METADATA, key=key)
        argument.value.value.value = value
    for version, weight in ({to: 100} if isinstance(to, str) else to).items():
        group = sub.destinations.add(namespace="default", service="shop", weight=weight, name=version)
        group.labels["version"].value.value = version
    found = v1.RouteRule(id=id, name=id, enable=True, routing_policy=v1.RulePolicy)
    found.routing_config.Pack(config)
    server.registry.documents.put(document_of(ROUTING, found, id), STRANGER)
    server.queue.settle()


def erase(server: LoneServer, id: str = "r1") -> None:
    server.registry.documents.delete(ROUTING.name, id, STRANGER)
    server.queue.settle()


def shop(server: LoneServer, id: str, version: str, **members: Any) -> None:
    server.register("SHOP", id, vipAddress="shop", ipAddr=f"10.0.0.{id}", metadata={"version": version}, **members)


def caller(server: LoneServer, app: str, host: str, **metadata: str) -> None:
    server.register(app, app.lower(), ipAddr=host, metadata=metadata, vipAddress=app.lower())


def standing(server: LoneServer) -> list[Registration]:
    found = server.registry.services("default")
    return [r for snapshot in found for address in snapshot.addresses.values() for r in address.registrations]


def stay(server: LoneServer, seconds: float) -> None:
    """Time passes, and everybody renews."""
    server.pass_time(seconds, lambda: server.beat(*standing(server)))


class At:
    """A server as a client at an address sees it."""

    def __init__(self, server: LoneServer, host: str) -> None:
        self._server = server
        self._host = host

    def get(self, target: str, **headers: str) -> Any:
        return self._server.get(target, discoveryidentity_id=self._host, **headers)

    def full(self) -> dict[tuple[str, str], Json]:
        return dict(instances(self.get("/eureka/apps").json["applications"]))

    def shops(self) -> set[str]:
        return {id for app, id in self.full() if app == "SHOP"}


class Client(JavaClient):
    """As a Java client; it fetches everything only where the server means it to."""

    refetches = 0

    def poll(self) -> None:
        told = self._server.get("/eureka/apps/delta").json["applications"]["apps__hashcode"]
        self.stale = "REFETCH" in told
        super().poll()

    def fetch(self) -> None:
        super().fetch()
        self.refetches += 1

    @property
    def shops(self) -> set[str]:
        return {id for app, id in self.copy if app == "SHOP"}


@pytest.fixture
def server() -> LoneServer:
    """A shop of two versions and two applications that look for it."""
    server = served()
    shop(server, "1", "v1")
    shop(server, "2", "v2")
    shop(server, "3", "v2")
    caller(server, "CART", CART, tier="gold")
    caller(server, "WEB", WEB)
    return server


def client(server: LoneServer, host: str) -> Client:
    found = Client(At(server, host))  # type: ignore[arg-type]
    found.refetches = 0
    return found


# -------------------------------------------------------------------------------------------------- what is given


def test_callers_are_given_the_instances_that_rules_send_them_to(server: LoneServer) -> None:
    write(server, "v2", "cart")
    cart, web, nobody = At(server, CART), At(server, WEB), At(server, NOBODY)
    assert cart.shops() == {"2", "3"}
    assert web.shops() == nobody.shops() == {"1", "2", "3"}
    assert {id for id in cart.full() if id[0] != "SHOP"} == {("CART", "cart"), ("WEB", "web")}


def test_every_way_to_read_gives_the_same(server: LoneServer) -> None:
    write(server, "v2", "cart", tier="gold")
    cart = At(server, CART)
    wanted = {("SHOP", "2"), ("SHOP", "3")}
    assert {key for key in cart.full() if key[0] == "SHOP"} == wanted
    packed = cart.get("/eureka/apps", accept_encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    tree = json.loads(gzip.decompress(packed.body))
    assert {key for key, _ in instances(tree["applications"]) if key[0] == "SHOP"} == wanted
    xml = cart.get("/eureka/apps", accept="application/xml").body.decode()
    assert xml.count("<instanceId>") == 4
    single = cart.get("/eureka/apps/SHOP").json["application"]
    assert {i["instanceId"] for i in single["instance"]} == {"2", "3"}
    vip = cart.get("/eureka/vips/shop").json["applications"]
    assert {i["instanceId"] for _, i in instances(vip)} == {"2", "3"}
    assert vip["apps__hashcode"] == "UP_2_"
    assert cart.get("/eureka/apps/SHOP/1").status == 404
    assert cart.get("/eureka/apps/SHOP/2").status == 200
    assert cart.get("/eureka/instances/1").status == 404
    assert At(server, WEB).get("/eureka/apps/SHOP/1").status == 200


def test_sick_instances_of_the_chosen_group_stay(server: LoneServer) -> None:
    shop(server, "4", "v2", status="DOWN")
    server.ask("PUT", "/eureka/apps/SHOP/3/status?value=OUT_OF_SERVICE")
    write(server, "v2", "cart")
    found = At(server, CART).full()
    assert {id: i["status"] for (app, id), i in found.items() if app == "SHOP"} == {
        "2": "UP", "3": "OUT_OF_SERVICE", "4": "DOWN",
    }  # fmt: skip


def test_all_groups_are_given_where_there_are_no_weights(server: LoneServer) -> None:
    shop(server, "5", "v3")
    write(server, {"v1": 90, "v2": 10}, "cart")
    assert At(server, CART).shops() == {"1", "2", "3"}


def test_a_service_says_itself_whether_it_is_routed() -> None:
    server = served(switched=False)
    shop(server, "1", "v1")
    shop(server, "2", "v2")
    caller(server, "CART", CART)
    write(server, "v2", "cart")
    cart = At(server, CART)
    assert cart.shops() == {"1", "2"}
    server.registry.put_service(ServiceRecord("default", "shop", {SWITCH: "true"}), STRANGER)
    server.queue.settle()
    assert cart.shops() == {"2"}
    server.registry.put_service(ServiceRecord("default", "shop", {SWITCH: "false"}), STRANGER)
    server.queue.settle()
    assert cart.shops() == {"1", "2"}


def test_operators_see_everything(server: LoneServer) -> None:
    write(server, "v2")
    page = At(server, CART).get("/", accept="text/html").body.decode()
    assert "(3)" in page


# -------------------------------------------------------------------------------------------------- deltas


def test_a_rule_is_told_by_a_delta(server: LoneServer) -> None:
    cart, web = client(server, CART), client(server, WEB)
    cart.poll()
    server.pass_time(60)
    cart.poll()
    cart.refetches = web.refetches = 0
    write(server, "v2")
    cart.poll()
    assert cart.shops == {"2", "3"}
    write(server, "v1")
    cart.poll()
    assert cart.shops == {"1"}
    erase(server)
    cart.poll()
    web.poll()
    assert cart.shops == web.shops == {"1", "2", "3"}
    assert cart.refetches == web.refetches == 0, "all of it was told by deltas"


def test_what_changes_out_of_sight_is_not_told(server: LoneServer) -> None:
    write(server, "v2")
    client(server, CART)
    stay(server, 200)
    assert instances_of_delta(server, CART) == {}
    shop(server, "6", "v1")
    assert instances_of_delta(server, CART) == {}
    assert set(instances_of_delta(server, NOBODY)) == set()
    shop(server, "7", "v2")
    assert instances_of_delta(server, CART) == {("SHOP", "7"): "ADDED"}


def instances_of_delta(server: LoneServer, host: str) -> dict[tuple[str, str], str]:
    tree = At(server, host).get("/eureka/apps/delta").json["applications"]
    return {key: i["actionType"] for key, i in instances(tree)}


def test_who_becomes_of_another_kind_fetches_everything(server: LoneServer) -> None:
    """Both kinds see two instances: nothing but another hash code tells them apart."""
    shop(server, "4", "v1")
    write(server, "v2", "cart", tier="gold")
    write(server, "v1", "cart", id="r2", tier="tin")
    first, second = client(server, CART), client(server, CART)
    stay(server, 60)
    for each in (first, second):
        each.poll()
        assert each.shops == {"2", "3"}
    caller(server, "CART", CART, tier="tin")
    first.refetches = second.refetches = 0
    stay(server, 15)
    first.poll()
    stay(server, 25)
    second.poll()
    assert first.shops == second.shops == {"1", "4"}
    assert first.refetches == second.refetches == 1
    stay(server, 60)
    first.poll()
    second.poll()
    assert first.refetches == second.refetches == 1, "now it is known what they hold"


def test_who_was_never_seen_and_asks_for_changes_fetches_everything(server: LoneServer) -> None:
    write(server, "v2", "cart")
    before = client(server, CART)
    server.restart()
    assert before.shops == {"2", "3"}
    tree = At(server, CART).get("/eureka/apps/delta").json["applications"]
    assert tree["apps__hashcode"] == "UP_4_REFETCH_1_"
    assert At(server, CART).get("/eureka/apps").json["applications"]["apps__hashcode"] == "UP_4_"


def test_a_view_that_was_given_up_is_not_taken_for_the_one_that_is_made_anew(
    server: LoneServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eureka_routing, "KEPT_VIEWS", 1)
    write(server, "v2", "cart")
    cart = client(server, CART)
    cart.poll()
    assert At(server, WEB).shops() == {"1", "2", "3"}
    cart.refetches = 0
    cart.poll()
    assert cart.refetches == 1


def test_nothing_is_kept_for_kinds_that_are_given_everything(server: LoneServer) -> None:
    write(server, "v2", "cart")
    whole = server.service.view("default")
    cart, web = (server.service.looked_up(whole, Caller("eureka", host)) for host in (CART, WEB))
    assert web.applications["SHOP"] is whole.applications["SHOP"]
    assert cart.applications["SHOP"] is not whole.applications["SHOP"]
    assert cart.applications["CART"] is whole.applications["CART"]
    erase(server)
    assert cart.applications["SHOP"] is not whole.applications["SHOP"]
    stay(server, 200)
    assert cart.applications["SHOP"] is whole.applications["SHOP"], "when the change is forgotten"


@pytest.mark.parametrize("change", ["a rule", "an instance"])
@pytest.mark.parametrize("target", ["/eureka/apps", "/eureka/apps/delta"])
def test_a_long_list_is_of_one_moment(
    server: LoneServer, monkeypatch: pytest.MonkeyPatch, target: str, change: str
) -> None:
    monkeypatch.setattr(reading, "LONG_ITEMS", 0)
    monkeypatch.setattr(slices, "SLICE_S", 0.0)
    write(server, "v2", "cart")
    before = At(server, CART).full()
    shop(server, "4", "v2")
    raw = [(b"accept", b"application/json"), (b"discoveryidentity-id", CART.encode())]
    reply = server.server.handle(Request("GET", target, "", raw, b"", "10.9.9.9"))
    assert not isinstance(reply, Response), "it is made bit by bit"
    found: list[Response] = []
    reply.then(found.append)
    server.queue.step()
    if change == "a rule":
        write(server, "v1", "cart")
    else:
        shop(server, "5", "v2")
    server.queue.settle()
    tree = Answer(found[0]).json["applications"]
    held = before if target.endswith("delta") else {}
    for key, instance in instances(tree):
        if instance["actionType"] == "DELETED":
            held.pop(key, None)
        else:
            held[key] = instance
    assert tree["apps__hashcode"] == hash_of(i["status"] for i in held.values())


def test_a_view_of_many_applications_is_brought_up_to_date_in_slices(
    server: LoneServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routed, "LONG_APPLICATIONS", 0)
    monkeypatch.setattr(slices, "SLICE_S", 0.0)
    write(server, "v2", "cart")
    cart = client(server, CART)
    assert cart.shops == {"2", "3"}
    cart.poll()
    write(server, "v1", "cart")
    cart.poll()
    assert cart.shops == {"1"}
    assert cart.refetches == 0


def test_who_may_see_some_services_is_given_what_rules_leave_of_these() -> None:
    class Some(OpenDoor):
        revision = 1

        def oversees(self, principal: str, operation: str) -> bool:
            return False

        def allow(self, principal: str, operation: str, resource: Resource) -> bool:
            return resource.name != "web"

    server = served(authority=Some())
    shop(server, "1", "v1")
    shop(server, "2", "v2")
    caller(server, "CART", CART)
    server.ask("GET", "/eureka/apps")
    write(server, "v2", "cart")
    whole = server.service.views.partial("default", "reader", 1, lambda key: key.name != "web")
    view = server.service.looked_up(whole, Caller("eureka", CART))
    assert set(view.applications) == {"SHOP", "CART"}
    assert [entry.id for entry in view.applications["SHOP"].entries] == ["2"]
    caller(server, "WEB", WEB)
    shop(server, "3", "v2")
    assert set(view.applications) == {"SHOP", "CART"}
    assert [entry.id for entry in view.applications["SHOP"].entries] == ["2", "3"]


# -------------------------------------------------------------------------------------------------- any course of events

HOSTS = (CART, WEB, NOBODY)
VERSIONS = st.sampled_from(("v1", "v2"))
IDS = st.sampled_from("1234")


class Course(RuleBasedStateMachine):
    """Whatever happens: a client that applies deltas holds what its kind is given, as one that fetches everything."""

    def __init__(self) -> None:
        super().__init__()
        self.server = served()
        for id, version in (("1", "v1"), ("2", "v2"), ("3", "v1"), ("4", "v2")):
            shop(self.server, id, version)
        caller(self.server, "CART", CART)
        caller(self.server, "WEB", WEB)
        self.clients = [(host, client(self.server, host)) for host in (*HOSTS, CART)]
        self.polled_s = 0.0
        self.calm()

    @rule()
    def calm(self) -> None:
        """So long that everybody is known to hold what there is."""
        for _ in range(2):
            self.wait(40)
            self.poll_all()

    @rule(seconds=st.sampled_from((1, 40)))
    def wait(self, seconds: int) -> None:
        """No longer than changes are told."""
        if self.server.clock.now_s - self.polled_s > 100:
            self.poll_all()
        stay(self.server, seconds)

    @rule()
    def poll_all(self) -> None:
        self.polled_s = self.server.clock.now_s
        for at in range(len(self.clients)):
            self.poll(at)

    @rule(at=st.integers(0, 3))
    def poll(self, at: int) -> None:
        host, each = self.clients[at]
        each.poll()
        wanted = At(self.server, host).full()
        strip = lambda i: (i["status"], i["metadata"])  # noqa: E731
        assert {k: strip(i) for k, i in each.copy.items()} == {k: strip(i) for k, i in wanted.items()}
        assert each.hash.removesuffix("REFETCH_1_") == hash_of(i["status"] for i in wanted.values())

    @rule(id=IDS, version=VERSIONS, status=st.sampled_from(("UP", "DOWN")))
    def register(self, id: str, version: str, status: str) -> None:
        dirty = str(round(self.server.clock.now_s * 1000))
        shop(self.server, id, version, status=status, lastDirtyTimestamp=dirty)

    @rule(id=IDS)
    def leave(self, id: str) -> None:
        self.server.ask("DELETE", f"/eureka/apps/SHOP/{id}")

    @rule(to=VERSIONS)
    def send_all(self, to: str) -> None:
        write(self.server, to, id="all")

    @rule(to=VERSIONS, tier=st.sampled_from(("gold", "tin")))
    def send_some(self, to: str, tier: str) -> None:
        write(self.server, to, "cart", id=tier, tier=tier)

    @rule(id=st.sampled_from(("all", "gold", "tin")))
    def erase(self, id: str) -> None:
        erase(self.server, id)

    @rule(tier=st.sampled_from(("gold", "tin")))
    def change_caller(self, tier: str) -> None:
        caller(self.server, "CART", CART, tier=tier)

    @rule(word=st.sampled_from(("false", None)))
    def switch(self, word: str | None) -> None:
        metadata = {} if word is None else {SWITCH: word}
        self.server.registry.put_service(ServiceRecord("default", "shop", metadata), STRANGER)
        self.server.queue.settle()

    @invariant()
    def everybody_is_given_somebody(self) -> None:
        there = At(self.server, "10.0.9.8")
        assert bool(there.shops()) is bool(self.server.registry.snapshot(ServiceKey("default", "shop")).addresses)


TestCourse = Course.TestCase
TestCourse.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
