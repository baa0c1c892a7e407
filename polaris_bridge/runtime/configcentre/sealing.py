"""Encrypted files as the native SDKs read them, and their keys, sealed by the server's own.

A file has a key of its own, 16 random bytes; its content is AES-CBC with that key as the first vector too, padded as PKCS#7,
in base64: what polaris-server 1.19 stores and SDKs decrypt. The key itself is kept sealed, never in the clear:
one byte that says the form (1), the id of the server's key, a nonce of 12 bytes, AES-256-GCM.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Final

from polaris_bridge.core.config.ports import Sealed
from polaris_bridge.core.errors import Invalid

from .serverkey import ID_SIZE, ServerKeys

AES: Final = "AES"
KEY_SIZE: Final = 16
FORM: Final = b"\x01"
NONCE_SIZE: Final = 12
PURPOSE: Final = b"polaris-bridge configuration data key"
"""What the seal is bound to besides."""


class AesSealing:
    """``core.config.ports.Sealing``. ``offered`` False: what is sealed stays readable, nothing new is sealed."""

    def __init__(self, keys: ServerKeys, *, offered: bool = True) -> None:
        self.keys = keys
        self.algorithms: tuple[str, ...] = (AES,) if offered else ()

    def seal(self, algorithm: str, content: bytes, data_key: bytes) -> Sealed:
        """Encrypt with a sealed data key; with a new one when it is empty."""
        if algorithm not in self.algorithms and not (data_key and algorithm == AES):
            raise Invalid("algorithm", f"there is no cipher {algorithm!r} here")
        key = self.key(data_key) if data_key else secrets.token_bytes(KEY_SIZE)
        return Sealed(_encrypted(content, key), data_key or self._sealed(key))

    def open(self, algorithm: str, content: bytes, data_key: bytes) -> bytes:
        """Decrypt. Raises ``Invalid`` when the key does not fit."""
        if algorithm != AES:
            raise Invalid("algorithm", f"there is no cipher {algorithm!r} here")
        return _decrypted(content, self.key(data_key))

    def key(self, data_key: bytes) -> bytes:
        """A sealed data key in the clear. ``Invalid`` says which server key is missing."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        id, nonce, rest = _parts(data_key)
        try:
            return AESGCM(self.keys.find(id)).decrypt(nonce, rest, FORM + id + PURPOSE)
        except (InvalidTag, ValueError):  # ValueError: it was cut short
            raise Invalid("data key", "it was changed since it was sealed") from None

    def wrapped(self, data_key: bytes, public_key: bytes) -> bytes:
        """A sealed data key encrypted with an RSA key (PKCS#1 or SubjectPublicKeyInfo, DER), PKCS#1 v1.5."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import padding, rsa
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        key = self.key(data_key)
        try:
            public = load_der_public_key(public_key)
        except (ValueError, UnsupportedAlgorithm):
            raise Invalid("public key", "expected an RSA key as DER") from None
        if not isinstance(public, rsa.RSAPublicKey):
            raise Invalid("public key", "expected an RSA key")
        return public.encrypt(key, padding.PKCS1v15())

    def missing(self, data_key: bytes) -> str:
        """Id of the server's key that would open a data key and is not here; empty: it is. Raises ``Invalid`` for an
        unusable file of keys."""
        id = _parts(data_key)[0]
        try:
            self.keys.find(id)
        except Invalid as error:
            if error.field == "server key":
                raise
            return id.hex()
        return ""

    def _sealed(self, key: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        id, server_key = self.keys.first()
        nonce = secrets.token_bytes(NONCE_SIZE)
        return FORM + id + nonce + AESGCM(server_key).encrypt(nonce, key, FORM + id + PURPOSE)


def _parts(data_key: bytes) -> tuple[bytes, bytes, bytes]:
    if data_key[:1] != FORM:
        raise Invalid("data key", "sealed in a form that this version does not know")
    start, end = len(FORM) + ID_SIZE, len(FORM) + ID_SIZE + NONCE_SIZE
    return data_key[len(FORM) : start], data_key[start:end], data_key[end:]


def _encrypted(content: bytes, key: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    pad = KEY_SIZE - len(content) % KEY_SIZE
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key)).encryptor()
    return base64.b64encode(encryptor.update(content + bytes([pad]) * pad) + encryptor.finalize())


def _decrypted(content: bytes, key: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    try:
        sealed = base64.b64decode(content, validate=True)
        decryptor = Cipher(algorithms.AES(key), modes.CBC(key)).decryptor()
        padded = decryptor.update(sealed) + decryptor.finalize()
    except (binascii.Error, ValueError):
        raise Invalid("content", "it does not fit its key") from None
    pad = padded[-1] if padded else 0
    if not 1 <= pad <= KEY_SIZE or padded[-pad:] != bytes([pad]) * pad:
        raise Invalid("content", "it does not fit its key")
    return padded[:-pad]
