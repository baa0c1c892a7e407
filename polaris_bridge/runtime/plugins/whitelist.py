"""Plugin ``whitelist``: the client addresses that may use the HTTP listeners."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

REMEMBERED: Final = 10_000
"""Verdicts that are kept; more are forgotten at once, not one by one."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Whitelist:
    """Addresses and networks (CIDR), both families. An empty list allows nobody, as in polaris-server."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Raises ``ValueError`` naming the first entry that is neither an address nor a network."""
        self._networks = tuple(_network(entry) for entry in entries)
        self._verdicts: dict[str, bool] = {}

    def allow(self, ip: str) -> bool:
        """Whether a client at this address may come in. What is no address may not."""
        verdict = self._verdicts.get(ip)
        if verdict is None:
            verdict = self._judge(ip)
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            self._verdicts[ip] = verdict
        return verdict

    def _judge(self, ip: str) -> bool:
        try:
            address: _Address = ipaddress.ip_address(ip)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(entry.strip(), strict=False)
    except ValueError:
        raise ValueError(
            f"plugin.whitelist.option.ip: {entry!r} is neither an address (10.0.0.7) nor a network (10.0.0.0/8)"
        ) from None
