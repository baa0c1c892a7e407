"""What names and passwords of accounts may be, as in polaris-server 1.19."""

from __future__ import annotations

import re
from typing import Final

MAX_NAME: Final = 64
_NAME: Final = re.compile("[一-龥A-Za-z0-9_\\-.]{1,64}")
_RESERVED: Final = "polariadmin"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

SHORTEST: Final = 6
LONGEST: Final = 17


def is_name(text: str) -> bool:
    """Whether it may name a user or a policy."""
    return text != _RESERVED and _NAME.fullmatch(text) is not None


def is_group_name(text: str) -> bool:
    """Whether it may name a group or a role: anything short, as in the original, that a line of a log can hold."""
    return 0 < len(text) <= MAX_NAME and not _CONTROL.search(text)


def is_password(text: str) -> bool:
    """Whether it may be a password: 6 to 17 bytes."""
    return SHORTEST <= len(text.encode("utf-8", "surrogatepass")) <= LONGEST


PASSWORD_RULE: Final = f"password len need {SHORTEST} ~ {LONGEST}"
