"""Heartbeats kept outside: who is asked before a lease is believed lost, and what follows from each answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
from world import BEATING, LASTING, LEASED, World, doc

from polaris_bridge.core.model import RegistrationKey

Answer = Callable[[Mapping[RegistrationKey, float] | None], None]
KEY = doc(LASTING).id


class Notary:
    """Answers what the test says, when the test says."""

    def __init__(self) -> None:
        self.heard_of: list[RegistrationKey] = []
        self.gone_from: list[RegistrationKey] = []
        self.asked: list[tuple[Sequence[RegistrationKey], Answer]] = []

    def heard(self, key: RegistrationKey) -> None:
        self.heard_of.append(key)

    def gone(self, key: RegistrationKey) -> None:
        self.gone_from.append(key)

    def ask(self, keys: Sequence[RegistrationKey], answer: Answer) -> None:
        self.asked.append((keys, answer))

    def say(self, ago_s: Mapping[RegistrationKey, float] | None) -> None:
        """Answer the one question that waits."""
        ((_, answer),) = self.asked
        self.asked.clear()
        answer(ago_s)


@pytest.fixture
def notary() -> Notary:
    return Notary()


@pytest.fixture
def world(notary: Notary) -> World:
    world = World()
    world.registry.liveness.witnesses[LASTING] = notary
    return world


def test_signs_of_life_are_passed_on(world: World, notary: Notary) -> None:
    world.register(doc(LASTING))
    world.renew(KEY)
    world.register(doc(LEASED))
    world.renew(doc(LEASED).id)
    assert notary.heard_of == [KEY, KEY]
    world.register(doc(LASTING))
    assert notary.gone_from == []
    world.deregister(KEY)
    assert notary.gone_from == [KEY]


def test_what_nobody_heard_of_is_lost(world: World, notary: Notary) -> None:
    world.register(doc(LASTING))
    world.pass_time(17)
    assert world.says("x") == ["d/k1 up"]
    notary.say({})
    world.settle()
    assert world.says("x") == ["d/k1 up lost"]


def test_somebody_elses_hearing_counts_from_then(world: World, notary: Notary) -> None:
    world.register(doc(LASTING))
    world.pass_time(17)
    notary.say({KEY: 5.0})
    world.pass_time(8)
    assert notary.asked == []
    world.pass_time(4)
    notary.say({KEY: 17.0})
    world.settle()
    assert world.says("x") == ["d/k1 up lost"]


def test_without_an_answer_nothing_is_concluded(world: World, notary: Notary) -> None:
    world.register(doc(LASTING))
    world.pass_time(60)
    for _ in range(3):
        notary.say(None)
        world.pass_time(2)
        assert world.says("x") == ["d/k1 up"]
    notary.say({})
    world.settle()
    assert world.says("x") == ["d/k1 up lost"]


def test_a_beat_while_the_question_waits(world: World, notary: Notary) -> None:
    world.register(doc(LASTING))
    world.pass_time(17)
    world.renew(KEY)
    notary.say({})
    world.pass_time(13)
    assert world.says("x") == ["d/k1 up"]
    assert notary.asked == []


def test_it_is_gone_when_the_answer_comes(world: World, notary: Notary) -> None:
    world.register(doc(LASTING))
    world.pass_time(17)
    world.deregister(KEY)
    world.register(doc(LASTING))
    notary.say({})
    world.settle()
    assert world.says("x") == ["d/k1 up"]


def test_other_protocols_are_not_asked_about(world: World, notary: Notary) -> None:
    world.register(doc(BEATING))
    world.pass_time(17)
    assert world.says("x") == ["b/k1 up lost"]
    assert notary.asked == []
