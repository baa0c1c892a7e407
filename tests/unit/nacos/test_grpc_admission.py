"""gRPC clients of a listener that asks for credentials: tokens in headers, refusals, subscriptions whose right ends."""

from __future__ import annotations

from typing import Any

import pytest
from grpc_world import hosts, named
from guarded_nacos import PASSWORD
from guarded_world import Guarded

REFUSED: Any = {"resultCode": 500, "errorCode": 403, "success": False}


@pytest.fixture
def world() -> Guarded:
    return Guarded()


def test_nothing_is_done_for_nobody(world: Guarded) -> None:
    """As recorded: the call's own type of answer; setting up and health checks are open."""
    client = world.client()
    assert client.register() == ("InstanceResponse", {**REFUSED, "message": "user not found!"})
    assert client.ask("HealthCheckRequest")[1]["success"] is True
    for type, body, answer in (
        (
            "PersistentInstanceRequest",
            {"type": "registerInstance", "instance": {"ip": "1.1.1.1", "port": 1}},
            "Instance",
        ),
        ("BatchInstanceRequest", {"type": "batchRegisterInstance", "instances": []}, "BatchInstance"),
        ("ServiceQueryRequest", {}, "QueryService"),
        ("SubscribeServiceRequest", {"subscribe": True}, "SubscribeService"),
    ):
        assert client.ask(type, named("orders") | body) == (
            f"{answer}Response", {**REFUSED, "message": "user not found!"},
        )  # fmt: skip
    listed = client.ask("ServiceListRequest", named("") | {"pageNo": 1, "pageSize": 9})
    assert listed == ("ServiceListResponse", {**REFUSED, "message": "user not found!", "count": 0})
    lock = {"lockInstance": {"key": "k", "expiredTime": 1000, "lockType": "NACOS_LOCK"}, "lockOperationEnum": "ACQUIRE"}
    assert client.ask("LockOperationRequest", lock)[1]["errorCode"] == 403
    watch = {"groupKeyPattern": "public>>*>>*", "watchType": "WATCH", "receivedGroupKeys": [], "initializing": True}
    assert client.ask("NamingFuzzyWatchRequest", watch)[1]["errorCode"] == 403
    client.headers = (("accessToken", "a.b"),)
    assert client.register()[1]["message"] == "token invalid!"


def test_a_token_lets_in(world: Guarded) -> None:
    assert world.known("root").register()[1]["success"] is True
    ann = world.known("ann")
    assert ann.register()[1]["message"] == "authorization failed!"
    world.allow("orders")
    assert ann.ports() == [8080]
    assert ann.register()[1]["message"] == "authorization failed!"


def test_a_password_in_headers(world: Guarded) -> None:
    """It is checked in a thread; the answer waits."""
    client = world.client()
    client.headers = (("username", "root"), ("password", PASSWORD))
    body = named("orders") | {"type": "registerInstance", "instance": {"ip": "10.0.0.7", "port": 1}}
    assert client.ask("InstanceRequest", body, settle=False) == ("", None)
    world.settle()
    while not client.later:
        world.inbox.get(timeout=60)()
        world.settle()
    assert client.ask("InstanceRequest", body)[1]["success"] is True, "it is known now"


def test_lists_hold_what_may_be_seen(world: Guarded) -> None:
    root, ann = world.known("root"), world.known("ann")
    for name in ("orders", "bills"):
        root.register(name)
    asked = named("") | {"pageNo": 1, "pageSize": 9}
    assert root.ask("ServiceListRequest", asked)[1]["serviceNames"] == ["bills", "orders"]
    world.allow("orders")
    answer = ann.ask("ServiceListRequest", asked)[1]
    assert (answer["count"], answer["serviceNames"]) == (1, ["orders"])


def test_pushes_rest_while_the_right_is_gone(world: Guarded) -> None:
    root, ann = world.known("root"), world.known("ann")
    root.register()
    world.allow("orders")
    assert hosts(ann.subscribe()) == [8080]
    world.pass_time(1)
    ann.pushes()
    world.allow("bills")
    root.register(port=8081)
    world.pass_time(10)
    assert ann.pushes() == []
    world.allow("orders")
    world.pass_time(1)
    assert [hosts(push) for push in ann.pushes()] == [[8081]], "and hears what it missed"
    root.register(port=8082)
    assert [hosts(push) for push in ann.pushes()] == [[8082]]


def test_watches_of_patterns_end(world: Guarded) -> None:
    root, ann = world.known("root"), world.known("ann")
    root.register()
    watch = {"groupKeyPattern": "public>>*>>*", "watchType": "WATCH", "receivedGroupKeys": [], "initializing": True}
    world.allow("orders")
    assert ann.ask("NamingFuzzyWatchRequest", watch)[1]["errorCode"] == 403, "others would be told of, too"
    world.allow("*")
    assert ann.ask("NamingFuzzyWatchRequest", watch)[1]["success"] is True
    assert len(world.service.fuzzy) == 1
    world.allow()
    assert len(world.service.fuzzy) == 0


def test_locks_need_a_right(world: Guarded) -> None:
    lock = {"lockInstance": {"key": "k", "expiredTime": 1000, "lockType": "NACOS_LOCK"}, "lockOperationEnum": "ACQUIRE"}
    assert world.known("ann").ask("LockOperationRequest", lock)[1]["message"] == "authorization failed!"
    assert world.known("root").ask("LockOperationRequest", lock)[1]["result"] is True
