"""What the core's configuration centre needs from outside: parsers, regular expressions, ciphers.

Each of them, and every library behind it, is imported when it is first needed: who has no configuration files pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from polaris_bridge.core.config.centre import ConfigCentre
from polaris_bridge.core.config.ports import Formats, Patterns
from polaris_bridge.core.errors import Invalid

if TYPE_CHECKING:
    from .sealing import AesSealing

__all__ = ["KEY_FILE", "equip", "unreadable"]

KEY_FILE: Final = "config.key"
"""Name of the file with the server's key, under the data directory."""


class _Later:
    """Stands for something until it is first used."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Any:
        """Of the thing itself, which is made once."""
        if name == "_made":
            self._made = self._make()
            return self._made
        return getattr(self._made, name)


def equip(centre: ConfigCentre, key_file: Path | None, encrypt: bool) -> AesSealing:
    """Give the centre its ports. ``key_file`` None: the server's key lives in this process only."""

    def formats() -> object:
        from .formats import Parsers

        return Parsers()

    def patterns() -> object:
        from .patterns import LinearPatterns

        return LinearPatterns()

    def ciphers() -> object:
        from .sealing import AesSealing
        from .serverkey import ServerKeys

        return AesSealing(ServerKeys(key_file), offered=encrypt)

    sealing = cast("AesSealing", _Later(ciphers))
    centre.use(formats=cast(Formats, _Later(formats)), patterns=cast(Patterns, _Later(patterns)), sealing=sealing)
    return sealing


def unreadable(centre: ConfigCentre, sealing: AesSealing) -> str:
    """What to tell people about encrypted files that cannot be read here; empty: all can. Call it once, after loading.

    From then on no new server key is made in place of one that is missing.
    """
    count, missing = 0, set[str]()
    for data_key in centre.reading.sealed():
        sealing.keys.may_make = False
        try:
            id = sealing.missing(data_key)
        except Invalid as error:
            return f"encrypted configuration files cannot be read: {error}"
        if id:
            count += 1
            missing.add(id)
    if not count:
        return ""
    return (
        f"{count} encrypted configuration texts cannot be read: {sealing.keys.place} has not the server key "
        f"{', '.join(sorted(missing))}. Put back the file that was there when they were written, or add its line to this "
        "one, and restart; until then they are kept as they are"
    )
