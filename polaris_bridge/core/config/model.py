"""What a configuration centre is made of, as values that never change."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from msgspec import Struct, field

from ..batches import Commit

EXACT: Final = "exact"
NOT_EQUAL: Final = "not-equal"
REGEX: Final = "regex"
IN: Final = "in"
NOT_IN: Final = "not-in"
RANGE: Final = "range"
"""Whole numbers between two bounds, both included."""
PRESENT: Final = "present"
"""Any value at all."""
MATCHES: Final = (EXACT, NOT_EQUAL, REGEX, IN, NOT_IN, RANGE, PRESENT)

CREATE: Final = "create"
IMPLIED: Final = "auto-create"
"""A group came into being with its first file, by a protocol whose groups are made by nobody and belong to nobody."""
UPDATE: Final = "update"
DRAFT: Final = "draft"
"""A draft that was never released made room for another content: the entry keeps the draft."""
PUBLISH: Final = "publish"
GRAY: Final = "gray"
PROMOTE: Final = "promote"
STOP: Final = "stop"
ROLLBACK: Final = "rollback"
WITHDRAW: Final = "withdraw"
"""A release was deleted."""
DELETE: Final = "delete"
"""The file was deleted: the entry keeps what it held."""


class GroupKey(NamedTuple):
    """Which group."""

    namespace: str
    group: str


class FileKey(NamedTuple):
    """Which file."""

    namespace: str
    group: str
    name: str

    @property
    def parent(self) -> GroupKey:
        """The group it is in."""
        return GroupKey(self.namespace, self.group)


class Stamp(Struct, frozen=True, gc=False):
    """When something was done, by whom, and from where."""

    at_ms: int = 0
    by: str = ""
    address: str = ""
    via: str = ""
    """The adapter it came through."""


NOBODY: Final = Stamp()


class ConfigGroup(Struct, frozen=True, omit_defaults=True):
    """A group of files."""

    key: GroupKey
    id: int = 0
    """A number of its own, never used twice."""
    comment: str = ""
    owners: str = ""
    business: str = ""
    department: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    ext: dict[str, Any] = field(default_factory=dict)
    """Attributes of single protocols, by source."""
    created: Stamp = NOBODY
    modified: Stamp = NOBODY


class Text(Struct, frozen=True, omit_defaults=True):
    """A content with what is said of it: of a draft, or of a release. The bytes stand in a body."""

    body: str = ""
    """Where its bytes are (``ports.Bodies``)."""
    md5: str = ""
    """Of the bytes as they are kept and served; 32 hexadecimal digits."""
    size: int = 0
    """Bytes."""
    format: str = "text"
    comment: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    ext: dict[str, Any] = field(default_factory=dict)
    """Attributes of single protocols, by source."""
    algorithm: str = ""
    """Of encryption by this server; empty: the bytes are as they were given."""
    data_key: bytes = b""
    """What opens it, sealed (``ports.Sealing``)."""
    client_key: str = ""
    """The data key of a content that clients encrypted themselves; travels untouched."""


class Match(Struct, frozen=True, gc=False):
    """What one label of a client has to be. An absent label matches nothing."""

    key: str
    kind: str = EXACT
    values: tuple[str, ...] = ()
    """One for EXACT, NOT_EQUAL and REGEX, two (lowest, highest) for RANGE, none for PRESENT."""


class GrayRule(Struct, frozen=True, gc=False):
    """Which clients see a gray release: from one of these addresses (if any are named) and with all of these labels."""

    labels: tuple[Match, ...] = ()
    ips: tuple[str, ...] = ()


class Release(Struct, frozen=True, omit_defaults=True):
    """A content as it was published. All of it stays as it was but ``version`` and ``activated``."""

    key: FileKey
    name: str
    """Unique in its file."""
    number: int
    """The version under which it was first seen."""
    version: int
    """The version under which it was last given to clients."""
    text: Text
    description: str = ""
    comment: str = ""
    """What was said of it when it was published; ``text`` has what is said of the file."""
    named: bool = False
    """Somebody chose its name: it is kept until it is deleted."""
    gray: bool = False
    """Made as a gray release."""
    created: Stamp = NOBODY
    activated: Stamp = NOBODY


class Active(Struct, frozen=True, omit_defaults=True):
    """A release that clients see, and (gray) which of them."""

    release: str
    """Its name."""
    version: int
    gray: str = ""
    """Name of the gray release's slot; empty: everybody sees it."""
    rule: GrayRule | None = None
    priority: int = 0
    """The highest that matches wins; of equal ones the newest."""


class ConfigFile(Struct, frozen=True, omit_defaults=True):
    """A file: its draft, and what clients see of it."""

    key: FileKey
    id: int
    """A number of its own, never used twice."""
    draft: Text
    version: int = 0
    """The last version given to anything of this file, full or gray; it never goes back."""
    full: Active | None = None
    grays: tuple[Active, ...] = ()
    """In the order in which they are tried."""
    unreleased: bool = True
    """The draft says something that its last full release does not."""
    created: Stamp = NOBODY
    modified: Stamp = NOBODY
    released: Stamp = NOBODY
    revision: int = 0
    """The registry's revision of the last command on it; not part of what is stored."""


class Entry(Struct, frozen=True, omit_defaults=True):
    """One line of history: who did what when from where, and the content that it was about."""

    number: int
    """Grows over all files, never used twice."""
    key: FileKey
    id: int
    """Of the file."""
    operation: str
    text: Text
    stamp: Stamp
    release: str = ""
    version: int = 0
    first: bool = False
    """Nothing was released of the file when this was done."""
    gray: str = ""
    rule: GrayRule | None = None
    priority: int = 0
    description: str = ""
    comment: str = ""
    """Of the release."""

    @property
    def body(self) -> str:
        """Where its bytes are."""
        return self.text.body


class Template(Struct, frozen=True, omit_defaults=True):
    """A content to begin a file with."""

    name: str
    id: int
    content: bytes
    format: str = "text"
    comment: str = ""
    created: Stamp = NOBODY
    modified: Stamp = NOBODY


class Change(Struct, frozen=True):
    """What a write says of a file; None leaves that as it is (a new file begins with the defaults)."""

    content: bytes | None = None
    format: str | None = None
    comment: str | None = None
    tags: dict[str, str] | None = None
    ext: dict[str, Any] | None = None
    """Laid over what other sources said, source by source."""
    algorithm: str | None = None
    """Encrypt with this one; empty: do not."""
    client_key: str | None = None


class Door(Struct, frozen=True):
    """What the door through which a write comes allows. 0: no bound."""

    content_bytes: int = 0
    content_chars: int = 0
    validate: bool = False
    """A content that is not what its format says is refused when it is published."""


OPEN: Final = Door()


class Expected(Struct, frozen=True):
    """What a caller believes to be there: the write is refused (``errors.Conflict``) when it is not."""

    md5: str | None = None
    version: int | None = None
    revision: int | None = None
    """``ConfigFile.revision``; 0: the file must not exist."""
    of: str = "full"
    """Whose md5 and version: ``full``, ``draft``, or ``gray:`` with the name of its slot."""
    absent_fits: bool = True
    """Where there is nothing to compare with, nothing is refused."""


class Done(Struct, frozen=True):
    """What a command came to. Not to be told to anybody before ``commit`` is."""

    commit: Commit
    file: ConfigFile | None = None
    """As it is now; None: deleted."""
    release: Release | None = None
    """What it made or activated."""
    before: ConfigFile | None = None
    entry: int = 0
    """Of the history; 0: nothing was done that history keeps."""


class Seen(Struct, frozen=True):
    """One release as a client gets it."""

    release: Release
    active: Active
    content: bytes

    @property
    def version(self) -> int:
        """Under which the client sees it."""
        return self.active.version

    @property
    def md5(self) -> str:
        """Of the content."""
        return self.release.text.md5


class Asker(Struct, frozen=True):
    """What is known of a client when a gray release is chosen."""

    labels: dict[str, str] = field(default_factory=dict)
    ip: str = ""


ANYBODY: Final = Asker()
