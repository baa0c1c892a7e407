"""CPU of the server per DNS answer over UDP: addresses and SRV records of a service with three instances."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import dns.message
from consul_fleet import ConsulFleet, dns_of, filled
from dns_load import Figure, measure_dns
from nacos_cpu import Effort
from nacos_fleet import Server
from report import Row
from udp_floor import udp_floor

THREE = ConsulFleet("three", 3, subnet=6)


@dataclass(frozen=True)
class Case:
    """One question."""

    what: str
    name: str
    type: str
    target: float | None
    answers: int
    edns: int = -1

    @property
    def message(self) -> bytes:
        """As a resolver's library writes it."""
        size = {"use_edns": 0, "payload": self.edns} if self.edns > 0 else {"use_edns": -1}
        return dns.message.make_query(self.name, self.type, **size).to_wire()  # type: ignore[arg-type]


CASES = (
    Case("DNS A, 3 instances", "three.service.consul.", "A", 40, 3),
    Case("DNS A by tag, EDNS", "prod.three.service.consul.", "A", 40, 3, edns=1232),
    Case("DNS SRV, 3 instances", "three.service.consul.", "SRV", 40, 3),
    Case("DNS SRV, EDNS", "_three._tcp.service.consul.", "SRV", 40, 3, edns=1232),
    Case("DNS AAAA: there is none", "three.service.consul.", "AAAA", None, 0),
    Case("DNS name that is nobody's", "missing.service.consul.", "A", None, 0),
)


def rows(effort: Effort) -> Iterator[Row]:
    """All questions."""
    with filled(THREE) as servers:
        for case in CASES:
            yield _row(case, servers, effort)


def _row(case: Case, servers: list[Server], effort: Effort) -> Row:
    size = len(_answer(case, servers[0]))
    with udp_floor(size) as bare:
        floor = _figure(bare.pid, ("127.0.0.1", bare.port), case, effort)
    ours, *theirs = [_figure(server.pid, dns_of(server), case, effort) for server in servers]
    notes = [f"{ours.per_second:,.0f}/s, answers of {size:,} bytes"]
    for who, figure in (("", ours), *(("peer ", figure) for figure in theirs)):
        if figure.lost + figure.wrong:
            notes.append(f"{who}LOST {figure.lost}, WRONG {figure.wrong}")
    peer = theirs[0].cpu_us if theirs and servers[1].pid else None
    if theirs and not servers[1].pid:
        notes.append(f"peer {theirs[0].per_second:,.0f}/s")
    return Row(case.what, "CPU us", ours.cpu_us, case.target, floor.cpu_us, peer, ours.spread, ", ".join(notes))


def _figure(pid: int | None, address: tuple[str, int], case: Case, effort: Effort) -> Figure:
    return measure_dns(pid, address, case.message, seconds=effort.seconds, runs=effort.runs, warm_up_s=effort.warm_up_s)


def _answer(case: Case, server: Server) -> bytes:
    """One answer. RuntimeError when it is not what it has to be."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(dns_of(server))
        sock.send(case.message)
        if not select.select([sock], [], [], 5)[0]:
            raise RuntimeError(f"{case.what} was not answered")
        data = sock.recv(65_535)
    found = sum(len(rrset) for rrset in dns.message.from_wire(data).answer)
    if found != case.answers:
        raise RuntimeError(f"{case.what} got {found} answers")
    return data
