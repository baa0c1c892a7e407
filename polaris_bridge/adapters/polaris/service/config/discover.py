"""GetConfigFileMetadataList and Discover: lists, and single files, as encoded answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from polaris_bridge.adapters.polaris.answers import bare
from polaris_bridge.adapters.polaris.translate.config import asker_of, group_key
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config.model import GroupKey
from polaris_bridge.core.model import Caller

from .answers import NO_GROUP, NO_NAMESPACE, OK, UNCHANGED, discovered, files
from .listing import LaterListed, Listed, Listing
from .reading import FileReading

FILE: Final[int] = v1.ConfigDiscoverRequest.CONFIG_FILE
NAMES: Final[int] = v1.ConfigDiscoverRequest.CONFIG_FILE_Names
GROUPS: Final[int] = v1.ConfigDiscoverRequest.CONFIG_FILE_GROUPS

_Encode = Callable[[Listed | None], bytes]
"""An answer made of a list; None: it could not be made."""


class LaterBytes:
    """An encoded answer that takes a while to make. See ``transport.rpc.Later``."""

    __slots__ = ("_encode", "_listed")

    def __init__(self, listed: LaterListed, encode: _Encode) -> None:
        self._listed = listed
        self._encode = encode

    def then(self, reply: Callable[[bytes], None], /) -> None:
        """Call back once."""
        self._listed.then(lambda found: reply(self._encode(found)))


class Lists:
    """Answers about groups and namespaces."""

    def __init__(self, reading: FileReading, listing: Listing) -> None:
        self._reading = reading
        self._listing = listing

    def files(self, m: v1.ConfigFileGroupRequest, caller: Caller) -> bytes | LaterBytes:
        """GetConfigFileMetadataList: an encoded ``ConfigClientListResponse``; of an unknown group nothing but a code."""
        key, known = group_key(m.config_file_group), m.revision.value
        if not all(key):
            return files(v1.BadRequest, NO_GROUP if key.namespace else NO_NAMESPACE).SerializeToString()

        def encode(found: Listed | None) -> bytes:
            if found is None or not found.revision:
                return bare(v1.ExecuteException if found is None else OK)
            if found.revision == known:
                return bare(UNCHANGED)
            head = v1.ConfigClientListResponse(
                revision={"value": found.revision}, namespace=key.namespace, group=key.group
            )
            return b"".join((bare(OK), head.SerializeToString(), found.items))

        return self._of(key, m.client_labels, caller, encode)

    def discover(self, m: v1.ConfigDiscoverRequest, caller: Caller) -> bytes | LaterBytes:
        """Discover: an encoded ``ConfigDiscoverResponse``. (The real server never answers CONFIG_FILE over gRPC.)"""
        match m.type:
            case 1:
                return self._file(m, caller)
            case 2:
                return self._names(m, caller)
            case 3:
                return self._groups(m)
        return discovered(v1.InvalidDiscoverResource, v1.ConfigDiscoverResponse.UNKNOWN).SerializeToString()

    # ------------------------------------------------------------------ a stream's questions

    def _file(self, m: v1.ConfigDiscoverRequest, caller: Caller) -> bytes:
        found = v1.ConfigClientResponse.FromString(self._reading.get(m.config_file, caller))
        answer = discovered(found.code.value, FILE)
        answer.revision = str(found.configFile.version.value)
        if found.HasField("configFile"):
            answer.config_file.CopyFrom(found.configFile)
        return answer.SerializeToString()

    def _names(self, m: v1.ConfigDiscoverRequest, caller: Caller) -> bytes | LaterBytes:
        asked = m.config_file
        key = GroupKey(asked.namespace.value, asked.group.value)
        if not all(key):
            return discovered(v1.BadRequest, NAMES).SerializeToString()

        def encode(found: Listed | None) -> bytes:
            if found is None:
                return discovered(v1.ExecuteException, NAMES).SerializeToString()
            if found.revision and found.revision == m.revision:
                return discovered(UNCHANGED, NAMES).SerializeToString()
            answer = discovered(OK, NAMES)
            answer.revision = found.revision
            return answer.SerializeToString() + found.items

        return self._of(key, {tag.key.value: tag.value.value for tag in asked.tags}, caller, encode)

    def _groups(self, m: v1.ConfigDiscoverRequest) -> bytes:
        namespace = m.config_file.namespace.value
        if not namespace:
            return discovered(v1.BadRequest, GROUPS, "invalid namespace").SerializeToString()
        found = self._listing.groups(namespace)
        if found.revision and found.revision == m.revision:
            return discovered(UNCHANGED, GROUPS).SerializeToString()
        answer = discovered(OK, GROUPS)
        if found.revision:
            answer.revision = found.revision
            answer.config_file.namespace.value = namespace
        return answer.SerializeToString() + found.items

    def _of(self, key: GroupKey, labels: Mapping[str, str], caller: Caller, encode: _Encode) -> bytes | LaterBytes:
        found = self._listing.files(key, asker_of(labels, caller.address))
        return LaterBytes(found, encode) if isinstance(found, LaterListed) else encode(found)
