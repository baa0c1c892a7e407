"""Which transport carries a gRPC port: ours, or grpcio, which is imported only when it is chosen."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.descriptor_pool import DescriptorPool

from polaris_bridge.transport.rpc import Methods

from .adapter import Listener
from .native_grpc import NativeGrpcListener
from .settings import GrpcSettings


def grpc_port(
    settings: GrpcSettings,
    methods: Methods,
    *,
    allow: Callable[[str], bool] | None,
    pool: DescriptorPool | None,
) -> Listener:
    """A listener of the transport that the settings name, not started yet."""
    if settings.transport == "native":
        return NativeGrpcListener(settings, methods, allow=allow, pool=pool)
    from .grpc_listener import GrpcListener

    return GrpcListener(settings, methods, allow=allow, pool=pool)
