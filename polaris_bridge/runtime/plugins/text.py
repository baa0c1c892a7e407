"""How plugins write their lines: fields between bars, times in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

_ESCAPES = str.maketrans({"|": "\\|", "\\": "\\\\", "\n": "\\n", "\r": "\\r"})


def line(*fields: object) -> str:
    """Fields between bars. A bar, a backslash or a line break within one is escaped, so that a line stays one line."""
    return "|".join(str(field).translate(_ESCAPES) for field in fields)


def utc(wall_ms: int) -> str:
    """Milliseconds since 1970 as ISO 8601 with milliseconds."""
    return datetime.fromtimestamp(wall_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{wall_ms % 1000:03d}Z"
