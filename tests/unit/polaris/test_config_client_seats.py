"""Names for clients that wait, and labels that clients said: found again, told apart, forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.polaris.service.config import labels as labels_module
from polaris_bridge.adapters.polaris.service.config.labels import KEPT_S, Labels
from polaris_bridge.adapters.polaris.service.config.seats import Place, Seats
from polaris_bridge.core.config.model import FileKey

A, B = FileKey("n", "g", "a"), FileKey("n", "g", "b")
HERE: Place = ("10.0.0.1", 1)
OTHER_FILES: Place = ("10.0.0.1", 2)
THERE: Place = ("10.0.0.2", 1)


def test_who_comes_back_gets_the_name_that_was_left() -> None:
    seats = Seats(lambda _name: None)
    first, second, other = seats.take(HERE), seats.take(HERE), seats.take(OTHER_FILES)
    assert [first, second, other, seats.take(THERE)] == ["10.0.0.1#1", "10.0.0.1#2", "10.0.0.1#3", "10.0.0.2#1"]
    seats.leave(first, HERE, 0.0)
    assert seats.take(OTHER_FILES) == "10.0.0.1#4"
    assert seats.take(HERE) == first
    assert len(seats) == 5


def test_names_are_given_up() -> None:
    gone: list[str] = []
    seats = Seats(gone.append)
    first, second = seats.take(HERE), seats.take(HERE)
    seats.leave(first, HERE, 0.0)
    seats.sweep(119.0)
    assert gone == []
    seats.sweep(120.0)
    assert gone == [first]
    seats.give_up(second, HERE)
    assert gone == [first, second]
    assert len(seats) == 0
    assert not seats._numbers
    assert not seats._free
    assert not seats._left


@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "leave", "give up", "wait"]), st.sampled_from([HERE, OTHER_FILES, THERE]))
    )
)
def test_no_two_have_one_name_and_nothing_is_left_behind(steps: list[tuple[str, Place]]) -> None:
    gone: list[str] = []
    seats = Seats(gone.append)
    now, used = 0.0, {HERE: list[str](), OTHER_FILES: list[str](), THERE: list[str]()}
    for step, place in steps:
        if step == "take":
            name = seats.take(place)
            assert all(name not in names for names in used.values())
            used[place].append(name)
        elif step == "leave" and used[place]:
            seats.leave(used[place].pop(), place, now)
        elif step == "give up" and used[place]:
            seats.give_up(used[place].pop(), place)
        elif step == "wait":
            now += 60.0
            seats.sweep(now)
        assert len(seats) == sum(map(len, used.values())) + len(seats._left)
    for place, names in used.items():
        for name in names:
            seats.give_up(name, place)
    seats.sweep(now + 120.0)
    assert not seats._numbers
    assert not seats._free
    assert not seats._left


def test_labels_are_those_that_all_at_one_address_agree_about() -> None:
    labels = Labels()
    labels.heard("ip", A, {"env": "beta", "id": "1", "CLIENT_IP": "x"}, 0.0)
    assert labels.of("ip", [A], 1.0) == {"env": "beta", "id": "1"}
    labels.heard("ip", A, {"env": "beta", "id": "2"}, 2.0)
    assert labels.of("ip", [A], 3.0) == {"env": "beta"}
    assert labels.of("ip", [B], 3.0) == {}
    assert labels.of("other", [A], 3.0) == {}


def test_a_client_with_several_files_has_what_it_said_about_all() -> None:
    labels = Labels()
    labels.heard("ip", A, {"env": "beta", "zone": "1"}, 0.0)
    labels.heard("ip", B, {"env": "beta", "zone": "2"}, 0.0)
    assert labels.of("ip", [A, B, FileKey("n", "g", "never read")], 1.0) == {"env": "beta"}


def test_labels_last_as_long_as_somebody_waits() -> None:
    labels = Labels()
    labels.heard("ip", A, {"env": "beta"}, 0.0)
    for now in (100.0, 200.0, 300.0):
        labels.sweep(now)
        assert labels.of("ip", [A], now) == {"env": "beta"}
    labels.sweep(300.0 + KEPT_S)
    assert len(labels) == 0
    labels.heard("ip", A, {"env": "beta"}, 1000.0)
    labels.heard("ip", A, {"env": "prod"}, 1000.0 + KEPT_S)
    assert labels.of("ip", [A], 1001.0 + KEPT_S) == {"env": "prod"}


def test_labels_are_bounded(monkeypatch) -> None:
    monkeypatch.setattr(labels_module, "MOST", 2)
    labels = Labels()
    for ip in ("1", "2", "3"):
        labels.heard(ip, A, {"k": "v"}, 0.0)
    assert [labels.of(ip, [A], 0.0) for ip in ("1", "2", "3")] == [{}, {"k": "v"}, {"k": "v"}]
