"""Transactions: ``/v1/txn``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters._shared.exchange import Headers
from polaris_bridge.adapters.consul.wire import txn as wire
from polaris_bridge.adapters.consul.wire.params import options

from .answers import JSON, Answer
from .call import ConsulCall, Route, Routes
from .routes_kv import may_key

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService

_READ: Final[Headers] = (*JSON, (b"X-Consul-KnownLeader", b"true"), (b"X-Consul-LastContact", b"0"))


def _txn(service: ConsulService, call: ConsulCall) -> Answer:
    operations = wire.operations(call.body)
    reads = not any(map(wire.writes, operations))
    if reads:
        options(call.params, call.request.header(b"cache-control"))

    def may(right: str, name: str) -> bool:
        if not service.admission.on:
            return True
        return may_key(service, call, right, name) if right.startswith("key:") else call.may(right, name)

    done = service.txn.run(call.namespace, operations, call.caller, may)
    body = wire.answer(done.results, done.errors, reads=reads)
    if reads and not done.errors:
        return Answer(body, headers=_READ, commit=done.commit)
    return Answer(body, status=409 if done.errors else 200, commit=done.commit)


ROUTES: Final[Routes] = {("PUT", "/v1/txn"): Route(_txn)}
