"""Questions about routing and their answers: plain JSON of our own, and the same question as the query of a URL. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct, field


class Malformed(ValueError):
    """Not a question; the text says where and why."""


class Place(Struct, forbid_unknown_fields=True):
    """Where somebody is."""

    region: str = ""
    zone: str = ""
    campus: str = ""


class Asker(Struct, rename="camel", forbid_unknown_fields=True):
    """Who calls."""

    namespace: str = ""
    """Empty: that of the called service, when a service is named."""
    service: str = ""
    host: str = ""
    """Address of the calling instance: what it registered then counts."""
    port: int = 0
    """0: whichever instance of the host."""
    labels: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    """Of the calling instance."""
    location: Place | None = None
    variables: dict[str, str] = field(default_factory=dict)
    protocol: str = ""
    """The protocol through which it looks instances up: ``eureka``, ``nacos``, ``consul``."""
    address: str = ""
    """The address that it looks them up from; empty: ``host``."""
    client: str = ""
    """What it or its connection is called there."""


class Question(Struct, rename="camel", forbid_unknown_fields=True):
    """A call that somebody is going to make."""

    namespace: str = "default"
    service: str = ""
    caller: Asker = field(default_factory=Asker)
    method: str | None = None
    path: str | None = None
    caller_ip: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    """Labels that instances must have."""
    canary: str = ""
    lane: str = ""
    """The lane that the call was taken into before."""
    policy: str = ""
    key: str = ""
    """What hashing policies hash."""


class Shown(Struct):
    """An instance in an answer."""

    id: str
    host: str
    port: int
    weight: int
    healthy: bool
    metadata: dict[str, str]


class ShownGroup(Struct):
    """A group of instances in an answer."""

    priority: int
    weight: int
    name: str
    size: int
    instances: list[Shown]


class ShownStep(Struct, omit_defaults=True):
    """What was looked at."""

    step: str
    text: str
    left: int
    rule: str = ""


class ShownUnread(Struct):
    """A part of a rule that is not evaluated here."""

    rule: str
    where: str
    why: str


class ShownKind(Struct, omit_defaults=True):
    """A kind of callers: what of a caller makes a difference."""

    namespace: str = ""
    service: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    location: Place | None = None


class ShownAddress(Struct):
    """An instance that a look-up gives."""

    host: str
    port: int
    weight: int


class LookUp(Struct, rename="camel"):
    """What the caller is given when it looks the service up through a protocol whose clients do not know rules."""

    routed: bool
    """Whether rules are applied, as the service says, or else as some listener does for all."""
    caller: str
    """Who it is taken for, and why."""
    kind: ShownKind
    whole: bool
    """Whether nothing is taken away, and no weight is another one."""
    weighted: bool
    size: int
    why: str
    rule: str
    instances: list[ShownAddress]
    steps: list[ShownStep]
    not_evaluated: list[ShownUnread]


class ShownCount(Struct):
    """How often a rule decided."""

    rule: str
    decisions: int


class ShownDecision(Struct):
    """A decision that was made."""

    at: int
    """Milliseconds since 1970."""
    how: str
    """``pick``: for one call; ``look-up``: what one kind of callers is given."""
    caller: str
    """``namespace/service`` of who called, as far as it is known."""
    rule: str
    targets: int
    why: str


class Explanation(Struct, rename="camel"):
    """The answer to "where would this call go, and why"."""

    code: int
    info: str
    namespace: str
    service: str
    rule: str
    lane: str
    why: str
    groups: list[ShownGroup]
    steps: list[ShownStep]
    not_evaluated: list[ShownUnread]
    look_up: LookUp | None = None
    decided: list[ShownCount] = []
    """How many decisions each rule made since the start, most first; under an empty rule those that none made."""
    last: list[ShownDecision] = []
    """The last decisions, the newest first."""


class Picked(Struct):
    """The answer to "which instance"."""

    code: int
    info: str
    policy: str
    group: str
    rule: str
    lane: str
    instance: Shown


_question = msgspec.json.Decoder(Question)


def read(body: bytes) -> Question:
    """A question out of a body. Raises ``Malformed``."""
    try:
        return _question.decode(body)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from None


PARAMETERS = (
    "namespace", "service", "callerNamespace", "callerService", "callerHost", "callerPort", "callerProtocol", "callerAddress",
    "callerClient", "region", "zone", "campus",
    "method", "path", "callerIp", "canary", "lane", "label", "header", "query", "cookie", "metadata", "variable",
)  # fmt: skip
"""Of a question in a URL. The last six are ``key:value`` and may stand several times."""


def read_query(query: Mapping[str, Sequence[str]]) -> Question:
    """A question out of the query of a URL. Raises ``Malformed``."""
    unknown = next((name for name in query if name not in PARAMETERS), None)
    if unknown is not None:
        raise Malformed(f"parameter {unknown} is not known")

    def text(name: str) -> str:
        return next(iter(query.get(name, ())), "")

    def pairs(name: str) -> dict[str, str]:
        parts = [value.partition(":") for value in query.get(name, ())]
        if any(not colon for _, colon, _ in parts):
            raise Malformed(f"parameter {name}: expected key:value")
        return {key: value for key, _, value in parts}

    port = text("callerPort")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise Malformed("parameter callerPort: expected a port")
    place = Place(text("region"), text("zone"), text("campus"))
    return Question(
        text("namespace") or "default",
        text("service"),
        Asker(
            text("callerNamespace"),
            text("callerService"),
            text("callerHost"),
            int(port or 0),
            pairs("label"),
            {},
            place if place != Place() else None,
            pairs("variable"),
            text("callerProtocol"),
            text("callerAddress"),
            text("callerClient"),
        ),
        text("method") or None,
        text("path") or None,
        text("callerIp") or None,
        pairs("header"),
        pairs("query"),
        pairs("cookie"),
        pairs("metadata"),
        text("canary"),
        text("lane"),
    )


def encode(answer: Explanation | Picked) -> bytes:
    """An answer as JSON. Half surrogate pairs, which no JSON may hold, become question marks."""
    try:
        return msgspec.json.encode(answer)
    except UnicodeEncodeError:
        return msgspec.json.encode(_mended(msgspec.to_builtins(answer)))


def _mended(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return value
