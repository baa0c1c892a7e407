"""Names: nothing that two protocols call differently meets by accident, and everything comes back as it was."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.translate.names import (
    Spaces,
    decode,
    encode,
    escape,
    service_key,
    split,
    unescape,
)

DEFAULT = "DEFAULT_GROUP"

# pieces that could be taken for something else are what collides, so they are frequent
PIECES = ["_", "__", "a", "b", "-", "-x", "-x5F-", "-x41-", "-x2D-", "x", "x5F-", ".", ":", DEFAULT, "é"]
GROUP_PIECES = [p for p in PIECES if p.isascii()]
groups = st.lists(st.sampled_from(GROUP_PIECES), min_size=1, max_size=6).map("".join)
names = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
ids = st.lists(
    st.sampled_from(["a", "-", "_", "-x", "-x2E-", "-x41-", "x2E-", "nacos", "default", "public", "prod", "7"]),
    min_size=1,
    max_size=5,
).map("".join)
cores = st.lists(
    st.sampled_from(["a", "-", ".", ":", "/", "-x", "-x2E-", "nacos.", "nacos", "default", "public", "prod", "é"]),
    min_size=1,
    max_size=5,
).map("".join)

SETTINGS = (
    NacosSettings(),
    NacosSettings(default_is_public=True),
    NacosSettings(default_namespace="prod"),
    NacosSettings(default_namespace="public"),
    NacosSettings(namespaces={"7": "prod", "prod": "a.b", "dev": "default"}),
)


@pytest.mark.parametrize(
    ("group", "name", "native"),
    [
        (DEFAULT, "orders", "orders"),
        (DEFAULT, "a__b", "DEFAULT_GROUP__a__b"),
        ("a", "b", "a__b"),
        ("g1", "a__b", "g1__a__b"),
        ("a_", "b", "a-x5F-__b"),
        ("a", "_b", "a___b"),
        ("a__b", "c", "a_-x5F-b__c"),
        ("x-x5F-", "s", "x-x2D-x5F-__s"),
        ("a-x", "s", "a-x__s"),
    ],
)
def test_services_in_the_core(group: str, name: str, native: str) -> None:
    assert encode(group, name) == native
    assert decode(native) == (group, name)
    assert service_key("ns", group, name) == ("ns", native)


@pytest.mark.parametrize("native", ["__x", "x__", "DEFAULT_GROUP__x", "a b__c", "-x41-__b", "a/b__c"])
def test_what_cannot_be_split_is_a_name_of_the_default_group(native: str) -> None:
    assert decode(native) == (DEFAULT, native)
    assert encode(DEFAULT, native) == native


@given(groups, names, groups, names)
def test_two_services_never_meet(group: str, name: str, other_group: str, other: str) -> None:
    assume((group, name) != (other_group, other))
    assert encode(group, name) != encode(other_group, other)


@given(groups | st.just(DEFAULT), names)
def test_a_service_comes_back(group: str, name: str) -> None:
    assert decode(encode(group, name)) == (group, name)


@given(names)
def test_another_protocols_service_is_found_by_the_name_it_is_listed_under(native: str) -> None:
    assert encode(*decode(native)) == native


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_escapes_come_back(text: str) -> None:
    escaped = escape(text, lambda at, t: not t[at].isascii() or t[at] in "._")
    assert unescape(escaped) == text
    assert "_" not in escaped
    assert escaped.isascii()


def test_grouped_names_are_split_once() -> None:
    assert split("G@@s") == ("G", "s")
    assert split("G@@s", "H") == ("G", "s")
    assert split("s", "H") == ("H", "s")
    assert split("s") == (DEFAULT, "s")


# ---------------------------------------------------------------- namespaces


def test_namespace_ids() -> None:
    spaces = Spaces(NacosSettings())
    assert [spaces.core(id) for id in ("", "public", "default", "dev", "-x70-ublic")] == [
        "default", "default", "nacos.default", "dev", "public",
    ]  # fmt: skip
    assert [spaces.id(core) for core in ("default", "nacos.default", "dev", "public", "a.b")] == [
        "public", "default", "dev", "-x70-ublic", "a-x2E-b",
    ]  # fmt: skip
    assert spaces.core("my-xyz") == "my-xyz"
    assert spaces.id("my-xyz") == "my-xyz"


def test_default_means_public_on_request() -> None:
    spaces = Spaces(NacosSettings(default_is_public=True))
    assert spaces.core("default") == spaces.core("public") == "default"


def test_the_table_goes_first() -> None:
    spaces = Spaces(NacosSettings(namespaces={"7": "prod", "public": "live"}))
    assert spaces.core("7") == "prod"
    assert spaces.id("prod") == "7"
    assert spaces.core("") == spaces.core("public") == "live"
    assert spaces.id("live") == "public"
    assert spaces.core("prod") == "nacos.prod", "an id that reads as what another one means"
    assert spaces.id("default") == "default"


@pytest.mark.parametrize("settings", SETTINGS)
@given(ids, ids)
def test_two_ids_never_meet(settings: NacosSettings, a: str, b: str) -> None:
    spaces = Spaces(settings)
    public = {"public", "default"} if settings.default_is_public else {"public"}
    table = {"dev": "public"} if settings.namespaces else {}
    if a != b and not {a, b} <= public:
        assert spaces.core(a) != spaces.core(b)
    canonical = "public" if a in public else table.get(a, a)
    assert spaces.id(spaces.core(a)) == canonical


@pytest.mark.parametrize("settings", SETTINGS)
@given(cores)
def test_every_namespace_has_an_id_that_means_it(settings: NacosSettings, core: str) -> None:
    spaces = Spaces(settings)
    id = spaces.id(core)
    assert spaces.core(id) == core
    assert id.isascii()
    assert "." not in id
