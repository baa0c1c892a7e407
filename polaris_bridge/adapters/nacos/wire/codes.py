"""The codes of answers: those of HTTP v2 and v3 envelopes, and those of gRPC responses. Seen on Nacos 2.5.1 and 3.0.3."""

from __future__ import annotations

from typing import Final

OK: Final = 0

PARAMETER_MISSING: Final = 10000
ACCESS_DENIED: Final = 10001
DATA_ACCESS: Final = 10002

TENANT_PARAM: Final = 20001
PARAMETER_VALIDATE: Final = 20002
MEDIA_TYPE: Final = 20003
RESOURCE_NOT_FOUND: Final = 20004
RESOURCE_CONFLICT: Final = 20005
CONFIG_LISTENER_NULL: Final = 20006
CONFIG_LISTENER: Final = 20007
INVALID_DATA_ID: Final = 20008
PARAMETER_MISMATCH: Final = 20009
GRAY_COUNT: Final = 20010
"""A configuration has too many gray releases."""
GRAY_RULE: Final = 20011
GRAY_VERSION: Final = 20012
GRAY_NAME: Final = 20013

SERVICE_NAME: Final = 21000
WEIGHT: Final = 21001
INSTANCE_METADATA: Final = 21002
INSTANCE_NOT_FOUND: Final = 21003
INSTANCE: Final = 21004
SERVICE_METADATA: Final = 21005
SELECTOR: Final = 21006
SERVICE_EXISTS: Final = 21007
SERVICE_NOT_EXIST: Final = 21008
SERVICE_DELETE: Final = 21009
HEALTHY_MISSING: Final = 21010
HEALTH_CHECK_RUNNING: Final = 21011

NAMESPACE: Final = 22000
"""It exists already, or its id is illegal."""
NAMESPACE_NOT_EXIST: Final = 22001
NAMESPACE_EXISTS: Final = 22002

STATE: Final = 23000
NODE_INFO: Final = 23001
NODE_DOWN: Final = 23002

SERVER_ERROR: Final = 30000
DEPRECATED: Final = 40000
DISABLED: Final = 40001

METADATA_ILLEGAL: Final = 100002
"""What an imported archive says of its files cannot be read."""
PARSING_FAILED: Final = 100004
DATA_EMPTY: Final = 100005
NOTHING_SELECTED: Final = 100006

FUZZY_WATCH_PATTERNS: Final = 50310
"""Too many patterns."""
FUZZY_WATCH_MATCHES: Final = 50311
"""A pattern matches too many services."""

SUCCESS_MESSAGE: Final = "success"

MESSAGES: Final[dict[int, str]] = {
    OK: SUCCESS_MESSAGE,
    PARAMETER_MISSING: "parameter missing",
    ACCESS_DENIED: "access denied",
    DATA_ACCESS: "data access error",
    TENANT_PARAM: "'tenant' parameter error",
    PARAMETER_VALIDATE: "parameter validate error",
    MEDIA_TYPE: "MediaType Error",
    RESOURCE_NOT_FOUND: "resource not found",
    RESOURCE_CONFLICT: "resource conflict",
    CONFIG_LISTENER_NULL: "config listener is null",
    CONFIG_LISTENER: "config listener error",
    INVALID_DATA_ID: "invalid dataId",
    PARAMETER_MISMATCH: "parameter mismatch",
    GRAY_COUNT: "config gray version version over max count",
    GRAY_RULE: "config gray rule format invalid",
    GRAY_VERSION: "config gray rule version invalid",
    GRAY_NAME: "config gray name not recognized",
    SERVICE_NAME: "service name error",
    WEIGHT: "weight error",
    INSTANCE_METADATA: "instance metadata error",
    INSTANCE_NOT_FOUND: "instance not found",
    INSTANCE: "instance error",
    SERVICE_METADATA: "service metadata error",
    SELECTOR: "selector error",
    SERVICE_EXISTS: "service already exist",
    SERVICE_NOT_EXIST: "service not exist",
    SERVICE_DELETE: "service delete failure",
    HEALTHY_MISSING: "healthy param miss",
    HEALTH_CHECK_RUNNING: "health check still running",
    NAMESPACE: "illegal namespace",
    NAMESPACE_NOT_EXIST: "namespace not exist",
    NAMESPACE_EXISTS: "namespace already exist",
    STATE: "illegal state",
    NODE_INFO: "node info error",
    NODE_DOWN: "node down failure",
    SERVER_ERROR: "server error",
    DEPRECATED: "API deprecated.",
    DISABLED: "API function disabled.",
    METADATA_ILLEGAL: "Imported metadata is invalid",
    PARSING_FAILED: "Failed to parse data",
    DATA_EMPTY: "Imported file data is empty",
    NOTHING_SELECTED: "No configuration selected",
}
"""``message`` of an envelope, where nothing else is known to be said with the code."""

# gRPC: resultCode and errorCode of responses
SUCCEEDED: Final = 200
FAILED: Final = 500
INVALID_PARAM: Final = 400
NO_RIGHT: Final = 403
STARTING: Final = 300
UNREGISTERED: Final = 301
NO_HANDLER: Final = 302
BAD_GATEWAY: Final = 502
"""The body cannot be decoded, or the request is not for clients."""

# answers of a heartbeat over HTTP
BEAT_OK: Final = 10200
BEAT_UNKNOWN: Final = 20404
"""The client registers again at once."""
