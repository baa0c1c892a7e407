"""Heartbeats by the hundred: what agents and gateways send for many instances (``PolarisHeartbeatGRPC``)."""

from __future__ import annotations

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.keys import instance_id
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.model import Caller
from polaris_bridge.core.registry import Registry

from .console.long_work import LongWork
from .index import InstanceIndex
from .registration import Registering
from .routes import Result


class Heartbeats:
    """The batch calls. A batch is never refused: what is unknown in it is passed over. A long one is done in slices."""

    def __init__(
        self, registry: Registry, settings: PolarisSettings, index: InstanceIndex, registering: Registering
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._index = index
        self._registering = registering
        self._long = LongWork(registry.scheduler)

    def beat(self, request: v1.HeartbeatsRequest, caller: Caller) -> Result:
        """A sign of life of each instance, by its id, else by its place: an empty ``HeartbeatsResponse`` whatever happened."""
        return self._long.result(self._beat(request, caller), len(request.heartbeats))

    def get(self, request: v1.GetHeartbeatsRequest, caller: Caller) -> Result:
        """When each instance was last heard of, in the order asked; ``exist`` says whether it is registered here.

        An instance without heartbeats counts from its last registration.
        """
        return self._long.result(self._get(request), len(request.instanceIds))

    def forget(self, request: v1.DelHeartbeatsRequest, caller: Caller) -> Result:
        """Accepted without effect: it is how servers of a cluster clean up after a deregistration, and a lease of ours
        ends with its registration."""
        return v1.DelHeartbeatsResponse()

    # ------------------------------------------------------------------ work

    def _beat(self, request: v1.HeartbeatsRequest, caller: Caller) -> Work:
        heard = self._registering.heard
        for beat in request.heartbeats if self._settings.health_check else ():
            id = beat.instanceId or instance_id(beat.namespace, beat.service, beat.host, beat.port)
            try:
                heard(id, caller)
            except CoreError:
                continue  # the store takes nothing just now; who is silent for it shows it at its next heartbeat
            yield
        return v1.HeartbeatsResponse()

    def _get(self, request: v1.GetHeartbeatsRequest) -> Work:
        answer = v1.GetHeartbeatsResponse()
        for id in request.instanceIds:
            answer.records.append(self._record(id))
            yield
        return answer

    def _record(self, id: str) -> v1.HeartbeatRecord:
        key = self._index.find(id)
        r = self._registry.newest(key) if key is not None else None
        if r is None:
            return v1.HeartbeatRecord(instanceId=id)
        seconds = self._registry.last_renewed_ms(r) // 1000
        return v1.HeartbeatRecord(instanceId=id, lastHeartbeatSec=seconds, exist=True)
