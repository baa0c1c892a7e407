"""Passwords: bcrypt, computed in threads of their own; what was verified lately is known again without computing.

Hashes of Nacos and of the original (``$2a$``) verify too.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import bcrypt

from polaris_bridge.core.errors import Busy

COST: Final = 10
"""Rounds as a power of two, as in the original: about a tenth of a second."""
MAX_BYTES: Final = 72
"""bcrypt looks at no more; longer passwords are refused rather than cut."""
KNOWN_S: Final = 300.0
"""How long a verified password is known again."""
MAX_KNOWN: Final = 10_000
MAX_WAITING: Final = 64
"""Checks that may wait for a thread; one more is refused."""

Post = Callable[[Callable[[], None]], None]
"""Runs something on the core's thread."""


class Passwords:
    """Hashes and checks passwords. All methods belong to the core's thread."""

    def __init__(self, post: Post, monotonic: Callable[[], float], cost: int = COST) -> None:
        self._post = post
        self._monotonic = monotonic
        self._cost = cost
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._secret = secrets.token_bytes(32)
        self._known: dict[bytes, float] = {}
        """Digests of verified passwords with their hashes, and until when they are believed."""
        self._waiting = 0
        self._decoy = hash_now(secrets.token_hex(8), cost)

    def known(self, hashed: str, password: str) -> bool:
        """Whether this password was verified against this hash lately."""
        until = self._known.get(self._digest(hashed, password))
        return until is not None and until > self._monotonic()

    def check(self, hashed: str, password: str, done: Callable[[bool], None]) -> None:
        """Verify; ``done`` is called once, later. An empty hash takes as long and fails. Raises ``Busy``."""

        def finished(right: bool | None) -> None:
            if right and hashed:
                self._remember(self._digest(hashed, password))
            done(bool(right and hashed))

        self._run(lambda: verify_now(hashed or self._decoy, password), finished)

    def make(self, password: str, done: Callable[[str], None]) -> None:
        """Hash a password; ``done`` is called once, later, with an empty text when it failed. Raises ``Busy``."""
        self._run(lambda: hash_now(password, self._cost), lambda hashed: done(hashed or ""))

    def close(self) -> None:
        """Take no more work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        if self._waiting >= MAX_WAITING:
            raise Busy("too many passwords are being checked")
        self._waiting += 1

        def back(future: Future[Any]) -> None:
            result = None if future.cancelled() or future.exception() else future.result()

            def deliver() -> None:
                self._waiting -= 1
                done(result)

            self._post(deliver)

        self._threads.submit(work).add_done_callback(back)

    def _remember(self, digest: bytes) -> None:
        now = self._monotonic()
        if len(self._known) >= MAX_KNOWN:
            self._known = {d: until for d, until in self._known.items() if until > now}
        if len(self._known) < MAX_KNOWN:
            self._known[digest] = now + KNOWN_S

    def _digest(self, hashed: str, password: str) -> bytes:
        return hmac.digest(self._secret, f"{hashed}\0{password}".encode("utf-8", "surrogatepass"), hashlib.sha256)


def hash_now(password: str, cost: int = COST) -> str:
    """A hash of a password; takes a tenth of a second. Raises ``ValueError`` above 72 bytes."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


def verify_now(hashed: str, password: str) -> bool:
    """Whether a password fits a hash; takes a tenth of a second."""
    given = password.encode("utf-8", "surrogatepass")
    if len(given) > MAX_BYTES:
        return False
    try:
        return bcrypt.checkpw(given, hashed.encode())
    except ValueError:  # no hash of bcrypt
        return False
