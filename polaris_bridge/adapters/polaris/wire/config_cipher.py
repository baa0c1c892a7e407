"""The cipher of exported files: AES in CBC mode with the key as first block, PKCS #7 padding, base64 (polaris-server 1.19)."""

from __future__ import annotations

import base64
import binascii


class BadCipher(ValueError):
    """A content that its key does not open."""


def opened(content: bytes, data_key: str) -> bytes:
    """A content in the clear. ``data_key``: 16, 24 or 32 bytes in base64. Raises ``BadCipher``."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.padding import PKCS7

    try:
        key = base64.b64decode(data_key, validate=True)
        decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
        padded = decryptor.update(base64.b64decode(content, validate=True)) + decryptor.finalize()
        unpadder = PKCS7(128).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except (binascii.Error, ValueError) as error:
        raise BadCipher(f"not encrypted with the key beside it: {error}") from None
