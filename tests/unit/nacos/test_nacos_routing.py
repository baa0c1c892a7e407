"""Lists that follow rules: who gets what by which interface, who is told when, and that no client takes the newest for old."""

from __future__ import annotations

from typing import Any

import pytest
from grpc_world import Client, hosts, named
from hypothesis import given, settings
from hypothesis import strategies as st
from routed_world import PERSON, Routed, rule, to

from polaris_bridge.adapters.nacos.service.requests import PER_PASS
from polaris_bridge.core.model import Location
from polaris_bridge.core.routing.discovery import SWITCH
from polaris_bridge.core.routing.model import Nearby, Rules

TO_V2 = rule(to("v2"))


@pytest.fixture
def world() -> Routed:
    world = Routed()
    world.two_versions()
    return world


def shop(world: Routed, host: str = "10.0.0.7", **metadata: str) -> Client:
    """A client that is registered as the shop."""
    client = world.client(host)
    client.register("shop", metadata=metadata)
    return client


def ports(listed: Any) -> list[int]:
    return sorted(host["port"] for host in listed["hosts"])


# ---------------------------------------------------------------------- who gets what


def test_every_list_of_a_client_is_that_of_its_kind(world: Routed) -> None:
    world.write(TO_V2)
    reader = shop(world)
    assert reader.ports() == [2]
    assert hosts(reader.subscribe()) == [2]
    assert ports(world.listed()) == [2]
    assert ports(world.get("/v2/ns/instance/list", serviceName="orders")["data"]) == [2]
    assert [h["port"] for h in world.get("/v3/client/ns/instance/list", serviceName="orders")["data"]] == [2]
    stranger = world.client("10.0.0.8")
    assert stranger.ports() == [1, 2]
    assert ports(world.listed(peer="10.0.0.8")) == [1, 2]


def test_operators_see_everything(world: Routed) -> None:
    world.write(TO_V2)
    shop(world)
    here = {"serviceName": "orders"}
    assert len(world.get("/v3/admin/ns/instance/list", **here)["data"]) == 2
    assert world.get("/v3/console/ns/instance/list", **here, pageNo=1, pageSize=10)["data"]["totalCount"] == 2
    assert world.get("/v2/ns/catalog/instances", **here, pageNo=1, pageSize=10)["data"]["count"] == 2
    assert len(world.get("/v1/ns/instance/statuses", key="orders")["ips"]) == 2
    assert world.get("/v1/ns/instance", **here, ip="10.0.1.1", port=1)["metadata"] == {"version": "v1"}


def test_a_service_is_routed_when_it_or_its_listener_says_so() -> None:
    world = Routed(routing=False)
    world.two_versions()
    world.write(TO_V2)
    reader = shop(world)
    reader.subscribe()
    world.pass_time(1)
    reader.pushes()
    assert reader.ports() == [1, 2]
    world.switch("true")
    assert [hosts(push) for push in reader.pushes()] == [[2]]
    world.switch("false")
    world.pass_time(0.1)
    assert [hosts(push) for push in reader.pushes()] == [[1, 2]]
    assert reader.ports() == [1, 2]


def test_operators_of_nacos_may_say_it_too() -> None:
    world = Routed(routing=False)
    world.two_versions()
    world.write(TO_V2)
    reader = shop(world)
    scope = world.service.scope("", "orders")
    world.service.services.update(scope, 0.0, {SWITCH: "true"}, None, PERSON)
    world.settle()
    assert reader.ports() == [2]
    world.service.services.update(scope, 0.0, {}, None, PERSON)
    world.settle()
    assert reader.ports() == [1, 2]


def test_a_client_on_a_connection_is_what_it_registered_by_that(world: Routed) -> None:
    """Not what others at its address are."""
    world.write(TO_V2)
    reader, neighbour = shop(world, "10.0.0.7"), world.client("10.0.0.7")
    neighbour.register("cart", port=9)
    assert (reader.ports(), neighbour.ports()) == ([2], [1, 2])


def test_a_client_that_registered_nothing_is_what_its_application_is_called(world: Routed) -> None:
    world.write(TO_V2)
    assert world.client("10.0.0.9", AppName="shop").ports() == [2]
    assert world.client("10.0.0.9", AppName="unknown").ports() == [1, 2]
    assert ports(world.listed(peer="10.0.0.9", app="shop")) == [2]
    world.client("10.0.0.9").register("cart", port=9)
    assert world.client("10.0.0.9", AppName="shop").ports() == [1, 2], (
        "there is no such service, but one at its address"
    )
    shop(world, "10.0.0.6")
    assert world.client("10.0.0.9", AppName="shop").ports() == [2], "now there is"


def test_a_client_that_names_its_address_is_what_is_registered_there(world: Routed) -> None:
    world.write(TO_V2)
    shop(world, "10.0.0.7")
    proxied = world.client("10.0.0.200")
    connection = world.service.connections.get(proxied.id)
    assert connection is not None
    connection.client_ip = "10.0.0.7"
    assert proxied.ports() == [2]
    assert ports(world.listed(peer="10.0.0.200", clientIP="10.0.0.7")) == [2]
    assert ports(world.listed(peer="10.0.0.200")) == [1, 2]


def test_after_a_restart_a_client_is_who_it_was_before_it_has_registered_anew(world: Routed) -> None:
    shop(world)
    world.start()
    world.write(TO_V2)
    again = world.client()
    assert again.ports() == [2]
    again.register("shop")
    assert again.ports() == [2]


def test_what_it_registered_counts_with_its_metadata(world: Routed) -> None:
    world.write(rule(to("v2"), tier="gold"))
    assert shop(world, "10.0.0.7", tier="gold").ports() == [2]
    assert shop(world, "10.0.0.8", tier="tin").ports() == [1, 2]


def test_what_it_says_of_itself_when_it_connects_counts_as_metadata(world: Routed) -> None:
    world.write(rule(to("v2"), tier="gold"))
    assert world.client("10.0.0.9", AppName="shop", tier="gold").ports() == [2]
    assert world.client("10.0.0.9", AppName="shop", tier="tin").ports() == [1, 2]


def test_clusters_health_and_the_threshold_count_within_what_is_left() -> None:
    world = Routed()
    for port, version, healthy in ((1, "v1", True), (2, "v2", False), (3, "v2", True), (4, "v2", False)):
        cluster = "B" if port == 4 else "A"
        world.client(f"10.0.1.{port}").register(
            port=port, healthy=healthy, clusterName=cluster, metadata={"version": version}
        )
    world.write(TO_V2)
    shop(world)
    assert ports(world.listed()) == [2, 3, 4]
    assert ports(world.listed(healthyOnly="true")) == [3]
    assert ports(world.listed(clusters="A")) == [2, 3]
    world.service.services.update(world.service.scope("", "orders"), 0.4, {}, None, PERSON)
    world.settle()
    listed = world.listed(healthyOnly="true")
    assert (ports(listed), listed["reachProtectionThreshold"]) == ([2, 3, 4], True), "one of three"
    assert ports(world.listed(clusters="A", healthyOnly="true")) == [3], "one of two"
    everybody = world.listed(peer="10.0.0.8", healthyOnly="true")
    assert (ports(everybody), everybody["reachProtectionThreshold"]) == ([1, 3], False), "two of four"


# ---------------------------------------------------------------------- weights


def weights(listed: Any) -> dict[int, float]:
    return {host["port"]: host["weight"] for host in listed["hosts"]}


def test_one_group_keeps_the_weights_of_its_instances() -> None:
    world = Routed()
    world.two_versions(v2={"weight": 0.015})
    world.write(TO_V2)
    shop(world)
    assert weights(world.listed()) == {2: 0.015}


def test_several_groups_weigh_what_the_rule_says() -> None:
    world = Routed()
    world.two_versions(v1={"weight": 0.5})
    world.client("10.0.1.3").register(port=3, metadata={"version": "v2"})
    world.write(rule(to("v1", weight=90), to("v2", weight=10)))
    shop(world)
    assert weights(world.listed()) == {1: 18.0, 2: 1.0, 3: 1.0}
    assert weights(world.listed(peer="10.0.0.8")) == {1: 0.5, 2: 1.0, 3: 1.0}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["v1", "v2"]), st.integers(1, 50)), min_size=1, max_size=6), st.data())
def test_a_weighted_list_spreads_calls_as_the_rule_says(instances: list[tuple[str, int]], data: st.DataObject) -> None:
    share = {version: data.draw(st.integers(1, 100)) for version in ("v1", "v2")}
    world = Routed()
    for port, (version, weight) in enumerate(instances, 1):
        world.client(f"10.0.1.{port}").register(port=port, weight=weight, metadata={"version": version})
    world.write(rule(*(to(version, weight=weight) for version, weight in share.items())))
    shop(world)
    found = weights(world.listed())
    there = {version for version, _ in instances}
    assert set(found) == set(range(1, len(instances) + 1))
    if len(there) == 1:
        assert list(found.values()) == [weight for _, weight in instances]
        return
    total = sum(found.values())
    for version in there:
        part = sum(found[port] for port, (of, _) in enumerate(instances, 1) if of == version)
        assert part / total == pytest.approx(share[version] / sum(share.values()), rel=0.03)
    assert all(weight.is_integer() and weight >= 1 for weight in found.values())


# ---------------------------------------------------------------------- pushes


def test_a_rule_is_told_to_those_whom_it_is_about_without_any_change_of_instances(world: Routed) -> None:
    reader, stranger = shop(world), world.client("10.0.0.8")
    for client in (reader, stranger):
        client.subscribe()
    world.pass_time(1)
    assert [hosts(push) for push in reader.pushes()] == [[1, 2]]
    stranger.pushes()
    given = []
    for rules in (TO_V2, rule(to("v1")), Rules()):
        world.write(rules)
        world.pass_time(0.1)
        pushed = reader.pushes()
        given += [hosts(push) for push in pushed]
        assert {tuple(hosts(push)) for push in stranger.pushes()} <= {(1, 2)}
    assert given == [[2], [1], [1, 2]]
    world.pass_time(20)
    assert reader.pushes() == []


def test_one_encoding_for_all_of_a_kind(world: Routed) -> None:
    shops = [shop(world, f"10.0.2.{n}") for n in range(1, 81)]
    others = [world.client(f"10.0.3.{n}") for n in range(1, 81)]
    for client in (*shops, *others):
        client.subscribe()
    world.pass_time(1)
    world.write(TO_V2)
    world.pass_time(0.1)
    for clients, left in ((shops, [2]), (others, [1, 2])):
        sent = {id(client.stream.sent[-1]) for client in clients if client.stream is not None}
        assert len(sent) == 1, "the same bytes"
        assert hosts(clients[0].pushes()[-1]) == left
    assert len(world.service.pushing) == 1


def test_kinds_that_are_left_everything_share_a_list(world: Routed) -> None:
    world.write(rule(to("v2"), tier="gold"))
    for n, tier in enumerate(("tin", "iron", "gold")):
        shop(world, f"10.0.0.{n}", tier=tier).ports()
    view = world.service.discovery.view(world.service.scope("", "orders"))
    assert len(view._routed) == 2


def test_who_subscribes_once_more_as_another_kind_is_told_as_that(world: Routed) -> None:
    """Where an address is may become known without anybody registering anything."""
    world.write(Rules(nearby=Nearby()))
    readers = [world.client(f"10.0.0.{n}") for n in (7, 8)]
    world.located["10.0.0.8"] = Location("north")
    for reader in readers:
        reader.subscribe()
    world.located["10.0.0.7"] = Location("north")
    readers[0].subscribe()
    world.client("10.0.1.3").register(port=3)
    world.pass_time(1)
    one, other = (reader.stream.sent[-1] for reader in readers if reader.stream is not None)
    assert one is other
    assert world.service.subscribers.count() == 2


def test_a_client_that_becomes_of_another_kind_is_told_the_whole_list_of_that_at_once(world: Routed) -> None:
    world.write(TO_V2)
    reader, other = world.client(), world.client("10.0.0.8")
    first = reader.subscribe()
    other.subscribe()
    world.pass_time(1)
    reader.pushes()
    other.pushes()
    reader.register("shop")
    (push,) = reader.pushes()
    assert hosts(push) == [2]
    assert push["serviceInfo"]["lastRefTime"] > first["serviceInfo"]["lastRefTime"]
    reader.deregister("shop")
    (back,) = reader.pushes()
    assert hosts(back) == [1, 2]
    assert back["serviceInfo"]["lastRefTime"] > push["serviceInfo"]["lastRefTime"]
    world.pass_time(8)
    assert (reader.pushes(), other.pushes()) == ([], [])


def test_what_is_registered_at_its_address_in_another_way_counts_too(world: Routed) -> None:
    world.write(TO_V2)
    reader = world.client("10.0.0.7")
    reader.subscribe()
    world.pass_time(1)
    reader.pushes()
    instance = world.client("10.0.0.99")
    instance.register("shop", ip="10.0.0.7")
    assert [hosts(push) for push in reader.pushes()] == [[2]]
    instance.link.cut()
    world.pass_time(1)
    assert [hosts(push) for push in reader.pushes()] == [[1, 2]]


def test_who_moves_while_others_are_told_gets_nothing_of_its_former_kind_afterwards(world: Routed) -> None:
    readers = [world.client(f"10.0.{2 + n // 250}.{n % 250}") for n in range(6 * PER_PASS)]
    for reader in readers:
        reader.subscribe()
    world.write(TO_V2)
    world.pass_time(1)
    for reader in readers:
        reader.pushes()
    late, told = readers[-1], len(readers[0].stream.sent if readers[0].stream is not None else ())
    world.client("10.0.1.3").register(port=3, metadata={"version": "v1"}, settle=False)
    while readers[0].stream is not None and len(readers[0].stream.sent) == told:
        assert world.runs.step()
    late.register("shop", settle=False)
    world.settle()
    world.pass_time(1)
    assert [hosts(push) for push in late.pushes()] == [[2]]
    assert {tuple(hosts(reader.pushes()[-1])) for reader in readers[:-1]} == {(1, 2, 3)}


def test_changes_of_instances_reach_each_kind(world: Routed) -> None:
    world.write(TO_V2)
    reader, stranger = shop(world), world.client("10.0.0.8")
    for client in (reader, stranger):
        client.subscribe()
    world.pass_time(1)
    reader.pushes()
    stranger.pushes()
    provider = world.client("10.0.1.3")
    provider.register(port=3, metadata={"version": "v2"})
    world.pass_time(0.1)
    assert [hosts(push) for push in reader.pushes()] == [[2, 3]]
    assert [hosts(push) for push in stranger.pushes()] == [[1, 2, 3]]


def test_unsubscribing_and_leaving_end_all_that_is_kept(world: Routed) -> None:
    world.write(TO_V2)
    reader = shop(world)
    for clusters in ("", "A"):
        reader.subscribe(clusters=clusters)
        reader.subscribe(clusters=clusters)
    assert world.service.subscribers.count() == 2
    reader.subscribe(clusters="A", on=False)
    assert world.service.subscribers.count() == 1
    reader.subscribe(on=False)
    assert len(world.service.pushing) == 0
    reader.subscribe()
    reader.link.cut()
    world.settle()
    assert len(world.service.pushing) == world.service.subscribers.count() == 0
    assert world.service.pushing._told_apart == {}


def test_long_lists_are_made_ready_in_slices(world: Routed) -> None:
    world.write(TO_V2)
    reader, provider = shop(world), world.client("10.0.1.9")
    reader.subscribe()
    instances = [{"ip": "10.0.1.9", "port": n, "metadata": {"version": f"v{n % 2 + 1}"}} for n in range(10, 2010)]
    batch = named("orders") | {"type": "batchRegisterInstance", "instances": instances}
    provider.ask("BatchInstanceRequest", batch, settle=False)
    steps = 0
    while world.runs.step():
        steps += 1
    assert steps > 3
    assert len(hosts(reader.pushes()[-1])) == 1001
    reader.subscribe(on=False)
    for most in (1000, 500):
        provider.ask("BatchInstanceRequest", batch | {"instances": instances[:most]})
        found = world.listed()["hosts"] if most == 1000 else reader.ports()
        assert len(found) == most // 2 + 1


# ---------------------------------------------------------------------- over UDP


def poll(world: Routed, port: int, peer: str) -> list[int]:
    return ports(world.listed(peer, udpPort=port, clientIP=peer))


def test_packets_are_those_of_the_kind(world: Routed) -> None:
    world.write(TO_V2)
    shop(world, "10.0.0.7")
    assert poll(world, 5001, "10.0.0.7") == [2]
    assert poll(world, 5002, "10.0.0.8") == [1, 2]
    world.pass_time(1)
    assert sorted(world.pushed()) == [(5001, [2]), (5002, [1, 2])]
    world.write(rule(to("v1")))
    world.pass_time(0.2)
    assert (5001, [1]) in world.pushed()
    world.client("10.0.0.8").register("shop")
    assert (5002, [1]) in world.pushed()
    world.write()
    world.pass_time(0.2)
    assert sorted(world.pushed()) == [(5001, [1, 2]), (5002, [1, 2])]
    world.pass_time(40)
    assert (len(world.service.udp), world.service.udp._topics, world.service.udp._told_apart) == (0, {}, {})


def test_packets_follow_a_rule_that_tells_readers_apart(world: Routed) -> None:
    shop(world, "10.0.0.7")
    assert poll(world, 5001, "10.0.0.7") == poll(world, 5002, "10.0.0.8") == [1, 2]
    world.pass_time(1)
    world.pushed()
    world.write(TO_V2)
    world.pass_time(0.2)
    assert sorted(world.pushed()) == [(5001, [2]), (5002, [1, 2])]


def test_a_poll_finds_who_became_of_another_kind() -> None:
    world = Routed(routing=False)
    world.two_versions()
    world.write(TO_V2)
    shop(world, "10.0.0.7")
    assert poll(world, 5001, "10.0.0.7") == [1, 2]
    world.switch("true")
    world.pushed()
    assert poll(world, 5001, "10.0.0.7") == [2]
    world.pass_time(1)
    world.write(rule(to("v1")))
    world.pass_time(0.2)
    assert world.pushed()[-1] == (5001, [1])
    assert len(world.service.udp) == 1


# ---------------------------------------------------------------------- time


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(["v1", "v2", "all", "register", "deregister", "on", "off", "instance", "poll", "wait"]),
        max_size=14,
    )
)
def test_what_a_client_is_told_is_never_older_than_what_it_has_and_the_last_is_right(steps: list[str]) -> None:
    """Clients in Go and Python pass over a list that is not newer than theirs."""
    world = Routed()
    world.two_versions()
    reader = world.client()
    shown = reader.subscribe()["serviceInfo"]
    rules, more = {"v1": rule(to("v1")), "v2": TO_V2, "all": Rules()}, 3
    for step in [*steps, "wait"]:
        if step in rules:
            world.write(rules[step])
        elif step in ("register", "deregister"):
            getattr(reader, step)("shop")
        elif step in ("on", "off"):
            world.switch("true" if step == "on" else "false")
        elif step == "instance":
            world.client(f"10.0.1.{more}").register(port=more, metadata={"version": f"v{more % 2 + 1}"})
            more += 1
        elif step == "poll":
            asked = named("orders") | {"cluster": "", "healthyOnly": False}
            given = reader.ask("ServiceQueryRequest", asked)[1]["serviceInfo"]
            assert given["lastRefTime"] >= shown["lastRefTime"]
        else:
            world.pass_time(1)
        for push in reader.pushes():
            info = push["serviceInfo"]
            if info["hosts"] != shown["hosts"]:
                assert info["lastRefTime"] > shown["lastRefTime"]
            shown = info
    assert [host["port"] for host in shown["hosts"]] == [host["port"] for host in world.listed()["hosts"]]


def test_a_list_is_later_than_those_of_the_time_when_it_was_routed_and_the_reverse(world: Routed) -> None:
    world.write(TO_V2)
    shop(world)
    seen = []
    for word in ("true", "false", "true", "false"):
        world.switch(word)
        seen.append(world.listed()["lastRefTime"])
    assert seen == sorted(set(seen)), "though no time has passed"


def test_reading_does_not_run_ahead_of_the_clock(world: Routed) -> None:
    world.write(TO_V2)
    shop(world)
    found = [world.listed()["lastRefTime"] for _ in range(50)]
    assert found[-1] - found[0] <= 1
    assert found[0] - world.clock.now_ms < 10


def test_nothing_is_asked_of_rules_when_nothing_is_routed() -> None:
    world = Routed(routing=False)
    world.two_versions()
    world.write(TO_V2)
    reader = shop(world)
    reader.subscribe()
    world.listed()
    world.pass_time(1)
    assert world.routing.evaluations == 0
    view = world.service.discovery.view(world.service.scope("", "orders"))
    assert view.info("", False, "v1") is view.info("", False, "v1")
