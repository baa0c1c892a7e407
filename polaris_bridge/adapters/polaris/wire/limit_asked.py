"""Questions whether a call may go ahead, and their answers: plain JSON of our own. Pure."""

from __future__ import annotations

import msgspec
from msgspec import Struct, field

MOST_TOKENS = 2**31 - 1
MOST_LABELS = 256


class Malformed(ValueError):
    """Not a question; the text says where and why."""


class Question(Struct, rename="camel", forbid_unknown_fields=True):
    """A call that somebody wants to make."""

    namespace: str = "default"
    service: str = ""
    method: str = ""
    """The interface or path that is called: what rules call the method."""
    labels: dict[str, str] = field(default_factory=dict)
    """Arguments: ``$method`` (the verb), ``$header.x``, ``$query.x``, ``$caller_service.<namespace>``, ``$caller_ip``,
    ``$caller_metadata.x``; others are custom."""
    caller: str = ""
    """Whose share is counted by rules that every instance counts for itself; empty: the address that asks."""
    tokens: int = 1


class ShownRule(Struct):
    """A rule in an answer."""

    id: str
    name: str


class ShownLimit(Struct, rename="camel"):
    """One amount of a rule."""

    max_amount: int
    duration_ms: int


class Answer(Struct, rename="camel", omit_defaults=True):
    """Whether the call may go ahead. Without ``rule`` there is none that is about it."""

    code: int
    info: str
    allowed: bool
    remaining: int | None = None
    """What the nearest limit still has."""
    reset: int | None = None
    """Milliseconds. When refused: until as much is there as was wanted; else until the window is as good as new."""
    limit: ShownLimit | None = None
    rule: ShownRule | None = None


class ShownDecision(Struct):
    """A decision that was made by a rule."""

    at: int
    """Milliseconds since 1970."""
    allowed: bool
    tokens: int
    labels: dict[str, str]
    """Those that the rule looks at."""


class Line(Struct, rename="camel", omit_defaults=True):
    """What one rule says of a call."""

    id: str
    name: str
    matches: bool
    why: str
    limits: list[ShownLimit]
    allowed: bool | None = None
    remaining: int | None = None
    reset: int | None = None
    tokens_allowed: int = 0
    calls_refused: int = 0
    last: list[ShownDecision] = field(default_factory=list)
    """The last decisions by this rule, the newest first."""


class Explanation(Struct):
    """The answer to "which rules are about this call, and what is left of them"."""

    code: int
    info: str
    namespace: str
    service: str
    rules: list[Line]


_question = msgspec.json.Decoder(Question)


def read(body: bytes) -> Question:
    """A question out of a body. Raises ``Malformed``."""
    try:
        found = _question.decode(body)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from None
    if not 0 <= found.tokens <= MOST_TOKENS:
        raise Malformed(f"tokens: expected 0 to {MOST_TOKENS}")
    if len(found.labels) > MOST_LABELS:
        raise Malformed(f"labels: expected at most {MOST_LABELS}")
    return found


def encode(answer: Answer | Explanation) -> bytes:
    """An answer as JSON."""
    return msgspec.json.encode(answer)
