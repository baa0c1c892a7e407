"""Archives of configuration files: what goes out comes in, and what is no honest archive is refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters.polaris.wire import config_archive
from polaris_bridge.adapters.polaris.wire.config_archive import META, BadArchive, Entry, pack, unpack


def done(work: Generator[None, None, Any]) -> Any:
    """What a generator returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def zipped(*entries: tuple[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip as other programs write it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for path, content in entries:
            archive.writestr(path, content)
    return out.getvalue()


_steps = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1, max_size=6).filter(
    lambda step: step not in (".", "..")
)
_paths = st.lists(_steps, min_size=1, max_size=3).map("/".join).filter(lambda path: path != META)
_texts = st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2)


@given(
    st.lists(st.builds(Entry, _paths, st.binary(max_size=100), _texts, st.text(max_size=5)), unique_by=lambda e: e.path)
)
def test_round_trip(entries: list[Entry]) -> None:
    assert done(unpack(done(pack(entries)))) == entries


def test_what_is_written_is_what_the_original_writes() -> None:
    with zipfile.ZipFile(io.BytesIO(done(pack([Entry("g/a", b"1", {"k": "v"}, "c"), Entry("g/b", b"")])))) as archive:
        assert archive.namelist() == ["g/a", "g/b", "META"]
        assert archive.read("g/a") == b"1"
        assert archive.read(META).split() == (
            b'{ "g/a": { "tags": { "k": "v" }, "comment": "c" }, "g/b": { "tags": {}, "comment": "" } }'.split()
        )
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_DEFLATED}


def test_two_files_never_have_one_name() -> None:
    entries = done(unpack(done(pack([Entry("a/b", b"1"), Entry("a/b", b"2"), Entry("META", b"3")]))))
    assert [(entry.path, entry.content) for entry in entries] == [("a/b", b"1"), ("a/b~", b"2"), ("META~", b"3")]


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_large_entries_are_read_in_steps(how: int) -> None:
    content = bytes(range(256)) * 4096
    work = unpack(zipped(("g/large", content), how=how))
    assert sum(1 for _ in work) >= (10 if how == zipfile.ZIP_DEFLATED else 1)
    assert done(unpack(zipped(("g/large", content), how=how))) == [Entry("g/large", content)]


def test_directories_are_passed_over_and_meta_may_be_anywhere() -> None:
    meta = b'{"g/a": {"tags": null, "comment": "c", "more": 1}, "other": null}'
    assert done(unpack(zipped(("g/", b""), (META, meta), ("g/a", b"1")))) == [Entry("g/a", b"1", {}, "c")]
    assert done(unpack(zipped(("a", b"1"), (META, b"null")))) == [Entry("a", b"1")]


@pytest.mark.parametrize(
    "path", ["../x", "g/../../x", "/etc/passwd", "a//b", "./a", "g/..", "..", "C:\\x", "g/a\\..\\b", "g/./a"]
)
def test_names_that_lead_elsewhere(path: str) -> None:
    with pytest.raises(BadArchive, match="insecure"):
        done(unpack(zipped(("fine", b""), (path, b"x"))))
    (entry,) = done(unpack(done(pack([Entry(path, b"x")]))))
    assert not {"..", "."} & set(entry.path.split("/"))


def test_a_bomb() -> None:
    bomb = zipped(*((f"g/{i}", bytes(1024 * 1024)) for i in range(65)))
    assert len(bomb) < 200_000
    with pytest.raises(BadArchive, match="larger than"):
        done(unpack(bomb))


def test_an_entry_that_is_longer_than_it_says() -> None:
    honest = zipped(("g/a", bytes(200_000)))
    at = honest.index(b"PK\x01\x02") + 24
    liar = honest[:at] + (100).to_bytes(4, "little") + honest[at + 4 :]
    with pytest.raises(BadArchive, match="damaged"):
        done(unpack(liar))


def test_too_many_files() -> None:
    many = [(f"f{i}", b"") for i in range(config_archive.MOST_FILES)]
    assert len(done(unpack(zipped(*many)))) == config_archive.MOST_FILES
    with pytest.raises(BadArchive, match="more than 1000 files"):
        done(unpack(zipped(*many, ("one more", b""))))


@pytest.mark.parametrize("meta", [b"{bad", b"[]", b'{"a": 1}', b'{"a": {"tags": {"k": 1}}}', b"\xff"])
def test_a_broken_meta(meta: bytes) -> None:
    with pytest.raises(BadArchive):
        done(unpack(zipped((META, meta))))


def test_what_is_no_archive() -> None:
    good = zipped(("a", b"content"), ("b", b"other"))
    for bad in (b"", b"PK\x03\x04", good[:40], good[:-30], b"x" * 100):
        with pytest.raises(BadArchive):
            done(unpack(bad))
    with pytest.raises(BadArchive, match="damaged"):
        done(unpack(zipped(("a", b"content"), how=zipfile.ZIP_STORED).replace(b"content", b"kontent", 1)))
    with pytest.raises(BadArchive, match="method"):
        done(unpack(zipped(("a", b"content" * 9), how=zipfile.ZIP_LZMA)))
    assert config_archive.is_archive(good)
    assert not config_archive.is_archive(zipped())


@settings(max_examples=300)
@given(st.data())
def test_damaged_archives_are_read_or_refused(data: st.DataObject) -> None:
    raw = bytearray(zipped(("g/a", b"some text, some text"), ("META", b"{}")))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BadArchive):
        done(unpack(bytes(raw)))
