"""Speed and memory of the Eureka server, in one table. Run: python bench/eureka.py [--quick] [--only PART]...

It prints numbers and never judges them; it fails when an answer is wrong. How figures are taken: docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

import eureka_cpu
import eureka_memory
import eureka_stall
import eureka_visible
from measure import LOAD_CORE, pin
from report import Row, report

Part = Callable[[], Iterator[Row]]

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


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs: to see that it works, not to compare figures")
    parser.add_argument(
        "--only", action="append", choices=FULL, metavar="PART", help=f"one of {', '.join(FULL)}; may repeat"
    )
    arguments = parser.parse_args()
    parts = QUICK if arguments.quick else FULL
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
    if "PEER_EUREKA" not in os.environ:
        print("no peer: set PEER_EUREKA (and PEER_EUREKA_PID for its CPU) to measure a real server beside ours")


def _progress(row: Row) -> None:
    if sys.stderr.isatty():
        print(f"{row.what}: {row.ours:.4g} {row.unit}", file=sys.stderr)


def _title(quick: bool, seconds: float) -> str:
    kind = "quick run, not for comparing" if quick else "full run"
    return f"Eureka server, {kind}, {seconds:.0f} s, CPython {platform.python_version()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
