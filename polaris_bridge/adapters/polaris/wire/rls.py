"""The messages of Envoy's rate limit service, as classes. They lie in the descriptor pool of ``v1``.

Of our own .proto files and not from ``xds-protos``: that package brings 6 MB of messages for the three that are needed, and
registers them in the process's default pool. Their types are in ``rls.pyi``, which is made by ``make protos``.
"""

from __future__ import annotations

from typing import Any as Anything
from typing import Final

from .v1 import MESSAGES

_PACKAGES: Final = ("envoy.service.ratelimit.v3", "envoy.extensions.common.ratelimit.v3")


def __getattr__(name: str) -> Anything:
    """A class of the packages. Kept once asked for."""
    for package in _PACKAGES:
        try:
            found = MESSAGES.message(f"{package}.{name}")
        except KeyError:
            continue
        globals()[name] = found
        return found
    raise AttributeError(name)
