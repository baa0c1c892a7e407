"""What a probe believes of certificates."""

from __future__ import annotations

import ssl
from functools import cache

from polaris_bridge.core.health import Check


def context(check: Check, protocols: tuple[str, ...] = ()) -> ssl.SSLContext | None:
    """How a check's target is spoken to; None: without TLS. ``protocols``: what is offered besides (ALPN)."""
    return _context(check.verify, protocols) if check.tls else None


def name(check: Check) -> str | None:
    """The name that the certificate has to bear; None without TLS."""
    return (check.server_name or check.host) if check.tls else None


@cache
def _context(verify: bool, protocols: tuple[str, ...]) -> ssl.SSLContext:
    made = ssl.create_default_context()
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made
