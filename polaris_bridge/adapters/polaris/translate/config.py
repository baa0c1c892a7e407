"""Configuration files: native messages as values of the configuration centre, and back. Pure.

Shapes, names of tags and labels, and what an absent field means are those of polaris-server 1.19.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Final

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config.model import (
    EXACT,
    IN,
    NOT_EQUAL,
    NOT_IN,
    PRESENT,
    RANGE,
    REGEX,
    Asker,
    Change,
    FileKey,
    GrayRule,
    GroupKey,
    Match,
    Seen,
    Text,
)

from .times import local_time

GRAY_SLOT: Final = "gray"
"""The slot of a gray release that is made natively: there is one at a time."""
GRAY_PRIORITY: Final = 0
GRAY_TYPE: Final = "gray"
"""``release_type`` of a gray release; empty for one that everybody sees."""

CLIENT_IP: Final = "CLIENT_IP"
CLIENT_ID: Final = "CLIENT_ID"
"""Labels that every SDK sends."""

ENCRYPTED: Final = "internal-encrypted"
ALGORITHM: Final = "internal-encryptalgo"
DATA_KEY: Final = "internal-datakey"
SECRET_TAGS: Final = frozenset({ENCRYPTED, ALGORITHM, DATA_KEY})
"""Tags by which SDKs learn how a content is encrypted. Made from the file; nobody sets them."""
UNNAMED_CIPHER: Final = "?"
"""What stands for the algorithm where a request says "encrypted" and not by what: no cipher has this name."""


# ---------------------------------------------------------------------- names


def file_key(m: v1.ClientConfigFileInfo | v1.ConfigFileRelease | v1.ConfigFilePublishInfo) -> FileKey:
    """Which file a message is about."""
    return FileKey(m.namespace.value, m.group.value, m.file_name.value)


def draft_key(m: v1.ConfigFile) -> FileKey:
    """The same of the one message that calls the file's name ``name``."""
    return FileKey(m.namespace.value, m.group.value, m.name.value)


def group_key(m: v1.ConfigFileGroup) -> GroupKey:
    """Which group."""
    return GroupKey(m.namespace.value, m.name.value)


# ---------------------------------------------------------------------- what is written


def change_of(m: v1.ConfigFile | v1.ConfigFilePublishInfo) -> Change:
    """What a write says of a file. As on the real server a field that is absent is empty, not as it was.

    Only whether it is encrypted stays as it is when nothing is said of it (the real server decrypts a file whose writer does
    not repeat it, and forgets it in ``UpsertAndPublishConfigFile``).
    """
    return Change(
        content=m.content.value.encode(),
        format=m.format.value,
        comment=m.comment.value,
        tags=tags_of(m.tags),
        algorithm=algorithm_of(m),
    )


def algorithm_of(m: v1.ConfigFile | v1.ConfigFilePublishInfo) -> str | None:
    """By what to encrypt; empty: not at all; None: as before."""
    if not m.HasField("encrypted"):
        return None
    return (m.encrypt_algo.value or UNNAMED_CIPHER) if m.encrypted.value else ""


def tags_of(tags: Iterable[v1.ConfigFileTag]) -> dict[str, str]:
    """Tags of a file; of several with one key the last. Those about encryption are not the writer's to say."""
    return {tag.key.value: tag.value.value for tag in tags if tag.key.value not in SECRET_TAGS}


def rule_of(labels: Iterable[v1.ClientLabel]) -> GrayRule:
    """Which clients a gray release is for. If it says nothing but addresses they become a list, which every protocol knows."""
    matches = tuple(_match(label) for label in labels)
    if len(matches) == 1 and matches[0].key == CLIENT_IP and matches[0].kind in (EXACT, IN):
        return GrayRule(ips=matches[0].values)
    return GrayRule(matches)


def labels_of(rule: GrayRule | None) -> list[v1.ClientLabel]:
    """A rule as native readers see it."""
    if rule is None:
        return []
    labels = [v1.ClientLabel(key=CLIENT_IP, value=_string(v1.MatchString.IN, ",".join(rule.ips)))] if rule.ips else []
    return labels + [v1.ClientLabel(key=m.key, value=_string(*_shown(m))) for m in rule.labels]


_KINDS: Final = {
    v1.MatchString.EXACT: EXACT,
    v1.MatchString.REGEX: REGEX,
    v1.MatchString.NOT_EQUALS: NOT_EQUAL,
    v1.MatchString.IN: IN,
    v1.MatchString.NOT_IN: NOT_IN,
    v1.MatchString.RANGE: RANGE,
}
_TYPES: Final = {kind: number for number, kind in _KINDS.items()}
_ALL: Final = "*"
_BEFORE, _AFTER = "(?s:.*)(?:", ")(?s:.*)"
"""Around a pattern: natively one that matches a part of a value matches the value."""


def _match(label: v1.ClientLabel) -> Match:
    value = label.value.value.value
    kind = _KINDS.get(label.value.type, f"type {label.value.type}")  # a newer one: the core refuses it
    if value in ("", _ALL):
        return Match(label.key, PRESENT)
    match kind:
        case "regex":
            return Match(label.key, kind, (f"{_BEFORE}{value}{_AFTER}",))
        case "in" | "not-in":
            return Match(label.key, kind, tuple(value.split(",")))
        case "range":
            return Match(label.key, kind, tuple(value.split("~")))
    return Match(label.key, kind, (value,))


def _shown(m: Match) -> tuple[int, str]:
    """Type and value of a condition."""
    if m.kind == PRESENT:
        return v1.MatchString.EXACT, _ALL
    if m.kind == REGEX:
        return v1.MatchString.REGEX, m.values[0].removeprefix(_BEFORE).removesuffix(_AFTER)
    return _TYPES[m.kind], ("~" if m.kind == RANGE else ",").join(m.values)


def _string(type: int, value: str) -> v1.MatchString:
    return v1.MatchString(type=type, value={"value": value})


# ---------------------------------------------------------------------- who asks


def asker_of(labels: Mapping[str, str], peer: str) -> Asker:
    """A client as gray releases see it. The address that it says of itself counts before the one that it comes from."""
    ip = labels.get(CLIENT_IP, "") or peer
    return Asker({**labels, CLIENT_IP: ip}, ip)


# ---------------------------------------------------------------------- what clients get


def text_of(content: bytes) -> str:
    """A content as a message can carry it: what is no UTF-8 (other protocols take any bytes) has replacement characters."""
    return content.decode("utf-8", "replace")


def add_tags(m: Tagged, tags: Mapping[str, str]) -> None:
    """Append tags to a message."""
    for key, value in tags.items():
        m.tags.add(key={"value": key}, value={"value": value})


Tagged = v1.ClientConfigFileInfo | v1.ConfigFile | v1.ConfigFileRelease | v1.ConfigFileReleaseHistory


def shown_tags(text: Text) -> dict[str, str]:
    """The tags of a content as readers see them: its own, and how it is encrypted."""
    if not text.algorithm:
        return text.tags
    return {**text.tags, ALGORITHM: text.algorithm, ENCRYPTED: "true"}


def client_info(key: FileKey, seen: Seen) -> v1.ClientConfigFileInfo:
    """A release as GetConfigFile gives it; of an encrypted one without the key."""
    text = seen.release.text
    m = v1.ClientConfigFileInfo()
    m.namespace.value, m.group.value, m.file_name.value = key
    m.content.value = text_of(seen.content)
    m.version.value = seen.version
    m.md5.value = seen.md5
    m.encrypted.value = bool(text.algorithm)
    add_tags(m, shown_tags(text))
    return m


def add_data_key(m: v1.ClientConfigFileInfo, data_key: bytes) -> None:
    """The key of an encrypted content, in the clear or encrypted for one client."""
    add_tags(m, {DATA_KEY: base64.b64encode(data_key).decode()})


def notice(key: FileKey, version: int, md5: str, release: str) -> v1.ClientConfigFileInfo:
    """What a client that waits is told of a file."""
    m = v1.ClientConfigFileInfo()
    m.namespace.value, m.group.value, m.file_name.value = key
    m.version.value, m.md5.value, m.name.value = version, md5, release
    return m


def listed(key: FileKey, seen: Seen) -> v1.ClientConfigFileInfo:
    """A release as the list of a group's files shows it."""
    m = v1.ClientConfigFileInfo()
    m.namespace.value, m.group.value, m.file_name.value = key
    m.version.value, m.name.value = seen.version, seen.release.name
    m.release_time.value = local_time(seen.release.activated.at_ms)
    add_tags(m, shown_tags(seen.release.text))
    return m
