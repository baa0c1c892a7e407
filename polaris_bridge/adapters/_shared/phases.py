"""What a connection is at, how long it may be at it, and the head of a request whose upgrade is declined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from polaris_bridge.adapters._shared.protocol import HttpProtocol

FRESH: Final = 0
"""Not a byte has come."""
HEAD: Final = 1
"""Request line and headers are coming in."""
BODY: Final = 2
"""A body is coming in (or the end of a message without one)."""
BETWEEN: Final = 3
"""The last request was received completely."""
UPGRADE: Final = 4
"""A head asked for another protocol and is about to be read again without that."""
DEAF: Final = 5
"""What still comes is dropped: the last request of this connection was received or refused."""

_LINGER_S: Final = 5.0

_HOP_BY_HOP = frozenset({b"upgrade", b"http2-settings"})


def overdue(connection: HttpProtocol) -> Literal["", "abort", "close", "timeout"]:
    """What to do with a connection that was looked at now. Called once a second for each, so no timers are needed."""
    state = connection.state
    settings = state.settings
    if connection.flow.write_paused or connection.transport.is_closing():
        return "abort" if _stalled(connection) else ""
    connection.stalled_since = state.now
    waited = state.now - connection.begun
    if connection.lingering:
        return "abort" if waited > _LINGER_S else ""
    if connection.half_closed:
        return "close" if waited > _LINGER_S else ""
    if connection.phase == FRESH:
        return "close" if waited > settings.header_timeout_s else ""
    if connection.flow.read_paused and connection.phase in (HEAD, BODY):  # our doing, not the client's
        connection.begun = state.now - connection.received / settings.body_rate
        return ""
    if connection.phase == HEAD:
        return "timeout" if waited > settings.header_timeout_s else ""
    if connection.phase == BODY:
        allowed = settings.header_timeout_s + connection.received / settings.body_rate
        return "timeout" if waited > allowed else ""
    return "close" if connection.idle and waited > settings.keep_alive_s else ""


def _stalled(connection: HttpProtocol) -> bool:
    """Whether the client has read nothing of its answer for ``keep_alive_s``."""
    unsent = connection.transport.get_write_buffer_size()
    if unsent < connection.unsent:
        connection.stalled_since = connection.state.now
    connection.unsent = unsent
    return connection.state.now - connection.stalled_since > connection.state.settings.keep_alive_s


def without_upgrade(method: bytes, url: bytes, version: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The head again without ``Upgrade``, ``HTTP2-Settings`` and their mention in ``Connection``."""
    lines = [b"%b %b HTTP/%b" % (method, url, version)]
    for name, value in headers:
        if name == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            value = b", ".join(token for token in tokens if token.lower() not in _HOP_BY_HOP)
        if value and name not in _HOP_BY_HOP:
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join((*lines, b"", b""))
