"""What callers tell of their calls, and what breakers make of it: plain JSON of our own. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct, field

MOST_RESULTS: Final = 1000
"""Of one report."""
MOST_CALLS: Final = 1_000_000
"""Of one result."""
MOST_TEXT: Final = 1024

Count = Annotated[int, Meta(ge=0, le=MOST_CALLS)]
Text = Annotated[str, Meta(max_length=MOST_TEXT)]


T = TypeVar("T")


class Malformed(ValueError):
    """Not a report, nor a question; the text says where and why."""


class Named(Struct, forbid_unknown_fields=True):
    """A service."""

    namespace: Text = ""
    """Empty: that of the called service."""
    service: Text = ""


class Result(Struct, rename="camel", forbid_unknown_fields=True):
    """Calls that came to the same: either ``code`` and ``delay`` of ``count`` calls, or how many there were and failed."""

    host: Text = ""
    """Of the instance that was called; empty: only the service, and the method, are meant."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    method: Text = ""
    """The interface or path that was called: what rules call the method."""
    verb: Text = ""
    protocol: Text = ""
    code: Text | None = None
    """As rules compare it; ``-1``: there was no answer."""
    delay: Annotated[int, Meta(ge=0, le=2**31)] = 0
    """Milliseconds."""
    failed: bool | None = None
    """What the caller took it for; counts where the rule looks at no codes. Without it: no answer is a failure."""
    count: Annotated[int, Meta(ge=1, le=MOST_CALLS)] = 1
    total: Count | None = None
    errors: Count = 0
    """Of ``total``; as the caller took them."""


class Report(Struct, rename="camel", forbid_unknown_fields=True):
    """What one caller tells."""

    results: Annotated[list[Result], Meta(max_length=MOST_RESULTS)] = []
    namespace: Text = "default"
    service: Text = ""
    """That was called."""
    caller: Named = field(default_factory=Named)


class ShownState(Struct, rename="camel", omit_defaults=True):
    """A resource as it stands under a rule."""

    level: str
    state: str
    rule: str
    name: str
    method: str = ""
    host: str = ""
    port: int = 0
    ejected: bool = False


class Told(Struct):
    """The answer to a report."""

    code: int
    info: str
    states: list[ShownState]
    """Of what calls should not go to just now, or are tried again to: breakers that are not closed."""


class ShownVoice(Struct, rename="camel"):
    """What one caller, or the server's probe, has told of a resource."""

    who: str
    calls: int
    errors: int
    objects: bool
    """Whether it found that calls should stop."""
    counters: list[str]


class ShownFallback(Struct):
    """What a caller is to get instead of a call."""

    code: int
    headers: dict[str, str]
    body: str


class ShownBreaker(Struct, rename="camel", omit_defaults=True):
    """A breaker, with all that it goes by."""

    level: str
    state: str
    rule: str
    name: str
    since: int
    """Milliseconds since 1970."""
    method: str = ""
    host: str = ""
    port: int = 0
    until: int = 0
    """While open: when calls are tried again."""
    why: str = ""
    times: int = 0
    """How often in a row it opened before."""
    ejected: bool = False
    voices: list[ShownVoice] = []
    fallback: ShownFallback | None = None


class ShownRule(Struct, rename="camel", omit_defaults=True):
    """A rule that is about the service, with what became of the calls that it judged."""

    id: str
    name: str
    level: str
    priority: int
    everyone: bool
    """Whether it is about whoever calls: only then it ejects."""
    probed: bool
    max_ejection_percent: int
    calls: int
    errors: int
    opened: int
    not_evaluated: str = ""


class ShownProbe(Struct):
    """A probe that is made again and again."""

    host: str
    port: int
    rule: str


class ShownTurn(Struct, rename="camel", omit_defaults=True):
    """A breaker changed its state."""

    at: int
    level: str
    before: str
    after: str
    rule: str
    name: str
    method: str = ""
    host: str = ""
    port: int = 0
    why: str = ""


class Explanation(Struct):
    """The answer to "which breakers are there of this service, and why"."""

    code: int
    info: str
    namespace: str
    service: str
    rules: list[ShownRule]
    """In the order in which they are asked."""
    breakers: list[ShownBreaker]
    probes: list[ShownProbe]
    turns: list[ShownTurn]
    """The last ones, the latest first."""


class Question(Struct, forbid_unknown_fields=True):
    """Which breakers somebody wants to see, or let go: of a service, of one method or instance of it."""

    namespace: Text = "default"
    service: Text = ""
    method: Text = ""
    host: Text = ""
    port: Annotated[int, Meta(ge=0, le=65535)] = 0


_report: Final = msgspec.json.Decoder(Report)
_question: Final = msgspec.json.Decoder(Question)
PARAMETERS: Final = Question.__struct_fields__
"""Of a question in a URL."""


def read_report(body: bytes) -> Report:
    """A report out of a body. Raises ``Malformed``."""
    report = _decoded(_report, body)
    for at, result in enumerate(report.results):
        if (result.total or 0) < result.errors:
            raise Malformed(f"Expected `errors` <= `total` - at `$.results[{at}].errors`")
        if result.total is not None and (result.code is not None or result.count != 1 or result.failed is not None):
            raise Malformed(f"Expected either `total` or `code`, `failed`, `count` - at `$.results[{at}].total`")
        if bool(result.host) is not bool(result.port):
            raise Malformed(f"Expected both `host` and `port` - at `$.results[{at}]`")
    return report


def read_question(body: bytes) -> Question:
    """A question out of a body. Raises ``Malformed``."""
    return _decoded(_question, body)


def read_query(query: Mapping[str, Sequence[str]]) -> Question:
    """A question out of the query of a URL. Raises ``Malformed``."""
    unknown = next((name for name in query if name not in PARAMETERS), None)
    if unknown is not None:
        raise Malformed(f"parameter {unknown} is not known")
    given = {name: values[0] for name, values in query.items() if values and values[0]}
    try:
        return msgspec.convert(given, Question, strict=False)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from None


def encode(answer: Told | Explanation) -> bytes:
    """An answer as JSON."""
    return msgspec.json.encode(answer)
