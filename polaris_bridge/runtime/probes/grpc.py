"""The GRPC check: the standard health service (grpc.health.v1) is asked; SERVING passes. Its client comes with the first one."""

from __future__ import annotations

from polaris_bridge.core.health import Check, Outcome
from polaris_bridge.core.model import CRITICAL, PASSING


async def perform(check: Check) -> Outcome:
    """Ask."""
    import grpc
    from grpc import aio
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    host = f"[{check.host}]" if ":" in check.host else check.host
    target = f"{host}:{check.port}"
    if check.tls:
        options = [("grpc.ssl_target_name_override", check.server_name)] if check.server_name else []
        channel = aio.secure_channel(target, grpc.ssl_channel_credentials(), options=options)
    else:
        channel = aio.insecure_channel(target)
    async with channel:
        try:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(
                health_pb2.HealthCheckRequest(service=check.service), timeout=check.timeout_ms / 1000
            )
        except aio.AioRpcError as error:
            return Outcome(CRITICAL, f"rpc error: code = {error.code().name} desc = {error.details()}")
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return Outcome(PASSING, "success")
    name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return Outcome(CRITICAL, f"gRPC {check.service or 'server'} serving status: {name}")
