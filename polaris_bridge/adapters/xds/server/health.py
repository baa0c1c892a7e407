"""Health discovery over gRPC: an Envoy says what it could check, is told what, and reports.

Statuses as polaris-server's: UNAVAILABLE when its instances cannot be registered (so that it comes back), NOT_FOUND for a report
of nobody knows whom; besides, INVALID_ARGUMENT for a node that cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Final

from google.protobuf.message import DecodeError

from polaris_bridge.adapters.xds.service.admission import Admission
from polaris_bridge.adapters.xds.service.health import HealthStream, Standing, Stranger
from polaris_bridge.adapters.xds.translate.nodes import node_of
from polaris_bridge.adapters.xds.wire.fields import Malformed
from polaris_bridge.adapters.xds.wire.node import read_node
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.errors import CoreError, Denied
from polaris_bridge.core.registry import Registry
from polaris_bridge.transport.rpc import Call, Later, Methods, RpcError, Status

from .grpc import Observe, proven
from .loading import Gate, Loading

METHOD: Final = "/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck"


def methods(registry: Registry, admission: Admission, loading: Loading, observe: Observe) -> Methods:
    """The table."""
    table = Methods()
    table.stream(METHOD, lambda call: Checking(registry, admission, loading, observe, call))
    return table


class Checking(Gate):
    """One stream."""

    def __init__(
        self, registry: Registry, admission: Admission, loading: Loading, observe: Observe, call: Call
    ) -> None:
        super().__init__(loading, call)
        principal = proven(admission, call)
        self._observe = observe
        self._stream = HealthStream(
            registry,
            lambda data: (node_of(fields := read_node(data)), fields.metadata),
            lambda namespace, service: admission.registers(principal, namespace, service),
            principal or "",
        )

    def handle(self, message: bytes, /) -> bytes | Later | None:
        """See ``Gate``."""
        start = perf_counter()
        status = 400
        try:
            found = self._stream.receive(message, self._call.peer)
            status = 200
        except (DecodeError, Malformed) as error:
            raise RpcError(Status.INTERNAL, f"grpc: error unmarshalling request: {error}") from None
        except Stranger as error:
            raise RpcError(Status.NOT_FOUND, str(error)) from None
        except ValueError as error:
            raise RpcError(Status.INVALID_ARGUMENT, str(error)) from None
        except Denied as error:
            raise RpcError(Status.PERMISSION_DENIED, str(error)) from None
        except CoreError as error:
            raise RpcError(Status.UNAVAILABLE, f"the services could not be registered: {error}") from None
        finally:
            self._observe("StreamHealthCheck", status, perf_counter() - start)
        return None if found is None else _Registered(*found)


class _Registered:
    """The answer to a request, once what it registers is durable."""

    def __init__(self, standing: Standing, commits: list[Commit]) -> None:
        self._standing = standing
        self._commits = commits

    def then(self, reply: Callable[[bytes | RpcError], None], /) -> None:
        """See ``Later``."""
        left = len(self._commits)
        failed: list[Exception] = []

        def one(error: Exception | None) -> None:
            nonlocal left
            left -= 1
            if error is not None:
                failed.append(error)
            if left == 0:
                finish()

        def finish() -> None:
            if failed:
                reply(RpcError(Status.UNAVAILABLE, f"the services could not be registered: {failed[0]}"))
            else:
                reply(self._standing.specifier())

        if not self._commits:
            finish()
        for commit in self._commits:
            commit.then(one)
