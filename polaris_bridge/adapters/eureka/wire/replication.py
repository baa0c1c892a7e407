"""Peer replication: a batch of calls in, one answer for each out."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final, get_args

import msgspec
from msgspec import Raw, Struct

from .json_in import decode_bare_instance_json, elements, is_null, parsed, scalar, text
from .json_out import dump, json_full
from .messages import STATUS_WORDS, Action, Format, Malformed, ReplicationAnswer, ReplicationItem, ReplicationList
from .scalars import LONG_MAX, as_whole
from .xml_out import xml_full

_NULL: Final = Raw(b"null")
_ACTIONS: Final[dict[str, Action]] = {action: action for action in get_args(Action)}
_XML_PACKAGE: Final = "com.netflix.eureka.cluster.protocol."


class _Item(Struct, gc=False):
    appName: Raw = _NULL
    id: Raw = _NULL
    action: Raw = _NULL
    lastDirtyTimestamp: Raw = _NULL
    status: Raw = _NULL
    overriddenStatus: Raw = _NULL
    instanceInfo: Raw = _NULL


class _Batch(Struct, gc=False):
    replicationList: Raw = _NULL


class _Answer(Struct, gc=False):
    statusCode: Raw = _NULL
    responseEntity: Raw = _NULL


class _Answers(Struct, gc=False):
    responseList: Raw = _NULL


_ANSWERS: Final = msgspec.json.Decoder(_Answers)
_ANSWER: Final = msgspec.json.Decoder(_Answer)
_BATCH: Final = msgspec.json.Decoder(_Batch)
_ITEM: Final = msgspec.json.Decoder(_Item)


def decode_batch(body: bytes) -> ReplicationList:
    """Body of POST peerreplication/batch/ (JSON, already un-gzipped). One bad item makes the whole batch Malformed."""
    batch = parsed(_BATCH, body, "document")
    if is_null(batch.replicationList):
        raise Malformed("replicationList", "missing")
    return ReplicationList([_item(raw) for raw in elements(batch.replicationList, "replicationList")])


def _item(raw: Raw) -> ReplicationItem:
    item = parsed(_ITEM, raw, "replicationList")
    action = text(item.action, "action")
    if action is not None and action not in _ACTIONS:
        raise Malformed("replicationList.action", "unknown action")
    instance = None if is_null(item.instanceInfo) else decode_bare_instance_json(item.instanceInfo, strict=True)
    return ReplicationItem(
        app_name=text(item.appName, "appName"),
        id=text(item.id, "id"),
        action=None if action is None else _ACTIONS[action],
        last_dirty_ms=as_whole(scalar(item.lastDirtyTimestamp, "lastDirtyTimestamp"), "lastDirtyTimestamp", LONG_MAX),
        status=_word(text(item.status, "status")),
        overridden_status=_word(text(item.overriddenStatus, "overriddenStatus")),
        instance=instance,
    )


def _word(status: str | None) -> str | None:
    """A status word as sent (the operation decides what an unknown one means), shared when it is a known one."""
    return None if status is None else STATUS_WORDS.get(status, status)


def encode_answers(answers: Sequence[ReplicationAnswer], format_: Format = "json") -> bytes:
    """The answer's body, in the order of the batch."""
    return _answers_json(answers) if format_ == "json" else _answers_xml(answers)


def _answers_json(answers: Sequence[ReplicationAnswer]) -> bytes:
    parts = [
        b'{"statusCode":%d}' % answer.status_code
        if answer.instance is None
        else b'{"statusCode":%d,"responseEntity":%b}' % (answer.status_code, json_full(answer.instance))
        for answer in answers
    ]
    return b'{"responseList":[%b]}' % b",".join(parts)


def _answers_xml(answers: Sequence[ReplicationAnswer]) -> bytes:
    root, item = f"{_XML_PACKAGE}ReplicationListResponse", f"{_XML_PACKAGE}ReplicationInstanceResponse"
    if not answers:
        return f"<{root}>\n  <responseList/>\n</{root}>".encode()
    parts = [f"<{root}>\n  <responseList>".encode()]
    for answer in answers:
        parts.append(f"\n    <{item}>\n      <statusCode>{answer.status_code}</statusCode>".encode())
        if answer.instance is not None:
            entity = xml_full(answer.instance, "\n      ")
            parts.append(b"\n      <responseEntity>" + entity.partition(b"<instance>")[2])
            parts[-1] = parts[-1].removesuffix(b"</instance>") + b"</responseEntity>"
        parts.append(f"\n    </{item}>".encode())
    parts.append(f"\n  </responseList>\n</{root}>".encode())
    return b"".join(parts)


def encode_batch(items: Sequence[ReplicationItem]) -> bytes:
    """Body of POST peerreplication/batch/, as servers send it to each other."""
    return b'{"replicationList":[%b]}' % b",".join(map(_item_json, items))


def _item_json(item: ReplicationItem) -> bytes:
    members: dict[str, object] = {"appName": item.app_name, "id": item.id, "lastDirtyTimestamp": item.last_dirty_ms}
    members |= {"overriddenStatus": item.overridden_status, "status": item.status, "action": item.action}
    head = dump({name: value for name, value in members.items() if value is not None})
    return head if item.instance is None else head[:-1] + b',"instanceInfo":%b}' % json_full(item.instance)


def decode_answers(body: bytes) -> list[ReplicationAnswer]:
    """A peer's answer to a batch (JSON). Malformed when it is none."""
    found = parsed(_ANSWERS, body, "document")
    answers = []
    for raw in elements(found.responseList, "responseList"):
        one = parsed(_ANSWER, raw, "responseList")
        status = as_whole(scalar(one.statusCode, "statusCode"), "statusCode", 999)
        instance = None if is_null(one.responseEntity) else decode_bare_instance_json(one.responseEntity, strict=False)
        answers.append(ReplicationAnswer(status or 0, instance))
    return answers


def gunzip(body: bytes, max_bytes: int) -> bytes:
    """Undo ``Content-Encoding: gzip``. Malformed when it is not exactly one whole gzip member or unpacks to more than
    ``max_bytes``; never holds more than that."""
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise Malformed("content-encoding", str(error)) from None
    if len(plain) > max_bytes:
        raise Malformed("content-encoding", f"unpacks to more than {max_bytes} bytes")
    if not inflater.eof or inflater.unused_data:
        raise Malformed("content-encoding", "not one whole gzip member")
    return plain
