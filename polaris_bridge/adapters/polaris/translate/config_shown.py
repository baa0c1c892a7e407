"""Configuration files as consoles see them: groups, files, releases, history, templates as polaris-server 1.19 shows them. Pure.

Contents come in the clear and without the keys that encrypt them. Of a file that was never released the time of its release is
empty (the real server shows the beginning of Go's calendar).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config import model
from polaris_bridge.core.config.model import ConfigGroup, Entry, FileKey, Release, Stamp, Template, Text
from polaris_bridge.core.config.reading import FileSnapshot

from .config import GRAY_TYPE, add_tags, labels_of, shown_tags, text_of
from .times import local_time

Named = Callable[[Stamp], str]
"""Who did something, by name."""

NORMAL: Final = "normal"
TO_BE_RELEASED: Final = "to-be-released"
BETAING: Final = "betaing"
SUCCESS: Final = "success"
DRAFT: Final = "draft"
"""Of ours: a line of history that keeps a draft which was never released."""

TYPES: Final = {
    model.PUBLISH: NORMAL,
    model.GRAY: BETAING,
    model.PROMOTE: NORMAL,
    model.STOP: "cancel-gray",
    model.ROLLBACK: "rollback",
    model.WITHDRAW: "delete",
    model.DELETE: "clean",
    model.DRAFT: DRAFT,
}
"""What the history of releases calls each operation. Others are about drafts alone, and no part of it."""

PLATFORM: Final = "internal-3rd-platform"
"""A group with this in its metadata is another platform's: nobody edits it here."""


def group(g: ConfigGroup, files: int, named: Named) -> v1.ConfigFileGroup:
    """A group, with the number of its files."""
    m = v1.ConfigFileGroup()
    m.id.value = g.id
    m.namespace.value, m.name.value = g.key
    m.comment.value, m.owner.value = g.comment, g.owners
    m.business.value, m.department.value = g.business, g.department
    m.metadata.update(g.metadata)
    m.fileCount.value = files
    m.editable.value = PLATFORM not in g.metadata
    m.deleteable.value = True
    _stamp(m, g.created, g.modified, named)
    return m


def file(s: FileSnapshot, content: bytes, named: Named) -> v1.ConfigFile:
    """A file with its draft: what it contains now, and how that stands to what clients see."""
    assert s.file is not None
    draft = s.file.draft
    m = v1.ConfigFile()
    m.id.value = s.file.id
    m.namespace.value, m.group.value, m.name.value = s.key
    m.content.value = text_of(content)
    m.format.value, m.comment.value = draft.format, draft.comment
    m.encrypted.value, m.encrypt_algo.value = bool(draft.algorithm), draft.algorithm
    add_tags(m, shown_tags(draft))
    _stamp(m, s.file.created, s.file.modified, named)
    m.status.value, released = status(s)
    m.release_time.value, m.release_by.value = "", ""
    if released is not None:
        m.release_time.value = local_time(released.activated.at_ms)
        m.release_by.value = named(released.activated)
    return m


def status(s: FileSnapshot) -> tuple[str, Release | None]:
    """How a draft stands to what clients see, and the release with the same content. While there are gray releases they
    count, as on the real server."""
    assert s.file is not None
    draft = s.file.draft
    for seen in s.grays:
        if _same(seen.release.text, draft):
            return BETAING, seen.release
    if not s.grays and s.full is not None and _same(s.full.release.text, draft):
        return NORMAL, s.full.release
    return TO_BE_RELEASED, None


def _same(a: Text, b: Text) -> bool:
    return (a.md5, a.size, a.data_key) == (b.md5, b.size, b.data_key)


def release(r: Release, s: FileSnapshot, named: Named, content: bytes | None = None) -> v1.ConfigFileRelease:
    """A release. In lists (no ``content``) also without md5 and comment."""
    m = v1.ConfigFileRelease()
    m.id.value = release_id(r.key, r.name)
    m.namespace.value, m.group.value, m.file_name.value = r.key
    m.name.value, m.version.value, m.format.value = r.name, r.version, r.text.format
    if content is not None:
        m.content.value = text_of(content)
        m.md5.value, m.comment.value = r.text.md5, r.comment
    m.release_description.value = r.description
    _stamp(m, r.created, r.activated, named)
    add_tags(m, shown_tags(r.text))
    full = s.file.full if s.file is not None else None
    active = next((g for g in (s.file.grays if s.file is not None else ()) if g.release == r.name), None)
    is_full = full is not None and full.release == r.name
    m.active.value = is_full or active is not None
    m.release_type.value = GRAY_TYPE if r.gray and not is_full else ""
    if active is not None:
        m.beta_labels.extend(labels_of(active.rule))
    return m


def release_id(key: FileKey, name: str) -> int:
    """The number of a release among all of them: the real server counts, here it is made of the names."""
    names = "\0".join((*key, name)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(names, digest_size=6).digest())


def history(e: Entry, content: bytes, named: Named) -> v1.ConfigFileReleaseHistory:
    """A line of the history of releases."""
    m = v1.ConfigFileReleaseHistory()
    m.id.value = e.number
    m.namespace.value, m.group.value, m.file_name.value = e.key
    m.name.value, m.content.value = e.release, text_of(content)
    m.format.value, m.comment.value, m.md5.value = e.text.format, e.comment, e.text.md5
    m.type.value = TYPES[e.operation]
    m.status.value = TO_BE_RELEASED if e.operation == model.DRAFT else SUCCESS
    add_tags(m, shown_tags(e.text))
    _stamp(m, e.stamp, e.stamp, named)
    m.reason.value, m.release_description.value = "", e.description
    return m


def template(t: Template, named: Named) -> v1.ConfigFileTemplate:
    """A template."""
    m = v1.ConfigFileTemplate()
    m.id.value = t.id
    m.name.value, m.content.value = t.name, text_of(t.content)
    m.format.value, m.comment.value = t.format, t.comment
    _stamp(m, t.created, t.modified, named)
    return m


def _stamp(
    m: v1.ConfigFileGroup | v1.ConfigFile | v1.ConfigFileRelease | v1.ConfigFileReleaseHistory | v1.ConfigFileTemplate,
    created: Stamp,
    modified: Stamp,
    named: Named,
) -> None:
    m.create_time.value, m.create_by.value = local_time(created.at_ms), named(created)
    m.modify_time.value, m.modify_by.value = local_time(modified.at_ms), named(modified)
