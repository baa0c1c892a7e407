"""Archives: what was written is read, by others too; and none that lies about itself is believed."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters._shared import zips
from polaris_bridge.adapters._shared.zips import BadZip, read, write

T = TypeVar("T")


def done(work: Generator[None, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def packed(files: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return out.getvalue()


FILES = st.lists(
    st.tuples(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1), st.binary()),
    max_size=8,
)


@given(FILES)
def test_what_was_written_is_read_here_and_elsewhere(files: list[tuple[str, bytes]]) -> None:
    data = done(write(files))
    assert done(read(data)) == [pair for pair in files if not pair[0].endswith("/")]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert [(info.filename, archive.read(info)) for info in archive.infolist()] == files


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_of_others_are_read(method: int) -> None:
    files = [("a/b", b"1"), ("a/ü", b"x" * 200_000), ("empty", b"")]
    assert done(read(packed([("folder/", b""), *files], method))) == files


def test_archives_written_as_a_stream_are_read() -> None:
    """Java writes sizes after the contents; the directory has them."""

    class Stream(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, part: bytes) -> int:  # type: ignore[override]
            self.data += part
            return len(part)

    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        archive.writestr("a/b", b"content")
    assert done(read(bytes(stream.data))) == [("a/b", b"content")]


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x05\x06", b"PK\x05\x06" + b"\xff" * 18, b"\x00" * 100])
def test_what_is_no_archive(data: bytes) -> None:
    with pytest.raises(BadZip):
        done(read(data))


@given(st.data())
def test_a_damaged_archive_is_refused_or_read(data: st.DataObject) -> None:
    """Never anything else, and never a content that is not one of those that were packed."""
    good = bytearray(packed([("a/b", b"hello hello hello"), ("c/d", b"world" * 50)]))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = done(read(bytes(good)))
    except BadZip:
        return
    assert {content for _, content in found} <= {b"hello hello hello", b"world" * 50, b""}


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MAX_ENTRY", 1_000_000)
    data = packed([("bomb", b"\x00" * 5_000_000)])
    assert len(data) < 10_000
    work = read(data)
    with pytest.raises(BadZip, match="larger"):
        done(work)


def test_a_size_is_counted_and_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory says one byte, and a megabyte comes out."""
    monkeypatch.setattr(zips, "MAX_ENTRY", 100_000)
    data = bytearray(packed([("bomb", b"\x00" * 1_000_000)]))
    directory = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, directory + 24, 1)
    with pytest.raises(BadZip, match="larger"):
        done(read(bytes(data)))


def test_many_entries_of_one_content_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that overlap make a little archive of much."""
    monkeypatch.setattr(zips, "MAX_TOTAL", 100_000)
    data = packed([("a", b"\x00" * 60_000)])
    at = data.rindex(b"PK\x01\x02")
    tail = data.rindex(b"PK\x05\x06")
    one = data[at:tail]
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2, 2, 2 * len(one), at, 0)
    with pytest.raises(BadZip, match="larger"):
        done(read(data[:at] + one + one + end))


def test_too_many_entries_are_refused_without_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MAX_ENTRIES", 2)
    with pytest.raises(BadZip, match="more than 2"):
        next(read(packed([("a", b""), ("b", b""), ("c", b"")])))


def test_other_methods_and_encryption_are_refused() -> None:
    with pytest.raises(BadZip, match="method 14"):
        done(read(packed([("a", b"x")], zipfile.ZIP_LZMA)))
    data = bytearray(packed([("a", b"x")]))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadZip, match="encrypted"):
        done(read(bytes(data)))


def test_a_wrong_checksum_is_refused() -> None:
    data = packed([("a", b"content")], zipfile.ZIP_STORED).replace(b"content", b"contend")
    assert zlib.crc32(b"content") != zlib.crc32(b"contend")
    with pytest.raises(BadZip, match="damaged"):
        done(read(data))
