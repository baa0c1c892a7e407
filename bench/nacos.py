"""Speed and memory of the Nacos server, in one table. Run: python bench/nacos.py [--quick] [--only PART]...

It prints numbers and never judges them; it fails when an answer is wrong. How figures are taken: docs/performance.md.
Needs wrk and Go, whose program makes the load over gRPC. ``TRANSPORT=grpcio`` measures that transport, floor included.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

import nacos_cpu
import nacos_push
from grpc_floor import TRANSPORT
from grpc_load import program
from measure import LOAD_CORE, pin
from report import Row, report

Part = Callable[[], Iterator[Row]]

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


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs: to see that it works, not to compare figures")
    parser.add_argument(
        "--only", action="append", choices=FULL, metavar="PART", help=f"one of {', '.join(FULL)}; may repeat"
    )
    arguments = parser.parse_args()
    parts = QUICK if arguments.quick else FULL
    program()
    pin(LOAD_CORE)
    began = time.monotonic()
    rows: list[Row] = []
    try:
        for name, part in parts.items():
            if not arguments.only or name in arguments.only:
                for row in part():
                    rows.append(row)
                    _progress(row)
    finally:  # what was measured before something failed took minutes
        print(report(_title(arguments.quick, time.monotonic() - began), rows))
    if "PEER_NACOS" not in os.environ:
        print(
            "no peer: set PEER_NACOS=http://host:port (and PEER_NACOS_PID for its CPU) to measure a real server beside ours"
        )


def _progress(row: Row) -> None:
    if sys.stderr.isatty():
        print(f"{row.what}: {row.ours:.4g} {row.unit}", file=sys.stderr)


def _title(quick: bool, seconds: float) -> str:
    kind = "quick run, not for comparing" if quick else "full run"
    machine = f"CPython {platform.python_version()}, {os.cpu_count()} cores"
    return f"Nacos server on transport {TRANSPORT}, {kind}, {seconds:.0f} s, {machine}"


if __name__ == "__main__":
    main()
