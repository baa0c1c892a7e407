"""The server's own keys: a file that nobody else may read, made on first use, never written again.

Each line that is not empty and does not begin with ``#`` is the base64 of 32 bytes. The first seals, all of them open: a new
first line is a new key, and the old line stays for what it sealed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import secrets
from pathlib import Path
from typing import Final

from polaris_bridge.core.errors import Invalid

SIZE: Final = 32
ID_SIZE: Final = 8

_HEAD: Final = """\
# Opens the encrypted files of the configuration centre of polaris-bridge. Keep a copy in a safe place: without it they
# cannot be read. To change the key, put a new line before the others (openssl rand -base64 32), and restart.
"""

log = logging.getLogger(__name__)


class ServerKeys:
    """The keys, read when they are first needed. All methods raise ``Invalid`` for a file that cannot be used."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._keys: dict[bytes, bytes] | None = None
        self.may_make = True
        """Whether a key may be made: not while something is sealed by one that is not here."""

    @property
    def place(self) -> str:
        """Where they are, for people."""
        return str(self._path) if self._path is not None else "the memory of this process"

    def first(self) -> tuple[bytes, bytes]:
        """Id and key to seal with; made when there is none."""
        keys = self._read() or self._make()
        return next(iter(keys.items()))

    def find(self, id: bytes) -> bytes:
        """The key with an id. ``Invalid`` when it is not here."""
        found = self._read().get(id)
        if found is None:
            raise Invalid("data key", f"sealed by the server key {id.hex()}, which is not in {self.place}")
        return found

    def _read(self) -> dict[bytes, bytes]:
        if self._keys is not None or self._path is None:
            return self._keys or {}
        try:
            lines = self._path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid("server key", f"{self._path} cannot be read: {error}") from None
        keys = [_decoded(self._path, line) for line in lines if line.strip() and not line.startswith("#")]
        if keys and self._path.stat().st_mode & 0o077:
            log.warning("%s can be read by others than its owner: chmod 600", self._path)
        self._keys = {id_of(key): key for key in keys} or None
        return self._keys or {}

    def _make(self) -> dict[bytes, bytes]:
        if not self.may_make:
            raise Invalid("server key", f"{self.place} is missing, and files are sealed by what it held")
        key = secrets.token_bytes(SIZE)
        self._keys = {id_of(key): key}
        if self._path is not None:
            try:
                _write(self._path, _HEAD + base64.b64encode(key).decode() + "\n")
            except OSError as error:
                self._keys = None
                raise Invalid("server key", f"{self._path} cannot be written: {error}") from None
            log.info("made the key of the configuration centre: %s", self._path)
        return self._keys


def id_of(key: bytes) -> bytes:
    """What a key is called in what it sealed; says nothing about the key."""
    return hashlib.blake2b(key, digest_size=ID_SIZE, person=b"server key id").digest()


def _decoded(path: Path, line: str) -> bytes:
    try:
        key = base64.b64decode(line.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != SIZE:
        raise Invalid("server key", f"{path}: a line that is not the base64 of {SIZE} bytes")
    return key


def _write(path: Path, text: str) -> None:
    """Whole or not at all; what is there already stays (``FileExistsError``)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(made, path)
    finally:
        made.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
