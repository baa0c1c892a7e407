"""Speed and memory of the Nacos server, in one table. Run: python bench/nacos.py [--quick] [--only PART]...

It prints numbers and never judges them; it fails when an answer is wrong. How figures are taken: docs/performance.md.
Needs wrk and Go, whose program makes the load over gRPC. ``TRANSPORT=grpcio`` measures that transport, floor included.
"""

from __future__ import annotations

from typing import Final

import nacos_cpu
import nacos_push
from grpc_floor import TRANSPORT
from grpc_load import program
from parts import Part, run

FULL: Final[dict[str, Part]] = {
    "once": lambda: nacos_cpu.once_rows(300),
    "cpu": lambda: nacos_cpu.rows(nacos_cpu.Effort()),
    "visible": lambda: nacos_push.push_rows(200, 1000, 20),
    "storm": lambda: nacos_push.storm_rows(1000),
    "memory": lambda: nacos_push.memory_rows(1000),
    "stall": lambda: nacos_push.stall_rows((10_000, 100_000), 15),
}
QUICK: Final[dict[str, Part]] = {
    "once": lambda: nacos_cpu.once_rows(30),
    "cpu": lambda: nacos_cpu.rows(nacos_cpu.Effort(1, 1, 0)),
    "visible": lambda: nacos_push.push_rows(20, 100, 3),
    "storm": lambda: nacos_push.storm_rows(100),
    "memory": lambda: nacos_push.memory_rows(100),
    "stall": lambda: nacos_push.stall_rows((2_000,), 2),
}
"""The same in a minute: to see that it works, not to compare figures."""


if __name__ == "__main__":
    run(__doc__, f"Nacos server on transport {TRANSPORT}", FULL, QUICK, "PEER_NACOS", "http://host:port", program)
