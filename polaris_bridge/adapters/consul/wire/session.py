"""Sessions as JSON: what clients ask for, and how they are shown. Rules, defaults and complaints of Consul 1.20."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from . import durations
from .json_in import BadJson, Table, decode_failed, members, table, text, texts, value
from .refusals import bad, failed

SERF: Final = "serfHealth"
RELEASE: Final = "release"
DELETE: Final = "delete"
DEFAULT_LOCK_DELAY_NS: Final = 15 * durations.SECOND
MAX_LOCK_DELAY_NS: Final = 60 * durations.SECOND
MIN_TTL_NS: Final = 10 * durations.SECOND
MAX_TTL_NS: Final = 24 * 3600 * durations.SECOND
_SECONDS_BELOW: Final = 1000
"""A lock delay of less than so many nanoseconds was meant in seconds."""


class SessionRequest(Struct, frozen=True):
    """A session as it is asked for."""

    name: str = ""
    node: str = ""
    """Empty: the caller's."""
    lock_delay_ns: int = DEFAULT_LOCK_DELAY_NS
    behaviour: str = RELEASE
    ttl: str = ""
    """As it was written."""
    ttl_ns: int = 0
    node_checks: tuple[str, ...] = (SERF,)
    service_checks: tuple[tuple[str, str], ...] | None = None
    """Ids with the namespaces that were named with them."""
    checks: tuple[str, ...] = ()
    """The field of agents before 1.7."""

    @property
    def check_ids(self) -> tuple[str, ...]:
        """All checks that it depends on."""
        return (*self.checks, *self.node_checks, *(id for id, _ in self.service_checks or ()))


def _lock_delay(found: Any, _name: str) -> int:
    if isinstance(found, str):
        try:
            ns = durations.parse(found)
        except durations.BadDuration as error:
            raise BadJson(str(error)) from None
    elif isinstance(found, bool) or not isinstance(found, int | float):
        ns = 0
    else:
        ns = int(max(-durations.MAX_NS, min(durations.MAX_NS, found)))
    return max(0, min(durations.MAX_NS, ns * durations.SECOND if ns < _SECONDS_BELOW else ns))


def _service_checks(found: Any, name: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(found, list):
        raise BadJson(f"json: cannot unmarshal value into Go struct field .{name} of type []structs.ServiceCheck")
    each = [_known({} if one is None else one, _SERVICE_CHECK) for one in found]
    return tuple((one.get("id", ""), one.get("namespace", "")) for one in each)


_SERVICE_CHECK: Final = table({"ID": ("id", text), "Namespace": ("namespace", text)})
_REQUEST: Final = table(
    {
        "Name": ("name", text),
        "Node": ("node", text),
        "LockDelay": ("lock_delay_ns", _lock_delay),
        "Behavior": ("behaviour", text),
        "TTL": ("ttl", text),
        "NodeChecks": ("node_checks", texts),
        "ServiceChecks": ("service_checks", _service_checks),
        "Checks": ("checks", texts),
    }
)


def _known(found: Any, fields: Table) -> dict[str, Any]:
    """What an object says by names that are known; sessions may say more."""
    if isinstance(found, dict):
        found = {name: each for name, each in found.items() if name.lower() in fields}
    return members(found, fields)


def request(body: bytes) -> SessionRequest:
    """What a body asks for; an empty one asks for the defaults. Raises ``Refused``: 400 for what cannot be read, 500 for
    what a server does not take."""
    said: dict[str, Any] = {}
    if body:
        try:
            said = _known(value(body), _REQUEST)
        except BadJson as error:
            raise decode_failed(error) from None
    old, node_checks = said.get("checks", (SERF,)), said.get("node_checks", (SERF,))
    if not old:
        node_checks = ()
    elif old == (SERF,) or not node_checks:
        old = ()
    asked = SessionRequest(**{**said, "checks": old, "node_checks": node_checks})
    behaviour = asked.behaviour or RELEASE
    if behaviour not in (RELEASE, DELETE):
        raise failed(f"Invalid Behavior setting '{behaviour}'")
    return SessionRequest(**{**msgspec.structs.asdict(asked), "behaviour": behaviour, "ttl_ns": _ttl(asked.ttl)})


def _ttl(written: str) -> int:
    if not written:
        return 0
    try:
        ns = durations.parse(written)
    except durations.BadDuration as error:
        raise failed(f"Session TTL '{written}' invalid: {error}") from None
    if ns and not MIN_TTL_NS <= ns <= MAX_TTL_NS:
        bounds = f"[{durations.text(MIN_TTL_NS)}={durations.text(MAX_TTL_NS)}]"
        raise failed(f"Invalid Session TTL '{ns}', must be between {bounds}")
    return ns


class _ServiceCheck(Struct, frozen=True):
    ID: str
    Namespace: str


class SessionShape(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A session as it is shown."""

    ID: str
    Name: str
    Node: str
    LockDelay: int
    """Nanoseconds."""
    Behavior: str
    TTL: str
    NodeChecks: tuple[str, ...]
    ServiceChecks: tuple[_ServiceCheck, ...] | None
    Checks: tuple[str, ...] = ()
    CreateIndex: int
    ModifyIndex: int


def shape(id: str, node: str, asked: SessionRequest, index: int) -> SessionShape:
    """A session that was asked for, as it is shown."""
    services = asked.service_checks
    return SessionShape(
        ID=id,
        Name=asked.name,
        Node=node,
        LockDelay=asked.lock_delay_ns,
        Behavior=asked.behaviour,
        TTL=asked.ttl,
        NodeChecks=asked.node_checks,
        ServiceChecks=None if services is None else tuple(_ServiceCheck(*each) for each in services),
        Checks=asked.checks,
        CreateIndex=index,
        ModifyIndex=index,
    )


encode: Final = msgspec.json.Encoder().encode


def missing_session() -> Exception:
    """400 for a path without an id."""
    return bad("Missing session")
