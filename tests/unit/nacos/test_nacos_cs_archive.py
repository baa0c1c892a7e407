"""Archives of configurations in both forms: as the real server writes and reads them, and hostile ones."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import TypeVar

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.wire.config_archive import (
    META,
    METADATA,
    IllegalMetadata,
    Packed,
    Unpacked,
    pack,
    unpack,
)

T = TypeVar("T")


def done(work: Generator[None, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def packed(*configs: Packed, newer: bool) -> dict[str, bytes]:
    return dict(done(pack(configs, newer=newer)))


def unpacked(files: dict[str, bytes] | list[tuple[str, bytes]], *, newer_only: bool = False) -> Unpacked:
    return done(unpack(files.items() if isinstance(files, dict) else files, newer_only=newer_only))


NAMES = st.text("abzAZ09-_:.", min_size=1, max_size=20).filter(lambda name: name.strip(".") != "")
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Co", "Cn"], exclude_characters="\x00"), max_size=30)
CONFIGS = st.lists(
    st.builds(
        Packed,
        group=NAMES,
        data_id=NAMES,
        content=st.binary(),
        type=st.sampled_from(["text", "json", "yaml"]),
        desc=st.none() | TEXTS.filter(lambda text: text not in ("", "~", "null")),
        app=TEXTS,
    ),
    max_size=6,
    unique_by=lambda config: (config.group, config.data_id),
)


@given(CONFIGS.filter(bool))
def test_the_newer_form_comes_back(configs: list[Packed]) -> None:
    files = packed(*configs, newer=True)
    assert unpacked(files) == Unpacked(tuple(configs), ())


@given(CONFIGS)
def test_others_read_the_newer_form(configs: list[Packed]) -> None:
    said = yaml.safe_load(packed(*configs, newer=True)[METADATA])["metadata"]
    for config, item in zip(configs, said, strict=True):
        expected = {"appName": config.app, "dataId": config.data_id, "group": config.group, "type": config.type}
        assert item == (expected if config.desc is None else expected | {"desc": config.desc})


def test_the_older_form_is_that_of_the_real_server() -> None:
    files = packed(
        Packed(group="DEFAULT_GROUP", data_id="a.json", content=b'{"a":4}', app="ap"),
        Packed(group="DEFAULT_GROUP", data_id="noext", content=b"n", app="true"),
        Packed(group="G2", data_id="x.y.z", content=b"zz"),
        newer=False,
    )
    assert files == {
        "DEFAULT_GROUP/a.json": b'{"a":4}',
        "DEFAULT_GROUP/noext": b"n",
        "G2/x.y.z": b"zz",
        META: b"DEFAULT_GROUP.a~json.app=ap\r\nDEFAULT_GROUP.noext.app=true\r\n",
    }
    again = unpacked(files).configs
    assert [(c.data_id, c.app, c.type, c.desc) for c in again] == [
        ("a.json", "ap", None, None),
        ("noext", "true", None, None),
        ("x.y.z", None, None, None),
    ]
    assert META not in packed(Packed(group="g", data_id="d", content=b""), newer=False)


def test_the_newer_form_of_the_real_server_is_read() -> None:
    """As SnakeYAML writes it: blocks, quotes where they are needed, nothing for what is null."""
    metadata = (
        "metadata:\n- appName: apx\n  dataId: x1.yaml\n  desc: |-\n    line1\n    line: 2 'q' #x\n  group: DEFAULT_GROUP\n"
        "  type: yaml\n- appName: 'true'\n  dataId: noext\n  desc: '123'\n  group: DEFAULT_GROUP\n  type: text\n"
        "- appName: ''\n  dataId: x.y.z\n  desc: 'ü: ☃'\n  group: G2\n  type: what\n"
    )
    files = {"DEFAULT_GROUP/x1.yaml": b"1", "DEFAULT_GROUP/noext": b"2", "G2/x.y.z": b"3", METADATA: metadata.encode()}
    assert unpacked(files) == Unpacked(
        (
            Packed(
                group="DEFAULT_GROUP",
                data_id="x1.yaml",
                content=b"1",
                type="yaml",
                desc="line1\nline: 2 'q' #x",
                app="apx",
            ),
            Packed(group="DEFAULT_GROUP", data_id="noext", content=b"2", type="text", desc="123", app="true"),
            Packed(group="G2", data_id="x.y.z", content=b"3", type="text", desc="ü: ☃", app=""),
        ),
        (),
    )


def test_an_empty_list() -> None:
    assert packed(newer=True) == {METADATA: b"metadata: []\n"}


def test_what_is_no_configuration_is_named() -> None:
    files = {
        "a": b"1",
        "a/b/c": b"2",
        "G/ok": b"3",
        "/x": b"4",
        "../x": b"5",
        "G/../x": b"6",
        "G\\x": b"7",
        "G G/x": b"8",
    }
    found = unpacked(files)
    assert [config.data_id for config in found.configs] == ["ok"]
    assert found.unrecognized == ("a", "a/b/c", "/x", "../x", "G/../x", "G\\x", "G G/x")


def test_files_and_metadata_that_do_not_meet() -> None:
    metadata = (
        b"other: [1]\nmetadata:\n- {dataId: x, group: G, type: json, desc: hey, zzz: 1}\n"
        b"- {dataId: none, group: G, type: text}\n- {dataId: .., group: G, type: text}\n"
    )
    with pytest.raises(IllegalMetadata):  # a list that is not the one
        unpacked({"G/x": b"1", METADATA: metadata})
    metadata = metadata.removeprefix(b"other: [1]\n")
    found = unpacked({"G/x": b"1", "G/y": b"2", "G/..": b"3", "strange": b"", METADATA: metadata})
    assert found.configs == (Packed(group="G", data_id="x", content=b"1", type="json", desc="hey"),)
    assert found.unrecognized == (
        "Item not found in metadata: G/y",
        "strange",
        "Item not found in file: G/none",
        "G/..",
    )


def test_of_a_file_that_is_there_twice_the_last_counts() -> None:
    [config] = unpacked([("G/dup", b"1"), ("G/dup", b"2")]).configs
    assert config.content == b"2"


@pytest.mark.parametrize("meta", [b"", b"what", b"G.x.app=a=b", b"G.x.app="])
def test_illegal_metadata_of_the_older_form(meta: bytes) -> None:
    with pytest.raises(IllegalMetadata):
        unpacked({"G/x": b"1", META: meta})


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"what",
        b"[]",
        b"metadata: []",
        b"metadata: {}",
        b"metadata: [",
        b"metadata:\n- what",
        b"metadata:\n- [x]",
        b"metadata:\n- dataId: x\n  group: G\n",
        b"metadata:\n- dataId: x\n  group: ~\n  type: text\n",
        b"metadata:\n- dataId: {a: b}\n  group: G\n  type: text\n",
        b"a: &a [x]\nmetadata: *a",
        b"metadata:\n- &a {dataId: x, group: G, type: text}\n- *a\n",
        b"\xff\xfe\x00",
        b"[" * 10_000,
    ],
)
def test_illegal_metadata_of_the_newer_form(metadata: bytes) -> None:
    with pytest.raises(IllegalMetadata):
        unpacked({"G/x": b"1", METADATA: metadata})


def test_only_the_newer_form_will_do() -> None:
    with pytest.raises(IllegalMetadata):
        unpacked({"G/x": b"1"}, newer_only=True)


def test_names_that_lead_out_are_not_written() -> None:
    configs = [Packed(group="..", data_id="x", content=b"1"), Packed(group="g", data_id=".", content=b"2")]
    assert packed(*configs, newer=False) == {}


@given(st.binary(max_size=200))
def test_no_metadata_does_harm(metadata: bytes) -> None:
    for name in (META, METADATA):
        with suppress(IllegalMetadata):
            unpacked({"G/x": b"1", name: metadata})
