"""Naming pushes: who is told what, how often, and what becomes of those who do not answer."""

from __future__ import annotations

import json

import pytest
from grpc_world import World, hosts, named

from polaris_bridge.adapters.nacos.service.requests import PER_PASS, UNREAD
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.adapters.nacos.wire.payload import decode, encode
from polaris_bridge.core.model import Caller, Ejection, ServiceKey

ORDERS = Scope("public", "default", "DEFAULT_GROUP", "orders")


@pytest.fixture
def world() -> World:
    return World()


def test_the_answer_is_the_state_and_changes_follow(world: World) -> None:
    reader, provider = world.client(), world.client()
    answer = reader.subscribe()
    assert answer["message"] == "success"
    assert hosts(answer) == []
    provider.register()
    (push,) = reader.pushes()
    assert list(push) == ["headers", "requestId", "serviceInfo", "module"]
    assert push["module"] == "naming"
    assert (push["serviceInfo"]["name"], push["serviceInfo"]["groupName"]) == ("orders", "DEFAULT_GROUP")
    assert hosts(push) == [8080]
    assert push["serviceInfo"]["lastRefTime"] > answer["serviceInfo"]["lastRefTime"]
    world.pass_time(1)
    assert reader.pushes() == [], "it has answered, and heard of everything"
    provider.deregister()
    assert [hosts(push) for push in reader.pushes()] == [[]]


def test_a_new_subscriber_is_told_once_more_half_a_second_later(world: World) -> None:
    """Java clients do not look at the answer when they repeat a subscription after a reconnect."""
    world.client().register()
    reader = world.client()
    reader.subscribe()
    world.pass_time(0.4)
    assert reader.pushes() == []
    world.pass_time(0.2)
    assert [hosts(push) for push in reader.pushes()] == [[8080]]
    reader.subscribe()
    world.pass_time(10)
    assert reader.pushes() == [], "a second time nothing changes"


def test_how_long_telling_takes_is_told_once_a_change(world: World) -> None:
    told: list[tuple[str, float, float]] = []
    world.service.pushing.told = lambda *what: told.append(what)
    provider, readers = world.client(), [world.client() for _ in range(3)]
    for reader in readers:
        reader.subscribe()
    provider.register()
    world.pass_time(1)
    assert [by for by, _, _ in told] == ["nacos"]
    provider.register(port=9090)
    provider.register(port=9091)
    world.pass_time(1)
    assert len(told) == 3, "the second change of the two waited for its turn"
    assert all(0 <= took <= since < 0.06 for _, took, since in told)
    assert told[-1][2] >= 0.04


def test_nothing_is_pushed_for_a_service_that_does_not_exist(world: World) -> None:
    reader = world.client()
    reader.subscribe()
    world.pass_time(5)
    assert reader.pushes() == []


def test_a_change_in_the_first_half_second_is_enough(world: World) -> None:
    world.client().register(port=1)
    reader = world.client()
    reader.subscribe()
    world.client().register(port=2)
    world.pass_time(3)
    assert [hosts(push) for push in reader.pushes()] == [[1, 2]]


def test_no_more_after_the_end_of_a_subscription(world: World) -> None:
    reader, provider = world.client(), world.client()
    reader.subscribe()
    answer = reader.subscribe(on=False)
    assert answer["message"] == "success"
    provider.register()
    world.pass_time(1)
    assert reader.pushes() == []
    assert len(world.service.pushing) == 0
    assert world.service.subscribers.count() == 0
    assert len(world.registry.watches) == 0


def test_clusters_are_echoed_and_kept_apart(world: World) -> None:
    both, one = world.client(), world.client()
    both.subscribe(clusters="A,B")
    one.subscribe(clusters="A")
    world.client().register(port=1, clusterName="A")
    world.pass_time(0.06)
    world.client().register(port=2, clusterName="B")
    world.pass_time(0.06)
    assert [hosts(push) for push in both.pushes()] == [[1], [1, 2]]
    pushed = one.pushes()
    assert {push["serviceInfo"]["clusters"] for push in pushed} == {"A"}
    assert hosts(pushed[-1]) == [1]


def test_the_end_of_a_subscription_with_other_clusters_ends_all_of_the_service(world: World) -> None:
    reader = world.client()
    for clusters in ("A", "B", "C"):
        reader.subscribe(clusters=clusters)
    reader.subscribe("other")
    assert world.service.subscribers.count() == 4
    reader.subscribe(clusters="B", on=False)
    assert [s.cluster for s in world.service.subscribers.of(ORDERS)] == ["A", "C"]
    reader.subscribe(clusters="", on=False)
    assert world.service.subscribers.of(ORDERS) == []
    assert world.service.subscribers.count() == 1


def test_one_encoding_for_all_in_slices(world: World) -> None:
    readers = [world.client() for _ in range(300)]
    for reader in readers:
        reader.subscribe()
    provider = world.client()
    provider.register(settle=False)
    most = 0
    counts = [0]
    while world.runs.step():
        counts.append(sum(1 for r in readers if r.stream is not None and len(r.stream.sent) > 0))
        most = max(most, counts[-1] - counts[-2])
    assert counts[-1] == 300
    assert most <= PER_PASS
    sent = {id(reader.stream.sent[-1]) for reader in readers if reader.stream is not None}
    assert len(sent) == 1, "the same bytes"
    numbers = {push["requestId"] for reader in readers for push in reader.pushes()}
    assert len(numbers) == 1
    assert world.service.requests.waiting == 0


def test_a_storm_is_merged_and_the_last_state_comes_within_100_ms(world: World) -> None:
    reader = world.client()
    reader.subscribe()
    providers = [world.client() for _ in range(100)]
    got = 0
    for count in range(1000):
        providers[count % 100].register(port=1000 + count)
        world.pass_time(0.001, busy=False)
        got += len(reader.pushes())
    assert 10 <= got <= 25
    world.pass_time(0.1, busy=False)
    last = reader.pushes()
    assert len(last) <= 2
    assert hosts(last[-1]) == list(range(1900, 2000))


def test_who_does_not_answer_gets_the_list_anew_until_it_does(world: World) -> None:
    reader, other, provider = world.client(), world.client(), world.client()
    reader.subscribe()
    other.subscribe()
    provider.register(port=1)
    (first,) = reader.pushes(answer=False)
    other.pushes()
    world.pass_time(5.5)
    assert reader.pushes(answer=False) == []
    world.pass_time(1.5)
    (second,) = reader.pushes(answer=False)
    assert hosts(second) == [1]
    assert int(second["requestId"]) > int(first["requestId"])
    assert other.pushes() == []
    world.pass_time(7)
    (third,) = reader.pushes()
    world.pass_time(10)
    assert reader.pushes() == []
    assert int(third["requestId"]) > int(second["requestId"])
    assert world.service.requests.unanswered == 2


def test_a_failure_counts_as_no_answer(world: World) -> None:
    reader = world.client()
    reader.subscribe()
    world.client().register()
    (push,) = reader.pushes(answer=False)
    reader.say(
        "NotifySubscriberResponse",
        {"resultCode": 500, "errorCode": 1, "requestId": push["requestId"], "success": False},
    )
    world.pass_time(7)
    assert len(reader.pushes()) == 1


@pytest.mark.parametrize(
    ("type", "body"),
    [
        ("NotifySubscriberResponse", b'{"resultCode":200,"errorCode":0,"requestId":"%b","success":true}'),
        ("NotifySubscriberResponse", b'{"resultCode": 200, "errorCode": 0, "message": "", "requestId": "%b"}'),
        ("NotifySubscriberResponse", b'{"requestId":"%b","success":true,"resultCode":200}'),
        ("NamingFuzzyWatchChangeNotifyResponse", b'{"resultCode":200,"requestId":"%b"}'),
    ],
)
def test_answers_of_all_clients(world: World, type: str, body: bytes) -> None:
    reader = world.client()
    reader.subscribe()
    world.client().register()
    (push,) = reader.pushes(answer=False)
    assert world.service.requests.waiting == 1
    reader.say(type, body % push["requestId"].encode())
    assert world.service.requests.waiting == 0


def test_old_clients_acknowledge_with_a_request(world: World) -> None:
    reader = world.client()
    reader.subscribe()
    world.client().register()
    (push,) = reader.pushes(answer=False)
    assert reader.ask("PushAckRequest", {"requestId": push["requestId"], "success": True})[1]["errorCode"] == 302
    assert world.service.requests.waiting == 0


def test_changes_do_not_pile_up_for_a_client_that_never_answers(world: World) -> None:
    reader, provider = world.client(), world.client()
    reader.subscribe()
    for port in range(1, 40):
        provider.register(port=port)
        reader.ask("HealthCheckRequest")
        world.pass_time(1)
        assert world.service.requests.waiting <= 1
    reader.pushes(answer=False)
    for _ in range(6):
        world.pass_time(3)
        reader.ask("HealthCheckRequest")
        provider.ask("HealthCheckRequest")
    assert len(reader.pushes(answer=False)) <= 4


def test_a_client_that_does_not_read_is_passed_over(world: World) -> None:
    slow, quick = world.client(), world.client()
    for reader in (slow, quick):
        reader.subscribe()
    assert slow.stream is not None
    slow.stream.unread = UNREAD + 1
    world.client().register(port=1)
    assert slow.pushes() == []
    assert len(quick.pushes()) == 1
    assert world.service.requests.passed_over == 1
    slow.stream.unread = 0
    world.pass_time(7)
    assert [hosts(push) for push in slow.pushes()] == [[1]]


def test_a_client_that_goes_while_others_are_told(world: World) -> None:
    readers = [world.client() for _ in range(200)]
    for reader in readers:
        reader.subscribe()
    world.client().register(settle=False)
    while world.runs.step():
        if readers[10].stream is not None and readers[10].stream.sent:
            readers[150].link.cut()
    world.settle()
    assert sum(len(reader.pushes()) for reader in readers) == 199
    world.pass_time(8)
    assert world.service.requests.waiting == 0


def test_the_list_is_shared_with_other_lookups(world: World) -> None:
    client = world.client("10.0.0.3", AppName="shop")
    client.subscribe()
    (subscriber,) = world.service.subscribers.of(ORDERS)
    assert (subscriber.client, subscriber.kind, subscriber.ip, subscriber.app) == (
        client.id,
        "grpc",
        "10.0.0.3",
        "shop",
    )
    assert [scope.name for scope, _ in world.service.subscribers.by(client.id)] == ["orders"]
    client.link.cut()
    world.settle()
    assert world.service.subscribers.clients() == []


def test_a_metadata_change_is_pushed(world: World) -> None:
    reader, provider = world.client(), world.client()
    provider.register()
    reader.subscribe()
    world.pass_time(1)
    reader.pushes()
    provider.register(metadata={"version": "2"})
    (push,) = reader.pushes()
    assert push["serviceInfo"]["hosts"][0]["metadata"] == {"version": "2"}


def test_registering_the_same_again_is_no_news(world: World) -> None:
    reader, provider = world.client(), world.client()
    provider.register()
    reader.subscribe()
    world.pass_time(1)
    reader.pushes()
    provider.register()
    world.pass_time(1)
    assert reader.pushes() == []


def test_disabled_instances_are_left_out_and_sick_ones_are_not(world: World) -> None:
    reader = world.client()
    reader.subscribe()
    world.client().register(port=1, enabled=False)
    world.client().register(port=2, ephemeral=True, healthy=False)
    world.pass_time(1)
    assert hosts(reader.pushes()[-1]) == [2]


def test_pushes_go_to_those_who_named_the_namespace_otherwise(world: World) -> None:
    reader = world.client()
    body = named("orders", namespace="") | {"subscribe": True, "clusters": ""}
    reader.ask("SubscribeServiceRequest", body)
    world.client().register()
    assert len(reader.pushes()) == 1


def test_what_is_sent_is_what_real_clients_read(world: World) -> None:
    reader = world.client()
    reader.subscribe()
    world.client().register()
    assert reader.stream is not None
    payload = decode(reader.stream.sent[-1])
    assert payload.type == "NotifySubscriberRequest"
    body = json.loads(payload.body)
    assert isinstance(body["requestId"], str)
    assert body["headers"] == {}


def test_an_operator_can_switch_pushes_off(world: World) -> None:
    reader, provider = world.client(), world.client()
    reader.subscribe()
    world.service.operator.set("pushEnabled", "false", False, Caller("nacos"))
    world.settle()
    provider.register(port=1)
    world.pass_time(2)
    assert reader.pushes() == []
    world.service.operator.set("pushEnabled", "true", False, Caller("nacos"))
    world.pass_time(2)
    assert reader.pushes() == []
    provider.register(port=2)
    assert [hosts(push) for push in reader.pushes()] == [[2]]


def test_a_service_that_somebody_subscribes_to_is_not_forgotten(world: World) -> None:
    reader, provider = world.client(), world.client()
    provider.register()
    reader.subscribe()
    provider.deregister()
    for _ in range(100):
        world.pass_time(1)
        reader.pushes()
        reader.ask("HealthCheckRequest")
    assert world.service.services.count() == 1
    reader.subscribe(on=False)
    for _ in range(70):
        world.pass_time(1)
    assert world.service.services.count() == 0


def test_long_lists_are_prepared_in_slices(world: World) -> None:
    provider, asking, reader = world.client(), world.client(), world.client()
    instances = [{"ip": "10.0.0.1", "port": port} for port in range(1, 2001)]
    batch = named("orders") | {"type": "batchRegisterInstance", "instances": instances}
    asking.ports()
    provider.ask("BatchInstanceRequest", batch)
    query = encode("ServiceQueryRequest", json.dumps(named("orders") | {"cluster": "", "healthyOnly": False}).encode())
    assert asking.raw(query) is None, "later"
    world.settle()
    (answer,) = asking.later
    assert len(json.loads(decode(answer).body)["serviceInfo"]["hosts"]) == 2000
    reader.subscribe()
    world.pass_time(1)
    reader.pushes()
    provider.ask("BatchInstanceRequest", batch | {"instances": instances[:1000]})
    assert [len(hosts(push)) for push in reader.pushes()] == [1000]


def test_nothing_is_left_behind(world: World) -> None:
    provider = world.client()
    for _ in range(5):
        readers = [world.client(x=str(count)) for count in range(3)]
        for reader in readers:
            reader.subscribe()
            reader.subscribe("other", clusters="A")
        provider.register()
        for reader in readers[:2]:
            reader.pushes()
        readers[0].subscribe(on=False)
        for reader in readers:
            reader.link.cut()
        provider.deregister()
        world.pass_time(8)
    service = world.service
    assert len(service.connections) == 1
    assert len(service.connections._by_link) == 1
    assert (service.requests.waiting, service.requests._rounds, len(service.requests._sending)) == (0, {}, 0)
    assert (len(service.pushing), service.subscribers.count(), service.subscribers.clients()) == (0, 0, [])
    assert len(world.registry.watches) == 0


def test_an_ejection_and_its_end_are_told_like_any_turn_of_health(world: World) -> None:
    reader, provider = world.client(), world.client()
    reader.subscribe()
    provider.register()
    reader.pushes()
    service = ServiceKey("default", "orders")
    [place] = world.registry.snapshot(service).addresses
    for ejection, healthy in ((Ejection("r", "no 500"), False), (None, True)):
        world.registry.ejections.put(service, {place: ejection})
        world.pass_time(1)
        [push] = reader.pushes()
        assert [(host["healthy"], host["enabled"]) for host in push["serviceInfo"]["hosts"]] == [(healthy, True)]
