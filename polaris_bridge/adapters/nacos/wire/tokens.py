"""Access tokens: JSON web tokens with ``sub`` and ``exp``, signed as Nacos 2.5.1 signs them, so that either server reads them."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from jwt.types import Options

MIN_KEY: Final = 32
"""Bytes of a signing key."""
MAX_TOKEN: Final = 4096
"""Characters; more is not looked at. Those of Nacos have about 110."""
MAX_EXP: Final = 1 << 62

INVALID: Final = "token invalid!"
UNSUPPORTED: Final = "unsupported signature algorithm"
EXPIRED: Final = "token expired!"

_PUBLISHED: Final = (b"SecretKey0123456789", b"ThisIsMyCustomSecretKey")
"""How the keys begin that stand in Nacos' own files and manuals: everybody can sign with them."""
_ALGORITHMS: Final = ((64, "HS512"), (48, "HS384"), (32, "HS256"))
"""Which one is used with a key of so many bytes."""
_HEADERS: Final[dict[str, str]] = {
    "eyJhbGciOiJIUzI1NiJ9": "HS256",
    "eyJhbGciOiJIUzM4NCJ9": "HS384",
    "eyJhbGciOiJIUzUxMiJ9": "HS512",
}
"""The only headers that Nacos takes: nothing but the algorithm."""
_OPTIONS: Final[Options] = {
    "verify_exp": False,
    "verify_sub": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
}


class BadToken(Exception):
    """What is no token of this key; the text is what Nacos says."""


class Claims(Struct, frozen=True, gc=False):
    """What a token says."""

    name: str
    expires_s: int
    """Seconds since 1970; it counts until this second is over."""


def key_of(text: str) -> bytes:
    """The signing key in a setting. Raises ``ValueError`` for one that is no base64, too short, or published."""
    stripped = text.strip()
    padded = stripped + "=" * (-len(stripped) % 4)
    _refuse_published(stripped.encode("utf-8", "replace"))
    try:
        key = base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("tokenSecretKey is not base64") from None
    _refuse_published(key)
    if len(key) < MIN_KEY:
        raise ValueError(f"tokenSecretKey has {len(key)} bytes: give at least {MIN_KEY}, in base64")
    return key


def _refuse_published(key: bytes) -> None:
    if key.startswith(_PUBLISHED):
        raise ValueError("tokenSecretKey stands in Nacos' manuals: whoever reads them could log in")


class Signer:
    """Makes and reads the tokens of one key."""

    def __init__(self, key: bytes) -> None:
        """``key``: at least ``MIN_KEY`` bytes."""
        self._key = key
        self._algorithm = next(name for least, name in _ALGORITHMS if len(key) >= least)

    def sign(self, name: str, expires_s: int) -> str:
        """A token for a user."""
        payload = {"sub": name, "exp": expires_s}
        import jwt  # with the first login: it costs a start 45 ms

        return jwt.encode(payload, self._key, self._algorithm, headers={"typ": None})

    def read(self, token: str) -> Claims:
        """What a token says; whether it has expired is for the caller to see. Raises ``BadToken``."""
        parts = token.split(".", 3) if len(token) <= MAX_TOKEN else ()
        if len(parts) != 3:
            raise BadToken(INVALID)
        algorithm = _HEADERS.get(parts[0])
        if algorithm is None:
            raise BadToken(UNSUPPORTED)
        import jwt

        try:
            payload = jwt.decode(token, self._key, [algorithm], options=_OPTIONS)
        except (jwt.PyJWTError, ValueError):
            raise BadToken(INVALID) from None
        name, expires_s = payload.get("sub"), payload.get("exp")
        if not isinstance(name, str) or not name or type(expires_s) is not int or not 0 <= expires_s <= MAX_EXP:
            raise BadToken(INVALID)
        return Claims(name, expires_s)
