"""A benchmark made of parts: its arguments, its progress, the one table at the end."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from measure import LOAD_CORE, pin
from report import Row, report

Part = Callable[[], Iterator[Row]]


def run(
    description: str | None,
    title: str,
    full: Mapping[str, Part],
    quick: Mapping[str, Part],
    peer: str = "",
    form: str = "",
    prepare: Callable[[], object] = lambda: None,
) -> None:
    """Parse the arguments, measure, print. ``quick`` has the parts of ``full``, shortened. ``peer`` is the variable with the
    address of a real server (empty: there is none), ``form`` how that is written. ``prepare`` is called before anything is
    measured."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs: to see that it works, not to compare figures")
    parser.add_argument(
        "--only", action="append", choices=full, metavar="PART", help=f"one of {', '.join(full)}; may repeat"
    )
    arguments = parser.parse_args()
    prepare()
    pin(LOAD_CORE)
    began = time.monotonic()
    rows: list[Row] = []
    try:
        for name, part in (quick if arguments.quick else full).items():
            if not arguments.only or name in arguments.only:
                for row in part():
                    rows.append(row)
                    _progress(row)
    finally:  # what was measured before something failed took minutes
        print(report(_title(title, arguments.quick, time.monotonic() - began), rows))
    if peer and peer not in os.environ:
        print(f"no peer: set {peer}={form} (and {peer}_PID for its CPU) to measure a real server beside ours")


def _progress(row: Row) -> None:
    if sys.stderr.isatty():
        print(f"{row.what}: {row.ours:.4g} {row.unit}", file=sys.stderr)


def _title(title: str, quick: bool, seconds: float) -> str:
    kind = "quick run, not for comparing" if quick else "full run"
    machine = f"CPython {platform.python_version()}, {os.cpu_count()} cores"
    return f"{title}, {kind}, {seconds:.0f} s, {machine}"
