"""Zip archives in memory, read and written a little at a time: generators that yield where they may be interrupted.

Made for archives of strangers: every size is bounded, and counted while it is unpacked rather than believed. Only what Java's
``ZipOutputStream`` writes is read: stored or deflated entries, neither encrypted nor zip64.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable
from struct import Struct as Layout
from typing import Final, NamedTuple

MAX_ENTRIES: Final = 20_000
MAX_ENTRY: Final = 10 * 1024 * 1024
"""Bytes of one unpacked entry: the longest content that can be published."""
MAX_TOTAL: Final = 64 * 1024 * 1024
"""Bytes of all unpacked entries of one archive."""

_STEP: Final = 64 * 1024
"""Bytes packed or unpacked between two places where the work may be interrupted."""
_MANY: Final = 100
"""Entries looked at between two such places."""

_LOCAL: Final = Layout("<IHHHHHIIIHH")
_CENTRAL: Final = Layout("<IHHHHHHIIIHHHHHII")
_TAIL: Final = Layout("<IHHHHIIH")
_LOCAL_MARK, _CENTRAL_MARK, _TAIL_MARK = 0x04034B50, 0x02014B50, 0x06054B50
_LONGEST_COMMENT: Final = 0xFFFF
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _UTF8 = 0x1, 0x800
_VERSION: Final = 20
_DAY_ONE: Final = 0x21
"""1980-01-01, where the format's days begin: archives of equal files are equal bytes."""


class BadZip(Exception):
    """Not an archive that is read here; says why."""


class _Place(NamedTuple):
    """One entry of the directory."""

    name: str
    method: int
    crc: int
    packed: int
    size: int
    at: int


def read(data: bytes) -> Generator[None, None, list[tuple[str, bytes]]]:
    """Names and contents of an archive's files, in the order of its directory; folders are left out. Raises ``BadZip``."""
    places = yield from _directory(data)
    found: list[tuple[str, bytes]] = []
    left = MAX_TOTAL
    for place in places:
        if place.name.endswith("/"):
            continue
        content = yield from _unpacked(data, place, min(left, MAX_ENTRY))
        left -= len(content)
        found.append((place.name, content))
    return found


def _directory(data: bytes) -> Generator[None, None, list[_Place]]:
    tail = data.rfind(_TAIL_MARK.to_bytes(4, "little"), max(0, len(data) - _TAIL.size - _LONGEST_COMMENT))
    if tail < 0 or tail + _TAIL.size > len(data):
        raise BadZip("it has no directory")
    _, disk, first, here, count, _, at, _ = _TAIL.unpack_from(data, tail)
    if disk or first or here != count:
        raise BadZip("it is one part of several")
    if count > MAX_ENTRIES:
        raise BadZip(f"it has more than {MAX_ENTRIES} entries")
    places: list[_Place] = []
    for index in range(count):
        if at + _CENTRAL.size > tail:
            raise BadZip("its directory is cut off")
        mark, _, _, flags, method, _, _, crc, packed, size, n, m, k, _, _, _, where = _CENTRAL.unpack_from(data, at)
        if mark != _CENTRAL_MARK:
            raise BadZip("its directory is damaged")
        if flags & _ENCRYPTED:
            raise BadZip("it is encrypted")
        name = data[at + _CENTRAL.size : at + _CENTRAL.size + n]
        places.append(_Place(_name(name, flags), method, crc, packed, size, where))
        at += _CENTRAL.size + n + m + k
        if index % _MANY == 0:
            yield
    return places


def _name(raw: bytes, flags: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        if flags & _UTF8:
            raise BadZip("a name in it is not UTF-8") from None
        return raw.decode("cp437")


def _unpacked(data: bytes, place: _Place, most: int) -> Generator[None, None, bytes]:
    """The content of one entry, of no more than ``most`` bytes."""
    if place.at + _LOCAL.size > len(data):
        raise BadZip("an entry of it is cut off")
    mark, _, _, _, _, _, _, _, _, n, m = _LOCAL.unpack_from(data, place.at)
    begin = place.at + _LOCAL.size + n + m
    end = begin + place.packed
    if mark != _LOCAL_MARK or end > len(data):
        raise BadZip("an entry of it is damaged")
    if place.method == _STORED:
        if place.packed != place.size:
            raise BadZip("an entry of it is damaged")
        if place.size > most:
            raise _too_large()
        content = data[begin:end]
    elif place.method == _DEFLATED:
        content = yield from _inflated(data, begin, end, most)
    else:
        raise BadZip(f"it is packed by method {place.method}")
    yield
    if len(content) != place.size or zlib.crc32(content) != place.crc:
        raise BadZip("an entry of it is damaged")
    return content


def _inflated(data: bytes, begin: int, end: int, most: int) -> Generator[None, None, bytes]:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    size = 0
    given: bytes = b""
    try:
        while not unpacker.eof:
            if not given and begin < end:
                given, begin = data[begin : min(begin + _STEP, end)], min(begin + _STEP, end)
            part = unpacker.decompress(given, _STEP)
            given = unpacker.unconsumed_tail
            if not part and not given and begin >= end and not unpacker.eof:
                raise BadZip("an entry of it is cut off")
            parts.append(part)
            size += len(part)
            if size > most:
                raise _too_large()
            yield
    except zlib.error:
        raise BadZip("an entry of it is damaged") from None
    return b"".join(parts)


def _too_large() -> BadZip:
    return BadZip(f"unpacked it is larger than {MAX_TOTAL} bytes, or an entry of it larger than {MAX_ENTRY}")


def write(files: Iterable[tuple[str, bytes]]) -> Generator[None, None, bytes]:
    """An archive of files: names and contents, in this order."""
    out = bytearray()
    directory = bytearray()
    count = 0
    for name, content in files:
        raw = name.encode("utf-8", "replace")
        packer = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -zlib.MAX_WBITS)
        parts = []
        for at in range(0, len(content), _STEP):
            parts.append(packer.compress(content[at : at + _STEP]))
            yield
        parts.append(packer.flush())
        packed, crc, at = b"".join(parts), zlib.crc32(content), len(out)
        common = (_VERSION, _UTF8, _DEFLATED, 0, _DAY_ONE, crc, len(packed), len(content), len(raw), 0)
        out += _LOCAL.pack(_LOCAL_MARK, *common) + raw + packed
        directory += _CENTRAL.pack(_CENTRAL_MARK, _VERSION, *common, 0, 0, 0, 0, at) + raw
        count += 1
        yield
    if count > 0xFFFF or len(out) > 0xFFFFFFFF:
        raise BadZip("there is too much for one archive")
    return bytes(out + directory + _TAIL.pack(_TAIL_MARK, 0, 0, count, count, len(directory), len(out), 0))
