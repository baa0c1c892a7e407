"""What catalog and health reads have in common: their parameters, and lists as answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.consul.filters import Filter, Record
from polaris_bridge.adapters.consul.service.catalog import Listed
from polaris_bridge.adapters.consul.service.selecting import Wanted, compiled
from polaris_bridge.adapters.consul.wire.params import boolean
from polaris_bridge.adapters.consul.wire.refusals import bad
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.watching import Scope

from .answers import Answer
from .call import ConsulCall, Watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from polaris_bridge.adapters.consul.service.consul import ConsulService

    from .call import Watch

_PLAIN: Final = Wanted()


def wanted(service: ConsulService, call: ConsulCall, record: Record | None, *, tags: bool = False) -> Wanted:
    """The choice that a read asks for. ``record``: what its ``filter`` is about; None: that is not about instances."""
    params = call.params
    if not params:
        return _PLAIN
    return Wanted(
        passing=_passing(call),
        tags=tuple(tag for tag in params.all("tag") if tag) if tags else (),
        node_meta=params.pairs("node-meta"),
        near=call.near,
        filter=None if record is None else filter_of(service, call, record),
    )


def filter_of(service: ConsulService, call: ConsulCall, record: Record) -> Filter | None:
    """The ``filter`` parameter. Raises ``Refused``."""
    return compiled(service.filters, call.params.text("filter"), record)


def _passing(call: ConsulCall) -> bool:
    if not call.params.has("passing"):
        return False
    value = call.params.text("passing")
    if not value:
        return True
    found = boolean(value)
    if found is None:
        raise bad("Invalid value for ?passing")
    return found


def named(call: ConsulCall, what: str) -> str:
    """What follows the path. Raises ``Refused`` when nothing does."""
    if not call.rest:
        raise bad(f"Missing {what}")
    return call.rest


def listed(found: Listed) -> Answer:
    """A list as an answer."""
    return Answer(found.body, found.index, filtered=found.filtered)


def by_name(service: ConsulService, call: ConsulCall, fire: Callable[[], None]) -> Watch:
    """Wakes with the service that the path names."""
    scopes: tuple[Scope, ...] = (ServiceKey(call.namespace, call.rest.lower()),)
    return service.view.watches.watcher(scopes, fire, MIN_INTERVAL_S)


def by_namespace(service: ConsulService, call: ConsulCall, fire: Callable[[], None]) -> Watch:
    """Wakes with everything in a datacenter."""
    return service.view.watches.watcher((call.namespace,), fire, MIN_INTERVAL_S)


MIN_INTERVAL_S: Final = 0.0
"""A read that was answered is over: the next one is the client's, and has its own pace."""

BY_NAME: Final[Watched] = by_name
BY_NAMESPACE: Final[Watched] = by_namespace
