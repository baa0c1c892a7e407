"""Speed and memory of migration, in one table. Run: python bench/migration.py [--quick] [--only PART]...

It prints numbers and never judges them; it fails when an answer is wrong. How figures are taken: docs/performance.md.
"""

from __future__ import annotations

from typing import Final

import migration_mirror
from parts import Part, run

FULL: Final[dict[str, Part]] = {"mirror": lambda: migration_mirror.rows(10_000, 30)}
QUICK: Final[dict[str, Part]] = {"mirror": lambda: migration_mirror.rows(500, 3)}
"""The same in a minute: to see that it works, not to compare figures."""


if __name__ == "__main__":
    run(__doc__, "Migration", FULL, QUICK, "PEER_EUREKA", "http://host:8761/eureka")
