"""Speed and memory of the native server, in one table. Run: python bench/polaris.py [--quick] [--only PART]...

It prints numbers and never judges them; it fails when an answer is wrong. How figures are taken: docs/performance.md.
Needs Go, whose program makes the load. ``TRANSPORT=grpcio`` measures that transport, floor included.
"""

from __future__ import annotations

from typing import Final

import polaris_cpu
import polaris_streams
import polaris_visible
from grpc_floor import TRANSPORT
from grpc_load import program
from parts import Part, run

FULL: Final[dict[str, Part]] = {
    "once": lambda: polaris_cpu.once_rows(300),
    "cpu": lambda: polaris_cpu.rows(polaris_cpu.Effort()),
    "visible": lambda: polaris_visible.rows(200),
    "memory": lambda: polaris_streams.rows(1000, 500, 10),
    "stall": lambda: polaris_visible.stall_rows((10_000, 100_000), 15),
}
QUICK: Final[dict[str, Part]] = {
    "once": lambda: polaris_cpu.once_rows(30),
    "cpu": lambda: polaris_cpu.rows(polaris_cpu.Effort(1, 1, 0)),
    "visible": lambda: polaris_visible.rows(20),
    "memory": lambda: polaris_streams.rows(100, 50, 1),
    "stall": lambda: polaris_visible.stall_rows((2_000,), 2),
}
"""The same in a minute: to see that it works, not to compare figures."""


if __name__ == "__main__":
    run(__doc__, f"Native server on transport {TRANSPORT}", FULL, QUICK, "PEER_POLARIS", "host:port", program)
