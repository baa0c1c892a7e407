"""What operators and consoles are shown of configurations, in the shapes of three generations.

Names, order and what is null are those of Nacos 2.5.1 (v1, v2) and 3.x (v3). Ids are texts, because consoles would round them.
"""

from __future__ import annotations

import time
from typing import Any, Final

from polaris_bridge.adapters.nacos.service.config.capacity import Capacity
from polaris_bridge.adapters.nacos.service.config.history import Row
from polaris_bridge.adapters.nacos.service.config.transfer import Report
from polaris_bridge.adapters.nacos.translate.config import (
    BETA_SLOT,
    attributes_of,
    gray_name_of,
    shown_tags,
    shown_type,
)
from polaris_bridge.core.config.model import FileKey, GrayRule, Seen, Stamp, Text
from polaris_bridge.core.config.reading import FileSnapshot

from .answers import encode

Shown = dict[str, Any]

_FORMAL, _GRAY = "formal", "gray"
_RULE_VERSION: Final = "1.0.0"


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _id(snapshot: FileSnapshot) -> str:
    return str(snapshot.file.id) if snapshot.file is not None else "0"


def _created(snapshot: FileSnapshot) -> Stamp:
    return snapshot.file.created if snapshot.file is not None else Stamp()


def _tags(text: Text) -> str | None:
    return ",".join(shown_tags(text)) or None


# ---------------------------------------------------------------------- configurations, v1 and v2


def item(snapshot: FileSnapshot, seen: Seen, tenant: str) -> Shown:
    """One of a search: its md5 is not said."""
    text = seen.release.text
    return {
        "id": _id(snapshot),
        "dataId": snapshot.key.name,
        "group": snapshot.key.group,
        "content": _text(seen.content),
        "md5": None,
        "encryptedDataKey": text.client_key,
        "tenant": tenant,
        "appName": attributes_of(text).app,
        "type": shown_type(text),
    }


def exact_item(snapshot: FileSnapshot, seen: Seen, tenant: str) -> Shown:
    """The same of an exact search, which does not say that there is no key."""
    return item(snapshot, seen, tenant) | {"encryptedDataKey": seen.release.text.client_key or None}


def detail(snapshot: FileSnapshot, seen: Seen, tenant: str) -> Shown:
    """All that is known of one."""
    found = item(snapshot, seen, tenant) | {"md5": seen.md5}
    return found | {name: value for name, value in advance(snapshot, seen).items() if name != "type"}


def advance(snapshot: FileSnapshot, seen: Seen) -> Shown:
    """What is said of one. ``createUser`` and ``createIp`` are of its last publication, as there."""
    text, author = seen.release.text, seen.release.created
    said = attributes_of(text)
    return {
        "createTime": _created(snapshot).at_ms,
        "modifyTime": seen.release.activated.at_ms,
        "createUser": author.by or None,
        "createIp": author.address or None,
        "desc": text.comment or None,
        "use": said.use or None,
        "effect": said.effect or None,
        "type": shown_type(text),
        "schema": said.schema or None,
        "configTags": _tags(text),
    }


def named(snapshot: FileSnapshot, seen: Seen, tenant: str) -> Shown:
    """One of all of a namespace, without its content."""
    text = seen.release.text
    return {
        "id": "0",
        "dataId": snapshot.key.name,
        "group": snapshot.key.group,
        "content": None,
        "md5": None,
        "encryptedDataKey": None,
        "tenant": tenant,
        "appName": attributes_of(text).app,
        "type": shown_type(text),
        "lastModified": seen.release.activated.at_ms,
    }


# ---------------------------------------------------------------------- configurations, v3


def basic(snapshot: FileSnapshot, seen: Seen, namespace_id: str) -> Shown:
    """One of a list."""
    text = seen.release.text
    return {
        "id": _id(snapshot),
        "namespaceId": namespace_id,
        "groupName": snapshot.key.group,
        "dataId": snapshot.key.name,
        "md5": seen.md5,
        "type": shown_type(text),
        "appName": attributes_of(text).app,
        "createTime": _created(snapshot).at_ms,
        "modifyTime": seen.release.activated.at_ms,
    }


def detail_v3(snapshot: FileSnapshot, seen: Seen, namespace_id: str) -> Shown:
    """All that is known of one."""
    text, author = seen.release.text, seen.release.created
    return basic(snapshot, seen, namespace_id) | {
        "content": _text(seen.content),
        "desc": text.comment or None,
        "encryptedDataKey": text.client_key,
        "createUser": author.by or None,
        "createIp": author.address or None,
        "configTags": _tags(text),
    }


def gray_v3(snapshot: FileSnapshot, seen: Seen, namespace_id: str) -> Shown:
    """What is published for some clients."""
    active = seen.active
    return detail_v3(snapshot, seen, namespace_id) | {
        "grayName": gray_name_of(active.gray),
        "grayRule": _rule(active.gray, active.rule, active.priority),
    }


# ---------------------------------------------------------------------- history


def row(found: Row, tenant: str, content: bytes | None) -> Shown:
    """A row of v1 and v2. ``content`` None: it and its md5 are not said, as in lists."""
    text, whole = found.text, content is not None
    when = _iso(found.stamp.at_ms)
    return {
        "id": str(found.number),
        "lastId": -1,
        "dataId": found.key.name,
        "group": found.key.group,
        "tenant": tenant,
        "appName": attributes_of(text).app,
        "md5": text.md5 if whole else None,
        "content": None if content is None else _text(content),
        "srcIp": found.stamp.address,
        "srcUser": found.stamp.by or None,
        "opType": f"{found.operation:10}",
        "publishType": _GRAY if found.slot else _FORMAL,
        "grayName": gray_name_of(found.slot),
        "extInfo": ext_info(found, text),
        "createdTime": when,
        "lastModifiedTime": when,
        "encryptedDataKey": text.client_key if whole else None,
    }


def compared(found: Row, tenant: str, before: bytes | None, after: bytes | None) -> Shown:
    """A row of v2 with what was there before it and after it. None: nothing."""
    when = _iso(found.stamp.at_ms)
    old = found.text if before is not None else None
    new = found.after if after is not None else None
    nothing = "" if found.operation == "I" else None
    return {
        "id": found.number,
        "lastId": -1,
        "dataId": found.key.name,
        "group": found.key.group,
        "tenant": tenant,
        "opType": found.operation,
        "publishType": _GRAY if found.slot else _FORMAL,
        "grayName": gray_name_of(found.slot),
        "appName": attributes_of(found.text).app,
        "srcIp": found.stamp.address,
        "srcUser": found.stamp.by or None,
        "originalMd5": nothing if old is None else old.md5,
        "originalContent": nothing if before is None else _text(before),
        "originalEncryptedDataKey": nothing if old is None else old.client_key,
        "originalExtInfo": nothing if old is None else ext_info(found, old),
        "updatedMd5": None if new is None else new.md5,
        "updatedContent": None if after is None else _text(after),
        "updatedEncryptedDataKey": None if new is None else new.client_key,
        "updateExtInfo": None if new is None else ext_info(found, new),
        "createdTime": when,
        "lastModifiedTime": when,
    }


def row_v3(found: Row, namespace_id: str, content: bytes | None) -> Shown:
    """A row of v3. ``content`` None: as in lists."""
    text, when = found.text, found.stamp.at_ms
    said: Shown = {
        "id": str(found.number),
        "namespaceId": namespace_id,
        "groupName": found.key.group,
        "dataId": found.key.name,
        "md5": text.md5,
        "type": shown_type(text),
        "appName": attributes_of(text).app,
        "createTime": when,
        "modifyTime": when,
        "srcIp": found.stamp.address,
        "srcUser": found.stamp.by or None,
        "opType": f"{found.operation:10}",
        "publishType": _GRAY if found.slot else _FORMAL,
    }
    if content is None:
        return said
    return said | {
        "content": _text(content),
        "encryptedDataKey": text.client_key,
        "grayName": gray_name_of(found.slot),
        "extInfo": ext_info(found, text),
    }


def ext_info(found: Row, text: Text) -> str:
    """What else was said of a content, as JSON in a text."""
    author = found.author if text is found.text else found.stamp.by
    if found.slot:
        rule = _rule(found.slot, found.rule, str(found.priority))
        gray = {"gray_name": gray_name_of(found.slot), "gray_rule": rule, "src_user": author}
        return encode({name: value for name, value in gray.items() if value}).decode()
    said = attributes_of(text)
    members = {
        "type": shown_type(text),
        "config_tags": _tags(text),
        "effect": said.effect,
        "src_user": author,
        "c_desc": text.comment,
        "c_use": said.use,
        "c_schema": said.schema,
    }
    return encode({name: value for name, value in members.items() if value}).decode()


def _rule(slot: str, rule: GrayRule | None, priority: int | str) -> str:
    """A gray rule as Nacos writes it; one that it could not write is said by its labels."""
    rule = rule or GrayRule()
    by_address = bool(rule.ips) or slot == BETA_SLOT
    expression = ",".join(rule.ips or (value for match in rule.labels for value in match.values))
    said = {
        "type": "beta" if by_address else "tag",
        "expr": expression,
        "version": _RULE_VERSION,
        "priority": priority,
    }
    return encode(said).decode()


def _iso(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}+00:00"


# ---------------------------------------------------------------------- the rest


def report(found: Report, unrecognized: tuple[str, ...] = ()) -> Shown:
    """What became of an import or a clone."""
    said: Shown = {"succCount": found.succeeded}
    if unrecognized:
        said["unrecognizedCount"] = len(unrecognized)
    said["skipCount"] = len(found.skipped)
    for name, keys in (("failData", found.failed), ("skipData", found.skipped)):
        if keys:
            said[name] = [_names(key) for key in keys]
    if unrecognized:
        said["unrecognizedData"] = [{"itemName": name} for name in unrecognized]
    return said


def _names(key: FileKey) -> Shown:
    return {"dataId": key.name, "group": key.group}


def capacity(found: Capacity, member: str, name: str) -> Shown:
    """Numbers with the name of what they are about."""
    return {
        "id": found.id,
        "quota": found.quota,
        "usage": found.usage,
        "maxSize": found.max_size,
        "maxAggrCount": found.max_aggr_count,
        "maxAggrSize": found.max_aggr_size,
        "gmtCreate": None,
        "gmtModified": None,
        member: name,
    }
