"""Archives of configuration files as polaris-server 1.19 exports and imports them: a zip with one entry for each file and an
entry ``META``, JSON that gives tags and comment by entry.

Both directions are generators that yield wherever they may be interrupted. An archive with a name that leads out of a directory
is refused, and so is what ``zips`` refuses: nothing of it is used.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct, field

from polaris_bridge.adapters._shared import zips
from polaris_bridge.adapters._shared.zips import BadZip

META: Final = "META"
MOST_FILES: Final = 1_000
"""Files of an archive that is read: all of them come in together."""


class BadArchive(ValueError):
    """An archive that is not read; the text says why, beginning as Go's library does."""


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
    """The archive of some files. Raises ``zips.BadZip`` when they are too many for one."""
    return (yield from zips.write(_files(entries)))


def _files(entries: Iterable[Entry]) -> Iterator[tuple[str, bytes]]:
    metas: dict[str, str] = {}
    for entry in entries:
        path = _harmless(entry.path)
        while path in metas or path == META:
            path += "~"
        metas[path] = _text({path: {"tags": entry.tags, "comment": entry.comment}})
        yield path, entry.content
    inner = ",\n".join(metas[path][2:-2] for path in sorted(metas))
    yield META, (f"{{\n{inner}\n}}" if metas else "{}").encode("utf-8", "replace")


def _text(meta: dict[str, object]) -> str:
    """As Go indents it."""
    return json.dumps(meta, indent="\t", ensure_ascii=False)


def _harmless(path: str) -> str:
    """The name of an entry, which whoever unpacks the archive may take for a path: nothing in it leads elsewhere."""
    steps = path.replace("\\", "%5C").replace("\0", "%00").split("/")
    return "/".join(step.replace(".", "%2E") if step in (".", "..") else step or "%2F" for step in steps)


# ---------------------------------------------------------------------- in


def unpack(archive: bytes) -> Generator[None, None, list[Entry]]:
    """The files in an archive, in its order. Raises ``BadArchive``."""
    try:
        found = yield from zips.read(archive)
    except BadZip as error:
        raise BadArchive(f"zip: not a valid zip file: {error}") from None
    if len(found) > MOST_FILES:
        raise BadArchive(f"zip: more than {MOST_FILES} files")
    if not all(_is_harmless(path) for path, _ in found):
        raise BadArchive("zip: insecure file path")
    metas: dict[str, _Meta | None] = {}
    for path, content in found:
        if path == META:
            metas = _read_metas(content)
            break
    return [_entry(path, content, metas.get(path)) for path, content in found if path != META]


def _read_metas(content: bytes) -> dict[str, _Meta | None]:
    try:
        return _metas.decode(content) or {}
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise BadArchive(f"{META}: {error}") from None


def _entry(path: str, content: bytes, meta: _Meta | None) -> Entry:
    meta = meta or _Meta()
    return Entry(path, content, meta.tags or {}, meta.comment or "")


def _is_harmless(path: str) -> bool:
    """Whether a name stays below the place where it is unpacked, on every system."""
    if not path or "\\" in path or "\0" in path or path.startswith("/"):
        return False
    return not {"", ".", ".."} & set(path.split("/"))
