"""Speed and memory of the xDS server, in one table. Run: python bench/xds.py [--quick] [--only PART]...

It prints numbers and never judges them; it fails when an answer is wrong. How figures are taken: docs/performance.md.
Needs Go, whose program makes the load. ``TRANSPORT=grpcio`` measures that transport.
"""

from __future__ import annotations

import sys
from typing import Final

sys.path.append(sys.path.pop(0))  # the folder of this file comes last: its name is that of a package of xds-protos

import xds_mesh
import xds_streams
from grpc_floor import TRANSPORT
from grpc_load import program
from parts import Part, run

FULL: Final[dict[str, Part]] = {
    "told": lambda: xds_streams.told_rows(200, 1000, 20),
    "memory": lambda: xds_streams.memory_rows(1000),
    "mesh": lambda: xds_mesh.rows(10_000),
}
QUICK: Final[dict[str, Part]] = {
    "told": lambda: xds_streams.told_rows(20, 100, 3),
    "memory": lambda: xds_streams.memory_rows(100),
    "mesh": lambda: xds_mesh.rows(500),
}
"""The same in a minute: to see that it works, not to compare figures."""


if __name__ == "__main__":
    run(__doc__, f"xDS server on transport {TRANSPORT}", FULL, QUICK, "PEER_XDS", "host:port", program)
