"""Envoy's rate limit service on the native gRPC ports. Errors are statuses: its ``failure_mode_deny`` says what they mean."""

from __future__ import annotations

from time import perf_counter
from typing import Final

from polaris_bridge.adapters.polaris.service.admission import Admission
from polaris_bridge.adapters.polaris.service.judging.calls import OPERATION
from polaris_bridge.adapters.polaris.service.judging.envoy import EnvoyLimits, Refused
from polaris_bridge.adapters.polaris.service.routes import CLIENT
from polaris_bridge.adapters.polaris.wire import rls
from polaris_bridge.core.errors import Denied
from polaris_bridge.core.ports import Resource
from polaris_bridge.transport.rpc import Call, Methods, RpcError, Status

from .grpc_desk import TOKEN, Observers, caller_of, decoded

SHOULD: Final = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
_NAME: Final = "ShouldRateLimit"


def methods(limits: EnvoyLimits, admission: Admission, observers: Observers) -> Methods:
    """The table. A token may come as ``x-polaris-token`` (``initial_metadata`` of Envoy's ``grpc_service``)."""
    table = Methods()

    def should_rate_limit(data: bytes, call: Call) -> bytes:
        start = perf_counter()
        request = decoded(rls.RateLimitRequest, data)
        status = 400
        try:
            service = limits.service(request)
            about = (Resource("service", service.namespace, service.name),)
            caller = admission.admit(call.metadata(TOKEN) or "", OPERATION, (), caller_of(call), CLIENT, about)
            answer = limits.decide(request, service, caller)
            status = 429 if answer.overall_code == rls.RateLimitResponse.OVER_LIMIT else 200
            return answer.SerializeToString()
        except Refused as error:
            raise RpcError(Status.UNKNOWN, str(error)) from None
        except Denied as error:
            status = 401
            raise RpcError(Status.PERMISSION_DENIED, str(error)) from None
        finally:
            observers.observe(_NAME, status, perf_counter() - start)

    table.unary(SHOULD, should_rate_limit)
    return table
