"""Speed and memory of the Consul server, HTTP and DNS, in one table. Run: python bench/consul.py [--quick] [--only PART]...

It prints numbers and never judges them; it fails when an answer is wrong. How figures are taken: docs/performance.md. Needs wrk.
"""

from __future__ import annotations

from typing import Final

import consul_cpu
import consul_dns
import consul_stall
import consul_told
from nacos_cpu import Effort
from parts import Part, run

FULL: Final[dict[str, Part]] = {
    "cpu": lambda: consul_cpu.rows(Effort()),
    "dns": lambda: consul_dns.rows(Effort()),
    "told": lambda: consul_told.told_rows(200, 1000, 20),
    "parked": lambda: consul_told.parked_rows(5000, 20),
    "beside": lambda: consul_told.beside_rows(1000),
    "stall": lambda: consul_stall.rows((10_000, 100_000), 15),
}
QUICK: Final[dict[str, Part]] = {
    "cpu": lambda: consul_cpu.rows(Effort(1, 1, 0)),
    "dns": lambda: consul_dns.rows(Effort(0.5, 1, 0)),
    "told": lambda: consul_told.told_rows(10, 100, 3),
    "parked": lambda: consul_told.parked_rows(200, 3),
    "beside": lambda: consul_told.beside_rows(100),
    "stall": lambda: consul_stall.rows((2_000,), 2),
}
"""The same in a minute: to see that it works, not to compare figures."""


if __name__ == "__main__":
    run(__doc__, "Consul server", FULL, QUICK, "PEER_CONSUL", "http://host:port")
