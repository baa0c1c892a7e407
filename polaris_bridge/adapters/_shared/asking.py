"""A request whose caller's password is being checked: it is answered when that is done."""

from __future__ import annotations

from collections.abc import Callable

from polaris_bridge.adapters._shared.exchange import Deferred, Response, abandoning
from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.ports import Undecided


class Asked:
    """Its response (``exchange.Parked``)."""

    __slots__ = ("_again", "_answer", "_refused", "_undecided")

    def __init__(
        self,
        undecided: Undecided,
        again: Callable[[], Response | Deferred],
        refused: Callable[[CoreError], Response],
    ) -> None:
        """``again`` answers the request once more, now that the password is known to be right or wrong. ``refused``: what is
        said when it cannot be checked (too many are)."""
        self._undecided = undecided
        self._again = again
        self._refused = refused
        self._answer: Response | Deferred | None = None

    def then(self, reply: Callable[[Response], None]) -> None:
        """See ``Deferred``."""

        def decided() -> None:
            answer = self._answer = self._again()
            if isinstance(answer, Response):
                reply(answer)
            else:
                answer.then(reply)

        try:
            self._undecided.then(decided)
        except CoreError as error:
            reply(self._refused(error))

    def abandon(self) -> None:
        """See ``Parked``."""
        answer = self._answer
        let_go = None if answer is None or isinstance(answer, Response) else abandoning(answer)
        if let_go is not None:
            let_go()
