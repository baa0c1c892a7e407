"""What catalog and health reads have in common: their parameters, and lists as answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.consul.filters import Filter, Record
from polaris_bridge.adapters.consul.service.catalog import Listed
from polaris_bridge.adapters.consul.service.movers import Watch
from polaris_bridge.adapters.consul.service.selecting import Wanted, compiled
from polaris_bridge.adapters.consul.view import Found, Indexes, Reading
from polaris_bridge.adapters.consul.view_instances import Instance
from polaris_bridge.adapters.consul.wire.params import boolean
from polaris_bridge.adapters.consul.wire.refusals import bad, failed
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.watching import Scope

from .answers import Answer, Later, Reply
from .call import ConsulCall, Watched

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService


_PLAIN: Final = Wanted()
_STEPS: Final = 100
"""Of a list that are made at once: less than 4 ms."""
_CHOICES: Final = ("filter", "near", "node-meta")


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


def stepwise(
    service: ConsulService,
    call: ConsulCall,
    index: int,
    work: Callable[[], Generator[None, None, Listed]],
    key: Hashable | None = None,
) -> Reply:
    """A list that may take long: at once when it does not, else in slices. ``index``: what it has now. ``key``: who asks for
    the same under it meanwhile gets the same list; None: nobody does."""
    if 0 < index <= call.options.index:
        return Answer(b"", index)  # seen already: nobody gets this body
    steps = work()
    for _ in range(_STEPS):
        try:
            next(steps)
        except StopIteration as stop:
            return listed(stop.value)

    def begin(done: Callable[[Answer | Exception], None]) -> None:
        def made(found: Listed | None) -> None:
            done(failed("An unexpected error occurred") if found is None else listed(found))

        service.slices.run(object() if key is None else key, lambda: steps, made)

    return Later(begin)


def of_instances(
    service: ConsulService,
    call: ConsulCall,
    seen: Reading,
    name: str,
    variant: str,
    encode: Callable[[Instance], object],
    read: Callable[[Found], Listed],
    index: Callable[[Indexes], int],
) -> Reply:
    """A list of a service's instances, of which ``encode`` makes the form that this answers with: built bit by bit first when
    the service is large and nobody asked for it before."""
    namespace = call.namespace
    found = seen.at_hand(namespace, name, variant)
    if found is not None:
        return listed(read(found))

    def work() -> Generator[None, None, Listed]:
        built = yield from seen.build(namespace, name, variant, encode)
        return read(built)

    return stepwise(service, call, index(seen.indexes(namespace, name)), work)


def shared(service: ConsulService, call: ConsulCall, *names: Hashable) -> Hashable | None:
    """The key for ``stepwise`` when everybody gets the same list: without rights or a choice."""
    return None if service.admission.on or chosen(call) else names


def chosen(call: ConsulCall) -> bool:
    """Whether a read asks for less than everything."""
    params = call.params
    return bool(params) and any(params.has(name) for name in _CHOICES)


def by_name(service: ConsulService, call: ConsulCall, fire: Callable[[], None]) -> Watch:
    """Wakes with the service that the path names, and with what makes the caller see something else of it."""
    scopes: tuple[Scope, ...] = (ServiceKey(call.namespace, call.rest.lower()),)

    def watch(fire: Callable[[], None]) -> Watch:
        return service.view.watches.watcher(scopes, fire, MIN_INTERVAL_S)

    return service.watching(watch, call.asker, fire)


def by_namespace(service: ConsulService, call: ConsulCall, fire: Callable[[], None]) -> Watch:
    """Wakes with everything in a datacenter."""
    return service.view.watches.watcher((call.namespace,), fire, MIN_INTERVAL_S)


MIN_INTERVAL_S: Final = 0.0
"""A read that was answered is over: the next one is the client's, and has its own pace."""

BY_NAME: Final[Watched] = by_name
BY_NAMESPACE: Final[Watched] = by_namespace
