"""Who listens to which configurations, as operators ask: by configuration, or by the address of clients.

Of several clients at one address the last counts, as on Nacos 2.5.1. Clients of other protocols are there too; what they have is
said as the md5 of what they were last given, when that is the newest.
"""

from __future__ import annotations

from typing import Final

from polaris_bridge.core.config.centre import ConfigCentre
from polaris_bridge.core.config.holders import Holding
from polaris_bridge.core.config.model import Asker, FileKey

MOST: Final = 100_000
"""Rows of one answer."""


class ListenersView:
    """Queries over those who hold configurations."""

    def __init__(self, centre: ConfigCentre) -> None:
        self._centre = centre

    def of(self, key: FileKey) -> dict[str, str]:
        """Addresses of the clients that listen to a configuration, and the md5 of what each has of it."""
        return {holding.ip: self._md5(holding) for holding in self._centre.holders.of(key)[:MOST] if holding.ip}

    def at(self, ip: str) -> dict[FileKey, str]:
        """Configurations that the clients at an address listen to, and the md5 of what they have."""
        return {holding.key: self._md5(holding) for holding in self._centre.holders.at(ip)[:MOST]}

    def _md5(self, holding: Holding) -> str:
        if isinstance(holding.has, str):
            return holding.has
        if holding.late:
            return ""
        seen = self._centre.reading.resolve(holding.key, Asker(ip=holding.ip))
        return seen.md5 if seen is not None else ""
