"""Speed of governance: routing, limits, look-ups by rules, breakers. Run: python bench/governance.py [--quick] [--only PART]...

It prints numbers and never judges them; it fails when an outcome is wrong. How figures are taken: docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import governance_breaking
import governance_limiter
import governance_lookups
import governance_routing
from governance_limiter import Effort
from parts import Part, run
from report import Row


def _limits(turns: int, effort: Effort) -> Iterator[Row]:
    yield from governance_limiter.in_process(turns)
    yield from governance_limiter.over_grpc(effort)
    yield from governance_limiter.should(effort)


FULL: Final[dict[str, Part]] = {
    "routing": lambda: governance_routing.rows(20),
    "limits": lambda: _limits(100_000, Effort()),
    "lookups": lambda: governance_lookups.rows(20),
    "breaking": lambda: governance_breaking.rows(False),
}
QUICK: Final[dict[str, Part]] = {
    "routing": lambda: governance_routing.rows(1),
    "limits": lambda: _limits(10_000, Effort(1, 1, 0.5)),
    "lookups": lambda: governance_lookups.rows(1),
    "breaking": lambda: governance_breaking.rows(True),
}
"""The same in a minute: to see that it works, not to compare figures."""


if __name__ == "__main__":
    run(__doc__, "Governance", FULL, QUICK)
