"""Tokens in the original's form, so that those of existing installations go on working.

base64(iv ‖ AES-CFB128(salt, ``R::uid/ID`` or ``R::groupid/ID``)), R being eight random characters. Only the token that the
directory holds counts; what stands in it says whose it is.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from polaris_bridge.core.auth.values import Group, User

BLOCK: Final = 16
MAX_TOKEN: Final = 1024
"""Characters; more is not looked at. Real ones have about 90."""
SALT_SIZES: Final = (16, 24, 32)

_USER: Final = "uid"
_GROUP: Final = "groupid"
_TAGS: Final[dict[str, type[User] | type[Group]]] = {_USER: User, _GROUP: Group}


class Tokens:
    """Makes and reads tokens."""

    def __init__(self, salt: str) -> None:
        """Raises ``ValueError`` when the salt is no AES key."""
        key = salt.encode()
        if len(key) not in SALT_SIZES:
            raise ValueError(f"auth.user.option.salt has {len(key)} bytes: give 16, 24 or 32")
        self._cipher = Cipher(algorithms.AES(key), modes.ECB())  # CFB is made of single blocks, see _feedback

    def make(self, owner: type[User] | type[Group], id: str) -> str:
        """A new token of a user or a group."""
        tag = _USER if owner is User else _GROUP
        text = f"{secrets.token_hex(4)}::{tag}/{id}".encode()
        iv = secrets.token_bytes(BLOCK)
        return base64.b64encode(iv + self._feedback(iv, text, sealing=True)).decode()

    def read(self, token: str) -> tuple[type[User] | type[Group], str] | None:
        """Whose a token says it is; None for what is no token of this salt."""
        if len(token) > MAX_TOKEN or not token.isascii():
            return None
        try:
            sealed = base64.b64decode(token, validate=True)
            text = self._feedback(sealed[:BLOCK], sealed[BLOCK:], sealing=False).decode()
        except (binascii.Error, ValueError):
            return None
        parts = text.split("::")
        tag, slash, id = parts[-1].partition("/")
        if len(parts) != 2 or not slash or not id or "/" in id or tag not in _TAGS:
            return None
        return _TAGS[tag], id

    def _feedback(self, iv: bytes, text: bytes, *, sealing: bool) -> bytes:
        """Cipher feedback over whole blocks. Raises ``ValueError`` for a short iv."""
        if len(iv) != BLOCK:
            raise ValueError("too short")
        block = self._cipher.encryptor()
        done = bytearray()
        for at in range(0, len(text), BLOCK):
            piece = text[at : at + BLOCK]
            made = bytes(a ^ b for a, b in zip(piece, block.update(iv), strict=False))
            done += made
            iv = made if sealing else piece
        return bytes(done)


def same(shown: str, kept: str) -> bool:
    """Whether two secrets are equal; takes as long when they are not."""
    return hmac.compare_digest(shown.encode(), kept.encode())
