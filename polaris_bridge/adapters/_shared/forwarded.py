"""Who really called, when a proxy stands in front (``trustedProxies``)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from polaris_bridge.adapters._shared.exchange import Headers

Address = IPv4Address | IPv6Address


def plain_address(host: str) -> str:
    """An address as text without zone, an IPv4 address that came over an IPv6 socket as IPv4."""
    host = host.partition("%")[0]
    return host[7:] if host.startswith("::ffff:") and "." in host else host


class TrustedProxies:
    """Finds the caller of a request that came through proxies: the rightmost address that is none of ours."""

    def __init__(self, networks: Iterable[str]) -> None:
        try:
            self._networks = [ip_network(text.strip(), strict=False) for text in networks]
        except ValueError as error:
            raise ValueError(f"trustedProxies: {error}; give addresses or CIDR networks such as 10.0.0.0/8") from None
        self.trusts = lru_cache(maxsize=4096)(self._trusts)
        self._caller = lru_cache(maxsize=4096)(self._rightmost_untrusted)

    def _trusts(self, host: str) -> bool:
        address = _address(host)
        return address is not None and self._trusted(address)

    def _trusted(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def caller(self, socket_peer: str, headers: Headers) -> str:
        """Address of the client behind a trusted ``socket_peer``; that peer itself when no header names another."""
        listed = [value for name, value in headers if name == b"x-forwarded-for"]
        return self._caller(socket_peer, b",".join(listed)) if listed else socket_peer

    def _rightmost_untrusted(self, socket_peer: str, forwarded_for: bytes) -> str:
        nearest = socket_peer
        for part in reversed(forwarded_for.decode("latin-1").split(",")):
            address = _address(_without_port(part.strip()))
            if address is None:  # garbage: what stands left of it was not written by a proxy of ours
                return nearest
            nearest = str(address)
            if not self._trusted(address):
                return nearest
        return nearest


def forwarded_scheme(headers: Headers, default: str) -> str:
    """``http`` or ``https`` as the nearest proxy says in ``X-Forwarded-Proto``, else ``default``."""
    for name, value in reversed(headers):
        if name == b"x-forwarded-proto":
            scheme = value.rpartition(b",")[2].strip().lower().decode("latin-1")
            return scheme if scheme in ("http", "https") else default
    return default


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _address(text: str) -> Address | None:
    try:
        return ip_address(plain_address(text))
    except ValueError:
        return None
