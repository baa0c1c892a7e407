"""What keys, values and sessions are, as values that never change."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct, field

from ..batches import Commit

RELEASE: Final = "release"
DELETE: Final = "delete"
BEHAVIOURS: Final = (RELEASE, DELETE)
"""What becomes of the keys that a session holds when it ends."""

HELD: Final = "held"
"""Another session holds the lock, or (release) the session does not."""
DELAYED: Final = "delayed"
"""The lock's last holder was lost: nobody gets it before its delay is over."""
STALE: Final = "stale"
"""The entry is not the one that the caller has seen."""


class Entry(Struct, frozen=True, gc=False):
    """One key. Indexes are revisions of the core; flags are any 64 bits that a client wants to keep."""

    namespace: str
    key: str
    value: bytes = b""
    flags: int = 0
    session: str = ""
    """Who holds its lock; empty: nobody."""
    lock_index: int = 0
    """How often the lock was taken anew."""
    create_index: int = 0
    modify_index: int = 0
    elsewhere: bool = False
    """Only the lock is kept here: value and flags belong to something else under the same name."""


class Outcome(Struct, frozen=True, gc=False):
    """What a command came to. Not to be told to anybody before ``commit`` is."""

    ok: bool
    commit: Commit
    entry: Entry | None = None
    """As it is after the command; None: there is none, or the command was refused."""
    why: str = ""
    """Why it was refused: HELD, DELAYED or STALE."""


class KeySession(Struct, frozen=True, omit_defaults=True):
    """Somebody who may hold locks, for as long as everything that it depends on is well."""

    id: str
    namespace: str
    name: str = ""
    node: str = ""
    """Where its owner runs: what ``KeySessions.of_node`` finds it by."""
    ttl_ms: int = 0
    """It ends between one and two of these after the last renewal; 0: it needs none."""
    delay_ms: int = 0
    """For how long a lock that it lost is given to nobody."""
    behaviour: str = RELEASE
    depends: tuple[str, ...] = ()
    """Names of what it stands and falls with; whoever hears that one of them is gone calls ``KeySessions.lost``."""
    ext: dict[str, Any] = field(default_factory=dict)
    """Attributes of single protocols, by source."""
    revision: int = 0
    """Under which it was made; not part of what is stored."""
