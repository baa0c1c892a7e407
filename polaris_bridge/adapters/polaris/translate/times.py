"""Times as the native protocol writes them: to the second, in the server's own time zone."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Final


def local_time(wall_ms: int) -> str:
    """``YYYY-MM-DD HH:MM:SS`` of a time in milliseconds since 1970."""
    return _second(wall_ms // 1000)


def wall_ms(text: str) -> int:
    """What ``local_time`` was made of, to the second; 0 for what is no such time."""
    try:
        return int(datetime.strptime(text, _FORM).timestamp()) * 1000
    except (ValueError, OverflowError, OSError):
        return 0


_FORM: Final = "%Y-%m-%d %H:%M:%S"


@lru_cache(maxsize=4096)
def _second(wall_s: int) -> str:
    return datetime.fromtimestamp(wall_s).strftime(_FORM)
