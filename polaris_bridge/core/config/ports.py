"""What the configuration centre needs from outside: parsers, ciphers, patterns, and a place for contents."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ..errors import Invalid, NotFound
from ..model import Caller
from .model import FileKey


class Defect(NamedTuple):
    """The first place where a content is not what its format says. Both counted from 1; 0: not known."""

    line: int
    column: int
    text: str


class Formats(Protocol):
    """The parsers."""

    def defect(self, format: str, content: bytes) -> Defect | None:
        """What is wrong with a content; None: nothing, or nothing is known of the format."""
        ...


class Sealed(NamedTuple):
    """An encrypted content, and the key that opens it, itself sealed by the server's own key."""

    content: bytes
    data_key: bytes


class Sealing(Protocol):
    """The ciphers."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Their names."""
        ...

    def seal(self, algorithm: str, content: bytes, data_key: bytes) -> Sealed:
        """Encrypt with a sealed data key; with a new one when it is empty. Equal input and key give equal bytes."""
        ...

    def open(self, algorithm: str, content: bytes, data_key: bytes) -> bytes:
        """Decrypt. Raises ``Invalid`` when the key does not fit."""
        ...

    def key(self, data_key: bytes) -> bytes:
        """A sealed data key in the clear, for clients that decrypt by themselves. Raises ``Invalid`` as ``open`` does."""
        ...

    def wrapped(self, data_key: bytes, public_key: bytes) -> bytes:
        """A sealed data key encrypted with a client's RSA key (PKCS#1 DER), in the form of PKCS#1 v1.5.

        Raises ``Invalid`` as ``open`` does, and for a public key that cannot be used.
        """
        ...


class Patterns(Protocol):
    """Regular expressions, in a form that an unkind one cannot hold up the server."""

    def defect(self, pattern: str) -> str | None:
        """What is wrong with a pattern."""
        ...

    def matches(self, pattern: str, value: str) -> bool:
        """Whether all of a value matches. Does not raise."""
        ...


class Bodies(Protocol):
    """Where contents are. Those of drafts and active releases are asked for often, those of history seldom."""

    def put(self, body: str, key: FileKey, content: bytes, caller: Caller) -> None:
        """Keep a content under a new name, inside the command under way."""
        ...

    def get(self, body: str) -> bytes:
        """The exact bytes, uncommitted ones included. Raises ``NotFound``."""
        ...

    def drop(self, body: str, caller: Caller) -> None:
        """Forget one that nobody needs any more, inside the command under way."""
        ...


class NoFormats:
    """Knows no format, so everything is well."""

    def defect(self, format: str, content: bytes) -> Defect | None:
        """Nothing."""
        return None


class NoSealing:
    """Knows no cipher."""

    algorithms: tuple[str, ...] = ()

    def seal(self, algorithm: str, content: bytes, data_key: bytes) -> Sealed:
        """Refuses."""
        raise Invalid("algorithm", f"there is no cipher {algorithm!r} here")

    def open(self, algorithm: str, content: bytes, data_key: bytes) -> bytes:
        """Refuses."""
        raise Invalid("algorithm", f"there is no cipher {algorithm!r} here")

    def key(self, data_key: bytes) -> bytes:
        """Refuses."""
        raise Invalid("data key", "there is no cipher here")

    def wrapped(self, data_key: bytes, public_key: bytes) -> bytes:
        """Refuses."""
        raise Invalid("data key", "there is no cipher here")


class NoPatterns:
    """Knows no regular expressions."""

    def defect(self, pattern: str) -> str | None:
        """Refuses."""
        return "regular expressions are not available"

    def matches(self, pattern: str, value: str) -> bool:
        """Never."""
        return False


class Broken(Invalid):
    """A content is not what its format says."""

    def __init__(self, format: str, defect: Defect) -> None:
        super().__init__("content", f"not {format}: line {defect.line}, column {defect.column}: {defect.text}")
        self.defect = defect


class TooLong(Invalid):
    """A content is above the bound of the door it came through."""

    def __init__(self, most: int, unit: str) -> None:
        super().__init__("content", f"at most {most} {unit}")
        self.most = most


class Stale(NotFound):
    """A body that is not there: its content was tidied away."""
