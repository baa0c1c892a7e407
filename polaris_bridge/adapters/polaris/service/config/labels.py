"""What clients said of themselves when they read, for when they wait: SDKs send their labels with GetConfigFile and not with
WatchConfigFiles, and a gray release for a label must reach those who wait.

Known by address and file. Where several clients behind one address differ, only what they agree about counts: a client is
never told of a release that it would not get, since a reader that is told of nothing new tries again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from polaris_bridge.adapters.polaris.translate.config import CLIENT_IP
from polaris_bridge.core.config.model import FileKey

KEPT_S: Final = 120.0
"""How long they count after the client was last heard of; who waits asks again every 30 seconds."""
MOST: Final = 100_000
"""Addresses with a file; of more the one that was silent longest is forgotten."""


class Labels:
    """Labels by address and file."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, FileKey], tuple[float, dict[str, str]]] = {}
        """When heard of, and the labels; the one that was silent longest first."""

    def __len__(self) -> int:
        return len(self._kept)

    def heard(self, address: str, key: FileKey, labels: Mapping[str, str], now_s: float) -> None:
        """A client at an address reads a file."""
        known = self._kept.pop((address, key), None)
        fresh = {name: value for name, value in labels.items() if name != CLIENT_IP}
        if known is not None and known[0] + KEPT_S > now_s:
            fresh = _common(known[1], fresh)
        self._kept[address, key] = now_s, fresh
        if len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]

    def of(self, address: str, keys: Iterable[FileKey], now_s: float) -> dict[str, str]:
        """The labels of a client at an address that waits for these files."""
        found: dict[str, str] | None = None
        for key in keys:
            known = self._kept.pop((address, key), None)
            if known is not None and known[0] + KEPT_S > now_s:
                self._kept[address, key] = now_s, known[1]
                found = known[1] if found is None else _common(found, known[1])
        return dict(found or {})

    def sweep(self, now_s: float) -> None:
        """Forget those of whom nothing was heard."""
        for place, (heard_s, _) in list(self._kept.items()):
            if heard_s + KEPT_S > now_s:
                return
            del self._kept[place]


def _common(one: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    return one if one == other else {name: value for name, value in one.items() if other.get(name) == value}
