"""What operators do with instances: clean up behind those that are gone, and ask when one was last heard of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from polaris_bridge.adapters.polaris.answers import respond
from polaris_bridge.adapters.polaris.service.index import InstanceIndex
from polaris_bridge.adapters.polaris.service.routes import Later, Query, Text
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.instances import OK, check_named, id_of
from polaris_bridge.adapters.polaris.translate.shown import instances
from polaris_bridge.adapters.polaris.translate.times import local_time
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Caller, Registration
from polaris_bridge.core.ports import REGISTRATION
from polaris_bridge.core.registry import Registry

from .plain import BadBody, member, read, refused, shown

KEPT_MS: Final = 10 * 60 * 1000
"""Tombstones younger than this stay: clients of a server that starts again are told of them. The original's limit too."""
_MAX_BATCH: Final = 2**32


class Upkeep:
    """Instances as operators see them."""

    def __init__(
        self,
        registry: Registry,
        settings: PolarisSettings,
        index: InstanceIndex,
        pairs: Mapping[str, Callable[[Registration], Mapping[str, str]]],
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._index = index
        self._pairs = pairs

    def clean(self, instance: v1.Instance, _caller: Caller) -> v1.Response:
        """POST instance/clean: what is left of an instance that is gone. One that is there is not touched.

        Here that is a tombstone in the store; all that are old enough go with it.
        """
        code = check_named(instance)
        if code == OK:
            self._registry.purge(self._before_ms(), (REGISTRATION,))
        return respond(code, instance=instance)

    def batch_clean(self, body: bytes, _caller: Caller) -> Later | Text:
        """POST instance/batchclean ``{batch_size}``: so many tombstones of instances, and how many there were."""
        try:
            size = member(read(body), "batch_size", int, 0)
        except BadBody as error:
            return refused(str(error))
        if not 0 <= size < _MAX_BATCH:
            return refused("batch_size: expected 0 to 4294967295")
        if size == 0:
            return shown({"rows_affected": 0})
        return _Purging(self._registry, self._before_ms(), size)

    def _before_ms(self) -> int:
        return self._registry.clock.wall_ms() - KEPT_MS

    def last_heartbeat(self, query: Query, _caller: Caller) -> v1.Response:
        """GET instance/heartbeat, by ``id`` or by service, namespace, host, port and vpc_id: times in the metadata."""
        if not self._settings.health_check:
            return respond(v1.HealthCheckNotOpen)
        asked = _asked({name: values[0] for name, values in query.items()})
        code = check_named(asked)
        if code != OK:
            return respond(code, instance=asked)
        id = asked.id.value = id_of(asked)
        found = self._find(id)
        if found is None:
            return respond(v1.NotFoundResource, instance=asked)
        r, m = found
        if not m.HasField("health_check"):
            return respond(v1.HeartbeatTypeNotFound, instance=asked)
        for field in ("service", "namespace", "host", "port", "vpc_id", "health_check"):
            asked.ClearField(field)
            if m.HasField(field):
                getattr(asked, field).CopyFrom(getattr(m, field))
        heard_ms = self._registry.last_renewed_ms(r)
        asked.metadata["last-heartbeat-timestamp"] = str(heard_ms // 1000)
        asked.metadata["last-heartbeat-time"] = local_time(heard_ms)
        asked.metadata["system-time"] = local_time(self._registry.clock.wall_ms())
        return respond(OK, instance=asked)

    def _find(self, id: str) -> tuple[Registration, v1.Instance] | None:
        """An instance as native readers see it, whatever protocol it came by."""
        key = self._index.find(id)
        own = self._registry.registration(key) if key is not None else None
        place = (own.service_key, own.address) if own is not None else self._index.place(id)
        address = self._registry.snapshot(place[0]).addresses.get(place[1]) if place is not None else None
        if address is None:
            return None
        shown_here = instances(address, self._pairs, discovered=False)
        return next(((s.registration, m) for s, m in shown_here if m.id.value == id), None)


def _asked(query: Mapping[str, str]) -> v1.Instance:
    """The instance that a query names."""
    if query.get("id"):
        return v1.Instance(id={"value": query["id"]})
    port = query.get("port", "")
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
    asked = v1.Instance(port={"value": number})
    for field in ("service", "namespace", "host", "vpc_id"):
        getattr(asked, field).value = query.get(field, "")
    return asked


class _Purging:
    """The count of a purge, when the store has done it."""

    def __init__(self, registry: Registry, before_ms: int, size: int) -> None:
        self._registry = registry
        self._before_ms = before_ms
        self._size = size

    def then(self, reply: Callable[[Text], None]) -> None:
        """See ``Later``."""
        self._registry.purge(
            self._before_ms, (REGISTRATION,), self._size, lambda count: reply(shown({"rows_affected": count}))
        )
