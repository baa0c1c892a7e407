"""The process as adapters may ask for it (``adapters._shared.host``): one server, its listeners, its logs, its memory."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from polaris_bridge.adapters._shared.adapter import Listener
from polaris_bridge.adapters._shared.host import Port
from polaris_bridge.core.model import Location

from .logs.levels import levels, set_level
from .profiling import Sampler, stacks

ELECTIONS: Final = ("MaintainJob",)
"""What one node does for all: the maintain jobs."""

_SECRETS: Final = ("pass", "token", "salt", "secret")
_NOWHERE: Final[dict[str, Location]] = {}


class ProcessHost:
    """See ``adapters._shared.host.Host``."""

    def __init__(
        self,
        listeners: Callable[[], Sequence[Listener]],
        started_ms: int,
        locations: Callable[[], Mapping[str, Location]] = lambda: _NOWHERE,
        elections: Sequence[str] = ELECTIONS,
    ) -> None:
        """``listeners``: those of now. ``locations``: single addresses that somebody knows the place of."""
        self._listeners = listeners
        self._locations = locations
        self._elections = elections
        self._started_ms = started_ms
        self._sampler = Sampler()
        self._address = "127.0.0.1"

    @property
    def address(self) -> str:
        """See ``Host``."""
        return self._address

    @address.setter
    def address(self, found: str) -> None:
        self._address = found

    @property
    def started_ms(self) -> int:
        """See ``Host``."""
        return self._started_ms

    def ports(self) -> list[Port]:
        """See ``Host``."""
        return [Port(each.settings.name, each.port, each.connected()) for each in self._listeners()]

    def cut(self, name: str, host: str, port: int = 0) -> int:
        """See ``Host``."""
        return sum(each.cut(host, port) for each in self._listeners() if each.settings.name == name)

    def log_levels(self) -> dict[str, str]:
        """See ``Host``."""
        return levels()

    def set_log_level(self, scope: str, level: str) -> None:
        """See ``Host``."""
        set_level(scope, level)

    def free_memory(self) -> None:
        """Collect what refers to itself, but for what was put aside (``garbage``): that would stop everybody. What the
        allocator then holds for nothing goes back to the system, in a thread."""
        gc.collect()
        asyncio.get_running_loop().run_in_executor(None, _trim)

    def locations(self) -> Mapping[str, Location]:
        """See ``Host``."""
        return self._locations()

    def elections(self) -> Sequence[str]:
        """See ``Host``."""
        return self._elections

    def command_line(self) -> list[str]:
        """See ``Host``."""
        return [_told(argument) for argument in sys.orig_argv]

    def stacks(self) -> str:
        """See ``Host``."""
        return stacks()

    def profile(self, seconds: float, done: Callable[[str], None]) -> bool:
        """See ``Host``."""
        loop = asyncio.get_running_loop()

        def tell(text: str) -> None:
            with suppress(RuntimeError):  # the loop ended meanwhile, and with it who asked
                loop.call_soon_threadsafe(done, text)

        return self._sampler.watch(seconds, tell)


def _told(argument: str) -> str:
    """An argument without the value of a key that names a secret."""
    name, sign, _ = argument.partition("=")
    return f"{name}=***" if sign and any(word in name.lower() for word in _SECRETS) else argument


def _trim() -> None:
    """glibc keeps what was freed between things that live on; another C library has no such call."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
