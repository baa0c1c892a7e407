"""What is kept of resources that were good: enough for a bad rule, and no more than a bound."""

from __future__ import annotations

import pytest

from polaris_bridge.adapters.xds.service import making
from polaris_bridge.adapters.xds.wire import types

BAD = {"name": ""}


def test_the_last_good_one_stays_unless_nothing_is_kept_of_it() -> None:
    said: list[tuple[str, str, str]] = []
    maker = making.Maker(lambda *each: said.append(each))
    good = maker.make(types.CLUSTER, "a", {"name": "a"}, "a")
    assert good is not None
    assert maker.make(types.CLUSTER, "b", {"name": "b"}, None) is not None
    assert maker.make(types.CLUSTER, "a", BAD, "a") is good
    assert maker.make(types.CLUSTER, "b", BAD, None) is None
    assert [name for _, name, _ in said] == ["a", "b"]


def test_those_made_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "MOST_KEPT", 2)
    maker = making.Maker(lambda *_: None)
    for name in ("a", "b", "a", "c"):
        maker.make(types.CLUSTER, name, {"name": name}, name)
    kept = [name for name in "abc" if maker.make(types.CLUSTER, name, BAD, name) is not None]
    assert kept == ["a", "c"]
