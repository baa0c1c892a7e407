"""Incremental: what each request is answered with, and what follows a change."""

from __future__ import annotations

import pytest
from xds_stage import Stage

from polaris_bridge.adapters.xds.service import steps
from polaris_bridge.adapters.xds.service.stream import TooMuch
from polaris_bridge.adapters.xds.wire.types import ASSIGNMENT, CLUSTER, LISTENER, ROUTES, SECRET, VIRTUAL_HOST


@pytest.fixture
def stage() -> Stage:
    found = Stage()
    found.put(*((CLUSTER, name, "1") for name in "abc"), *((ASSIGNMENT, name, "1") for name in "abc"))
    return found


def test_no_names_are_a_wildcard_and_only_changes_follow(stage: Stage) -> None:
    client = stage.client(delta=True)
    (one,) = client.changes(CLUSTER)
    assert one.names == {"a", "b", "c"}
    assert client.ack(one) == []
    stage.put((CLUSTER, "b", "2"))
    two = client.one()
    assert two.names == {"b"}
    client.ack(two)
    stage.put((CLUSTER, "a", None), (CLUSTER, "d", "1"))
    told = client.take()
    assert told[0].names == {"d"}
    (last,) = client.ack(told[0])
    assert last.removed == ["a"]


def test_a_wildcard_of_nothing_is_answered(stage: Stage) -> None:
    client = stage.client(delta=True)
    (one,) = client.changes(LISTENER)
    assert (one.names, one.removed) == (set(), [])


@pytest.mark.parametrize("type_url", [ASSIGNMENT, ROUTES, SECRET])
def test_of_other_types_no_names_are_nothing(stage: Stage, type_url: str) -> None:
    assert stage.client(delta=True).changes(type_url) == []


def test_a_name_that_is_asked_for_again_is_sent_again(stage: Stage) -> None:
    client = stage.client(delta=True)
    (one,) = client.changes(ASSIGNMENT, "a")
    assert one.names == {"a"}
    client.ack(one)
    (two,) = client.changes(ASSIGNMENT, "a")
    assert two.contents == one.contents


def test_a_changed_cluster_brings_its_assignment_again(stage: Stage) -> None:
    """Envoy warms it, and does not subscribe to what it is subscribed to."""
    client = stage.client(delta=True)
    (clusters,) = client.changes(CLUSTER)
    client.ack(clusters)
    (assignments,) = client.changes(ASSIGNMENT, "a", "b", "c")
    client.ack(assignments)
    stage.put((CLUSTER, "b", "2"))
    changed, repeated = client.take()
    assert (changed.names, repeated.names) == ({"b"}, {"b"})
    assert repeated.contents["b"] == assignments.contents["b"]


def test_one_that_comes_back_warms_what_changed_meanwhile(stage: Stage) -> None:
    client = stage.client(delta=True)
    (clusters,) = client.changes(CLUSTER)
    client.ack(clusters)
    (assignments,) = client.changes(ASSIGNMENT, "a", "b", "c")
    stage.put((CLUSTER, "b", "2"))
    again = stage.client(delta=True)
    (changed,) = again.changes(CLUSTER, initial=clusters.contents)
    assert changed.names == {"b"}
    again.ack(changed)
    (repeated,) = again.changes(ASSIGNMENT, "a", "b", "c", initial=assignments.contents)
    assert repeated.names == {"b"}


def test_what_does_not_exist_is_removed(stage: Stage) -> None:
    client = stage.client(delta=True)
    (one,) = client.changes(VIRTUAL_HOST, "polaris-outbound-router/nobody")
    assert one.removed == ["polaris-outbound-router/nobody"]
    client.ack(one)
    stage.put((VIRTUAL_HOST, "polaris-outbound-router/nobody", "1"))
    assert client.one().names == {"polaris-outbound-router/nobody"}
    (two,) = client.changes(ASSIGNMENT, "a", "nobody")
    assert (two.names, two.removed) == ({"a"}, ["nobody"])


def test_an_acknowledgement_may_subscribe(stage: Stage) -> None:
    client = stage.client(delta=True)
    (one,) = client.changes(ASSIGNMENT, "a")
    (two,) = client.changes(ASSIGNMENT, "b", nonce=one.nonce)
    assert two.names == {"b"}
    assert client.stream.subscriptions[ASSIGNMENT].accepted == one.version


def test_unsubscribed_names_are_told_no_more(stage: Stage) -> None:
    client = stage.client(delta=True)
    (one,) = client.changes(ASSIGNMENT, "a", "b")
    client.ack(one)
    assert client.changes(ASSIGNMENT, unsubscribe=["a"]) == []
    stage.put((ASSIGNMENT, "a", "2"))
    assert client.take() == []
    (two,) = client.changes(ASSIGNMENT, "a")
    assert two.names == {"a"}


def test_a_wildcard_subscriber_that_unsubscribes_is_told_how_it_is(stage: Stage) -> None:
    client = stage.client(delta=True)
    (one,) = client.changes(CLUSTER, "*", "a", "nobody")
    assert (one.names, one.removed) == ({"a", "b", "c"}, ["nobody"])
    client.ack(one)
    (two,) = client.changes(CLUSTER, unsubscribe=["a", "nobody"])
    assert (two.names, two.removed) == ({"a"}, ["nobody"])
    client.ack(two)
    assert client.changes(CLUSTER, unsubscribe=["*"]) == []
    stage.put((CLUSTER, "a", "2"))
    assert client.take() == []


def test_a_legacy_wildcard_holds_until_a_star_ends_it(stage: Stage) -> None:
    client = stage.client(delta=True)
    (one,) = client.changes(CLUSTER)
    client.ack(one)
    (two,) = client.changes(CLUSTER, "a")
    assert two.names == {"a"}
    client.ack(two)
    stage.put((CLUSTER, "b", "2"))
    three = client.one()
    assert three.names == {"b"}
    client.ack(three)
    client.changes(CLUSTER, unsubscribe=["*"])
    stage.put((CLUSTER, "b", "3"), (CLUSTER, "a", "3"))
    assert client.one().names == {"a"}


def test_a_star_that_comes_later(stage: Stage) -> None:
    client = stage.client(delta=True)
    (one,) = client.changes(CLUSTER, "a")
    client.ack(one)
    (two,) = client.changes(CLUSTER, "*")
    assert two.names == {"b", "c"}


def test_a_reconnected_client_is_told_what_differs(stage: Stage) -> None:
    (one,) = stage.client(delta=True).changes(CLUSTER)
    stage.put((CLUSTER, "b", "2"), (CLUSTER, "c", None), (CLUSTER, "d", "1"))
    client = stage.client(delta=True)
    (two,) = client.changes(CLUSTER, initial=one.contents)
    assert (two.names, two.removed) == ({"b", "d"}, ["c"])
    known = {name: version for name, version in (one.contents | two.contents).items() if name != "c"}
    (three,) = stage.client(delta=True).changes(CLUSTER, initial=known)
    assert (three.names, three.removed) == (set(), [])


def test_a_reconnected_client_of_names_is_told_what_differs(stage: Stage) -> None:
    (one,) = stage.client(delta=True).changes(ASSIGNMENT, "a", "b", "c")
    stage.put((ASSIGNMENT, "b", "2"), (ASSIGNMENT, "c", None))
    client = stage.client(delta=True)
    (two,) = client.changes(ASSIGNMENT, "a", "b", "c", initial=one.contents)
    assert (two.names, two.removed) == ({"b"}, ["c"])
    client.ack(two)
    stage.put((ASSIGNMENT, "a", "2"))
    assert client.one().names == {"a"}
    same = stage.client(delta=True)
    assert same.changes(ASSIGNMENT, "a", initial={"a": stage.world.at().read(ASSIGNMENT, "a").version}) == []  # type: ignore[union-attr]


def test_a_version_from_another_server_is_another_version(stage: Stage) -> None:
    (one,) = stage.client(delta=True).changes(CLUSTER, initial={"a": "126aa64f635a!", "gone": "x"})
    assert (one.names, one.removed) == ({"a", "b", "c"}, ["gone"])


def test_a_refusal_is_kept_and_not_answered(stage: Stage) -> None:
    client = stage.client(delta=True)
    (one,) = client.changes(ASSIGNMENT, "a")
    assert client.ack(one, error="bad") == []
    refusal = client.stream.subscriptions[ASSIGNMENT].refusal
    assert refusal is not None
    assert (refusal.text, refusal.version) == ("bad", one.version)
    stage.put((ASSIGNMENT, "a", "2"))
    assert client.one().names == {"a"}


def test_an_unread_change_waits_and_only_its_newest_state_goes(stage: Stage) -> None:
    client = stage.client(delta=True)
    (one,) = client.changes(ASSIGNMENT, "a")
    for content in "234":
        stage.put((ASSIGNMENT, "a", content))
    assert client.take() == []
    (two,) = client.ack(one)
    assert two.contents["a"] == stage.world.at().read(ASSIGNMENT, "a").version  # type: ignore[union-attr]
    assert client.ack(two) == []


def test_additions_first_removals_last(stage: Stage) -> None:
    stage.put((ROUTES, "r", "a"))
    client = stage.client(delta=True)
    for type_url, names in ((CLUSTER, ()), (ASSIGNMENT, ("a", "b", "c")), (ROUTES, ("r",))):
        (answer,) = client.changes(type_url, *names)
        client.ack(answer)
    stage.put((CLUSTER, "a", None), (ASSIGNMENT, "a", None), (ROUTES, "r", "d"), (CLUSTER, "d", "1"))
    told = client.take()
    assert [(each.type_url, each.names, each.removed) for each in told] == [
        (CLUSTER, {"d"}, []),
        (ROUTES, {"r"}, []),
        (ASSIGNMENT, set(), ["a"]),
    ]
    (last,) = client.ack(told[0])
    assert (last.type_url, last.removed) == (CLUSTER, ["a"])


def test_clusters_beyond_what_clients_receive_are_split(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MAX_RESPONSE", 400)
    client = stage.client(delta=True)
    parts = client.changes(CLUSTER)
    assert len(parts) > 1
    assert set().union(*(each.names for each in parts)) == {"a", "b", "c"}
    assert stage.telling.oversized == 0


def test_more_names_than_anybody_needs_end_the_stream(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polaris_bridge.adapters.xds.service.stream.MAX_NAMES", 10)
    client = stage.client(delta=True)
    client.changes(ASSIGNMENT, *map(str, range(10)))
    with pytest.raises(TooMuch):
        client.changes(ASSIGNMENT, "more")


def test_more_changes_than_a_view_remembers(stage: Stage) -> None:
    client = stage.client(delta=True)
    (one,) = client.changes(ASSIGNMENT, "a", "b", "c")
    for number in range(60):
        stage.put((ASSIGNMENT, "a", str(number)))
    stage.put((ASSIGNMENT, "b", None))
    (*told,) = client.ack(one)
    assert [each.names for each in told] == [{"a"}]
    (gone,) = client.ack(told[0])
    assert gone.removed == ["b"]
