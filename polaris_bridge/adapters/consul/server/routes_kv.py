"""The key-value store: ``/v1/kv/``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters._shared.exchange import Headers
from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.consul.service.admission import lacking
from polaris_bridge.adapters.consul.service.kv import MAX_VALUE_BYTES
from polaris_bridge.adapters.consul.service.movers import Watch
from polaris_bridge.adapters.consul.translate.kv import pair
from polaris_bridge.adapters.consul.wire import kv as wire
from polaris_bridge.adapters.consul.wire.refusals import Refused, bad, failed
from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.kv.model import Outcome
from polaris_bridge.core.model import Caller

from .answers import Answer, Later, Reply, true
from .call import ConsulCall, Route, Routes

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService

_RAW: Final[Headers] = (
    (b"Content-Type", b"text/plain"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Content-Security-Policy", b"sandbox"),
)
_NOTHING: Final[Headers] = ()
LARGE: Final = 1000
"""Entries of a tree from which on it is read in slices."""
MISSING_S: Final = 3.0
"""How long a read of a tree with nothing in it waits at most. Spring waits for its contexts one after the other, most of which
are usually missing; on a real agent whatever changes beside a missing tree wakes it, so that the next one has its turn."""
PORTION: Final = 500
"""Keys that one transaction of a recursive delete takes, at most."""


def _get(service: ConsulService, call: ConsulCall) -> Answer | Later:
    params, key = call.params, call.rest
    if params and params.has("keys"):
        return _names(service, call)
    if params and params.has("recurse"):
        return _tree(service, call)
    if not key:
        raise bad("Missing key name")
    _require(service, call, "key:read")
    namespace, keys = call.namespace, service.keys
    entry = keys.get(namespace, key)
    index = keys.index(namespace, key, entry)
    if entry is None:
        return Answer(b"", index, 404, _NOTHING)
    if params and params.has("raw"):
        return Answer(entry.value, index, 200, _RAW)
    return Answer(b"[" + wire.encode(pair(entry)) + b"]", index)


def _tree(service: ConsulService, call: ConsulCall) -> Answer | Later:
    namespace, keys, prefix = call.namespace, service.keys, call.rest
    names = keys.names(namespace, prefix)
    if len(names) > LARGE:
        return _large_tree(service, call, names)
    found = [entry for name in names if (entry := keys.get(namespace, name)) is not None]
    index = keys.tree_index(namespace, prefix, [entry.modify_index for entry in found])
    seen = found
    if service.admission.on:
        seen = [entry for entry in found if may_key(service, call, "key:read", entry.key)]
    filtered = len(seen) < len(found)
    if not seen:
        return Answer(b"", index, 404, _NOTHING, filtered=filtered, most_wait_s=MISSING_S)
    return Answer(wire.encode([pair(entry) for entry in seen]), index, filtered=filtered)


def _large_tree(service: ConsulService, call: ConsulCall, names: list[str]) -> Answer | Later:
    """The same in slices. Its index is that of before the first of them, so that no change during them is missed."""
    namespace, keys = call.namespace, service.keys
    index = keys.tree_index(namespace, call.rest, keys.modified(namespace, names))
    if index <= call.options.index:
        return Answer(b"", index)  # seen already: nobody gets this body
    hidden = False

    def work() -> Work:
        nonlocal hidden
        parts: list[bytes] = []
        for name in names:
            entry = keys.get(namespace, name)
            if entry is None:
                continue
            if service.admission.on and not may_key(service, call, "key:read", name):
                hidden = True
                continue
            parts.append(wire.encode(pair(entry)))
            yield
        return b"[" + b",".join(parts) + b"]" if parts else b""

    def begin(done: Callable[[Answer | Exception], None]) -> None:
        def made(body: bytes | None) -> None:
            if body is None:
                done(failed("An unexpected error occurred"))
            elif body:
                done(Answer(body, index, filtered=hidden))
            else:
                done(Answer(b"", index, 404, _NOTHING, filtered=hidden))

        service.slices.run(object(), work, made)

    return Later(begin)


def _names(service: ConsulService, call: ConsulCall) -> Answer:
    namespace, keys, prefix = call.namespace, service.keys, call.rest
    found = keys.names(namespace, prefix)
    index = keys.tree_index(namespace, prefix, keys.modified(namespace, found))
    seen = found
    if service.admission.on:
        seen = [key for key in found if may_key(service, call, "key:read", key)]
    filtered = len(seen) < len(found)
    if not seen and prefix:
        return Answer(b"", index, 404, _NOTHING, filtered=filtered)
    separator = call.params.text("separator") if call.params.has("separator") else call.params.text("seperator")
    return Answer(wire.encode(wire.cut(seen, prefix, separator)), index, filtered=filtered)


def _put(service: ConsulService, call: ConsulCall) -> Answer:
    params, key, value = call.params, call.rest, call.body
    namespace, keys, caller = call.namespace, service.keys, call.caller
    if not key:
        raise bad("Missing key name")
    if not params:
        _check_size(value)
        _require(service, call, "key:write")
        return true(keys.put(namespace, key, value, 0, caller).commit)
    wire.exclusive(params, "cas", "acquire", "release")
    flags = wire.number(params, "flags") if params.has("flags") else 0
    index = wire.number(params, "cas") if params.has("cas") else None
    _check_size(value)
    _require(service, call, "key:write")
    if index is not None:
        return _told(keys.put_if(namespace, key, value, flags, index, caller))
    for name, lock in (("acquire", keys.acquire), ("release", keys.release)):
        if params.has(name):
            try:
                return _told(lock(namespace, key, value, flags, params.text(name), caller))
            except Refused as refused:
                raise failed(f"raft apply failed: {refused.text}") from None
    return true(keys.put(namespace, key, value, flags, caller).commit)


def _delete(service: ConsulService, call: ConsulCall) -> Reply:
    params, key = call.params, call.rest
    namespace, keys, caller = call.namespace, service.keys, call.caller
    wire.exclusive(params, "recurse", "cas")
    recurse = params.has("recurse")
    if not recurse and not key:
        raise bad("Missing key name")
    index = wire.number(params, "cas") if params.has("cas") else None
    if recurse:
        if service.admission.on:
            for name in (key, *keys.names(namespace, key)):
                _require(service, call, "key:write", name)
        found = keys.candidates(namespace, key)
        if len(found) > PORTION:
            return _portions(service, namespace, found, caller)
        return true(keys.delete_below(namespace, key, caller).commit)
    _require(service, call, "key:write")
    if index is not None:
        return _told(keys.delete_if(namespace, key, index, caller))
    return true(keys.delete(namespace, key, caller).commit)


def _portions(service: ConsulService, namespace: str, keys: list[str], caller: Caller) -> Later:
    """Delete many keys in several transactions, each when the one before is durable, so that nobody waits for all of it."""

    def begin(done: Callable[[Answer | Exception], None]) -> None:
        def go_on(at: int, error: Exception | None = None) -> None:
            if error is not None:
                done(error)
                return
            try:
                outcome = service.keys.delete_all(namespace, keys[at : at + PORTION], caller)
            except CoreError as refused:
                done(refused)
                return
            after = at + PORTION
            if after >= len(keys):
                done(true(outcome.commit))
                return
            outcome.commit.then(lambda error: service.registry.scheduler.soon(lambda: go_on(after, error)))

        go_on(0)

    return Later(begin)


def _told(outcome: Outcome) -> Answer:
    return true(outcome.commit) if outcome.ok else Answer(b"false", commit=outcome.commit)


def _check_size(value: bytes) -> None:
    if len(value) > MAX_VALUE_BYTES:
        raise wire.too_large(len(value), MAX_VALUE_BYTES)


def may_key(service: ConsulService, call: ConsulCall, right: str, key: str) -> bool:
    """Whether the caller has a right (``key:read``, ``key:write``) on a key."""
    return service.admission.may(call.caller, right, call.namespace, service.keys.resource(key))


def _require(service: ConsulService, call: ConsulCall, right: str, key: str | None = None) -> None:
    """Refuse (403) who lacks a right on a key (that of the path), in the words of the key."""
    key = call.rest if key is None else key
    if service.admission.on and not may_key(service, call, right, key):
        raise Refused(403, lacking(call.caller.principal, right, key))


def _watched(service: ConsulService, call: ConsulCall, fire: Callable[[], None]) -> Watch:
    params = call.params
    tree = params.has("recurse") or params.has("keys")
    return service.keys.watch(call.namespace, call.rest, fire, tree=tree)


PATH: Final = "/v1/kv/"

ROUTES: Final[Routes] = {
    ("GET", PATH): Route(_get, reads=True, blocking=_watched),
    ("PUT", PATH): Route(_put, reads=True),
    ("DELETE", PATH): Route(_delete, reads=True),
}
