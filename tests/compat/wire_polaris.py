"""Native messages as trees: which message a gRPC method carries, and its fields by name, unset wrappers left out."""

from __future__ import annotations

import time
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from polaris_bridge.adapters.polaris.wire import limiter, v1

from .bodies import Tree, decode
from .exchange import Exchange
from .recording import Answer
from .substitution import Substitution

# Method -> (request, answer).
MESSAGES: dict[str, tuple[type[Message], type[Message]]] = {
    "/v1.PolarisGRPC/ReportClient": (v1.Client, v1.Response),
    "/v1.PolarisGRPC/RegisterInstance": (v1.Instance, v1.Response),
    "/v1.PolarisGRPC/DeregisterInstance": (v1.Instance, v1.Response),
    "/v1.PolarisGRPC/Heartbeat": (v1.Instance, v1.Response),
    "/v1.PolarisGRPC/Discover": (v1.DiscoverRequest, v1.DiscoverResponse),
    "/v1.PolarisHeartbeatGRPC/BatchHeartbeat": (v1.HeartbeatsRequest, v1.HeartbeatsResponse),
    "/v1.PolarisHeartbeatGRPC/BatchGetHeartbeat": (v1.GetHeartbeatsRequest, v1.GetHeartbeatsResponse),
    "/v1.PolarisHeartbeatGRPC/BatchDelHeartbeat": (v1.DelHeartbeatsRequest, v1.DelHeartbeatsResponse),
    "/v1.PolarisConfigGRPC/CreateConfigFile": (v1.ConfigFile, v1.ConfigClientResponse),
    "/v1.PolarisConfigGRPC/UpdateConfigFile": (v1.ConfigFile, v1.ConfigClientResponse),
    "/v1.PolarisConfigGRPC/PublishConfigFile": (v1.ConfigFileRelease, v1.ConfigClientResponse),
    "/v1.PolarisConfigGRPC/UpsertAndPublishConfigFile": (v1.ConfigFilePublishInfo, v1.ConfigClientResponse),
    "/v1.PolarisConfigGRPC/GetConfigFile": (v1.ClientConfigFileInfo, v1.ConfigClientResponse),
    "/v1.PolarisConfigGRPC/WatchConfigFiles": (v1.ClientWatchConfigFileRequest, v1.ConfigClientResponse),
    "/v1.PolarisConfigGRPC/GetConfigFileMetadataList": (v1.ConfigFileGroupRequest, v1.ConfigClientListResponse),
    "/v1.PolarisConfigGRPC/Discover": (v1.ConfigDiscoverRequest, v1.ConfigDiscoverResponse),
    "/polaris.metric.v2.RateLimitGRPCV2/Service": (limiter.RateLimitRequest, limiter.RateLimitResponse),
    "/polaris.metric.v2.RateLimitGRPCV2/TimeAdjust": (limiter.TimeAdjustRequest, limiter.TimeAdjustResponse),
    "/v1.PolarisServiceContractGRPC/ReportServiceContract": (v1.ServiceContract, v1.Response),
    "/v1.PolarisServiceContractGRPC/GetServiceContract": (v1.ServiceContract, v1.Response),
}


def request_of(method: str, body: bytes) -> Message:
    """Raises KeyError for a method that is not ours, DecodeError for bytes that are no such message."""
    return MESSAGES[method][0].FromString(body)


def read(exchange: Exchange, answer: Answer) -> tuple[str, Tree]:
    """Format and tree of an answer: JSON over HTTP, a message over gRPC; a call's end is its details as text."""
    if exchange.request.method != "grpc":
        return decode(answer.body, answer.header("content-encoding"))
    if answer.status != "message":
        return decode(answer.body, None)
    try:
        message = MESSAGES[exchange.request.target][1].FromString(answer.body)
    except DecodeError:
        return "bytes", answer.body.hex()
    return "message", tree_of(message)


def tree_of(message: Message) -> dict[str, Any]:
    """Fields by their names; what is unset is absent, so that unset and empty differ."""
    tree: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, descriptor_pool=message.DESCRIPTOR.file.pool
    )
    return tree


def rewrite(method: str, body: bytes, known: Substitution) -> bytes:
    """A request with the live values in all its texts, whatever their length, and the time of now in reports to a limiter."""
    if method == LIMITER:
        return _reported_now(body)
    if method not in MESSAGES or not known.table:
        return body
    message = request_of(method, body)
    _replace(message, known)
    return message.SerializeToString()


LIMITER: Final = "/polaris.metric.v2.RateLimitGRPCV2/Service"
LIMITER_RECORDED_MS: Final = 1_795_358_875_000
"""When the limiter's recording was made."""


def _reported_now(body: bytes) -> bytes:
    """A limiter compares a report's time with its own: what was new is new, what was two minutes old is two minutes old."""
    message = limiter.RateLimitRequest.FromString(body)
    report = message.rateLimitReportRequest
    if report.timestamp:
        minutes = round((report.timestamp - LIMITER_RECORDED_MS) / 60_000)
        report.timestamp = int(time.time() * 1000) + minutes * 60_000
    return message.SerializeToString()


def _replace(message: Message, known: Substitution) -> None:
    for field, value in message.ListFields():
        if field.message_type is not None:
            if field.message_type.GetOptions().map_entry:
                continue
            for one in value if field.is_repeated else (value,):
                _replace(one, known)
        elif field.type == field.TYPE_STRING and not field.is_repeated:
            setattr(message, field.name, known.in_text(value))
