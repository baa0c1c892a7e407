"""Where the process spends its time: the counterpart of Go's ``/debug/pprof``, as text.

There only when the listener's ``enablePprof`` is on; ``pprof/enable`` switches it off and on again meanwhile. Switched off, its
paths answer nothing, as in polaris-server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from polaris_bridge.adapters._shared.host import Host
from polaris_bridge.adapters.polaris.service.routes import Later, Query, Text
from polaris_bridge.core.model import Caller

from .plain import DONE, BadBody, member, read, refused, sentence, shown

DEFAULT_S: Final = 30.0
LONGEST_S: Final = 120.0

_INDEX: Final = """\
/debug/pprof/profile?seconds=30  where all threads spend their time: collapsed stacks, as flame graph programs read them
/debug/pprof/goroutine           where every thread and every task is just now
/debug/pprof/cmdline             how the process was started
"""


class Profiling:
    """Profiles of this process."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.on = True

    def enable(self, body: bytes, _caller: Caller) -> Text:
        """POST pprof/enable ``{enable}``."""
        try:
            self.on = member(read(body), "enable", bool, False)
        except BadBody as error:
            return refused(str(error))
        return shown("ok")

    def index(self, _query: Query, _caller: Caller) -> Text:
        """What there is."""
        return sentence(_INDEX) if self.on else DONE

    def profile(self, query: Query, _caller: Caller) -> Text | Later:
        """GET profile: watch for some seconds. One at a time."""
        if not self.on:
            return DONE
        seconds = _seconds(query)
        if seconds is None:
            return refused(f"seconds: expected a number above 0 and up to {LONGEST_S:g}")
        return _Watching(self._host, seconds)

    def stacks(self, _query: Query, _caller: Caller) -> Text:
        """GET goroutine: now."""
        return sentence(self._host.stacks()) if self.on else DONE

    def command_line(self, _query: Query, _caller: Caller) -> Text:
        """GET cmdline: as Go parts it, with NUL characters."""
        return sentence("\0".join(self._host.command_line())) if self.on else DONE


def _seconds(query: Query) -> float | None:
    text = query.get("seconds", [""])[0]
    if not text:
        return DEFAULT_S
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds <= LONGEST_S else None


class _Watching:
    """A profile that is being made."""

    def __init__(self, host: Host, seconds: float) -> None:
        self._host = host
        self._seconds = seconds

    def then(self, reply: Callable[[Text], None]) -> None:
        """See ``Later``."""
        if not self._host.profile(self._seconds, lambda text: reply(sentence(text))):
            reply(sentence("a profile is being made already; ask again when it is done", 409))
