"""What the core's configuration centre needs from outside: parsers, regular expressions, ciphers.

Every library behind them is imported when it is first needed: who has no configuration files pays nothing.
"""

from __future__ import annotations

from pathlib import Path

from polaris_bridge.core.config.centre import ConfigCentre
from polaris_bridge.core.errors import Invalid

from .formats import Parsers
from .patterns import LinearPatterns
from .sealing import AesSealing
from .serverkey import ServerKeys

__all__ = ["equip", "unreadable"]


def equip(centre: ConfigCentre, key_file: Path | None, encrypt: bool) -> AesSealing:
    """Give the centre its ports. ``key_file`` None: the server's key lives in this process only."""
    sealing = AesSealing(ServerKeys(key_file), offered=encrypt)
    centre.use(formats=Parsers(), patterns=LinearPatterns(), sealing=sealing)
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
