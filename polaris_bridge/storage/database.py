"""What ``SqlStore`` needs of a database: a driver's connections, the texts, and what only this kind of database has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from polaris_bridge.core.ports import StoreRefused

from .texts import Texts


class Cursor(Protocol):
    """The part of PEP 249 that is used."""

    def execute(self, text: str, parameters: Sequence[Any] = ..., /) -> Any: ...

    def executemany(self, text: str, parameters: Iterable[Sequence[Any]], /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    @property
    def rowcount(self) -> int: ...


class Connection(Protocol):
    """The part of PEP 249 that is used. Used by one thread at a time, not always the one that made it."""

    def cursor(self) -> Cursor: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


class Database(Protocol):
    """One place where rows are kept. After ``open`` nobody else opens it until ``release``."""

    @property
    def texts(self) -> Texts:
        """The statements in the database's dialect."""
        ...

    @property
    def errors(self) -> type[Exception]:
        """Base of all that its driver raises."""
        ...

    def open(self) -> Connection:
        """Take hold of it, check it, make or migrate its tables; a connection to read everything once.

        Raises ``StoreRefused``; then it is neither held nor changed.
        """
        ...

    def connect(self) -> Connection:
        """A connection that writes. Raises what the driver raises."""
        ...

    def refusal(self, error: Exception) -> StoreRefused:
        """What to tell the operator when reading it failed."""
        ...

    def release(self) -> None:
        """Let others open it. Idempotent."""
        ...
