"""Speed and memory of the configuration centre, in one table. Run: python bench/config.py [--quick] [--only PART]...

It prints numbers and never judges them; it fails when an answer is wrong. How figures are taken: docs/performance.md.
Needs wrk and Go, whose program makes the load over gRPC. ``TRANSPORT=grpcio`` measures that transport, floor included.
"""

from __future__ import annotations

from typing import Final

import config_cpu
import config_memory
import config_native
import config_told
from grpc_floor import TRANSPORT
from grpc_load import program
from nacos_cpu import Effort
from parts import Part, run

_NATIVE: Final = TRANSPORT != "grpcio"
FULL: Final[dict[str, Part]] = {
    "cpu": lambda: config_cpu.rows(Effort()),
    "grpc": lambda: config_told.grpc_rows(100, 2000, 10, _NATIVE),
    "poll": lambda: config_told.poll_rows(100, 2000, 10),
    "native": lambda: config_native.rows(Effort(), 100, 2000, 10),
    "memory": lambda: config_memory.rows(10_000, 20, 100, 3000),
}
QUICK: Final[dict[str, Part]] = {
    "cpu": lambda: config_cpu.rows(Effort(1, 1, 0)),
    "grpc": lambda: config_told.grpc_rows(10, 100, 3, _NATIVE),
    "poll": lambda: config_told.poll_rows(10, 100, 3),
    "native": lambda: config_native.rows(Effort(1, 1, 0), 10, 100, 3),
    "memory": lambda: config_memory.rows(500, 20, 10, 3000),
}
"""The same in two minutes: to see that it works, not to compare figures."""


if __name__ == "__main__":
    run(
        __doc__,
        f"Configuration centre on transport {TRANSPORT}",
        FULL,
        QUICK,
        "PEER_NACOS",
        "http://host:port",
        program,
    )
