"""What who asks too often is answered: an agent's words over HTTP (Consul 1.20), REFUSED over DNS."""

from __future__ import annotations

from typing import Final

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters._shared.throttle import CallLimits, Excess
from polaris_bridge.adapters.consul.translate.keys import SOURCE
from polaris_bridge.adapters.consul.wire import dns

from .answers import PLAIN
from .dns_udp import Pending, Resolve

DNS: Final = "DNS"
"""What questions over DNS are called where limits name what is asked."""
_TOO_MANY: Final = Response(429, b"rate limit exceeded, try again later or against a different server", PLAIN)
_REFUSED: Final = dns.Answer(dns.REFUSED, authoritative=False)


def too_many(_request: Request, _found: Excess) -> Response:
    """What an agent says that limits requests (``limits.request_limits``)."""
    return _TOO_MANY


def limited_names(resolve: Resolve, limits: CallLimits | None) -> Resolve:
    """A resolver behind limits; the resolver itself when there are none. A real agent has none over DNS."""
    if limits is None:
        return resolve
    excess = limits.excess

    def answer(data: bytes, peer: str, tcp: bool) -> bytes | Pending | None:
        return resolve(data, peer, tcp) if excess(SOURCE, peer, DNS) is None else refusal(data)

    return answer


def refusal(data: bytes) -> bytes | None:
    """REFUSED, no longer than the question so that nobody is flooded by it; None for what is no question."""
    try:
        question = dns.read(data)
    except dns.Malformed:
        return None
    return dns.fitted(question, _REFUSED, most_answers=0, most_bytes=dns.MOST_MESSAGE, mark=False)
