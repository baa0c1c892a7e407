"""Archives of configuration files as polaris-server 1.19 exports and imports them: a zip with one entry for each file and an
entry ``META``, JSON that gives tags and comment by entry.

Both directions are generators that yield wherever they may be interrupted. Reading believes nothing that the archive says of
itself: names that lead out of a directory, entries that are longer than they say or longer than anybody may write, and more
of them than ``MOST_FILES`` are refused before anything of the archive is used.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator
from struct import Struct as Layout
from struct import error as LayoutError
from typing import Final

import msgspec
from msgspec import Struct, field

META: Final = "META"
MOST_FILES: Final = 2_000
"""Entries of an archive that is read."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all entries together, unpacked."""
_STEP: Final = 64 * 1024
"""Bytes that are packed or unpacked without a pause: less than a millisecond."""

_END: Final = Layout("<4s4H2IH")
_ENTRY: Final = Layout("<4s6H3I5H2I")
_LOCAL: Final = Layout("<4s5H3I2H")
_LONGEST_COMMENT: Final = 0xFFFF
_ENCRYPTED, _UTF8 = 0x1, 0x800
_TEXT_OF_OLD: Final = "cp437"


class BadArchive(ValueError):
    """An archive that is not read; the text says why, in the words of Go's library where that has some."""


class Entry(Struct, frozen=True):
    """One file in an archive."""

    path: str
    content: bytes
    tags: dict[str, str] = field(default_factory=dict)
    comment: str = ""


class _Meta(Struct):
    """What ``META`` says of one entry."""

    tags: dict[str, str] | None = None
    comment: str | None = None


_metas: Final = msgspec.json.Decoder(dict[str, _Meta | None] | None)


def is_archive(content: bytes) -> bool:
    """Whether a content begins as a zip with entries does."""
    return content.startswith(b"PK\x03\x04")


# ---------------------------------------------------------------------- out


def pack(entries: Iterable[Entry]) -> Generator[None, None, bytes]:
    """The archive of some files."""
    out = io.BytesIO()
    metas: dict[str, dict[str, object]] = {}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in entries:
            path = _harmless(entry.path)
            while path in metas or path == META:
                path += "~"
            metas[path] = {"tags": dict(sorted(entry.tags.items())), "comment": entry.comment}
            yield from _write(archive, path, entry.content)
        meta = msgspec.json.format(msgspec.json.encode(dict(sorted(metas.items()))), indent=1)
        yield from _write(archive, META, meta)
    return out.getvalue()


def _write(archive: zipfile.ZipFile, path: str, content: bytes) -> Iterator[None]:
    info = zipfile.ZipInfo(path)
    info.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(info, "w") as target:
        for at in range(0, len(content), _STEP):
            target.write(content[at : at + _STEP])
            yield
    yield


def _harmless(path: str) -> str:
    """The name of an entry, which whoever unpacks the archive may take for a path: nothing in it leads elsewhere."""
    steps = path.replace("\\", "%5C").replace("\0", "%00").split("/")
    return "/".join(step.replace(".", "%2E") if step in (".", "..") else step or "%2F" for step in steps)


# ---------------------------------------------------------------------- in


def unpack(archive: bytes) -> Generator[None, None, list[Entry]]:
    """The files in an archive, in its order. Raises ``BadArchive``."""
    members = [m for m in _directory(archive) if not m.path.endswith("/")]
    for member in members:
        if not _is_harmless(member.path):
            raise BadArchive("zip: insecure file path")
    budget = MOST_BYTES
    metas: dict[str, _Meta | None] = {}
    contents: list[tuple[str, bytes]] = []
    for member in members:
        content = yield from _content(archive, member, budget)
        budget -= len(content)
        if member.path != META:
            contents.append((member.path, content))
            continue
        try:
            metas = _metas.decode(content) or {}
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise BadArchive(f"{META}: {error}") from None
    return [_entry(path, content, metas.get(path)) for path, content in contents]


def _entry(path: str, content: bytes, meta: _Meta | None) -> Entry:
    meta = meta or _Meta()
    return Entry(path, content, meta.tags or {}, meta.comment or "")


class _Member(Struct, frozen=True):
    path: str
    method: int
    flags: int
    checksum: int
    packed: int
    size: int
    at: int


def _directory(archive: bytes) -> list[_Member]:
    """What the archive says that it has."""
    found = archive.rfind(b"PK\x05\x06", max(0, len(archive) - _END.size - _LONGEST_COMMENT))
    try:
        _, disk, first, _, count, length, at, _ = _END.unpack_from(archive, found)
        if found < 0 or disk or first or at + length > found:
            raise BadArchive("zip: not a valid zip file")
        if count > MOST_FILES:
            raise BadArchive(f"zip: more than {MOST_FILES} files")
        members = []
        for _ in range(count):
            mark, _, _, flags, method, _, _, checksum, packed, size, name, extra, comment, _, _, _, local = (
                _ENTRY.unpack_from(archive, at)
            )
            if mark != b"PK\x01\x02" or at + _ENTRY.size > found:
                raise BadArchive("zip: not a valid zip file")
            at += _ENTRY.size
            path = _name(archive[at : at + name], flags)
            at += name + extra + comment
            members.append(_Member(path, method, flags, checksum, packed, size, local))
    except LayoutError:
        raise BadArchive("zip: not a valid zip file") from None
    return members


def _name(raw: bytes, flags: int) -> str:
    """Writers of UTF-8 names say so; those who do not, mostly write UTF-8 too."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        if flags & _UTF8:
            raise BadArchive("zip: a name that is not UTF-8") from None
        return raw.decode(_TEXT_OF_OLD)


def _content(archive: bytes, member: _Member, budget: int) -> Generator[None, None, bytes]:
    """What is in an entry: as much as it says, and no more than ``budget``."""
    if member.flags & _ENCRYPTED or member.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadArchive("zip: unsupported compression algorithm")
    if member.size > budget:
        raise BadArchive(f"zip: more than {MOST_BYTES} bytes")
    try:
        local = _LOCAL.unpack_from(archive, member.at)
    except LayoutError:
        raise BadArchive("zip: not a valid zip file") from None
    begin = member.at + _LOCAL.size + local[-2] + local[-1]
    end = begin + member.packed
    if local[0] != b"PK\x03\x04" or end > len(archive):
        raise BadArchive("zip: not a valid zip file")
    packed = memoryview(archive)[begin:end]
    parts: list[bytes] = []
    size = checksum = 0
    for part in _stored(packed) if member.method == zipfile.ZIP_STORED else _inflated(packed):
        size += len(part)
        if size > member.size:
            break
        checksum = zlib.crc32(part, checksum)
        parts.append(part)
        yield
    if size != member.size or checksum != member.checksum:
        raise BadArchive("zip: checksum error")
    return b"".join(parts)


def _stored(packed: memoryview) -> Iterator[bytes]:
    for at in range(0, len(packed), _STEP):
        yield bytes(packed[at : at + _STEP])


def _inflated(packed: memoryview) -> Iterator[bytes]:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    rest: bytes | memoryview = packed
    try:
        while not inflate.eof:
            part = inflate.decompress(rest, _STEP)
            if not part and not inflate.unconsumed_tail:
                break
            rest = inflate.unconsumed_tail
            yield part
    except zlib.error:
        raise BadArchive("flate: corrupt input") from None


def _is_harmless(path: str) -> bool:
    """Whether a name stays below the place where it is unpacked, on every system."""
    if not path or "\\" in path or "\0" in path or path.startswith("/"):
        return False
    return not {"", ".", ".."} & set(path.split("/"))
