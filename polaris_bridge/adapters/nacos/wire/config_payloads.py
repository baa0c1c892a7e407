"""Configuration over gRPC: the JSON bodies that clients send, as types, and those that they are answered and told.

As lenient as ``json_in``. Members of answers stand in the order of Nacos 2.5.1, and as there what is null is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from .config import NOT_FOUND
from .json_in import Scalar, read, texts

_NOT_THERE: Final = (
    b'{"resultCode":500,"errorCode":300,"message":%b,"lastModified":0,%%b"beta":false,"success":false}'
    % msgspec.json.encode(NOT_FOUND)
)
"""A body about a file that is not there, with room for the tag that was asked for."""


class Context(Struct, rename="camel", gc=False):
    """One file that a client listens to, with what it has of it. Null and absent members are empty; what was not said is not
    said back."""

    data_id: str | None = None
    group: str | None = None
    tenant: str | None = None
    md5: str | None = None


class _Query(Struct, rename="camel", gc=False):
    data_id: str | None = ""
    group: str | None = ""
    tenant: str | None = ""
    tag: str | None = ""


class _Publish(Struct, rename="camel", gc=False):
    data_id: str | None = ""
    group: str | None = ""
    tenant: str | None = ""
    content: str | None = None
    cas_md5: str | None = ""
    addition_map: dict[str, Scalar] | None = None


class _BatchListen(Struct, rename="camel", gc=False):
    listen: bool | None = True
    config_listen_contexts: list[Context] | None = None


class _Metrics(Struct, rename="camel", gc=False):
    request_id: str | None = ""
    metrics: dict[str, object] | None = None


class QueryRequest(Struct, frozen=True, gc=False):
    """``ConfigQueryRequest`` and ``ConfigRemoveRequest``: one file, and of it what is for a tag."""

    data_id: str
    group: str
    tenant: str
    tag: str


class PublishRequest(Struct, frozen=True, gc=False):
    """``ConfigPublishRequest``."""

    data_id: str
    group: str
    tenant: str
    content: str | None
    """None: none was sent."""
    cas_md5: str
    additions: dict[str, str]
    """``type``, ``desc``, ``betaIps`` and what else is said of the content."""


class BatchListenRequest(Struct, frozen=True, gc=False):
    """``ConfigBatchListenRequest``: a client listens to files, or (``listen`` false) does so no more."""

    listen: bool
    contexts: list[Context]


_query: Final = msgspec.json.Decoder(_Query, strict=False)
_publish: Final = msgspec.json.Decoder(_Publish, strict=False)
_batch_listen: Final = msgspec.json.Decoder(_BatchListen, strict=False)
_metrics: Final = msgspec.json.Decoder(_Metrics, strict=False)
_json: Final = msgspec.json.Encoder().encode


def query_request(body: bytes) -> QueryRequest:
    """Raises Malformed."""
    m = read(_query, body)
    return QueryRequest(m.data_id or "", m.group or "", m.tenant or "", m.tag or "")


def publish_request(body: bytes) -> PublishRequest:
    """Raises Malformed."""
    m = read(_publish, body)
    return PublishRequest(
        m.data_id or "", m.group or "", m.tenant or "", m.content, m.cas_md5 or "", texts(m.addition_map)
    )


def batch_listen_request(body: bytes) -> BatchListenRequest:
    """Raises Malformed."""
    m = read(_batch_listen, body)
    return BatchListenRequest(m.listen is not False, m.config_listen_contexts or [])


def metrics_response(body: bytes) -> tuple[str, Mapping[str, object]]:
    """A ``ClientConfigMetricResponse``: number of the request, and what the client says. Raises Malformed."""
    m = read(_metrics, body)
    return m.request_id or "", m.metrics or {}


# ---------------------------------------------------------------------- answers


def found(
    content: str,
    md5: str,
    content_type: str,
    encrypted_data_key: str | None,
    modified_ms: int,
    *,
    beta: bool,
    tag: str,
) -> bytes:
    """The body of a ``ConfigQueryResponse``. ``encrypted_data_key`` None and ``tag`` "" (of a gray release): left out."""
    return b"".join(
        (
            b'{"resultCode":200,"errorCode":0,"content":',
            _json(content),
            b"" if encrypted_data_key is None else b',"encryptedDataKey":' + _json(encrypted_data_key),
            b',"contentType":',
            _json(content_type),
            b',"md5":"%b","lastModified":%d' % (md5.encode(), modified_ms),
            b',"tag":' + _json(tag) if tag else b"",
            b',"beta":true' if beta else b',"beta":false',
            b',"success":true}',
        )
    )


def not_there(tag: str) -> bytes:
    """The body of a ``ConfigQueryResponse`` about nothing."""
    return _NOT_THERE % (b'"tag":%b,' % _json(tag) if tag else b"")


def changed(contexts: Iterable[Context]) -> bytes:
    """The body of a ``ConfigChangeBatchListenResponse``: each file as the client spelled it."""
    items = b",".join(map(_named, contexts))
    return b'{"resultCode":200,"errorCode":0,"changedConfigs":[%b],"success":true}' % items


def _named(c: Context) -> bytes:
    said = (b'"group":', c.group), (b'"dataId":', c.data_id), (b'"tenant":', c.tenant)
    return b"{%b}" % b",".join([name + _json(value) for name, value in said if value is not None])


def notification(data_id: str, group: str, tenant: str) -> tuple[bytes, bytes]:
    """The body of a ``ConfigChangeNotifyRequest`` in two halves, between which the number of the request belongs."""
    named = b'"dataId":%b,"group":%b' % (_json(data_id), _json(group))
    if tenant:
        named += b',"tenant":%b' % _json(tenant)
    return b'{"headers":{},"requestId":"', b'",%b,"module":"config"}' % named


def metrics_request(number: bytes, group_key: str) -> bytes:
    """The body of a ``ClientConfigMetricRequest``. ``group_key``: of one file, as in ``group_key``; "": everything."""
    keys = [{"type": kind, "key": group_key} for kind in ("cacheData", "snapshotData")] if group_key else []
    return b'{"headers":{},"requestId":"%b","metricsKeys":%b,"module":"config"}' % (number, _json(keys))


def group_key(data_id: str, group: str, namespace_id: str) -> str:
    """A file in one word, as clients of patterns know it: ``dataId+group+namespaceId`` with ``+`` and ``%`` escaped."""
    return "+".join(part.replace("%", "%25").replace("+", "%2B") for part in (data_id, group, namespace_id) if part)
