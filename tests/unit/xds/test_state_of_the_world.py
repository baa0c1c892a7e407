"""State of the world: what each request is answered with, and what follows a change."""

from __future__ import annotations

import pytest
from xds_stage import Stage

from polaris_bridge.adapters.xds.node import Node
from polaris_bridge.adapters.xds.service import steps
from polaris_bridge.adapters.xds.service.stream import MAX_IDLE, TooMuch
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.adapters.xds.wire.types import ASSIGNMENT, CLUSTER, LISTENER, ROUTES, RUNTIME, SECRET


@pytest.fixture
def stage() -> Stage:
    found = Stage()
    found.put(*((CLUSTER, name, "1") for name in "abc"), *((ASSIGNMENT, name, "1") for name in "abc"))
    return found


def test_a_first_request_is_answered_and_an_ack_is_not(stage: Stage) -> None:
    client = stage.client()
    (first,) = client.state(ASSIGNMENT, "a")
    assert first.names == {"a"}
    assert first.version == stage.world.at().read(ASSIGNMENT, "a").version  # type: ignore[union-attr]
    assert client.ack(first, "a") == []
    stage.put((ASSIGNMENT, "b", "2"))
    assert client.take() == []
    stage.put((ASSIGNMENT, "a", "2"))
    second = client.one()
    assert second.names == {"a"}
    assert second.version != first.version
    assert second.nonce != first.nonce


def test_a_reconnected_client_says_its_version_and_is_answered(stage: Stage) -> None:
    (first,) = stage.client().state(ASSIGNMENT, "a")
    (again,) = stage.client().state(ASSIGNMENT, "a", version=first.version)
    assert again.version == first.version
    assert again.names == {"a"}


def test_a_stale_nonce_counts_for_nothing_its_names_neither(stage: Stage) -> None:
    client = stage.client()
    (first,) = client.state(ASSIGNMENT, "a")
    client.ack(first, "a")
    stage.put((ASSIGNMENT, "a", "2"))
    second = client.one()
    assert client.ack(first, "a", "b") == []
    assert stage.telling.counts.stale == 1
    (third,) = client.ack(second, "a", "b")
    assert third.names == {"b"}


def test_a_client_that_wants_nothing_more_need_not_answer_what_crossed_that(stage: Stage) -> None:
    """grpc-java does not know the type of a response any more when it has unsubscribed from all of it, and says nothing."""
    client = stage.client()
    (first,) = client.state(CLUSTER, "a")
    client.ack(first, "a")
    stage.put((CLUSTER, "a", None))
    assert client.one().names == frozenset()
    assert client.state(CLUSTER, nonce=first.nonce, version=first.version) == []
    stage.put((CLUSTER, "a", "2"), (LISTENER, "l", "1"))
    (listener,) = client.state(LISTENER, "l")
    assert listener.names == {"l"}
    (again,) = client.state(CLUSTER, "a", nonce=first.nonce, version=first.version)
    assert again.names == {"a"}
    client.ack(again, "a")
    stage.put((CLUSTER, "a", "3"))
    assert client.one().names == {"a"}


def test_what_changes_before_the_ack_goes_out_once_in_its_newest_state(stage: Stage) -> None:
    client = stage.client()
    (first,) = client.state(ASSIGNMENT, "a")
    for content in "2345":
        stage.put((ASSIGNMENT, "a", content))
    assert client.take() == []
    (second,) = client.ack(first, "a")
    assert second.version == stage.world.at().read(ASSIGNMENT, "a").version  # type: ignore[union-attr]
    assert client.ack(second, "a") == []


def test_after_a_refusal_nothing_is_sent_until_something_changes(stage: Stage) -> None:
    client = stage.client()
    (first,) = client.state(ASSIGNMENT, "a")
    assert client.ack(first, "a", error="no good") == []
    assert [(each.type, each.text) for each in stage.telling.refusals] == [("eds", "no good")]
    assert stage.telling.counts.refused["eds"] == 1
    stage.put((ASSIGNMENT, "b", "2"))
    assert client.take() == []
    stage.put((ASSIGNMENT, "a", "2"))
    second = client.one()
    assert second.names == {"a"}
    client.ack(second, "a")
    assert client.stream.subscriptions[ASSIGNMENT].refusal is None
    assert client.stream.subscriptions[ASSIGNMENT].accepted == second.version


def test_what_was_refused_together_is_told_in_pieces_down_to_the_one(stage: Stage) -> None:
    """As Envoy does it: one bad resource, and nothing of the response is taken."""
    names = [f"n{i:02}" for i in range(20)]
    stage.put(*((ASSIGNMENT, name, "1") for name in names))
    client = stage.client()
    taken: set[str] = set()
    told = client.state(ASSIGNMENT, *names)
    rounds = 0
    while told:
        (response,) = told
        bad = "n07" in response.names
        taken |= set() if bad else response.names
        told = client.ack(response, *names, error="n07 is no good" if bad else None)
        rounds += 1
    assert taken == set(names) - {"n07"}
    assert rounds <= 12
    sub = client.stream.subscriptions[ASSIGNMENT]
    assert sub.refused == {"n07"}
    assert sub.refusal is not None
    stage.put((ASSIGNMENT, "n08", "2"))
    assert client.ack(client.one(), *names) == []
    stage.put((ASSIGNMENT, "n07", "2"))
    client.ack(client.one(), *names)
    assert (sub.refused, sub.refusal) == (frozenset(), None)


def test_who_refuses_everything_is_not_asked_for_ever(stage: Stage) -> None:
    names = [f"n{i:03}" for i in range(200)]
    stage.put(*((ASSIGNMENT, name, "1") for name in names))
    client = stage.client()
    told = client.state(ASSIGNMENT, *names)
    rounds = 0
    while told:
        told = client.ack(told[-1], *names, error="no")
        rounds += 1
    assert rounds <= 70


def test_a_refusal_may_ask_for_more(stage: Stage) -> None:
    client = stage.client()
    (first,) = client.state(ASSIGNMENT, "a")
    (second,) = client.ack(first, "a", "b", error="no good")
    assert second.names == {"b"}


def test_names_added_removed_and_added_again_are_sent_each_time(stage: Stage) -> None:
    client = stage.client()
    (one,) = client.state(ASSIGNMENT, "a")
    (two,) = client.ack(one, "a", "b")
    assert two.names == {"b"}
    assert client.ack(two, "a") == []
    stage.put((ASSIGNMENT, "b", "2"))
    assert client.take() == []
    (three,) = client.state(ASSIGNMENT, "a", "b", nonce=two.nonce, version=two.version)
    assert three.names == {"b"}


def test_wildcard_then_names_then_nothing(stage: Stage) -> None:
    client = stage.client()
    (one,) = client.state(CLUSTER)
    assert one.names == {"a", "b", "c"}
    (named,) = client.ack(one, "a")
    assert named.names == {"a"}
    client.ack(named, "a")
    stage.put((CLUSTER, "b", "2"))
    assert client.take() == []
    stage.put((CLUSTER, "a", "2"))
    two = client.one()
    assert two.names == {"a"}
    assert client.ack(two) == []
    stage.put((CLUSTER, "a", "3"), (CLUSTER, "b", "3"))
    assert client.take() == []


def test_a_star_and_a_name(stage: Stage) -> None:
    stage.put((CLUSTER, "hidden", "1"), hidden=True)
    client = stage.client()
    (one,) = client.state(CLUSTER, "*", "hidden")
    assert one.names == {"a", "b", "c", "hidden"}
    assert client.ack(one, "hidden") == []
    stage.put((CLUSTER, "hidden", "2"), (CLUSTER, "a", "2"))
    two = client.one()
    assert two.names == {"hidden"}
    (three,) = client.ack(two, "hidden", "*")
    assert three.names == {"a", "b", "c", "hidden"}


@pytest.mark.parametrize("type_url", [ASSIGNMENT, ROUTES, SECRET])
def test_no_names_are_a_wildcard_for_listeners_and_clusters_only(stage: Stage, type_url: str) -> None:
    assert stage.client().state(type_url) == []


def test_an_absent_name_holds_nothing_back(stage: Stage) -> None:
    client = stage.client()
    (one,) = client.state(ASSIGNMENT, "a", "nobody")
    assert one.names == {"a"}
    client.ack(one, "a", "nobody")
    stage.put((ASSIGNMENT, "nobody", "1"))
    assert client.one().names == {"nobody"}


@pytest.mark.parametrize("type_url", [LISTENER, ASSIGNMENT])
def test_a_first_request_is_answered_even_if_there_is_nothing(stage: Stage, type_url: str) -> None:
    (one,) = stage.client().state(type_url, "nobody")
    assert one.names == set()


def test_listeners_and_clusters_come_whole_others_as_far_as_they_changed(stage: Stage) -> None:
    client = stage.client()
    (clusters,) = client.state(CLUSTER)
    client.ack(clusters)
    (assignments,) = client.state(ASSIGNMENT, "a", "b", "c")
    client.ack(assignments, "a", "b", "c")
    stage.put((CLUSTER, "d", "1"), (ASSIGNMENT, "b", "2"))
    found = {each.type_url: each.names for each in client.take()}
    assert found == {CLUSTER: {"a", "b", "c", "d"}, ASSIGNMENT: {"b"}}


def test_a_cluster_that_is_gone_is_missing_from_the_whole(stage: Stage) -> None:
    client = stage.client()
    (one,) = client.state(CLUSTER)
    client.ack(one)
    stage.put((CLUSTER, "a", None))
    assert client.one().names == {"b", "c"}


def test_a_changed_cluster_brings_its_assignment_again(stage: Stage) -> None:
    client = stage.client()
    (clusters,) = client.state(CLUSTER)
    (assignments,) = client.state(ASSIGNMENT, "a", "b", "c")
    client.ack(clusters)
    client.ack(assignments, "a", "b", "c")
    stage.put((CLUSTER, "b", "2"))
    one, two = client.take()
    assert (one.type_url, two.type_url) == (CLUSTER, ASSIGNMENT)
    assert two.names == {"b"}
    assert client.ack(two, "a", "b", "c") == []


def test_a_grpc_client_does_not_wait_for_an_assignment_again(stage: Stage) -> None:
    from polaris_bridge.adapters.xds.wire import messages

    client = stage.client(node=messages.base.Node(id="x", user_agent_name="gRPC Go"))
    (cluster,) = client.state(CLUSTER, "a")
    (assignment,) = client.state(ASSIGNMENT, "a")
    client.ack(cluster, "a")
    client.ack(assignment, "a")
    stage.put((CLUSTER, "a", "2"))
    assert client.one().type_url == CLUSTER


def test_additions_are_told_before_what_points_at_them_and_removals_after(stage: Stage) -> None:
    stage.put((ROUTES, "r", "a"), (LISTENER, "l", "1"))
    client = stage.client()
    for type_url, names in ((CLUSTER, ()), (ASSIGNMENT, ("a", "b", "c")), (LISTENER, ()), (ROUTES, ("r",))):
        (answer,) = client.state(type_url, *names)
        client.ack(answer, *names)
    stage.put((ROUTES, "r", "d"), (CLUSTER, "d", "1"), (CLUSTER, "a", None), (LISTENER, "l", "2"))
    told = client.take()
    assert [each.type_url for each in told] == [CLUSTER, LISTENER, ROUTES]
    assert told[0].names == {"a", "b", "c", "d"}
    assert client.ack(told[2], "r") == []
    assert client.ack(told[1]) == []
    (last,) = client.ack(told[0])
    assert last.names == {"b", "c", "d"}
    assert client.ack(last) == []


def test_what_points_at_additions_waits_for_them(stage: Stage) -> None:
    stage.put((ROUTES, "r", "a"))
    client = stage.client()
    (clusters,) = client.state(CLUSTER)
    (routes,) = client.state(ROUTES, "r")
    client.ack(routes, "r")
    stage.put((CLUSTER, "d", "1"), (ROUTES, "r", "d"))
    assert client.take() == []
    told = client.ack(clusters)
    assert [each.type_url for each in told] == [CLUSTER, ROUTES]


def test_a_cluster_is_not_taken_away_while_routes_may_point_at_it(stage: Stage) -> None:
    stage.put((ROUTES, "r", "a"))
    client = stage.client()
    (clusters,) = client.state(CLUSTER)
    (routes,) = client.state(ROUTES, "r")
    client.ack(clusters)
    stage.put((CLUSTER, "a", None), (ROUTES, "r", "b"))
    assert client.take() == []
    told = client.ack(routes, "r")
    assert [each.type_url for each in told] == [ROUTES, CLUSTER]
    assert told[1].names == {"b", "c"}


def test_several_clusters_that_go_one_after_another_are_all_taken_away(stage: Stage) -> None:
    stage.put((ROUTES, "r", "a"))
    client = stage.client()
    (clusters,) = client.state(CLUSTER)
    (routes,) = client.state(ROUTES, "r")
    client.ack(clusters)
    stage.put((CLUSTER, "a", None), (ROUTES, "r", "b"))
    stage.put((CLUSTER, "b", None))
    assert client.take() == []
    told = client.ack(routes, "r")
    assert told[-1].names == {"c"}


def test_deleted_and_made_again_while_others_keep_going(stage: Stage) -> None:
    client = stage.client()
    (clusters,) = client.state(CLUSTER)
    (assignments,) = client.state(ASSIGNMENT, "a", "b", "c")
    client.ack(clusters)
    client.ack(assignments, "a", "b", "c")
    stage.put((CLUSTER, "b", None), (ASSIGNMENT, "b", None))
    gone = client.one()
    assert gone.names == {"a", "c"}
    assert client.ack(gone) == []
    stage.put((CLUSTER, "b", "1"), (ASSIGNMENT, "b", "1"))
    back = client.take()
    assert [each.type_url for each in back] == [CLUSTER, ASSIGNMENT]
    assert (back[0].names, back[1].names) == ({"a", "b", "c"}, {"b"})
    assert back[0].version == clusters.version


def test_unknown_types_get_no_answer_and_keep_the_stream(stage: Stage) -> None:
    client = stage.client()
    assert client.state("type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "x") == []
    assert stage.telling.counts.unknown.total() == 1
    (one,) = client.state(ASSIGNMENT, "a")
    assert one.names == {"a"}


def test_a_stream_of_one_type_needs_no_type_and_serves_no_other(stage: Stage) -> None:
    client = stage.client(only=CLUSTER)
    (one,) = client.state("")
    assert one.names == {"a", "b", "c"}
    assert client.state(ASSIGNMENT, "a") == []


def test_a_client_without_a_node_is_the_default_one(stage: Stage) -> None:
    client = stage.client(node=False)
    (one,) = client.state(CLUSTER)
    assert one.names == {"a", "b", "c"}
    assert client.stream.node == Node()


def test_two_namespaces_with_the_same_names(stage: Stage) -> None:
    from polaris_bridge.adapters.xds.wire import messages

    stage.put((CLUSTER, "a", "other"), namespace="other")
    client = stage.client()
    other = stage.client(node=messages.base.Node(id="sidecar~other/pod~10.0.0.2"))
    (here,), (there,) = client.state(CLUSTER), other.state(CLUSTER)
    assert here.names == {"a", "b", "c"}
    assert there.names == {"a"}
    assert here.contents["a"] != there.contents["a"]


def test_versions_come_of_content_and_survive_a_restart() -> None:
    def started(*more: tuple[str, str, str]) -> str:
        stage = Stage()
        stage.put(*more, *((CLUSTER, name, "1") for name in "abc"))
        return stage.client().state(CLUSTER)[0].version

    assert started() == started((CLUSTER, "a", "0"))
    assert started() != started((CLUSTER, "d", "1"))


def test_runtime_layers_are_there_and_empty(stage: Stage) -> None:
    client = stage.client()
    (one,) = client.state(RUNTIME, "rtds_layer")
    assert one.names == {"rtds_layer"}
    assert client.ack(one, "rtds_layer") == []


def test_assignments_beyond_what_clients_receive_are_split(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MAX_RESPONSE", 600)
    names = [f"service-{i:02}" for i in range(20)]
    stage.put(*((ASSIGNMENT, name, "x" * 50) for name in names))
    client = stage.client()
    parts = client.state(ASSIGNMENT, *names)
    assert len(parts) > 3
    assert max(each.size for each in parts) <= 600 + 8
    assert set().union(*(each.names for each in parts)) == set(names)
    assert client.ack(parts[0], *names) == []
    stage.put((ASSIGNMENT, names[3], "2"))
    assert client.take() == []
    (change,) = client.ack(parts[-1], *names)
    assert change.names == {names[3]}
    assert stage.telling.oversized == 0


def test_what_is_long_goes_part_by_part_and_in_order(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MAX_RESPONSE", 600)
    monkeypatch.setattr("polaris_bridge.adapters.xds.service.stream.AT_ONCE", 500)
    names = [f"service-{i:02}" for i in range(20)]
    stage.put(*((ASSIGNMENT, name, "x" * 50) for name in names), (LISTENER, "l", "1"))
    client = stage.client()
    parts = client.state(ASSIGNMENT, *names)
    client.ack(parts[-1], *names)
    (listener,) = client.state(LISTENER)
    client.ack(listener)
    stage.world.put(*((ASSIGNMENT, name, "y" * 50) for name in names), (LISTENER, "l", "2"))
    stage.scheduler.settle(0.06)
    told = client.take()
    assert [each.type_url for each in told] == [*[ASSIGNMENT] * len(parts), LISTENER]
    assert [int(each.nonce) for each in told] == sorted(int(each.nonce) for each in told)
    assert set().union(*(each.names for each in told[:-1])) == set(names)
    assert client.ack(told[-2], *names) == []


def test_clusters_beyond_what_clients_receive_are_counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MAX_RESPONSE", 100)
    (one,) = stage.client().state(CLUSTER)
    assert one.names == {"a", "b", "c"}
    assert stage.telling.oversized == 1


def test_an_ack_flood_ends_the_stream(stage: Stage) -> None:
    client = stage.client()
    (one,) = client.state(ASSIGNMENT, "a")
    for _ in range(MAX_IDLE):
        client.ack(one, "a")
    with pytest.raises(TooMuch):
        client.ack(one, "a")
    stage.telling.sweep()
    assert client.ack(one, "a") == []


def test_a_client_that_reads_nothing_is_dropped(stage: Stage) -> None:
    client = stage.client()
    (one,) = client.state(ASSIGNMENT, "a")
    client.ack(one, "a")
    stage.put((ASSIGNMENT, "a", "2"))
    client.sink.backlog = 100
    for _ in range(15):
        stage.clock.now += 1
        stage.telling.sweep()
    client.sink.backlog = 50  # it took something
    for _ in range(20):
        stage.clock.now += 1
        stage.telling.sweep()
    assert client.sink.dropped is None
    for _ in range(3):
        stage.clock.now += 1
        stage.telling.sweep()
    assert client.sink.dropped is not None
    assert stage.telling.counts.dropped == {"slow_reader": 1}


def test_what_takes_long_to_build_is_built_first_and_once(stage: Stage) -> None:
    view = stage.world.at()
    view.slow = {"a", "b", "c"}
    clients = [stage.client() for _ in range(5)]
    for client in clients:
        client.state(CLUSTER)
        client.state(ASSIGNMENT, "a")
    stage.scheduler.settle()
    for client in clients:
        assert [each.type_url for each in client.take()] in ([CLUSTER, ASSIGNMENT], [])
    assert len(view.built) == 1


def test_what_changes_while_an_answer_is_built_is_told_after_it(stage: Stage) -> None:
    stage.world.at().slow = {"a", "b", "c"}
    client = stage.client()
    client.scribble(CLUSTER)
    assert stage.scheduler.step()
    stage.world.put((CLUSTER, "a", "2"), (CLUSTER, "d", "1"))
    stage.scheduler.settle(1.0)
    first = client.one()
    assert {"b", "c"} <= first.names
    view = stage.world.at()
    for _ in range(2):
        told = client.ack(first)
        if not told:
            break
        (first,) = told
    assert first.contents == {name: each.version for name, each in view.all(CLUSTER).items()}


def test_all_who_have_the_same_get_one_encoding(stage: Stage) -> None:
    clients = [stage.client() for _ in range(100)]
    for client in clients:
        (one,) = client.state(ASSIGNMENT, "a")
        client.ack(one, "a")
    view = stage.world.at()
    view.reads = 0
    stage.put((ASSIGNMENT, "a", "2"))
    assert all(client.one().names == {"a"} for client in clients)
    assert view.reads <= 2


def test_two_hundred_envoys_with_a_thousand_names_each_have_one_table(stage: Stage) -> None:
    names = [f"OUTBOUND|default|service-{i:04}" for i in range(1000)]
    stage.put(*((ASSIGNMENT, name, "1") for name in names))
    clients = [stage.client() for _ in range(200)]
    for client in clients:
        (answer,) = client.state(ASSIGNMENT, *names)
        client.ack(answer, *names)
    subs = [client.stream.subscriptions[ASSIGNMENT] for client in clients]
    assert len({id(sub.held) for sub in subs}) == len({id(sub.group) for sub in subs}) == 1
    view = stage.world.at()
    view.reads = 0
    stage.put((ASSIGNMENT, names[500], "2"))
    assert all(client.one().names == {names[500]} for client in clients)
    assert view.reads <= 2
    assert len({id(sub.held) for sub in subs}) == 1


def test_a_stream_that_ends_leaves_nothing(stage: Stage) -> None:
    client = stage.client()
    client.state(CLUSTER)
    client.state(ASSIGNMENT, "a", *(f"x{i}" for i in range(100)))
    client.stream.close()
    assert stage.world.at().users == 0
    assert stage.telling.views == 0
    assert not stage.telling.streams
    stage.put((ASSIGNMENT, "a", "2"))


def test_how_long_the_telling_took_is_known_when_all_are_told(stage: Stage) -> None:
    clients = [stage.client() for _ in range(100)]
    for client in clients:
        (one,) = client.state(ASSIGNMENT, "a")
        client.ack(one, "a")
    told: list[tuple[str, float, float, int]] = []
    stage.telling.origin = lambda: "eureka"
    stage.telling.told = lambda by, took, since: told.append(
        (by, took, since, sum(len(c.sink.arrived) for c in clients))
    )
    stage.put((ASSIGNMENT, "b", "2"))
    assert told == []
    stage.put((ASSIGNMENT, "a", "2"))
    assert [(by, arrived) for by, _, _, arrived in told] == [("eureka", 100)]


def test_changes_that_follow_quickly_are_told_together(stage: Stage) -> None:
    client = stage.client()
    (one,) = client.state(ASSIGNMENT, "a", "b")
    client.ack(one, "a", "b")
    stage.scheduler.settle(1.0)
    stage.world.put((ASSIGNMENT, "a", "2"))
    stage.scheduler.settle()
    two = client.one()
    assert two.names == {"a"}
    client.ack(two, "a", "b")
    stage.world.put((ASSIGNMENT, "a", "3"))
    stage.world.put((ASSIGNMENT, "b", "3"))
    stage.scheduler.settle()
    assert client.take() == []
    stage.scheduler.settle(0.06)
    assert client.one().names == {"a", "b"}


def test_types_are_told_in_an_order_that_holds_all_of_them() -> None:
    assert set(types.ORDER) == set(types.SHORT)
