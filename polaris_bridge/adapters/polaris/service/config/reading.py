"""GetConfigFile: what a client gets of a file. Kept encoded, since many ask for one release."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters.polaris.service.routes import Encoded
from polaris_bridge.adapters.polaris.translate.config import (
    CLIENT_IP,
    add_data_key,
    add_tags,
    asker_of,
    client_info,
    file_key,
)
from polaris_bridge.adapters.polaris.wire import json, v1
from polaris_bridge.core.config.centre import ConfigCentre
from polaris_bridge.core.config.model import FileKey, Seen
from polaris_bridge.core.errors import Invalid
from polaris_bridge.core.model import Caller

from .answers import NOT_FOUND, OK, UNCHANGED, client, unnamed, with_file
from .labels import Labels

KEPT: Final = 4096
"""Files whose encoded answer is kept; those used last."""
KEPT_BYTES: Final = 64 << 20
"""Of all of them together."""


class _Kept(Struct):
    """The answer about one release: as it goes out over gRPC, and as JSON once somebody asked over HTTP."""

    version: int
    body: bytes
    json: bytes | None = None
    size: int = 0


class FileReading:
    """Answers of GetConfigFile."""

    def __init__(self, centre: ConfigCentre, labels: Labels, monotonic: Callable[[], float]) -> None:
        self._centre = centre
        self._labels = labels
        self._monotonic = monotonic
        self._kept: dict[tuple[FileKey, str], _Kept] = {}
        """By file and name of a gray slot (empty: everybody's release); the one used longest ago first."""
        self._bytes = 0

    @property
    def kept(self) -> int:
        """Answers that are kept encoded."""
        return len(self._kept)

    def get(self, m: v1.ClientConfigFileInfo, caller: Caller) -> bytes:
        """An encoded ``ConfigClientResponse``.

        A client whose version is above that of the release it would get is told 200001; with an equal one it gets the content
        once more. Tags are its labels, the address it comes from when it says none.
        """
        found = self._found(m, caller)
        if isinstance(found, Seen):
            key = file_key(m)
            if found.release.text.algorithm:
                return self._sealed(key, found, m.public_key.value)
            return self._of(key, found).body
        return found

    def get_json(self, m: v1.ClientConfigFileInfo, caller: Caller) -> Encoded:
        """The same as JSON."""
        found = self._found(m, caller)
        if isinstance(found, Seen) and not found.release.text.algorithm:
            kept = self._of(file_key(m), found)
            if kept.json is None:
                kept.json = json.encode(v1.ConfigClientResponse.FromString(kept.body))
                self._grow(kept, len(kept.json))
            return Encoded(OK, kept.json)
        body = self._sealed(file_key(m), found, m.public_key.value) if isinstance(found, Seen) else found
        answer = v1.ConfigClientResponse.FromString(body)
        return Encoded(answer.code.value, json.encode(answer))

    # ------------------------------------------------------------------ pieces

    def _found(self, m: v1.ClientConfigFileInfo, caller: Caller) -> Seen | bytes:
        """The release that a client gets, or why it gets none."""
        key = file_key(m)
        if not all(key):
            return client(v1.BadRequest, unnamed(key)).SerializeToString()
        labels = {tag.key.value: tag.value.value for tag in m.tags}
        self._labels.heard(caller.address, key, labels, self._monotonic())
        reading = self._centre.reading
        snapshot = reading.snapshot(key)
        seen = snapshot.full
        if snapshot.grays:
            seen = reading.resolve(key, asker_of(labels, caller.address))
        if seen is not None and m.version.value <= seen.version:
            return seen
        if not labels:  # the real server puts them into what it was asked, which it shows again
            add_tags(m, {CLIENT_IP: caller.address})
        return with_file(NOT_FOUND if seen is None else UNCHANGED, m)

    def _of(self, key: FileKey, seen: Seen) -> _Kept:
        place = key, seen.active.gray
        kept = self._kept.pop(place, None)
        if kept is not None and kept.version != seen.version:  # a file never gives two things one version
            self._bytes -= kept.size
            kept = None
        if kept is None:
            kept = _Kept(seen.version, with_file(OK, client_info(key, seen)))
            self._grow(kept, len(kept.body))
        self._kept[place] = kept
        while len(self._kept) > KEPT or (self._bytes > KEPT_BYTES and len(self._kept) > 1):
            self._bytes -= self._kept.pop(next(iter(self._kept))).size
        return kept

    def _grow(self, kept: _Kept, size: int) -> None:
        kept.size += size
        self._bytes += size

    def _sealed(self, key: FileKey, seen: Seen, public_key: str) -> bytes:
        """An encrypted file, with the key that opens it; that one is encrypted too when the client says by what."""
        sealing, data_key = self._centre.sealing, seen.release.text.data_key
        try:
            shown = _wrapped(sealing.wrapped, data_key, public_key) or sealing.key(data_key)
        except Invalid as error:  # the server's own key is not the one that the file was written with
            return client(v1.ExecuteException, str(error)).SerializeToString()
        info = client_info(key, seen)
        add_data_key(info, shown)
        return with_file(OK, info)


def _wrapped(wrap: Callable[[bytes, bytes], bytes], data_key: bytes, public_key: str) -> bytes | None:
    """A data key encrypted for a client; None when it gives no public key, or one that cannot be used (the real server then
    shows the key as if none were given)."""
    if not public_key:
        return None
    try:
        return wrap(data_key, base64.b64decode(public_key, validate=True))
    except (binascii.Error, ValueError, Invalid):
        return None
