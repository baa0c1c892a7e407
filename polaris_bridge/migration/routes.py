"""``/migration/v1`` on the main HTTP port: the desk over JSON. Says who may come in, decodes, calls, encodes; decides nothing.

Errors are ``{"error": <text>}`` with 400 (not acceptable), 401, 403, 404, 409 (not now), 502 (the registry elsewhere), 503 (our
store). Bodies are JSON objects; unknown members are refused, so that a mistyped one is not lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec import Struct, structs

from polaris_bridge.adapters._shared.exchange import Deferred, Request, Response
from polaris_bridge.adapters._shared.throttle import TOO_MANY, Excess
from polaris_bridge.core.errors import Busy, Conflict, CoreError, Denied, Invalid, NotFound, Unavailable
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Authority, Credential, Resource

from .desk import Desk
from .engine.planning import Plan
from .model import WITHDRAW, RegistryEntry, Task
from .ports import RegistryError

ROOT: Final = "/migration/v1"
READS: Final = "DescribeMigration"
WRITES: Final = "MigrateRegistries"
"""What callers need a right to."""
PROTOCOL: Final = "migration"

_JSON: Final = (b"Content-Type", b"application/json")
_encode: Final = msgspec.json.Encoder(enc_hook=str).encode

log = logging.getLogger(__name__)
T = TypeVar("T", bound=Struct)


class _Empty(Struct, forbid_unknown_fields=True):
    """A body that says nothing."""


class _Registry(Struct, forbid_unknown_fields=True):
    """A registry as it is told: ``secret`` left out keeps the one that is there, empty removes it."""

    id: str
    kind: str
    addresses: list[str]
    user: str = ""
    secret: str | None = None
    namespaces: dict[str, str] = {}
    ca_file: str = ""
    timeout_s: float = 10.0
    poll_s: float = 5.0


class _Digest(Struct, forbid_unknown_fields=True):
    digest: str = ""


class _Promotion(Struct, forbid_unknown_fields=True):
    force: bool = False


class Asked(Struct, frozen=True):
    """One call: what stands in the place of ``{id}``, and what else was said."""

    id: str
    query: dict[str, list[str]]
    body: bytes
    caller: Caller

    def json(self, kind: type[T]) -> T:
        """The body. Raises ``Invalid``."""
        try:
            return msgspec.json.decode(self.body or b"{}", type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Invalid("body", str(error)) from None

    def first(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]


Do = Callable[[Desk, Asked], Awaitable[Any]]


# ---------------------------------------------------------------------- calls


async def _registries(desk: Desk, _asked: Asked) -> Any:
    return {"registries": desk.registries()}


async def _put_registry(desk: Desk, asked: Asked) -> Any:
    said = asked.json(_Registry)
    fields = {name: getattr(said, name) for name in said.__struct_fields__ if name not in ("secret", "addresses")}
    entry = RegistryEntry(**fields, addresses=tuple(said.addresses))
    return await desk.put_registry(entry, said.secret, asked.caller)


async def _registry(desk: Desk, asked: Asked) -> Any:
    return desk.registry(asked.id)


async def _delete_registry(desk: Desk, asked: Asked) -> Any:
    await desk.delete_registry(asked.id, asked.caller)
    return {}


async def _test_registry(desk: Desk, asked: Asked) -> Any:
    return await desk.test_registry(asked.id)


async def _inventory(desk: Desk, asked: Asked) -> Any:
    return await desk.inventory(asked.id)


async def _tasks(desk: Desk, _asked: Asked) -> Any:
    return {"tasks": desk.statuses()}


async def _put_task(desk: Desk, asked: Asked) -> Any:
    return await desk.put_task(asked.json(Task), asked.caller)


async def _task(desk: Desk, asked: Asked) -> Any:
    return desk.status(asked.id)


async def _delete_task(desk: Desk, asked: Asked) -> Any:
    return {"copies": await desk.delete_task(asked.id, asked.first("copies", WITHDRAW), asked.caller)}


def shown_plan(plan: Plan, applied_ms: int = 0) -> dict[str, Any]:
    """A plan as it is answered."""
    return {**structs.asdict(plan), "counts": plan.counts, "applied_ms": applied_ms}


async def _make_plan(desk: Desk, asked: Asked) -> Any:
    return shown_plan(await desk.plan(asked.id, asked.caller))


async def _plan(desk: Desk, asked: Asked) -> Any:
    kept = desk.kept_plan(asked.id)
    return shown_plan(kept.plan, kept.applied_ms)


async def _apply(desk: Desk, asked: Asked) -> Any:
    return await desk.apply(asked.id, asked.json(_Digest).digest, asked.caller)


async def _verify(desk: Desk, asked: Asked) -> Any:
    found = await desk.verify(asked.id)
    return {**structs.asdict(found), "equal": found.equal, "open": found.open}


async def _differences(desk: Desk, asked: Asked) -> Any:
    progress = desk.progress(asked.id)
    audit = progress.audit
    held = [{"service": f"{s.namespace}/{s.name}", "id": id, "reason": why} for (s, id), why in progress.held.items()]
    now = audit.differences if audit is not None else ()
    return {"differences": now, "repaired": progress.repaired, "found": progress.found, "held": held}


async def _pause(desk: Desk, asked: Asked) -> Any:
    return await desk.pause(asked.id, True, asked.caller)


async def _resume(desk: Desk, asked: Asked) -> Any:
    return await desk.pause(asked.id, False, asked.caller)


async def _allow(desk: Desk, asked: Asked) -> Any:
    desk.allow(asked.id)
    return {}


async def _promote(desk: Desk, asked: Asked) -> Any:
    return await desk.promote(asked.id, asked.caller, force=asked.json(_Promotion).force)


async def _rollback(desk: Desk, asked: Asked) -> Any:
    return await desk.rollback(asked.id, asked.caller)


_ROUTES: Final[dict[tuple[str, str], tuple[str, Do]]] = {
    ("GET", "registries"): (READS, _registries),
    ("POST", "registries"): (WRITES, _put_registry),
    ("GET", "registries/{id}"): (READS, _registry),
    ("DELETE", "registries/{id}"): (WRITES, _delete_registry),
    ("POST", "registries/{id}/test"): (READS, _test_registry),
    ("GET", "registries/{id}/inventory"): (READS, _inventory),
    ("GET", "tasks"): (READS, _tasks),
    ("POST", "tasks"): (WRITES, _put_task),
    ("GET", "tasks/{id}"): (READS, _task),
    ("DELETE", "tasks/{id}"): (WRITES, _delete_task),
    ("GET", "tasks/{id}/plan"): (READS, _plan),
    ("POST", "tasks/{id}/plan"): (WRITES, _make_plan),
    ("POST", "tasks/{id}/apply"): (WRITES, _apply),
    ("POST", "tasks/{id}/verify"): (READS, _verify),
    ("GET", "tasks/{id}/differences"): (READS, _differences),
    ("POST", "tasks/{id}/pause"): (WRITES, _pause),
    ("POST", "tasks/{id}/resume"): (WRITES, _resume),
    ("POST", "tasks/{id}/allow"): (WRITES, _allow),
    ("POST", "tasks/{id}/promote"): (WRITES, _promote),
    ("POST", "tasks/{id}/rollback"): (WRITES, _rollback),
}
_PATHS: Final = {path for _, path in _ROUTES}
_STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (Invalid, 400),
    (NotFound, 404),
    (Conflict, 409),
    (Denied, 403),
    (RegistryError, 502),
    (Busy, 503),
    (Unavailable, 503),
    (CoreError, 400),
)


class MigrationHttp:
    """The HTTP face of a desk."""

    def __init__(self, desk: Desk, authority: Authority) -> None:
        self._desk = desk
        self._authority = authority

    def handle(self, request: Request) -> Response | Deferred:
        """Answer one request; 404 without a body for a path that is none of ours."""
        if not request.path.startswith(f"{ROOT}/"):
            return Response(404)
        parts = [unquote(part) for part in request.path.removeprefix(f"{ROOT}/").strip("/").split("/")]
        path = "/".join("{id}" if at == 1 else part for at, part in enumerate(parts))
        route = _ROUTES.get(("GET" if request.method == "HEAD" else request.method, path))
        if route is None:
            return (
                _failed(405, f"{request.method} is not served here") if path in _PATHS else _failed(404, "no such path")
            )
        operation, do = route
        caller = Caller(PROTOCOL, request.peer, agent=request.header(b"user-agent") or "")
        refused, caller = self._admit(request, operation, caller)
        if refused is not None:
            return refused
        query = parse_qs(request.query, keep_blank_values=True)
        return _Later(do, self._desk, Asked(parts[1] if len(parts) > 1 else "", query, request.body, caller))

    def _admit(self, request: Request, operation: str, caller: Caller) -> tuple[Response | None, Caller]:
        token = request.header(b"x-polaris-token") or ""
        bearer = request.header(b"authorization") or ""
        if not token and bearer.lower().startswith("bearer "):
            token = bearer[7:].strip()
        try:
            principal = self._authority.authenticate(Credential(token=token, address=caller.address)) if token else ""
        except Denied as error:
            return _failed(401, str(error)), caller
        if principal is None:
            return _failed(401, "the token is not known"), caller
        if not self._authority.allow(principal, operation, Resource("")):
            status = 403 if principal else 401
            return _failed(
                status, f"{principal or 'nobody'} may not {operation}; show a token as x-polaris-token"
            ), caller
        return None, structs.replace(caller, principal=principal)


def too_many(_request: Request, _found: Excess) -> Response:
    """What who asks too often is answered."""
    return _failed(429, TOO_MANY)


def _failed(status: int, text: str) -> Response:
    return Response(status, _encode({"error": text}), (_JSON,))


class _Later:
    """An answer that comes when its call has ended."""

    def __init__(self, do: Do, desk: Desk, asked: Asked) -> None:
        self._task = asyncio.ensure_future(_answered(do, desk, asked))

    def then(self, reply: Callable[[Response], None]) -> None:
        """See ``Deferred``."""
        self._task.add_done_callback(
            lambda task: reply(_failed(503, "stopping") if task.cancelled() else task.result())
        )


async def _answered(do: Do, desk: Desk, asked: Asked) -> Response:
    try:
        return Response(200, _encode(await do(desk, asked)), (_JSON,))
    except (CoreError, RegistryError) as error:
        text = str(error) or type(error).__name__
        if isinstance(error, NotFound):
            text = f"there is no {text}"
        return _failed(next(status for kind, status in _STATUSES if isinstance(error, kind)), text)
    except Exception:  # the listener's net for what answers later
        log.exception("a call about migration failed")
        return _failed(500, "an error of ours; see the log")
