"""What who asks too often is answered natively: 429002 for an address, 403003 for an API, in the answer's own shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters._shared.throttle import Excess, RpcLimit
from polaris_bridge.adapters.polaris.answers import bare
from polaris_bridge.adapters.polaris.service.config.answers import discovered
from polaris_bridge.adapters.polaris.wire import v1

from .grpc import BEATING, CONTRACTS, NAMING
from .grpc_config import SERVICE
from .http import coded

_CODES: Final = {Excess.ADDRESS: v1.IPRateLimit, Excess.API: v1.APIRateLimit}


def too_many(request: Request, found: Excess) -> Response:
    """Over HTTP: the status is the code's first three digits, as everywhere."""
    return coded(request, _CODES[found])


def _bare(_message: bytes, found: Excess) -> bytes:
    return bare(_CODES[found])


def _discovered(_message: bytes, found: Excess) -> bytes:
    return discovered(_CODES[found], 0).SerializeToString()


def _nothing(_message: bytes, _found: Excess) -> bytes:
    """An answer that has no code: refused means empty."""
    return b""


NAMING_ANSWERS: Final[Mapping[str, RpcLimit | None]] = {
    **dict.fromkeys(
        (NAMING + name for name in ("RegisterInstance", "DeregisterInstance", "Heartbeat", "ReportClient", "Discover")),
        _bare,
    ),
    CONTRACTS + "ReportServiceContract": _bare,
    CONTRACTS + "GetServiceContract": _bare,
    BEATING + "BatchGetHeartbeat": _nothing,
    BEATING + "BatchDelHeartbeat": _nothing,
    BEATING + "BatchHeartbeat": None,
}
"""Of port 8091. Batches of heartbeats that servers forward are not limited, as on polaris-server 1.19."""

CONFIG_ANSWERS: Final[Mapping[str, RpcLimit | None]] = {
    **dict.fromkeys(
        (
            SERVICE + name
            for name in (
                "CreateConfigFile",
                "UpdateConfigFile",
                "PublishConfigFile",
                "UpsertAndPublishConfigFile",
                "GetConfigFile",
                "WatchConfigFiles",
                "GetConfigFileMetadataList",
            )
        ),
        _bare,
    ),
    SERVICE + "Discover": _discovered,
}
"""Of port 8093."""
