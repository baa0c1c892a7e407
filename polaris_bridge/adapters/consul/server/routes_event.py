"""User events: ``/v1/event/``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.consul.service.movers import Watch
from polaris_bridge.adapters.consul.translate.keys import NodeKey
from polaris_bridge.adapters.consul.wire import event as wire
from polaris_bridge.adapters.consul.wire.refusals import bad

from .answers import Answer
from .call import ConsulCall, Route, Routes

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService


def _fire(service: ConsulService, call: ConsulCall) -> Answer:
    if not call.rest:
        raise bad("Missing name")
    params = call.params
    filters = (params.text("node"), params.text("service"), params.text("tag"))
    asked = wire.UserEvent("", call.rest, call.body, *filters)
    call.require("event:write", call.rest)
    return Answer(wire.fired(service.events.fire(asked)))


def _list(service: ConsulService, call: ConsulCall) -> Answer:
    node = NodeKey(service.settings.namespace, call.node)
    events, index = service.events.listed(node, call.params.text("name"))
    seen = [event for event in events if call.may("event:read", event.name)]
    return Answer(wire.listed(seen), index, filtered=len(seen) < len(events))


def _watched(service: ConsulService, _call: ConsulCall, fire: Callable[[], None]) -> Watch:
    return service.events.watch(fire)


ROUTES: Final[Routes] = {
    ("PUT", "/v1/event/fire/"): Route(_fire),
    ("GET", "/v1/event/list"): Route(_list, reads=True, blocking=_watched, local=True),
}
