"""The kinds of checks: what adapters ask for and probes perform. To the core they are words."""

from __future__ import annotations

from typing import Final

WEB: Final = "web"
"""A request, of whose answer status and body count; over TLS when the check says so, redirects followed."""
UDP: Final = "udp"
"""Whoever does not refuse a datagram is well."""
GRPC: Final = "grpc"
"""Whom the standard health service says to serve."""
H2PING: Final = "h2ping"
"""Whoever answers a ping of HTTP/2."""
HTTP: Final = "http"
"""A request, of whose answer the status counts."""
TCP: Final = "tcp"
"""Whoever accepts a connection is well."""
MYSQL: Final = "mysql"
"""A login and a query."""
TCP_TALK: Final = "tcp-talk"
"""A connection that answers what it is sent with what is wanted."""
UDP_TALK: Final = "udp-talk"
"""A datagram that is answered with what is wanted."""
