"""Compressed answers, for clients that take them: from 1400 bytes on, as on a real agent.

What was compressed is kept as long as the same bytes are answered again, which is what the views' kept answers are.
"""

from __future__ import annotations

import gzip
from typing import Final

from polaris_bridge.adapters._shared.exchange import Headers, Request

_LEAST: Final = 1400
_MOST: Final = 256 * 1024
"""Above, compressing would hold the loop for more than 4 ms; the answer goes out as it is."""
_KEPT: Final = 64
_ENCODED: Final = (b"Content-Encoding", b"gzip")

Body = bytes | tuple[bytes, ...]


class Gzipping:
    """What was compressed last."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Body, bytes]] = {}
        """By identity of the plain body, which is held so that it stays the same."""

    def applied(self, request: Request, body: Body, headers: Headers) -> tuple[Body, Headers]:
        """The body and headers to send."""
        length = len(body) if isinstance(body, bytes) else sum(map(len, body))
        if length < _LEAST or length > _MOST:
            return body, headers
        accepted = request.header(b"accept-encoding")
        if accepted is None or not takes_gzip(accepted):
            return body, headers
        return self._compressed(body), (*headers, _ENCODED)

    def _compressed(self, body: Body) -> bytes:
        kept = self._kept.get(id(body))
        if kept is not None:
            return kept[1]
        made = gzip.compress(body if isinstance(body, bytes) else b"".join(body), 1, mtime=0)
        if len(self._kept) >= _KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[id(body)] = (body, made)
        return made


def takes_gzip(accepted: str) -> bool:
    """Whether an ``Accept-Encoding`` names gzip and does not give it the weight 0."""
    for part in accepted.split(","):
        name, _, weight = part.partition(";")
        if name.strip().lower() == "gzip":
            return weight.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
