"""Rights to configuration over gRPC: refusals as Nacos 2.5.1 words them, and listeners that rest while their right is gone."""

from __future__ import annotations

from typing import Any

import pytest
from config_client import GROUP, context, listen, publish, remove, told
from grpc_world import Client
from guarded_world import Guarded

REFUSED: Any = {"resultCode": 500, "errorCode": 403, "success": False}
WATCH = {"groupKeyPattern": "public>>*>>*", "watchType": "WATCH", "receivedGroupKeys": [], "initializing": True}


@pytest.fixture
def world() -> Guarded:
    return Guarded()


def named(group: str = GROUP, data_id: str = "orders.yaml") -> dict[str, Any]:
    return {"dataId": data_id, "group": group, "tenant": ""}


def batch(client: Client, *groups: str) -> Any:
    contexts = [{**context(), "group": group} for group in groups]
    return client.ask("ConfigBatchListenRequest", {"listen": True, "configListenContexts": contexts})


def test_nothing_is_done_for_nobody(world: Guarded) -> None:
    """In the call's own type of answer, with what that has besides."""
    client = world.client()
    said = {**REFUSED, "message": "user not found!"}
    assert client.ask("ConfigQueryRequest", named()) == (
        "ConfigQueryResponse",
        {**said, "lastModified": 0, "beta": False},
    )
    assert client.ask("ConfigPublishRequest", named() | {"content": "x"}) == ("ConfigPublishResponse", said)
    assert client.ask("ConfigRemoveRequest", named()) == ("ConfigRemoveResponse", said)
    assert batch(client, GROUP) == ("ConfigChangeBatchListenResponse", {**said, "changedConfigs": []})
    assert client.ask("ConfigFuzzyWatchRequest", WATCH) == ("ConfigFuzzyWatchResponse", said)
    client.headers = (("accessToken", "a.b"),)
    assert client.ask("ConfigQueryRequest", named())[1]["message"] == "token invalid!"
    assert batch(client, GROUP)[1]["message"] == "token invalid!"


def test_rights_are_given_by_group(world: Guarded) -> None:
    root, ann = world.known("root"), world.known("ann")
    publish(root, "one")
    assert ann.ask("ConfigQueryRequest", named())[1]["message"] == "authorization failed!"
    world.allow(groups=(GROUP,))
    assert ann.ask("ConfigQueryRequest", named())[1]["content"] == "one"
    assert ann.ask("ConfigQueryRequest", named("other"))[1]["message"] == "authorization failed!"
    assert ann.ask("ConfigPublishRequest", named() | {"content": "x"})[1]["message"] == "authorization failed!"
    assert ann.ask("ConfigRemoveRequest", named())[1]["message"] == "authorization failed!"


def test_of_many_files_those_are_listened_to_that_may_be_read(world: Guarded) -> None:
    root, ann = world.known("root"), world.known("ann")
    world.allow(groups=(GROUP,))
    publish(root, "one")
    assert [one["group"] for one in batch(ann, GROUP, "other")[1]["changedConfigs"]] == [GROUP]
    assert len(world.service.config_listeners) == 1
    assert batch(ann, "other", "more")[1] == {**REFUSED, "message": "authorization failed!", "changedConfigs": []}
    assert batch(ann, *([GROUP] + ["other"] * 200))[1]["success"] is True
    assert batch(ann, *["other"] * 200)[1]["message"] == "authorization failed!"


def test_listeners_rest_while_the_right_is_gone(world: Guarded) -> None:
    root, ann = world.known("root"), world.known("ann")
    world.allow(groups=(GROUP,))
    listen(ann, context())
    publish(root, "one")
    assert told(ann) == ["orders.yaml"]
    world.allow(groups=("other",))
    assert len(world.service.config_listeners) == 0
    publish(root, "two")
    assert told(ann) == []
    world.allow(groups=(GROUP,))
    assert told(ann) == ["orders.yaml"], "there may be news"
    publish(root, "three")
    assert told(ann) == ["orders.yaml"]
    listen(ann, context(), on=False)
    world.allow()
    world.allow(groups=(GROUP,))
    remove(root)
    assert told(ann) == [], "it listens no more"


def test_a_client_that_goes_while_it_rests(world: Guarded) -> None:
    ann = world.known("ann")
    world.allow(groups=(GROUP,))
    listen(ann, context())
    world.allow()
    ann.link.cut()
    world.settle()
    world.allow(groups=(GROUP,))
    assert len(world.service.config_listeners) == 0


def test_watches_of_patterns_end(world: Guarded) -> None:
    ann = world.known("ann")
    world.allow(groups=(GROUP,))
    assert ann.ask("ConfigFuzzyWatchRequest", WATCH)[1]["errorCode"] == 403, "others would be told of, too"
    world.allow("*")
    assert ann.ask("ConfigFuzzyWatchRequest", WATCH)[1]["success"] is True
    assert len(world.service.fuzzy_configs) == 1
    world.allow()
    assert len(world.service.fuzzy_configs) == 0
