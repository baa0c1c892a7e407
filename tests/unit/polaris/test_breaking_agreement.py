"""The server's own breakers open and close where polaris-go's do, scene by scene; the answers are polaris-go's."""

from __future__ import annotations

import pytest
from breaking_table import SCENES, answers, named, ours


@pytest.mark.parametrize("name", SCENES)
def test_a_scene(name: str) -> None:
    rules, steps, said = SCENES[name]
    assert ours("shop", named(rules, "shop"), steps, said) == answers()[name]


def test_every_answer_has_its_scene() -> None:
    assert list(answers()) == list(SCENES)
