"""The native HTTP API as data: which call stands where, in which group, what it takes and what it gives.

Every part of the service lists its calls as ``Route`` values; ``server.http`` serves them and ``server.openapi`` describes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

from google.protobuf.message import Message
from msgspec import Struct

from polaris_bridge.adapters.polaris.answers import Outcome
from polaris_bridge.core.ports import Resource

CLIENT: Final = "client"
CONSOLE: Final = "console"
ADMIN: Final = "admin"
STRICT: Final = "strict"
EVERYBODY: Final = "everybody"
"""Doors besides those of the groups: always judged, never judged."""

UNREAD: Final = "request decode failed: "
"""What stands before the reason why a body could not be read."""

Takes = Literal["list", "one", "query", "bytes", "upload"]
"""A JSON array of messages, one message, nothing but the query of the URL, the body as it came (plain JSON), or an upload."""

Query = dict[str, list[str]]
"""The query of a URL, decoded: every value of every key, in order."""


class Upload(Struct, frozen=True):
    """A body of any kind with what was said of it."""

    query: Query
    content_type: str
    body: bytes


class Unreadable(Exception):
    """A body that a handler cannot read; the text says why. Answered like JSON that is none."""


class Text(Struct, frozen=True):
    """An answer that is no native message (plain JSON, a sentence)."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Besides the content type."""


class Encoded(Struct, frozen=True):
    """A native message that is JSON already, with the code that it holds."""

    code: int
    body: bytes | tuple[bytes, ...]
    """Several parts are written one after another without being joined."""


class Later(Protocol):
    """An answer that takes a while. ``then`` calls back exactly once, on the core's thread, with a message, ``Encoded`` or
    ``Text``; with None when making it failed."""

    def then(self, reply: Callable[[Any], None]) -> None:
        """Register the one receiver."""
        ...


Result = Outcome | Message | Encoded | Text | Later

Handle = Callable[..., Result]
"""Takes the decoded messages (``list``), the message (``one``), the ``Query``, the ``bytes`` or the ``Upload``, and the
``Caller``. Raises ``Unreadable``.

With ``Route.clears`` also the positions of the messages whose map was given as empty.
"""


class Route(Struct, frozen=True, kw_only=True):
    """One call. With ``api.<group>.include`` of a listener it is there when one of ``include`` is named."""

    method: str
    path: str
    operation: str
    """Name of the call: what the auth seam is asked about, what metrics and the OpenAPI document say."""
    handle: Handle
    named: Callable[[Any], str] | None = None
    """What the auth seam is asked about instead, when that depends on the message, or when policies know another name for it."""
    takes: Takes = "query"
    request: str = ""
    """The message of the body; of each item with ``list``; empty with ``query``."""
    response: str = "BatchWriteResponse"
    """The message of the answer; empty for ``Text``."""
    group: str = CONSOLE
    include: frozenset[str] = frozenset({"default"})
    """Parts of the group it belongs to; empty = there whenever the group is."""
    door: str = ""
    """Who judges its callers, when that is not the door of its group: ``STRICT`` or ``EVERYBODY``."""
    resources: Callable[[Any], tuple[Resource, ...]] | None = None
    """What it is about, when the messages of the request do not say so (a query does not)."""
    about: str = ""
    """One sentence for the API document."""
    query: tuple[str, ...] = ()
    """The parameters of the URL that it knows."""
    clears: str = ""
    """With ``list``: a map that a request may empty, by giving it as ``{}``; messages cannot tell that from leaving it out."""
    unread: str = ""
    """The message that says that a body could not be read; empty: the one that other refusals have."""
    unread_prefix: str = UNREAD
    """What stands before the reason then. The original has it with a space, without, or not at all, call by call."""
