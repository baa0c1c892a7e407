"""The messages of package ``polaris.metric.v2`` (what clients and a limiter tell each other), as classes, and its codes.

They lie in the descriptor pool of ``v1``. Their types are in ``limiter.pyi``, which is made by ``make protos``.
"""

from __future__ import annotations

from typing import Any as Anything
from typing import Final

from .v1 import MESSAGES

PACKAGE: Final = "polaris.metric.v2"


def __getattr__(name: str) -> Anything:
    """A class of the package, an enum's value by its name. Kept once asked for."""
    try:
        found = MESSAGES.message(f"{PACKAGE}.{name}")
    except KeyError:
        found = _VALUES.get(name)
        if found is None:
            raise AttributeError(name) from None
    globals()[name] = found
    return found


_VALUES: Final = {
    name: number
    for enum in ("RateLimitCmd", "Mode", "QuotaMode")
    for name, number in MESSAGES.enum(f"{PACKAGE}.{enum}").items()
}
