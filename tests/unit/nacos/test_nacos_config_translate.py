"""Nacos configurations and the values of the configuration centre: what each says of the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.translate.config import (
    BETA_PRIORITY,
    TAG_PRIORITY,
    Attributes,
    addresses_shown,
    asker_of,
    attributes_of,
    beta,
    change_of,
    content_of,
    gray_change_of,
    gray_name_of,
    gray_of,
    shown_tags,
    shown_type,
    slot_of,
    tagged,
)
from polaris_bridge.adapters.nacos.wire.config import Publication
from polaris_bridge.core.config.model import EXACT, Active, FileKey, GrayRule, Match, Release, Seen, Stamp, Text

KEY = FileKey("default", "G", "a")


def seen(text: Text, gray: str = "", rule: GrayRule | None = None) -> Seen:
    release = Release(KEY, "r", 1, 1, text, activated=Stamp(1234))
    return Seen(release, Active("r", 1, gray, rule), b"content")


def test_a_publication_says_everything() -> None:
    change = change_of(
        Publication(
            content=b"x", type="yaml", desc="D", tags=("a", "b"), app="app", use="U", effect="E", schema="S",
            encrypted_data_key="K",
        ),
        None,
    )  # fmt: skip
    assert (change.content, change.format, change.comment, change.tags) == (b"x", "yaml", "D", {"a": "", "b": ""})
    assert change.ext == {"nacos": {"app": "app", "use": "U", "effect": "E", "schema": "S"}}
    assert (change.client_key, change.algorithm) == ("K", "")


def test_what_it_does_not_say_is_gone_but_app_and_tags() -> None:
    before = Text(comment="D", format="json", tags={"a": ""}, client_key="K", ext={"nacos": {"app": "app", "use": "U"}})
    change = change_of(Publication(content=b"x"), before)
    assert (change.format, change.comment, change.tags, change.client_key) == ("text", "", None, "")
    assert change.ext == {"nacos": {"app": "app"}}
    assert change_of(Publication(content=b"x", app=""), before).ext == {"nacos": {}}
    assert change_of(Publication(content=b"x"), Text()).ext is None, "nothing is kept where nothing was said"


def test_tags_with_values_are_others_and_stay() -> None:
    before = Text(tags={"env": "test", "old": ""})
    assert shown_tags(before) == ["env=test", "old"]
    for tags, left in (
        ((), {"env": "test"}),
        (("new",), {"env": "test", "new": ""}),
        (("env=test", "x"), {"env": "test", "x": ""}),
        (("env",), {"env": "test"}),
        (("env=other",), {"env": "test", "env=other": ""}),
    ):
        assert change_of(Publication(content=b"x", tags=tags), before).tags == left


@given(
    st.lists(st.text("ab=", min_size=1, max_size=3), unique=True),
    st.dictionaries(st.text("ab", min_size=1), st.text("c")),
)
def test_what_is_shown_can_be_said_again(tags: list[str], before: dict[str, str]) -> None:
    text = Text(tags=before)
    again = change_of(Publication(content=b"x", tags=tuple(shown_tags(text))), text)
    assert again.tags == before
    change = change_of(Publication(content=b"x", tags=tuple(tags)), text)
    assert change.tags is not None
    assert {key: value for key, value in change.tags.items() if value} == {k: v for k, v in before.items() if v}


def test_for_whom() -> None:
    content = b"x"
    assert gray_of(Publication(content=content)) is None
    assert gray_of(Publication(content=content, beta_ips=" ", tag=" ")) is None
    by_address = ("beta", GrayRule(ips=("1.1.1.1", "2.2.2.2")), BETA_PRIORITY)
    assert gray_of(Publication(content=content, beta_ips="1.1.1.1, 2.2.2.2", tag="T")) == by_address
    by_tag = ("tag:T", GrayRule(labels=(Match("Vipserver-Tag", EXACT, ("T",)),)), TAG_PRIORITY)
    assert gray_of(Publication(content=content, tag="T")) == by_tag
    named = Publication(content=content, gray_name="mine", gray_type="tag", gray_rule="T", gray_priority=7)
    assert gray_of(named) == ("mine", by_tag[1], 7)
    named = Publication(content=content, gray_name="beta", gray_type="beta", gray_rule="1.1.1.1,2.2.2.2")
    assert gray_of(named) == by_address
    assert gray_change_of(Publication(content=content)).format is None
    assert gray_change_of(Publication(content=content, type="nope")).format == "text"


@pytest.mark.parametrize(("slot", "name"), [("beta", "beta"), ("tag:T", "tag_T"), ("gray", "gray"), ("mine", "mine")])
def test_names_of_slots(slot: str, name: str) -> None:
    assert (gray_name_of(slot), slot_of(name)) == (name, slot)


def test_who_asks() -> None:
    assert asker_of("1.1.1.1").labels == {}
    assert asker_of("1.1.1.1", "T").labels == {"Vipserver-Tag": "T"}
    assert asker_of("1.1.1.1", " ", {"env": "x"}).labels == {"env": "x"}
    asker = asker_of("1.1.1.1", "T", {"env": "x", "Vipserver-Tag": "U"})
    assert (asker.ip, asker.labels) == ("1.1.1.1", {"env": "x", "Vipserver-Tag": "T"})


def test_what_is_read() -> None:
    found = content_of(seen(Text(md5="m", format="yaml", client_key="K")))
    assert (found.content, found.md5, found.type, found.encrypted_data_key) == (b"content", "m", "yaml", "K")
    assert (found.modified_ms, found.beta, found.tag, found.gray) == (1234, False, "", False)
    one = beta("1.1.1.1,2.2.2.2")
    shown = seen(Text(), one.slot, one.rule)
    assert (content_of(shown).beta, content_of(shown).gray) == (True, True)
    assert addresses_shown(shown.active) == "1.1.1.1,2.2.2.2"
    other = tagged("T")
    found = content_of(seen(Text(), other.slot, other.rule))
    assert (found.beta, found.tag, found.gray) == (False, "T", True)
    found = content_of(seen(Text(), "gray", GrayRule()))
    assert (found.beta, found.tag, found.gray) == (False, "", True)


def test_what_another_protocol_kept_is_shown_as_far_as_it_can_be() -> None:
    assert shown_type(Text(format="ini")) == "text"
    assert shown_type(Text(format="properties")) == "properties"
    assert attributes_of(None) == attributes_of(Text(ext={"nacos": "?"})) == Attributes()
    assert attributes_of(Text(ext={"nacos": {"app": "a", "more": 1}})) == Attributes(app="a")
