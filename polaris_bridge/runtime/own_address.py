"""Under which address others reach this machine: what the file says, an interface's, or what a connection shows."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import socket
import struct
from pathlib import Path
from typing import Final

PROBE_S: Final = 3.0
"""Longest that a connection to the probe address may take."""

_SIOCGIFADDR: Final = 0x8915
_IF_INET6: Final = Path("/proc/net/if_inet6")
_GLOBAL: Final = 0x00
"""Scope of an IPv6 address in /proc/net/if_inet6 that is not bound to its link."""
_ELSEWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses kept for documents (RFC 5737, 3849): what goes there leaves by the ordinary way. Nothing is ever sent."""


def is_loopback(host: str) -> bool:
    """Whether only this machine itself gets there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_wildcard(host: str) -> bool:
    """Whether it stands for every address of the machine, or for none."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return not host


def of_interface(name: str) -> str:
    """The address of a network interface, IPv4 if it has one. OSError when there is no such interface, or no address."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        return socket.inet_ntoa(answer[20:24])
    with contextlib.suppress(OSError):
        for line in _IF_INET6.read_text().splitlines():
            digits, _index, _prefix, scope, _flags, interface = line.split()
            if interface == name and int(scope, 16) == _GLOBAL:
                return str(ipaddress.IPv6Address(bytes.fromhex(digits)))
    raise OSError(f"network interface {name!r} is not there or has no address")


def towards(probe: str) -> str:
    """The own end of a TCP connection to ``host:port``. Blocks for up to ``PROBE_S``; OSError or ValueError when there is
    none."""
    host, _, port = probe.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), PROBE_S) as connection:
        return str(connection.getsockname()[0])


def outward() -> str | None:
    """The address by which this machine reaches others, IPv4 if it can; None when it reaches nobody but itself."""
    for family, elsewhere in _ELSEWHERE:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((elsewhere, 9))
            found = str(sock.getsockname()[0])
            if not is_loopback(found) and not is_wildcard(found):
                return found
    for _, name in socket.if_nameindex():
        with contextlib.suppress(OSError):
            found = of_interface(name)
            if not is_loopback(found):
                return found
    return None
