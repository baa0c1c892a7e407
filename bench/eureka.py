"""Speed and memory of the Eureka server, in one table. Run: python bench/eureka.py [--quick] [--only PART]...

It prints numbers and never judges them; it fails when an answer is wrong. How figures are taken: docs/performance.md.
"""

from __future__ import annotations

from typing import Final

import eureka_cpu
import eureka_memory
import eureka_stall
import eureka_visible
from parts import Part, run

# `once` goes first: afterwards a peer's delta holds all that `cpu` registered for three minutes
FULL: Final[dict[str, Part]] = {
    "once": lambda: eureka_cpu.once_rows(500),
    "cpu": lambda: eureka_cpu.rows(eureka_cpu.Effort()),
    "visible": lambda: eureka_visible.rows(100),
    "memory": lambda: eureka_memory.rows((10_000, 100_000)),
    "stall": lambda: eureka_stall.rows((10_000, 100_000), 15),
}
QUICK: Final[dict[str, Part]] = {
    "once": lambda: eureka_cpu.once_rows(50),
    "cpu": lambda: eureka_cpu.rows(eureka_cpu.Effort(1, 1, 0)),
    "visible": lambda: eureka_visible.rows(10),
    "memory": lambda: eureka_memory.rows((2_000,), starts=1),
    "stall": lambda: eureka_stall.rows((2_000,), 2, wait_s=0),
}
"""The same in under a minute: to see that it works, not to compare figures."""


if __name__ == "__main__":
    run(__doc__, "Eureka server", FULL, QUICK, "PEER_EUREKA", "http://host:port/eureka")
