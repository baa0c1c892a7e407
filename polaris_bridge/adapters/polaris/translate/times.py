"""Times as the native protocol writes them: to the second, in the server's own time zone."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache


def local_time(wall_ms: int) -> str:
    """``YYYY-MM-DD HH:MM:SS`` of a time in milliseconds since 1970."""
    return _second(wall_ms // 1000)


@lru_cache(maxsize=4096)
def _second(wall_s: int) -> str:
    return datetime.fromtimestamp(wall_s).strftime("%Y-%m-%d %H:%M:%S")
