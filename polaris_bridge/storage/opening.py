"""Which store serves, by the name that the configuration gives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from polaris_bridge.core.ports import ExtTypes, Store

from .delivery import Post
from .memory import MemoryStore

KINDS = ("memory", "sqlite")


def open_store(
    kind: str,
    *,
    path: Path | None,
    synchronous: str,
    ext_types: ExtTypes,
    post: Post,
    unique: Callable[[], str],
    wall_ms: Callable[[], int],
) -> Store:
    """A store of one of ``KINDS``; nothing is opened, locked or read before ``load``.

    ``path`` is the database file of ``sqlite``. ``synchronous`` is ``normal`` (everything acknowledged survives the end
    of the process) or ``full`` (power loss too). ``ext_types`` may still be filled until ``load`` is called. ``post``
    runs a callable on the core's thread, ``unique`` makes the node's id, ``wall_ms`` dates lock and copies.
    Raises ``ValueError`` for arguments that no configuration may pass on.
    """
    if kind == "memory":
        return MemoryStore(post=post, unique=unique)
    if kind != "sqlite":
        raise ValueError(f"store kind {kind!r} is not known; expected one of {', '.join(KINDS)}")
    if path is None:
        raise ValueError("the sqlite store needs a path")
    from .sql import SqlStore  # the driver is of no use to a store in memory
    from .sqlite import SqliteDatabase

    database = SqliteDatabase(path, synchronous=synchronous, wall_ms=wall_ms)
    return SqlStore(database, ext_types=ext_types, post=post, unique=unique)
