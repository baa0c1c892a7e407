"""What every gRPC port offers beside its own methods: the standard health service and reflection.

Reflection is answered in both of its versions, whose messages are the same: older tools know v1alpha, newer ones ask v1 first.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from polaris_bridge.transport.rpc import Call, Methods, RpcError, Status

HEALTH: Final = "grpc.health.v1.Health"
REFLECTION: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """``grpc.health.v1``: the port as a whole (service "") and each of its services serve, until the listener drains."""

    def __init__(self, services: list[str]) -> None:
        self._services = {"", *services}
        self._serving = True
        self._watchers: dict[_HealthWatch, str] = {}

    def methods(self) -> Methods:
        """``Check`` and ``Watch``."""
        methods = Methods()
        methods.unary(f"/{HEALTH}/Check", self._check)
        methods.stream(f"/{HEALTH}/Watch", lambda call: _HealthWatch(self, call))
        return methods

    def leave(self) -> None:
        """Nothing serves any more; watchers are told."""
        self._serving = False
        for watcher, service in self._watchers.items():
            watcher.call.send(self._answer(service))

    def _check(self, message: bytes, _call: Call) -> bytes:
        service = _asked(message)
        if service not in self._services:
            raise RpcError(Status.NOT_FOUND, "unknown service")
        return self._answer(service)

    def watch(self, watcher: _HealthWatch, service: str) -> bytes:
        """Begin to tell somebody; returns what is true now."""
        self._watchers[watcher] = service
        return self._answer(service)

    def forget(self, watcher: _HealthWatch) -> None:
        """Stop telling somebody."""
        self._watchers.pop(watcher, None)

    def _answer(self, service: str) -> bytes:
        status = SERVICE_UNKNOWN if service not in self._services else SERVING if self._serving else NOT_SERVING
        answer: bytes = health_pb2.HealthCheckResponse(status=status).SerializeToString()
        return answer


class _HealthWatch:
    """One client of ``Watch``: a request, then answers whenever something changes."""

    def __init__(self, health: Health, call: Call) -> None:
        self._health = health
        self.call = call

    def on_message(self, message: bytes) -> bytes:
        return self._health.watch(self, _asked(message))

    def on_end(self) -> bool:
        return True

    def on_close(self) -> None:
        self._health.forget(self)


def _asked(message: bytes) -> str:
    try:
        return str(health_pb2.HealthCheckRequest.FromString(message).service)
    except DecodeError as error:
        raise RpcError(Status.INTERNAL, f"grpc: error unmarshalling request: {error}") from None


class Reflection:
    """Tells tools such as grpcurl what services there are, and their messages, from a descriptor pool."""

    def __init__(self, services: list[str], pool: DescriptorPool | None) -> None:
        self._services = services
        self._pool = pool

    @cached_property
    def _ours(self) -> Any:
        return self._servicer((*self._services, HEALTH, REFLECTION[1]), self._pool)

    @cached_property
    def _standard(self) -> Any:
        return self._servicer(())

    def _servicer(self, *arguments: Any) -> Any:
        from grpc_reflection.v1alpha.reflection import BaseReflectionServicer  # type: ignore[attr-defined]

        return BaseReflectionServicer(*arguments)  # imports grpcio, for the few who ask

    def methods(self) -> Methods:
        """``ServerReflectionInfo``, in both versions."""
        methods = Methods()
        for service in REFLECTION:
            methods.stream(f"/{service}/ServerReflectionInfo", lambda _call: self)
        return methods

    def on_message(self, message: bytes) -> bytes:
        """One question, one answer."""
        try:
            request = reflection_pb2.ServerReflectionRequest.FromString(message)
        except DecodeError as error:
            raise RpcError(Status.INTERNAL, f"grpc: error unmarshalling request: {error}") from None
        answer: bytes = self._answer(request).SerializeToString()
        return answer

    def _answer(self, request: reflection_pb2.ServerReflectionRequest) -> Any:
        ours = self._ours
        kind = request.WhichOneof("message_request")
        if kind == "list_services":
            return ours._list_services(request)
        if kind == "file_by_filename":
            return self._where(request.file_by_filename)._file_by_filename(request, request.file_by_filename)
        if kind == "file_containing_symbol":
            return self._file_of(request)
        if kind == "file_containing_extension":
            wanted = request.file_containing_extension
            return ours._file_containing_extension(request, wanted.containing_type, wanted.extension_number)
        if kind == "all_extension_numbers_of_type":
            return ours._all_extension_numbers_of_type(request, request.all_extension_numbers_of_type)
        refusal = reflection_pb2.ErrorResponse(error_code=Status.INVALID_ARGUMENT, error_message="nothing was asked")
        return reflection_pb2.ServerReflectionResponse(error_response=refusal, original_request=request)

    def _file_of(self, request: reflection_pb2.ServerReflectionRequest) -> Any:
        """The pool does not find methods and fields by their names: then what they belong to is asked for."""
        name = request.file_containing_symbol
        found = self._where(name)._file_containing_symbol(request, name)
        if not found.HasField("error_response") or "." not in name:
            return found
        return self._where(name)._file_containing_symbol(request, name.rpartition(".")[0])

    def _where(self, name: str) -> Any:
        """The standard services' own messages are not in the adapter's pool."""
        return self._standard if name.startswith(("grpc.health.", "grpc.reflection.", "grpc_")) else self._ours

    def on_end(self) -> None:
        """Nothing to do: one object serves all streams."""

    def on_close(self) -> None:
        """Nothing to do."""
