"""What the core refuses, named after the fact. Each adapter has one table from these to its protocol's own answers."""

from __future__ import annotations


class CoreError(Exception):
    """Base of every refusal; never raised itself."""


class NotFound(CoreError):
    """The named thing does not exist and may not be created on the way."""


class Conflict(CoreError):
    """The thing exists in a form that forbids the command."""


class Invalid(CoreError):
    """A value is not acceptable. ``field`` names it, ``why`` says what was expected."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


class Denied(CoreError):
    """The caller may not do this."""


class TokenDisabled(Denied):
    """The token shown is switched off."""


class TokenReplaced(Denied):
    """The token shown counted once; another one took its place."""


class Throttled(CoreError):
    """Too many failed tries to log in; the caller should come back later."""


class Busy(CoreError):
    """The queue of writes is full; the caller should come back later."""


class Unavailable(CoreError):
    """The store did not take the write. Nothing of it was seen by anybody."""


class TooLate(Unavailable):
    """The store did not come to the write within the life of a command (``taskLife``)."""
