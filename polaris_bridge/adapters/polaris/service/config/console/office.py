"""What all console calls of the configuration centre work with: the centre, who sees what, who is called what, long lists."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final

from msgspec import Struct

from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.polaris.answers import Outcome, failed
from polaris_bridge.adapters.polaris.service.config.writing import Writing
from polaris_bridge.adapters.polaris.service.console.long_work import LongWork
from polaris_bridge.adapters.polaris.service.queries import MAX_PAGE, Page
from polaris_bridge.adapters.polaris.service.routes import Encoded, Result
from polaris_bridge.adapters.polaris.service.visible import Visible
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.keys import SOURCE
from polaris_bridge.core.config.model import NOBODY, Stamp, Text
from polaris_bridge.core.config.ports import Stale
from polaris_bridge.core.errors import Invalid, NotFound
from polaris_bridge.core.model import Caller
from polaris_bridge.core.registry import Registry

NameOf = Callable[[str], str | None]
"""The name of the account with an id."""

_SOMEBODY: Final = "Polaris"
"""Who did something natively without saying who it is: the original's words."""
_UNSIGNED_MOST: Final = 1 << 32


class BadPage(ValueError):
    """A page that is no numbers; the text is Go's."""


class Office:
    """Shared by the parts of the console; answers nothing itself."""

    def __init__(self, registry: Registry, settings: PolarisSettings, visible: Visible, name_of: NameOf) -> None:
        self.registry = registry
        self.centre = registry.config
        self.settings = settings
        self.visible = visible
        self._name_of = name_of
        self.writing = Writing(registry, settings, self.operator)
        self._long = LongWork(registry.scheduler)
        self._slices = Slices(registry.scheduler)

    # ------------------------------------------------------------------ who

    def named(self, stamp: Stamp) -> str:
        """Who did something, as consoles show it: the name of an account; without one the protocol that it came through."""
        if stamp.by:
            return self._name_of(stamp.by) or stamp.by
        return stamp.via if stamp.via and stamp.via != SOURCE else "" if stamp is NOBODY else _SOMEBODY

    def operator(self, caller: Caller) -> str:
        """The same of who asks now."""
        return self.named(Stamp(by=caller.principal, via=caller.protocol))

    # ------------------------------------------------------------------ contents

    def plain(self, text: Text) -> bytes:
        """A content as people read it: of one that cannot be decrypted what is kept, of one that was tidied away nothing."""
        try:
            return self.centre.reading.plain(text)
        except Stale:
            return b""
        except (Invalid, NotFound):
            return self.centre.reading.content(text)

    # ------------------------------------------------------------------ long lists

    def count(self, kind: str) -> int:
        """How many documents there are of a kind: what a look at all of them costs."""
        return len(self.registry.ledger.documents.get(kind, ()))

    def listed(self, work: Generator[None, None, Any], size: int) -> Result:
        """What a generator returns, bit by bit when it looks at many things."""
        return self._long.result(work, size)

    def worked(self, work: Generator[None, None, Outcome | Answered]) -> Worked:
        """The outcome of work in slices, told when it is durable."""
        return Worked(self._slices, work)


class Answered(Struct, frozen=True):
    """An outcome whose answer is encoded already. ``outcome`` has the one that is said when it does not come true."""

    outcome: Outcome
    encoded: Encoded


class Worked:
    """An answer that takes a while to come to, and a commit to come true. See ``routes.Later``."""

    __slots__ = ("_slices", "_work")

    def __init__(self, slices: Slices, work: Generator[None, None, Outcome | Answered]) -> None:
        self._slices = slices
        self._work = work

    def then(self, reply: Callable[[Any], None]) -> None:
        """See ``Later``."""

        def done(found: Outcome | Answered | None) -> None:
            if found is None:
                reply(None)
                return
            outcome, answer = (found.outcome, found.encoded) if isinstance(found, Answered) else (found, found.response)
            outcome.commit.then(lambda e: reply(answer if e is None else failed(outcome.response, e)))

        self._slices.run(object(), lambda: self._work, done)


# ---------------------------------------------------------------------- pages


def page_of(query: Mapping[str, str]) -> Page:
    """Offset and limit; a limit above 100 is 100. Raises ``BadPage``."""
    return Page(_unsigned(query.get("offset", ""), 0), min(_unsigned(query.get("limit", ""), MAX_PAGE), MAX_PAGE))


def _unsigned(value: str, default: int) -> int:
    if not value:
        return default
    if not (value.isascii() and value.isdigit()):
        raise BadPage(f'strconv.ParseUint: parsing "{value}": invalid syntax')
    if len(value) > 10 or int(value) >= _UNSIGNED_MOST:
        raise BadPage(f'strconv.ParseUint: parsing "{value}": value out of range')
    return int(value)
